"""The life cycles as tables and the rules that move along them.  Knows states and outcomes; not the journal, the clock or a partner.

The tables here are the tables of docs/explanation/architecture.md; a transition that is not in them does not exist.
"""

from datetime import datetime, timedelta
from types import MappingProxyType
from typing import assert_never

import attrs

from hub.domain.model import (
    Accepted,
    DeliveryState,
    MessageState,
    Outcome,
    Postponed,
    Refused,
    ReportState,
    Unavailable,
)

#: (what the journal holds under the partner and its id, how the message was judged) -> what it becomes.
RECEIVE = MappingProxyType(
    {
        ("nothing", "sound"): MessageState.ACCEPTED,
        ("nothing", "unsound"): MessageState.REFUSED,
        ("the same bytes", "sound"): None,  # it is that message: nothing new, the same receipt
        ("the same bytes", "unsound"): None,
        ("other bytes", "sound"): MessageState.REFUSED,
        ("other bytes", "unsound"): MessageState.REFUSED,
    }
)

#: (state, what happens) -> the states it may lead to.
DELIVER = MappingProxyType(
    {
        (DeliveryState.WAITING, "claim"): frozenset({DeliveryState.SENDING}),
        (DeliveryState.WAITING, "stop"): frozenset({DeliveryState.DEAD}),
        (DeliveryState.WAITING, "give up"): frozenset({DeliveryState.DEAD}),
        (DeliveryState.SENDING, "accepted"): frozenset({DeliveryState.DELIVERED}),
        (DeliveryState.SENDING, "refused"): frozenset({DeliveryState.DEAD}),
        (DeliveryState.SENDING, "unavailable"): frozenset({DeliveryState.WAITING, DeliveryState.DEAD}),
        (DeliveryState.SENDING, "postponed"): frozenset({DeliveryState.WAITING, DeliveryState.DEAD}),
        (DeliveryState.SENDING, "rescue"): frozenset({DeliveryState.WAITING, DeliveryState.DEAD}),
        (DeliveryState.SENDING, "stop"): frozenset({DeliveryState.SENDING}),
        (DeliveryState.HELD, "fetch"): frozenset({DeliveryState.FETCHED}),
        (DeliveryState.HELD, "stop"): frozenset({DeliveryState.DEAD}),
        (DeliveryState.FETCHED, "fetch"): frozenset({DeliveryState.FETCHED}),
        (DeliveryState.FETCHED, "confirm"): frozenset({DeliveryState.DELIVERED}),
        (DeliveryState.DELIVERED, "confirm"): frozenset({DeliveryState.DELIVERED}),
        (DeliveryState.DEAD, "replay"): frozenset({DeliveryState.WAITING, DeliveryState.HELD}),
        (DeliveryState.DEAD, "stop"): frozenset({DeliveryState.DEAD}),
    }
)

#: (state of a unit's report for a form and a period, what happens) -> what it becomes.  Each revision begins by `close` or `revise`.
REPORT = MappingProxyType(
    {
        (ReportState.OPEN, "close"): ReportState.CLOSED,
        (ReportState.CLOSED, "sign"): ReportState.SIGNED,
        (ReportState.CLOSED, "submit"): ReportState.SUBMITTED,  # where no signature is required
        (ReportState.CLOSED, "revise"): ReportState.CLOSED,
        (ReportState.SIGNED, "submit"): ReportState.SUBMITTED,
        (ReportState.SIGNED, "revise"): ReportState.CLOSED,
        (ReportState.SUBMITTED, "submit"): ReportState.SUBMITTED,  # to another partner too
        (ReportState.SUBMITTED, "accept"): ReportState.ACCEPTED,
        (ReportState.SUBMITTED, "return"): ReportState.RETURNED,
        (ReportState.SUBMITTED, "revise"): ReportState.CLOSED,
        (ReportState.ACCEPTED, "submit"): ReportState.ACCEPTED,
        (ReportState.ACCEPTED, "accept"): ReportState.ACCEPTED,
        (ReportState.ACCEPTED, "return"): ReportState.RETURNED,  # one of several who took it; it may change its mind
        (ReportState.ACCEPTED, "revise"): ReportState.CLOSED,
        (ReportState.RETURNED, "submit"): ReportState.RETURNED,
        (ReportState.RETURNED, "accept"): ReportState.RETURNED,  # only another revision mends what came back
        (ReportState.RETURNED, "return"): ReportState.RETURNED,
        (ReportState.RETURNED, "revise"): ReportState.CLOSED,
    }
)

#: A message that breaks the hub so many times in a row, and not once ends otherwise, is set aside.
SET_ASIDE = 5
#: What broke the hub twice in a row waits so long, then twice as long, and so on: what only stood beside it goes ahead.
_AFTER_A_CRASH = timedelta(seconds=10)

#: The order of status codes (QCVN 102 code list, standards 1.9.5): a delivery's status only moves to a higher rank.
STATUS_RANK = MappingProxyType({"01": 1, "02": 2, "03": 2, "04": 3, "05": 4, "06": 5})
FINAL_STATUSES = frozenset({"02", "06"})

#: What `OtherInfo/Priority` may be.
URGENCIES = range(5)
#: How far one step of urgency (`OtherInfo/Priority`) goes ahead of what is due at the same time.
STEP = timedelta(minutes=10)


def queue_turn(due: datetime, urgency: int) -> datetime:
    """Return the place of a delivery in its partner's queue: the earlier one is claimed first.

    Each step of urgency counts as `STEP` of waiting.  So the more urgent overtakes, yet nothing is overtaken by what becomes
    due more than four steps after it: however steady the flow of urgent ones, nothing starves.
    """
    return due - STEP * urgency


def receive_message(held: str, judged: str) -> MessageState | None:
    """Return what a message becomes; None when it is one that is there already.  Both are words of `RECEIVE`."""
    return RECEIVE[held, judged]


def move_delivery(state: DeliveryState, what: str, to: DeliveryState | None = None) -> DeliveryState:
    """Return the state that *what* leads to from *state*: *to*, or the only one there is.

    Raises ValueError for a move that is not in `DELIVER`: whoever asks for it has a mistake, and nothing may be written.
    """
    possible = DELIVER.get((state, what), frozenset())
    if to is None and len(possible) == 1:
        (to,) = possible
    if to is None or to not in possible:
        raise ValueError(f"no delivery goes from {state} to {to} by {what}")
    return to


def move_report(state: ReportState, what: str) -> ReportState:
    """Return the state of a report that *what*, a word of `REPORT`, leads to from *state*.

    Raises ValueError for a step that is not in the table.
    """
    found = REPORT.get((state, what))
    if found is None:
        raise ValueError(f"no report goes on from {state} by {what}")
    return found


@attrs.frozen
class AttemptVerdict:
    """What becomes of a delivery after an attempt."""

    state: DeliveryState
    reason: str | None = None
    due: datetime | None = None  #: when it is tried again, for `waiting`
    counts: bool = True  #: whether the attempt counts
    crashes: int = 0  #: how many attempts in a row have now broken with the hub
    word: str | None = None  #: what the partner said when it took it, such as its own id of the message


#: So much of what a partner says when it takes a message is kept, in characters.
_WORD = 200


def judge_outcome(
    outcome: Outcome, *, since: datetime, now: datetime, delay: timedelta, give_up: timedelta, crashes: int = 0
) -> AttemptVerdict:
    """Return what becomes of a delivery that began to wait at *since* after *outcome*.

    Business refusals are never tried again; anything else is, after *delay* (or later, if the partner said so), until the
    delivery is older than *give_up*.  *crashes*: how many attempts before this one had broken with the hub.
    """
    match outcome:
        case Accepted(detail):
            return AttemptVerdict(DeliveryState.DELIVERED, word=detail[:_WORD] or None)
        case Refused(detail):
            return AttemptVerdict(DeliveryState.DEAD, f"refused: {detail}")
        case Unavailable(detail, ours=True) if crashes + 1 >= SET_ASIDE:
            return AttemptVerdict(DeliveryState.DEAD, f"set aside: {detail}", crashes=crashes + 1)
        case Unavailable(detail) if now - since >= give_up:
            return AttemptVerdict(DeliveryState.DEAD, f"given up: {detail}")
        case Unavailable(detail, retry_after, ours):
            wait = max(delay, timedelta(seconds=retry_after or 0))
            due = min(now + wait, max(now, since + give_up))
            return AttemptVerdict(DeliveryState.WAITING, detail, due, crashes=crashes + 1 if ours else 0)
        case Postponed(until, detail):
            return AttemptVerdict(DeliveryState.WAITING, detail, max(until, now), counts=False, crashes=crashes)
    assert_never(outcome)


def judge_interruption(now: datetime, crashes: int) -> AttemptVerdict:
    """Return what becomes of a delivery whose attempt a crash cut short, the *crashes*-th in a row; 0: nothing crashed.

    What went down with the hub again and again is set aside, so that it does not take the hub with it for ever.  Whatever was
    under way beside it goes again at once, and by then alone.
    """
    if crashes >= SET_ASIDE:
        return AttemptVerdict(
            DeliveryState.DEAD,
            f"set aside: the hub stopped {crashes} times in a row while it was sent",
            crashes=crashes,
        )
    wait = _AFTER_A_CRASH * 2 ** (crashes - 2) if crashes > 1 else timedelta(0)
    return AttemptVerdict(DeliveryState.WAITING, None, now + wait, counts=False, crashes=crashes)


def advance_status(status: str | None, code: str) -> str | None:
    """Return the status of a delivery that had *status* when *code* arrives: forward only, 02 and 06 final."""
    if status in FINAL_STATUSES or code not in STATUS_RANK:
        return status
    if status is not None and STATUS_RANK[code] <= STATUS_RANK[status]:
        return status
    return code
