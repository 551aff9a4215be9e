"""Defines the life cycles of messages, deliveries and reports as tables, and the pure functions that apply them.

Does not know the journal, the clock or partners. The tables are those of docs/explanation/architecture.md. A transition
that is not in them does not exist.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

import attrs

from hub.domain.conversations import Accepted, Outcome, Postponed, Refused, Unavailable
from hub.domain.model import AfterGiveUp, DeliveryState, MessageState, ReportState


class HeldContent(StrEnum):
    """What the journal holds under the partner and the id of a message."""

    NOTHING = "nothing"
    SAME_BYTES = "the same bytes"
    OTHER_BYTES = "other bytes"


class Judgement(StrEnum):
    """The judgement of a message by intake."""

    SOUND = "sound"
    UNSOUND = "unsound"


class DeliveryEvent(StrEnum):
    """An event that moves a delivery. The four outcomes of an attempt have the names that the journal stores."""

    CLAIM = "claim"
    STOP = "stop"  #: a recall, update or replacement
    GIVE_UP = "give up"
    SUSPEND = "suspend"  #: it has waited too long, and the policy keeps it for a person
    RESUME = "resume"  #: a person resumes the sending to its partner
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    POSTPONED = "postponed"
    RESCUE = "rescue"  #: the attempt was interrupted
    FETCH = "fetch"
    CONFIRM = "confirm"
    REPLAY = "replay"
    HAND_OVER = "hand over"  #: its unit has ended, and another partner serves the unit that continues its work
    FAIL = "fail"  #: the recipient's system could not take what the partner had accepted


class ReportEvent(StrEnum):
    """An event that moves a report."""

    CLOSE = "close"
    DRAFT = "draft"  #: the signature of the person who drew it up
    SIGN = "sign"  #: the only signature, or that of the head of the unit
    SUBMIT = "submit"
    ACCEPT = "accept"
    RETURN = "return"
    REVISE = "revise"


#: (what the journal holds under this partner and message id, how the message was judged) -> the state of the message.
RECEIVE = MappingProxyType(
    {
        (HeldContent.NOTHING, Judgement.SOUND): MessageState.ACCEPTED,
        (HeldContent.NOTHING, Judgement.UNSOUND): MessageState.REFUSED,
        # the message is already in the journal: nothing new, the same receipt
        (HeldContent.SAME_BYTES, Judgement.SOUND): None,
        (HeldContent.SAME_BYTES, Judgement.UNSOUND): None,
        (HeldContent.OTHER_BYTES, Judgement.SOUND): MessageState.REFUSED,
        (HeldContent.OTHER_BYTES, Judgement.UNSOUND): MessageState.REFUSED,
    }
)

#: (state, event) -> the states that the event may lead to.
DELIVER = MappingProxyType(
    {
        (DeliveryState.WAITING, DeliveryEvent.CLAIM): frozenset({DeliveryState.SENDING}),
        (DeliveryState.WAITING, DeliveryEvent.STOP): frozenset({DeliveryState.DEAD}),
        (DeliveryState.WAITING, DeliveryEvent.GIVE_UP): frozenset({DeliveryState.DEAD}),
        (DeliveryState.WAITING, DeliveryEvent.SUSPEND): frozenset({DeliveryState.SUSPENDED}),
        (DeliveryState.WAITING, DeliveryEvent.HAND_OVER): frozenset({DeliveryState.WAITING, DeliveryState.HELD}),
        (DeliveryState.SENDING, DeliveryEvent.ACCEPTED): frozenset({DeliveryState.DELIVERED}),
        # it waits again if others were refused with it, and it is not known which of them was meant
        (DeliveryState.SENDING, DeliveryEvent.REFUSED): frozenset({DeliveryState.WAITING, DeliveryState.DEAD}),
        (DeliveryState.SENDING, DeliveryEvent.UNAVAILABLE): frozenset(
            {DeliveryState.WAITING, DeliveryState.SUSPENDED, DeliveryState.DEAD}
        ),
        (DeliveryState.SENDING, DeliveryEvent.POSTPONED): frozenset({DeliveryState.WAITING, DeliveryState.DEAD}),
        (DeliveryState.SENDING, DeliveryEvent.RESCUE): frozenset({DeliveryState.WAITING, DeliveryState.DEAD}),
        (DeliveryState.SENDING, DeliveryEvent.STOP): frozenset({DeliveryState.SENDING}),
        (DeliveryState.HELD, DeliveryEvent.FETCH): frozenset({DeliveryState.FETCHED}),
        (DeliveryState.HELD, DeliveryEvent.STOP): frozenset({DeliveryState.DEAD}),
        (DeliveryState.HELD, DeliveryEvent.HAND_OVER): frozenset({DeliveryState.WAITING, DeliveryState.HELD}),
        (DeliveryState.FETCHED, DeliveryEvent.FETCH): frozenset({DeliveryState.FETCHED}),
        (DeliveryState.FETCHED, DeliveryEvent.HAND_OVER): frozenset({DeliveryState.WAITING, DeliveryState.HELD}),
        (DeliveryState.FETCHED, DeliveryEvent.CONFIRM): frozenset({DeliveryState.DELIVERED}),
        (DeliveryState.DELIVERED, DeliveryEvent.CONFIRM): frozenset({DeliveryState.DELIVERED}),
        (DeliveryState.DELIVERED, DeliveryEvent.FAIL): frozenset({DeliveryState.DEAD}),
        (DeliveryState.DELIVERED, DeliveryEvent.REPLAY): frozenset({DeliveryState.WAITING, DeliveryState.HELD}),
        (DeliveryState.SUSPENDED, DeliveryEvent.RESUME): frozenset({DeliveryState.WAITING, DeliveryState.HELD}),
        (DeliveryState.SUSPENDED, DeliveryEvent.REPLAY): frozenset({DeliveryState.WAITING, DeliveryState.HELD}),
        (DeliveryState.SUSPENDED, DeliveryEvent.GIVE_UP): frozenset({DeliveryState.DEAD}),
        (DeliveryState.SUSPENDED, DeliveryEvent.STOP): frozenset({DeliveryState.DEAD}),
        (DeliveryState.DEAD, DeliveryEvent.REPLAY): frozenset({DeliveryState.WAITING, DeliveryState.HELD}),
        (DeliveryState.DEAD, DeliveryEvent.STOP): frozenset({DeliveryState.DEAD}),
    }
)

#: (state of a unit's report for a form and a period, event) -> new state. Each revision begins with `close` or
#: `revise`.
REPORT = MappingProxyType(
    {
        (ReportState.OPEN, ReportEvent.CLOSE): ReportState.CLOSED,
        (ReportState.CLOSED, ReportEvent.DRAFT): ReportState.DRAFTED,  # where two persons sign
        (ReportState.CLOSED, ReportEvent.SIGN): ReportState.SIGNED,
        (ReportState.CLOSED, ReportEvent.SUBMIT): ReportState.SUBMITTED,  # where no signature is required
        (ReportState.CLOSED, ReportEvent.REVISE): ReportState.CLOSED,
        (ReportState.DRAFTED, ReportEvent.SIGN): ReportState.SIGNED,
        (ReportState.DRAFTED, ReportEvent.SUBMIT): ReportState.SUBMITTED,  # where no signature is required
        (ReportState.DRAFTED, ReportEvent.REVISE): ReportState.CLOSED,
        (ReportState.SIGNED, ReportEvent.SUBMIT): ReportState.SUBMITTED,
        (ReportState.SIGNED, ReportEvent.REVISE): ReportState.CLOSED,
        (ReportState.SUBMITTED, ReportEvent.SUBMIT): ReportState.SUBMITTED,  # to another partner too
        (ReportState.SUBMITTED, ReportEvent.ACCEPT): ReportState.ACCEPTED,
        (ReportState.SUBMITTED, ReportEvent.RETURN): ReportState.RETURNED,
        (ReportState.SUBMITTED, ReportEvent.REVISE): ReportState.CLOSED,
        (ReportState.ACCEPTED, ReportEvent.SUBMIT): ReportState.ACCEPTED,
        (ReportState.ACCEPTED, ReportEvent.ACCEPT): ReportState.ACCEPTED,
        # one of several partners that accepted it, and may still return it
        (ReportState.ACCEPTED, ReportEvent.RETURN): ReportState.RETURNED,
        (ReportState.ACCEPTED, ReportEvent.REVISE): ReportState.CLOSED,
        (ReportState.RETURNED, ReportEvent.SUBMIT): ReportState.RETURNED,
        # a returned report can only be corrected by another revision
        (ReportState.RETURNED, ReportEvent.ACCEPT): ReportState.RETURNED,
        (ReportState.RETURNED, ReportEvent.RETURN): ReportState.RETURNED,
        (ReportState.RETURNED, ReportEvent.REVISE): ReportState.CLOSED,
    }
)

#: A delivery whose attempts break the hub this many times in a row, with no other outcome between, becomes a dead
#: letter.
SET_ASIDE = 5
#: The wait after the second crash in a row; it doubles with each further one. Deliveries that were only under way
#: beside it go first.
_AFTER_A_CRASH = timedelta(seconds=10)

#: The order of status codes (QCVN 102 code list, standards 1.9.5). A delivery's status only moves to a higher rank, or to a
#: final one.
STATUS_RANK = MappingProxyType({"01": 1, "02": 2, "03": 2, "04": 3, "05": 4, "06": 5})
FINAL_STATUSES = frozenset({"02", "06"})

#: The values that `OtherInfo/Priority` may have.
URGENCIES = range(5)
#: One step of urgency (`OtherInfo/Priority`) puts a delivery ahead by this much time.
STEP = timedelta(minutes=10)


def choose_queue_position(due: datetime, urgency: int) -> datetime:
    """Return the position of a delivery in its partner's queue. The earliest position is claimed first.

    Each step of urgency counts as `STEP` of waiting. A more urgent delivery overtakes others, but no delivery is
    overtaken by one that becomes due more than four steps after it. So a steady flow of urgent deliveries starves none.
    """
    return due - STEP * urgency


def receive_message(held: HeldContent, judged: Judgement) -> MessageState | None:
    """Return the state of a message, or None if the journal already has it."""
    return RECEIVE[held, judged]


def move_delivery(state: DeliveryState, what: DeliveryEvent, to: DeliveryState | None = None) -> DeliveryState:
    """Return the state that the event *what* leads to from *state*: *to*, or the only possible one.

    Raises ValueError for a transition that is not in `DELIVER`. It is a defect of the caller, and nothing may be
    written.
    """
    possible = DELIVER.get((state, what), frozenset())
    if to is None and len(possible) == 1:
        (to,) = possible
    if to is None or to not in possible:
        raise ValueError(f"no delivery goes from {state} to {to} by {what}")
    return to


def name_outcome(outcome: Outcome) -> DeliveryEvent:
    """Return the event that *outcome* is for the deliveries of its attempt."""
    match outcome:
        case Accepted():
            return DeliveryEvent.ACCEPTED
        case Refused():
            return DeliveryEvent.REFUSED
        case Unavailable():
            return DeliveryEvent.UNAVAILABLE
        case Postponed():
            return DeliveryEvent.POSTPONED
    assert_never(outcome)


def move_report(state: ReportState, what: ReportEvent) -> ReportState:
    """Return the state of a report after *what* from *state*.

    Raises ValueError for a step that is not in `REPORT`.
    """
    found = REPORT.get((state, what))
    if found is None:
        raise ValueError(f"no report goes on from {state} by {what}")
    return found


@attrs.frozen
class AttemptVerdict:
    """The state of a delivery after an attempt."""

    state: DeliveryState
    reason: str | None = None
    due: datetime | None = None  #: time of the next attempt, for `waiting`
    counts: bool = True  #: whether the attempt counts
    crashes: int = 0  #: number of attempts in a row, this one included, in which the hub itself broke
    word: str | None = None  #: text of the partner's acceptance, such as its own id of the message
    pauses: bool = False  #: sending to the partner is paused, for this reason
    apart: tuple[tuple[str, ...], ...] = ()  #: the recipients that are sent to in separate attempts from now on
    unsure: bool = False  #: the partner may have the message
    twice: bool = False  #: the partner may have it twice
    ids: Mapping[str, str] = attrs.field(factory=dict)  #: the partner's id of it by recipient


#: Characters that are kept of the text of a partner's acceptance.
_WORD = 200


def judge_outcome(
    outcome: Outcome,
    *,
    since: datetime,
    now: datetime,
    delay: timedelta,
    give_up: timedelta,
    crashes: int = 0,
    then: AfterGiveUp = AfterGiveUp.DEAD,
    recipients: Sequence[str] = (),
) -> AttemptVerdict:
    """Return the state of a delivery after *outcome*. The delivery has been waiting since *since*.

    A business refusal is never tried again, unless it concerns single ones of several *recipients*: then they are
    divided, until each that is refused is refused by itself. Any other failure is tried again after *delay*, or later if the partner
    asked for it, until the delivery is older than *give_up*: *then* says what becomes of it. *crashes* is the number of
    attempts just before this one in which the hub broke.
    """
    match outcome:
        case Accepted(detail, twice, ids):
            return AttemptVerdict(DeliveryState.DELIVERED, word=detail[:_WORD] or None, twice=twice, ids=ids)
        case Refused(detail, about) if about is not None and len(recipients) > 1:
            return AttemptVerdict(
                DeliveryState.WAITING, f"refused together: {detail}", now, apart=divide_recipients(recipients, about)
            )
        case Refused(detail):
            return AttemptVerdict(DeliveryState.DEAD, f"refused: {detail}")
        case Unavailable(detail, ours=True, unknown=unknown) if crashes + 1 >= SET_ASIDE:
            return AttemptVerdict(DeliveryState.DEAD, f"set aside: {detail}", crashes=crashes + 1, unsure=unknown)
        case Unavailable(detail, unknown=unknown) if now - since >= give_up:
            return attrs.evolve(judge_give_up(detail, then), unsure=unknown)
        case Unavailable(detail, retry_after, ours, unknown=unknown):
            wait = max(delay, timedelta(seconds=retry_after or 0))
            due = min(now + wait, max(now, since + give_up))
            crashes = crashes + 1 if ours else 0
            return AttemptVerdict(DeliveryState.WAITING, detail, due, crashes=crashes, unsure=unknown)
        case Postponed(until, detail, unknown):
            return AttemptVerdict(
                DeliveryState.WAITING, detail, max(until, now), counts=False, crashes=crashes, unsure=unknown
            )
    assert_never(outcome)


def divide_recipients(recipients: Sequence[str], about: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Divide several *recipients* that were refused together. Return the groups, each smaller than *recipients*.

    Those that the refusal is *about* go alone, and all others together. Where it names none of them, or all, the
    recipients are halved. So n recipients of which k are refused take at most about 2k·log2(n) attempts more.
    """
    named = [each for each in recipients if each in about]
    others = tuple(each for each in recipients if each not in about)
    if named and others:
        return (others, *((each,) for each in named))
    half = (len(recipients) + 1) // 2
    return tuple(recipients[:half]), tuple(recipients[half:])


def judge_give_up(detail: str, then: AfterGiveUp) -> AttemptVerdict:
    """Return the state of a delivery that has waited too long for a partner that is unavailable for *detail*."""
    if then is AfterGiveUp.DEAD:
        return AttemptVerdict(DeliveryState.DEAD, f"given up: {detail}")
    return AttemptVerdict(DeliveryState.SUSPENDED, f"suspended: {detail}", pauses=then is AfterGiveUp.PAUSE)


def judge_interruption(now: datetime, crashes: int) -> AttemptVerdict:
    """Return the state of a delivery whose attempt a crash of the hub interrupted.

    *crashes* is the number of such attempts in a row, this one included; 0 means an interruption without a crash. After
    `SET_ASIDE` crashes the delivery becomes a dead letter, so that it cannot crash the hub for ever. A delivery that
    was merely under way at the time is tried again at once, and by then without the one that crashes.
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
    """Return the new status of a delivery that had *status* when *code* arrived.

    It only moves forward. 02 and 06 are final, and end it whatever came before: who refuses a document after it was received
    or in work (02 after 03, 04 or 05) has no longer to do with it.
    """
    if status in FINAL_STATUSES or code not in STATUS_RANK:
        return status
    if status is not None and code not in FINAL_STATUSES and STATUS_RANK[code] <= STATUS_RANK[status]:
        return status
    return code
