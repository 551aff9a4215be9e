"""Pairs of dimensions drawn from a seed, scaled to a size, and measured in CPU.  Knows no reader."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import attrs

from hub.domain.errors import Rejected
from hub.domain.turns import NeedsThread, run_in_turn
from tests import effort

#: What a signature adds to a message, in octets, at most.
SIGNED = 2500


@attrs.frozen
class Drawn:
    """A message to be built: which two dimensions, how the room is shared, and all else that varies."""

    reader: str
    pair: tuple[str, str]
    share: float  #: of the room, for the first
    bounded: bool  #: neither is more than the hub's own bound for it
    portion: float  #: of that bound
    form: Mapping[str, str]


@attrs.frozen
class Measured:
    """What a message cost."""

    drawn: Drawn
    size: int  #: octets
    counts: Mapping[str, int]
    seconds: float  #: of CPU, on the machine that bounds are stated for
    said: str  #: the code it was refused with; empty if it was taken


def draw(reader: str, module: Any, random: Random) -> Drawn:
    """Draw what to build for the reader *module*."""
    first, second = random.sample(sorted(module.DIMENSIONS), 2)
    form = {name: random.choice(values) for name, values in sorted(module.FORMS.items())}
    return Drawn(
        reader, (first, second), random.choice((0.1, 0.5, 0.9)), random.random() < 0.8, random.choice((1, 0.5)), form
    )


#: The most of a dimension without a bound: what is packed, or is one number, stays small however much of it there is.
UNBOUNDED = 1 << 20


def scaled(module: Any, drawn: Drawn, room: Callable[[bytes], bool], shared: Callable[[bytes], bool]) -> dict[str, int]:
    """Return the most of each dimension: the first while *shared* holds for the message, then the second, then the filler, while *room* does."""
    counts: dict[str, int] = {}
    for name, fits in ((drawn.pair[0], shared), (drawn.pair[1], room), (module.FILLER, room)):
        if name not in counts:
            bound = module.DIMENSIONS[name] if drawn.bounded or name == module.FILLER else None
            if bound is not None and name != module.FILLER:
                bound = int(bound * drawn.portion)
            counts[name] = _most(module, drawn, counts, name, fits, UNBOUNDED if bound is None else bound)
    return counts


def filled(module: Any, counts: Mapping[str, int], form: Mapping[str, str], size: int) -> bytes:
    """Return the message of *counts*, sent, with as much of the filler as fits into *size* octets."""
    if module.FILLER not in counts:
        few, many = (len(module.build({**counts, module.FILLER: number}, form)) for number in (1, 101))
        most = int((size - SIGNED - few) / max(1, many - few) * 100)
        bound = module.DIMENSIONS[module.FILLER]
        counts = {**counts, module.FILLER: max(0, most if bound is None else min(most, bound))}
    content: bytes = module.finish(module.build(counts, form), form)
    return content


def _most(
    module: Any, drawn: Drawn, counts: Mapping[str, int], name: str, fits: Callable[[bytes], bool], bound: int
) -> int:
    """Return the largest number up to *bound* for which *fits* holds, as it does for all below; 1 where the number changes nothing."""

    def build(number: int) -> bytes:
        content: bytes = module.build({**counts, name: number}, drawn.form)
        return content

    if build(2) == build(1):
        return 1
    low, high, before = 0, 1, b""
    while high <= bound and fits(content := build(high)) and content != before:
        low, high, before = high, high * 2, content
    high = min(high, bound + 1)
    while high - low > max(1, low // 64):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(build(middle)) else (low, middle)
    return low


def measure(drawn: Drawn, module: Any, size: int, bound: float = 0) -> Measured:
    """Build what is *drawn* to just under *size* octets, and read it; again, up to four times, if it seems to cost more than *bound* seconds."""
    counts = scaled(module, drawn, lambda c: len(c) < size - SIGNED, lambda c: len(c) < size * drawn.share)
    content = module.finish(module.build(counts, drawn.form), drawn.form)
    seconds, said = least_seconds_of(module.read, content, bound) if bound else seconds_of(module.read, content)
    return Measured(drawn, len(content), counts, seconds, said)


def least_seconds_of(read: Callable[[Any], object], content: Any, bound: float) -> tuple[float, str]:
    """Return the same as `seconds_of`, of the first of five readings that takes less than *bound*, else the least."""
    found: list[tuple[float, str]] = []
    while len(found) < 5 and (not found or found[-1][0] >= bound):
        found.append(seconds_of(read, content))
    return min(found)


def seconds_of(read: Callable[[Any], object], content: Any) -> tuple[float, str]:
    """Return the seconds of CPU that *read* took for *content*, as on the machine that bounds are stated for, and the code of its
    refusal; without what it takes to explain one, which has a bound of its own (hub.formats.xsd_mistakes.SECONDS).
    """
    return effort.measure(lambda: _say(read, content))


def _say(read: Callable[[Any], object], content: Any) -> str:
    try:
        run_in_turn(read, content)
    except Rejected as rejected:
        return rejected.problems[0].code
    except NeedsThread:
        return "to be explained"
    return ""
