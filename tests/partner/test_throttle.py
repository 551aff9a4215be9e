"""How many calls of a partner are answered at a time, and begin in a time.  Whoever reaches its own limit is refused, and nobody else."""

import os

import attrs
import pytest

from hub.domain.errors import Unready
from hub.partner import throttle
from hub.partner.policy import Policy
from hub.partner.rate_limit import Rate
from hub.partner.throttle import ANSWERING, TOLD, Throttle
from hub.runtime.shared_counts import SharedCounts


@attrs.define
class Watch:
    """A clock that goes when the test says so."""

    at: float = 1000.0

    def __call__(self):
        return self.at


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture(params=["one process", "several"])
def places(watch, request):
    if request.param == "one process":
        yield Throttle(watch)
        return
    counts = SharedCounts.create(2)
    yield Throttle(watch, counts)
    os.close(counts.file)


def test_the_limits_are_those_of_the_node_whichever_process_a_call_comes_to(watch):
    counts = SharedCounts.create(3)
    one, other = (Throttle(watch, SharedCounts(counts.file, column, 3)) for column in (1, 2))
    policy = Policy(intake_concurrency=2)
    assert [refusal(each, "sotttt", policy) for each in (one, other)] == [None, None]
    assert refusal(one, "sotttt", policy) == refusal(other, "sotttt", policy) == (5, "intake-concurrency 2")
    other.leave("sotttt")
    assert refusal(one, "sotttt", policy) is None
    slow = Policy(intake_rate=Rate.read("1/m"))
    assert refusal(one, "vpub", slow) is None
    assert refusal(other, "vpub", slow) == (60, "intake-rate 1/m")
    counts.clear_process(1)
    assert refusal(other, "sotttt", policy) is None
    os.close(counts.file)


def test_a_process_that_stops_begins_no_call_and_ends_those_it_has(places):
    assert refusal(places, "vpub") is None
    places.close()
    assert refusal(places, "vpub") == (5, "the hub stops")
    assert not places.is_empty
    places.leave("vpub")
    assert places.is_empty


def refusal(places, name, policy=Policy()):
    """Return when and why *name* is told to come again; None when it may bring a call."""
    try:
        places.enter(name, policy)
    except Unready as unready:
        return (unready.retry_after, str(unready.problem.detail)) if unready.problem.code == "hub-busy" else unready
    return None


def test_a_partner_has_so_many_calls_answered_at_a_time_and_another_one_is_let_in_beside_it(places):
    policy = Policy(intake_concurrency=3)
    assert [refusal(places, "sotttt", policy) for _ in range(4)] == [None] * 3 + [(5, "intake-concurrency 3")]
    assert refusal(places, "vpub", policy) is None
    places.leave("sotttt")
    assert refusal(places, "sotttt", policy) is None
    assert refusal(places, "sotttt", policy) is not None


def test_one_partner_by_default_never_fills_the_hub_s_places_nor_waits_with_64_connections(places):
    most = Policy().intake_concurrency
    assert 64 < most < ANSWERING / 2
    for _ in range(most):
        places.enter("sotttt", Policy())
    assert refusal(places, "sotttt") is not None
    assert all(refusal(places, "vpub") is None for _ in range(64))


def test_when_all_places_are_taken_who_has_its_share_is_refused_and_a_newcomer_is_not(places, monkeypatch):
    monkeypatch.setattr(throttle, "ANSWERING", 10)
    assert [refusal(places, "sotttt") is None for _ in range(11)] == [True] * 10 + [False]
    assert [refusal(places, "vpub") is None for _ in range(6)] == [True] * 5 + [False], "its half of ten, and no more"
    places.leave("vpub")
    assert refusal(places, "sotttt") is not None, "it is not for who has more than its share"
    assert refusal(places, "vpub") is None


def test_all_calls_of_a_unit_of_time_may_come_together_and_then_they_are_spaced(places, watch):
    policy = Policy(intake_rate=Rate(4, "m"))
    assert [refusal(places, "sotttt", policy) for _ in range(5)] == [None] * 4 + [(15, "intake-rate 4/m")]
    watch.at += 14
    assert refusal(places, "sotttt", policy) == (1, "intake-rate 4/m")
    watch.at += 1
    assert refusal(places, "sotttt", policy) is None
    assert refusal(places, "sotttt", policy) is not None
    assert refusal(places, "vpub", policy) is None
    watch.at += 3600
    assert [refusal(places, "sotttt", policy) is None for _ in range(5)] == [True] * 4 + [False], (
        "no more than a unit's"
    )


def test_a_call_that_is_refused_takes_neither_a_place_nor_time(places, watch):
    policy = Policy(intake_rate=Rate(1, "s"), intake_concurrency=1)
    places.enter("sotttt", policy)
    for _ in range(100):
        assert refusal(places, "sotttt", policy) is not None
    places.leave("sotttt")
    watch.at += 1
    assert refusal(places, "sotttt", policy) is None


def test_a_flood_of_refused_calls_is_told_of_once_a_minute(places, watch):
    told = [places.count_refusal("sotttt") for _ in range(100)]
    assert told == [1] + [0] * 99
    assert places.count_refusal("vpub") == 1
    watch.at += TOLD
    assert places.count_refusal("sotttt") == 100
