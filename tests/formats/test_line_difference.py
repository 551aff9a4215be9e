"""Two texts compared line by line: what differs is told, what is equal left out, and any two texts in bounded time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.formats.line_difference import AROUND, MOST, compare_lines


def told(before, after):
    return [f"{each.sign}{each.text}" for each in compare_lines(list(before), list(after)).lines]


def test_equal_texts_have_no_lines():
    assert compare_lines(["a", "b"], ["a", "b"]).is_equal
    assert told("", "") == []


def test_what_differs_stands_among_a_few_equal_lines():
    assert told("abcdefgxhijklmn", "abcdefgyhijklmn") == ["…", " e", " f", " g", "-x", "+y", " h", " i", " j", "…"]
    assert told("ab", "abc") == [" a", " b", "+c"]
    assert told("abc", "") == ["-a", "-b", "-c"]


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
def test_each_side_can_be_read_from_it(before, after):
    found = compare_lines(before, after)
    assert found.is_equal == (before == after)
    minus = [each.text for each in found.lines if each.sign == "-"]
    plus = [each.text for each in found.lines if each.sign == "+"]
    both = [each for each in found.lines if each.sign == " "]
    assert len(before) - len(minus) == len(after) - len(plus) >= len(both)
    assert len(both) <= (len(minus) + len(plus)) * 2 * AROUND


@pytest.mark.parametrize("line", ["same", "{}"])
def test_what_is_too_long_is_compared_in_part_and_says_so(line):
    found = compare_lines(
        [line.format(each) for each in range(5000)], [line.format(-each) + "x" for each in range(5000)]
    )
    assert found.cut
    assert not found.is_equal
    assert len(found.lines) <= 2 * MOST
