"""A clerk at the command line: the report out, signed with a tool of their own, back in, on its way; and what the screen says when it is not right."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.security.certificates import Identity, hash_certificate
from tests import homes
from tests import pki as people
from tests.officials import by_signxml, by_xmlsec
from tests.pki import authority
from tests.signed_pdfs import by_pyhanko
from tests.stamps import TIMES, by_openssl, issue_tsa, stamp_document

Type = Callable[..., Result]
NOW = datetime.now(UTC)  # the command line reads the real clock
PERIOD = f"{NOW.year - 1}-10"
CA = authority("Persons of today", NOW)
AN, BINH = CA.issue("An"), CA.issue("Bình")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with officials, and a partner that takes reports."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    homes.add_officials(home, CA.certificate, {"an": (AN, ["H55.13"]), "binh": (BINH, ["H55.14"])})
    return home


@pytest.fixture
def typed(home: Path) -> Type:
    """Types a command, in Vietnamese, for that hub."""

    def run(*words: object, lang: str = "vi_VN.UTF-8") -> Result:
        return CliRunner(env={"LANG": lang}).invoke(lienthong, ["-c", str(home / "hub.toml"), *map(str, words)])

    return run


def signed(
    typed: Type, place: Path, form: str, identity: Identity = AN, tool: Callable[..., bytes] = by_xmlsec
) -> Path:
    """Get the report, sign it, and return the file."""
    given = typed("report", "H55.13", PERIOD, "--form", form, "--format", "xml")
    assert given.exit_code == 0, given.output
    file = place / "signed.xml"
    file.write_bytes(tool(given.stdout_bytes, identity, datetime.now(UTC)))
    return file


def state(typed: Type, form: str) -> list[dict[str, object]]:
    done = typed("report", "state", "H55.13", PERIOD, "--form", form, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_from_the_first_look_to_the_government_s_door(typed: Type, tmp_path: Path) -> None:
    (before,) = state(typed, "edoc")
    assert (before["state"], before["revision"]) == ("open", None)
    first, again = (typed("report", "H55.13", PERIOD, "--format", "xml").stdout_bytes for _ in range(2))
    assert first == again
    early = typed("report", "submit", "H55.13", PERIOD, "baocao")
    assert (early.exit_code, "chưa được ký" in early.stderr) == (1, True)
    file = signed(typed, tmp_path, "edoc", tool=by_signxml)
    done = typed("report", "import-signed", "H55.13", PERIOD, file, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["official"], told["revision"], told["fresh"]) == ("an", 1, True)
    assert json.loads(typed("report", "import-signed", "H55.13", PERIOD, file, "--json").stdout)["fresh"] is False
    gone = json.loads(typed("report", "submit", "H55.13", PERIOD, "baocao", "--json").stdout)
    assert gone["message"] == told["message"]
    (after,) = state(typed, "edoc")
    assert after["state"] == "submitted"
    page = typed("report", "state", "H55.13", PERIOD).stdout
    assert all(word in page for word in ("đã nộp", "CN=An", "baocao"))
    shown = typed("show", told["message"], "--raw").stdout_bytes
    assert shown == file.read_bytes(), "the very octets that were signed"


@pytest.mark.slow
def test_a_signed_pdf_is_imported_like_a_signed_xml(typed: Type, tmp_path: Path) -> None:
    asked = ("report", "H55.13", PERIOD, "--form", "links")
    assert typed(*asked, "--format", "xml").exit_code == 0
    file, back = tmp_path / "signed.pdf", tmp_path / "back.pdf"
    assert typed(*asked, "--format", "pdf", "-o", file).exit_code == 0
    file.write_bytes(by_pyhanko(file.read_bytes(), AN))
    for fresh in (True, False):
        done = typed("report", "import-signed", "H55.13", PERIOD, file, "--form", "links", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["fresh"] is fresh
    (standing,) = state(typed, "links")
    assert (standing["state"], standing["signing"]["format"]) == ("signed", "pdf")  # type: ignore[index]
    assert typed(*asked, "--format", "pdf", "-o", back).exit_code == 0
    assert back.read_bytes() == file.read_bytes()
    changed = tmp_path / "changed.pdf"
    changed.write_bytes(file.read_bytes() + b"x")
    assert "report-changed" in typed("report", "import-signed", "H55.13", PERIOD, changed, "--form", "links").stderr


def test_two_persons_sign_one_after_the_other(typed: Type, home: Path, tmp_path: Path) -> None:
    draws = CA.issue("Chi")
    (home / "officials/chi.crt").write_bytes(people.pem(draws.certificate))
    said = 'name = "Lê Chi"\ncertificates = ["officials/chi.crt"]\nunits = ["H55.13"]\nsigns-as = ["drafter"]\n'
    (home / "officials/chi.toml").write_text(said)
    with (home / "hub.toml").open("a") as settings:
        settings.write('drafted = ["incidents"]\n')
    for identity, place, then in ((draws, "drafter", "drafted"), (AN, "head", "signed")):
        file = signed(typed, tmp_path, "incidents", identity, by_signxml)
        done = typed("report", "import-signed", "H55.13", PERIOD, file, "--form", "incidents", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["place"] == place
        (standing,) = state(typed, "incidents")
        assert (standing["state"], standing["drafting"]["name"]) == (then, "Lê Chi")  # type: ignore[index]
    page = typed("report", "state", "H55.13", PERIOD, "--form", "incidents").stdout
    assert page.index("người lập đã ký: Lê Chi") < page.index("ký: an — CN=An")


def test_the_wrong_person_is_told_what_to_do_in_both_languages(typed: Type, tmp_path: Path) -> None:
    file = signed(typed, tmp_path, "mail", BINH)
    done = typed("report", "import-signed", "H55.13", PERIOD, file, "--form", "mail")
    assert (done.exit_code, "official-not-for-unit" in done.stderr) == (1, True)
    assert "hãy để đúng người ký" in done.stderr
    english = typed("report", "import-signed", "H55.13", PERIOD, file, "--form", "mail", lang="en_GB.UTF-8")
    assert "let the right person sign" in english.stderr
    (said,) = (
        json.loads(line)
        for line in typed(
            "report", "import-signed", "H55.13", PERIOD, file, "--form", "mail", "--json"
        ).stdout.splitlines()
    )
    assert said["code"] == "official-not-for-unit"
    (standing,) = state(typed, "mail")
    assert standing["state"] == "closed"
    trace = typed("trace", standing["message"], "--json").stdout
    assert trace.count("report-signature-refused") == 3


def test_what_was_never_given_out_cannot_come_back(typed: Type, tmp_path: Path) -> None:
    file = tmp_path / "any.xml"
    file.write_bytes(b"<Report/>")
    done = typed("report", "import-signed", "H55.13", PERIOD, file, "--form", "meetings")
    assert (done.exit_code, "report-not-closed" in done.stderr) == (1, True)


def test_a_period_that_runs_is_shown_and_not_kept(typed: Type) -> None:
    running = f"{NOW.year + 1}-10"
    first = typed("report", "H55.13", running, "--form", "mail", "--format", "xml")
    assert first.exit_code == 0
    assert b"revision" not in first.stdout_bytes
    done = typed("report", "state", "H55.13", running, "--form", "mail", "--json")
    assert json.loads(done.stdout)["state"] == "open"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("state", "H55.99", PERIOD), 4),
        (("state", "H55.13", "khi nào"), 2),
        (("state", "H55.13", PERIOD, "--form", "none"), 2),
        (("state", "H55.13", PERIOD, "baocao"), 2),
        (("import-signed", "H55.13", PERIOD, "/none/there"), 2),
        (("state",), 2),
    ],
)
def test_what_is_asked_wrongly_ends_with_its_own_code(typed: Type, words: tuple[object, ...], code: int) -> None:
    assert typed("report", *words).exit_code == code


def test_a_certificate_that_signs_nothing_is_told_by_check_and_stops_nobody(typed: Type, home: Path) -> None:
    old = CA.issue("Cũ", ends=NOW - timedelta(minutes=1))
    (home / "officials/cu.crt").write_bytes(people.pem(old.certificate))
    (home / "officials/cu.toml").write_text('name = "Cũ"\ncertificates = ["officials/cu.crt"]\nunits = ["H55.13"]\n')
    done = typed("check")
    assert "officials/cu.toml: certificates" in done.stderr
    assert "certificate-expired" in done.stderr
    assert done.exit_code == 0


@pytest.mark.slow
def test_who_stamped_a_signature_and_when_is_shown(typed: Type, home: Path, tmp_path: Path) -> None:
    times = authority("Times of today", NOW)
    (home / "officials/tsa.crt").write_bytes(people.pem(times.certificate))
    with (home / "hub.toml").open("a") as settings:
        settings.write('[officials.timestamps]\nanchors = ["officials/tsa.crt"]\nrequired = true\n')
    asked = ("report", "import-signed", "H55.13", PERIOD)
    file = signed(typed, tmp_path, "qd766")
    assert "stamp-missing" in typed(*asked, file, "--form", "qd766").stderr
    bare = file.read_bytes()
    file.write_bytes(stamp_document(bare, partial(by_openssl, tsa=issue_tsa("Tem thời gian", TIMES), place=tmp_path)))
    assert "stamp-untrusted" in typed(*asked, file, "--form", "qd766").stderr
    tsa = issue_tsa("Tem thời gian", times)
    file.write_bytes(stamp_document(bare, partial(by_openssl, tsa=tsa, place=tmp_path)))
    done = typed(*asked, file, "--form", "qd766")
    assert done.exit_code == 0, done.output
    assert "dấu thời gian" in done.stdout
    assert "CN=Tem thời gian" in done.stdout
    again = json.loads(typed(*asked, file, "--form", "qd766", "--json").stdout)
    (standing,) = state(typed, "qd766")
    kept = standing["signing"]["stamp"]  # type: ignore[index]
    assert again["stamp"] == kept
    assert (kept["certificate"], kept["serial"]) == (hash_certificate(tsa.certificate), "2")
    assert "CN=Tem thời gian" in typed("report", "state", "H55.13", PERIOD, "--form", "qd766").stdout


def test_the_round_shows_every_unit_with_its_step_and_chooses_them(typed: Type) -> None:
    given = typed("report", "H55.13", PERIOD, "--form", "meetings", "--format", "xml")
    assert given.exit_code == 0, given.output
    done = typed("report", "round", "meetings", PERIOD, "--json")
    assert done.exit_code == 0, done.output
    told = {each["unit"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert {unit: each["state"] for unit, each in told.items() if unit in {"H55", "H55.13", "H55.14"}} == {
        "H55": "ready",
        "H55.13": "closed",
        "H55.14": "ready",
    }
    assert (told["H55.13"]["revision"], told["H55.14"]["revision"], told["H55.14"]["declaration"]) == (
        1,
        None,
        "undeclared",
    )
    some = typed("report", "round", "meetings", PERIOD, "--below", "H55", "--step", "ready", "--json")
    assert [json.loads(line)["unit"] for line in some.stdout.splitlines()] == [
        unit for unit in told if unit != "H55.13"
    ]
    page = typed("report", "round", "meetings", PERIOD, "--unit", "H55.13")
    assert "đã khóa, chờ ký" in page.stdout
    assert "Đơn vị: 1" in page.stderr
    assert typed("report", "round", "meetings", PERIOD, "--unit", "H55.99").exit_code == 4
    assert typed("report", "round", "meetings", PERIOD, "--level", "village").exit_code == 2
