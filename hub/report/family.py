"""Which units a unit's report sums up.  Knows parents; does not know what is counted."""

from collections.abc import Iterable

from hub.model import Unit


def family(units: Iterable[Unit], code: str) -> tuple[str, ...]:
    """Return *code* and every unit below it, parents before children, siblings in the order given.

    A unit the registry does not know is a family of one.  A circle of parents is walked once.
    """
    children: dict[str, list[str]] = {}
    for unit in units:
        if unit.parent:
            children.setdefault(unit.parent, []).append(unit.code)
    found: dict[str, None] = {}
    waiting = [code]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found[current] = None
            waiting.extend(reversed(children.get(current, ())))
    return tuple(found)
