"""Claims due deliveries, runs each adapter's conversation and settles the result.

Knows when to check the queue, how many messages to send at once, and what to do when a conversation breaks. Contains
no adapter logic and no SQL.
"""

import hashlib
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar, cast

import attrs
import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import adapters
from hub.config import Partner
from hub.domain.conversations import Conversation, Outcome, Postponed, Reply, Request, Unavailable
from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner, divide_capacity
from hub.domain.lifecycle import judge_outcome, name_outcome
from hub.domain.measures import ATTEMPT_SECONDS, ATTEMPTS, DELIVERED_SECONDS, LEASES, Measures
from hub.domain.model import HUB, Consignment, DeliveryState
from hub.domain.spans import NO_TRACER, SpanWork, Tracer
from hub.domain.trace_context import write_attempt_traceparent
from hub.journal import consignments
from hub.journal.queue import claim_release, claims, delivery_ends, pickup
from hub.journal.queue.claims import AttemptExchange, Claim, EndedAttempt, settle_claim
from hub.journal.queue.queue_view import read_queue_view
from hub.journal.queue.settlement_sets import settle_delivered_claims
from hub.partner import circuit_breaker
from hub.partner.circuit_breaker import Breaker, BreakerEvent, BreakerPosition
from hub.partner.kept_exchange import keep_exchange
from hub.partner.policy import Policy, choose_delay
from hub.partner.reply_parsing import may_have_taken
from hub.runtime.call_progress import SLOWEST
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import Work
from hub.store.batch_commit import Journal, SetStep
from hub.store.transactions import Transaction
from hub.units.live import Live

log = structlog.get_logger()

#: Messages that this node sends at the same time, in addition to the one that each partner may always have.
PLACES = 64
#: Poll interval without any wake-up, in seconds: for what other processes (the command line) queue without a
#: notification.
POLL = 1.0
#: Delay before the next check when another node was claiming, or a rate limit allows the next message, in seconds.
SOON = 0.05
#: A conversation may take this many call timeouts. Then it is cancelled.
CALLS = 3
#: Octets of a request that earn its conversation no more time.
LONG = 256 * 1024
#: Claims that wait in this process until a conversation with their partner ends, for a partner that is quick. So no
#: conversation waits for a commit, and a commit settles more of them. All partners together have at most `PLACES`.
AHEAD = 24
#: A partner is quick while its conversations end with a proper answer within this time, in seconds.
QUICK = 0.25
#: While they end within this time, in seconds, a commit waits for more of them.
AT_ONCE = 0.02
#: For so long it is tried to write how an attempt ended while the journal is away, and how often, in seconds.
KEPT, AGAIN = 60.0, 1.0
#: A claim that waited this long in this process is released, in seconds.
STALE = 1.0
#: Interval of the search for lost claims, in seconds.
RESCUE = 10.0
#: A held delivery that is not fetched and confirmed for this long gets an alarm event.
HELD_ALARM = timedelta(days=3)
#: How long a stop waits for conversations in progress, in seconds.
DRAIN = 10.0


Send = Callable[[Request, Partner], Awaitable[Reply]]
T = TypeVar("T")
_Claims = list[tuple[Claim, Consignment | None]]


@attrs.define(eq=False)
class PartnerFlow:
    """What this node does for one partner now."""

    conversing: int = 0  #: running conversations; those that have ended and are being settled do not count
    #: how long the last conversation took, in seconds; infinite if it brought no proper answer
    took: float = math.inf
    asked: int = 0  #: claims asked of the journal, and not answered yet
    #: claims that wait for a conversation to end, with their content and the time since when, by the steady clock
    ready: deque[tuple[Claim, Consignment | None, float]] = attrs.field(factory=deque)

    @property
    def is_low(self) -> bool:
        """Tell whether more claims should be made ahead."""
        return len(self.ready) <= AHEAD // 2


@attrs.define(eq=False)
class DeliveryService(Service):
    """Sends the deliveries of one node."""

    live: Live  #: the configuration and the adapters in force
    _journal: Journal  #: the journal to read and write
    _send: Send  #: sends an adapter's request to a partner
    _work: Work  #: runs the adapters where their cost says
    _clock: IReactorTime  #: the reactor's clock, for intervals and timeouts
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _random: Callable[[], float]  #: returns a number in [0, 1)
    _node: str  #: name of this node, the holder of its claims
    _alone: bool  #: no other node shares the journal, so a delivery that is `sending` at the start is lost
    _poll: Callable[[], float] = lambda: POLL  #: returns the poll interval in seconds
    _may_take: Callable[[], None] = lambda: None  #: raises `Unready` while this node must accept nothing
    _measures: Measures = attrs.field(factory=Measures)  #: what this node counts
    _tracer: Tracer = NO_TRACER
    #: running conversations and their claims
    _under_way: dict[Deferred[bool], Claim] = attrs.field(factory=dict, init=False)
    _flows: dict[str, PartnerFlow] = attrs.field(factory=dict, init=False)  #: by partner code
    #: claims asked of the journal, and releases of claims
    _writing: set[Deferred[None]] = attrs.field(factory=set, init=False)
    #: lost claims are being looked for, so none may be on its way from the journal
    _rescuing: bool = attrs.field(default=False, init=False)
    _looking: Deferred[float] | None = attrs.field(default=None, init=False)  #: the running check of the queue
    _again: bool = attrs.field(default=False, init=False)  #: another check was requested during the running one
    _next: IDelayedCall | None = attrs.field(default=None, init=False)  #: the next check
    #: time of the last search for lost claims, by `_clock`
    _rescued_at: float | None = attrs.field(default=None, init=False)
    _first: str = attrs.field(default="", init=False)  #: the partner whose share was computed first in the last check

    def startService(self) -> None:
        """Start checking the queue."""
        Service.startService(self)
        self.wake()

    @property
    def is_flowing(self) -> bool:
        """Tell whether more conversations are about to end, so that a commit that waits settles more of them."""
        return any(flow.took <= AT_ONCE and not flow.is_low for flow in self._flows.values())

    def stopService(self) -> Deferred[None]:
        """Claim nothing more, finish the conversations in progress within `DRAIN`, then release the rest."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._looking is not None:
            await _watch_task_end(self._looking)
        for flow in self._flows.values():
            self._release_ready(flow)
        await self._written()
        under_way = list(self._under_way)
        if under_way:
            limit = self._clock.callLater(DRAIN, _cancel_tasks, under_way)
            await DeferredList([_watch_task_end(task) for task in under_way])
            if limit.active():
                limit.cancel()
        await self._written()

    async def _written(self) -> None:
        """Wait until no claim is on its way from the journal or back to it."""
        while self._writing:
            await DeferredList(list(self._writing))

    def wake(self) -> None:
        """Check the queue now."""
        if not self.running:
            return
        if self._looking is not None:
            self._again = True
            return
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._looking = Deferred.fromCoroutine(self._look())
        _ = self._looking.addBoth(self._looked)

    def _looked(self, result: object) -> None:
        self._looking = None
        wait = self._poll()
        if isinstance(result, Failure):
            log.error("delivery-look-failed", error=result.getErrorMessage(), traceback=result.getTraceback())
        elif isinstance(result, float):
            wait = min(wait, result)
        if self.running:
            self._next = self._clock.callLater(0.0 if self._again else wait, self.wake)
        self._again = False

    async def _look(self) -> float:
        """Claim due deliveries and start them. Return the seconds until the next check."""
        if not self._is_allowed():
            return self._poll()
        now = self._now()
        steady = self._clock.seconds()
        for flow in self._flows.values():
            if flow.ready and flow.ready[0][2] <= steady - STALE:
                self._release_ready(flow)
        if self._rescued_at is None or steady - self._rescued_at > RESCUE:
            self._rescuing = True
            try:
                await self._rescue(now)
            finally:
                self._rescuing = False
        known = self.live.config.partners
        sight = await self._journal.read(read_queue_view, now)
        policies = {code: known[code].policy for code in self.live.adapters if code in known}
        for code, reason in sight.expired_partners(policies):
            over = policies[code]
            await self._journal.write(
                delivery_ends.expire_deliveries, code, now, over.give_up, reason, then=over.after_give_up
            )
        rooms = sight.capacities(policies)
        busy = Counter(claim.partner for claim in self._under_way.values())
        shares = divide_capacity(PLACES, rooms, busy, after=self._first)
        self._first = next(iter(shares), "")
        if not self.running:
            return self._poll()
        chosen = {code: share for code, share in shares.items() if share}
        asked = [self._claim(known[code], share) for code, share in chosen.items()]
        answers = await DeferredList(asked)
        taken = {code: count for code, (_, count) in zip(chosen, answers, strict=True)}
        if 0 in taken.values():
            return SOON  # another node was faster or is claiming
        left = {code: room - (taken.get(code) or 0) for code, room in rooms.items()}
        soon = [max(SOON, (at - self._now()).total_seconds()) for at in sight.next_changes(left)]
        return min([self._poll(), *soon])

    async def _rescue(self, now: datetime) -> None:
        """Release the claims that nobody will settle."""
        await self._written()
        steady, first = self._clock.seconds(), self._rescued_at is None
        held = [claim for flow in self._flows.values() for claim, _, _ in flow.ready]
        lost = await self._journal.write(
            claim_release.release_lost_claims,
            now,
            alone=self._alone and first,
            first=first,
            holder=self._node,
            under_way=[delivery for claim in (*self._under_way.values(), *held) for delivery in claim.deliveries],
        )
        self._rescued_at = steady
        if lost:
            log.warning("deliveries-rescued", count=lost)
            self._measures.count(LEASES, by=lost)
        if overdue := await self._journal.write(pickup.record_unfetched_alarms, now, HELD_ALARM):
            log.warning("deliveries-overdue-held", count=overdue)

    def _claim(self, partner: Partner, limit: int, ahead: int = 0) -> Deferred[int | None]:
        """Claim up to *limit* messages, *ahead* of them beyond the partner's concurrency, and start what may start.

        Returns how many were claimed, or None after an error, which is logged.
        """
        flow = self._flows.setdefault(partner.code, PartnerFlow())
        flow.asked += limit
        asked = self._journal.write(_CLAIM, _ClaimRequest(partner, limit, self._node, self._now(), ahead))
        return self._track(asked.addBoth(self._claimed, partner, flow, limit))

    def _claimed(self, result: _Claims | Failure, partner: Partner, flow: PartnerFlow, limit: int) -> int | None:
        flow.asked -= limit
        if isinstance(result, Failure):
            log.error("delivery-look-failed", error=result.getErrorMessage(), traceback=result.getTraceback())
            return None
        flow.ready.extend((*each, self._clock.seconds()) for each in result)
        self._start_ready(partner, flow)
        return len(result)

    def _start_ready(self, partner: Partner, flow: PartnerFlow) -> None:
        """Start as many of the waiting claims as the partner's concurrency allows. Release the rest if it failed."""
        while self.running and flow.ready and (room := partner.policy.concurrency - flow.conversing) > 0:
            for claim, consignment, _ in [flow.ready.popleft() for _ in range(min(room, len(flow.ready)))]:
                self._start(claim, consignment, partner, flow)
        if not self.running or flow.took == math.inf:
            self._release_ready(flow)

    def _release_ready(self, flow: PartnerFlow) -> None:
        """Release the claims that wait for a conversation to end. Their attempts do not count."""
        ready, flow.ready = flow.ready, deque()
        for claim, _, _ in ready:
            released = self._journal.write(claim_release.release_claim, claim, self._now(), begun=False)
            _ = self._track(released.addErrback(_log_failed_release))

    def _track(self, writing: Deferred[T]) -> Deferred[T]:
        """Remember *writing* until it has ended."""
        ended = _watch_task_end(writing)
        self._writing.add(ended)
        _ = ended.addCallback(lambda _: self._writing.discard(ended))
        return writing

    def _start(self, claim: Claim, consignment: Consignment | None, partner: Partner, flow: PartnerFlow) -> None:
        flow.conversing += 1
        last = _LastCall()
        task = Deferred.fromCoroutine(self._deliver(claim, consignment, partner, flow, last))
        self._under_way[task] = claim
        if not last.ended:
            seconds = partner.policy.timeout.total_seconds() * CALLS
            last.limit = self._clock.callLater(seconds, self._cut_off, task, last)
        _ = task.addBoth(self._delivered, task)

    def _cut_off(self, task: Deferred[bool], last: "_LastCall") -> None:
        """End a conversation that takes too long, unless its messages were so long that it has more time."""
        more, last.earned = last.earned, 0.0
        if more:
            last.limit = self._clock.callLater(more, self._cut_off, task, last)
        else:
            task.cancel()

    def _delivered(self, result: object, task: Deferred[bool]) -> None:
        del self._under_way[task]
        if isinstance(result, Failure):
            log.error("delivery-failed", error=result.getErrorMessage(), traceback=result.getTraceback())
        if result is not True:
            self.wake()

    def _go_on(self, code: str, flow: PartnerFlow) -> bool:
        """Start the next conversations with the partner *code*, and claim more in the commit that settles the last one.

        Returns False where the next check of the queue must choose the partner instead, because places are scarce.
        """
        partner = self.live.config.partners.get(code)
        if not self.running or partner is None or code not in self.live.adapters or not self._is_allowed():
            self._release_ready(flow)
            return False
        if flow.took == math.inf:
            self._release_ready(flow)  # before another one meets the same fault
        self._start_ready(partner, flow)
        if self._rescuing or len(self._under_way) > PLACES // 2:
            return False
        policy = partner.policy
        if flow.took > QUICK or not self._alone or policy.rate is not None:
            if flow.ready:
                return True
            limit, ahead = 1, 0
        elif flow.asked or not flow.is_low:
            return True
        else:
            ahead = min(AHEAD, PLACES - sum(len(each.ready) for each in self._flows.values() if each is not flow))
            limit = max(1, policy.concurrency + ahead - flow.conversing - len(flow.ready))
        # when nothing is due for it, the check of the queue finds out when something will be
        _ = self._claim(partner, limit, ahead).addCallback(lambda count: None if count else self.wake())
        return True

    def _is_allowed(self) -> bool:
        """Tell whether this node may send now."""
        try:
            self._may_take()
        except Unready:
            return False
        return True

    async def _deliver(
        self, claim: Claim, consignment: Consignment | None, partner: Partner, flow: PartnerFlow, last: "_LastCall"
    ) -> bool:
        """Run one claim to its end. An interrupted claim is released, and its attempt does not count.

        Return whether the next claim for the partner has been asked for.
        """
        begun = self._clock.seconds()
        with bound_contextvars(message=claim.message, partner=claim.partner, attempt=claim.number):
            try:
                outcome = await self._talk(claim, consignment, partner, last)
            except CancelledError:
                if not self.running:
                    await self._journal.write(claim_release.release_claim, claim, self._now(), begun=last.in_doubt)
                    return False
                outcome = Unavailable("the conversation took too long", unknown=last.in_doubt)
            finally:
                flow.conversing -= 1
                last.end()
            exchange = last.describe(partner)
            answered = circuit_breaker.classify_outcome(outcome) is BreakerEvent.SUCCESS
            took = self._clock.seconds() - begun
            flow.took = took if answered else math.inf
            now, policy = self._now(), partner.policy
            wait = choose_delay(policy, claim.number, self._random())
            verdict = judge_outcome(
                outcome,
                since=claim.since,
                now=now,
                delay=wait,
                give_up=policy.give_up,
                crashes=claim.crashes,
                then=policy.after_give_up,
                recipients=claim.recipients,
            )
            name = name_outcome(outcome)
            moved: list[tuple[Breaker, Breaker]] = []
            heard = self._heard(outcome, policy, now, moved)
            ended = EndedAttempt(claim, name, verdict, exchange, now, heard)
            settling = self._journal.write(_SETTLE, ended)
            continues = self._go_on(partner.code, flow)
            settled = await self._settled(settling, ended)
            self._measures.count(ATTEMPTS, claim.partner, name if settled else "stale")
            self._measures.observe(ATTEMPT_SECONDS, took, claim.partner)
            if settled and verdict.state is DeliveryState.DELIVERED:
                self._measures.observe(DELIVERED_SECONDS, (now - claim.since).total_seconds(), claim.partner)
            log.info("delivery-settled", state=verdict.state, outcome=name, reason=verdict.reason, ours=settled)
            for before, after in moved:
                log_breaker_change(before, after)
            return continues

    async def _settled(self, settling: Deferred[bool], ended: EndedAttempt) -> bool:
        """Return whether the claim was still ours. *settling* writes how its attempt ended.

        While the journal is away it is written again: what a partner answered is not asked of it a second time.
        """
        began = self._clock.seconds()
        until = began + KEPT
        while True:
            try:
                return await settling
            except Unready as unready:
                if not self.running or self._clock.seconds() >= until:
                    raise
                if self._clock.seconds() - began < AGAIN:
                    log.warning("delivery-not-settled", reason=str(unready))
            await deferLater(self._clock, AGAIN)
            settling = self._journal.write(_SETTLE, ended)

    def _heard(
        self, outcome: Outcome, policy: Policy, now: datetime, moved: list[tuple[Breaker, Breaker]]
    ) -> Callable[[Breaker], Breaker] | None:
        """Return the breaker transition for *outcome*, or None. When it runs, it stores (before, after) in *moved*."""
        says, random = circuit_breaker.classify_outcome(outcome), self._random()
        if says is None:
            return None

        def step(before: Breaker) -> Breaker:
            if isinstance(outcome, Unavailable):
                after = circuit_breaker.record_breaker_failure(before, policy, now, random, outcome)
            else:
                after = circuit_breaker.record_breaker_success(before, policy)
            moved[:] = [(before, after)]
            return after

        return step

    async def _talk(
        self, claim: Claim, consignment: Consignment | None, partner: Partner, last: "_LastCall"
    ) -> Outcome:
        """Run the adapter's conversation and return its outcome. *last* tells of its calls, however it ends."""
        try:
            if consignment is None:
                consignment = await self._journal.read(consignments.read_consignment, claim)
            message = consignment.message
            bind_contextvars(trace=message.trace_id)
            traceparent = write_attempt_traceparent(message.id, message.trace, claim.partner, claim.number)
            own = message.partner == HUB
            with self._tracer.span(SpanWork.PUSH, message.id, message.trace, traceparent[36:52], first=own) as told:
                told |= {"partner": claim.partner, "attempt": claim.number}
                if self._tracer.tells(message.id, message.trace):
                    traceparent = f"{traceparent[:-2]}01"  # sampled: who gets it may tell its own spans of it, too
                outcome = await self._hold(claim, consignment, partner, last, traceparent)
                told["outcome"] = name_outcome(outcome)
                if isinstance(outcome, Unavailable):
                    told["failure"] = "unavailable"
                return outcome
        except CancelledError:
            raise
        except Unreachable as unreachable:
            return Unavailable(str(unreachable), unknown=last.was_in_doubt if unreachable.unsent else last.in_doubt)
        except Unready as unready:
            until = self._now() + timedelta(seconds=unready.retry_after)
            # before the call, if there is no reply: this node must send nothing now
            return Postponed(until, str(unready), unknown=last.was_in_doubt if last.reply is None else last.in_doubt)
        except Exception as error:
            log.exception("conversation-broke")
            return Unavailable(f"hub-error: {error!r}", ours=True, unknown=last.in_doubt)

    async def _hold(
        self, claim: Claim, consignment: Consignment, partner: Partner, last: "_LastCall", traceparent: str
    ) -> Outcome:
        adapter, owner = self.live.adapters[partner.code], Owner(partner.code)
        if adapters.keeps_progress(adapter):
            progress = await self._journal.read(consignments.read_progress, claim)
            consignment = attrs.evolve(consignment, progress=progress)
        size = max(len(consignment.content), adapters.estimate_step_cost(adapter))
        conversation = adapter.deliver(consignment, self._now())
        step = await self._work(owner, size, _advance_delivery, conversation, None)
        while isinstance(step, Request):
            await self._note_progress(claim, step.progress)
            began = self._clock.seconds()
            last.begin(step)
            try:
                last.reply = reply = await self._send(_add_traceparent(step, traceparent), partner)
            finally:
                last.seconds = self._clock.seconds() - began
            step = await self._work(owner, max(size, len(reply.body)), _advance_delivery, conversation, reply)
        if isinstance(step, Postponed):
            await self._note_progress(claim, step.progress)
        if isinstance(step, Unavailable | Postponed) and last.was_in_doubt:
            return attrs.evolve(step, unknown=True)  # an adapter speaks of its last call
        return step

    async def _note_progress(self, claim: Claim, progress: str | None) -> None:
        """Have the journal keep what of a long message is through, before anything more goes out."""
        if progress is not None:
            await self._journal.write(claims.note_progress, claim, progress)


def _add_traceparent(request: Request, traceparent: str) -> Request:
    """Return *request* with the trace context, which is not kept with the exchange: it differs each time."""
    if not request.url.startswith("http"):
        return request
    return attrs.evolve(request, headers=(*request.headers, ("traceparent", traceparent)))


@attrs.define(eq=False)
class _LastCall:
    """The last call of a conversation, and whether the calls so far leave it open what the partner has."""

    request: Request | None = None
    reply: Reply | None = None  #: None: none came
    seconds: float = 0.0  #: from the request to the reply, or to the failure
    #: the partner may have the message from a call before this one: an outcome that is not final says nothing of that
    was_in_doubt: bool = False
    earned: float = 0.0  #: seconds that the conversation may take longer, because its messages are long
    limit: IDelayedCall | None = None  #: the end of its time
    ended: bool = False

    def begin(self, request: Request) -> None:
        """Note that *request* is sent now."""
        self.was_in_doubt = self.in_doubt
        self.request, self.reply = request, None
        self.earned += len(request.body) / SLOWEST if len(request.body) > LONG else 0.0

    def end(self) -> None:
        """Note that the conversation is over, so that nothing cuts off what the journal does about it."""
        self.ended = True
        if self.limit is not None and self.limit.active():
            self.limit.cancel()

    @property
    def in_doubt(self) -> bool:
        """Whether the partner may have the message if the conversation ends here without an outcome."""
        if self.was_in_doubt or self.request is None or not self.request.hands_over:
            return self.was_in_doubt
        return self.reply is None or may_have_taken(self.reply.status)

    def describe(self, partner: Partner) -> AttemptExchange:
        """Return what the journal keeps of it."""
        if self.request is None:
            return AttemptExchange()
        reply = self.reply
        return AttemptExchange(
            request_sha256=hashlib.sha256(self.request.body).hexdigest(),
            reply_sha256=None if reply is None else hashlib.sha256(reply.body).hexdigest(),
            reply_status=None if reply is None else reply.status,
            call_ms=max(0, round(self.seconds * 1000)),
            kept=keep_exchange(self.request, reply, list(partner.secrets.values())),
        )


#: Settles a claim, alone or with others.
_SETTLE = SetStep(settle_claim, settle_delivered_claims)


@attrs.frozen(eq=False)
class _ClaimRequest:
    """What is to be claimed for a partner."""

    partner: Partner
    limit: int  #: of messages
    node: str  #: name of the node that will send them
    now: datetime
    ahead: int = 0  #: messages that may be claimed beyond the partner's concurrency


def _claim(tx: Transaction, asked: _ClaimRequest) -> _Claims:
    """Claim due messages of a partner, with their content where it is short."""
    policy = asked.partner.policy
    taken = claims.claim_deliveries(
        tx,
        asked.partner.code,
        asked.now,
        limit=asked.limit,
        holder=asked.node,
        lease=policy.timeout * CALLS + timedelta(seconds=DRAIN),
        concurrency=policy.concurrency + asked.ahead,
        rate=policy.rate,
    )
    return list(zip(taken, consignments.read_small_consignments(tx, taken), strict=True))


def _claim_set(tx: Transaction, asked: Sequence[_ClaimRequest]) -> list[_Claims | None]:
    """Claim for several callers: at once for those of the same partner."""
    groups: dict[str, list[_ClaimRequest]] = {}
    for each in asked:
        groups.setdefault(each.partner.code, []).append(each)
    taken = {
        code: _claim(
            tx, attrs.evolve(ours[0], limit=sum(each.limit for each in ours), ahead=max(each.ahead for each in ours))
        )
        for code, ours in groups.items()
    }
    given: list[_Claims | None] = []
    for each in asked:
        code = each.partner.code
        given.append(taken[code][: each.limit])
        taken[code] = taken[code][each.limit :]
    return given


#: Claims due messages of a partner, alone or with other callers of this node.
_CLAIM = SetStep(_claim, _claim_set)


def _log_failed_release(failure: Failure) -> None:
    """Log that a claim was not released. The search for lost claims finds it."""
    log.error("delivery-look-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())


def _cancel_tasks(tasks: list[Deferred[bool]]) -> None:
    for task in tasks:
        task.cancel()


def log_breaker_change(before: Breaker, after: Breaker) -> None:
    """Log that a breaker opened or closed. The partner's code is bound to the log line."""
    if after.position is before.position:
        return
    if after.position is BreakerPosition.OPEN:
        until = after.until.isoformat() if after.until else None
        log.warning("breaker-opened", until=until, opened=after.opened, reason=after.reason)
    elif after.position is BreakerPosition.CLOSED:
        log.info("breaker-closed")


def _advance_delivery(conversation: Conversation, reply: Reply | None) -> Request | Outcome:
    """Send the adapter a reply. Return its next request or its outcome."""
    try:
        return next(conversation) if reply is None else conversation.send(reply)
    except StopIteration as end:
        return cast("Outcome", end.value)


def _watch_task_end(task: Deferred[T]) -> Deferred[None]:
    """Return a Deferred that fires when *task* has ended, and pass the result of *task* on."""
    over: Deferred[None] = Deferred()

    def tell(result: T | Failure) -> T | Failure:
        over.callback(None)
        return result

    _ = task.addBoth(tell)
    return over
