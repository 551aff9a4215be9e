"""Damage of each kind is found and named; what only looks like it is not."""

import contextlib
import hashlib
import sqlite3
import stat

import pytest
import sqlalchemy as sa

from hub.journal import blobs, events, messages
from hub.keeping import integrity
from hub.keeping.backups import sqlite_copy
from hub.keeping.backups.journal_copy import read_journal_state, write_checked_copy
from hub.keeping.backups.package import BackupUnfit
from hub.store import database_errors, transactions
from hub.store.tables import content, event
from tests import databases
from tests.conftest import not_applicable
from tests.province import ROUTES, document, entry

LARGE = bytes(range(256)) * 4096  # four parts


@pytest.fixture
def whole(engine):
    """A journal with three messages, one of them of four parts, and some parts of one that never came whole."""
    with transactions.write_transaction(engine) as tx:
        for number, octets in enumerate((b"one", LARGE, b"three")):
            messages.record_message(tx, entry(document(document_id=f"D{number}"), number, content=octets), ROUTES)
        blobs.keep_parts(tx, "00" * 32, LARGE, [0])
        events.chain_events(tx)
    return engine


def found(engine):
    """Return all that is wrong."""
    with transactions.read_transaction(engine) as tx:
        return list(map(str, integrity.find_journal_damage(tx)))


def change(engine, statement):
    with transactions.write_transaction(engine) as tx:
        tx.execute(statement)


def test_nothing_is_wrong_with_a_whole_journal_nor_with_what_an_interrupted_writer_left(whole):
    assert found(whole) == []


def test_other_bytes_than_those_of_the_name(whole):
    name = hashlib.sha256(LARGE).hexdigest()
    second = sa.and_(content.c.sha256 == name, content.c.part == 1)
    change(whole, sa.update(content).where(second).values(octets=b"x" * blobs.PART))
    assert found(whole) == [f"the octets of {name} do not match this hash"]
    change(whole, sa.delete(content).where(second))
    assert found(whole) == [f"the octets of {name} do not match this hash"]


def test_bytes_that_are_gone(whole):
    change(whole, sa.delete(content).where(content.c.sha256 == hashlib.sha256(b"one").hexdigest()))
    assert found(whole) == [f"the octets of message {entry(document(), 0).id} are missing"]


def test_an_event_that_was_changed(whole):
    change(whole, sa.update(event).where(event.c.number == 2).values(text="{}"))
    assert found(whole) == ["the hash of event 2 does not match its text and its predecessor"]


def test_when_there_is_no_time_to_look_the_rest_goes_on(whole, monkeypatch):
    monkeypatch.setattr(integrity, "BRIEFLY", -1.0)
    monkeypatch.setattr(integrity, "_STEPS", 1)
    with transactions.read_transaction(whole) as tx:
        assert integrity.find_file_damage(tx, briefly=True) == []
        assert list(integrity.find_chain_damage(tx)) == [], "the transaction is as it was"


def test_a_copy_is_of_one_moment_in_one_file_that_only_its_owner_reads_and_never_over_another(whole, tmp_path):
    if whole.dialect.name != "sqlite":
        not_applicable("PostgreSQL has pg_dump")
    source, to = tmp_path / "hub.db", tmp_path / "copy %?#.db"
    told: list[tuple[int, int]] = []
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        busy.execute("DELETE FROM content")  # not committed: nobody waits for anybody
        with sqlite_copy.copy_journal(source, to, lambda done, pages: told.append((done, pages))) as new:
            busy.execute("ROLLBACK")
            assert not to.exists()
            sqlite_copy.name_backup(new, to)
    assert told[-1][0] == told[-1][1] > 0
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == [to.name]
    with contextlib.closing(sqlite3.connect(to)) as copied:
        assert copied.execute("SELECT count(*) FROM content").fetchone() == (7,)
    with pytest.raises(FileExistsError), sqlite_copy.copy_journal(source, to):
        pass


def test_a_copy_of_a_damaged_journal_is_not_kept(whole, tmp_path):
    if whole.dialect.name != "sqlite":
        not_applicable("PostgreSQL has pg_dump")
    to = tmp_path / "copy.db"

    def copy():
        return write_checked_copy(
            tmp_path / "hub.db", to, lambda tx: read_journal_state(tx).messages, lambda *of: told.append(of)
        )

    told: list[tuple[int, int]] = []
    assert copy() == 3
    assert told[-1][0] == told[-1][1] > len(LARGE), "the octets of the messages, after the pages of the file"
    to.unlink()
    change(whole, sa.update(event).where(event.c.number == 2).values(text="{}"))
    with pytest.raises(BackupUnfit, match="the hash of event 2 does not match"):
        copy()
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


@pytest.mark.parametrize("octets", [b"no database" * 1000, None], ids=["another file", "torn"])
def test_a_file_that_sqlite_finds_damaged_is_told_from_one_that_is_not_there_now(tmp_path, octets):
    path = tmp_path / "hub.db"
    engine = transactions.open_journal(databases.sqlite(path), pooled=False)
    with contextlib.closing(sqlite3.connect(path)) as there:
        there.execute("PRAGMA journal_mode=DELETE")
    whole = path.read_bytes()
    path.write_bytes(octets or whole[: len(whole) // 2])
    with pytest.raises(sa.exc.DBAPIError) as caught, transactions.read_transaction(engine) as tx:
        tx.execute(sa.text("SELECT count(*) FROM message"))
    assert database_errors.is_damage_error(caught.value)
    assert not database_errors.is_statement_error(caught.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(sa.exc.DBAPIError) as caught, transactions.read_transaction(engine) as tx:
        tx.execute(sa.text("SELECT count(*) FROM message"))
    assert not database_errors.is_damage_error(caught.value)
