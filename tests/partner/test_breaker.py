"""A breaker: who fails five times in a row is left alone but for a probe, and comes back slowly."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.conversations import Accepted, Postponed, Refused, Unavailable
from hub.partner.circuit_breaker import (
    BREAKER,
    FAILURES,
    Breaker,
    BreakerPosition,
    classify_outcome,
    count_breaker_room,
    hurry_breaker,
    record_breaker_claims,
    record_breaker_failure,
    record_breaker_success,
)
from hub.partner.policy import Policy

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
POLICY = Policy(first_retry=timedelta(seconds=1), max_retry=timedelta(minutes=5), concurrency=4)
DOWN = Unavailable("connection refused")


def fail(breaker: Breaker, times: int = 1, now: datetime = NOW, outcome: Unavailable = DOWN) -> Breaker:
    for _ in range(times):
        breaker = record_breaker_failure(breaker, POLICY, now, 0.5, outcome)
    return breaker


def test_five_failures_in_a_row_open_it_and_a_success_between_them_does_not_let_them_add_up():
    assert fail(Breaker(), FAILURES - 1).position is BreakerPosition.CLOSED
    assert fail(Breaker(), FAILURES).position is BreakerPosition.OPEN
    again = fail(record_breaker_success(fail(Breaker(), FAILURES - 1), POLICY), FAILURES - 1)
    assert again.position is BreakerPosition.CLOSED


def test_while_it_is_open_nothing_goes_and_then_one_probe_when_nothing_else_is_under_way():
    opened = fail(Breaker(), FAILURES)
    assert opened.until == NOW + timedelta(seconds=12), "three quarters of the fifth step, 16 s"
    assert count_breaker_room(opened, opened.until - timedelta(milliseconds=1), 0, 4) == 0
    assert count_breaker_room(opened, opened.until, 1, 4) == 0, "one of before is still under way"
    assert count_breaker_room(opened, opened.until, 0, 4) == 1
    probing = record_breaker_claims(opened)
    assert probing.position is BreakerPosition.HALF_OPEN
    assert count_breaker_room(probing, NOW, 1, 4) == 0
    assert count_breaker_room(probing, NOW, 0, 4) == 1, "the probe was lost with its node"


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_the_longest_wait():
    breaker, waits = fail(Breaker(), FAILURES), []
    for _ in range(8):
        breaker = fail(record_breaker_claims(breaker))
        assert breaker.until is not None
        waits.append((breaker.until - NOW).total_seconds())
    assert waits == [24, 48, 96, 192, 225, 225, 225, 225]
    assert breaker.opened == 9


def test_the_partner_may_ask_to_be_left_alone_for_longer():
    assert fail(Breaker(), FAILURES, outcome=Unavailable("busy", 600)).until == NOW + timedelta(minutes=10)


def test_wrong_credentials_open_it_at_once_and_are_tried_as_rarely_as_anything_is():
    denied = Unavailable("HTTP 401: we are not known", credentials=True)
    opened = fail(Breaker(), outcome=denied)
    assert opened.position is BreakerPosition.OPEN
    assert opened.until == NOW + timedelta(seconds=225), "three quarters of max-retry"
    assert fail(record_breaker_claims(opened), outcome=denied).until == NOW + timedelta(seconds=225)
    assert record_breaker_success(record_breaker_claims(opened), POLICY).position is BreakerPosition.CLOSED


def test_who_comes_back_gets_two_at_a_time_then_one_more_with_each_success():
    breaker, rooms = record_breaker_claims(fail(Breaker(), FAILURES)), []
    for _ in range(4):
        breaker = record_breaker_success(breaker, POLICY)
        rooms.append(count_breaker_room(breaker, NOW, 0, POLICY.concurrency))
    assert rooms == [2, 3, 4, 4]
    assert breaker == Breaker()


def test_what_was_under_way_when_it_opened_may_close_it_and_never_opens_it_further():
    opened = fail(Breaker(), FAILURES)
    assert fail(opened, now=NOW + timedelta(seconds=9)) == opened
    assert record_breaker_success(opened, POLICY).position is BreakerPosition.CLOSED


def test_a_person_may_have_it_tried_at_once():
    opened = fail(Breaker(), FAILURES)
    assert count_breaker_room(hurry_breaker(opened, NOW), NOW, 0, 4) == 1
    assert hurry_breaker(Breaker(), NOW) == Breaker()


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Accepted(), "success"),
        (Refused("M.To"), "success"),
        (DOWN, "failure"),
        (Unavailable("busy", 60), "failure"),
        (Unavailable("hub-error", ours=True), None),
        (Postponed(NOW), None),
    ],
)
def test_only_what_the_partner_did_counts(outcome, said):
    assert classify_outcome(outcome) == said


@given(
    st.lists(st.sampled_from(["success", "failure", "claim"])), st.integers(1, 64), st.floats(0, 1, exclude_max=True)
)
def test_every_move_is_in_the_table_and_there_is_always_a_time_at_which_something_goes(story, concurrency, chance):
    policy, breaker, now = Policy(concurrency=concurrency), Breaker(), NOW
    for what in story:
        before = breaker
        if what == "claim":
            if not count_breaker_room(breaker, now, 0, concurrency):
                assert breaker.until is not None
                now = breaker.until
            breaker = record_breaker_claims(breaker)
        else:
            breaker = (
                record_breaker_success(breaker, policy)
                if what == "success"
                else record_breaker_failure(breaker, policy, now, chance, DOWN)
            )
        moves = {key: to for key, to in BREAKER.items() if key[0] is before.position}
        assert any(breaker.position in to for to in moves.values())
        assert (breaker.position is BreakerPosition.OPEN) == (breaker.until is not None)
        assert count_breaker_room(breaker, breaker.until or now, 0, concurrency) >= 1
        assert count_breaker_room(breaker, now, concurrency, concurrency) == 0
