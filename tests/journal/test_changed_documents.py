"""Recalls, updates and replacements in the journal: what they stop, whom they reach, who may send them, how they are answered."""

from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.errors import Rejected
from hub.domain.lifecycle import STEP, AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, PacketKind, Problem, Replaced, ResponseFor
from hub.edxml import changes
from hub.journal import blobs, documents, events, messages, statuses
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claim_release, claims, deliveries, pickup
from hub.journal.queue.claims import AttemptExchange
from hub.journal.searching import message_reading
from tests.databases import plans, sqlite
from tests.province import NOW, ROUTES, document, entry, status

TICK = timedelta(seconds=1)
LEASE = timedelta(seconds=60)
DELIVERED = AttemptVerdict(DeliveryState.DELIVERED)


class Day:
    """What is sent in a day, each a second after the other."""

    def __init__(self, tx):
        self.tx, self.number = tx, 0

    @property
    def now(self):
        return NOW + TICK * self.number

    def take(self, packet, partner="sotttt", **fields):
        self.number += 1
        made = entry(packet, self.number, partner=partner, at=self.now)
        if packet.kind is not PacketKind.STATUS:
            told = (*packet.recipients, *changes.list_told_units(packet))
            made = attrs.evolve(made, routes=ROUTES.route_all(partner, told, NOW.date(), also=packet.removed))
        return messages.record_message(self.tx, attrs.evolve(made, **fields), ROUTES)

    def states(self, message):
        return {made.recipient: made.state for made in deliveries.read_message_deliveries(self.tx, message)}

    def made(self, message, recipient):
        return next(
            made for made in deliveries.read_message_deliveries(self.tx, message) if made.recipient == recipient
        )

    def happened(self, message):
        return [each["event"] for each in events.read_message_events(self.tx, message)]

    def claim(self, partner="vpub", limit=4, at=None):
        return claims.claim_deliveries(self.tx, partner, at or self.now, limit=limit, holder="node", lease=LEASE)

    def settle(self, claim, verdict, outcome="accepted"):
        return claims.settle_claim(self.tx, claims.EndedAttempt(claim, outcome, verdict, AttemptExchange(), self.now))

    def milestones(self):
        return sorted((fact.unit, fact.milestone) for fact in fact_rows.read_facts(self.tx))


@pytest.fixture
def today(tx):
    return Day(tx)


def change(kind, *recipients, about="", document_id="X", **fields):
    return attrs.evolve(document("H55.13", *recipients, document_id=document_id), kind=kind, about=about, **fields)


def recall(*recipients, about="D1", **fields):
    return change(PacketKind.RECALL, *recipients, about=about, **fields)


# --- recall ---------------------------------------------------------------------------------------------------------------


def test_a_recall_stops_what_is_not_yet_delivered_to_whom_it_addresses_and_goes_there_itself(today):
    sent = today.take(document("H55.13", "H55.01", "G22", "H55.13.1")).id
    back = today.take(recall("H55.01", "H55.13.1")).id
    assert today.states(sent) == {
        "H55.01": DeliveryState.DEAD,
        "G22": DeliveryState.WAITING,
        "H55.13.1": DeliveryState.DEAD,
    }
    assert today.made(sent, "H55.01").reason == f"recalled: {back}"
    assert today.states(back) == {"H55.01": DeliveryState.WAITING, "H55.13.1": DeliveryState.HELD}
    assert today.milestones() == [("H55.13", "sent"), ("H55.13", "sent-recall")], "nothing failed"


def test_a_recall_by_response_for_and_by_number_and_date_finds_its_document(today):
    sent = today.take(document()).id
    by_number = ResponseFor("H55.13", "7816/VPUB", "2026/11/20", "")
    today.take(recall(about="", responses=(by_number, ResponseFor("G22", "", "", "somebody's"))))
    assert today.states(sent) == {"H55.01": DeliveryState.DEAD}


def test_the_same_recall_twice_changes_nothing(today):
    sent = today.take(document()).id
    first = today.take(recall()).id
    before = today.happened(sent)
    today.take(recall())
    assert today.made(sent, "H55.01").stopped == f"recalled: {first}"
    assert today.happened(sent) == before


def test_what_is_being_sent_when_it_is_recalled_dies_if_it_comes_back(today):
    for how in ("accepted", "unavailable", "rescued", "refused"):
        name = f"D-{how}"
        sent = today.take(document(document_id=name)).id
        (claimed,) = today.claim(limit=1)
        back = today.take(recall(about=name)).id
        assert today.states(sent) == {"H55.01": DeliveryState.SENDING}
        assert today.claim() == [], "the recall follows the document"
        if how == "rescued":
            claim_release.release_lost_claims(today.tx, today.now, alone=True)
        else:
            waits = AttemptVerdict(DeliveryState.WAITING, "down", today.now)
            verdict = {
                "accepted": DELIVERED,
                "unavailable": waits,
                "refused": AttemptVerdict(DeliveryState.DEAD, "refused: no"),
            }[how]
            today.settle(claimed, verdict, how)
        assert today.states(sent) == {"H55.01": DeliveryState.DELIVERED if how == "accepted" else DeliveryState.DEAD}
        assert today.made(sent, "H55.01").stopped == f"recalled: {back}"
        (next_one,) = today.claim()
        assert next_one.message == back
        today.settle(next_one, DELIVERED)
    assert today.milestones().count(("H55.13", "failed")) == 1, "only the partner's refusal is a failure"


def test_what_was_fetched_is_beyond_recall_and_what_was_held_cannot_be_fetched_any_more(today):
    sent = [today.take(document("H55.01", "H55.13", document_id=name), "vpub").id for name in ("D1", "D2")]
    pickup.fetch_message(today.tx, "sotttt", sent[0], today.now)
    for name in ("D1", "D2"):
        today.take(
            attrs.evolve(document("H55.01", "H55.13", document_id="X"), kind=PacketKind.RECALL, about=name), "vpub"
        )
    assert today.states(sent[0]) == {"H55.13": DeliveryState.FETCHED}
    pickup.confirm_receipt(today.tx, "sotttt", sent[0], None, today.now)
    with pytest.raises(Rejected, match="document-not-found"):
        pickup.fetch_message(today.tx, "sotttt", sent[1], today.now)


def test_a_recall_that_overtook_its_document_stops_it_on_arrival_and_a_new_sending_goes(today):
    back = today.take(recall()).id
    assert "document-unknown" in today.happened(back)
    late = today.take(document("H55.13", "H55.01", "G22")).id
    assert today.states(late) == {"H55.01": DeliveryState.DEAD, "G22": DeliveryState.WAITING}
    assert today.made(late, "H55.01").reason == f"recalled: {back}"
    assert today.states(today.take(document()).id) == {"H55.01": DeliveryState.WAITING}


@pytest.mark.parametrize(
    "packet",
    [
        recall(about="D9"),
        recall(about="", responses=(ResponseFor("H55.01", "", "", "D9"),)),
        change(PacketKind.UPDATE, about="D9"),
        change(PacketKind.REPLACEMENT, replaces=(Replaced("D9"),)),
    ],
)
def test_only_the_unit_that_sent_a_document_may_change_it(today, packet):
    theirs = today.take(document("H55.01", "H55.13", document_id="D9"), "vpub").id
    assert today.take(packet).problems == (Problem("not-the-sender", "D9"),)
    assert today.states(theirs) == {"H55.13": DeliveryState.HELD}


def test_the_sender_is_the_unit_whichever_partner_carried_it(today):
    sent = today.take(document("000.00.13.H55"), "any").id
    today.take(recall())
    assert today.states(sent) == {"H55.01": DeliveryState.DEAD}


@pytest.mark.parametrize(
    "packet",
    [
        recall(),
        recall(about="", responses=(ResponseFor("H55.13", "", "", "D1"),)),
        change(PacketKind.UPDATE, about="D1", removed=("H55.01",)),
        change(PacketKind.REPLACEMENT, replaces=(Replaced("D1"),)),
    ],
)
def test_who_may_send_for_any_unit_changes_nothing_that_others_brought(today, packet):
    sent = today.take(document()).id
    assert today.take(packet, "any").problems == (Problem("not-the-sender", "D1"),)
    assert today.states(sent) == {"H55.01": DeliveryState.WAITING}


def test_who_may_send_for_any_unit_changes_what_it_brought_and_nothing_else_of_that_id(today):
    theirs = today.take(document()).id
    own = today.take(document(), "any").id
    assert today.take(recall(), "any").problems == ()
    assert today.states(own) == {"H55.01": DeliveryState.DEAD}
    assert today.states(theirs) == {"H55.01": DeliveryState.WAITING}


def test_a_recall_of_who_may_send_for_any_unit_does_not_stop_what_the_unit_itself_sends_later(today):
    assert today.take(recall(), "any").problems == ()
    assert today.states(today.take(document()).id) == {"H55.01": DeliveryState.WAITING}


# --- update and replacement -----------------------------------------------------------------------------------------------


def test_an_update_reaches_added_and_removed_units_and_stops_the_document_at_the_removed(today):
    sent = today.take(document("H55.13", "H55.01", "G22")).id
    update = today.take(change(PacketKind.UPDATE, "H55.01", about="D1", added=("G01",), removed=("G22", "H55.20"))).id
    assert today.states(update) == {
        "H55.01": DeliveryState.WAITING,
        "G01": DeliveryState.WAITING,
        "G22": DeliveryState.WAITING,
    }
    assert today.states(sent) == {"H55.01": DeliveryState.WAITING, "G22": DeliveryState.DEAD}
    assert today.made(sent, "G22").reason == f"removed: {update}"


def test_a_recall_stops_an_update_that_was_not_delivered_either(today):
    today.take(document())
    update = today.take(change(PacketKind.UPDATE, "H55.01", about="D1", added=("G01",))).id
    today.take(recall("H55.01", "G01"))
    assert set(today.states(update).values()) == {DeliveryState.DEAD}


def test_a_replacement_stops_what_it_supersedes_at_the_units_it_names(today):
    old = [today.take(document("H55.13", "H55.01", "G22", document_id=name)).id for name in ("D1", "D2")]
    lists = (Replaced("D1", ("H55.01", "G01")), Replaced("D2"))
    new = today.take(change(PacketKind.REPLACEMENT, "H55.01", replaces=lists, document_id="D1")).id
    assert today.states(old[0]) == {"H55.01": DeliveryState.DEAD, "G22": DeliveryState.WAITING}
    assert today.states(old[1]) == {"H55.01": DeliveryState.DEAD, "G22": DeliveryState.DEAD}
    assert today.states(new) == {"H55.01": DeliveryState.WAITING, "G01": DeliveryState.WAITING}
    assert today.made(old[1], "G22").reason == f"replaced: {new}"


# --- answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "event"), [("15", "recall-agreed"), ("16", "recall-refused")])
def test_an_answer_closes_the_newest_open_recall_and_shows_in_the_traces_of_the_document(today, code, event):
    sent = today.take(document()).id
    (claimed,) = today.claim()
    today.settle(claimed, DELIVERED)
    back = today.take(recall(document_id="D1")).id
    answer = today.take(status(code), "vpub").id
    assert today.made(back, "H55.01").answer == code
    assert today.made(sent, "H55.01").status is None
    assert (today.happened(sent)[-1], today.happened(back)[-1]) == (event, "change-answered")
    assert [trace.document for trace in statuses.read_status_traces(today.tx, "H55.13", document=sent)] == [back]
    today.take(status("16" if code == "15" else "15"), "vpub")
    assert today.made(back, "H55.01").answer == code, "the first answer closes the question"
    assert today.happened(back)[-1] == "status-kept"
    assert message_reading.read_message(today.tx, answer).state == "accepted"


def test_an_answer_without_a_question_is_history(today):
    sent = today.take(document()).id
    today.take(status("15"), "vpub")
    assert today.happened(sent)[-1] == "status-kept"


# --- lanes, urgency, hours, alarms ----------------------------------------------------------------------------------------


def test_what_concerns_one_document_goes_to_one_recipient_in_order(today):
    first = today.take(document("H55.13", "H55.01", "G22")).id
    second = today.take(change(PacketKind.UPDATE, "H55.01", "G22", about="D1", priority=3)).id
    word = today.take(status("13", sender="H55.13")).id
    other = today.take(document(document_id="D2")).id
    order = []
    for _ in range(3):
        claims = today.claim()
        order.append([claim.message for claim in claims])
        for claim in claims:
            today.settle(claim, DELIVERED)
    assert order == [[first, other], [second], [word]]
    assert [claim.message for claim in today.claim("vpcp")] == [first], "each recipient has a lane of its own"


def test_a_waiting_predecessor_holds_its_lane_and_a_dead_one_does_not(today):
    today.take(document())
    update = today.take(change(PacketKind.UPDATE, "H55.01", about="D1")).id
    (claimed,) = today.claim()
    today.settle(claimed, AttemptVerdict(DeliveryState.WAITING, "down", today.now + LEASE), "unavailable")
    assert today.claim() == []
    (again,) = today.claim(at=today.now + LEASE)
    today.settle(again, AttemptVerdict(DeliveryState.DEAD, "refused: no"), "refused")
    assert [claim.message for claim in today.claim()] == [update]


def test_the_free_part_of_a_message_goes_ahead(today):
    today.take(document("H55.13", "G22"))
    (claimed,) = today.claim("vpcp")
    today.take(change(PacketKind.UPDATE, "G22", "G01", about="D1"))
    (part,) = today.claim("vpcp")
    assert part.recipients == ("G01",)
    today.settle(claimed, DELIVERED)
    (rest,) = today.claim("vpcp")
    assert rest.recipients == ("G22",)


@pytest.mark.parametrize("how", ["rescued", "given back"])
def test_a_part_of_a_message_that_is_given_back_leaves_the_other_part_under_way(today, how):
    today.take(document("H55.13", "G22"))
    (first,) = today.claim("vpcp")
    today.take(change(PacketKind.UPDATE, "G22", "G01", about="D1"))
    (part,) = today.claim("vpcp")
    today.settle(first, DELIVERED)
    today.number += 30
    (rest,) = today.claim("vpcp")
    assert (part.message, part.recipients, rest.recipients) == (rest.message, ("G01",), ("G22",))
    if how == "rescued":
        assert claim_release.release_lost_claims(today.tx, part_over := today.now + TICK * 31) == 1
        assert part_over < today.now + LEASE
    else:
        assert claim_release.release_claim(today.tx, part, today.now) == 1
    assert today.settle(rest, DELIVERED), "what the partner took of the other part counts"
    assert today.states(rest.message) == {"G22": DeliveryState.DELIVERED, "G01": DeliveryState.WAITING}


def test_a_replacement_follows_the_document_it_replaces_and_its_own_recall_follows_it(today):
    first = today.take(document()).id
    (sending,) = today.claim()
    new = today.take(change(PacketKind.REPLACEMENT, "H55.01", replaces=(Replaced("D1"),), document_id="D2")).id
    today.take(status("13", sender="H55.13", document_id="D2"))
    assert (sending.message, today.claim()) == (first, [])
    today.settle(sending, DELIVERED)
    assert [claim.message for claim in today.claim()] == [new]


def test_the_more_urgent_overtakes_within_one_claim_and_equals_go_by_age(today):
    sent = [today.take(document(document_id=f"D{n}", priority=n % 4)).id for n in range(8)]
    claimed = [claim.message for claim in today.claim(limit=8)]
    assert claimed == [sent[n] for n in (3, 7, 2, 6, 1, 5, 0, 4)]


def test_nothing_starves_under_a_steady_flow_of_urgent_documents(today):
    """Three urgent documents come for each one that can be sent; still each ordinary one goes within three steps."""
    plain = today.take(document()).id
    second, minute = 0, timedelta(minutes=1)
    while True:
        second += 1
        now = NOW + minute * second
        for n in range(3):
            today.number += 1
            urgent = document(document_id=f"U{today.number}", priority=3)
            messages.record_message(today.tx, entry(urgent, today.number, at=now + TICK * n), ROUTES)
        (claim,) = today.claim(limit=1, at=now + LEASE)
        claims.settle_claim(
            today.tx, claims.EndedAttempt(claim, DeliveryEvent.ACCEPTED, DELIVERED, AttemptExchange(), now)
        )
        if claim.message == plain:
            break
        assert minute * second < STEP * 4 * 4, "starved"
    assert minute * second >= STEP, "the urgent ones did overtake it"


def test_a_timed_document_waits_for_its_hour_pushed_or_fetched(today):
    hour = NOW + timedelta(hours=2)
    pushed = today.take(document(priority=4, hour=hour)).id
    held = today.take(document("H55.01", "H55.13", document_id="D2", priority=4, hour=hour), "vpub").id
    assert today.claim() == []
    assert pickup.list_pending_messages(today.tx, "sotttt", "H55.13", 10, today.now) == []
    with pytest.raises(Rejected, match="document-not-found"):
        pickup.fetch_message(today.tx, "sotttt", held, today.now)
    assert [claim.message for claim in today.claim(at=hour)] == [pushed]
    assert pickup.list_pending_messages(today.tx, "sotttt", "H55.13", 10, hour) == [held]
    assert pickup.fetch_message(today.tx, "sotttt", held, hour)["id"] == held


def test_what_nobody_fetches_is_told_of_once(today):
    sent = today.take(document("H55.01", "H55.13"), "vpub").id
    after, later = timedelta(days=3), today.now + timedelta(days=3)
    assert pickup.record_unfetched_alarms(today.tx, later - TICK, after) == 0
    assert [pickup.record_unfetched_alarms(today.tx, later, after) for _ in range(2)] == [1, 0]
    assert today.happened(sent)[-1] == "delivery-overdue-held"
    assert today.states(sent) == {"H55.13": DeliveryState.HELD}


def test_the_bytes_of_a_secret_packet_are_not_kept(today):
    secret = attrs.evolve(entry(document()), packet=None, problems=(Problem("secret-refused", "line 9: DoMat"),))
    taken = messages.record_message(today.tx, secret, ROUTES)
    with pytest.raises(KeyError):
        blobs.read_blob(today.tx, message_reading.read_message(today.tx, taken.id).sha256)


def looks_at_messages(tmp_path, step):
    """Return how SQLite finds messages for *step*."""
    ways = [way for _, each in plans(sqlite(tmp_path / "hub.db"), step) for way in each]
    found = {way for way in ways if " message " in way}
    assert found, ways
    return found


def test_documents_that_nobody_sent_are_looked_for_by_indexes_however_many_messages_there_are(tmp_path):
    named = (ResponseFor("H55.13", "", "", "nobody's"), ResponseFor("H55.13", "1/X", "2026/11/20", ""))
    recall = attrs.evolve(document(), kind=PacketKind.RECALL, responses=named)

    def look(tx):
        assert documents.find_named_documents(tx, recall, "sotttt", ROUTES, NOW.date()) == {"nobody's": ""}
        assert (
            statuses.find_answered_document(
                tx, status("03", document_id="", number="1/X", date="2026/11/20"), "vpub", ROUTES, NOW.date()
            )
            is None
        )

    found = looks_at_messages(tmp_path, look)
    assert all("document_id=?" in plan or "ix_message_numbered (<expr>=?" in plan for plan in found), found


@pytest.mark.parametrize("more", [{}, {"document": "D1"}, {"since": NOW}, {"carried_by": "sotttt"}])
def test_the_traces_of_a_unit_are_found_without_a_look_at_those_of_others(tmp_path, more):
    found = looks_at_messages(tmp_path, lambda tx: statuses.read_status_traces(tx, "H55.13", **more))
    assert all("(id=?)" in plan or "answers_unit=?" in plan for plan in found), found


def test_a_change_costs_the_same_however_many_units_it_names(today):
    """What carries a document is looked for once: else many of one id, or many recalls of it, are multiplied by the units."""
    asked = []
    sa.event.listen(today.tx, "before_cursor_execute", lambda *said: asked.append(said[2]))
    for _ in range(3):
        today.take(document("H55.13", "H55.01"))
    asked.clear()
    today.take(recall("H55.01"))
    one = sum("SELECT message.id" in each for each in asked)
    asked.clear()
    today.take(recall("H55.01", "H55.13", "H55.13.1", "G22"))
    assert sum("SELECT message.id" in each for each in asked) == one


def test_the_first_of_several_changes_stops_what_comes_after_them(today):
    today.take(recall("H55.01", about="D2"))
    today.take(recall("H55.01", "H55.13.1", about="D2"))
    sent = today.take(document("H55.13", "H55.01", "H55.13.1", "G22", document_id="D2"))
    found = {
        each.recipient: each.reason for each in deliveries.read_message_deliveries(today.tx, sent.id) if each.reason
    }
    assert found == {
        "H55.01": "recalled: 00000000-0000-7000-8000-000000000001",
        "H55.13.1": "recalled: 00000000-0000-7000-8000-000000000002",
    }


def test_what_a_recall_stops_it_stops_in_one_go(today):
    """A statement for each would take ten seconds for ten documents of one id to 1,500 units, and everybody waits."""
    asked = []
    for number in range(3):
        today.take(document("H55.13", *("H55.01", "H55.13.1", "G22")[: 1 + number], document_id=f"D{number}"))
    sa.event.listen(today.tx, "before_cursor_execute", lambda *said: asked.append(said[2]))
    updates = []
    for number in range(3):
        asked.clear()
        today.take(recall("H55.01", "H55.13.1", "G22", about=f"D{number}"))
        updates.append(sum("UPDATE delivery SET" in each and "reason" in each for each in asked))
    assert updates == [1, 1, 1]
