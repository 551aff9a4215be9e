"""Who is alive is judged by one clock, and a claim belongs to a living node."""

import threading
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.task import Clock

from hub.domain.errors import Unready
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import consignments, messages, nodes
from hub.journal.nodes import LIFE, Node, PendingRestart
from hub.journal.queue import claim_release, claims, deliveries
from hub.journal.queue.claims import AttemptExchange
from hub.monitoring import overview
from hub.monitoring.overview import Concern
from hub.node.heartbeat import BEAT, Heartbeat
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.notify import NotifyListener
from hub.store.tables import node as table
from hub.store.tables import upgrade
from tests.province import NOW, ROUTES, document, entry
from tests.waiting import PATIENCE

LEASE = timedelta(seconds=100)


def node(name="one", schema="0008"):
    return Node(name=name, host="machine", version="1", schema=schema, started_at=NOW)


def last_seen(tx, name, ago, now):
    """Let *name* be seen last so long *ago*."""
    at = nodes.read_node_time(tx, now) - ago
    tx.execute(sa.update(table).where(table.c.name == name).values(seen_at=at, until=at + LIFE))


def states(tx, now=NOW):
    return {each.node.name: (each.state, each.holds) for each in nodes.list_nodes(tx, now)}


@pytest.fixture
def claimed(tx):
    """A delivery that `one` is sending."""
    messages.record_message(tx, entry(document(), 1), ROUTES)
    nodes.record_heartbeat(tx, node("one"), NOW)
    (claim,) = claims.claim_deliveries(tx, "vpub", NOW, limit=9, holder="one", lease=LEASE)
    return claim


@pytest.mark.parametrize(("by", "still"), [("two", True), ("one", False)])
def test_what_a_node_was_sending_it_may_be_sending_still_unless_it_says_itself_that_it_is_not(tx, claimed, by, still):
    last_seen(tx, "one", LIFE + timedelta(seconds=2), NOW)
    at = NOW + timedelta(seconds=20)
    assert claim_release.release_lost_claims(tx, at, holder=by, first=True) == 1
    for times in range(2):
        (again,) = claims.claim_deliveries(tx, "vpub", at, limit=9, holder=by, lease=timedelta(seconds=1))
        consignment = consignments.read_consignment(tx, again)
        assert consignment.unsure == NOW
        assert consignment.unsure_until == (NOW + LEASE if still else at)
        if times:
            assert claim_release.release_claim(tx, again, at, begun=False) == 1
        else:
            asked = AttemptVerdict(DeliveryState.WAITING, "the list is away", at)
            assert claims.settle_claim(
                tx, claims.EndedAttempt(again, DeliveryEvent.UNAVAILABLE, asked, AttemptExchange(), at)
            )
    (last,) = claims.claim_deliveries(tx, "vpub", at, limit=9, holder=by, lease=LEASE)
    assert last.busy == (NOW + LEASE if still else None)


def test_a_node_is_alive_until_it_is_not_seen_for_its_life_or_stops(tx):
    nodes.record_heartbeat(tx, node("one"), NOW)
    nodes.record_heartbeat(tx, node("two"), NOW)
    last_seen(tx, "two", LIFE + timedelta(seconds=1), NOW)
    assert states(tx) == {"one": ("alive", 0), "two": ("lapsed", 0)}
    nodes.record_heartbeat(tx, attrs.evolve(node("two"), version="2"), NOW)
    nodes.record_node_end(tx, "one", NOW)
    assert states(tx) == {"one": ("stopped", 0), "two": ("alive", 0)}
    assert [(each.name, each.version) for each in nodes.list_live_nodes(tx, NOW)] == [("two", "2")]


def test_what_waits_for_the_restart_of_a_node_is_known_to_all_until_it_starts_again_or_ends(tx):
    waiting = PendingRestart(settings=("soap", "workers"), since=NOW)
    for name in ("one", "two"):
        nodes.record_heartbeat(tx, node(name), NOW)
    nodes.record_heartbeat(tx, node("one"), NOW, waiting)
    assert {each.node.name: each.pending for each in nodes.list_nodes(tx, NOW)} == {
        "one": waiting,
        "two": PendingRestart(),
    }
    found = overview.measure_overview(tx, {}, NOW)
    assert (found.restarts, found.concerns) == ({"one": waiting}, (Concern.RESTART,))
    nodes.record_node_end(tx, "one", NOW)
    assert overview.measure_overview(tx, {}, NOW).concerns == ()
    nodes.record_heartbeat(tx, node("one"), NOW)
    assert overview.measure_overview(tx, {}, NOW).concerns == ()


def test_on_postgresql_the_nodes_own_clocks_do_not_count(tx):
    if tx.dialect.name != "postgresql":
        nodes.record_heartbeat(tx, node("one"), NOW)
        assert nodes.list_nodes(tx, NOW + LIFE * 2)[0].state == "lapsed", "one node: its own clock"
        return
    for hours, name in ((-5, "late"), (5, "early")):
        nodes.record_heartbeat(tx, node(name), NOW + timedelta(hours=hours))
    assert states(tx, NOW + timedelta(days=1)) == {"late": ("alive", 0), "early": ("alive", 0)}


def test_a_living_nodes_claim_is_not_taken_away_however_long_it_takes(tx, claimed):
    nodes.record_heartbeat(tx, node("one"), NOW + LEASE * 5)
    assert states(tx, NOW + LEASE * 5) == {"one": ("alive", 1)}
    assert claim_release.release_lost_claims(tx, NOW + LEASE * 5, holder="two") == 0


def test_what_a_lapsed_or_stopped_node_held_is_given_back_before_its_lease_ends(tx, claimed):
    last_seen(tx, "one", LIFE + timedelta(seconds=1), NOW)
    assert claim_release.release_lost_claims(tx, NOW, holder="two") == 1
    assert claims.claim_deliveries(tx, "vpub", NOW, limit=9, holder="two", lease=LEASE)
    assert not claims.settle_claim(
        tx,
        claims.EndedAttempt(
            claimed, DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED), AttemptExchange(), NOW
        ),
    ), "it is stale"
    nodes.record_heartbeat(tx, node("two"), NOW)
    nodes.record_node_end(tx, "two", NOW - timedelta(seconds=1))
    assert claim_release.release_lost_claims(tx, NOW + timedelta(seconds=1)) == 1


def test_a_node_that_lapsed_does_not_take_its_own_conversations_away(tx, claimed):
    last_seen(tx, "one", LIFE * 2, NOW)
    assert claim_release.release_lost_claims(tx, NOW, holder="one", under_way=claimed.deliveries) == 0
    assert claims.settle_claim(
        tx,
        claims.EndedAttempt(
            claimed, DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED), AttemptExchange(), NOW
        ),
    ), "nobody took it"


def test_a_message_that_crashes_its_node_is_set_aside_though_the_node_begins_again_under_its_name_at_once(tx, claimed):
    taken, now = [claimed], NOW
    for _ in range(5):
        assert len(taken) == 1
        assert claim_release.release_lost_claims(tx, now, first=True, holder="one") == 1
        now += timedelta(minutes=5)
        nodes.record_heartbeat(tx, node("one"), now)
        taken = claims.claim_deliveries(tx, "vpub", now, limit=9, holder="one", lease=LEASE)
    assert taken == [], "it is dead"
    (dead,) = deliveries.read_message_deliveries(tx, claimed.message)
    assert (dead.state, dead.reason) == (
        DeliveryState.DEAD,
        "set aside: the hub stopped 5 times in a row while it was sent",
    )


def test_a_database_whose_clock_went_back_does_not_believe_the_dead_alive(tx, claimed):
    last_seen(tx, "one", timedelta(hours=-1), NOW)
    nodes.record_heartbeat(tx, node("two"), NOW)
    last = next(each for each in nodes.list_nodes(tx, NOW) if each.node.name == "one")
    assert last.until <= nodes.read_node_time(tx, NOW) + LIFE


def test_a_node_that_is_gone_for_long_is_forgotten_unless_it_holds_something(tx, claimed):
    for name in ("two", "three"):
        nodes.record_heartbeat(tx, node(name), NOW)
    for name in ("one", "two"):
        last_seen(tx, name, timedelta(days=31), NOW)
    nodes.record_node_end(tx, "three", NOW)
    assert states(tx) == {"one": ("lapsed", 1), "three": ("stopped", 0)}


@pytest.fixture
def beating(engine):
    """A node's beat under a clock, its journal, and what it was told."""
    clock, told = Clock(), []
    database = InlineDatabase(engine)

    def made(name="one"):
        return Heartbeat(
            journal=database,
            clock=clock,
            steady=clock.seconds,
            now=lambda: NOW + timedelta(seconds=clock.seconds()),
            node=node(name),
            alone=False,
            rescued=lambda: told.append(name),
        )

    return made, clock, told, database


def test_a_node_beats_gives_back_what_the_dead_held_and_ends(beating, engine):
    made, clock, told, _database = beating
    with transactions.write_transaction(engine) as tx:
        messages.record_message(tx, entry(document(), 1), ROUTES)
        nodes.record_heartbeat(tx, node("dead"), NOW)
        claims.claim_deliveries(tx, "vpub", NOW, limit=9, holder="dead", lease=LEASE)
    beat = made()
    beat.startService()
    assert told == ["one"], "from now on it may take something"
    with transactions.write_transaction(engine) as tx:
        last_seen(tx, "dead", LIFE * 2, NOW)
    clock.advance(BEAT)
    assert told == ["one"] * 2
    clock.advance(BEAT)
    assert told == ["one"] * 2
    beat.stopService()
    with transactions.read_transaction(engine) as tx:
        assert states(tx, NOW + timedelta(seconds=2 * BEAT)) == {"one": ("stopped", 0), "dead": ("lapsed", 0)}


def test_a_node_that_could_not_beat_for_its_life_may_not_send_until_it_has(beating, monkeypatch):
    made, clock, told, database = beating
    beat, real = made(), database.write
    with pytest.raises(Unready):
        beat.require_lease()  # not before the first beat
    beat.startService()
    beat.require_lease()

    def away(*_args, **_kwargs):
        raise Unready("journal-unavailable", "gone")

    monkeypatch.setattr(InlineDatabase, "write", away)
    clock.pump([BEAT] * 3)
    beat.require_lease()
    clock.pump([BEAT])
    with pytest.raises(Unready, match="has lapsed"):
        beat.require_lease()
    monkeypatch.undo()
    assert database.write == real
    clock.pump([BEAT])
    beat.require_lease()
    assert told == ["one"] * 2, "at the first beat, and now again"
    beat.stopService()


def test_a_node_whose_program_does_not_run_on_the_schema_any_more_does_not_live_on(beating, engine):
    made, clock, _told, _database = beating
    beat = made()
    beat.startService()
    with transactions.write_transaction(
        engine
    ) as tx:  # a newer release took something away, while this node stood still
        tx.execute(sa.insert(upgrade), {"version": "9999", "part": "after"})
        tx.exec_driver_sql("update alembic_version set version_num = '9999'")
    clock.pump([BEAT] * 4)
    with pytest.raises(Unready):
        beat.require_lease()
    with transactions.write_transaction(engine) as tx:
        tx.exec_driver_sql(f"update alembic_version set version_num = '{transactions.read_latest_version()}'")
    beat.stopService()


class Reactor(Clock):
    """A clock that threads may call."""

    def callFromThread(self, work, *args, **kwargs):
        work(*args, **kwargs)


@pytest.fixture
def bells(postgresql):
    """The URL of a journal, and what makes a bell there that tells a list."""
    with postgresql.database() as url:
        hung = []

        def hang(name):
            rung = threading.Event()
            clock = Reactor()
            bell = NotifyListener(transactions.open_journal(url, pooled=False), clock, name, rung.set)  # type: ignore[arg-type]
            bell.startService()
            hung.append(bell)
            assert rung.wait(PATIENCE), "it looks when it begins to hear"
            rung.clear()
            clock.advance(1)
            return bell, rung, clock

        yield url, hang
        for bell in hung:
            bell.stopService()


def test_a_node_hears_what_another_makes_due_after_its_commit_and_not_what_it_did_itself(bells):
    url, hang = bells
    _bell, rung, _clock = hang("one")
    own, other = (transactions.open_journal(url, pooled=False, node=name) for name in ("one", "two"))
    with transactions.write_transaction(own) as tx:
        messages.record_message(tx, entry(document(), 1), ROUTES)
    with transactions.write_transaction(other) as tx:
        nodes.record_heartbeat(tx, node("two"), NOW)  # nothing becomes due by that
    with other.connect() as connection:
        transactions.notify_nodes(connection)  # and never committed
    assert not rung.wait(1)
    with transactions.write_transaction(other) as tx:
        messages.record_message(tx, entry(document(document_id="D3"), 3), ROUTES)
        assert not rung.wait(0.2), "not before the commit"
    assert rung.wait(PATIENCE)


def test_a_bell_whose_connection_is_lost_is_hung_again_and_rings_for_what_it_missed(bells):
    url, hang = bells
    bell, rung, _clock = hang("one")
    other = transactions.open_journal(url, pooled=False, node="two")
    with transactions.write_transaction(other) as tx:
        query = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'LISTEN%%'"
        assert tx.exec_driver_sql(query).scalar() is True
    assert rung.wait(PATIENCE)
    assert bell.is_listening


def test_rings_that_come_close_together_are_one(bells):
    _url, hang = bells
    bell, _rung, clock = hang("one")
    counted = []
    bell._on_notified = lambda: counted.append(datetime.now(UTC))
    for _ in range(50):
        bell._notify()
    assert len(counted) == 1
    clock.advance(1)
    assert len(counted) == 2, "once more at the end: the last may have come after the look"
    clock.advance(1)
    assert len(counted) == 2
