"""What receipts have promised is done soon, a slice a commit; who asks for a count waits for it a while, then hears what is outstanding."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from hub.domain.errors import Unready
from hub.domain.fair_queue import DUTIES, Owner
from hub.domain.model import Attachment, Event, PacketKind
from hub.intake.duty_service import EVERY, LONGEST_REST, PATIENCE, REST, DutyService, wait_for_facts
from hub.intake.endpoint import JournalAccess
from hub.journal import duties, events, messages
from hub.journal import facts as journal_facts
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import deliveries, outstanding_effects
from hub.runtime.thread_pool import THRESHOLD, run_at_once
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.units.live import Live, Setup
from tests import databases
from tests.journal.test_promised import message, province
from tests.promised import keep_promises
from tests.province import NOW, ROUTES, document, entry


class Counting(InlineDatabase):
    """A journal that counts what is admitted, and can be busy."""

    admitted, busy = 0, 0

    def admit(self, owner, step, *args, **kwargs):
        assert owner is DUTIES
        if self.busy:
            self.busy -= 1
            return fail(Unready("hub-busy", "too much"))
        self.admitted += 1
        return super().write(step, *args, **kwargs)


class Woken:
    """How often the delivery service was woken."""

    times = 0

    def count(self) -> None:
        self.times += 1


class Place:
    """A journal, a clock, and the service."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine, self.clock, self.database = engine, Clock(), Counting(engine)
        self.woken = Woken()
        self.live = Live(Setup(cast("Any", SimpleNamespace(routes=ROUTES))))
        self.service = DutyService(self.database, run_at_once, self.live, self.clock, lambda: NOW, self.woken.count)

    def facts(self) -> int:
        with transactions.read_transaction(self.engine) as tx:
            return len(list(fact_rows.read_facts(tx)))

    def take(self, number: int, count: int) -> None:
        with transactions.write_transaction(self.engine) as tx:
            messages.record_message(tx, message(number, province(count)), ROUTES)

    def wait(self, *services: str) -> Deferred[None]:
        return Deferred.fromCoroutine(wait_for_facts(self.database, self.clock, lambda: services or None))


@pytest.fixture
def place(tmp_path) -> Iterator[Place]:
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    made = Place(engine)
    yield made
    if made.service.running:
        _ = made.service.stopService()
    engine.dispose()


def test_it_writes_a_slice_a_commit_and_begins_with_what_a_start_finds(place):
    place.take(1, 3 * duties.SLICE)
    place.service.startService()
    place.clock.pump([LONGEST_REST] * 10)
    assert (place.facts(), place.database.admitted) == (3 * duties.SLICE, 2)
    place.take(2, duties.SLICE)  # all told already: it has no place of its own
    place.clock.pump([EVERY] * 2)
    assert place.database.admitted == 2


def test_it_comes_again_when_the_hub_is_busy(place):
    place.take(1, 2 * duties.SLICE)
    place.database.busy = 2
    place.service.startService()
    assert place.facts() == duties.SLICE
    place.clock.pump([EVERY] * 4)
    assert place.facts() == 2 * duties.SLICE


def test_a_stop_begins_no_other_slice_and_the_next_start_goes_on(place):
    place.take(1, 4 * duties.SLICE)
    place.service.stopping = True
    place.service.startService()
    ended = place.service.stopService()
    place.clock.advance(LONGEST_REST)
    assert ended.called
    assert place.facts() < 4 * duties.SLICE
    place.service.startService()
    place.clock.pump([LONGEST_REST] * 10)
    assert place.facts() == 4 * duties.SLICE


def test_a_slice_that_breaks_the_hub_stays_and_is_tried_again(place, monkeypatch):
    def breaks(_tx: object) -> bool:
        raise ZeroDivisionError

    place.take(1, 2 * duties.SLICE)
    with monkeypatch.context() as broken:
        broken.setattr(duties, "write_next_slice", breaks)
        place.service.startService()
        place.clock.pump([EVERY] * 3)
        assert place.facts() == duties.SLICE
    place.clock.pump([EVERY] * 3)
    assert place.facts() == 2 * duties.SLICE


def test_deliveries_are_made_and_stopped_beside_facts_and_the_delivery_service_is_woken(place, monkeypatch):
    monkeypatch.setattr(outstanding_effects, "MADE_AT_ONCE", 1)
    monkeypatch.setattr(outstanding_effects, "AT_ONCE", 1)
    place.take(1, 3 * duties.SLICE)
    with transactions.write_transaction(place.engine) as tx:
        sent = messages.record_message(tx, entry(document("H55.13", "H55.01", "G22"), 2), ROUTES).id
        recall = attrs.evolve(document("H55.13", "H55.01", "G22"), kind=PacketKind.RECALL, about="D1", document_id="R")
        messages.record_message(tx, entry(recall, 3), ROUTES)
    place.service.startService()
    place.clock.pump([LONGEST_REST] * 12)
    with transactions.read_transaction(place.engine) as tx:
        assert {str(each.state) for each in deliveries.read_message_deliveries(tx, sent)} == {"dead"}
        assert not outstanding_effects.read_outstanding_effects(tx)
    assert (place.facts(), place.woken.times) == (3 * duties.SLICE + 2, place.database.admitted - 2)


def test_what_a_packet_encloses_is_never_read_on_the_reactors_thread(place):
    costs: list[int] = []

    def work(owner: Owner, cost: int, step: Callable[..., object], *args: object) -> Deferred[object]:
        costs.append(cost)
        return run_at_once(owner, cost, step, *args)

    slices = duties.pack_attachments([Attachment("1", "x.ics", "", 1, "", b"x")])
    with transactions.write_transaction(place.engine) as tx:
        messages.record_message(tx, attrs.evolve(entry(document(), 1), rest=slices), ROUTES)
    place.service = DutyService(
        place.database, cast("Any", work), place.live, place.clock, lambda: NOW, place.woken.count
    )
    place.service.startService()
    place.clock.pump([LONGEST_REST] * 4)
    assert costs == [THRESHOLD], "one small calendar, and dear all the same"
    with transactions.read_transaction(place.engine) as tx:
        assert not duties.read_outstanding_duties(tx)


def test_who_asks_waits_until_all_of_before_is_written(place):
    place.take(1, 3 * duties.SLICE)
    waited = place.wait()
    assert not waited.called
    place.service.startService()
    place.clock.pump([0.1] * 10)
    assert waited.called
    assert place.wait().called, "nothing is outstanding"


def test_who_asks_for_a_report_of_documents_waits_for_no_mail(place):
    place.take(1, 3 * duties.SLICE)
    assert place.wait("documents").called
    assert not place.wait("mail").called


def test_after_five_seconds_it_is_said_what_is_outstanding(place):
    place.take(1, 3 * duties.SLICE)
    waited = place.wait()
    place.clock.pump([0.1] * round(PATIENCE / 0.1 - 1))
    assert not waited.called
    place.clock.pump([0.1] * 3)
    found: list[Unready] = []
    waited.addErrback(lambda failure: found.append(failure.value))
    assert found[0].problem.code == "facts-outstanding"
    assert f"1 messages, {2 * duties.SLICE} facts" in str(found[0].problem.detail)


def test_who_sends_without_end_keeps_no_report_waiting(place):
    place.take(1, duties.SLICE + 1)
    waited = place.wait()
    with transactions.write_transaction(place.engine) as tx:
        messages.record_message(tx, message(2, {"H55.X": 1}), ROUTES)  # behind, and after the question
        assert duties.write_next_slice(tx)
    place.clock.pump([0.1] * 2)
    assert waited.called
    with transactions.read_transaction(place.engine) as tx:
        assert duties.read_outstanding_duties(tx)


def test_facts_that_are_written_long_after_their_receipt_are_no_chain_that_lags(place):
    with transactions.write_transaction(place.engine) as tx:
        messages.record_message(tx, message(1, province(3)), ROUTES)
        events.chain_events(tx)
        events.append_events(tx, journal_facts.make_fact_event(next(fact_rows.read_facts(tx))))
        assert (events.count_unchained_events(tx), events.read_oldest_unchained(tx)) == (1, None)
        events.append_events(tx, Event("x", NOW))
        assert events.read_oldest_unchained(tx) is not None


def test_what_one_partner_may_owe_is_a_days_figures_of_a_province_and_keeps_no_report_from_being_counted():
    """A slice takes up to 5 ms of a writer that is not busy."""
    assert duties.MOST_OWED >= 989 * 9
    assert duties.MOST_OWED / duties.SLICE * (1 + REST) * 0.005 < PATIENCE


def test_a_partner_with_much_outstanding_brings_no_more_facts_until_it_is_written(place, monkeypatch):
    monkeypatch.setattr(duties, "MOST_OWED", 2 * duties.SLICE)
    books = JournalAccess(place.database, run_at_once, lambda: None, lambda: None)

    def take(number: int, count: int, partner: str = "any") -> str:
        brought = attrs.evolve(message(number, province(count)), partner=partner)
        said: list[str] = []
        done = Deferred.fromCoroutine(books.record(DUTIES, brought, ROUTES))
        _ = done.addCallbacks(lambda taken: said.append(taken.id), lambda failure: said.append(str(failure.value)))
        return said[0]

    assert take(1, 4 * duties.SLICE) == message(1, {}).id
    assert take(2, 1).startswith("hub-busy: ")
    assert take(3, 1, partner="vpub") == message(3, {}).id, "nobody else is told to wait"
    keep_promises(place.engine, ROUTES)
    assert take(2, 1) == message(2, {}).id


def test_what_a_duty_costs_is_charged_to_the_partner_that_sent_the_message(place, monkeypatch):
    charged = []
    real = place.database.admit

    def admit(owner, step, *args, **kwargs):
        charged.append((owner, step.partner))
        return real(owner, step, *args, **kwargs)

    monkeypatch.setattr(place.database, "admit", admit)
    place.take(1, 3 * duties.SLICE)
    place.service.startService()
    place.clock.pump([LONGEST_REST] * 10)
    assert set(charged) == {(DUTIES, "any")}
