"""`lienthong alerts`: shows the alerts to operators, acknowledges them, and tests the channels that tell of them."""

import time
from datetime import UTC, datetime

import click

from hub.cli import person
from hub.cli.journal import open_journal, read_journal_config, read_view_config
from hub.cli.screen import FAILED, NOT_FOUND, UNAVAILABLE, USAGE, CommandStop, Screen, exit_command, say, say_count, t
from hub.cli.words import say_value, say_word
from hub.keeping import alert_notices, hub_alerts
from hub.keeping.alert_notices import NoticeStanding, NoticeState
from hub.keeping.hub_alerts import HubAlert, HubAlertKey
from hub.monitoring.hub_alerts import texts
from hub.report.words import write_moment
from hub.store import transactions

#: Seconds between two looks at what became of a test.
_LOOK = 0.5


def list_hub_alerts(screen: Screen, ended: bool) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = hub_alerts.read_alerts(tx, ended=ended)
    columns = {
        "severity": t("severity"),
        "condition": t("condition"),
        "about": t("about"),
        "text": t("alert"),
        "since": t("since"),
        "ended": t("ended"),
        "acknowledged": t("acknowledged"),
    }
    if not ended:
        del columns["ended"]
    rows = [_write_json(each) if screen.json else _write_row(each) for each in found]
    if not screen.table(columns, rows) and not screen.json:
        screen.note(t("No alert is raised."))
    if any(each.raised and each.acknowledged_at is None for each in found):
        exit_command(FAILED)


def _write_row(alert: HubAlert) -> dict[str, object]:
    known = alert.acknowledged_at
    return {
        "severity": say_word("severity", alert.severity),
        "condition": alert.key.kind,
        "about": alert.key.about,
        "text": say(texts.describe_condition(alert.key.kind, alert.values)),
        "since": write_moment(alert.since),
        "ended": "" if alert.ended_at is None else write_moment(alert.ended_at),
        "acknowledged": "" if known is None else f"{alert.acknowledged_by}, {write_moment(known)}",
    }


def _write_json(alert: HubAlert) -> dict[str, object]:
    return {
        "condition": alert.key.kind,
        "about": alert.key.about,
        "node": alert.key.node,
        "severity": str(alert.severity),
        "text": say(texts.describe_condition(alert.key.kind, alert.values)),
        "values": dict(alert.values),
        "since": alert.since,
        "ended_at": alert.ended_at,
        "acknowledged_at": alert.acknowledged_at,
        "acknowledged_by": alert.acknowledged_by or None,
        "note": alert.acknowledged_note or None,
    }


def acknowledge(screen: Screen, condition: str | None, about: str | None, everything: bool, note: str) -> None:
    by = person.name_person()
    if everything == (condition is not None):
        raise click.UsageError(t("give CONDITION or --all"))
    with open_journal(read_journal_config(screen)) as engine, transactions.write_transaction(engine) as tx:
        chosen = [
            each.key
            for each in hub_alerts.read_alerts(tx, ended=False)
            if _fits_alert_filter(each.key, condition, about)
        ]
        if not chosen and condition is not None:
            raise CommandStop(t("no such alert is raised; `lienthong alerts list` shows those that are"), NOT_FOUND)
        now = datetime.now(UTC)
        done = hub_alerts.acknowledge_alerts(tx, chosen, by=by, note=note.strip(), now=now)
    for each in done:
        row = {"condition": each.key.kind, "about": each.key.about, "node": each.key.node, "by": by}
        screen.row(row, " ".join(filter(None, (each.key.kind, each.key.about))))
    screen.note(t("Alerts acknowledged: {count}.", count=say_count(len(done))))


def _fits_alert_filter(key: HubAlertKey, condition: str | None, about: str | None) -> bool:
    return condition in {None, key.kind} and about in {None, key.about}


def test_channels(screen: Screen, only: tuple[str, ...], wait: int) -> None:
    config = read_journal_config(screen)
    channels = [each for each in config.operator_alerts.channels if not only or each.partition(" ")[0] in only]
    if not channels:
        raise CommandStop(t("[alerts.operators] has no such channel"), USAGE)
    with open_journal(config) as engine:
        with transactions.write_transaction(engine) as tx:
            ids = alert_notices.add_test_notices(tx, channels, person.name_person(), datetime.now(UTC))
        until = time.monotonic() + wait
        while True:
            with transactions.read_transaction(engine) as tx:
                found: dict[str, NoticeStanding] = alert_notices.read_notices(tx, list(ids.values()))
            if all(_is_told(each) for each in found.values()) or time.monotonic() > until:
                break
            time.sleep(_LOOK)
    for each in (found[name] for name in ids.values()):
        state = (
            t("sent")
            if each.state is NoticeState.SENT
            else say_value("reason", each.reason) or t("no hub has sent it yet")
        )
        row = {"channel": each.channel, "state": str(each.state), "reason": each.reason or None}
        screen.row(row, f"{each.channel}: {state}")
    if any(not _is_told(each) for each in found.values()):
        exit_command(UNAVAILABLE)
    if any(each.state is not NoticeState.SENT for each in found.values()):
        exit_command(FAILED)


def _is_told(standing: NoticeStanding) -> bool:
    """Tell whether a first attempt has ended."""
    return bool(standing.reason) or standing.state in {"sent", "failed"}
