"""Ids sort as time does, and after one that was made by a clock ahead."""

from datetime import UTC, datetime, timedelta

from hub.domain.ids import choose_later_time, make_first_id, make_id

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def test_ids_of_later_microseconds_sort_after_earlier_ones():
    made = [make_id(NOW + timedelta(microseconds=each)) for each in range(5000)]
    assert made == sorted(made)


def test_the_first_id_of_a_moment_sorts_between_the_ids_of_the_one_before_and_its_own():
    for number in range(0, 2000, 7):
        at = NOW + timedelta(microseconds=number)
        assert make_id(at - timedelta(microseconds=1)) < make_first_id(at) <= make_id(at)
    assert (
        make_first_id(datetime(1, 1, 1, tzinfo=UTC)) == make_first_id(datetime(1970, 1, 1, tzinfo=UTC)) < make_id(NOW)
    )


def test_an_id_sorts_after_one_that_a_clock_ahead_has_made():
    ahead = make_id(NOW + timedelta(hours=1, microseconds=999_999))
    assert make_id(NOW) < ahead < make_id(choose_later_time(ahead, NOW))


def test_after_an_older_id_the_time_stays_what_it_is():
    assert choose_later_time(make_id(NOW - timedelta(seconds=1)), NOW) == NOW
