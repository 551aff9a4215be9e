"""How a partner's list of open documents is gone through: in which order, what is told, and what stays owed."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import attrs

from hub.domain.conversations import Arrival, Judged, Unavailable
from hub.partner.adapter_settings import AdapterNotes
from hub.partner.list_polling import REFUSED, TAKEN, FetchedDocument, SettledList, settle_open_list
from tests.pki import NOW

AWAY = Unavailable("away")


@attrs.define
class Partner:
    """Gives what it has, hears what it is told, and remembers both."""

    has: dict[str, bytes | Unavailable] = attrs.field(factory=dict)
    deaf: set[str] = attrs.field(factory=set)
    away: set[str] = attrs.field(factory=set)
    asked: list[str] = attrs.field(factory=list)
    told: list[tuple[str, bool]] = attrs.field(factory=list)
    notes: AdapterNotes = attrs.field(factory=AdapterNotes)

    def fetch(self, document_id: str) -> Generator[Any, Any, FetchedDocument | Unavailable]:
        self.asked.append(document_id)
        content = self.has.get(document_id)
        return (
            content
            if isinstance(content, Unavailable)
            else FetchedDocument(content, b"answer to " + document_id.encode())
        )
        yield

    def tell(self, document_id: str, here: bool) -> Generator[Any, Any, bool | Unavailable]:
        self.told.append((document_id, here))
        return AWAY if document_id in self.away else document_id not in self.deaf
        yield


def go(partner: Partner, shown: str, owed: dict[str, str] | None = None, most: int = 9, refused: str = "") -> Any:
    """Go through what is *shown*; return the outcome and the arrivals."""
    steps = settle_open_list(shown.split(), owed or {}, most, partner.fetch, partner.tell, partner.notes, NOW)
    arrivals: list[Arrival] = []
    try:
        step: Any = next(steps)
        while True:
            arrivals.append(step)
            step = steps.send(Judged(accepted=step.message_id not in refused.split()))
    except StopIteration as end:
        return end.value, arrivals


def test_each_is_fetched_in_the_order_shown_and_told_what_became_of_it():
    partner = Partner({"b": b"1", "a": b"2"})
    outcome, arrivals = go(partner, "b a", refused="a")
    assert [(each.message_id, each.content) for each in arrivals] == [("b", b"1"), ("a", b"2")]
    assert partner.told == [("b", True), ("a", False)]
    assert outcome == SettledList({}, 2)


def test_what_they_did_not_hear_is_told_again_and_not_fetched_again():
    partner = Partner({"a": b"1", "b": b"2"}, deaf={"a", "b"})
    outcome, _ = go(partner, "a b", refused="b")
    assert outcome.owed == {"a": TAKEN, "b": REFUSED}
    partner.deaf.clear()
    outcome, arrivals = go(partner, "a b", outcome.owed)
    assert (partner.asked, partner.told[2:], arrivals) == (["a", "b"], [("a", True), ("b", False)], [])
    assert outcome == SettledList({}, 0)


def test_what_they_do_not_give_is_shown_once_holds_up_nothing_and_is_taken_when_they_do():
    partner = Partner({"b": b"2"})
    outcome, arrivals = go(partner, "a b")
    assert [(each.message_id, each.content) for each in arrivals] == [("a", b"answer to a"), ("b", b"2")]
    assert (partner.told, outcome.owed) == ([("b", True)], {"a": ""})
    assert go(partner, "a", outcome.owed) == (SettledList({"a": ""}, 0), [])
    partner.has["a"] = b"1"
    outcome, arrivals = go(partner, "a", outcome.owed)
    assert [each.content for each in arrivals] == [b"1"]
    assert outcome.owed == {}


def test_what_is_shown_no_more_is_owed_no_more():
    assert go(Partner(), "", {"a": TAKEN, "b": ""}) == (SettledList({}, 0), [])


def test_so_many_new_ones_at_most_but_all_that_is_owed():
    partner = Partner(dict.fromkeys("abcdef", b"x"))
    outcome, arrivals = go(partner, "a b c d e f", {"e": TAKEN, "f": ""}, most=2)
    assert [each.message_id for each in arrivals] == ["a", "b", "f"]
    assert partner.told == [("a", True), ("b", True), ("e", True), ("f", True)]
    assert outcome == SettledList({}, 4)


def test_what_a_collection_broke_off_at_comes_last_the_next_time_and_is_then_not_given():
    partner = Partner({"a": AWAY, "b": b"2"})
    assert go(partner, "a b") == (AWAY, [])
    outcome, arrivals = go(partner, "a b")
    assert [(each.message_id, each.content) for each in arrivals] == [("b", b"2"), ("a", b"away")]
    assert outcome == SettledList({"a": ""}, 2)
    assert go(partner, "a", outcome.owed) == (SettledList({"a": ""}, 0), [])
    partner.has["a"] = Unavailable("who are you", credentials=True)
    assert go(partner, "a", outcome.owed)[0].credentials
    partner.has["a"] = b"1"
    assert [each.content for each in go(partner, "a", outcome.owed)[1]] == [b"1"]


def test_what_they_do_not_hear_of_keeps_no_other_waiting():
    partner = Partner({"a": b"1", "b": b"2", "c": b"3"}, away={"a"})
    assert go(partner, "a b")[0] is AWAY
    outcome, arrivals = go(partner, "a b")
    assert [each.message_id for each in arrivals] == ["b", "a"]
    assert outcome == SettledList({"a": TAKEN}, 2)
    outcome, arrivals = go(partner, "a c", {**outcome.owed, "d": TAKEN})
    assert (outcome, [each.message_id for each in arrivals]) == (SettledList({"a": TAKEN}, 1), ["c"])
    partner.away.clear()
    assert go(partner, "a", outcome.owed)[0] == SettledList({}, 0)


def test_a_partner_that_goes_away_ends_it_and_the_next_time_finds_the_same():
    assert go(Partner({"a": AWAY, "b": b"2"}), "a b") == (AWAY, [])
    partner = Partner({"a": b"1"}, away={"a"})
    outcome, arrivals = go(partner, "a")
    assert outcome is AWAY
    assert len(arrivals) == 1


def test_notes_that_have_expired_take_no_room():
    notes = AdapterNotes()
    for number in range(5_000):
        at = NOW + timedelta(seconds=number)
        notes.keep(str(number), "x", at + timedelta(seconds=10))
        assert notes.recall(str(number), at) == "x"
    assert len(notes._kept) < 1_100
