"""A rate: so many messages in a time, evenly spaced, whoever counts and however often."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.partner.rate_limit import Rate

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize(("text", "step"), [("20/s", 0.05), ("600/m", 0.1), ("100/h", 36.0)])
def test_a_rate_is_a_whole_number_and_its_unit(text, step):
    assert Rate.read(text).step == timedelta(seconds=step)
    assert str(Rate.read(text)) == text


@pytest.mark.parametrize("text", ["", "20", "0/s", "20/d", "1.5/s", "-1/s", "20 /s", "20/s\n", "٣/s", "9999999/s"])
def test_anything_else_is_no_rate(text):
    with pytest.raises(ValueError, match="is not a rate"):
        Rate.read(text)


def test_the_first_goes_at_once_and_the_next_after_its_step():
    rate = Rate.read("2/s")
    assert rate.allows(None, NOW) == 1
    next_at = rate.after(None, NOW, 1)
    assert (rate.allows(next_at, NOW), next_at) == (0, NOW + timedelta(seconds=0.5))
    assert rate.allows(next_at, next_at) == 1


def test_after_a_long_silence_no_flood_goes():
    rate = Rate.read("100/s")
    assert rate.allows(NOW, NOW + timedelta(days=7)) == 11, "a tenth of a second's"


def test_a_node_that_looked_a_moment_before_another_gets_no_more():
    """The other has taken meanwhile, and wrote its own, later time."""
    rate = Rate.read("1/s")
    next_at = rate.after(None, NOW + timedelta(milliseconds=5), 1)
    assert rate.allows(next_at, NOW) == 0


def test_a_clock_that_was_set_back_stops_nothing():
    rate = Rate.read("1/s")
    assert rate.allows(NOW + timedelta(hours=1), NOW) == 1


@given(st.integers(1, 500), st.lists(st.floats(0, 0.5), min_size=1, max_size=200), st.integers(1, 9))
def test_however_often_it_is_asked_no_more_go_than_the_rate_says(count, waits, greed):
    rate, now, next_at, gone = Rate(count, "s"), NOW, None, 0
    for wait in waits:
        now += timedelta(seconds=wait)
        allowed = min(rate.allows(next_at, now), greed)
        next_at, gone = rate.after(next_at, now, allowed) if allowed else next_at, gone + allowed
    assert gone <= 2 + (now - NOW + timedelta(seconds=0.1)) / rate.step
