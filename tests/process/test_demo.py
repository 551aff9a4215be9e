"""`lienthong demo`, whole: its one line is true, and it ends when it is to."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import attrs
import pytest
import requests
from cryptography import x509

from hub.report.form.period import find_month_containing
from hub.security.anchors import Anchors
from hub.security.wss_verify import unseal_document
from lienthong_demo.run.stage import Site
from tests.conftest import DATABASES
from tests.readback import SCHEMA, from_csv, from_html, from_json, from_pdf, from_xlsx, from_xml, to_the_minute
from tests.running import PATIENCE, until

LIENTHONG = Path(sys.executable).with_name("lienthong")
pytestmark = pytest.mark.slow
#: Seconds that a demo may take: half a minute of the CPU.
LONG = 5 * PATIENCE


@attrs.frozen
class Run:
    """A kept demo that has said its line, and all it has to say; it runs on."""

    process: subprocess.Popen[str]
    out: str
    err: str
    directory: Path

    @property
    def line(self) -> Mapping[str, Any]:
        """The last line."""
        line: Mapping[str, Any] = json.loads(self.out)
        return line

    def notes(self, partner: str, what: str) -> list[Mapping[str, Any]]:
        """Return the lines of a partner's file that say *what*."""
        path = self.directory / "notebooks" / f"{partner}.jsonl"
        return [note for note in map(json.loads, path.read_text("utf-8").splitlines()) if note["what"] == what]


@contextlib.contextmanager
def keep_demo(place: Path, *words: str) -> Iterator[Run]:
    """Yield a demo that is kept in *place*."""
    demo = subprocess.Popen(
        [LIENTHONG, "demo", "--keep", *words],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"LANG": "C.UTF-8"},
    )
    try:
        assert demo.stdout is not None
        yield Run(demo, demo.stdout.readline(), read_until(demo, "SOAP  "), place / "var/demo/1")
    finally:
        demo.kill()
        demo.communicate()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One demo, in a path with a space, for all that only look at it; the last of them stops it."""
    with keep_demo(tmp_path_factory.mktemp("a place")) as kept:
        yield kept


def test_the_demo_says_one_line_and_nothing_is_lost(run: Run) -> None:
    """At least 60 messages accepted, some refused, none dead, none lost."""
    assert "✗" not in run.err
    line = run.line
    assert list(line) == ["accepted", "refused", "delivered", "dead", "facts", "lost", "report"]
    assert line["accepted"] >= 60
    assert line["refused"] > 0
    assert line["delivered"] >= line["accepted"]
    assert line["facts"] >= line["accepted"]
    assert (line["dead"], line["lost"]) == (0, 0)


def test_the_reports_are_where_the_line_says(run: Run) -> None:
    """One page links the report of every unit, in every format."""
    index = Path(run.line["report"])
    names = index.read_text("utf-8").split('href="')[1:]
    files = [index.parent / name.split('"')[0] for name in names]
    assert len(files) >= 6 * 12
    assert all(file.stat().st_size for file in files)


def test_the_outputs_of_every_unit_agree_in_every_cell(run: Run) -> None:
    """The six files of each unit, read back; the sealed one verifies by the hub's CA and keeps its schema."""
    folder = Path(run.line["report"]).parent
    anchors = Anchors(x509.load_pem_x509_certificates((run.directory / "hub/pki/ca.crt").read_bytes()))
    workbooks = list(folder.glob("*.xlsx"))
    assert len(workbooks) >= 12
    for workbook in workbooks:
        expected = from_json(workbook.with_suffix(".json").read_text("utf-8"))
        document = workbook.with_suffix(".xml").read_bytes()
        unseal_document(document, anchors, datetime.now(UTC))
        SCHEMA.validate(document)
        assert from_xml(document) == expected
        assert from_xlsx(workbook.read_bytes()) == expected
        assert from_xlsx(workbook.read_bytes(), recalculated=True) == expected
        assert from_csv(workbook.with_suffix(".csv").read_bytes()) == expected
        assert from_html(workbook.with_suffix(".html").read_text("utf-8")) == expected
        assert from_pdf(workbook.with_suffix(".pdf").read_bytes()) == to_the_minute(expected)


def test_the_partners_saw_what_the_line_says(run: Run) -> None:
    """At least twelve units of three systems wrote; the axis was away and came back; a repetition got the same receipt."""
    sent = {partner: run.notes(partner, "sent") for partner in ("sotttt", "vpub", "vpcp")}
    ask = [str(LIENTHONG), "-c", str(run.directory / "hub/hub.toml"), "messages", "--state", "accepted", "--count"]
    accepted = int(subprocess.run(ask, capture_output=True, check=True).stdout)  # the line adds those of the day
    assert sum(note["accepted"] for notes in sent.values() for note in notes) >= accepted
    assert all(any(note["accepted"] for note in notes) for notes in sent.values())
    assert all(run.notes(partner, "received") for partner in sent)
    assert len(run.notes("vpcp", "started")) == 2
    receipts = [note["receipt"] for note in sent["sotttt"] if note["message_id"] == "TT-001"]
    assert len(receipts) == 3
    assert len(set(receipts)) == 1


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ("meetings", ("called", "cancelled", "accepted")),
        ("incidents", ("opened_grave", "opened_other", "closed", "closing_seconds", "open")),
        ("mail", ("accounts", "active", "sent", "received")),
        ("lookups", ("enterprise", "category", "citizen", "postal", "civil_status", "judicial_record")),
    ],
)
def test_the_day_has_something_of_every_kind(run: Run, form: str, columns: tuple[str, ...]) -> None:
    """Each form of the day's reports counts something; that it is right, the demo has compared itself."""
    (file,) = (run.directory / "day/reports").glob(f"{form}_H55_*.json")
    rows = json.loads(file.read_text("utf-8"))["rows"]
    assert [column for column in columns if not any(row[column] for row in rows)] == []


def test_the_progress_is_told_beside_the_line(run: Run) -> None:
    """Progress goes to standard error, so that standard output is the line alone."""
    assert "1." in run.err
    assert "{" not in run.err


def test_a_kept_demo_runs_until_it_is_stopped(run: Run) -> None:
    """After its line the day's hub still answers, with something to do for each kind of person; Ctrl-C ends everything in order."""
    look_and_stop(run)


@pytest.mark.soak
def test_a_kept_demo_on_postgresql_runs_until_it_is_stopped(tmp_path: Path) -> None:
    """The same; Ctrl-C ends the database's server, too."""
    with keep_demo(tmp_path, "--database", "postgresql") as kept:
        test_the_demo_says_one_line_and_nothing_is_lost(kept)
        server = find_server(Site(kept.directory / "day/hub"))
        assert server.exists()
        look_and_stop(kept)
        assert not server.exists()


def look_and_stop(run: Run) -> None:
    """Let each kind of person sign in to the day's hub, then stop it all; one line is all that was printed."""
    site = Site(run.directory / "day/hub")
    ready = requests.get(f"{site.address('admin')}/readyz", verify=str(site.pki("ca.crt")), timeout=PATIENCE)
    assert ready.status_code == 200
    persons = re.findall(r"^  ([a-z-]+) +\S.*\n +https://[^/]+(/\S*)$", run.err, re.MULTILINE)
    assert len(persons) == 6
    password = (run.directory / "console-password").read_text().strip()
    pages = {name: signed_in(site, name, password, place) for name, place in persons}
    assert {name for name, page in pages.items() if page.status_code != 200} == set()
    assert pages["ky-su"].text.count('href="/messages/0') >= 3, "dead letters"
    assert 'data-column="total"' in pages["lanh-dao"].text
    ended = json.loads(lienthong(site, "report", "H55", find_ended_month(), "--form", "dossiers", "--format", "json"))
    assert ended["total"]["total"] > 0, "there is something to sign"
    run.process.send_signal(signal.SIGINT)
    out, _ = run.process.communicate(timeout=PATIENCE)
    assert run.process.returncode == 0
    assert out == "", "nothing but the line"
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{site.address('admin')}/readyz", verify=str(site.pki("ca.crt")), timeout=PATIENCE)


def find_server(site: Site) -> Path:
    """Return the directory of the server that keeps the journal of *site* on PostgreSQL."""
    url = tomllib.loads(site.config.read_text())["database"]["url"]
    assert url.startswith("postgresql://")
    return Path(unquote(url.partition("host=")[2]))


def read_until(demo: subprocess.Popen[str], word: str) -> str:
    """Return what the demo says up to the line that has *word*."""
    assert demo.stderr is not None
    said: list[str] = []
    for line in demo.stderr:
        said.append(line)
        if word in line:
            break
    return "".join(said)


def find_ended_month() -> str:
    """Return the last month of reports that has ended."""
    return find_month_containing(find_month_containing(datetime.now(UTC)).start - timedelta(days=1)).text


def lienthong(site: Site, *words: str) -> bytes:
    """Return what a command of the kept hub prints."""
    return subprocess.run([LIENTHONG, "-c", site.config, *words], check=True, capture_output=True).stdout


def signed_in(site: Site, name: str, password: str, place: str) -> requests.Response:
    """Return the page that *name* is shown after signing in."""
    console = requests.Session()
    console.trust_env, console.verify = False, str(site.pki("ca.crt"))  # the environment's CAs would go before ours
    page = console.get(f"{site.address('admin')}/", timeout=PATIENCE).text
    (proof,) = re.findall(r'name="proof" value="(\w+)"', page)
    form = {"name": name, "password": password, "proof": proof, "next": place}
    said = {"Origin": site.address("admin")}
    return console.post(f"{site.address('admin')}/sign-in", data=form, headers=said, timeout=PATIENCE)


@pytest.mark.parametrize("database", DATABASES)
def test_a_hub_that_dies_is_told_and_costs_the_exit_code(tmp_path: Path, database: str) -> None:
    """The line still comes, from what is on disk; the exit code is not 0, and the day is not begun."""
    command = [str(LIENTHONG), "demo", "--database", database]
    demo = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        notebook = tmp_path / "var/demo/1/notebooks/vpub.jsonl"
        until(
            lambda: notebook.exists() and b'"received"' in notebook.read_bytes(),
            "the office to receive something",
            LONG,
        )
        hub = int((tmp_path / "var/demo/1/hub/data/hub.pid").read_text().split()[0])
        os.kill(hub, signal.SIGKILL)
        out, err = demo.communicate(timeout=LONG)
    finally:
        demo.kill()
        demo.communicate()
    assert demo.returncode == 1
    assert "hub ended with -9" in err
    assert "hub.log" in err
    assert not (tmp_path / "var/demo/1/day").exists()
    line = json.loads(out)
    assert line["accepted"] > 0
    assert line["lost"] == 0  # not delivered yet is not lost
    assert database == "sqlite" or not find_server(Site(tmp_path / "var/demo/1/hub")).exists()


def _children(of: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == of:
            found.append(int(status.parent.name))
    return found


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="not applicable: processes are listed in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, how: signal.Signals) -> None:
    """Whether it was asked to stop or was killed, the hub and the partners end with it."""
    demo = subprocess.Popen([LIENTHONG, "demo"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        until(lambda: demo.poll() is not None or len(_children(demo.pid)) >= 4, "the hub and the partners", LONG)
        assert demo.poll() is None
        children = _children(demo.pid)
        os.kill(demo.pid, how)
        _, said = demo.communicate(timeout=PATIENCE)
        assert demo.returncode != 0
        until(lambda: not any(map(_is_alive, children)), f"all of them to end: {said.decode()}")
    finally:
        demo.kill()
        demo.communicate()
