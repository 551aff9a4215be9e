"""What a look at the queue costs does not grow with what waits: not time, which no test can promise, but what the database reads.

On SQLite the steps of its machine are counted, on PostgreSQL the pages that each statement touches.
"""

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import messages
from hub.journal.queue import claim_release, claims, deliveries, pickup, queue_view
from hub.journal.queue.claims import AttemptExchange
from hub.journal.replays import replay
from hub.journal.replays.replay import ReplayChoice
from hub.journal.searching.message_filter import MessageFilter
from hub.store import transactions
from hub.units.routing import Route
from tests.bench.backlog import fill, settle_down
from tests.province import NOW, ROUTES, document, entry

pytestmark = pytest.mark.slow

FEW, MANY = 200, 8_000
LEASE, LATER = timedelta(minutes=1), NOW + timedelta(minutes=30)


@contextlib.contextmanager
def counted(engine: sa.Engine, tx: transactions.Transaction) -> Iterator[Callable[[], int]]:
    """Count what the statements inside read."""
    read = 0
    if engine.dialect.name == "sqlite":

        def step() -> int:
            nonlocal read
            read += 1
            return 0

        connection = tx.connection.dbapi_connection
        assert connection is not None
        connection.set_progress_handler(step, 1)
        try:
            yield lambda: read
        finally:
            connection.set_progress_handler(None, 0)
        return

    def explain(connection, _cursor, statement, parameters, _context, executemany) -> None:
        """Do it once for nothing, to see what it reads."""
        nonlocal read
        if not statement.startswith(("SELECT", "WITH", "UPDATE", "INSERT")):
            return
        with connection.connection.cursor() as beside:
            for each in parameters if executemany else [parameters]:
                beside.execute("SAVEPOINT beside")
                beside.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", each)
                plan = beside.fetchone()[0][0]["Plan"]
                read += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
                beside.execute("ROLLBACK TO SAVEPOINT beside")

    sa.event.listen(engine, "before_cursor_execute", explain)
    try:
        yield lambda: read
    finally:
        sa.event.remove(engine, "before_cursor_execute", explain)


def work(engine: sa.Engine) -> dict[str, int]:
    """Do what the daemon does, on what waits, and return what each part of it reads."""
    read = {}

    def once(name, step, *args, **kwargs):
        with transactions.write_transaction(engine) as tx, counted(engine, tx) as so_far:
            result = step(tx, *args, **kwargs)
            read[name] = so_far()
        return result

    claim = {"limit": 4, "holder": "node", "lease": LEASE, "concurrency": 4}
    once("look", queue_view.read_queue_view, LATER)
    taken_on = once("claim", claims.claim_deliveries, "vpub", LATER, **claim)
    once("claim without room", claims.claim_deliveries, "vpub", LATER, **claim)
    for number, taken in enumerate(taken_on):
        verdict, outcome = (
            (AttemptVerdict(DeliveryState.DELIVERED), DeliveryEvent.ACCEPTED)
            if number
            else (AttemptVerdict(DeliveryState.WAITING, "", LATER), DeliveryEvent.UNAVAILABLE)
        )
        once("settle", claims.settle_claim, claims.EndedAttempt(taken, outcome, verdict, AttemptExchange(), LATER))
    with transactions.write_transaction(engine) as tx:
        number = 1 + (tx.scalar(sa.text("SELECT count(*) FROM message")) or 0)
        held = document("H55.01", "H55.13", document_id=f"other {number}")
        other = messages.record_message(tx, entry(held, number, partner="vpub"), ROUTES)
    behind = [Route("H55.01", "vpub", "H55.01", DeliveryState.WAITING)]
    once("make", deliveries.make_deliveries, other.id, behind, LATER, lane="lane 7")
    once("rescue", claim_release.release_lost_claims, LATER, holder="node")
    once("alarm", pickup.record_unfetched_alarms, LATER, timedelta(days=3))
    once("pending", pickup.list_pending_messages, "sotttt", "H55.13", 10, LATER)
    last = ident(100)
    with transactions.read_transaction(engine) as tx:
        plan = replay.plan_give_up(tx, MessageFilter(ids=(last,)))
    waiting = [made for _, made in plan.moves]
    dead = once("give up", replay.give_up_deliveries, waiting, reason="no", by="an", now=LATER)
    with transactions.read_transaction(engine) as tx:
        plan = replay.choose_deliveries(tx, ReplayChoice((MessageFilter(ids=(last,)),)), ROUTES)
    assert once(
        "replay", replay.replay_deliveries, [made for _, made in plan.moves], ROUTES, reason="", by="an", now=LATER
    )
    assert len(dead) == 1
    return read


def is_bounded(few: dict[str, int], many: dict[str, int]) -> None:
    """An index is a level deeper beside many: less than twice; a scan would read forty times as much."""
    assert set(few) == set(many)
    for name, read in many.items():
        assert read <= 2 * few[name] + 12, (name, few[name], read)


@pytest.mark.parametrize("lanes", [None, 50])
def test_what_waits_costs_a_look_a_claim_and_a_settling_nothing(engine, lanes):
    with engine.connect() as tx, tx.begin():
        fill(tx, FEW, NOW, lanes=lanes)
    settle_down(engine)
    few = work(engine)
    with engine.connect() as tx, tx.begin():
        fill(tx, MANY, NOW, first=FEW + 1, lanes=lanes)
    settle_down(engine)
    is_bounded(few, work(engine))


def test_a_backlog_that_is_not_due_yet_costs_nothing(engine):
    with engine.connect() as tx, tx.begin():
        fill(tx, FEW, NOW)
    settle_down(engine)
    few = work(engine)
    with engine.connect() as tx, tx.begin():
        fill(tx, MANY, NOW, first=FEW + 1, due=timedelta(hours=1))
        # ...and as urgent as can be: its turn is before that of what is due
        tx.execute(sa.text("UPDATE delivery SET urgency = 4 WHERE id > :last"), {"last": ident(FEW)})
    settle_down(engine)
    is_bounded(few, work(engine))


def test_what_waits_for_other_partners_costs_a_partner_nothing(engine):
    with engine.connect() as tx, tx.begin():
        fill(tx, FEW, NOW)
        fill(tx, 1, NOW, first=FEW + 1, partner="vpcp")
    settle_down(engine)
    few = work(engine)
    with engine.connect() as tx, tx.begin():
        fill(tx, MANY, NOW - timedelta(days=1), first=FEW + 2, partner="vpcp")
    settle_down(engine)
    is_bounded(few, work(engine))


def ident(number: int) -> str:
    return f"0192f0c1-0000-7000-8000-{number:012d}"
