"""The places of a node are divided so that nobody starves and none is left empty."""

from hypothesis import given
from hypothesis import strategies as st

from hub.shares import divide

NAMES = st.sampled_from("abcdefgh")
COUNTS = st.dictionaries(NAMES, st.integers(0, 30))


def test_a_long_queue_takes_what_nobody_else_wants():
    assert divide(8, {"a": 100}, {}) == {"a": 9}, "its own place, and all that go round"
    assert divide(8, {"a": 100, "b": 2}, {}) == {"a": 8, "b": 2}


def test_who_has_nothing_under_way_gets_a_place_even_if_the_others_have_them_all():
    assert divide(4, {"a": 9, "b": 9}, {"a": 5}) == {"a": 0, "b": 1}


def test_among_equals_the_one_after_the_last_begins():
    assert list(divide(1, {"a": 1, "b": 1, "c": 1}, {}, after="a")) == ["b", "c", "a"]
    assert divide(1, {"a": 2, "b": 2}, {}, after="a") == {"b": 2, "a": 1}


@given(st.integers(0, 40), COUNTS, COUNTS, NAMES)
def test_the_places_are_used_up_or_everybody_has_what_it_wants_and_no_share_could_be_fairer(places, wants, busy, after):
    shares = divide(places, wants, busy, after=after)
    assert all(0 <= shares[name] <= wants[name] for name in wants)
    total = {name: busy.get(name, 0) + shares.get(name, 0) for name in {*busy, *wants}}
    extra = sum(max(0, count - 1) for count in total.values())
    assert extra <= max(places, sum(max(0, count - 1) for count in busy.values()))
    hungry = [name for name in wants if shares[name] < wants[name]]
    assert not hungry or extra >= places
    for name in hungry:
        assert total[name] >= 1
        assert all(total[other] <= total[name] + 1 for other in wants if shares[other]), "another was served before it"
