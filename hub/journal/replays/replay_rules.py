"""The life of a replay plan as a table, and the rule that says which deliveries may be replayed.

Knows states and words. Does not know the journal, the clock or the people who give the orders.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from hub.domain.model import Delivery, DeliveryState
from hub.edxml.changes import Effect
from hub.partner.rate_limit import Rate


class PlanState(StrEnum):
    """The state of a replay plan."""

    PLANNING = "planning"  #: its deliveries are still being chosen
    PLANNED = "planned"  #: they are chosen, and nobody has started it
    AWAITING = "awaiting"  #: a second person must approve it
    RUNNING = "running"  #: its deliveries are being queued
    PAUSED = "paused"  #: a person paused it
    STOPPED = "stopped"  #: too many of its deliveries died again
    DONE = "done"  #: every chosen delivery is queued or left alone; partners may still have to accept them
    CANCELLED = "cancelled"  #: a person cancelled it; what it queued before stays queued


class PlanEvent(StrEnum):
    """An event that moves a replay plan."""

    CHOOSE = "choose"  #: the last delivery is chosen
    RUN = "run"
    AWAIT = "await"
    APPROVE = "approve"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    FINISH = "finish"
    CANCEL = "cancel"


class ItemState(StrEnum):
    """What became of one delivery of a plan."""

    PLANNED = "planned"
    QUEUED = "queued"
    LEFT = "left"  #: it has changed since the plan, so it was left alone
    EXCLUDED = "excluded"


class Exclusion(StrEnum):
    """Why a delivery is not replayed. A stopped delivery has the reason of its stop instead."""

    UNDER_WAY = "under-way"  #: it still waits, is being sent, or waits to be fetched
    NO_PARTNER = "no-partner"  #: its partner is no longer configured to receive
    NOT_KEPT = "not-kept"  #: the journal does not hold the bytes
    ARCHIVED = "archived"  #: the bytes are in an archive file that is not there
    MOVED = "moved"  #: after the plan somebody else replayed it, or it changed otherwise
    HAS_IT = "has-it"  #: of a correction: the recipient has the document, or is still to get it


#: The states of deliveries that are not tried any more unless a person acts. A replay chooses them without being asked.
ENDED = (DeliveryState.DEAD, DeliveryState.SUSPENDED)
#: The keys under which stopped deliveries are counted. Their reasons name the message, so they all differ.
STOPPED, CORRECTED = "stopped", "corrected"

#: (state, event) -> new state of a plan.
PLAN = MappingProxyType(
    {
        (PlanState.PLANNING, PlanEvent.CHOOSE): PlanState.PLANNED,
        (PlanState.PLANNED, PlanEvent.RUN): PlanState.RUNNING,
        (PlanState.PLANNED, PlanEvent.AWAIT): PlanState.AWAITING,
        (PlanState.RUNNING, PlanEvent.AWAIT): PlanState.AWAITING,  # a correction, before it is carried out
        (PlanState.AWAITING, PlanEvent.APPROVE): PlanState.RUNNING,
        (PlanState.RUNNING, PlanEvent.PAUSE): PlanState.PAUSED,
        (PlanState.RUNNING, PlanEvent.STOP): PlanState.STOPPED,
        (PlanState.RUNNING, PlanEvent.FINISH): PlanState.DONE,
        (PlanState.PAUSED, PlanEvent.RESUME): PlanState.RUNNING,
        (PlanState.STOPPED, PlanEvent.RESUME): PlanState.RUNNING,
    }
    | {
        (state, PlanEvent.CANCEL): PlanState.CANCELLED
        for state in PlanState
        if state not in {PlanState.DONE, PlanState.CANCELLED}
    }
)

#: The states in which the hub has work to do for a plan.
ACTIVE = frozenset({PlanState.PLANNING, PlanState.RUNNING})


class PlanUnmovable(ValueError):
    """The event does not fit the state of the plan."""

    def __init__(self, state: PlanState, what: PlanEvent) -> None:
        super().__init__(f"no plan goes on from {state} by {what}")
        self.state, self.what = state, what


def move_plan(state: PlanState, what: PlanEvent) -> PlanState:
    """Return the state of a plan after *what* from *state*. Raises `PlanUnmovable`."""
    found = PLAN.get((state, what))
    if found is None:
        raise PlanUnmovable(state, what)
    return found


def judge_replay(
    delivery: Delivery, *, again: bool, missing: Exclusion | None, served: bool, changed: str | None
) -> str | None:
    """Return why *delivery* is not replayed, or None if it may be.

    *again*: deliveries that were delivered may be replayed too. *missing*: why there are no bytes to be sent. *served*: the
    partner is configured to receive. *changed*: the reason of the recall, removal or replacement that the recipient got
    after the document was delivered, or None.
    """
    if delivery.stopped is not None:
        return delivery.stopped
    if delivery.state not in ENDED and not (again and delivery.state is DeliveryState.DELIVERED):
        return Exclusion.UNDER_WAY
    if changed is not None:
        return changed
    if not served:
        return Exclusion.NO_PARTNER
    return missing


def name_exclusion(why: str) -> str:
    """Return the word under which a plan counts the reason *why*."""
    if why in {*Exclusion}:
        return why
    return CORRECTED if why.startswith(f"{Effect.CORRECTED}: ") else STOPPED


def count_room(rate: Rate | None, next_at: datetime | None, now: datetime, limit: int, tick: timedelta) -> int:
    """Return how many deliveries of a plan may be queued *now*, at most *limit*.

    Unlike a partner's rate, a plan's is looked at only once a *tick*, so what the last tick left unused may be used.
    """
    if rate is None:
        return limit
    start = _choose_start(rate, next_at, now, tick)
    return 0 if start > now else min(limit, 1 + (now - start) // rate.step)


def choose_next_at(rate: Rate | None, next_at: datetime | None, now: datetime, gone: int, tick: timedelta) -> datetime:
    """Return when the next delivery of a plan may be queued, after *gone* more were queued *now*."""
    return now if rate is None else _choose_start(rate, next_at, now, tick) + rate.step * gone


def _choose_start(rate: Rate, next_at: datetime | None, now: datetime, tick: timedelta) -> datetime:
    if next_at is None or next_at > now + rate.step + tick:  # the clock was set back: the rest is not waited for
        return now
    return max(next_at, now - tick)
