"""What follows from a message, decided without a database: `decide` takes what is known and returns what is written."""

import json
from datetime import date, timedelta

import attrs
import pytest

from hub.domain.model import (
    DeliveryState,
    Fact,
    MessageState,
    PacketKind,
    PacketSignature,
    Problem,
    Record,
    Replaced,
    SignatureStanding,
)
from hub.edxml.changes import EVERY, Effect
from hub.journal import duties
from hub.journal.decisions import decide
from hub.journal.effects import AnsweredDelivery, AnsweredDocument, EarlyChange, Known, Twin
from hub.journal.queue.deliveries import QueuedDelivery
from hub.language.phrases import phrase
from tests.province import NOW, ROUTES, document, entry, status

OWN = entry(document())
IDS = ("id-1", "id-2", "id-3")


def known(of=OWN, **fields):
    """What the journal knows when it has nothing of the entry *of*."""
    values = {"routing": ROUTES, "lane": "lane", "routes": of.routes, "ids": IDS[: len(of.routes)]}
    return Known(**(values | fields))


def names(events):
    return [event.name for event in events]


SAME = Twin("first", OWN.sha256, b"<first/>")
OTHER = Twin("first", "0" * 64, b"<first/>")
REUSED = Problem("id-reused", "m1 = first")
UNKNOWN = Problem("unit-unknown", "H55.99")


@pytest.mark.parametrize(
    ("twin", "problems", "state", "answer", "told"),
    [
        (None, (), MessageState.ACCEPTED, (OWN.id, OWN.receipt, ()), "message-accepted"),
        (None, (UNKNOWN,), MessageState.REFUSED, (OWN.id, None, (UNKNOWN,)), "message-refused"),
        (SAME, (), None, ("first", b"<first/>", ()), "message-repeated"),
        (SAME, (UNKNOWN,), None, ("first", b"<first/>", ()), "message-repeated"),
        (OTHER, (), MessageState.REFUSED, (OWN.id, None, (REUSED,)), "message-refused"),
        (OTHER, (UNKNOWN,), MessageState.REFUSED, (OWN.id, None, (UNKNOWN,)), "message-refused"),
    ],
)
def test_a_message_is_accepted_refused_or_one_that_is_there_already(twin, problems, state, answer, told):
    effects = decide(attrs.evolve(OWN, problems=problems), known(twin=twin))
    assert attrs.astuple(effects.recorded, recurse=False) == answer
    assert (effects.message["state"] if effects.message else None) == state
    assert names(effects.before)[0] == told
    assert bool(effects.facts) == bool(effects.deliveries) == (state is MessageState.ACCEPTED)


def test_the_journal_keeps_why_a_message_was_refused_in_english_and_in_vietnamese():
    place = phrase("line {line}", line=6)
    refused = (UNKNOWN, Problem("N.From", phrase("{place}: {detail}", place=place, detail=phrase("it is empty"))))
    effects = decide(attrs.evolve(OWN, problems=refused), known())
    assert effects.message is not None
    assert effects.message["refusal"] == "unit-unknown: H55.99; N.From: line 6: it is empty"
    told = [
        {"code": "unit-unknown", "detail": "H55.99"},
        {"code": "N.From", "detail": "line 6: it is empty", "detail_vi": "dòng 6: để trống"},
    ]
    assert json.loads(json.dumps(effects.before[0].body))["problems"] == told


def test_a_step_that_was_committed_unheard_writes_nothing_and_gives_the_same_answer():
    effects = decide(OWN, known(twin=Twin(OWN.id, OWN.sha256, OWN.receipt)))
    assert effects == attrs.evolve(decide(OWN, known(twin=SAME)), recorded=effects.recorded, before=())
    assert attrs.astuple(effects.recorded) == (OWN.id, OWN.receipt, ())


@pytest.mark.parametrize(("twin", "code"), [(SAME, None), (OTHER, "id-reused"), (None, "id-reused")])
def test_where_another_node_was_first_nothing_is_accepted_any_more(twin, code):
    effects = decide(OWN, known(twin=twin, contested=True))
    assert [problem.code for problem in effects.recorded.problems] == ([code] if code else [])
    assert (effects.deliveries, effects.facts) == ((), ())


@pytest.mark.parametrize(
    ("fields", "kept"),
    [({}, True), ({"withheld": True}, False), ({"problems": (Problem("secret-refused"),)}, False)],
)
def test_the_bytes_of_a_refused_message_are_kept_unless_they_are_secret_or_of_a_person(fields, kept):
    assert decide(attrs.evolve(OWN, **({"problems": (UNKNOWN,)} | fields)), known()).keeps is kept


def test_a_document_leaves_its_row_its_deliveries_and_its_fact():
    sent = entry(document("H55.13", "H55.01", "G22.1"))
    effects = decide(sent, known(sent))
    assert effects.message is not None
    assert (effects.message["sender"], effects.message["lane"], effects.message["kind"]) == (
        "H55.13",
        "lane",
        PacketKind.DOCUMENT,
    )
    assert [(row["id"], row["recipient"], row["state"]) for row in effects.deliveries] == [
        ("id-1", "H55.01", DeliveryState.WAITING),
        ("id-2", "G22.1", DeliveryState.WAITING),
    ]
    assert names(effects.before) == ["message-accepted", "delivery-waiting", "delivery-waiting"]
    assert [(fact.unit, fact.milestone, fact.counterpart) for fact in effects.facts] == [
        ("H55.13", "sent", "H55.01 G22.1")
    ]
    assert effects.wakes
    assert effects.after == ()


def test_a_timed_document_waits_for_its_hour_and_wakes_nobody():
    hour = NOW + timedelta(hours=5)
    sent = entry(document(priority=4, hour=hour))
    effects = decide(sent, known(sent))
    assert [row["due"] for row in effects.deliveries] == [hour]
    assert not effects.wakes


def test_the_same_known_gives_the_same_effects():
    assert decide(OWN, known()) == decide(OWN, known())


@pytest.mark.parametrize(
    ("signature", "told"),
    [
        (PacketSignature(standing=SignatureStanding.UNSIGNED), []),
        (PacketSignature(standing=SignatureStanding.INVALID, code="N.expired"), ["packet-signature"]),
        (PacketSignature(standing=SignatureStanding.INVALID, code="N.expired", sha1=True), ["packet-signature"]),
        (PacketSignature(standing=SignatureStanding.VALID, sha1=True), ["packet-signature", "sha1-used"]),
        (PacketSignature(standing=SignatureStanding.VALID, vxp=True), ["packet-signature", "vxp-signature-used"]),
    ],
)
def test_what_a_packets_signature_is_worth_is_told_where_there_is_something_to_tell(signature, told):
    effects = decide(attrs.evolve(OWN, signature=signature), known())
    assert names(effects.before)[1:-1] == told


RECALLED = EarlyChange("H55.01", Effect.RECALLED, "sotttt", "recall")
REPLACED = EarlyChange(EVERY, Effect.REPLACED, "sotttt", "replacement")


@pytest.mark.parametrize(
    ("early", "reached", "reason"),
    [
        ([], (), None),
        ([RECALLED], (), "recalled: recall"),
        ([attrs.evolve(RECALLED, unit="G22.1")], (), None),
        ([REPLACED], (), "replaced: replacement"),
        ([REPLACED, RECALLED], (), "recalled: recall"),  # the one whose message came first
        ([RECALLED], ("H55.01",), None),  # it is sent again after its recall
        ([attrs.evolve(RECALLED, partner="any")], (), None),  # who only carries recalls nothing that others bring
    ],
)
def test_a_document_that_comes_after_its_recall_is_born_dead_where_it_was_recalled(early, reached, reason):
    effects = decide(OWN, known(early=early, reached=frozenset(reached)))
    (row,) = effects.deliveries
    assert (row["state"], row["stopped"]) == (DeliveryState.DEAD if reason else DeliveryState.WAITING, reason)
    assert names(effects.before) == ["message-accepted", "delivery-waiting"]
    assert [(event.name, event.body["reason"]) for event in effects.after] == (
        [("delivery-dead", reason)] if reason else []
    )
    assert len(effects.facts) == 1, "it was sent all the same"


def queued(state, number=1):
    return QueuedDelivery(f"d{number}", "sent", "H55.01", "vpub", "lane", state)


def recall(**fields):
    return entry(attrs.evolve(document(), kind=PacketKind.RECALL, about="D1", **fields), 2)


@pytest.mark.parametrize(
    ("state", "marked", "died", "told"),
    [
        (DeliveryState.WAITING, True, True, ["delivery-dead"]),
        (DeliveryState.HELD, True, True, ["delivery-dead"]),
        (DeliveryState.SENDING, True, False, ["delivery-marked"]),
        (DeliveryState.DEAD, True, False, ["delivery-marked"]),
        (DeliveryState.FETCHED, False, False, []),
        (DeliveryState.DELIVERED, False, False, []),
    ],
)
def test_a_recall_stops_what_did_not_arrive(state, marked, died, told):
    stoppable = [(Effect.RECALLED, [queued(state)])]
    effects = decide(recall(), known(recall(), named={"D1": "H55.13"}, stoppable=stoppable))
    reason = f"recalled: {recall().id}"
    assert effects.stops.marked == (({"which": "d1", "stopped": reason, "cause": None},) if marked else ())
    assert [(row["which"], row["state"], row["reason"]) for row in effects.stops.died] == (
        [("d1", DeliveryState.DEAD, reason)] if died else []
    )
    assert effects.stops.places == ((("lane", "H55.01"),) if died else ())
    assert names(effects.after) == told
    assert effects.changes == (
        {"document_id": "D1", "unit": "H55.01", "effect": Effect.RECALLED, "message": recall().id, "sender": "H55.13"},
    )


def test_a_delivery_of_two_replaced_documents_is_stopped_once():
    replaces = (Replaced("D1"), Replaced("D2"))
    new = entry(attrs.evolve(document(document_id="D3"), kind=PacketKind.REPLACEMENT, replaces=replaces), 2)
    stoppable = [(Effect.REPLACED, [queued(DeliveryState.WAITING)])] * 2
    effects = decide(new, known(new, named={"D1": "H55.13", "D2": "H55.13"}, stoppable=stoppable))
    assert [row["document_id"] for row in effects.changes] == ["D1", "D2"]
    assert names(effects.after) == ["delivery-dead"]


def test_a_recall_of_an_unknown_document_is_marked_and_goes():
    effects = decide(recall(), known(recall(), named={"D1": ""}))
    assert names(effects.after) == ["document-unknown"]
    assert len(effects.deliveries) == 1


def test_a_recall_of_what_only_others_sent_is_refused():
    effects = decide(recall(), known(recall(), named={"D1": None, "D2": "H55.13"}))
    assert effects.recorded.problems == (Problem("not-the-sender", "D1"),)
    assert effects.message is not None
    assert effects.message["state"] is MessageState.REFUSED
    assert effects.changes == effects.deliveries == ()


SENT = AnsweredDocument(
    id="sent",
    kind=PacketKind.DOCUMENT,
    sender="H55.13",
    document_id="D1",
    document_type="Công văn",
    due=date(2026, 12, 1),
    lane="lane",
)
RECALL = attrs.evolve(SENT, id="recall", kind=PacketKind.RECALL)


def follow(code, answered=SENT, before=None, answer=None, **fields):
    of = entry(status(code), 2, partner="vpub")
    moved = AnsweredDelivery("d1", before, answer) if answered else None
    return decide(of, known(of, answered=answered, answers=moved, **fields))


@pytest.mark.parametrize(
    ("before", "code", "becomes"),
    [(None, "01", "01"), ("01", "03", "03"), ("04", "01", None), ("02", "03", None), ("03", "15", None)],
)
def test_a_status_moves_the_delivery_it_answers_only_forward(before, code, becomes):
    effects = follow(code, before=before)
    assert effects.answered == (becomes and {"which": "d1", "status": becomes, "changed_at": NOW})
    assert names(effects.after) == ["status-moved" if becomes else "status-kept"]
    assert effects.message["answers"] == "sent"
    (fact,) = effects.facts
    assert (fact.milestone, fact.due, fact.key) == (f"status-{code}", SENT.due, '["H55.13","D1"]')


def test_a_status_about_nothing_that_is_known_is_a_fact_and_marked():
    effects = follow("03", answered=None)
    assert (effects.answered, effects.message["answers"], len(effects.facts)) == (None, None, 1)
    assert names(effects.after) == ["document-unknown"]


@pytest.mark.parametrize(
    ("code", "answer", "told"),
    [
        ("15", None, ["change-answered", "recall-agreed", "recall-agreed"]),
        ("16", None, ["change-answered", "recall-refused", "recall-refused"]),
        ("16", "15", ["status-kept"]),  # its first answer counts
        ("03", None, ["status-moved"]),
    ],
)
def test_the_first_answer_to_a_recall_counts_and_is_told_at_what_it_recalls(code, answer, told):
    effects = follow(code, RECALL, answer=answer, recalled=[("m1", "r1"), ("m2", "r2")])
    assert names(effects.after) == told
    assert [event.delivery for event in effects.after] == ["d1", "r1", "r2"][: len(told)]


def fact(number=1, **fields):
    opened = Fact(
        unit="H55.13",
        service="incidents",
        key=f"k{number}",
        milestone="opened",
        at=NOW,
        message=OWN.id,
        attributes=(("time", "2026-11-26T00:00:00Z"),),
    )
    return attrs.evolve(opened, **fields)


def of_record(facts, **fields):
    record = Record(kind="incident", sender="H55.13", facts=tuple(facts))
    told = attrs.evolve(OWN, service="incidents", packet=None, routes=(), record=record)
    return decide(told, known(told, **fields))


def test_the_facts_of_a_record_are_written_with_it():
    effects = of_record([fact()])
    assert (effects.facts, effects.duty) == ((fact(),), None)
    assert names(effects.before) == ["message-accepted"]


def test_the_facts_of_a_record_wait_behind_those_that_are_outstanding():
    effects = of_record([fact()], behind=True)
    assert effects.facts == ()
    assert (effects.duty.services, effects.duty.kind) == ("incidents", duties.DutyKind.FACTS)
    assert [each.facts for each in effects.duty.slices] == [1]


def test_only_a_slice_of_facts_is_written_with_a_record():
    effects = of_record([fact(number) for number in range(duties.SLICE + 1)])
    assert len(effects.facts) == duties.SLICE
    assert [each.facts for each in effects.duty.slices] == [1]


def test_how_long_an_incident_was_open_follows_from_what_is_recorded_of_it():
    closed = fact(milestone="closed", attributes=(("time", "2026-11-26T00:01:00Z"),))
    recorded = {("H55.13", "incidents", "k1", "opened"): fact(message="earlier")}
    effects = of_record([closed], incidents=recorded)
    assert [(each.milestone, each.amount) for each in effects.facts] == [("closed", 1), ("closing-seconds", 60)]
