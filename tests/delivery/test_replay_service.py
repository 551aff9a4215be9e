"""The service of a node goes on with replay plans: those that the console made, that have a rate, or whose command line was killed."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.defer import fail
from twisted.internet.task import Clock

from hub.config.values import ReplaySettings
from hub.delivery import replay_service
from hub.delivery.replay_service import ReplayService
from hub.domain.errors import Unready
from hub.domain.model import DeliveryState
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.replay_rules import PlanState
from hub.partner.rate_limit import Rate
from hub.runtime.thread_pool import run_at_once
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.units.live import Live, Setup
from tests import databases
from tests.journal.test_replay_plans import LATER, bring, order, push, read, states, told
from tests.province import ROUTES


class Busy(InlineDatabase):
    """A journal that can be busy."""

    busy = False

    def admit(self, owner, step, *args, **kwargs):
        assert owner is replay_service.OWNER
        if self.busy:
            return fail(Unready("hub-busy", "too much"))
        return super().write(step, *args, **kwargs)


class Node:
    """One node with its service, a clock that a test turns, and what it was told."""

    def __init__(self, engine) -> None:
        self.clock, self.journal, self.woken, self.may = Clock(), Busy(engine), 0, True
        config = SimpleNamespace(replay=ReplaySettings())
        province = cast("Any", SimpleNamespace(routes=ROUTES, config=config))
        words = (self.journal, Live(Setup(province)), self.clock, self.now, self.check, self.wake)
        self.service = ReplayService(*words, run_at_once)

    def now(self):
        return LATER + replay_plans.TICK * self.clock.seconds()

    def check(self) -> None:
        if not self.may:
            raise Unready("node-stopped", "")

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def engine(tmp_path):
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    bring(made, 12)
    push(made, DeliveryState.DEAD)
    yield made
    made.dispose()


@pytest.fixture
def node(engine, monkeypatch):
    monkeypatch.setattr(replay_service, "LIMIT", 2)
    monkeypatch.setattr(replay_service, "STEPS", 3)
    return Node(engine)


def test_a_plan_goes_on_in_bounded_steps_and_wakes_the_delivery(engine, node):
    plan = order(engine)
    node.service.startService()
    queued = []
    for _ in range(9):
        queued.append(read(engine, plan_rows.read_plan, plan.id).queued)
        node.clock.advance(1)
    assert all(after - before <= 6 for before, after in pairwise(queued)), "at most three steps a run"
    assert read(engine, plan_rows.read_plan, plan.id).state is PlanState.DONE
    assert states(engine) == {DeliveryState.WAITING: 12}
    assert node.woken
    assert len(told(engine, "delivery-replayed")) == 12


def test_a_rate_is_kept(engine, node):
    plan = order(engine, rate=Rate.read("60/m"))
    node.service.startService()
    node.clock.pump([1.0] * 10)
    assert 7 <= read(engine, plan_rows.read_plan, plan.id).queued <= 10


def test_what_a_killed_process_had_begun_is_finished_once(engine, node):
    plan = order(engine)
    with transactions.write_transaction(engine) as tx:
        replay_plans.take_step(tx, plan.id, ROUTES, LATER, approve_over=None)
        replay_plans.take_step(tx, plan.id, ROUTES, LATER, approve_over=None, limit=5)
    other = Node(engine)
    for each in (node, other):
        each.service.startService()
    for _ in range(6):
        node.clock.advance(1)
        other.clock.advance(1)
    assert read(engine, plan_rows.read_plan, plan.id).state is PlanState.DONE
    assert len(told(engine, "delivery-replayed")) == 12


def test_a_node_that_must_not_work_or_whose_journal_is_busy_tries_again(engine, node):
    plan = order(engine)
    node.may = False
    node.service.startService()
    node.clock.advance(1)
    node.may, node.journal.busy = True, True
    node.clock.advance(1)
    assert read(engine, plan_rows.read_plan, plan.id).state is PlanState.PLANNING
    node.journal.busy = False
    node.clock.pump([1.0] * 6)
    assert read(engine, plan_rows.read_plan, plan.id).state is PlanState.DONE


def test_a_stop_begins_no_further_step(engine, node):
    plan = order(engine)
    node.service.startService()
    stopped = node.service.stopService()
    before = read(engine, plan_rows.read_plan, plan.id)
    node.clock.pump([1.0] * 5)
    assert stopped.called
    assert read(engine, plan_rows.read_plan, plan.id) == before
