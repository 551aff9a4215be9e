"""Corrected messages in the journal: one new message for an original, linked both ways, and nothing is counted twice."""

import threading
from datetime import timedelta

import attrs
import pytest

from hub.config.values import ReplaySettings
from hub.domain.errors import Rejected
from hub.domain.model import DeliveryState, PacketKind, Problem
from hub.journal import events, lineage, messages, statuses
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import deliveries
from hub.journal.replays import corrections, plan_rows, replay_plans
from hub.journal.replays.corrections import CorrectionOrder
from hub.journal.replays.replay_plans import KeyReused
from hub.journal.replays.replay_rules import PlanEvent, PlanState
from hub.journal.searching import message_reading
from hub.journal.searching.message_filter import MessageFilter
from hub.store import transactions
from tests.journal.test_changed_documents import recall
from tests.journal.test_replay_plans import LATER, order, push, read, run, told, write
from tests.province import NOW, ROUTES, document, entry, status

NO_RULES = ReplaySettings()
REFUSAL = (Problem("R.MessageHeader.Subject", "line 3: too long"),)


@pytest.fixture
def engine(journal_url):
    made = transactions.open_journal(journal_url)
    yield made
    made.dispose()


def bring(engine, packet, number=1, **fields):
    return write(engine, messages.record_message, entry(packet, number, **fields), ROUTES).id


def plan(engine, original, packet, number=100, *, key="k", by="an", goes=True, **fields):
    judged = judge(original, packet, number, **fields)
    said = CorrectionOrder(original=original, given=judged.sha256, key=key, reason="sai số", by=by)
    return write(engine, corrections.plan_correction, said, judged, ROUTES, LATER, goes=goes)


def judge(original, packet, number=100, **fields):
    made = entry(packet, number, at=LATER, **fields)
    return attrs.evolve(made, message_id=f"corrected-{original}")


def perform(engine, planned, packet, number=100, rules=NO_RULES, **fields):
    judged = judge(planned.corrects, packet, number, **fields)
    return write(engine, corrections.perform_correction, planned.id, judged, ROUTES, LATER, rules)


def correct(engine, original, packet, number=100, key="k"):
    return perform(engine, plan(engine, original, packet, number, key=key), packet, number)


def made_of(engine, message):
    made = read(engine, deliveries.read_message_deliveries, message)
    return {each.recipient: (str(each.state), each.stopped) for each in made}


def links(engine, message):
    found = read(engine, message_reading.read_message, message)
    return [(each.relation, each.id) for each in read(engine, lineage.read_message_links, found, ())]


def counted(engine):
    found = read(engine, lambda tx: list(fact_rows.read_facts(tx)))
    return sorted((fact.unit, fact.milestone, fact.message) for fact in found)


def refusal(step, *args, **said):
    with pytest.raises(Rejected) as caught:
        step(*args, **said)
    (problem,) = caught.value.problems
    return problem.code, str(problem.detail)


def test_a_refused_message_goes_corrected_as_a_new_one(engine):
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    done = correct(engine, original, document())
    assert (done.state, done.chosen, done.queued, done.partners) == (PlanState.DONE, 1, 1, {"vpub": 1})
    assert made_of(engine, done.corrected) == {"H55.01": ("waiting", None)}
    assert links(engine, original)[0] == ("corrected-by", done.corrected)
    assert links(engine, done.corrected)[0] == ("corrects", original)
    kept = read(engine, message_reading.read_message, original)
    assert (kept.state, kept.refusal) == ("refused", "R.MessageHeader.Subject: line 3: too long")
    assert counted(engine) == [("H55.13", "sent", done.corrected)]
    (ours,), (theirs,) = told(engine, "message-corrected"), told(engine, "message-corrects")
    assert (ours["message"], ours["corrected"], ours["by"], ours["reason"]) == (
        original,
        done.corrected,
        "an",
        "sai số",
    )
    assert (theirs["message"], theirs["original"], theirs["plan"]) == (done.corrected, original, done.id)


def test_of_an_accepted_message_the_dead_deliveries_are_closed_and_nothing_is_counted_twice(engine):
    original = bring(engine, document("H55.13", "H55.01", "G22.1"))
    push(engine, DeliveryState.DEAD)
    push(engine, DeliveryState.DELIVERED, partner="vpcp")
    before = counted(engine)
    done = correct(engine, original, document("H55.13", "H55.01", "G22.1"))
    assert made_of(engine, original) == {
        "H55.01": ("dead", f"corrected: {done.corrected}"),
        "G22.1": ("delivered", None),
    }
    assert made_of(engine, done.corrected) == {"H55.01": ("waiting", None)}, "who has it gets it once"
    assert (done.left_out, counted(engine)) == ({"has-it": 1}, before)
    (told_in_lists,) = {each.reason for each in read(engine, deliveries.read_message_deliveries, original)} - {None}
    assert told_in_lists == f"corrected: {done.corrected}"
    push(engine, DeliveryState.DEAD, now=LATER)
    assert counted(engine) == before, "nor is a second failure of the document counted"
    (closed,) = told(engine, "delivery-marked")
    assert (closed["message"], closed["reason"]) == (original, f"corrected: {done.corrected}")
    again = correct(engine, done.corrected, document("H55.13", "H55.01", "G22.1"), 101, key="k2")
    push(engine, DeliveryState.DELIVERED, now=LATER)
    assert [fact for fact in counted(engine) if fact not in before] == [("H55.01", "received", again.corrected)]


def test_a_closed_delivery_is_never_replayed(engine):
    original = bring(engine, document())
    push(engine, DeliveryState.DEAD)
    done = correct(engine, original, document())
    replayed = run(engine, order(engine, MessageFilter(ids=(original,)), key="r", now=LATER + timedelta(hours=1)))
    assert (replayed.chosen, replayed.left_out) == (0, {"corrected": 1})
    assert made_of(engine, original) == {"H55.01": ("dead", f"corrected: {done.corrected}")}


def test_an_original_is_corrected_once(engine):
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    mine, hers = plan(engine, original, document()), plan(engine, original, document(), 101, key="h", by="binh")
    assert plan(engine, original, document()).id == mine.id, "pressed twice"
    assert perform(engine, mine, document()).state is PlanState.DONE
    assert perform(engine, mine, document(), 102).corrected == judge(original, document()).id, "carried out twice"
    late = perform(engine, hers, document(), 101)
    assert (late.state, late.left_out, late.corrected) == (PlanState.STOPPED, {"not-correctable": 1}, None)
    assert len(told(engine, "message-accepted")) == 1
    code, why = refusal(plan, engine, original, document(), 103, key="third")
    assert (code, "an" in why, done_of(engine, mine) in why) == ("not-correctable", True, True)
    with pytest.raises(KeyReused):
        plan(engine, original, document(), by="binh")


def done_of(engine, planned):
    return read(engine, plan_rows.read_plan, planned.id).corrected


def test_two_people_at_once_correct_it_once(engine):
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    plans = [plan(engine, original, document(), 100 + n, key=f"k{n}", by=f"p{n}") for n in range(3)]
    barrier, found = threading.Barrier(3), []

    def go(number):
        barrier.wait()
        found.append(perform(engine, plans[number], document(), 100 + number))

    threads = [threading.Thread(target=go, args=(number,)) for number in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(str(each.state) for each in found) == ["done", "stopped", "stopped"]
    assert len(told(engine, "message-corrected")) == len(told(engine, "delivery-waiting")) == 1


def test_a_second_person_approves(engine):
    rules = ReplaySettings(approve_corrected=True)
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    waits = perform(engine, plan(engine, original, document()), document(), rules=rules)
    assert (waits.state, told(engine, "message-accepted")) == (PlanState.AWAITING, [])
    with pytest.raises(replay_plans.SamePerson):
        write(engine, replay_plans.approve_plan, waits.id, by="An", now=LATER)
    runs = write(engine, replay_plans.approve_plan, waits.id, by="binh", now=LATER)
    done = perform(engine, runs, document(), rules=rules)
    assert (done.state, done.approved_by) == (PlanState.DONE, "binh")
    assert told(engine, "message-corrects")[0]["approved_by"] == "binh"


def test_a_step_of_the_service_leaves_it_to_those_who_can_judge(engine):
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    made = plan(engine, original, document())
    assert write(engine, replay_plans.take_step, made.id, ROUTES, LATER, approve_over=None) == made
    assert read(engine, plan_rows.list_active_plans) == [made.id]


def test_what_is_wrong_stops_the_plan_and_writes_nothing(engine):
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    made = plan(engine, original, document())
    stopped = perform(engine, made, document(), problems=(Problem("unit-unknown", "H55.99"),))
    assert (stopped.state, stopped.left_out) == (PlanState.STOPPED, {"unit-unknown": 1})
    foreign = bring(engine, document("H55.01", "H55.13", document_id="V"), 2, partner="vpub")
    assert foreign
    refused = bring(engine, recall("H55.01", about="V"), 3, problems=REFUSAL, receipt=None)
    other = perform(
        engine, plan(engine, refused, recall("H55.01", about="V"), 110, key="k2"), recall("H55.01", about="V"), 110
    )
    assert (other.state, other.left_out) == (PlanState.STOPPED, {"not-the-sender": 1})
    assert [each["message"] for each in told(engine, "message-refused")] == [original, refused]
    again = write(engine, replay_plans.change_plan, made.id, PlanEvent.RESUME, by="an", now=LATER)
    assert perform(engine, again, document()).state is PlanState.DONE


def test_a_delivery_that_was_replayed_meanwhile_is_not_closed(engine):
    original = bring(engine, document())
    push(engine, DeliveryState.DEAD)
    made = plan(engine, original, document())
    run(engine, order(engine, MessageFilter(ids=(original,)), key="r", now=LATER + timedelta(hours=1)))
    assert perform(engine, made, document()).left_out == {"not-correctable": 1}
    assert made_of(engine, original) == {"H55.01": ("waiting", None)}


def test_nobody_gets_a_document_that_was_taken_back_or_that_came_by_itself(engine):
    original = bring(engine, document("H55.13", "H55.01", "G22.1"))
    push(engine, DeliveryState.DEAD)
    push(engine, DeliveryState.DEAD, partner="vpcp")
    bring(engine, recall("H55.01", document_id="X"), 2)
    done = correct(engine, original, document("H55.13", "H55.01", "G22.1"))
    assert (set(made_of(engine, done.corrected)), done.left_out) == ({"G22.1"}, {"stopped": 1})
    refused = bring(engine, document(document_id="D9"), 3, problems=REFUSAL, receipt=None)
    bring(engine, document(document_id="D9"), 4)  # its sender has corrected it
    assert refusal(plan, engine, refused, document(document_id="D9"), 111, key="k2") == ("nobody-left", "H55.01")


@pytest.mark.parametrize(
    ("packet", "fields", "why"),
    [
        (document(), {}, "no dead delivery"),
        (recall("H55.01"), {}, "exactly these bytes"),
        (status("03", organ="H55.01", sender="H55.01"), {}, "no dead delivery"),
        (document(), {"problems": REFUSAL, "receipt": None, "message_id": None}, "the call was refused"),
        (document(), {"problems": REFUSAL, "receipt": None, "withheld": True}, "not kept"),
        (document(), {"problems": REFUSAL, "receipt": None, "partner": "hub"}, "only packets of partners"),
    ],
)
def test_what_cannot_be_corrected_says_why(engine, packet, fields, why):
    made = attrs.evolve(entry(packet), **fields)
    original = write(engine, messages.record_message, made, ROUTES).id
    if packet.kind is PacketKind.RECALL:
        push(engine, DeliveryState.DEAD)
    code, said = refusal(read, engine, corrections.read_correctable_message, original)
    assert (code, why in said) == ("not-correctable", True), said


def test_a_status_that_died_is_corrected_and_counted_once(engine):
    bring(engine, document())
    push(engine, DeliveryState.DELIVERED)
    sent = bring(engine, status("03"), 2, partner="vpub")
    assert made_of(engine, sent) == {"H55.13": ("held", None)}
    bring(engine, document("H55.01", "G22.1", document_id="E"), 3, partner="vpub")
    push(engine, DeliveryState.DELIVERED, partner="vpcp")
    answer = status("03", sender="H55.13", organ="G22.1", document_id="Z")
    dead = bring(engine, answer, 4)
    push(engine, DeliveryState.DEAD, partner="vpcp")
    before = counted(engine)
    done = correct(engine, dead, answer)
    assert (done.state, counted(engine)) == (PlanState.DONE, before)
    assert made_of(engine, done.corrected) == {"G22.1": ("waiting", None)}


def test_the_packet_of_a_plan_is_kept_before_it_runs(engine):
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    made = plan(engine, original, document(), goes=False)
    assert (made.state, made.octets) == (PlanState.PLANNED, len(b"packet 100"))
    assert (
        write(engine, replay_plans.start_plan, made.id, by="an", now=NOW, approve_over=None).state is PlanState.RUNNING
    )
    cancelled = write(engine, replay_plans.change_plan, made.id, PlanEvent.CANCEL, by="an", now=NOW)
    assert perform(engine, cancelled, document()).corrected is None


def test_the_events_of_both_are_read_with_them(engine):
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    done = correct(engine, original, document())
    assert "message-corrected" in [each["event"] for each in read(engine, events.read_message_events, original)]
    assert "message-corrects" in [each["event"] for each in read(engine, events.read_message_events, done.corrected)]


def test_a_status_about_the_corrected_one_is_found_under_the_original(engine):
    original = bring(engine, document())
    push(engine, DeliveryState.DEAD)
    done = correct(engine, original, document())
    push(engine, DeliveryState.DELIVERED, now=LATER)
    bring(engine, status("03"), 7, partner="vpub", at=LATER)
    (trace,) = read(engine, statuses.read_status_traces, "H55.13", document=original)
    assert trace.document == done.corrected


@pytest.mark.parametrize("same", [True, False])
def test_a_partner_that_takes_the_name_of_a_correction_stops_only_that(engine, same):
    original = bring(engine, document(), problems=REFUSAL, receipt=None)
    made = plan(engine, original, document())
    squatter = (
        judge(original, document(), 50)
        if not same
        else attrs.evolve(judge(original, document()), id=judge("x", document(), 51).id)
    )
    write(engine, messages.record_message, squatter, ROUTES)
    stopped = perform(engine, made, document())
    assert (stopped.state, stopped.corrected) == (PlanState.STOPPED, None)
    assert set(stopped.left_out) <= {"id-reused", "nobody-left"}
