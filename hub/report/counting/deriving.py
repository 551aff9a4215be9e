"""Computes what derives from counted numbers: sums, ratios, points, and forms that take their numbers from other forms.

Knows the arithmetic of the form language. Counts no facts. Sources: standards 4.3 (points, two decimals, zero
denominators).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from hub.report.form.form import Column, ColumnKind, EmptyRatio, Form

#: The value of a cell: a count; a ratio or points, with two decimals; None, where a ratio has no denominator.
Number = int | Decimal | None

_CENT = Decimal("0.01")


def derive_row_numbers(form: Form, sums: Mapping[str, int]) -> dict[str, Number]:
    """Return the numbers of a row in the order of the form, without times. *sums*: the numbers of the columns that
    count or are taken.
    """
    exact: dict[str, Fraction | None] = {}
    for column in form.columns:
        if column.kind is not ColumnKind.TIME:
            _work_out(form, column, sums, exact)
    return {column.key: _written(column, exact[column.key]) for column in form.columns if column.key in exact}


def _work_out(
    form: Form, column: Column, sums: Mapping[str, int], exact: dict[str, Fraction | None]
) -> Fraction | None:
    """Compute the exact number of *column* and of the columns it depends on, and store them in *exact*."""
    if column.key in exact:
        return exact[column.key]

    def added(keys: Sequence[str]) -> Fraction:
        found = [_work_out(form, form.column(key), sums, exact) for key in keys]
        return sum((each for each in found if each is not None), Fraction(0))

    value: Fraction | None
    match column.kind:
        case ColumnKind.FORMULA:
            value = added(column.sum)
        case ColumnKind.RATIO:
            whole = added(column.whole)
            nothing = None if column.empty is EmptyRatio.NONE else Fraction(0)
            value = 100 * added(column.part) / whole if whole else nothing
        case ColumnKind.SCORE:
            ratio = _work_out(form, form.column(column.of), sums, exact)
            value = None if ratio is None else min(ratio / column.full_at, Fraction(1)) * column.points
        case _:
            value = Fraction(sums[column.key])
    exact[column.key] = value
    return value


def _written(column: Column, value: Fraction | None) -> Number:
    if value is None:
        return None
    if column.kind in {ColumnKind.RATIO, ColumnKind.SCORE}:
        return round_ratio(value)
    return int(value)


def round_ratio(value: Fraction) -> Decimal:
    """Return *value* rounded to two decimals from its exact quotient, halves away from zero."""
    cents, rest = divmod(abs(value.numerator) * 100, value.denominator)
    found = (Decimal(cents + (2 * rest >= value.denominator)) / 100).quantize(_CENT)
    return -found if value < 0 else found


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
            assert isinstance(value, int), column.taken  # ensured by `hub.report.form.toml`
            found[column.key] = value
    return found
