"""What a receipt promises beyond its transaction is done, in slices, once, in order, wherever it is broken off (hub.journal.duties)."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.domain.model import Attachment, Fact, Record
from hub.journal import duties, events, messages
from hub.journal.effects import MessageEntry
from hub.journal.fact_reading import fact_rows
from hub.monitoring import metrics
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.runtime.exposition import write_metrics
from hub.store import transactions
from hub.store.tables import event
from hub.workload import closing, closing_plan, row_revisions
from tests.histories import office
from tests.promised import keep_promises, step
from tests.province import NOW, ROUTES, document, entry

DAY = date(2026, 11, 23)
MONTH = parse_period("2026-12")


def message(number: int, units: "dict[str, int]", service: str = "mail", at: datetime = NOW) -> MessageEntry:
    """Return a message that tells of these amounts by unit, as judging leaves it."""
    name = f"00000000-0000-7000-8000-{number:012d}"
    fact = Fact(unit="", service=service, key=DAY.isoformat(), milestone="sent-internal", at=at, message=name, day=DAY)
    facts = tuple(attrs.evolve(fact, unit=unit, amount=amount) for unit, amount in units.items())
    rest = duties.pack_facts(facts[duties.SLICE :])
    record = Record(kind="usage", sender="H55", facts=facts[: duties.SLICE])
    judged = entry(document(), number, partner="any", at=at, service=service, routes=())
    return attrs.evolve(judged, packet=None, record=record, rest=rest)


def province(count: int, amount: int = 1) -> dict[str, int]:
    return {f"H55.{number:04}": amount for number in range(count)}


def take(engine: sa.Engine, *entries: MessageEntry) -> None:
    with transactions.write_transaction(engine) as tx:
        for each in entries:
            assert messages.record_message(tx, each, ROUTES).problems == ()


def undo(engine: sa.Engine, deed: Callable[..., object], *args: object) -> None:
    """Do *deed*, and be killed before its commit."""
    transaction = engine.connect().execution_options(writes=True)
    with transaction, transaction.begin() as begun:
        deed(transaction, *args)
        begun.rollback()


def amounts(engine: sa.Engine) -> dict[str, int]:
    with transactions.read_transaction(engine) as tx:
        return {fact.unit: fact.amount for fact in fact_rows.read_facts(tx)}


def left(engine: sa.Engine) -> duties.OutstandingWork:
    with transactions.read_transaction(engine) as tx:
        return duties.read_outstanding_duties(tx)


def test_the_transaction_of_the_receipt_writes_a_slice_and_each_that_follows_another(engine):
    take(engine, message(1, province(3 * duties.SLICE + 1)))
    written = [len(amounts(engine))]
    assert left(engine) == duties.OutstandingWork(1, 2 * duties.SLICE + 1, NOW)
    while step(engine, ROUTES):
        written.append(len(amounts(engine)))
    assert written == [duties.SLICE, 2 * duties.SLICE, 3 * duties.SLICE, 3 * duties.SLICE + 1]
    assert not left(engine)
    with transactions.read_transaction(engine) as tx:
        assert {(fact.at, fact.day) for fact in fact_rows.read_facts(tx)} == {(NOW, DAY)}, (
            "as of the receipt, not of the slice"
        )
        told = Counter(said["event"] for said in events.read_message_events(tx, message(1, {}).id))
        assert told == {"message-accepted": 1, "fact-recorded": 3 * duties.SLICE + 1}


def test_a_message_of_one_slice_promises_nothing(engine):
    take(engine, message(1, province(duties.SLICE)))
    assert not left(engine)
    assert len(amounts(engine)) == duties.SLICE


def test_a_repeated_message_promises_nothing_again(engine):
    both = message(1, province(2 * duties.SLICE)), message(1, province(2 * duties.SLICE))
    take(engine, both[0], attrs.evolve(both[1], id=message(2, {}).id))
    assert left(engine).facts == duties.SLICE


def test_what_is_undone_before_its_commit_promises_nothing(engine):
    undo(engine, messages.record_message, message(1, province(2 * duties.SLICE)), ROUTES)
    assert not left(engine)


def test_what_comes_later_waits_behind_what_is_promised_of_its_service_and_of_no_other(engine):
    last = f"H55.{duties.SLICE:04}"
    take(engine, message(1, province(duties.SLICE + 1, 5)), message(2, {last: 7, "H55.X": 8}))
    take(engine, message(3, {"H55.Y": 1}, "links"), entry(document(), 4))
    assert last not in amounts(engine)
    assert amounts(engine)["H55.Y"] == amounts(engine)["H55.13"] == 1
    keep_promises(engine, ROUTES)
    assert (amounts(engine)[last], amounts(engine)["H55.X"]) == (5, 8), "the first of a key holds"


def test_attachments_that_are_not_read_yet_hold_back_what_they_may_bring(engine):
    packet = attrs.evolve(
        entry(document(), 1), rest=duties.pack_attachments([Attachment("1", "x.ics", "", 1, "", b"x")])
    )
    take(engine, packet, message(2, {"H55.01": 1}, "meetings"), message(3, {"H55.02": 1}))
    assert {"H55.01", "H55.02"} & amounts(engine).keys() == {"H55.02"}
    keep_promises(engine, ROUTES)
    assert {"H55.01", "H55.02"} <= amounts(engine).keys()
    with transactions.read_transaction(engine) as tx:
        said = [each for each in events.read_message_events(tx, packet.id) if each["event"] == "enclosure-ignored"]
    assert [(each["attachment"], each["code"]) for each in said] == [("x.ics", "calendar-unreadable")]


def test_attachments_whose_reading_breaks_the_hub_are_told_of_and_hold_nothing_up(engine, monkeypatch):
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("hub.intake.enclosures.read_enclosures", breaks)
    packet = attrs.evolve(
        entry(document(), 1), rest=duties.pack_attachments([Attachment("1", "x.ics", "", 1, "", b"x")])
    )
    take(engine, packet, message(2, {"H55.01": 1}, "meetings"))
    keep_promises(engine, ROUTES)
    assert amounts(engine)["H55.01"] == 1
    with transactions.read_transaction(engine) as tx:
        assert [each["code"] for each in events.read_message_events(tx, packet.id) if "code" in each] == ["hub-error"]


def test_two_that_read_the_same_attachments_bring_what_they_tell_once(engine):
    packet = attrs.evolve(
        entry(document(), 1), rest=duties.pack_attachments([Attachment("1", "x.ics", "", 1, "", b"x")])
    )
    take(engine, packet)
    slices = duties.pack_facts(message(1, province(3), "meetings").record.facts)  # type: ignore[union-attr]
    with transactions.write_transaction(engine) as tx:
        of = duties.read_next_duty(tx)
        assert of is not None
        assert duties.record_enclosed_facts(tx, of, slices, [])
        assert not duties.record_enclosed_facts(tx, of, slices, [])
        assert duties.read_duty_content(tx, of) is None, "what stands there now are facts, for who comes later too"
    keep_promises(engine, ROUTES)
    assert len(amounts(engine)) == 4


def test_nodes_that_write_at_the_same_time_write_each_slice_once_and_in_order(engine):
    take(engine, *(message(number, province(duties.SLICE + number, number)) for number in range(1, 8)))
    failed: list[Exception] = []

    def node() -> None:
        try:
            while left(engine):
                step(engine, ROUTES)
        except Exception as error:  # noqa: BLE001 - the test says it
            failed.append(error)

    nodes = [threading.Thread(target=node) for _ in range(3)]
    for thread in nodes:
        thread.start()
    for thread in nodes:
        thread.join()
    assert not failed
    # each message tells of one unit more than the one before it: that one is its own, all others the first's
    expected = province(duties.SLICE + 1) | {f"H55.{duties.SLICE + n - 1:04}": n for n in range(2, 8)}
    assert amounts(engine) == expected


def test_any_order_of_messages_slices_and_ends_gives_what_whole_messages_would(engine, monkeypatch):
    """The model is a dictionary: the first of a key holds, every other amount is told of."""
    monkeypatch.setattr(duties, "SLICE", 3)
    told = st.dictionaries(st.sampled_from([f"H55.{unit}" for unit in range(9)]), st.integers(1, 2), max_size=9)
    brought = st.tuples(st.sampled_from(["mail", "links"]), told, st.sampled_from(["", "undone", "untold"]))
    moves = st.lists(st.one_of(brought, st.sampled_from(["slice", "killed"])), min_size=4, max_size=14)

    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(moves)
    def holds(moves):
        office.empty(engine)
        held: dict[tuple[str, str], int] = {}
        differs: Counter[tuple[str, str, int, int]] = Counter()
        for place, move in enumerate(moves):
            if move == "slice":
                step(engine, ROUTES)
                continue
            if move == "killed":  # in the middle of a slice
                undo(engine, duties.write_next_slice)
                continue
            service, units, fault = move
            brings = message(place, units, service)
            if fault == "undone":
                undo(engine, messages.record_message, brings, ROUTES)
                continue
            take(engine, *[brings] * (2 if fault == "untold" else 1))
            for unit, amount in units.items():
                if held.setdefault((service, unit), amount) != amount:
                    differs[service, unit, amount, held[service, unit]] += 1
        keep_promises(engine, ROUTES)
        with transactions.read_transaction(engine) as tx:
            assert {(fact.service, fact.unit): fact.amount for fact in fact_rows.read_facts(tx)} == held
            texts = [json.loads(text) for text in tx.scalars(sa.select(event.c.text))]
        found = Counter(
            (said["service"], said["unit"], said["amount"], said["held"])
            for said in texts
            if said["event"] == "fact-differs"
        )
        assert found == differs
        assert sum(said["event"] == "fact-recorded" for said in texts) == len(held)

    holds()


@given(
    st.lists(
        st.builds(
            Fact,
            unit=st.text(min_size=1, max_size=5),
            service=st.just("mail"),
            key=st.text(max_size=5),
            milestone=st.text(max_size=5),
            at=st.just(NOW),
            message=st.just("m"),
            counterpart=st.text(max_size=3),
            outside=st.booleans(),
            document_type=st.text(max_size=3),
            paper=st.booleans(),
            signature=st.sampled_from(["unsigned", "valid"]),
            due=st.none() | st.dates(),
            day=st.none() | st.dates(),
            amount=st.integers(-(10**9), 10**9),
            attributes=st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=2).map(tuple),
        ),
        max_size=5,
    )
)
def test_a_fact_comes_out_of_a_slice_as_it_went_in(facts):
    assert [fact for each in duties.pack_facts(facts) for fact in duties._unpack_facts(each.octets, "m", NOW)] == facts


def test_a_partner_is_told_how_much_of_its_own_is_outstanding_and_nothing_of_others(engine):
    packet = attrs.evolve(
        entry(document(), 9), rest=duties.pack_attachments([Attachment("1", "x.ics", "", 1, "", b"x")])
    )
    take(engine, message(1, province(duties.SLICE + 4)), message(2, {"H55.X": 1}), packet)
    with transactions.read_transaction(engine) as tx:
        owed = {partner: duties.count_owed_facts(tx, partner) for partner in ("any", "sotttt", "vpub")}
    assert owed == {"any": 5, "sotttt": duties.SLICE, "vpub": 0}


def test_only_facts_of_the_services_that_are_counted_are_waited_for(engine):
    take(engine, message(1, province(duties.SLICE + 4)))
    with transactions.read_transaction(engine) as tx:
        left = [
            duties.read_outstanding_duties(tx, services=each).facts
            for each in (None, ["mail"], ["documents", "meetings"])
        ]
    assert left == [4, 4, 0]


def test_metrics_tell_how_many_facts_are_outstanding_and_since_when(engine):
    take(engine, message(1, province(duties.SLICE + 4)))
    with transactions.read_transaction(engine) as tx:
        told = write_metrics(metrics.measure_journal(tx, NOW + timedelta(seconds=9), None)).decode()
    assert "\nlienthong_facts_outstanding 4.0\n" in told
    assert "\nlienthong_duties_outstanding_oldest_age_seconds 9.0\n" in told


# --- Closing ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_month_is_closed_over_facts_that_were_received_before(engine):
    take(engine, message(1, province(duties.SLICE + 4)))
    after = MONTH.end + timedelta(hours=1)
    with pytest.raises(closing_plan.FactsOutstanding), transactions.read_transaction(engine) as tx:
        closing.count_month_draft(tx, read_shipped_book(), "mail", MONTH, after)
    keep_promises(engine, ROUTES)
    with transactions.write_transaction(engine) as tx:
        made = closing.close_month(tx, read_shipped_book(), "mail", MONTH, after, "an")
        assert made.closed_at == after
        assert not list(row_revisions.find_differing_units(tx, "mail", MONTH.text))


def test_what_is_promised_after_the_month_could_be_closed_keeps_it_not_open_and_makes_a_revision(engine, monkeypatch):
    monkeypatch.setattr(duties, "SLICE", 20)
    take(engine, message(1, province(3)))
    late = MONTH.end + timedelta(minutes=30)
    take(engine, message(2, {f"H55.L{number}": 1 for number in range(duties.SLICE + 1)}, at=late))
    after = MONTH.end + timedelta(hours=1)
    with transactions.write_transaction(engine) as tx:
        made = closing.close_month(tx, read_shipped_book(), "mail", MONTH, after, "an")
        assert made.closed_at == late, "what was received from then on comes late"
    keep_promises(engine, ROUTES)
    last = f"H55.L{duties.SLICE}"
    with transactions.write_transaction(engine) as tx:
        assert last in row_revisions.find_late_units(tx, "mail")
        assert list(row_revisions.find_differing_units(tx, "mail", MONTH.text)) == [last]
        row_revisions.revise_unit(tx, "mail", MONTH.text, last, reason="late", by="an", now=after)
        assert not list(row_revisions.find_differing_units(tx, "mail", MONTH.text))


def test_a_closing_that_was_counted_before_something_was_promised_is_not_written(engine):
    take(engine, message(1, province(3)))
    after = MONTH.end + timedelta(hours=1)
    with transactions.read_transaction(engine) as tx:
        draft = closing.count_month_draft(tx, read_shipped_book(), "mail", MONTH, after)
    take(engine, message(2, {f"H55.L{number}": 1 for number in range(duties.SLICE + 1)}, at=NOW))
    with pytest.raises(closing_plan.FactsOutstanding), transactions.write_transaction(engine) as tx:
        closing.settle_closing(tx, draft, "an")
