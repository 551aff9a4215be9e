"""Faults that are planted in the hub on purpose, one at a time: the judges of a simulated province must find each of them.

Each is a replacement for one function of the hub, which does the wrong thing now and then. Knows where the hub's functions stand;
not how a fault is found.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from itertools import count
from typing import Any
from unittest import mock

import attrs
import sqlalchemy as sa

from hub.delivery import push_service
from hub.domain.conversations import Request
from hub.domain.model import DeliveryState
from hub.journal import blobs, duties, events, facts, messages
from hub.journal.queue import claim_release, claims, lanes, pickup
from hub.node.hub import Hub
from hub.runtime.pidfile import ReloadVerdict
from hub.store import batch_commit
from hub.store.batch_commit import SetStep
from hub.store.tables import delivery

#: The last four letters of a packet in base64.
_PACKET_END = re.compile(rb"[A-Za-z0-9+/]{4}(=*</[a-z0-9:]*Packet>)")

Plant = Callable[[], AbstractContextManager[Any]]


def _now_and_then(every: int) -> Callable[[], bool]:
    """Return what says yes at every so manieth call."""
    numbers = count(1)
    return lambda: next(numbers) % every == 0


def _instead(where: Any, name: str, wrong: Callable[[Any], Any]) -> Plant:
    """Put *wrong*, which is given the right function, in its place."""
    return lambda: mock.patch.object(where, name, wrong(getattr(where, name)))


def _skip(every: int, result: Any = None) -> Callable[[Any], Any]:
    """Do nothing at every so manieth call, and return *result*."""

    def wrong(right: Any) -> Any:
        is_hit = _now_and_then(every)
        return lambda *said, **named: result if is_hit() else right(*said, **named)

    return wrong


def _tell_before_commit(right: Any) -> Any:
    """Roll back what was told as committed."""
    is_hit = _now_and_then(40)

    @contextmanager
    def wrong(engine: sa.Engine) -> Iterator[Any]:
        if not is_hit():
            with right(engine) as tx:
                yield tx
            return
        with engine.connect().execution_options(writes=True) as connection:
            begun = connection.begin()
            yield connection
            begun.rollback()

    return wrong


def _change_content(right: Any) -> Any:
    """Keep another octet at the end."""
    is_hit = _now_and_then(9)

    def wrong(tx: Any, sha256: str, octets: Any, *said: Any) -> Any:
        whole = octets if isinstance(octets, bytes) else octets.read()
        return right(tx, sha256, whole[:-1] + b" " if is_hit() else octets, *said)

    return wrong


def _write_twice(right: Any) -> Any:
    """Write facts a second time, under other keys, as if a retry were another result."""
    is_hit = _now_and_then(15)

    def wrong(tx: Any, new: Any, owners: Any) -> Any:
        twice = [*new, *(attrs.evolve(each, key=f"{each.key} ") for each in new)] if is_hit() else new
        return right(tx, twice, owners)

    return wrong


def _confirm_all(right: Any) -> Any:
    """Confirm all that waits for the partner with one document."""

    def wrong(tx: Any, partner: str, *said: Any, **named: Any) -> Any:
        ours = sa.and_(delivery.c.partner == partner, delivery.c.state == "held")
        tx.execute(sa.update(delivery).where(ours).values(state="delivered"))
        return right(tx, partner, *said, **named)

    return wrong


def _free_last(_right: Any) -> Any:
    """Free what came last to a lane, not what came first."""
    last = sa.text(
        "UPDATE delivery SET free = 1 WHERE id = (SELECT max(id) FROM delivery WHERE lane = :lane AND recipient = :recipient"
        " AND state = 'waiting') AND NOT EXISTS (SELECT 1 FROM delivery AS other WHERE other.lane = :lane"
        " AND other.recipient = :recipient AND (other.free OR other.state = 'sending'))"
    )

    def wrong(tx: Any, places: Any) -> None:
        for lane, recipient in places:
            tx.execute(last, {"lane": lane, "recipient": recipient})

    return wrong


def _finish_whole_duty(right: Any) -> Any:
    """End a duty with its first slice."""

    def wrong(tx: Any, done: Any, rest: bytes = b"") -> Any:
        tx.execute(sa.text("DELETE FROM duty_slice WHERE duty = :duty").bindparams(duty=done.duty))
        return right(tx, done, rest)

    return wrong


def _answer_with_another(right: Any) -> Any:
    """Answer a call that was made again with the receipt of another message."""
    first: list[Any] = []

    def wrong(tx: Any, entry: Any) -> Any:
        found = right(tx, entry)
        if found is not None:
            first.append(found)
        return None if found is None else attrs.evolve(found, receipt=first[0].receipt)

    return wrong


def _settle_wrongly(single: Callable[[Any], Any]) -> Plant:
    def plant() -> AbstractContextManager[Any]:
        step = SetStep(single(claims.settle_claim), lambda _tx, ended: [None] * len(ended))
        return mock.patch.object(push_service, "_SETTLE", step)

    return plant


def _put_off(right: Any) -> Any:
    """Put the next attempt off for ever, now and then."""
    is_hit = _now_and_then(4)

    def wrong(tx: Any, ended: Any) -> Any:
        settled = right(tx, ended)
        if ended.verdict.state is DeliveryState.WAITING and is_hit():
            due = ended.now + timedelta(days=3650)
            tx.execute(sa.update(delivery).where(delivery.c.id.in_(ended.claim.deliveries)).values(due=due))
        return settled

    return wrong


def _die_at_first_failure(right: Any) -> Any:
    """Give up for good what was not delivered at the first attempt."""

    def wrong(tx: Any, ended: Any) -> Any:
        if ended.verdict.state is DeliveryState.WAITING:
            ended = attrs.evolve(
                ended, verdict=attrs.evolve(ended.verdict, state=DeliveryState.DEAD, reason="unreachable")
            )
        return right(tx, ended)

    return wrong


def _call_it_delivered(right: Any) -> Any:
    """Take a failure for a success."""
    is_hit = _now_and_then(3)

    def wrong(tx: Any, ended: Any) -> Any:
        if ended.verdict.state is DeliveryState.WAITING and is_hit():
            state = DeliveryState.DELIVERED
            tx.execute(
                sa.update(delivery).where(delivery.c.id.in_(ended.claim.deliveries)).values(state=state, holder=None)
            )
            return True
        return right(tx, ended)

    return wrong


def _forget_after_restart(right: Any) -> Any:
    """Forget what was owed when the node starts."""

    def wrong(tx: Any, *said: Any, **named: Any) -> Any:
        if named.get("alone") or named.get("first"):
            tx.execute(sa.text("DELETE FROM duty_slice"))
            tx.execute(sa.text("DELETE FROM duty"))
        return right(tx, *said, **named)

    return wrong


def _leave_timer(right: Any) -> Any:
    """Never cancel the timer of a call."""

    def wrong(self: Any) -> None:
        if self.limit is not None and self.limit.active():
            self.limit.delay(1e7)
            self.limit = None
        right(self)

    return wrong


def _keep_old_partners(_right: Any) -> Any:
    """Say that a reload is done, and go on with what was."""
    return lambda _self, _found: ReloadVerdict(ok=True)


def _change_when_sent_again(right: Any) -> Any:
    """Send other octets now and then."""
    is_hit = _now_and_then(9)

    def wrong(conversation: Any, reply: Any) -> Any:
        found = right(conversation, reply)
        if not isinstance(found, Request) or not is_hit():
            return found
        return attrs.evolve(found, body=_PACKET_END.sub(rb"AAAA\1", found.body))

    return wrong


#: Each planted fault by its name.
PLANTED: dict[str, Plant] = {
    "receipt-before-commit": _instead(batch_commit, "write_transaction", _tell_before_commit),
    "content-changed": _instead(blobs, "keep_parts", _change_content),
    "claims-kept-after-crash": _instead(
        claim_release, "release_lost_claims", lambda _right: lambda *_said, **_named: 0
    ),
    "duties-forgotten-at-start": _instead(claim_release, "release_lost_claims", _forget_after_restart),
    "retry-never-due": _settle_wrongly(_put_off),
    "failure-called-delivered": _settle_wrongly(_call_it_delivered),
    "given-up-at-once": _settle_wrongly(_die_at_first_failure),
    "lane-never-freed": _instead(lanes, "free_next_in_lane", _skip(10)),
    "lane-from-its-end": _instead(lanes, "free_next_in_lane", _free_last),
    "fact-written-twice": _instead(facts, "insert_facts", _write_twice),
    "fact-left-out": _instead(facts, "insert_facts", _skip(15, result=(0, []))),
    "duty-ends-with-its-first-slice": _instead(duties, "finish_slice", _finish_whole_duty),
    "receipt-of-another": _instead(messages, "_read_twin", _answer_with_another),
    "confirmed-unseen": _instead(pickup, "confirm_receipt", _confirm_all),
    "pending-hidden": _instead(pickup, "list_pending_messages", _skip(2, result=[])),
    "events-lost": _instead(events, "append_events", _skip(30)),
    "timer-left": _instead(push_service._LastCall, "end", _leave_timer),
    "reload-keeps-old-partners": _instead(Hub, "_take_up", _keep_old_partners),
    "octets-changed": _instead(push_service, "_advance_delivery", _change_when_sent_again),
    "chain-stops": _instead(events, "chain_and_count_events", _skip(1, result=events.ChainedKinds())),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant a fault."""
    with ExitStack() as stack:
        stack.enter_context(PLANTED[name]())
        yield
