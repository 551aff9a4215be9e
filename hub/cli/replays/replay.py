"""`lienthong replay` and `lienthong give-up`: put dead deliveries back to waiting, and give up waiting ones.

Both print a plan first and need a reason. `lienthong replays` (hub.cli.replays.replays) shows and steers the plans that run.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any
from uuid import uuid4

import attrs
import click
import sqlalchemy as sa

from hub.cli import person
from hub.cli.audit.archive import say_absent
from hub.cli.journal import open_journal, read_journal_config
from hub.cli.message.messages import build_message_filter
from hub.cli.replays.correction import send_corrected
from hub.cli.replays.plan_rows import print_plan_rows
from hub.cli.screen import NOT_FOUND, PARTLY, CommandStop, Screen, say_count, t
from hub.config import Config, read_config
from hub.domain.local_time import find_local_day
from hub.domain.model import Delivery, Message
from hub.journal import unit_registry
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays import replay as queue_replay
from hub.journal.replays.plan_rows import PlannedItem, ReplayPlan
from hub.journal.replays.replay import ChosenDeliveries, ReplayChoice
from hub.journal.replays.replay_rules import PlanState
from hub.keeping.archive import restoring
from hub.keeping.archive.catalogue import ArchiveAbsent
from hub.partner.rate_limit import Rate
from hub.store import transactions
from hub.units.province import Province
from hub.units.routing import Routes

#: Seconds until the command looks again whether a running hub has taken the step that it was taking.
_AGAIN = 0.05

#: State of an item of a plan -> what its row says.
_ITEM_ACTIONS = {"planned": "planned", "queued": "replayed", "left": "left", "excluded": "excluded"}


def replay_dead_letters(
    screen: Screen,
    /,
    ids: tuple[str, ...],
    recipient: str | None,
    to: str | None,
    again: bool,
    corrected: IO[bytes] | None,
    reason: str,
    rate: Rate | None,
    stop_after: int | None,
    key: str | None,
    yes: bool,
    **options: Any,
) -> None:
    _check_replay_options(ids, recipient or to, reason, options)
    if corrected is not None:
        if len(ids) != 1 or recipient or to or again or rate or stop_after or any(each for each in options.values()):
            raise click.UsageError(
                t("--corrected goes with one ID and no filter, --to, --again, --rate or --stop-after")
            )
        send_corrected(screen, ids[0], corrected.read(), reason.strip(), key or str(uuid4()), yes=yes)
        return
    config, now = read_config(screen.config), datetime.now(UTC)
    if to is not None and to not in config.partners:
        raise CommandStop(t("there is no partner {code}", code=to), NOT_FOUND)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            routes = Province.of(config, unit_registry.read_unit_index(tx, find_local_day(now))).routes
            wanted = build_message_filter(tx, options, config, ids or None)
        unit = routes.canonical(recipient) if recipient else None
        choice = ReplayChoice.of(wanted, unit, to, again=again, made_at=now)
        if not yes:
            _show_plan(screen, engine, choice, routes)
            return
        order = _Order(key or str(uuid4()), reason.strip(), rate, stop_after)
        plan = _run_replay(screen, engine, choice, order, routes, config)
        with transactions.read_transaction(engine) as tx:
            _show_items(screen, tx, plan.id)
    _tell_replay(screen, plan)


@attrs.frozen
class _Order:
    """What the options say of the run."""

    key: str
    reason: str
    rate: Rate | None
    stop_after: int | None


def _show_plan(screen: Screen, engine: sa.Engine, choice: ReplayChoice, routes: Routes) -> None:
    """Print what would be queued. Changes nothing."""
    totals = _Totals()
    with transactions.read_transaction(engine) as tx:
        print_plan_rows(screen, totals.count(tx, choice, routes))
    if not totals.chosen:
        raise CommandStop(t("no delivery was chosen"), NOT_FOUND)
    screen.note(
        t(
            "Plan: {count} deliveries, {octets} octets. Add --yes to run it.",
            count=say_count(totals.chosen),
            octets=say_count(totals.octets),
        ),
    )
    if totals.delivered:
        screen.note(t("Delivered before: {count}. Reports count nothing twice.", count=say_count(totals.delivered)))


@attrs.define
class _Totals:
    """Counts the deliveries of a plan while they are printed."""

    chosen: int = 0
    delivered: int = 0
    octets: int = 0

    def count(self, tx: sa.Connection, choice: ReplayChoice, routes: Routes) -> Iterator[dict[str, object]]:
        """Yield the row of each delivery."""
        after: str | None = None
        while True:
            found = queue_replay.choose_deliveries(tx, choice, routes, after)
            self.chosen += len(found.moves)
            self.delivered += sum(1 for _, each in found.moves if each.state == "delivered")
            self.octets += found.octets
            yield from _list_rows(found, set(), done="", yes=False)
            if found.last is None:
                return
            after = found.last


def _run_replay(
    screen: Screen,
    engine: sa.Engine,
    choice: ReplayChoice,
    order: _Order,
    routes: Routes,
    config: Config,
) -> ReplayPlan:
    """Record the order, choose its deliveries and queue them; a running hub goes on with what takes long.

    If this process is killed, the running hub goes on with all of it.
    """
    with transactions.write_transaction(engine) as tx:
        try:
            plan = replay_plans.make_plan(
                tx,
                choice,
                key=order.key,
                reason=order.reason,
                by=person.name_person(),
                now=datetime.now(UTC),
                goes=True,
                rate=order.rate,
                stop_after=order.stop_after,
            )
        except replay_plans.KeyReused:
            raise CommandStop(t("the key {key} was given before, with another order", key=order.key)) from None
    ours = {PlanState.PLANNING} | ({PlanState.RUNNING} if order.rate is None and order.stop_after is None else set())
    while plan.state in ours:
        chosen = None
        if plan.state is PlanState.PLANNING:
            with transactions.read_transaction(engine) as tx:
                chosen = replay_plans.choose_next(tx, plan.id, routes)
        else:
            _bring_back(screen, engine, plan, queue_replay.TOGETHER, config)
        with transactions.write_transaction(engine) as tx:
            now = datetime.now(UTC)
            limit, approve_over = queue_replay.TOGETHER, config.replay.approve_over
            after = replay_plans.take_step(
                tx, plan.id, routes, now, approve_over=approve_over, limit=limit, chosen=chosen
            )
        if after is None:
            time.sleep(_AGAIN)
            with transactions.read_transaction(engine) as tx:
                after = plan_rows.read_plan(tx, plan.id)
        plan = after
    return plan


def _bring_back(screen: Screen, engine: sa.Engine, plan: ReplayPlan, limit: int, config: Config) -> None:
    """Bring the messages of the next *limit* deliveries back from archive files. One whose file is away is left alone."""
    with transactions.read_transaction(engine) as tx:
        found = replay_plans.list_archived_next(tx, plan.id, limit)
    for each in found:
        with transactions.read_transaction(engine) as tx:
            entry = restoring.find_archive_entry(tx, each)
        if entry is None:
            continue  # the running hub was faster
        now = datetime.now(UTC)
        try:
            for step in restoring.restore_steps(entry, each, config.archive, by=plan.made_by, plan=plan.id, now=now):
                with transactions.write_transaction(engine) as tx:
                    step(tx)
        except ArchiveAbsent as absent:
            screen.note(f"{each}: {say_absent(absent, config)}")


def _show_items(screen: Screen, tx: sa.Connection, plan_id: str) -> None:
    print_plan_rows(screen, map(make_item_row, plan_rows.iterate_items(tx, plan_id)))


def make_item_row(item: PlannedItem) -> dict[str, object]:
    """Return what `replay --json` says of one delivery of a plan."""
    row = _make_row(item.message, item.delivery, _ITEM_ACTIONS[item.state])
    row["reason"] = item.why if item.why is not None else item.was_reason
    return row


def _tell_replay(screen: Screen, plan: ReplayPlan) -> None:
    """Say what happened: what is queued is not sent yet."""
    if not plan.chosen:
        raise CommandStop(t("no delivery was chosen"), NOT_FOUND)
    count, name = say_count(plan.queued), plan.id
    match plan.state:
        case "awaiting":
            screen.note(
                t(
                    "Plan {name}: {count} deliveries await the approval of another person: "
                    "lienthong replays approve {name}",
                    name=name,
                    count=say_count(plan.chosen),
                )
            )
            raise click.exceptions.Exit(PARTLY)
        case "done":
            screen.note(
                t(
                    "{count} deliveries queued. What becomes of them: lienthong replays show {name}",
                    count=count,
                    name=name,
                )
            )
        case _:
            screen.note(
                t(
                    "The running hub queues {chosen} deliveries: lienthong replays show {name}",
                    chosen=say_count(plan.chosen),
                    name=name,
                )
            )


def give_up(
    screen: Screen, /, ids: tuple[str, ...], recipient: str | None, reason: str, yes: bool, **options: Any
) -> None:
    _check_replay_options(ids, recipient, reason, options)
    config = read_journal_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            unit = (
                unit_registry.resolve_unit_code(tx, recipient, find_local_day(datetime.now(UTC))) if recipient else None
            )
            plan = queue_replay.plan_give_up(tx, build_message_filter(tx, options, config, ids or None), unit)
        moved = _give_up_all(engine, [delivery for _, delivery in plan.moves], reason.strip()) if yes else set()
    print_plan_rows(screen, _list_rows(plan, moved, done="given up", yes=yes))
    if not plan.moves:
        raise CommandStop(t("no waiting delivery was chosen"), NOT_FOUND)
    if yes:
        screen.note(t("{count} deliveries given up.", count=say_count(len(moved))))
    else:
        screen.note(
            t("Plan: {count} deliveries. Add --yes to run it.", count=say_count(len(plan.moves))),
        )


def _check_replay_options(
    ids: tuple[str, ...], narrowed: str | None, reason: str, options: Mapping[str, object]
) -> None:
    if not reason.strip():
        raise click.UsageError(t("--reason must not be empty"))
    if not ids and not narrowed and not any(value is not None for value in options.values()):
        raise click.UsageError(t("an ID or a filter is needed"))


def _give_up_all(engine: sa.Engine, waiting: Sequence[Delivery], reason: str) -> set[str]:
    """Give up deliveries in batches, so that a running hub never waits long. Return the ids of those that moved."""
    moved: set[str] = set()
    for begin in range(0, len(waiting), queue_replay.TOGETHER):
        some = waiting[begin : begin + queue_replay.TOGETHER]
        with transactions.write_transaction(engine) as tx:
            done = queue_replay.give_up_deliveries(
                tx, some, reason=reason, by=person.name_person(), now=datetime.now(UTC)
            )
        moved |= {delivery.id for delivery in done}
    return moved


def _list_rows(plan: ChosenDeliveries, moved: set[str], *, done: str, yes: bool) -> Iterator[dict[str, object]]:
    """Yield the row of each delivery of *plan*, the excluded ones last."""
    for message, delivery in plan.moves:
        yield _make_row(message, delivery, done if delivery.id in moved else "left" if yes else "planned")
    for each in plan.excluded:
        yield _make_row(each.message, each.delivery, "excluded") | {"reason": each.why}


def _make_row(message: Message, delivery: Delivery, action: str) -> dict[str, object]:
    return {
        "id": message.id,
        "message_id": message.message_id,
        "recipient": delivery.recipient,
        "partner": delivery.partner,
        "attempts": delivery.attempts,
        "reason": delivery.reason,
        "size": message.size,
        "action": action,
        "state": str(delivery.state),
    }
