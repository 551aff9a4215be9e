"""Claims due deliveries, runs each adapter's conversation and settles the result.

Knows when to check the queue, how many messages to send at once, and what to do when a conversation breaks. Contains
no adapter logic and no SQL.
"""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

import attrs
import structlog
from structlog.contextvars import bound_contextvars
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from hub.config import Partner
from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner, divide_capacity
from hub.domain.lifecycle import judge_outcome, name_outcome
from hub.domain.model import Consignment, Conversation, Outcome, Postponed, Reply, Request, Unavailable
from hub.journal.queue import claims, consignments, deliveries, pickup, settlement_sets
from hub.journal.queue.claims import AttemptExchange, Claim
from hub.journal.queue.queue_view import read_queue_view
from hub.partner import circuit_breaker
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from hub.partner.kept_exchange import keep_exchange
from hub.partner.policy import Policy, choose_delay
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import Work
from hub.store.group_commit import Journal, SetStep
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
#: Interval of the search for lost claims, in seconds.
RESCUE = 10.0
#: A held delivery that is not fetched and confirmed for this long gets an alarm event.
HELD_ALARM = timedelta(days=3)
#: How long a stop waits for conversations in progress, in seconds.
DRAIN = 10.0


Send = Callable[[Request, Partner], Awaitable[Reply]]
T = TypeVar("T")


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
    #: running conversations and their claims
    _under_way: dict[Deferred[bool], Claim] = attrs.field(factory=dict, init=False)
    #: claims that conversations which ended have asked for
    _continuing: set[Deferred[dict[str, int]]] = attrs.field(factory=set, init=False)
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

    def stopService(self) -> Deferred[None]:
        """Claim nothing more, finish the conversations in progress within `DRAIN`, then release the rest."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._looking is not None:
            await _ended(self._looking)
        await DeferredList([_ended(task) for task in self._continuing])
        under_way = list(self._under_way)
        if under_way:
            limit = self._clock.callLater(DRAIN, _cancel, under_way)
            await DeferredList([_ended(task) for task in under_way])
            if limit.active():
                limit.cancel()

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
        try:
            self._may_take()
        except Unready:
            return self._poll()
        now = self._now()
        steady = self._clock.seconds()
        if self._rescued_at is None or steady - self._rescued_at > RESCUE:
            lost = await self._journal.write(
                claims.release_lost_claims,
                now,
                alone=self._alone and self._rescued_at is None,
                first=self._rescued_at is None,
                holder=self._node,
                under_way=[delivery for claim in self._under_way.values() for delivery in claim.deliveries],
            )
            self._rescued_at = steady
            if lost:
                log.warning("deliveries-rescued", count=lost)
            if overdue := await self._journal.write(pickup.record_unfetched_alarms, now, HELD_ALARM):
                log.warning("deliveries-overdue-held", count=overdue)
        known = self.live.config.partners
        sight = await self._journal.read(read_queue_view, now)
        policies = {code: known[code].policy for code in self.live.adapters if code in known}
        for code, reason in sight.expired_partners(policies):
            await self._journal.write(deliveries.expire_deliveries, code, now, policies[code].give_up, reason)
        rooms = sight.capacities(policies)
        busy = Counter(claim.partner for claim in self._under_way.values())
        shares = divide_capacity(PLACES, rooms, busy, after=self._first)
        self._first = next(iter(shares), "")
        taken = await self._claim([(known[code], share) for code, share in shares.items() if share], now)
        if not all(taken.values()):
            return SOON  # another node was faster or is claiming
        left = {code: room - taken.get(code, 0) for code, room in rooms.items()}
        soon = [max(SOON, (at - self._now()).total_seconds()) for at in sight.next_changes(left)]
        return min([self._poll(), *soon])

    async def _claim(self, shares: Sequence[tuple[Partner, int]], now: datetime) -> dict[str, int]:
        """Claim due messages in one commit and start them. Return the number per partner."""
        if not self.running:
            return {}
        asked = [self._journal.write(_CLAIM, partner, share, self._node, now) for partner, share in shares]
        taken: dict[str, int] = {}
        for (partner, _), done in zip(shares, await DeferredList(asked, consumeErrors=True), strict=True):
            if isinstance(done[1], Failure):
                log.error("delivery-look-failed", error=done[1].getErrorMessage(), traceback=done[1].getTraceback())
                continue
            for claim, consignment in done[1]:
                self._start(claim, consignment, partner, partner.policy.timeout * CALLS)
            taken[partner.code] = len(done[1])
        return taken

    def _start(self, claim: Claim, consignment: Consignment | None, partner: Partner, lease: timedelta) -> None:
        task = Deferred.fromCoroutine(self._deliver(claim, consignment, partner))
        self._under_way[task] = claim
        _ = task.addTimeout(lease.total_seconds(), self._clock)
        _ = task.addBoth(self._ended, task)

    def _ended(self, result: object, task: Deferred[bool]) -> None:
        del self._under_way[task]
        if isinstance(result, Failure):
            log.error("delivery-failed", error=result.getErrorMessage(), traceback=result.getTraceback())
        if result is not True:
            self.wake()

    def _continue(self, code: str) -> bool:
        """Claim the next message for the partner *code*, in the commit that settles its last one.

        Returns False where the next check of the queue must choose the partner instead, because places are scarce.
        """
        partner = self.live.config.partners.get(code)
        if not self.running or partner is None or code not in self.live.adapters or len(self._under_way) > PLACES // 2:
            return False
        try:
            self._may_take()
        except Unready:
            return False
        task = Deferred.fromCoroutine(self._claim([(partner, 1)], self._now()))
        self._continuing.add(task)
        _ = task.addBoth(self._continued, task, code)
        return True

    def _continued(self, result: object, task: Deferred[dict[str, int]], code: str) -> None:
        self._continuing.discard(task)
        if isinstance(result, Failure):
            log.error("delivery-look-failed", error=result.getErrorMessage(), traceback=result.getTraceback())
        if not isinstance(result, dict) or not result.get(code):
            self.wake()  # nothing is due for it; the check finds out when something will be

    async def _deliver(self, claim: Claim, consignment: Consignment | None, partner: Partner) -> bool:
        """Run one claim to its end. An interrupted claim is released, and its attempt does not count.

        Return whether the next claim for the partner has been asked for.
        """
        with bound_contextvars(message=claim.message, partner=claim.partner, attempt=claim.number):
            try:
                outcome, exchange = await self._converse(claim, consignment, partner)
            except CancelledError:
                if not self.running:
                    await self._journal.write(claims.release_claim, claim, self._now())
                    return False
                outcome, exchange = Unavailable("the conversation took too long"), AttemptExchange()
            now, policy = self._now(), partner.policy
            wait = choose_delay(policy, claim.number, self._random())
            verdict = judge_outcome(
                outcome, since=claim.since, now=now, delay=wait, give_up=policy.give_up, crashes=claim.crashes
            )
            name = name_outcome(outcome)
            moved: list[tuple[Breaker, Breaker]] = []
            heard = self._heard(outcome, policy, now, moved)
            settling = self._journal.write(_SETTLE, claim, name, verdict, exchange, now, heard)
            continues = self._continue(partner.code)
            settled = await settling
            log.info("delivery-settled", state=verdict.state, outcome=name, reason=verdict.reason, ours=settled)
            for before, after in moved:
                log_breaker_change(before, after)
            return continues

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

    async def _converse(
        self, claim: Claim, consignment: Consignment | None, partner: Partner
    ) -> tuple[Outcome, AttemptExchange]:
        """Run the adapter's conversation. Return its outcome and the last request and reply."""
        last = _LastCall()
        outcome = await self._talk(claim, consignment, partner, last)
        return outcome, last.describe(partner)

    async def _talk(
        self, claim: Claim, consignment: Consignment | None, partner: Partner, last: "_LastCall"
    ) -> Outcome:
        try:
            if consignment is None:
                consignment = await self._journal.read(consignments.read_consignment, claim)
            size, owner = len(consignment.content), Owner(partner.code)
            conversation = self.live.adapters[partner.code].deliver(consignment, self._now())
            step = await self._work(owner, size, _advance, conversation, None)
            while isinstance(step, Request):
                last.request, last.reply, began = step, None, self._clock.seconds()
                try:
                    last.reply = reply = await self._send(step, partner)
                finally:
                    last.seconds = self._clock.seconds() - began
                step = await self._work(owner, max(size, len(reply.body)), _advance, conversation, reply)
        except CancelledError:
            raise
        except Unreachable as unreachable:
            return Unavailable(str(unreachable))
        except Unready as unready:
            return Postponed(self._now() + timedelta(seconds=unready.retry_after), str(unready))
        except Exception as error:
            log.exception("conversation-broke")
            return Unavailable(f"hub-error: {error!r}", ours=True)
        return step


@attrs.define(eq=False)
class _LastCall:
    """The last call of a conversation."""

    request: Request | None = None
    reply: Reply | None = None  #: None: none came
    seconds: float = 0.0  #: from the request to the reply, or to the failure

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


def _settle(tx: Transaction, *ended: Any) -> bool:
    return claims.settle_claim(tx, *ended)


def _settle_set(tx: Transaction, ended: Sequence[tuple[Any, ...]]) -> list[bool | None]:
    return settlement_sets.settle_delivered_claims(tx, [settlement_sets.EndedAttempt(*each) for each in ended])


#: Settles a claim, alone or with others.
_SETTLE = SetStep(_settle, _settle_set)


_Claims = list[tuple[Claim, Consignment | None]]


def _claim(tx: Transaction, partner: Partner, limit: int, node: str, now: datetime) -> _Claims:
    """Claim up to *limit* due messages for *partner*, with their content where it is short."""
    policy = partner.policy
    taken = claims.claim_deliveries(
        tx,
        partner.code,
        now,
        limit=limit,
        holder=node,
        lease=policy.timeout * CALLS + timedelta(seconds=DRAIN),
        concurrency=policy.concurrency,
        rate=policy.rate,
    )
    return list(zip(taken, consignments.read_small_consignments(tx, taken), strict=True))


def _claim_set(tx: Transaction, asked: Sequence[tuple[Partner, int, str, datetime]]) -> list[_Claims | None]:
    """Claim for several callers: at once for those of the same partner."""
    limits: Counter[str] = Counter()
    for partner, limit, _, _ in asked:
        limits[partner.code] += limit
    taken: dict[str, _Claims] = {}
    given: list[_Claims | None] = []
    for partner, limit, node, now in asked:
        if partner.code not in taken:
            taken[partner.code] = _claim(tx, partner, limits[partner.code], node, now)
        left = taken[partner.code]
        given.append(left[:limit])
        taken[partner.code] = left[limit:]
    return given


#: Claims due messages of a partner, alone or with other callers of this node.
_CLAIM = SetStep(_claim, _claim_set)


def _cancel(tasks: list[Deferred[bool]]) -> None:
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


def _advance(conversation: Conversation, reply: Reply | None) -> Request | Outcome:
    """Send the adapter a reply. Return its next request or its outcome."""
    try:
        return next(conversation) if reply is None else conversation.send(reply)
    except StopIteration as end:
        return cast("Outcome", end.value)


def _ended(task: Deferred[T]) -> Deferred[None]:
    """Return a Deferred that fires when *task* has ended, and pass the result of *task* on."""
    over: Deferred[None] = Deferred()

    def tell(result: T | Failure) -> T | Failure:
        over.callback(None)
        return result

    _ = task.addBoth(tell)
    return over
