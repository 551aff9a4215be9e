"""The breaker of one partner: whether it is sent to at all.  Knows how it moves; not the journal, the clock or a message.

After a few failures in a row a partner counts as unavailable: nothing is sent to it but one probe at a time, ever more rarely.
The first success lets everything go again, slowly at first.  The table is one of docs/explanation/architecture.md.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

import attrs

from hub.domain.model import Accepted, Outcome, Postponed, Refused, Unavailable
from hub.partner.policy import Policy, longest_delay


class Position(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"  #: messages go
    OPEN = "open"  #: none goes before its time
    HALF_OPEN = "half-open"  #: one goes, as a probe


#: (position, what happens) -> the positions it may lead to.
BREAKER = MappingProxyType(
    {
        (Position.CLOSED, "success"): frozenset({Position.CLOSED}),
        (Position.CLOSED, "failure"): frozenset({Position.CLOSED, Position.OPEN}),
        (Position.OPEN, "success"): frozenset({Position.CLOSED}),
        (Position.OPEN, "failure"): frozenset({Position.OPEN}),
        (Position.OPEN, "probe"): frozenset({Position.HALF_OPEN}),
        (Position.HALF_OPEN, "success"): frozenset({Position.CLOSED}),
        (Position.HALF_OPEN, "failure"): frozenset({Position.OPEN}),
        (Position.HALF_OPEN, "probe"): frozenset({Position.HALF_OPEN}),
    }
)

#: So many failures in a row, of whichever messages, open it.
FAILURES = 5
#: A partner that is back gets so many at a time at first, then one more with each success.
_FIRST_PACE = 2


@attrs.frozen(kw_only=True)
class Breaker:
    """How the breaker of a partner stands, and why."""

    position: Position = Position.CLOSED
    failures: int = 0  #: in a row, while it is closed
    opened: int = 0  #: times in a row, without a success
    until: datetime | None = None  #: when an open one lets its next probe go
    pace: int | None = None  #: messages at a time while it recovers; None: as many as the policy says
    reason: str | None = None  #: of the latest failure


def classify_outcome(outcome: Outcome) -> str | None:
    """Return what *outcome* says of the partner: "success" if it answered sensibly, "failure", or None: nothing.

    A refusal is a sensible answer.  What broke in the hub itself, or was put off by it, says nothing of the partner.
    """
    match outcome:
        case Accepted() | Refused():
            return "success"
        case Unavailable(ours=False):
            return "failure"
        case Unavailable() | Postponed():
            return None


def breaker_room(breaker: Breaker, now: datetime, under_way: int, concurrency: int) -> int:
    """Return how many more messages may go, when so many are *under_way* from all nodes."""
    match breaker.position:
        case Position.CLOSED:
            return max(0, min(concurrency, breaker.pace or concurrency) - under_way)
        case Position.OPEN:
            return int(under_way == 0 and (breaker.until is None or breaker.until <= now))
        case Position.HALF_OPEN:
            return int(under_way == 0)  # a probe that nobody will hear of again is no longer under way


def record_breaker_claims(breaker: Breaker) -> Breaker:
    """Return the breaker after messages were claimed, as many as there was room for."""
    if breaker.position is Position.CLOSED:
        return breaker
    return attrs.evolve(breaker, position=_to(breaker, "probe"), until=None)


def record_breaker_success(breaker: Breaker, policy: Policy) -> Breaker:
    """Return the breaker after a sensible answer."""
    pace = breaker.pace + 1 if breaker.pace is not None else None
    if breaker.position is not Position.CLOSED:
        pace = _FIRST_PACE
    if pace is not None and pace >= policy.concurrency:
        pace = None
    return Breaker(position=_to(breaker, "success"), pace=pace)


def record_breaker_failure(
    breaker: Breaker, policy: Policy, now: datetime, random: float, outcome: Unavailable
) -> Breaker:
    """Return the breaker after a failure; *random* is in [0, 1).

    Open, it waits as long as a message would that had failed so often: a step that doubles from `first_retry` to `max_retry`,
    at least half of it; or as long as the partner asked for.  Wrong credentials open it at once, for `max_retry`: no other
    message would fare better, and who tries them again and again is locked out.
    """
    if breaker.position is Position.OPEN:
        return attrs.evolve(breaker, position=_to(breaker, "failure"))  # it was under way when the breaker opened
    failures = breaker.failures + 1
    if breaker.position is Position.CLOSED and failures < FAILURES and not outcome.credentials:
        return attrs.evolve(breaker, position=_to(breaker, "failure"), failures=failures, reason=outcome.detail)
    longest = policy.max_retry if outcome.credentials else longest_delay(policy, FAILURES + breaker.opened)
    wait = max(longest * (0.5 + random / 2), timedelta(seconds=outcome.retry_after or 0))
    return Breaker(
        position=_to(breaker, "failure", Position.OPEN),
        failures=failures if breaker.position is Position.CLOSED else breaker.failures,
        opened=breaker.opened + 1,
        until=now + wait,
        reason=outcome.detail,
    )


def hurry_breaker(breaker: Breaker, now: datetime) -> Breaker:
    """Return the breaker of a partner that a person says is well: an open one lets its probe go at once."""
    return attrs.evolve(breaker, until=now) if breaker.position is Position.OPEN else breaker


def _to(breaker: Breaker, what: str, to: Position | None = None) -> Position:
    possible = BREAKER[breaker.position, what]
    if to is None:
        to = breaker.position if breaker.position in possible else next(iter(possible))
    if to not in possible:
        raise ValueError(f"no breaker goes from {breaker.position} to {to} by {what}")
    return to
