"""Sums up the rows of units in the rows of principal units (đơn vị đầu mối): the table that a province signs. Knows
parents and sections. Counts no facts.
"""

from collections.abc import Mapping, Sequence

import attrs

from hub.domain.model import Unit, UnitKind
from hub.report.counting.counting import DividedRow, Report, Row
from hub.report.counting.sections import place_unit, sort_sections, sum_subtotal
from hub.report.form.form import PRINCIPAL, SECTION, Sorting

#: What a unit below another may be to have a row of its own: the registry calls it a People's Committee, or does not say.
_GOVERNING = (UnitKind.NONE, UnitKind.COMMITTEE)


def find_principals(
    units: Mapping[str, Unit], members: Sequence[str], sections: Sequence[Sorting]
) -> Mapping[str, str]:
    """Return the principal unit of each of *members*, of which the first is the reporting unit.

    A unit is its own principal if it is the reporting unit or directly below it; or if it governs a lower level than
    its principal would: it is a People's Committee, or the registry does not say what it is, and its section comes after
    that of the principal (form II.06a: departments, districts, communes). So a commune that stood below a district until
    30 June 2025 has a row beside the district's, and a health station does not. Any other unit has the principal of the
    unit above it.
    """
    known, root, found = frozenset(members), members[0], dict[str, str]()

    def place(code: str) -> int:
        number = place_unit(sections, units[code]) if code in units else None
        return -1 if number is None or sections[number].takes_rest else number

    for member in members:
        path = list[str]()
        current = member
        while current not in found:
            unit = units.get(current)
            above = unit.parent if unit else None
            if current == root or above is None or above == root or above not in known or current in path:
                found[current] = current
            else:
                path.append(current)
                current = above
        for code in reversed(path):
            above = found[units[code].parent or ""]
            lower = units[code].kind in _GOVERNING and place(code) > place(above) >= 0
            found.setdefault(code, code if lower else above)
    return found


def sum_principals(report: Report, units: Mapping[str, Unit], members: Sequence[str]) -> Report:
    """Return *report* with a table of one row for each principal unit, under the headings of its form's sections.

    A column adds up as in a section: flows, stocks and the peaks of units are sums, a time is the latest, and a ratio is
    computed from the sums. A form that leaves some of these rows without a section has no headings. If each row of
    *report* is that of a principal, it has this table already.
    """
    principals = find_principals(units, members, report.form.sections)
    behind: dict[str, list[Row]] = {code: [] for code in members if principals[code] == code}
    for row in report.rows:
        behind[principals[row.unit]].append(row)
    if all(principals[row.unit] == row.unit for row in report.rows):
        return report
    rows = {code: attrs.evolve(sum_subtotal(report.form, of), unit=code) for code, of in behind.items() if of}
    sections = sort_sections(attrs.evolve(report, rows=tuple(rows.values())), units)
    if sum(len(section.units) for section in sections) < len(rows):
        divided = [DividedRow(path=(code,), unit=code, values=(), name=None, row=row) for code, row in rows.items()]
        return attrs.evolve(report, by=(PRINCIPAL,), divided=tuple(divided))
    divided = []
    for section in sections:
        path = (section.heading.vi,)
        divided.append(DividedRow(path=path, unit="", values=(), name=section.heading, row=section.total))
        divided += [
            DividedRow(path=(*path, code), unit=code, values=(), name=None, row=rows[code]) for code in section.units
        ]
    return attrs.evolve(report, by=(SECTION, PRINCIPAL), divided=tuple(divided))
