"""Writes a report as PDF: the pages that an official reads, signs and keeps. Tagged; PDF/A-2a and PDF/UA-1.

Decides the texts and the column widths; `report.typ` does the layout. Counts nothing and uses nothing of the machine:
the fonts are the project's own and the date is the report's. So the same report gives the same bytes.
"""

import json
import struct
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import typst
from typst import Compiler, Fonts

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrases
from hub.report.counting import evidence
from hub.report.counting.counting import Report
from hub.report.counting.evidence import EvidenceLine, HashedLines
from hub.report.form.column import Column
from hub.report.output import closing_lines, minutes_lines, paper, remark_lines, svg, workings
from hub.report.output.body import arrange_body, write_check_findings, write_dimensions
from hub.report.output.charts import Plot
from hub.report.output.paper import PrintedRevision
from hub.report.words import (
    group_columns,
    name_row_unit,
    write_cell,
    write_column_sums,
    write_day,
    write_due_sentence,
    write_moment,
    write_notes,
)

_HERE = Path(__file__).parent
_FONTS = _HERE.parent / "fonts"
_FACES = tuple(_FONTS / f"LiberationSerif-{face}.ttf" for face in ("Regular", "Bold", "Italic"))
_PAPERS = ((297, 210), (420, 297), (594, 420))  #: A4, A3 and A2 landscape, in millimetres
_MARGIN = 20  # millimetres, left and right together
_POINT = 25.4 / 72  # millimetres
_LARGEST, _SMALLEST = 10.0, 5.6  # points
# Fractions of the font size: a digit or letter, a sign or thin letter, a wide letter
_LETTER, _THIN, _WIDE = 0.52, 0.3, 0.8
_SIDES = 4.0  # points: the padding left and right of a cell's text, together
_ORDER, _NAME = 22.0, 105.0  # points: for the number of a row, and at least for the name of its unit
_SHARE = 0.4  # the share of the spare width that the names get
_LONGEST = 18  #: the maximum letters of a word before a line may break inside it
_KEPT = 10  #: the number of compilations for which typst keeps cached results
#: the region by whose rules a language is typeset
REGIONS = {Language.VI: "VN", Language.EN: "GB"}
_NO_GLYPH = "□"
_BREAK = "\u200b"


def write_pdf_report(
    report: Report,
    names: Mapping[str, str],
    lines: Sequence[EvidenceLine] | HashedLines | str,
    language: Language = Language.VI,
    *,
    receiver: str = "",
    charts: Iterable[Plot] = (),
    revision: PrintedRevision | None = None,
) -> bytes:
    """Return the PDF. *lines*: the evidence, of which the PDF states the number and the SHA-256; or only that SHA-256.

    *receiver*: the name of the receiver; if empty, a blank space is printed. *revision*: what is printed of a revision
    that was given out. A character that the fonts lack is shown as □. Texts are never interpreted as markup. A
    RuntimeError of typst would be an error of the hub.
    """
    given = _Pages(report, names, language, revision).given(lines, receiver, charts)
    compiler = Compiler(_HERE / "report.typ", root=_HERE, font_paths=_load_own_fonts(), sys_inputs=_write_inputs(given))
    pages = json.loads(compiler.query("<pages>", field="value", one=True))
    alone = pages["signing"] > pages["before"]
    return _compile_pdf(compiler, _write_inputs(given | {"keep": alone}))


def compile_pages(template: Path, inputs: Mapping[str, str]) -> bytes:
    """Return the PDF that the typst *template* makes of *inputs*, with the project's own fonts alone."""
    return _compile_pdf(Compiler(template, root=template.parent, font_paths=_load_own_fonts()), inputs)


def _compile_pdf(compiler: Compiler, inputs: Mapping[str, str]) -> bytes:
    written = compiler.compile(format="pdf", sys_inputs=dict(inputs), pdf_standards=["a-2a", "ua-1"])
    assert isinstance(written, bytes)
    _forget_cached()
    return written


def _write_inputs(given: dict[str, Any]) -> dict[str, str]:
    return {"report": json.dumps(given, ensure_ascii=False)}


def make_printable(text: str) -> str:
    """Return *text* in NFC and on one line, with only characters that the fonts have. A word too wide for a line gets
    break opportunities.
    """
    known = _list_common_glyphs()
    plain = unicodedata.normalize("NFC", text)
    plain = "".join(each if ord(each) in known else " " if each.isspace() else _NO_GLYPH for each in plain)
    return " ".join(_make_breakable(word) for word in plain.split(" "))


@attrs.frozen
class _Pages:
    """The content of a report's pages in one language."""

    report: Report
    names: Mapping[str, str]
    language: Language
    revision: PrintedRevision | None = None

    def t(self, id: str, /, **arguments: object) -> str:  # noqa: A002 - what gettext calls it
        return translate(Phrase(id, arguments), self.language)

    def _words(self) -> dict[str, str]:
        """Return the words around the numbers and texts of the report."""
        t = self.t
        return {
            "number": t("Form: {number}", number=make_printable(self.report.form.called)),
            "reporting": f"{t('Reporting unit')}:",
            "receiving": f"{t('Receiving unit')}:",
            "notes": t("Notes"),
            "findings": t("Findings of the checks"),
            "changes": translate(closing_lines.HEADING, self.language),
            "workings": translate(workings.HEADING, self.language),
            "minutes": translate(minutes_lines.HEADING, self.language),
            "remarks": translate(remark_lines.HEADING, self.language),
            "charts": t("Charts"),
            "page": t("Page"),
        }

    def _table(self) -> dict[str, Any]:
        """Return the table of the report, with the paper that it fits on."""
        form, rows = self.report.form, self._rows()
        sheet, size, widths = _fit_paper(form.columns, [row["cells"] for row in rows], self.language)
        return {
            "paper": sheet,
            "size": size,
            "widths": widths,
            "headings": self._headings(),
            "places": [_after_signs(place) for place in write_column_sums(form)],
            "kinds": [column.kind.value for column in form.columns],
            "rows": rows,
        }

    def _list_lines(self) -> dict[str, list[str]]:
        """Return the lines below the table, by the part that they stand in."""
        report, names, language = self.report, self.names, self.language
        minutes = () if self.revision is None else self.revision.minutes
        parts: dict[str, Iterable[str]] = {
            "workings": (each.says for each in workings.write_workings(report, names, language)),
            "minutes": minutes_lines.write_minutes(report.form, minutes, names, language),
            "remarks": remark_lines.write_remark_lines(report, names, language),
            "findings": write_check_findings(report, names, language),
            "notes": write_notes(report.form, language),
        }
        return {part: [make_printable(each) for each in lines] for part, lines in parts.items()}

    def _people(self) -> list[dict[str, Any]]:
        return [
            {"who": each.who, "how": each.how, "signed": [make_printable(line) for line in each.signed]}
            for each in paper.list_signing_places(self.revision, self.language)
        ]

    def given(
        self, lines: Sequence[EvidenceLine] | HashedLines | str, receiver: str, charts: Iterable[Plot]
    ) -> dict[str, Any]:
        """Return the input of `report.typ`: the texts in the order in which they are printed."""
        report, t = self.report, self.t
        form, period = report.form, report.period
        unit, title = (
            make_printable(name_row_unit(report.total, self.names)),
            make_printable(form.title.say(self.language)),
        )
        digest = lines if isinstance(lines, str) else evidence.hash_evidence(lines)
        called = period.name(self.language)
        at = write_moment(report.made_at)
        first, last = write_day(period.first), write_day(period.last)
        made_by = t("Made by the interconnection hub at {at} (Hà Nội time).", at=at)
        closing = closing_lines.write_closing_lines(report, self.names, self.language)
        return {
            "language": self.language,
            "region": REGIONS[self.language],
            "title": f"{title}, {unit}, {called}",
            "author": t("The interconnection hub"),
            "description": f"{form.id} {report.total.unit} {period.text}; SHA-256 {digest}",
            "date": _split_moment(report.made_at.astimezone(UTC)),
            "words": self._words(),
            "heading": title,
            "at": make_printable(t("At {unit}", unit=name_row_unit(report.total, self.names)).upper()),
            "revision": make_printable(paper.write_revision_line(self.revision, self.language)),
            "dated": paper.write_place_and_date(self.revision, self.language),
            "keep": False,
            "basis": make_printable(form.basis.say(self.language)),
            "unit": unit,
            "code": f"{t('Agency code')}: {make_printable(report.total.unit)}",
            "receiver": make_printable(receiver) or "." * 30,
            "period": f"{t('Period')}: {called} ({t('from {first} to {last}', first=first, last=last)})",
            "due": make_printable(write_due_sentence(report, self.language)),
            "open": "" if report.ended else t("The period has not ended: numbers as of {at}", at=at),
            "above": [make_printable(each) for each in closing.top],
            "changes": [make_printable(each) for each in closing.all],
            "counted": f"{t('Unit of count')}: {make_printable(form.counted.say(self.language))}",
            **self._table(),
            **self._list_lines(),
            "made": f"{made_by} {self._evidence(lines, digest)}",
            "footer": f"{make_printable(form.id)} · {make_printable(report.total.unit)} · {called} · {write_moment(report.made_at)} · SHA-256 {digest[:16]}…",
            "people": self._people(),
            "charts": [self._chart(plot, place) for place, plot in enumerate(charts, 1)],
        }  # fmt: skip

    def _chart(self, plot: Plot, place: int) -> dict[str, str]:
        spelled = attrs.evolve(
            plot,
            title=make_printable(plot.title),
            labels=tuple(make_printable(label) for label in plot.labels),
            series=tuple(attrs.evolve(each, name=make_printable(each.name)) for each in plot.series),
        )
        drawn = svg.draw_plot(spelled, self.language, f"chart-{place}")
        return {"svg": drawn, "alt": f"{spelled.title}. {make_printable(plot.said)}"}

    def _evidence(self, lines: Sequence[EvidenceLine] | HashedLines | str, digest: str) -> str:
        if isinstance(lines, str):
            return self.t("Evidence: SHA-256 {digest}", digest=digest)
        counted = phrases(
            "Evidence ({count} fact): SHA-256 {digest}",
            "Evidence ({count} facts): SHA-256 {digest}",
            count=len(lines),
            digest=digest,
        )
        return translate(counted, self.language)

    def _headings(self) -> list[list[dict[str, Any]]]:
        """Return the two rows of headings. Headings without a group span both rows; those of number and unit also span
        the row of column numbers.
        """
        columns = self.report.form.columns
        upper = [_make_cell(self.t("No."), rows=3), _make_cell(write_dimensions(self.report.by, self.language), rows=3)]
        for column, length in group_columns(columns):
            if column.group is None:
                upper.append(_make_cell(column.heading.say(self.language), rows=2))
            else:
                upper.append(_make_cell(column.group.say(self.language), columns=length))
        lower = [_make_cell(column.heading.say(self.language)) for column in columns if column.group is not None]
        return [upper, lower] if lower else [[{**cell, "rows": min(cell["rows"], 2)} for cell in upper]]

    def _rows(self) -> list[dict[str, Any]]:
        columns, lines = self.report.form.columns, arrange_body(self.report, self.names, self.language)
        return [
            {
                "mark": line.mark.value,
                "number": line.number,
                "name": make_printable(line.name),
                "code": make_printable(line.code),
                "cells": [write_cell(line.row, column, self.language) for column in columns],
                "last": line is lines[-1],
            }
            for line in lines
        ]


def _make_cell(text: str, *, columns: int = 1, rows: int = 1) -> dict[str, Any]:
    return {"text": make_printable(text), "columns": columns, "rows": rows}


def _fit_paper(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], language: Language
) -> tuple[tuple[int, int], float, list[float]]:
    """Return the smallest paper on which the table is legible, the font size, and the width of each column in points.

    A table that is too wide for the largest paper gets a smaller font.
    """
    ems = [
        max(
            _measure_ems("0000"),
            *(_measure_ems(row[place].split(" ")[0]) for row in rows),
            _longest_word(column, language),
        )
        for place, column in enumerate(columns)
    ]
    paper, size, room = _PAPERS[0], 0.0, 0.0
    for paper in _PAPERS:
        room = (paper[0] - _MARGIN) / _POINT - _ORDER
        size = (room - _NAME - _SIDES * len(columns)) / sum(ems)
        if size >= _SMALLEST:
            break
    size = max(1.0, min(_LARGEST, size))
    needed = [each * size + _SIDES for each in ems]
    spare = max(0.0, room - _NAME - sum(needed))
    of_name = _NAME + spare * _SHARE
    stretch = (room - of_name) / sum(needed)
    return paper, round(size, 2), [round(each, 2) for each in (_ORDER, of_name, *(each * stretch for each in needed))]


def _longest_word(column: Column, language: Language) -> float:
    """Return the width of the longest word of the heading, in units of the cells' font size."""
    words = column.heading.say(language).split()
    return 1.05 * max((_measure_ems(word[:_LONGEST]) for word in words), default=0.0)


def _measure_ems(text: str) -> float:
    """Return the approximate width of *text* in bold, in units of the font size."""
    return sum(
        _THIN if each in ".,:()'/|ijltfr " else _WIDE if each in "mwMW" or each.isupper() else _LETTER for each in text
    )


def _after_signs(place: str) -> str:
    """Allow line breaks in `(3)=(1)+(2)`."""
    return place.replace("=", f"={_BREAK}").replace("+", f"+{_BREAK}")


def _make_breakable(word: str) -> str:
    return _BREAK.join(word[start : start + _LONGEST] for start in range(0, len(word), _LONGEST)) or word


def _forget_cached() -> None:
    """Make typst drop what it caches of a document for later compilations, which is hundreds of megabytes for a large
    one.
    """
    for _ in range(_KEPT + 1):
        typst.compile(b"", font_paths=_load_own_fonts(), format="svg")


@cache
def _load_own_fonts() -> Fonts:
    """Return only the project's own fonts: neither the machine's nor those embedded in typst."""
    fonts = Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(_FONTS)])
    if len(fonts.fonts()) != len(_FACES):  # typst would omit the text without an error
        raise RuntimeError(f"not the fonts of a report: {_FONTS}")
    return fonts


@cache
def _list_common_glyphs() -> frozenset[int]:
    """Return the characters that every font has. A PDF/A may contain no other."""
    held = [_list_mapped_characters(face.read_bytes()) for face in _FACES]
    return frozenset(
        code for code in frozenset.intersection(*held) if unicodedata.category(chr(code))[0] not in "CZ"
    ) | {0x20}


def _list_mapped_characters(font: bytes) -> frozenset[int]:
    """Return the characters that a TrueType font maps to glyphs, by its Windows Unicode table (`cmap`, format 4)."""
    tables = struct.unpack_from(">H", font, 4)[0]
    records = [struct.unpack_from(">4sLLL", font, 12 + 16 * place) for place in range(tables)]
    start = next(offset for tag, _, offset, _ in records if tag == b"cmap")
    many = struct.unpack_from(">H", font, start + 2)[0]
    encodings = [struct.unpack_from(">HHL", font, start + 4 + 8 * place) for place in range(many)]
    base = start + next(offset for platform, encoding, offset in encodings if (platform, encoding) == (3, 1))
    many = struct.unpack_from(">H", font, base + 6)[0] // 2
    ends, begins, deltas, offsets = (
        struct.unpack_from(f">{many}H", font, base + 14 + place)
        for place in (0, 2 * many + 2, 4 * many + 2, 6 * many + 2)
    )
    found = set()
    for place, (first, last, delta, offset) in enumerate(zip(begins, ends, deltas, offsets, strict=True)):
        for code in range(first, last + 1):
            glyph = code
            if offset:  # the offset is relative to its own position
                here = base + 16 + 6 * many + 2 * place
                glyph = struct.unpack_from(">H", font, here + offset + 2 * (code - first))[0]
            if glyph and (glyph + delta) % 65536:
                found.add(code)
    return frozenset(found)


def _split_moment(moment: datetime) -> dict[str, int]:
    return {name: getattr(moment, name) for name in ("year", "month", "day", "hour", "minute", "second")}
