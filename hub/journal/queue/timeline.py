"""Works out from events and attempts how long a delivery was in each state, and why. Reads no database and no clock."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs

from hub.domain.model import Delivery, DeliveryState
from hub.journal.queue.exchanges import AttemptRecord

#: The state that each event of a delivery begins.
_BEGINS = {
    "delivery-waiting": DeliveryState.WAITING,
    "delivery-held": DeliveryState.HELD,
    "delivery-fetched": DeliveryState.FETCHED,
    "delivery-delivered": DeliveryState.DELIVERED,
    "delivery-suspended": DeliveryState.SUSPENDED,
    "delivery-dead": DeliveryState.DEAD,
}
_REVIVED = {"delivery-replayed", "delivery-resumed"}
#: Outcomes of an attempt after which the delivery waits again, unless it ended at the same moment.
_WAITS_AGAIN = {"unavailable", "postponed", "interrupted", "refused"}
_FINAL = {DeliveryState.DELIVERED, DeliveryState.SUSPENDED, DeliveryState.DEAD}


@attrs.frozen(kw_only=True)
class DeliveryStage:
    """A period in which a delivery was in one state."""

    state: DeliveryState
    begin: datetime
    end: datetime | None = None  #: None: it still is
    attempt: int | None = None  #: of `sending`: the number of the attempt
    outcome: str | None = None  #: of `sending`: how the attempt ended
    why: str | None = None  #: as stored: what the partner said, why it waits again, who replayed it
    due: datetime | None = None  #: of `waiting`: the hour at which it is to be sent, if one was given

    @property
    def is_last(self) -> bool:
        """Whether nothing follows by itself."""
        return self.end is None and self.state in _FINAL

    @property
    def duration(self) -> timedelta | None:
        """Return how long it took; None while it lasts."""
        return None if self.end is None else self.end - self.begin


def list_delivery_stages(
    delivery: Delivery, events: Iterable[Mapping[str, Any]], attempts: Sequence[AttemptRecord]
) -> list[DeliveryStage]:
    """Return the stages of *delivery* in order. *events* and *attempts*: those of its message."""
    begun: list[tuple[datetime, int, DeliveryStage]] = []
    first = DeliveryState.WAITING
    for event in events:
        if event.get("delivery") != delivery.id:
            continue
        at, name = datetime.fromisoformat(event["at"]), event["event"]
        if name in _REVIVED:
            why = ": ".join(str(event[key]) for key in ("by", "reason") if event.get(key))
            begun.append((at, 2, DeliveryStage(state=first, begin=at, why=why or None)))
        elif (state := _BEGINS.get(name)) is not None:
            if state is DeliveryState.HELD:
                first = state
            due = datetime.fromisoformat(event["due"]) if event.get("due") else None
            begun.append((at, 1, DeliveryStage(state=state, begin=at, why=event.get("reason"), due=due)))
    for each in attempts:
        if each.partner != delivery.partner or delivery.recipient not in each.recipients:
            continue
        sends = DeliveryStage(
            state=DeliveryState.SENDING,
            begin=each.started_at,
            attempt=each.number,
            outcome=each.outcome,
            why=each.detail,
        )
        begun.append((each.started_at, 3, sends))
        if each.ended_at is not None and each.outcome in _WAITS_AGAIN:
            begun.append(
                (each.ended_at, 0, DeliveryStage(state=DeliveryState.WAITING, begin=each.ended_at, why=each.detail))
            )
    ordered = [stage for _, _, stage in sorted(begun, key=lambda each: each[:2])]
    ended = [attrs.evolve(stage, end=following.begin) for stage, following in pairwise(ordered)] + ordered[-1:]
    return [stage for stage in ended if not (stage.state is DeliveryState.WAITING and stage.begin == stage.end)]
