"""What the journal promises when several connections, of one node or of many, do the same at the same time.

On SQLite the writers wait for one another; on PostgreSQL they do not, and only row locks, keys and fences keep the promises.
"""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import cast

import attrs
import pytest
import sqlalchemy as sa
from twisted.python.failure import Failure

from hub.domain.errors import Rejected, Unready
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Event, PacketKind
from hub.journal import events, messages, nodes
from hub.journal.effects import RecordedMessage
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claim_release, claims, deliveries, partner_state, pickup
from hub.journal.queue.claims import AttemptExchange
from hub.journal.replays import replay as queue_replay
from hub.journal.searching import message_reading, search
from hub.journal.searching.message_filter import MessageFilter
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from hub.partner.rate_limit import Rate
from hub.store import transactions
from hub.store.batch_commit import Step, commit_steps
from hub.store.tables import delivery
from hub.store.transactions import run_reading
from hub.web.lookups import cache
from tests.province import NOW, ROUTES, document, entry, status
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

LEASE = timedelta(seconds=60)
LATER = NOW + timedelta(seconds=1)


def at_once(*works):
    """Run every work in a thread of its own, all let go together; return their results in order."""
    gate = threading.Barrier(len(works))

    def run(work):
        gate.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def one(engine, step, *args, **kwargs):
    """Run one step as the daemon's writer does."""
    (result,) = commit_steps(engine, [lambda tx: step(tx, *args, **kwargs)])
    if isinstance(result, Failure):
        result.raiseException()
    return result


def take_all(engine, *steps):
    """Run steps that take messages as one batch; return what each got."""
    results = commit_steps(engine, list(steps))
    assert all(isinstance(result, RecordedMessage) for result in results), results
    return cast("list[RecordedMessage]", results)


def claim(engine, holder, limit=3, now=NOW):
    return one(engine, claims.claim_deliveries, "vpub", now, limit=limit, holder=holder, lease=LEASE)


def settle(engine, claimed, state=DeliveryState.DELIVERED, now=LATER):
    outcome = {DeliveryState.DELIVERED: DeliveryEvent.ACCEPTED, DeliveryState.DEAD: DeliveryEvent.REFUSED}[state]
    return one(
        engine,
        claims.settle_claim,
        claims.EndedAttempt(claimed, outcome, AttemptVerdict(state), AttemptExchange(), now),
    )


def states(engine):
    with transactions.read_transaction(engine) as tx:
        return Counter(
            made.state
            for m in search.find_messages(tx, MessageFilter())
            for made in deliveries.read_message_deliveries(tx, m.id)
        )


@pytest.fixture
def only_postgresql(engine):
    if engine.dialect.name != "postgresql":
        pytest.skip("not applicable: SQLite has one writer and no connection to lose")


def test_one_message_sent_twice_at_the_same_time_is_taken_once_and_both_get_one_receipt(engine):
    for number in range(1, 16):
        twins = [
            entry(document(document_id=f"D{number}"), number * 10 + copy, message_id=f"m{number}", content=b"same")
            for copy in range(4)
        ]
        taken = at_once(*(lambda twin=twin: one(engine, messages.record_message, twin, ROUTES) for twin in twins))
        assert len({(each.id, each.receipt) for each in taken}) == 1
        assert taken[0].receipt is not None
    with transactions.read_transaction(engine) as tx:
        assert search.count_messages(tx, MessageFilter()) == 15
        assert len(list(fact_rows.read_facts(tx))) == 15


def test_of_two_different_messages_under_one_id_at_the_same_time_one_is_taken_and_one_refused(engine):
    for number in range(1, 11):
        rivals = [entry(document(), number * 10 + which, message_id=f"m{number}") for which in range(2)]
        taken = at_once(*(lambda rival=rival: one(engine, messages.record_message, rival, ROUTES) for rival in rivals))
        assert sorted(len(each.problems) for each in taken) == [0, 1]
    with transactions.read_transaction(engine) as tx:
        assert search.count_messages(tx, MessageFilter(state="accepted")) == 10
        assert search.count_messages(tx, MessageFilter(state="refused")) == 10


def test_two_messages_of_one_document_at_the_same_time_are_one_fact(engine):
    at_once(
        *(
            lambda number=number: one(engine, messages.record_message, entry(document(), number), ROUTES)
            for number in range(1, 7)
        )
    )
    with transactions.read_transaction(engine) as tx:
        assert search.count_messages(tx, MessageFilter(state="accepted")) == 6
        assert len(list(fact_rows.read_facts(tx))) == 1


def test_nodes_that_claim_at_the_same_time_never_take_one_delivery_twice(engine):
    for number in range(1, 41):
        one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number), ROUTES)

    def node(name):
        mine, limit = [], time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            taken_on = claim(engine, name)
            mine += [delivery for each in taken_on for delivery in each.deliveries]
            for each in taken_on:
                assert settle(engine, each)
            if not taken_on and states(engine)[DeliveryState.WAITING] == 0:
                return mine
        raise AssertionError("something waits for ever")

    taken = at_once(*(lambda name=name: node(name) for name in ("a", "b", "c", "d")))
    everything = Counter(delivery for mine in taken for delivery in mine)
    assert len(everything) == 40
    assert set(everything.values()) == {1}
    assert states(engine) == {DeliveryState.DELIVERED: 40}
    with transactions.read_transaction(engine) as tx:
        assert sum(fact.milestone == "received" for fact in fact_rows.read_facts(tx)) == 40


def heads(engine):
    """Return the ids of what is free, and of what should be."""
    with transactions.read_transaction(engine) as tx:
        rows = tx.execute(sa.select(delivery).order_by(delivery.c.id)).all()
    sending = {(row.lane, row.recipient) for row in rows if row.state == DeliveryState.SENDING}
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.state == DeliveryState.WAITING and (row.lane, row.recipient) not in sending:
            first.setdefault((row.lane, row.recipient), row.id)
    return sorted(row.id for row in rows if row.free), sorted(first.values())


def test_what_is_made_while_the_head_of_its_lane_ends_is_seen_by_it(engine):
    for number in range(1, 16):
        one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number * 10), ROUTES)
        (claimed,) = claim(engine, "node")
        follows = [entry(document(document_id=f"D{number}"), number * 10 + each) for each in (1, 2)]
        at_once(
            lambda claimed=claimed: settle(engine, claimed),
            *(lambda one_more=one_more: one(engine, messages.record_message, one_more, ROUTES) for one_more in follows),
        )
        found, expected = heads(engine)
        assert found == expected
        for _ in follows:
            (claimed,) = claim(engine, "node", now=LATER)
            assert settle(engine, claimed)
    assert states(engine) == {DeliveryState.DELIVERED: 45}


def test_a_replay_while_the_head_of_its_lane_is_taken_lets_one_of_them_go(engine):
    for number in range(1, 11):
        one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number * 10), ROUTES)
        (claimed,) = claim(engine, "node")
        settle(engine, claimed, DeliveryState.DEAD)
        one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number * 10 + 1), ROUTES)
        with transactions.read_transaction(engine) as tx:
            dead = [
                made for _message, made in search.find_deliveries_in_state(tx, [DeliveryState.DEAD], MessageFilter())
            ]
        at_once(
            lambda: claim(engine, "node", now=LATER),
            lambda dead=dead: one(engine, queue_replay.replay_deliveries, dead, ROUTES, reason="x", by="me", now=LATER),
        )
        found, expected = heads(engine)
        assert found == expected
        one(engine, claim_release.release_lost_claims, LATER + LEASE * 2)
        for _ in range(2):
            (claimed,) = claim(engine, "node", now=LATER + LEASE * 3)
            assert settle(engine, claimed, now=LATER + LEASE * 3)
    assert states(engine) == {DeliveryState.DELIVERED: 20}


def test_nodes_together_keep_to_a_partners_concurrency_and_rate(engine):
    for number in range(1, 41):
        one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number), ROUTES)

    def node(name, **bounds):
        taken_on = one(engine, claims.claim_deliveries, "vpub", NOW, limit=9, holder=name, lease=LEASE, **bounds)
        return [each.message for each in taken_on]

    for _ in range(3):
        at_once(*(partial(node, name, concurrency=5) for name in ("a", "b", "c")))
    assert states(engine)[DeliveryState.SENDING] == 5
    for _ in range(3):
        at_once(*(partial(node, name, concurrency=64, rate=Rate(20, "s")) for name in ("a", "b", "c")))
    assert states(engine)[DeliveryState.SENDING] == 6


def test_of_nodes_that_look_at_an_unavailable_partner_at_the_same_time_one_sends_one_probe(engine):
    for number in range(1, 11):
        one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number), ROUTES)
    down = Breaker(position=BreakerPosition.OPEN, until=NOW, opened=1)
    one(engine, partner_state.move_breaker, "vpub", lambda _: down, NOW)
    taken = at_once(*(lambda name=name: claim(engine, name) for name in ("a", "b", "c", "d")))
    assert sorted(map(len, taken)) == [0, 0, 0, 1]


def test_a_settlement_and_a_rescue_at_the_same_time_leave_the_delivery_either_settled_or_waiting(engine):
    for number in range(1, 21):
        one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number), ROUTES)
        (claimed,) = claim(engine, "slow", limit=1)
        late = NOW + LEASE * 2
        settled, rescued = at_once(
            lambda claimed=claimed, late=late: settle(engine, claimed, now=late),
            lambda late=late: one(engine, claim_release.release_lost_claims, late),
        )
        assert (settled, rescued) in {(True, 0), (False, 1)}
        if rescued:
            (again,) = claim(engine, "other", limit=1, now=late)
            assert settle(engine, again, now=late + LEASE)
    assert states(engine) == {DeliveryState.DELIVERED: 20}


def test_a_document_fetched_and_confirmed_from_many_sides_at_the_same_time_counts_once(engine):
    for number in range(1, 11):
        sent = entry(document("H55.01", "H55.13", document_id=f"D{number}"), number, partner="vpub")
        taken = one(engine, messages.record_message, sent, ROUTES)

        def fetch_and_confirm(taken=taken):
            one(engine, pickup.fetch_message, "sotttt", taken.id, NOW)
            one(engine, pickup.confirm_receipt, "sotttt", taken.id, None, LATER)

        def confirm(taken=taken):
            try:
                one(engine, pickup.confirm_receipt, "sotttt", taken.id, None, LATER)
            except Rejected as rejected:
                return rejected.problems[0].code
            return "not-fetched"

        *_, early = at_once(fetch_and_confirm, fetch_and_confirm, confirm)
        assert early == "not-fetched", "or it came late enough"
        with transactions.read_transaction(engine) as tx:
            told = [event["event"] for event in events.read_message_events(tx, taken.id)]
        assert (told.count("delivery-fetched"), told.count("delivery-delivered")) == (1, 1)
    assert states(engine) == {DeliveryState.DELIVERED: 10}


def test_two_statuses_at_the_same_time_never_move_a_delivery_back(engine):
    for number in range(1, 11):
        sent = one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number), ROUTES)
        codes = ("01", "03", "04", "05")
        at_once(
            *(
                lambda code=code, number=number: one(
                    engine,
                    messages.record_message,
                    entry(status(code, document_id=f"D{number}"), number * 100 + int(code), partner="vpub"),
                    ROUTES,
                )
                for code in codes
            )
        )
        with transactions.read_transaction(engine) as tx:
            assert [made.status for made in deliveries.read_message_deliveries(tx, sent.id)] == ["05"]


def test_a_document_and_its_recall_at_the_same_time_end_with_the_document_stopped(engine):
    for number in range(1, 16):
        sent = entry(document(document_id=f"D{number}"), number * 10)
        recall = attrs.evolve(document(document_id=f"R{number}"), kind=PacketKind.RECALL, about=f"D{number}")
        back = entry(recall, number * 10 + 1)
        at_once(
            lambda sent=sent: one(engine, messages.record_message, sent, ROUTES),
            lambda back=back: one(engine, messages.record_message, back, ROUTES),
        )
        with transactions.read_transaction(engine) as tx:
            (made,) = deliveries.read_message_deliveries(tx, sent.id)
            assert made.state is DeliveryState.DEAD
            assert [each.state for each in deliveries.read_message_deliveries(tx, back.id)] == [DeliveryState.WAITING]


def test_a_recall_while_its_document_is_claimed_and_settled_finds_it_delivered_or_stops_it_and_never_both(engine):
    for number in range(1, 16):
        sent = one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number * 10), ROUTES)
        recall = attrs.evolve(document(document_id=f"R{number}"), kind=PacketKind.RECALL, about=f"D{number}")
        back = entry(recall, number * 10 + 1)

        def send(sent=sent):
            (claimed,) = claim(engine, "node", limit=1) or [None]
            return claimed is not None and claimed.message == sent.id and settle(engine, claimed)

        delivered, _ = at_once(send, lambda back=back: one(engine, messages.record_message, back, ROUTES))
        with transactions.read_transaction(engine) as tx:
            (made,) = deliveries.read_message_deliveries(tx, sent.id)
            received = [
                fact for fact in fact_rows.read_facts(tx) if fact.milestone == "received" and fact.message == sent.id
            ]
        assert made.state is (DeliveryState.DELIVERED if delivered else DeliveryState.DEAD)
        assert len(received) == bool(delivered)
        for claimed in claim(engine, "node", limit=9):
            settle(engine, claimed)


def test_two_replays_at_the_same_time_revive_a_dead_letter_once(engine):
    for number in range(1, 6):
        one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number), ROUTES)
    for claimed in claim(engine, "node", limit=5):
        settle(engine, claimed, DeliveryState.DEAD)
    with transactions.read_transaction(engine) as tx:
        dead = [made for _message, made in search.find_deliveries_in_state(tx, [DeliveryState.DEAD], MessageFilter())]

    def replay():
        with transactions.write_transaction(engine) as tx:
            return queue_replay.replay_deliveries(tx, dead, ROUTES, reason="x", by="me", now=LATER)

    moved = at_once(replay, replay)
    assert sorted(map(len, moved)) == [0, 5]


def test_chainers_at_the_same_time_number_every_event_once_and_in_one_chain(engine):
    over = threading.Event()

    def write():
        for number in range(1, 41):
            one(engine, messages.record_message, entry(document(document_id=f"D{number}"), number), ROUTES)
        over.set()

    def chain():
        while not over.is_set():
            one(engine, events.chain_events, 7)

    at_once(write, chain, chain, chain)
    while one(engine, events.chain_events):
        pass
    with transactions.read_transaction(engine) as tx:
        assert list(events.find_broken_events(tx)) == []
        numbers = tx.scalars(sa.text("select number from event order by number")).all()
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == 40 * 3


def test_a_deadlock_costs_nobody_his_result(engine, only_postgresql):
    """Two batches that keep the same bytes in opposite order wait for each other: one gives way and runs again."""
    batches = [
        [
            entry(
                attrs.evolve(document(), document_id=f"D{side}{which}", code=f"{side}{which}"),
                side * 10 + which,
                content=b"bytes %d" % which,
            )
            for which in (order, 3 - order)
        ]
        for side, order in ((1, 1), (2, 2))
    ]
    gate, begun = threading.Barrier(2), set()

    def second(tx, item):
        if item.id not in begun:  # the first time only: the run that gave way goes alone
            begun.add(item.id)
            gate.wait(PATIENCE)
        return messages.record_message(tx, item, ROUTES)

    def run(batch):
        first, last = batch
        return take_all(engine, lambda tx: messages.record_message(tx, first, ROUTES), lambda tx: second(tx, last))

    results = at_once(lambda: run(batches[0]), lambda: run(batches[1]))
    assert [[taken.id for taken in result] for result in results] == [[item.id for item in batch] for batch in batches]
    assert not any(taken.problems for result in results for taken in result)


def test_a_step_that_would_wait_for_another_transaction_holds_up_none_that_shares_its_commit(engine, only_postgresql):
    item = entry(document())
    with ThreadPoolExecutor(1) as pool:
        with transactions.write_transaction(engine) as other:
            transactions.lock_names(other, ["a", "b"])

            def held(tx):
                transactions.lock_names(tx, ["b", "c"])
                return "done"

            running = pool.submit(commit_steps, engine, [held, lambda tx: messages.record_message(tx, item, ROUTES)])
            until(
                lambda: run_reading(
                    engine, lambda tx: message_reading.find_accepted_message(tx, "sotttt", str(item.message_id))
                ),
                "the commit",
            )
            assert not running.done()
        done, taken = running.result(PATIENCE)
    assert done == "done"
    assert isinstance(taken, RecordedMessage)
    assert not taken.problems


# --- a commit whose result is unknown ------------------------------------------------------------------------------------


class Cut:
    """Breaks the connection of the next commits: before the server has the COMMIT, or when it has done it and nobody is told."""

    def __init__(self, engine, admin_url):
        self.engine, self.when, self.cuts = engine, None, 0
        self.admin = transactions.open_journal(admin_url, pooled=False)
        self.real = engine.dialect.do_commit
        engine.dialect.do_commit = self.commit

    def commit(self, connection):
        when, self.when = self.when, None
        if when is None:
            self.real(connection)
            return
        self.cuts += 1
        if when == "after":
            self.real(connection)
        with self.admin.connect() as other:
            killed = other.execute(
                sa.text("select pg_terminate_backend(:pid, 5000)"),
                {"pid": connection.driver_connection.info.backend_pid},
            )
            assert killed.scalar()
        connection.execute("select 1")  # the first word on the dead connection: this is how the writer learns of it


@pytest.fixture
def cut(engine, journal_url, only_postgresql):
    made = Cut(engine, journal_url)
    yield made
    engine.dialect.do_commit = made.real
    made.admin.dispose()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_accepted_message_whose_commit_was_cut_is_taken_once_with_its_own_receipt(engine, cut, when):
    cut.when = when
    batch = [entry(document(document_id=f"D{number}"), number) for number in range(1, 4)]
    taken = take_all(engine, *(partial(messages.record_message, entry=item, routes=ROUTES) for item in batch))
    assert cut.cuts == 1
    assert [(each.id, each.receipt, each.problems) for each in taken] == [(item.id, item.receipt, ()) for item in batch]
    with transactions.read_transaction(engine) as tx:
        assert search.count_messages(tx, MessageFilter()) == 3
        assert [e["event"] for e in events.read_message_events(tx, batch[0].id)] == [
            "message-accepted",
            "delivery-waiting",
            "fact-recorded",
        ]
        assert len(list(fact_rows.read_facts(tx))) == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_refusal_whose_commit_was_cut_is_journalled_once_with_the_same_reasons(engine, cut, when):
    one(engine, messages.record_message, entry(document()), ROUTES)
    reused = entry(document(), 2, message_id="m1")
    cut.when = when
    taken = one(engine, messages.record_message, reused, ROUTES)
    assert (cut.cuts, taken.id, [p.code for p in taken.problems]) == (1, reused.id, ["id-reused"])
    with transactions.read_transaction(engine) as tx:
        assert search.count_messages(tx, MessageFilter(state="refused")) == 1
        assert [e["event"] for e in events.read_message_events(tx, reused.id)] == ["message-refused"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_settlement_whose_commit_was_cut_is_told_as_what_it_is(engine, cut, when):
    sent = one(engine, messages.record_message, entry(document()), ROUTES)
    (claimed,) = claim(engine, "node")
    cut.when = when
    assert settle(engine, claimed)
    with transactions.read_transaction(engine) as tx:
        told = [event["event"] for event in events.read_message_events(tx, sent.id)]
    assert (told.count("attempt-ended"), told.count("delivery-delivered"), "attempt-stale" in told) == (1, 1, False)


def test_a_claim_whose_commit_was_cut_is_given_back_by_its_own_node_without_waiting_for_the_lease(engine, cut):
    one(engine, messages.record_message, entry(document()), ROUTES)
    cut.when = "after"
    assert claim(engine, "node") == []  # the second run finds nothing left to claim
    assert states(engine) == {DeliveryState.SENDING: 1}
    assert one(engine, claim_release.release_lost_claims, NOW, holder="other node") == 0
    assert one(engine, claim_release.release_lost_claims, NOW, holder="node") == 1
    (claimed,) = claim(engine, "node")
    assert claimed.number == 1
    assert one(engine, claim_release.release_lost_claims, NOW, holder="node", under_way=claimed.deliveries) == 0


#: Rows of three steps: those of the second are refused when they are committed.
TRIED = ("(1)", "(2), (2)", "(3)")


@pytest.fixture
def node(engine, only_postgresql):
    """A node's engine: its commits are marked."""
    seen = nodes.Node(name="một", host="h", version="1", schema="1", started_at=NOW)
    one(engine, nodes.record_heartbeat, seen, NOW)
    return engine.execution_options(node="một")


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_only_counts_counts_once_though_nobody_was_told_of_its_commit(node, cut, when):
    said = Event("replay", NOW, None, None, {})
    spent = cache.QuotaUse(unit="H55.13", operation="citizen", day=NOW.date())
    cut.when = when
    counted, _ = commit_steps(
        node, [lambda tx: cache._count_spent(tx, spent, 5), lambda tx: events.append_events(tx, said)]
    )
    assert (cut.cuts, counted) == (1, True)
    assert run_reading(node, lambda tx: cache.count_unit_lookups(tx, spent)) == 1
    assert run_reading(node, events.count_unchained_events) == 1


def test_a_claim_whose_commit_was_cut_is_its_nodes_own(node, cut):
    one(node, messages.record_message, entry(document()), ROUTES)
    cut.when = "after"
    (claimed,) = claim(node, "một")
    assert settle(node, claimed)


def test_a_commit_that_nobody_was_told_of_is_not_taken_for_the_one_before(node, cut):
    spent = cache.QuotaUse(unit="H55.13", operation="citizen", day=NOW.date())
    for when in ("after", "before", "after"):
        cut.when = when
        assert one(node, cache._count_spent, spent, 5)
    assert run_reading(node, lambda tx: cache.count_unit_lookups(tx, spent)) == 3


def test_of_a_marked_commit_that_fails_only_the_step_that_causes_it_fails(node):
    with node.begin() as tx:
        tx.exec_driver_sql("create table tried (n int unique deferrable initially deferred)")
    try:
        written = [f"insert into tried values {rows}" for rows in TRIED]
        steps: list[Step] = [partial(sa.Connection.exec_driver_sql, statement=each) for each in written]
        failed = [isinstance(each, Failure) for each in commit_steps(node, steps)]
        assert failed == [False, True, False]
        with node.begin() as tx:
            assert tx.exec_driver_sql("select n from tried order by n").scalars().all() == [1, 3]
    finally:
        with node.begin() as tx:
            tx.exec_driver_sql("drop table tried")


def test_a_commit_that_wrote_nothing_is_not_marked(node):
    one(node, lambda tx: tx.exec_driver_sql("select 1").scalar())
    with transactions.write_transaction(node) as tx:
        assert tx.scalar(sa.text("select last_commit from node")) is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_events_whose_chaining_was_cut_are_numbered_once(engine, cut, when):
    one(engine, messages.record_message, entry(document()), ROUTES)
    cut.when = when
    one(engine, events.chain_events)
    one(engine, events.chain_events)
    with transactions.read_transaction(engine) as tx:
        assert list(events.find_broken_events(tx)) == []
        assert events.read_oldest_unchained(tx) is None


def test_a_server_that_is_gone_fails_the_whole_batch_at_once_as_retryable(only_postgresql):
    nowhere = transactions.open_journal("postgresql+psycopg://lienthong@/x?host=/nonexistent", pooled=False)
    results = commit_steps(nowhere, [lambda _tx: None] * 20)
    assert len(results) == 20
    assert all(isinstance(result, Failure) and result.check(Unready) for result in results)
    with pytest.raises(Unready):
        run_reading(nowhere, lambda _tx: None)


def test_readers_and_writers_go_on_when_their_pooled_connections_were_ended(journal_url, only_postgresql):
    pooled = transactions.open_journal(journal_url)
    other = transactions.open_journal(journal_url, pooled=False)
    try:
        one(pooled, messages.record_message, entry(document()), ROUTES)
        with transactions.write_transaction(other) as tx:
            ended = tx.execute(
                sa.text(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()"
                )
            )
            assert ended.scalars().all()
        assert run_reading(pooled, lambda tx: search.count_messages(tx, MessageFilter())) == 1
        one(pooled, messages.record_message, entry(document(document_id="D2"), 2), ROUTES)
    finally:
        pooled.dispose()
        other.dispose()


def test_a_reader_sees_one_picture_whatever_is_written_meanwhile(engine):
    one(engine, messages.record_message, entry(document()), ROUTES)
    with transactions.read_transaction(engine) as tx:
        assert search.count_messages(tx, MessageFilter()) == 1
        one(engine, messages.record_message, entry(document(document_id="D2"), 2), ROUTES)
        assert search.count_messages(tx, MessageFilter()) == 1


def test_a_lock_that_another_holds_too_long_is_a_retryable_failure(engine, only_postgresql):
    sent = one(engine, messages.record_message, entry(document("H55.01", "H55.13"), partner="vpub"), ROUTES)
    with transactions.write_transaction(engine) as tx:
        pickup.fetch_message(tx, "sotttt", sent.id, NOW)

        def impatient(other):
            other.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
            return pickup.fetch_message(other, "sotttt", sent.id, NOW)

        (result,) = commit_steps(engine, [impatient])
    assert isinstance(result, Failure)
    assert result.check(Unready)
