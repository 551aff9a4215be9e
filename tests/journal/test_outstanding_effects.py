"""A transaction makes and stops so many deliveries and no more; nobody is shown or sent what is left, and a kill loses none."""

from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.domain.errors import Rejected
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, PacketKind, Receive, Replaced, Unit
from hub.edxml import changes
from hub.journal import duties, events, messages
from hub.journal.queue import claims, deliveries, outstanding_effects, pickup
from hub.journal.queue.claims import AttemptExchange
from hub.store import transactions
from hub.units.routing import RoutedPartner, Routes
from tests.histories import office
from tests.province import NOW, document, entry, status

UNITS = (Unit("H55", "Tỉnh"), Unit("H55.13", "Sở", "H55"), *(Unit(f"H55.{n}", f"Xã {n}", "H55") for n in range(20, 60)))
#: Half of the communes fetch, the others are pushed to.
FETCHING, PUSHED = [f"H55.{n}" for n in range(20, 40)], [f"H55.{n}" for n in range(40, 60)]
POSTS = (
    RoutedPartner("sotttt", ("H55.13",), Receive.FETCH),
    RoutedPartner("fetching", tuple(FETCHING), Receive.FETCH),
    RoutedPartner("pushed", tuple(PUSHED), Receive.PUSH),
    RoutedPartner("vpcp", (), Receive.PUSH),
)
ROUTES = Routes.of(UNITS, POSTS, province="H55", upstream="vpcp")
ALL = (*FETCHING, *PUSHED)
LEASE = timedelta(seconds=60)


class Days:
    """A journal in which each step is a transaction of its own."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine, self.number = engine, 0

    def do(self, step, *args, **kwargs):
        with transactions.write_transaction(self.engine) as tx:
            return step(tx, *args, **kwargs)

    def make(self, *to, kind=PacketKind.DOCUMENT, document_id="D1", **said):
        """Return the next entry."""
        self.number += 1
        packet = attrs.evolve(document("H55.13", *to, document_id=document_id), kind=kind, **said)
        told = (*packet.recipients, *changes.list_told_units(packet))
        routes = ROUTES.route_all("sotttt", told, NOW.date(), also=packet.removed)
        at = NOW + timedelta(seconds=self.number)
        made = entry(document(), self.number, at=at, routes=())
        return attrs.evolve(made, packet=packet, routes=routes)

    def take(self, *to, **said):
        """Record the next message, and return its id."""
        taken = self.do(messages.record_message, self.make(*to, **said), ROUTES)
        assert taken.problems == ()
        return taken.id

    def turn(self):
        return self.do(outstanding_effects.write_next_effects, NOW + timedelta(hours=1))

    def kill(self):
        """Do a turn, and be killed before its commit."""
        with self.engine.connect().execution_options(writes=True) as connection, connection.begin() as begun:
            outstanding_effects.write_next_effects(connection, NOW)
            begun.rollback()

    def states(self, message):
        made = self.do(deliveries.read_message_deliveries, message)
        return {each.recipient: (str(each.state), each.stopped) for each in made}

    def pending(self, unit=FETCHING[0]):
        return self.do(pickup.list_pending_messages, "fetching", unit, 1000, NOW + timedelta(hours=1))

    def told(self, message):
        return [each["event"] for each in self.do(events.read_message_events, message)]

    def claim(self, limit=8):
        now = NOW + timedelta(hours=1)
        return self.do(claims.claim_deliveries, "pushed", now, limit=limit, holder="node", lease=LEASE)


@pytest.fixture
def days(engine, monkeypatch):
    monkeypatch.setattr(outstanding_effects, "AT_ONCE", 5)
    monkeypatch.setattr(outstanding_effects, "_SLICE", 4)
    return Days(engine)


def replaced(names, *units):
    return tuple(Replaced(name, units) for name in names)


def test_each_turn_stops_so_many_and_the_last_says_so(days):
    sent = days.take(*ALL)
    back = days.take(*ALL, kind=PacketKind.RECALL, about="D1", document_id="R")
    ended = []
    while True:
        found = days.states(sent)
        ended.append(sum(state == "dead" for state, _ in found.values()))
        if not days.turn():
            break
    assert ended == [*range(5, 41, 5)]
    assert set(found.values()) == {("dead", f"recalled: {back}")}
    assert (days.told(back).count("change-applying"), days.told(back)[-1]) == (1, "change-applied")
    assert days.told(sent).count("delivery-dead") == 40


def test_what_one_turn_can_stop_promises_nothing(days):
    sent = days.take(*ALL[:4])
    back = days.take(*ALL[:4], kind=PacketKind.RECALL, about="D1", document_id="R")
    assert set(days.states(sent).values()) == {("dead", f"recalled: {back}")}
    assert not days.turn()
    assert not {"change-applying", "change-applied"} & set(days.told(back))


def test_from_its_receipt_on_a_replacement_hides_what_it_replaces(days):
    names = [f"D{n}" for n in range(9)]
    old = [days.take(FETCHING[0], PUSHED[0], document_id=name) for name in names]
    other = days.take(FETCHING[0], document_id="other")
    new = days.take(FETCHING[0], kind=PacketKind.REPLACEMENT, document_id="R", replaces=replaced(names))
    assert any(("held", None) in days.states(each).values() for each in old), "not all is stopped yet"
    while True:
        assert days.pending() == [other, new]
        for each in old:
            with pytest.raises(Rejected, match="document-not-found"):
                days.do(pickup.fetch_message, "fetching", each, NOW + timedelta(hours=1))
        assert not {claim.message for claim in days.claim()} & set(old)
        if not days.turn():
            break
    assert {state for each in old for state in days.states(each).values()} == {("dead", f"replaced: {new}")}


def test_what_was_fetched_before_stays_listed_and_can_be_confirmed(days):
    old = days.take(*FETCHING)
    days.do(pickup.fetch_message, "fetching", old, NOW + timedelta(hours=1))
    second = days.take(*ALL, document_id="D2")
    new = days.take(FETCHING[0], kind=PacketKind.REPLACEMENT, document_id="R", replaces=replaced(["D1", "D2"]))
    assert days.pending() == [old, new]
    days.do(pickup.confirm_receipt, "fetching", old, None, NOW + timedelta(hours=1))
    assert days.pending() == [new]
    while days.turn():
        assert days.pending() == [new]
    assert set(days.states(old).values()) == {("delivered", None)}
    assert set(days.states(second).values()) == {("dead", f"replaced: {new}")}


def test_only_the_units_that_a_change_names_miss_the_document_meanwhile(days):
    first, second = FETCHING[:2]
    old = days.take(*ALL)
    update = days.take(second, kind=PacketKind.UPDATE, document_id="U", about="D1", removed=(first, *FETCHING[2:]))
    assert (days.pending(first), days.pending(second)) == ([update], [old, update])
    while days.turn():
        assert (days.pending(first), days.pending(second)) == ([update], [old, update])
    assert days.states(old)[second] == ("held", None)
    assert days.states(old)[first] == ("dead", f"removed: {update}")


def test_a_delivery_under_way_at_the_receipt_is_marked_and_dies_if_it_comes_back(days):
    sent = days.take(*PUSHED)
    (claim,) = days.claim()
    back = days.take(*PUSHED, kind=PacketKind.RECALL, about="D1", document_id="R")
    later = AttemptVerdict(DeliveryState.WAITING, "down", NOW + timedelta(hours=1))
    unavailable = DeliveryEvent.UNAVAILABLE
    assert days.do(
        claims.settle_claim, claims.EndedAttempt(claim, unavailable, later, AttemptExchange(), NOW + timedelta(hours=1))
    )
    assert {state for state, _ in days.states(sent).values()} == {"dead", "waiting"}
    assert {each.message for each in days.claim()} <= {back}, "what is left is not sent again"
    while days.turn():
        pass
    assert set(days.states(sent).values()) == {("dead", f"recalled: {back}")}


def test_what_is_sent_after_a_recall_is_stopped_by_its_rows_alone(days):
    """As if the recall had been applied at once: new is what goes where nothing has gone, and again what is sent again."""
    days.take(*ALL[:30])
    back = days.take(*ALL, kind=PacketKind.RECALL, about="D1", document_id="R")
    again = days.take(*ALL)
    while days.turn():
        pass
    found = days.states(again)
    assert {found[unit] for unit in ALL[30:]} == {("dead", f"recalled: {back}")}
    assert not {("dead", f"recalled: {back}")} & {found[unit] for unit in ALL[:30]}


def test_documents_that_nobody_has_sent_promise_nothing_and_cost_no_statement_each(days):
    asked = []
    sa.event.listen(days.engine, "before_cursor_execute", lambda *said: asked.append(len(said[3]) if said[5] else 1))
    counts = []
    for many in (1000, 2000):
        asked.clear()
        days.take(
            "H55.20",
            kind=PacketKind.REPLACEMENT,
            document_id="R",
            replaces=replaced(f"{many}.{n}" for n in range(many)),
        )
        counts.append(sum(asked))
    assert counts[1] - counts[0] < 1000 / 10, "a statement is about 64 of them"
    assert not days.turn()


def test_two_changes_that_overlap_each_stop_what_is_left(days):
    sent = days.take(*ALL)
    first = days.take(*ALL[:30], kind=PacketKind.RECALL, about="D1", document_id="R")
    second = days.take("H55.20", kind=PacketKind.REPLACEMENT, document_id="S", replaces=replaced(["D1"]))
    while days.turn():
        pass
    found = days.states(sent)
    assert {found[unit] for unit in ALL[30:]} == {("dead", f"replaced: {second}")}
    assert {stopped for _, stopped in found.values()} == {f"recalled: {first}", f"replaced: {second}"}
    assert days.told(sent).count("delivery-dead") == 40, "each dies once"


def test_the_turns_of_a_change_are_not_facts_that_a_report_waits_for(days):
    days.take(*ALL)
    days.take(*ALL, kind=PacketKind.RECALL, about="D1", document_id="R")
    assert not days.do(duties.read_outstanding_duties)
    assert days.do(duties.read_newest_duty) is None
    assert days.do(duties.count_owed_facts, "sotttt") > 0, "its partner brings no more of them meanwhile"
    assert days.do(outstanding_effects.read_next_effect).partner == "sotttt"


@pytest.fixture
def few(days, monkeypatch):
    """A journal that makes three deliveries of a message in a transaction."""
    monkeypatch.setattr(outstanding_effects, "MADE_AT_ONCE", 3)
    return days


def test_each_turn_makes_so_many_and_nobody_is_shown_or_sent_the_message_before_the_last(few):
    sent = few.take(*ALL[15:25])
    made = []
    while len(few.states(sent)) < 10:
        made.append(len(few.states(sent)))
        assert (few.pending(ALL[15]), few.claim()) == ([], [])
        with pytest.raises(Rejected, match="document-not-found"):
            few.do(pickup.fetch_message, "fetching", sent, NOW + timedelta(hours=1))
        few.kill()
        assert few.turn()
    assert made == [3, 6, 9]
    assert few.pending(ALL[15]) == [sent]
    assert [claim.recipients for claim in few.claim()] == [tuple(ALL[20:25])], "in one piece"
    told = few.told(sent)
    assert (told.count("delivery-held"), told.count("delivery-waiting")) == (5, 5)
    assert (told.count("deliveries-making"), told.count("deliveries-made")) == (1, 1)
    assert not few.turn()


def test_a_message_to_so_many_promises_nothing(few):
    sent = few.take(*ALL[:3])
    assert not few.turn()
    assert not {"deliveries-making", "deliveries-made"} & set(few.told(sent))


def test_a_recall_stops_what_its_document_has_not_made_yet(few):
    sent = few.take(*ALL[15:25])
    back = few.take(*ALL[15:25], kind=PacketKind.RECALL, about="D1", document_id="R")
    seen = set()
    while few.turn():
        seen |= {*few.pending(ALL[15]), *(claim.message for claim in few.claim())}
    assert seen == {back}
    assert set(few.states(sent).values()) == {("dead", f"recalled: {back}")}
    assert len(few.states(back)) == len(few.states(sent)) == 10


def test_an_early_recall_stops_the_deliveries_that_are_made_late_too(few):
    back = few.take(*ALL[15:25], kind=PacketKind.RECALL, about="D1", document_id="R")
    sent = few.take(*ALL[14:25])
    while few.turn():
        pass
    found = few.states(sent)
    assert found.pop(ALL[14]) == ("held", None)
    assert set(found.values()) == {("dead", f"recalled: {back}")}
    assert few.told(sent).count("delivery-dead") == 10


def test_what_comes_later_in_a_lane_is_made_later(few):
    sent = few.take(*PUSHED[:8])
    update = few.take(*PUSHED[:8], kind=PacketKind.UPDATE, about="D1", document_id="U")
    other = few.take(PUSHED[0], document_id="D2")
    assert few.states(update) == {}
    assert [claim.message for claim in few.claim()] == [other], "other lanes go on"
    while few.turn():
        pass
    (claim,) = few.claim()
    assert (claim.message, set(claim.recipients)) == (sent, set(PUSHED[:8]))


def test_a_word_of_the_sender_goes_to_those_whose_deliveries_are_not_made_yet(few):
    few.take(*ALL[15:25])
    few.number += 1
    asks = entry(status("13", sender="H55.13"), few.number, at=NOW + timedelta(seconds=few.number))
    word = few.do(messages.record_message, asks, ROUTES).id
    while few.turn():
        pass
    assert few.states(word).keys() == set(ALL[15:25])


#: Documents that a drawn history is about, and the units that it names.
NAMES, SOME = ["D1", "D2", "D3"], [*FETCHING[:4], *PUSHED[:4]]
#: Events that say how far a message is applied.
PROGRESS = {"change-applying", "change-applied", "deliveries-making", "deliveries-made"}


def play(days, moves):
    """Do *moves*, and all that is outstanding then.  Return where each delivery and what of it was told, and what was shown."""
    sent, shown = [], []
    for move in moves:
        if isinstance(move, str):
            _ = days.turn() if move == "turn" else days.kill()
            continue
        what, names, units = move
        own = f"R{days.number}"
        if what == "send":
            sent.append(days.take(*units, document_id=names[0]))
        elif what == "recall":
            sent.append(days.take(*units, kind=PacketKind.RECALL, about=names[0], document_id=own))
        elif what == "update":
            removed = tuple(units)
            sent.append(days.take(units[0], kind=PacketKind.UPDATE, about=names[0], removed=removed, document_id=own))
        else:
            replaces = replaced(names, *(units if what == "replace at" else ()))
            sent.append(days.take(units[0], kind=PacketKind.REPLACEMENT, replaces=replaces, document_id=own))
        shown.append({unit: days.pending(unit) for unit in FETCHING[:4]})
    while days.turn():
        pass
    told = [sorted(set(days.told(message)) - PROGRESS) for message in sent]
    return ([days.states(message) for message in sent], told), shown


@pytest.mark.parametrize(("stops", "made"), [(2, 10_000), (2, 3)])
def test_any_order_of_messages_turns_and_kills_ends_as_if_each_message_had_been_applied_at_once(
    engine, monkeypatch, stops, made
):
    """The same history, once in small turns and once with none: it ends alike, and nothing is shown that would not be."""
    monkeypatch.setattr(outstanding_effects, "_SLICE", 3)
    units = st.lists(st.sampled_from(SOME), min_size=1, max_size=8, unique=True)
    names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)
    kinds = st.sampled_from(["send", "send", "recall", "update", "replace", "replace at"])
    moves = st.lists(
        st.one_of(st.tuples(kinds, names, units), st.sampled_from(["turn", "kill"])), min_size=4, max_size=14
    )

    def play_with(moves, stops, made):
        office.empty(engine)
        monkeypatch.setattr(outstanding_effects, "AT_ONCE", stops)
        monkeypatch.setattr(outstanding_effects, "MADE_AT_ONCE", made)
        return play(Days(engine), moves)

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(moves)
    def holds(moves):
        whole, at_once = play_with(moves, 10_000, 10_000)
        found, shown = play_with(moves, stops, made)
        assert found == whole
        for some, most in zip(shown, at_once, strict=True):
            assert all(set(some[unit]) <= set(most[unit]) for unit in some)
        assert made < len(SOME) or shown == at_once, (
            "what partners are shown does not depend on how far a change is applied"
        )

    holds()
