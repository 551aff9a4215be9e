"""What probes say of a link, and what a day of it comes to."""

from datetime import UTC, date, datetime, timedelta

import pytest

from hub.domain.errors import Rejected
from hub.services.links import PROBED, SERVICE, UP, LinkDay, write_link_message
from hub.services.links.probes import (
    DAY,
    DOWN_AFTER,
    LinkStanding,
    LinkState,
    Minutes,
    Probe,
    advance_link_standing,
    count_days_left,
    find_latency_quantile,
    find_minute_of_day,
    merge_minutes,
)

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
STEP = timedelta(seconds=30)
GOOD, BAD = 0.01, None


def after(*latencies):
    """Return each standing after probes of these latencies, one every 30 s; None failed."""
    standing, all_of_them = LinkStanding(), []
    for number, latency in enumerate(latencies):
        reason = "" if latency else "connection refused"
        standing = advance_link_standing(standing, Probe(at=START + STEP * number, latency=latency, reason=reason))
        all_of_them.append(standing)
    return all_of_them


def states(*latencies):
    return [str(each.state) for each in after(*latencies)]


def test_the_first_probe_decides_alone():
    assert states(GOOD) == ["up"]
    assert states(BAD) == ["down"]


def test_one_lost_packet_is_no_outage():
    assert states(GOOD, BAD, BAD, GOOD, BAD, BAD, GOOD) == ["up"] * 7


def test_a_link_is_down_after_three_failures_and_has_been_since_the_first():
    last = after(GOOD, *[BAD] * DOWN_AFTER)[-1]
    assert (last.state, last.since, last.reason) == (LinkState.DOWN, START + STEP, "connection refused")


def test_it_is_up_again_after_two_and_has_been_since_the_first():
    *_, one, two = after(BAD, GOOD, GOOD)
    assert (one.state, one.reason) == (LinkState.DOWN, "")
    assert (two.state, two.since) == (LinkState.UP, START + STEP)


def test_a_failure_leaves_the_latencies_and_the_certificate_as_they_were():
    ends = START + timedelta(days=10)
    first = advance_link_standing(LinkStanding(), Probe(at=START, latency=0.5, ends=ends))
    then = advance_link_standing(first, Probe(at=START + STEP, reason="timeout"))
    assert (then.latencies, then.ends) == ((0.5,), ends)


def test_quantiles_are_of_the_nearest_rank():
    hundred = [number / 1000 for number in range(100, 0, -1)]
    assert find_latency_quantile(hundred, 0.5) == 0.05
    assert find_latency_quantile(hundred, 0.95) == 0.095
    assert find_latency_quantile([0.2], 0.95) == 0.2
    assert find_latency_quantile([], 0.5) is None


def test_days_left_of_a_certificate():
    assert count_days_left(START + timedelta(days=3, hours=1), START) == 3
    assert count_days_left(START - timedelta(hours=1), START) == -1
    assert count_days_left(None, START) is None


def test_a_minute_is_up_if_any_probe_of_it_reached_the_other_side():
    day = Minutes().with_probe(START, reached=False).with_probe(START + STEP, reached=True)
    assert day.availability == 1.0
    assert day.with_probe(START + 2 * STEP, reached=False).availability == 0.5


def test_a_day_without_a_probe_has_no_availability():
    assert Minutes().availability is None
    assert merge_minutes([]).availability is None


def test_minutes_are_those_of_ha_noi():
    assert find_minute_of_day(datetime(2026, 11, 23, 17, 0, tzinfo=UTC)) == 0
    assert find_minute_of_day(datetime(2026, 11, 24, 16, 59, tzinfo=UTC)) == DAY - 1


def test_a_minute_that_two_nodes_probed_is_one_minute():
    mine, theirs = Minutes(0b0111, 0b0001), Minutes(0b1110, 0b0100)
    both = merge_minutes([mine, theirs])
    assert (both.probed, both.up) == (0b1111, 0b0101)


# --- the message of a day ---------------------------------------------------------------------------------------------


def message(nodes, units=("H55.13", "H55.14")):
    return write_link_message(
        "H55", date(2026, 11, 24), [LinkDay(name="sotttt", place="10.0.0.5:443", units=units, nodes=nodes)]
    )


def amounts(octets):
    record = SERVICE.read(octets, START, "m-1")
    return {(fact.unit, fact.milestone): fact.amount for fact in record.facts}


def test_each_unit_of_a_link_has_its_minutes_probed_and_up():
    octets = message({"a": Minutes(0b0111, 0b0001), "b": Minutes(0b1110, 0b0100)})
    assert amounts(octets) == {
        (unit, milestone): amount for unit in ("H55.13", "H55.14") for milestone, amount in ((PROBED, 4), (UP, 2))
    }


def test_a_link_that_no_unit_owns_is_the_provinces():
    assert amounts(message({"a": Minutes(1, 0)}, units=())) == {("H55", PROBED): 1, ("H55", UP): 0}


def test_facts_name_the_link_and_the_day_and_are_allowed_by_the_service():
    record = SERVICE.read(message({"a": Minutes(1, 1)}), START, "m-1")
    assert (record.kind, record.sender, record.keys) == ("availability", "H55", ("2026-11-24",))
    for fact in record.facts:
        assert (fact.key, fact.day, fact.counterpart) == ('["sotttt","2026-11-24"]', date(2026, 11, 24), "sotttt")
        assert fact.milestone in SERVICE.milestones
        assert {name for name, _ in fact.attributes} <= SERVICE.attributes


def test_the_same_figures_are_the_same_message():
    a, b = Minutes(3, 1), Minutes(5, 4)
    assert message({"a": a, "b": b}) == message({"b": b, "a": a})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'day="2026-11-24"', b'day="yesterday"'),
        (b'probed="1"', b'probed="x"'),
        (b'probed="1"', b'probed="0"'),
        (b'probed="1"', b'probed="1' + b"0" * 360 + b'"'),
        (b"Links", b"Chains"),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(old, new):
    with pytest.raises(Rejected):
        SERVICE.read(message({"a": Minutes(1, 1)}).replace(old, new), START, "m-1")
