"""`lienthong evidence`, `verify`, `show --signature` and `report --explain --unit`: from a cell to who signed, typed by a person."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.model import Fact, SignatureStanding, Unit
from hub.journal import events, unit_registry
from hub.report.form.period import find_month_containing
from hub.security import signing
from hub.security.certificates import Identity
from hub.store import transactions
from tests import homes
from tests.conftest import ROOT, cannot_be_had
from tests.evidencing import take
from tests.pages import DOCS, parts

Type = Callable[..., Result]
PERIOD = find_month_containing(datetime.now(UTC)).text
PAGE = DOCS / "howto/check-a-report.md"
PACKET = ROOT / "docs/examples/van-ban.edxml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that has taken a signed packet of H55.13 and a message of H55.13.1."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    config = read_config(home / "hub.toml")
    identity = Identity.read(home / "pki/hub.key", home / "pki/hub.crt")
    partner = Identity.read(home / "pki/partners/sotttt.key", home / "pki/partners/sotttt.crt")
    engine = transactions.open_journal(config.database_url, pooled=False)
    sent = Fact(
        unit="H55.13",
        service="documents",
        key="1",
        milestone="sent",
        at=datetime.now(UTC),
        message="",
        signature="valid",
    )
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, [Unit("H55.13.1", "Trung tâm", "H55.13", mark="synthetic")])
        take(tx, 1, signing.sign_packet(PACKET.read_bytes(), partner), sent, identity, SignatureStanding.VALID)
        received = attrs.evolve(sent, unit="H55.13.1", milestone="received", signature="unsigned")
        take(tx, 3, b"<den/>", received, identity, SignatureStanding.UNSIGNED)
        take(
            tx,
            2,
            b"<khac/>",
            attrs.evolve(sent, unit="H55.13.1", signature="unsigned"),
            identity,
            SignatureStanding.UNSIGNED,
        )
        events.chain_events(tx)
    engine.dispose()
    return home


@pytest.fixture(scope="module")
def typed(home: Path) -> Type:
    """Types a command, in Vietnamese, for that hub."""

    def run(*words: object) -> Result:
        return CliRunner(env={"LANG": "vi_VN.UTF-8"}).invoke(
            lienthong, ["-c", str(home / "hub.toml"), *map(str, words)]
        )

    return run


@pytest.fixture(scope="module")
def file(typed: Type, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files") / "chungcu.zip"
    done = typed("evidence", "H55.13", PERIOD, "--with-messages", "-o", made)
    assert done.exit_code == 0, done.output
    return made


def test_what_evidence_writes_verify_finds_true_and_says_so_in_vietnamese(typed: Type, file: Path):
    done = typed("verify", file)
    assert done.exit_code == 0, done.output
    assert "ĐÚNG" in done.stdout
    assert "SAI " not in done.stdout
    assert "đếm lại theo biểu mẫu" in done.stdout
    assert "mọi niêm phong là của trục đã nêu" in done.stdout
    assert done.stdout.splitlines()[-1] == f"{file}: không có gì sai"


@pytest.mark.slow
def test_verify_needs_nothing_of_the_hub_but_its_ca(file: Path, home: Path, tmp_path: Path):
    lonely = tmp_path / "xa"
    lonely.mkdir()
    words = ["verify", str(file), "--ca", str(home / "pki/ca.crt")]
    program = "import sys; from hub.cli import main; sys.argv[0] = 'lienthong'; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=lonely,
        env={"LANG": "en_US.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is false" in done.stdout
    assert list(lonely.iterdir()) == []


def test_what_is_false_is_named_and_exits_1(typed: Type, file: Path, tmp_path: Path):
    bad = tmp_path / "sua.zip"
    bad.write_bytes(file.read_bytes().replace(b"documents", b"documentz", 1))
    done = typed("verify", bad, "--json")
    assert done.exit_code == 1
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(each) == {"file", "holds", "check", "place", "text"} for each in told)
    assert [each["place"] for each in told if each["check"] == "manifest" and each["holds"] is False] == ["report.xml"]


def test_a_strangers_text_never_moves_the_cursor(typed: Type, tmp_path: Path):
    bad = tmp_path / "x.xml"
    bad.write_text("<a\u0301\u202e/>", "utf-8")
    done = typed("verify", bad)
    assert done.exit_code == 1
    assert all(each.isprintable() or each == "\n" for each in done.stdout)


def test_what_the_page_tells_an_auditor_to_type_finds_nothing_wrong(
    typed: Type, file: Path, home: Path, tmp_path: Path
):
    for part in ("xmlsec1", "jq", "unzip", "openssl"):
        if shutil.which(part) is None:
            cannot_be_had(part, f"apt-get install {part}")
    section = parts(PAGE)["The same with standard tools"]
    typed_there = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    for path in (file, home / "pki/ca.crt", home / "pki/hub.crt"):
        shutil.copy(path, tmp_path)

    def run() -> subprocess.CompletedProcess[str]:
        shutil.rmtree(tmp_path / "chungcu", ignore_errors=True)
        return subprocess.run(["bash", "-ec", typed_there], cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    prints = [line.rpartition("=")[2] for line in said if "ingerprint" in line]
    assert len(prints) == 2
    assert prints[0] == prints[1]
    assert [line for line in said if "ingerprint" not in line] == ["1", "1"], (
        "the cell, the total, and nothing that differs"
    )
    assert done.stderr.count("OK") >= 3
    for old, new in ((b'"received"', b'"receivee"'), (b"<khac/>", b"<khax/>"), (b"<MadeAt>2", b"<MadeAt>3")):
        (tmp_path / file.name).write_bytes(file.read_bytes().replace(old, new))
        again = run()
        assert again.returncode != 0 or again.stdout != done.stdout, old


def test_what_the_page_tells_an_auditor_to_type_of_a_summary_shows_the_same_number_twice(
    typed: Type, home: Path, tmp_path: Path
):
    for part in ("jq", "unzip"):
        if shutil.which(part) is None:
            cannot_be_had(part, f"apt-get install {part}")
    section = parts(PAGE)["A report that takes its numbers from others"]
    typed_there = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    assert typed("evidence", "H55.13", PERIOD, "--form", "tonghop", "-o", tmp_path / "tonghop.zip").exit_code == 0
    done = subprocess.run(["bash", "-ec", typed_there], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert "documents_sent edoc sent" in said
    assert said[-2:] == ["1", "1"]


def test_several_files_are_judged_and_one_that_is_false_is_enough(typed: Type, file: Path, tmp_path: Path):
    report, other = tmp_path / "baocao.xml", tmp_path / "la.txt"
    assert typed("report", "H55.13", PERIOD, "--format", "xml", "-o", report).exit_code == 0
    other.write_text("không phải")
    assert typed("verify", file, report).exit_code == 0
    done = typed("verify", file, other, report)
    assert done.exit_code == 1
    assert "1 điều SAI" in done.stdout
    assert "không phải tệp mà lệnh này biết: XML sai" in done.stdout, "the reason inside is said in the same language"


def test_a_receipt_is_judged_and_a_partners_seal_is_not_the_hubs(typed: Type, home: Path, tmp_path: Path):
    receipt = tmp_path / "bien-nhan.xml"
    receipt.write_text(json.loads(typed("show", "gửi 1", "--json").stdout)["receipt"])
    assert typed("verify", receipt).exit_code == 0
    words = ("--ca", home / "pki/ca.crt", "--hub-certificate", home / "pki/partners/vpub.crt")
    done = typed("verify", receipt, *words)
    assert done.exit_code == 1
    assert "niêm phong của người khác" in done.stdout


def test_without_an_anchor_or_with_something_else_for_one_it_is_wrong_usage(file: Path, tmp_path: Path):
    nowhere = ["-c", str(tmp_path / "hub.toml"), "verify", str(file)]
    assert CliRunner().invoke(lienthong, nowhere).exit_code == 2
    assert CliRunner().invoke(lienthong, [*nowhere, "--ca", str(file)]).exit_code == 2
    assert CliRunner().invoke(lienthong, ["verify", str(tmp_path / "khong-co")]).exit_code == 2


def test_evidence_says_what_it_wrote_and_leaves_nothing_half_written(typed: Type, tmp_path: Path):
    said = json.loads(typed("evidence", "H55.13", PERIOD, "-o", tmp_path / "e.zip", "--json").stdout)
    assert {key: said[key] for key in ("facts", "messages", "octets", "revision")} == {
        "facts": 3, "messages": 3, "octets": 0, "revision": None,
    }  # fmt: skip
    assert said["size"] == (tmp_path / "e.zip").stat().st_size
    assert (tmp_path / "e.zip").stat().st_mode & 0o777 == 0o600, "it may hold what a document says"
    assert typed("evidence", "H55.13", PERIOD, "-o", tmp_path / "khong/co.zip").exit_code == 1
    assert typed("evidence", "H55.99", PERIOD, "-o", tmp_path / "x.zip").exit_code == 4
    assert typed("evidence", "H55.13", "2026-13", "-o", tmp_path / "x.zip").exit_code == 2
    assert typed("evidence", "H55.13", PERIOD, "--form", "khong", "-o", tmp_path / "x.zip").exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["e.zip"]


def test_a_form_that_takes_its_numbers_from_others_has_evidence_too_and_it_opens_down_to_theirs(
    typed: Type, tmp_path: Path
):
    made = tmp_path / "tonghop.zip"
    written = typed("evidence", "H55.13", PERIOD, "--form", "tonghop", "--with-messages", "-o", made, "--json")
    assert written.exit_code == 0, written.output
    assert {key: json.loads(written.stdout)[key] for key in ("facts", "messages", "octets")} == {
        "facts": 3, "messages": 3, "octets": 3,
    }  # fmt: skip
    done = typed("verify", made)
    assert done.exit_code == 0, done.output
    assert "tính lại từ các ô của ii06a edoc mail" in done.stdout
    assert f"bases/edoc.zip: chứng cứ của edoc H55.13 {PERIOD}" in done.stdout
    assert done.stdout.splitlines()[-1] == f"{made}: không có gì sai"
    bad = tmp_path / "sua.zip"
    bad.write_bytes(made.read_bytes().replace(b"<khac/>", b"<khax/>", 1))
    done = typed("verify", bad, "--json")
    assert done.exit_code == 1
    wrong = [each for each in map(json.loads, done.stdout.splitlines()) if each["holds"] is False]
    assert [each["check"] for each in wrong] == ["manifest", "octets"]
    assert wrong[1]["place"].startswith("bases/edoc.zip: octets/")


def test_evidence_that_is_too_much_says_so_and_leaves_no_file(
    typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hub.workload.evidence_file.MOST_FACTS", 1)
    done = typed("evidence", "H55.13", PERIOD, "-o", tmp_path / "e.zip")
    assert done.exit_code == 1
    assert "từng đơn vị" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("large", [None, 0], ids=["listed at once", "read in pages"])
def test_a_cell_opens_into_the_facts_of_its_row_and_each_says_how_to_go_on(
    typed: Type, monkeypatch: pytest.MonkeyPatch, large: int | None
):
    if large is not None:
        monkeypatch.setattr("hub.workload.facts_behind.LARGE", large)
    whole = typed("report", "H55.13", PERIOD, "--explain", "sent", "--json").stdout.splitlines()
    row = typed("report", "H55.13", PERIOD, "--explain", "sent", "--unit", "H55.13.1", "--json").stdout.splitlines()
    assert (len(whole), [json.loads(line)["unit"] for line in row]) == (2, ["H55.13.1"])
    shown = typed("report", "H55.13", PERIOD, "--explain", "sent", "--unit", "H55.13.1")
    assert f"lienthong trace {json.loads(row[0])['id']}" in shown.stdout
    assert "show ID --raw" in shown.stderr
    assert "show ID --signature" in shown.stderr
    assert typed("report", "H55.13", PERIOD, "--explain", "sent", "--unit", "H55.01").exit_code == 4
    assert typed("report", "H55.13", PERIOD, "--unit", "H55.13.1").exit_code == 2


def test_the_signatures_that_are_kept_are_shown_and_verified_again(typed: Type):
    told = {
        each["what"]: each
        for each in map(json.loads, typed("show", "gửi 1", "--signature", "--json").stdout.splitlines())
    }
    assert (told["packet"]["standing"], told["packet"]["again"]) == ("valid", "valid")
    assert "sotttt" in told["packet"]["subject"]
    assert told["receipt"]["holds"] is True
    assert told["call"] == {"what": "call", "partner": "sotttt", "kept": False, "sha1": False}  # nobody called
    text = typed("show", "gửi 2", "--signature").stdout
    assert "gói tin: chưa ký" in text
    assert "biên nhận: niêm phong đúng" in text
    assert "cuộc gọi: từ đối tác sotttt; không lưu chữ ký nào của nó" in text
