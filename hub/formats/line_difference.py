"""Compares two texts line by line, in bounded time. Knows lines; not what they say."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import takewhile

import attrs

#: Lines that are compared on each side, between what both have in common at the beginning and at the end. The time of a
#: comparison may grow with the product of both numbers.
MOST = 800
#: Equal lines that are shown around what differs.
AROUND = 3


@attrs.frozen
class DifferentLine:
    """One line of a comparison."""

    sign: str  #: `-` only in the first text, `+` only in the second, a space: in both, `…`: equal lines are left out
    text: str


@attrs.frozen
class LineDifference:
    """What differs between two texts."""

    lines: Sequence[DifferentLine]  #: empty if the texts are equal
    cut: bool = False  #: so much differs that the rest was not compared

    @property
    def is_equal(self) -> bool:
        """Whether the texts have the same lines."""
        return not self.lines and not self.cut


def compare_lines(before: Sequence[str], after: Sequence[str]) -> LineDifference:
    """Return what differs between the lines *before* and *after*, with `AROUND` equal lines around it."""
    head = _count_equal(before, after)
    tail = _count_equal(before[head:][::-1], after[head:][::-1])
    first, second = before[head : len(before) - tail], after[head : len(after) - tail]
    cut = len(first) > MOST or len(second) > MOST
    made = [DifferentLine(" ", line) for line in before[:head]]
    for what, start, end, begin, stop in SequenceMatcher(
        None, first[:MOST], second[:MOST], autojunk=True
    ).get_opcodes():
        if what == "equal":
            made += [DifferentLine(" ", line) for line in first[start:end]]
        else:
            made += [DifferentLine("-", line) for line in first[start:end]]
            made += [DifferentLine("+", line) for line in second[begin:stop]]
    if not cut:
        made += [DifferentLine(" ", line) for line in before[len(before) - tail :]]
    return LineDifference(list(_leave_out(made)), cut)


def _count_equal(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _leave_out(lines: Sequence[DifferentLine]) -> list[DifferentLine]:
    """Return *lines* with a mark in place of the equal lines that are far from any difference."""
    differs = [place for place, line in enumerate(lines) if line.sign != " "]
    near = {place for each in differs for place in range(each - AROUND, each + AROUND + 1)}
    shown: list[DifferentLine] = []
    for place, line in enumerate(lines if differs else ()):
        if place in near:
            shown.append(line)
        elif not shown or shown[-1].sign != "…":
            shown.append(DifferentLine("…", ""))
    return shown
