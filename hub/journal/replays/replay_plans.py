"""Keeps the plans of people to replay many deliveries: chooses their deliveries and queues them, step by step.

A plan is a row, and each delivery that it considered is a row of its own. Each function is one short step of one
transaction, so a plan for a million deliveries never holds the writer. The move of a delivery and the note that it was
queued are in one transaction: whenever a process is killed, the next step continues behind the last delivery that was
queued, and each chosen delivery is queued once. The plan is locked by the process that takes a step.

Knows the life of a plan. Does not know who takes the steps: the command line, or the service of a node.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import Delivery, DeliveryState, Event
from hub.journal import events
from hub.journal.replays import replay
from hub.journal.replays.plan_rows import (
    ReplayPlan,
    read_item_delivery,
    read_item_message,
    read_plan,
    read_plan_row,
    select_plan_items,
)
from hub.journal.replays.replay import PAGE, ChosenDeliveries, ReplayChoice
from hub.journal.replays.replay_rules import (
    ENDED,
    Exclusion,
    ItemState,
    PlanEvent,
    PlanState,
    choose_next_at,
    count_room,
    move_plan,
    name_exclusion,
)
from hub.journal.searching.message_filter import MessageFilter
from hub.partner.rate_limit import Rate
from hub.store import transactions
from hub.store.hot_statements import SetInsert
from hub.store.tables import closing, delivery
from hub.store.tables import replay_item as item
from hub.store.tables import replay_plan as table
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: How often the service of a node looks at the plans. Within this time a rate may be used up at once.
TICK = timedelta(seconds=1)
#: Deliveries of a plan with `stop_after` whose results are unknown, at most: beyond the errors that it allows, so many
#: more may still die.
AHEAD = 100

_INSERT = SetInsert(item)


class KeyReused(Exception):
    """The key of the order was given before, with another order."""


class SamePerson(Exception):
    """The plan must be approved by a person other than the one who made it."""


# --- orders -----------------------------------------------------------------------------------------------------------


def make_plan(
    tx: Transaction,
    choice: ReplayChoice,
    *,
    key: str,
    reason: str,
    by: str,
    now: datetime,
    goes: bool,
    rate: Rate | None = None,
    stop_after: int | None = None,
) -> ReplayPlan:
    """Record the order to replay what *choice* selects, and return its plan; for a known *key* the plan made with it.

    *goes*: it runs as soon as its deliveries are chosen; otherwise it waits for `start_plan`. Raises `KeyReused` if
    *key* stands for another order.
    """
    row = {
        "id": make_id(now),
        "key": key,
        "made_at": now,
        "made_by": by,
        "reason": reason,
        "chooses": choice.write(),
        "goes": goes,
        "state": PlanState.PLANNING,
        "changed_at": now,
        "changed_by": by,
        "rate": None if rate is None else str(rate),
        "stop_after": stop_after,
    }
    new = transactions.insert_missing_rows(tx, table, [row])
    plan = read_plan_row(tx.execute(sa.select(table).where(table.c.key == key)).mappings().one())
    if new:
        _tell_plan_event(tx, plan, now, by)
        transactions.notify_nodes(tx)
    elif (plan.made_by, plan.reason, _drop_end(plan.choice)) != (by, reason, _drop_end(choice)):
        raise KeyReused(key)
    return plan


def insert_correction_plan(
    tx: Transaction, packet: Mapping[str, Any], *, key: str, reason: str, by: str, now: datetime, goes: bool
) -> ReplayPlan:
    """Insert the plan of a correction and return it; if another process was faster with this *key*, its plan.

    *packet*: the columns that say what is corrected, with what, and for whom. *goes*: it runs at once; otherwise it waits
    for `start_plan`.
    """
    choice = ReplayChoice.of(MessageFilter(ids=(packet["corrects"],)), made_at=now)
    state = PlanState.RUNNING if goes else PlanState.PLANNED
    row = {"id": make_id(now), "key": key, "made_at": now, "made_by": by, "reason": reason, "chooses": choice.write()}
    row |= {"goes": goes, "state": state, "changed_at": now, "changed_by": by, **packet}
    new = transactions.insert_missing_rows(tx, table, [row])
    plan = read_plan_row(tx.execute(sa.select(table).where(table.c.key == key)).mappings().one())
    if new:
        _tell_plan_event(tx, plan, now, by)
        transactions.notify_nodes(tx)
    return plan


def _drop_end(choice: ReplayChoice) -> ReplayChoice:
    """Return *choice* without its end, which is the time of the order unless a person said an earlier one."""
    return attrs.evolve(choice, wanted=tuple(attrs.evolve(each, until=None) for each in choice.wanted))


def start_plan(tx: Transaction, plan_id: str, *, by: str, now: datetime, approve_over: int | None) -> ReplayPlan:
    """Run a planned plan; one of more than *approve_over* deliveries (None: any number) then awaits approval.

    A plan that was started before stays as it is. Raises `PlanUnmovable` if it was cancelled, and KeyError if there is
    none.
    """
    plan = _lock_plan(tx, plan_id)
    if plan.goes and plan.state is not PlanState.CANCELLED:
        return plan
    return _start_plan(tx, attrs.evolve(plan, goes=True), by, now, approve_over)


def _start_plan(tx: Transaction, plan: ReplayPlan, by: str, now: datetime, approve_over: int | None) -> ReplayPlan:
    if plan.state is PlanState.PLANNING:  # its deliveries are not all chosen: it will start then
        return _write_plan(tx, plan)
    over = approve_over is not None and plan.chosen > approve_over
    return _move_replay_plan(tx, plan, PlanEvent.AWAIT if over else PlanEvent.RUN, by, now)


def approve_plan(tx: Transaction, plan_id: str, *, by: str, now: datetime) -> ReplayPlan:
    """Run a plan that awaits approval. A plan that was approved before stays as it is.

    Raises `SamePerson`, `PlanUnmovable`, and KeyError if there is none.
    """
    plan = _lock_plan(tx, plan_id)
    if plan.approved_by is not None:
        return plan
    if plan.state is PlanState.AWAITING and _name_person(plan.made_by) == _name_person(by):
        raise SamePerson(by)
    return _move_replay_plan(tx, attrs.evolve(plan, approved_by=by, approved_at=now), PlanEvent.APPROVE, by, now)


def _name_person(by: str) -> str:
    """Return the person in *by*. A token acts for its owner (`OWNER/TOKEN`, hub.operations.accounts.tokens)."""
    return by.partition("/")[0].casefold()


def change_plan(tx: Transaction, plan_id: str, what: PlanEvent, *, by: str, now: datetime) -> ReplayPlan:
    """Pause, resume or cancel a plan (*what*). A plan that is already paused, running or cancelled stays as it is.

    Resuming a plan that errors stopped counts its errors anew. Raises `PlanUnmovable`, and KeyError if there is none.
    """
    plan = _lock_plan(tx, plan_id)
    already = {
        PlanEvent.PAUSE: PlanState.PAUSED,
        PlanEvent.RESUME: PlanState.RUNNING,
        PlanEvent.CANCEL: PlanState.CANCELLED,
    }
    if plan.state is already[what]:
        return plan
    if what is PlanEvent.RESUME and plan.state is PlanState.STOPPED:
        plan = attrs.evolve(plan, settled=plan.reached, errors=0)
    return _move_replay_plan(tx, plan, what, by, now)


# --- steps ------------------------------------------------------------------------------------------------------------


@attrs.frozen
class NextChoice:
    """The deliveries that a plan considers next, read before the step that records them."""

    cursor: str | None  #: the plan's cursor when they were read
    found: ChosenDeliveries


def choose_next(tx: Transaction, plan_id: str, routes: Routes, limit: int = PAGE) -> NextChoice | None:
    """Return the deliveries that a plan considers next; None if they are all chosen. Changes nothing.

    A search may take long, so it is done by a reader, not by the writer. What changes until the step is found out when
    the delivery is to be queued. Raises KeyError if there is no such plan.
    """
    plan = read_plan(tx, plan_id)
    if plan.state is not PlanState.PLANNING:
        return None
    return NextChoice(plan.cursor, replay.choose_deliveries(tx, plan.choice, routes, plan.cursor, limit))


def take_step(
    tx: Transaction,
    plan_id: str,
    routes: Routes,
    now: datetime,
    *,
    approve_over: int | None,
    limit: int = PAGE,
    chosen: NextChoice | None = None,
) -> ReplayPlan | None:
    """Take the next step of a plan: choose or queue its next deliveries, about *limit*. Return the plan after it.

    *chosen*: what `choose_next` has read for this step; without it, or if another process was faster, the step reads it
    itself. Returns None while another process is taking a step of the plan. A plan that is not active stays as it is.
    Raises KeyError if there is none.
    """
    plan = try_lock_plan(tx, plan_id)
    if plan is None:
        return None
    if plan.state is PlanState.PLANNING:
        if chosen is None or chosen.cursor != plan.cursor:
            found = replay.choose_deliveries(tx, plan.choice, routes, plan.cursor, limit)
        else:
            found = chosen.found
        return _record_chosen(tx, plan, found, now, approve_over)
    if plan.state is PlanState.RUNNING and plan.corrects is None:  # a correction is carried out by `corrections`
        return _queue_some(tx, plan, routes, now, limit)
    return plan


def list_archived_next(tx: Transaction, plan_id: str, limit: int) -> Sequence[str]:
    """Return the messages of the next *limit* deliveries of a running plan that must be brought back from archive files.

    Raises KeyError if there is no such plan.
    """
    plan = read_plan(tx, plan_id)
    if plan.state is not PlanState.RUNNING or plan.corrects is not None:
        return ()
    ids = dict.fromkeys(row["message_id"] for row in _read_next(tx, plan, limit))
    archived = replay.list_archived_messages(tx, ids)
    return [each for each in ids if each in archived]


def _record_chosen(
    tx: Transaction, plan: ReplayPlan, found: ChosenDeliveries, now: datetime, approve_over: int | None
) -> ReplayPlan:
    _insert_items(tx, plan, found)
    plan = _count_found(plan, found, _read_closed_day(tx))
    if found.last is not None:
        return _write_plan(tx, attrs.evolve(plan, cursor=found.last))
    plan = _move_replay_plan(tx, plan, PlanEvent.CHOOSE, plan.changed_by, now)
    return _start_plan(tx, plan, plan.made_by, now, approve_over) if plan.goes else plan


def _insert_items(tx: Transaction, plan: ReplayPlan, found: ChosenDeliveries) -> None:
    rows = [(each, None) for _, each in found.moves] + [(each.delivery, each.why) for each in found.excluded]
    rows.sort(key=lambda row: (row[0].message, row[0].id))
    _ = _INSERT.run(
        tx,
        [
            {
                "plan": plan.id,
                "number": number,
                "delivery": each.id,
                "message": each.message,
                "was": each.state,
                "reason": each.reason,
                "since": each.since,
                "state": ItemState.PLANNED if why is None else ItemState.EXCLUDED,
                "why": why,
            }
            for number, (each, why) in enumerate(rows, plan.items + 1)
        ],
    )


def _read_closed_day(tx: Transaction) -> date | None:
    """Return the last day of the latest closed month of any form."""
    found: date | None = tx.scalar(sa.select(sa.func.max(closing.c.last_day)))
    return found


def _count_found(plan: ReplayPlan, found: ChosenDeliveries, closed: date | None) -> ReplayPlan:
    """Return *plan* with what was *found* counted."""
    in_closed = sum(1 for each, _ in found.moves if closed is not None and find_local_day(each.received_at) <= closed)
    return attrs.evolve(
        plan,
        items=plan.items + len(found.moves) + len(found.excluded),
        chosen=plan.chosen + len(found.moves),
        delivered=plan.delivered + sum(1 for _, each in found.moves if each.state is DeliveryState.DELIVERED),
        closed=plan.closed + in_closed,
        octets=plan.octets + found.octets,
        partners=dict(Counter(plan.partners) + Counter(each.partner for _, each in found.moves)),
        left_out=dict(Counter(plan.left_out) + Counter(name_exclusion(each.why) for each in found.excluded)),
    )


def _queue_some(tx: Transaction, plan: ReplayPlan, routes: Routes, now: datetime, limit: int) -> ReplayPlan:
    before, most = plan, plan.stop_after
    if most is not None:
        plan, unknown, died = _see_results(tx, plan)
        if died >= most:
            return _move_replay_plan(tx, plan, PlanEvent.STOP, plan.changed_by, now)
        limit = min(limit, AHEAD - unknown)
    room = count_room(plan.rate, plan.next_at, now, limit, TICK)
    if room <= 0 and plan.waits:
        return plan if plan == before else _write_plan(tx, plan)
    rows = _read_next(tx, plan, max(room, 0))
    made = [(read_item_message(row), read_item_delivery(row)) for row in rows]
    unmoved = [
        pair for row, pair in zip(rows, made, strict=True) if (row["was"], row["chosen_since"]) == _mark_of(pair[1])
    ]
    judged = replay.judge_deliveries(tx, unmoved, routes, again=True)
    moved = replay.replay_deliveries(
        tx, [each for _, each in judged.moves], routes, reason=plan.reason, by=plan.made_by, now=now, plan=plan.id
    )
    why = {each.delivery.id: each.why for each in judged.excluded}
    _note_items(tx, plan, rows, {each.id for each in moved}, why, now)
    reached = rows[-1]["number"] if len(rows) == room else plan.items
    plan = attrs.evolve(
        plan,
        reached=reached,
        queued=plan.queued + len(moved),
        skipped=plan.skipped + len(rows) - len(moved),
        next_at=choose_next_at(plan.rate, plan.next_at, now, len(moved), TICK),
    )
    return _write_plan(tx, plan) if plan.waits else _move_replay_plan(tx, plan, PlanEvent.FINISH, plan.changed_by, now)


def _mark_of(found: Delivery) -> tuple[str, datetime]:
    """Return what tells whether a delivery was replayed, or died, since it was chosen."""
    return found.state, found.since


def _see_results(tx: Transaction, plan: ReplayPlan) -> tuple[ReplayPlan, int, int]:
    """Return the plan, how many results of its queued deliveries are unknown, and how many died again.

    Looks at the items behind `settled`, at most about `AHEAD`: all before have their result.
    """
    query = (
        sa.select(item.c.number, delivery.c.state)
        .join(delivery, delivery.c.id == item.c.delivery)
        .where(item.c.plan == plan.id, item.c.number > plan.settled, item.c.number <= plan.reached)
        .where(item.c.state == ItemState.QUEUED)
        .order_by(item.c.number)
    )
    settled, errors, unknown, died = plan.settled, plan.errors, 0, plan.errors
    for number, state in tx.execute(query):
        ended = state == DeliveryState.DELIVERED or state in ENDED
        unknown += not ended
        died += state in ENDED
        if not unknown:
            settled, errors = number, died
    return attrs.evolve(plan, settled=settled, errors=errors), unknown, died


def _read_next(tx: Transaction, plan: ReplayPlan, limit: int) -> Sequence[sa.RowMapping]:
    ours = (item.c.plan == plan.id, item.c.number > plan.reached, item.c.state == ItemState.PLANNED)
    return tx.execute(select_plan_items(*ours).limit(limit)).mappings().all()


def _note_items(
    tx: Transaction,
    plan: ReplayPlan,
    rows: Sequence[sa.RowMapping],
    moved: set[str],
    why: dict[str, str],
    now: datetime,
) -> None:
    """Write what became of the items *rows*."""
    ours = sa.update(item).where(item.c.plan == plan.id, item.c.number == sa.bindparam("of"))
    queued = [{"of": row["number"]} for row in rows if row["delivery_id"] in moved]
    if queued:
        tx.execute(ours.values(state=ItemState.QUEUED, queued_at=now), queued)
    others = [
        {"of": row["number"], "because": why.get(row["delivery_id"], str(Exclusion.MOVED))}
        for row in rows
        if row["delivery_id"] not in moved
    ]
    if others:
        tx.execute(ours.values(state=ItemState.LEFT, why=sa.bindparam("because")), others)


# --- rows -------------------------------------------------------------------------------------------------------------


def _lock_plan(tx: Transaction, plan_id: str) -> ReplayPlan:
    """Lock a plan and return it. In a transaction with other steps it raises `Occupied` instead of waiting."""
    transactions.lock_names(tx, {_name_lock(plan_id)})
    return read_plan(tx, plan_id)


def try_lock_plan(tx: Transaction, plan_id: str) -> ReplayPlan | None:
    """Lock a plan for a step and return it; None while another process takes a step. Raises KeyError if there is none."""
    locked = transactions.try_lock_names(tx, {_name_lock(plan_id)})
    plan = read_plan(tx, plan_id)
    return plan if locked else None


def move_correction(tx: Transaction, plan: ReplayPlan, what: PlanEvent, now: datetime) -> ReplayPlan:
    """Write a correction's locked *plan*, moved by *what*."""
    return _move_replay_plan(tx, plan, what, plan.changed_by, now)


def _name_lock(plan_id: str) -> str:
    return f"replay-plan {plan_id}"


def _write_plan(tx: Transaction, plan: ReplayPlan) -> ReplayPlan:
    """Write everything of *plan* that may change."""
    fixed = {"id", "key", "made_at", "made_by", "reason", "choice", "rate", "stop_after", "corrects", "given", "packet"}
    values = {field.name: getattr(plan, field.name) for field in attrs.fields(ReplayPlan) if field.name not in fixed}
    values |= {name: json.dumps(getattr(plan, name), ensure_ascii=False) for name in ("partners", "left_out")}
    tx.execute(sa.update(table).where(table.c.id == plan.id).values(values))
    return plan


def _move_replay_plan(tx: Transaction, plan: ReplayPlan, what: PlanEvent, by: str, now: datetime) -> ReplayPlan:
    moved = attrs.evolve(plan, state=move_plan(plan.state, what), changed_at=now, changed_by=by)
    _tell_plan_event(tx, moved, now, by)
    return _write_plan(tx, moved)


def _tell_plan_event(tx: Transaction, plan: ReplayPlan, now: datetime, by: str) -> None:
    said: dict[str, object] = {"plan": plan.id, "plan_state": str(plan.state), "by": by, "reason": plan.reason}
    if plan.state is not PlanState.PLANNING:
        said |= {"chosen": plan.chosen, "queued": plan.queued}
    events.append_events(tx, Event("replay-plan", now, None, None, said))
