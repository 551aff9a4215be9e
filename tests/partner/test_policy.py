"""A policy spells how a partner is dealt with, and how its retries are spaced."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.partner.policy import (
    KEYS,
    Policy,
    choose_delay,
    find_longest_delay,
    parse_duration,
    parse_policy,
    write_duration,
    write_policy,
)

ATTEMPTS = st.integers(1, 10_000)
CHANCE = st.floats(0, 1, exclude_max=True)


@given(ATTEMPTS, CHANCE)
def test_a_wait_is_any_time_up_to_its_step_and_never_beyond_max_retry_nor_none_at_all(
    attempt: int, chance: float
) -> None:
    policy = Policy(first_retry=timedelta(seconds=1), max_retry=timedelta(minutes=5))
    longest = min(timedelta(seconds=2.0 ** min(attempt - 1, 20)), policy.max_retry)
    assert find_longest_delay(policy, attempt) == longest
    assert policy.first_retry / 10 <= choose_delay(policy, attempt, chance) <= longest


def test_the_first_wait_is_about_first_retry_and_each_doubles_until_the_cap() -> None:
    policy = Policy(first_retry=timedelta(seconds=1), max_retry=timedelta(seconds=5))
    assert [choose_delay(policy, attempt, 0.0).total_seconds() for attempt in (1, 2, 3, 4, 5)] == [0.1] * 5
    assert [choose_delay(policy, attempt, 0.5).total_seconds() for attempt in (1, 2, 3, 4, 5)] == [
        0.55,
        1.05,
        2.05,
        2.55,
        2.55,
    ]


def test_what_failed_together_comes_back_spread_over_the_whole_step() -> None:
    waits = sorted(choose_delay(Policy(), 6, number / 1000).total_seconds() for number in range(1000))
    assert max(after - before for before, after in pairwise([0.0, *waits, 32.0])) < 0.2


def test_partners_that_failed_together_do_not_come_back_together() -> None:
    assert choose_delay(Policy(), 3, 0.1) != choose_delay(Policy(), 3, 0.9)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("1s", timedelta(seconds=1)),
        ("900s", timedelta(seconds=900)),
        ("5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("14d", timedelta(days=14)),
    ],
)
def test_a_duration_is_a_whole_number_and_its_unit(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "5", "m", "1.5s", "-1s", "1 s", "1S", "1w", "٣s", "1s\n", "9999999d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(st.sampled_from(["ms", "s", "m", "h", "d"]), st.integers(1, 999_999))
def test_a_duration_is_spelled_so_that_it_reads_the_same(unit: str, number: int) -> None:
    length = parse_duration(f"{number}{unit}")
    try:
        assert parse_duration(write_duration(length)) == length
    except ValueError:
        assert len(write_duration(length)) > 7  # more digits of the smaller unit than a configuration may have


def test_without_a_word_the_policy_is_the_documented_one() -> None:
    assert write_policy(parse_policy({}, "x")[0]) == {
        "signature": "message",
        "profile": "observed",
        "sha1": "no",
        "vxp-signature": "no",
        "max-age": "15m",
        "clock-skew": "1m",
        "revocation": "configured",
        "relay": "none",
        "first-retry": "1s",
        "max-retry": "5m",
        "give-up": "14d",
        "after-give-up": "dead",
        "timeout": "30s",
        "concurrency": "4",
        "rate": "none",
        "intake-connections": "256",
        "intake-spool": "1024MiB",
        "transport": "mutual-tls",
        "collect": "none",
        "intake-concurrency": "200",
        "intake-rate": "none",
    }


def test_every_key_of_a_policy_is_read() -> None:
    pairs = {"signature": "message", "profile": "observed", "sha1": "yes", "vxp-signature": "no", "max-age": "60s"}
    pairs |= {"revocation": "require", "relay": "gateway", "clock-skew": "5m"}
    pairs |= {"first-retry": "2s", "max-retry": "10s", "give-up": "1h", "after-give-up": "wait", "timeout": "5s"}
    pairs |= {"concurrency": "12", "rate": "600/m", "transport": "tls", "collect": "10s"}
    pairs |= {"intake-connections": "8", "intake-spool": "64MiB"}
    pairs |= {"intake-concurrency": "50", "intake-rate": "6000/m"}
    policy, mistakes = parse_policy(pairs, "partners/x.toml: policy")
    assert mistakes == []
    assert write_policy(policy) == pairs | {"max-age": "1m"}
    assert set(pairs) == set(KEYS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("signature", "packet"),
        ("signature", "both"),
        ("profile", "strict"),
        ("vxp-signature", "yes"),
        ("sha1", "yes"),
        ("revocation", "require"),
        ("revocation", "allow"),
        ("after-give-up", "wait"),
        ("after-give-up", "pause"),
        ("concurrency", "64"),
        ("rate", "20/s"),
        ("intake-concurrency", "1000"),
        ("intake-rate", "100/h"),
    ],
)
def test_every_value_of_a_choice_is_read(key: str, value: str) -> None:
    policy, mistakes = parse_policy({key: value}, "partners/x.toml: policy")
    assert mistakes == []
    assert write_policy(policy) == write_policy(Policy()) | {key: value}


def test_a_relay_needs_signed_envelopes() -> None:
    _, (mistake,) = parse_policy({"relay": "gateway", "signature": "packet"}, "partners/x.toml: policy")
    assert mistake.path == "partners/x.toml: policy.relay"
    assert "signed envelope" in str(mistake.expected)
    assert parse_policy({"relay": "none", "signature": "packet"}, "x")[1] == []


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("retries", "3", "unknown key"),
        ("timeout", 30, "not a text"),
        ("timeout", "soon", "not a duration"),
        ("timeout", "0s", "too short"),
        ("sha1", "maybe", "neither"),
        ("sha1", True, "not a text"),
        ("relay", "", "empty"),
        ("profile", "lax", "not known"),
        ("concurrency", "0", "not a valid number"),
        ("concurrency", "65", "not a valid number"),
        ("concurrency", "³", "not a valid number"),
        ("intake-concurrency", "0", "not a valid number"),
        ("intake-concurrency", "1001", "not a valid number"),
        ("intake-concurrency", "9" * 5000, "not a valid number"),
        ("intake-rate", "often", "not a rate"),
        ("rate", "fast", "not a rate"),
        ("rate", "", "not a rate"),
        ("rate", 20, "not a text"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(key: str, value: object, wrong: str) -> None:
    _, (mistake,) = parse_policy({key: value}, "p")
    assert wrong in str(mistake.wrong)
    assert str(mistake.expected)


def test_a_first_retry_longer_than_the_longest_is_a_mistake() -> None:
    _, (mistake,) = parse_policy({"first-retry": "10m"}, "p")
    assert mistake.path == "p.first-retry"


def test_every_mistake_of_a_policy_is_named() -> None:
    _, mistakes = parse_policy({"profile": "lax", "timeout": "x", "colour": "red"}, "p")
    assert [mistake.path for mistake in mistakes] == ["p.profile", "p.timeout", "p.colour"]
