"""Holds a service's contract, its published WSDL and XSD, and validates calls against it.

Does not know the envelope or the business rules.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
from lxml import etree

from hub.domain.errors import CallRefused
from hub.domain.model import ElementPlace, Problem
from hub.formats import streamed_xml, xsd_types
from hub.formats import xsd_schemas as xsd
from hub.formats.element_places import find_element_places
from hub.formats.models.schema_loading import load_schema_model
from hub.formats.models.xsd_files import gather_schema_folder
from hub.formats.models.xsd_model import ModelValue, SchemaModel, find_binary_elements
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Loads
from hub.formats.xsd_schemas import SchemaSource
from hub.language.phrases import Phrase, phrase, verbatim
from hub.soap.wsdl_operations import OfferedService, Operation, load_offered_service

if TYPE_CHECKING:
    from hub.formats.xsd_mistakes import XsdMistake

_SOAPS = ("{http://schemas.xmlsoap.org/wsdl/soap/}", "{http://schemas.xmlsoap.org/wsdl/soap12/}")
_XSD = "{http://www.w3.org/2001/XMLSchema}"
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"

#: Maximum errors of libxml2 that are repeated: each costs a walk through the tree.
_MISTAKES = 5
#: Maximum letters of base64 values that libxml2 validates as fast as they are replaced by short ones.
_SHORT = 8192
#: Maximum children of one element. For each child that breaks the schema, libxml2 counts all children before it.
_CHILDREN = 10_000


@attrs.frozen
class Contract:
    """One service of `wsdl/OWNER/VERSION/NAME.wsdl` with its schema `xsd/OWNER/VERSION/NAME.xsd`, or one of the
    configuration (`hub.soap.defined_contract`).
    """

    name: str
    #: of the answers and of the detail of a fault; of the requests too, but for a service of the configuration
    namespace: str
    operations: Mapping[str, Operation]  #: by the Clark name of the request's element
    _description: Any = attrs.field(repr=False)
    _texts: Mapping[str, bytes] = attrs.field(repr=False)
    _schema: SchemaSource
    model: SchemaModel = attrs.field(repr=False)  #: what the schema describes
    _values: Mapping[str, ModelValue] = attrs.field(repr=False, init=False)  #: the type of each of `binary`
    #: the Clark names of the elements whose value is base64
    binary: frozenset[str] = attrs.field(repr=False, init=False)
    #: the local names of `binary`
    binary_names: frozenset[str] = attrs.field(repr=False, init=False)
    _short_texts: Mapping[str, str] = attrs.field(repr=False, init=False)

    @_values.default
    def _find_values(self) -> Mapping[str, ModelValue]:
        return find_binary_elements(self.model)

    @binary.default
    def _list_binary(self) -> frozenset[str]:
        return frozenset(self._values)

    @binary_names.default
    def _read_binary_names(self) -> frozenset[str]:
        return frozenset(etree.QName(name).localname for name in self._values)

    @_short_texts.default
    def _write_short_texts(self) -> Mapping[str, str]:
        return {
            tag: xsd_types.encode_canonical_base64(bytes(_measure_shortest(kind))) for tag, kind in self._values.items()
        }

    def operation(self, child: etree._Element) -> Operation:
        """Return the operation that the Body's *child* calls. Raises CallRefused `operation-unknown`."""
        found = self.operations.get(child.tag)
        if found is None:
            raise CallRefused(Problem("operation-unknown", _show_tag(child.tag)))
        return found

    def validate(
        self, child: etree._Element, loads: Loads = streamed_xml.NONE, document: Octets | None = None
    ) -> list[bytes | Octets]:
        """Validate the Body's *child* by the schema.

        Return the octets of its `xs:base64Binary` values, in document order. The value of a text in *loads*, which was
        left out of the tree, is returned as `Octets`.

        Raises CallRefused `contract-broken` with every mistake, each detail `line N, column N, PATH (LABEL): REASON`.
        The column is that in *document*, from which the tree of *child* was parsed; without it there is none. Base64 is
        decoded here, and the schema validates short values in its place, because libxml2 would take two thirds of the
        total time of a large packet.
        A value that libxml2 cannot match with a pattern in bounded time does not conform.
        A *child* that does not conform is validated again as a copy, in which all prefixes in scope are declared: so
        `xsi:type` may name a type by a prefix of the envelope.
        """
        for element in child.iter("*"):
            if len(element) > _CHILDREN:
                raise CallRefused(
                    Problem(
                        "contract-broken",
                        phrase("line {line}: {count} child elements", line=element.sourceline, count=len(element)),
                    )
                )
        values = list(child.iter(*self.binary)) if self.binary else []
        try:
            self._require_valid(child, values, document)
        except etree.XMLSchemaValidateError:
            hard = phrase("a value would take too long to match with a pattern of the schema")
            raise CallRefused(Problem("contract-broken", hard)) from None
        return [_decode_value(element, self._values[element.tag], child, loads) for element in values]

    def _require_valid(self, child: etree._Element, values: Sequence[etree._Element], document: Octets | None) -> None:
        schema = xsd.compile_schema(self._schema)
        if sum(len(each.text or "") for each in values) <= _SHORT and schema.validate(child):
            return
        with self._shortened(values):
            if schema.validate(child):
                return
            stand_in = _copy_element(child)
        for inside in (each for element in stand_in.iter(*self.binary) for each in element) if values else ():
            inside.tail = None  # text between the children of a value is part of it
        if not schema.validate(stand_in):
            raise CallRefused(*_find_problems(self._schema, schema, stand_in, child, document))

    @contextmanager
    def _shortened(self, values: Sequence[etree._Element]) -> Generator[None]:
        """Give each of *values* the shortest text that its type allows, temporarily. An empty one that is nil stays."""
        texts = [each.text for each in values]
        for each in values:
            if each.text or not _is_nil(each):
                each.text = self._short_texts[each.tag]
        try:
            yield
        finally:
            for each, text in zip(values, texts, strict=True):
                each.text = text

    def wsdl(self, address: str, schemas: str | None = None) -> bytes:
        """Return the WSDL for the service at *address*, with that `soap:address` and imports as `ADDRESS?xsd=NAME`.

        With *schemas*, a prefix such as `xsd/lienthong/1/`, an import is the prefix and the name.

        *address* is the configured one, never the caller's Host header.
        """
        description = deepcopy(self._description)
        for element in description.iter(*(f"{soap}address" for soap in _SOAPS)):
            element.set("location", address)
        for element in description.iter(f"{_XSD}import"):
            element.set("schemaLocation", f"{schemas or f'{address}?xsd='}{_name_schema_file(element)}")
        return etree.tostring(description, encoding="UTF-8", xml_declaration=True)

    def xsd(self, name: str, address: str | None = None) -> bytes:
        """Return the schema file *name* (`documents.xsd`) that the WSDL imports, or one that such a file names.

        With *address*, the files that it names itself are found as `ADDRESS?xsd=NAME`. Raises KeyError if there is none.
        """
        text = self._texts[name]
        if address is None or b"schemaLocation" not in text:
            return text
        root = xsd.parse_schema_text(text)
        for element in root.iterchildren(*xsd.NAMING):
            if element.get("schemaLocation") is not None:
                element.set("schemaLocation", f"{address}?xsd={_name_schema_file(element)}")
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True)

    @property
    def schema_names(self) -> tuple[str, ...]:
        """The names of all files for `xsd`."""
        return tuple(self._texts)


@attrs.frozen
class PublishedContract:
    """A contract, and what its WSDL says of each port."""

    contract: Contract
    offered: OfferedService  #: what the WSDL offers


def load_contract(name: str, version: str = "1", owner: str = "lienthong") -> Contract:
    """Load a contract. Raises OSError, etree.LxmlError or ConfigurationFault if its files are missing or broken."""
    return load_published_contract(name, version, owner).contract


def load_published_contract(name: str, version: str = "1", owner: str = "lienthong") -> PublishedContract:
    """Load a contract, and what its WSDL says of each port. Raises as `load_contract`."""
    root = xsd.find_schema_root()
    path = root / "wsdl" / owner / version / f"{name}.wsdl"
    description = xsd.parse_schema_file(path)
    imports = [
        (path.parent / element.get("schemaLocation", "")).resolve() for element in description.iter(f"{_XSD}import")
    ]
    schema = root / "xsd" / owner / version / f"{name}.xsd"
    xsd.compile_schema(schema)  # a broken schema is detected now, not at the first call
    schemas, main = gather_schema_folder(schema, root), path.relative_to(root).as_posix()
    offered = load_offered_service({main: path.read_bytes(), **schemas}, main)
    contract = Contract(
        name=name,
        namespace=description.get("targetNamespace", ""),
        operations={each.request: each for each in offered.operations},
        description=description,
        texts={each.name: each.read_bytes() for each in imports},
        schema=schema,
        model=load_schema_model(schemas, next(iter(schemas))),
    )
    return PublishedContract(contract, offered)


def is_published_contract(name: str, version: str = "1", owner: str = "lienthong") -> bool:
    """Tell whether a contract with that name is published."""
    return (xsd.find_schema_root() / "wsdl" / owner / version / f"{name}.wsdl").is_file()


def list_contract_names(version: str = "1", owner: str = "lienthong") -> tuple[str, ...]:
    """Return the names of all contracts."""
    return tuple(sorted(path.stem for path in (xsd.find_schema_root() / "wsdl" / owner / version).glob("*.wsdl")))


def list_contract_files() -> dict[str, Path]:
    """Return all published files by name below `/contracts/`, e.g. `wsdl/lienthong/1/documents.wsdl`."""
    place = xsd.find_schema_root()
    return {
        path.relative_to(place).as_posix(): path
        for kind in ("wsdl", "xsd")
        for path in sorted((place / kind).rglob("*"))
        if path.is_file() and path.suffix in {".wsdl", ".xsd", ".toml"}
    }


def _name_schema_file(element: etree._Element) -> str:
    return element.get("schemaLocation", "").rpartition("/")[2]


def _copy_element(element: etree._Element) -> etree._Element:
    """Copy *element*. Namespaces in scope and the order of children stay.

    libxml2 copies the children. One Python step per element would cost more than everything else in a call with many
    elements.
    """
    attributes: Any = element.attrib
    namespaces: Any = element.nsmap
    copied = etree.Element(element.tag, attributes, namespaces)
    copied.text = element.text
    for child in element:
        copied.append(copy(child))
    return copied


def _find_problems(
    source: SchemaSource,
    schema: etree.XMLSchema,
    stand_in: etree._Element,
    child: etree._Element,
    document: Octets | None,
) -> Sequence[Problem]:
    """Return why *schema* of *source* has refused *stand_in*, the copy of *child*: every mistake with its place."""
    from hub.formats.xsd_mistakes import explain_schema_refusal  # 24 MB that a hub needs at its first refusal

    explained = explain_schema_refusal(source, stand_in, schema)
    if not explained.mistakes:
        return _repeat_errors(schema, stand_in, child)
    sent = [_find_original(mistake.place, child) for mistake in explained.mistakes]
    places = {} if document is None else find_element_places(document, sent)
    problems = [
        _describe_mistake(mistake, element, places.get(element))
        for mistake, element in zip(explained.mistakes, sent, strict=True)
    ]
    if not explained.whole:
        problems.append(Problem("contract-broken", phrase("not all was examined: correct these, and send again")))
    return problems


def _describe_mistake(mistake: "XsdMistake", sent: etree._Element, found: tuple[int, int] | None) -> Problem:
    line, column = found or (cast("int", sent.sourceline), None)
    place = ElementPlace(mistake.path, line, column, mistake.label)
    if column is None:
        said = phrase("line {line}, {path}", line=line, path=place.path)
    else:
        said = phrase("line {line}, column {column}, {path}", line=line, column=column, path=place.path)
    if place.label:
        said = phrase("{place} ({label})", place=said, label=place.label)
    return Problem("contract-broken", phrase("{place}: {reason}", place=said, reason=mistake.reason), place)


def _find_original(copied: etree._Element, child: etree._Element) -> etree._Element:
    """Return the element of *child* of which *copied* is the copy."""
    steps = []
    while (parent := copied.getparent()) is not None:
        steps.append(parent.index(copied))
        copied = parent
    for number in reversed(steps):
        child = child[number]
    return child


def _repeat_errors(schema: etree.XMLSchema, stand_in: etree._Element, child: etree._Element) -> Sequence[Problem]:
    """Return the errors of libxml2 in its own words, one for each place."""
    namespace = f"{{{etree.QName(stand_in).namespace}}}"
    found: dict[Phrase, Problem] = {}
    for error in islice(cast("Any", schema.error_log), _MISTAKES):
        place = _say_place(error.path or "", stand_in, child)
        detail = phrase("{place}: {reason}", place=place, reason=error.message.replace(namespace, "")[:300])
        found.setdefault(place, Problem("contract-broken", detail))
    return tuple(found.values()) or (Problem("contract-broken", _show_tag(child.tag)),)


def _say_place(path: str, stand_in: etree._Element, child: etree._Element) -> Phrase:
    """Convert libxml2's path in the copy, such as `/*/*[2]`, into the line and path of the element as it was sent."""
    try:
        found = stand_in.getroottree().xpath(path, namespaces={p: uri for p, uri in stand_in.nsmap.items() if p})
    except etree.XPathError:
        found = []
    flawed = found[0] if isinstance(found, list) and found else None
    sent = _find_original(flawed, child) if etree.iselement(flawed) else child
    return phrase("line {line}, {path}", line=sent.sourceline, path=_write_path(sent, child))


def _write_path(element: etree._Element, top: etree._Element) -> str:
    names = [etree.QName(element).localname]
    while element is not top and (parent := element.getparent()) is not None:
        element = parent
        names.append(etree.QName(element).localname)
    return "/".join(["", *reversed(names)])


def _decode_value(element: etree._Element, kind: ModelValue, top: etree._Element, loads: Loads) -> bytes | Octets:
    load = loads.get(element)
    try:
        octets = xsd_types.read_xs_base64(element) if load is None else loads.decoded(load)
    except ValueError as error:
        raise _make_unfit_refusal(element, top, verbatim(str(error))) from None
    size = len(octets)
    if _is_nil(element):
        if size:
            raise _make_unfit_refusal(element, top, phrase("has a value, although it is nil"))
    elif size < kind.least:
        raise _make_unfit_refusal(
            element, top, phrase("its size is {size} octets, and the least is {least}", size=size, least=kind.least)
        )
    elif kind.most is not None and size > kind.most:
        reason = phrase("its size is {size} octets, and the most is {most}", size=size, most=kind.most)
        raise _make_unfit_refusal(element, top, reason)
    return octets


def _is_nil(element: etree._Element) -> bool:
    return element.get(_NIL, "").strip() in {"true", "1"}


def _make_unfit_refusal(element: etree._Element, top: etree._Element, reason: Phrase) -> CallRefused:
    place = phrase("line {line}, {path}", line=element.sourceline, path=_write_path(element, top))
    return CallRefused(Problem("contract-broken", phrase("{place}: {reason}", place=place, reason=reason)))


def _measure_shortest(kind: ModelValue) -> int:
    """Return the octets of the text that stands for a value: one, if the type allows it."""
    return max(kind.least, 1 if kind.most is None else min(kind.most, 1))


def _show_tag(tag: object) -> str:
    return str(tag)[:200]
