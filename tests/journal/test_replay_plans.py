"""Plans to replay many deliveries: chosen and queued step by step, each chosen delivery once."""

import json
import threading
from contextlib import suppress
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, PacketKind
from hub.journal import messages
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import claims, pickup
from hub.journal.queue.claims import AttemptExchange
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.plan_rows import ReplayPlan
from hub.journal.replays.replay import ReplayChoice
from hub.journal.replays.replay_plans import KeyReused, SamePerson
from hub.journal.replays.replay_rules import PLAN, PlanEvent, PlanState, PlanUnmovable, count_room, move_plan
from hub.journal.searching.message_filter import MessageFilter
from hub.partner.rate_limit import Rate
from hub.store import transactions
from hub.store.tables import event
from tests.databases import sqlite
from tests.examples import at_most
from tests.province import NOW, ROUTES, document, entry

LATER = NOW + timedelta(hours=1)
ALL = MessageFilter()


@pytest.fixture
def engine(journal_url):
    made = transactions.open_journal(journal_url)
    yield made
    made.dispose()


def write(engine, step, *args, **said):
    with transactions.write_transaction(engine) as tx:
        return step(tx, *args, **said)


def read(engine, step, *args, **said):
    with transactions.read_transaction(engine) as tx:
        return step(tx, *args, **said)


def bring(engine, count, *, first=1, to="H55.01"):
    for number in range(first, first + count):
        write(engine, messages.record_message, entry(document("H55.13", to, document_id=f"D{number}"), number), ROUTES)


def push(engine, *states, now=NOW, partner="vpub"):
    """Let the partner answer what is due: one state each, the last one for all others."""
    taken = write(
        engine, claims.claim_deliveries, partner, now, limit=10_000, holder="node", lease=timedelta(minutes=1)
    )
    for place, claim in enumerate(taken):
        state = states[min(place, len(states) - 1)]
        dead = state is DeliveryState.DEAD
        verdict = AttemptVerdict(state, "refused: no" if dead else None)
        outcome = DeliveryEvent.REFUSED if dead else DeliveryEvent.ACCEPTED
        assert write(engine, claims.settle_claim, claims.EndedAttempt(claim, outcome, verdict, AttemptExchange(), now))
    return taken


def order(engine, wanted=ALL, *, again=False, key="k", by="an", now=LATER, goes=True, **said):
    choice = ReplayChoice.of(wanted, said.pop("recipient", None), said.pop("partner", None), again=again, made_at=now)
    return write(engine, replay_plans.make_plan, choice, key=key, reason="sửa", by=by, now=now, goes=goes, **said)


def step(engine, plan, *, now=LATER, limit=200, over=None) -> ReplayPlan:
    found = write(engine, replay_plans.take_step, plan.id, ROUTES, now, approve_over=over, limit=limit)
    assert isinstance(found, ReplayPlan)
    return found


def run(engine, plan, **said):
    while plan.state in (PlanState.PLANNING, PlanState.RUNNING):
        plan = step(engine, plan, **said)
    return plan


def told(engine, name):
    found = [json.loads(text) for text in read(engine, lambda tx: list(tx.scalars(sa.select(event.c.text))))]
    return [each for each in found if each["event"] == name]


def states(engine):
    query = sa.text("SELECT state, count(*) FROM delivery GROUP BY state")
    return {DeliveryState(state): count for state, count in read(engine, lambda tx: tx.execute(query).all())}


def test_a_plan_says_what_it_would_do_and_moves_nothing(engine):
    bring(engine, 5)
    push(engine, DeliveryState.DEAD, DeliveryState.DEAD, DeliveryState.DELIVERED)
    plan = run(engine, order(engine, goes=False))
    assert (plan.state, plan.chosen, plan.delivered, plan.partners) == (PlanState.PLANNED, 2, 0, {"vpub": 2})
    assert plan.octets > 0
    assert states(engine) == {DeliveryState.DEAD: 2, DeliveryState.DELIVERED: 3}
    again = run(engine, order(engine, again=True, key="other", goes=False))
    assert (again.chosen, again.delivered, again.left_out) == (5, 3, {})


def test_what_was_delivered_goes_again_and_no_report_counts_it_twice(engine):
    bring(engine, 3)
    push(engine, DeliveryState.DELIVERED)
    counted = read(engine, lambda tx: list(fact_rows.read_facts(tx)))
    plan = run(engine, order(engine, again=True))
    assert (plan.state, plan.queued) == (PlanState.DONE, 3)
    claimed = push(engine, DeliveryState.DELIVERED, DeliveryState.DEAD, now=LATER)
    assert all(claim.again for claim in claimed), "an adapter is told of it"
    assert read(engine, lambda tx: list(fact_rows.read_facts(tx))) == counted, "nor is a refused repetition a failure"
    assert read(engine, plan_rows.count_results, plan.id) == {"delivered": 1, "dead": 2}
    dead = [read(engine, plan_rows.list_items, plan.id, after, 1, DeliveryState.DEAD) for after in (0, 2, 3)]
    assert [[each.number for each in page] for page in dead] == [[2], [3], []]
    assert read(
        engine, lambda tx: [each.number for each in plan_rows.iterate_items(tx, plan.id, DeliveryState.DEAD)]
    ) == [2, 3]
    assert {each.get("was") for each in told(engine, "delivery-replayed")} == {"delivered"}


def test_what_a_partner_fetches_is_held_again(engine):
    bring(engine, 1, to="H55.13.1")
    bring(engine, 1, first=2)
    name = "00000000-0000-7000-8000-000000000001"
    with transactions.write_transaction(engine) as tx:
        pickup.fetch_message(tx, "sotttt", name, NOW)
        pickup.confirm_receipt(tx, "sotttt", name, None, NOW)
    plan = run(engine, order(engine, MessageFilter(ids=(name,)), again=True))
    assert plan.queued == 1
    assert read(engine, pickup.list_pending_messages, "sotttt", "H55.13.1", 10, LATER) == [name]
    with transactions.write_transaction(engine) as tx:
        pickup.fetch_message(tx, "sotttt", name, LATER)
        pickup.confirm_receipt(tx, "sotttt", name, None, LATER)
    assert [(f.unit, f.milestone) for f in read(engine, lambda tx: list(fact_rows.read_facts(tx)))].count(
        ("H55.13.1", "received")
    ) == 1


def test_everything_for_one_partner_again_leaves_out_what_it_sent(engine):
    bring(engine, 2)
    write(engine, messages.record_message, entry(document("H55.01", "H55.13"), 9, partner="vpub"), ROUTES)
    push(engine, DeliveryState.DELIVERED)
    plan = run(engine, order(engine, MessageFilter(partner="vpub"), again=True, goes=False))
    assert plan.partners == {"vpub": 2}
    assert plan.left_out == {}
    other = run(engine, order(engine, MessageFilter(), partner="sotttt", again=True, goes=False, key="o"))
    assert (other.chosen, other.left_out) == (0, {"under-way": 1})


def test_a_document_that_was_recalled_after_its_delivery_is_not_sent_again(engine):
    bring(engine, 1)
    push(engine, DeliveryState.DELIVERED)
    plan = run(engine, order(engine, again=True, goes=False, key="before"))
    recall = attrs.evolve(document("H55.13", "H55.01", document_id="R1"), kind=PacketKind.RECALL, about="D1")
    write(engine, messages.record_message, entry(recall, 7, at=NOW + timedelta(minutes=1)), ROUTES)
    found = run(engine, order(engine, MessageFilter(kind="document"), again=True, goes=False, key="after"))
    assert (found.chosen, found.left_out) == (0, {"stopped": 1})
    plan = write(engine, replay_plans.start_plan, plan.id, by="an", now=LATER, approve_over=None)
    plan = run(engine, plan)
    assert (plan.queued, plan.skipped) == (0, 1), "the recall came after the plan"
    (item,) = read(engine, plan_rows.list_items, plan.id)
    assert (item.state, item.why) == ("left", "recalled: 00000000-0000-7000-8000-000000000007")


def test_what_was_recalled_twice_stays_away_though_it_came_between(engine):
    bring(engine, 1)
    recall = attrs.evolve(document("H55.13", "H55.01", document_id="R1"), kind=PacketKind.RECALL, about="D1")
    update = attrs.evolve(document("H55.13", "H55.01"), kind=PacketKind.UPDATE, about="D1")
    for number, packet in ((7, recall), (8, update), (9, attrs.evolve(recall, document_id="R2"))):
        made = entry(packet, number, at=NOW + timedelta(minutes=number))
        write(engine, messages.record_message, made, ROUTES)
        push(engine, DeliveryState.DELIVERED, now=made.received_at)
    found = run(engine, order(engine, MessageFilter(kind="update"), again=True, goes=False))
    assert (found.chosen, found.left_out) == (0, {"stopped": 1})
    (item,) = read(engine, plan_rows.list_items, found.id)
    assert item.why == "recalled: 00000000-0000-7000-8000-000000000009"


def test_what_was_read_for_a_step_counts_only_where_nobody_was_faster(engine):
    bring(engine, 5)
    push(engine, DeliveryState.DEAD)
    plan = order(engine, goes=False)
    read_first = read(engine, replay_plans.choose_next, plan.id, ROUTES, 2)
    for chosen in (read_first, read_first, None):
        plan = write(engine, replay_plans.take_step, plan.id, ROUTES, LATER, approve_over=None, limit=2, chosen=chosen)
    items = read(engine, plan_rows.list_items, plan.id)
    assert (plan.state, plan.chosen) == (PlanState.PLANNED, 5)
    assert [item.number for item in items] == [1, 2, 3, 4, 5]
    assert len({item.delivery.id for item in items}) == 5
    assert read(engine, replay_plans.choose_next, plan.id, ROUTES) is None


def test_a_partner_that_is_gone_gets_nothing(engine):
    bring(engine, 1)
    push(engine, DeliveryState.DEAD)
    plan = order(engine)
    nobody = attrs.evolve(ROUTES, partners={})
    plan = write(engine, replay_plans.take_step, plan.id, nobody, LATER, approve_over=None)
    assert (plan.chosen, plan.left_out) == (0, {"no-partner": 1})


def test_pressing_twice_runs_once(engine):
    bring(engine, 2)
    push(engine, DeliveryState.DELIVERED)
    first = order(engine, again=True)
    again = order(engine, again=True, now=LATER + timedelta(seconds=2))
    assert again.id == first.id
    plan = run(engine, first)
    for _ in range(2):
        assert write(engine, replay_plans.start_plan, plan.id, by="an", now=LATER, approve_over=None) == plan
    assert len(told(engine, "delivery-replayed")) == 2
    with pytest.raises(KeyReused):
        order(engine, MessageFilter(unit="H55.01"), again=True)


def test_two_engineers_who_plan_the_same_replay_it_once(engine):
    bring(engine, 3)
    push(engine, DeliveryState.DELIVERED)
    ans = run(engine, order(engine, again=True, goes=False, key="an"))
    binhs = run(engine, order(engine, again=True, goes=False, key="binh", by="binh"))
    for plan in (ans, binhs):
        write(engine, replay_plans.start_plan, plan.id, by=plan.made_by, now=LATER, approve_over=None)
        run(engine, read(engine, plan_rows.read_plan, plan.id))
        push(engine, DeliveryState.DELIVERED, now=LATER)
    left = read(engine, plan_rows.read_plan, binhs.id)
    assert (left.state, left.queued, left.skipped) == (PlanState.DONE, 0, 3)
    assert {each.why for each in read(engine, plan_rows.list_items, left.id)} == {"moved"}
    assert len(told(engine, "delivery-replayed")) == 3


def test_two_processes_that_run_one_plan_queue_each_delivery_once(engine):
    bring(engine, 40)
    push(engine, DeliveryState.DEAD)
    plan = order(engine)
    problems = []

    def process():
        try:
            for _ in range(200):
                with transactions.write_transaction(engine) as tx:
                    found = replay_plans.take_step(tx, plan.id, ROUTES, LATER, approve_over=None, limit=3)
                if found is not None and found.state is PlanState.DONE:
                    return
        except Exception as error:  # noqa: BLE001 - of a thread
            problems.append(error)

    threads = [threading.Thread(target=process) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert states(engine) == {DeliveryState.WAITING: 40}
    assert len({each["delivery"] for each in told(engine, "delivery-replayed")}) == 40
    assert len(told(engine, "delivery-replayed")) == 40


def test_a_rate_is_kept_and_a_pause_saves_nothing_up(engine):
    bring(engine, 30)
    push(engine, DeliveryState.DEAD)
    plan = step(engine, order(engine, rate=Rate.read("120/m")))
    counts = []
    for second in range(6):
        plan = step(engine, plan, now=LATER + timedelta(seconds=second))
        counts.append(plan.queued)
    assert counts == [1, 3, 5, 7, 9, 11]
    write(engine, replay_plans.change_plan, plan.id, PlanEvent.PAUSE, by="an", now=LATER)
    paused = step(engine, plan, now=LATER + timedelta(minutes=5))
    assert (paused.state, paused.queued) == (PlanState.PAUSED, 11)
    write(engine, replay_plans.change_plan, plan.id, PlanEvent.RESUME, by="an", now=LATER)
    resumed = step(engine, plan, now=LATER + timedelta(minutes=5))
    assert resumed.queued <= 14
    late = run(engine, resumed, now=LATER + timedelta(minutes=50)) if resumed.waits == 0 else resumed
    cancelled = write(engine, replay_plans.change_plan, late.id, PlanEvent.CANCEL, by="an", now=LATER)
    assert cancelled.state is PlanState.CANCELLED
    assert states(engine)[DeliveryState.DEAD] == 30 - cancelled.queued
    with pytest.raises(PlanUnmovable):
        write(engine, replay_plans.change_plan, plan.id, PlanEvent.RESUME, by="an", now=LATER)


def test_a_plan_stops_after_errors_and_goes_on_when_a_person_resumes_it(engine, monkeypatch):
    monkeypatch.setattr(replay_plans, "AHEAD", 4)
    bring(engine, 20)
    push(engine, DeliveryState.DEAD)
    plan = step(engine, order(engine, stop_after=3))
    plan = step(engine, plan)
    assert plan.queued == 4, "no more than so many without a result"
    assert step(engine, plan).queued == 4
    push(engine, DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.DEAD, now=LATER)
    plan = step(engine, plan)
    assert (plan.state, plan.queued) == (PlanState.STOPPED, 4)
    plan = write(engine, replay_plans.change_plan, plan.id, PlanEvent.RESUME, by="an", now=LATER)
    while plan.state is PlanState.RUNNING:
        plan = step(engine, plan)
        push(engine, DeliveryState.DELIVERED, now=LATER)
    assert (plan.state, plan.queued) == (PlanState.DONE, 20)


def test_a_large_plan_waits_for_another_person(engine):
    bring(engine, 3)
    push(engine, DeliveryState.DEAD)
    small = run(engine, order(engine, key="small", goes=False), over=3)
    assert write(engine, replay_plans.start_plan, small.id, by="an", now=LATER, approve_over=3).state == "running"
    write(engine, replay_plans.change_plan, small.id, PlanEvent.CANCEL, by="an", now=LATER)
    plan = run(engine, order(engine), over=2)
    assert plan.state is PlanState.AWAITING
    with pytest.raises(SamePerson):
        write(engine, replay_plans.approve_plan, plan.id, by="An", now=LATER)
    assert states(engine) == {DeliveryState.DEAD: 3}
    for by in ("binh", "chi"):
        plan = write(engine, replay_plans.approve_plan, plan.id, by=by, now=LATER)
        assert (plan.state, plan.approved_by) == (PlanState.RUNNING, "binh")
    assert run(engine, plan, over=2).queued == 3


def test_an_order_means_what_was_received_before_it(engine):
    bring(engine, 1)
    push(engine, DeliveryState.DEAD)
    plan = order(engine, now=NOW + timedelta(minutes=1))
    late = entry(document("H55.13", "H55.01", document_id="late"), 99, at=NOW + timedelta(minutes=2))
    late = attrs.evolve(late, id="019e0000-0000-7000-8000-000000000099")
    write(engine, messages.record_message, late, ROUTES)
    assert run(engine, plan).chosen <= 1


def test_a_choice_is_read_as_it_was_written():
    wanted = MessageFilter(partner="vpub", since=NOW, until=LATER, ids=("a", "b"), kind="document")
    choice = ReplayChoice.of(wanted, "H55.01", again=True, made_at=LATER)
    assert ReplayChoice.read(choice.write()) == choice
    assert choice.partner == "vpub"
    both = ReplayChoice.of((wanted, MessageFilter(partner="sotttt", words=("a",))), again=True, made_at=LATER)
    assert ReplayChoice.read(both.write()) == both
    assert both.partner is None, "neither of them"


@pytest.mark.slow
@settings(max_examples=at_most(25), deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("step"), st.integers(1, 7)),
            st.tuples(st.just("undone step"), st.integers(1, 7)),
            st.tuples(st.sampled_from(["pause", "resume"]), st.just(0)),
            st.tuples(st.sampled_from(["deliver", "refuse", "replay of another"]), st.just(0)),
        ),
        max_size=30,
    )
)
def test_whatever_happens_each_chosen_delivery_is_replayed_once(tmp_path_factory, happenings):
    """Steps of a plan, some undone by a crash, among pauses, deliveries and the replay of another person."""
    engine = transactions.open_journal(sqlite(tmp_path_factory.mktemp("plan") / "hub.db"))
    bring(engine, 6)
    push(engine, DeliveryState.DELIVERED, DeliveryState.DELIVERED, DeliveryState.DEAD)
    counted = [fact for fact in read(engine, lambda tx: list(fact_rows.read_facts(tx))) if fact.milestone == "received"]
    plan, now = run(engine, order(engine, again=True, goes=False)), LATER
    write(engine, replay_plans.start_plan, plan.id, by="an", now=now, approve_over=None)
    others = 0
    for what, limit in [*happenings, ("resume", 0), ("step", 6), ("step", 6)]:
        now += timedelta(seconds=1)
        if what == "step":
            write(engine, replay_plans.take_step, plan.id, ROUTES, now, approve_over=None, limit=limit)
        elif what == "undone step":
            with suppress(ZeroDivisionError), transactions.write_transaction(engine) as tx:
                replay_plans.take_step(tx, plan.id, ROUTES, now, approve_over=None, limit=limit)
                raise ZeroDivisionError
        elif what in ("pause", "resume"):
            with suppress(PlanUnmovable):
                write(engine, replay_plans.change_plan, plan.id, PlanEvent(what), by="an", now=now)
        elif what == "replay of another":
            others += 1
            run(engine, order(engine, again=True, key=f"{others}", by="binh", now=now), now=now)
        else:
            push(engine, DeliveryState.DELIVERED if what == "deliver" else DeliveryState.DEAD, now=now)
    plan = read(engine, plan_rows.read_plan, plan.id)
    ours = [each["delivery"] for each in told(engine, "delivery-replayed") if each["plan"] == plan.id]
    assert plan.state is PlanState.DONE
    assert len(ours) == len(set(ours)) == plan.queued
    items = read(engine, plan_rows.list_items, plan.id)
    assert {each.delivery.id for each in items if each.state == "queued"} == set(ours)
    assert plan.queued + plan.skipped == plan.chosen == 6
    if not others:
        assert plan.skipped == 0
    push(engine, DeliveryState.DELIVERED, now=now + timedelta(days=1))
    after = [fact for fact in read(engine, lambda tx: list(fact_rows.read_facts(tx))) if fact.milestone == "received"]
    assert {(f.unit, f.key) for f in after} >= {(f.unit, f.key) for f in counted}
    assert len({(f.unit, f.key) for f in after}) == len(after)
    engine.dispose()


def test_a_plan_moves_only_by_its_table():
    for state in PlanState:
        for what in PlanEvent:
            if (state, what) in PLAN:
                assert move_plan(state, what) is PLAN[state, what]
            else:
                with pytest.raises(PlanUnmovable):
                    move_plan(state, what)
    assert not [key for key in PLAN if key[0] in (PlanState.DONE, PlanState.CANCELLED)]


def test_the_room_of_a_rate_is_bounded_whatever_the_clock_does():
    rate, tick = Rate.read("60/m"), timedelta(seconds=1)
    assert count_room(None, None, NOW, 50, tick) == 50
    assert count_room(rate, None, NOW, 50, tick) == 1
    assert count_room(rate, NOW - timedelta(days=1), NOW, 50, tick) == 2
    assert count_room(rate, NOW + timedelta(milliseconds=900), NOW, 50, tick) == 0
    assert count_room(rate, NOW + timedelta(days=1), NOW, 50, tick) == 1, "the clock was set back"
