"""`[alerts.operators]`: through which channels operators are told, when, and of what."""

from datetime import time, timedelta
from pathlib import Path

import pytest

from hub import config
from hub.config.alerting.operator_alerts import AlertLimits, OperatorAlertSettings, QuietHours
from hub.domain.alert_severity import AlertSeverity
from hub.domain.errors import ConfigurationFault
from tests import homes
from tests.config.test_alert_settings import PARTNER

KEY = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = homes.begin(tmp_path_factory.mktemp("operators") / "tinh")
    (home / "partners" / "thudientu.toml").write_text(PARTNER)
    (home / "hook.key").write_text(KEY + "\n")
    (home / "hook.key").chmod(0o600)
    (home / "short.key").write_text("whsec_YWJj")
    (home / "hub.toml").write_text((home / "hub.toml").read_text() + "\n[alerts]\n")
    return home


def read(home: Path, said: str, above: str = 'through = "thudientu"') -> config.Config:
    """Read the configuration with *said* in `[alerts.operators]`."""
    text = (home / "hub.toml").read_text().partition("\n[alerts]\n")[0]
    (home / "hub.toml").write_text(f"{text}\n[alerts]\n{above}\n[alerts.operators]\n{said}\n")
    return config.read_config(home / "hub.toml")


def test_without_settings_alerts_are_kept_and_sent_nowhere(home):
    assert read(home, "", "").operator_alerts == OperatorAlertSettings()
    assert OperatorAlertSettings().channels == ()


def test_each_channel_has_its_settings(home):
    said = """mail = ["truc@tinh.vn", "an@tinh.vn"]
webhook = "https://canhbao.tinh.vn/hub"
webhook-key-file = "hook.key"
syslog = "tls://[2001:db8::1]"
language = "en"
least = "error"
quiet = "21:30-06:00"
quiet-least = "error"
remind = "4h"
waiting = "30m"
disk = "512MiB"
closing-days = 5"""
    found = read(home, said)
    told = found.operator_alerts
    assert told.channels == ("mail truc@tinh.vn", "mail an@tinh.vn", "webhook", "syslog")
    assert told.webhook is not None
    assert (told.webhook.url, len(told.webhook.key)) == ("https://canhbao.tinh.vn/hub", 24)
    assert ("alerts.operators.webhook-key-file", home / "hook.key") in found.secrets
    assert told.syslog is not None
    assert (told.syslog.transport, told.syslog.host, told.syslog.port) == ("tls", "2001:db8::1", 6514)
    assert told.quiet == QuietHours(begin=time(21, 30), end=time(6), least=AlertSeverity.ERROR)
    assert (told.language, told.least, told.remind) == ("en", AlertSeverity.ERROR, timedelta(hours=4))
    limits = AlertLimits(waiting=timedelta(minutes=30), disk=512 << 20, closing=timedelta(days=5))
    assert told.limits == limits
    assert found.alerts is not None
    assert found.alerts.addresses == (), "units get no mail"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ('mail = ["không phải"]', "mail"),
        (f"mail = {[f'a{number}@tinh.vn' for number in range(21)]}", "mail"),
        ('webhook = "http://canhbao.tinh.vn/"\nwebhook-key-file = "hook.key"', "webhook"),
        ('webhook = "https://u:p@tinh.vn/"\nwebhook-key-file = "hook.key"', "webhook"),
        ('webhook = "https://tinh.vn/"', "webhook-key-file"),
        ('webhook = "https://tinh.vn/"\nwebhook-key-file = "short.key"', "webhook-key-file"),
        ('webhook = "https://tinh.vn/"\nwebhook-key-file = "none.key"', "webhook-key-file"),
        ('webhook-key-file = "hook.key"', "webhook"),
        ('syslog = "https://tinh.vn"', "syslog"),
        ('syslog = "udp://tinh.vn:70000"', "syslog"),
        ('quiet = "21-6"', "quiet"),
        ('quiet = "06:00-06:00"', "quiet"),
        ('least = "nặng"', "least"),
        ('remind = "1s"', "remind"),
        ('waiting = "lâu"', "waiting"),
        ('ca = "pki/hub.crt"', "ca"),
        ("closing-days = 0", "closing-days"),
        ('webhok = "https://tinh.vn/"', "webhok"),
    ],
)
def test_a_mistake_is_named(home, said, named):
    with pytest.raises(ConfigurationFault) as fault:
        read(home, said, 'through = "thudientu"' if named == "mail" else "")
    assert [each.path for each in fault.value.mistakes] == [f"hub.toml: alerts.operators.{named}"]


def test_mail_needs_a_mail_system(home):
    with pytest.raises(ConfigurationFault) as fault:
        read(home, 'mail = ["truc@tinh.vn"]', "")
    assert [each.path for each in fault.value.mistakes] == ["hub.toml: alerts.operators.mail"]


def test_a_reload_says_that_they_changed(home):
    old, new = read(home, "", ""), read(home, 'mail = ["truc@tinh.vn"]')
    assert "~ alerts.operators" in config.describe_config_changes(old, new)
    assert KEY not in repr(read(home, 'webhook = "https://tinh.vn/"\nwebhook-key-file = "hook.key"', ""))
