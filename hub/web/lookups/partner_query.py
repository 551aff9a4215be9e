"""Asks one partner one question while the caller waits. Retries a few times, and never asks while the partner's breaker
is open.

Bounds the number of tries, the time and the concurrency. Does not know what is asked, nor what is done with the answer.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

import attrs
import structlog
from structlog.contextvars import bound_contextvars
from twisted.internet.defer import CancelledError, DeferredSemaphore, TimeoutError  # noqa: A004 - Twisted's own
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

import adapters
from hub.config import Partner
from hub.delivery.push_service import Send, log_breaker_change
from hub.domain.conversations import Answer, Answerer, Query, Refused, Reply, Request, Unavailable
from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner
from hub.journal.queue import partner_state
from hub.partner import circuit_breaker
from hub.partner.circuit_breaker import Breaker
from hub.partner.policy import Policy, choose_delay
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import Work
from hub.store.batch_commit import Journal
from hub.units.live import Live
from hub.web.lookups import cache

log = structlog.get_logger()

#: The maximum number of tries for one call to a partner that does not answer, if the time allows.
TRIES = 3


@attrs.frozen
class QueryResult:
    """The result of a question."""

    outcome: Answer | Refused | Unavailable
    at: datetime
    again: datetime | None = None  #: when to ask again, if the partner is unavailable
    kept: bool = False  #: from the cache


class QueryRunner(Protocol):
    """Asks a partner one question, in this process or in the one that holds the node's limits and breakers."""

    @property
    def live(self) -> Live:
        """Return the current adapters."""
        ...

    async def ask(self, query: Query, partner: Partner, said: Mapping[str, object]) -> QueryResult:
        """See `PartnerQueryRunner.ask`."""
        ...


@attrs.define(eq=False)
class PartnerQueryRunner:
    """Runs the adapters' conversations for questions."""

    live: Live  #: the current adapters
    _journal: Journal  #: stores permits and breakers
    _send: Send  #: sends a request to a partner
    _work: Work  #: runs steps of a conversation, in a worker thread if they are large
    _clock: IReactorTime  #: the reactor, which times timeouts and waits
    _now: Callable[[], datetime]  #: returns the current time in UTC
    _random: Callable[[], float]  #: returns a number from 0 to 1 for jitter
    #: limits concurrent lookups, by partner code
    _places: dict[str, DeferredSemaphore] = attrs.field(factory=dict, init=False)

    async def ask(self, query: Query, partner: Partner, said: Mapping[str, object]) -> QueryResult:
        """Ask *partner*, with at most `TRIES` tries; no try begins after the policy's `timeout`.

        Returns `Unavailable` at once if the partner's limit of concurrent lookups, its rate limit or its breaker does
        not permit the call.
        """
        policy, start = partner.policy, self._clock.seconds()
        places = self._places.setdefault(partner.code, DeferredSemaphore(policy.concurrency))
        try:
            await places.acquire().addTimeout(policy.timeout.total_seconds(), self._clock)
        except TimeoutError:
            return QueryResult(Unavailable("too many concurrent lookups of this partner"), self._now())
        try:
            for attempt in range(1, TRIES + 1):
                now = self._now()
                leave = await self._journal.write(cache.permit_partner_query, query.id, partner.code, policy, said, now)
                if not leave.given:
                    return QueryResult(Unavailable(leave.reason), now, leave.again)
                outcome = await self._converse(query, partner)
                await self._tell(outcome, partner, probe=leave.probe)
                if not isinstance(outcome, Unavailable):
                    return QueryResult(outcome, self._now())
                wait = outcome.retry_after or choose_delay(policy, attempt, self._random()).total_seconds()
                late = self._clock.seconds() - start + wait > policy.timeout.total_seconds()
                if outcome.credentials or leave.probe or late or attempt == TRIES:
                    return QueryResult(outcome, self._now(), self._now() + timedelta(seconds=wait))
                await deferLater(self._clock, wait)
        finally:
            places.release()
        raise AssertionError("a loop that returns")

    async def _converse(self, query: Query, partner: Partner) -> Answer | Refused | Unavailable:
        """Run the adapter's conversation. An error in the adapter itself is the hub's fault (`ours`) and does not count
        against the partner.
        """
        adapter = cast("Answerer", self.live.adapters[partner.code])
        try:
            conversation, owner = adapter.ask(query, self._now()), Owner(partner.code)
            least = adapters.estimate_step_cost(adapter)
            step = await self._work(owner, least, _advance_query, conversation, None)
            while isinstance(step, Request):
                reply = await self._send(step, partner)
                step = await self._work(owner, max(least, len(reply.body)), _advance_query, conversation, reply)
            return step
        except (CancelledError, Unready):
            raise
        except Unreachable as unreachable:
            return Unavailable(str(unreachable))
        except Exception as error:
            log.exception("lookup-broke", partner=partner.code, lookup=query.id)
            return Unavailable(f"hub-error: {type(error).__name__}", ours=True)

    async def _tell(self, outcome: Answer | Refused | Unavailable, partner: Partner, *, probe: bool) -> None:
        """Record the outcome in the partner's breaker; log a change of its position, and refused credentials."""
        step = _choose_breaker_step(outcome, partner.policy, self._now(), self._random(), probe=probe)
        moved: list[tuple[Breaker, Breaker]] = []

        def hear(before: Breaker) -> Breaker:
            assert step is not None
            moved[:] = [(before, step(before))]
            return moved[0][1]

        if step is not None:
            await self._journal.write(partner_state.move_breaker, partner.code, hear, self._now())
        with bound_contextvars(partner=partner.code):
            for before, after in moved:
                log_breaker_change(before, after)
        if isinstance(outcome, Unavailable) and outcome.credentials:
            log.error("credentials-refused", partner=partner.code, reason=outcome.detail)


def _advance_query(conversation: Any, reply: Reply | None) -> Request | Answer | Refused | Unavailable:
    """Send *reply* to the adapter's conversation. Return its next request, or its outcome."""
    try:
        step: Request = next(conversation) if reply is None else conversation.send(reply)
    except StopIteration as end:
        return cast("Answer | Refused | Unavailable", end.value)
    return step


def _choose_breaker_step(
    outcome: Answer | Refused | Unavailable, policy: Policy, now: datetime, random: float, *, probe: bool
) -> Callable[[Breaker], Breaker] | None:
    """Return the change that *outcome* makes to a breaker, or None; a failed *probe* makes the next wait longer."""
    if not isinstance(outcome, Unavailable):
        return lambda before: circuit_breaker.record_breaker_success(before, policy)
    if circuit_breaker.classify_outcome(outcome) is None:
        return None

    def fail(before: Breaker) -> Breaker:
        return circuit_breaker.record_breaker_failure(
            circuit_breaker.record_breaker_claims(before) if probe else before, policy, now, random, outcome
        )

    return fail
