"""Counts the cells of a report again.

Uses the listed facts, the facts beside them, the form and the periods in the file. Knows how a period is composed of
its parts. Does not know where the facts are stored.
"""

from collections.abc import Iterator

from hub.audit.findings import AuditFinding, FindingCollector
from hub.domain.model import Fact
from hub.language.phrases import phrase
from hub.report.counting import closed, counting
from hub.report.counting.closed import Piece
from hub.report.counting.counting import Cells, Report, Row
from hub.report.counting.pieces import Pieces
from hub.report.counting.posting import ClosedMonths
from hub.report.form.form import ColumnKind, Form
from hub.report.form.period import Period
from hub.report.signed.sealed import Sealed


def recount_cells(
    cells: FindingCollector, form: Form, said_of: Pieces, facts: list[Fact], row: Row, found: Sealed
) -> Iterator[AuditFinding]:
    """Yield the cells of a row that differ from the count of *facts* by the form."""
    report = found.report
    try:
        counted_again = [
            _piece(form, part, is_closed, said_of.books, facts, report) for part, is_closed in said_of.parts
        ]
        (again,) = closed.compose_report(form, report.period, report.made_at, [row.unit], counted_again).rows
    except (ValueError, KeyError, OverflowError) as error:
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


def _piece(form: Form, part: Period, is_closed: bool, books: ClosedMonths, facts: list[Fact], report: Report) -> Piece:
    """Count one part of the period: a closed month as of its end, any other part as of the time of the report."""
    now = max(report.made_at, part.end) if is_closed else report.made_at
    found: dict[str, Cells] = {}
    for column, fact in counting.place_facts(form, facts, part, now, None, books):
        found.setdefault(fact.unit, Cells.none(form)).count(column, fact)
    return Piece(part, found)
