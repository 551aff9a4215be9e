"""Partners by the API: read, changed as the page changes them, told when another editor was first, and their kit."""

import shutil
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from hub.config import read_config
from hub.domain.errors import Mistake
from hub.language.phrases import verbatim
from hub.monitoring.integration import kit, samples
from hub.runtime.pidfile import ReloadVerdict
from hub.security.certificates import hash_certificate
from tests import homes
from tests.api_callers import Program
from tests.cli.test_cli_partner import KEPT, issue
from tests.console.test_console_partners import Office, give_mapping
from tests.province import NOW


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with the partner of `KEPT`, and certificates for two more."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    certificate = issue(home, home.parent, "soyte")
    words = ("partners", "add", "soyte", "--certificate", str(certificate), "--fetch", "--unit", "H55.81")
    assert homes.typing(home)(*words, "--unit", "H55.82", "--unit", "H55.83").exit_code == 0
    (home / "partners/soyte.toml").write_text(KEPT, "utf-8")
    for name in ("soyte-2027", "motcua"):
        shutil.copy(issue(home, home.parent, name), home / f"{name}.pem")
    return home


@pytest.fixture
def office(made: Path, tmp_path: Path) -> Office:
    return Office(Path(shutil.copytree(made, tmp_path / "tinh")))


@pytest.fixture
def program(office: Office) -> Program:
    return Program(office.town)


def see(program: Program, code: str = "soyte") -> Any:
    assert program.get(f"/partners/{code}/settings").status == 200
    return program.said


@pytest.mark.slow
def test_the_files_of_its_folder_are_listed_with_their_hashes(office: Office, program: Program) -> None:
    sha256 = give_mapping(office.home, b"<a/>")
    _ = office.reload()
    listed = see(program)["files"]
    assert listed[1] == {"path": "partners/soyte/kieu.xsd", "octets": 4, "sha256": sha256}
    assert see(program, "vpub")["files"] == []


def test_settings_are_judged_then_changed_once_and_every_other_word_stays(office: Office, program: Program) -> None:
    seen = see(program)
    (timeout,) = [each for each in seen["settings"] if each["key"] == "policy.timeout"]
    assert (timeout["value"], timeout["default"]) == ("5s", "30s")
    order = {"seen": seen["sha256"], "set": ["policy.timeout=9s"], "reason": "mạng mới"}
    program.post("/partners/soyte/settings", order)
    assert (program.said["applied"], program.said["changes"]) == (False, ["policy.timeout: 5s → 9s"])
    assert office.text() == KEPT, "it was only judged"
    assert program.post("/partners/soyte/settings", order | {"apply": True, "reason": " "}).status == 422
    assert program.said["problems"][0]["name"] == "reason"
    first = program.post("/partners/soyte/settings", order | {"apply": True}, key="k")
    again = program.post("/partners/soyte/settings", order | {"apply": True}, key="k")
    assert first.content == again.content
    assert again.fields["Idempotency-Replayed"] == "true"
    assert office.text() == KEPT.replace('"5s"', '"9s"')
    assert office.reloads == 1
    (told,) = office.town.told("partner-changed")
    assert (told["reason"], told["changes"]) == ("mạng mới", ["policy.timeout: 5s → 9s"])
    refused = program.post("/partners/soyte/settings", order | {"apply": True})
    assert (refused.status, program.said["code"]) == (409, "file-changed"), "seen is the file of before"


@pytest.mark.parametrize(
    ("set_", "name"),
    [("policy.timeout=x", "partners/soyte.toml: policy.timeout"), ("colour=red", ""), ("units+=H5 5", "units")],
)
def test_a_wrong_setting_is_named_and_nothing_is_written(
    office: Office, program: Program, set_: str, name: str
) -> None:
    order = {"seen": see(program)["sha256"], "set": [set_], "reason": "x", "apply": True}
    assert program.post("/partners/soyte/settings", order).status == 422
    assert name in program.said["problems"][0]["name"]
    assert office.text() == KEPT


def test_what_the_hub_refuses_or_cannot_write_is_taken_back(
    office: Office, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {"seen": see(program)["sha256"], "set": ["policy.timeout=9s"], "reason": "x", "apply": True}
    office.verdict = ReloadVerdict(ok=False, mistakes=(Mistake("listen", verbatim("port"), verbatim("free")),))
    assert program.post("/partners/soyte/settings", order, key="k").status == 422
    assert "port; expected: free" in [each["detail"] for each in program.said["problems"]]
    assert office.text() == KEPT
    office.verdict = ReloadVerdict(ok=True)
    with monkeypatch.context() as patched:
        patched.setattr("hub.node.partner_manager.write_edits", _fail)
        assert program.post("/partners/soyte/settings", order, key="k").status == 500
        assert (program.said["code"], program.said["detail"].endswith("No space left on device")) == (
            "unwritable",
            True,
        )
    assert program.post("/partners/soyte/settings", order, key="k").status == 200, "a refused order leaves no key"


def _fail(*_: object) -> None:
    raise OSError(28, "No space left")


def test_a_certificate_is_rotated(office: Office, program: Program) -> None:
    pem = (office.home / "soyte-2027.pem").read_text()
    seen = see(program)
    (old,) = [each["sha256"] for each in seen["certificates"]]
    program.post(f"/partners/soyte/certificates/{old[:8]}/removal", {"seen": seen["sha256"], "reason": "x"})
    assert program.said["code"] == "last-certificate"
    said = {"seen": seen["sha256"], "certificate": pem, "reason": "2027", "apply": True}
    assert program.post("/partners/soyte/certificates", said).status == 200
    seen = see(program)
    assert len(seen["certificates"]) == 2
    said = {"seen": seen["sha256"], "reason": "2027", "apply": True}
    assert program.post(f"/partners/soyte/certificates/{old[:8]}/removal", said).status == 200
    assert [hash_certificate(each) for each in office.live.config.partners["soyte"].certificates] != [old]
    assert program.post("/partners/soyte/certificates", {"seen": "", "certificate": "x" * 70_000}).status == 413
    broken = {"seen": see(program)["sha256"], "certificate": "x"}
    assert program.post("/partners/soyte/certificates", broken).status == 422
    assert program.post("/partners/nobody/certificates", broken).status == 404


def test_a_partner_is_added_and_removed(office: Office, program: Program) -> None:
    order = {
        "code": "motcua",
        "set": ["name=Một cửa", "receive=push", "url=https://10.0.0.5/soap/documents", "units=H55.84"],
        "certificate": (office.home / "motcua.pem").read_text(),
        "reason": "đơn vị mới",
    }
    program.post("/partners", order)
    assert (program.said["applied"], program.said["units_added"]) == (False, ["H55.84"])
    assert "motcua" not in read_config(office.home / "hub.toml").partners
    assert program.post("/partners", order | {"apply": True}, key="k").status == 200
    partner = office.live.config.partners["motcua"]
    assert (partner.name, partner.units, len(partner.certificates)) == ("Một cửa", ("H55.84",), 1)
    assert (office.home / "partners/motcua.crt").exists()
    assert program.post("/partners", order | {"apply": True}, key="k").status == 200, "the same answer again"
    assert program.post("/partners", order).status == 422
    assert "motcua" in program.said["problems"][0]["detail"]
    for code in ("../x", "hub", "", "a b"):
        assert program.post("/partners", order | {"code": code}).status == 422, code
    assert program.post("/partners", {"code": "khac", "set": ["name=x"]}).status == 422, (
        "mutual TLS needs a certificate"
    )
    limited = Program(office.town, partners=("soyte",))
    assert limited.post("/partners", order | {"code": "khac"}).status == 404
    seen = see(program, "motcua")["sha256"]
    assert program.post("/partners/motcua/removal", {"seen": seen, "reason": "x", "apply": True}).status == 200
    assert "motcua" not in office.live.config.partners
    assert [each["partner"] for each in office.town.told("partner-removed")] == ["motcua"]


def test_a_new_partner_gets_documents_and_any_unit_is_confirmed(office: Office, program: Program) -> None:
    order = {"code": "motcua", "set": ["units=*"], "certificate": (office.home / "motcua.pem").read_text()}
    order |= {"reason": "x"}
    program.post("/partners", order)
    assert '+calls = ["documents"]' in program.said["diff"]
    assert "any unit" in str(program.said["warnings"])
    assert program.post("/partners", order | {"apply": True}).status == 422
    assert program.said["problems"][0]["name"] == "any_unit"
    assert not (office.home / "partners/motcua.toml").exists()
    assert program.post("/partners", order | {"apply": True, "any_unit": True}).status == 200
    assert office.live.config.partners["motcua"].calls == ("documents",)
    seen = see(program)["sha256"]
    change = {"seen": seen, "set": ["units=*", "calls=documents"], "reason": "x", "apply": True}
    assert program.post("/partners/soyte/settings", change).status == 422
    assert program.post("/partners/soyte/settings", change | {"any_unit": True}).status == 200
    later = {"seen": see(program)["sha256"], "set": ["name=Y"], "reason": "x", "apply": True}
    assert program.post("/partners/soyte/settings", later).status == 200, "it may already"
    unset = later | {"seen": see(program)["sha256"], "unset": ["calls"]}
    assert program.post("/partners/soyte/settings", unset).status == 422


def test_its_developers_get_the_checklist_and_the_kit(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    key = samples.make_sandbox_key(NOW)
    monkeypatch.setattr(kit, "make_sandbox_key", lambda _now: key)
    program.get("/partners/soyte/integration")
    assert program.said["steps"][0]["at"] is None
    assert {"documents"} <= {each["name"] for each in program.said["services"]}
    answer = program.get("/partners/soyte/kit.zip")
    assert answer.filename == "lienthong-soyte.zip"
    assert "guide.html" in ZipFile(BytesIO(answer.content)).namelist()
    answer = program.get("/partners/soyte/invitation.zip?contact=An")
    assert answer.filename == "lienthong-soyte-invitation.zip"
    assert "- An\n" in ZipFile(BytesIO(answer.content)).read("letter.txt").decode()
