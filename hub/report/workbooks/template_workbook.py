"""Writes the workbook in which a unit declares its figures, and reads the filled workbook.

Knows the layout: the headings of the form, locked; white cells for whole numbers; sums computed by the workbook. Cells
are found by the keys in a hidden row and a hidden column, so that their position does not matter. A sum computed by the
workbook is not a figure declared by the unit. A number typed over a sum is.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from io import BytesIO
from typing import Any

import attrs
from xlsxwriter import Workbook
from xlsxwriter.utility import xl_rowcol_to_cell

from hub.domain.sanitize import replace_controls
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.report.counting.declaring import Declaration, DeclaredCell, holds_whole_numbers, is_declarable
from hub.report.form.column import WORKED_OUT, Column, ColumnKind
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.words import group_columns, write_column_sums, write_day
from hub.report.workbooks.mistakes import Misfilled, WorkbookMistake
from hub.report.workbooks.sheets import CellKind as Held
from hub.report.workbooks.sheets import Sheet, SheetCell
from hub.report.workbooks.sheetwriter import SheetWriter, make_text_options

MARK = "lienthong:declaration:1 "
_ROW, _TOTAL, _BY, _NOTE = "row:", "total:", "by:", "note:"
_TEXT = "text"  #: the key of the column in which a person writes text
_LEAD = 4  #: the columns before the first of the form: the hidden keys, number, unit, code
_KEYS = 6  #: the hidden row of keys
_TOP = 7  #: the first row of the headings
_SUM = _TOP + 3  #: the row of the total
_MOST = 999_999_999_999
_MISTAKES = 200  #: reading stops after this many mistakes: nobody corrects more at a time
_LONGEST = {_BY: 200, _NOTE: 1000}
_EPOCH = datetime(2026, 1, 1)  # noqa: DTZ001 - a workbook knows no zone; the same template is the same bytes
_DIGITS = re.compile(r"[0-9]{1,12}", re.ASCII)


def is_typed_column(column: Column) -> bool:
    """Return whether a unit types the numbers of *column*. Other columns are added up, or computed by the hub."""
    return is_declarable(column) and column.kind not in WORKED_OUT


# --- written ----------------------------------------------------------------------------------------------------------


def write_template_workbook(
    form: Form, period: Period, units: Sequence[str], names: Mapping[str, str], language: Language = Language.VI
) -> bytes:
    """Return the empty workbook for the first of *units*, with a row for each of them. The same arguments give the same
    bytes.
    """
    content = BytesIO()
    with Workbook(content, make_text_options()) as book:
        book.set_properties({"title": form.title.say(language), "created": _EPOCH})
        _Writing(book, language, form, period, tuple(units), names).fill()
    return content.getvalue()


@attrs.define
class _Writing(SheetWriter):
    """The template that is being written."""

    form: Form
    period: Period
    units: tuple[str, ...]
    names: Mapping[str, str]

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(column for column in self.form.columns if is_declarable(column))

    def fill(self) -> None:
        form, t = self.form, self.t
        sheet = self.workbook.add_worksheet(t("Report"))
        last = _LEAD + len(self.columns) + len(form.manual) - 1
        wide = max(last, _LEAD + 4)
        self.merge(
            sheet, (0, 1), (0, wide), f"{t('Reporting unit')}: {self.name(self.units[0])} ({self.units[0]})", bold=True
        )  # fmt: skip
        self.merge(
            sheet, (1, 1), (1, wide), form.title.say(self.language).upper(), bold=True, align="center", font_size=14
        )
        span = f"{self.period.name(self.language)} ({write_day(self.period.first)} – {write_day(self.period.last)})"
        self.merge(sheet, (2, 1), (2, wide), span, align="center")
        told = t(
            "Type whole numbers into the white cells; leave what is not declared empty; 0 says that there "
            "was none. Grey cells are added up by the workbook. Do not insert, delete or rename rows and "
            "columns."
        )
        self.merge(sheet, (3, 1), (3, wide), told, italic=True, text_wrap=True, valign="top")
        sheet.set_row(3, 32)
        self.words(sheet, 4, wide, _BY, t("Declared by"))
        self.keys(sheet)
        self.headings(sheet)
        self.rows(sheet)
        end = _SUM + len(self.units) + 2
        self.words(sheet, end, wide, _NOTE, t("The unit's note"))
        self.write(sheet, end + 1, 1, f"{t('Legal basis')}: {form.basis.say(self.language)}", font_size=9)
        for place, width in enumerate((2.0, 5.0, 30.0, 15.0, *[10.0] * (last - _LEAD + 1))):
            sheet.set_column(place, place, width, None, {"hidden": True} if place == 0 else {})
        sheet.freeze_panes(_SUM, _LEAD)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(_TOP, _SUM - 1)
        sheet.protect("", {"format_columns": True, "format_rows": True})

    def name(self, unit: str) -> str:
        return self.names.get(unit, unit)

    def words(self, sheet: Any, row: int, wide: int, key: str, label: str) -> None:
        """Write a row with a cell for text."""
        self.write(sheet, row, 0, key)
        self.write(sheet, row, 2, label, bold=True)
        sheet.merge_range(row, 3, row, wide, "", self.format(locked=False, border=1, text_wrap=True, valign="top"))

    def keys(self, sheet: Any) -> None:
        """Write the hidden row of keys by which cells are found again."""
        said = json.dumps([self.form.id, self.units[0], self.period.text], ensure_ascii=False, separators=(",", ":"))
        self.write(sheet, _KEYS, 0, MARK + said)
        self.write(sheet, _KEYS, 3, _TEXT)
        keys = [*(column.key for column in self.columns), *(line.key for line in self.form.manual)]
        for place, key in enumerate(keys, _LEAD):
            self.write(sheet, _KEYS, place, key)
        sheet.set_row(_KEYS, None, None, {"hidden": True})

    def headings(self, sheet: Any) -> None:
        look: dict[str, object] = {
            "bold": True, "bg_color": "#E4E4DC", "border": 1, "align": "center", "valign": "vcenter", "text_wrap": True, "font_size": 10,
        }  # fmt: skip
        t, columns = self.t, self.columns
        for spot, heading in enumerate((t("No."), t("Unit"), t("Agency code")), 1):
            self.merge(sheet, (_TOP, spot), (_TOP + 2, spot), heading, **look)
        spot = _LEAD
        for column, length in group_columns(columns):
            if column.group is None:
                self.merge(sheet, (_TOP, spot), (_TOP + 1, spot), column.heading.say(self.language), **look)
            else:
                self.merge(sheet, (_TOP, spot), (_TOP, spot + length - 1), column.group.say(self.language), **look)
            spot += length or 1
        places = zip(self.form.columns, write_column_sums(self.form), strict=True)
        shown = [(column, place) for column, place in places if is_declarable(column)]
        for spot, (column, place) in enumerate(shown, _LEAD):
            if column.group is not None:
                self.write(sheet, _TOP + 1, spot, column.heading.say(self.language), **look)
            self.write(sheet, _TOP + 2, spot, place, **{**look, "bold": False, "italic": True, "font_size": 8})
        for spot, line in enumerate(self.form.manual, _LEAD + len(columns)):
            self.merge(sheet, (_TOP, spot), (_TOP + 1, spot), line.heading.say(self.language), **look)
            self.write(sheet, _TOP + 2, spot, t("(declared)"), **{**look, "bold": False, "font_size": 8})
        sheet.set_row(_TOP, 32)
        sheet.set_row(_TOP + 1, 66)

    def rows(self, sheet: Any) -> None:
        grey: dict[str, object] = {"bg_color": "#F0F0EA", "border": 1, "num_format": "#,##0"}
        white: dict[str, object] = {"border": 1, "num_format": "#,##0", "locked": False}
        first, final = _SUM + 1, _SUM + len(self.units)
        self.write(sheet, _SUM, 0, _TOTAL)
        for spot, words in enumerate(("", self.t("Total"), ""), 1):
            self.write(sheet, _SUM, spot, words, **grey, bold=True)
        spots = {column.key: spot for spot, column in enumerate(self.columns, _LEAD)}
        columns: list[Column | None] = [*self.columns, *(None for _ in self.form.manual)]  # None: a manual line
        for spot, column in enumerate(columns, _LEAD):
            below = f"{xl_rowcol_to_cell(first, spot)}:{xl_rowcol_to_cell(final, spot)}"
            if column is not None and column.kind is ColumnKind.DECLARED:  # it is not added up
                sheet.write_blank(_SUM, spot, None, self.format(**{**white, **_format_decimals(column)}))
                sheet.data_validation(_SUM, spot, final, spot, self.allowed(column))
            elif column is None or is_typed_column(column):
                sheet.write_formula(
                    _SUM, spot, f"=SUM({below})", self.format(**{**grey, **_format_decimals(column)}), 0
                )
                sheet.data_validation(first, spot, final, spot, self.allowed(column))
            else:
                self.computed(sheet, _SUM, spot, column, spots, grey)
        for place, unit in enumerate(self.units, 1):
            row = _SUM + place
            self.write(sheet, row, 0, _ROW + unit)
            sheet.write_number(row, 1, place, self.format(border=1, align="center"))
            self.write(sheet, row, 2, self.name(unit), border=1, text_wrap=True)
            self.write(sheet, row, 3, unit, border=1)
            for spot, column in enumerate(columns, _LEAD):
                if column is None or is_typed_column(column):
                    sheet.write_blank(row, spot, None, self.format(**{**white, **_format_decimals(column)}))
                else:
                    self.computed(sheet, row, spot, column, spots, grey)

    def computed(
        self, sheet: Any, row: int, spot: int, column: Column, spots: Mapping[str, int], look: dict[str, object]
    ) -> None:
        """Write the sum of a formula column. A column that only the hub can compute stays empty."""
        if column.kind is ColumnKind.FORMULA and column.sum:
            parts = "+".join(xl_rowcol_to_cell(row, spots[key]) for key in column.sum)
            sheet.write_formula(row, spot, f"={parts}", self.format(**look), 0)
        else:
            sheet.write_blank(row, spot, None, self.format(**look))

    def allowed(self, column: Column | None) -> dict[str, object]:
        if column is not None and (column.places or column.most):
            most = column.most or _MOST
            message = self.t(
                "Type a number from 0 to {most}, decimals at most {places}.", most=most, places=column.places
            )
            return {
                "validate": "decimal",
                "criteria": "between",
                "minimum": 0,
                "maximum": most,
                "error_title": self.t("A number"),
                "error_message": message,
            }
        return {
            "validate": "integer",
            "criteria": ">=",
            "value": 0,
            "error_title": self.t("Whole number"),
            "error_message": self.t("Type a whole number, 0 or more."),
        }


def _format_decimals(column: Column | None) -> dict[str, object]:
    """Return the number format of a column with decimals."""
    return {} if column is None or not column.places else {"num_format": f"#,##0.{'0' * column.places}"}


# --- read -------------------------------------------------------------------------------------------------------------


def find_template_mark(sheet: Sheet) -> int:
    """Return the row of keys of the hub's own template; 0 when *sheet* is none."""
    return next((row for (row, _), cell in sheet.cells.items() if cell.text.startswith(MARK)), 0)


def read_template_sheet(sheet: Sheet, row: int, form: Form, period: Period, units: Sequence[str]) -> Declaration:
    """Return what the filled template with its keys in *row* declares for the first of *units*.

    Raises Misfilled with every mistake: a template of another form, unit or period; cells without a whole number; sums
    that were not calculated; rows and columns that are not in the template; a workbook without any figure.
    """
    found = _Filled(sheet, row)
    said = found.declaration(form, period, tuple(units))
    if found.wrong:
        raise Misfilled(found.wrong)
    return said


@attrs.define
class _Filled:
    """The sheet that was filled in, and the mistakes found in it."""

    sheet: Sheet
    keys: int  #: the row of keys
    wrong: list[WorkbookMistake] = attrs.field(factory=list)

    def refuse(self, row: int, column: int, said: Phrase) -> None:
        """Record a mistake. Control characters in text quoted from the workbook are replaced."""
        cell = replace_controls(self.sheet.address(row, column)) if row else ""
        quoted = {name: replace_controls(str(value)) for name, value in said.arguments.items()}
        self.wrong.append(WorkbookMistake(cell, attrs.evolve(said, arguments=quoted)))
        if len(self.wrong) >= _MISTAKES:
            raise Misfilled(self.wrong)

    def declaration(self, form: Form, period: Period, units: tuple[str, ...]) -> Declaration:
        self.check_mark([form.id, units[0], period.text])
        columns = {column.key: column for column in form.columns if is_declarable(column)}
        places = self.columns({*columns, *(line.key for line in form.manual)})
        cells: list[DeclaredCell] = []
        words = dict.fromkeys((_BY, _NOTE), "")
        for row, key in self.rows(units, places):
            if key in words:
                words[key] = self.words(row, key)
            else:
                unit = key.removeprefix(_ROW) if key.startswith(_ROW) else ""
                cells += self.figures(row, unit, places, columns)
        if not cells and not self.wrong:
            self.refuse(0, 0, phrase("the workbook contains no figure"))
        head = {"unit": units[0], "form": form.id, "period": period.text}
        return Declaration(**head, cells=tuple(cells), by=words[_BY], note=words[_NOTE])

    def check_mark(self, expected: list[str]) -> None:
        at = next(place for place, cell in self.sheet.cells.items() if cell.text.startswith(MARK))
        try:
            said = json.loads(self.sheet.cells[at].text.removeprefix(MARK))
        except (ValueError, RecursionError):
            said = None
        if said != expected:
            shown = " ".join(map(str, said))[:200] if isinstance(said, list) else "?"
            wanted = " ".join(expected)
            self.refuse(
                0,
                0,
                phrase(
                    "this template is for {shown}, not for {wanted}; use the right template", shown=shown, wanted=wanted
                ),
            )

    def columns(self, known: set[str]) -> Mapping[str, int]:
        """Return the column of the sheet for each key of the form."""
        found: dict[str, int] = {}
        for (row, column), cell in sorted(self.sheet.cells.items()):
            if row != self.keys or cell.text.startswith(MARK) or cell.text == _TEXT:
                continue
            if cell.text not in known or cell.text in found:
                self.refuse(
                    row,
                    column,
                    phrase(
                        "the column “{text}” is not in the form, or occurs twice; create the template again",
                        text=cell.text[:50],
                    ),
                )
            else:
                found[cell.text] = column
        return found

    def rows(self, units: Sequence[str], places: Mapping[str, int]) -> Iterator[tuple[int, str]]:
        """Yield each row that has a key, with the key."""
        marked = next(column for (_, column), cell in self.sheet.cells.items() if cell.text.startswith(MARK))
        keyed = {row: cell.text for (row, column), cell in self.sheet.cells.items() if column == marked}
        known, seen = {_TOTAL, _BY, _NOTE, *(_ROW + unit for unit in units)}, set()
        for row, key in sorted(keyed.items()):
            if row == self.keys:
                continue
            if key not in known or key in seen:
                self.refuse(
                    row,
                    marked,
                    phrase(
                        "the row “{key}” is not of the reporting unit, or occurs twice; create the template again",
                        key=key[:80],
                    ),
                )
                continue
            seen.add(key)
            yield row, key
        numbers = set(places.values())
        for (row, column), cell in sorted(self.sheet.cells.items()):
            if row > self.keys and row not in keyed and column in numbers and cell.kind is Held.NUMBER:
                self.refuse(
                    row,
                    column,
                    phrase("a number in a row without a unit; move it to the right row, or delete it"),
                )

    def words(self, row: int, key: str) -> str:
        """Return the text that a person wrote in a row for text."""
        place = next(
            (column for (at, column), cell in self.sheet.cells.items() if at == self.keys and cell.text == _TEXT), 0
        )
        cell = self.sheet.cells.get((row, place))
        text = " ".join(cell.text.split()) if cell is not None else ""
        if len(text) > _LONGEST[key]:
            most = _LONGEST[key]
            self.refuse(row, place, phrase("longer than {most} characters; shorten it", most=most))
            return ""
        return text

    def figures(
        self, row: int, unit: str, places: Mapping[str, int], columns: Mapping[str, Column]
    ) -> Iterator[DeclaredCell]:
        """Yield the figures of one row: those that were typed, not those that the workbook added up."""
        for key, place in places.items():
            cell, column = self.sheet.cells.get((row, place)), columns.get(key)
            sums = not unit or (column is not None and not is_typed_column(column))
            if cell is None or (sums and cell.formula):
                continue
            figure = self.number(cell, row, place, fraction=column is not None and not holds_whole_numbers(column))
            if figure is not None:
                yield DeclaredCell(unit=unit, column=key, figure=figure)

    def number(self, cell: SheetCell, row: int, place: int, *, fraction: bool) -> int | Decimal | None:
        text = cell.text.strip()
        if cell.kind is Held.NOTHING:
            self.refuse(
                row,
                place,
                phrase(
                    "a formula without a calculated value; open and save the file in a spreadsheet program, or type "
                    "the number"
                ),
            )
            return None
        number = None
        if cell.kind is Held.NUMBER or (cell.kind is Held.TEXT and _DIGITS.fullmatch(text)):
            try:
                number = Decimal(text)
            except InvalidOperation:
                number = None
        if number is None or not number.is_finite() or not 0 <= number <= _MOST:
            self.refuse_number(row, place, text)
            return None
        if number == number.to_integral_value():
            return int(number)
        if fraction and number == round(number, 2):
            return round(number, 2)
        self.refuse_number(row, place, text)
        return None

    def refuse_number(self, row: int, place: int, text: str) -> None:
        self.refuse(
            row,
            place,
            phrase(
                "“{text}” is not a whole number from 0 to {most}; type one, or leave the cell empty",
                text=text[:50],
                most=_MOST,
            ),
        )
