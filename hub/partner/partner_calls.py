"""Builds the calls of a partner's operations from values by path, as its WSDL describes them.

Knows zeep's model of a WSDL: services, ports, bindings, operations. Does not know where values come from, how a call is
signed or sent, nor what an answer means. zeep makes the XML; it opens no file and no connection. Importing this module
takes 0.2 s, because it imports zeep: it is imported when a partner needs it.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from lxml import etree
from zeep.exceptions import Error
from zeep.wsdl import Document
from zeep.wsdl.bindings import Soap12Binding
from zeep.wsdl.bindings.soap import SoapBinding

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.sanitize import replace_unwritable
from hub.formats.streamed_xml import Loads
from hub.language.phrases import Phrase, phrase, verbatim
from hub.partner.call_nodes import CallNode, Misplaced, PartnerField
from hub.partner.mapping_values import Step, write_text
from hub.partner.zeep_arguments import CallMaking, convert_node, list_call_fields, require_path
from hub.soap.envelope import SOAP11, SOAP12
from hub.soap.wsdl_documents import parse_wsdl_file, read_wsdl

#: Octets of more than this stand outside the tree while the call is built.
_LONG = 1 << 14
#: Documents that a process keeps, each with its types.
_KEPT = 32
_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"


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
        return [] if self._root is None else list_call_fields(self._root.type)

    def require_input(self, path: Sequence[Step]) -> None:
        """Raise Misplaced if the request has nothing at *path*."""
        if self._root is None:
            raise self._takes_nothing()
        require_path(self._root.type, path, self.name)

    def require_header(self, path: Sequence[Step]) -> None:
        """Raise Misplaced if there is no header block, or nothing in it, at *path*. A prefix may name any block."""
        if ":" not in path[0].name:
            require_path(self._header_element(path[0].name).type, path[1:], path[0].name)

    def require_answer(self, path: Sequence[Step]) -> None:
        """Raise Misplaced if the answer has nothing at *path*, whatever its numbers, as far as a schema describes it."""
        output = self._operation.output
        if output is not None and output.body is not None:
            require_path(output.body.type, [Step(each.name) for each in path], self.name)

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

        Long octets, with *mtom* all octets, become *loads*, whose tokens stand in the envelope. A header block with a
        prefix of *namespaces* is made of texts only. Raises Unfit for a value that the type of its place does not have,
        and Misplaced.
        """
        making = CallMaking(self._service.document.types, loads, 0 if mtom else _LONG)
        blocks = [self._build_header(name, node, namespaces, making) for name, node in headers.items()]
        arguments: tuple[Any, ...] = ()
        named: dict[str, Any] = {}
        if self._root is not None:
            converted = convert_node(self._root.type, root, self.name, making)
            if isinstance(converted, dict):
                named = converted
            else:
                arguments = (converted,)
        elif root.children:
            raise self._takes_nothing()
        try:
            envelope: etree._Element = self._operation.create(*arguments, _soapheaders=blocks or None, **named).content
        except Error as error:
            place = "/".join(getattr(error, "path", None) or ())
            raise Misplaced(
                verbatim(f"{place or self.name}: {error}"[:300]),
                phrase("a value for every required element"),
            ) from error
        return envelope

    def _takes_nothing(self) -> Misplaced:
        return Misplaced(phrase("{name} takes nothing", name=self.name), phrase("no input"))

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
        self, name: str, node: CallNode, namespaces: Mapping[str, str], making: CallMaking
    ) -> etree._Element:
        prefix, colon, local = name.partition(":")
        if colon:
            block = etree.Element(f"{{{namespaces[prefix]}}}{local}", nsmap={prefix: namespaces[prefix]})
            _write_plain(block, node)
            return block
        element = self._header_element(name)
        holder = etree.Element("Header")
        converted = convert_node(element.type, node, name, making)
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

    document: Document = attrs.field(repr=False)
    operations: dict[str, PartnerOperation] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, document: Document, port: Any) -> "PartnerService":
        """Return the port with its operations."""
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
            wrong = phrase("there is no operation {name}, or it is rpc/encoded", name=name)
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
        found = _SERVICES.pop(key, None) or _load_service(files, main, service, port)
        _SERVICES[key] = found
        while len(_SERVICES) > _KEPT:
            _SERVICES.popitem(last=False)
    return found


def _load_service(files: Mapping[str, bytes], main: str, service: str | None, port: str | None) -> PartnerService:
    document = read_wsdl(files, main)
    services = document.services
    if service is None and len(services) != 1:
        wrong, expected = (
            phrase("the WSDL has {count} services", count=len(services)),
            _expect_named("service", services),
        )
        raise ConfigurationFault([Mistake(main, wrong, expected)])
    chosen = _choose_named(services, service or next(iter(services)), main, "service")
    ports = {name: each for name, each in chosen.ports.items() if isinstance(each.binding, SoapBinding)}
    if not ports:
        wrong = phrase("the service {name} has no SOAP port", name=chosen.name)
        raise ConfigurationFault([Mistake(main, wrong, phrase("a service with a SOAP port"))])
    own = _choose_named(ports, port or next(iter(ports)), main, "port")
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


def _choose_named(named: Mapping[str, Any], name: str, main: str, key: str) -> Any:
    if name not in named:
        wrong = phrase("{name} is not in the WSDL", name=name)
        raise ConfigurationFault([Mistake(main, wrong, _expect_named(key, named))])
    return named[name]


def _expect_named(key: str, named: Iterable[str]) -> Phrase:
    return phrase("{key} = …: one of {keys}", key=key, keys=", ".join(named) or "-")
