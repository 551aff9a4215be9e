"""What a person does to deliveries: a replay, a giving up, planned first, with a reason.  Knows what may be done; not who asks."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from hub.domain.model import Delivery, DeliveryState, Event, Message
from hub.journal import events, search
from hub.journal.queue import deliveries
from hub.journal.search import Filter
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: So many deliveries are moved in one transaction: a running hub waits for it.
TOGETHER = 500


@attrs.frozen
class Excluded:
    """A delivery that a plan leaves alone, and why."""

    delivery: Delivery
    why: str


@attrs.frozen
class Plan:
    """What would be done: to each of these deliveries, with its message; and those left alone."""

    moves: tuple[tuple[Message, Delivery], ...]
    excluded: tuple[Excluded, ...]

    @property
    def octets(self) -> int:
        """Return how many octets travel with them."""
        return sum({message.id: message.size for message, _ in self.moves}.values())


def plan_replay(tx: Transaction, wanted: Filter, recipient: str | None = None) -> Plan:
    """Return what a replay of the dead deliveries of these messages would do.  Changes nothing.

    What a recall, an update or a replacement stopped is never replayed.
    """
    replays, excluded = [], []
    for message, delivery in search.in_state(tx, [DeliveryState.DEAD], wanted, recipient):
        if delivery.stopped is not None:
            excluded.append(Excluded(delivery, delivery.stopped))
        else:
            replays.append((message, delivery))
    return Plan(tuple(replays), tuple(excluded))


def replay_deliveries(
    tx: Transaction, dead: Iterable[Delivery], routes: Routes, *, reason: str, by: str, now: datetime
) -> Sequence[Delivery]:
    """Put dead deliveries back to waiting, or held where the partner fetches.  Returns those that moved.

    One that is not dead any more (somebody else was faster) is left alone.
    """
    moved = [
        delivery
        for delivery in dead
        if deliveries.revive_delivery(tx, delivery, routes.waits_for(delivery.partner), reason=reason, by=by, now=now)
    ]
    if moved:
        events.append_events(
            tx, Event("replay", now, None, None, {"reason": reason, "by": by, "deliveries": len(moved)})
        )
    return moved


def plan_give_up(tx: Transaction, wanted: Filter, recipient: str | None = None) -> Plan:
    """Return what giving up the waiting deliveries of these messages would do.  Changes nothing.

    What is being sent is left alone: it may arrive.
    """
    found = search.in_state(tx, [DeliveryState.WAITING, DeliveryState.SENDING], wanted, recipient)
    waiting = tuple((message, delivery) for message, delivery in found if delivery.state is DeliveryState.WAITING)
    sending = (delivery for _, delivery in found if delivery.state is DeliveryState.SENDING)
    return Plan(waiting, tuple(Excluded(delivery, "sending") for delivery in sending))


def give_up(tx: Transaction, waiting: Iterable[Delivery], *, reason: str, by: str, now: datetime) -> Sequence[Delivery]:
    """Let waiting deliveries die by a person's word: dead letters, which a replay brings back.  Returns those that moved.

    One that does not wait any more (it is being sent, or was) is left alone.
    """
    moved = [each for each in waiting if deliveries.give_up(tx, each, reason=reason, by=by, now=now)]
    if moved:
        events.append_events(
            tx, Event("give-up", now, None, None, {"reason": reason, "by": by, "deliveries": len(moved)})
        )
    return moved
