"""Evaluates the checks of a form: the sums of columns that must agree in a report. Corrects nothing.

A check that does not hold is a finding. It is shown to people with the report and is not an error of the program: the
numbers stay as they were counted.
"""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from hub.report.counting.deriving import Number
from hub.report.form.column import Wording
from hub.report.form.form import Check, Form


@attrs.frozen(kw_only=True)
class CheckFinding:
    """A check that does not hold in one row."""

    unit: str | None  #: None: the total row
    check: Check
    left: int
    right: int

    @property
    def said(self) -> Wording:
        """The text of the finding: the check, with both numbers."""
        says, numbers = self.check.says, f"{self.left} {self.check.broken} {self.right}"
        return Wording(f"{says.vi}: {numbers}", f"{says.en}: {numbers}")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of both sides. For a check against the period before: only those of this period."""
        return self.check.left if self.check.before else (*self.check.left, *self.check.right)


def check_within_rows(
    form: Form, total: Mapping[str, Number], rows: Iterable[tuple[str, Mapping[str, Number]]]
) -> tuple[CheckFinding, ...]:
    """Return the findings of the checks within a row: those of the *total* row, then those of each of the *rows* (unit,
    numbers), check by check.
    """
    found: list[CheckFinding] = []
    places: list[tuple[str | None, Mapping[str, Number]]] = [(None, total), *rows]
    for check in form.checks:
        if check.before:
            continue
        for unit, numbers in places:
            left, right = _sum_numbers(numbers, check.left), _sum_numbers(numbers, check.right)
            if not check.holds(left, right):
                found.append(CheckFinding(unit=unit, check=check, left=left, right=right))
    return tuple(found)


def check_between_periods(
    form: Form, rows: Mapping[str, Mapping[str, Number]], before: Mapping[str, Mapping[str, Number]]
) -> tuple[CheckFinding, ...]:
    """Return the findings of the checks against the period *before*: a unit's opening numbers must equal its closing
    numbers there.

    *rows*, *before*: the numbers by unit. A unit without a row has 0.
    """
    found: list[CheckFinding] = []
    for check in form.checks:
        if not check.before:
            continue
        for unit in sorted(rows.keys() | before.keys()):
            left, right = _sum_numbers(rows.get(unit, {}), check.left), _sum_numbers(before.get(unit, {}), check.right)
            if not check.holds(left, right):
                found.append(CheckFinding(unit=unit, check=check, left=left, right=right))
    return tuple(found)


def _sum_numbers(numbers: Mapping[str, Number], keys: Sequence[str]) -> int:
    return sum(int(numbers.get(key) or 0) for key in keys)
