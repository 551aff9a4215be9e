"""Puts values by path into the arguments of zeep's types, and lists the values that a type takes.

Knows the component tree of zeep: elements, groups, choices, wildcards, attributes and simple types. Importing it takes
0.2 s, because it imports zeep: `hub.partner.partner_calls` imports it when a call is made. Does not know operations.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
from lxml import etree
from zeep import xsd
from zeep.xsd import ComplexType, Nil
from zeep.xsd.elements import Any as AnyElement
from zeep.xsd.elements import Choice, Element, Group
from zeep.xsd.types.collection import ListType

from hub.domain.sanitize import replace_unwritable
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Load, Loads
from hub.language.phrases import Phrase, phrase
from hub.partner.call_nodes import ANY, TEXT, CallNode, Misplaced, PartnerField
from hub.partner.mapping_values import VIETNAM, Found, Step, Unfit, local_name, write_text

_XSI_TYPE = "@xsi:type"
#: How deep a schema is followed where a type contains itself.
_DEEPEST = 12


@attrs.frozen(eq=False)
class CallMaking:
    """What every step of one conversion needs."""

    types: Any  #: zeep's types of the WSDL
    loads: Loads
    longest: int  #: octets of more than this become a load


def convert_node(kind: Any, node: CallNode, place: str, making: CallMaking) -> Any:
    """Return what zeep is given for an element of the type *kind*: a text, octets, or arguments by name."""
    if not isinstance(kind, ComplexType):
        if node.children or node.attributes:
            inside = next(iter((*node.children, *node.attributes)))
            raise Misplaced(
                phrase("{place} has no {name}", place=place, name=inside),
                phrase("a value: {type}", type=_name_type(kind)),
            )
        return _write_simple_value(kind, node.value, place, making)
    if _XSI_TYPE in node.attributes:
        kind, node = _find_derived_type(kind, node, place, making)
        return kind(**_make_arguments(kind, node, place, making))
    return _make_arguments(kind, node, place, making)


def _find_derived_type(kind: Any, node: CallNode, place: str, making: CallMaking) -> tuple[Any, CallNode]:
    """Return the type that `@xsi:type` of *node* names, and the node without this attribute.

    zeep does not know whether it extends *kind*: the partner judges that.
    """
    name = write_text(node.attributes[_XSI_TYPE])
    others = {key: value for key, value in node.attributes.items() if key != _XSI_TYPE}
    known = [each for each in making.types.types if each.qname is not None and each.qname.localname == name]
    if len(known) != 1 or not hasattr(known[0], "elements_nested"):
        raise Misplaced(
            phrase("{place}: no type {name}", place=place, name=name),
            phrase("a type that extends {type}", type=_name_type(kind)),
        )
    return known[0], attrs.evolve(node, attributes=others)


def _make_arguments(kind: Any, node: CallNode, place: str, making: CallMaking) -> dict[str, Any]:
    """Return the arguments of the complex type *kind*, by the names that zeep gives them."""
    left, made = dict(node.children), dict[str, Any]()
    for name, nested in kind.elements_nested:
        if isinstance(nested, Element):  # simpleContent
            if node.given:
                made[name] = _write_simple_value(nested.type, node.value, place, making)
        else:
            _fill_group(nested, name, left, made, place, making)
    if left:
        raise _make_unknown_name(next(iter(left)), kind, place)
    if node.value is not None and not made and write_text(node.value if not isinstance(node.value, bytes) else "x"):
        raise Misplaced(phrase("{place} has no text", place=place), _say_children(kind))
    known = {each.name: name for name, each in kind.attributes if each.name}
    for name, value in node.attributes.items():
        if name[1:] not in known:
            raise _make_unknown_name(name, kind, place)
        if value is not None:
            made[known[name[1:]]] = _write_simple_value(
                _find_attribute(kind, name[1:]).type, value, f"{place}/{name}", making
            )
    return made


def _fill_group(
    group: Any,
    name: str | None,
    left: dict[str, dict[int, CallNode]],
    made: dict[str, Any],
    place: str,
    making: CallMaking,
) -> None:
    """Add to *made* the arguments of the sequence, choice, all or group *group*, and remove them from *left*."""
    if group.accepts_multiple and not isinstance(group, Element | AnyElement):
        rounds = list[dict[str, Any]]()
        wanted = {each.name for each in _walk_group(group) if isinstance(each, Element)}
        taken = {key: left.pop(key) for key in list(left) if key in wanted}
        if isinstance(group, Choice):
            singles = [(key, number) for key in taken for number in sorted(taken[key])]
            parts = [{key: {1: taken[key][number]}} for key, number in singles]
        else:
            most = max((max(each) for each in taken.values()), default=0)
            parts = [
                {key: {1: each[number]} for key, each in taken.items() if number in each}
                for number in range(1, most + 1)
            ]
        for part in parts:
            one = dict[str, Any]()
            for inner_name, inner in _list_parts(group):
                _fill_one(inner, inner_name, part, one, place, making)
            rounds.append(one)
        if rounds:
            made[name or "_value_1"] = rounds
        return
    for inner_name, inner in _list_parts(group):
        _fill_one(inner, inner_name, left, made, place, making)


def _fill_one(
    inner: Any,
    name: str | None,
    left: dict[str, dict[int, CallNode]],
    made: dict[str, Any],
    place: str,
    making: CallMaking,
) -> None:
    if isinstance(inner, AnyElement):
        if (given := left.pop(ANY, None)) is not None:
            made[name or "_value_1"] = _make_wildcard(given, inner, place)
        return
    if not isinstance(inner, Element):
        _fill_group(inner, name, left, made, place, making)
        return
    numbered = left.pop(inner.name or "", None)
    if numbered is None:
        return
    there = list[Any]()
    for number, child in sorted(numbered.items()):
        if child.is_empty() or (inner.is_optional and child.value == "" and _find_form(inner.type) is not None):
            if inner.is_optional or (inner.accepts_multiple and number > inner.min_occurs):
                continue
            there.append(Nil if inner.nillable else _make_empty(inner.type))
        else:
            there.append(convert_node(inner.type, child, f"{place}/{inner.name}", making))
    if not there:
        return
    if len(there) > 1 and not inner.accepts_multiple:
        wrong = phrase(
            "{place} may have one {name}, and {count} are given", place=place, name=inner.name, count=len(there)
        )
        raise Misplaced(wrong, phrase("one"))
    made[name or str(inner.name)] = there if inner.accepts_multiple else there[0]


def _make_empty(kind: Any) -> Any:
    return {} if isinstance(kind, ComplexType) else ""


def _make_wildcard(given: dict[int, CallNode], inner: Any, place: str) -> Any:
    found = list[Any]()
    for _, node in sorted(given.items()):
        if isinstance(node.value, str | bytes | datetime | tuple):
            raise Unfit(f"{place}/*: XML is needed; the mapping must say xml")
        if node.value is not None:
            found.append(node.value)
    return found if inner.accepts_multiple else found[0] if found else None


def _write_simple_value(kind: Any, value: Found | None, place: str, making: CallMaking) -> Any:
    """Return *value* as a text, or octets, of the simple type *kind*. Raises Unfit."""
    if isinstance(kind, xsd.Base64Binary):
        octets = value if isinstance(value, bytes) else write_text(value, place).encode()
        return octets if len(octets) <= making.longest else making.loads.token(Load(Octets.of(octets), carried=True))
    if isinstance(kind, xsd.HexBinary):
        return (value if isinstance(value, bytes) else write_text(value, place).encode()).hex().upper()
    if isinstance(value, datetime):
        return _write_time(kind, value)
    text = replace_unwritable(write_text(value, place))
    if not isinstance(kind, xsd.String):
        text = text.strip()
    if isinstance(kind, ListType):
        return text.split()
    if text and not _has_form(kind, text):
        raise Unfit(f"{place}: {text[:100]!r} is not {_name_type(kind)}")
    # zeep would take these for a tuple; what is CDATA it writes as it is
    return etree.CDATA(text) if _name_type(kind) in _GREGORIAN else text


_ZONE = r"(Z|[+-][0-9]{2}:[0-9]{2})?"
_DAY, _CLOCK = r"-?[0-9]{4,}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_GREGORIAN = {
    "gYear": rf"-?[0-9]{{4,}}{_ZONE}",
    "gYearMonth": rf"-?[0-9]{{4,}}-[0-9]{{2}}{_ZONE}",
    "gMonth": rf"--[0-9]{{2}}{_ZONE}",
    "gMonthDay": rf"--[0-9]{{2}}-[0-9]{{2}}{_ZONE}",
    "gDay": rf"---[0-9]{{2}}{_ZONE}",
}
#: The lexical forms of primitive types (XSD 1.0, part 2, 3.2), by the name of zeep's class. zeep accepts more.
_FORMS: Mapping[str, str] = {
    "Boolean": "true|false|1|0",
    "Integer": r"[+-]?[0-9]+",
    "Decimal": _NUMBER,
    "Float": rf"{_NUMBER}([eE][+-]?[0-9]+)?|[+-]?INF|NaN",
    "Double": rf"{_NUMBER}([eE][+-]?[0-9]+)?|[+-]?INF|NaN",
    "DateTime": rf"{_DAY}T{_CLOCK}{_ZONE}",
    "Date": rf"{_DAY}{_ZONE}",
    "Time": rf"{_CLOCK}{_ZONE}",
    **_GREGORIAN,
}


def _has_form(kind: Any, text: str) -> bool:
    """Tell whether *text* has the form of the primitive type of *kind*. Types without a form here have any."""
    form = _find_form(kind)
    return form is None or re.fullmatch(form, text) is not None


def _find_form(kind: Any) -> str | None:
    """Return the form of the primitive type of *kind*: zeep makes each simple type a class, named as the schema does."""
    built_in = (each.__name__ for each in type(kind).__mro__ if each.__module__ == "zeep.xsd.types.builtins")
    return next((_FORMS[name] for name in built_in if name in _FORMS), None)


def _write_time(kind: Any, value: datetime) -> str:
    local = value.astimezone(VIETNAM)
    if isinstance(kind, xsd.Date):
        return local.date().isoformat()
    if isinstance(kind, xsd.Time):
        return local.timetz().isoformat(timespec="seconds")
    return local.isoformat(timespec="seconds")


# What a schema has


def _find_attribute(kind: Any, name: str) -> Any:
    return next(each for _, each in kind.attributes if each.name == name)


def _make_unknown_name(name: str, kind: Any, place: str) -> Misplaced:
    return Misplaced(phrase("{place} has no {name}", place=place, name=name), _say_children(kind))


def _say_children(kind: Any) -> Phrase:
    return phrase("one of {keys}", keys=", ".join(_names_in(kind)) or "-")


def _list_parts(group: Any) -> Sequence[tuple[str | None, Any]]:
    """Return the elements, wildcards and groups in *group* with the names that zeep gives them."""
    parts: Sequence[tuple[str | None, Any]] = (group.child if isinstance(group, Group) else group).elements_nested
    return parts


def _walk_group(group: Any) -> Iterator[Any]:
    """Yield the elements and wildcards in the groups of a complex type, or in a group, at any depth of groups."""
    for _, inner in _list_parts(group):
        if isinstance(inner, Element | AnyElement):
            yield inner
        else:
            yield from _walk_group(inner)


def _names_in(kind: Any) -> list[str]:
    named = [f"@{each.name}" for _, each in kind.attributes if each.name]
    return named if _has_text(kind) else [*(each.name or ANY for each in _walk_group(kind)), *named]


def require_path(kind: Any, path: Sequence[Step], place: str) -> None:
    """Raise Misplaced if *path* does not lead to a value below an element of the type *kind*."""
    for step in path:
        if step.name in {TEXT, _XSI_TYPE}:
            return
        if not isinstance(kind, ComplexType):
            if type(kind).__name__ == "AnyType":
                return
            raise Misplaced(
                phrase("{place} has no {name}", place=place, name=step.name),
                phrase("a value: {type}", type=_name_type(kind)),
            )
        if step.name.startswith("@"):
            if step.name not in _names_in(kind) and not any(each.name is None for _, each in kind.attributes):
                raise _make_unknown_name(step.name, kind, place)
            return
        inside = [] if _has_text(kind) else list(_walk_group(kind))
        found = next((each for each in inside if each.name == step.name), None)
        if found is None and any(isinstance(each, AnyElement) for each in inside):
            return
        if found is None:
            raise _make_unknown_name(step.name, kind, place)
        if step.number and step.number > 1 and not _may_repeat(kind, found):
            raise Misplaced(phrase("{place} has one {name} only", place=place, name=step.name), phrase("no number"))
        kind, place = found.type, f"{place}/{step.name}"


def _may_repeat(kind: Any, element: Any) -> bool:
    return bool(element.accepts_multiple) or any(
        each.accepts_multiple for _, each in kind.elements_nested if hasattr(each, "elements")
    )


def _has_text(kind: Any) -> bool:
    return any(isinstance(each, Element) for _, each in kind.elements_nested)


def list_call_fields(kind: Any) -> list[PartnerField]:
    """Return the values that an element of the type *kind* takes, in the order of the schema.

    Nothing in a choice is required. A type that contains itself is followed to a depth of 12. What a person reads of
    them (documentation, allowed values) `hub.soap.wsdl_fields` lists from xmlschema's model, which takes longer; a test
    compares the two.
    """
    return list(_list_type(kind, "", True, 0))


def _list_type(kind: Any, path: str, required: bool, depth: int) -> Iterator[PartnerField]:
    if not isinstance(kind, ComplexType):
        yield PartnerField(path or TEXT, _name_type(kind), required)
        return
    if depth > _DEEPEST:
        return
    if _has_text(kind):
        yield PartnerField(f"{path}/." if path else TEXT, _name_type(kind.elements_nested[0][1].type), required)
    for _, attribute in kind.attributes:
        if attribute.name:
            place = f"{path}/@{attribute.name}" if path else f"@{attribute.name}"
            yield PartnerField(place, _name_type(attribute.type), required and attribute.required)
    if not _has_text(kind):
        for _, group in kind.elements_nested:
            yield from _list_group(group, path, required, depth)


def _list_group(group: Any, path: str, required: bool, depth: int) -> Iterator[PartnerField]:
    needed = required and group.min_occurs != 0 and not isinstance(group, Choice)
    for _, inner in _list_parts(group):
        if isinstance(inner, AnyElement):
            yield PartnerField(f"{path}/*" if path else ANY, "any", needed and inner.min_occurs != 0)
        elif isinstance(inner, Element):
            place = f"{path}/{inner.name}" if path else str(inner.name)
            yield from _list_type(inner.type, place, needed and not inner.is_optional, depth + 1)
        else:
            yield from _list_group(inner, path, needed, depth)


def _name_type(kind: Any) -> str:
    """Return the name of the type *kind*, or of the built-in type that it restricts."""
    for each in type(kind).__mro__:
        default = getattr(each, "_default_qname", None)
        if default is not None:
            return local_name(etree.QName(default).text)
    return str(getattr(kind, "name", None) or "-")
