"""The life cycles: nothing moves but by the table."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.lifecycle import DELIVER, STATUS_RANK, advance, judge
from hub.model import Accepted, Postponed, Refused, State, Unavailable

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
FORTNIGHT = timedelta(days=14)


def verdict(outcome, *, since=NOW, now=NOW, delay=timedelta(seconds=8)):
    return judge(outcome, since=since, now=now, delay=delay, give_up=FORTNIGHT)


def test_what_the_partner_took_is_delivered():
    assert verdict(Accepted()).state is State.DELIVERED


def test_a_business_refusal_is_never_tried_again():
    assert verdict(Refused("M.To")).state is State.DEAD
    assert verdict(Refused("M.To")).reason == "refused: M.To"


def test_an_unavailable_partner_is_tried_again_after_the_delay_or_when_it_says():
    assert verdict(Unavailable("down")).due == NOW + timedelta(seconds=8)
    assert verdict(Unavailable("busy", retry_after=60)).due == NOW + timedelta(seconds=60)
    assert verdict(Unavailable("busy", retry_after=1)).due == NOW + timedelta(seconds=8)


def test_a_delivery_is_given_up_by_time_after_one_last_try_at_its_end():
    late = NOW + FORTNIGHT - timedelta(seconds=1)
    assert verdict(Unavailable("down"), now=late).due == NOW + FORTNIGHT
    assert verdict(Unavailable("down"), now=NOW + FORTNIGHT).state is State.DEAD


def test_a_postponed_delivery_is_asked_again_uncounted_and_never_in_the_past():
    later = NOW + timedelta(minutes=5)
    assert (verdict(Postponed(later)).due, verdict(Postponed(later)).counts) == (later, False)
    assert verdict(Postponed(NOW - timedelta(1))).due == NOW


@given(
    st.one_of(
        st.builds(Accepted),
        st.builds(Refused, st.text(max_size=5)),
        st.builds(Unavailable, st.text(max_size=5), st.none() | st.floats(0, 1e6)),
        st.builds(Postponed, st.datetimes(timezones=st.just(UTC))),
    ),
    st.timedeltas(timedelta(0), timedelta(days=30)),
    st.timedeltas(timedelta(0), timedelta(hours=1)),
)
def test_every_verdict_is_in_the_table_and_nothing_waits_without_a_time(outcome, age, delay):
    found = judge(outcome, since=NOW, now=NOW + age, delay=delay, give_up=FORTNIGHT)
    assert found.state in DELIVER[State.SENDING, type(outcome).__name__.lower()]
    assert (found.state is State.WAITING) == (found.due is not None)
    assert found.due is None or found.due >= NOW + age


def test_nothing_leaves_delivered_and_dead_is_left_only_by_replay():
    assert {(what, *to) for (state, what), to in DELIVER.items() if state is State.DELIVERED} == {
        ("confirm", State.DELIVERED)
    }
    assert {(what, *to) for (state, what), to in DELIVER.items() if state is State.DEAD and what != "replay"} == {
        ("stop", State.DEAD)
    }


@pytest.mark.parametrize(
    ("history", "status"),
    [
        (["01", "03", "04", "05", "06"], "06"),
        (["06", "05", "01"], "06"),
        (["02", "03"], "02"),
        (["03", "02"], "03"),
        (["04", "01"], "04"),
        (["13", "15", "16"], None),
        (["01", "13"], "01"),
    ],
)
def test_a_status_moves_only_forward(history, status):
    now = None
    for code in history:
        now = advance(now, code)
    assert now == status


@given(st.lists(st.sampled_from([*STATUS_RANK, "13", "15", "16"])))
def test_repeating_a_status_changes_nothing_and_the_rank_never_falls(history):
    now = None
    for code in history:
        after = advance(now, code)
        assert advance(after, code) == after
        assert STATUS_RANK.get(after or "", 0) >= STATUS_RANK.get(now or "", 0)
        now = after
