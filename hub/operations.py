"""What a person does to the journal: a replay, planned first, with a reason.  Knows what may be replayed; not who asks."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from hub import deliveries, events, search
from hub.model import Delivery, Event, Message
from hub.routes import Routes
from hub.search import Filter
from hub.store import Transaction


@attrs.frozen
class Excluded:
    """A dead delivery that a replay leaves alone, and why."""

    delivery: Delivery
    why: str


@attrs.frozen
class Plan:
    """What a replay would do: each dead delivery with its message, and those left alone."""

    replays: tuple[tuple[Message, Delivery], ...]
    excluded: tuple[Excluded, ...]

    @property
    def octets(self) -> int:
        """Return how many octets would travel."""
        return sum({message.id: message.size for message, _ in self.replays}.values())


def plan_replay(tx: Transaction, wanted: Filter, recipient: str | None = None) -> Plan:
    """Return what a replay of the dead deliveries of these messages would do.  Changes nothing.

    What a recall, an update or a replacement stopped is never replayed.
    """
    replays, excluded = [], []
    for message, delivery in search.dead(tx, wanted, recipient):
        if delivery.stopped is not None:
            excluded.append(Excluded(delivery, delivery.stopped))
        else:
            replays.append((message, delivery))
    return Plan(tuple(replays), tuple(excluded))


def replay(
    tx: Transaction, dead: Iterable[Delivery], routes: Routes, *, reason: str, by: str, now: datetime
) -> Sequence[Delivery]:
    """Put dead deliveries back to waiting, or held where the partner fetches.  Returns those that moved.

    One that is not dead any more (somebody else was faster) is left alone.
    """
    moved = [
        delivery
        for delivery in dead
        if deliveries.revive(tx, delivery, routes.waits_for(delivery.partner), reason=reason, by=by, now=now)
    ]
    if moved:
        events.append(tx, Event("replay", now, None, None, {"reason": reason, "by": by, "deliveries": len(moved)}))
    return moved
