"""Replays and gives up deliveries on a person's order: a plan first, then the move with a reason.

Knows which deliveries may be moved, not who may order it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from hub.domain.model import Delivery, DeliveryState, Event, Message
from hub.journal import events, search
from hub.journal.queue import deliveries
from hub.journal.search import MessageFilter
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: Deliveries moved in one transaction. A running hub waits for that transaction.
TOGETHER = 500


@attrs.frozen
class ExcludedDelivery:
    """A delivery that a plan does not move, and why."""

    delivery: Delivery
    why: str  #: the change that stopped it, or its state


@attrs.frozen
class ReplayPlan:
    """The deliveries that would be moved, each with its message, and the excluded ones."""

    moves: tuple[tuple[Message, Delivery], ...]
    excluded: tuple[ExcludedDelivery, ...]

    @property
    def octets(self) -> int:
        """Return the total size of the messages in octets."""
        return sum({message.id: message.size for message, _ in self.moves}.values())


def plan_replay(tx: Transaction, wanted: MessageFilter, recipient: str | None = None) -> ReplayPlan:
    """Return the plan to replay the dead deliveries of the messages that *wanted* selects. Changes nothing.

    A delivery that a recall, an update or a replacement stopped is never replayed.
    """
    replays, excluded = [], []
    for message, delivery in search.find_deliveries_in_state(tx, [DeliveryState.DEAD], wanted, recipient):
        if delivery.stopped is not None:
            excluded.append(ExcludedDelivery(delivery, delivery.stopped))
        else:
            replays.append((message, delivery))
    return ReplayPlan(tuple(replays), tuple(excluded))


def replay_deliveries(
    tx: Transaction, dead: Iterable[Delivery], routes: Routes, *, reason: str, by: str, now: datetime
) -> Sequence[Delivery]:
    """Put dead deliveries back to `waiting`, or to `held` where the partner fetches. Return those that moved.

    A delivery that is no longer dead (another person was faster) is left alone.
    """
    moved = [
        delivery
        for delivery in dead
        if deliveries.revive_delivery(
            tx, delivery, routes.find_first_state(delivery.partner), reason=reason, by=by, now=now
        )
    ]
    if moved:
        events.append_events(
            tx, Event("replay", now, None, None, {"reason": reason, "by": by, "deliveries": len(moved)})
        )
    return moved


def plan_give_up(tx: Transaction, wanted: MessageFilter, recipient: str | None = None) -> ReplayPlan:
    """Return the plan to give up the waiting deliveries of the messages that *wanted* selects. Changes nothing.

    A delivery that is being sent is excluded: it may still arrive.
    """
    found = search.find_deliveries_in_state(tx, [DeliveryState.WAITING, DeliveryState.SENDING], wanted, recipient)
    waiting = tuple((message, delivery) for message, delivery in found if delivery.state is DeliveryState.WAITING)
    sending = (delivery for _, delivery in found if delivery.state is DeliveryState.SENDING)
    return ReplayPlan(waiting, tuple(ExcludedDelivery(delivery, "sending") for delivery in sending))


def give_up_deliveries(
    tx: Transaction, waiting: Iterable[Delivery], *, reason: str, by: str, now: datetime
) -> Sequence[Delivery]:
    """Make waiting deliveries dead letters on a person's order. A replay can revive them. Return those that moved.

    A delivery that no longer waits (it is being sent, or was sent) is left alone.
    """
    moved = [each for each in waiting if deliveries.give_up_delivery(tx, each, reason=reason, by=by, now=now)]
    if moved:
        events.append_events(
            tx, Event("give-up", now, None, None, {"reason": reason, "by": by, "deliveries": len(moved)})
        )
    return moved
