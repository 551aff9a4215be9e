"""Replay plans and their items as the journal keeps them: read, listed, written; not how a plan goes on."""

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Delivery, DeliveryState, Message
from hub.journal.queue.deliveries import read_delivery_row
from hub.journal.replays.replay import PAGE, ReplayChoice
from hub.journal.replays.replay_rules import ACTIVE, ItemState, PlanState
from hub.journal.searching import message_reading
from hub.partner.rate_limit import Rate
from hub.store.hot_statements import HotStatement
from hub.store.tables import delivery, message
from hub.store.tables import replay_item as item
from hub.store.tables import replay_plan as table
from hub.store.transactions import Transaction

#: Plans that are looked at to find those of a person who is limited to some partners or units.
LOOKED_AT = 1_000
_ACTIVE = HotStatement(sa.select(table.c.id).where(table.c.state.in_(list(ACTIVE))).order_by(table.c.id))


@attrs.frozen(kw_only=True)
class ReplayPlan:
    """A plan, without its deliveries."""

    id: str
    key: str
    made_at: datetime
    made_by: str
    reason: str
    choice: ReplayChoice
    goes: bool  #: it runs as soon as its deliveries are chosen
    state: PlanState
    changed_at: datetime
    changed_by: str
    approved_at: datetime | None
    approved_by: str | None
    rate: Rate | None
    stop_after: int | None
    next_at: datetime | None
    cursor: str | None
    items: int  #: deliveries that were considered
    chosen: int
    delivered: int  #: chosen ones that were delivered before
    closed: int  #: chosen ones whose message was received in a month that is closed
    octets: int  #: total size of the messages of the chosen deliveries
    partners: dict[str, int]  #: chosen deliveries by partner
    left_out: dict[str, int]  #: excluded deliveries by reason: a word of `Exclusion`, or `stopped`
    reached: int  #: all items up to this number are queued, left or excluded
    queued: int
    skipped: int  #: chosen deliveries that were left alone, because they had changed
    settled: int
    errors: int
    corrects: str | None  #: of a correction: hub id of the original. Such a plan has no deliveries of its own
    given: str | None  #: of a correction: SHA-256 of the octets that the person gave
    packet: str | None  #: of a correction: SHA-256 of the octets that are sent, signed by the hub
    corrected: str | None  #: of a correction: hub id of the corrected message, once it is recorded

    @property
    def waits(self) -> int:
        """Return the number of chosen deliveries that are not queued yet."""
        return self.chosen - self.queued - self.skipped


@attrs.frozen(kw_only=True)
class PlannedItem:
    """One delivery of a plan, with the state that it had and the one that it has now."""

    number: int
    message: Message
    delivery: Delivery
    was: DeliveryState
    was_reason: str | None
    state: ItemState
    why: str | None
    queued_at: datetime | None


def select_plan_items(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the query of items with their deliveries (`delivery_…`) and messages (`message_…`)."""
    made = [column.label(f"delivery_{column.name}") for column in delivery.c]
    sent = [message.c[field.name].label(f"message_{field.name}") for field in attrs.fields(Message)]
    return (
        sa.select(
            item.c.number, item.c.was, item.c.reason, item.c.since.label("chosen_since"), item.c.state, item.c.why
        )
        .add_columns(item.c.queued_at, *made, *sent)
        .join(delivery, delivery.c.id == item.c.delivery)
        .join(message, message.c.id == item.c.message)
        .where(*where)
        .order_by(item.c.number)
    )


def read_item_delivery(row: sa.RowMapping) -> Delivery:
    return read_delivery_row({column.name: row[f"delivery_{column.name}"] for column in delivery.c})


def read_item_message(row: sa.RowMapping) -> Message:
    return message_reading.read_message_row(
        {field.name: row[f"message_{field.name}"] for field in attrs.fields(Message)}
    )


# --- what people read -------------------------------------------------------------------------------------------------


def read_plan(tx: Transaction, plan_id: str) -> ReplayPlan:
    """Return the plan with this id. Raises KeyError if there is none."""
    row = tx.execute(sa.select(table).where(table.c.id == plan_id)).mappings().first()
    if row is None:
        raise KeyError(plan_id)
    return read_plan_row(row)


def find_plan(tx: Transaction, *where: sa.ColumnElement[bool]) -> ReplayPlan | None:
    """Return the first plan that meets the conditions *where*, or None."""
    row = tx.execute(sa.select(table).where(*where).order_by(table.c.id).limit(1)).mappings().first()
    return None if row is None else read_plan_row(row)


def list_plans(tx: Transaction, limit: int, before: str | None = None) -> list[ReplayPlan]:
    """Return the plans made before the plan *before*, newest first, at most *limit*."""
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [read_plan_row(row) for row in tx.execute(query).mappings()]


def list_plans_within(
    tx: Transaction,
    limit: int,
    before: str | None,
    units: Collection[str] | None,
    partners: Collection[str] | None,
) -> list[ReplayPlan]:
    """Return those of the plans that concern only these *units* and *partners* (`ReplayChoice.is_within`).

    Looks at the newest `LOOKED_AT` plans at most.
    """
    if units is None and partners is None:
        return list_plans(tx, limit, before)
    looked_at = list_plans(tx, LOOKED_AT, before)
    return list(islice((plan for plan in looked_at if plan.choice.is_within(units, partners)), limit))


def list_active_plans(tx: Transaction) -> list[str]:
    """Return the ids of the plans for which there is work to do, oldest first."""
    return [row.id for row in _ACTIVE.read(tx, {})]


def count_results(tx: Transaction, plan_id: str) -> dict[str, int]:
    """Return how many deliveries that a plan queued are now in each state. Reads each of them."""
    query = (
        sa.select(delivery.c.state, sa.func.count().label("found"))
        .select_from(item)
        .join(delivery, delivery.c.id == item.c.delivery)
        .where(item.c.plan == plan_id, item.c.state == ItemState.QUEUED)
        .group_by(delivery.c.state)
    )
    return {row.state: row.found for row in tx.execute(query)}


def list_items(
    tx: Transaction, plan_id: str, after: int = 0, limit: int = PAGE, now: DeliveryState | None = None
) -> list[PlannedItem]:
    """Return the deliveries of a plan behind number *after*, at most *limit*.

    With *now* only those that the plan queued and that are in this state now; this may read each of them.
    """
    ours = [item.c.plan == plan_id, item.c.number > after]
    if now is not None:
        ours += [item.c.state == ItemState.QUEUED, delivery.c.state == now]
    return [
        PlannedItem(
            number=row["number"],
            message=read_item_message(row),
            delivery=read_item_delivery(row),
            was=DeliveryState(row["was"]),
            was_reason=row["reason"],
            state=ItemState(row["state"]),
            why=row["why"],
            queued_at=row["queued_at"],
        )
        for row in tx.execute(select_plan_items(*ours).limit(limit)).mappings()
    ]


def iterate_items(tx: Transaction, plan_id: str, now: DeliveryState | None = None) -> Iterator[PlannedItem]:
    """Yield the deliveries of a plan as `list_items`, `PAGE` with each statement."""
    after = 0
    while some := list_items(tx, plan_id, after, PAGE, now):
        yield from some
        after = some[-1].number


def read_plan_row(row: sa.RowMapping) -> ReplayPlan:
    names = {field.name for field in attrs.fields(ReplayPlan)}
    fields = {name: value for name, value in row.items() if name in names}
    return ReplayPlan(
        **fields
        | {
            "choice": ReplayChoice.read(row["chooses"]),
            "state": PlanState(row["state"]),
            "rate": None if row["rate"] is None else Rate.read(row["rate"]),
            "partners": json.loads(row["partners"]),
            "left_out": json.loads(row["left_out"]),
        }
    )
