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
from hub.report.form.form import UNIT, Check, Column, ColumnKind, Declarer, EmptyRatio, Form, Grade, Wording
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
    form = _form(root)
    evidence = _one(root, "Evidence")
    elements = list(_one(root, "Rows"))
    rows = {str(each.get("unit")): _row(each, form) for each in elements}
    total = _row(_one(root, "Total"), form)
    return Sealed(
        report=Report(
            form=form,
            period=_period(_one(root, "Period")),
            made_at=_moment(_one(root, "MadeAt").text),
            total=total,
            rows=tuple(rows.values()),
            sections=tuple(
                _section(each, form, rows) for each in root.iterfind(f"{_tag('Sections')}/{_tag('Section')}")
            ),
            findings=tuple(_finding(each) for each in root.iterfind(f"{_tag('Findings')}/{_tag('Finding')}")),
            due=_due(_one(root, "Period")),
            by=_by(root),
            divided=tuple(_divided(each, form, _by(root)) for each in root.iterfind(f"{_tag('Divided')}/*")),
            marks=_marks(root.find(_tag("Closing"))),
            declared=tuple(_declared(each, form, rows, total) for each in root.iterfind(_tag("Declared"))),
            remarks=_remarks(root.find(_tag("Remarks"))),
        ),
        names={str(row.get("unit")): _one(row, "Name").text or "" for row in (*elements, _one(root, "Total"))},
        revision=int(root.get("revision", "1")),
        evidence=str(evidence.text),
        facts=int(evidence.get("facts", "0")),
    )


def _remarks(said: etree._Element | None) -> Remarks:
    if said is None:
        return NO_REMARKS
    told = (
        Remark(
            unit=each.get("unit", ""),
            text=each.text or "",
            column=each.get("column", ""),
            of=each.get("of", ""),
            by=each.get("by", ""),
            at=_moment(each.get("receivedAt")),
            message=each.get("message", ""),
        )
        for each in said
    )
    return Remarks(told=tuple(told), left_out=int(said.get("leftOut", "0")))


def _declared(said: etree._Element, form: Form, rows: Mapping[str, Row], total: Row) -> DeclaredFigure:
    unit, key = said.get("unit", ""), said.get("column", "")
    row = rows[unit] if unit else total
    return DeclaredFigure(
        unit=unit,
        column=key,
        value=read_sum(form.column(key), row.numbers[key]),
        sender=said.get("sender", ""),
        by=said.get("by", ""),
        at=_moment(said.get("receivedAt")),
        message=said.get("message", ""),
    )


def _section(said: etree._Element, form: Form, rows: Mapping[str, Row]) -> Section:
    units = tuple(each.get("unit", "") for each in said.iterfind(_tag("Member")))
    total = sum_subtotal(form, [rows[unit] for unit in units])
    return Section(heading=_wording(said, "Heading"), total=total, units=units)


def _marks(said: etree._Element | None) -> ClosingMarks:
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
        for each in said.iterfind(_tag("LateFacts"))
    )
    return ClosingMarks(
        closed_at=None if at is None else _moment(at),
        revision=int(said.get("revision", "1")),
        revised=tuple(_revised(each) for each in said.iterfind(_tag("RevisedRow"))),
        late=tuple(late),
        silences=tuple(_silence(each) for each in said.iterfind(_tag("Silence"))),
    )


def _silence(said: etree._Element) -> Silence:
    since, units, services = (said.get(name) for name in ("since", "units", "services"))
    return Silence(
        period=said.get("period", ""),
        partner=said.get("partner", ""),
        kind=SilenceKind(said.get("kind", "")),
        since=None if since is None else _moment(since),
        units=None if units is None else tuple(units.split()),
        services=None if services is None else tuple(services.split()),
    )


def _revised(said: etree._Element) -> RowRevision:
    cells = (
        ChangedCell(
            column=each.get("column", ""),
            heading=_wording(each, "Heading"),
            was=_value(_one(each, "Was").text),
            now=_value(_one(each, "Now").text),
        )
        for each in said.iterfind(_tag("Changed"))
    )
    late = said.find(_tag("Late"))
    named = (
        LateMessage(
            id=each.get("id", ""),
            partner=each.get("partner", ""),
            at=_moment(each.get("receivedAt")),
            facts=int(each.get("facts", "0")),
        )
        for each in (() if late is None else late)
    )
    return RowRevision(
        form=said.get("form", ""),
        period=said.get("period", ""),
        unit=said.get("unit", ""),
        revision=int(said.get("revision", "1")),
        made_at=_moment(said.get("madeAt")),
        by=said.get("by", ""),
        reason=_one(said, "Reason").text or "",
        cells=tuple(cells),
        late=LateMessages(named=tuple(named), more=0 if late is None else int(late.get("more", "0"))),
    )


def _value(text: str | None) -> Number | datetime:
    return _moment(text) if text and text.endswith("Z") else _number(text or "")


def _by(root: etree._Element) -> tuple[str, ...]:
    found = root.find(_tag("Divided"))
    return (UNIT,) if found is None else tuple(found.get("by", "").split())


def _divided(said: etree._Element, form: Form, by: tuple[str, ...]) -> DividedRow:
    path = tuple(each.text or "" for each in said.iterfind(_tag("Value")))
    unit, values = split_path(by, path)
    return DividedRow(
        path=path,
        unit=unit,
        values=values,
        name=None if said.find(_tag("Name")) is None else _wording(said, "Name"),
        row=_row(said, form, unit),
    )


def _form(root: etree._Element) -> Form:
    said = _one(root, "Form")
    return Form(
        id=said.get("id", ""),
        service=said.get("service", ""),
        title=_wording(said, "Title"),
        basis=_wording(said, "Basis"),
        counted=_wording(said, "Counted"),
        columns=tuple(_column(column) for column in _one(root, "Columns")),
        parameters={each.get("name", ""): int(each.text or "0") for each in said.iterfind(_tag("Parameter"))},
        since=_day(said, "since"),
        until=_day(said, "until"),
        number=said.get("number", ""),
        first_number=int(said.get("firstNumber", "1")),
    )


def _column(said: etree._Element) -> Column:
    return Column(
        key=said.get("key", ""),
        kind=ColumnKind(said.get("kind", "")),
        heading=_wording(said, "Heading"),
        group=None if said.find(_tag("Group")) is None else _wording(said, "Group"),
        sum=_columns(said, "Summand"),
        part=_columns(said, "Part"),
        whole=_columns(said, "Whole"),
        of="".join(_columns(said, "Of")),
        empty=EmptyRatio(said.get("empty", "none")),
        full_at=int(said.get("fullAt", "100")),
        points=int(said.get("points", "0")),
        expression=said.get("expression", ""),
        inputs=_columns(said, "Input"),
        decimals=int(said.get("decimals", "0")),
        grades=tuple(_grade(each) for each in said.iterfind(_tag("Grade"))),
        most=int(said.get("most", "0")),
        declarer=Declarer(said.get("by", "any")),
    )


def _grade(said: etree._Element) -> Grade:
    at = said.get("at")
    return Grade(None if at is None else int(at), _wording(said, "Heading"))


def _columns(said: etree._Element, tag: str) -> tuple[str, ...]:
    return tuple(each.get("column", "") for each in said.iterfind(_tag(tag)))


def _finding(said: etree._Element) -> CheckFinding:
    left, right = _one(said, "Left"), _one(said, "Right")
    check = Check(
        says=_wording(said, "Check"),
        left=tuple(left.get("columns", "").split()),
        right=tuple(right.get("columns", "").split()),
        before=said.get("before") == "true",
        at_most=said.get("atMost") == "true",
    )
    return CheckFinding(unit=said.get("unit"), check=check, left=int(left.text or "0"), right=int(right.text or "0"))


def _period(said: etree._Element) -> Period:
    named = parse_period(said.get("text", ""))
    return attrs.evolve(named, first=_day(said, "from") or named.first, last=_day(said, "to") or named.last)


def _due(said: etree._Element) -> Due | None:
    last = _day(said, "due")
    return None if last is None else Due(last, said.get("dueSure") != "false")


def _row(said: etree._Element, form: Form, unit: str | None = None) -> Row:
    cells = {each.get("column", ""): each.text or "" for each in said}
    times = [column.key for column in form.columns if column.kind is ColumnKind.TIME]
    return Row(
        said.get("unit", "") if unit is None else unit,
        numbers={column.key: _number(cells[column.key]) for column in form.columns if column.key not in times},
        times={key: _moment(cells[key]) if cells[key] else None for key in times},
    )


def _number(text: str) -> Number:
    return None if not text else Decimal(text) if "." in text else int(text)


def _day(said: etree._Element, key: str) -> date | None:
    text = said.get(key)
    return None if text is None else date.fromisoformat(text)


def _wording(parent: etree._Element, tag: str) -> Wording:
    words = {each.get("language"): each.text or "" for each in parent.iterfind(_tag(tag))}
    return Wording(words.get("vi", ""), words.get("en", ""))


def _moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "")


def _one(parent: etree._Element, tag: str) -> Any:
    found = parent.find(_tag(tag))
    assert found is not None, tag  # guaranteed by the schema
    return found


def _tag(local: str) -> str:
    return f"{{{REPORT}}}{local}"
