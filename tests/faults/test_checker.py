"""The checker finds each violation that is planted, by its invariant and by no other; and finds nothing where all is well."""

import hashlib
import json
from typing import Any

import attrs
import pytest

from tests.faults.checker import INVARIANTS, check
from tests.faults.evidence import Arrival, Evidence, Sent, Stuck
from tests.faults.journal import Attempt, Delivery, Event, Fact, Journal, Message

UNIT, AXIS = "H55.1", "000.00.00.G22"


def digest(place):
    return hashlib.sha256(f"packet {place}".encode()).hexdigest()


def receipt(place):
    return f"<Receipt><ds:SignatureValue>c2ln{place}</ds:SignatureValue></Receipt>"


def chained(texts):
    """Number and hash them."""
    link, events = "0" * 64, []
    for number, text in enumerate(texts, start=1):
        link = hashlib.sha256(f"{link}\n{text}".encode()).hexdigest()
        said = json.loads(text)
        events.append(
            Event(
                serial=number,
                message=said["message"],
                delivery=said.get("delivery"),
                text=text,
                number=number,
                hash=link,
            )
        )
    return tuple(events)


def told(event, message, delivery=None):
    return json.dumps({"event": event, "message": message} | ({"delivery": delivery} if delivery else {}))


def well():
    """One lane of three messages to a partner and to the axis; the last was refused by the partner."""
    sent, arrivals, messages, deliveries, attempts, texts, facts = [], [], [], [], [], [], []
    for place in range(3):
        id_, poisoned = f"m{place}", place == 2
        common = {"message_id": f"lane-{place}", "sha256": digest(place), "partner": "sotttt"}
        sent.append(
            Sent(
                **common,
                unit="H55.13",
                recipients=(UNIT, AXIS),
                lane="lane",
                place=place,
                poisoned=poisoned,
                series=0 if place else 2,
                receipts=((id_, receipt(place)),),
                unknown=1,
            )
        )
        kind = "update" if place else "document"
        stored = {
            "id": id_,
            "kind": kind,
            "state": "accepted",
            "kept": digest(place),
            "receipt": receipt(place).encode(),
        }
        messages.append(Message(**common, **stored))
        texts.append(told("message-accepted", id_))
        facts.append(Fact(unit="H55.13", key=f"k{place}", milestone="sent-update" if place else "sent", message=id_))
        days = [] if place else [*["called"] * 2, *["scheduled"] * 2, "series"]
        facts += (Fact(unit="H55.13", key=f"s{n}", milestone=each, message=id_) for n, each in enumerate(days))
        for unit, partner in ((UNIT, "vpub"), (AXIS, "vpcp")):
            dead = poisoned and partner == "vpub"
            state, reason = ("dead", "refused: 99") if dead else ("delivered", None)
            name = f"d{place}{partner}"
            way: dict[str, Any] = {
                "id": name,
                "message": id_,
                "recipient": unit,
                "partner": partner,
                "state": state,
                "reason": reason,
            }
            deliveries.append(Delivery(**way, attempts=1))
            attempts.append(
                Attempt(message=id_, partner=partner, ended=True, outcome="refused" if dead else "accepted")
            )
            texts.append(told(f"delivery-{state}", id_, name))
            facts.append(
                Fact(
                    unit="H55.13" if dead else unit,
                    key=f"k{place}",
                    milestone="failed" if dead else "received",
                    message=id_,
                )
            )
            arrivals.append(arrival(place, partner, "refused" if dead else "accepted"))
    return Evidence(
        sent=tuple(sent),
        arrivals=tuple(arrivals),
        confirmed=frozenset(),
        journal=Journal(
            messages=tuple(messages),
            deliveries=tuple(deliveries),
            attempts=tuple(attempts),
            events=chained(texts),
            facts=tuple(facts),
        ),
        counted={"sent": 1, "updates": 2},
        facts=tuple((fact.message, fact.unit, fact.milestone) for fact in facts),
    )


def arrival(place, partner, answer="accepted", **changed):
    said = {"document_id": f"m{place}", "sha256": digest(place), "lane": "lane", "place": place, "at": 1.0}
    return Arrival(**said | {"partner": partner, "recipients": (UNIT, AXIS), "answer": answer} | changed)


def broken(found):
    return {violation.invariant for violation in check(found)}


def journal(found, **changed):
    return attrs.evolve(found, journal=attrs.evolve(found.journal, **changed))


def replaced(values, index, **changed):
    values = list(values)
    values[index] = attrs.evolve(values[index], **changed)
    return tuple(values)


def test_where_all_is_well_it_finds_nothing():
    assert check(well()) == []


def test_every_invariant_has_a_rule_and_a_planted_violation():
    assert {name for name, _, _ in PLANTED} == set(INVARIANTS)


def lost(found):
    """The journal forgets the last message, and all that follows from it, but the sender has its receipt."""
    rows = found.journal
    kept = {"m0", "m1"}
    facts = tuple(fact for fact in rows.facts if fact.message in kept)
    found = journal(
        found,
        messages=rows.messages[:2],
        deliveries=rows.deliveries[:4],
        events=chained([event.text for event in rows.events if event.message in kept]),
        facts=facts,
    )
    said = tuple((fact.message, fact.unit, fact.milestone) for fact in facts)
    return attrs.evolve(found, arrivals=found.arrivals[:4], facts=said, counted={"sent": 1, "updates": 1})


PLANTED = [
    ("I1", "a receipted message is not in the journal", lost),
    ("I1", "its bytes changed", lambda f: journal(f, messages=replaced(f.journal.messages, 1, kept=digest(9)))),
    ("I1", "its bytes are gone", lambda f: journal(f, messages=replaced(f.journal.messages, 1, kept=None))),
    ("I2", "never arrived", lambda f: attrs.evolve(f, arrivals=f.arrivals[:4] + f.arrivals[4:5])),
    ("I2", "never taken", lambda f: attrs.evolve(f, arrivals=replaced(f.arrivals, 3, answer="garbage"))),
    ("I2", "dead without a reason", lambda f: journal(f, deliveries=replaced(f.journal.deliveries, 4, reason=None))),
    (
        "I2",
        "dead as refused, and nobody refused",
        lambda f: attrs.evolve(f, arrivals=replaced(f.arrivals, 4, answer="late")),
    ),
    ("I3", "counted twice", lambda f: attrs.evolve(f, facts=(*f.facts, f.facts[0]))),
    ("I3", "not counted", lambda f: journal(f, facts=f.journal.facts[:-1])),
    ("I3", "a day of a series not counted", lambda f: attrs.evolve(f, facts=(f.facts[0], *f.facts[2:]))),
    ("I3", "the report is off by one", lambda f: attrs.evolve(f, counted={"sent": 2, "updates": 2})),
    ("I4", "something nobody has", lambda f: attrs.evolve(f, arrivals=(*f.arrivals, arrival(7, "vpub")))),
    ("I4", "other bytes", lambda f: attrs.evolve(f, arrivals=replaced(f.arrivals, 0, sha256=digest(8)))),
    (
        "I4",
        "a message whose sender was refused",
        lambda f: attrs.evolve(f, sent=replaced(f.sent, 0, receipts=(), unknown=0)),
    ),
    (
        "I5",
        "sent again, another receipt",
        lambda f: attrs.evolve(f, sent=replaced(f.sent, 0, receipts=(("m0", receipt(5)), ("m0", receipt(0))))),
    ),
    (
        "I5",
        "the receipt is not the stored one",
        lambda f: attrs.evolve(f, sent=replaced(f.sent, 0, receipts=(("m0", receipt(5)),))),
    ),
    (
        "I6",
        "the same bytes under a new id",
        lambda f: attrs.evolve(f, arrivals=(*f.arrivals, arrival(1, "vpcp", document_id="m2"))),
    ),
    ("I7", "an update before its document", lambda f: attrs.evolve(f, arrivals=(f.arrivals[2], *f.arrivals))),
    ("I7", "a repetition after what follows it", lambda f: attrs.evolve(f, arrivals=(*f.arrivals, f.arrivals[1]))),
    ("I8", "a receipt that does not verify", lambda f: attrs.evolve(f, unverified=("lane-1",))),
    (
        "I9",
        "an event was changed",
        lambda f: journal(f, events=replaced(f.journal.events, 1, text=f.journal.events[1].text + " ")),
    ),
    ("I9", "an event is gone", lambda f: journal(f, events=f.journal.events[:2] + f.journal.events[3:])),
    (
        "I9",
        "an event without a number",
        lambda f: journal(f, events=replaced(f.journal.events, -1, number=None, hash=None)),
    ),
    (
        "I9",
        "delivered twice",
        lambda f: journal(f, events=chained([*(e.text for e in f.journal.events), f.journal.events[1].text])),
    ),
    ("I10", "held at the end", lambda f: journal(f, deliveries=replaced(f.journal.deliveries, 0, holder="node"))),
    ("I10", "held for too long", lambda f: attrs.evolve(f, stuck=Stuck(delivery="d0vpub", seconds=61.0, allowed=60.0))),
    ("I10", "an attempt that never ended", lambda f: journal(f, attempts=replaced(f.journal.attempts, 0, ended=False))),
    (
        "I10",
        "an attempt counted that was interrupted",
        lambda f: journal(f, attempts=replaced(f.journal.attempts, 0, outcome="interrupted")),
    ),
]


@pytest.mark.parametrize(("invariant", "what", "plant"), PLANTED, ids=[f"{name} {what}" for name, what, _ in PLANTED])
def test_a_planted_violation_is_found(invariant, what, plant):
    assert invariant in broken(plant(well())), what


def test_a_lost_answer_may_be_in_all_places():
    found = well()
    assert check(attrs.evolve(found, sent=replaced(found.sent, 0, receipts=()))) == []


def test_a_lost_answer_may_be_in_no_place():
    found = lost(well())
    assert check(attrs.evolve(found, sent=replaced(found.sent, 2, receipts=()))) == []


def test_a_repetition_before_what_follows_it_is_a_duplicate_and_no_violation():
    found = well()
    twice = attrs.evolve(found, arrivals=(found.arrivals[0], *found.arrivals))
    assert (check(twice), twice.duplicates) == ([], 1)


def test_a_partner_that_fetches_may_ask_again():
    found = well()
    fetched = tuple(attrs.evolve(each, answer="fetched") if each.partner == "vpcp" else each for each in found.arrivals)
    found = attrs.evolve(found, arrivals=(*fetched, fetched[1]), confirmed=frozenset({"m0", "m1", "m2"}))
    assert check(found) == []
    assert broken(attrs.evolve(found, confirmed=frozenset({"m0", "m1"}))) == {"I2"}


def test_after_a_restore_a_partner_that_fetches_may_pass_over_what_it_fetched_before_and_no_other_may():
    found = well()
    for answer, expected in (("fetched", set()), ("accepted", {"I7"})):
        ours = [attrs.evolve(each, answer=answer) if each.partner == "vpcp" else each for each in found.arrivals]
        again = [attrs.evolve(each, at=100.0) for each in (ours[1], ours[5])]
        restored = attrs.evolve(found, arrivals=(*ours, *again), confirmed=frozenset({"m0", "m1", "m2"}), restored=50.0)
        assert broken(restored) == expected
