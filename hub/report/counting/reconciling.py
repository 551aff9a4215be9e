"""Declared figures beside counted ones, cell by cell.  Knows when two cells agree; neither who declared, nor how anything is counted.

A declared cell is compared with the same cell of the counted report and nothing else: a wrong summand makes one cell differ, and the sum
over it only where the sum was declared wrongly too.
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum

import attrs

from hub.report.counting.counting import Report
from hub.report.counting.listing import Listing
from hub.report.form.form import Form
from hub.report.signed.declaring import Declaration, DeclaredCell, Figure, may_be_declared


class CellVerdict(StrEnum):
    """How a declared cell stands to the counted one."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NO_EVIDENCE = "no-evidence"  #: something was declared, and no fact at all is behind the cell


@attrs.frozen
class CellEvidence:
    """What is behind a cell."""

    facts: int = 0
    messages: int = 0  #: that brought them
    first: tuple[str, ...] = ()  #: the first `MESSAGES` of these, by the hub's ids, in the order of their facts


@attrs.frozen(kw_only=True)
class ReconciledCell:
    """One declared cell and what the hub counted in it."""

    unit: str  #: the registry's code; empty for the total
    column: str
    declared: Figure
    counted: Figure
    verdict: CellVerdict
    note: str = ""
    behind: CellEvidence = CellEvidence()  #: of a cell that is not equal

    @property
    def difference(self) -> Figure:
        """Declared less counted; None where one of them is no number."""
        if self.declared is None or self.counted is None:
            return None
        return self.declared - self.counted


@attrs.frozen(kw_only=True)
class Reconciliation:
    """A declaration beside the counted report."""

    report: Report
    cells: tuple[
        ReconciledCell, ...
    ]  #: every declared one: those that are not equal first, else in the order of rows and columns
    manual: tuple[DeclaredCell, ...]  #: the manual lines, which the hub cannot count
    undeclared: (
        int  #: cells that are counted and not 0, in rows that the declaration tells of, of which it says nothing
    )

    @property
    def differing(self) -> tuple[ReconciledCell, ...]:
        """The cells that are not equal."""
        return tuple(cell for cell in self.cells if cell.verdict is not CellVerdict.EQUAL)


#: So many messages are named behind a cell.
MESSAGES = 100
#: Tells what is behind cells, by (unit, column), the empty unit for the total; a cell that has nothing may be missing.
Look = Callable[[Collection[tuple[str, str]]], Mapping[tuple[str, str], CellEvidence]]


def reconcile_declaration(said: Declaration, report: Report, behind: Look) -> Reconciliation:
    """Compare *said*, whose unit codes are the registry's, with *report*; *behind* is asked once, for the cells that are not equal.

    A unit that has no row in the report counts nothing.
    """
    order = {column.key: place for place, column in enumerate(report.form.columns)}
    rows: dict[str, Mapping[str, Figure]] = {"": report.total.numbers, **{row.unit: row.numbers for row in report.rows}}
    places = {unit: place for place, unit in enumerate(rows)}
    told = [(cell, rows.get(cell.unit, {}).get(cell.column, 0)) for cell in said.cells if cell.column in order]
    facts = behind({(cell.unit, cell.column) for cell, counted in told if cell.figure != counted})
    cells = [_compared(cell, counted, facts.get((cell.unit, cell.column), CellEvidence())) for cell, counted in told]

    def place(cell: ReconciledCell) -> tuple[bool, int, str, int]:
        return cell.verdict is CellVerdict.EQUAL, places.get(cell.unit, len(places)), cell.unit, order[cell.column]

    return Reconciliation(
        report=report,
        cells=tuple(sorted(cells, key=place)),
        manual=tuple(cell for cell in said.cells if cell.column not in order),
        undeclared=_undeclared(said, report.form, rows),
    )


def judge_declared_number(declared: Figure, counted: Figure, *, evidence: bool) -> CellVerdict:
    """Return how a declared number stands to a counted one; *evidence*: there is some fact behind it.

    Decimals are equal by value: 98.5 is 98.50.  No number is equal to no number, and to nothing else.
    """
    if declared == counted:
        return CellVerdict.EQUAL
    if not evidence and declared is not None and declared > 0:
        return CellVerdict.NO_EVIDENCE
    return CellVerdict.DIFFERS


def behind_cells(
    form: Form, listing: Listing, wanted: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], CellEvidence]:
    """Return what of *listing* is behind each of the *wanted* cells, each fact once.  Memory: what is returned.

    What is worked out from other columns has the facts of these.
    """
    takers: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for unit, key in wanted:
        for part in {part.key for part in form.parts(key)}:
            takers.setdefault((unit, part), []).append((unit, key))

    def cells_of(unit: str, columns: frozenset[str]) -> set[tuple[str, str]]:
        return {cell for key in columns for place in ("", unit) for cell in takers.get((place, key), ())}

    facts: dict[tuple[str, str], int] = {}
    messages: dict[tuple[str, str], int] = {}
    last: dict[tuple[str, str], str] = {}
    first: dict[tuple[str, str], dict[str, None]] = {}
    for unit, message, columns in listing.takers() if takers else ():
        for cell in cells_of(unit, columns):
            facts[cell] = facts.get(cell, 0) + 1
            if last.get(cell) != message:
                last[cell], messages[cell] = message, messages.get(cell, 0) + 1
    short = set(facts)
    for unit, message, columns in listing.takers("time") if takers else ():
        for cell in cells_of(unit, columns) & short:
            told = first.setdefault(cell, {})
            told[message] = None
            if len(told) == min(MESSAGES, messages[cell]):
                short.remove(cell)
        if not short:
            break
    return {cell: CellEvidence(facts[cell], messages[cell], tuple(first[cell])) for cell in facts}


def _compared(told: DeclaredCell, counted: Figure, behind: CellEvidence) -> ReconciledCell:
    verdict = judge_declared_number(told.figure, counted, evidence=behind.facts > 0)
    return ReconciledCell(
        unit=told.unit,
        column=told.column,
        declared=told.figure,
        counted=counted,
        verdict=verdict,
        note=told.note,
        behind=CellEvidence() if verdict is CellVerdict.EQUAL else behind,
    )


def _undeclared(said: Declaration, form: Form, rows: Mapping[str, Mapping[str, Figure]]) -> int:
    told = {(cell.unit, cell.column) for cell in said.cells}
    keys = [column.key for column in form.columns if may_be_declared(column)]
    units = {cell.unit for cell in said.cells}
    return sum(1 for unit in units for key in keys if rows.get(unit, {}).get(key) and (unit, key) not in told)
