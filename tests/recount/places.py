"""The province of the histories: its units, their other names, who receives for whom.  Knows it as plain lists."""

from datetime import date, datetime, timedelta, timezone

PROVINCE, UPSTREAM = "H55", "vpcp"
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


def canonical(code: str) -> str:
    return ALIASES.get(code, code)


def outside(code: str) -> bool:
    code = canonical(code)
    return code not in UNITS and code != "H55" and not code.startswith("H55.") and not code.endswith(".H55")


def day(at: datetime) -> date:
    return at.astimezone(HANOI).date()


def may_send(partner: str, code: str) -> bool:
    if partner == UPSTREAM:
        return outside(code)
    return partner == "any" or canonical(code) in PARTNERS[partner][0]


def stands_for(partner: str, code: str) -> bool:
    """Tell whether a partner may change what others brought for the unit; the one that may send for any may not."""
    return may_send(partner, code) and partner != "any" if partner in PARTNERS else True


def way(code: str, on: date) -> tuple[str, str] | str:
    """Return the partner that what is for *code* goes to and the unit it goes by; or why it cannot go."""
    code = canonical(code)
    if code not in UNITS:
        return (UPSTREAM, code) if outside(code) else "unit-unknown"
    _, begins, ends = UNITS[code]
    if (begins and on < begins) or (ends and on >= ends):
        return "unit-inactive"
    by: str | None = code
    while by is not None:
        for partner, (units, how) in PARTNERS.items():
            if by in units and how != "none":
                return partner, by
        by = UNITS[by][0]
    return "unit-without-system"


def has_ended(code: str, on: date, *, days: int = 0) -> bool:
    """Tell whether *code* is a unit of the province that ended *days* ago or earlier."""
    ends = UNITS.get(canonical(code), (None, None, None))[2]
    return ends is not None and on >= ends + timedelta(days=days)


def below(code: str, ends: datetime) -> list[str]:
    """Return *code* and every unit below it that there was when a period ended at *ends*."""
    if code not in UNITS:
        return [code]
    on = day(ends)
    found = []
    for unit, (_, begins, _) in UNITS.items():
        if code in _line(unit) and (unit == code or begins is None or begins < on):
            found.append(unit)
    return found


def _line(unit: str | None) -> list[str]:
    line = []
    while unit is not None:
        line.append(unit)
        unit = UNITS[unit][0]
    return line
