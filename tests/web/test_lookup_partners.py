"""Partners that answer lookups: what keeps them from it is found before the hub runs, and said in Vietnamese too."""

import stat
from pathlib import Path

import pytest

from hub.config import read_config
from hub.domain.errors import ConfigurationFault
from hub.node.consistency import find_adapter_mistakes
from hub.security import encryption
from tests import homes
from tests.words import in_vietnamese

HEAD = 'url = "http://10.0.0.5/"\nadapter = "{adapter}"\nlookups = ["{operation}"]\n[policy]\ntransport = "plain"\n[settings]\n'
NGSP = HEAD.format(adapter="ngsp", operation="LookupEnterprise")
NGSP_SETTINGS = 'token-url = "https://api.ngsp.gov.vn/token"\nclient-id-file = "id"\nclient-secret-file = "id"\n'
DANCU = HEAD.format(adapter="dancu", operation="VerifyCitizen")
DANCU_SETTINGS = 'client = "VN:GOV:000.00.00.H55:truc"\nservice = "VN:GOV:000.00.00.G01:dancu:Xac"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory that `init` wrote."""
    home = homes.begin(tmp_path / "tinh")
    homes.lay_secret(home, "asked", "id", "x")
    return home


def wrong(home: Path, text: str) -> dict[str, str]:
    """Return what is wrong with a partner of that *text*, by its place."""
    (home / "partners/asked.toml").write_text(text, "utf-8")
    try:
        mistakes = list(find_adapter_mistakes(read_config(home / "hub.toml", {})))
    except ConfigurationFault as fault:
        mistakes = list(fault.mistakes)
    assert all(in_vietnamese(each.wrong) and in_vietnamese(each.expected) for each in mistakes), mistakes
    return {mistake.path.removeprefix("partners/asked.toml: "): str(mistake.wrong) for mistake in mistakes}


def test_init_writes_a_key_that_its_owner_alone_may_read(home: Path) -> None:
    config = read_config(home / "hub.toml", {})
    assert config.lookups is not None
    file = home / "pki/lookups.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert encryption.open_safe(file) == config.lookups.safe
    assert ("lookups.key-file", file) in config.secrets


def test_partners_that_are_set_up_are_right(home: Path) -> None:
    assert wrong(home, NGSP + NGSP_SETTINGS) == {}
    assert wrong(home, DANCU + DANCU_SETTINGS) == {}


def test_every_setting_that_is_missing_is_named(home: Path) -> None:
    missing = {"settings.token-url", "settings.client-id-file", "settings.client-secret-file"}
    assert set(wrong(home, NGSP)) == missing
    assert set(wrong(home, DANCU)) == {"settings.client", "settings.service"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (NGSP + NGSP_SETTINGS.replace("https:", "ftp:"), "settings.token-url"),
        (NGSP + NGSP_SETTINGS + 'category-path = "dmdc"\n', "settings.category-path"),
        (NGSP + NGSP_SETTINGS + 'order-path = "/order"\n', "settings.order-path"),
        (DANCU + DANCU_SETTINGS.replace(":truc", ""), "settings.client"),
        (DANCU + DANCU_SETTINGS.replace(":Xac", ""), "settings.service"),
        (NGSP.replace("LookupEnterprise", "LookupX") + NGSP_SETTINGS, "lookups"),
        (
            (NGSP + NGSP_SETTINGS).replace("[settings]", "").replace('"ngsp"', '"documents"').split("token-url")[0],
            "lookups",
        ),
    ],
)
def test_a_setting_that_does_not_fit_is_named(home: Path, text: str, place: str) -> None:
    assert set(wrong(home, text)) == {place}


def test_a_hub_without_a_key_for_what_it_keeps_answers_no_lookups(home: Path) -> None:
    hub = home / "hub.toml"
    hub.write_text(hub.read_text("utf-8").replace('key-file = "pki/lookups.key"', ""), "utf-8")
    assert wrong(home, NGSP + NGSP_SETTINGS) == {
        "hub.toml: lookups.key-file": "it is missing, and asked answers lookups"
    }
