"""What waits is counted by the database as it is moved: exactly, whoever moves it, and a look costs the same at any number."""

import json
from contextlib import suppress
from datetime import timedelta
from threading import Thread

import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub.config import read_config
from hub.domain.model import DeliveryState
from hub.journal import messages
from hub.journal.queue import waiting_counts
from hub.journal.queue.waiting_counts import (
    FIRST,
    MANY,
    find_wrong_counts,
    fold_waiting_counts,
    mend_wrong_counts,
    read_waiting,
)
from hub.node.count_folder import CountFolder
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import delivery, waiting_count
from tests import homes
from tests.bench.backlog import fill
from tests.conftest import DATABASES, not_applicable
from tests.databases import plans, sqlite
from tests.province import NOW, ROUTES, document, entry
from tests.releases.kept import list_releases

LATER = NOW + timedelta(hours=1)
MOVE = "UPDATE delivery SET state = '{}' WHERE partner = '{}' AND state = '{}'"


def told(journal, now=LATER):
    with transactions.read_transaction(journal) as tx:
        return {(each.partner, each.state.value): each.count for each in read_waiting(tx, now)}


def take(tx, number, *recipients, at=NOW):
    messages.record_message(tx, entry(document("H55.13", *recipients, document_id=f"D{number}"), number, at=at), ROUTES)


def test_what_waits_is_told_by_partner_and_state_and_what_arrived_is_not(engine):
    assert told(engine) == {}
    with transactions.write_transaction(engine) as tx:
        for number in range(1, 4):
            take(tx, number, "H55.01", "G22")
        tx.exec_driver_sql(MOVE.format("dead", "vpub", "waiting"))
        take(tx, 4, "H55.01")
    assert told(engine) == {("vpcp", "waiting"): 3, ("vpub", "dead"): 3, ("vpub", "waiting"): 1}
    with transactions.write_transaction(engine) as tx:
        tx.exec_driver_sql(MOVE.format("delivered", "vpub", "dead"))
        tx.exec_driver_sql(MOVE.format("sending", "vpcp", "waiting"))
    assert told(engine) == {("vpcp", "sending"): 3, ("vpub", "waiting"): 1}
    with transactions.write_transaction(engine) as tx:
        tx.exec_driver_sql("UPDATE delivery SET partner = 'vxp' WHERE partner = 'vpcp'")
        tx.exec_driver_sql("DELETE FROM delivery WHERE partner = 'vpub'")
    assert told(engine) == {("vxp", "sending"): 3}


def test_what_is_not_committed_is_not_counted(engine):
    with transactions.write_transaction(engine) as tx:
        take(tx, 1, "H55.01")
        with suppress(ZeroDivisionError), transactions.savepoint(tx):
            take(tx, 2, "H55.01")
            raise ZeroDivisionError
    with suppress(ZeroDivisionError), transactions.write_transaction(engine) as tx:
        tx.exec_driver_sql(MOVE.format("dead", "vpub", "waiting"))
        raise ZeroDivisionError
    assert told(engine) == {("vpub", "waiting"): 1}


def test_the_oldest_is_told_with_its_age(engine):
    with transactions.write_transaction(engine) as tx:
        for number, minutes in ((1, 30), (2, 50), (3, 10)):
            take(tx, number, "H55.01", at=LATER - timedelta(minutes=minutes))
        tx.execute(sa.update(delivery).where(delivery.c.since < LATER - timedelta(minutes=40)).values(since=LATER))
        (found,) = read_waiting(tx, LATER + timedelta(minutes=1))
    assert (found.since, found.age) == (LATER - timedelta(minutes=30), timedelta(minutes=31)), "the second was replayed"
    with transactions.read_transaction(engine) as tx:
        (found,) = read_waiting(tx, NOW - timedelta(days=1))
    assert found.age == timedelta(0), "a clock that went back"


def test_counts_that_are_wrong_are_found_and_mended(engine):
    with transactions.write_transaction(engine) as tx:
        take(tx, 1, "H55.01", "G22")
        assert find_wrong_counts(tx) == {}
        tx.execute(sa.insert(waiting_count), {"partner": "vpub", "state": "waiting", "serial": -1, "count": 7})
        tx.execute(sa.delete(waiting_count).where(waiting_count.c.partner == "vpcp"))
    wrong = {("vpcp", "waiting"): (0, 1), ("vpub", "waiting"): (8, 1)}
    with transactions.write_transaction(engine) as tx:
        assert find_wrong_counts(tx) == wrong
        assert mend_wrong_counts(tx) == wrong
        assert mend_wrong_counts(tx) == {}
        tx.exec_driver_sql(MOVE.format("dead", "vpcp", "waiting"))
    assert told(engine) == {("vpcp", "dead"): 1, ("vpub", "waiting"): 1}


@pytest.mark.slow
def test_verify_names_a_wrong_count_and_the_command_that_mends_it(tmp_path):
    home = homes.begin(tmp_path / "tinh")
    typed = homes.typing(home)
    journal = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    with transactions.write_transaction(journal) as tx:
        take(tx, 1, "H55.01")
        tx.execute(sa.update(waiting_count).values(count=0))
    found = typed("db", "verify")
    assert (found.exit_code, "lienthong db recount" in found.stderr) == (1, True)
    assert "vpub" in found.stdout
    mended = typed("db", "recount", "--json")
    assert json.loads(mended.stdout).items() >= {"partner": "vpub", "kept": 0, "there": 1}.items()
    assert typed("db", "verify").exit_code == 0
    assert told(journal) == {("vpub", "waiting"): 1}


def test_many_rows_of_the_counts_are_summed_up_into_few(engine):
    if engine.dialect.name == "sqlite":
        not_applicable("SQLite has one row for each partner and state")
    with transactions.write_transaction(engine) as tx:
        take(tx, 1, "H55.01", "G22")
    folder = CountFolder(InlineDatabase(engine), Clock())
    for _ in range(2):
        _ = Deferred.fromCoroutine(folder.run_once())
    assert count_rows(engine) == 2, "few are left as they are"
    with transactions.write_transaction(engine) as tx:
        for _ in range(MANY // 4 + 1):
            tx.exec_driver_sql(MOVE.format("sending", "vpub", "waiting"))
            tx.exec_driver_sql(MOVE.format("waiting", "vpub", "sending"))
    before = told(engine)
    assert count_rows(engine) > MANY
    _ = Deferred.fromCoroutine(folder.run_once())
    assert count_rows(engine) == 2, "a count of zero needs no row"
    assert told(engine) == before == {("vpcp", "waiting"): 1, ("vpub", "waiting"): 1}


def count_rows(journal):
    with transactions.read_transaction(journal) as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(waiting_count))


def test_nodes_that_sum_up_at_the_same_time_while_others_move_lose_nothing(engine):
    if engine.dialect.name == "sqlite":
        not_applicable("SQLite has one node")
    with transactions.write_transaction(engine) as tx:
        fill(tx, 40, NOW)
        fill(tx, 40, NOW, first=100, partner="vpcp")
    failed = []

    def often(step):
        try:
            for _ in range(30):
                with transactions.write_transaction(engine) as tx:
                    step(tx)
        except Exception as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    def move(partner):
        def step(tx):
            tx.exec_driver_sql(MOVE.format("sending", partner, "waiting"))
            tx.exec_driver_sql(MOVE.format("waiting", partner, "sending"))
            tx.exec_driver_sql(
                f"DELETE FROM delivery WHERE id = (SELECT min(id) FROM delivery WHERE partner = '{partner}')"
            )

        return step

    steps = [fold_waiting_counts, fold_waiting_counts, move("vpub"), move("vpcp")]
    threads = [Thread(target=often, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert told(engine) == {("vpcp", "waiting"): 10, ("vpub", "waiting"): 10}


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
def test_an_upgrade_counts_what_waits_already(database, tmp_path, request):
    with list_releases()[0].open_hub(database, tmp_path, request) as home:
        engine = homes.engine_of(home)
        with transactions.write_transaction(engine) as tx:
            tx.exec_driver_sql("UPDATE delivery SET state = 'dead' WHERE partner = 'vpub' AND free = false")
            waits = tx.exec_driver_sql(
                "SELECT count(*) FROM delivery WHERE state = 'dead' AND partner = 'vpub'"
            ).scalar_one()
        transactions.upgrade_schema(engine)
        assert told(engine)["vpub", "dead"] == waits > 1
        with transactions.read_transaction(engine) as tx:
            assert find_wrong_counts(tx) == {}
        engine.dispose()


def test_a_look_reads_as_much_of_a_long_queue_as_of_a_short_one(tmp_path):
    looks = [count_steps(tmp_path / f"{number}.db", number) for number in (2 * FIRST, 20 * FIRST)]
    assert looks[1] <= 1.05 * looks[0]


def count_steps(path, number):
    """Return the instructions of SQLite's machine that a look at *number* waiting deliveries takes."""
    engine = transactions.open_journal(sqlite(path), pooled=False)
    with transactions.write_transaction(engine) as tx:
        fill(tx, number, NOW)
    steps = []
    with transactions.read_transaction(engine) as tx:
        raw = tx.connection.driver_connection
        assert raw is not None
        raw.set_progress_handler(lambda: steps.append(1), 1)
        (found,) = read_waiting(tx, LATER)
        raw.set_progress_handler(None, 0)
    engine.dispose()
    assert (found.count, found.state) == (number, DeliveryState.WAITING)
    return len(steps)


def test_the_oldest_is_looked_for_by_an_index(tmp_path):
    found = [way for _, ways in plans(sqlite(tmp_path / "hub.db"), lambda tx: read_waiting(tx, NOW)) for way in ways]
    assert [
        way for way in found if "delivery" in way and "ix_delivery_undelivered (state=? AND partner=?)" not in way
    ] == []
    assert waiting_counts.FIRST == 100, "the number that docs/reference/metrics.md names"
