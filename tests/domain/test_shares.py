"""The places of a node are divided so that nobody starves and none is left empty; and nobody waits for all that another has brought."""

from hypothesis import given
from hypothesis import strategies as st

from hub.domain.fair_queue import FairQueue, divide_capacity, is_crowding

NAMES = st.sampled_from("abcdefgh")
COUNTS = st.dictionaries(NAMES, st.integers(0, 30))


def test_a_long_queue_takes_what_nobody_else_wants():
    assert divide_capacity(8, {"a": 100}, {}) == {"a": 9}, "its own place, and all that go round"
    assert divide_capacity(8, {"a": 100, "b": 2}, {}) == {"a": 8, "b": 2}


def test_who_has_nothing_under_way_gets_a_place_even_if_the_others_have_them_all():
    assert divide_capacity(4, {"a": 9, "b": 9}, {"a": 5}) == {"a": 0, "b": 1}


def test_among_equals_the_one_after_the_last_begins():
    assert list(divide_capacity(1, {"a": 1, "b": 1, "c": 1}, {}, after="a")) == ["b", "c", "a"]
    assert divide_capacity(1, {"a": 2, "b": 2}, {}, after="a") == {"b": 2, "a": 1}


@given(st.integers(0, 40), COUNTS, COUNTS, NAMES)
def test_the_places_are_used_up_or_everybody_has_what_it_wants_and_no_share_could_be_fairer(places, wants, busy, after):
    shares = divide_capacity(places, wants, busy, after=after)
    assert all(0 <= shares[name] <= wants[name] for name in wants)
    total = {name: busy.get(name, 0) + shares.get(name, 0) for name in {*busy, *wants}}
    extra = sum(max(0, count - 1) for count in total.values())
    assert extra <= max(places, sum(max(0, count - 1) for count in busy.values()))
    hungry = [name for name in wants if shares[name] < wants[name]]
    assert not hungry or extra >= places
    for name in hungry:
        assert total[name] >= 1
        assert all(total[other] <= total[name] + 1 for other in wants if shares[other]), "another was served before it"


def taken(queue):
    """Return all that is still there, in the order in which it is taken."""
    return [queue.take() for _ in range(len(queue))]


def test_each_owner_has_a_turn_in_each_round():
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.put(item[0], item)
    assert (queue.owners, queue.count("a"), queue.first("c"), queue.first("d")) == (3, 3, "c1", None)
    assert taken(queue) == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert queue.take() is None


def test_what_was_taken_and_not_served_is_the_next_to_be_taken():
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "b1", "c1"):
        queue.put(item[0], item)
    assert [queue.take(), queue.take()] == ["a1", "b1"]
    for item in ("b1", "a1"):  # the last one first
        queue.put_back(item[0], item)
    assert taken(queue) == ["a1", "b1", "c1", "a2"]


@given(st.lists(st.one_of(st.sampled_from("abcdef"), st.none()), max_size=200))
def test_whatever_comes_in_whatever_order_nobody_waits_for_more_than_a_round_of_the_others(history):
    """An owner puts an item in, or (None) the next one is taken.  What has n of its own before it waits for n + 1 of each other owner."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    number, came, order = 0, {}, []
    for owner in history:
        if owner is None:
            order.append(queue.take())
        else:
            number += 1
            came[owner, number] = (len(order), queue.count(owner))
            queue.put(owner, (owner, number))
    order += taken(queue)
    served = [item for item in order if item is not None]
    assert sorted(served) == sorted(came), "each once"
    for owner in "abcdef":
        own = [item for item in served if item[0] == owner]
        assert own == sorted(own), "an owner's in its own order"
    for item, (since, before) in came.items():
        meanwhile = [each for each in order[since : order.index(item)] if each is not None]
        for other in "abcdef":
            theirs = [each for each in meanwhile if each[0] == other]
            assert other == item[0] or len(theirs) <= before + 1


@given(st.integers(1, 50), st.lists(st.sampled_from("abcdef"), max_size=300))
def test_a_place_is_refused_to_who_has_its_share_and_there_are_never_twice_as_many_as_there_should_be(most, asking):
    has: dict[str, int] = {}
    for owner in asking:
        own, total = has.get(owner, 0), sum(has.values())
        owners = len({owner, *has})
        if is_crowding(own, total, most, owners):
            assert total >= most
            assert own >= most // owners
        else:
            has[owner] = own + 1
    assert sum(has.values()) <= max(2 * most, most + 6)


def test_the_only_one_who_asks_may_have_all_places_and_a_newcomer_still_gets_one():
    assert not is_crowding(9, 9, 10, 1)
    assert is_crowding(10, 10, 10, 1)
    assert not is_crowding(0, 10, 10, 2)
    assert is_crowding(5, 15, 10, 2)
