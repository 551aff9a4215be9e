"""Writes a report as XML, ready to be sealed. Knows `xsd/lienthong/1/report.xsd`. Holds no key;
`hub.report.signed.sealed` seals.

It contains the texts of both languages, so that one sealed document serves every reader.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import attrs
from lxml import etree

from hub.domain.sanitize import replace_unwritable
from hub.formats import xsd_schemas
from hub.report.counting import evidence
from hub.report.counting.counting import Report, Row
from hub.report.counting.declared import Remarks
from hub.report.counting.evidence import EvidenceLine, HashedLines
from hub.report.counting.marks import ClosingMarks
from hub.report.form.column import Column, ColumnKind, Wording
from hub.report.form.form import Form
from hub.report.words import name_row_unit

REPORT = "urn:lienthong:report:1"


class SchemaBroken(Exception):
    """A report that its own schema rejects: an error of the hub. Such a report must not leave the hub."""


def _add_declared(root: etree._Element, report: Report) -> None:
    for figure in report.declared:
        of_unit = {"unit": figure.unit} if figure.unit else {}
        told = {"sender": figure.sender, "receivedAt": _write_utc(figure.at), "message": figure.message}
        by = {"by": replace_unwritable(figure.by)} if figure.by else {}
        _add_element(root, "Declared", column=figure.column, **of_unit, **told, **by)


def _add_findings(root: etree._Element, report: Report) -> None:
    findings = _add_element(root, "Findings") if report.findings else root
    for each in report.findings:
        where = {} if each.unit is None else {"unit": each.unit}
        when = {"before": "true"} if each.check.before else {}
        most = {"atMost": "true"} if each.check.at_most else {}
        finding = _add_element(findings, "Finding", **where, **when, **most)
        _add_wording(finding, "Check", each.check.says)
        _add_element(finding, "Left", columns=" ".join(each.check.left)).text = str(each.left)
        _add_element(finding, "Right", columns=" ".join(each.check.right)).text = str(each.right)


def build_report_element(
    report: Report, names: Mapping[str, str], lines: Sequence[EvidenceLine] | HashedLines, revision: int | None = None
) -> etree._Element:
    """Return the element `Report`, without its seal. *lines*: the evidence that is hashed. *revision*: the number for a
    report that leaves the hub, else None.
    """
    form, period = report.form, report.period
    root = etree.Element(_qualify_tag("Report"), nsmap=cast("Any", {None: REPORT}))
    if revision is not None:
        root.set("revision", str(revision))
    _describe_form(root, form)
    days = {"from": period.first.isoformat(), "to": period.last.isoformat()}
    if report.due is not None:
        days |= {"due": report.due.day.isoformat(), "dueSure": "true" if report.due.sure else "false"}
    _add_element(root, "Period", text=period.text, **days, ended="true" if report.ended else "false")
    _add_element(root, "MadeAt").text = _write_utc(report.made_at)
    columns = _add_element(root, "Columns")
    for column in form.columns:
        _add_column(columns, column)
    _fill_row(_add_element(root, "Total", unit=report.total.unit), report.total, form, names)
    rows = _add_element(root, "Rows")
    for row in report.rows:
        _fill_row(_add_element(rows, "Row", unit=row.unit), row, form, names)
    if report.sections:
        sections = _add_element(root, "Sections")
        for section in report.sections:
            said = _add_element(sections, "Section")
            _add_wording(said, "Heading", section.heading)
            for unit in section.units:
                _add_element(said, "Member", unit=unit)
    if report.divided:
        _add_divided(root, report)
    _add_declared(root, report)
    _add_findings(root, report)
    counted_here = [late for late in report.marks.late if late.counted_in == period.text]
    if report.marks.closed_at is not None or counted_here:
        _add_closing(root, attrs.evolve(report.marks, late=tuple(counted_here)))
    _add_remarks(root, report.remarks)
    _add_element(root, "Evidence", facts=str(len(lines))).text = evidence.hash_evidence(lines)
    etree.indent(root)
    return root


def _add_divided(root: etree._Element, report: Report) -> None:
    divided = _add_element(root, "Divided", by=" ".join(report.by))
    for each in report.divided:
        element = _add_element(divided, "DividedRow")
        for value in each.path:
            _add_element(element, "Value").text = replace_unwritable(value)
        if each.name is not None:
            name = Wording(replace_unwritable(each.name.vi), replace_unwritable(each.name.en))
            _add_wording(element, "Name", name)
        _fill_cells(element, each.row, report.form)


def _add_remarks(root: etree._Element, remarks: Remarks) -> None:
    if not remarks.told:
        return
    more = {"leftOut": str(remarks.left_out)} if remarks.left_out else {}
    element = _add_element(root, "Remarks", **more)
    for each in remarks.told:
        said = {"unit": each.unit, "column": each.column, "of": each.of, "by": replace_unwritable(each.by)}
        said = {name: value for name, value in said.items() if value}
        remark = _add_element(element, "Remark", **said, receivedAt=_write_utc(each.at), message=each.message)
        remark.text = replace_unwritable(each.text)


def _add_closing(root: etree._Element, marks: ClosingMarks) -> None:
    """Add what the report says of the closings behind it. What comes later and counts in a later month is not among it,
    so that a closed report is sealed as the same octets whatever comes.
    """
    at = {} if marks.closed_at is None else {"closedAt": _write_utc(marks.closed_at)}
    closing = _add_element(root, "Closing", **at, revision=str(marks.revision))
    for row in marks.revised:
        made = {"revision": str(row.revision), "madeAt": _write_utc(row.made_at), "by": replace_unwritable(row.by)}
        revised = _add_element(closing, "RevisedRow", form=row.form, period=row.period, unit=row.unit, **made)
        _add_element(revised, "Reason").text = replace_unwritable(row.reason)
        for cell in row.cells:
            changed = _add_element(revised, "Changed", column=cell.column)
            _add_wording(changed, "Heading", cell.heading)
            for tag, value in (("Was", cell.was), ("Now", cell.now)):
                text = _write_utc(value) if isinstance(value, datetime) else None if value is None else str(value)
                _add_element(changed, tag).text = text
        late = _add_element(revised, "Late", more=str(row.late.more)) if row.late.named else revised
        for each in row.late.named:
            said = {"partner": each.partner, "receivedAt": _write_utc(each.at), "facts": str(each.facts)}
            _add_element(late, "LateMessage", id=each.id, **said)
    for found in marks.late:
        counted = {"countedIn": found.counted_in, "facts": str(found.facts)}
        _add_element(closing, "LateFacts", form=found.form, period=found.period, **counted)
    for silence in marks.silences:
        since = {} if silence.since is None else {"since": _write_utc(silence.since)}
        units = {} if silence.units is None else {"units": " ".join(silence.units)}
        services = {} if silence.services is None else {"services": " ".join(silence.services)}
        named = {"period": silence.period, "partner": silence.partner, "kind": silence.kind.value}
        _add_element(closing, "Silence", **named, **since, **units, **services)


def _add_column(columns: etree._Element, column: Column) -> None:
    found = _add_element(columns, "Column", key=column.key, kind=column.kind.value)
    if column.kind is ColumnKind.RATIO:
        found.set("empty", column.empty.value)
    if column.kind is ColumnKind.SCORE:
        found.set("fullAt", str(column.full_at))
        found.set("points", str(column.points))
    if column.kind is ColumnKind.EXPRESSION:
        found.set("empty", column.empty.value)
        found.set("expression", column.expression)
    if column.places and column.kind not in (ColumnKind.RATIO, ColumnKind.SCORE):
        found.set("decimals", str(column.places))
    if column.kind is ColumnKind.DECLARED:
        found.set("most", str(column.most))
        found.set("by", column.declarer.value)
    if column.group is not None:
        _add_wording(found, "Group", column.group)
    _add_wording(found, "Heading", column.heading)
    for tag, keys in (("Summand", column.sum), ("Part", column.part), ("Whole", column.whole)):
        for key in keys:
            _add_element(found, tag, column=key)
    if column.of:
        _add_element(found, "Of", column=column.of)
    for key in column.inputs:
        _add_element(found, "Input", column=key)
    for grade in column.grades:
        at = {} if grade.at is None else {"at": str(grade.at)}
        _add_wording(_add_element(found, "Grade", **at), "Heading", grade.heading)


def check_report_element(content: bytes) -> None:
    """Validate a sealed report against its schema. Raises SchemaBroken with each line and reason."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    schema = xsd_schemas.compile_schema(xsd_schemas.find_schema_root() / "xsd/lienthong/1/report.xsd")
    if not schema.validate(etree.fromstring(content, parser)):
        found = [f"line {error.line}: {error.message}" for error in cast("Any", schema.error_log)]
        raise SchemaBroken("; ".join(found))


def _describe_form(root: etree._Element, form: Form) -> None:
    """Add the form and its version."""
    dates = {"since": form.since, "until": form.until}
    known = {key: day.isoformat() for key, day in dates.items() if day is not None}
    named = {"service": form.service, "number": replace_unwritable(form.number)}
    named = {key: text for key, text in named.items() if text}
    if form.first_number != 1:
        named["firstNumber"] = str(form.first_number)
    described = _add_element(root, "Form", id=form.id, **named, **known)
    _add_wording(described, "Title", form.title)
    _add_wording(described, "Basis", form.basis)
    _add_wording(described, "Counted", form.counted)
    for parameter, value in form.parameters.items():
        _add_element(described, "Parameter", name=parameter).text = str(value)


def _fill_row(element: etree._Element, row: Row, form: Form, names: Mapping[str, str]) -> None:
    _add_element(element, "Name").text = replace_unwritable(name_row_unit(row, names))
    _fill_cells(element, row, form)


def _fill_cells(element: etree._Element, row: Row, form: Form) -> None:
    for column in form.columns:
        if column.kind is ColumnKind.TIME:
            at = row.times[column.key]
            _add_element(element, "Time", column=column.key).text = None if at is None else _write_utc(at)
        else:
            value = row.numbers[column.key]
            _add_element(element, "Number", column=column.key).text = None if value is None else str(value)


def _add_wording(parent: etree._Element, tag: str, wording: Wording) -> None:
    _add_element(parent, tag, language="vi").text = wording.vi
    _add_element(parent, tag, language="en").text = wording.en


def _add_element(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, _qualify_tag(tag), cast("Any", attributes))


def _qualify_tag(local: str) -> str:
    return f"{{{REPORT}}}{local}"


def _write_utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
