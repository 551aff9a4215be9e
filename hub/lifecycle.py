"""The life cycles as tables and the rules that move along them.  Knows states and outcomes; not the journal, the clock or a partner.

The tables here are the tables of docs/explanation/architecture.md; a transition that is not in them does not exist.
"""

from datetime import datetime, timedelta
from types import MappingProxyType
from typing import assert_never

import attrs

from hub.model import Accepted, Outcome, Postponed, Refused, State, Unavailable

#: (state, what happens) -> the states it may lead to.
DELIVER = MappingProxyType(
    {
        (State.WAITING, "claim"): frozenset({State.SENDING}),
        (State.WAITING, "stop"): frozenset({State.DEAD}),
        (State.SENDING, "accepted"): frozenset({State.DELIVERED}),
        (State.SENDING, "refused"): frozenset({State.DEAD}),
        (State.SENDING, "unavailable"): frozenset({State.WAITING, State.DEAD}),
        (State.SENDING, "postponed"): frozenset({State.WAITING, State.DEAD}),
        (State.SENDING, "rescue"): frozenset({State.WAITING, State.DEAD}),
        (State.SENDING, "stop"): frozenset({State.SENDING}),
        (State.HELD, "fetch"): frozenset({State.FETCHED}),
        (State.HELD, "stop"): frozenset({State.DEAD}),
        (State.FETCHED, "fetch"): frozenset({State.FETCHED}),
        (State.FETCHED, "confirm"): frozenset({State.DELIVERED}),
        (State.DELIVERED, "confirm"): frozenset({State.DELIVERED}),
        (State.DEAD, "replay"): frozenset({State.WAITING, State.HELD}),
        (State.DEAD, "stop"): frozenset({State.DEAD}),
    }
)

#: The order of status codes (QCVN 102 code list, standards 1.9.5): a delivery's status only moves to a higher rank.
STATUS_RANK = MappingProxyType({"01": 1, "02": 2, "03": 2, "04": 3, "05": 4, "06": 5})
FINAL_STATUSES = frozenset({"02", "06"})

#: How far one step of urgency (`OtherInfo/Priority`) goes ahead of what is due at the same time.
STEP = timedelta(minutes=10)


def turn(due: datetime, urgency: int) -> datetime:
    """Return the place of a delivery in its partner's queue: the earlier one is claimed first.

    Each step of urgency counts as `STEP` of waiting.  So the more urgent overtakes, yet nothing is overtaken by what becomes
    due more than four steps after it: however steady the flow of urgent ones, nothing starves.
    """
    return due - STEP * urgency


@attrs.frozen
class Verdict:
    """What becomes of a delivery after an attempt."""

    state: State
    reason: str | None = None
    due: datetime | None = None  #: when it is tried again, for `waiting`
    counts: bool = True  #: whether the attempt counts


def judge(outcome: Outcome, *, since: datetime, now: datetime, delay: timedelta, give_up: timedelta) -> Verdict:
    """Return what becomes of a delivery that began to wait at *since* after *outcome*.

    Business refusals are never tried again; anything else is, after *delay* (or later, if the partner said so), until the
    delivery is older than *give_up*.
    """
    match outcome:
        case Accepted():
            return Verdict(State.DELIVERED)
        case Refused(detail):
            return Verdict(State.DEAD, f"refused: {detail}")
        case Unavailable(detail) if now - since >= give_up:
            return Verdict(State.DEAD, f"given up: {detail}")
        case Unavailable(detail, retry_after):
            wait = max(delay, timedelta(seconds=retry_after or 0))
            return Verdict(State.WAITING, detail, min(now + wait, max(now, since + give_up)))
        case Postponed(until, detail):
            return Verdict(State.WAITING, detail, max(until, now), counts=False)
    assert_never(outcome)


def advance(status: str | None, code: str) -> str | None:
    """Return the status of a delivery that had *status* when *code* arrives: forward only, 02 and 06 final."""
    if status in FINAL_STATUSES or code not in STATUS_RANK:
        return status
    if status is not None and STATUS_RANK[code] <= STATUS_RANK[status]:
        return status
    return code
