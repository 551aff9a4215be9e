"""After a merger: what was sent and received before it is answered, recalled and counted under the successor, and once."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa

from hub.config import Config
from hub.domain.errors import Rejected
from hub.domain.ids import make_id
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Packet, PacketKind, Receive, Unit
from hub.intake.admission import authorise_call
from hub.journal import events, messages, statuses, unit_registry
from hub.journal.effects import RecordedMessage
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claims, deliveries, delivery_ends, pickup, settlement_sets
from hub.journal.queue.claims import AttemptExchange
from hub.journal.searching import message_reading
from hub.journal.sequels import handovers
from hub.journal.sequels.open_work import following, listing
from hub.keeping import document_moves
from hub.report.counting import counting
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.store.transactions import Transaction
from hub.units.deeds import Deed, Estate
from hub.units.province import Province
from hub.units.routing import RoutedPartner, Routes
from hub.units.unit_index import UnitIndex
from tests.province import document, entry, status

MERGER = date(2026, 12, 1)
BEFORE, AFTER, LATE = date(2026, 11, 25), date(2026, 12, 7), date(2027, 3, 1)
#: Xã A and Xã B become Phường AB, which takes over the alias of Xã A; each of the three has a system of its own.
UNITS = (
    Unit("H55", "Tỉnh"),
    Unit("H55.13", "Sở", "H55"),
    Unit("H55.41", "Xã A", "H55", until=MERGER, aliases=("000.00.41.H55",), successors=("H55.43",)),
    Unit("H55.42", "Xã B", "H55", until=MERGER, successors=("H55.43",)),
    Unit("H55.43", "Phường AB", "H55", since=MERGER, aliases=("000.00.41.H55",)),
)
SPLIT = tuple(
    attrs.evolve(unit, successors=("H55.42", "H55.43"))
    if unit.code == "H55.41"
    else attrs.evolve(unit, since=None, until=None, successors=(), aliases=())
    for unit in UNITS
)
POSTS = (
    RoutedPartner("so", ("H55.13",), Receive.FETCH),
    RoutedPartner("xa-a", ("H55.41",), Receive.FETCH),
    RoutedPartner("xa-b", ("H55.42",), Receive.FETCH),
    RoutedPartner("phuong", ("H55.43",), Receive.FETCH),
    RoutedPartner("vpcp", (), Receive.PUSH),
)


class MergedProvince:
    """Takes packets day by day, as the hub's intake does, each a second after the other."""

    def __init__(
        self,
        tx: Transaction,
        units: tuple[Unit, ...] = UNITS,
        deeds: tuple[Deed, ...] = (),
        posts: tuple[RoutedPartner, ...] = POSTS,
    ) -> None:
        self.tx, self.units, self.deeds, self.posts, self.number = tx, units, deeds, posts, 0
        unit_registry.write_registry_units(tx, units)

    def routes(self, on: date) -> Routes:
        index = UnitIndex.of(self.units, on, self.deeds)
        return Routes.of(index, self.posts, province="H55", upstream="vpcp")

    def take(self, packet: Packet, partner: str, on: date) -> RecordedMessage:
        self.number += 1
        at = datetime(on.year, on.month, on.day, 2, tzinfo=UTC) + timedelta(seconds=self.number)
        routes = self.routes(on)
        judged: dict[str, Any] = {"routes": ()}
        try:
            judged["routes"] = authorise_call(packet, partner, Province(cast("Config", None), routes, {}, {}), at)
        except Rejected as rejected:
            judged["problems"] = rejected.problems
        made = entry(document(), self.number, partner=partner, at=at)
        return messages.record_message(self.tx, attrs.evolve(made, id=make_id(at), packet=packet, **judged), routes)

    def goes(self, message: str) -> dict[str, tuple[str, DeliveryState]]:
        made = deliveries.read_message_deliveries(self.tx, message)
        return {each.recipient: (each.partner, each.state) for each in made}

    def status_of(self, message: str) -> list[str | None]:
        return [each.status for each in deliveries.read_message_deliveries(self.tx, message)]

    def doubt(self, message: str) -> tuple[bool, datetime | None]:
        (made,) = deliveries.read_message_deliveries(self.tx, message)
        return made.twice, made.unsure

    def counted(self, milestone: str) -> list[str]:
        return [fact.unit for fact in fact_rows.read_facts(self.tx) if fact.milestone == milestone]

    def told(self, message: str, name: str) -> list[dict[str, object]]:
        return [dict(each) for each in events.read_message_events(self.tx, message) if each["event"] == name]

    def deliver(self, message: str, partner: str, on: date) -> None:
        at = datetime(on.year, on.month, on.day, 3, tzinfo=UTC)
        pickup.fetch_message(self.tx, partner, message, at)
        pickup.confirm_receipt(self.tx, partner, message, None, at)


@pytest.fixture
def merged(tx: Transaction) -> MergedProvince:
    return MergedProvince(tx)


def recall(sender: str, recipient: str = "H55.13", about: str = "D1") -> Packet:
    return attrs.evolve(document(sender, recipient, document_id="X"), kind=PacketKind.RECALL, about=about)


# --- statuses about what the old unit sent ------------------------------------------------------------------------------------


@pytest.mark.parametrize("organ", ["H55.41", "000.00.41.H55", "H55.43"], ids=["old", "alias", "new"])
@pytest.mark.parametrize("on", [AFTER, LATE], ids=["in-grace", "later"])
def test_a_status_about_what_the_old_unit_sent_joins_and_goes_to_the_successor(
    merged: MergedProvince, organ: str, on: date
) -> None:
    sent = merged.take(document("H55.41", "H55.13"), "xa-a", BEFORE).id
    answer = merged.take(status("03", "H55.13", organ), "so", on)
    assert answer.problems == ()
    assert merged.status_of(sent) == ["03"]
    assert merged.goes(answer.id) == {"H55.43": ("phuong", DeliveryState.HELD)}
    assert [each.document for each in statuses.read_status_traces(merged.tx, "H55.43")] == [sent]


def test_a_document_of_the_unit_that_had_the_alias_is_meant_before_one_with_the_same_number(
    merged: MergedProvince,
) -> None:
    first = merged.take(document("H55.41", "H55.13"), "xa-a", BEFORE).id
    second = merged.take(document("H55.42", "H55.13"), "xa-b", BEFORE).id
    merged.take(status("03", "H55.13", "000.00.41.H55"), "so", AFTER)
    assert (merged.status_of(first), merged.status_of(second)) == (["03"], [None])


def test_a_status_between_units_that_are_twenty_units_each_is_joined_with_few_look_ups(tx: Transaction) -> None:
    old = [
        Unit(f"H55.{side}{number:02d}", "Xã", "H55", until=MERGER, successors=(f"H55.{side}",))
        for side in (6, 7)
        for number in range(20)
    ]
    units = (*UNITS, *old, Unit("H55.6", "Phường", "H55"), Unit("H55.7", "Phường", "H55"))
    posts = (RoutedPartner("sau", ("H55.6",), Receive.FETCH), RoutedPartner("bay", ("H55.7", "H55.719"), Receive.FETCH))
    many = MergedProvince(tx, units, posts=(*POSTS, *posts, RoutedPartner("any", ("*",), Receive.NONE)))
    sent = many.take(document("H55.619", "H55.719"), "any", BEFORE).id
    asked: list[str] = []
    sa.event.listen(tx, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    many.take(status("03", "H55.7", "H55.6"), "bay", AFTER)
    assert many.status_of(sent) == ["03"]
    assert len(asked) < 80
    before = len(asked)
    many.take(status("15", "H55.7", "H55.6", document_id="nobody's"), "bay", AFTER)
    assert len(asked) - before < statuses.LOOK_UPS + 60


def test_a_status_about_a_split_unit_joins_and_both_successors_read_it(tx: Transaction) -> None:
    split = MergedProvince(tx, SPLIT)
    sent = split.take(document("H55.41", "H55.13"), "xa-a", BEFORE).id
    answer = split.take(status("03", "H55.13", "H55.41"), "so", AFTER)
    assert (answer.problems, split.status_of(sent), split.goes(answer.id)) == ((), ["03"], {})
    for code in ("H55.42", "H55.43"):
        forebears = split.routes(AFTER).list_estate(code, AFTER)[1:]
        assert [each.document for each in statuses.read_status_traces(tx, code, forebears=forebears)] == [sent]


def test_of_a_split_unit_the_main_successor_gets_it(tx: Transaction) -> None:
    split = MergedProvince(tx, SPLIT, (Deed("H55.41", "H55.43", main=True),))
    split.take(document("H55.41", "H55.13"), "xa-a", BEFORE)
    answer = split.take(status("03", "H55.13", "H55.41"), "so", AFTER).id
    assert split.goes(answer) == {"H55.43": ("phuong", DeliveryState.HELD)}


# --- statuses of the successor ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "partner"),
    [("H55.43", "phuong"), ("000.00.41.H55", "phuong"), ("H55.41", "xa-a")],
    ids=["new", "alias", "old"],
)
def test_a_status_about_what_the_old_unit_received_joins_and_counts_to_the_successor(
    merged: MergedProvince, sender: str, partner: str
) -> None:
    sent = merged.take(document("H55.13", "H55.41"), "so", BEFORE).id
    merged.deliver(sent, "xa-a", BEFORE)
    answer = merged.take(status("06", sender, "H55.13"), partner, AFTER)
    assert answer.problems == ()
    assert merged.status_of(sent) == ["06"]
    assert merged.counted("received") == ["H55.41"], "it counts where it happened"
    assert merged.counted("status-06") == ["H55.43"]
    (done,) = [fact for fact in fact_rows.read_facts(merged.tx) if fact.milestone == "status-06"]
    assert done.attributes == (("received-by", "H55.41"),), "so it is no result on a document that nobody received"


def test_a_status_that_the_old_unit_wrote_is_not_counted_again_when_the_successor_writes_it(
    merged: MergedProvince,
) -> None:
    merged.take(document("H55.13", "H55.41"), "so", BEFORE)
    merged.take(status("03", "H55.41", "H55.13"), "xa-a", BEFORE)
    merged.take(status("03", "H55.43", "H55.13"), "phuong", AFTER)
    assert merged.counted("status-03") == ["H55.41"]


def test_the_old_system_does_not_answer_for_what_came_to_the_new_one(merged: MergedProvince) -> None:
    sent = merged.take(document("H55.13", "H55.43"), "so", AFTER).id
    merged.take(status("03", "H55.41", "H55.13"), "xa-a", AFTER)
    assert merged.status_of(sent) == [None]


def test_what_one_old_unit_sent_the_other_is_answered_by_the_unit_that_both_are_now(merged: MergedProvince) -> None:
    sent = merged.take(document("H55.41", "H55.42"), "xa-a", BEFORE).id
    answer = merged.take(status("06", "H55.43", "H55.41"), "phuong", AFTER)
    assert (answer.problems, merged.status_of(sent), merged.goes(answer.id)) == ((), ["06"], {})


# --- changes ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "partner"),
    [("H55.43", "phuong"), ("000.00.41.H55", "phuong"), ("H55.41", "xa-a")],
    ids=["new", "alias", "old"],
)
def test_the_successor_recalls_what_the_old_unit_sent(merged: MergedProvince, sender: str, partner: str) -> None:
    sent = merged.take(document("H55.41", "H55.13"), "xa-a", BEFORE).id
    back = merged.take(recall(sender), partner, AFTER)
    assert back.problems == ()
    assert merged.goes(sent) == {"H55.13": ("so", DeliveryState.DEAD)}
    assert merged.told(back.id, "document-unknown") == []
    merged.take(status("15", "H55.13", "H55.43"), "so", AFTER)
    (made,) = deliveries.read_message_deliveries(merged.tx, back.id)
    assert made.answer == "15"
    assert merged.counted("sent-recall") == ["H55.43"]


def test_nobody_else_recalls_it(merged: MergedProvince) -> None:
    sent = merged.take(document("H55.41", "H55.13"), "xa-a", BEFORE).id
    for sender, partner in (("H55.13", "so"), ("H55.42", "xa-b")):
        refused = merged.take(recall(sender), partner, AFTER)
        assert [each.code for each in refused.problems] == ["not-the-sender"]
    early = merged.take(recall("H55.43"), "phuong", BEFORE)
    assert [each.code for each in early.problems] == ["not-the-sender"], "the deed has not begun"
    assert merged.goes(sent) == {"H55.13": ("so", DeliveryState.HELD)}


def test_the_old_system_recalls_nothing_that_the_successor_sent(merged: MergedProvince) -> None:
    merged.take(document("H55.43", "H55.13"), "phuong", AFTER)
    refused = merged.take(recall("H55.41"), "xa-a", AFTER)
    assert [each.code for each in refused.problems] == ["not-the-sender"]


def test_a_recall_at_the_successor_stops_what_was_on_its_way_to_the_old_unit(merged: MergedProvince) -> None:
    sent = merged.take(document("H55.13", "H55.41"), "so", BEFORE).id
    merged.take(recall("H55.13", "H55.43"), "so", AFTER)
    assert merged.goes(sent) == {"H55.41": ("xa-a", DeliveryState.DEAD)}


def test_the_successor_replaces_and_updates_what_the_old_unit_sent(merged: MergedProvince) -> None:
    merged.take(document("H55.41", "H55.13"), "xa-a", BEFORE)
    update = attrs.evolve(document("H55.43", "H55.13", document_id="X"), kind=PacketKind.UPDATE, about="D1")
    changed = merged.take(update, "phuong", AFTER)
    assert (changed.problems, merged.told(changed.id, "document-unknown")) == ((), [])
    merged.take(recall("H55.43"), "phuong", AFTER)
    assert merged.goes(changed.id) == {"H55.13": ("so", DeliveryState.DEAD)}, "the recall stops the update, too"


# --- the old code -------------------------------------------------------------------------------------------------------------


def test_what_still_comes_to_the_old_code_goes_to_the_successor_marked_and_once(merged: MergedProvince) -> None:
    taken = merged.take(document("H55.13", "H55.41", "000.00.41.H55", "H55.42"), "so", AFTER)
    assert merged.goes(taken.id) == {"H55.43": ("phuong", DeliveryState.HELD)}
    marks = [(each["unit"], each["successor"], each["place"]) for each in merged.told(taken.id, "unit-succeeded")]
    assert marks == [("H55.41", "H55.43", "to"), ("H55.42", "H55.43", "to")]
    merged.deliver(taken.id, "phuong", AFTER)
    assert merged.counted("received") == ["H55.43"]


def test_after_the_days_of_grace_it_is_refused_naming_the_successor(merged: MergedProvince) -> None:
    (problem,) = merged.take(document("H55.13", "H55.41"), "so", LATE).problems
    assert (problem.code, problem.detail) == ("unit-inactive", "H55.41 (… – 2026-12-01) → H55.43")


def test_what_the_old_code_sends_in_the_days_of_grace_counts_to_the_successor_and_is_marked(
    merged: MergedProvince,
) -> None:
    taken = merged.take(document("H55.41", "H55.13"), "xa-a", AFTER).id
    assert message_reading.read_message(merged.tx, taken).sender == "H55.43"
    assert [(each["unit"], each["place"]) for each in merged.told(taken, "unit-succeeded")] == [("H55.41", "from")]
    assert merged.counted("sent") == ["H55.43"]
    merged.take(status("03", "H55.13", "H55.41"), "so", AFTER)
    assert merged.status_of(taken) == ["03"], "its recipient knows it under the old code"


def test_after_them_it_may_not_send_and_hears_who_succeeds(merged: MergedProvince) -> None:
    for packet in (document("H55.41", "H55.13"), status("03", "H55.41", "H55.13"), recall("H55.41")):
        (problem,) = merged.take(packet, "xa-a", LATE).problems
        assert (problem.code, problem.detail) == ("unit-inactive", "H55.41 (… – 2026-12-01) → H55.43")


# --- what is on its way -------------------------------------------------------------------------------------------------------


def hand_over(merged: MergedProvince, on: date) -> int:
    routes = merged.routes(on)
    ways = routes.list_handed_over(on)
    late = [unit for unit in ways if routes.is_late(unit, on)]
    return delivery_ends.hand_over_deliveries(merged.tx, ways, late, datetime(on.year, on.month, on.day, 1, tzinfo=UTC))


def test_what_waits_for_the_old_units_is_handed_over_to_the_system_of_the_successor(merged: MergedProvince) -> None:
    sent = merged.take(document("H55.13", "H55.41", "H55.42", "H55.43"), "so", MERGER - timedelta(days=1))
    assert [each.code for each in sent.problems] == ["unit-inactive"], "the new unit has not begun"
    sent = merged.take(document("H55.13", "H55.41", "H55.42"), "so", BEFORE)
    assert hand_over(merged, BEFORE) == 0
    assert hand_over(merged, AFTER) == 2
    assert merged.goes(sent.id) == dict.fromkeys(("H55.41", "H55.42"), ("phuong", DeliveryState.HELD))
    (told, _) = merged.told(sent.id, "delivery-handed-over")
    assert (told["successor"], told["partner"], told["was_partner"]) == ("H55.43", "phuong", "xa-a")
    assert hand_over(merged, AFTER) == 0
    unit, *also = merged.routes(AFTER).list_meant("H55.43", AFTER)
    noon = datetime(AFTER.year, AFTER.month, AFTER.day, 12, tzinfo=UTC)
    assert pickup.list_pending_messages(merged.tx, "phuong", unit, 10, noon, also=also) == [sent.id]
    merged.deliver(sent.id, "phuong", AFTER)
    assert merged.counted("received") == ["H55.43"], "one document for one unit"


def test_what_waits_for_a_split_unit_stays_with_its_system(tx: Transaction) -> None:
    split = MergedProvince(tx, SPLIT)
    sent = split.take(document("H55.13", "H55.41"), "so", BEFORE).id
    assert hand_over(split, AFTER) == 0
    assert split.goes(sent) == {"H55.41": ("xa-a", DeliveryState.HELD)}


def test_what_the_old_system_had_fetched_it_confirms_for_the_successor_until_the_days_of_grace_are_over(
    merged: MergedProvince,
) -> None:
    at = datetime(BEFORE.year, BEFORE.month, BEFORE.day, 3, tzinfo=UTC)
    first, second = (merged.take(document("H55.13", "H55.41", document_id=name), "so", BEFORE).id for name in "ab")
    for sent in (first, second):
        pickup.fetch_message(merged.tx, "xa-a", sent, at)
    assert hand_over(merged, AFTER) == 0
    pickup.confirm_receipt(merged.tx, "xa-a", first, "H55.41", at + timedelta(days=12))
    assert merged.counted("received") == ["H55.43"]
    assert hand_over(merged, LATE) == 1
    assert merged.goes(second) == {"H55.41": ("phuong", DeliveryState.HELD)}
    merged.deliver(first, "xa-a", LATE)
    merged.deliver(second, "phuong", LATE)
    assert [merged.doubt(sent) for sent in (first, second)] == [(False, None), (True, None)], (
        "who fetched it may have it"
    )
    (told,) = merged.told(second, "delivery-possibly-twice")
    assert (told["recipient"], told["partner"]) == ("H55.41", "phuong")


def test_what_was_held_is_pushed_to_a_successor_that_is_pushed_to(merged: MergedProvince) -> None:
    sent = merged.take(document("H55.13", "H55.41"), "so", BEFORE).id
    pushed = [attrs.evolve(post, receive=Receive.PUSH) if post.code == "phuong" else post for post in POSTS]
    routes = Routes.of(UnitIndex.of(UNITS, AFTER), pushed, province="H55", upstream="vpcp")
    at = datetime(AFTER.year, AFTER.month, AFTER.day, 3, tzinfo=UTC)
    assert delivery_ends.hand_over_deliveries(merged.tx, routes.list_handed_over(AFTER), (), at) == 1
    (claim,) = claims.claim_deliveries(merged.tx, "phuong", at, limit=4, holder="node", lease=timedelta(seconds=60))
    ended = claims.EndedAttempt(
        claim, DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED), AttemptExchange(), at, None
    )
    assert settlement_sets.settle_delivered_claims(merged.tx, [ended]) == [None], "it is settled alone"
    assert claims.settle_claim(merged.tx, ended)
    assert merged.goes(sent) == {"H55.41": ("phuong", DeliveryState.DELIVERED)}
    assert merged.counted("received") == ["H55.43"]


def test_a_successor_knows_nothing_of_what_the_old_system_was_sent_without_an_answer(merged: MergedProvince) -> None:
    pushed = [attrs.evolve(post, receive=Receive.PUSH) if post.code in {"xa-a", "phuong"} else post for post in POSTS]
    before, after = (datetime(day.year, day.month, day.day, 3, tzinfo=UTC) for day in (BEFORE, AFTER))
    merged.posts = tuple(pushed)
    sent = merged.take(document("H55.13", "H55.41"), "so", BEFORE).id

    def end(partner: str, at: datetime, what: DeliveryEvent, verdict: AttemptVerdict) -> None:
        (claim,) = claims.claim_deliveries(merged.tx, partner, at, limit=4, holder="node", lease=timedelta(seconds=60))
        assert claims.settle_claim(merged.tx, claims.EndedAttempt(claim, what, verdict, AttemptExchange(), at))

    lost = AttemptVerdict(DeliveryState.WAITING, "no answer", before, unsure=True)
    end("xa-a", before, DeliveryEvent.UNAVAILABLE, lost)
    assert hand_over(merged, AFTER) == 1
    end("phuong", after, DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED))
    assert merged.doubt(sent) == (True, None)
    assert len(merged.told(sent, "delivery-possibly-twice")) == 1


# --- one unit for each result -------------------------------------------------------------------------------------------------


def test_nothing_that_happens_after_the_deed_counts_under_a_unit_that_is_no_more(merged: MergedProvince) -> None:
    for sender, partner, to in (("H55.41", "xa-a", "H55.13"), ("H55.13", "so", "H55.42"), ("H55.42", "xa-b", "H55.41")):
        for on in (BEFORE, AFTER):
            sent = merged.take(document(sender, to, document_id=f"{sender} {on}"), partner, on).id
            for recipient, (via, _) in merged.goes(sent).items():
                merged.deliver(sent, via, on)
                merged.take(status("03", recipient, sender, document_id=f"{sender} {on}"), via, on)
    late = [fact for fact in fact_rows.read_facts(merged.tx) if fact.at.date() >= MERGER]
    assert len(late) == 9
    assert {fact.unit for fact in late} == {"H55.13", "H55.43"}


# --- the columns of form `edoc` -----------------------------------------------------------------------------------------------

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
PERIOD = parse_period("2026-12")
PLACES = ("H55", "H55.13", "H55.41", "H55.42", "H55.43")


def numbers(merged: MergedProvince, *columns: str) -> dict[str, tuple[int, ...]]:
    """Return the columns of each unit that has any number in them, on 10 December."""
    now = datetime(2026, 12, 10, 2, tzinfo=UTC)
    report = counting.count_report(EDOC, fact_rows.read_facts(merged.tx), PERIOD, now, PLACES)
    rows = {row.unit: tuple(int(row.numbers[column] or 0) for column in columns) for row in report.rows}
    return {unit: found for unit, found in rows.items() if any(found)}


def move(merged: MergedProvince, on: date) -> int:
    at = datetime(on.year, on.month, on.day, 1, tzinfo=UTC)
    many = 0
    for ended in handovers.list_handovers(merged.tx, on, Estate.DOCUMENTS)[Estate.DOCUMENTS]:
        keys = document_moves.list_documents_to_move(merged.tx, ended.unit)
        many += document_moves.move_documents(merged.tx, ended, keys, at)
    return many


@pytest.fixture
def worked(merged: MergedProvince) -> MergedProvince:
    """Xã A works on a, which is due, and on b; it has done c. Xã B has got a, too, and d, which nobody waits for."""
    for name, to, due in (("a", ("41", "42"), 5), ("b", ("41",), None), ("c", ("41",), 5), ("d", ("42",), None)):
        when = None if due is None else date(2026, 12, due)
        packet = document("H55.13", *(f"H55.{code}" for code in to), document_id=name, due=when)
        sent = merged.take(packet, "so", BEFORE).id
        for partner in {partner for partner, _ in merged.goes(sent).values()}:
            merged.deliver(sent, partner, BEFORE)
    for code, name in (("04", "a"), ("05", "b"), ("06", "c")):
        merged.take(status(code, "H55.41", "H55.13", document_id=name), "xa-a", BEFORE)
    return merged


def test_what_the_old_units_leave_in_work_or_due_stands_in_the_successor_and_once(worked: MergedProvince) -> None:
    stock = ("processing", "overdue")
    assert numbers(worked, *stock) == {"H55.41": (2, 1), "H55.42": (0, 1)}
    assert move(worked, BEFORE) == 0, "they have not ended"
    assert move(worked, MERGER) == 3
    assert numbers(worked, *stock) == {"H55.43": (2, 1)}
    assert move(worked, AFTER) == 0
    assert numbers(worked, "received") == {"H55.41": (3,), "H55.42": (2,)}, "nothing is received twice"


@pytest.mark.parametrize("code", ["03", "04", "05"])
def test_a_refusal_ends_a_document_whatever_was_told_of_it_before(merged: MergedProvince, code: str) -> None:
    sent = merged.take(document("H55.13", "H55.41", document_id="a", due=date(2026, 12, 5)), "so", BEFORE).id
    merged.deliver(sent, "xa-a", BEFORE)
    for each in (code, "02"):
        merged.take(status(each, "H55.41", "H55.13", document_id="a"), "xa-a", BEFORE)
    month = counting.count_report(EDOC, fact_rows.read_facts(merged.tx), PERIOD, PERIOD.end, PLACES)
    assert {key: month.total.numbers[key] for key in ("refused", "processing", "overdue")} == {
        "refused": 1, "processing": 0, "overdue": 0
    }  # fmt: skip
    assert merged.status_of(sent) == ["02"]
    assert move(merged, MERGER) == 0, "nothing is handed over"
    events.chain_events(merged.tx)
    while (step := following.read_step(merged.tx)) is not None:
        following.write_step(merged.tx, step)
    assert listing.list_open_work(merged.tx, listing.make_filter(date(2026, 12, 10), 9), 10) == []


@pytest.mark.parametrize("earlier", ["H55.41", "H55.42"])
def test_of_several_due_days_of_one_document_that_units_hand_over_the_earliest_holds(
    merged: MergedProvince, earlier: str
) -> None:
    for unit, partner in (("H55.41", "xa-a"), ("H55.42", "xa-b")):
        due = date(2026, 12, 5 if unit == earlier else 20)
        sent = merged.take(document("H55.13", unit, document_id="a", due=due), "so", BEFORE).id
        merged.deliver(sent, partner, BEFORE)
    columns = ("overdue", "completed", "completed_on_time")
    assert numbers(merged, *columns) == {earlier: (1, 0, 0)}
    assert move(merged, MERGER) == 2
    assert numbers(merged, *columns) == {"H55.43": (1, 0, 0)}
    month = parse_period("2026-11")
    before = counting.count_report(EDOC, fact_rows.read_facts(merged.tx), month, month.end, PLACES)
    assert {row.unit for row in before.rows if row.numbers["overdue"]} == set(), "the month before is as it was"
    merged.take(status("06", "H55.43", "H55.13", document_id="a"), "phuong", AFTER)
    assert numbers(merged, *columns) == {"H55.43": (0, 1, 0)}, "it was late"


@pytest.mark.parametrize("due", [None, date(2026, 12, 20)])
def test_a_document_that_the_successor_has_itself_is_due_as_early_as_what_it_takes_over(
    merged: MergedProvince, due: date | None
) -> None:
    for unit, partner, when in (("H55.41", "xa-a", date(2026, 12, 5)), ("H55.43", "phuong", due)):
        sent = merged.take(document("H55.13", unit, document_id="a", due=when), "so", BEFORE if when != due else MERGER)
        merged.deliver(sent.id, partner, BEFORE if when != due else MERGER)
    assert numbers(merged, "overdue") == {"H55.41": (1,)}
    move(merged, AFTER)
    assert numbers(merged, "overdue", "received") == {"H55.41": (0, 1), "H55.43": (1, 1)}
    events.chain_events(merged.tx)
    while (step := following.read_step(merged.tx)) is not None:
        following.write_step(merged.tx, step)
    (late,) = listing.list_open_work(merged.tx, listing.make_filter(date(2026, 12, 10), 0), 10)
    assert (late.work.unit, late.work.due) == ("H55.43", date(2026, 12, 5))


@pytest.mark.parametrize("first", [True, False], ids=["after-the-move", "before-the-move"])
def test_what_the_successor_completes_is_completed_there_and_in_nobodys_stock(
    worked: MergedProvince, first: bool
) -> None:
    if first:
        move(worked, MERGER)
    for name in "ab":
        worked.take(status("06", "H55.43", "H55.13", document_id=name), "phuong", MERGER)
    move(worked, AFTER)
    assert numbers(worked, "processing", "overdue", "completed_unmatched", "results_unmatched") == {}
    done = numbers(worked, "completed", "completed_on_time")
    assert done == {"H55.41": (1, 1), "H55.43": (2, 2)}
