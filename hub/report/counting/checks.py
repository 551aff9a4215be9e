"""The checks of a form: what must agree in a report, and where it does not.  Knows sums of columns; mends nothing.

A check that does not hold is a finding that people are shown with the report, and no mistake of the program's: the numbers stay as
they were counted.
"""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from hub.report.counting.deriving import Number
from hub.report.form.form import Check, Form, Wording


@attrs.frozen(kw_only=True)
class CheckFinding:
    """A check that does not hold in one row."""

    unit: str | None  #: None: in the total
    check: Check
    left: int
    right: int

    @property
    def said(self) -> Wording:
        """What does not hold, with both numbers."""
        says, numbers = self.check.says, f"{self.left} {self.check.broken} {self.right}"
        return Wording(f"{says.vi}: {numbers}", f"{says.en}: {numbers}")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of both sides; of the period before, those of this one only."""
        return self.check.left if self.check.before else (*self.check.left, *self.check.right)


def check_within_rows(
    form: Form, total: Mapping[str, Number], rows: Iterable[tuple[str, Mapping[str, Number]]]
) -> tuple[CheckFinding, ...]:
    """Return what of the checks within a row does not hold: in the *total*, then in each of the *rows* (unit, numbers)."""
    found: list[CheckFinding] = []
    places: list[tuple[str | None, Mapping[str, Number]]] = [(None, total), *rows]
    for check in form.checks:
        if check.before:
            continue
        for unit, numbers in places:
            left, right = _sum(numbers, check.left), _sum(numbers, check.right)
            if not check.holds(left, right):
                found.append(CheckFinding(unit=unit, check=check, left=left, right=right))
    return tuple(found)


def check_between_periods(
    form: Form, rows: Mapping[str, Mapping[str, Number]], before: Mapping[str, Mapping[str, Number]]
) -> tuple[CheckFinding, ...]:
    """Return what does not go on from the period *before*: a unit's opening numbers are its closing ones there; 0 for a unit without a row."""
    found: list[CheckFinding] = []
    for check in form.checks:
        if not check.before:
            continue
        for unit in sorted(rows.keys() | before.keys()):
            left, right = _sum(rows.get(unit, {}), check.left), _sum(before.get(unit, {}), check.right)
            if not check.holds(left, right):
                found.append(CheckFinding(unit=unit, check=check, left=left, right=right))
    return tuple(found)


def _sum(numbers: Mapping[str, Number], keys: Sequence[str]) -> int:
    return sum(int(numbers.get(key) or 0) for key in keys)
