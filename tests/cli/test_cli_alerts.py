"""What an operator types about alerts: list them, acknowledge them, test how they are told."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.domain.alert_severity import AlertSeverity
from hub.keeping import alert_notices, hub_alerts
from hub.keeping.hub_alerts import ConditionRound, HubAlertKey, MetCondition, TransitionRules
from hub.store import transactions
from tests import homes
from tests.config.test_alert_settings import PARTNER
from tests.config.test_operator_alerts import KEY
from tests.homes import Type, engine_of
from tests.pages import DOCS, fenced, parts


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A hub with two alerts."""
    home = homes.begin(tmp_path / "tinh")
    met = [
        MetCondition(
            key=HubAlertKey("dead-letters", "vpub"),
            severity=AlertSeverity.ERROR,
            values={"partner": "vpub", "count": 3},
        ),
        MetCondition(
            key=HubAlertKey("disk-low", "/var/lib", "n"),
            severity=AlertSeverity.CRITICAL,
            values={"place": "/var/lib", "mebibytes": 12},
        ),
    ]
    found = ConditionRound(met=met, judged={each.key.kind for each in met}, node="n", shared=True)
    with transactions.write_transaction(engine_of(home)) as tx:
        hub_alerts.write_steps(tx, found, datetime.now(UTC), TransitionRules())
    return home


@pytest.fixture
def type_(home: Path) -> Type:
    return homes.typing(home)


def listed(type_: Type) -> list[dict[str, object]]:
    return [json.loads(line) for line in type_("alerts", "list", "--json").stdout.splitlines()]


def test_the_list_shows_the_gravest_first_and_exits_1_while_nobody_knows_of_one(type_):
    done = type_("alerts", "list", language="vi")
    assert done.exit_code == 1
    assert done.stdout.index("còn trống 12 MiB") < done.stdout.index("3 lượt chuyển lỗi")
    assert [row["condition"] for row in listed(type_)] == ["disk-low", "dead-letters"]
    assert listed(type_)[1]["text"] == "vpub: 3 dead letters"


def test_what_is_acknowledged_says_by_whom_and_why(type_):
    done = type_("alerts", "acknowledge", "dead-letters", "vpub", "--note", "vpub sửa chiều nay")
    assert (done.exit_code, done.stdout) == (0, "dead-letters vpub\n")
    row = listed(type_)[1]
    assert row["acknowledged_by"]
    assert row["note"] == "vpub sửa chiều nay"
    assert type_("alerts", "list").exit_code == 1
    assert type_("alerts", "acknowledge", "--all").exit_code == 0
    assert type_("alerts", "list").exit_code == 0
    kinds = [json.loads(line)["event"] for line in type_("events", "--json").stdout.splitlines()]
    assert kinds.count("hub-alert-acknowledged") == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [((), 2), (("dead-letters", "--all"), 2), (("dead-letters", "sotttt"), 4), (("chain-behind",), 4)],
)
def test_only_what_is_raised_is_acknowledged(type_, words, code):
    assert type_("alerts", "acknowledge", *words).exit_code == code


def test_without_a_channel_there_is_nothing_to_test(type_):
    assert type_("alerts", "test").exit_code == 2


@pytest.fixture
def told(home):
    """The hub has a channel."""
    (home / "hub.toml").write_text(
        (home / "hub.toml").read_text() + '\n[alerts.operators]\nsyslog = "udp://127.0.0.1"\n'
    )
    return home


def test_without_a_running_hub_a_test_is_not_sent(told, type_):
    done = type_("alerts", "test", "--wait", "0")
    assert (done.exit_code, done.stdout) == (69, "syslog: no hub has sent it yet\n")


def send_at_once(home: Path, monkeypatch: pytest.MonkeyPatch, reason: str = "") -> None:
    """Let a running hub send what is due while the command waits."""

    def send(_seconds: float) -> None:
        with transactions.write_transaction(engine_of(home)) as tx:
            while (batch := alert_notices.claim_batch(tx, "n", datetime.now(UTC))) is not None:
                alert_notices.end_batch(tx, batch, reason, datetime.now(UTC))

    monkeypatch.setattr("hub.cli.monitoring.alerts.time.sleep", send)


@pytest.mark.parametrize(("reason", "code", "said"), [("", 0, "sent"), ("cáp đứt", 1, "cáp đứt")])
def test_a_test_says_what_became_of_it(told, type_, monkeypatch, reason, code, said):
    send_at_once(told, monkeypatch, reason)
    done = type_("alerts", "test")
    assert (done.exit_code, done.stdout) == (code, f"syslog: {said}\n")


@pytest.mark.parametrize("page", ["howto/alerts.md", "vi/howto/alerts.md"])
def test_what_the_page_shows_is_a_configuration_and_its_commands_work(home, type_, monkeypatch, page):
    said = parts(DOCS / page)
    texts = "\n".join(said.values())
    (shown,) = fenced(texts, "toml")
    (home / "partners" / "thudientu.toml").write_text(PARTNER)
    (home / "webhook.key").write_text(KEY)
    (home / "webhook.key").chmod(0o600)
    (home / "hub.toml").write_text(f"{(home / 'hub.toml').read_text()}\n{shown}")
    send_at_once(home, monkeypatch)
    for line in "".join(fenced(texts, "sh")).splitlines():
        program, _, config, *words = shlex.split(line)
        assert (program, config) == ("lienthong", "tinh/hub.toml")
        done = type_(*words)
        assert done.exit_code == (1 if words == ["alerts", "list"] else 0), done.output
        if words == ["alerts", "test"]:
            assert done.stdout.splitlines() == ["mail truc@tinh.gov.vn: sent", "webhook: sent", "syslog: sent"]
