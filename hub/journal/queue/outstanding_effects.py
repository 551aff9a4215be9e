"""Makes and stops deliveries, so many in a transaction, and knows what is left: the outstanding effects of messages.

The transaction with the receipt makes the first deliveries of a message, or stops the first that a recall, an update or
a replacement ends, and records a duty for the others. A message may go to 2,000 units, name 2,000 documents, and each of
these may have gone to 2,000 units. These duties are done in the order of their receipts. So a change that comes after a
document stops the deliveries of it that were not made yet, and what comes later in a lane is made later, too.

Which messages carry the documents of a change is settled by the receipt: what is sent later is stopped by the rows of
`change` alone (hub.journal.documents). Until all deliveries of a message are made, and until one is stopped, no partner
is shown it, and none is sent it: `OutstandingEffects` tells which these are.
"""

import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.lifecycle import DELIVER, DeliveryEvent
from hub.domain.model import DeliveryState, Event
from hub.edxml import changes
from hub.journal import duties, events
from hub.journal.duties import Duty, DutyKind, DutySlice
from hub.journal.queue import deliveries
from hub.journal.queue.deliveries import QueuedDelivery
from hub.store import transactions
from hub.store.hot_statements import HotStatement, SetQuery
from hub.store.tables import delivery as table
from hub.store.tables import write_instant
from hub.store.transactions import Transaction
from hub.units.routing import Route

#: Deliveries looked at and, where they are not delivered, stopped in one transaction: about 5 ms of the writer.
AT_ONCE = 64
#: Deliveries of one message made in one transaction: about 6 ms of the writer.
MADE_AT_ONCE = deliveries.MOST_IN_SET
#: Messages and units that one slice of stops names.
_SLICE = 200

_LOCK = "effects"
_NO_LONGER = ", ".join(f"'{state}'" for state in DeliveryState if (state, DeliveryEvent.STOP) not in DELIVER)
#: The deliveries of the messages to the units asked, without those that cannot be stopped any more.
_AT_UNITS = SetQuery(
    f"""
WITH asked (message, recipient) AS (VALUES {{rows}})
SELECT delivery.id, delivery.lane, delivery.recipient FROM asked
JOIN delivery ON delivery.message = asked.message AND delivery.recipient = asked.recipient
WHERE delivery.stopped IS NULL AND delivery.state NOT IN ({_NO_LONGER})
""".strip(),  # noqa: S608 - only states
    ("text", "text"),
)
_OF_MESSAGE = HotStatement(
    sa.select(table.c.id, table.c.lane, table.c.recipient)
    .where(table.c.message == sa.bindparam("of"), table.c.recipient > sa.bindparam("after", type_=sa.Text))
    .order_by(table.c.recipient)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
#: By effect: the deliveries that a change stops. Their rows are locked.
Stoppable = Sequence[tuple[changes.Effect, Sequence[QueuedDelivery]]]


@attrs.frozen
class PlannedStop:
    """Deliveries to stop: those of *messages* to *units*, or to all units where there are none."""

    effect: changes.Effect
    messages: tuple[str, ...]
    units: tuple[str, ...] = ()  #: sorted
    after: str = ""  #: the units of the first message up to this one are done


def lock_first_stoppable(tx: Transaction, planned: Sequence[PlannedStop]) -> tuple[Stoppable, Sequence[PlannedStop]]:
    """Do as `lock_next_stoppable`, but leave all if deliveries of one of the messages are not made yet."""
    carriers = {message for each in planned for message in each.messages}
    return ((), planned) if planned and carriers & list_unmade_messages(tx) else lock_next_stoppable(tx, planned)


def lock_next_stoppable(tx: Transaction, planned: Iterable[PlannedStop]) -> tuple[Stoppable, tuple[PlannedStop, ...]]:
    """Lock the first deliveries of *planned*, looking at `AT_ONCE`. Return those that can be stopped, and what is left."""
    found: dict[str, tuple[str, str]] = {}
    effects: dict[str, changes.Effect] = {}
    left: list[PlannedStop] = []
    room = AT_ONCE
    for each in planned:
        rest: PlannedStop | None = each
        while rest is not None and room > 0:
            some, looked, rest = _look_at_planned(tx, rest, room)
            room -= looked
            for delivery, *place in some:
                found[delivery] = (place[0], place[1])
                effects.setdefault(delivery, each.effect)
        if rest is not None:
            left.append(rest)
    if not found:
        return (), tuple(left)
    rows = deliveries.lock_unstopped_deliveries(tx, found)
    kinds = dict.fromkeys(effects.values())
    return tuple((kind, [row for row in rows if effects[row.id] is kind]) for kind in kinds), tuple(left)


def _look_at_planned(tx: Transaction, planned: PlannedStop, room: int) -> tuple[Sequence[Any], int, PlannedStop | None]:
    """Return up to *room* of the *planned* deliveries, how many were looked at, and the rest."""
    if planned.units:
        return _look_at_units(tx, planned, room)
    rows = _OF_MESSAGE.read(tx, {"of": planned.messages[0], "after": planned.after, "most": room})
    rest = attrs.evolve(planned, after=rows[-1].recipient) if len(rows) == room else _without_first(planned)
    return rows, max(1, len(rows)), rest


def _look_at_units(tx: Transaction, planned: PlannedStop, room: int) -> tuple[Sequence[Any], int, PlannedStop | None]:
    pairs: list[tuple[str, str]] = []
    rest: PlannedStop | None = planned
    while rest is not None and len(pairs) < room:
        units = [unit for unit in rest.units if unit > rest.after]
        some = units[: room - len(pairs)]
        pairs += [(rest.messages[0], unit) for unit in some]
        rest = _without_first(rest) if len(some) == len(units) else attrs.evolve(rest, after=some[-1])
    return _AT_UNITS.read(tx, pairs), len(pairs), rest


def _without_first(planned: PlannedStop) -> PlannedStop | None:
    messages = planned.messages[1:]
    return attrs.evolve(planned, messages=messages, after="") if messages else None


@attrs.frozen(kw_only=True)
class UnmadeDeliveries:
    """Deliveries of one message to make: one for each of *routes*, in *lane*."""

    routes: Sequence[Route]
    lane: str
    urgency: int = 0
    hour: datetime | None = None
    stopped: Mapping[str, str] = attrs.field(factory=dict)  #: by recipient: the reason for which it is not sent


def record_making_duty(tx: Transaction, message: str, at: datetime, unmade: UnmadeDeliveries) -> None:
    """Record the duty to make the *unmade* deliveries of *message*, received *at*."""
    duties.record_duty(tx, message, at, "", pack_deliveries(unmade), DutyKind.DELIVERIES)


def pack_deliveries(unmade: UnmadeDeliveries) -> tuple[DutySlice, ...]:
    """Return *unmade* as slices in their order."""
    said = [unmade.lane, unmade.urgency, unmade.hour and write_instant(unmade.hour)]
    rows = [
        [each.recipient, each.partner, each.via, each.state, each.named, unmade.stopped.get(each.recipient)]
        for each in unmade.routes
    ]
    parts = (rows[start : start + MADE_AT_ONCE] for start in range(0, len(rows), MADE_AT_ONCE))
    return tuple(DutySlice(0, _write_json([*said, part])) for part in parts)


@lru_cache(64)
def _unpack_deliveries(octets: bytes) -> UnmadeDeliveries:
    lane, urgency, hour, rows = json.loads(zlib.decompress(octets))
    return UnmadeDeliveries(
        routes=tuple(Route(row[0], row[1], row[2], DeliveryState(row[3]), row[4]) for row in rows),
        lane=lane,
        urgency=urgency,
        hour=datetime.fromisoformat(hour) if hour else None,
        stopped={row[0]: row[5] for row in rows if row[5]},
    )


def record_stop_duty(tx: Transaction, message: str, at: datetime, planned: Sequence[PlannedStop]) -> None:
    """Record the duty to stop the *planned* deliveries for the change *message*, received *at*."""
    duties.record_duty(tx, message, at, "", pack_stops(planned), DutyKind.STOPS)


def pack_stops(planned: Iterable[PlannedStop]) -> tuple[DutySlice, ...]:
    """Return *planned* as slices in their order. A slice names about `_SLICE` messages and units."""
    slices: list[list[PlannedStop]] = [[]]
    size = 0
    for each in planned:
        for start in range(0, len(each.messages), _SLICE):
            part = attrs.evolve(each, messages=each.messages[start : start + _SLICE], after="" if start else each.after)
            if slices[-1] and size + len(part.messages) + len(part.units) > _SLICE:
                slices.append([])
                size = 0
            slices[-1].append(part)
            size += len(part.messages) + len(part.units)
    return tuple(DutySlice(0, _squeeze_stops(each)) for each in slices)


def _squeeze_stops(planned: Iterable[PlannedStop]) -> bytes:
    return _write_json([[each.effect, each.messages, each.units, each.after] for each in planned])


def _write_json(said: object) -> bytes:
    return zlib.compress(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(), 1)


@lru_cache(256)  # a reader asks for the same slices again until they are done
def _unpack_stops(octets: bytes) -> tuple[PlannedStop, ...]:
    said = json.loads(zlib.decompress(octets))
    return tuple(
        PlannedStop(changes.Effect(effect), tuple(messages), tuple(units), after)
        for effect, messages, units, after in said
    )


def read_next_effect(tx: Transaction) -> Duty | None:
    """Return the next duty that makes or stops deliveries, or None when there is none."""
    return duties.read_next_duty(tx, effects=True)


def write_next_effects(tx: Transaction, now: datetime) -> bool:
    """Do a turn of the next duty that makes or stops deliveries.

    Returns False when there is none, or another node does it.
    """
    if not transactions.try_lock_names(tx, [_LOCK]):
        return False
    of = read_next_effect(tx)
    if of is None:
        return False
    part = duties.read_next_slice(tx, of)
    if of.kind == DutyKind.STOPS:
        told, rest = _stop_next(tx, of, bytes(part.octets), now)
    else:
        told, rest = _make_next(tx, of, _unpack_deliveries(bytes(part.octets))), b""
    if duties.finish_slice(tx, part, rest):
        name = "change-applied" if of.kind == DutyKind.STOPS else "deliveries-made"
        told = (*told, Event(name, now, of.message, None, {}))
    events.append_events(tx, *told)
    transactions.notify_nodes(tx)  # what was made, or waited behind what was stopped, can go
    return True


def _stop_next(tx: Transaction, of: Duty, octets: bytes, now: datetime) -> tuple[Sequence[Event], bytes]:
    """Stop the next deliveries. Return the events, and what is left of the slice *octets*."""
    found, left = lock_next_stoppable(tx, _unpack_stops(octets))
    stops = deliveries.plan_stops(found, of.message, now)
    deliveries.write_stops(tx, stops)
    return stops.events, _squeeze_stops(left) if left else b""


def _make_next(tx: Transaction, of: Duty, unmade: UnmadeDeliveries) -> Sequence[Event]:
    """Make the deliveries of a slice. Return their events."""
    ids = deliveries.reserve_delivery_ids(tx, unmade.routes, of.at, lane=unmade.lane)
    how: Any = {"lane": unmade.lane, "urgency": unmade.urgency, "hour": unmade.hour}
    planned = deliveries.plan_deliveries(of.message, unmade.routes, ids, of.at, **how)
    rows, told = deliveries.stop_new_deliveries(planned.rows, unmade.stopped, of.at)
    deliveries.insert_deliveries(tx, rows)
    return (*planned.events, *told)


@attrs.frozen
class OutstandingEffects:
    """The deliveries that a duty will stop, and the messages whose deliveries are not all made."""

    _made: Collection[str]  #: the messages
    _slices: Sequence[Mapping[str, Sequence[frozenset[str]]]]  #: for each slice, by message: the units; empty: all

    def __bool__(self) -> bool:
        return bool(self._made or self._slices)

    def __contains__(self, delivery: Any) -> bool:
        """Tell whether *delivery*, a row with `message` and `recipient`, is to be shown and sent to nobody yet."""
        found = (units for each in self._slices for units in each.get(delivery.message, ()))
        return delivery.message in self._made or any(not units or delivery.recipient in units for units in found)


def read_outstanding_effects(tx: Transaction) -> OutstandingEffects:
    """Return the effects that are still to be written. Usually there are none."""
    rows = duties.read_outstanding_effects(tx)
    made = {message for message, kind, _ in rows if kind is DutyKind.DELIVERIES}
    return OutstandingEffects(made, [_by_message(octets) for _, kind, octets in rows if kind is DutyKind.STOPS])


def list_unmade_messages(tx: Transaction) -> set[str]:
    """Return the messages whose deliveries are not all made."""
    return {message for message, kind, _ in duties.read_outstanding_effects(tx) if kind is DutyKind.DELIVERIES}


def read_unmade_routes(tx: Transaction, messages: Collection[str]) -> list[Route]:
    """Return the routes of the deliveries of *messages* that are not made yet."""
    rows = duties.read_outstanding_effects(tx)
    ours = [octets for message, kind, octets in rows if kind is DutyKind.DELIVERIES and message in messages]
    return [route for octets in ours for route in _unpack_deliveries(octets).routes]


@lru_cache(256)
def _by_message(octets: bytes) -> Mapping[str, Sequence[frozenset[str]]]:
    found: dict[str, list[frozenset[str]]] = {}
    for each in _unpack_stops(octets):
        units = frozenset(each.units)
        for message in each.messages:
            found.setdefault(message, []).append(units)
    return found
