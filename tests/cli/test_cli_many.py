"""An operator and the reports of many units at once: the plan first, then each unit for itself, and again after an interruption."""

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.cli.report import many
from tests import homes
from tests.officials import by_xmlsec
from tests.pki import authority
from tests.signed_pdfs import by_pyhanko

Type = Callable[..., Result]
NOW = datetime.now(UTC)  # the command line reads the real clock
PERIOD = f"{NOW.year - 1}-10"
CA = authority("Persons of many units", NOW)
HEAD, STRANGER = CA.issue("Head"), CA.issue("Stranger")
MAIL = """adapter = "mail"
receive = "push"
url = "smtp://mail.tinh.gov.vn"
[policy]
transport = "tls"
[settings]
from = "truc@tinh.gov.vn"
"""
SOME = ("--unit", "H55.13", "--unit", "H55.14", "--unit", "H55.15")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with one official who signs for three units, and a partner that takes reports."""
    home = homes.begin(tmp_path_factory.mktemp("many") / "tinh")
    homes.add_officials(home, CA.certificate, {"head": (HEAD, ["H55.13", "H55.14", "H55.15"])})
    return home


@pytest.fixture
def typed(home: Path) -> Type:
    """Types a command, in Vietnamese, for that hub."""

    def run(*words: object, lang: str = "vi_VN.UTF-8") -> Result:
        return CliRunner(env={"LANG": lang}).invoke(
            lienthong, ["-c", str(home / "hub.toml"), "report", *map(str, words)]
        )

    return run


def rows(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def deeds(done: Result) -> dict[object, object]:
    return {row["unit"]: row["deed"] for row in rows(done)}


def steps(typed: Type, form: str) -> dict[object, object]:
    return {row["unit"]: row["state"] for row in rows(typed("round", form, PERIOD, *SOME, "--json"))}


def sign(folder: Path, into: Path) -> None:
    into.mkdir(exist_ok=True)
    for file in sorted(folder.iterdir()):
        (into / file.name).write_bytes(by_xmlsec(file.read_bytes(), HEAD, datetime.now(UTC)))


@pytest.mark.slow
def test_the_month_of_three_units_is_given_out_signed_collected_and_handed_in(typed: Type, tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    asked = ("give-out", "edoc", PERIOD, "-o", out, *SOME)
    planned = typed(*asked, "--plan", "--json")
    assert deeds(planned) == {"H55.13": "give-out", "H55.14": "give-out", "H55.15": "give-out"}
    assert (out.exists(), set(steps(typed, "edoc").values())) == (False, {"ready"})
    early = typed("hand-in", "edoc", PERIOD, "baocao", *SOME, "--plan", "--json")
    assert {row["why"] for row in rows(early)} == {"báo cáo chưa được ký"}
    done = typed(*asked, "--json")
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in out.iterdir()) == [f"edoc_H55.{unit}_{PERIOD}_1.xml" for unit in (13, 14, 15)]
    sign(out, back)
    packed = tmp_path / "signed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in back.iterdir():
            archive.write(file, f"ky/{file.name}")
    judged = typed("collect", "edoc", PERIOD, packed, "--plan", "--json")
    assert {(row["unit"], row["outcome"]) for row in rows(judged)} == {
        (f"H55.{unit}", "accepted") for unit in (13, 14, 15)
    }
    assert set(steps(typed, "edoc").values()) == {"closed"}, "a plan writes nothing"
    taken = typed("collect", "edoc", PERIOD, packed, "--json")
    assert taken.exit_code == 0, taken.output
    assert set(steps(typed, "edoc").values()) == {"signed"}
    assert {row["outcome"] for row in rows(typed("collect", "edoc", PERIOD, packed, "--json"))} == {"known"}
    gone = typed("hand-in", "edoc", PERIOD, "baocao", *SOME, "--json")
    assert (gone.exit_code, set(deeds(gone).values())) == (0, {"hand-in"})
    assert set(steps(typed, "edoc").values()) == {"submitted"}
    again = typed("hand-in", "edoc", PERIOD, "baocao", *SOME)
    assert (again.exit_code, again.stdout, "đã làm xong: 3" in again.stderr) == (0, "", True)


@pytest.mark.slow
def test_what_was_interrupted_goes_on_and_gives_the_same_octets(typed: Type, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    asked = ("give-out", "lookups", PERIOD, *SOME, "-o")
    real, calls = many._give_out, list[str]()

    def stop(work: object, unit: str, *rest: object) -> dict[str, object]:
        calls.append(unit)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(work, unit, *rest)  # type: ignore[arg-type]

    with mock.patch.object(many, "_give_out", stop):
        assert typed(*asked, out).exit_code == 1
    assert len(list(out.iterdir())) == 2
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert list(steps(typed, "lookups").values()) == ["closed", "closed", "ready"]
    assert deeds(typed(*asked, out, "--json")) == {"H55.13": "give-again", "H55.14": "give-again", "H55.15": "give-out"}
    after = {file.name: file.read_bytes() for file in out.iterdir()}
    assert len(after) == 3
    assert before.items() <= after.items()
    assert typed(*asked, whole.with_suffix(".zip")).exit_code == 0
    with zipfile.ZipFile(whole.with_suffix(".zip")) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == after


@pytest.mark.slow
def test_each_file_is_judged_for_itself_and_the_refusal_of_one_keeps_no_other(typed: Type, tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    back.mkdir()
    assert typed("give-out", "links", PERIOD, "-o", out, *SOME).exit_code == 0
    first, second, third = sorted(out.iterdir())
    now = datetime.now(UTC)
    (back / "1.xml").write_bytes(by_xmlsec(first.read_bytes(), STRANGER, now))
    (back / "2.xml").write_bytes(by_xmlsec(second.read_bytes(), HEAD, now))
    pdf = tmp_path / "links.pdf"
    assert typed("show", "H55.15", PERIOD, "--form", "links", "--format", "pdf", "-o", pdf).exit_code == 0
    (back / f"links_H55.15_{PERIOD}-ky.pdf").write_bytes(by_pyhanko(pdf.read_bytes(), HEAD))
    (back / "4.pdf").write_bytes(by_pyhanko(pdf.read_bytes(), HEAD))
    (back / "5.xml").write_bytes(b"<a/>")
    (back / "6.zip").write_bytes(b"PK nothing")
    (back / "7.xml").write_bytes(third.read_bytes())
    done = typed("collect", "links", PERIOD, back, "--json")
    told = {row["file"]: row for row in rows(done)}
    assert done.exit_code == 3, done.output
    assert [told[f"{name}"]["outcome"] for name in ("2.xml", f"links_H55.15_{PERIOD}-ky.pdf")] == ["accepted"] * 2
    codes = {name: [each["code"] for each in row["problems"]] for name, row in told.items() if row["problems"]}
    assert codes["1.xml"] == ["official-unknown"]
    assert codes["4.pdf"] == codes["6.zip"] == ["batch-file"]
    assert codes["5.xml"] == ["contract-broken"]
    assert len(codes["7.xml"]) == 1
    assert steps(typed, "links") == {"H55.13": "closed", "H55.14": "signed", "H55.15": "signed"}
    assert "2.xml: H55.14" in typed("collect", "links", PERIOD, back).stdout


@pytest.mark.slow
def test_units_are_reminded_at_their_addresses_where_the_province_sends_mail(typed: Type, home: Path) -> None:
    assert typed("remind", "incidents", PERIOD, "--plan").exit_code == 78
    (home / "partners/thu.toml").write_text(MAIL)
    (home / "alerts.csv").write_text("H55.13,vt@so13.vn\n")
    settings = home / "hub.toml"
    before = settings.read_text()
    settings.write_text(before + '\n[alerts]\nthrough = "thu"\naddresses = "alerts.csv"\n')
    try:
        planned = typed("remind", "incidents", PERIOD, *SOME, "--plan", "--json")
        assert planned.exit_code == 0, planned.output
        assert [(row["unit"], row["address"], row["fresh"]) for row in rows(planned)] == [
            ("H55.13", "vt@so13.vn", None),
            ("H55.14", None, None),
            ("H55.15", None, None),
        ]
        asked = [typed("remind", "incidents", PERIOD, *SOME, "--json") for _ in range(2)]
        assert [rows(each)[0]["fresh"] for each in asked] == [True, False]
    finally:
        settings.write_text(before)
        (home / "partners/thu.toml").unlink()
