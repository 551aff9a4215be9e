"""No message of 64 kB takes more of the journal's only writer than a turn, in any transaction, whatever there is much of in it.

Counted in statements and in steps of SQLite's machine, not in time.  `./dev soak` draws others and prints the seed.
"""

import os
import secrets
import sys
from datetime import timedelta
from functools import partial
from random import Random

import attrs
import pytest

from hub.domain.model import Fact, PacketKind, Record, Replaced
from hub.edxml import changes
from hub.journal import duties
from hub.journal.queue import pickup
from hub.services import list_services
from tests.costs import drawing, load, writer
from tests.costs.test_costs import SMALL
from tests.pki import NOW
from tests.province import document, entry

#: The readers whose messages are recorded, each as it is sent: a call, or a packet.
RECORDED = ("packet", "dossiers", "declarations", "defined", "calendar", "incident")
#: What is dear for the writer, beside what is dear for the reader.
DEAR = {
    "packet": [
        ({"recipients": 1700}, {"place": "extra", "kind": "0", "signed": "no"}),
        ({"recipients": 800, "answers": 2}, {"place": "extra", "kind": "1", "signed": "no"}),
        ({"recipients": 40, "answers": 40}, {"place": "extra", "kind": "1", "signed": "no"}),
        ({"receivers": 700}, {"place": "extra", "kind": "2", "signed": "no"}),
        ({"replaced": 900}, {"place": "extra", "kind": "3", "signed": "no"}),
        ({"replaced": 40, "organs": 40}, {"place": "extra", "kind": "3", "signed": "no"}),
    ],
    "dossiers": [
        ({}, {"operation": "sync", "place": "record"}),
        ({}, {"operation": "progress", "place": "record"}),
        ({"records": 150}, {"operation": "statistic", "place": "record"}),
    ],
    "declarations": [({}, {"place": "call", "figure": "1"})],
}
ALL = tuple(f"H55.{number}" for number in range(1700) if number != 13)


@pytest.fixture
def journal(tmp_path):
    made = writer.CountedJournal(tmp_path / "hub.db")
    yield made
    made.engine.dispose()


def record(journal, reader, content, number):
    """Record a message twice, under two ids: what it tells is new first, then known.

    Return what each transaction took, and whether the message was accepted.
    """
    module = load("packet") if reader in {"calendar", "incident"} else load(reader)
    found, accepted = [], False
    for again in range(2):
        for each in writer.judge(module, content, 2 * number + again):
            found += journal.record(attrs.evolve(each, message_id=f"{number}.{again}"))
            accepted = accepted or not each.problems
    return found, accepted


def require_turns(found, *what):
    """Fail when a transaction took more than a turn."""
    dear = [each for each in found if not each.is_within_a_turn()]
    assert not dear, (*what, dear)


@pytest.mark.slow
@pytest.mark.parametrize("reader", RECORDED)
def test_the_dearest_that_is_known_takes_no_more_than_a_turn(journal, reader):
    module, accepted = load(reader), False
    for number, (counts, form) in enumerate(module.WORST + DEAR.get(reader, []), 1):
        found, was_accepted = record(journal, reader, drawing.filled(module, counts, form, SMALL), number)
        require_turns(found, counts, form)
        accepted = accepted or was_accepted
    assert accepted


def is_shorter(most, content):
    return len(content) < most


def draw(journal, random, count, size=SMALL):
    """Record *count* messages of just under *size* octets, of all readers in turn.  Fail when one takes more than a turn."""
    for number in range(1, count + 1):
        reader = RECORDED[number % len(RECORDED)]
        module = load(reader)
        drawn = drawing.draw(reader, module, random)
        share = size * drawn.share
        counts = drawing.scaled(module, drawn, lambda c: len(c) < size - drawing.SIGNED, partial(is_shorter, share))
        content = module.finish(module.build(counts, drawn.form), drawn.form)
        found, _ = record(journal, reader, content, number)
        require_turns(found, counts, drawn.form)


@pytest.mark.slow
def test_a_few_pairs_of_dimensions_find_nothing_dear_for_the_writer(journal):
    draw(journal, Random(35), 24)


@pytest.mark.soak
def test_200_pairs_of_dimensions_find_nothing_dear_for_the_writer(journal, capsys):
    seed = int(os.environ.get("SEED", "0")) or secrets.randbits(32)
    with capsys.disabled():
        sys.stdout.write(f"\nSEED={seed}\n")
    draw(journal, Random(seed), 200)


@pytest.mark.slow
@pytest.mark.parametrize("service", sorted(list_services()))
def test_the_facts_of_each_service_are_written_in_turns(journal, service):
    """Of each milestone, twice: a fact that is there already is dearer than a new one."""
    milestones = sorted(list_services()[service].milestones)
    judged = attrs.evolve(entry(document(), 1, routes=()), packet=None, service=service, receipt=b"x")
    for number in (1, 2):
        name = f"00000000-0000-7000-8000-{number:012d}"
        facts = tuple(
            Fact(
                unit="H55.13",
                service=service,
                key=f"k{place}",
                milestone=milestone,
                at=NOW,
                message=name,
                day=NOW.date(),
                amount=number,
                attributes=(("time", NOW.isoformat()),),
            )
            for place in range(max(1, 600 // max(1, len(milestones))))
            for milestone in milestones
        )
        told = Record(kind="told", sender="H55.13", facts=facts[: duties.SLICE])
        rest = duties.pack_facts(facts[duties.SLICE :])
        require_turns(journal.record(attrs.evolve(judged, id=name, message_id=name, record=told, rest=rest)), service)


class Sender:
    """Sends packets of H55.13 to any unit of the province."""

    def __init__(self, journal):
        self.journal, self.number = journal, 0

    def send(self, *to, kind=PacketKind.DOCUMENT, **said):
        """Record the next packet.  Return what each transaction took."""
        self.number += 1
        packet = attrs.evolve(document("H55.13", *to), **{"kind": kind, "document_id": f"own{self.number}", **said})
        routes = writer.province().routes
        told = (*packet.recipients, *changes.list_told_units(packet))
        at = NOW + timedelta(seconds=self.number)
        judged = entry(document("H55.13", "H55.01"), self.number, partner="me", at=at, routes=())
        judged = attrs.evolve(
            judged, packet=packet, routes=routes.route_all("me", told, NOW.date(), also=packet.removed)
        )
        return self.journal.record(judged)


@pytest.mark.slow
def test_a_message_to_many_is_fetched_and_confirmed_in_few_statements(journal):
    """It takes more than a turn, because a partner has a message as a whole: but no statements for each recipient."""
    sender, later = Sender(journal), NOW + timedelta(hours=1)
    sender.send(*ALL[:1000])
    name = f"00000000-0000-7000-8000-{1:012d}"
    row, fetched = journal.count(pickup.fetch_message, "there", name, later)
    waited, confirmed = journal.count(pickup.confirm_receipt, "there", name, None, later)
    assert (row["id"], len(waited)) == (name, 999)
    assert fetched.statements + confirmed.statements < 100


@pytest.mark.slow
def test_what_a_change_stops_is_stopped_in_turns(journal):
    sender = Sender(journal)
    recall, update, replacement = PacketKind.RECALL, PacketKind.UPDATE, PacketKind.REPLACEMENT
    for name in ("recalled", "updated", *["replaced"] * 5):
        require_turns(sender.send(*ALL, document_id=name), name)
    for number in range(330):
        sender.send("H55.1", "H55.1001", document_id=f"D{number}")
    require_turns(sender.send(*ALL, kind=recall, about="recalled"), "a recall at all units")
    require_turns(
        sender.send(ALL[0], kind=update, about="updated", removed=ALL[1:]), "an update that removes all units"
    )
    require_turns(sender.send(ALL[0], kind=replacement, replaces=(Replaced("replaced"),)), "five documents of one id")
    many = tuple(Replaced(f"D{number}") for number in range(330))
    require_turns(sender.send(ALL[0], kind=replacement, replaces=many), "330 documents")
    both = tuple(Replaced(f"D{number}", ALL[:6]) for number in range(330))
    require_turns(sender.send(ALL[0], kind=replacement, replaces=both), "330 documents at units")
