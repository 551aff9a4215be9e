"""The evening of the day in `lienthong demo`: reports are signed, submitted and published; a link fails and recovers.

All of it is compared with the partners' files. Knows what an operator types and reads, and what was planted. Does not
know how a report leaves the hub.
"""

import hashlib
import json
import ssl
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from hub.language.phrases import phrase
from hub.security import sample_pki
from lienthong_demo.command import officials
from lienthong_demo.command.operator import Narrator, Operator
from lienthong_demo.protocol.notebook import read_notebook
from lienthong_demo.run.stage import Site, Stage, StageFailed
from lienthong_demo.tally import tally, tallyreports

REPORTING, WEB = "baocao", "congtt"
#: The forms of the previous period that the province submits. Only dossiers are told of it: they count by the units' days.
FORMS = ("ii06a", "dossiers")
PUBLISHED = "ii06a"
COLUMNS = {"submitted": "submitted", "accepted": "accepted", "returned": "returned"}
_RETURNED_FOR = "thiếu thuyết minh số liệu"
#: Partner -> its adapter, the service it accepts, its name, the units about which it sends verdicts, its secret.
_TAKERS = {
    REPORTING: ("govreport", "reports", "Hệ thống thông tin báo cáo của Chính phủ (mẫu)", '["*"]', "khoa-bao-cao-mau"),
    WEB: ("webportal", "publications", "Cổng thông tin điện tử của tỉnh (mẫu)", "[]", "khoa-cong-mau"),
}
#: Maximum seconds of any wait; seconds between two looks.
_STILL, _PAUSE = 60.0, 0.2
_BUSY = "no answer within"  #: the text of a probe that timed out

#: The ended period is told of while the hub runs, so a person closes it: the hub would in the middle of it.
_HUB = """
[reports]
close = { working_day = 20 }

[links]
every = "1s"

[portal]
publish = true
"""
_FILE = """name = "{name}"
adapter = "{adapter}"
receive = "push"
services = ["{service}"]
units = {units}
calls = ["verdicts"]
url = "http://127.0.0.1:{port}"

[settings]
secret-file = "secret"

[policy]
transport = "plain"
first-retry = "200ms"
max-retry = "2s"
{more}"""


def open_report_systems(stage: Stage, site: Site, signing: Iterable[str]) -> None:
    """Start the two systems that accept reports, write their files as an operator would, and enable the link probes.

    One official may sign for the province, and one for each of the units *signing*.
    """
    officials.enrol_officials(site, (str(site.read()["province"]), *signing))
    partners = site.directory / "partners"
    for code, (adapter, service, name, units, secret) in _TAKERS.items():
        file = site.directory / "secrets" / code / "secret"
        sample_pki.write_secret(file, secret.encode())
        more = {"hub_certificate": site.pki("hub.crt")} if code == REPORTING else {}
        collect = 'collect = "300ms"\n' if code == REPORTING else ""
        said = {"code": code, "adapter": adapter, "service": service, "name": name, "units": units}
        port = stage.open_office(code, adapter, secret_file=file, **more)
        (partners / f"{code}.toml").write_text(_FILE.format(port=port, more=collect, **said), "utf-8")
    site.config.write_text(site.config.read_text("utf-8") + _HUB, "utf-8")


@attrs.define
class Evening:
    """One evening: `leave` before the day, `play` after it, `differences` in the end."""

    stage: Stage
    operator: Operator
    narrator: Narrator
    period: str  #: the previous period, which has ended
    current: str
    planted: str  #: the unit whose report is returned
    _left_at: int = attrs.field(default=0, init=False)  #: number of lines in the hub's log

    def leave(self) -> None:
        """Stop the web portal, once every link was seen up. Raises StageFailed."""
        called = self._called()
        self._wait(lambda: self._stand("up") == called, f"the links of {', '.join(sorted(called))} to be seen up")
        self._left_at = len(self._log())
        self.stage.dismiss(WEB)

    def play(self) -> None:
        """Restart the portal, close the ended period, submit its reports, publish one, and wait for the results.

        Raises StageFailed.
        """
        self.narrator.act(
            phrase("In the evening: the last period's reports are handed in and published"),
        )
        self._wait(lambda: WEB in self._stand("down"), f"the link to {WEB} to be seen down")
        self._come_back()
        self.operator.run_command("report", "close", self.period)
        self._report("publish", self._province, PUBLISHED, "--reason", "QĐ 12/QĐ-UBND")
        self._hand_in()
        called = self._called()
        self._wait(
            lambda: self._stand("up") == called, f"the links of {', '.join(sorted(called))} to be up, and no other"
        )
        self._wait(self._nothing_waits, "every report to be delivered")
        self.narrator.say(
            phrase("{web}: its link was down and is up; the report {period} is published", web=WEB, period=self.period),
        )

    def _nothing_waits(self) -> bool:
        return not any(self.operator.count("--delivery-state", state) for state in ("waiting", "sending"))

    def _come_back(self) -> None:
        """Restart the portal at its old port. It restores its state from its notebook."""
        port = urlsplit(self.stage.site.partner(WEB)["url"]).port
        secret = self.stage.site.directory / "secrets" / WEB / "secret"
        self.stage.open_office(WEB, "webportal", port=port, secret_file=secret)

    def _hand_in(self) -> None:
        """Submit the planted unit's report, which is returned; then the province's reports and the unit's again."""
        province, order = self._province, self.stage.partners[REPORTING].order
        order("return", reason=_RETURNED_FOR)
        self._submit(self.planted, FORMS[0])
        self._wait(lambda: self._counted(self.planted)["returned"] == 1, f"the report of {self.planted} to come back")
        for form in FORMS:
            self._submit(province, form)
        self._submit(self.planted, FORMS[0], "--reason", "đã bổ sung thuyết minh")
        right = len(FORMS) + 1
        self._wait(lambda: self._counted(province)["accepted"] == right, f"{right} reports to be accepted")
        self.narrator.say(
            phrase(
                "{reporting}: {right} signed reports accepted, 1 returned, signed and handed in again",
                reporting=REPORTING,
                right=right,
            ),
        )

    def differences(self) -> Iterator[str]:
        """Yield the differences of facts, form, pages and links from the two systems' files and the conductor's acts."""
        notes: list[Mapping[str, Any]] = list(read_notebook(self.stage.notebooks / f"{REPORTING}.jsonl"))
        results = list(tally.count_results_once(tallyreports.tally_reporting_system(notes)).values())
        messages = self.operator.rows("messages")
        yield from tally.compare_facts(results, self.operator.rows("report", "--facts"), frozenset({"reports"}), _key)
        rows = self._read(self._province, self.current, "reporting")["rows"]
        yield from tally.compare_report(rows, tally.sum_results(results), "reports", COLUMNS, "reporting")
        yield from tallyreports.compare_journal(notes, messages)
        yield from (
            f"{line['key']}: handed in unsigned" for line in notes if line["what"] == "taken" and not line["signer"]
        )
        returned = [line["verdict"] for line in notes if line["what"] == "verdict" and line["verdict"]["reasons"]]
        if [(each["unit"], each["reasons"]) for each in returned] != [(self.planted, [_RETURNED_FOR])]:
            yield f"{REPORTING} returned {returned}, not the one of {self.planted}"
        if not any(row["service"] == "verdicts" and _RETURNED_FOR in row["subject"] for row in messages):
            yield f"no verdict in the journal says why the report of {self.planted} came back"
        yield from self._unlike_pages()
        yield from self._unlike_links()

    def _unlike_pages(self) -> Iterator[str]:
        """Compare the pages that the portal holds, the public pages, and the report that the operator is shown."""
        held = tallyreports.tally_web_portal(read_notebook(self.stage.notebooks / f"{WEB}.jsonl"))
        paths = [f"/reports/{PUBLISHED}/{self._province}/{self.period}.{kind}" for kind in ("html", "json")]
        served = {path: page for path in paths if (page := self._served(f"/public{path}")) is not None}
        sums = {path: hashlib.sha256(page).hexdigest() for path, page in served.items()}
        yield from tallyreports.compare_pages(held, sums)
        shown, report = served.get(paths[1]), self._read(self._province, self.period, PUBLISHED)
        if shown is not None and _timeless(json.loads(shown)) != _timeless(report):
            yield f"/public{paths[1]} is not what `lienthong report` prints"

    def _unlike_links(self) -> Iterator[str]:
        """Compare the links that went down with the one that was stopped: the portal, once.

        Probes that timed out because the machine was busy do not count.
        """
        told = [json.loads(line) for line in self._log()[self._left_at :] if '"event": "link-' in line]
        away = [each["link"] for each in told if each["event"] == "link-down" and not each["reason"].startswith(_BUSY)]
        if away != [WEB]:
            yield f"links that went down: {away}; only {WEB} was away, once"
        if [each["event"] for each in told if each["link"] == WEB][-1:] != ["link-up"]:
            yield f"nothing tells that the link to {WEB} came up again"

    def _called(self) -> set[str]:
        """Return the partners that are called over a network, by their files."""
        folder = self.stage.site.directory / "partners"
        urls = {path.stem: tomllib.loads(path.read_text("utf-8")).get("url", "") for path in folder.glob("*.toml")}
        return {code for code, url in urls.items() if urlsplit(url).hostname}

    def _log(self) -> list[str]:
        return (self.stage.logs / "hub.log").read_text("utf-8").splitlines()

    @property
    def _province(self) -> str:
        return str(self.stage.site.read()["province"])

    def _submit(self, unit: str, form: str, *words: str) -> None:
        """Have a report signed and submit it. *words*: the reason of a new revision."""
        officials.sign_unit_report(self.stage.site, self.operator, unit, self.period, form, *words)
        self._report("submit", unit, form, REPORTING)

    def _report(self, verb: str, unit: str, form: str, *words: str) -> None:
        self.operator.run_command("report", verb, unit, self.period, *words, "--form", form)

    def _read(self, unit: str, period: str, form: str) -> Mapping[str, Any]:
        read: Mapping[str, Any] = json.loads(
            self.operator.run_command("report", unit, period, "--form", form, "--format", "json")
        )
        return read

    def _counted(self, unit: str) -> Mapping[str, Any]:
        total: Mapping[str, Any] = self._read(unit, self.current, "reporting")["total"]
        return total

    def _stand(self, state: str) -> set[str]:
        """Return the links in this state."""
        return {row["link"] for row in self.operator.rows("links") if row["state"] == state}

    def _served(self, path: str) -> bytes | None:
        """Return a page that the hub serves without sign-in; None if there is none."""
        site = self.stage.site
        context = ssl.create_default_context(cafile=site.pki("ca.crt"))
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with urllib.request.build_opener(*handlers).open(f"{site.address('admin')}{path}", timeout=10) as answer:
                page: bytes = answer.read()
                return page
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise

    def _wait(self, until: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds. Raises StageFailed if that takes too long."""
        deadline = time.monotonic() + _STILL
        while not until():
            self.stage.must_live()
            if time.monotonic() > deadline:
                raise StageFailed(f"waited {_STILL:.0f} s for {what}")
            time.sleep(_PAUSE)


def _key(fact: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(piece) for piece in json.loads(fact["key"])) if fact["service"] == "reports" else ()


def _timeless(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report without the time at which it was counted."""
    return {key: value for key, value in report.items() if key != "made_at"}
