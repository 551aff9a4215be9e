"""Lists the rules between the cells of a report that a form states, each as a test of XPath 1.0 on the report's XML and a
sentence in both languages. Knows the form language and the names of `xsd/lienthong/1/report.xsd`. Runs nothing.

`hub.report.output.schematron` writes them for any receiver. What one file cannot show is no rule here: a check against
the period before, and what was counted.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import attrs

from hub.domain.model import DOCUMENTS
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.report.counting.counting import COUNTING
from hub.report.form.column import HANDED_OVER, Column, ColumnKind, EmptyRatio, Wording
from hub.report.form.expression import READERS, XPATH, list_divisors, parse_formula, write_formula
from hub.report.form.form import UNIT, Check, Form
from hub.report.words import name_column


class Place(StrEnum):
    """The element that a rule is about, as a pattern of XSLT."""

    REPORT = "/r:Report"
    TOTAL = "/r:Report/r:Total"
    ROW = "/r:Report/r:Rows/r:Row"
    MEMBER = "/r:Report/r:Sections/r:Section/r:Member"
    DIVIDED = "/r:Report/r:Divided/r:DividedRow"


@attrs.frozen(kw_only=True)
class CellRule:
    """A rule about one element of a report."""

    id: str  #: unique in the form, and a name of XML: `row-formula-settled`
    place: Place
    test: (
        str  #: XPath 1.0 that is true where the rule holds; the element is the context, `r:` is the report's namespace
    )
    says: Wording
    column: str | None = None  #: the column of the cell that is named; None: no cell, or all
    expected: str | None = None  #: XPath of the number that the cell should have


#: The kinds of which the total is the sum of all rows.
_ADDED = (*COUNTING, ColumnKind.TAKEN, ColumnKind.FORMULA)
#: By so much of its last decimal a number may differ from its formula: half of it, and what XPath 1.0 loses, which has no
#: exact fractions.
_HALF = "0.500001"
#: The services whose facts count 1 each, so that no sum of them is below 0. What others state, a correction may lower.
_OF_ONES = frozenset({DOCUMENTS, "dossiers"})

_FORM = phrase("The report is of the form {form}, in the version of these rules")
_COLUMN = phrase("Column {place} of the report is {name}")
_COLUMNS = phrase("The report has {count} columns")
_OWN_ROW = phrase("The reporting unit has a row")
_ONE_ROW = phrase("Each unit has one row")
_CELL = phrase("There is one cell of {name}")
_CELLS = phrase("There are {count} cells, and none of another column")
_COUNT = phrase("{name} is a whole number")
_NEGATIVE = phrase("{name} is not below 0")
_FORMULA = phrase("{name} = {parts}")
_RATIO = phrase("{name} = 100 × ({part}) / ({whole}), to two decimals")
_SCORE = phrase("{name} = {points} points at {full} % of {of}, in proportion below, to two decimals")
_PLACES = phrase("{name} is a number with {places} decimals")
_EXPRESSION = phrase(
    "{name} = {formula}, rounded, decimals: {places}; if a number is absent or a divisor is 0: {nothing}"
)
_GRADE = phrase("{name} is the grade for {of}: {grades}")
_DECLARED = phrase("{name} is absent, or a number from 0 to {most} with {places} decimals")
_TOTAL = phrase("{name} of the total = the sum of all rows")
_LATEST = phrase("{name} of the total = the latest of all rows")
_CHECK = phrase("{check}; or the report says that it does not hold, with both numbers")
_MEMBER = phrase("A unit in a section has a row")
_ONE_SECTION = phrase("A unit is in one section")
_DIVIDED = phrase("{name} of the total = the sum of the divided rows; or the report says that it is not")
_HEADING = phrase("{name} of a heading = the sum of the rows below it")
_UNIT = phrase("{name} of a unit = its divided rows together; or the report says that it is not")


def list_rules(form: Form) -> tuple[CellRule, ...]:
    """Return all rules of *form*, in the order of places and columns."""
    return (
        *_rule_report(form),
        *(rule for place in (Place.TOTAL, Place.ROW, Place.DIVIDED) for rule in _rule_cells(form, place)),
        *(rule for place in (Place.TOTAL, Place.ROW) for rule in _rule_checks(form, place)),
        *_rule_totals(form),
        *_rule_rows(),
        *(_rule_divided(form) if form.rows is not None else ()),
    )


def _rule_report(form: Form) -> Iterator[CellRule]:
    dates = {"since": form.since, "until": form.until}
    stated = [f"r:Form/@{name} = '{day}'" if day else f"not(r:Form/@{name})" for name, day in dates.items()]
    test = " and ".join([f"r:Form/@id = '{form.id}'", *stated])
    yield CellRule(id="form", place=Place.REPORT, test=test, says=_say_both(_FORM, form=form.id))
    test = f"count(r:Columns/r:Column) = {len(form.columns)}"
    yield CellRule(id="columns", place=Place.REPORT, test=test, says=_say_both(_COLUMNS, count=len(form.columns)))
    for place, column in enumerate(form.columns, 1):
        yield CellRule(
            id=f"column-{column.key}",
            place=Place.REPORT,
            test=f"r:Columns/r:Column[{place}][@key = '{column.key}' and @kind = '{column.kind.value}']",
            says=_say_named(form, _COLUMN, column, place=place),
            column=column.key,
        )
    yield CellRule(
        id="own-row", place=Place.REPORT, test="r:Rows/r:Row/@unit = r:Total/@unit", says=_say_both(_OWN_ROW)
    )


def _rule_cells(form: Form, place: Place) -> Iterator[CellRule]:
    """Yield what each row must satisfy by itself."""
    at = place.name.lower()
    test = f"count(r:Number | r:Time) = {len(form.columns)}"
    yield CellRule(id=f"{at}-cells", place=place, test=test, says=_say_both(_CELLS, count=len(form.columns)))
    for column in form.columns:
        tag = "Time" if column.kind is ColumnKind.TIME else "Number"
        own = f"{at}-{{}}-{column.key}"
        cell = _write_cell_path(column)
        one = f"count(r:{tag}[@column = '{column.key}']) = 1"
        yield CellRule(
            id=own.format("cell"), place=place, test=one, says=_say_named(form, _CELL, column), column=column.key
        )
        if column.kind in _ADDED and not column.places:
            digits = f"concat(translate(substring({cell}, 1, 1), '-', ''), substring({cell}, 2))"
            test = f"{cell} != '' and {cell} != '-' and translate({digits}, '0123456789', '') = ''"
            yield CellRule(
                id=own.format("count"), place=place, test=test, says=_say_named(form, _COUNT, column), column=column.key
            )
        if (column.kind in _ADDED or column.kind in _ROUNDED) and column.places:
            says = _say_named(form, _PLACES, column, places=column.places)
            absent = f"{cell} = '' or " if column.kind in _ROUNDED else ""
            test = absent + _has_places(cell, column.places)
            yield CellRule(id=own.format("places"), place=place, test=test, says=says, column=column.key)
        if column.kind is ColumnKind.DECLARED:
            says = _say_named(form, _DECLARED, column, most=column.most, places=column.places)
            form_of = _has_places(cell, column.places) if column.places else f"not(contains({cell}, '.'))"
            test = f"{cell} = '' or ({cell} >= 0 and {cell} <= {column.most} and {form_of})"
            yield CellRule(id=own.format("declared"), place=place, test=test, says=says, column=column.key)
        if _is_never_negative(form, column):
            yield CellRule(
                id=own.format("least"),
                place=place,
                test=f"not({cell} < 0)",
                says=_say_named(form, _NEGATIVE, column),
                column=column.key,
            )
        yield from _rule_derived(form, place, column, own)


def _rule_score(form: Form, place: Place, column: Column, own: str) -> CellRule:
    """Return how points follow from a ratio."""
    cell = _write_cell_path(column)
    ratio = form.column(column.of)
    part, whole = f"{column.points} * {_write_sum(ratio.part)}", f"{column.full_at} * {_write_sum(ratio.whole)}"
    full = f"100 * {_write_sum(ratio.part)} >= {whole}"
    exact = _test_quotient(cell, part, whole, ratio.empty)
    some = f"{_write_sum(ratio.whole)} > 0"
    return CellRule(
        id=own.format("score"),
        place=place,
        test=f"({some} and {full} and {cell} = {column.points}) or (not({some} and {full}) and ({exact}))",
        says=_say_named(form, _SCORE, column, points=column.points, full=column.full_at, of=(column.of,)),
        column=column.key,
    )


def _rule_grade(form: Form, place: Place, column: Column, own: str) -> CellRule:
    """Return how a grade follows from the column that it grades."""
    cell = _write_cell_path(column)
    of = _write_cell_path(form.column(column.of))
    below = " + ".join(f"({of} < {grade.at})" for grade in column.grades[:-1])
    grades = "; ".join(
        f"{number}" + (f" ≥ {grade.at}" if grade.at is not None else "")
        for number, grade in enumerate(column.grades, 1)
    )
    return CellRule(
        id=own.format("grade"),
        place=place,
        test=f"({of} = '' and {cell} = '') or ({of} != '' and {cell} = 1 + {below})",
        says=_say_named(form, _GRADE, column, of=(column.of,), grades=grades),
        column=column.key,
        expected=f"1 + {below}",
    )


def _rule_derived(form: Form, place: Place, column: Column, own: str) -> Iterator[CellRule]:
    """Yield how a cell follows from other cells of its row. Whole numbers only: a quotient is compared multiplied."""
    cell = _write_cell_path(column)
    match column.kind:
        case ColumnKind.FORMULA:
            yield CellRule(
                id=own.format("formula"),
                place=place,
                test=f"{cell} = {_write_sum(column.sum)}",
                says=_say_named(form, _FORMULA, column, parts=column.sum),
                column=column.key,
                expected=_write_sum(column.sum),
            )
        case ColumnKind.RATIO:
            yield CellRule(
                id=own.format("ratio"),
                place=place,
                test=_test_quotient(cell, _write_sum(column.part), _write_sum(column.whole), column.empty),
                says=_say_named(form, _RATIO, column, part=column.part, whole=column.whole),
                column=column.key,
            )
        case ColumnKind.SCORE:
            yield _rule_score(form, place, column, own)
        case ColumnKind.EXPRESSION:
            yield _rule_expression(form, place, column, own)
        case ColumnKind.GRADE:
            yield _rule_grade(form, place, column, own)
        case _:
            pass


#: The kinds that are rounded to stated decimals and may be absent.
_ROUNDED = frozenset({ColumnKind.EXPRESSION})


def _rule_expression(form: Form, place: Place, column: Column, own: str) -> CellRule:
    """Return the rule that a cell is what its formula gives for other cells of its row."""
    formula, cell = parse_formula(column.expression), _write_cell_path(column)

    def named(name: str) -> str:
        if name in column.inputs:
            return f"number({_write_cell_path(form.column(name))})"
        return str(form.parameters[name])

    value = write_formula(formula, named, XPATH)
    absent = [f"{_write_cell_path(form.column(key))} = ''" for key in column.inputs]
    absent += [f"({write_formula(divisor, named, XPATH)}) = 0" for divisor in list_divisors(formula)]
    zero = "0" if not column.places else f"0.{'0' * column.places}"
    nothing = "''" if column.empty is EmptyRatio.NONE else f"'{zero}'"
    off = f"(({value}) - {cell}) * {10**column.places}"
    near = f"{off} <= {_HALF} and {off} >= -{_HALF}"
    none = " or ".join(absent)
    numbers = {each.key: f"({number})" for number, each in enumerate(form.columns, form.first_number)}
    written = write_formula(formula, lambda name: numbers.get(name) or str(form.parameters[name]), READERS)
    return CellRule(
        id=own.format("expression"),
        place=place,
        test=f"(({none}) and {cell} = {nothing}) or (not({none}) and {near})" if none else near,
        says=_say_named(
            form,
            _EXPRESSION,
            column,
            formula=written,
            places=column.places,
            nothing="–" if column.empty is EmptyRatio.NONE else "0",
        ),
        column=column.key,
        expected=value,
    )


def _has_places(cell: str, places: int) -> str:
    """Return the test that *cell* is a number with so many decimals."""
    digits = f"translate({cell}, '-.', '')"
    return (
        f"string-length(substring-after({cell}, '.')) = {places}"
        f" and {digits} != '' and translate({digits}, '0123456789', '') = '' and number({cell}) = {cell}"
    )


def _test_quotient(cell: str, part: str, whole: str, empty: EmptyRatio) -> str:
    """Return the test that *cell* is 100 × *part* / *whole* to two decimals, halves up. Numbers below 0 are not tested."""
    cents = f"translate({cell}, '.', '')"
    nothing = "''" if empty is EmptyRatio.NONE else "'0.00'"
    rounded = (
        f"string-length(substring-after({cell}, '.')) = 2"
        f" and 2 * {whole} * {cents} <= 20000 * {part} + {whole}"
        f" and 20000 * {part} + {whole} < 2 * {whole} * ({cents} + 1)"
    )
    return f"({whole} = 0 and {cell} = {nothing}) or ({whole} > 0 and {rounded}) or {whole} < 0 or {part} < 0"


def _rule_checks(form: Form, place: Place) -> Iterator[CellRule]:
    for number, check in enumerate(form.checks, 1):
        if check.before:
            continue
        left, right = _write_sum(check.left), _write_sum(check.right)
        told = _write_told_path(check.left, check.right, "@unit" if place is Place.ROW else None)
        holds = f"{left} {'<=' if check.at_most else '='} {right}"
        yield CellRule(
            id=f"{place.name.lower()}-check-{number}",
            place=place,
            test=f"{holds} or {told}[r:Left = {_write_outer_path(place, left)} and r:Right = {_write_outer_path(place, right)}]",
            says=_say_check(form, check),
            column=(*check.left, *check.right)[0],
            expected=right if check.left else left,
        )


def _write_outer_path(place: Place, numbers: str) -> str:
    """Return *numbers* of the element that is tested, as written inside a condition on another element."""
    return numbers.replace("sum(r:Number", "sum(current()/r:Number")


def _write_told_path(left: Sequence[str], right: Sequence[str], unit: str | None) -> str:
    """Return the path to what the report itself says of the columns *left* and *right*, of a unit or of the total."""
    of = "not(@unit)" if unit is None else f"@unit = current()/{unit}"
    keys = " ".join((*left, *right))
    same = f"normalize-space(concat(r:Left/@columns, ' ', r:Right/@columns)) = '{keys}'"
    return f"/r:Report/r:Findings/r:Finding[{of} and not(@before = 'true') and {same}]"


def _rule_totals(form: Form) -> Iterator[CellRule]:
    for column in form.columns:
        cell = _write_cell_path(column)
        if column.kind in _ADDED:
            added = f"sum(../r:Rows/r:Row/r:Number[@column = '{column.key}'])"
            says, test = _say_named(form, _TOTAL, column), f"{cell} = {added}"
            if column.places:  # XPath 1.0 adds decimals up inexactly
                unit = 10**column.places
                test = f"round({cell} * {unit}) = round({added} * {unit})"
            yield CellRule(
                id=f"total-sum-{column.key}",
                place=Place.TOTAL,
                test=test,
                says=says,
                column=column.key,
                expected=added,
            )
        elif column.kind is ColumnKind.TIME:
            rows = f"../r:Rows/r:Row/r:Time[@column = '{column.key}']"
            later = f"{_write_seconds('.')} > {_write_seconds(f'current()/{cell}')}"
            test = f"{cell} = {rows} and (not({cell} = '') or not({rows}[. != ''])) and not({rows}[{later}])"
            says = _say_named(form, _LATEST, column)
            yield CellRule(id=f"total-latest-{column.key}", place=Place.TOTAL, test=test, says=says, column=column.key)


def _write_seconds(moment: str) -> str:
    """Return the digits of a time in UTC, which are in the order of time."""
    return f"number(translate(substring({moment}, 1, 19), '-:T', ''))"


def _rule_rows() -> Iterator[CellRule]:
    test = "not(@unit = preceding-sibling::r:Row/@unit)"
    yield CellRule(id="row-once", place=Place.ROW, test=test, says=_say_both(_ONE_ROW))
    test = "@unit = /r:Report/r:Rows/r:Row/@unit"
    yield CellRule(id="member-row", place=Place.MEMBER, test=test, says=_say_both(_MEMBER))
    test = "count(/r:Report/r:Sections/r:Section/r:Member[@unit = current()/@unit]) = 1"
    yield CellRule(id="member-once", place=Place.MEMBER, test=test, says=_say_both(_ONE_SECTION))


def _rule_divided(form: Form) -> Iterator[CellRule]:
    """Yield how divided rows add up: to the total, those below a heading to it, and those of a unit to its row."""
    table = "/r:Report/r:Divided"
    for column in form.columns:
        if column.kind not in COUNTING:
            continue
        cell, key = _write_cell_path(column), column.key
        told = _write_told_path((key,), (key,), None).replace("not(@unit) and ", "")
        added = f"sum(../r:Divided/r:DividedRow[count(r:Value) = 1]/r:Number[@column = '{key}'])"
        yield CellRule(
            id=f"total-divided-{key}",
            place=Place.TOTAL,
            test=f"not(../r:Divided) or {cell} = {added} or {told}",
            says=_say_named(form, _DIVIDED, column),
            column=key,
            expected=added,
        )
        below = f"../r:DividedRow[count(r:Value) = 2 and r:Value[1] = current()/r:Value[1]]/r:Number[@column = '{key}']"
        two = "contains(normalize-space(../@by), ' ')"
        yield CellRule(
            id=f"divided-heading-{key}",
            place=Place.DIVIDED,
            test=f"not({two}) or count(r:Value) = 2 or {cell} = sum({below})",
            says=_say_named(form, _HEADING, column),
            column=key,
            expected=f"sum({below})",
        )
        first = f"{table}/r:DividedRow[count(r:Value) = 1 and r:Value = current()/@unit]/r:Number[@column = '{key}']"
        by_unit = f"starts-with(concat(normalize-space({table}/@by), ' '), '{UNIT} ')"
        told = _write_told_path((key,), (key,), "@unit")
        yield CellRule(
            id=f"row-divided-{key}",
            place=Place.ROW,
            test=f"not({by_unit}) or {cell} = sum({first}) or {told}",
            says=_say_named(form, _UNIT, column),
            column=key,
            expected=f"sum({first})",
        )


def _is_never_negative(form: Form, column: Column) -> bool:
    if form.service not in _OF_ONES or column.kind in (ColumnKind.TIME, ColumnKind.TAKEN):
        return False
    return all(HANDED_OVER not in part.milestones for part in form.parts(column.key))


def _write_cell_path(column: Column) -> str:
    return f"r:{'Time' if column.kind is ColumnKind.TIME else 'Number'}[@column = '{column.key}']"


def _write_sum(keys: Sequence[str]) -> str:
    named = " or ".join(f"@column = '{key}'" for key in keys)
    return f"sum(r:Number[{named}])" if keys else "0"


def _say_both(said: Phrase, **arguments: object) -> Wording:
    whole = Phrase(said.id, {**said.arguments, **arguments})
    return Wording(translate(whole, Language.VI), translate(whole, Language.EN))


def _say_named(form: Form, said: Phrase, column: Column, **arguments: object) -> Wording:
    """Return the sentence *said* about *column*. Columns among the *arguments* are their numbers, added up."""
    numbers = {each.key: place for place, each in enumerate(form.columns, form.first_number)}
    sums = {
        name: " + ".join(f"({numbers[key]})" for key in value) if isinstance(value, tuple) else value
        for name, value in arguments.items()
    }

    def named(language: Language) -> str:
        return f"({numbers[column.key]}) {name_column(column, language)}"

    vi, en = (
        translate(Phrase(said.id, {**said.arguments, **sums, "name": named(language)}), language)
        for language in (Language.VI, Language.EN)
    )
    return Wording(vi, en)


def _say_check(form: Form, check: Check) -> Wording:
    vi, en = (
        translate(Phrase(_CHECK.id, {"check": check.says.say(language)}), language)
        for language in (Language.VI, Language.EN)
    )
    return Wording(vi, en)
