"""Writes the numbers, days, times, names and headings of a report as its readers write them. Knows languages. Knows no
layout and no file format.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from itertools import groupby

from babel.numbers import get_decimal_symbol, get_group_symbol

from hub.domain.local_time import HANOI
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.report.counting.counting import Report, Row
from hub.report.form.column import Column, ColumnKind, Declarer
from hub.report.form.form import Form, Indicator, Measured

#: The characters that make a spreadsheet take a text for a formula, including the full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # fmt: skip

_MONTH = re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)", re.ASCII)
NONE = "–"  #: stands for a missing time or number

_ROMAN = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
#: the locale by whose signs (CLDR, in Babel) the numbers of a language are written
_LOCALES = {Language.VI: "vi_VN", Language.EN: "en"}


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would run *text* as a formula."""
    return text.lstrip(" ").startswith(_FORMULA)


def quote_formula(text: str) -> str:
    """Return *text* for a cell of CSV, with an apostrophe before it if a spreadsheet would run it as a formula."""
    return f"'{text}" if is_formula(text) else text


def write_number(value: int | Decimal | None, language: Language = Language.VI) -> str:
    """Return a number as written in *language*, a decimal with its own decimals: `1.234.567` and `12,34`, in English
    `1,234,567` and `12.34`; `–` for None.
    """
    if value is None:
        return NONE
    written = f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    return written.translate(_list_signs(language))


def make_json_number(value: int | Decimal | None) -> int | float | None:
    """Return a number for JSON. A decimal becomes a float, whose shortest form keeps two decimals."""
    return float(value) if isinstance(value, Decimal) else value


@cache
def _list_signs(language: Language) -> Mapping[int, str]:
    """Return, for each sign that Python writes in a number, the sign of *language*."""
    locale = _LOCALES[language]
    return str.maketrans({",": get_group_symbol(locale), ".": get_decimal_symbol(locale)})


def write_cell(row: Row, column: Column, language: Language = Language.VI) -> str:
    """Return a cell as readers see it; `–` for a missing time or number."""
    if column.kind is ColumnKind.TIME:
        at = row.times[column.key]
        return NONE if at is None else write_moment(at)
    return write_value(row.numbers[column.key], column, language)


def write_value(value: int | Decimal | None, column: Column, language: Language = Language.VI) -> str:
    """Return the number *value* of *column* as readers see it; a grade by its name."""
    if column.kind is ColumnKind.GRADE and isinstance(value, int) and 1 <= value <= len(column.grades):
        return column.grades[value - 1].heading.say(language)
    return write_number(value, language)


_MEASURED = {
    Measured.COUNTED: phrase("counted by the hub"),
    Measured.PARTLY: phrase("counted by the hub in part; the rest is declared by units"),
    Measured.DECLARED: phrase("declared by units, not counted"),
    Measured.NOT_MEASURED: phrase("not measured"),
}


def write_notes(form: Form, language: Language = Language.VI) -> list[str]:
    """Return the notes under the table: those of the form, then one for each declared column, with who declares it, and one
    for each indicator, with how it is measured.
    """
    notes = [note.say(language) for note in form.notes]
    notes += [translate(said, language) for said in _list_declared(form)]
    return notes + [_write_indicator(form, each, language) for each in form.indicators]


_DECLARERS = {
    Declarer.ANY: phrase(
        "{column}*: declared by the unit or a unit above it, at most {most}; the hub does not count it"
    ),
    Declarer.OWN: phrase("{column}*: declared by the unit, at most {most}; the hub does not count it"),
    Declarer.ABOVE: phrase("{column}*: declared by a unit above it, at most {most}; the hub does not count it"),
}


def _list_declared(form: Form) -> list[Phrase]:
    """Return, for each declared column, who declares it."""
    return [
        Phrase(_DECLARERS[column.declarer].id, {"column": f"({place})", "most": column.most})
        for place, column in enumerate(form.columns, form.first_number)
        if column.kind is ColumnKind.DECLARED
    ]


def _write_indicator(form: Form, indicator: Indicator, language: Language) -> str:
    """Return what an indicator is, whether it is counted or declared, by which figures, and its formula."""
    said = f"{indicator.number} {indicator.title.say(language)}: {translate(_MEASURED[indicator.measured], language)}"
    lines = [line.heading.say(language) for line in form.manual if line.key in indicator.declared]
    declared = f" ({'; '.join(lines)})" if lines else ""
    return f"{said}{declared}. {indicator.formula.say(language)}"


def write_short_period(text: str) -> str:
    """Return a month such as `2026-08` as MM/yyyy; another period as its text."""
    found = _MONTH.fullmatch(text)
    return f"{found['month']}/{found['year']}" if found else text


def write_day(value: date) -> str:
    """Return a date as dd/MM/yyyy."""
    return f"{value:%d/%m/%Y}"


def write_moment(value: datetime) -> str:
    """Return an instant as dd/MM/yyyy HH:mm in Hà Nội time."""
    return f"{value.astimezone(HANOI):%d/%m/%Y %H:%M}"


def write_due_sentence(report: Report, language: Language = Language.VI) -> str:
    """Return, as a sentence, when *report* must be submitted; "" if its form has no due date."""
    if report.due is None:
        return ""
    return translate(_say_due(write_day(report.due.day), sure=report.due.sure), language)


def _say_due(day: str, *, sure: bool) -> Phrase:
    if sure:
        return phrase("To be submitted by {day}", day=day)
    return phrase("To be submitted by {day} (may move: holidays not announced yet)", day=day)


def name_row_unit(row: Row, names: Mapping[str, str]) -> str:
    """Return the name of the unit of *row*, else its code."""
    return names.get(row.unit, row.unit)


def write_roman(value: int) -> str:
    """Return a number from 1 on in Roman numerals, as sections are numbered: `IV`."""
    written = ""
    for worth, letters in _ROMAN:
        written += letters * (value // worth)
        value %= worth
    return written


def name_column(column: Column, language: Language) -> str:
    """Return the heading of *column*, behind that of its group: two groups may have columns of the same heading."""
    heading = column.heading.say(language)
    return heading if column.group is None else f"{column.group.say(language)}: {heading}"


def group_columns(columns: tuple[Column, ...]) -> list[tuple[Column, int]]:
    """Return the first column of each run of columns with the same group, with the length of the run; 0 for a column
    without a group.
    """
    runs: list[tuple[Column, int]] = []
    for group, members in groupby(columns, key=lambda column: column.group):
        found = list(members)
        runs += [(column, 0) for column in found] if group is None else [(found[0], len(found))]
    return runs


def write_column_sums(form: Form) -> list[str]:
    """Return the texts printed under the headings, as official forms have them: `(3)`, `(7)=(8)+(9)`, `(10)=(8)/(7)`, and
    `(11)*` over declared figures. What an expression is stands below the table (`workings`): it is too long for a heading.
    """
    numbers = {column.key: f"({place})" for place, column in enumerate(form.columns, form.first_number)}
    return [numbers[column.key] + _say_rule(column, numbers) for column in form.columns]


def _say_rule(column: Column, numbers: Mapping[str, str]) -> str:
    def added(keys: tuple[str, ...]) -> str:
        return "+".join(numbers[key] for key in keys)

    if column.kind is ColumnKind.DECLARED:
        return "*"
    if column.part:
        part, whole = (f"[{added(keys)}]" if len(keys) > 1 else added(keys) for keys in (column.part, column.whole))
        return f"={part}/{whole}"
    return f"={added(column.sum)}" if column.sum else ""
