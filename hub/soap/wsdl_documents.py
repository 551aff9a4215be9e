"""Loads a WSDL 1.1 with all that it imports from octets in memory, as zeep's model.

Knows how the files of a WSDL refer to one another, and what zeep leaves out of its model without an error. Does not
know where the files come from, nor what is done with the model: zeep here opens no file and no connection.

zeep is imported at the first call: it costs 0.2 s and 11 MB, and most hubs' processes never need it.
"""

import posixpath
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, cast
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import attrs
from lxml import etree
from zeep.exceptions import Error
from zeep.settings import Settings
from zeep.wsdl import Document

from hub.domain.errors import ConfigurationFault, Mistake, Rejected
from hub.formats import safe_xml
from hub.language.phrases import Phrase, phrase, verbatim
from hub.soap.schema_expansion import MAX_MEMBERS, find_excess, read_qname

MAX_FILES = 100
#: Octets of all files together, and of all that zeep reads when it includes one of them several times. zeep needs
#: about a second of CPU for each megabyte.
MAX_OCTETS = 8 * 1024 * 1024
_LIMITS = safe_xml.Limits(size=MAX_OCTETS, nodes=200_000, plain=frozenset())

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_SOAPS = ("{http://schemas.xmlsoap.org/wsdl/soap/}", "{http://schemas.xmlsoap.org/wsdl/soap12/}")
_XSD = "{http://www.w3.org/2001/XMLSchema}"
#: The elements that refer to another file, each with its attribute (WSDL 1.1, 2.1.1; XSD 1.0 part 1, 4.2).
REFERENCES = {
    f"{_WSDL}import": "location",
    f"{_XSD}import": "schemaLocation",
    f"{_XSD}include": "schemaLocation",
    f"{_XSD}redefine": "schemaLocation",
}
#: The attributes of WSDL and XSD that name a component by a QName.
_QNAMES = ("type", "element", "ref", "base", "message", "binding", "itemType", "substitutionGroup")
_BASE = "file:///"  #: what zeep believes to be the folder of the files; nothing is opened there
_XML = "http://www.w3.org/XML/1998/namespace"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_ENCODED = (
    *("string", "boolean", "int", "integer", "long", "short", "byte", "decimal", "double", "float", "date", "dateTime"),
    *("time", "base64Binary", "hexBinary", "anyURI", "QName"),
)
_TOO_DEEP = phrase("the types are derived from one another too often")
_ENCODING_DECLARATION = re.compile(rb"""(<\?xml version=["']1\.0["'] +encoding=["'])([A-Za-z0-9._-]+)""")
_OTHER_ENCODINGS = frozenset({b"iso-8859-1", b"us-ascii", b"windows-1252", b"windows-1258"})
#: What is done with warnings belongs to the whole process.
_READING = threading.Lock()
_SHOWN = 300  #: maximum characters of zeep's own words in a mistake


def _make_address(name: str) -> str:
    return _BASE + quote(name, safe="/")


def _built_in(namespace: str) -> str:
    return _make_address(f"built-in/{quote(namespace, safe='')}")


#: What keeps zeep from looking for the schema of the encoding while it reads that schema.
_SELF_IMPORT = f'<xs:import namespace="{ENCODING}" schemaLocation="{_built_in(ENCODING)}"/>'
#: Schemas that toolkits import by their well-known names and never serve themselves.
_KNOWN_SCHEMAS: Mapping[str, bytes] = {
    _XML: f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{_XML}">
 <xs:attribute name="lang" type="xs:language"/><xs:attribute name="space" type="xs:NCName"/>
 <xs:attribute name="base" type="xs:anyURI"/><xs:attribute name="id" type="xs:ID"/>
 <xs:attributeGroup name="specialAttrs"><xs:attribute ref="xml:base"/><xs:attribute ref="xml:lang"/>
 <xs:attribute ref="xml:space"/><xs:attribute ref="xml:id"/></xs:attributeGroup>
</xs:schema>""".encode(),
    ENCODING: (
        f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:e="{ENCODING}" targetNamespace="{ENCODING}">
 {_SELF_IMPORT}<xs:attribute name="arrayType" type="xs:string"/><xs:attribute name="offset" type="xs:string"/>
 <xs:attribute name="position" type="xs:string"/><xs:attribute name="root" type="xs:boolean"/>
 <xs:attributeGroup name="commonAttributes"><xs:attribute name="id" type="xs:ID"/>
 <xs:attribute name="href" type="xs:anyURI"/><xs:anyAttribute namespace="##other" processContents="lax"/>
 </xs:attributeGroup>
 <xs:attributeGroup name="arrayAttributes"><xs:attribute ref="e:arrayType"/><xs:attribute ref="e:offset"/>
 </xs:attributeGroup>
 <xs:group name="Array"><xs:sequence>
 <xs:any namespace="##any" minOccurs="0" maxOccurs="unbounded" processContents="lax"/></xs:sequence></xs:group>
 <xs:complexType name="Array"><xs:group ref="e:Array" minOccurs="0"/><xs:attributeGroup ref="e:arrayAttributes"/>
 <xs:attributeGroup ref="e:commonAttributes"/></xs:complexType>
 <xs:element name="Array" type="e:Array"/>"""
        + "".join(
            f"""<xs:complexType name="{name}"><xs:simpleContent><xs:extension base="xs:{name}">
 <xs:attributeGroup ref="e:commonAttributes"/></xs:extension></xs:simpleContent></xs:complexType>"""
            for name in _ENCODED
        )
        + "</xs:schema>"
    ).encode(),
}


@attrs.frozen
class _File:
    """One file that is reached from the main one."""

    name: str
    root: etree._Element  #: references are replaced by addresses that the transport serves
    namespace: str | None  #: its target namespace


@attrs.define
class _Transport:
    """What zeep reads from: a map, and nothing else."""

    _contents: Mapping[str, bytes]
    _left: int = attrs.field(factory=lambda: MAX_OCTETS, init=False)  #: octets that zeep may still read

    def load(self, address: str) -> bytes:
        """Return the file that zeep asks for. Raises LookupError if there is none, MemoryError if it asks for too many."""
        content = self._contents.get(address)
        if content is None:
            raise LookupError(address)
        self._left -= len(content)
        if self._left < 0:
            raise MemoryError(address)
        return content


def read_wsdl(files: Mapping[str, bytes], main: str) -> Document:
    """Return zeep's model of the WSDL 1.1 *main*, whose files are *files*: content by name, such as `types.xsd`.

    Every import and include is found among *files* by `find_file`; files that nothing refers to are not read. Each one
    is parsed by safe_xml before zeep sees it (no DTD, no entity, at most MAX_FILES files and MAX_OCTETS together).
    `xsd:redefine`, which zeep does not know, is written out for it.

    Takes up to some seconds for the largest files: call it in a thread. The model is not frozen, and zeep's own
    transport is not in it: it can send nothing.

    Raises ConfigurationFault with every mistake found. Its path is `NAME:LINE` in the file NAME. What zeep would leave
    out with a warning only (a message whose part has no type, an operation without a message, a port without a
    binding) is a mistake as well.
    """
    reached = _read_files(files, main)
    _bound_types(reached, main)
    settings = Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True, force_https=False)
    contents = {_built_in(name): content for name, content in _KNOWN_SCHEMAS.items()}
    contents |= {_make_address(each.name): etree.tostring(each.root) for each in reached.values()}
    try:
        with _READING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `_find_unread` tells all that zeep warns of, with its place
            document = Document(_make_address(main), cast("Any", _Transport(contents)), settings=settings)
    except RecursionError:
        raise _make_fault(main, 0, _TOO_DEEP) from None
    except MemoryError:
        wrong = phrase("a file is included too often: all together more than {octets} octets", octets=MAX_OCTETS)
        raise _make_fault(main, 0, wrong) from None
    except Error as error:
        raise _explain_zeep_error(error, reached, main) from error
    except Exception as error:  # zeep raises whatever comes of a WSDL that it does not expect: TypeError, KeyError …
        raise _make_fault(main, 0, verbatim(f"{type(error).__name__}: {error}"[:_SHOWN])) from error
    if unread := list(_find_unread(document, reached)):
        raise ConfigurationFault(unread)
    return document


def find_file(location: str, importing: str, files: Mapping[str, bytes]) -> str | None:
    """Return the name among *files* of the file that the file *importing* refers to as *location*.

    *location* is taken as a name as it stands, then as relative to *importing*, then by its `name_wsdl_file`: so an absolute
    address, or a query such as `?xsd=types.xsd`, finds the file that was kept by the name of the address.
    """
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(importing), unquote(location)))
    return next((each for each in (location, beside, name_wsdl_file(location)) if each in files), None)


def is_known_schema(namespace: str) -> bool:
    """Tell whether the schema of *namespace* is built in, so that an import of it needs no file."""
    return namespace in _KNOWN_SCHEMAS


def read_encoding_schema() -> bytes:
    """Return the schema of the encoding of SOAP 1.1 (section 5), as far as toolkits refer to it in literal messages."""
    return _KNOWN_SCHEMAS[ENCODING].replace(_SELF_IMPORT.encode(), b"")


def name_wsdl_file(location: str) -> str:
    """Return the name under which the WSDL or XSD at *location*, an address or a path, is kept.

    The last step of the path, if it ends in `.wsdl` or `.xsd` and has no query. Toolkits serve imports by a query:
    `?xsd=types.xsd` is `types.xsd`, `?xsd=1` is `1.xsd`, `?wsdl=wsdl0` is `wsdl0.wsdl`; `?wsdl` and `?singleWsdl` of
    `/DichVu.asmx` are `DichVu.wsdl`. Two addresses may have one name: who keeps files must look. Contains no characters
    but ASCII letters, digits, `.`, `_` and `-`, and does not begin with a dot.
    """
    split = urlsplit(location)
    last = _make_plain_name(unquote(split.path).rpartition("/")[2]) or "service"
    stem = re.sub(r"\.(wsdl|xsd|asmx|svc|php|jws)$", "", last, flags=re.IGNORECASE)
    for key, value in parse_qsl(split.query, keep_blank_values=True):
        kind = {"wsdl": "wsdl", "singlewsdl": "wsdl", "wsdl2": "wsdl", "xsd": "xsd", "schema": "xsd"}.get(key.lower())
        if kind is None:
            continue
        asked = _make_plain_name(value.rpartition("/")[2])
        if re.search(r"\.(wsdl|xsd)$", asked, re.IGNORECASE):
            return asked
        return f"{asked or stem}.{kind}"
    return last if re.search(r"\.(wsdl|xsd)$", last, re.IGNORECASE) else f"{last}.xsd"


def _make_plain_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:100]


def _make_fault(name: str, line: int, wrong: Phrase) -> ConfigurationFault:
    return ConfigurationFault([_make_mistake(name, line, wrong)])


def _make_mistake(name: str, line: int, wrong: Phrase, expected: Phrase | None = None) -> Mistake:
    return Mistake(f"{name}:{line}" if line else name, wrong, expected or phrase("a WSDL 1.1 that can be read"))


def _read_line(element: etree._Element) -> int:
    return cast("int | None", element.sourceline) or 0


def _read_files(files: Mapping[str, bytes], main: str) -> dict[str, _File]:
    """Return the files that are reached from *main*, by name, *main* first. Raises ConfigurationFault."""
    if main not in files:
        raise _make_fault(main, 0, phrase("the file is missing"))
    total, mistakes = 0, list[Mistake]()
    reached, waiting = dict[str, _File](), [main]
    for name in waiting:  # grows
        total += len(files[name])
        if len(waiting) > MAX_FILES or total > MAX_OCTETS:
            wrong = phrase("more than {count} files or {octets} octets together", count=MAX_FILES, octets=MAX_OCTETS)
            raise _make_fault(name, 0, wrong)
        try:
            root = parse_wsdl_file(files[name])
        except Rejected as rejected:
            problem = rejected.problems[0]
            mistakes.append(
                _make_mistake(name, 0, phrase("{code}: {detail}", code=problem.code, detail=problem.detail))
            )
            continue
        if root.tag != f"{_WSDL}definitions" and (name == main or root.tag != f"{_XSD}schema"):
            wrong = phrase("the root is {tag}", tag=str(root.tag)[:_SHOWN])
            mistakes.append(
                _make_mistake(name, _read_line(root), wrong, phrase("wsdl:definitions of WSDL 1.1, or xsd:schema"))
            )
            continue
        reached[name] = _File(name, root, root.get("targetNamespace"))
        for element in root.iter(*REFERENCES):
            for found in _refer_to_file(element, name, files, mistakes):
                if found not in waiting:
                    waiting.append(found)
    for file in list(reached.values()):
        mistakes += _check_namespaces(file, reached)
    if mistakes:
        raise ConfigurationFault(mistakes)
    for file in (written := list(reached.values())):  # grows
        written += _write_out_redefinitions(file, reached)
        _import_encoding(file)
        _correct_parts(file)
    return reached


def _bound_types(reached: Mapping[str, _File], main: str) -> None:
    """Raise ConfigurationFault if a type written out has too many members."""
    try:
        excess = find_excess(file.root for file in reached.values())
    except RecursionError:
        raise _make_fault(main, 0, _TOO_DEEP) from None
    if excess is not None:
        name = next(file.name for file in reached.values() if file.root is excess.getroottree().getroot())
        wrong = phrase("the type or group contains itself, or comes to more than {count} members", count=MAX_MEMBERS)
        raise _make_fault(name, _read_line(excess), wrong)


def parse_wsdl_file(content: bytes) -> etree._Element:
    """Return the root of a WSDL or schema. Raises Rejected as `safe_xml.parse_safe_xml`; older encodings are allowed."""
    return safe_xml.parse_safe_xml(_in_utf_8(content), limits=_LIMITS)


def _in_utf_8(content: bytes) -> bytes:
    """Return *content* in UTF-8 if it declares itself in one of the encodings that some toolkits write WSDLs in.

    Some declare one and write UTF-8 all the same (NuSOAP): what is UTF-8 is taken for it.
    """
    declared = _ENCODING_DECLARATION.match(content)
    if declared is None or declared[2].lower() not in _OTHER_ENCODINGS:
        return content
    rest = content[declared.end() :]
    try:
        _ = rest.decode()
    except UnicodeDecodeError:
        rest = rest.decode(declared[2].decode(), "replace").encode()
    return declared[1] + b"UTF-8" + rest


def _refer_to_file(
    element: etree._Element, importing: str, files: Mapping[str, bytes], mistakes: list[Mistake]
) -> Iterator[str]:
    """Let *element*, an import or include, refer to an address that the transport serves. Yield the name of the file."""
    attribute = REFERENCES[str(element.tag)]
    location = (element.get(attribute) or "").strip()
    found = find_file(location, importing, files) if location else None
    if found is not None:
        element.set(attribute, _make_address(found))
        yield found
    elif element.tag == f"{_XSD}import" and element.get("namespace") in _KNOWN_SCHEMAS:
        element.set(attribute, _built_in(element.get("namespace", "")))
    elif location:
        wrong = phrase("{location} is not among the files", location=location[:_SHOWN])
        mistakes.append(_make_mistake(importing, _read_line(element), wrong, verbatim(name_wsdl_file(location))))
    elif element.tag != f"{_XSD}import":  # an import of XSD may rely on a schema that is there anyway
        wrong = phrase("an import or include without a location")
        mistakes.append(_make_mistake(importing, _read_line(element), wrong))


def _check_namespaces(file: _File, reached: Mapping[str, _File]) -> Iterator[Mistake]:
    """Compare the namespace that each import and include names with that of the file (XSD 1.0, 4.2; WSDL 1.1, 2.1.1).

    zeep compares some only, and would read files forever that import one another under wrong names.
    """
    for element in file.root.iter(*REFERENCES):
        name = _find_served_name(element)
        other = reached.get(name)
        if other is None:
            continue
        if element.tag in {f"{_XSD}import", f"{_WSDL}import"}:
            named = element.get("namespace") or None
            fits = named == other.namespace
        else:
            named = _schema_of(element).get("targetNamespace")
            fits = other.namespace in {None, named}
        if not fits:
            wrong = phrase(
                "{name} is of the namespace {found}, not {named}", name=name, found=other.namespace, named=named
            )
            yield _make_mistake(file.name, _read_line(element), wrong)
        elif other.root.tag == f"{_WSDL}definitions" and element.tag != f"{_WSDL}import":
            yield _make_mistake(file.name, _read_line(element), phrase("{name} is not a schema", name=name))


def _find_served_name(element: etree._Element) -> str:
    """Return the name of the file to which `_refer_to_file` has let *element* refer."""
    return unquote((element.get(REFERENCES[str(element.tag)]) or "").removeprefix(_BASE))


def _schema_of(element: etree._Element) -> etree._Element:
    while element.tag != f"{_XSD}schema" and (parent := element.getparent()) is not None:
        element = parent
    return element


def _write_out_redefinitions(file: _File, reached: dict[str, _File]) -> Iterator[_File]:
    """Yield a copy of each redefined file, in which the redefined components have other names, and include the copy.

    XSD 1.0, 4.2.2: a redefined component stands in the place of the original everywhere, and refers to the original by
    its own name. Raises ConfigurationFault if a component is not in the file itself.
    """
    for count, element in enumerate(list(file.root.iter(f"{_XSD}redefine"))):
        original = reached[_find_served_name(element)]
        copied = _File(f"{original.name}.{file.name}.{count}.redefined", deepcopy(original.root), original.namespace)
        for part in list(element):
            if part.tag == f"{_XSD}annotation":
                continue
            name = part.get("name", "")
            old = next((each for each in copied.root if each.tag == part.tag and each.get("name") == name), None)
            if old is None:
                wrong = phrase("{name} is not in {file}", name=name[:_SHOWN], file=original.name)
                raise _make_fault(file.name, _read_line(part), wrong)
            old.set("name", f"{name}.redefined")
            for each in part.iter():
                for attribute in ("base", "ref"):
                    if each is not part and (each.get(attribute) or "").rpartition(":")[2] == name:
                        each.set(attribute, f"{each.get(attribute)}.redefined")
        if len(reached) == 2 * MAX_FILES:
            raise _make_fault(file.name, _read_line(element), phrase("too many redefinitions"))
        reached[copied.name] = copied
        yield copied
        schema = _schema_of(element)
        schema.extend([part for part in element if part.tag != f"{_XSD}annotation"])
        schema.replace(element, etree.Element(f"{_XSD}include", {"schemaLocation": _make_address(copied.name)}))


def _import_encoding(file: _File) -> None:
    """Import the schema of SOAP 1.1's encoding where it is used without an import; zeep would look for it outside."""
    for schema in file.root.iter(f"{_XSD}schema"):
        imported = {each.get("namespace") for each in schema.iterfind(f"{_XSD}import")}
        if ENCODING not in imported and any(ENCODING in each.nsmap.values() for each in schema.iter("*")):
            attributes = {"namespace": ENCODING, "schemaLocation": _built_in(ENCODING)}
            schema.insert(0, etree.Element(f"{_XSD}import", attributes))


def _correct_parts(file: _File) -> None:
    """Say which part a `soap:body` contains as zeep reads it: it looks for `part`, and WSDL 1.1, 3.5 writes `parts`."""
    for body in file.root.iter(*(f"{soap}body" for soap in _SOAPS)):
        parts = (body.get("parts") or "").split()
        if len(parts) == 1:
            body.set("part", parts[0])


def _explain_zeep_error(error: Exception, reached: Mapping[str, _File], main: str) -> ConfigurationFault:
    """Convert *error* of zeep. The place of a missing component is the first attribute that names it."""
    name, cause = None, cast("BaseException | None", error)
    while cause is not None and name is None:
        name, cause = getattr(cause, "qname", None), cause.__context__
    if name is not None:
        for file in reached.values():
            for element in file.root.iter("*"):
                if any(read_qname(element, attribute) == name.text for attribute in _QNAMES):
                    return _make_fault(file.name, _read_line(element), _describe_missing(name.text))
    return _make_fault(main, 0, verbatim(str(error)[:_SHOWN]))


def _describe_missing(name: str) -> Phrase:
    return phrase("{name} is not in the schemas", name=name[:_SHOWN])


def _find_unread(document: Document, reached: Mapping[str, _File]) -> Iterator[Mistake]:
    """Find what the files describe and *document* lacks, with the place: zeep warns of it only."""
    read: Any = {each.location: each for each in document._definitions.values()}  # noqa: SLF001 - no other way to it
    for file in reached.values():
        model = read.get(_make_address(file.name))
        if model is None:
            continue
        for part in file.root.iterfind(f"{_WSDL}message/{_WSDL}part"):
            yield from _find_unknown(part, "element", document.types.get_element, file)
            yield from _find_unknown(part, "type", document.types.get_type, file)
        for port_type in file.root.iterfind(f"{_WSDL}portType"):
            known = model.port_types[_qualify_own_name(model, port_type)].operations
            yield from _find_missing(port_type.iterfind(f"{_WSDL}operation"), known, file)
        for binding in file.root.iterfind(f"{_WSDL}binding"):
            if all(binding.find(f"{soap}binding") is None for soap in _SOAPS):
                continue
            bound = model.bindings.get(_qualify_own_name(model, binding))
            if bound is None:
                wrong = phrase("a SOAP binding over something else than HTTP")
                yield _make_mistake(file.name, _read_line(binding), wrong)
            else:
                yield from _find_missing(binding.iterfind(f"{_WSDL}operation"), bound.all(), file)
        for service in file.root.iterfind(f"{_WSDL}service"):
            known = model.services[service.get("name")].ports
            for port in service.iterfind(f"{_WSDL}port"):
                if any(port.find(f"{soap}address") is not None for soap in _SOAPS):
                    yield from _find_missing([port], known, file)


def _qualify_own_name(model: Any, element: etree._Element) -> str:
    space, name = model.target_namespace, element.get("name", "")
    return f"{{{space}}}{name}" if space else name


def _find_unknown(
    part: etree._Element, attribute: str, find: Callable[[str], object], file: _File
) -> Iterator[Mistake]:
    if (written := part.get(attribute)) is None:
        return
    name = read_qname(part, attribute)
    try:
        if name is not None:
            find(name)
            return
    except Error:
        pass
    yield _make_mistake(file.name, _read_line(part), _describe_missing(written))


def _find_missing(elements: Iterable[etree._Element], known: Mapping[str, object], file: _File) -> Iterator[Mistake]:
    for each in elements:
        if each.get("name") not in known:
            wrong = phrase("{name}: what it refers to is missing or incomplete", name=each.get("name", "")[:_SHOWN])
            yield _make_mistake(file.name, _read_line(each), wrong)
