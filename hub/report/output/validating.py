"""Tests whether the cells of a report of anyone agree, by the rules that its form publishes. Knows the sealed XML and the
JSON report. Verifies no seal and no signature, and counts nothing.

A JSON report is written as XML first, so that one set of rules judges both. Each of its sections is judged as the report
of its units, for its subtotal is written too.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.domain.sanitize import replace_unwritable
from hub.formats import xsd_schemas
from hub.formats.safe_xml import Limits, parse_safe_xml
from hub.language.phrases import phrase
from hub.report.form.column import ColumnKind, Wording
from hub.report.form.form import Form, choose_form
from hub.report.form.period import PeriodUnreadable, parse_period
from hub.report.output.rules import CellRule, Place, list_rules
from hub.report.output.schematron import write_schematron
from hub.report.signed.element import REPORT

LARGEST = 16 << 20  #: the maximum octets of a file
MOST_ROWS = 2_000  #: the maximum rows, of units and of divided rows each; each is compared with all
#: The maximum sections of a JSON report, and cells of all its rows, each row counted again in every section that has it.
MOST_SECTIONS, MOST_CELLS = 100, 500_000
#: The maximum of rows times findings: a row that breaks a check looks for its finding among all.
MOST_LOOKED_UP = 4_000_000
_BESIDE = 50  #: what a row may have beside its cells
_LIMITS = Limits(size=LARGEST)
_SVRL = "{http://purl.oclc.org/dsdl/svrl}"


@attrs.frozen(kw_only=True)
class BrokenRule:
    """A rule of the form that does not hold at one place of the report."""

    rule: str  #: the id of its assertion in the Schematron
    row: str  #: `total`, the code of a unit, the values of a divided row, or a section: its Vietnamese heading
    column: str | None  #: the column whose cell is named; None: none, or all
    says: Wording  #: with the row, the number of the cell, and the number expected


@attrs.frozen(kw_only=True)
class Verdict:
    """What the rules of a form say of a report."""

    form: Form
    unit: str
    period: str
    rules: int  #: the number of rules that the form states
    broken: tuple[BrokenRule, ...]


def validate_report(content: bytes, forms: Iterable[Form]) -> Verdict:
    """Return what the rules of its form say of the report *content*, sealed XML or JSON; *forms* are those known.

    Raises Rejected if it is neither, or too large; FormMissing if no form of *forms* is the report's.
    """
    if len(content) > LARGEST:
        raise Rejected(Problem("too-large", f"{len(content)} > {LARGEST}"))
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        said = _read_json(content)
        form = _choose_named_form(forms, said.get("form"), _expect_table(said.get("period"), "period").get("text"))
        _require_bounds(said)
        root, parts = _write_element(said, form), list(_write_sections(said, form))
    else:
        root, parts = parse_safe_xml(content, limits=_LIMITS), []
        _require_schema(root)
        form = _choose_named_form(forms, _read_first_text(root, "r:Form/@id"), _read_first_text(root, "r:Period/@text"))
    rows = [
        _count_elements(root, path)
        for path in ("r:Rows/r:Row", "r:Divided/r:DividedRow", "r:Sections/r:Section/r:Member")
    ]
    if max(rows) > MOST_ROWS:
        raise Rejected(Problem("too-large", phrase("{found} rows; at most {most}", found=max(rows), most=MOST_ROWS)))
    findings, allowed = _count_elements(root, "r:Findings/r:Finding"), MOST_LOOKED_UP // (sum(rows) + 1)
    if findings > allowed:
        raise Rejected(Problem("too-large", phrase("{found} findings; at most {most}", found=findings, most=allowed)))
    most = 2 * len(form.columns) + _BESIDE  # every rule of a row looks at all its cells
    for row in root.iter(_qualify_tag("Total"), _qualify_tag("Row"), _qualify_tag("DividedRow")):
        if len(row) > most:
            raise Rejected(Problem("too-large", phrase("{found} cells; at most {most}", found=len(row), most=most)))
    tool = _compile_rules(write_schematron(form))
    rules = {rule.id: rule for rule in list_rules(form)}
    broken = list(_run_rules(tool, rules, root))
    for heading, part in parts:
        broken += [
            attrs.evolve(each, row=heading) for each in _run_rules(tool, rules, part) if _is_of_cells(rules[each.rule])
        ]
    return Verdict(
        form=form,
        unit=_read_first_text(root, "r:Total/@unit"),
        period=_read_first_text(root, "r:Period/@text"),
        rules=len(rules),
        broken=tuple(broken),
    )


@lru_cache(4)  # compiling the rules takes up to 0.4 s
def _compile_rules(schematron: bytes) -> Any:
    from lxml import isoschematron  # type: ignore[attr-defined]  # 20 ms, and the stubs lack it

    return isoschematron.Schematron(etree.fromstring(schematron), store_report=True)


def _is_of_cells(rule: CellRule) -> bool:
    """Whether a subtotal must keep *rule* too: checks are said of units and of the total, and sections are not divided."""
    return rule.place is Place.TOTAL and "-check-" not in rule.id and "-divided-" not in rule.id


def _run_rules(tool: Any, rules: Mapping[str, CellRule], root: etree._Element) -> Iterator[BrokenRule]:
    tool.validate(root)
    for failed in tool.validation_report.iter(f"{_SVRL}failed-assert"):
        rule = rules[failed.get("id")]
        (element,) = cast("Any", root.getroottree().xpath(failed.get("location")))
        vi, en = (" ".join(failed.findtext(path, "").split()) for path in _SENTENCES)
        yield BrokenRule(rule=rule.id, row=_name_row(rule, element), column=rule.column, says=Wording(vi, en))


_SENTENCES = (f"{_SVRL}text", f"{_SVRL}diagnostic-reference")


def _name_row(rule: CellRule, element: etree._Element) -> str:
    match rule.place:
        case Place.REPORT | Place.TOTAL:
            return rule.place.name.lower()
        case Place.DIVIDED:
            return " / ".join(each.text or "" for each in element.iterfind(_qualify_tag("Value")))
        case _:
            return element.get("unit", "")


def _require_schema(root: etree._Element) -> None:
    """Refuse what is not a report by `report.xsd`. Raises Rejected with the first mistakes."""
    schema = xsd_schemas.compile_schema(xsd_schemas.find_schema_root() / "xsd/lienthong/1/report.xsd")
    if not schema.validate(root):
        errors = list(cast("Any", schema.error_log))[:20]
        raise Rejected(*(Problem("contract-broken", f"line {each.line}: {each.message[:500]}") for each in errors))


def _choose_named_form(forms: Iterable[Form], identity: object, period: object) -> Form:
    try:
        return choose_form(forms, str(identity)[:80], parse_period(str(period)[:20]))
    except PeriodUnreadable as error:
        raise _make_refusal("period.text", str(error)) from None


def _read_first_text(root: etree._Element, path: str) -> str:
    found = cast("Any", root.xpath(path, namespaces={"r": REPORT}))
    return str(found[0]) if found else ""


# JSON


def _read_json(content: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(content.decode("utf-8-sig"), parse_float=Decimal, object_pairs_hook=_read_unique_keys)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise _make_refusal("", str(error) or type(error).__name__) from None
    return _expect_table(said, "")


def _read_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _count_elements(root: etree._Element, path: str) -> int:
    return len(cast("Any", root.xpath(path, namespaces={"r": REPORT})))


def _require_bounds(said: Mapping[str, Any]) -> None:
    """Refuse a report whose sections, or whose cells, are too many to be written. Raises Rejected."""
    sections = [each for each in _expect_list(said.get("sections"), "sections") if isinstance(each, dict)]
    if len(sections) > MOST_SECTIONS:
        raise _make_refusal(
            "sections", phrase("{found} sections; at most {most}", found=len(sections), most=MOST_SECTIONS)
        )
    divided = said.get("divided")
    rows = list(_list_rows(said))
    rows += _list_rows(divided) if isinstance(divided, dict) else ()
    sizes = {str(each.get("unit")): len(each) for each in rows}
    members = [str(unit) for each in sections for unit in _expect_list(each.get("units"), "sections.units")]
    if len(members) > MOST_ROWS:
        raise _make_refusal("sections", phrase("{found} rows; at most {most}", found=len(members), most=MOST_ROWS))
    cells = sum(map(len, rows)) + sum(sizes.get(unit, 0) for unit in members)
    if cells > MOST_CELLS:
        raise _make_refusal("rows", phrase("{found} cells; at most {most}", found=cells, most=MOST_CELLS))


def _list_rows(said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (each for each in _expect_list(said.get("rows"), "rows") if isinstance(each, dict))


def _write_element(said: Mapping[str, Any], form: Form) -> etree._Element:
    """Return the JSON report *said* as the element `Report`, as far as rules look at it. Raises Rejected."""
    root = _begin_report(said, form)
    total = _expect_table(said.get("total"), "total")
    _write_row(root, "Total", str(said.get("unit")), total, form, "total", ())
    rows = _add_element(root, "Rows")
    for place, each in enumerate(_expect_list(said.get("rows"), "rows")):
        row = _expect_table(each, f"rows[{place}]")
        _write_row(rows, "Row", str(row.get("unit")), row, form, f"rows[{place}]", ("unit", "name"))
    sections = _add_element(root, "Sections")
    for place, section in enumerate(_expect_list(said.get("sections"), "sections")):
        found = _add_element(sections, "Section")
        for unit in _expect_list(_expect_table(section, f"sections[{place}]").get("units"), f"sections[{place}].units"):
            _add_element(found, "Member", unit=_clean_text(unit))
    if "divided" in said:
        table = _expect_table(said["divided"], "divided")
        divided = _add_element(
            root, "Divided", by=_clean_text(" ".join(map(str, _expect_list(table.get("by"), "divided.by"))))
        )
        for place, each in enumerate(_expect_list(table.get("rows"), "divided.rows")):
            where = f"divided.rows[{place}]"
            row = _expect_table(each, where)
            element = _write_row(divided, "DividedRow", None, row, form, where, ("path", "name"))
            for value in reversed(_expect_list(row.get("path"), f"{where}.path")):
                value_element = etree.Element(_qualify_tag("Value"))
                value_element.text = _clean_text(value)
                element.insert(0, value_element)
    findings = _add_element(root, "Findings")
    for place, each in enumerate(_expect_list(said.get("findings"), "findings")):
        _write_finding(findings, _expect_table(each, f"findings[{place}]"), f"findings[{place}]")
    return root


def _write_sections(said: Mapping[str, Any], form: Form) -> Iterator[tuple[str, etree._Element]]:
    """Yield the heading of each section, and the section as a report of its units."""
    rows = {str(row.get("unit")): row for row in said["rows"]}
    for place, section in enumerate(said.get("sections", ())):
        where = f"sections[{place}]"
        root = _begin_report(said, form)
        _write_row(root, "Total", "", _expect_table(section.get("total"), f"{where}.total"), form, f"{where}.total", ())
        part = _add_element(root, "Rows")
        for unit in section["units"]:
            if str(unit) in rows:
                _write_row(part, "Row", str(unit), rows[str(unit)], form, "rows", ("unit", "name"))
        yield str(section.get("vi")), root


def _begin_report(said: Mapping[str, Any], form: Form) -> etree._Element:
    """Return the beginning of a report. JSON does not state the version of the form, so it is that of the period."""
    root = etree.Element(_qualify_tag("Report"), nsmap=cast("Any", {None: REPORT}))
    dates = {"since": form.since, "until": form.until}
    _add_element(root, "Form", id=form.id, **{name: str(day) for name, day in dates.items() if day})
    _add_element(root, "Period", text=_clean_text(_expect_table(said.get("period"), "period").get("text")))
    columns = _add_element(root, "Columns")
    for place, each in enumerate(_expect_list(said.get("columns"), "columns")):
        column = _expect_table(each, f"columns[{place}]")
        _add_element(columns, "Column", key=_clean_text(column.get("key")), kind=_clean_text(column.get("kind")))
    return root


def _write_row(
    parent: etree._Element,
    tag: str,
    unit: str | None,
    cells: Mapping[str, Any],
    form: Form,
    where: str,
    beside: tuple[str, ...],
) -> etree._Element:
    """Add a row with all *cells* but those that are *beside* them. Raises Rejected for a cell of another type."""
    row = _add_element(parent, tag, **({} if unit is None else {"unit": _clean_text(unit)}))
    kinds = {column.key: column.kind for column in form.columns}
    places = {column.key: column.places for column in form.columns}
    for key, value in cells.items():
        if key in beside:
            continue
        kind = kinds.get(key)
        if kind is ColumnKind.TIME:
            if value is not None and not isinstance(value, str):
                raise _make_refusal(f"{where}.{key}", repr(value)[:80])
            _add_element(row, "Time", column=_clean_text(key)).text = _clean_text((value or "").replace("+00:00", "Z"))
            continue
        if isinstance(value, bool) or not isinstance(value, int | Decimal | None):
            raise _make_refusal(f"{where}.{key}", repr(value)[:80])
        _add_element(row, "Number", column=_clean_text(key)).text = _write_number(value, places.get(key, 0))
    return row


def _write_number(value: int | Decimal | None, places: int) -> str:
    if value is None:
        return ""
    exact = Decimal(value)
    if not exact.is_finite() or abs(exact.adjusted()) > 15:
        return "?"  # no number of a report, and no rule about numbers holds for it
    if places and exact == round(exact, places):
        return f"{exact:.{places}f}"
    return f"{exact:f}"


def _write_finding(findings: etree._Element, said: Mapping[str, Any], where: str) -> None:
    numbers = _expect_list(said.get("numbers"), f"{where}.numbers")
    if len(numbers) != 2 or not all(type(each) is int for each in numbers):
        raise _make_refusal(f"{where}.numbers", repr(numbers)[:80])
    unit = said.get("unit")
    finding = _add_element(findings, "Finding", **({} if unit is None else {"unit": _clean_text(unit)}))
    columns = " ".join(map(str, _expect_list(said.get("columns"), f"{where}.columns")))
    _add_element(finding, "Left", columns=_clean_text(columns)).text = str(numbers[0])
    _add_element(finding, "Right", columns="").text = str(numbers[1])


def _expect_table(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _make_refusal(path, phrase("is not an object"))
    return value


def _expect_list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _make_refusal(path, phrase("is not a list"))
    return value


def _make_refusal(path: str, why: Any) -> Rejected:
    return Rejected(Problem("contract-broken", phrase("{path}: {why}", path=f"${'.' if path else ''}{path}", why=why)))


def _clean_text(value: object) -> str:
    return replace_unwritable(str(value))


def _add_element(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, _qualify_tag(tag), cast("Any", attributes))


def _qualify_tag(local: str) -> str:
    return f"{{{REPORT}}}{local}"
