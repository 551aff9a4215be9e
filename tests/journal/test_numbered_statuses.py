"""Statuses of systems that write neither DocumentId nor “/” nor the document's date (standards 12): which document they answer."""

from datetime import timedelta

import attrs
import pytest

from hub.domain.model import PacketKind
from hub.journal import events, facts, lineage, messages, statuses
from hub.journal.fact_reading import fact_rows
from hub.journal.lineage import Relation
from hub.journal.queue import deliveries
from hub.journal.searching import message_reading
from tests.databases import plans, sqlite
from tests.province import NOW, ROUTES, document, entry, status

DAY = timedelta(days=1)
TODAY, SINCE, BEFORE = "2026/11/24", "2026/11/26", "2026/11/19"  # of the receipt, after it, and of another document


class Desk:
    """Takes messages, each with the next number."""

    def __init__(self, tx):
        self.tx, self.number = tx, 0

    def take(self, packet, partner="sotttt", **fields):
        self.number += 1
        made = entry(packet, self.number, partner=partner, at=NOW + timedelta(seconds=self.number))
        return messages.record_message(self.tx, attrs.evolve(made, **fields), ROUTES).id

    def say(self, code, written="7816VPUB", date=SINCE, **fields):
        """Take a status of H55.01 as that system writes it."""
        return self.take(status(code, document_id="", number=written, date=date, **fields), "vpub")

    def status_of(self, message):
        (made,) = deliveries.read_message_deliveries(self.tx, message)
        return made.status

    def told(self, message, name):
        return [each for each in events.read_message_events(self.tx, message) if each["event"] == name]


@pytest.fixture
def desk(tx):
    return Desk(tx)


@pytest.mark.parametrize("written", ["7816VPUB", "7816/VPUB", "7816 VPUB", "7816 / VPUB"])
@pytest.mark.parametrize("date", [SINCE, TODAY, "2026/11/20", "", "hôm nay"])
def test_the_one_document_of_that_sender_to_that_unit_with_the_same_number_is_answered(desk, written, date):
    sent = desk.take(document())
    answer = desk.say("03", written, date)
    assert desk.status_of(sent) == "03"
    (fact,) = [each for each in fact_rows.read_facts(desk.tx) if each.milestone == "status-03"]
    assert (fact.unit, fact.key, fact.message) == ("H55.01", facts.make_business_key("H55.13", "D1"), answer)
    assert desk.told(answer, "document-unknown") == []


def test_such_a_match_is_marked_on_both_messages_and_their_links(desk):
    sent = desk.take(document())
    answer = desk.say("03")
    (mark,) = desk.told(answer, "matched-by-number")
    assert (mark["number"], mark["document"], mark["answers"]) == ("7816VPUB", "D1", sent)
    assert desk.told(sent, "status-moved")[0]["matched"] == "number"
    for one, relation, other in (
        (answer, Relation.ANSWERS_BY_NUMBER, sent),
        (sent, Relation.ANSWERED_BY_NUMBER, answer),
    ):
        found, told = message_reading.read_message(desk.tx, one), events.read_message_events(desk.tx, one)
        assert [(each.relation, each.id) for each in lineage.read_message_links(desk.tx, found, told)] == [
            (relation, other)
        ]


def test_a_document_named_by_its_code_and_date_or_its_id_is_not_marked(desk):
    sent = desk.take(document())
    by_code = desk.say("03", "7816/VPUB", "2026/11/20")
    by_id = desk.take(status("04"), "vpub")
    for each in (by_code, by_id):
        assert desk.told(each, "matched-by-number") == []
    assert all("matched" not in each for each in desk.told(sent, "status-moved"))
    assert desk.status_of(sent) == "04"


@pytest.mark.parametrize(
    "other",
    [
        document(document_id="D2"),
        attrs.evolve(document(document_id="D2"), promulgation_date="2025/11/20"),
        attrs.evolve(document(document_id="D2"), code="78/16VPUB"),
        attrs.evolve(document(document_id="D2"), kind=PacketKind.REPLACEMENT),
    ],
    ids=["of-another-id", "of-last-year", "of-the-same-letters", "that-replaces"],
)
def test_of_two_documents_with_the_same_number_none_is_answered(desk, other):
    sent = [desk.take(document()), desk.take(other)]
    answer = desk.say("06")
    assert [desk.status_of(each) for each in sent] == [None, None]
    assert len(desk.told(answer, "document-unknown")) == 1


def test_a_document_sent_twice_is_one_document_and_the_newest_message_is_answered(desk):
    first, again = desk.take(document()), desk.take(document())
    desk.say("03")
    assert [desk.status_of(each) for each in (first, again)] == [None, "03"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"date": BEFORE}, "it names the date of another document"),
        ({"written": "7816VPUBND"}, "it has another notation"),
        ({"written": "7816vpub"}, "it has other letters"),
        ({"written": "781/6VP"}, "it has another number"),
        ({"organ": "G22"}, "the document is of another unit"),
        ({"sender": "H55.13.1"}, "the document went to another unit"),
        ({"sender": "H55.13"}, "it is of the document's own sender"),
    ],
    ids=lambda each: None if isinstance(each, dict) else each.replace(" ", "-"),
)
def test_another_document_is_not_answered(desk, said, why):
    sent = desk.take(document())
    answer = desk.say("06", **said)
    assert desk.status_of(sent) is None, why
    assert len(desk.told(answer, "document-unknown")) == 1


def test_a_documents_id_that_nobody_knows_is_not_replaced_by_the_number(desk):
    sent = desk.take(document())
    desk.take(status("06", document_id="D9", number="7816/VPUB", date="2026/11/20"), "vpub")
    assert desk.status_of(sent) is None


def test_documents_of_others_with_the_same_number_do_not_count(desk):
    sent = desk.take(document())
    desk.take(document("H55.13", "G22", document_id="D2"))  # to another unit
    desk.take(document("H55.01", "H55.13", document_id="D3"), "vpub")  # of another unit
    desk.say("03")
    assert desk.status_of(sent) == "03"


def test_an_agreement_answers_the_open_recall_of_the_document(desk):
    desk.take(document())
    back = desk.take(attrs.evolve(document(document_id="R1"), code="9/X", kind=PacketKind.RECALL, about="D1"))
    desk.say("15")
    (made,) = deliveries.read_message_deliveries(desk.tx, back)
    assert made.answer == "15"


def test_a_number_that_more_documents_have_than_are_compared_is_no_name(desk, monkeypatch):
    monkeypatch.setattr(statuses, "SAME_NUMBER", 2)
    sent = desk.take(document())
    for number in range(3):
        desk.take(document("H55.13", "G22", document_id=f"F{number}"))
    desk.say("03")
    assert desk.status_of(sent) is None


def test_the_number_is_looked_for_by_an_index_and_so_are_the_deliveries(tmp_path):
    nobody = status("03", document_id="", number="1X", date=SINCE)

    def look(tx):
        assert statuses.find_answered_document(tx, nobody, "vpub", ROUTES, NOW.date()) is None

    found = [way for _, ways in plans(sqlite(tmp_path / "hub.db"), look) for way in ways]
    assert any("ix_message_numbered (<expr>=? AND sender=?)" in way for way in found), found
    assert not any("SCAN" in way for way in found if "message" in way or "delivery" in way), found
