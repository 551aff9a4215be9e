"""Lists what the operations of a WSDL take and return: each field with its path, type, occurrence and documentation.

Knows the WSDL as `read_wsdl` reads it, and its schemas as plain values. The paths are those of a mapping
(docs/reference/soap-partners.md). Does not know what a mapping is filled with.
"""

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from lxml import etree

from hub.formats.models.xsd_model import (
    Labels,
    ModelElement,
    ModelType,
    ModelValue,
    SchemaModel,
    count_elements,
    list_wildcards,
)
from hub.soap.wsdl_documents import (
    ENCODING,
    find_file,
    is_known_schema,
    parse_wsdl_file,
    read_encoding_schema,
    read_wsdl,
)

if TYPE_CHECKING:
    from zeep.wsdl import Document

#: Fields of one message that are listed, and elements inside each other: a type may contain itself.
MOST_FIELDS = 500
_DEEPEST = 12
_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_SOAPS = {"{http://schemas.xmlsoap.org/wsdl/soap/}": "1.1", "{http://schemas.xmlsoap.org/wsdl/soap12/}": "1.2"}
_ENCODING_FILE = "soap-encoding.xsd"  #: of the schema of SOAP 1.1's encoding, where it is used
_XSD_SPACE = "http://www.w3.org/2001/XMLSchema"
_XSD = f"{{{_XSD_SPACE}}}"


@attrs.frozen(kw_only=True)
class OperationField:
    """One element or attribute of a message."""

    path: str  #: as a mapping writes it, such as `thongTin/nguoiNop/@loai`
    value: ModelValue | None  #: None: it has children, or any content
    least: int = 1  #: where its parent is
    most: int | None = 1  #: None: any number
    nillable: bool = False
    labels: Labels = attrs.field(factory=dict)  #: its documentation by language, "" where none is given

    @property
    def is_needed(self) -> bool:
        """Tell whether its parent must have it."""
        return self.least > 0


@attrs.frozen(kw_only=True)
class DescribedOperation:
    """One operation of a port."""

    name: str
    documentation: str
    input: tuple[OperationField, ...]
    header: tuple[OperationField, ...]
    answer: tuple[OperationField, ...]
    faults: tuple[OperationField, ...]  #: paths begin with `fault/detail/`
    is_cut: bool  #: it has more than MOST_FIELDS fields in a message, and the further ones are left out


@attrs.frozen(kw_only=True)
class DescribedPort:
    """One port with a SOAP binding."""

    service: str
    name: str
    soap: str  #: `1.1` or `1.2`
    style: str  #: `document` or `rpc`
    address: str
    operations: tuple[str, ...]


def list_ports(files: Mapping[str, bytes], main: str) -> list[DescribedPort]:
    """Return the ports with a SOAP binding of the WSDL *main* of *files*, in its order. Raises ConfigurationFault."""
    return [
        DescribedPort(
            service=service,
            name=name,
            soap="1.2" if type(port.binding).__name__ == "Soap12Binding" else "1.1",
            style=str(port.binding.default_style),
            address=str(port.binding_options.get("address") or ""),
            operations=tuple(port.binding.all()),
        )
        for service, name, port in _list_ports(read_wsdl(files, main))
    ]


def describe_operations(
    files: Mapping[str, bytes], main: str, service: str, port: str, wanted: Iterable[str]
) -> list[DescribedOperation]:
    """Return the operations *wanted* of a port. Raises ConfigurationFault, and KeyError for one that it does not have.

    Takes up to some seconds for the largest files.
    """
    from hub.formats.models.xsd_components import derive_model

    document = read_wsdl(files, main)
    binding = next(each.binding for own, name, each in _list_ports(document) if (own, name) == (service, port))
    schemas = collect_schemas(files)
    model = derive_model(schemas, next(iter(schemas))) if schemas else SchemaModel({}, {})
    said = _read_documentation(files)
    return [_describe_operation(binding.all()[name], model, said) for name in wanted]


def _describe_operation(operation: Any, model: SchemaModel, said: Mapping[str, str]) -> DescribedOperation:
    taken = _Listing(model)
    return DescribedOperation(
        name=operation.name,
        documentation=said.get(operation.name, ""),
        input=tuple(taken.list_message(operation.input, rpc=operation.style == "rpc")),
        header=tuple(taken.list_header(operation.input)),
        answer=tuple(taken.list_message(operation.output, rpc=operation.style == "rpc")),
        faults=tuple(taken.list_faults(operation.faults.values())),
        is_cut=taken.is_cut,  # known by now: arguments are evaluated in order
    )


@attrs.define
class _Listing:
    """Walks through the elements of messages."""

    _model: SchemaModel
    is_cut: bool = False

    def list_message(self, message: Any, *, rpc: bool) -> Iterator[OperationField]:
        """Yield the fields of the body of *message*, which may be None: a one-way operation has no answer."""
        parts = _list_parts(message)
        if not rpc and len(parts) == 1:
            element = self._model.elements.get(parts[0][1] or "")
            content = None if element is None else self._model.type_of(element)
            if element is not None and content is not None:
                if content.value is not None and not content.attributes:
                    yield OperationField(path=".", value=content.value, labels=element.labels or content.labels)
                else:
                    yield from self._bounded(self._children(content, "", ()))
                return
        for name, tag, kind in parts:
            yield from self._bounded(self._part(name, tag, kind))

    def list_header(self, message: Any) -> Iterator[OperationField]:
        """Yield the fields of the header blocks that the binding declares for *message*."""
        for tag in _list_headers(message):
            if tag in self._model.elements:
                yield from self._bounded(self._element(self._model.elements[tag], "", ()))

    def list_faults(self, faults: Iterable[Any]) -> Iterator[OperationField]:
        """Yield the fields of the details of *faults*. None of the details must be there: a fault has one of them."""
        for fault in faults:
            for _, tag, _ in _list_parts(fault):
                if tag is not None and tag in self._model.elements:
                    detail = attrs.evolve(self._model.elements[tag], least=0)
                    yield from self._bounded(self._element(detail, "fault/detail/", ()))

    def _bounded(self, fields: Iterator[OperationField]) -> Iterator[OperationField]:
        for number, each in enumerate(fields):
            if number == MOST_FIELDS:
                self.is_cut = True
                return
            yield each

    def _part(self, name: str, tag: str | None, kind: str | None) -> Iterator[OperationField]:
        """Yield a part of a message: one element, or for rpc one of a type."""
        if tag is not None and tag in self._model.elements:
            yield from self._element(self._model.elements[tag], "", ())
        elif kind is not None and kind in self._model.types:
            yield from self._element(ModelElement(tag=name, type=kind), "", ())
        else:
            builtin = (kind or "").removeprefix(_XSD) if kind and kind.startswith(_XSD) else "anyType"
            yield OperationField(path=name, value=ModelValue(builtin=builtin))

    def _element(self, element: ModelElement, above: str, inside: tuple[str, ...]) -> Iterator[OperationField]:
        kind, path = self._model.type_of(element), f"{above}{element.name}"
        simple = kind.value is not None and not kind.attributes
        yield OperationField(
            path=path,
            value=kind.value if simple else None,
            least=element.least,
            most=element.most,
            nillable=element.nillable,
            labels=element.labels or kind.labels,
        )
        if not simple:
            yield from self._children(kind, f"{path}/", (*inside, element.type))

    def _children(self, kind: ModelType, above: str, inside: tuple[str, ...]) -> Iterator[OperationField]:
        if len(inside) > _DEEPEST or inside.count(inside[-1] if inside else "") > 1:
            self.is_cut = True
            return
        for attribute in kind.attributes:
            name = attribute.name.rpartition("}")[2]
            yield OperationField(
                path=f"{above}@{name}", value=attribute.value, least=int(attribute.needed), labels=attribute.labels
            )
        if kind.value is not None:
            yield OperationField(path=f"{above}.", value=kind.value)
        if kind.group is None:
            return
        for total in count_elements(kind.group).values():
            counted = attrs.evolve(total.element, least=total.least, most=total.most)
            yield from self._element(counted, above, inside)
        for wildcard in list_wildcards(kind.group):
            yield OperationField(path=f"{above}*", value=None, least=wildcard.least, most=wildcard.most)


def _list_ports(document: "Document") -> Iterator[tuple[str, str, Any]]:
    for service in document.services.values():
        for name, port in service.ports.items():
            if type(port.binding).__name__ in ("Soap11Binding", "Soap12Binding"):
                yield service.name, name, port


def _list_parts(message: Any) -> list[tuple[str, str | None, str | None]]:
    """Return the parts of the body of *message*: the name, and the Clark name of its element, or of its type."""
    if message is None or message.abstract is None:
        return []
    inside = _list_headers(message)
    found = []
    for name, part in message.abstract.parts.items():
        tag = None if part.element is None else part.element.qname.text
        kind = None if part.type is None or part.type.qname is None else part.type.qname.text
        if tag is None or tag not in inside:
            found.append((name, tag, kind))
    return found


def _list_headers(message: Any) -> list[str]:
    header = getattr(message, "header", None)
    elements = getattr(getattr(header, "type", None), "elements", ())
    return [element.qname.text for _, element in elements if getattr(element, "qname", None) is not None]


def _read_documentation(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return what the WSDL says of each operation, by its name."""
    found: dict[str, str] = {}
    for content in files.values():
        root = parse_wsdl_file(content)
        for operation in root.iterfind(f"{_WSDL}portType/{_WSDL}operation"):
            said = " ".join(operation.findtext(f"{_WSDL}documentation", "").split())
            if said:
                found.setdefault(operation.get("name", ""), said)
    return found


def collect_schemas(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the schemas of a WSDL as files of their own: first one that imports all others; empty without any.

    *files* are those of `read_wsdl`. Of each namespace one file includes all schemas of it: a schema library takes only
    the first import of a namespace. References to schemas that every library has built in lose their location.
    """
    schemas: dict[str, etree._Element] = {}
    for name, content in files.items():
        root = parse_wsdl_file(content)
        if root.tag == f"{_XSD}schema":
            schemas[name] = root
        for number, each in enumerate(root.iterfind(f"{_WSDL}types/{_XSD}schema")):
            schemas[f"{name}.{number}.xsd"] = each
    spaces: defaultdict[str, list[str]] = defaultdict(list)
    included: set[str] = set()
    encoded = False
    for name, root in schemas.items():
        folder = posixpath.dirname(name)
        for element in root.iterchildren(*(f"{_XSD}{kind}" for kind in ("import", "include", "redefine"))):
            location = (element.get("schemaLocation") or "").strip()
            found = find_file(location, posixpath.join(folder, name), files) if location else None
            if found is not None:
                element.set("schemaLocation", found)
                if element.tag != f"{_XSD}import":
                    included.add(found)
            elif is_known_schema(element.get("namespace") or "") and "schemaLocation" in element.attrib:
                del element.attrib["schemaLocation"]
        if any(ENCODING in each.nsmap.values() for each in root.iter("*")):
            encoded = True
            for own in [each for each in root.iterfind(f"{_XSD}import") if each.get("namespace") == ENCODING]:
                root.remove(own)
            root.insert(0, etree.Element(f"{_XSD}import", {"namespace": ENCODING, "schemaLocation": _ENCODING_FILE}))
        spaces[root.get("targetNamespace") or ""].append(name)
    written = {name: etree.tostring(root) for name, root in schemas.items()}
    if encoded:
        written[_ENCODING_FILE] = read_encoding_schema()
    return {**_write_hubs(spaces, included), **written} if written else {}


def _write_hubs(spaces: Mapping[str, list[str]], included: set[str]) -> dict[str, bytes]:
    """Return a schema for each namespace that has several, and one that imports every namespace; this one first."""
    main = etree.Element(f"{_XSD}schema", nsmap={"xs": _XSD_SPACE})
    hubs: dict[str, bytes] = {}
    for number, (space, names) in enumerate(spaces.items()):
        own = [each for each in names if each not in included] or names
        if len(own) > 1:
            hub = etree.Element(f"{_XSD}schema", nsmap={"xs": _XSD_SPACE})
            if space:
                hub.set("targetNamespace", space)
            for each in own:
                etree.SubElement(hub, f"{_XSD}include", {"schemaLocation": each})
            own = [f"all.{number}.xsd"]
            hubs[own[0]] = etree.tostring(hub)
        if space:
            etree.SubElement(main, f"{_XSD}import", {"namespace": space, "schemaLocation": own[0]})
        else:
            etree.SubElement(main, f"{_XSD}include", {"schemaLocation": own[0]})
    return {"all.xsd": etree.tostring(main), **hubs}
