"""A message whose rows are gone is read as before: from the journal and its archive file together."""

import attrs
import pytest
import sqlalchemy as sa

from hub.archive import opening
from hub.archive.catalogue import ArchiveAbsent
from hub.domain.model import Event
from hub.journal import blobs, events, messages, search
from hub.journal.queue import deliveries, exchanges
from hub.journal.upkeep import integrity
from hub.store import tables, transactions
from tests.archiving import THEN, chain, forgotten, live, wrong
from tests.province import NOW, ROUTES, document, entry


def read_all(tx, kept, message):
    """Return everything that pages and commands read of one message."""
    found = search.read_message(kept, message)
    attempts = exchanges.read_attempts(kept, message)
    return (
        found,
        search.read_stored_receipt(kept, message),
        events.read_message_events(kept, message),
        deliveries.read_message_deliveries(kept, message),
        attempts,
        [each.exchange and exchanges.read_reply_body(kept, each.exchange) for each in attempts],
        blobs.read_blob(kept, found.sha256),
    )


def seen(engine, folder, message):
    with (
        transactions.read_transaction(engine) as tx,
        opening.open_kept_message(tx, message, folder, octets=True) as kept,
    ):
        return read_all(tx, kept, message)


def test_a_month_that_went_verifies_and_each_message_reads_as_before(engine, tmp_path):
    ids = live(engine, 3)
    before = [seen(engine, tmp_path, each) for each in ids]
    record = forgotten(engine, tmp_path / "archive")
    with transactions.read_transaction(engine) as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(tables.content)) == 0
        assert tx.scalar(sa.select(sa.func.count()).select_from(tables.attempt)) == 0
        assert not tx.scalars(sa.select(tables.event.c.text).where(tables.event.c.message.in_(ids))).all()
        assert [*integrity.find_chain_damage(tx), *integrity.find_content_damage(tx)] == []
    assert wrong(record.path) == set()
    assert [seen(engine, tmp_path / "archive", each) for each in ids] == before


def test_what_happened_since_stands_behind_what_is_archived(engine, tmp_path):
    (only,) = live(engine, 1)
    before = seen(engine, tmp_path, only)[2]
    forgotten(engine, tmp_path / "archive")
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("content-opened", THEN, only, None, {"by": "lan"}))
    told = seen(engine, tmp_path / "archive", only)[2]
    assert told[:-1] == before
    assert told[-1]["by"] == "lan"


def test_a_refused_message_of_which_nothing_is_left_is_read_from_its_file(engine, tmp_path):
    live(engine, 2)
    entered = attrs.evolve(entry(document(document_id="D9"), 9, at=NOW, content=b"<refused/>"), id="", problems=())
    refused = refuse(engine, entered)
    before = seen(engine, tmp_path, refused)
    forgotten(engine, tmp_path / "archive")
    with transactions.read_transaction(engine) as tx:
        assert search.find_messages_by_name(tx, refused) == []
        found = opening.find_archived_message(tx, refused, tmp_path / "archive")
        assert found == before[0]
    assert seen(engine, tmp_path / "archive", refused) == before


def refuse(engine, entered):
    from hub.domain.ids import make_id
    from hub.domain.model import Problem

    made = attrs.evolve(entered, id=make_id(NOW), problems=(Problem("not-authorised", "H55.99"),), receipt=None)
    with transactions.write_transaction(engine) as tx:
        assert messages.record_message(tx, made, ROUTES).problems
    chain(engine)
    return made.id


def test_a_file_that_is_away_is_named(engine, tmp_path):
    (only,) = live(engine, 1)
    record = forgotten(engine, tmp_path / "archive")
    record.path.rename(tmp_path / "away.zip")
    with pytest.raises(ArchiveAbsent) as absent:
        seen(engine, tmp_path / "archive", only)
    assert absent.value.entry.name == record.path.name
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "away.zip").rename(tmp_path / "elsewhere" / record.path.name)
    assert seen(engine, tmp_path / "elsewhere", only)[0].id == only


def test_octets_that_a_newer_message_shares_are_read_from_the_journal(engine, tmp_path):
    live(engine, 1, content=lambda _number: b"<same/>")
    record = forgotten(engine, tmp_path / "archive")
    (newer,) = live(engine, 1, first=5, content=lambda _number: b"<same/>")
    with transactions.read_transaction(engine) as tx:
        digest = search.read_message(tx, newer).sha256
        (older,) = record.messages
        (tmp_path / "archive" / record.path.name).unlink()
        assert b"".join(opening.read_kept_octets(tx, older, digest, tmp_path / "archive")) == b"<same/>"
