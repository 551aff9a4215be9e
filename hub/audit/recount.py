"""Counts the cells of a report again.

Uses the listed facts, the facts beside them, the form and the periods in the file. Knows how a period is composed of
its parts. Does not know where the facts are stored.
"""

from collections.abc import Iterator, Mapping

import attrs

from hub.audit.findings import AuditFinding, FindingCollector
from hub.domain.model import Fact
from hub.language.phrases import phrase
from hub.report.counting import closed, counting, table
from hub.report.counting.closed import Piece
from hub.report.counting.counting import Cells, Placing, Report, Row
from hub.report.counting.division import UNDIVIDED, Division
from hub.report.counting.pieces import Pieces
from hub.report.counting.posting import ClosedMonths
from hub.report.form.column import ColumnKind
from hub.report.form.form import UNIT, Form
from hub.report.form.period import Period
from hub.report.signed.sealed import Sealed


def recount_cells(
    cells: FindingCollector,
    form: Form,
    said_of: Pieces,
    facts: list[Fact],
    row: Row,
    found: Sealed,
    divisions: dict[str, Division],
) -> Iterator[AuditFinding]:
    """Yield the cells of a row that differ from the count of *facts* by the form. Puts the divided row in *divisions*."""
    report = found.report
    try:
        counted_again = [
            _count_piece(form, part, is_closed, said_of.books, facts, report) for part, is_closed in said_of.parts
        ]
        composed = closed.compose_report(form, report.period, report.made_at, [row.unit], counted_again)
        (again,) = composed.rows
        divided = composed.divisions.get(row.unit)
    except (ValueError, KeyError, ArithmeticError) as error:
        yield from cells.no(row.unit, phrase("it cannot be counted: {error}", error=repr(error)))
        return
    for column in form.columns:
        said: object = row.times.get(column.key) if column.kind is ColumnKind.TIME else row.numbers[column.key]
        counted: object = again.times.get(column.key) if column.kind is ColumnKind.TIME else again.numbers[column.key]
        if said != counted:
            yield from cells.no(
                f"{row.unit} {column.key}",
                phrase("the report says {said}, the recount is {counted}", said=said, counted=counted),
            )
    if divided is not None:
        divisions[row.unit] = divided


def recount_divided(
    cells: FindingCollector, form: Form, divisions: Mapping[str, Division], found: Sealed
) -> Iterator[AuditFinding]:
    """Yield the cells of the divided rows that differ from *divisions*, which `recount_cells` counted, by unit.

    A row of what was closed before the form divided rows cannot be counted again: the file does not say which facts it
    has. Then it is only checked, elsewhere, that the rows add up.
    """
    said = {each.path: each.row.numbers for each in found.report.divided}
    if not said or any(UNDIVIDED in path for path in said):
        return
    bare = attrs.evolve(found.report, form=form, by=(UNIT,), divided=(), divisions=divisions)
    again = {each.path: each.row.numbers for each in table.divide_table(bare, found.report.by, {}).divided}
    for path in sorted(said.keys() | again.keys()):
        if said.get(path) != again.get(path):
            numbers, counted = ({} if one is None else one for one in (said.get(path), again.get(path)))
            for key in sorted(numbers.keys() | counted.keys()):
                if numbers.get(key) != counted.get(key):
                    yield from cells.no(
                        f"{' '.join(path)} {key}",
                        phrase(
                            "the report says {said}, the recount is {counted}",
                            said=numbers.get(key),
                            counted=counted.get(key),
                        ),
                    )


def _count_piece(
    form: Form, part: Period, is_closed: bool, books: ClosedMonths, facts: list[Fact], report: Report
) -> Piece:
    """Count one part of the period: a closed month as of its end, any other part as of the time of the report."""
    now = max(report.made_at, part.end) if is_closed else report.made_at
    found: dict[str, Cells] = {}
    placing, histories = Placing.of(form, part, now, books), counting.group_histories(form, facts)
    for column, fact, origin in placing.divide_histories(histories):
        found.setdefault(fact.unit, Cells.none(form)).count(column, fact, origin)
    return Piece(part, found)
