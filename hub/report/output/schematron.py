"""Writes the rules of a form as ISO Schematron (ISO/IEC 19757-3) with the query binding of XSLT 1, and the shape of its
JSON as a JSON Schema. Knows both formats. The rules are `hub.report.output.rules`.

A JSON Schema has no arithmetic: it says which cells there are and of which type, never that they add up.
"""

import json
from typing import Any, cast

from lxml import etree

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.form.column import Column, ColumnKind
from hub.report.form.form import UNIT, Form
from hub.report.output.outputs import describe_computed
from hub.report.output.rules import CellRule, Place, list_rules
from hub.report.signed.element import REPORT
from hub.report.words import name_column

SCHEMATRON = "http://purl.oclc.org/dsdl/schematron"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_TOTAL = phrase("Total")
_COMMENT = (
    "Structure and types only: JSON Schema cannot add up. That the cells agree with one another is said by the Schematron "
    "of the same form, and tested by `lienthong report validate`."
)


def name_rule_files(form: Form) -> tuple[str, str]:
    """Return the names of the Schematron and of the JSON Schema of *form* below `/contracts/`."""
    version = form.id if form.since is None else f"{form.id}-{form.since}"
    return f"report/{version}.sch", f"report/{version}.schema.json"


def write_schematron(form: Form) -> bytes:
    """Return the rules of *form* as Schematron. Each assertion says its sentence in Vietnamese and names the row; its
    diagnostic says the same in English.
    """
    root = etree.Element(_qualify_tag("schema"), nsmap=cast("Any", {None: SCHEMATRON}))
    root.set("queryBinding", "xslt")
    root.set(_LANGUAGE, "vi")
    _add_element(root, "title").text = f"{form.called}: {form.title.vi} / {form.title.en}"
    _add_element(root, "ns", prefix="r", uri=REPORT)
    rules = list_rules(form)
    for place in Place:
        mine = [rule for rule in rules if rule.place is place]
        if not mine:
            continue
        context = _add_element(_add_element(root, "pattern", id=place.name.lower()), "rule", context=place.value)
        for rule in mine:
            stated = _add_element(context, "assert", id=rule.id, test=rule.test, diagnostics=f"{rule.id}-en")
            _write_sentence(stated, rule, Language.VI)
    diagnostics = _add_element(root, "diagnostics")
    for rule in rules:
        told = _add_element(diagnostics, "diagnostic", id=f"{rule.id}-en")
        told.set(_LANGUAGE, "en")
        _write_sentence(told, rule, Language.EN)
    etree.indent(root)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _write_sentence(element: etree._Element, rule: CellRule, language: Language) -> None:
    """Write the row, the sentence, and the number of the cell beside the one expected: `H55.1: (3) … [4; 5]`."""
    sentence = rule.says.say(language)
    row = "concat(r:Value[1], ' ', r:Value[2])" if rule.place is Place.DIVIDED else "@unit"
    if rule.place in (Place.REPORT, Place.TOTAL):
        row = "/r:Report/r:Total/@unit"
        element.text = f"{translate(_TOTAL, language)} "
    _add_element(element, "value-of", select=row).tail = f": {sentence}"
    if rule.column is None or rule.place is Place.REPORT:
        return
    element[-1].tail = f": {sentence} ["
    _add_element(element, "value-of", select=f"r:*[@column = '{rule.column}']")
    if rule.expected is not None:
        element[-1].tail = "; "
        _add_element(element, "value-of", select=rule.expected)
    element[-1].tail = "]"


def _make_object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has exactly *properties*."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT, _DAY = {"type": "string"}, {"type": "string", "format": "date"}
_MOMENT = {"type": "string", "format": "date-time"}
_UNIT = {"type": "string", "minLength": 1}
_WORDING = _make_object_schema({"vi": _TEXT, "en": _TEXT})
_PERIOD = _make_object_schema(
    {
        "text": {"type": "string", "pattern": "^2[0-9]{3}(-(0[1-9]|1[0-2]|Q[1-4]|H[12]|9M))?$"},
        "from": _DAY,
        "to": _DAY,
        "start": _MOMENT,
        "end": _MOMENT,
        "ended": {"type": "boolean"},
    }
)
_FINDING = {
    "unit": {"type": ["string", "null"]},
    "vi": _TEXT,
    "en": _TEXT,
    "columns": {"type": "array", "items": _TEXT},
    "numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
}


def _describe_column(column: Column) -> dict[str, Any]:
    return _make_object_schema(
        {
            "key": {"const": column.key},
            "vi": _TEXT,
            "en": _TEXT,
            "group": {"anyOf": [_WORDING, {"type": "null"}]},
            "kind": {"const": column.kind.value},
            "sum": {"const": list(column.sum)},
            **{name: {"const": value} for name, value in describe_computed(column).items()},
        }
    )


def _describe_section(cells: dict[str, Any]) -> dict[str, Any]:
    return _make_object_schema(
        {
            "vi": _TEXT,
            "en": _TEXT,
            "units": {"type": "array", "items": _UNIT, "minItems": 1},
            "total": _make_object_schema(cells),
        }
    )


def _describe_division(form: Form, cells: dict[str, Any]) -> dict[str, Any]:
    """Describe the rows by values of attributes, where a report is divided."""
    return _make_object_schema(
        {
            "by": {"type": "array", "items": {"enum": [UNIT, *form.divides_by]}, "minItems": 1, "maxItems": 2},
            "rows": {
                "type": "array",
                "items": _make_object_schema(
                    {
                        "path": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 2},
                        "name": {"anyOf": [_WORDING, {"type": "null"}]},
                        **cells,
                    }
                ),
            },
        }
    )


def write_json_schema(form: Form) -> bytes:
    """Return the JSON Schema (2020-12) of the JSON report of *form*, which `write_json_report` writes."""
    cells = {column.key: _describe_cell(column) for column in form.columns}
    columns = [_describe_column(column) for column in form.columns]
    properties: dict[str, Any] = {
        "unit": _UNIT,
        "name": _TEXT,
        "form": {"const": form.id},
        "number": {"const": form.number or None},
        "title": _WORDING,
        "basis": _WORDING,
        "counted": _WORDING,
        "parameters": {"type": "object", "additionalProperties": {"type": "integer"}},
        "period": _PERIOD,
        "due": {"anyOf": [_make_object_schema({"day": _DAY, "sure": {"type": "boolean"}}), {"type": "null"}]},
        "made_at": _MOMENT,
        "columns": {"type": "array", "prefixItems": columns, "items": False, "minItems": len(columns)},
        "total": _make_object_schema(cells),
        "sections": {"type": "array", "items": _describe_section(cells)},
        "findings": {"type": "array", "items": _make_object_schema(_FINDING)},
        "rows": {"type": "array", "minItems": 1, "items": _make_object_schema({"unit": _UNIT, "name": _TEXT, **cells})},
        "closing": {"type": ["object", "null"]},
    }
    if any(column.kind is ColumnKind.DECLARED for column in form.columns):
        said = {"column": _TEXT, "sender": _UNIT, "by": _TEXT, "at": _MOMENT, "message": _UNIT}
        properties["declared"] = {
            "type": "array",
            "items": _make_object_schema({"unit": {"anyOf": [_UNIT, {"type": "null"}]}, **said}),
        }
    described = _make_object_schema(properties)
    described["properties"]["remarks"] = {"type": "object"}
    described["properties"]["divided"] = _describe_division(form, cells)
    head = {
        "$schema": _JSON_SCHEMA,
        "$id": f"{REPORT}:{form.id}" + (f":{form.since}" if form.since else ""),
        "$comment": _COMMENT,
        "title": f"{form.called}: {form.title.vi} / {form.title.en}",
    }
    return (json.dumps({**head, **described}, ensure_ascii=False, indent=1) + "\n").encode()


def _describe_cell(column: Column) -> dict[str, Any]:
    said = f"{name_column(column, Language.VI)} / {name_column(column, Language.EN)}"
    match column.kind:
        case ColumnKind.TIME:
            return {"description": said, "type": ["string", "null"], "format": "date-time"}
        case ColumnKind.RATIO | ColumnKind.SCORE:
            return {"description": said, "type": ["number", "null"], "minimum": 0}
        case ColumnKind.GRADE:
            grades = [*range(1, len(column.grades) + 1), None]
            return {"description": said, "enum": grades}
        case ColumnKind.EXPRESSION:
            return {"description": said, "type": ["number", "null"]}
        case ColumnKind.DECLARED:
            return {"description": said, "type": ["number", "null"], "minimum": 0, "maximum": column.most}
        case _ if column.places:
            return {"description": said, "type": "number"}
        case _:
            return {"description": said, "type": "integer"}


def _add_element(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, _qualify_tag(tag), cast("Any", attributes))


def _qualify_tag(local: str) -> str:
    return f"{{{SCHEMATRON}}}{local}"
