"""Reads what units declare from workbooks that other software made, by a layout: the headings of the form above, a row for
each unit or field below.

Knows tables in sheets. Does not know how files are read, nor which unit a name means (`UnitFinder`). A number in the
file is what the unit declares, also when a formula of the file computed it.

Bounds: `ROWS` rows below the headings, `_COLUMNS` columns, texts of `_LONGEST` characters that are compared; the first
`_SUGGESTED` unknown names are compared with all units. So reading costs at most two seconds of CPU (tests).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import islice

import attrs

from hub.domain.plain_text import write_plain_words
from hub.domain.sanitize import replace_controls
from hub.domain.unit_match import UnitFinder
from hub.language.phrases import Phrase, phrase
from hub.report.counting.declaring import Declaration, DeclaredCell, holds_whole_numbers
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form
from hub.report.form.layout import Layout, begins_with_words
from hub.report.form.period import Period
from hub.report.words import write_day
from hub.report.workbooks.found_table import (
    COMPARED_LENGTH,
    HEADING_ROWS_SEARCHED,
    WHOLE_NUMBER,
    FoundTable,
    is_figure,
    read_plain_words,
    trim_cell_text,
)
from hub.report.workbooks.mistakes import Misfilled, WorkbookMistake
from hub.report.workbooks.sheets import CellKind, Sheet, SheetCell

#: The maximum number of rows below the headings.
ROWS = 5_000
_MARKED = 20  #: the rows, and the columns, in which a form is named
_ENDS = 8  #: the texts of a row that may say that the table ends
_MISTAKES = 200
_NAMED = 3  #: fields that a mistake names
_ENOUGH = 2  #: tables that are kept: two are a mistake
_SUGGESTED = 10
_MOST = 999_999_999_999
_NOTE = 1000
_PLACE_NUMBER = re.compile(r"[0-9 ]+|[a-z]", re.ASCII)  #: what stands under the headings: (1), (3)=(4)+(5), A
_DATES = re.compile(r"\b(\d{1,2}) (\d{1,2}) (\d{4}) den (?:het )?(?:ngay )?(\d{1,2}) (\d{1,2}) (\d{4})\b")
#: The kinds of columns of which a total is the sum of all rows.
_ADDED = frozenset(
    {
        ColumnKind.FLOW,
        ColumnKind.STOCK,
        ColumnKind.HAPPENING,
        ColumnKind.END,
        ColumnKind.PEAK,
        ColumnKind.FORMULA,
        ColumnKind.TAKEN,
    }
)


@attrs.define
class TableSearch:
    """The search for the table of a form in the sheets of a workbook."""

    form: Form
    period: Period
    units: tuple[str, ...]  #: the reporting unit, then those below it
    layouts: tuple[Layout, ...]  #: also those of other forms
    divided: bool = False  #: whether the report divides the rows of units, such as by field
    _tables: list["FoundTable"] = attrs.field(factory=list, init=False)
    _others: set[str] = attrs.field(factory=set, init=False)  #: forms that the sheets name instead of this one

    @property
    def fitting(self) -> list[Layout]:
        return [each for each in self.layouts if each.form == self.form.id and each.is_in_force(self.period.last)]

    def examine(self, sheet: Sheet) -> None:
        """Look for the table in *sheet*."""
        found = [table for layout in self.fitting if (table := FoundTable.find(sheet, layout)) is not None]
        named = _find_named_forms(sheet, self.layouts)
        if named and self.form.id not in named:
            self._others |= named
        elif found and len(self._tables) < _ENOUGH:
            self._tables.append(max(found, key=lambda table: len(table.places)))

    def read(self, finder: UnitFinder) -> Declaration:
        """Return what the table declares. Raises Misfilled with every mistake, each with its cell and what to do.

        A row of a unit declares for that unit alone, and the rows of its fields below must add up to it. The row of the
        total, and the sum of rows by field without a unit above them, declare for the reporting unit and all below it
        together.
        """
        if len(self._tables) != 1:
            raise Misfilled([WorkbookMistake("", self._say_no_table())])
        reading = _TableReading(self._tables[0], self.form, self.period, self.units, self.divided, finder)
        declared = reading.declaration()
        if reading.wrong:
            raise Misfilled(reading.wrong)
        return declared

    def _say_no_table(self) -> Phrase:
        if self._tables:
            named = ", ".join(replace_controls(table.sheet.title) for table in self._tables)
            return phrase("several sheets have the table of this form: {sheets}; leave one", sheets=named)
        if self._others:
            others = ", ".join(sorted(self._others))
            return phrase(
                "this is a workbook of the form {others}, not of {form}; declare it for its own form",
                others=others,
                form=self.form.id,
            )
        if not self.fitting:
            return phrase(
                "this is not the hub's template, and of the form {form} no other workbook is known; create the template "
                "with lienthong report template and fill it in",
                form=self.form.id,
            )
        return phrase(
            "no table of the form {form} was found: its headings begin with “STT” in the first {rows} rows; use the form's "
            "workbook, or the template of lienthong report template",
            form=self.form.id,
            rows=HEADING_ROWS_SEARCHED,
        )


def _find_named_forms(sheet: Sheet, layouts: Sequence[Layout]) -> set[str]:
    """Return the forms whose marks stand in the first rows of the sheet."""
    top = [
        f" {write_plain_words(cell.text[:COMPARED_LENGTH])} "
        for (row, column), cell in sheet.cells.items()
        if row <= _MARKED and column <= _MARKED and cell.kind is CellKind.TEXT
    ]
    return {layout.form for layout in layouts if any(f" {mark} " in text for mark in layout.marks for text in top)}


@attrs.frozen
class _ReadRow:
    """The figures of one row, by the form's columns."""

    row: int
    name: str
    figures: Mapping[str, int | Decimal]
    named: str = ""  #: the unit that it names, and by which of its names
    fields: list["_ReadRow"] = attrs.field(factory=list)  #: the rows of its fields, which add up to it


@attrs.define
class _TableReading:
    """The table that is being read, and the mistakes found in it."""

    table: FoundTable
    form: Form
    period: Period
    units: tuple[str, ...]
    divided: bool
    finder: UnitFinder
    wrong: list[WorkbookMistake] = attrs.field(factory=list)
    wrong_rows: set[int] = attrs.field(factory=set)
    suggested: int = 0

    def refuse(self, row: int, column: int, said: Phrase) -> None:
        """Record a mistake. Control characters in text quoted from the workbook are replaced."""
        self.wrong_rows.add(row)
        cell = replace_controls(self.table.sheet.address(row, column)) if row else ""
        quoted = {
            name: value if isinstance(value, Phrase) else replace_controls(str(value))
            for name, value in said.arguments.items()
        }
        self.wrong.append(WorkbookMistake(cell, attrs.evolve(said, arguments=quoted)))
        if len(self.wrong) >= _MISTAKES:
            raise Misfilled(self.wrong)

    def declaration(self) -> Declaration:
        self.check_period()
        rows = list(self.data_rows())
        self.check_columns(rows)
        by_unit: dict[str, list[_ReadRow]] = {}
        fields: list[_ReadRow] = []
        total: _ReadRow | None = None
        last: _ReadRow | None = None
        under = ""
        for row, name, has_figures in self.named_rows(rows):
            plain = write_plain_words(name)
            if has_figures and self.is_total(plain):
                if total is not None:
                    self.refuse(
                        row, self.table.name, phrase("a second total; the first is in row {row}", row=total.row)
                    )
                total = total or _ReadRow(row, name, self.figures(row))
                continue
            if plain in self.sections or begins_with_words(plain, self.table.layout.left_out):
                continue  # a subtotal
            match = self.finder.find_named_unit(self.written_code(row) or name, under)
            if match.named and self.finder.has_units_below(match.named):
                under = match.named
            if not has_figures:
                if match.unit or is_figure(self.table.rows[row].get(self.table.number)):
                    self.figures(row)  # of a unit, or of a numbered row: whatever stands in their place is a mistake
            elif match.unit:
                last = _ReadRow(row, name, self.figures(row), f"{match.named} {match.called}")
                by_unit.setdefault(match.unit, []).append(last)
            elif self.may_be_fields and not match.named:
                (fields if last is None else last.fields).append(_ReadRow(row, name, self.figures(row)))
            else:
                self.refuse_name(row, name, match.wrong)
        cells = [*self.total_cells(total, fields, by_unit), *self.unit_cells(by_unit)]
        if not cells and not self.wrong:
            self.refuse(0, 0, phrase("the workbook contains no figure"))
        head = {"unit": self.units[0], "form": self.form.id, "period": self.period.text}
        return Declaration(**head, cells=tuple(cells))

    @property
    def may_be_fields(self) -> bool:
        """Whether rows that are no units are fields: of the unit that was named last, else of the reporting unit."""
        return self.divided or len(self.units) == 1

    @property
    def sections(self) -> frozenset[str]:
        return frozenset(write_plain_words(each.heading.vi) for each in self.form.sections)

    def is_total(self, plain: str) -> bool:
        totals = self.table.layout.total
        return plain in totals or begins_with_words(plain, [each for each in totals if " " in each])

    def check_period(self) -> None:
        """Refuse the workbook of another period, where the days stand above the table."""
        for row in sorted(self.table.rows):
            if row >= self.table.first:
                return
            for column, cell in self.table.rows[row].items():
                if found := _DATES.search(read_plain_words(cell)):
                    days = _read_days(found)
                    wanted = self.period.first, self.period.last
                    if days is not None and days != wanted:
                        said = phrase(
                            "the days {found} are not those of {period}, {wanted}; declare the workbook for its own period",
                            found=" – ".join(map(write_day, days)),
                            period=self.period.text,
                            wanted=" – ".join(map(write_day, wanted)),
                        )
                        self.refuse(row, column, said)

    def data_rows(self) -> Iterator[int]:
        """Yield the rows below the headings, up to the end of the table, without that of the numbers of columns."""
        table = self.table
        below = [row for row in sorted(table.rows) if row >= table.first]
        if len(below) > ROWS:
            self.refuse(below[ROWS], table.name, phrase("more than {rows} rows below the headings", rows=ROWS))
        for place, row in enumerate(below[:ROWS]):
            cells = table.rows[row]
            if row == table.first and _PLACE_NUMBER.fullmatch(write_plain_words(self.name_of(cells))):
                continue
            if not self.has_figures(cells) and self.ends(cells):
                self.check_below(below[place + 1 : ROWS])
                return
            yield row

    def ends(self, cells: Mapping[int, SheetCell]) -> bool:
        """Return whether a row stands below the table."""
        texts = (cell for _, cell in sorted(cells.items()) if cell.kind is CellKind.TEXT)
        return any(begins_with_words(read_plain_words(cell), self.table.layout.ends) for cell in islice(texts, _ENDS))

    def check_below(self, rows: Sequence[int]) -> None:
        """Refuse figures of units below the end of the table, so that no second table is passed over."""
        for row in rows:
            cells = self.table.rows[row]
            name = self.name_of(cells)
            if name and self.has_figures(cells) and self.finder.find_named_unit(name).unit:
                said = phrase(
                    "{name} has figures below the end of the table; move them into it, or delete them", name=name
                )
                self.refuse(row, self.table.name, said)

    def has_figures(self, cells: Mapping[int, SheetCell]) -> bool:
        return any(is_figure(cells.get(place)) for place in self.table.places.values())

    def check_columns(self, rows: Sequence[int]) -> None:
        """Refuse columns with figures that are none of the form."""
        table = self.table
        filled = {column for row in rows for column, cell in table.rows[row].items() if is_figure(cell)}
        nameless = filled - {table.number, table.name, table.code, *table.places.values(), *table.headings}
        for column in sorted(nameless):
            self.refuse(table.first - 1, column, phrase("a column with figures and without a heading; write one, or delete the column"))  # fmt: skip
        for column, found in table.unknown.items():
            if column not in filled:
                continue
            heading = table.headings[column][:100]
            if len(found) == 1:
                said = phrase("the column “{heading}” occurs twice; delete one of them", heading=heading)
            elif found:
                may = "; ".join(" > ".join(each.heading) for each in found)
                said = phrase("the column “{heading}” may be several: {may}; write the heading as in one of them", heading=heading, may=may)  # fmt: skip
            else:
                said = phrase(
                    "no column of the form has the heading “{heading}”; write it as in the form, or delete the column",
                    heading=heading,
                )
            self.refuse(table.first - 1, column, said)

    def named_rows(self, rows: Sequence[int]) -> Iterator[tuple[int, str, bool]]:
        """Yield each row that has a name, with the name, and whether it has figures. Refuses figures without a name."""
        for row in rows:
            cells = self.table.rows[row]
            name, has_figures = self.name_of(cells), self.has_figures(cells)
            if name:
                yield row, name, has_figures
            elif has_figures:
                said = phrase("a number in a row without a unit; move it to the right row, or delete it")
                self.refuse(row, self.table.name, said)

    def name_of(self, cells: Mapping[int, SheetCell]) -> str:
        """Return the name of a row: in its own column, else before it, where a total is merged over both."""
        for column in (self.table.name, self.table.number):
            text = " ".join(trim_cell_text(cells[column]).split()) if column in cells else ""
            if text and (column == self.table.name or self.is_total(write_plain_words(text))):
                return text
        return ""

    def written_code(self, row: int) -> str:
        cell = self.table.rows[row].get(self.table.code) if self.table.code else None
        return cell.text[:COMPARED_LENGTH].strip() if cell is not None else ""

    def figures(self, row: int) -> Mapping[str, int | Decimal]:
        found: dict[str, int | Decimal] = {}
        columns = {column.key: column for column in self.form.columns}
        lines = {line.key for line in self.form.manual}
        for key, place in self.table.places.items():
            cell, column = self.table.rows[row].get(place), columns.get(key)
            if cell is None or (column is None and key not in lines):
                continue
            figure = self.number(cell, row, place, fraction=column is not None and not holds_whole_numbers(column))
            if figure is not None:
                found[key] = figure
        return found

    def number(self, cell: SheetCell, row: int, place: int, *, fraction: bool) -> int | Decimal | None:
        text = trim_cell_text(cell)
        if cell.kind is CellKind.TEXT and text in self.table.layout.empty:
            return None
        if cell.kind is CellKind.NOTHING:
            self.refuse(row, place, phrase("a formula without a calculated value; open and save the file in a spreadsheet program, or type the number"))  # fmt: skip
            return None
        number = None
        if cell.kind is CellKind.TEXT and WHOLE_NUMBER.fullmatch(text):
            number = Decimal(re.sub(r"[. ]", "", text))
        elif cell.kind is CellKind.NUMBER:
            try:
                number = Decimal(text)
            except InvalidOperation:
                number = None
        if number is not None and number.is_finite() and 0 <= number <= _MOST:
            if number == number.to_integral_value():
                return int(number)
            if fraction:
                return round(number, 2)
        self.refuse(
            row,
            place,
            phrase(
                "“{text}” is not a whole number from 0 to {most}; type one, or leave the cell empty",
                text=text[:50],
                most=_MOST,
            ),
        )
        return None

    def refuse_name(self, row: int, name: str, wrong: Phrase | None) -> None:
        near: tuple[str, ...] = ()
        if self.suggested < _SUGGESTED:
            self.suggested += 1
            near = self.finder.suggest_names(name)
        said = wrong or phrase("no unit of the report is called “{name}”", name=name)
        if near:
            said = phrase("{wrong}; like it: {near}", wrong=said, near=", ".join(near))
        self.refuse(row, self.table.name, phrase("{wrong}; write the name or the code of the unit, or delete the row", wrong=said))  # fmt: skip

    def total_cells(
        self, total: _ReadRow | None, fields: Sequence[_ReadRow], by_unit: Mapping[str, Sequence[_ReadRow]]
    ) -> Iterator[DeclaredCell]:
        """Yield the cells of the total, after comparing it with the sum of its rows."""
        rows = [*fields, *(read for reads in by_unit.values() for read in reads)]
        for read in rows:
            if self.wrong_rows.isdisjoint({read.row, *(field.row for field in read.fields)}):
                self.check_fields(read)
        if total is not None and not self.wrong:
            self.check_total(total, rows)
        if total is not None:
            yield from (DeclaredCell(column=key, figure=figure) for key, figure in total.figures.items())
        elif fields:
            for key in self.table.places:
                figures = [read.figures[key] for read in fields if key in read.figures]
                if figures:
                    yield DeclaredCell(column=key, figure=sum(figures, start=0))

    def check_fields(self, unit: _ReadRow) -> None:
        """Refuse the row of a unit to which those of its fields do not add up: one of them may be a unit with a mistake in
        its name.
        """
        for key, place in self.table.places.items():
            sum_ = sum(read.figures.get(key, 0) for read in unit.fields)
            if unit.fields and key in self.added and unit.figures.get(key, 0) != sum_:
                named = ", ".join(f"“{read.name}”" for read in unit.fields[:_NAMED])
                said = phrase(
                    "the row of {name} is {figure}, and the rows below that are no units ({fields}) add up to {sum_}; correct "
                    "a figure, or the name of a unit",
                    name=unit.name,
                    figure=unit.figures.get(key, 0),
                    fields=f"{named}, …" if len(unit.fields) > _NAMED else named,
                    sum_=sum_,
                )
                self.refuse(unit.row, place, said)

    @property
    def added(self) -> frozenset[str]:
        """The columns of which a total is the sum of all rows."""
        return frozenset(column.key for column in self.form.columns if column.kind in _ADDED)

    def check_total(self, total: _ReadRow, rows: Sequence[_ReadRow]) -> None:
        for key, figure in total.figures.items():
            sum_ = sum(read.figures.get(key, 0) for read in rows)
            if rows and key in self.added and figure != sum_:
                said = phrase(
                    "the total is {total}, and the rows add up to {sum_}; correct one of them (a row that sums up others "
                    "is counted twice: delete it)",
                    total=figure,
                    sum_=sum_,
                )
                self.refuse(total.row, self.table.places[key], said)

    def unit_cells(self, by_unit: Mapping[str, Sequence[_ReadRow]]) -> Iterator[DeclaredCell]:
        """Yield the cells of each unit. Rows that name it by several names, or units whose work it continues, are added up,
        and the note of the cell says which.
        """
        for unit, rows in by_unit.items():
            seen: dict[str, int] = {}
            for read in rows:
                if read.named in seen:
                    said = phrase("{name} occurs twice, also in row {row}; delete one of them", name=read.name, row=seen[read.named])  # fmt: skip
                    self.refuse(read.row, self.table.name, said)
                seen[read.named] = read.row
            note = " + ".join(read.name for read in rows)[:_NOTE] if len(rows) > 1 else ""
            for key in self.table.places:
                figures = [read.figures[key] for read in rows if key in read.figures]
                if figures:
                    yield DeclaredCell(unit=unit, column=key, figure=sum(figures, start=0), note=note)


def _read_days(found: re.Match[str]) -> tuple[date, date] | None:
    day, month, year, last_day, last_month, last_year = map(int, found.groups())
    try:
        return date(year, month, day), date(last_year, last_month, last_day)
    except ValueError:
        return None
