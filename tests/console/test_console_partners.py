"""Partners at the console: looked at, tested, and changed only as it was shown, by who may, with a reason, and taken back if refused."""

import hashlib
import re
import shutil
from datetime import UTC, datetime
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.defer import fail as failed

from hub.config import read_config
from hub.domain.errors import Mistake, Unready
from hub.domain.ids import make_id
from hub.domain.writer_budget import write_percent
from hub.formats.spool import Octets
from hub.journal import messages, partner_changes, unit_registry
from hub.language.phrases import verbatim
from hub.node import partner_manager
from hub.node.partner_manager import PartnerManager
from hub.operations.accounts.permissions import Role
from hub.runtime.pidfile import ReloadVerdict
from hub.security.certificates import hash_certificate
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.web.layout import mark_code
from tests import homes
from tests.browsing import answer_from, chromium, window
from tests.cli.test_cli_partner import KEPT, issue
from tests.console_town import HOST, Browser, Town
from tests.pki import authority, pem
from tests.province import NOW, ROUTES, document, entry


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with the partner of `KEPT`."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    certificate = issue(home, home.parent, "soyte")
    words = ("partners", "add", "soyte", "--certificate", str(certificate), "--fetch", "--unit", "H55.81")
    assert homes.typing(home)(*words, "--unit", "H55.82", "--unit", "H55.83").exit_code == 0
    (home / "partners/soyte.toml").write_text(KEPT, "utf-8")
    return home


class Office:
    """A town whose hub stands in a folder, and takes up its configuration when told."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.engine = homes.engine_of(home)
        self.town = Town(self.engine)
        self.town.now = datetime.now(UTC)
        self.verdict = ReloadVerdict(ok=True)
        self.reloads = 0
        self.live = self.town.live = Live(Setup(self._province()))
        self.town.manager = PartnerManager(self.live, self.reload, execute)

    def _province(self) -> Province:
        with transactions.read_transaction(self.engine) as tx:
            units = unit_registry.read_unit_index(tx, NOW.date())
        return Province.of(read_config(self.home / "hub.toml"), units)

    def reload(self) -> Deferred[ReloadVerdict]:
        self.reloads += 1
        if self.verdict.ok:
            self.live.setup = Setup(self._province())
        return succeed(self.verdict)

    def visit(self, name: str, role: Role = Role.OPERATOR, partners: tuple[str, ...] = ("*",)) -> Browser:
        self.town.add(name, role=role, partners=partners)
        browser = Browser(self.town, address=f"10.0.0.{len(name)}")
        assert browser.sign_in(name).status == 303
        return browser

    def text(self) -> str:
        return (self.home / "partners/soyte.toml").read_text("utf-8")


@pytest.fixture
def office(made: Path, tmp_path: Path) -> Office:
    return Office(Path(shutil.copytree(made, tmp_path / "tinh")))


def fields(browser: Browser) -> dict[str, str]:
    """Return what the last form of the open page sends, its buttons left out."""
    form = browser.page.rpartition("<form")[2]
    found = dict(re.findall(r'<input[^>]*? name="([^"]+)"[^>]*? value="([^"]*)"', form))
    return {key: unescape(value) for key, value in found.items() if key != "proof"}


def form_of(browser: Browser) -> dict[str, str]:
    """Return what the form of the settings sends as it is shown."""
    found = fields(browser)
    for name, options in re.findall(r'<select[^>]*? name="([^"]+)"[^>]*>(.*?)</select>', browser.page, re.DOTALL):
        found[name] = "".join(re.findall(r'<option value="([^"]*)" selected', options))
    return found


@pytest.mark.slow
def test_the_list_and_a_page_show_all_that_is_known(office: Office) -> None:
    op = office.visit("op")
    assert op.get("/partners").status == 200
    assert "/partners/soyte" in op.links()
    trusted = op.page.partition('id="trusted"')[2]
    assert hash_certificate(office.live.config.authorities[0])[:32] in trusted
    assert re.findall(r'href="/partners/(\w+)"', trusted) == sorted(office.live.config.partners)
    assert "<code>trust remove</code>" in op.page
    assert op.get("/partners/soyte").status == 200
    sha256 = hash_certificate(read_config(office.home / "hub.toml").partners["soyte"].certificates[0])
    assert sha256[:32] in op.page
    assert "partners/soyte.toml, dòng 12" in op.page
    for place in {link for link in op.links() if link.startswith("/") and "lang=" not in link}:
        assert op.follow(place).status == 200, place
    assert op.get("/partners/nobody").status == 404
    assert op.get("/partners/soyte/other").status == 404
    op.get("/")
    assert "/partners/soyte" in op.links()


def test_a_page_shows_what_the_partner_uses_of_the_writer(office: Office) -> None:
    browser = office.visit("an")
    browser.get("/partners/sotttt")
    assert ">0 %</dd>" in browser.page
    for second in range(300):
        office.town.budget.charge("sotttt", 2.0, 0.4, float(second))
    browser.get("/partners/sotttt")
    used = write_percent(office.town.budget.read(300.0).uses["sotttt"].part)
    assert used in (39, 40)
    assert f">{used} %</dd>" in browser.page
    assert "đòi quá phần thời gian của mình ở luồng ghi nhật ký" in browser.page


def give_mapping(home: Path, schema: bytes) -> str:
    """Give `soyte` a mapping that lists a file, and return the SHA-256 of the file."""
    folder, toml = home / "partners/soyte", home / "partners/soyte.toml"
    folder.mkdir(exist_ok=True)
    (folder / "kieu.xsd").write_bytes(schema)
    sha256 = hashlib.sha256(schema).hexdigest()
    (folder / "mapping.toml").write_text(f'[wsdl.sha256]\n"kieu.xsd" = "{sha256}"\n', "utf-8")
    toml.write_text(f'{KEPT}\n[settings]\nmapping = "soyte/mapping.toml"\n', "utf-8")
    return sha256


def test_the_files_of_its_folder_are_shown_and_a_changed_one_is_not_in_force_yet(office: Office) -> None:
    before = give_mapping(office.home, b"<a/>")
    _ = office.reload()
    op = office.visit("op")
    assert op.get("/partners/soyte").status == 200
    assert before[:32] in op.page
    assert "partners/soyte/kieu.xsd" in op.page
    after = give_mapping(office.home, b"<b/>")
    op.get("/partners/soyte")
    assert f"kieu.xsd {after[:16]}" in op.page.partition('id="pending"')[2].partition("</section>")[0]
    (office.home / "partners/soyte/kieu.xsd").write_bytes(b"<c/>")
    op.get("/partners/soyte")
    assert "partners/soyte/mapping.toml: wsdl.sha256" in unescape(op.page.partition('id="mistakes"')[2])
    assert before[:32] in op.page, "what is in force"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`a <b>` and `c`", "<code>a &lt;b&gt;</code> and <code>c</code>"),
        ("no code", "no code"),
        ("one ` <alone>", "one ` &lt;alone&gt;"),
    ],
)
def test_what_stands_between_backticks_shows_as_code(text: str, shown: str) -> None:
    assert mark_code(text) == shown


def test_settings_are_changed_as_shown_and_every_other_word_stays(office: Office) -> None:
    op = office.visit("op")
    op.get("/partners/soyte/settings")
    form = form_of(op) | {"policy.timeout": "9s", "units": "H55.81, H55.83, H55.84", "policy.max-age": ""}
    shown = op.post("/partners/soyte/settings", **form)
    assert shown.status == 200
    assert "policy.timeout: 5s → 9s" in op.page
    assert office.text() == KEPT, "nothing is written before it was shown"
    again = fields(op)
    assert op.post("/partners/soyte/settings", **again | {"reason": " "}).status == 422
    done = op.post("/partners/soyte/settings", **again | {"reason": "mạng mới"})
    assert (done.status, done.location) == (303, "/partners/soyte?done=1")
    expected = (
        KEPT.replace('"5s"', '"9s"').replace('    "H55.82",  # bệnh viện\n', "").replace('max-age = "600s"\n', "")
    )
    assert office.text() == expected.replace('    "H55.83",\n', '    "H55.83",\n    "H55.84",\n')
    assert (office.home / "partners/soyte.toml.old").read_text("utf-8") == KEPT
    assert office.live.config.partners["soyte"].policy.timeout.seconds == 9
    (event,) = office.town.told("partner-changed")
    assert (event["by"], event["reason"]) == ("op", "mạng mới")
    op.get("/partners/soyte?done=1")
    assert "Đã thay đổi" in op.page
    op.get("/events?kind=partner-changed")
    assert "mạng mới" in op.page


@pytest.mark.slow
def test_the_second_of_two_tabs_is_told_that_the_file_has_changed(office: Office) -> None:
    an, binh = office.visit("an"), office.visit("binh")
    for browser in (an, binh):
        browser.get("/partners/soyte/settings")
    first, second = form_of(an) | {"policy.timeout": "9s"}, form_of(binh) | {"name": "Sở Y tế mới"}
    binh.post("/partners/soyte/settings", **second)
    planned = fields(binh)
    an.post("/partners/soyte/settings", **first)
    assert an.post("/partners/soyte/settings", **fields(an) | {"reason": "x"}).status == 303
    binh_late = binh.post("/partners/soyte/settings", **planned | {"reason": "y"})
    assert binh_late.status == 409
    assert "Sở Y tế mới" in binh.page
    assert 'value="9s"' in binh.page, "the fields show the file as it is now"
    assert "Sở Y tế mới" not in office.text()
    assert '"9s"' in office.text()
    assert binh.post("/partners/soyte/settings", **form_of(binh) | {"name": "Sở Y tế mới"}).status == 200
    assert binh.post("/partners/soyte/settings", **fields(binh) | {"reason": "y"}).status == 303
    assert "Sở Y tế mới" in office.text()
    assert '"9s"' in office.text()


@pytest.mark.parametrize(
    "typed",
    [{"policy.timeout": "soon"}, {"receive": "push"}, {"units": "H55.13"}, {"calls": "telex"}, {"url": "https://x"}],
)
def test_a_wrong_setting_is_named_and_nothing_is_written(office: Office, typed: dict[str, str]) -> None:
    op = office.visit("op")
    op.get("/partners/soyte/settings")
    refused = op.post("/partners/soyte/settings", **form_of(op) | typed | {"do": "apply", "reason": "x"})
    assert refused.status == 422
    assert "partners/soyte.toml" in op.page
    assert (office.text(), office.reloads) == (KEPT, 0)
    assert office.town.told("partner-changed") == []


def test_what_the_hub_refuses_is_taken_back(office: Office) -> None:
    op = office.visit("op")
    office.verdict = ReloadVerdict(ok=False, mistakes=(Mistake("hub.toml: x", verbatim("hỏng"), verbatim("lành")),))
    op.get("/partners/soyte/settings")
    op.post("/partners/soyte/settings", **form_of(op) | {"policy.timeout": "9s"})
    refused = op.post("/partners/soyte/settings", **fields(op) | {"reason": "x"})
    assert refused.status == 422
    assert "hub.toml: x" in op.page
    assert office.text() == KEPT
    assert [event["changes"] for event in office.town.told("partner-changed")] == [["policy.timeout: 5s → 9s"], []]


def test_what_cannot_be_written_or_recorded_changes_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    op = office.visit("op")
    op.get("/partners/soyte/settings")
    op.post("/partners/soyte/settings", **form_of(op) | {"policy.timeout": "9s"})
    sent = fields(op) | {"reason": "x"}
    with monkeypatch.context() as patch:
        patch.setattr(partner_manager, "write_edits", partial(fail, OSError(30, "Read-only file system")))
        assert op.post("/partners/soyte/settings", **sent).status == 500
        assert "Read-only file system" in op.page
    op.get("/account")
    with monkeypatch.context() as patch:
        patch.setattr(partner_changes, "record_partner_change", partial(fail, Unready("journal-unavailable")))
        assert op.post("/partners/soyte/settings", **sent).status == 503
    assert (office.text(), office.reloads) == (KEPT, 0)
    op.get("/account")
    assert op.post("/partners/soyte/settings", **sent).status == 303


def test_of_what_was_recorded_without_an_answer_it_is_recorded_that_it_was_taken_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lost = InlineDatabase.admit, [1]

    def admit(self: InlineDatabase, owner: Any, step: Any, *words: Any, **said: Any) -> Deferred[Any]:
        done: Deferred[Any] = real(self, owner, step, *words, **said)
        if step is partner_changes.record_partner_change and lost:
            lost.clear()
            return failed(Unready("journal-unavailable"))
        return done

    op = office.visit("op")
    op.get("/partners/soyte/settings")
    op.post("/partners/soyte/settings", **form_of(op) | {"policy.timeout": "9s"})
    monkeypatch.setattr(InlineDatabase, "admit", admit)
    assert op.post("/partners/soyte/settings", **fields(op) | {"reason": "x"}).status == 503
    assert (office.text(), office.reloads) == (KEPT, 0)
    assert [(each["changes"], each["reason"]) for each in office.town.told("partner-changed")] == [
        (["policy.timeout: 5s → 9s"], "x"),
        ([], "taken back: the journal did not answer"),
    ]


def fail(error: Exception, *_: object, **__: object) -> None:
    raise error


@pytest.mark.slow
def test_a_certificate_is_rotated(office: Office, tmp_path: Path) -> None:
    op = office.visit("op")
    old = office.live.config.partners["soyte"].certificates[0]
    new = issue(office.home, tmp_path, "soyte-2027").read_bytes()
    op.get("/partners/soyte")
    seen = fields(op)["seen"]
    shown = op.post("/partners/soyte/certificates", seen=seen, file=Octets.of(new))
    assert shown.status == 200
    assert "certificates: +" in op.page
    pem_again = fields(op)["pem"]
    assert "BEGIN CERTIFICATE" in pem_again
    done = op.post("/partners/soyte/certificates", **fields(op) | {"reason": "đổi khóa"})
    assert done.status == 303, op.page
    both = office.live.config.partners["soyte"].certificates
    assert len(both) == 2
    op.get("/partners/soyte")
    op.post("/partners/soyte/certificates", seen=fields(op)["seen"], remove=hash_certificate(old))
    assert op.post("/partners/soyte/certificates", **fields(op) | {"reason": "hết"}).status == 303
    assert office.live.config.partners["soyte"].certificates == (both[1],)
    op.get("/partners/soyte")
    last = op.post("/partners/soyte/certificates", seen=fields(op)["seen"], remove=hash_certificate(both[1]))
    assert last.status == 200
    assert "chứng thư còn hiệu lực cuối cùng" in op.page
    assert op.post("/partners/soyte/certificates", **fields(op)).status == 422, "mutual TLS needs one"
    op.get("/partners/soyte")
    seen = fields(op)["seen"]
    for content in (b"no certificate", b"", pem(authority("Stranger CA").issue("x").certificate)):
        assert op.post("/partners/soyte/certificates", seen=seen, file=Octets.of(content)).status == 422
    assert len(office.town.told("partner-changed")) == 2


def test_a_partner_is_removed_when_it_is_told_what_stays(office: Office) -> None:
    op = office.visit("op")
    with transactions.write_transaction(office.engine) as tx:
        waits = entry(document(), 1, at=office.town.now, id=make_id(office.town.now))
        messages.record_message(tx, waits, ROUTES)
    op.get("/partners/vpub")
    op.post("/partners/vpub/removal", seen=fields(op)["seen"])
    assert "đang chờ 1" in op.page
    assert op.post("/partners/vpub/removal", **fields(op) | {"reason": "bỏ", "leave": ""}).status == 422
    done = op.post("/partners/vpub/removal", **fields(op) | {"reason": "bỏ", "leave": "1"})
    assert (done.status, done.location) == (303, "/partners")
    assert "vpub" not in office.live.config.partners
    (event,) = office.town.told("partner-removed")
    assert (event["deliveries"], event["by"]) == (1, "op")
    assert op.get("/messages?partner=vpub").status == 200
    assert f"/messages/{waits.id}" in op.links(), "what it had is found as before"
    op.get("/partners/vpcp")
    assert op.post("/partners/vpcp/removal", seen=fields(op)["seen"]).status == 422, "it is upstream"


NEW = {
    "code": "motcua",
    "name": "Một cửa",
    "adapter": "documents",
    "receive": "push",
    "url": "https://10.0.0.5/soap/documents",
    "units": "H55.84",
    "calls": "none",
}


def test_a_partner_is_added_as_shown(office: Office, tmp_path: Path) -> None:
    op = office.visit("op")
    op.get("/partners")
    assert "/partners?add=1" in op.links()
    op.get("/partners?add=1")
    certificate = issue(office.home, tmp_path, "motcua").read_bytes()
    assert op.post("/partners", **NEW).status == 422, "mutual TLS needs a certificate"
    assert 'value="Một cửa"' in op.page
    assert op.post("/partners", **NEW | {"receive": "none"}, file=Octets.of(certificate)).status == 422
    assert op.post("/partners", **fields(op) | NEW).status == 200, "the certificate that was chosen is kept"
    assert ("+receive = &#34;push&#34;" in op.page, "H55.84" in op.page) == (True, True)
    assert "policy.timeout" not in op.page, "only what is set"
    assert not (office.home / "partners/motcua.toml").exists()
    shown = fields(op)
    assert op.post("/partners", **shown | {"reason": ""}).status == 422
    done = op.post("/partners", **shown | {"reason": "đơn vị mới"})
    assert done.location == "/partners/motcua?done=added"
    op.get(done.location)
    assert "/integration/motcua" in op.links()
    partner = office.live.config.partners["motcua"]
    assert (partner.name, partner.calls, len(partner.certificates)) == ("Một cửa", (), 1)
    (told,) = office.town.told("partner-changed")
    assert (told["partner"], told["reason"]) == ("motcua", "đơn vị mới")
    op.get("/partners?add=1")
    assert op.post("/partners", **shown | {"do": "apply", "reason": "x"}).status == 422, "there is one already"
    for code in ("", "../x", "hub"):
        assert op.post("/partners", **NEW | {"code": code, "policy.transport": "tls"}).status == 422, code
    limited = office.visit("it", partners=("soyte",))
    limited.get("/partners?add=1")
    assert limited.post("/partners", **NEW).status == 404


def test_a_new_partner_gets_documents_and_any_unit_needs_a_tick(office: Office) -> None:
    op = office.visit("op")
    op.get("/partners?add=1")
    typed = NEW | {"policy.transport": "tls", "units": "*", "calls": ""}
    assert op.post("/partners", **typed).status == 200
    assert "+calls = [&#34;documents&#34;]" in op.page
    assert 'name="any_unit"' in op.page
    shown = fields(op) | {"reason": "x"}
    shown.pop("any_unit", None)
    assert op.post("/partners", **shown).status == 422
    assert not (office.home / "partners/motcua.toml").exists()
    assert op.post("/partners", **shown | {"any_unit": "1"}).location == "/partners/motcua?done=added"
    assert office.live.config.partners["motcua"].calls == ("documents",)


def test_a_partner_that_the_hub_refuses_is_not_added(office: Office) -> None:
    op = office.visit("op")
    office.verdict = ReloadVerdict(ok=False, mistakes=(Mistake("listen", verbatim("port"), verbatim("free")),))
    op.get("/partners?add=1")
    assert op.post("/partners", **NEW | {"policy.transport": "tls"}).status == 200
    assert op.post("/partners", **fields(op) | {"reason": "x"}).status == 422
    assert 'role="alert"' in op.page
    assert not (office.home / "partners/motcua.toml").exists()


def test_the_connection_test_tells_each_step(office: Office) -> None:
    op = office.visit("op")
    op.get("/partners/vpub")
    assert op.post("/partners/vpub/test").status == 200
    assert "HỎNG" in op.page
    assert "Trục gọi đối tác" in op.page
    assert "Đối tác gọi trục" in op.page


def test_a_page_tells_what_of_the_file_is_not_in_force_and_what_is_wrong(office: Office) -> None:
    op = office.visit("op")
    path = office.home / "partners/soyte.toml"
    path.write_text(KEPT.replace('"5s"', '"7s"'), "utf-8")
    op.get("/partners/soyte")
    assert "policy.timeout: 5s → 7s" in op.page
    path.write_text(KEPT.replace('"5s"', '"soon"'), "utf-8")
    assert op.get("/partners/soyte").status == 200
    assert "policy.timeout</span>" in op.page
    path.unlink()
    assert op.get("/partners/soyte").status == 200


@pytest.mark.slow
@pytest.mark.parametrize("role", [*Role])
def test_each_role_sees_and_changes_what_it_may(office: Office, role: Role) -> None:
    exchange = role in {Role.ENGINEER, Role.APPROVER, Role.OPERATOR, Role.ADMINISTRATOR}
    manages = role in {Role.OPERATOR, Role.ADMINISTRATOR}
    for name, partners in (("any", ("*",)), ("own", ("soyte",)), ("foreign", ("vpub",))):
        browser = office.visit(f"{name}-{role}", role, partners=partners)
        sees = exchange and name != "foreign"
        assert (browser.get("/partners").status == 200) == exchange
        assert ("/partners/soyte" in browser.links()) == sees
        for place, may in (("/partners/soyte", sees), ("/partners/soyte/settings", sees and manages)):
            assert browser.get(place).status == (200 if may else 404), (place, name)
            assert may or "Sở Y tế" not in browser.page
        browser.get("/account")
        proof = browser.proof
        for kind in ("settings", "certificates", "removal"):
            sent = browser.post(
                f"/partners/soyte/{kind}", proof=proof, seen="x", do="apply", reason="x", remove="0" * 64
            )
            assert sent.status == (409 if sees and manages else 404), (kind, name)
        assert browser.post("/partners/soyte/test", proof=proof).status == (200 if sees else 404), name
    assert (office.text(), office.reloads) == (KEPT, 0)


def test_a_limited_or_a_forged_form_changes_nothing(office: Office) -> None:
    limited = Browser(office.town)
    office.town.add("unit", "H55.13", role=Role.OPERATOR)
    limited.sign_in("unit")
    assert limited.get("/partners/soyte").status == 404, "a partner belongs to no unit"
    op = office.visit("op")
    op.get("/partners/soyte")
    assert op.post("/partners/soyte/removal", proof="forged", do="apply", reason="x").status == 403
    op.get("/account")
    assert op.post("/partners/..%2Fhub/removal", do="apply", reason="x").status == 404
    assert office.text() == KEPT


# --- in a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme", "language", "script"), [(1280, "light", "vi", True), (390, "dark", "en", False)]
)
def test_a_partner_is_changed_and_tested_in_a_browser(
    office: Office, tmp_path: Path, width: int, scheme: str, language: str, script: bool
) -> None:
    op = office.visit("op")
    new = issue(office.home, tmp_path, "soyte-2027")
    words = {
        "vi": (
            "Đổi cấu hình",
            "Xem thay đổi",
            "Lý do; được ghi lại",
            "Thực hiện thay đổi",
            "Kiểm tra kết nối",
            "Xem chứng thư này",
        ),
        "en": (
            "Change the settings",
            "Show the change",
            "Why; it is recorded",
            "Make the change",
            "Test the connection",
            "Show what it is",
        ),
    }[language]
    settings, show, why, make, test, look = words
    op.languages = language
    with chromium() as browser:
        context = window(browser, width, scheme, java_script_enabled=script)
        context.route("**/*", answer_from(op))
        page = context.new_page()
        page.goto(f"https://{HOST}/partners")
        page.get_by_role("link", name="soyte", exact=True).first.click()
        page.get_by_role("link", name=settings).click()
        page.get_by_label("policy.timeout").fill("9s")
        page.get_by_role("button", name=show).click()
        page.get_by_text("→ 9s").wait_for()
        page.get_by_label(why).fill("mạng chậm")
        page.get_by_role("button", name=make).click()
        page.get_by_role("status").wait_for()
        assert 'timeout = "9s"' in office.text()
        page.get_by_label("PEM").set_input_files(str(new))
        page.get_by_role("button", name=look).click()
        page.get_by_text("certificates: +").or_(page.get_by_role("main")).first.wait_for()
        page.goto(f"https://{HOST}/partners/vpub")
        page.get_by_role("button", name=test).click()
        page.get_by_role("heading", name="vpub").wait_for()
        context.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme", "language", "script"), [(1280, "light", "vi", True), (390, "dark", "en", False)]
)
def test_a_partner_is_added_in_a_browser(
    office: Office, tmp_path: Path, width: int, scheme: str, language: str, script: bool
) -> None:
    """From the list to the integration page, with and without script."""
    op = office.visit("op")
    op.languages = language
    certificate = issue(office.home, tmp_path, "motcua")

    with chromium() as browser:
        context = window(browser, width, scheme, java_script_enabled=script)
        context.route("**/*", answer_from(op, [b"", certificate.read_bytes()]))
        page = context.new_page()
        page.goto(f"https://{HOST}/partners")
        page.locator("a[href='/partners?add=1']").click()
        page.locator("#code").fill("motcua")
        for name in ("name", "url", "units"):
            page.locator(f"[name='{name}']").fill(NEW[name])
        page.locator("[name=receive]").select_option("push")
        page.locator("main form button").click()
        page.get_by_role("alert").wait_for()
        page.locator("#file").set_input_files(str(certificate))
        page.locator("main form button").click()
        page.locator("#reason").fill("đơn vị mới")
        page.locator("main form button").click()
        page.get_by_role("status").wait_for()
        page.get_by_role("status").get_by_role("link").first.click()
        page.locator("a[href='/integration/motcua/kit.zip']").wait_for()
    assert "motcua" in office.live.config.partners
