"""Stops the deliveries that a recall, an update or a replacement ends, so many in a transaction, and knows those left.

The transaction with the receipt stops the first, and records a duty for the others. A message may name 2,000 documents,
and each may have gone to 2,000 units. Which messages carry these documents is settled by the receipt, so what is sent
later is stopped by the rows of `change` alone (hub.journal.documents). Until a delivery is stopped, no partner is shown
it, and none is sent it: `OutstandingStops` tells which these are. Duties of different messages depend on one another
only in this: of two changes that stop one delivery, the first done is its reason.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
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
from hub.store.transactions import Transaction

#: Deliveries looked at and, where they are not delivered, stopped in one transaction: about 8 ms of the writer.
AT_ONCE = 100
#: Messages and units that one slice names.
_SLICE = 200

_LOCK = "stops"
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


def lock_next_stoppable(tx: Transaction, planned: Iterable[PlannedStop]) -> tuple[Stoppable, tuple[PlannedStop, ...]]:
    """Lock the first deliveries of *planned*, looking at `AT_ONCE`. Return those that can be stopped, and what is left."""
    found: dict[str, tuple[str, str]] = {}
    effects: dict[str, changes.Effect] = {}
    left: list[PlannedStop] = []
    room = AT_ONCE
    for each in planned:
        rest: PlannedStop | None = each
        while rest is not None and room > 0:
            some, looked, rest = _look(tx, rest, room)
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


def _look(tx: Transaction, planned: PlannedStop, room: int) -> tuple[Sequence[Any], int, PlannedStop | None]:
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
    return tuple(DutySlice(0, _squeezed(each)) for each in slices)


def _squeezed(planned: Iterable[PlannedStop]) -> bytes:
    said = [[each.effect, each.messages, each.units, each.after] for each in planned]
    return zlib.compress(json.dumps(said, separators=(",", ":")).encode(), 1)


@lru_cache(256)  # a reader asks for the same slices again until they are done
def _unpack(octets: bytes) -> tuple[PlannedStop, ...]:
    said = json.loads(zlib.decompress(octets))
    return tuple(
        PlannedStop(changes.Effect(effect), tuple(messages), tuple(units), after)
        for effect, messages, units, after in said
    )


def read_next_stop_duty(tx: Transaction) -> Duty | None:
    """Return the next duty that stops deliveries, or None when there is none."""
    return duties.read_next_duty(tx, stops=True)


def stop_next_deliveries(tx: Transaction, now: datetime) -> bool:
    """Do a turn of the next duty that stops deliveries.

    Returns False when there is none, or another node does it.
    """
    if not transactions.try_lock_names(tx, [_LOCK]):
        return False
    of = read_next_stop_duty(tx)
    if of is None:
        return False
    part = duties.read_next_slice(tx, of)
    found, left = lock_next_stoppable(tx, _unpack(bytes(part.octets)))
    stops = deliveries.plan_stops(found, of.message, now)
    deliveries.write_stops(tx, stops)
    transactions.notify_nodes(tx)  # what they kept waiting can go
    told = list(stops.events)
    if duties.finish_slice(tx, part, _squeezed(left) if left else b""):
        told.append(Event("change-applied", now, of.message, None, {}))
    events.append_events(tx, *told)
    return True


@attrs.frozen
class OutstandingStops:
    """The deliveries that a duty will stop."""

    _slices: Sequence[Mapping[str, Sequence[frozenset[str]]]]  #: for each slice, by message: the units; empty: all

    def __bool__(self) -> bool:
        return bool(self._slices)

    def __contains__(self, delivery: Any) -> bool:
        """Tell whether *delivery*, a row with `message` and `recipient`, will be stopped."""
        found = (units for each in self._slices for units in each.get(delivery.message, ()))
        return any(not units or delivery.recipient in units for units in found)


def read_outstanding_stops(tx: Transaction) -> OutstandingStops:
    """Return the deliveries that are still to be stopped. Usually there are none."""
    return OutstandingStops([_by_message(octets) for octets in duties.read_outstanding_stops(tx)])


@lru_cache(256)
def _by_message(octets: bytes) -> Mapping[str, Sequence[frozenset[str]]]:
    found: dict[str, list[frozenset[str]]] = {}
    for each in _unpack(octets):
        units = frozenset(each.units)
        for message in each.messages:
            found.setdefault(message, []).append(units)
    return found
