"""`lienthong replay` and `lienthong give-up`: put dead deliveries back to waiting, and give up waiting ones.

Both print a plan first and need a reason.
"""

import getpass
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hub.cli.messages import add_filter_options, build_message_filter
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, command, pass_screen, say, say_count, t
from hub.language.phrases import phrase

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hub.domain.model import Delivery
    from hub.journal.queue.replay import ReplayPlan
    from hub.store.transactions import Transaction


#: What a row of a plan says of its delivery.
_ACTIONS = {
    "planned": phrase("planned"),
    "replayed": phrase("replayed"),
    "given up": phrase("given up"),
    "left": phrase("left alone"),
    "excluded": phrase("excluded"),
}


@command(
    "replay",
    t(
        "Replay dead deliveries. Prints the plan; --yes runs it.\n\nChoose messages by ID (the hub's or "
        "the sender's) or by filters. Bytes and message id stay the same, so neither the recipient nor "
        "the report counts a message twice."
    ),
    'lienthong replay --partner vpub --reason "máy chủ đã chạy lại"',
    'lienthong replay 0193… --recipient H55.01 --reason "đã sửa" --yes',
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@add_filter_options
@click.option("--recipient", help=t("Only deliveries to this unit."))
@click.option("--reason", required=True, help=t("Why; it is recorded."))
@click.option("--yes", is_flag=True, help=t("Run the plan."))
@pass_screen
def replay_dead_letters(
    screen: Screen, /, ids: tuple[str, ...], recipient: str | None, reason: str, yes: bool, **options: Any
) -> None:
    from hub.cli.journal import open_journal
    from hub.config import read_config
    from hub.domain.local_time import find_local_day
    from hub.journal import unit_registry
    from hub.journal.queue import replay as queue_replay
    from hub.store import transactions
    from hub.units.province import Province

    _check(ids, recipient, reason, options)
    config = read_config(screen.config)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            routes = Province.of(config, unit_registry.read_unit_index(tx, find_local_day(datetime.now(UTC)))).routes
            wanted = build_message_filter(tx, options, config, ids or None)
            plan = queue_replay.plan_replay(tx, wanted, routes.canonical(recipient) if recipient else None)

        def put_back(tx: "Transaction", some: "Sequence[Delivery]", now: datetime) -> "Sequence[Delivery]":
            return queue_replay.replay_deliveries(
                tx, some, routes, reason=reason.strip(), by=getpass.getuser(), now=now
            )

        moved = _carry_out(engine, plan, put_back) if yes else set()
    _show(screen, plan, moved, done="replayed", yes=yes)
    if not plan.moves:
        raise CommandStop(t("no dead delivery was chosen"), NOT_FOUND)
    if yes:
        screen.note(t("{count} deliveries replayed.", count=say_count(len(moved))))
    else:
        screen.note(
            t(
                "Plan: {count} deliveries, {octets} octets. Add --yes to run it.",
                count=say_count(len(plan.moves)),
                octets=say_count(plan.octets),
            ),
        )


@command(
    "give-up",
    t(
        "Give up waiting deliveries. Prints the plan; --yes runs it.\n\nThey become dead letters, as at "
        "the end of their give-up time; `lienthong replay` puts them back. Deliveries being sent are "
        "left alone."
    ),
    'lienthong give-up --partner vpub --until 2026-11-01 --reason "hệ thống cũ đã bỏ"',
    'lienthong give-up 0193… --reason "gửi nhầm" --yes',
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@add_filter_options
@click.option("--recipient", help=t("Only deliveries to this unit."))
@click.option("--reason", required=True, help=t("Why; it is recorded."))
@click.option("--yes", is_flag=True, help=t("Run the plan."))
@pass_screen
def give_up(
    screen: Screen, /, ids: tuple[str, ...], recipient: str | None, reason: str, yes: bool, **options: Any
) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.domain.local_time import find_local_day
    from hub.journal import unit_registry
    from hub.journal.queue import replay as queue_replay
    from hub.store import transactions

    _check(ids, recipient, reason, options)
    config = read_journal_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            unit = (
                unit_registry.resolve_unit_code(tx, recipient, find_local_day(datetime.now(UTC))) if recipient else None
            )
            plan = queue_replay.plan_give_up(tx, build_message_filter(tx, options, config, ids or None), unit)

        def let_die(tx: "Transaction", some: "Sequence[Delivery]", now: datetime) -> "Sequence[Delivery]":
            return queue_replay.give_up_deliveries(tx, some, reason=reason.strip(), by=getpass.getuser(), now=now)

        moved = _carry_out(engine, plan, let_die) if yes else set()
    _show(screen, plan, moved, done="given up", yes=yes)
    if not plan.moves:
        raise CommandStop(t("no waiting delivery was chosen"), NOT_FOUND)
    if yes:
        screen.note(t("{count} deliveries given up.", count=say_count(len(moved))))
    else:
        screen.note(
            t("Plan: {count} deliveries. Add --yes to run it.", count=say_count(len(plan.moves))),
        )


def _check(ids: tuple[str, ...], recipient: str | None, reason: str, options: Mapping[str, object]) -> None:
    if not reason.strip():
        raise click.UsageError(t("--reason must not be empty"))
    if not ids and not recipient and not any(value is not None for value in options.values()):
        raise click.UsageError(t("an ID or a filter is needed"))


def _carry_out(
    engine: "sa.Engine",
    plan: "ReplayPlan",
    move: "Callable[[Transaction, Sequence[Delivery], datetime], Sequence[Delivery]]",
) -> set[str]:
    """Move the planned deliveries in batches, so that a running hub never waits long. Return the ids of those moved."""
    from hub.journal.queue import replay as queue_replay
    from hub.store import transactions

    moved: set[str] = set()
    for begin in range(0, len(plan.moves), queue_replay.TOGETHER):
        some = [delivery for _, delivery in plan.moves[begin : begin + queue_replay.TOGETHER]]
        with transactions.write_transaction(engine) as tx:
            moved |= {delivery.id for delivery in move(tx, some, datetime.now(UTC))}
    return moved


def _show(screen: Screen, plan: "ReplayPlan", moved: set[str], *, done: str, yes: bool) -> None:
    rows: list[dict[str, object]] = [
        {
            "id": message.id,
            "message_id": message.message_id,
            "recipient": delivery.recipient,
            "partner": delivery.partner,
            "attempts": delivery.attempts,
            "reason": delivery.reason,
            "size": message.size,
            "action": done if delivery.id in moved else "left" if yes else "planned",
        }
        for message, delivery in plan.moves
    ]
    for each in plan.excluded:
        left = each.delivery
        rows.append(
            {"id": left.message, "recipient": left.recipient, "partner": left.partner, "reason": each.why}
            | {"attempts": left.attempts, "action": "excluded"}
        )
    columns = {
        "id": t("id"),
        "recipient": t("recipient"),
        "partner": t("partner"),
        "attempts": t("attempts"),
        "action": t("action"),
        "reason": t("reason"),
    }
    screen.table(columns, rows if screen.json else map(_say_row, rows))


def _say_row(row: "Mapping[str, object]") -> dict[str, object]:
    """Return a row of a plan as a person reads it."""
    from hub.cli.words import say_value, say_word

    why = row["reason"]
    # a delivery that is being sent cannot be given up; its state stands for the reason
    reason = say_word("delivery", why) if why == "sending" else say_value("reason", why)
    return {**row, "action": say(_ACTIONS[str(row["action"])]), "reason": reason}
