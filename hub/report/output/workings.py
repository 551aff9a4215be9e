"""Writes how the numbers of a row come about: each formula with the numbers of the row put in, each grade, and who declared
each declared figure, so that a reader computes it again with a pocket calculator. Knows languages. Computes nothing.
"""

from collections.abc import Mapping

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.counting.counting import Report, Row
from hub.report.counting.declared import DeclaredFigure
from hub.report.form.column import Column, ColumnKind
from hub.report.form.expression import READERS, Notation, parse_formula, write_formula
from hub.report.form.form import Form
from hub.report.words import name_column, name_row_unit, write_moment, write_number, write_value

#: The maximum number of units of which one report shows the workings. A larger one shows the formulas over its columns.
MOST_UNITS = 30

HEADING = phrase("How the numbers come about")
_SAID = phrase("declared by {unit} ({code}), received {at}, message {message}")
_NAMED = phrase("declared by {unit} ({code}), {by}, received {at}, message {message}")
_UNDECLARED = phrase("not declared")
_LESS = phrase("less than {limit}")
_NOTHING = phrase("nothing to work out: no work in the period, and nothing declared")


@attrs.frozen(kw_only=True)
class Working:
    """How one cell comes about."""

    unit: str | None  #: None: of any
    column: str
    #: beginning with the unit if the report has several: `Sở Một: (7) Số lượng = 100 × (3) / (2) = … = 77,42`
    says: str


def write_workings(report: Report, names: Mapping[str, str], language: Language = Language.VI) -> tuple[Working, ...]:
    """Return the workings of each unit's row, in the order of rows and columns. Of a report with more than `MOST_UNITS`
    rows: the formulas and the limits of grades alone. A unit without any number has one line. None for a form without formulas, grades and declared figures.
    """
    told = {(figure.unit, figure.column): figure for figure in report.declared}
    shown = [column for column in report.form.columns if _is_shown(column)]
    if len(report.rows) > MOST_UNITS:
        said = [(column.key, _write_general(report.form, column, language)) for column in shown]
        return tuple(Working(unit=None, column=key, says=text) for key, text in said if text)
    alone = len(report.rows) == 1
    found: list[Working] = []
    for row in report.rows:
        before = "" if alone else f"{name_row_unit(row, names)}: "
        if shown and not any(row.numbers.values()) and not any(unit == row.unit for unit, _ in told):
            says = before + translate(_NOTHING, language)
            found.append(Working(unit=row.unit, column=shown[0].key, says=says))
            continue
        for column in shown:
            figure = told.get((row.unit, column.key))
            says = before + _write_workings(report.form, column, row, figure, names, language)
            found.append(Working(unit=row.unit, column=column.key, says=says))
    return tuple(found)


def _is_shown(column: Column) -> bool:
    return column.kind in (ColumnKind.EXPRESSION, ColumnKind.GRADE, ColumnKind.DECLARED)


def _write_general(form: Form, column: Column, language: Language) -> str:
    """Return the formula of *column* over the numbers of the columns, or the limits of its grades; "" of another."""
    places = {each.key: f"({place})" for place, each in enumerate(form.columns, form.first_number)}
    head = f"{places[column.key]} {name_column(column, language)}"
    match column.kind:
        case ColumnKind.EXPRESSION:
            return f"{head} = {_write_over(form, column, places, language)}"
        case ColumnKind.GRADE:
            limits = [f"≥ {grade.at}: " if grade.at is not None else "" for grade in column.grades]
            names = [limit + grade.heading.say(language) for limit, grade in zip(limits, column.grades, strict=True)]
            return f"{head}: {places[column.of]} {'; '.join(names)}"
        case _:
            return ""


def _write_workings(
    form: Form, column: Column, row: Row, told: DeclaredFigure | None, names: Mapping[str, str], language: Language
) -> str:
    places = {each.key: f"({place})" for place, each in enumerate(form.columns, form.first_number)}
    value = write_value(row.numbers[column.key], column, language)
    head = f"{places[column.key]} {name_column(column, language)}"
    match column.kind:
        case ColumnKind.EXPRESSION:
            return f"{head} = {_write_formula(form, column, row, places, language)} = {value}"
        case ColumnKind.GRADE:
            return f"{head}: {_write_grade(column, row, places[column.of], form.column(column.of), language)}{value}"
        case _ if told is None:
            return f"{head}: {translate(_UNDECLARED, language)}"
        case _:
            said = _NAMED if told.by else _SAID
            arguments = {
                "unit": names.get(told.sender, told.sender),
                "code": told.sender,
                "at": write_moment(told.at),
                "message": told.message,
                "by": told.by,
            }
            return f"{head} = {value}, {translate(attrs.evolve(said, arguments=arguments), language)}"


def _write_formula(form: Form, column: Column, row: Row, places: Mapping[str, str], language: Language) -> str:
    """Return the formula over the numbers of the columns, and again over the numbers of the row."""
    formula = parse_formula(column.expression)

    def put_in(name: str) -> str:
        number = row.numbers[name] if name in places else form.parameters[name]
        written = write_number(number, language)
        return f"({written})" if written.startswith("-") else written

    over = _write_over(form, column, places, language)
    return f"{over} = {write_formula(formula, put_in, _choose_notation(language))}"


def _write_over(form: Form, column: Column, places: Mapping[str, str], language: Language) -> str:
    """Return the formula over the numbers of the columns: `100 × (11) / (12)`."""

    def named(name: str) -> str:
        return places.get(name) or write_number(form.parameters[name], language)

    return write_formula(parse_formula(column.expression), named, _choose_notation(language))


def _choose_notation(language: Language) -> Notation:
    """Return the notation for readers, with the decimal sign of *language*."""
    return attrs.evolve(READERS, number=lambda text: text.replace(".", "," if language == Language.VI else "."))


def _write_grade(column: Column, row: Row, place: str, of: Column, language: Language) -> str:
    """Return why the grade is given: `(9) 91,20 ≥ 90: `; "" if there is no number."""
    number, value = row.numbers[column.key], row.numbers[column.of]
    if not isinstance(number, int) or value is None:
        return ""
    limit = column.grades[number - 1].at
    written = f"{place} {write_value(value, of, language)}"
    if limit is not None:
        return f"{written} ≥ {limit}: "
    least = column.grades[number - 2].at if number > 1 else None
    return f"{written} {translate(attrs.evolve(_LESS, arguments={'limit': least}), language)}: "
