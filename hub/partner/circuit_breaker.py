"""The circuit breaker of one partner: decides whether the hub sends to it at all.

A pure state machine without journal or clock.

After `FAILURES` consecutive failures the partner counts as unavailable: the hub sends only one probe at a time, at
growing intervals. The first success lets messages go again, slowly at first. The table is shown in
docs/explanation/architecture.md.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

import attrs

from hub.domain.conversations import Accepted, Outcome, Postponed, Refused, Unavailable
from hub.partner.policy import Policy, find_longest_delay


class BreakerPosition(StrEnum):
    """State of a breaker."""

    CLOSED = "closed"  #: messages are sent
    OPEN = "open"  #: nothing is sent before `until`
    HALF_OPEN = "half-open"  #: one message is sent, as a probe


class BreakerEvent(StrEnum):
    """An event that moves a breaker."""

    SUCCESS = "success"
    FAILURE = "failure"
    PROBE = "probe"


#: (position, event) -> possible next positions.
BREAKER = MappingProxyType(
    {
        (BreakerPosition.CLOSED, BreakerEvent.SUCCESS): frozenset({BreakerPosition.CLOSED}),
        (BreakerPosition.CLOSED, BreakerEvent.FAILURE): frozenset({BreakerPosition.CLOSED, BreakerPosition.OPEN}),
        (BreakerPosition.OPEN, BreakerEvent.SUCCESS): frozenset({BreakerPosition.CLOSED}),
        (BreakerPosition.OPEN, BreakerEvent.FAILURE): frozenset({BreakerPosition.OPEN}),
        (BreakerPosition.OPEN, BreakerEvent.PROBE): frozenset({BreakerPosition.HALF_OPEN}),
        (BreakerPosition.HALF_OPEN, BreakerEvent.SUCCESS): frozenset({BreakerPosition.CLOSED}),
        (BreakerPosition.HALF_OPEN, BreakerEvent.FAILURE): frozenset({BreakerPosition.OPEN}),
        (BreakerPosition.HALF_OPEN, BreakerEvent.PROBE): frozenset({BreakerPosition.HALF_OPEN}),
    }
)

#: Consecutive failures, of any messages, that open the breaker.
FAILURES = 5
#: Messages at a time after a recovery; each success adds one.
_FIRST_PACE = 2


@attrs.frozen(kw_only=True)
class Breaker:
    """State of a partner's breaker, and the reason for it."""

    position: BreakerPosition = BreakerPosition.CLOSED
    failures: int = 0  #: consecutive failures while it is closed
    opened: int = 0  #: consecutive openings without a success
    until: datetime | None = None  #: time of the next probe of an open breaker
    pace: int | None = None  #: messages at a time during recovery; None: the limit of the policy
    reason: str | None = None  #: of the latest failure


def classify_outcome(outcome: Outcome) -> BreakerEvent | None:
    """Return what *outcome* shows about the partner: success, failure, or None if it shows nothing.

    A refusal is a proper answer and counts as success. An error of the hub itself, or a message that the hub postponed,
    shows nothing about the partner.
    """
    match outcome:
        case Accepted() | Refused():
            return BreakerEvent.SUCCESS
        case Unavailable(ours=False):
            return BreakerEvent.FAILURE
        case Unavailable() | Postponed():
            return None


def count_breaker_room(breaker: Breaker, now: datetime, under_way: int, concurrency: int) -> int:
    """Return how many more messages may be sent now. *under_way* counts those in progress on all nodes."""
    match breaker.position:
        case BreakerPosition.CLOSED:
            return max(0, min(concurrency, breaker.pace or concurrency) - under_way)
        case BreakerPosition.OPEN:
            return int(under_way == 0 and (breaker.until is None or breaker.until <= now))
        case BreakerPosition.HALF_OPEN:
            return int(under_way == 0)  # a probe whose node is lost does not count as under way


def record_breaker_claims(breaker: Breaker) -> Breaker:
    """Return the breaker after messages were claimed within its room."""
    if breaker.position is BreakerPosition.CLOSED:
        return breaker
    return attrs.evolve(breaker, position=_move_breaker(breaker, BreakerEvent.PROBE), until=None)


def record_breaker_success(breaker: Breaker, policy: Policy) -> Breaker:
    """Return the breaker after a proper answer."""
    pace = breaker.pace + 1 if breaker.pace is not None else None
    if breaker.position is not BreakerPosition.CLOSED:
        pace = _FIRST_PACE
    if pace is not None and pace >= policy.concurrency:
        pace = None
    return Breaker(position=_move_breaker(breaker, BreakerEvent.SUCCESS), pace=pace)


def record_breaker_failure(
    breaker: Breaker, policy: Policy, now: datetime, random: float, outcome: Unavailable
) -> Breaker:
    """Return the breaker after a failure. *random* is in [0, 1).

    An open breaker waits as long as a message that failed as often: a step that doubles from `first_retry` to
    `max_retry`, of which at least half, or as long as the partner asked for. Wrong credentials open the breaker at once
    for `max_retry`, because no other message would succeed and the partner may lock out repeated attempts.
    """
    if breaker.position is BreakerPosition.OPEN:
        # the message was under way when the breaker opened
        return attrs.evolve(breaker, position=_move_breaker(breaker, BreakerEvent.FAILURE))
    failures = breaker.failures + 1
    if breaker.position is BreakerPosition.CLOSED and failures < FAILURES and not outcome.credentials:
        return attrs.evolve(
            breaker, position=_move_breaker(breaker, BreakerEvent.FAILURE), failures=failures, reason=outcome.detail
        )
    longest = policy.max_retry if outcome.credentials else find_longest_delay(policy, FAILURES + breaker.opened)
    wait = max(longest * (0.5 + random / 2), timedelta(seconds=outcome.retry_after or 0))
    return Breaker(
        position=_move_breaker(breaker, BreakerEvent.FAILURE, BreakerPosition.OPEN),
        failures=failures if breaker.position is BreakerPosition.CLOSED else breaker.failures,
        opened=breaker.opened + 1,
        until=now + wait,
        reason=outcome.detail,
    )


def hurry_breaker(breaker: Breaker, now: datetime) -> Breaker:
    """Return the breaker after an operator declared the partner available: an open breaker sends its probe at once."""
    return attrs.evolve(breaker, until=now) if breaker.position is BreakerPosition.OPEN else breaker


def _move_breaker(breaker: Breaker, what: BreakerEvent, to: BreakerPosition | None = None) -> BreakerPosition:
    possible = BREAKER[breaker.position, what]
    if to is None:
        to = breaker.position if breaker.position in possible else next(iter(possible))
    if to not in possible:
        raise ValueError(f"no breaker goes from {breaker.position} to {to} by {what}")
    return to
