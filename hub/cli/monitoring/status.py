"""`lienthong status`: the overview of the exchange in a terminal. Counts nothing itself (`hub.monitoring.overview`)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from hub.cli.journal import open_journal, read_view_config
from hub.cli.monitoring.repeating import EVERY, is_terminal, repeat
from hub.cli.screen import PARTLY, UNAVAILABLE, Screen, exit_command, say, say_count, t
from hub.cli.words import say_word
from hub.config import Config
from hub.journal.queue.partner_state import Pause
from hub.language.durations import describe_age
from hub.language.phrases import phrase
from hub.language.terms import describe_reason
from hub.monitoring import overview
from hub.monitoring.keys.rotation import RotationStep, find_next_step
from hub.monitoring.overview import BoundedCount, ExchangeRate, Overview, PartnerOverview
from hub.report.words import write_moment
from hub.store import transactions

ROTATION_STEPS = {"announce": phrase("announce"), "switch": phrase("switch"), "retire": phrase("retire")}

#: The keys of the counts of deliveries, in `--json` and as columns, by the state that they count.
_COUNTED = {
    "waiting": phrase("waiting"),
    "held": phrase("held"),
    "suspended": phrase("suspended"),
    "dead": phrase("dead"),
}


def show_status(screen: Screen, watch: bool, every: float | None) -> None:
    if every is not None and not watch:
        raise click.UsageError(t("--every needs --watch"))
    if watch and every is None and not is_terminal():
        raise click.UsageError(t("the output is not a terminal: say with --every how often to print"))
    config = read_view_config(screen)

    def measure() -> Overview:
        with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
            return overview.measure_overview(tx, config.partners, datetime.now(UTC))

    def step() -> None:
        found = measure()
        if is_terminal() and not screen.json:
            click.clear()
        _print_status(screen, config, found)

    if watch:
        repeat(step, every or EVERY)
        return
    found = measure()
    _print_status(screen, config, found)
    if found.concerns:
        exit_command(PARTLY if found.nodes else UNAVAILABLE)


def _print_status(screen: Screen, config: Config, found: Overview) -> None:
    if screen.json:
        for fields in _list_fields(config, found):
            screen.row(fields, "")
        return
    click.echo(_say_hub(config, found))
    for line in (*_list_pending_restarts(found), *_list_awaited(found), *_list_rotation(config)):
        click.echo(line)
    titles = {
        "code": t("partner"),
        **{key: say(title) for key, title in _COUNTED.items()},
        "refused": t("refused today"),
        "oldest": t("oldest waits"),
        "breaker": t("breaker"),
        "link": t("link"),
        "days_left": t("certificate days left"),
        "concerns": t("needs attention"),
    }
    rows = [_make_row(each, found) for each in found.partners]
    screen.table(titles, rows)
    if found.strangers.number:
        screen.note(
            t("Calls refused today of callers that are no partner: {count}", count=_say_bounded(found.strangers))
        )
    if not found.nodes:
        said = t("none has told of itself lately: it was stopped, or cannot write; see `lienthong doctor`")
        screen.note(f"{say_word('concern', 'no-node')}: {said}")


def _say_hub(config: Config, found: Overview) -> str:
    return t(
        "{name} · {time} · nodes that run: {nodes} · a minute: {accepted} received, {refused} refused, {delivered} delivered",
        name=config.name,
        time=write_moment(found.at),
        nodes=say_count(found.nodes),
        accepted=_say_rate(found.accepted),
        refused=_say_rate(found.refused),
        delivered=_say_rate(found.delivered),
    )


def _list_pending_restarts(found: Overview) -> Iterator[str]:
    """Yield a line for each node that must be restarted."""
    for name, pending in found.restarts.items():
        assert pending.since is not None
        yield t(
            "{node} must be restarted: {settings} changed {since}",
            node=name,
            settings=", ".join(pending.settings),
            since=write_moment(pending.since),
        )


def _list_awaited(found: Overview) -> Iterator[str]:
    """Yield a line if messages with a receipt are missing."""
    if found.awaited.number:
        yield t("{count} messages with a receipt are missing; ask for them again", count=_say_bounded(found.awaited))


def _list_rotation(config: Config) -> Iterator[str]:
    """Yield a line if the hub's certificate is being changed."""
    step, due = find_next_step(config.rotation)
    if step is not RotationStep.ANNOUNCE:
        day = t("at any time") if due is None else f"{due:%d/%m/%Y}"
        yield t(
            "The hub's certificate is being changed: `lienthong keys rotate` is due {day} ({step})",
            day=day,
            step=say(ROTATION_STEPS[step]),
        )


def _read_rotation_fields(config: Config) -> dict[str, object] | None:
    step, due = find_next_step(config.rotation)
    return None if step is RotationStep.ANNOUNCE else {"step": step, "due": due}


def _say_rate(rate: ExchangeRate) -> str:
    return ("≈ " if rate.estimated else "") + say_count(rate.number)


def _say_bounded(count: BoundedCount) -> str:
    return say_count(count.number) + ("+" if count.more else "")


def _make_row(partner: PartnerOverview, found: Overview) -> dict[str, object]:
    counts: dict[str, Any] = {str(state): each.count for state, each in partner.deliveries.items()}
    refused = (partner.refused_messages, partner.refused_calls)
    return {
        "code": partner.code,
        **{key: _say_bounded(counts[key]) for key in _COUNTED},
        "refused": " + ".join(_say_bounded(each) for each in refused if each.number) or "0",
        "oldest": "" if partner.oldest is None else _say_age((found.at - partner.oldest).total_seconds()),
        "breaker": _say_pause(partner.pause)
        if partner.pause
        else say_word("breaker", partner.standing.breaker.position),
        "link": "" if partner.link is None else say_word("link", partner.link.state),
        "days_left": partner.days_left,
        "concerns": ", ".join(say_word("concern", each) for each in partner.concerns),
    }


def _say_pause(pause: Pause) -> str:
    return t("paused by {by}: {reason}", by=pause.by, reason=say(describe_reason(pause.reason)))


def _say_age(seconds: float) -> str:
    """Return a duration in its largest unit: `40 s`, `12 min`, `5 h`, `3 d`."""
    return say(describe_age(seconds))


def _list_fields(config: Config, found: Overview) -> Iterator[dict[str, object]]:
    """Yield the object of the hub, then one for each partner."""
    counts = {"strangers_refused_today": found.strangers, "awaited_receipts": found.awaited}
    yield {
        "kind": "hub",
        "name": config.name,
        "at": found.at,
        "nodes": found.nodes,
        "accepted_per_minute": found.accepted.number,
        "refused_per_minute": found.refused.number,
        "delivered_per_minute": found.delivered.number,
        "estimated": found.accepted.estimated,
        **{key: count.number for key, count in counts.items()},
        "more": [key for key, count in counts.items() if count.more],
        "concerns": list(found.concerns),
        "rotation": _read_rotation_fields(config),
        "restarts": [
            {"node": name, "settings": list(pending.settings), "since": pending.since}
            for name, pending in found.restarts.items()
        ],
    }
    for partner in found.partners:
        yield _list_partner_fields(partner)


def _list_partner_fields(partner: PartnerOverview) -> dict[str, object]:
    breaker, pause, link = partner.standing.breaker, partner.pause, partner.link
    counts = {str(state): each.count for state, each in partner.deliveries.items()}
    counts |= {"refused_today": partner.refused_messages, "calls_refused_today": partner.refused_calls}
    return {
        "kind": "partner",
        "code": partner.code,
        "name": partner.name,
        "receive": partner.receive,
        **{key: count.number for key, count in counts.items()},
        "more": [key for key, count in counts.items() if count.more],
        "oldest_since": partner.oldest,
        "breaker": breaker.position,
        "breaker_until": breaker.until,
        "breaker_reason": breaker.reason,
        "paused": None if pause is None else {"at": pause.at, "by": pause.by, "reason": pause.reason},
        "link": None if link is None else link.state,
        "link_reason": None if link is None else link.reason,
        "certificate_days_left": partner.days_left,
        "concerns": list(partner.concerns),
    }
