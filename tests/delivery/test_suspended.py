"""By policy a delivery that waited too long waits for a person instead of dying: alone, or with its partner paused."""

from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.model import HUB, AfterGiveUp, DeliveryState
from hub.edxml.changes import Effect
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import deliveries, partner_state
from hub.journal.replays import replay
from hub.journal.replays.replay import ReplayChoice
from hub.journal.searching.message_filter import MessageFilter
from hub.store import transactions
from tests.province import ROUTES

SOON = timedelta(seconds=20)


@pytest.fixture
def patient(desk):
    """A desk whose partner is down and whose policy gives up after 20 seconds."""
    desk.up["vpub"] = False
    desk.policy = attrs.evolve(desk.policy, give_up=SOON, after_give_up=AfterGiveUp.WAIT)
    return desk


def write(desk, step, *args, **said):
    with transactions.write_transaction(desk.engine) as tx:
        return step(tx, *args, **said)


def resume(desk, partner="vpub", limit=100):
    """Do what `lienthong resume` does."""
    said = {"reason": "đã chạy lại", "by": "an", "now": desk.now()}
    write(desk, partner_state.resume_partner, partner, **said)
    return write(desk, deliveries.resume_deliveries, partner, limit, **said)


def told(desk, name):
    with transactions.read_transaction(desk.engine) as tx:
        return [text for text in tx.scalars(sa.text("SELECT text FROM event ORDER BY serial")) if f'"{name}"' in text]


def failed(desk):
    with transactions.read_transaction(desk.engine) as tx:
        return sum(each.milestone == "failed" for each in fact_rows.read_facts(tx))


def test_it_waits_for_a_person_and_arrives_when_resumed(patient):
    patient.start()
    one, other = patient.take(1, "H55.01"), patient.take(2, "G22")
    patient.pass_time(60, step=2)
    assert patient.states(one)["H55.01"][0] is DeliveryState.SUSPENDED
    assert patient.reason(one) == "suspended: connection refused"
    assert patient.states(other)["G22"][0] is DeliveryState.DELIVERED, "only that delivery is held"
    assert (failed(patient), len(told(patient, "delivery-suspended"))) == (0, 1)
    patient.up["vpub"] = True
    patient.pass_time(60, step=2)
    assert patient.states(one)["H55.01"][0] is DeliveryState.SUSPENDED, "the hub does not begin by itself"
    assert len(resume(patient)) == 1
    patient.pass_time(5)
    assert patient.states(one)["H55.01"][0] is DeliveryState.DELIVERED
    assert resume(patient) == []
    assert len(told(patient, "delivery-resumed")) == 1


@pytest.mark.slow
def test_what_was_never_tried_waits_too(patient):
    patient.start()
    for number in range(1, 31):
        patient.take(number, "H55.01")
    patient.pass_time(120, step=2)
    assert patient.count(DeliveryState.SUSPENDED) == 30
    assert patient.count(DeliveryState.DEAD) == 0


@pytest.mark.slow
def test_the_partner_is_paused_if_the_policy_says_so_until_a_person_resumes_it(patient):
    patient.policy = attrs.evolve(patient.policy, after_give_up=AfterGiveUp.PAUSE)
    patient.start()
    for number in range(1, 11):
        patient.take(number, "H55.01")
    patient.pass_time(60, step=2)
    suspended = patient.count(DeliveryState.SUSPENDED)
    assert 1 <= suspended <= 10
    with transactions.read_transaction(patient.engine) as tx:
        pause = partner_state.read_partner_standing(tx, "vpub").pause
    assert pause is not None
    assert (pause.by, pause.reason) == (HUB, "suspended: connection refused")
    asked = patient.asked["vpub"]
    patient.pass_time(60, step=2)
    assert patient.asked["vpub"] == asked, "nothing more is tried"
    assert patient.count(DeliveryState.SUSPENDED) == suspended, "and nothing more suspended"
    patient.up["vpub"] = True
    assert len(resume(patient)) == suspended
    patient.pass_time(60, step=2)
    assert patient.count(DeliveryState.DELIVERED) == 10


def test_a_partner_that_is_still_down_is_probed_before_it_is_paused_again(patient):
    patient.policy = attrs.evolve(patient.policy, after_give_up=AfterGiveUp.PAUSE)
    patient.start()
    for number in range(1, 11):
        patient.take(number, "H55.01")
    patient.pass_time(60, step=2)
    asked = patient.asked["vpub"]
    resume(patient)
    patient.pass_time(5)
    assert patient.asked["vpub"] > asked


def suspend(desk, number=1):
    desk.start()
    message = desk.take(number, "H55.01")
    desk.pass_time(60, step=2)
    assert desk.states(message)["H55.01"][0] is DeliveryState.SUSPENDED
    return message


def test_a_replay_takes_it_up(patient):
    message = suspend(patient)
    with transactions.write_transaction(patient.engine) as tx:
        moves = {}
        for state in ("dead", "suspended", None):
            choice = ReplayChoice((MessageFilter(ids=(message,), delivery_state=state),))
            moves[state] = [made for _, made in replay.choose_deliveries(tx, choice, ROUTES).moves]
        assert (moves["dead"], len(moves["suspended"]), moves[None]) == ([], 1, moves["suspended"])
        replay.replay_deliveries(tx, moves[None], ROUTES, reason="sửa", by="an", now=patient.now())
    patient.up["vpub"] = True
    patient.pass_time(30)
    assert patient.states(message)["H55.01"][0] is DeliveryState.DELIVERED


def test_a_person_gives_it_up_and_then_it_has_failed(patient):
    message = suspend(patient)
    with transactions.write_transaction(patient.engine) as tx:
        plan = replay.plan_give_up(tx, MessageFilter(ids=(message,)))
        waiting = [made for _, made in plan.moves]
        assert replay.give_up_deliveries(tx, waiting, reason="thôi", by="an", now=patient.now()) == waiting
    assert patient.states(message)["H55.01"][0] is DeliveryState.DEAD
    assert failed(patient) == 1
    assert resume(patient) == []


def test_a_recall_takes_it_back(patient):
    message = suspend(patient)
    with transactions.write_transaction(patient.engine) as tx:
        rows = deliveries.lock_stoppable_deliveries(tx, [message], {"H55.01"})
        deliveries.write_stops(tx, deliveries.plan_stops([(Effect.RECALLED, rows)], "m9", patient.now()))
    assert (patient.states(message)["H55.01"][0], patient.reason(message)) == (DeliveryState.DEAD, "recalled: m9")
    assert resume(patient) == []
    assert failed(patient) == 0
