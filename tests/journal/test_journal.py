"""What the journal promises of a message: taken once, with everything that follows from it, or refused with its reasons."""

import hashlib
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hub.domain.ids import make_id
from hub.domain.model import DeliveryState, Fact, MessageState, PacketKind, Problem, Record
from hub.journal import blobs, events, messages, statuses
from hub.journal import facts as journal_facts
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import deliveries, pickup
from hub.journal.searching import message_reading, search
from hub.journal.searching.message_filter import MessageFilter
from hub.store import transactions
from hub.store.tables import message, metadata
from tests.province import NOW, ROUTES, document, entry, status


def facts(tx):
    return {(fact.unit, fact.milestone, fact.message) for fact in fact_rows.read_facts(tx)}


def happened(tx, message):
    return [event["event"] for event in events.read_message_events(tx, message)]


def states(tx, message):
    return {made.recipient: made.state for made in deliveries.read_message_deliveries(tx, message)}


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_the_migrations_make_exactly_the_tables_of_the_schema(engine):
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_what_is_written_survives_a_power_cut_by_setting(engine):
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_an_accepted_message_has_its_bytes_its_deliveries_its_fact_and_its_events(tx):
    taken = messages.record_message(tx, entry(document("H55.13", "H55.01", "G22.1")), ROUTES)
    assert taken.problems == ()
    message = message_reading.read_message(tx, taken.id)
    assert (message.state, message.kind, message.sender) == (MessageState.ACCEPTED, PacketKind.DOCUMENT, "H55.13")
    assert blobs.read_blob(tx, message.sha256) == b"packet 1"
    assert states(tx, taken.id) == {"H55.01": DeliveryState.WAITING, "G22.1": DeliveryState.WAITING}
    assert facts(tx) == {("H55.13", "sent", taken.id)}
    assert happened(tx, taken.id) == ["message-accepted", "delivery-waiting", "delivery-waiting", "fact-recorded"]


def test_the_same_bytes_under_the_same_id_get_the_same_receipt_and_count_once(tx):
    first = messages.record_message(tx, entry(document()), ROUTES)
    again = messages.record_message(
        tx,
        attrs.evolve(entry(document(), 2), message_id="m1", content=b"packet 1", sha256=entry(document()).sha256),
        ROUTES,
    )
    assert again == first
    assert search.count_messages(tx, MessageFilter()) == 1
    assert len(facts(tx)) == 1
    assert happened(tx, first.id)[-1] == "message-repeated"


SHA1 = {"partner": "sotttt", "operation": "SendDocument", "certificate": "ab" * 32}


def test_each_time_a_call_comes_whose_signature_used_sha1_is_an_event_of_its_message(tx):
    first = messages.record_message(tx, entry(document(), sha1=SHA1), ROUTES)
    assert happened(tx, first.id) == ["message-accepted", "sha1-used", "delivery-waiting", "fact-recorded"]
    again = entry(document(), 2, message_id="m1", content=b"packet 1", sha1=SHA1)
    assert messages.record_message(tx, again, ROUTES).id == first.id
    assert happened(tx, first.id)[-2:] == ["message-repeated", "sha1-used"]
    refused = messages.record_message(tx, entry(document(), 3, problems=(Problem("unit-unknown"),), sha1=SHA1), ROUTES)
    assert happened(tx, refused.id) == ["message-refused", "sha1-used"]
    told = [event for each in (first.id, refused.id) for event in events.read_message_events(tx, each)]
    uses = [event for event in told if event["event"] == "sha1-used"]
    assert [{name: event[name] for name in SHA1} for event in uses] == [SHA1] * 3


def test_a_step_that_was_committed_unheard_tells_nothing_twice(tx):
    accepted = entry(document(), sha1=SHA1)
    refused = entry(document(), 2, problems=(Problem("unit-unknown"),), sha1=SHA1)
    for each in (accepted, accepted, refused, refused):
        messages.record_message(tx, each, ROUTES)
    assert [happened(tx, each.id).count("sha1-used") for each in (accepted, refused)] == [1, 1]


def test_other_bytes_under_the_same_id_are_refused_and_journalled(tx):
    messages.record_message(tx, entry(document()), ROUTES)
    other = messages.record_message(tx, attrs.evolve(entry(document(), 2), message_id="m1"), ROUTES)
    assert [problem.code for problem in other.problems] == ["id-reused"]
    assert other.receipt is None
    assert next(m.refusal or "" for m in search.find_messages(tx, MessageFilter(state="refused"))).startswith(
        "id-reused"
    )


def test_a_refused_message_does_not_take_its_id_and_is_judged_afresh(tx):
    wrong = entry(document(), 1, problems=(Problem("unit-unknown", "H55.99"),), routes=())
    assert messages.record_message(tx, wrong, ROUTES).problems[0].code == "unit-unknown"
    right = attrs.evolve(entry(document(), 2), message_id="m1")
    assert messages.record_message(tx, right, ROUTES).problems == ()
    assert search.count_messages(tx, MessageFilter(state="accepted", message_id="m1")) == 1


def test_a_repetition_of_an_accepted_message_is_accepted_even_when_it_would_be_refused_today(tx):
    first = messages.record_message(tx, entry(document()), ROUTES)
    late = entry(document(), 2, problems=(Problem("unit-inactive"),), message_id="m1", content=b"packet 1")
    late = attrs.evolve(late, sha256=entry(document()).sha256)
    assert messages.record_message(tx, late, ROUTES) == first


def test_the_same_id_of_two_partners_names_two_messages(tx):
    messages.record_message(tx, entry(document()), ROUTES)
    other = attrs.evolve(entry(document("H55.01", "H55.13", document_id="D2"), 2, partner="vpub"), message_id="m1")
    assert messages.record_message(tx, other, ROUTES).problems == ()


def test_one_document_sent_twice_under_two_ids_is_counted_once(tx):
    messages.record_message(tx, entry(document()), ROUTES)
    messages.record_message(tx, entry(document(), 2), ROUTES)
    assert len(facts(tx)) == 1
    assert search.count_messages(tx, MessageFilter(state="accepted")) == 2


def test_a_status_moves_the_delivery_it_answers_only_forward_and_is_a_fact_in_any_order(tx):
    sent = messages.record_message(tx, entry(document()), ROUTES).id
    for number, code in enumerate(("04", "01", "06", "05"), 2):
        messages.record_message(tx, entry(status(code), number, partner="vpub"), ROUTES)
    assert deliveries.read_message_deliveries(tx, sent)[0].status == "06"
    moves = [
        (e["event"], e["status"]) for e in events.read_message_events(tx, sent) if str(e["event"]).startswith("status-")
    ]
    assert moves == [("status-moved", "04"), ("status-kept", "01"), ("status-moved", "06"), ("status-kept", "05")]
    assert {m for unit, m, _ in facts(tx) if unit == "H55.01"} == {"status-01", "status-04", "status-05", "status-06"}


def recall(**fields):
    return attrs.evolve(document(**fields), kind=PacketKind.RECALL, about="D1")


def repetition(number):
    return entry(document(), number, message_id="m1", content=b"packet 1")


def dossier(tx, number):
    fact = Fact(
        unit="H55.13", service="dossiers", key=f"k{number}", milestone="received", at=NOW, message="", counterpart=""
    )
    sent = entry(document(), number)
    record = Record(kind="received", sender="H55.13", facts=(attrs.evolve(fact, message=sent.id),))
    told = attrs.evolve(sent, service="dossiers", packet=None, routes=(), record=record)
    return messages.record_message(tx, told, ROUTES)


#: What is recorded one after the other, and how many statements each takes; on PostgreSQL it takes locks besides.
COSTS = {
    "a document": (9, lambda tx: messages.record_message(tx, entry(document()), ROUTES)),
    "a document to three": (
        9,
        lambda tx: messages.record_message(tx, entry(document("H55.13", "H55.01", "G22.1", "G22.2"), 2), ROUTES),
    ),
    "the same again": (2, lambda tx: messages.record_message(tx, repetition(3), ROUTES)),
    "other bytes": (4, lambda tx: messages.record_message(tx, entry(document(), 4, message_id="m1"), ROUTES)),
    "a status": (10, lambda tx: messages.record_message(tx, entry(status("03"), 5, partner="vpub"), ROUTES)),
    "a recall": (18, lambda tx: messages.record_message(tx, entry(recall(), 6), ROUTES)),
    "what was recalled": (12, lambda tx: messages.record_message(tx, entry(document("H55.13", "G22.1"), 7), ROUTES)),
    # One of them asks which unit has the dossier: another may have continued it (docs/reference/dossiers.md).
    "a dossier": (7, lambda tx: dossier(tx, 8)),
}


def test_all_is_read_before_anything_is_written_and_in_few_statements(tx):
    """Nothing that a message has written is read back: each of its reads comes before each of its writes."""
    asked = []
    sa.event.listen(tx, "before_cursor_execute", lambda *said: asked.append(said[2]))
    for what, (cost, record) in COSTS.items():
        asked.clear()
        record(tx)
        statements = [each for each in asked if "pg_advisory_xact_lock" not in each]
        reads = [each.startswith(("SELECT", "WITH asked")) for each in statements]
        assert reads == sorted(reads, reverse=True), (what, statements)
        assert len(statements) <= cost, (what, statements)
        assert len(asked) - len(statements) <= 3, (what, asked)


def name_of(octets):
    return hashlib.sha256(octets).hexdigest()


def test_a_status_goes_to_the_original_sender_and_into_its_traces(tx):
    sent = messages.record_message(tx, entry(document()), ROUTES).id
    answer = messages.record_message(tx, entry(status("03"), 2, partner="vpub"), ROUTES).id
    assert states(tx, answer) == {"H55.13": DeliveryState.HELD}
    assert statuses.read_status_traces(tx, "H55.13") == [statuses.StatusTrace(sent, name_of(b"packet 2"))]
    assert statuses.read_status_traces(tx, "H55.13", document=sent) == [
        statuses.StatusTrace(sent, name_of(b"packet 2"))
    ]
    assert statuses.read_status_traces(tx, "H55.13", since=NOW) != []
    assert statuses.read_status_traces(tx, "H55.13", since=NOW + timedelta(seconds=1)) == []
    assert statuses.read_status_traces(tx, "H55.01") == []


def test_a_status_finds_its_document_by_code_and_date_when_it_names_no_id(tx):
    sent = messages.record_message(tx, entry(document()), ROUTES).id
    by_code = status("03", document_id="", number="7816/VPUB", date="2026/11/20")
    messages.record_message(tx, entry(by_code, 2, partner="vpub"), ROUTES)
    assert deliveries.read_message_deliveries(tx, sent)[0].status == "03"
    assert {fact.key for fact in fact_rows.read_facts(tx)} == {journal_facts.make_business_key("H55.13", "D1")}


def test_a_status_answers_the_newest_document_that_went_to_its_unit(tx):
    old = messages.record_message(tx, entry(document()), ROUTES).id
    new = messages.record_message(tx, entry(document(), 2, at=NOW + timedelta(minutes=1)), ROUTES).id
    elsewhere = messages.record_message(
        tx, entry(document("H55.13", "G22"), 3, at=NOW + timedelta(minutes=2)), ROUTES
    ).id
    messages.record_message(tx, entry(status("01"), 4, partner="vpub"), ROUTES)
    assert [deliveries.read_message_deliveries(tx, each)[0].status for each in (old, new, elsewhere)] == [
        None,
        "01",
        None,
    ]


def test_a_status_about_an_unknown_document_is_kept_routed_and_marked(tx):
    taken = messages.record_message(tx, entry(status("03", document_id="nobody's"), partner="vpub"), ROUTES)
    assert taken.problems == ()
    assert "document-unknown" in happened(tx, taken.id)
    assert states(tx, taken.id) == {"H55.13": DeliveryState.HELD}
    assert statuses.read_status_traces(tx, "H55.13") == [statuses.StatusTrace(None, name_of(b"packet 1"))]
    assert facts(tx) == {("H55.01", "status-03", taken.id)}


def test_the_senders_own_word_about_its_document_goes_to_the_documents_recipients(tx):
    messages.record_message(tx, entry(document("H55.13", "H55.01", "G22")), ROUTES)
    own = messages.record_message(tx, entry(status("13", sender="H55.13"), 2), ROUTES).id
    assert states(tx, own) == {"H55.01": DeliveryState.WAITING, "G22": DeliveryState.WAITING}


def test_the_senders_own_word_waits_where_the_document_waits(tx):
    sent = messages.record_message(tx, entry(document("H55.01", "H55.13.1"), partner="vpub"), ROUTES).id
    own = messages.record_message(
        tx, entry(status("13", sender="H55.01", organ="H55.01"), 2, partner="vpub"), ROUTES
    ).id
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, NOW) == [sent, own], (
        "both, for who asks for the ancestor"
    )


def test_aliases_name_the_same_unit_in_facts_and_deliveries(tx):
    messages.record_message(tx, entry(document("000.00.13.H55", "H55.01")), ROUTES)
    messages.record_message(tx, entry(document("H55.01", "000.00.13.H55", document_id="D2"), 2, partner="vpub"), ROUTES)
    assert {unit for unit, _, _ in facts(tx)} == {"H55.13", "H55.01"}
    assert pickup.list_pending_messages(tx, "sotttt", "H55.13", 10, NOW) != []


@pytest.mark.parametrize("kind", [PacketKind.RECALL, PacketKind.UPDATE])
def test_what_changes_an_unknown_document_is_kept_routed_and_marked(tx, kind):
    taken = messages.record_message(tx, entry(attrs.evolve(document(), kind=kind, about="nobody's")), ROUTES)
    assert "document-unknown" in happened(tx, taken.id)
    assert states(tx, taken.id) == {"H55.01": DeliveryState.WAITING}
    assert facts(tx) == {("H55.13", f"sent-{kind}", taken.id)}


def test_each_tolerated_deviation_is_an_event(tx):
    odd = document(deviations=(Problem("R.MessageHeader.PromulgationInfo.PromulgationDate", "30/10/2020"),))
    taken = messages.record_message(tx, entry(odd), ROUTES)
    assert "deviation-tolerated" in happened(tx, taken.id)


def test_filters_choose_by_state_partner_unit_time_and_delivery(tx):
    later = NOW + timedelta(hours=1)
    messages.record_message(tx, entry(document()), ROUTES)
    messages.record_message(
        tx,
        entry(document("H55.01", "H55.13", document_id="D2"), 2, partner="vpub", at=later, id=make_id(later)),
        ROUTES,
    )
    messages.record_message(tx, entry(document(), 3, problems=(Problem("unit-unknown"),)), ROUTES)
    assert search.count_messages(tx, MessageFilter(state="accepted")) == 2
    assert search.count_messages(tx, MessageFilter(state="refused")) == 1
    assert search.count_messages(tx, MessageFilter(delivery_state="held")) == 1
    assert search.count_messages(tx, MessageFilter(partner="vpub")) == 2  # it sent one and is to get the other
    assert search.count_messages(tx, MessageFilter(unit="H55.01", state="accepted")) == 2
    assert search.count_messages(tx, MessageFilter(since=NOW + timedelta(minutes=1))) == 1
    assert search.count_messages(tx, MessageFilter(until=NOW + timedelta(minutes=1))) == 2
    assert [m.message_id for m in search.find_messages(tx, MessageFilter(message_id="m1"))] == ["m1"]
    assert [m.message_id for m in search.find_messages_by_name(tx, "m2")] == ["m2"]


def test_events_are_numbered_and_chained_and_a_changed_text_is_found(engine):
    with transactions.write_transaction(engine) as tx:
        messages.record_message(tx, entry(document()), ROUTES)
        messages.record_message(tx, entry(document(), 2), ROUTES)
        assert events.read_oldest_unchained(tx) is not None
        assert [events.chain_events(tx, 3), events.chain_events(tx, 3), events.chain_events(tx, 3)] == [3, 2, 0]
        assert events.read_oldest_unchained(tx) is None
        assert list(events.find_broken_events(tx)) == []
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.text("update event set text = replace(text, 'H55.01', 'H55.02') where number = 2"))
        assert list(events.find_broken_events(tx)) == [2]


def test_a_gap_in_the_chain_is_found(engine):
    with transactions.write_transaction(engine) as tx:
        for number in range(1, 4):
            messages.record_message(tx, entry(document(), number), ROUTES)
        events.chain_events(tx)
        tx.execute(sa.text("delete from event where number = 2"))
        assert list(events.find_broken_events(tx)) == [3]


def test_a_message_from_before_signatures_were_kept_counts_as_unsigned(tx):
    """Its migration knows nothing of the messages that are there already."""
    messages.record_message(tx, entry(document()), ROUTES)
    (row,) = tx.execute(sa.select(message)).mappings()
    assert row["signature"] is None
    assert journal_facts.make_received_fact(row, "H55.01", NOW).signature == "unsigned"
