"""What-if at the console and by the API: uploads are bounded, trials run beside the hub, and nothing is sent or written."""

import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred, fail

from hub.domain.errors import Unready
from hub.domain.model import Problem
from hub.edxml import schema_upload
from hub.edxml.schema_upload import SchemasUnfit, read_schema_upload
from hub.formats.spool import Octets
from hub.journal import messages
from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.partners import rule_trials
from hub.operations.partners.rule_trials import TrialState
from hub.store import transactions
from hub.store.report_pool import ReportReader
from tests import homes
from tests.api_callers import Program
from tests.cli.test_cli_corrected import DOCUMENT, PACKET, WRONG
from tests.conftest import ROOT
from tests.console.test_console_partners import Office
from tests.console_town import Browser
from tests.province import ROUTES, document, entry

OWN = ROOT / "xsd/qcvn102/observed"
SHORTER = re.sub(
    r'(<xs:simpleType name="Subject">.*?maxLength value=")[0-9]+',
    r"\g<1>5",
    (OWN / "document.xsd").read_text("utf-8"),
    flags=re.DOTALL,
).encode()
FORM = (ROOT / "hub/report/forms/edoc.toml").read_text("utf-8")
UNSIGNED = FORM.replace('where = { signature = "valid" }', 'where = { signature = "unsigned" }')


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with a normal packet, one that departs from the standard, and a refused one."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    deviates = PACKET.replace(b"<Type>1<", b"<Type>x<").replace(b"15/SNV", b"16/SNV")
    refused = (Problem("R.TraceHeaderList.Bussiness.BussinessDocType", "9"),)
    with transactions.write_transaction(homes.engine_of(home)) as tx:
        for number, content in enumerate((PACKET, deviates, WRONG), 1):
            new = entry(document("H55.13", "H55.01", document_id=DOCUMENT), number, content=content)
            new = new if content != WRONG else attrs.evolve(new, problems=refused, receipt=None)
            messages.record_message(tx, new, ROUTES)
    return home


@pytest.fixture
def office(made: Path, tmp_path: Path) -> Office:
    return Office(Path(shutil.copytree(made, tmp_path / "tinh")))


def send(browser: Browser, file: bytes = b"", **form: Any) -> Any:
    """Open the page and send its form, with a file."""
    browser.get("/what-if")
    return browser.post("/what-if", file=Octets.of(file), **{"tries": "rules"} | form)


def count_rows(office: Office) -> list[int]:
    with transactions.read_transaction(office.engine) as tx:
        return [tx.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one() for name in ("message", "delivery")]


@pytest.mark.slow
def test_a_stricter_policy_and_another_schema_show_what_would_change(office: Office) -> None:
    before = count_rows(office)
    engineer = office.visit("ky-su", Role.ENGINEER)
    engineer.get("/messages?q=m2")
    assert "/what-if?q=m2" in engineer.links()
    engineer.get("/what-if?q=m2")
    assert 'value="m2"' in engineer.page
    begun = send(engineer, profile="strict", q="m2")
    assert begun.status == 303
    engineer.get(begun.location)
    assert ("1 trong 1" in engineer.page, "sẽ bị từ chối" in engineer.page) == (True, True)
    assert 'http-equiv="refresh"' not in engineer.page, "it is done"
    send(engineer, SHORTER, replaces="document.xsd")
    (newest, _) = _trials(engineer)
    engineer.get(newest)
    assert engineer.page.count("badge bad") == 2, "two would be refused"
    assert ("badge open" in engineer.page, "Subject" in engineer.page) == (True, True)
    assert count_rows(office) == before
    told = office.town.told("rules-tried")
    assert [(each["by"], each.get("policy"), "sha256" in each) for each in told] == [
        ("ky-su", ["profile=strict"], False),
        ("ky-su", None, True),
    ]
    assert told[0]["search"] == "q=m2"


def _trials(browser: Browser) -> list[str]:
    browser.get("/what-if")
    return [link for link in browser.links() if re.fullmatch(r"/what-if/[0-9a-f-]{36}", link)]


@pytest.mark.slow
def test_a_trial_is_its_makers_and_can_be_cancelled(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    engineer, other = office.visit("ky-su", Role.ENGINEER), office.visit("khac", Role.ENGINEER)
    other.pages = engineer.pages  # of the same node
    trial = send(engineer, profile="strict").location.partition("?")[0]
    assert other.get(trial).status == 404
    other.get("/what-if")
    assert other.post(trial).status == 404
    assert office.visit("xem", Role.VIEWER).get("/what-if").status == 404
    (kept,) = engineer.pages.parts.trials._trials.values()
    kept.state = TrialState.RUNNING
    engineer.get(f"{trial}?live=1")
    assert 'http-equiv="refresh"' in engineer.page
    assert send(engineer, profile="strict").status == 422, "one at a time"
    assert engineer.post(trial).status == 303
    assert kept.state is TrialState.CANCELLED
    monkeypatch.setattr(rule_trials, "KEPT", 3)
    for _ in range(4):
        assert send(engineer, profile="strict").status == 303
    assert len(_trials(engineer)) == 3
    office.town.wait(hours=2)
    assert _trials(engineer) == []


@pytest.mark.parametrize(
    "form",
    [{}, {"profile": "other"}, {"profile": "strict", "most": "0"}, {"profile": "strict", "unit": "H55.999"}],
)
def test_what_cannot_be_tried_is_said(office: Office, form: dict[str, Any]) -> None:
    engineer = office.visit("ky-su", Role.ENGINEER)
    assert send(engineer, **form).status == 422
    assert 'role="alert"' in engineer.page
    assert office.town.told("rules-tried") == []


def test_a_schema_that_cannot_be_used_ends_the_trial(office: Office) -> None:
    engineer = office.visit("ky-su", Role.ENGINEER)
    broken = SHORTER.replace(b'type="Subject"', b'type="Nothing"')
    assert broken != SHORTER
    engineer.get(send(engineer, broken, replaces="document.xsd").location)
    assert "không thành" in engineer.page
    assert "Nothing" in engineer.page


def test_a_step_that_takes_too_long_ends_the_trial(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    engineer = office.visit("ky-su", Role.ENGINEER)
    asked = []

    def give_up(_: object, reader: ReportReader, *_rest: object) -> Deferred[None]:
        asked.append((reader.name, reader.longest))
        return fail(Unready("hub-busy", phrase("the report takes longer than {longest} s", longest="60")))

    monkeypatch.setattr(type(engineer.pages.parts.journal), "read_report", give_up)
    engineer.get(send(engineer, profile="strict").location)
    assert ("không thành" in engineer.page, "60 giây" in engineer.page) == (True, True)
    assert asked == [("?what-if ky-su", 60.0)]


@pytest.mark.slow
def test_a_schema_may_take_some_memory_and_no_more() -> None:
    """In a process of its own, because whatever it allocates then fails."""
    code = (
        "from hub.operations.partners import rule_trials\n"
        "rule_trials._MEMORY = 64 << 20\n"
        "with rule_trials._limit_memory():\n"
        "    try:\n"
        "        bytearray(128 << 20)\n"
        "    except MemoryError:\n"
        "        print('refused')\n"
        "bytearray(128 << 20)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


def pack(**files: bytes) -> bytes:
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_xsd", ".xsd"), content)
    return made.getvalue()


def test_a_zip_is_taken_with_or_without_folders() -> None:
    document_, status, parts = ((OWN / f"{name}.xsd").read_bytes() for name in ("document", "status", "parts"))
    flat = read_schema_upload(pack(document_xsd=document_, status_xsd=status, parts_xsd=parts), "")
    assert sorted(flat) == ["document.xsd", "parts.xsd", "status.xsd"]
    around = {
        f"moi__{profile}__{name}_xsd": (OWN / f"{name}.xsd").read_bytes()
        for profile in schema_upload.PROFILES
        for name in ("document", "status", "parts")
    }
    assert len(read_schema_upload(pack(**around), "")) == 6


@pytest.mark.parametrize(
    "content",
    [
        b"PK broken",
        b"<a/>",
        b"<!DOCTYPE a><a/>",
        SHORTER.replace(b"parts.xsd", b"/etc/passwd"),
        SHORTER.replace(b"parts.xsd", b"../../../x.xsd"),
        SHORTER.replace(b"parts.xsd", b"http://x.example/parts.xsd"),
        b"x" * (schema_upload.LARGEST + 1),
        pack(document_xsd=SHORTER),
        pack(**{f"a{number}_xsd": SHORTER for number in range(41)}),
        pack(document_xsd=b" " * (schema_upload.UNPACKED + 1)),
    ],
    ids=range(10),
)
def test_an_upload_that_is_too_much_or_names_other_files_is_refused(content: bytes) -> None:
    with pytest.raises(SchemasUnfit):
        read_schema_upload(content, "document.xsd")


def test_another_form_shows_the_cells_that_differ(office: Office) -> None:
    engineer = office.visit("ky-su", Role.ENGINEER)
    said = {"tries": "form", "period": "2026-12", "unit": "H55.13"}
    assert send(engineer, FORM.encode(), **said).status == 200
    assert "Không ô nào" in engineer.page or "Không có ô nào" in engineer.page
    other = UNSIGNED.encode()
    assert send(engineer, other, **said).status == 200
    assert 'role="row"' in engineer.page
    for wrong in ({"period": "x"}, {"unit": "H55.999"}):
        assert send(engineer, other, **said | wrong).status == 422
    assert send(engineer, b"x = ", **said).status == 422
    assert {each["form"] for each in office.town.told("rules-tried")} == {"edoc"}


@pytest.mark.slow
def test_the_api_does_the_same(office: Office) -> None:
    program = Program(office.town)
    order = {"policy": ["profile=strict"], "q": "m2"}
    answer = program.post("/what-if/rules", order)
    assert answer.location == f"/api/v1/what-if/rules/{program.said['id']}"
    program.get(answer.location.removeprefix("/api/v1"))
    assert (program.said["state"], program.said["effects"]) == ("done", {"would-refuse": 1})
    assert program.said["changes"][0]["problems"][0]["detail"]
    assert program.post("/what-if/rules", {"document_xsd": SHORTER.decode()}).status == 202
    assert program.said["judged"] == 3
    assert program.post(f"/what-if/rules/{program.said['id']}/cancel").status == 200
    assert program.said["state"] == "done", "it had ended"
    for wrong in ({}, {"policy": ["timeout=1s"]}, {"document_xsd": "<a/>"}, order | {"most": 20_000}):
        assert program.post("/what-if/rules", wrong).status == 422, wrong
    bare = Program(office.town, Permission.REPLAY)
    bare.post("/what-if/rules", order)
    assert (bare.said["changes"], bare.said["effects"]) == ([], {"would-refuse": 1}), "counts only"
    assert Program(office.town).get(f"/what-if/rules/{bare.said['id']}").status == 404
    program.post("/what-if/forms", {"form": UNSIGNED, "period": "2026-12", "unit": "H55.13"})
    assert program.said["cells"][0]["column"]
    assert program.post("/what-if/forms", {"form": UNSIGNED, "period": "x"}).status == 422
