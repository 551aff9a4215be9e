"""Reads and writes a unit's own figures for a form and a period as XML: `SubmitWorkloadReport` of
`urn:lienthong:reports:1`.

Knows the cells of a form and their valid contents. Does not know who may declare for a unit, nor what the hub counted.
A declaration is not a result of work and makes no fact. A declaration in the journal is only read (`parse_declaration`)
and never judged again, because its form may have been superseded since.

`hub.formats.xml_cost.WORST` states the maximum cost of reading.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import partial

import attrs
from lxml import etree

from hub.domain.errors import Rejected, shorten_detail
from hub.domain.local_time import find_local_day
from hub.domain.model import Detail, Problem, Record
from hub.formats import safe_xml, xsd_types
from hub.language.phrases import Phrase, phrase
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.column import Column, ColumnKind, Declarer
from hub.report.form.form import Form, FormMissing, choose_form
from hub.report.form.period import Period, PeriodUnreadable, parse_period
from hub.services import Service, reports
from hub.soap.envelope import build_element

NAMESPACE = "urn:lienthong:reports:1"
SUBMIT = "SubmitWorkloadReport"
KIND = "declaration"
#: The maximum number of mistakes reported for one message.
MOST_PROBLEMS = 100
#: The kinds that are not numbers which a unit can declare.
_UNDECLARED = frozenset({ColumnKind.TIME, ColumnKind.GRADE})

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})", re.ASCII)
_MOST = 999_999_999_999

#: The value of a cell: a whole number; for a ratio a decimal; None: no number, because the denominator is 0.
Figure = int | Decimal | None


@attrs.frozen(kw_only=True)
class DeclaredCell:
    """One declared cell: of the unit *unit* alone or, if it is "", of the reporting unit and all units below it
    together.
    """

    unit: str = ""
    column: str  #: a column of the form, or one of its manual lines
    figure: Figure
    note: str = ""


@attrs.frozen(kw_only=True)
class Declaration:
    """What a unit declares of its work, with the unit codes as the sender wrote them."""

    unit: str
    form: str
    period: str
    cells: tuple[DeclaredCell, ...]
    by: str = ""  #: the person responsible for the declaration
    note: str = ""


def make_declaration_key(form: str, period: str) -> str:
    """Return the business key of the declarations for a form and period. The unit is the sender of the message."""
    return json.dumps([KIND, form, period], ensure_ascii=False, separators=(",", ":"))


def is_declarable(column: Column) -> bool:
    """Return whether *column* has a number that a unit can declare. A time and a grade are not numbers."""
    return column.kind not in _UNDECLARED


def holds_whole_numbers(column: Column) -> bool:
    """Return whether *column* holds only whole numbers. Others may be absent where a denominator is 0."""
    return column.is_whole or (column.kind is ColumnKind.DECLARED and not column.places)


def read_declaration(
    content: bytes, at: datetime, message: str, known: Callable[[], Book] = read_shipped_book
) -> Record:
    """Return the record of a declaration received at *at*: without facts, with the units it mentions in `told`.

    Raises Rejected with every problem: as `parse_safe_xml` does; `contract-broken` for another element;
    `period-unreadable`; `form-unknown`; `column-unknown`; and, with the place in the message, `N.` (no number), `T.`
    (not a whole number), `R.` (out of range, or a period that has not begun by the cut-off days of the book), `M.` (a
    cell that occurs twice). Each detail begins with the cell: unit, column.
    """
    del message
    root = _parse_declaration(content)
    said = _DeclarationReading(root)
    found = said.declaration()
    book, form = known(), None
    period = _read_span(said, found.period, at, book)
    if period is not None:
        try:
            form = choose_form(book.forms, found.form, period)
        except FormMissing as missing:
            said.refuse("form-unknown", "", missing.detail)
    if form is not None:
        _check_cells(said, found, form)
    if said.problems:
        raise Rejected(*said.problems[:MOST_PROBLEMS])
    assert form is not None
    assert period is not None
    return Record(
        kind=KIND,
        sender=found.unit,
        keys=(make_declaration_key(form.id, period.text),),
        subject=f"{form.title.vi}, {period.name()}",
        told=tuple(dict.fromkeys(cell.unit for cell in found.cells if cell.unit)),
    )


def parse_declaration(content: bytes) -> Declaration:
    """Return the content of an accepted declaration. Raises Rejected if *content* is not a declaration."""
    said = _DeclarationReading(_parse_declaration(content))
    found = said.declaration()
    if said.problems:
        raise Rejected(*said.problems)
    return found


def split_declaration(said: Declaration, form: Form) -> tuple[Declaration, ...]:
    """Return what *said* declares as a declaration of each unit for itself. The reporting unit keeps its total, and what
    *form* counts only if a unit above declares it.
    """
    kept = {column.key for column in form.columns if column.declarer is Declarer.ABOVE}
    by_unit: dict[str, list[DeclaredCell]] = {}
    for cell in said.cells:
        by_unit.setdefault(said.unit if cell.column in kept else cell.unit or said.unit, []).append(cell)
    return tuple(attrs.evolve(said, unit=unit, cells=tuple(cells)) for unit, cells in by_unit.items())


def build_declaration_element(said: Declaration) -> etree._Element:
    """Return the message that declares *said*."""
    head = {"OrganId": said.unit, "Form": said.form, "Period": said.period, "DeclaredBy": said.by or None}
    root = build_element(NAMESPACE, SUBMIT, head)
    rows: dict[str, list[DeclaredCell]] = {}
    for cell in said.cells:
        rows.setdefault(cell.unit, []).append(cell)
    for unit, cells in rows.items():
        figures = build_element(NAMESPACE, "Figures", {"OrganId": unit or None})
        for cell in cells:
            number = None if cell.figure is None else write_figure(cell.figure)
            figures.append(
                build_element(NAMESPACE, "Cell", {"Column": cell.column, "Number": number, "Note": cell.note or None})
            )
        root.append(figures)
    if said.note:
        root.append(build_element(NAMESPACE, "x", {"Note": said.note})[0])
    return root


def write_figure(figure: int | Decimal) -> str:
    """Return *figure* as `xs:decimal`."""
    return f"{figure:f}" if isinstance(figure, Decimal) else str(figure)


def make_reports_service(known: Callable[[], Book] = read_shipped_book) -> Service:
    """Return the service `reports` that accepts declarations, from callers and from the hub itself (workbooks). *known*
    returns the province's book.
    """
    return attrs.evolve(
        reports.SERVICE,
        read=partial(read_declaration, known=known),
        operations=frozenset({SUBMIT}),
        undelivered_kinds=frozenset({KIND}),
    )


def _parse_declaration(content: bytes) -> etree._Element:
    root = safe_xml.parse_safe_xml(content)
    if root.tag != f"{{{NAMESPACE}}}{SUBMIT}":
        raise Rejected(Problem("contract-broken", str(root.tag)[:200]))
    return root


def _read_span(said: "_DeclarationReading", text: str, at: datetime, book: Book) -> Period | None:
    try:
        period = parse_period(text, book.cuts)
    except PeriodUnreadable:
        said.refuse("period-unreadable", "", text[:50])
        return None
    if period.first > find_local_day(at):
        said.refuse(
            "R.Period", "", phrase("{text}: it begins on {first}", text=period.text, first=period.first.isoformat())
        )
    if period.text != text:  # such as `2026-q4`: declarations are found by this text, so it must be canonical
        said.refuse("period-unreadable", "", phrase("{text}: write {period}", text=text[:50], period=period.text))
    return period


def _check_cells(said: "_DeclarationReading", found: Declaration, form: Form) -> None:
    """Record the problems of the cells that do not fit *form*."""
    columns = {column.key: column for column in form.columns if is_declarable(column)}
    lines = {line.key for line in form.manual}
    seen: set[tuple[str, str]] = set()
    for cell, place in zip(found.cells, said.places, strict=True):
        column = columns.get(cell.column)
        if column is None and cell.column not in lines:
            known = " ".join([*columns, *sorted(lines)])
            said.refuse("column-unknown", _name_cell(cell), phrase("{name} has: {known}", name=form.id, known=known))
            continue
        if (cell.unit, cell.column) in seen:
            said.refuse(f"M.{place}", _name_cell(cell), phrase("it occurs twice"))
        seen.add((cell.unit, cell.column))
        if column is None or holds_whole_numbers(column):
            if cell.figure is None:
                said.refuse(f"N.{place}.Number", _name_cell(cell), phrase("it is empty"))
            elif cell.figure != int(cell.figure):
                said.refuse(
                    f"T.{place}.Number", _name_cell(cell), phrase("{figure} is not a whole number", figure=cell.figure)
                )
        if column is not None and column.kind is ColumnKind.DECLARED and not _is_in_range(cell.figure, column):
            why = phrase(
                "{figure}: a number from 0 to {most}, decimals at most {places}",
                figure=cell.figure,
                most=column.most,
                places=column.places,
            )
            said.refuse(f"R.{place}.Number", _name_cell(cell), why)


def _is_in_range(figure: Figure, column: Column) -> bool:
    return figure is None or (figure <= column.most and figure == round(figure, column.places))


def _name_cell(cell: DeclaredCell) -> str:
    """Return the name of the cell for people: its unit and its column."""
    return f"{cell.unit}, {cell.column}" if cell.unit else cell.column


@attrs.define
class _DeclarationReading:
    """One message, the problems found in it, and the place of each cell in it."""

    root: etree._Element
    problems: list[Problem] = attrs.field(factory=list)
    places: list[str] = attrs.field(factory=list)

    def refuse(self, code: str, cell: str, why: Detail) -> None:
        said = phrase("{place}: {detail}", place=cell, detail=why) if cell and isinstance(why, Phrase) else why
        self.problems.append(Problem(code, shorten_detail(said, 400)))

    @staticmethod
    def text(element: etree._Element, name: str) -> str:
        found = element.find(f"{{{NAMESPACE}}}{name}")
        return "" if found is None else xsd_types.read_xs_token(found)

    def must(self, name: str) -> str:
        text = self.text(self.root, name)
        if not text:
            self.refuse(f"N.{name}", "", phrase("it is empty"))
        return text

    def declaration(self) -> Declaration:
        return Declaration(
            unit=self.must("OrganId"),
            form=self.must("Form"),
            period=self.must("Period"),
            cells=tuple(self.cells()),
            by=self.text(self.root, "DeclaredBy"),
            note=self.text(self.root, "Note"),
        )

    def cells(self) -> Iterator[DeclaredCell]:
        for row, figures in enumerate(self.root.iterfind(f"{{{NAMESPACE}}}Figures"), 1):
            unit = self.text(figures, "OrganId")
            for number, cell in enumerate(figures.iterfind(f"{{{NAMESPACE}}}Cell"), 1):
                place, column = f"Figures[{row}].Cell[{number}]", self.text(cell, "Column")
                told = DeclaredCell(unit=unit, column=column, figure=None, note=self.text(cell, "Note"))
                self.places.append(place)
                yield attrs.evolve(told, figure=self.figure(self.text(cell, "Number"), place, told))
        if not self.places:
            self.refuse("N.Figures", "", phrase("there is no cell"))

    def figure(self, text: str, place: str, cell: DeclaredCell) -> Figure:
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            self.refuse(f"T.{place}.Number", _name_cell(cell), phrase("{text} is not a number", text=text[:50]))
            return None
        number = Decimal(text)
        if not 0 <= number <= _MOST or number != round(number, 2):
            self.refuse(
                f"R.{place}.Number",
                _name_cell(cell),
                phrase("{text}; 0 to {most}, at most two decimals", text=text[:50], most=_MOST),
            )
            return None
        return int(number) if number == int(number) else number
