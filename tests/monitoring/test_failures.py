"""Failures are listed by cause, and the replay of a group is a replay of exactly its deliveries."""

from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.failure_causes import NOBODY, find_cause
from hub.domain.ids import make_id
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Event, Problem
from hub.edxml.changes import Effect
from hub.journal import events, messages
from hub.journal.event_index import EventFilter, find_events
from hub.journal.queue import claims, deliveries, delivery_ends
from hub.journal.queue.claims import AttemptExchange
from hub.journal.replays import replay
from hub.journal.replays.replay import ReplayChoice
from hub.journal.searching import message_reading, search
from hub.journal.searching.message_filter import MessageFilter
from hub.monitoring import failures
from hub.monitoring.failures import FailureFilter, FailureKind, list_failures
from hub.operations.messages.search_request import SearchRequest, plan_search
from hub.store.tables import delivery
from tests.databases import plans, sqlite
from tests.province import NOW, ROUTES, document, entry

LATER = NOW + timedelta(hours=1)
ALL = FailureFilter()


def die(tx, number, reason, *to, at=NOW, partner="vpub"):
    """Bring a document, and let its deliveries to *partner* die with *reason*."""
    made = entry(document("H55.13", *(to or ("H55.01",)), document_id=f"D{number}"), number, at=at, id=make_id(at))
    messages.record_message(tx, made, ROUTES)
    fail(tx, reason, at=at, partner=partner)
    return made.id


def fail(tx, reason, *, at=NOW, partner="vpub"):
    (claim,) = claims.claim_deliveries(tx, partner, at, limit=1, holder="node", lease=timedelta(minutes=1))
    verdict = AttemptVerdict(DeliveryState.DEAD, reason)
    assert claims.settle_claim(tx, claims.EndedAttempt(claim, DeliveryEvent.REFUSED, verdict, AttemptExchange(), at))


def refuse(tx, number, *problems, at=NOW):
    made = entry(document(document_id=f"R{number}"), number, at=at, id=make_id(at), problems=problems)
    messages.record_message(tx, made, ROUTES)
    return made.id


def refuse_call(tx, code, partner=None, detail=None, at=NOW):
    tracking = make_id(at)
    said = {"partner": partner, "code": code, "detail": detail, "tracking": tracking}
    events.append_events(tx, Event("call-refused", at, None, None, {k: v for k, v in said.items() if v}))
    return tracking


def listed(tx, wanted=ALL):
    return [(each.kind, each.partner, each.text, each.count) for each in list_failures(tx, wanted).groups]


def chosen(tx, cause, **said):
    """Return the deliveries that a replay of *cause* would move."""
    choice = ReplayChoice.of(MessageFilter(cause=cause, **said), made_at=LATER)
    return {(each.message, each.recipient) for _, each in replay.choose_deliveries(tx, choice, ROUTES).moves}


@pytest.fixture
def told(tx):
    """A journal with failures of each kind."""
    die(tx, 1, "refused: E05: no unit H55.12")
    die(tx, 2, "refused: E05: no unit H55.99", at=NOW + timedelta(minutes=1))
    die(tx, 3, "given up: HTTP 503", at=NOW + timedelta(minutes=2))
    die(tx, 4, "refused: E05: no unit G22", "G22", partner="vpcp", at=NOW + timedelta(minutes=3))
    refuse(tx, 5, Problem("unit-unknown", "H55.99"), at=NOW + timedelta(minutes=4))
    refuse(tx, 6, Problem("unit-unknown", "H55.98"), at=NOW + timedelta(minutes=5))
    refuse_call(tx, "not-yours", "vpub", "H55.13", at=NOW + timedelta(minutes=6))
    refuse_call(tx, "certificate-unknown", detail="a", at=NOW + timedelta(minutes=7))
    refuse_call(tx, "certificate-unknown", detail="b", at=NOW + timedelta(minutes=8))
    return tx


def test_failures_are_grouped_by_partner_and_cause_the_latest_first(told):
    assert listed(told) == [
        ("call", NOBODY, "certificate-unknown", 2),
        ("call", "vpub", "not-yours: …", 1),
        ("refused", "sotttt", "unit-unknown: …", 2),
        ("dead", "vpcp", "refused: E05: no unit …", 1),
        ("dead", "vpub", "given up: HTTP 503", 1),
        ("dead", "vpub", "refused: E05: no unit …", 2),
    ]
    group = list_failures(told, FailureFilter(kind=FailureKind.DEAD)).groups[-1]
    assert (group.first, group.last, group.codes) == (NOW, NOW + timedelta(minutes=1), ("E05",))
    assert message_reading.read_message(told, str(group.example)).document_id == "D2"
    assert group.reason == "refused: E05: no unit H55.99"


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        ({"partner": "vpub"}, ["call", "dead", "dead"]),
        ({"partner": NOBODY}, ["call"]),
        ({"partner": "nobody"}, []),
        ({"kind": FailureKind.REFUSED}, ["refused"]),
        ({"since": NOW + timedelta(minutes=5)}, ["call", "call", "refused"]),
        ({"until": NOW + timedelta(minutes=1)}, ["dead"]),
        ({"since": NOW + timedelta(minutes=3), "until": NOW + timedelta(minutes=5)}, ["refused", "dead"]),
        ({"since": LATER}, []),
        ({"visible": ("sotttt", "vpcp")}, ["refused", "dead"]),
        ({"visible": ("sotttt",), "partner": "vpub"}, []),
        ({"visible": ("sotttt",), "partner": NOBODY}, []),
    ],
)
def test_each_condition_chooses_its_groups(told, wanted, kinds):
    assert [each.kind for each in list_failures(told, FailureFilter(**wanted)).groups] == kinds


def test_a_group_is_found_by_its_cause_as_a_list_and_as_a_replay(told):
    for group in list_failures(told, ALL).groups:
        found = list(search.find_messages(told, MessageFilter(cause=group.cause)))
        assert search.count_messages(told, MessageFilter(cause=group.cause)) == len(found)
        if group.kind is FailureKind.CALL:
            assert found == []
            assert len(find_events(told, EventFilter(cause=group.cause), 9).found) == group.count
            continue
        assert [each.id for each in found][-1] == group.example
        assert len(found) == group.count
        assert len(chosen(told, group.cause)) == (group.count if group.kind is FailureKind.DEAD else 0)


def test_of_a_message_only_the_deliveries_of_the_cause_are_replayed(tx):
    """It died at two partners for two reasons."""
    both = die(tx, 1, "refused: no", "H55.01", "G22")
    fail(tx, "refused: later", partner="vpcp")
    one, other = (
        find_cause(partner, reason).name for partner, reason in (("vpub", "refused: no"), ("vpcp", "refused: later"))
    )
    assert chosen(tx, one) == {(both, "H55.01")}
    assert chosen(tx, other, delivery_state="dead") == {(both, "G22")}
    assert chosen(tx, find_cause("vpub", "refused: later").name) == set()
    choice = ReplayChoice.of(MessageFilter(cause=one), made_at=LATER)
    assert ReplayChoice.read(choice.write()) == choice
    again = ReplayChoice.of(MessageFilter(cause=one), again=True, made_at=LATER)
    assert len(replay.choose_deliveries(tx, again, ROUTES).moves) == 1


def test_who_is_limited_to_partners_finds_no_cause_of_another_one(tx):
    die(tx, 1, "refused: no", "H55.01", "G22")
    fail(tx, "refused: later", partner="vpcp")
    cause = find_cause("vpcp", "refused: later").name
    for partners, count in ((("vpub",), 0), (("vpcp",), 1), (None, 1)):
        wanted = MessageFilter(cause=cause, partners=partners)
        assert len(list(search.find_messages(tx, wanted))) == count
        assert len(list(search.find_messages(tx, attrs.evolve(wanted, message_id="m1")))) == count
    assert chosen(tx, cause, partners=("vpub",)) == set()


def test_what_is_replayed_or_stopped_leaves_its_group_and_what_dies_again_finds_its_new_one(tx):
    for number in (1, 2):
        die(tx, number, "refused: no")
    (dead, *_) = deliveries.read_deliveries_of(tx, chosen_messages(tx))
    replay.replay_deliveries(tx, [dead], ROUTES, reason="sửa", by="an", now=LATER)
    assert listed(tx) == [("dead", "vpub", "refused: no", 1)]
    fail(tx, "refused: still no", at=LATER)
    assert listed(tx) == [("dead", "vpub", "refused: still no", 1), ("dead", "vpub", "refused: no", 1)]
    rows = deliveries.lock_stoppable_deliveries(tx, [dead.message], {"H55.01"})
    stops = deliveries.plan_stops([(Effect.RECALLED, rows)], "m9", LATER)
    deliveries.write_stops(tx, stops)
    assert listed(tx) == [("dead", "vpub", "refused: no", 1)], "a recalled delivery is no failure"


def chosen_messages(tx):
    return list(tx.scalars(sa.select(delivery.c.message).order_by(delivery.c.message)))


def test_what_people_and_time_end_has_a_cause_too(tx):
    for number in (1, 2, 3):
        messages.record_message(tx, entry(document(document_id=f"D{number}"), number), ROUTES)
    first, *_ = (each for each in deliveries.read_deliveries_of(tx, chosen_messages(tx)))
    assert delivery_ends.give_up_delivery(tx, first, reason="hệ thống cũ", by="an", now=LATER)
    assert delivery_ends.expire_deliveries(tx, "vpub", LATER, timedelta(minutes=1), "connection refused") == 2
    assert {(text, count) for _, _, text, count in listed(tx)} == {
        ("given up by an: hệ thống cũ", 1),
        ("given up: connection refused", 2),
    }


def test_counts_and_causes_are_bounded(tx, monkeypatch):
    monkeypatch.setattr(failures, "COUNTED", 2)
    monkeypatch.setattr(failures, "LOOKED", 3)
    for number in range(4):
        die(tx, number, "refused: no")
    for number, word in enumerate(("one", "two", "three", "four"), 10):
        refuse(tx, number, Problem("not-yours", word), at=LATER)
    found = list_failures(tx, ALL, 2)
    assert (len(found.groups), found.others, found.unread) == (2, 2, ("sotttt",))
    dead = list_failures(tx, FailureFilter(kind=FailureKind.DEAD)).groups[0]
    assert (dead.count, dead.more) == (2, True)


def test_a_cause_that_is_none_is_said(tx):
    asked = SearchRequest(cause="vpub.xyz")
    plan = plan_search(tx, asked, {"vpub": "V"}, "vpcp", NOW.date())
    assert [(each.field, each.value) for each in plan.unknown] == [("cause", "vpub.xyz")]
    named = attrs.evolve(asked, cause=find_cause("vpub", "x").name)
    assert plan_search(tx, named, {"vpub": "V"}, "vpcp", NOW.date()).unknown == ()
    assert plan_search(tx, named, {}, "vpcp", NOW.date()).unknown != ()


def test_every_step_of_a_list_is_a_look_up_in_an_index(tmp_path):
    """Whatever the journal holds beside."""
    cause = find_cause("vpub", "refused: no").name

    def look(tx):
        list_failures(tx, FailureFilter(since=NOW))
        for source in failures._SOURCES:
            source.causes.read(tx, {"partner": "vpub", "since": "", "most": 1})
            source.last.first(tx, {"partner": "vpub", "cause": "a", "most": 1})
        list(search.find_messages(tx, MessageFilter(cause=cause)))
        search.count_messages(tx, MessageFilter(cause=cause))
        find_events(tx, EventFilter(cause=cause), 9)

    found = [(statement, way) for statement, ways in plans(sqlite(tmp_path / "hub.db"), look) for way in ways]
    assert len(found) > 30
    for statement, way in found:
        if "SCAN" in way:
            assert any(name in way for name in ("found", "CONSTANT ROW", "anon", "one", "other", "some")), (
                statement,
                way,
            )
        if way.startswith("SEARCH") and "cause" in statement:
            assert "_cause" in way or "autoindex" in way or "PRIMARY KEY" in way, (statement, way)
    assert not any("TEMP B-TREE FOR ORDER BY" in way for _, way in found)
