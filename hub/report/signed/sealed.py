"""Seals a report and reads a sealed report back: its numbers, its texts, its revision. Knows
`xsd/lienthong/1/report.xsd`. Verifies no seal.

Every reader sees what was sealed: the workbook, the page and the JSON of a submitted or published report are made from
it, not counted again. A sealed report contains neither the notes of its form nor the facts behind it, only their number
and hash.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import attrs
from lxml import etree

from hub.report.counting.checks import CheckFinding
from hub.report.counting.counting import DividedRow, Report, Row, Section
from hub.report.counting.declared import NO_REMARKS, DeclaredFigure, Remark, Remarks
from hub.report.counting.deriving import Number, read_sum
from hub.report.counting.evidence import EvidenceLine, HashedLines
from hub.report.counting.marks import (
    NO_MARKS,
    ChangedCell,
    ClosingMarks,
    LateFacts,
    LateMessage,
    LateMessages,
    RowRevision,
    Silence,
    SilenceKind,
    require_untampered,
)
from hub.report.counting.sections import sum_subtotal
from hub.report.counting.table import split_path
from hub.report.form.column import Column, ColumnKind, Declarer, EmptyRatio, Grade, Wording
from hub.report.form.form import UNIT, Check, Form
from hub.report.form.period import Period, parse_period
from hub.report.form.workdays import Due
from hub.report.signed.element import REPORT, build_report_element, check_report_element
from hub.security import signing
from hub.security.certificates import Signer


@attrs.frozen(kw_only=True)
class Sealed:
    """The content of a sealed report."""

    report: Report
    names: Mapping[str, str]  #: by the codes of its units
    revision: int
    evidence: str  #: the SHA-256 of the list of facts behind it
    facts: int  #: the number of these facts

    def says(self, report: Report, evidence: str) -> bool:
        """Return whether it has the same numbers as *report* and the same facts behind them, whenever either was
        made.
        """
        mine, theirs = self.report, report
        if mine.divided and _list_divided(mine) != _list_divided(theirs):
            return False
        return (mine.total, mine.rows, self.evidence) == (theirs.total, theirs.rows, evidence)


def _list_divided(report: Report) -> object:
    return report.by, [(each.path, each.row) for each in report.divided]


def seal_report(
    report: Report,
    names: Mapping[str, str],
    lines: Sequence[EvidenceLine] | HashedLines,
    identity: Signer,
    revision: int | None = None,
) -> bytes:
    """Return *report* sealed by *identity*, the hub's own key.

    *lines*: its evidence. *revision*: the number for a report that leaves the hub, else None. Raises SchemaBroken;
    Unready when the key cannot be used now; Rejected with `closing-tampered` if a closed month behind it was edited in the
    database.
    """
    require_untampered(report.marks)
    content = signing.write_sealed_document(build_report_element(report, names, lines, revision), identity)
    check_report_element(content)
    return content


def read_sealed_report(content: bytes) -> Sealed:
    """Return the content of the sealed report *content*. Raises SchemaBroken if it is not a sealed report."""
    check_report_element(content)
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    form = _read_form(root)
    evidence = _find_only(root, "Evidence")
    elements = list(_find_only(root, "Rows"))
    rows = {str(each.get("unit")): _read_row(each, form) for each in elements}
    total = _read_row(_find_only(root, "Total"), form)
    return Sealed(
        report=Report(
            form=form,
            period=_read_period(_find_only(root, "Period")),
            made_at=_read_moment(_find_only(root, "MadeAt").text),
            total=total,
            rows=tuple(rows.values()),
            sections=tuple(
                _read_section(each, form, rows)
                for each in root.iterfind(f"{_qualify_tag('Sections')}/{_qualify_tag('Section')}")
            ),
            findings=tuple(
                _read_finding(each) for each in root.iterfind(f"{_qualify_tag('Findings')}/{_qualify_tag('Finding')}")
            ),
            due=_read_due(_find_only(root, "Period")),
            by=_read_division_keys(root),
            divided=tuple(
                _read_divided(each, form, _read_division_keys(root))
                for each in root.iterfind(f"{_qualify_tag('Divided')}/*")
            ),
            marks=_read_marks(root.find(_qualify_tag("Closing"))),
            declared=tuple(_read_declared(each, form, rows, total) for each in root.iterfind(_qualify_tag("Declared"))),
            remarks=_read_remarks(root.find(_qualify_tag("Remarks"))),
        ),
        names={
            str(row.get("unit")): _find_only(row, "Name").text or "" for row in (*elements, _find_only(root, "Total"))
        },
        revision=int(root.get("revision", "1")),
        evidence=str(evidence.text),
        facts=int(evidence.get("facts", "0")),
    )


def _read_remarks(said: etree._Element | None) -> Remarks:
    if said is None:
        return NO_REMARKS
    told = (
        Remark(
            unit=each.get("unit", ""),
            text=each.text or "",
            column=each.get("column", ""),
            of=each.get("of", ""),
            by=each.get("by", ""),
            at=_read_moment(each.get("receivedAt")),
            message=each.get("message", ""),
        )
        for each in said
    )
    return Remarks(told=tuple(told), left_out=int(said.get("leftOut", "0")))


def _read_declared(said: etree._Element, form: Form, rows: Mapping[str, Row], total: Row) -> DeclaredFigure:
    unit, key = said.get("unit", ""), said.get("column", "")
    row = rows[unit] if unit else total
    return DeclaredFigure(
        unit=unit,
        column=key,
        value=read_sum(form.column(key), row.numbers[key]),
        sender=said.get("sender", ""),
        by=said.get("by", ""),
        at=_read_moment(said.get("receivedAt")),
        message=said.get("message", ""),
    )


def _read_section(said: etree._Element, form: Form, rows: Mapping[str, Row]) -> Section:
    units = tuple(each.get("unit", "") for each in said.iterfind(_qualify_tag("Member")))
    total = sum_subtotal(form, [rows[unit] for unit in units])
    return Section(heading=_read_wording(said, "Heading"), total=total, units=units)


def _read_marks(said: etree._Element | None) -> ClosingMarks:
    if said is None:
        return NO_MARKS
    at = said.get("closedAt")
    late = (
        LateFacts(
            form=each.get("form", ""),
            period=each.get("period", ""),
            counted_in=each.get("countedIn", ""),
            facts=int(each.get("facts", "0")),
        )
        for each in said.iterfind(_qualify_tag("LateFacts"))
    )
    return ClosingMarks(
        closed_at=None if at is None else _read_moment(at),
        revision=int(said.get("revision", "1")),
        revised=tuple(_read_row_revision(each) for each in said.iterfind(_qualify_tag("RevisedRow"))),
        late=tuple(late),
        silences=tuple(_read_silence(each) for each in said.iterfind(_qualify_tag("Silence"))),
    )


def _read_silence(said: etree._Element) -> Silence:
    since, units, services = (said.get(name) for name in ("since", "units", "services"))
    return Silence(
        period=said.get("period", ""),
        partner=said.get("partner", ""),
        kind=SilenceKind(said.get("kind", "")),
        since=None if since is None else _read_moment(since),
        units=None if units is None else tuple(units.split()),
        services=None if services is None else tuple(services.split()),
    )


def _read_row_revision(said: etree._Element) -> RowRevision:
    cells = (
        ChangedCell(
            column=each.get("column", ""),
            heading=_read_wording(each, "Heading"),
            was=_read_value(_find_only(each, "Was").text),
            now=_read_value(_find_only(each, "Now").text),
        )
        for each in said.iterfind(_qualify_tag("Changed"))
    )
    late = said.find(_qualify_tag("Late"))
    named = (
        LateMessage(
            id=each.get("id", ""),
            partner=each.get("partner", ""),
            at=_read_moment(each.get("receivedAt")),
            facts=int(each.get("facts", "0")),
        )
        for each in (() if late is None else late)
    )
    return RowRevision(
        form=said.get("form", ""),
        period=said.get("period", ""),
        unit=said.get("unit", ""),
        revision=int(said.get("revision", "1")),
        made_at=_read_moment(said.get("madeAt")),
        by=said.get("by", ""),
        reason=_find_only(said, "Reason").text or "",
        cells=tuple(cells),
        late=LateMessages(named=tuple(named), more=0 if late is None else int(late.get("more", "0"))),
    )


def _read_value(text: str | None) -> Number | datetime:
    return _read_moment(text) if text and text.endswith("Z") else _read_number(text or "")


def _read_division_keys(root: etree._Element) -> tuple[str, ...]:
    found = root.find(_qualify_tag("Divided"))
    return (UNIT,) if found is None else tuple(found.get("by", "").split())


def _read_divided(said: etree._Element, form: Form, by: tuple[str, ...]) -> DividedRow:
    path = tuple(each.text or "" for each in said.iterfind(_qualify_tag("Value")))
    unit, values = split_path(by, path)
    return DividedRow(
        path=path,
        unit=unit,
        values=values,
        name=None if said.find(_qualify_tag("Name")) is None else _read_wording(said, "Name"),
        row=_read_row(said, form, unit),
    )


def _read_form(root: etree._Element) -> Form:
    said = _find_only(root, "Form")
    return Form(
        id=said.get("id", ""),
        service=said.get("service", ""),
        title=_read_wording(said, "Title"),
        basis=_read_wording(said, "Basis"),
        counted=_read_wording(said, "Counted"),
        columns=tuple(_read_column(column) for column in _find_only(root, "Columns")),
        parameters={each.get("name", ""): int(each.text or "0") for each in said.iterfind(_qualify_tag("Parameter"))},
        since=_read_day(said, "since"),
        until=_read_day(said, "until"),
        number=said.get("number", ""),
        first_number=int(said.get("firstNumber", "1")),
    )


def _read_column(said: etree._Element) -> Column:
    return Column(
        key=said.get("key", ""),
        kind=ColumnKind(said.get("kind", "")),
        heading=_read_wording(said, "Heading"),
        group=None if said.find(_qualify_tag("Group")) is None else _read_wording(said, "Group"),
        sum=_read_column_keys(said, "Summand"),
        part=_read_column_keys(said, "Part"),
        whole=_read_column_keys(said, "Whole"),
        of="".join(_read_column_keys(said, "Of")),
        empty=EmptyRatio(said.get("empty", "none")),
        full_at=int(said.get("fullAt", "100")),
        points=int(said.get("points", "0")),
        expression=said.get("expression", ""),
        inputs=_read_column_keys(said, "Input"),
        decimals=int(said.get("decimals", "0")),
        grades=tuple(_read_grade(each) for each in said.iterfind(_qualify_tag("Grade"))),
        most=int(said.get("most", "0")),
        declarer=Declarer(said.get("by", "any")),
    )


def _read_grade(said: etree._Element) -> Grade:
    at = said.get("at")
    return Grade(None if at is None else int(at), _read_wording(said, "Heading"))


def _read_column_keys(said: etree._Element, tag: str) -> tuple[str, ...]:
    return tuple(each.get("column", "") for each in said.iterfind(_qualify_tag(tag)))


def _read_finding(said: etree._Element) -> CheckFinding:
    left, right = _find_only(said, "Left"), _find_only(said, "Right")
    check = Check(
        says=_read_wording(said, "Check"),
        left=tuple(left.get("columns", "").split()),
        right=tuple(right.get("columns", "").split()),
        before=said.get("before") == "true",
        at_most=said.get("atMost") == "true",
    )
    return CheckFinding(unit=said.get("unit"), check=check, left=int(left.text or "0"), right=int(right.text or "0"))


def _read_period(said: etree._Element) -> Period:
    named = parse_period(said.get("text", ""))
    return attrs.evolve(named, first=_read_day(said, "from") or named.first, last=_read_day(said, "to") or named.last)


def _read_due(said: etree._Element) -> Due | None:
    last = _read_day(said, "due")
    return None if last is None else Due(last, said.get("dueSure") != "false")


def _read_row(said: etree._Element, form: Form, unit: str | None = None) -> Row:
    cells = {each.get("column", ""): each.text or "" for each in said}
    times = [column.key for column in form.columns if column.kind is ColumnKind.TIME]
    return Row(
        said.get("unit", "") if unit is None else unit,
        numbers={column.key: _read_number(cells[column.key]) for column in form.columns if column.key not in times},
        times={key: _read_moment(cells[key]) if cells[key] else None for key in times},
    )


def _read_number(text: str) -> Number:
    return None if not text else Decimal(text) if "." in text else int(text)


def _read_day(said: etree._Element, key: str) -> date | None:
    text = said.get(key)
    return None if text is None else date.fromisoformat(text)


def _read_wording(parent: etree._Element, tag: str) -> Wording:
    words = {each.get("language"): each.text or "" for each in parent.iterfind(_qualify_tag(tag))}
    return Wording(words.get("vi", ""), words.get("en", ""))


def _read_moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "")


def _find_only(parent: etree._Element, tag: str) -> Any:
    found = parent.find(_qualify_tag(tag))
    assert found is not None, tag  # guaranteed by the schema
    return found


def _qualify_tag(local: str) -> str:
    return f"{{{REPORT}}}{local}"
