"""Who has used more of the only writer than its share waits, and nobody else; what was used is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.fair_queue import CONSOLE, DUTIES, STRANGERS
from hub.domain.writer_budget import CREDIT, SHARE, SPAN, TURN, WriterBudget


def test_who_keeps_to_its_turns_owes_nothing_however_many_it_has():
    budget = WriterBudget()
    for _ in range(10_000):
        budget.charge("a", TURN, TURN, 0.0)
    assert (budget.find_resting(0.0), budget.find_long(0.0), budget.find_rest(0.0)) == (frozenset(), frozenset(), 0.0)


def test_a_long_step_is_owed_until_time_has_paid_it():
    budget = WriterBudget()
    budget.charge("a", TURN + CREDIT + 1.0, 2.0, 0.0)
    assert budget.find_resting(0.0) == {"a"}
    assert budget.find_rest(0.0) == pytest.approx(1.0 / SHARE)
    assert budget.find_resting(1.0 / SHARE - 0.01) == {"a"}
    assert budget.find_resting(1.0 / SHARE + 0.01) == frozenset()
    assert budget.find_long(1.0 / SHARE + 0.01) == {"a"}, "its next one may be as long"
    assert budget.find_long((1.0 + CREDIT / 2) / SHARE + 0.01) == frozenset(), "it owes little now"


def test_a_few_long_steps_of_an_honest_partner_are_borne():
    budget = WriterBudget()
    for _ in range(8):
        budget.charge("a", 2 * TURN, 2 * TURN, 0.0)
    assert budget.find_resting(0.0) == budget.find_long(0.0) == frozenset()


def test_the_hubs_own_work_owes_nothing_and_strangers_do():
    budget = WriterBudget()
    for owner in ("", CONSOLE.name, DUTIES.name, STRANGERS.name, "b"):
        budget.charge(owner, 9.0, 9.0, 0.0)
    assert budget.find_resting(0.0) == {STRANGERS.name, "b"}


def test_nobody_waits_longer_than_ten_seconds_alone():
    """The machine may have stood still."""
    budget = WriterBudget()
    budget.charge("a", 900.0, 900.0, 0.0)
    assert budget.find_rest(0.0) == pytest.approx(10.0)


def test_a_writer_that_is_always_busy_is_told_with_who_keeps_it_busy():
    budget, now = WriterBudget(), 0.0
    for _ in range(int(3 * SPAN)):
        now += 1.0
        budget.charge("", 0.2, 0.2, now)
        budget.charge("a", 0.01, 0.7, now)
    found = budget.read(now)
    assert found.is_busy
    assert list(found.uses) == ["a", ""]
    assert 0.6 < found.uses["a"].part < 0.75
    assert found.held == []
    assert not budget.read(now + SPAN).is_busy, "and not after a minute without work"


def test_who_has_waited_for_its_share_for_half_a_minute_is_named():
    budget, now = WriterBudget(), 0.0
    for _ in range(int(SPAN)):
        now += 1.0
        budget.charge("a", 2.0, 2.0, now)
        budget.charge("b", 0.001, 0.001, now)
    assert budget.read(now).held == ["a"]
    assert budget.read(now + 5 * SPAN).held == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3), st.floats(0, 2)), max_size=60))
def test_whoever_uses_what_nobody_owes_more_than_it_took_and_every_rest_ends(history):
    budget, now, took = WriterBudget(), 0.0, dict.fromkeys("abc", 0.0)
    for owner, step, later in history:
        now += later
        budget.charge(owner, step, step, now)
        took[owner] += step
    assert all(took[owner] > CREDIT for owner in budget.find_resting(now))
    for _ in range(3):
        now += budget.find_rest(now) + 1e-6
    assert budget.find_resting(now) == frozenset()
    assert 0.0 <= budget.read(now).busy <= 1.0
