"""A journal moves from SQLite to PostgreSQL: every row, the queue as it stood, wherever the move is interrupted."""

import hashlib
import sqlite3
from contextlib import closing, contextmanager
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Event
from hub.journal import blobs, events, messages, replay_guard, unit_registry
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claim_release, claims
from hub.journal.queue.waiting_counts import find_wrong_counts
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.keeping import move as journal_move
from hub.keeping.move import JournalMove, Unmovable, list_moved_tables
from hub.store import move_marks, transactions
from tests import databases
from tests.province import NOW, ROUTES, UNITS, document, entry

LATER = NOW + timedelta(hours=1)
LARGE = bytes(range(256)) * 8192  # eight parts, and not text
NODE = "0193@máy-cũ"
ODD = "Chữ «Việt», ' \\ \\N \t\n"  #: what a COPY must escape


class Killed(BaseException):
    """The plug was pulled."""


@pytest.fixture
def source(tmp_path):
    """A journal on SQLite with something of everything in it, in the middle of its work."""
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    with transactions.write_transaction(made) as tx:
        unit_registry.write_registry_units(tx, UNITS)
        for number in range(1, 8):
            packet = document("H55.13", "H55.01", "000.00.00.G22", document_id=f"D{number}", type_name=ODD)
            messages.record_message(tx, entry(packet, number), ROUTES)
        messages.record_message(
            tx, entry(document("H55.01", "H55.13", document_id="D9"), 9, partner="vpub", content=LARGE), ROUTES
        )
        messages.record_message(tx, entry(document("H55.13", document_id="D1"), 10, message_id="m1"), ROUTES)  # refused
        replay_guard.run_call_once(tx, replay_guard.ReplayMark("aa", LATER), NOW, lambda _fresh: None)
        first, second = claims.claim_deliveries(tx, "vpub", NOW, limit=2, holder=NODE, lease=timedelta(seconds=100))
        claims.settle_claim(
            tx,
            claims.EndedAttempt(
                first,
                DeliveryEvent.ACCEPTED,
                AttemptVerdict(DeliveryState.DELIVERED),
                claims.AttemptExchange(reply_status=200),
                NOW,
            ),
        )
        assert second.holder == NODE, "and this one is being sent"
        events.chain_events(tx)
        events.append_events(
            tx, Event("message-repeated", NOW, second.message, None, {"partner": "sotttt"})
        )  # not chained yet
    yield made
    made.dispose()


@pytest.fixture
def target(postgresql):
    """An empty journal."""
    with postgresql.database() as url:
        made = transactions.open_journal(url)
        yield made
        made.dispose()


@pytest.fixture
def move(source, target):
    """The move from the one into the other."""
    return JournalMove(source=source, target=target, origin="sqlite:///old.db", destination="postgresql://new/db")


def rows(engine, table):
    """Return every row of a table as both databases write it, by this test's own reading."""
    columns = ", ".join(
        f'CAST("{c.name}" AS TEXT)' for c in table.columns if not isinstance(c.type, sa.LargeBinary | sa.Boolean)
    )
    with engine.connect() as connection:
        plain = sorted(map(tuple, connection.exec_driver_sql(f"SELECT {columns} FROM {table.name}")), key=repr)
        others = [c for c in table.columns if isinstance(c.type, sa.LargeBinary | sa.Boolean)]
        rest = connection.execute(sa.select(*others)).all() if others else []
    return plain, sorted((tuple(row) for row in rest), key=repr)


def assert_moved(source, target, *, but=1):
    """The two hold the same; the new one has told of the move by *but* event, which is listed, too."""
    for table in list_moved_tables():
        theirs, ours = rows(source, table), rows(target, table)
        if table.name in {"event", "event_index"}:
            assert len(ours[0]) == len(theirs[0]) + but
            assert set(theirs[0]) < set(ours[0])
        else:
            assert theirs == ours, table.name
    with transactions.read_transaction(target) as tx:
        assert find_wrong_counts(tx) == {}
        assert move_marks.find_move_mark(tx) is None
        assert transactions.select_schema_version(tx) == transactions.read_latest_version()
    with transactions.read_transaction(source) as tx:
        gone = move_marks.find_move_mark(tx)
    assert gone is not None
    assert "postgresql://new/db" in str(gone.wrong)


def test_every_row_is_there_and_the_new_journal_says_in_its_chain_where_it_came_from(move, source, target):
    assert move.count_rows()["message"] == (9, 0)
    moved = {each.table: each for each in move.run(LATER)}
    assert_moved(source, target)
    assert moved["message"].sum.rows == 9
    assert moved["content"].sum.rows == 7 + 8 + 1  # the refused one is kept too
    with transactions.write_transaction(target) as tx:
        before = events.read_chain_head(tx)
        assert events.chain_events(tx) == 2  # what waited for its number, and the move
        assert list(events.find_broken_events(tx)) == []
        told = tx.scalars(sa.text("SELECT text FROM event ORDER BY serial DESC LIMIT 1")).one()
    assert '"event":"journal-moved"' in told
    assert f'"number":{before[0]},"hash":"{before[1]}"' in told
    assert contents_of(target, hashlib.sha256(LARGE).hexdigest()) == LARGE


def contents_of(engine, name):
    with transactions.read_transaction(engine) as tx:
        return blobs.read_blob(tx, name)


def test_the_new_journal_goes_on_new_rows_get_new_numbers_and_what_was_being_sent_is_sent_again_and_counted_once(
    move, target
):
    move.run(LATER)
    with transactions.write_transaction(target) as tx:
        assert claim_release.release_lost_claims(tx, NOW, holder=NODE) == 1, "the node's own, after its restart"
        (again,) = [
            claim
            for claim in claims.claim_deliveries(tx, "vpub", NOW, limit=9, holder=NODE, lease=timedelta(seconds=100))
            if claim.message.endswith("2")
        ]
        assert again.number == 1, "an interrupted attempt does not count"
        assert claims.settle_claim(
            tx,
            claims.EndedAttempt(
                again, DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED), claims.AttemptExchange(), LATER
            ),
        )
        messages.record_message(tx, entry(document("H55.13", document_id="D20"), 20), ROUTES)
        repeated = messages.record_message(
            tx, entry(document("H55.13", document_id="D3"), 21, message_id="m3", content=b"packet 3"), ROUTES
        )
        assert repeated.receipt == b"<receipt 3/>", "whoever sends it again gets the receipt of the old journal"
        events.chain_events(tx)
        assert list(events.find_broken_events(tx)) == []
    with transactions.read_transaction(target) as tx:
        received = [
            fact for fact in fact_rows.read_facts(tx) if fact.message.endswith("2") and fact.milestone == "received"
        ]
        assert len(received) == 1
        assert len(list(search.find_messages(tx, MessageFilter()))) == 10


def test_on_another_machine_what_was_being_sent_waits_for_the_end_of_its_lease(move, target):
    move.run(LATER)
    with transactions.write_transaction(target) as tx:
        assert claim_release.release_lost_claims(tx, NOW, holder="another") == 0
        assert claim_release.release_lost_claims(tx, NOW + timedelta(seconds=101), holder="another") == 1


@contextmanager
def killed_at(monkeypatch, engine, commit, *, after):
    """Pull the plug at the commit with this number: before it reaches *engine*'s database, or after."""
    real, seen = engine.dialect.do_commit, 0

    def end(connection):
        nonlocal seen
        seen += 1
        if seen == commit and not after:
            raise Killed
        real(connection)
        if seen == commit:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(engine.dialect, "do_commit", end)
        yield


def assert_nobody_serves_two(source, target):
    """At no time could two hubs each serve one of the two."""
    with transactions.read_transaction(source) as tx:
        left = move_marks.find_move_mark(tx) is None
    with transactions.read_transaction(target) as tx:
        arrived = move_marks.find_move_mark(tx) is None and transactions.select_schema_version(tx) is not None
        empty = arrived and not tx.scalar(sa.text("SELECT count(*) FROM message"))
    assert not (left and arrived) or empty


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["undone", "done"])
def test_interrupted_at_every_commit_it_goes_on_where_it_was(move, source, target, monkeypatch, after):
    monkeypatch.setattr(journal_move, "ROWS", 5)
    commits, landed = 0, -1
    for number in range(1, 400):  # each run comes a little further
        try:
            with killed_at(monkeypatch, target, number, after=after):
                move.run(LATER)
            break
        except Killed:
            commits += 1
        except Unmovable as refused:
            if (after, refused.why) != (True, "source-moved"):
                raise
            break  # the plug had been pulled after the very last commit
        target.dispose()
        assert_nobody_serves_two(source, target)
        with transactions.read_transaction(target) as tx:
            now_landed = (
                tx.scalar(sa.text("SELECT sum(rows) FROM move_progress")) if move_marks.find_move_mark(tx) else landed
            )
        assert now_landed >= landed, "nothing is moved again"
        landed = now_landed
    else:
        raise AssertionError("it never came to its end")
    assert commits > 15
    assert_moved(source, target)


@pytest.mark.parametrize("after", [False, True], ids=["undone", "done"])
def test_interrupted_while_the_old_journal_is_marked_it_is_finished_by_the_next_run(
    move, source, target, monkeypatch, after
):
    with killed_at(monkeypatch, source, 1, after=after), pytest.raises(Killed):
        move.run(LATER)
    assert_nobody_serves_two(source, target)
    with transactions.read_transaction(target) as tx:
        unfinished = move_marks.find_move_mark(tx)
    assert unfinished is not None
    assert "sqlite:///old.db" in str(unfinished.wrong)
    move.run(LATER)
    assert_moved(source, target)


def test_when_the_old_journal_was_used_meanwhile_what_changed_is_moved_too(move, source, target, monkeypatch):
    with killed_at(monkeypatch, source, 1, after=False), pytest.raises(Killed):
        move.run(LATER)
    with transactions.write_transaction(source) as tx:
        assert claim_release.release_lost_claims(tx, LATER, alone=True) == 1
        messages.record_message(tx, entry(document("H55.13", document_id="D30"), 30), ROUTES)
    move.run(LATER)
    assert_moved(source, target)


def test_an_interrupted_move_is_not_taken_up_by_another_journal(move, target, monkeypatch):
    with killed_at(monkeypatch, move.source, 1, after=False), pytest.raises(Killed):
        move.run(LATER)
    other = attrs.evolve(move, origin="sqlite:///other.db")
    for attempt in (other.count_rows, lambda: other.run(LATER)):
        with pytest.raises(Unmovable) as caught:
            attempt()
        assert (caught.value.why, caught.value.detail) == ("other-source", "sqlite:///old.db")


def test_a_plan_changes_nothing_and_says_what_is_there_already(move, source, monkeypatch):
    with killed_at(monkeypatch, source, 1, after=False), pytest.raises(Killed):
        move.run(LATER)
    assert move.count_rows()["message"] == (9, 9)


def test_a_database_without_tables_will_do(move, source, postgresql):
    with postgresql.database(empty=True) as url:
        target = transactions.open_journal(url)
        into = attrs.evolve(move, target=target)
        assert into.count_rows()["message"] == (9, 0)
        assert transactions.read_schema_version(target) is None, "a plan changes nothing"
        into.run(LATER)
        assert_moved(source, target)
        target.dispose()


def test_a_journal_that_is_used_will_not_do(move, target):
    with transactions.write_transaction(target) as tx:
        unit_registry.write_registry_units(tx, UNITS[:1])
    for attempt in (move.count_rows, lambda: move.run(LATER)):
        with pytest.raises(Unmovable) as caught:
            attempt()
        assert (caught.value.why, caught.value.detail) == ("target-not-empty", "unit")


def test_a_journal_whose_chain_is_broken_stays_where_it_is(move, source, target):
    with transactions.write_transaction(source) as tx:
        tx.execute(sa.text("UPDATE event SET text = text || ' ' WHERE number = 3"))
    with pytest.raises(Unmovable) as caught:
        move.run(LATER)
    assert caught.value.why == "chain-broken"
    with transactions.read_transaction(target) as tx:
        assert move_marks.find_move_mark(tx) is None


def test_a_row_that_changes_on_the_way_is_found_and_the_old_journal_stays_the_one(move, source, target):
    with transactions.write_transaction(target) as tx:  # as a disk or a driver might
        tx.exec_driver_sql(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF NEW.message_id = 'm4' THEN NEW.paper = true; END IF; RETURN NEW; END $$"
        )
        tx.exec_driver_sql("CREATE TRIGGER spoil BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION spoil()")
    with pytest.raises(Unmovable) as caught:
        move.run(LATER)
    assert caught.value.why == "differs"
    assert caught.value.detail.startswith("message")
    with transactions.read_transaction(source) as tx:
        assert move_marks.find_move_mark(tx) is None


def test_nobody_writes_into_the_old_journal_meanwhile(move, source):
    refused: list[object] = []

    def tell(_table, _done, _total):
        if refused:
            return
        with (
            closing(sqlite3.connect(source.url.database, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked") as caught,
        ):
            other.execute("BEGIN IMMEDIATE")
        refused.append(caught)

    attrs.evolve(move, tell=tell).run(LATER)
    assert refused
