"""Collects messages from partners that do not call the hub, and commits each before it is confirmed to the partner.

Knows when to collect from which partner and what to do when a conversation breaks. Contains no adapter logic and no
SQL.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import structlog
from structlog.contextvars import bound_contextvars
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError  # noqa: A004 - Twisted's own
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

import adapters
from hub.config import Partner
from hub.domain.conversations import Arrival, Collected, Collector, Judged, LaterFailures, Reply, Request, Unavailable
from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner
from hub.domain.ids import make_id
from hub.domain.lifecycle import SET_ASIDE
from hub.domain.model import DOCUMENTS, Problem
from hub.domain.spans import SpanWork
from hub.formats import xml_cost
from hub.formats.spool import Drawer, Octets
from hub.intake.admission import judge_message, judge_record
from hub.intake.endpoint import JournalAccess
from hub.intake.grants import SEND, is_granted, refuse_ungranted
from hub.journal.effects import MessageEntry
from hub.journal.queue import collection_rounds, delivery_ends
from hub.journal.queue.collection_rounds import Round
from hub.partner.policy import Policy, choose_delay
from hub.runtime.thread_pool import THRESHOLD
from hub.soap import documents_requests
from hub.store.batch_commit import ChargedStep
from hub.units.live import Live
from hub.units.province import Province

log = structlog.get_logger()

#: Interval of the check which partners are due, in seconds.
EVERY = 0.25
#: A round may take this many call timeouts. Adapters end sooner and report that there is more.
CALLS = 20
#: Later failures that one commit takes.
_FAILED_TOGETHER = 50

Send = Callable[[Request, Partner], Awaitable[Reply]]


@attrs.define(eq=False)
class CollectionService(Service):
    """Runs the collections of one node."""

    live: Live  #: the configuration, the province and the adapters in force
    _access: JournalAccess  #: writes arrivals into the journal
    _send: Send  #: sends an adapter's request to a partner
    _clock: IReactorTime  #: the reactor's clock, for intervals and timeouts
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _random: Callable[[], float]  #: returns a number in [0, 1)
    _node: str  #: name of this node, the holder of its rounds
    _may_take: Callable[[], None] = lambda: None  #: raises `Unready` while this node must accept nothing
    _next_at: dict[str, float] = attrs.field(factory=dict, init=False)  #: next start by partner, on the monotonic clock
    _under_way: dict[str, Deferred[None]] = attrs.field(factory=dict, init=False)  #: running rounds by partner code
    _call: IDelayedCall | None = attrs.field(default=None, init=False)  #: the next check which partners are due

    def startService(self) -> None:
        """Start collecting."""
        Service.startService(self)
        self._look()

    def stopService(self) -> Deferred[None]:
        """Cancel the running rounds. What is in the journal stays, and the rest is collected again."""
        Service.stopService(self)
        if self._call is not None and self._call.active():
            self._call.cancel()
        ended = [_watch_task_end(task) for task in self._under_way.values()]
        for task in list(self._under_way.values()):
            task.cancel()
        return DeferredList(ended).addCallback(lambda _: None)

    def wake(self, partner: str) -> None:
        """Collect from *partner* now, because it announced something."""
        hurried = self._access.journal.write(collection_rounds.hurry_round, partner, self._now())
        _ = hurried.addCallback(lambda _: self._next_at.pop(partner, None))
        _ = hurried.addErrback(lambda failure: log.warning("collection-failed", reason=failure.getErrorMessage()))

    def _look(self) -> None:
        at = self._clock.seconds()
        for code, partner in self.live.config.partners.items():
            if partner.policy.collect is None or code in self._under_way or at < self._next_at.get(code, at):
                continue
            # with the partner, for a reload may change both before the conversation begins
            adapter = self.live.adapters.get(code)
            if isinstance(adapter, Collector):
                task = Deferred.fromCoroutine(self._collect(partner, adapter, partner.policy.collect))
                self._under_way[code] = task
                _ = task.addBoth(self._done, code)
        self._call = self._clock.callLater(EVERY, self._look)

    def _done(self, result: object, code: str) -> None:
        del self._under_way[code]
        if isinstance(result, Failure) and not result.check(CancelledError):
            log.error("collection-broke", error=result.getErrorMessage(), traceback=result.getTraceback())

    async def _collect(self, partner: Partner, adapter: Collector, every: timedelta) -> None:
        """Run one round if this node gets the lease for it."""
        self._next_at[partner.code] = self._clock.seconds() + every.total_seconds()
        lease = partner.policy.timeout * CALLS
        try:
            self._may_take()
            round_ = await self._access.journal.write(
                collection_rounds.begin_round, partner.code, self._node, self._now(), lease + partner.policy.timeout
            )
        except Unready:
            return
        except CancelledError:  # what was asked of the journal is done nevertheless: no other node would collect
            await self._access.journal.write(collection_rounds.release_round, partner.code, self._node, self._now())
            return
        if round_ is None:
            return
        with bound_contextvars(partner=partner.code):
            holding = Deferred.fromCoroutine(self._hold(round_, partner, adapter))
            _ = holding.addTimeout(lease.total_seconds(), self._clock)
            try:
                found = await holding
            except TimeoutError:
                found = Unavailable("the conversation took too long")
            except CancelledError:
                await self._access.journal.write(collection_rounds.release_round, partner.code, self._node, self._now())
                return
            now = self._now()
            if isinstance(found, Unavailable):
                wait = _choose_fetch_delay(found, partner.policy, round_.failures + 1, self._random())
                log.warning("collection-failed", reason=found.detail, credentials=found.credentials)
                due = await self._access.journal.write(
                    collection_rounds.fail_round, round_, found.detail, now + wait, now
                )
                self._next_at[partner.code] = self._clock.seconds() + (due - now).total_seconds()
                return
            for what in found.unusable:
                log.warning("arrival-unusable", reason=what)
            wait = timedelta(0) if found.more else every
            due = await self._access.journal.write(collection_rounds.end_round, round_, found.cursor, now + wait, now)
            self._next_at[partner.code] = self._clock.seconds() + (due - now).total_seconds()

    async def _hold(self, round_: Round, partner: Partner, adapter: Collector) -> Collected | Unavailable:
        """Run the adapter's conversation to its end."""
        conversation, owner = adapter.collect(round_.cursor, self._now()), Owner(partner.code)
        least = adapters.estimate_step_cost(adapter)
        try:
            step = await self._access.work(owner, least, _advance_fetch, conversation, None)
            while not isinstance(step, Collected | Unavailable):
                if isinstance(step, Request):
                    reply = await self._send(step, partner)
                    step = await self._access.work(
                        owner, max(least, _cost_reply(reply)), _advance_fetch, conversation, reply
                    )
                elif isinstance(step, LaterFailures):
                    await self._fail_delivered(step, partner)
                    step = await self._access.work(owner, least, _advance_fetch, conversation, None)
                else:
                    step = await self._access.work(
                        owner, least, _advance_fetch, conversation, await self._take(step, partner, round_)
                    )
        except CancelledError:
            raise
        except Unready as unready:
            return Unavailable(str(unready), unready.retry_after, ours=True)
        except ConnectionError as unreachable:
            return Unavailable(str(unreachable))
        except Exception as error:
            log.exception("conversation-broke")
            return Unavailable(f"hub-error: {error!r}", ours=True)
        return step

    async def _fail_delivered(self, told: LaterFailures, partner: Partner) -> None:
        """Move the deliveries that failed after the partner had accepted them."""
        for first in range(0, len(told.failures), _FAILED_TOGETHER):
            some = told.failures[first : first + _FAILED_TOGETHER]
            step = ChargedStep(partner.code, delivery_ends.fail_delivered)
            if failed := await self._access.journal.write(step, partner.code, some, self._now()):
                log.warning("deliveries-failed-later", count=failed)

    async def _take(self, arrival: Arrival, partner: Partner, round_: Round) -> Judged:
        """Judge and journal one arrival. It is committed when this returns.

        An unexpected error ends the round, which also blocks the arrivals behind it. In the last of `SET_ASIDE`
        consecutive failed rounds the arrival is therefore refused with `hub-error` and stored. If the partner sends it
        again, it is judged again.
        """
        self._access.require_space()
        now, province = self._now(), self.live.province  # used to the end, whatever a reload changes meanwhile
        tracking = make_id(now)
        with self._access.tracer.span(SpanWork.INTAKE, tracking, None) as told:
            told |= {"service": arrival.service, "partner": partner.code}
            try:
                entry = await self._judge(arrival, partner, province, now, tracking)
                taken = await self._access.record(Owner(partner.code), entry, province.routes)
            except (CancelledError, Unready):
                raise
            except Exception:
                if round_.failures + 1 < SET_ASIDE:
                    raise
                log.exception("arrival-set-aside", tracking=tracking)
                entry = _refuse_arrival(arrival, partner, now, tracking, Problem("hub-error", tracking))
                taken = await self._access.record(Owner(partner.code), entry, province.routes)
        return Judged(not taken.problems, taken.problems)

    async def _judge(
        self, arrival: Arrival, partner: Partner, province: Province, now: datetime, tracking: str
    ) -> MessageEntry:
        content = arrival.content
        operation = SEND if arrival.service == DOCUMENTS else ""
        if not is_granted(partner, province.config, arrival.service, operation, collected=True):
            problem = refuse_ungranted(arrival.service, operation)
            return _refuse_arrival(arrival, partner, now, tracking, problem)
        if arrival.service == DOCUMENTS:
            call = documents_requests.SendDocument(Octets.of(content), arrival.message_id)
            return await self._access.work(
                Owner(partner.code),
                xml_cost.estimate_packet(content),
                judge_message,
                call,
                partner,
                province,
                DOCUMENTS,
                now,
                tracking,
                Drawer(),
            )
        service, code = province.config.every_service[arrival.service], partner.code
        return await self._access.work(
            Owner(code),
            xml_cost.estimate_record(content),
            judge_record,
            service,
            content,
            arrival.message_id,
            code,
            province,
            now,
            tracking,
        )


def _refuse_arrival(arrival: Arrival, partner: Partner, now: datetime, tracking: str, problem: Problem) -> MessageEntry:
    """Return the entry of an arrival that is refused for *problem* without being read."""
    content = Octets.of(arrival.content)
    return MessageEntry(
        id=tracking,
        partner=partner.code,
        message_id=arrival.message_id,
        service=arrival.service,
        received_at=now,
        content=content,
        sha256=content.sha256(),
        problems=(problem,),
    )


def _choose_fetch_delay(found: Unavailable, policy: Policy, failures: int, random: float) -> timedelta:
    """Return the delay after *failures* consecutive failures: as for a message; `max_retry` for wrong credentials."""
    wait = policy.max_retry if found.credentials else choose_delay(policy, failures, random)
    return max(wait, timedelta(seconds=found.retry_after or 0))


def _cost_reply(reply: Reply) -> int:
    """Return the cost of reading *reply* in octets, at least `THRESHOLD`.

    Untrusted content such as a mail is never read on the reactor thread.
    """
    return max(len(reply.body), THRESHOLD) if reply.body else 0


def _advance_fetch(
    conversation: Any, answer: Reply | Judged | None
) -> Request | Arrival | LaterFailures | Collected | Unavailable:
    """Send the adapter an answer. Return its next request or arrival, or the result of the conversation."""
    try:
        step: Request | Arrival | LaterFailures = next(conversation) if answer is None else conversation.send(answer)
    except StopIteration as end:
        ended: Collected | Unavailable = end.value
        return ended
    return step


def _watch_task_end(task: Deferred[None]) -> Deferred[None]:
    over: Deferred[None] = Deferred()

    def tell(result: Any) -> Any:
        over.callback(None)
        return result

    _ = task.addBoth(tell)
    return over
