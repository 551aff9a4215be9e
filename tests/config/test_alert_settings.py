"""`[alerts]`: through which mail system units are told what is due, and to which addresses."""

from datetime import date
from pathlib import Path

import pytest

from hub import config
from hub.domain.errors import ConfigurationFault
from tests import homes

PARTNER = """name = "Thư điện tử"
adapter = "mail"
receive = "push"
url = "smtp://mail.tinh.gov.vn"
[policy]
transport = "tls"
[settings]
from = "truc@tinh.gov.vn"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = homes.begin(tmp_path_factory.mktemp("alerts") / "tinh")
    (home / "partners" / "thudientu.toml").write_text(PARTNER)
    (home / "hub.toml").write_text((home / "hub.toml").read_text() + "\n[alerts]\n")
    return home


def read(home: Path, said: str, addresses: str = "H55.13,vt@so13.vn\n") -> config.Config:
    """Read the configuration with *said* in `[alerts]`."""
    (home / "alerts.csv").write_text(addresses)
    text = (home / "hub.toml").read_text().partition("\n[alerts]\n")[0]
    (home / "hub.toml").write_text(f"{text}\n[alerts]\n{said}\n")
    return config.read_config(home / "hub.toml")


def test_without_a_mail_system_nobody_is_told(home):
    assert read(home, "").alerts is None


def test_units_are_told_three_and_one_working_days_before_from_seven_on_and_once_a_week(home):
    addresses = "# đơn vị\nH55.13,vt@so13.vn\n\nH55.14, cu@so14.vn,,2026-07-01\nH55.14,moi@so14.vn,2026-07-01\n"
    found = read(home, 'through = "thudientu"\naddresses = "alerts.csv"', addresses).alerts
    assert found is not None
    assert (found.before, found.hour, found.weekly) == ((3, 1), 7, True)
    assert found.list_addresses(date(2026, 6, 30)) == {"H55.13": "vt@so13.vn", "H55.14": "cu@so14.vn"}
    assert found.list_addresses(date(2026, 7, 1)) == {"H55.13": "vt@so13.vn", "H55.14": "moi@so14.vn"}


@pytest.mark.parametrize(
    ("said", "addresses", "named"),
    [
        ('through = "thudientu"', "", "alerts.addresses"),
        ('through = "khong"\naddresses = "alerts.csv"', "", "alerts.through"),
        ('through = "sotttt"\naddresses = "alerts.csv"', "", "alerts.through"),
        ('through = "thudientu"\naddresses = "none.csv"', "", "alerts.addresses"),
        ('through = "thudientu"\naddresses = "alerts.csv"\nbefore = ["0"]', "", "alerts.before"),
        ('through = "thudientu"\naddresses = "alerts.csv"\nhour = 24', "", "alerts.hour"),
        ('through = "thudientu"\naddresses = "alerts.csv"', "H55.13;vt@so13.vn", "alerts.addresses"),
        ('through = "thudientu"\naddresses = "alerts.csv"', "H55.13,a b@so13.vn", "alerts.addresses"),
        (
            'through = "thudientu"\naddresses = "alerts.csv"',
            "H55.13,a@so13.vn,2026-07-01,2026-07-01",
            "alerts.addresses",
        ),
        ('through = "thudientu"\naddresses = "alerts.csv"', "H55.13,a@so13.vn\nH55.13,b@so13.vn", "alerts.addresses"),
        ('through = "thudientu"\naddresses = "alerts.csv"', "H55.13,a@so13.vn>\r", "alerts.addresses"),
    ],
)
def test_each_mistake_is_named_by_its_key(home, said, addresses, named):
    with pytest.raises(ConfigurationFault) as caught:
        read(home, said, addresses)
    assert [mistake.path for mistake in caught.value.mistakes] == [f"hub.toml: {named}"]
