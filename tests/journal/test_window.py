"""A signed call that comes again is answered as long as the answer changes nothing."""

from datetime import timedelta
from hashlib import sha256
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa

from hub.domain.errors import Rejected
from hub.domain.model import DeliveryState, Problem
from hub.journal import messages, replay_guard
from hub.journal.queue import deliveries, pickup
from hub.journal.replay_guard import MARGIN, ReplayMark
from hub.store import transactions
from hub.store.tables import signed_call
from tests.province import NOW, ROUTES, document, entry

MINUTE = timedelta(minutes=1)


def mark(name: str, until=NOW + 5 * MINUTE) -> ReplayMark:
    return ReplayMark(sha256(name.encode()).hexdigest(), until)


@pytest.fixture
def sent(tx):
    """A document that waits for sotttt to fetch it."""
    return messages.record_message(tx, entry(document("H55.01", "H55.13"), partner="vpub"), ROUTES).id


def fetch(tx, document_id, of):
    return replay_guard.run_call_once(
        tx, of, NOW, lambda fresh: pickup.fetch_message(tx, "sotttt", document_id, NOW, fresh=fresh)
    )


def confirm(tx, document_id, of):
    step = lambda fresh: pickup.confirm_receipt(tx, "sotttt", document_id, None, NOW, fresh=fresh)  # noqa: E731
    return replay_guard.run_call_once(tx, of, NOW, step)


def state(tx, message):
    (made,) = deliveries.read_message_deliveries(tx, message)
    return made.state


def code(found):
    assert isinstance(found, Rejected)
    return found.problems[0].code


def test_what_comes_again_gets_its_answer(tx, sent):
    for _ in range(3):
        assert not isinstance(fetch(tx, sent, mark("fetch")), Rejected)
    for _ in range(3):
        assert not isinstance(confirm(tx, sent, mark("confirm")), Rejected)
    assert state(tx, sent) is DeliveryState.DELIVERED


def test_a_refused_call_takes_no_effect_when_it_comes_again_at_a_better_moment(tx, sent):
    """Else who keeps a premature ConfirmReceived makes a document delivered that its receiver never got."""
    assert code(confirm(tx, sent, mark("premature"))) == "not-fetched"
    fetch(tx, sent, mark("fetch"))
    assert code(confirm(tx, sent, mark("premature"))) == "replayed"
    assert state(tx, sent) is DeliveryState.FETCHED
    assert not isinstance(confirm(tx, sent, mark("signed anew")), Rejected)


def test_a_fetch_from_before_the_document_came_does_not_fetch_it(tx):
    later = entry(document("H55.01", "H55.13"), partner="vpub")
    assert code(fetch(tx, later.id, mark("early"))) == "document-not-found"
    messages.record_message(tx, later, ROUTES)
    assert code(fetch(tx, later.id, mark("early"))) == "replayed"
    assert state(tx, later.id) is DeliveryState.HELD


def test_a_call_that_was_not_signed_has_no_mark(tx, sent):
    assert code(confirm(tx, sent, None)) == "not-fetched"
    fetch(tx, sent, None)
    assert not isinstance(confirm(tx, sent, None), Rejected)
    assert tx.scalar(sa.select(sa.func.count()).select_from(signed_call)) == 0


def test_a_step_that_breaks_marks_nothing(engine):
    def breaks(_fresh):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transactions.write_transaction(engine) as tx:
        replay_guard.run_call_once(tx, mark("broken"), NOW, breaks)
    with transactions.write_transaction(engine) as tx:
        assert replay_guard.run_call_once(tx, mark("broken"), NOW, lambda fresh: fresh) is True


def test_the_window_outlives_the_process(engine):
    with transactions.write_transaction(engine) as tx:
        assert replay_guard.run_call_once(tx, mark("a"), NOW, lambda fresh: fresh) is True
    engine.dispose()
    with transactions.write_transaction(engine) as tx:
        assert replay_guard.run_call_once(tx, mark("a"), NOW, lambda fresh: fresh) is False


def test_of_two_nodes_that_get_the_same_call_at_once_one_has_it(engine):
    seen, start = [], Barrier(4)

    def take():
        start.wait()
        with transactions.write_transaction(engine) as tx:
            seen.append(replay_guard.run_call_once(tx, mark("same"), NOW, lambda fresh: fresh))

    nodes = [Thread(target=take) for _ in range(4)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join()
    assert (seen.count(True), seen.count(False)) == (1, 3)


def test_old_marks_are_swept_by_the_calls_that_come(tx):
    for number in range(60):
        replay_guard.run_call_once(tx, mark(f"old{number}"), NOW, lambda fresh: fresh)
    late = NOW + 6 * MINUTE + MARGIN
    count = sa.select(sa.func.count()).select_from(signed_call)
    replay_guard.run_call_once(tx, mark("new", late + 5 * MINUTE), late - 2 * MINUTE, lambda fresh: fresh)
    assert tx.scalar(count) == 61, "they count for a while longer"
    replay_guard.run_call_once(tx, mark("newer", late + 5 * MINUTE), late, lambda fresh: fresh)
    assert tx.scalar(count) == 12
    replay_guard.run_call_once(tx, mark("newest", late + 5 * MINUTE), late, lambda fresh: fresh)
    assert tx.scalar(count) == 3


def test_any_refusal_is_given_back_and_not_raised(tx):
    refusal = Rejected(Problem("not-yours", ""))

    def refuse(_fresh):
        raise refusal

    assert replay_guard.run_call_once(tx, mark("x"), NOW, refuse) is refusal
