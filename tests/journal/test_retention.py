"""What stays of a message that went into an archive: its old receipt, its joins, its facts, and a chain that verifies."""

from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.domain.errors import Rejected
from hub.domain.ids import make_id
from hub.domain.model import DeliveryState, Event, Fact, Problem
from hub.journal import blobs, events, messages, statuses
from hub.journal import facts as journal_facts
from hub.journal.fact_reading import fact_rows
from hub.journal.packed_receipts import MOST, ReceiptToPack, pack_receipt
from hub.journal.queue import deliveries, delivery_ends, pickup
from hub.journal.searching import message_reading
from hub.keeping import integrity
from hub.keeping.retention import chain_gaps, choosing
from hub.keeping.retention.chain_gaps import ChainGap
from hub.keeping.retention.letting_go import let_messages_go
from hub.keeping.retention.rules import KeptBecause
from hub.security import signing
from hub.soap import documents_responses
from hub.store import schema_version, transactions
from hub.store.tables import chain_gap, content, delivery, event, event_index, kept_receipt, message, receipt_form
from tests import databases, letting_go, pki
from tests.province import NOW, ROUTES, document, entry, status

THEN = NOW.replace(year=2028)
MIGRATIONS = Path(transactions.__file__).parent / "migrations/versions"
HUB = pki.authority("CA", NOW).issue("hub")


def record(engine, packet, number=1, *, at=NOW, **fields):
    made = entry(packet, number, at=at, id=make_id(at), **fields)
    with transactions.write_transaction(engine) as tx:
        return made, messages.record_message(tx, made, ROUTES)


def deliver_all(engine, at=NOW):
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.update(delivery).values(state=DeliveryState.DELIVERED, free=False, changed_at=at))


def close(engine, year=2026):
    with transactions.write_transaction(engine) as tx:
        letting_go.close_year(tx, year, NOW.replace(year=year + 1, month=1))


def why(engine, now=THEN, setting=letting_go.AT_ONCE):
    letting_go.read_all_events(engine, THEN)
    return {each.id: each.why for each in letting_go.judge(engine, now, setting)}


def archived(engine, packet=None, number=1, **fields):
    made, taken = record(engine, packet or document(), number, **fields)
    deliver_all(engine)
    close(engine)
    assert taken.id in letting_go.let_go(engine, THEN)
    return made, taken


def count(engine, table):
    with transactions.read_transaction(engine) as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(table))


class TestWhatAnArchivedMessageLeaves:
    def test_its_bytes_its_events_and_its_signed_parts_have_gone(self, engine):
        made, taken = archived(engine)
        with transactions.read_transaction(engine) as tx:
            assert events.read_message_events(tx, taken.id) == []
            assert blobs.read_blob_size(tx, made.sha256) is None
            row = tx.execute(sa.select(message).where(message.c.id == taken.id)).one()
        assert (row.archive, row.receipt, row.envelope, row.subject) == (1, None, None, None)

    def test_sent_again_it_gets_its_old_receipt_and_makes_no_fact_and_no_delivery(self, engine):
        made, taken = archived(engine)
        before = count(engine, sa.table("fact")), count(engine, delivery), count(engine, content)
        again = attrs.evolve(made, id=make_id(THEN), received_at=THEN, receipt=b"<another/>")
        with transactions.write_transaction(engine) as tx:
            assert messages.record_message(tx, again, ROUTES) == taken
        assert (count(engine, sa.table("fact")), count(engine, delivery), count(engine, content)) == before

    def test_under_its_id_other_bytes_are_refused(self, engine):
        archived(engine)
        _, refused = record(engine, document(), 2, at=THEN, message_id="m1")
        assert [problem.code for problem in refused.problems] == ["id-reused"]

    def test_a_status_moves_the_state_of_its_delivery(self, engine):
        _, taken = archived(engine)
        _, answer = record(engine, status("06"), 3, at=THEN, partner="vpub")
        assert answer.problems == ()
        with transactions.read_transaction(engine) as tx:
            (made,) = deliveries.read_message_deliveries(tx, taken.id)
            assert made.status == "06"
            assert tx.scalar(sa.select(message.c.answers).where(message.c.id == answer.id)) == taken.id

    def test_a_program_that_does_not_know_compact_receipts_is_refused_from_then_on(self, engine):
        with transactions.read_transaction(engine) as tx:
            before = schema_version.read_least_version(tx)
        archived(engine)
        with transactions.read_transaction(engine) as tx:
            least = schema_version.read_least_version(tx)
        (made,) = (each for each in MIGRATIONS.glob("0*.py") if "TABLE kept_receipt" in each.read_text())
        assert least == made.name[:4]
        known = [each for each in schema_version.list_migration_steps() if each.version < least]
        assert schema_version.is_version_supported(known, least, before)
        assert not schema_version.is_version_supported(known, least, least)

    def test_a_partner_can_no_longer_fetch_it_again(self, engine):
        _, taken = archived(engine, document("H55.01", "H55.13"), partner="vpub")
        with transactions.write_transaction(engine) as tx, pytest.raises(Rejected, match="document-not-found"):
            pickup.fetch_message(tx, "sotttt", taken.id, THEN)

    def test_a_status_is_no_longer_told_in_traces(self, engine):
        record(engine, document())
        archived(engine, status("06"), 2, partner="vpub")
        with transactions.read_transaction(engine) as tx:
            assert not statuses.read_status_traces(tx, "H55.13")

    def test_its_facts_and_its_receipt_stay(self, engine):
        made, taken = archived(engine)
        with transactions.read_transaction(engine) as tx:
            assert {fact.message for fact in fact_rows.read_facts(tx)} == {taken.id}
            assert message_reading.read_stored_receipt(tx, taken.id) == made.receipt

    def test_the_chain_verifies_over_the_gap(self, engine):
        archived(engine)
        with transactions.read_transaction(engine) as tx:
            assert list(events.find_broken_events(tx)) == []

    def test_the_journal_is_undamaged(self, engine):
        archived(engine)
        with transactions.read_transaction(engine) as tx:
            assert list(integrity.find_chain_damage(tx)) == []
            assert list(integrity.find_content_damage(tx)) == []

    def test_of_a_refused_one_the_head_stays_too(self, engine):
        made, refused = record(engine, document(), problems=(Problem("not-authorised", "x"),), receipt=None)
        assert letting_go.let_go(engine, THEN) == [refused.id]
        with transactions.read_transaction(engine) as tx:
            assert message_reading.read_message(tx, refused.id).refusal == "not-authorised: x"
            assert blobs.read_blob_size(tx, made.sha256) is None

    @pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
    def test_the_heads_fill_whole_pages(self, engine):
        for number in range(1, 41):
            record(engine, document(document_id=f"D{number}"), number, receipt=b"<receipt/>" * 300)
        deliver_all(engine)
        close(engine)
        assert len(letting_go.let_go(engine, THEN)) == 40
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("SELECT count(*) FROM dbstat WHERE name = 'message'").scalar_one()
        assert pages < 10, "and not one for each"

    def test_octets_that_another_message_has_stay(self, engine):
        made, _ = record(engine, document())
        deliver_all(engine)
        close(engine)
        record(engine, document(), 2, at=THEN, content=made.content)  # the same bytes under another id
        letting_go.let_go(engine, THEN)
        with transactions.read_transaction(engine) as tx:
            assert blobs.read_blob(tx, made.sha256) == made.content


class TestACompactReceipt:
    def test_is_the_same_octets_in_a_tenth_of_the_room(self, engine):
        made, octets = {}, b""
        for number in range(1, 9):
            said = documents_responses.Receipt(f"D{number}", f"m{number}", entry(document(), number).sha256, NOW)
            octets = signing.seal_canonical(documents_responses.write_receipt(said), HUB)
            taken = record(engine, document(document_id=f"D{number}"), number, receipt=octets)[1]
            made[taken.id] = octets
        deliver_all(engine)
        close(engine)
        assert sorted(letting_go.let_go(engine, THEN)) == sorted(made)
        with transactions.read_transaction(engine) as tx:
            assert {name: message_reading.read_stored_receipt(tx, name) for name in made} == made
            sizes = tx.scalars(sa.select(sa.func.length(kept_receipt.c.packed))).all()
        assert count(engine, receipt_form) == 1
        assert max(sizes) < 0.2 * len(octets), "of it a signature of 256 octets cannot be made smaller"

    def test_that_is_too_long_is_not_packed(self):
        with pytest.raises(ValueError, match="not packed"):
            pack_receipt(ReceiptToPack("1", b"x" * (MOST + 1), None, None, ""), b"")

    def test_that_is_too_long_keeps_its_message_and_no_other(self, engine):
        ids = [
            record(engine, document(document_id=f"D{number}"), number, receipt=receipt)[1].id
            for number, receipt in enumerate((b"<a/>", b"x" * (MOST + 1), b"<b/>"), 1)
        ]
        deliver_all(engine)
        close(engine)
        assert sorted(letting_go.let_go(engine, THEN)) == sorted([ids[0], ids[2]])
        with transactions.read_transaction(engine) as tx:
            assert [len(message_reading.read_stored_receipt(tx, name) or b"") for name in ids] == [4, MOST + 1, 4]


class TestNothingUnhandledGoes:
    @pytest.mark.parametrize("state", [each for each in DeliveryState if each is not DeliveryState.DELIVERED])
    def test_whose_delivery_is(self, engine, state):
        record(engine, document())
        deliver_all(engine)
        with transactions.write_transaction(engine) as tx:
            tx.execute(sa.update(delivery).values(state=state))
        close(engine)
        expected = KeptBecause.DEAD if state is DeliveryState.DEAD else KeptBecause.UNDELIVERED
        assert set(why(engine).values()) == {expected}

    def test_a_dead_one_that_a_person_gave_up_may_go_until_it_is_sent_again(self, engine):
        _, taken = record(engine, document())
        with transactions.write_transaction(engine) as tx:
            (waiting,) = deliveries.read_message_deliveries(tx, taken.id)
            assert delivery_ends.give_up_delivery(tx, waiting, reason="x", by="an", now=NOW)
        close(engine)
        assert why(engine)[taken.id] is None
        with transactions.write_transaction(engine) as tx:
            (dead,) = deliveries.read_message_deliveries(tx, taken.id)
            assert deliveries.revive_deliveries(tx, [(dead, DeliveryState.WAITING)], reason="x", by="an", now=NOW)
            tx.execute(sa.update(delivery).values(state=DeliveryState.DEAD, reason="refused"))
        assert why(engine)[taken.id] is KeptBecause.DEAD

    def test_in_an_open_year(self, engine):
        _, taken = record(engine, document())
        deliver_all(engine)
        assert why(engine)[taken.id] is KeptBecause.OPEN_PERIOD

    def test_whose_fact_counts_in_a_later_year_than_it_was_received(self, engine):
        _, taken = record(engine, document())
        deliver_all(engine, NOW.replace(year=2027, month=12, day=30))
        close(engine)
        assert why(engine)[taken.id] is KeptBecause.OPEN_PERIOD

    def test_of_a_year_that_can_be_contested(self, engine):
        _, taken = record(engine, document())
        deliver_all(engine)
        close(engine)
        rules = attrs.evolve(letting_go.AT_ONCE.rules, contest=24)
        assert why(engine, setting=attrs.evolve(letting_go.AT_ONCE, rules=rules))[taken.id] is KeptBecause.CONTESTABLE

    def test_of_a_year_with_a_report_that_was_returned(self, engine):
        _, taken = record(engine, document())
        deliver_all(engine)
        close(engine)
        key = '["f","H55","2026-12",1]'
        said = Fact(unit="H55", service="reports", key=key, milestone="returned", at=NOW, message=taken.id)
        with transactions.write_transaction(engine) as tx:
            journal_facts.insert_facts(tx, [said], None)
        assert why(engine)[taken.id] is KeptBecause.CONTESTABLE
        with transactions.write_transaction(engine) as tx:
            journal_facts.insert_facts(
                tx, [attrs.evolve(said, key=key.replace("1]", "2]"), milestone="accepted")], None
            )
        assert why(engine)[taken.id] is None

    def test_that_the_feed_has_not_published(self, engine):
        _, taken = record(engine, document())
        deliver_all(engine)
        close(engine)
        assert why(engine, setting=attrs.evolve(letting_go.AT_ONCE, feed="hub"))[taken.id] is KeptBecause.BEHIND

    def test_that_is_younger_than_its_kind_is_kept(self, engine):
        _, taken = record(engine, document())
        deliver_all(engine)
        close(engine)
        setting = attrs.evolve(
            letting_go.AT_ONCE, rules=attrs.evolve(letting_go.AT_ONCE.rules, months={"documents": 24})
        )
        assert why(engine, NOW.replace(year=2028), setting)[taken.id] is None
        setting = attrs.evolve(setting, rules=attrs.evolve(setting.rules, months={"documents": 25}))
        assert why(engine, NOW.replace(year=2028), setting)[taken.id] is KeptBecause.YOUNG

    def test_that_changed_after_it_was_archived(self, engine):
        _, taken = record(engine, document())
        deliver_all(engine)
        close(engine)
        letting_go.read_all_events(engine, THEN)
        with transactions.read_transaction(engine) as tx:
            heads = letting_go.look_at(tx, [taken.id])
        record(engine, status("03"), 3, partner="vpub")
        letting_go.read_all_events(engine, THEN)
        with transactions.write_transaction(engine) as tx:
            around = choosing.read_surroundings(tx, choosing.CalendarMonth("2026-11"), letting_go.AT_ONCE)
            same = letting_go.find_unchanged(heads)
            found = let_messages_go(tx, 1, [taken.id], same, around, letting_go.AT_ONCE, THEN)
        assert found.stayed == (taken.id,)
        assert count(engine, kept_receipt) == 0


class TestTheLinkOverAGap:
    def test_gaps_that_touch_become_one(self):
        near = [ChainGap(1, 3, "c"), ChainGap(6, 7, "g")]
        assert chain_gaps.merge_gaps([(4, "d"), (5, "e"), (9, "i")], near) == [ChainGap(1, 7, "g"), ChainGap(9, 9, "i")]

    def test_an_event_goes_only_once(self):
        with pytest.raises(ValueError, match="has gone already"):
            chain_gaps.merge_gaps([(2, "b")], [ChainGap(1, 3, "c")])

    @given(st.lists(st.sets(st.integers(1, 29), min_size=1), max_size=6))
    @settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_whatever_events_go_in_whatever_order_the_chain_verifies(self, tmp_path_factory, groups):
        engine = transactions.open_journal(databases.sqlite(tmp_path_factory.mktemp("gaps") / "hub.db"))
        with transactions.write_transaction(engine) as tx:
            events.append_events(tx, *(Event("hub-started", NOW, None, None, {"number": each}) for each in range(30)))
            events.chain_events(tx)
        gone: set[int] = set()
        for group in groups:
            with transactions.write_transaction(engine) as tx:
                chain_gaps.remove_chained_events(tx, sorted(group - gone))
            gone |= group
            with transactions.read_transaction(engine) as tx:
                assert list(events.find_broken_events(tx)) == []
                gaps = tx.execute(sa.select(chain_gap)).all()
            assert {each for row in gaps for each in range(row.first, row.last + 1)} == gone
            assert len(gaps) <= 30 - len(gone) + 1
        engine.dispose()

    def test_an_event_that_is_missing_without_a_link_is_found(self, engine):
        archived(engine)
        with transactions.write_transaction(engine) as tx:
            tx.execute(sa.delete(chain_gap))
        with transactions.read_transaction(engine) as tx:
            assert len(list(events.find_broken_events(tx))) == 1

    def test_a_link_over_events_that_are_in_no_archive_is_found(self, engine):
        archived(engine)
        letting_go.read_all_events(engine, THEN)
        with transactions.write_transaction(engine) as tx:
            last = tx.execute(sa.select(chain_gap)).one()
            beyond = tx.execute(sa.select(event).where(event.c.number == last.last + 1)).one()
            tx.execute(sa.update(chain_gap).values(last=beyond.number, hash=beyond.hash))
            tx.execute(sa.delete(event_index).where(event_index.c.serial == beyond.serial))
            tx.execute(sa.delete(event).where(event.c.serial == beyond.serial))
        with transactions.read_transaction(engine) as tx:
            assert list(events.find_broken_events(tx)) == [], "the hashes alone do not show it"
            assert len(list(integrity.find_chain_damage(tx))) == 1

    def test_a_link_with_another_hash_is_found(self, engine):
        archived(engine)
        with transactions.write_transaction(engine) as tx:
            tx.execute(sa.update(chain_gap).values(hash="f" * 64))
        with transactions.read_transaction(engine) as tx:
            assert len(list(events.find_broken_events(tx))) == 1
