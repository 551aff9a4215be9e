"""A message whose rows are gone is read as before: from the journal and its archive file together."""

import io
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.defer import succeed

from hub.audit.sealed_file import audit_file
from hub.config.upkeep.retention import RetentionSettings
from hub.domain.ids import make_id
from hub.domain.model import Event
from hub.journal import blobs, events, messages, unit_registry
from hub.journal.queue import deliveries, exchanges
from hub.journal.searching import message_filter, message_reading, search
from hub.keeping import integrity
from hub.keeping.archive import opening, restoring
from hub.keeping.archive.catalogue import ArchiveAbsent
from hub.keeping.archive.retention import RetentionRun, make_setting
from hub.store import tables, transactions
from hub.store.inline_database import InlineDatabase
from hub.workload import evidence_file, unit_report
from tests import evidencing, letting_go
from tests.archiving import HUB, LATER, THEN, TRUST, chain, forgotten, live, wrong
from tests.console_town import done
from tests.province import NOW, ROUTES, document, entry

pytestmark = pytest.mark.slow

AT_ONCE = RetentionSettings(enabled=True, months={}, other=1, contest=1, announce=1)
#: When retention lets go: more than two years later, with the same key.
GONE = NOW + timedelta(days=900)


def read_all(tx, kept, message):
    """Return everything that pages and commands read of one message."""
    found = message_reading.read_message(kept, message)
    attempts = exchanges.read_attempts(kept, message)
    return (
        found,
        message_reading.read_stored_receipt(kept, message),
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


def test_what_happened_since_stands_behind_what_is_archived(here, tmp_path):
    (only,) = live(here, 1)
    before = seen(here, tmp_path, only)[2]
    forgotten(here, tmp_path / "archive")
    with transactions.write_transaction(here) as tx:
        events.append_events(tx, Event("content-opened", THEN, only, None, {"by": "lan"}))
    told = seen(here, tmp_path / "archive", only)[2]
    assert told[:-1] == before
    assert told[-1]["by"] == "lan"


def test_a_refused_message_of_which_the_head_is_left_is_read_from_its_file(engine, tmp_path):
    live(engine, 2)
    entered = attrs.evolve(entry(document(document_id="D9"), 9, at=NOW, content=b"<refused/>"), id="", problems=())
    refused = refuse(engine, entered)
    before = seen(engine, tmp_path, refused)
    forgotten(engine, tmp_path / "archive")
    with transactions.read_transaction(engine) as tx:
        assert [each.id for each in search.find_messages_by_name(tx, refused)] == [refused]
        found = opening.find_archived_message(tx, refused, tmp_path / "archive")
        assert found == before[0]
    assert seen(engine, tmp_path / "archive", refused) == before


def refuse(engine, entered):
    from hub.domain.model import Problem

    made = attrs.evolve(entered, id=make_id(NOW), problems=(Problem("not-authorised", "H55.99"),), receipt=None)
    with transactions.write_transaction(engine) as tx:
        assert messages.record_message(tx, made, ROUTES).problems
    chain(engine)
    return made.id


@pytest.mark.parametrize("restored", [False, True], ids=["gone", "brought-back"])
def test_the_evidence_of_a_report_holds_after_its_messages_went(engine, tmp_path, restored):
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, evidencing.UNITS)
    live(engine, 3)

    def written(octets=True):
        file = io.BytesIO()
        with transactions.read_transaction(engine) as tx:
            asked = unit_report.resolve_report_sources(tx, "H55.13", "2026-12", "edoc")
            evidence_file.write_evidence_file(tx, asked, LATER, HUB, file, octets=octets, archives=tmp_path / "archive")
        return evidencing.members(file.getvalue())

    before = written()
    forgotten(engine, tmp_path / "archive")
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.delete(tables.closing))  # of no form that counts; they only let the messages go
    if restored:
        for name in search_ids(engine):
            with transactions.read_transaction(engine) as tx:
                entry_of = restoring.find_archive_entry(tx, name)
                assert entry_of is not None
            for step in restoring.restore_steps(entry_of, name, tmp_path / "archive", by="lan", plan=None, now=LATER):
                with transactions.write_transaction(engine) as tx:
                    step(tx)
    after = written()
    found = list(audit_file(io.BytesIO(evidencing.packed(after)), TRUST))
    assert [each for each in found if each.holds is False] == []
    assert "octets" in {each.check for each in found if each.holds}
    same = after.keys() - {"report.xml", "manifest.xml", *(["events.jsonl"] if restored else [])}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert len(after["events.jsonl"].splitlines()) == len(before["events.jsonl"].splitlines()) + 3 * restored


def search_ids(engine):
    with transactions.read_transaction(engine) as tx:
        return [each.id for each in search.find_messages(tx, message_filter.MessageFilter())]


def test_a_file_that_is_away_is_named(here, tmp_path):
    (only,) = live(here, 1)
    record = forgotten(here, tmp_path / "archive")
    record.path.rename(tmp_path / "away.zip")
    with pytest.raises(ArchiveAbsent) as absent:
        seen(here, tmp_path / "archive", only)
    assert absent.value.entry.name == record.path.name
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "away.zip").rename(tmp_path / "elsewhere" / record.path.name)
    assert seen(here, tmp_path / "elsewhere", only)[0].id == only


def test_octets_that_a_newer_message_shares_are_read_from_the_journal(here, tmp_path):
    live(here, 1, content=lambda _number: b"<same/>")
    record = forgotten(here, tmp_path / "archive")
    (newer,) = live(here, 1, first=5, content=lambda _number: b"<same/>")
    with transactions.read_transaction(here) as tx:
        digest = message_reading.read_message(tx, newer).sha256
        (older,) = record.messages
        (tmp_path / "archive" / record.path.name).unlink()
        assert b"".join(opening.read_kept_octets(tx, older, digest, tmp_path / "archive")) == b"<same/>"


def test_after_a_run_of_retention_the_month_verifies_and_its_messages_are_read_and_known(engine, tmp_path):
    """All of it through the steps that a node or the command takes."""
    ids = live(engine, 3)
    before = [seen(engine, tmp_path, each) for each in ids]
    with transactions.write_transaction(engine) as tx:
        letting_go.close_year(tx, 2026, NOW.replace(year=2027, month=1))
    letting_go.read_all_events(engine, LATER)
    run = RetentionRun(
        journal=InlineDatabase(engine),
        setting=make_setting(AT_ONCE, ["f"], None),
        settings=AT_ONCE,
        folder=tmp_path / "archive",
        identity=HUB,
        now=lambda: GONE,
        pause=lambda _seconds: succeed(None),
    )
    (part,) = done(run.announce("an"))
    assert done(run.carry_out(part.number)).messages == 3
    (path,) = (tmp_path / "archive").glob("*.zip")
    assert wrong(path) == set()
    after = [seen(engine, tmp_path / "archive", each) for each in ids]
    assert after == before
    for number, name in enumerate(ids):
        octets = f"<packet số='{number}'/>".encode() * 40
        again = entry(document(document_id=f"D{number}"), number, content=octets, at=GONE, id=make_id(GONE))
        with transactions.write_transaction(engine) as tx:
            taken = messages.record_message(tx, again, ROUTES)
        assert (taken.id, taken.receipt) == (name, before[number][1])
    assert [seen(engine, tmp_path / "archive", each)[:2] for each in ids] == [each[:2] for each in before]
