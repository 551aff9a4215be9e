"""Builds the calls of a partner's operations from values by path, as its WSDL describes them.

Knows zeep's model of a WSDL, and how the elements, attributes, choices and wildcards of a schema are named by a path.
Does not know where values come from, how a call is signed or sent, nor what an answer means. zeep makes the XML; it
opens no file and no connection.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
from lxml import etree

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.sanitize import replace_unwritable
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Load, Loads
from hub.language.phrases import Phrase, phrase, verbatim
from hub.partner.mapping_values import VIETNAM, Found, Step, Unfit, local_name, write_text
from hub.soap.envelope import SOAP11, SOAP12
from hub.soap.wsdl_documents import parse_wsdl_file, read_wsdl

if TYPE_CHECKING:
    from zeep.wsdl import Document

#: Octets of more than this stand outside the tree while the call is built.
_LONG = 1 << 14
#: Documents that a process keeps, each with its types.
_KEPT = 32
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_XSI_TYPE = "@xsi:type"
_TEXT, _ANY = ".", "*"
_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
#: How deep a schema is followed where its types contain themselves.
_DEEPEST = 12


class Misplaced(ValueError):
    """A path that the schema does not have, with the element where it ends and what is there."""

    def __init__(self, wrong: Phrase, expected: Phrase) -> None:
        super().__init__(f"{wrong}; {expected}")
        self.wrong, self.expected = wrong, expected


@attrs.define
class CallNode:
    """What is to be written into one element: a value, and children and attributes by name."""

    value: Found | None = None
    given: bool = False  #: the element is to be there, even if `value` is None
    children: dict[str, dict[int, "CallNode"]] = attrs.field(factory=dict)  #: by name and number, from 1
    attributes: dict[str, Found | None] = attrs.field(factory=dict)

    def put(self, path: Sequence[Step], value: Found | None) -> None:
        """Put *value* at *path*. What is at a path that ends in `*` must be an element."""
        node = self
        for step in path:
            if step.name.startswith("@"):
                node.attributes[step.name] = value
                return
            if step.name == _TEXT:
                break
            node = node.children.setdefault(step.name, {}).setdefault(step.number or 1, CallNode())
        node.value, node.given = value, True

    def find(self, path: Sequence[Step]) -> "CallNode":
        """Return the node at *path*, which is made if there is none."""
        node = self
        for step in path:
            node = node.children.setdefault(step.name, {}).setdefault(step.number or 1, CallNode())
        return node

    def is_empty(self) -> bool:
        """Tell whether there is nothing to write: no value here and none below."""
        return (
            self.value is None
            and all(each is None for each in self.attributes.values())
            and all(each.is_empty() for named in self.children.values() for each in named.values())
        )


@attrs.frozen
class PartnerField:
    """One value that an operation takes or gives: a leaf of the schema, or an attribute."""

    path: str
    type: str  #: local name of the type; of an unnamed one, of the type that it restricts
    required: bool
    repeated: bool = False  #: it, or an element around it, may stand there several times


@attrs.frozen(eq=False)
class PartnerOperation:
    """One operation of a port."""

    name: str
    action: str
    soap: str  #: namespace of the SOAP version
    one_way: bool  #: it has no answer
    _service: "PartnerService" = attrs.field(repr=False)
    _operation: Any = attrs.field(repr=False)

    @property
    def _root(self) -> Any:
        return self._operation.input.body

    def list_fields(self) -> list[PartnerField]:
        """Return what the request takes, in the order of the schema, with the paths of a mapping."""
        return [] if self._root is None else list(_list_fields(self._root.type, "", True, False, 0))

    def list_answers(self) -> list[PartnerField]:
        """Return what the answer gives, with the paths of a mapping."""
        output = self._operation.output
        body = None if output is None else output.body
        return [] if body is None else list(_list_fields(body.type, "", True, False, 0))

    def list_header_fields(self) -> list[PartnerField]:
        """Return what the header blocks take that the binding declares."""
        return [
            field
            for element in self._declared_headers()
            for field in _list_element(element, element.name, False, False, 0)
        ]

    def find_target(self, path: Sequence[Step]) -> None:
        """Raise Misplaced if the request has nothing at *path*."""
        if self._root is None:
            raise Misplaced(phrase("{name} takes nothing", name=self.name), phrase("no input"))
        _follow(self._root.type, path, self.name)

    def find_header(self, path: Sequence[Step]) -> None:
        """Raise Misplaced if there is no header block, or nothing in it, at *path*."""
        if ":" in path[0].name:
            return
        _follow(self._header_element(path[0].name).type, path[1:], path[0].name)

    def find_answer(self, path: Sequence[str]) -> None:
        """Raise Misplaced if the answer has nothing at *path*, names as far as the schema describes the answer."""
        output = self._operation.output
        if output is not None and output.body is not None:
            _follow(output.body.type, [Step(each) for each in path], self.name)

    def build(
        self,
        root: CallNode,
        headers: Mapping[str, CallNode],
        namespaces: Mapping[str, str],
        loads: Loads,
        *,
        mtom: bool = False,
    ) -> etree._Element:
        """Return the unsigned envelope of a call with the values in *root* and the header blocks *headers*, by name.

        Long octets, with *mtom* all octets, become *loads*, whose tokens stand in the envelope. A header block with a prefix of *namespaces* is
        made of texts only. Raises Unfit for a value that the type of its place does not have, and Misplaced.
        """
        from zeep.exceptions import Error

        making = _Making(self._service.document.types, loads, 0 if mtom else _LONG)
        blocks = [self._build_header(name, node, namespaces, making) for name, node in headers.items()]
        arguments: tuple[Any, ...] = ()
        named: dict[str, Any] = {}
        if self._root is not None:
            converted = _convert(self._root.type, root, self.name, making)
            if isinstance(converted, dict):
                named = converted
            else:
                arguments = (converted,)
        elif root.children:
            raise Misplaced(phrase("{name} takes nothing", name=self.name), phrase("no input"))
        try:
            envelope: etree._Element = self._operation.create(*arguments, _soapheaders=blocks or None, **named).content
        except Error as error:
            place = "/".join(getattr(error, "path", None) or ())
            raise Misplaced(
                verbatim(f"{place or self.name}: {error}"[:300]),
                phrase("a value for every required element"),
            ) from error
        return envelope

    def _declared_headers(self) -> list[Any]:
        header = self._operation.input.header
        return [] if header is None else [element for _, element in header.type.elements]

    def _header_element(self, name: str) -> Any:
        declared = [each for each in self._declared_headers() if each.name == name]
        if declared:
            return declared[0]
        named = [each for each in self._service.document.types.elements if each.name == name]
        if len({each.qname.text for each in named}) == 1:
            return named[0]
        expected = phrase("a block of the binding, a global element of the schemas, or a prefix of [namespaces]")
        wrong = phrase("several elements have the name {name}", name=name)
        raise Misplaced(wrong if named else phrase("no header block {name}", name=name), expected)

    def _build_header(
        self, name: str, node: CallNode, namespaces: Mapping[str, str], making: "_Making"
    ) -> etree._Element:
        prefix, colon, local = name.partition(":")
        if colon:
            block = etree.Element(f"{{{namespaces[prefix]}}}{local}", nsmap={prefix: namespaces[prefix]})
            _write_plain(block, node)
            return block
        element = self._header_element(name)
        holder = etree.Element("Header")
        converted = _convert(element.type, node, name, making)
        element.render(holder, element(**converted) if isinstance(converted, dict) else converted)
        return holder[0]


def _write_plain(element: etree._Element, node: CallNode) -> None:
    """Write the texts of *node* into *element*, all in its namespace."""
    namespace = etree.QName(element).namespace
    for name, value in node.attributes.items():
        if value is not None:
            element.set(name.removeprefix("@"), replace_unwritable(write_text(value)))
    for name, numbered in node.children.items():
        for _, child in sorted(numbered.items()):
            _write_plain(etree.SubElement(element, f"{{{namespace}}}{name}"), child)
    if node.value is not None:
        element.text = replace_unwritable(write_text(node.value))


@attrs.frozen(eq=False)
class PartnerService:
    """One port of a WSDL."""

    document: "Document" = attrs.field(repr=False)
    operations: dict[str, PartnerOperation] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, document: "Document", port: Any) -> "PartnerService":
        """Return the port with its operations."""
        from zeep.wsdl.bindings import Soap12Binding

        service = cls(document)
        soap = SOAP12 if isinstance(port.binding, Soap12Binding) else SOAP11
        for name, each in port.binding.all().items():
            one_way = each.output is None or each.output.body is None
            service.operations[name] = PartnerOperation(name, each.soapaction or "", soap, one_way, service, each)
        return service

    def operation(self, name: str) -> PartnerOperation:
        """Return the operation *name*. Raises Misplaced."""
        found = self.operations.get(name)
        if found is None:
            known = ", ".join(sorted(self.operations)) or "-"
            wrong = phrase("there is no operation {name} that is not rpc/encoded", name=name)
            raise Misplaced(wrong, phrase("one of {keys}", keys=known))
        return found


_SERVICES: OrderedDict[tuple[str, str, str], PartnerService] = OrderedDict()
_LOCK = threading.Lock()


def load_service(
    files: Mapping[str, bytes], main: str, service: str | None = None, port: str | None = None
) -> PartnerService:
    """Return the port *port* of the service *service* in the WSDL *main*, whose files are *files*, by name.

    Without *service* the WSDL has one only; without *port* it is the first SOAP port of the service. Raises
    ConfigurationFault: like `read_wsdl`, and for a service, port or encoding that cannot be used.

    It is kept by the files' content: a reload, or another partner with the same WSDL, costs nothing. The first time
    takes 0.2 s and more: call it in a thread.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{len(name)} {name} {len(files[name])} ".encode())
        digest.update(files[name])
    key = (digest.hexdigest(), main, f"{service} {port}")
    with _LOCK:
        found = _SERVICES.pop(key, None) or _load(files, main, service, port)
        _SERVICES[key] = found
        while len(_SERVICES) > _KEPT:
            _SERVICES.popitem(last=False)
    return found


def _load(files: Mapping[str, bytes], main: str, service: str | None, port: str | None) -> PartnerService:
    document = read_wsdl(files, main)
    chosen = _choose(
        document.services, service, main, phrase("service = …: one of {keys}", keys=_names(document.services))
    )
    from zeep.wsdl.bindings.soap import SoapBinding

    ports = {name: each for name, each in chosen.ports.items() if isinstance(each.binding, SoapBinding)}
    expected = phrase("port = …: one of {keys}", keys=_names(ports))
    own = _choose(ports, port or next(iter(ports), None), main, expected)
    found = PartnerService.of(document, own)
    for name in _find_encoded(files, own.binding.name) & found.operations.keys():
        del found.operations[name]
    return found


def _find_encoded(files: Mapping[str, bytes], binding: etree.QName) -> set[str]:
    """Return the operations of *binding* with a body in `use="encoded"` (WS-I Basic Profile 1.1, R2706 forbids it).

    zeep would write them as if they were literal.
    """
    found = set[str]()
    for content in files.values():
        if b"encoded" not in content:
            continue
        root = parse_wsdl_file(content)
        if (root.get("targetNamespace") or None) != binding.namespace:
            continue
        for operation in root.iterfind(f"{_WSDL}binding[@name='{binding.localname}']/{_WSDL}operation"):
            if any(each.get("use") == "encoded" for each in operation.iter("{*}body")):
                found.add(operation.get("name", ""))
    return found


def _names(named: Mapping[str, Any]) -> str:
    return ", ".join(named) or "-"


def _choose(named: Mapping[str, Any], name: str | None, main: str, expected: Phrase) -> Any:
    if name is None and len(named) == 1:
        return next(iter(named.values()))
    if name is not None and name in named:
        return named[name]
    wrong = phrase("{name} is not in the WSDL", name=name) if name else phrase("the WSDL has {count}", count=len(named))
    raise ConfigurationFault([Mistake(main, wrong, expected)])


# Values into zeep's arguments


@attrs.frozen(eq=False)
class _Making:
    """What every step of one conversion needs."""

    types: Any  #: zeep's types of the WSDL
    loads: Loads
    longest: int  #: octets of more than this become a load


def _convert(kind: Any, node: CallNode, place: str, making: _Making) -> Any:
    """Return what zeep is given for an element of the type *kind*: a text, octets, or arguments by name."""
    from zeep.xsd import ComplexType

    if not isinstance(kind, ComplexType):
        if node.children or node.attributes:
            inside = next(iter((*node.children, *node.attributes)))
            raise Misplaced(
                phrase("{place} has no {name}", place=place, name=inside), phrase("a value: {type}", type=_name(kind))
            )
        return _write(kind, node.value, place, making)
    if _XSI_TYPE in node.attributes:
        kind, node = _derived(kind, node, place, making)
        return kind(**_arguments(kind, node, place, making))
    return _arguments(kind, node, place, making)


def _derived(kind: Any, node: CallNode, place: str, making: _Making) -> tuple[Any, CallNode]:
    """Return the type that `@xsi:type` of *node* names, and the node without this attribute.

    zeep does not know whether it extends *kind*: the partner judges that.
    """
    name = write_text(node.attributes[_XSI_TYPE])
    others = {key: value for key, value in node.attributes.items() if key != _XSI_TYPE}
    known = [each for each in making.types.types if each.qname is not None and each.qname.localname == name]
    if len(known) != 1 or not hasattr(known[0], "elements_nested"):
        raise Misplaced(
            phrase("{place}: no type {name}", place=place, name=name),
            phrase("a type that extends {type}", type=_name(kind)),
        )
    return known[0], attrs.evolve(node, attributes=others)


def _arguments(kind: Any, node: CallNode, place: str, making: _Making) -> dict[str, Any]:
    """Return the arguments of the complex type *kind*, by the names that zeep gives them."""
    from zeep.xsd.elements import Element

    left, made = dict(node.children), dict[str, Any]()
    for name, nested in kind.elements_nested:
        if isinstance(nested, Element):  # simpleContent
            if node.given:
                made[name] = _write(nested.type, node.value, place, making)
        else:
            _fill(nested, name, left, made, place, making)
    if left:
        raise _unknown(next(iter(left)), kind, place)
    if node.value is not None and not made and write_text(node.value if not isinstance(node.value, bytes) else "x"):
        raise Misplaced(phrase("{place} has no text", place=place), _children(kind))
    known = {each.name: name for name, each in kind.attributes if each.name}
    for name, value in node.attributes.items():
        if name[1:] not in known:
            raise _unknown(name, kind, place)
        if value is not None:
            made[known[name[1:]]] = _write(_attribute(kind, name[1:]).type, value, f"{place}/{name}", making)
    return made


def _fill(
    group: Any,
    name: str | None,
    left: dict[str, dict[int, CallNode]],
    made: dict[str, Any],
    place: str,
    making: _Making,
) -> None:
    """Add to *made* the arguments of the sequence, choice, all or group *group*, and remove them from *left*."""
    from zeep.xsd.elements import Any as AnyElement
    from zeep.xsd.elements import Choice, Element

    if group.accepts_multiple and not isinstance(group, Element | AnyElement):
        rounds = list[dict[str, Any]]()
        wanted = {each.name for each in _walk(group) if isinstance(each, Element)}
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
    making: _Making,
) -> None:
    from zeep.xsd import Nil
    from zeep.xsd.elements import Any as AnyElement
    from zeep.xsd.elements import Element

    if isinstance(inner, AnyElement):
        if (given := left.pop(_ANY, None)) is not None:
            made[name or "_value_1"] = _wildcard(given, inner, place)
        return
    if not isinstance(inner, Element):
        _fill(inner, name, left, made, place, making)
        return
    numbered = left.pop(inner.name or "", None)
    if numbered is None:
        return
    there = list[Any]()
    for number, child in sorted(numbered.items()):
        if child.is_empty() or (inner.is_optional and child.value == "" and _find_form(inner.type) is not None):
            if inner.is_optional or (inner.accepts_multiple and number > inner.min_occurs):
                continue
            there.append(Nil if inner.nillable else _empty(inner.type))
        else:
            there.append(_convert(inner.type, child, f"{place}/{inner.name}", making))
    if not there:
        return
    if len(there) > 1 and not inner.accepts_multiple:
        wrong = phrase(
            "{place} may have one {name}, and {count} are given", place=place, name=inner.name, count=len(there)
        )
        raise Misplaced(wrong, phrase("one"))
    made[name or str(inner.name)] = there if inner.accepts_multiple else there[0]


def _empty(kind: Any) -> Any:
    from zeep.xsd import ComplexType

    return {} if isinstance(kind, ComplexType) else ""


def _wildcard(given: dict[int, CallNode], inner: Any, place: str) -> Any:
    found = list[Any]()
    for _, node in sorted(given.items()):
        if isinstance(node.value, str | bytes | datetime | tuple):
            raise Unfit(f"{place}/*: XML is needed; the mapping must say xml")
        if node.value is not None:
            found.append(node.value)
    return found if inner.accepts_multiple else found[0] if found else None


def _write(kind: Any, value: Found | None, place: str, making: _Making) -> Any:
    """Return *value* as a text, or octets, of the simple type *kind*. Raises Unfit."""
    from zeep import xsd
    from zeep.xsd.types.collection import ListType

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
        raise Unfit(f"{place}: {text[:100]!r} is not {_name(kind)}")
    # zeep would take these for a tuple; what is CDATA it writes as it is
    return etree.CDATA(text) if _name(kind) in _GREGORIAN else text


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
    from zeep import xsd

    local = value.astimezone(VIETNAM)
    if isinstance(kind, xsd.Date):
        return local.date().isoformat()
    if isinstance(kind, xsd.Time):
        return local.timetz().isoformat(timespec="seconds")
    return local.isoformat(timespec="seconds")


# What a schema has


def _attribute(kind: Any, name: str) -> Any:
    return next(each for _, each in kind.attributes if each.name == name)


def _unknown(name: str, kind: Any, place: str) -> Misplaced:
    return Misplaced(phrase("{place} has no {name}", place=place, name=name), _children(kind))


def _children(kind: Any) -> Phrase:
    return phrase("one of {keys}", keys=", ".join(_names_in(kind)) or "-")


def _list_parts(group: Any) -> Sequence[tuple[str | None, Any]]:
    """Return the elements, wildcards and groups in *group* with the names that zeep gives them."""
    from zeep.xsd.elements import Group

    parts: Sequence[tuple[str | None, Any]] = (group.child if isinstance(group, Group) else group).elements_nested
    return parts


def _walk(group: Any) -> Iterator[Any]:
    """Yield the elements and wildcards in the groups of a complex type, or in a group, at any depth of groups."""
    from zeep.xsd.elements import Any as AnyElement
    from zeep.xsd.elements import Element

    for _, inner in _list_parts(group):
        if isinstance(inner, Element | AnyElement):
            yield inner
        else:
            yield from _walk(inner)


def _names_in(kind: Any) -> list[str]:
    named = [f"@{each.name}" for _, each in kind.attributes if each.name]
    return named if _has_text(kind) else [*(each.name or _ANY for each in _walk(kind)), *named]


def _follow(kind: Any, path: Sequence[Step], place: str) -> None:
    """Raise Misplaced if *path* does not lead to a value below an element of the type *kind*."""
    from zeep.xsd import ComplexType
    from zeep.xsd.elements import Any as AnyElement

    for step in path:
        if step.name in {_TEXT, _XSI_TYPE}:
            return
        if not isinstance(kind, ComplexType):
            if type(kind).__name__ == "AnyType":
                return
            raise Misplaced(
                phrase("{place} has no {name}", place=place, name=step.name),
                phrase("a value: {type}", type=_name(kind)),
            )
        if step.name.startswith("@"):
            if step.name not in _names_in(kind) and not any(each.name is None for _, each in kind.attributes):
                raise _unknown(step.name, kind, place)
            return
        inside = [] if _has_text(kind) else list(_walk(kind))
        found = next((each for each in inside if each.name == step.name), None)
        if found is None and any(isinstance(each, AnyElement) for each in inside):
            return
        if found is None:
            raise _unknown(step.name, kind, place)
        if step.number and step.number > 1 and not _repeats(kind, found):
            raise Misplaced(phrase("{place} has one {name} only", place=place, name=step.name), phrase("no number"))
        kind, place = found.type, f"{place}/{step.name}"


def _repeats(kind: Any, element: Any) -> bool:
    return bool(element.accepts_multiple) or any(
        each.accepts_multiple for _, each in kind.elements_nested if hasattr(each, "elements")
    )


def _has_text(kind: Any) -> bool:
    from zeep.xsd.elements import Element

    return any(isinstance(each, Element) for _, each in kind.elements_nested)


def _list_fields(kind: Any, path: str, required: bool, repeated: bool, depth: int) -> Iterator[PartnerField]:
    from zeep.xsd import ComplexType

    if not isinstance(kind, ComplexType):
        yield PartnerField(path or _TEXT, _name(kind), required, repeated)
        return
    if depth > _DEEPEST:
        return
    if _has_text(kind):
        yield PartnerField(f"{path}/." if path else _TEXT, _name(kind.elements_nested[0][1].type), required, repeated)
    for _, attribute in kind.attributes:
        if attribute.name:
            place = f"{path}/@{attribute.name}" if path else f"@{attribute.name}"
            yield PartnerField(place, _name(attribute.type), required and attribute.required, repeated)
    if not _has_text(kind):
        for _, group in kind.elements_nested:
            yield from _list_group(group, path, required, repeated, depth)


def _list_group(group: Any, path: str, required: bool, repeated: bool, depth: int) -> Iterator[PartnerField]:
    from zeep.xsd.elements import Any as AnyElement
    from zeep.xsd.elements import Choice, Element

    needed = required and group.min_occurs != 0 and not isinstance(group, Choice)
    several = repeated or bool(group.accepts_multiple)
    for _, inner in _list_parts(group):
        if isinstance(inner, AnyElement):
            yield PartnerField(f"{path}/*" if path else _ANY, "any", needed and inner.min_occurs != 0, several)
        elif isinstance(inner, Element):
            place = f"{path}/{inner.name}" if path else str(inner.name)
            yield from _list_element(inner, place, needed, several, depth)
        else:
            yield from _list_group(inner, path, needed, several, depth)


def _list_element(element: Any, path: str, required: bool, repeated: bool, depth: int) -> Iterator[PartnerField]:
    needed = required and not element.is_optional
    yield from _list_fields(element.type, path, needed, repeated or bool(element.accepts_multiple), depth + 1)


def _name(kind: Any) -> str:
    """Return the name of the type *kind*, or of the built-in type that it restricts."""
    for each in type(kind).__mro__:
        default = getattr(each, "_default_qname", None)
        if default is not None:
            return local_name(etree.QName(default).text)
    return str(getattr(kind, "name", None) or "-")
