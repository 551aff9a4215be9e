"""Whoever manages partners without a shell writes secrets and reads none, and names no place that is not that partner's."""

import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

import adapters
from hub.config import read_config
from hub.config.partners.partner_edit import PartnerOrder
from hub.config.partners.partner_settings import AssignmentUnfit
from hub.config.trust_edit import TrustOrder
from hub.config.urls import names_own_machine
from hub.domain.errors import ConfigurationFault
from hub.domain.own_addresses import leads_home
from hub.monitoring.connection_steps import ConnectionStepName
from hub.monitoring.outbound_check import check_outbound
from hub.node.partner_editor import PartnerEditor
from hub.node.trust_editor import plan_trust_order
from hub.units.unit_index import UnitIndex
from tests import homes
from tests.api_callers import Program
from tests.browsing import answer_from, chromium, judge, window
from tests.console.test_console_partners import Office, fields, form_of
from tests.console_town import HOST
from tests.province import NOW

PORTAL = """\
name = "Cổng"
receive = "push"
services = ["reports"]
adapter = "webportal"
url = "http://cong.example/a"

[policy]
transport = "plain"

[settings]
secret-file = "secret"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with two portals, each with a secret, and a folder for directories."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    for code in ("cong", "khac"):
        (home / "secrets" / code).mkdir(parents=True)
        (home / "secrets" / code / "secret").write_text(f"of {code}\n")
        (home / f"partners/{code}.toml").write_text(PORTAL.replace("cong.", f"{code}."))
    (home / "secrets/cong/laid").write_text("laid\n")
    text = (home / "hub.toml").read_text("utf-8")
    (home / "hub.toml").write_text(f'{text}\n[exchange]\nfolder = "exchange"\n', "utf-8")
    return home


@pytest.fixture
def office(made: Path, tmp_path: Path) -> Office:
    return Office(Path(shutil.copytree(made, tmp_path / "tinh")))


@pytest.fixture
def program(office: Office) -> Program:
    return Program(office.town)


def order(program: Program, code: str = "cong", **said: Any) -> Any:
    program.get(f"/partners/{code}/settings")
    sent = {"seen": program.said["sha256"], "reason": "x", "apply": True, **said}
    program.post(f"/partners/{code}/settings", sent)
    return program.said


def secret(home: Path, code: str = "cong") -> str:
    return read_config(home / "hub.toml").partners[code].secrets["secret"]


PLACES = [
    "pki/lookups.key", "/etc/passwd", "/etc/absent", "../khac/secret", "secrets/khac/secret", "..", ".", "secret.old",
    "${CREDENTIALS_DIRECTORY}/x", "partners/absent", ".secret.new",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_outside_the_folder_is_refused_alike_whether_it_is_there(program: Program, place: str) -> None:
    refused = order(program, set=[f"settings.secret-file={place}"])
    assert refused["code"] == "order-unfit"
    (flaw,) = refused["problems"]
    assert flaw == order(program, set=["settings.secret-file=a/b"])["problems"][0]


@pytest.mark.parametrize("place", ["khac/mapping.toml", "absent/mapping.toml"])
def test_a_mapping_of_another_folder_is_refused_before_it_is_read(program: Program, place: str) -> None:
    (flaw,) = order(program, set=[f"settings.mapping={place}", "adapter=soap"])["problems"]
    assert "settings.mapping" in flaw["detail"]
    assert place not in flaw["detail"]


def test_a_secret_is_written_or_chosen_and_read_by_no_answer(office: Office, program: Program) -> None:
    said = order(program, secrets=[{"name": "secret", "value": "new-one"}])
    assert said["changes"] == ["settings.secret: *** → ***", "~ secrets/cong/secret"]
    assert secret(office.home) == "new-one"
    assert office.live.config.partners["cong"].secrets["secret"] == "new-one"
    file = office.home / "secrets/cong/secret"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "secret.old" not in program.get("/partners/cong/settings").content.decode()
    assert program.said["secrets"] == ["laid", "secret"]
    said = order(program, set=["settings.secret-file=laid"])
    assert said["changes"] == ["settings.secret-file: secret → laid", "settings.secret: *** → ***"]
    assert secret(office.home) == "laid"
    events = [each["changes"] for each in office.town.told("partner-changed")]
    assert events[-1] == said["changes"]
    assert "new-one" not in str(events)


ELSEWHERE = [
    ["url=http://evil.example/a"],
    ["policy.transport=tls", "url=https://cong.example/a"],
    ["settings.path=/other"],
    ["settings.method=POST", "url=http://cong.example/b"],
]


@pytest.mark.parametrize("changed", ELSEWHERE)
def test_with_another_address_the_secret_is_asked_for_again(
    office: Office, program: Program, changed: list[str]
) -> None:
    assert [each["name"] for each in order(program, set=changed)["problems"]] == [
        "partners/cong.toml: settings.secret-file"
    ]
    chosen = order(program, set=[*changed, "settings.secret-file=laid"])
    assert [each["name"] for each in chosen["problems"]] == ["partners/cong.toml: settings.secret-file"]
    assert secret(office.home) == "of cong"
    said = order(program, set=changed, secrets=[{"name": "secret", "value": "again"}])
    assert said["applied"]
    assert secret(office.home) == "again"
    assert "- secrets/cong/laid" in said["changes"], "it was laid for the address before"
    assert order(program, set=["settings.secret-file=laid"])["code"] == "order-unfit"
    assert (office.home / "secrets/cong/laid.old").read_text() == "laid\n", "for a person with a shell"


def test_a_secret_that_was_given_up_or_whose_partner_was_removed_does_not_go_to_a_new_address(
    office: Office, program: Program
) -> None:
    """First without the secret, then with the address, then with the secret again."""
    order(program, set=["adapter=govreport"], unset=["settings.secret-file"])
    assert (office.home / "secrets/cong/secret.old").exists()
    assert order(program, set=["url=http://evil.example"])["applied"]
    assert order(program, set=["settings.secret-file=secret"])["code"] == "order-unfit"

    program.get("/partners/khac/settings")
    program.post(
        "/partners/khac/removal", {"seen": program.said["sha256"], "leave": True, "reason": "x", "apply": True}
    )
    assert program.said["applied"]
    added = [
        "adapter=webportal",
        "receive=push",
        "services=reports",
        "url=http://evil.example",
        "policy.transport=plain",
    ]
    new = {"code": "khac", "reason": "x", "apply": True}
    program.post("/partners", {**new, "set": [*added, "settings.secret-file=secret"]})
    assert program.said["code"] == "order-unfit"
    program.post("/partners", {**new, "set": added, "secrets": [{"name": "secret", "value": "mine"}]})
    assert program.said["applied"]
    assert secret(office.home, "khac") == "mine"


def test_what_says_nothing_of_the_address_asks_for_no_secret(office: Office, program: Program) -> None:
    assert order(program, set=["settings.language=en", "policy.timeout=9s", "settings.kinds=html"])["applied"]
    assert secret(office.home) == "of cong"


def test_the_page_takes_a_secret_and_never_shows_the_one_that_is_stored(office: Office) -> None:
    op = office.visit("op")
    op.get("/partners/cong/settings")
    assert 'name="secret.secret"' in op.page
    form = form_of(op) | {"settings.secret-file": "secret", "url": "http://moi.example", "secret.secret": "chữ riêng"}
    assert op.post("/partners/cong/settings", **form | {"secret.secret": ""}).status == 422
    assert op.post("/partners/cong/settings", **form).status == 200
    assert "settings.secret: *** → ***" in op.page
    assert op.post("/partners/cong/settings", **fields(op) | {"reason": "x"}).status == 303
    assert secret(office.home) == "chữ riêng"
    for place in ("", "/settings"):
        op.get(f"/partners/cong{place}")
        assert "chữ riêng" not in op.page


@pytest.mark.slow
def test_a_secret_is_written_in_a_browser(office: Office) -> None:
    op = office.visit("op")
    with chromium() as browser:
        context = window(browser, 390, "dark", java_script_enabled=True)
        context.route("**/*", answer_from(op))
        page = context.new_page()
        page.goto(f"https://{HOST}/partners/cong/settings")
        page.get_by_label("Giá trị mới cho settings.secret-file").fill("chữ riêng")
        judge(page)
        page.get_by_role("button", name="Xem thay đổi").click()
        page.get_by_text("settings.secret: *** → ***").wait_for()
        page.get_by_label("Lý do; được ghi lại").fill("mới")
        page.get_by_role("button", name="Thực hiện thay đổi").click()
        page.get_by_role("status").wait_for()
        context.close()
    assert secret(office.home) == "chữ riêng"


def test_what_is_written_must_be_a_secret_and_named_as_one(office: Office, program: Program) -> None:
    for name, value in (
        ("secret", " \n"),
        ("secret", "a\0b"),
        ("../x", "a"),
        ("a/b", "a"),
        ("x.old", "a"),
        ("other", "a"),
    ):
        assert order(program, secrets=[{"name": name, "value": value}])["code"] == "order-unfit", (name, value)
    given: dict[str, Any] = {"secrets": [{"name": "secret", "value": "a"}], "set": ["settings.secret-file=laid"]}
    assert order(program, **given)["code"] == "order-unfit", "either of them"
    assert sorted(each.name for each in (office.home / "secrets/cong").iterdir()) == ["laid", "secret"]


def test_a_text_of_several_lines_is_written_as_it_is(office: Office, program: Program) -> None:
    mail = ["adapter=mail", "url=smtp://mail.example", "settings.from=a@b.example", "policy.transport=tls"]
    given = [{"name": "addresses", "value": "H55.13,a@b.example\nH55.14,c@d.example\n"}]
    assert order(program, set=mail, unset=["settings.secret-file"], secrets=given)["applied"]
    held = office.live.config.partners["cong"].secrets
    assert held == {"addresses": "H55.13,a@b.example\nH55.14,c@d.example"}


@pytest.mark.parametrize("key", ["name", "url", "settings.path"])
def test_no_text_names_the_credentials_of_the_service(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    answer = order(program, set=[f"{key}=${{CREDENTIALS_DIRECTORY}}/x"])
    assert answer["code"] == "order-unfit"
    assert str(tmp_path) not in str(answer)


def test_every_setting_that_names_a_place_is_one_with_which_secrets_are_given_anew() -> None:
    words = ("url", "path", "mailbox", "mapping", "integrate", "share", "login")
    every = [each for name in adapters.list_adapter_names() for each in adapters.list_adapter_settings(name)]
    places = [each for each in every if any(word in each.name for word in words)]
    assert len(places) >= 12
    free = {each.name for each in places if not each.may_direct}
    assert free <= {"category-path", "verdict-path", "mapping", "packet-address"}, "their values have a slash"
    assert {"language", "method", "kinds"} <= {each.name for each in every if not each.may_direct}


# --- the hub's own machine --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_a_page_names_no_address_of_the_hubs_own_machine(program: Program, host: str) -> None:
    given: dict[str, Any] = {"secrets": [{"name": "secret", "value": "a"}]}
    assert [each["name"] for each in order(program, set=[f"url=http://{host}/a"], **given)["problems"]] == [
        "partners/cong.toml: url"
    ]
    setting = ["adapter=documents", "url=http://cong.example", f"settings.service-url=http://{host}/a"]
    said = order(program, set=setting, unset=["settings.secret-file"])
    assert {each["name"] for each in said["problems"]} == {"partners/cong.toml: settings.service-url"}


def test_nor_does_it_ask_for_revocations_there(office: Office) -> None:
    order = TrustOrder(added=(office.home / "pki/ca.crt").read_bytes(), ocsp_urls=("http://169.254.169.254/latest",))
    with pytest.raises(ConfigurationFault) as refused:
        plan_trust_order(office.home / "hub.toml", order, NOW)
    assert "own machine" in str(refused.value)


def test_a_name_that_leads_to_the_hubs_own_machine_is_not_called(office: Office) -> None:
    """`127.1` is no address as the page reads it, and one as the resolver does."""
    assert names_own_machine("http://127.0.0.1/")
    assert not names_own_machine("http://127.1/")
    partner = attrs.evolve(office.live.config.partners["cong"], url="http://127.1:9/")
    (last,) = [each for each in check_outbound(partner, office.live.config, NOW) if each.failed]
    assert last.name is ConnectionStepName.DNS
    assert leads_home("127.1", "127.0.0.1")
    assert not leads_home("localhost", "127.0.0.1")
    assert not leads_home("cong.example", "10.0.0.5")


# --- directories ------------------------------------------------------------------------------------------------------

DIRECTORY = ["adapter=govreport", "policy.transport=plain"]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc", "FILE:///etc", "file:///{root}", "file:///{root}/cong/../..", "file:///{root}/cong/%2e%2e/%2e%2e/x",
        "file:///{root}x/cong", "file://host/{root}/cong",
    ],
)  # fmt: skip
def test_a_directory_lies_below_the_folder_of_directories_in_every_file(office: Office, url: str) -> None:
    url = url.format(root=str(office.home / "exchange").lstrip("/"))
    (office.home / "partners/cong.toml").write_text(
        PORTAL.replace("http://cong.example/a", url).replace("webportal", "govreport"), "utf-8"
    )
    with pytest.raises(ConfigurationFault) as refused:
        read_config(office.home / "hub.toml")
    assert {each.path for each in refused.value.mistakes} == {"partners/cong.toml: url"}


@pytest.mark.parametrize(
    "url", ["file:///etc", "file://{root}/khac", "file://{root}/cong/../khac", "file://{root}/congx"]
)
def test_a_page_sets_no_directory_but_the_partners_own(office: Office, program: Program, url: str) -> None:
    set_ = [*DIRECTORY, f"url={url.format(root=office.home / 'exchange')}"]
    problems = order(program, set=set_, unset=["settings.secret-file"])["problems"]
    assert {each["name"] for each in problems} == {"partners/cong.toml: url"}
    own = f"url=file://{office.home}/exchange/cong/out"
    assert order(program, set=[*DIRECTORY, own], unset=["settings.secret-file"])["applied"]
    assert office.live.config.partners["cong"].exchange == office.home / "exchange"


# --- a person with a shell --------------------------------------------------------------------------------------------


def test_a_command_may_keep_the_secret_but_names_no_path(office: Office) -> None:
    editor = PartnerEditor(office.home / "hub.toml")
    kept = editor.plan_order("cong", PartnerOrder(assignments=("url=http://moi.example",)), UnitIndex.of([]), NOW)
    assert kept.changes == ("url: http://cong.example/a → http://moi.example",)
    with pytest.raises(AssignmentUnfit):
        editor.plan_order(
            "cong", PartnerOrder(assignments=("settings.secret-file=pki/lookups.key",)), UnitIndex.of([]), NOW
        )


def test_the_path_of_a_file_of_before_still_works_and_check_says_where_it_belongs(office: Office) -> None:
    (office.home / "partners/cong.secret").write_text("before\n")
    (office.home / "partners/cong.toml").write_text(PORTAL.replace('"secret"', '"partners/cong.secret"'), "utf-8")
    assert secret(office.home) == "before"
    shown = homes.typing(office.home)("check").output
    assert "partners/cong.toml: settings.secret-file" in shown
    assert "secrets/cong/secret" in shown
    assert "partners/khac.toml: settings.secret-file" in shown, "others may read it"
    (office.home / "secrets/khac/secret").chmod(0o600)
    assert "partners/khac.toml: settings" not in homes.typing(office.home)("check").output
