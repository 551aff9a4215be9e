"""The province that is recounted: its units, their other names, who receives for whom.  Knows it as plain lists.

That of the histories stands here; a test lays another in its place for as long as it counts (`standing`).
"""

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone

import attrs

PROVINCE, UPSTREAM = "H55", "vpcp"
GRACE = 90  #: days in which the code of a unit that ended is its successor's
HANOI = timezone(timedelta(hours=7))

#: code -> parent, first day, first day after
UNITS: dict[str, tuple[str | None, date | None, date | None]] = {
    "H55": (None, None, None),
    "H55.01": ("H55", None, None),
    "H55.01.2": ("H55.01", None, None),
    "H55.13": ("H55", None, None),
    "H55.13.1": ("H55.13", None, None),
    "H55.20": ("H55", None, date(2026, 7, 1)),
    "H55.30": ("H55", None, None),
    "H55.40": ("H55.13", date(2026, 12, 1), None),
    "H55.50": ("H55.01", None, date(2026, 12, 10)),
}
#: Agencies of the national list: they have names, and are outside all the same.
NATIONAL = {"A12": ("000.00.00.A12",)}
ALIASES = {"000.00.13.H55": "H55.13", "000.02.01.H55": "H55.01.2", "000.00.00.A12": "A12"}

#: partner -> the units it is configured with, and how it gets what is for them
PARTNERS = {
    "sotttt": (("H55.13",), "fetch"),
    "vpub": (("H55.01", "H55.01.2"), "push"),
    "vpcp": ((), "push"),
    "any": (("*",), "none"),
}


@attrs.frozen(kw_only=True)
class Succession:
    """A deed by which units end and others continue their work, of which the first has what nobody reports; or of a *part*, by
    which they go on, and others continue their dossiers of some fields.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    day: date  #: the first on which the old units are no more
    undone: date | None = None  #: the first on which they go on after all
    fields: Mapping[str, str] = attrs.field(factory=dict)  #: a field of work -> the new unit that has its dossiers
    part: bool = False

    def is_in_force(self, on: date) -> bool:
        """Tell whether the old units are no more on a day."""
        return self.day <= on and (self.undone is None or on < self.undone)


@attrs.frozen(kw_only=True)
class Places:
    """A province: its units by code, other codes of them, and its partners, each as above."""

    province: str = PROVINCE
    upstream: str = UPSTREAM
    units: Mapping[str, tuple[str | None, date | None, date | None]]
    aliases: Mapping[str, str]
    partners: Mapping[str, tuple[tuple[str, ...], str]]
    joined: str = ""  #: the code of a province that is merged into this one; its units begin with that day
    heirs: Mapping[str, str] = attrs.field(factory=dict)  #: a unit that ends -> the one that continues its work
    deeds: tuple[Succession, ...] = ()  #: deeds beside these
    looks: tuple[date, ...] = ()  #: days on which the hub looks for what passes of parts, at noon


_standing = [Places(units=UNITS, aliases=ALIASES, partners=PARTNERS)]


@contextmanager
def standing(places: Places) -> Iterator[None]:
    """Let *places* be the province that everything here answers for."""
    _standing.append(places)
    try:
        yield
    finally:
        _standing.pop()


def read_units(
    listed: bytes,
    partners: Mapping[str, tuple[tuple[str, ...], str]],
    *,
    joined: str = "",
    deeds: tuple[Succession, ...] = (),
    looks: tuple[date, ...] = (),
) -> Places:
    """Return the province whose units are *listed* in a CSV file, as docs/howto/units.md describes it."""
    rows = list(csv.DictReader(io.StringIO(listed.decode("utf-8-sig"))))

    def on(text: str | None) -> date | None:
        return date.fromisoformat(text) if text else None

    return Places(
        units={
            row["code"]: (row["parent"] or None, on(row["since"]), on(row["until"]))
            for row in rows
            if row["mark"] != "national"
        },
        aliases={alias: row["code"] for row in rows for alias in row["aliases"].split()},
        partners=partners,
        heirs={row["code"]: row["successors"] for row in rows if row["successors"]},
        joined=joined,
        deeds=deeds,
        looks=looks,
    )


def canonical(code: str) -> str:
    return _standing[-1].aliases.get(code, code)


def actor(code: str, on: date) -> str:
    """Return the unit that acts for *code* on a day: itself, or when it has ended the first that continues its work."""
    return heirs(code, on)[0]


def heirs(code: str, on: date) -> list[str]:
    """Return the units that continue the work of *code* on a day, the main one first: itself, as long as it has not ended."""
    code, deed = canonical(code), _deed(canonical(code), on)
    following = deed.new if deed else tuple(filter(None, [_standing[-1].heirs.get(code)]))
    if not has_ended(code, on) or not following:
        return [code]
    return list(dict.fromkeys(heir for each in following for heir in heirs(each, on)))


def sharing(code: str, on: date) -> Succession | None:
    """Return the deed by whose rules the dossiers of *code* are shared out on a day; also one for a part of it."""
    deed = _deed(canonical(code), on) or part(code, on)
    return deed if deed and deed.fields else None


def part(code: str, on: date) -> Succession | None:
    """Return the deed that hands a part of *code* over on a day."""
    deeds = (deed for deed in _standing[-1].deeds if deed.part)
    return next((deed for deed in deeds if canonical(code) in deed.old and deed.is_in_force(on)), None)


def _deed(code: str, on: date) -> Succession | None:
    """Return the deed by which a unit is no more on a day."""
    deeds = (deed for deed in _standing[-1].deeds if not deed.part)
    return next((deed for deed in deeds if code in deed.old and deed.is_in_force(on)), None)


@attrs.frozen(order=True)
class Passing:
    """Work that passes from a unit; back to all units of a deed, if it is undone."""

    at: datetime
    units: tuple[str, ...]
    heir: str  #: of a part the unit itself; "": it comes back
    deed: Succession | None = attrs.field(default=None, order=False)


def endings() -> list[Passing]:
    """Return what passes of units that end, in order."""
    return [each for each in passings() if each.deed is None or not each.deed.part]


def passings() -> list[Passing]:
    """Return what passes, in order: at noon of the day on which a unit is no more, the hub hands on what is open; of a part at
    each noon on which it looks.
    """
    standing = _standing[-1]
    found = [Passing(_noon(standing.units[unit][2]), (unit,), heir) for unit, heir in standing.heirs.items()]
    for deed in standing.deeds:
        days = [day for day in standing.looks if deed.is_in_force(day)] if deed.part else [deed.day]
        found += [
            Passing(_noon(day), (unit,), unit if deed.part else actor(unit, day), deed)
            for day in days
            for unit in deed.old
        ]
        if deed.undone:
            back = _noon(deed.undone) - timedelta(hours=12, minutes=2)
            found.append(Passing(back, deed.old, "", deed))
    return sorted(found)


def _noon(on: date | None) -> datetime:
    """Return noon of a day, when the hub hands on what is open."""
    assert on is not None
    return datetime(on.year, on.month, on.day, 12, 2, tzinfo=HANOI).astimezone(UTC)


def forebears(code: str, on: date) -> list[str]:
    """Return the units that have ended and whose work a unit continues."""
    ended = [*_standing[-1].heirs, *(unit for deed in _standing[-1].deeds if not deed.part for unit in deed.old)]
    return [other for other in dict.fromkeys(ended) if other != code and code in heirs(other, on)]


def speaks_for(code: str, on: date, partner: str) -> list[str]:
    """Return the units for which a status of *code* may speak, itself first: also those whose work it continues, and the one
    that acts for it, if the partner may send for that.
    """
    unit = canonical(code)
    acting = [actor(unit, on)] if may_send(partner, actor(unit, on)) else []
    return list(dict.fromkeys([unit, *forebears(unit, on), *acting]))


def outside(code: str, on: date | None = None) -> bool:
    """Tell whether a code is of another province; *on*: a day, on which a merged province may still have been one."""
    code, places = canonical(code), _standing[-1]
    ours = code == places.province or code.startswith(f"{places.province}.") or code.endswith(f".{places.province}")
    return (code not in places.units and not ours) or _joins_later(code, on)


def _joins_later(code: str, on: date | None) -> bool:
    joined, begins = _standing[-1].joined, _standing[-1].units.get(code, (None, None, None))[1]
    is_of_it = bool(joined) and (code == joined or code.startswith(f"{joined}."))
    return is_of_it and on is not None and begins is not None and on < begins


def day(at: datetime) -> date:
    return at.astimezone(HANOI).date()


def may_send(partner: str, code: str) -> bool:
    places = _standing[-1]
    if partner == places.upstream:
        return outside(code)
    return sends_for_any(partner) or canonical(code) in places.partners[partner][0]


def sends_for_any(partner: str) -> bool:
    return "*" in _standing[-1].partners[partner][0]


def stands_for(partner: str, code: str) -> bool:
    """Tell whether a partner may change what others brought for the unit; the one that may send for any may not."""
    return may_send(partner, code) and not sends_for_any(partner) if partner in _standing[-1].partners else True


def way(code: str, on: date) -> tuple[str, str] | str:
    """Return the partner that what is for *code* goes to and the unit it goes by; or why it cannot go."""
    code, places = canonical(code), _standing[-1]
    if code not in places.units:
        return (places.upstream, code) if outside(code) else "unit-unknown"
    if has_ended(code, on) and not has_ended(code, on, days=GRACE) and actor(code, on) != code:
        return way(actor(code, on), on)
    if _joins_later(code, on):
        return places.upstream, code
    begins = places.units[code][1]
    if (begins and on < begins) or has_ended(code, on):
        return "unit-inactive"
    by: str | None = code
    while by is not None:
        for partner, (units, how) in places.partners.items():
            if by in units and how != "none":
                return partner, by
        by = places.units[by][0]
    return "unit-without-system"


def has_ended(code: str, on: date, *, days: int = 0) -> bool:
    """Tell whether *code* is a unit of the province that ended *days* ago or earlier."""
    code, deed = canonical(code), _deed(canonical(code), on)
    ends = deed.day if deed else _standing[-1].units.get(code, (None, None, None))[2]
    return ends is not None and on >= ends + timedelta(days=days)


def below(code: str, ends: datetime) -> list[str]:
    """Return *code* and every unit below it that there was when a period ended at *ends*."""
    units = _standing[-1].units
    if code not in units:
        return [code]
    on = day(ends)
    found = []
    for unit, (_, begins, _) in units.items():
        if code in _line(unit) and (unit == code or begins is None or begins < on):
            found.append(unit)
    return found


def province() -> str:
    return _standing[-1].province


def rows(members: list[str]) -> dict[str, list[str]]:
    """Return the rows of the table that the province signs: itself, and each unit directly below it with all below that.

    These provinces have no districts, in which a commune would have a row of its own.
    """
    found: dict[str, list[str]] = {}
    for unit in members:
        top, *_ = [each for each in reversed(_line(unit)) if each != province()] or [province()]
        found.setdefault(top, []).append(unit)
    return found


def _line(unit: str | None) -> list[str]:
    line = []
    while unit is not None:
        line.append(unit)
        unit = _standing[-1].units[unit][0]
    return line
