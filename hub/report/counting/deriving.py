"""Computes what derives from counted numbers: sums, ratios, points, formulas, grades, and forms that take their numbers
from other forms.

Knows the arithmetic of the form language. Counts no facts. Sources: standards 4.3 (points, two decimals, zero
denominators).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import attrs

from hub.report.form.column import Column, ColumnKind, EmptyRatio
from hub.report.form.expression import parse_formula, work_out
from hub.report.form.form import Form

#: Formulas that take one another's numbers could multiply them to millions of digits.
_TOO_LARGE = 10**15
#: The value of a cell: a count; a number with decimals, as many as its column has; the place of a grade; None: none.
Number = int | Decimal | None


def derive_row_numbers(form: Form, sums: Mapping[str, int]) -> dict[str, Number]:
    """Return the numbers of a row in the order of the form, without times. *sums*: the numbers of the columns that
    count, are taken or declared, in units of the column's decimals; a declared one may be missing.
    """
    row = _RowNumbers(form, sums)
    return {
        column.key: round_number(row.work_out(column), column)
        for column in form.columns
        if column.kind is not ColumnKind.TIME
    }


@attrs.frozen
class _RowNumbers:
    """The numbers of one row, each worked out once."""

    form: Form
    sums: Mapping[str, int]
    exact: dict[str, Fraction | None] = attrs.field(factory=dict)

    def work_out(self, column: Column) -> Fraction | None:
        """Return the exact number of *column*."""
        if column.key not in self.exact:
            self.exact[column.key] = self._compute(column)
        return self.exact[column.key]

    def add(self, keys: Sequence[str]) -> Fraction:
        found = [self.work_out(self.form.column(key)) for key in keys]
        return sum((each for each in found if each is not None), Fraction(0))

    def _compute(self, column: Column) -> Fraction | None:
        nothing = None if column.empty is EmptyRatio.NONE else Fraction(0)
        match column.kind:
            case ColumnKind.FORMULA:
                return self.add(column.sum)
            case ColumnKind.RATIO:
                whole = self.add(column.whole)
                return 100 * self.add(column.part) / whole if whole else nothing
            case ColumnKind.SCORE:
                ratio = self.work_out(self.form.column(column.of))
                return None if ratio is None else min(ratio / column.full_at, Fraction(1)) * column.points
            case ColumnKind.EXPRESSION:
                named = {key: self.read_written(key) for key in column.inputs}
                return compute_expression(column, named, self.form.parameters)
            case ColumnKind.GRADE:
                value = self.read_written(column.of)
                return None if value is None else Fraction(find_grade(column, value))
            case ColumnKind.DECLARED if column.key not in self.sums:
                return None
            case _:
                return Fraction(self.sums[column.key], 10**column.places)

    def read_written(self, key: str) -> Number:
        column = self.form.column(key)
        return round_number(self.work_out(column), column)


def compute_expression(column: Column, numbers: Mapping[str, Number], parameters: Mapping[str, int]) -> Fraction | None:
    """Return what the formula of *column* gives for the *numbers* of the columns that it names, as they are written.

    So a reader of the page comes to the same number. If a divisor is 0 or a number is absent, it is None or 0, as the
    column says. A number of `_TOO_LARGE` or more is no number of a report: None.
    """
    values = {key: Fraction(value) for key, value in parameters.items()}
    values |= {key: Fraction(value) for key, value in numbers.items() if value is not None}
    value = work_out(parse_formula(column.expression), values)
    if value is not None and abs(value) >= _TOO_LARGE:
        return None
    return Fraction(0) if value is None and column.empty is EmptyRatio.ZERO else value


def find_grade(column: Column, value: int | Decimal) -> int:
    """Return the place of the grade for *value*, from 1."""
    return next(place for place, grade in enumerate(column.grades, 1) if grade.at is None or value >= grade.at)


def round_number(value: Fraction | None, column: Column) -> Number:
    """Return *value* as *column* writes it: whole, or rounded to its decimals."""
    if value is None:
        return None
    if not column.places:
        return int(_round_fraction(value, 0))
    return _round_fraction(value, column.places)


def round_ratio(value: Fraction) -> Decimal:
    """Return *value* rounded to two decimals from its exact quotient, halves away from zero."""
    return _round_fraction(value, 2)


def _round_fraction(value: Fraction, places: int) -> Decimal:
    units, rest = divmod(abs(value.numerator) * 10**places, value.denominator)
    units += 2 * rest >= value.denominator
    return Decimal(f"{'-' if value < 0 and units else ''}{units}e-{places}")  # exact, however many digits


def read_sum(column: Column, value: Number) -> int:
    """Return the number *value* of a row in units of the column's decimals; 0 for none."""
    return int(Decimal(value or 0).scaleb(column.places))


def derive_numbers(form: Form, unit: str, rows: Mapping[str, Mapping[str, Mapping[str, Number]]]) -> dict[str, int]:
    """Return the numbers that *form* takes from other forms for *unit*. *rows*: the numbers of those forms, by form and
    unit; a missing one counts as 0.

    Only columns that count or add up can be taken. A ratio is computed again from its parts.
    """
    found: dict[str, int] = {}
    for column in form.columns:
        if column.taken is not None:
            base, key = column.taken
            value = rows.get(base, {}).get(unit, {}).get(key, 0)
            assert isinstance(value, int), column.taken  # ensured by `hub.report.form.folder`
            found[column.key] = value
    return found
