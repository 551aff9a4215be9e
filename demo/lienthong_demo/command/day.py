"""The day of the province in `lienthong demo`: its own hub, partners of every kind, reports compared with their files.

Knows how an operator sets up such a hub, and what is compared in the end. Plays nothing itself.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from hub.domain.local_time import find_local_day
from hub.language.phrases import phrase
from hub.report.form.period import Period, find_month_containing
from hub.security import sample_pki
from lienthong_demo.command import declared as demo_declared
from lienthong_demo.command import evening, events, hubs, shared
from lienthong_demo.command.enrolling import enrol_partner
from lienthong_demo.command.operator import Narrator, Operator
from lienthong_demo.plan.day import Scale, Town
from lienthong_demo.protocol.notebook import read_notebook
from lienthong_demo.run.conductor import Look
from lienthong_demo.run.dayplay import MAIL, OFFICERS, ONE_STOP, WATCHMAN, DayPlay
from lienthong_demo.run.stage import Site, Stage
from lienthong_demo.tally import eventtally, tally

#: The code of the sample's province, as `init` writes it.
PROVINCE = "H55"
#: Seconds without any progress after which the demo fails.
_STILL = 120.0
_OUTSTANDING = ("waiting", "sending", "held", "fetched")
AGENCIES = ("G22", "G12", "000.00.27.G14", "H41", "H14.01", "G09.20")
_SYSTEM = "00.55.W00"
_SECRETS = {"vpcp/secret": "khoa-bi-mat-mau", "dvcqg/password": "mat-khau-mau"}

#: `partners/CODE.toml` of the partners that are called otherwise than by SOAP.
_VPCP = """name = "Trục liên thông văn bản quốc gia (mẫu)"
calls = ["documents"]
adapter = "vxp"
receive = "push"
url = "http://127.0.0.1:{port}/XrdAdapter/adapter"

[settings]
system-id = "{system}"
secret-file = "secret"

[policy]
transport = "plain"
collect = "300ms"
first-retry = "200ms"
max-retry = "2s"
"""
_DVCQG = """name = "Cổng Dịch vụ công quốc gia (mẫu)"
calls = ["categories"]
adapter = "dvcqg"
receive = "push"
services = ["dossiers"]
url = "http://127.0.0.1:{port}/XrdAdapter/RestService/forward"

[settings]
username = "h55"
password-file = "password"
madonvi = "000.00.00.H55"
integrate = "mapi/integrate"
share = "mapi/share"

[policy]
transport = "plain"
collect = "10s"
first-retry = "200ms"
max-retry = "2s"
concurrency = "8"
"""

#: By form: the columns that count one milestone each.
#: The forms of which the one-stop software keeps books.
DOSSIERS = ("dossiers", "btp07a")
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "edoc": {
        "sent": "sent",
        "received": "received",
        "acknowledged": "status-03",
        "refused": "status-02",
        "completed": "status-06",
    },
}


@attrs.frozen
class ReportPage:
    """One unit's report in several formats."""

    unit: str
    title: str
    files: tuple[Path, ...]


@attrs.frozen
class Played:
    """The result of a play."""

    accepted: int
    refused: int
    delivered: int  #: deliveries
    dead: int
    facts: int
    lost: tuple[str, ...]
    differences: tuple[str, ...]
    pages: tuple[ReportPage, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong."""
        return self.lost + self.differences


@attrs.frozen
class Dusk:
    """What is there after a day was played: everything still runs."""

    played: Played
    stage: Stage
    town: Town
    outbox: Path
    ended: str  #: the period before the current one
    left: str  #: a unit with numbers in it, whose official may sign and has not


def play_day(
    around: contextlib.ExitStack,
    directory: Path,
    operator: Operator,
    narrator: Narrator,
    scale: Scale,
    words: Sequence[str],
) -> Dusk:
    """Set up the hub of the day in *directory*, play the day, and compare. Raises StageFailed, CommandStop.

    The hub and the partners run until *around* is closed.
    """
    site, period = Site(directory / "hub"), find_month_containing(datetime.now(UTC))
    operator.run_command("init", str(site.directory), *words)
    if scale.offices > 12:  # there are twelve sample units
        operator.run_command("units", "seed", "-o", str(directory / "units.csv"))
        operator.run_command("units", "import", str(directory / "units.csv"), "--yes")
    town = _town(operator, scale)
    stage = around.enter_context(Stage.open(site, directory))
    _, planted, *_, left = _offices(town, scale)  # the first is that of the province itself
    with stage.start_together():
        _found(stage, site, town, scale)
        evening.open_report_systems(stage, site, (planted, left))
        hubs.open_hubs(stage, site, operator, town, directory / "agencies.csv")
        stage.start_hub()
        stage.call_soap(ONE_STOP, "onestop", _offices(town, scale))
    outbox = directory / "outbox"
    outbox.mkdir()
    day = _conducted(stage, operator, narrator, town, scale, outbox, period.first)
    before = find_month_containing(period.start - timedelta(days=1))
    last = evening.Evening(stage, operator, narrator, before.text, period.text, planted)
    day.play_past(period.first)
    _call_in(stage, town, scale)
    last.leave()
    day.play()
    last.play()
    days = (period.first, town.today)
    declared = tuple(
        demo_declared.play_declarations(stage, operator, narrator, _offices(town, scale)[0], period.text, days)
    )
    narrator.act(
        phrase("Each unit's report against the partners' files"),
    )
    compared, province = _compare(stage, operator, day, period.text, directory / "reports"), site.read()["province"]
    ended = _compare_ended_month(operator, day, before, province)
    differences = (*stage.complaints(), *compared.differences, *last.differences(), *declared, *ended)
    pages = _write(operator, province, period.text, "reporting", directory / "reports")
    played = attrs.evolve(compared, differences=differences, pages=(*compared.pages, *pages))
    return Dusk(played, stage, town, outbox, before.text, left)


def _town(operator: Operator, scale: Scale) -> Town:
    codes = [unit["code"] for unit in operator.rows("units", "list") if not unit["until"]]  # none ends later
    fetching = tuple(code for code in codes if code.startswith(f"{PROVINCE}.13"))[:6]
    rest = tuple(code for code in codes if code not in fetching)
    return Town(fetching, rest, AGENCIES, find_local_day(datetime.now(UTC)))


def _offices(town: Town, scale: Scale) -> tuple[str, ...]:
    """Return the units with a one-stop office: `scale.offices` of them, from the whole province, the first for itself.

    Units of the Party have none, and their codes come before those of the province.
    """
    own = [code for code in town.pushed if code.partition(".")[0] == PROVINCE]
    step = max(1, len(own) // scale.offices)
    return tuple(own[::step][: scale.offices])


def _found(stage: Stage, site: Site, town: Town, scale: Scale) -> None:
    """Start the partners that the hub calls, and write the partners' files as an operator would."""
    partners, secrets = site.directory / "partners", site.directory / "secrets"
    for place, secret in _SECRETS.items():
        sample_pki.write_secret(secrets / place, secret.encode())
    for code, units in (("sotttt", town.fetching), ("vpub", town.pushed)):
        path = partners / f"{code}.toml"
        kept = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("units = ")]
        at = next((n for n, line in enumerate(kept) if line.startswith("[")), len(kept))
        path.write_text("\n".join([*kept[:at], f"units = {json.dumps(units)}", *kept[at:], ""]), "utf-8")
    axis = {"system_id": _SYSTEM, "secret_file": secrets / "vpcp/secret"}
    port = stage.open_office("vpcp", "vxp", **axis, units=",".join(town.units), elsewhere=",".join(town.agencies))
    (partners / "vpcp.toml").write_text(_VPCP.format(port=port, system=_SYSTEM), "utf-8")
    port = stage.open_office("dvcqg", "dvcqg")
    (partners / "dvcqg.toml").write_text(_DVCQG.format(port=port), "utf-8")
    enrol_partner(site, ONE_STOP, "Phần mềm một cửa (mẫu)", _offices(town, scale), calls=("dossiers", "reports"))
    shared.open_shared_services(stage, site, _offices(town, scale))
    events.open_event_systems(site, WATCHMAN, _offices(town, scale), town.fetching[0], AGENCIES[2])


def _call_in(stage: Stage, town: Town, scale: Scale) -> None:
    """Start the other systems that call the hub, or are pushed to by SOAP."""
    offices = _offices(town, scale)
    with stage.start_together():
        for code, units in (("sotttt", town.fetching), ("vpub", town.pushed)):
            stage.call(code, units, courses=scale.courses)
        stage.call_syslog(WATCHMAN, "watchman", offices)
        stage.call_soap(OFFICERS, "officer", offices)
        stage.call_soap(MAIL, "mailusage", town.units)


def _conducted(
    stage: Stage,
    operator: Operator,
    narrator: Narrator,
    town: Town,
    scale: Scale,
    outbox: Path,
    first: Any,
) -> DayPlay:
    def look() -> Look:
        outstanding = sum(operator.count("--delivery-state", state) for state in _OUTSTANDING)
        # Syslog has no answer. Messages that the monitoring system sent and the journal does not hold yet count as
        # outstanding.
        outstanding += stage.partners[WATCHMAN].order("told")["told"] - operator.count("--partner", WATCHMAN)
        return Look(operator.count("--state", "accepted"), outstanding)

    neighbours = hubs.open_neighbours(stage, town, scale, outbox, narrator)
    return DayPlay(stage, town, scale, first, outbox, narrator, look, _STILL, neighbours)


def _compare(stage: Stage, operator: Operator, day: DayPlay, period: str, folder: Path) -> Played:
    """Write the reports, and compare every unit's facts and reports with the partners' own files."""
    notebooks: dict[str, list[Mapping[str, Any]]] = {
        notebook.stem: list(read_notebook(notebook)) for notebook in sorted(stage.notebooks.glob("*.jsonl"))
    }
    results = [
        *tally.tally_document_system(notebooks["sotttt"]),
        *tally.tally_document_system(notebooks["vpub"]),
        *tally.tally_axis(notebooks["vpcp"]),
        *tally.tally_portal(notebooks["dvcqg"]),
        *eventtally.tally_incident_reports(notebooks["vpcp"]),
    ]
    facts, messages = operator.rows("report", "--facts"), operator.rows("messages")
    results += hubs.tally_partner_files(notebooks)
    expected = tally.sum_results(tally.count_results_once(results).values())
    documents = [fact for fact in facts if fact["service"] == "documents"]
    synced = [fact for fact in facts if (fact["service"], fact["milestone"]) == ("dossiers", "synced")]
    differences = [
        *tally.compare_facts(results, [*documents, *synced], frozenset({"documents", "dossiers"}), _key),
    ]
    folder.mkdir()
    pages: list[ReportPage] = []
    tops = [unit["code"] for unit in operator.rows("units", "list") if not unit["parent"]]

    for form in (*COLUMNS, *DOSSIERS, *events.FORMS, *shared.FORMS):
        for top in tops:
            pages += _write(operator, top, period, form, folder)

    def rows(form: str) -> list[Mapping[str, Any]]:
        written = (folder / f"{form}_{top}_{period}.json" for top in tops)
        return [row for file in written for row in json.loads(file.read_bytes())["rows"]]

    for form, columns in COLUMNS.items():
        differences += tally.compare_report(rows(form), expected, "documents", columns, form)
    differences += events.compare_event_facts(notebooks, WATCHMAN, facts, rows, day.first, day.town.today)
    differences += shared.compare_shared_facts(notebooks, facts, rows)
    books = day.books(day.first, day.town.today)
    differences += _compare_books(books, {form: rows(form) for form in DOSSIERS})
    return Played(
        accepted=operator.count("--state", "accepted"),
        refused=operator.count("--state", "refused"),
        delivered=operator.count("--delivery-state", "delivered") + _circulated(facts),
        dead=operator.count("--delivery-state", "dead"),
        facts=len(facts),
        lost=tuple(tally.find_lost_receipts(notebooks, messages)),
        differences=tuple(differences),
        pages=tuple(pages),
    )


def _compare_ended_month(operator: Operator, day: DayPlay, month: Period, province: str) -> Iterator[str]:
    """Yield the differences between the ended month's reports and the offices' books; also if these are empty."""
    books = day.books(month.first, month.last)
    if not all(any(book.values()) for each in books.values() for book in each.values()):
        yield f"{month.text}: an office has nothing in its books"
    asked = {form: ("report", province, month.text, "--form", form, "--format", "json") for form in DOSSIERS}
    rows = {form: json.loads(operator.run_command(*words))["rows"] for form, words in asked.items()}
    yield from (f"{month.text}: {each}" for each in _compare_books(books, rows))


def _compare_books(
    books: Mapping[str, Mapping[str, Mapping[str, int]]], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[str]:
    """Yield each office whose *books*, by unit and form, are not what the *rows* of the reports say, by form."""
    counted = {form: {row["unit"]: row for row in each} for form, each in rows.items()}
    for unit, written in books.items():
        for form, book in written.items():
            found = {key: counted[form][unit][key] for key in book}
            if found != book:
                yield f"{form} of {unit}: the report has {found}, the office's books {book}"


def _circulated(facts: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of deliveries beyond the first of each message: a document is received by each of its units."""
    received = Counter(
        fact["message"] for fact in facts if fact["milestone"] == "received" and fact["service"] == "documents"
    )
    return sum(received.values()) - len(received)


def _write(operator: Operator, unit: str, period: str, form: str, folder: Path) -> list[ReportPage]:
    """Write the report *form* of *unit*, which has a row for each unit below it."""
    files = []
    for kind in ("html", "xlsx", "xml", "csv", "json"):
        files.append(folder / f"{form}_{unit}_{period}.{kind}")
        files[-1].write_bytes(operator.run_command("report", unit, period, "--form", form, "--format", kind))
    return [ReportPage(unit, form, tuple(files))]


def _key(fact: Mapping[str, Any]) -> tuple[str, ...]:
    if fact["service"] != "documents":
        return (str(fact["key"]),)
    return tuple(json.loads(fact["key"])[:2])
