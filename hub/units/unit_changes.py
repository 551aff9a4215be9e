"""Says in short lines what a new state of a unit changes: of which version, which value, from what to what.

Used for the plan that `units import` prints and for its event. Knows no file and no database.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import attrs

from hub.domain.model import Unit, UnitChange

#: The word for the first version of a unit, as in the column `from` of a list of units.
START = "start"
_VERSIONED = ("name", "parent", "level", "kind")
_LASTING = ("since", "until", "aliases", "successors", "mark")


@attrs.frozen
class ChangedValue:
    """One value that changes."""

    unit: str
    version: str  #: the day from which the version is in force, `start`, or "" for what all versions share
    field: str
    before: str
    after: str

    @property
    def text(self) -> str:
        """The change on one line, such as `H55.40 2026-12-01 parent: H55.1 → H55.2`."""
        version = f" {self.version}" if self.version else ""
        return f"{self.unit}{version} {self.field}: {self.before or '–'} → {self.after or '–'}"


def list_changed_values(before: Unit, after: Unit) -> list[ChangedValue]:
    """Return what *after* changes of the unit *before*. A new version is compared with the one before it."""
    return list(_compare_units(before, after))


def _compare_units(before: Unit, after: Unit) -> Iterator[ChangedValue]:
    code = after.code
    yield from _list_differing_values(code, "", _LASTING, before, after)
    yield from _list_differing_values(code, START, _VERSIONED, before.at(date.min), after.at(date.min))
    days = sorted({change.since for unit in (before, after) for change in unit.changes})
    old, new = ({change.since: change for change in unit.changes} for unit in (before, after))
    for day in days:
        if day not in new:
            yield ChangedValue(code, day.isoformat(), "name", old[day].name, "")
            continue
        earlier = old.get(day) or after.at(day - timedelta(days=1))
        yield from _list_differing_values(code, day.isoformat(), _VERSIONED, earlier, new[day])


def _list_differing_values(
    code: str, version: str, fields: Sequence[str], before: Unit | UnitChange, after: Unit | UnitChange
) -> Iterator[ChangedValue]:
    for field in fields:
        old, new = _write_value(getattr(before, field)), _write_value(getattr(after, field))
        if old != new:
            yield ChangedValue(code, version, field, old, new)


def _write_value(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
