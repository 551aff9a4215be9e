"""Compares declared figures with counted ones, cell by cell. Knows when two cells agree. Does not know who declared,
nor how facts are counted.

A declared cell is compared only with the same cell of the counted report. A wrong summand makes one cell differ; the
sum over it differs only if the sum was also declared wrongly.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum

import attrs

from hub.report.counting.counting import Report
from hub.report.counting.declaring import Declaration, DeclaredCell, Figure, is_declarable
from hub.report.counting.listing import FactListing
from hub.report.form.form import Form


class CellVerdict(StrEnum):
    """The result of comparing a declared cell with the counted one."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NO_EVIDENCE = "no-evidence"  #: a number above 0 was declared, and no fact is behind the cell


@attrs.frozen
class CellEvidence:
    """The facts behind a cell."""

    facts: int = 0
    messages: int = 0  #: the number of messages that contained them
    first: tuple[str, ...] = ()  #: the hub's ids of the first `MESSAGES` messages, in the order of their facts


@attrs.frozen(kw_only=True)
class ReconciledCell:
    """One declared cell and the counted one."""

    unit: str  #: the registry's code; "" for the total
    column: str
    declared: Figure
    counted: Figure
    verdict: CellVerdict
    note: str = ""
    behind: CellEvidence = CellEvidence()  #: only for a cell that is not equal

    @property
    def difference(self) -> Figure:
        """Declared minus counted; None where one of them is not a number."""
        if self.declared is None or self.counted is None:
            return None
        return self.declared - self.counted


@attrs.frozen(kw_only=True)
class Reconciliation:
    """A declaration compared with the counted report."""

    report: Report
    #: every declared cell: first those that are not equal, then the others, each in the order of rows and columns
    cells: tuple[ReconciledCell, ...]
    manual: tuple[DeclaredCell, ...]  #: the manual lines, which the hub cannot count
    #: the number of cells that are counted and not 0 but not declared, in rows that the declaration mentions
    undeclared: int

    @property
    def differing(self) -> tuple[ReconciledCell, ...]:
        """The cells that are not equal."""
        return tuple(cell for cell in self.cells if cell.verdict is not CellVerdict.EQUAL)


#: The maximum number of messages that are listed behind a cell.
MESSAGES = 100
#: Returns the facts behind cells, by (unit, column), with the unit "" for the total. A cell without facts may be
#: missing.
Look = Callable[[Collection[tuple[str, str]]], Mapping[tuple[str, str], CellEvidence]]


def reconcile_declaration(said: Declaration, report: Report, behind: Look) -> Reconciliation:
    """Compare the declaration *said* with *report*. *behind* is called once, for the cells that are not equal.

    The unit codes in *said* must be the registry's. A unit without a row in the report counts as 0.
    """
    order = {column.key: place for place, column in enumerate(report.form.columns)}
    rows = _read_rows(report)
    places = {unit: place for place, unit in enumerate(rows)}
    told = list(pair_cells(said, report))
    facts = behind({(cell.unit, cell.column) for cell, counted in told if cell.figure != counted})
    cells = [
        _reconcile_cell(cell, counted, facts.get((cell.unit, cell.column), CellEvidence())) for cell, counted in told
    ]

    def place(cell: ReconciledCell) -> tuple[bool, int, str, int]:
        return cell.verdict is CellVerdict.EQUAL, places.get(cell.unit, len(places)), cell.unit, order[cell.column]

    return Reconciliation(
        report=report,
        cells=tuple(sorted(cells, key=place)),
        manual=tuple(cell for cell in said.cells if cell.column not in order),
        undeclared=_count_undeclared(said, report.form, rows),
    )


def pair_cells(said: Declaration, report: Report) -> Iterator[tuple[DeclaredCell, Figure]]:
    """Yield each declared cell of a column of *report* with the counted number. The unit codes in *said* must be the
    registry's. A unit without a row in the report counts as 0.
    """
    columns, rows = {column.key for column in report.form.columns}, _read_rows(report)
    yield from ((cell, rows.get(cell.unit, {}).get(cell.column, 0)) for cell in said.cells if cell.column in columns)


def _read_rows(report: Report) -> Mapping[str, Mapping[str, Figure]]:
    """Return the numbers of each row by unit, of the total under ""."""
    return {"": report.total.numbers, **{row.unit: row.numbers for row in report.rows}}


def judge_declared_number(declared: Figure, counted: Figure, *, evidence: bool) -> CellVerdict:
    """Return the verdict on a declared number. *evidence*: at least one fact is behind the counted number.

    Decimals are compared by value: 98.5 equals 98.50. None equals only None.
    """
    if declared == counted:
        return CellVerdict.EQUAL
    if not evidence and declared is not None and declared > 0:
        return CellVerdict.NO_EVIDENCE
    return CellVerdict.DIFFERS


def find_cell_evidence(
    form: Form, listing: FactListing, wanted: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], CellEvidence]:
    """Return the facts of *listing* behind each of the *wanted* cells, each fact once per cell. Memory: only the
    result.

    A column that is computed from others has their facts.
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
    for unit, message, columns in listing.list_takers() if takers else ():
        for cell in cells_of(unit, columns):
            facts[cell] = facts.get(cell, 0) + 1
            if last.get(cell) != message:
                last[cell], messages[cell] = message, messages.get(cell, 0) + 1
    short = set(facts)
    for unit, message, columns in listing.list_takers("time") if takers else ():
        for cell in cells_of(unit, columns) & short:
            told = first.setdefault(cell, {})
            told[message] = None
            if len(told) == min(MESSAGES, messages[cell]):
                short.remove(cell)
        if not short:
            break
    return {cell: CellEvidence(facts[cell], messages[cell], tuple(first[cell])) for cell in facts}


def _reconcile_cell(told: DeclaredCell, counted: Figure, behind: CellEvidence) -> ReconciledCell:
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


def _count_undeclared(said: Declaration, form: Form, rows: Mapping[str, Mapping[str, Figure]]) -> int:
    told = {(cell.unit, cell.column) for cell in said.cells}
    keys = [column.key for column in form.columns if is_declarable(column)]
    units = {cell.unit for cell in said.cells}
    return sum(1 for unit in units for key in keys if rows.get(unit, {}).get(key) and (unit, key) not in told)
