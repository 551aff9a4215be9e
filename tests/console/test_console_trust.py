"""Trusted CAs by page and by API: shown before they are written, recorded with a reason, taken back if refused."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import read_config
from hub.domain.errors import Mistake
from hub.formats.spool import Octets
from hub.language.phrases import verbatim
from hub.operations.accounts.permissions import Role
from hub.runtime.pidfile import ReloadVerdict
from hub.security.certificates import hash_certificate
from tests import homes
from tests.api_callers import Program
from tests.cli.test_cli_partner import issue
from tests.console.test_console_partners import Office, fields
from tests.console_town import Browser
from tests.pki import authority, pem


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with the partner soyte."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    certificate = issue(home, home.parent, "soyte")
    words = ("partners", "add", "soyte", "--certificate", str(certificate), "--fetch", "--unit", "H55.81")
    assert homes.typing(home)(*words).exit_code == 0
    return home


class Trusting(Office):
    """An office with the CA that somebody wants to trust."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.other = authority("Other CA", self.town.now)
        self.sha256 = hash_certificate(self.other.certificate)

    def files(self) -> set[str]:
        return {path.suffix for path in (self.home / "trust").iterdir()}

    def trusted(self) -> bool:
        return self.sha256 in {hash_certificate(each) for each in self.live.config.authorities}

    def issue_for_soyte(self, folder: Path) -> str:
        """Return the file of a certificate of the other CA."""
        found = self.other.issue("soyte", ends=self.town.now + timedelta(days=3650)).certificate
        (folder / "soyte.crt").write_bytes(pem(found))
        return str(folder / "soyte.crt")


@pytest.fixture
def office(made: Path, tmp_path: Path) -> Trusting:
    return Trusting(Path(shutil.copytree(made, tmp_path / "tinh")))


def plan(op: Browser, **form: Any) -> Any:
    assert op.get("/trust").status == 200
    return op.post("/trust", **fields(op) | form)


def confirm(op: Browser, place: str, reason: str, **form: Any) -> Any:
    """Send the form of the page that shows the plan."""
    sent = fields(op)
    packet = sent.pop("packet", None)
    return op.post(place, **sent | {"reason": reason, "packet": packet and Octets.of(packet.encode())} | form)


@pytest.mark.slow
def test_a_ca_is_shown_then_trusted_and_then_trusted_no_longer(office: Trusting, tmp_path: Path) -> None:
    op = office.visit("op")
    der = office.other.certificate.public_bytes(Encoding.DER)
    assert plan(op, file=Octets.of(der), crl_urls="http://ca.example/1.crl").status == 200
    for said in ("Other CA", office.sha256[:8], "RSA 2048", "http://ca.example/1.crl"):
        assert said in op.page, said
    assert (office.files(), office.reloads) == (set(), 0), "nothing is written before it was shown"
    assert confirm(op, "/trust", " ").status == 422
    done = confirm(op, "/trust", "CA mới của tỉnh")
    assert (done.status, done.location) == (303, "/trust?done=added")
    assert office.files() == {".crt", ".toml"}
    assert office.trusted()
    (told,) = office.town.told("trust-added")
    assert (told["certificate"], told["by"], told["reason"]) == (office.sha256, "op", "CA mới của tỉnh")
    plan(op, packet=Octets.of(pem(office.other.certificate)))
    assert "Không có gì thay đổi" in op.page
    both = pem(office.other.certificate) + pem(office.other.crl())
    plan(op, packet=Octets.of(both))
    assert confirm(op, "/trust", "CRL mới").status == 303
    assert ".crl" in office.files()

    typed = homes.typing(office.home)
    assert typed("partners", "certificate", "add", "soyte", office.issue_for_soyte(tmp_path)).exit_code == 0
    op.get("/trust")
    assert op.post(f"/trust/{office.sha256}", seen=fields(op)["seen"]).status == 200
    assert "soyte" in op.page.partition('id="changes"')[2]
    assert office.trusted()
    assert confirm(op, f"/trust/{office.sha256}", "CA đã ngừng").location == "/trust?done=removed"
    assert not office.trusted()
    (told,) = office.town.told("trust-removed")
    assert (told["certificate"], told["partners"], told["by"]) == (office.sha256, ["soyte"], "op")


def test_the_partners_that_a_ca_proves_are_named(office: Trusting, tmp_path: Path) -> None:
    path = office.home / "partners/soyte.toml"
    shutil.copy(office.issue_for_soyte(tmp_path), office.home / "partners/other.crt")
    text = path.read_text("utf-8")
    path.write_text(text.replace('certificates = ["', 'certificates = ["partners/other.crt", "'), "utf-8")
    assert len(read_config(office.home / "hub.toml").partners["soyte"].certificates) == 2
    op = office.visit("op")
    plan(op, packet=Octets.of(pem(office.other.certificate)))
    assert "soyte" in op.page.partition('id="changes"')[2]


def test_what_is_no_ca_or_has_changed_or_the_hub_refuses_is_not_trusted(office: Trusting) -> None:
    op = office.visit("op")
    good = pem(office.other.certificate)
    strange = pem(authority("Stranger CA", office.town.now).crl())
    for content in (b"", b"text", pem(office.other.issue("x").certificate), good + strange, b"x" * 70_000):
        assert plan(op, packet=Octets.of(content)).status == 422, content[:40]
    assert plan(op, packet=Octets.of(good), crl_urls="ftp://ca.example").status == 422
    own = hash_certificate(office.live.config.authorities[0])
    op.get("/trust")
    assert op.post(f"/trust/{own}", seen=fields(op)["seen"]).status == 422, "the hub's own certificate needs it"
    assert "pki.certificate" in op.page
    op.get("/trust")
    assert op.post(f"/trust/{'f' * 64}", seen=fields(op)["seen"]).status == 404
    plan(op, packet=Octets.of(good))
    assert confirm(op, "/trust", "x", seen="0" * 64).status == 409
    plan(op, packet=Octets.of(good))
    office.verdict = ReloadVerdict(ok=False, mistakes=(Mistake("hub.toml: x", verbatim("hỏng"), verbatim("lành")),))
    assert confirm(op, "/trust", "x").status == 422
    assert "hub.toml: x" in op.page
    assert (office.files(), office.trusted()) == (set(), False)
    assert [each["reason"] for each in office.town.told("trust-added")] == ["x", "taken back: the reload was refused"]


def test_only_who_manages_every_partner_changes_what_all_of_them_need(office: Trusting) -> None:
    for name, role, partners in (("ky", Role.ENGINEER, ("*",)), ("hep", Role.OPERATOR, ("soyte",))):
        browser = office.visit(name, role, partners)
        assert browser.get("/trust").status == 404
        browser.get("/account")
        assert browser.post("/trust", seen="x", do="apply", reason="x").status == 404
        assert browser.get("/partners").status == 200
        assert "/trust" not in browser.links()
    op = office.visit("op")
    op.get("/partners")
    assert "/trust" in op.links()


def test_a_program_does_the_same_once(office: Trusting) -> None:
    program = Program(office.town, "manage-partners")
    program.get("/trust")
    seen, before = program.said["seen"], len(program.said["items"])
    order = {"seen": seen, "pem": pem(office.other.certificate).decode(), "reason": "CA mới"}
    program.post("/trust", order)
    assert (program.said["applied"], program.said["authorities"][0]["sha256"]) == (False, office.sha256)
    assert office.files() == set()
    assert program.post("/trust", order | {"apply": True, "reason": ""}).status == 422
    for _ in range(2):
        assert program.post("/trust", order | {"apply": True}, key="k").status == 200
        assert program.said["applied"]
    assert program.post("/trust", order | {"apply": True}).status == 409
    assert program.said["code"] == "file-changed"
    assert len(office.town.told("trust-added")) == 1
    program.get("/trust")
    assert len(program.said["items"]) == before + 1
    removal = {"seen": program.said["seen"], "reason": "x", "apply": True}
    assert program.post(f"/trust/{office.sha256[:16]}/remove", removal, key="r").status == 200
    assert not office.trusted()
    assert program.post("/trust/ffffffff/remove", removal).status == 409
