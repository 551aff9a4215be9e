"""Follows the imports and includes of a WSDL from one file to the next, and gives each a name in one folder.

Knows how WSDL 1.1 and XML Schema refer to files. Does not know where files come from: its caller fetches them, and
decides what may be fetched.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urldefrag, urljoin, urlsplit

import attrs
from lxml import etree

from hub.domain.errors import ConfigurationFault, Mistake, Rejected
from hub.language.phrases import Phrase, phrase
from hub.soap.wsdl_documents import MAX_FILES, MAX_OCTETS, REFERENCES, is_known_schema, name_wsdl_file, parse_wsdl_file

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_XSD = "{http://www.w3.org/2001/XMLSchema}"


@attrs.frozen
class GatheredFile:
    """One file of a WSDL."""

    name: str  #: in the folder
    origin: str  #: the address or path that it was fetched from
    content: bytes  #: its references are names in the folder


def gather_wsdl(
    origin: str, fetch: Callable[[str], bytes], exists: Callable[[str], bool] = lambda _path: False
) -> list[GatheredFile]:
    """Return the WSDL at *origin*, an address or a path, and every file that it needs, the WSDL first.

    *fetch* returns the content of an address or path, and raises ConfigurationFault where it may not or cannot. Each is
    fetched once. A schema with a well-known name that every reader has (xml.xsd, SOAP's encoding) is not fetched. A file
    to which no reference changes is kept octet by octet.

    *exists* tells whether there is a file at a path: of a WSDL that was saved with its files, a reference to an address
    is one to the file beside it that has the name of the address (`name_wsdl_file`), if there is one.

    Raises ConfigurationFault: at most MAX_FILES files of together MAX_OCTETS, no DTD, at the root a WSDL.
    """
    names: dict[str, str] = {}
    found: list[GatheredFile] = []
    waiting = [_normalise_place(origin)]
    total = 0
    for place in waiting:  # grows
        if len(waiting) > MAX_FILES:
            raise _make_fault(place, phrase("more than {count} files", count=MAX_FILES))
        content = fetch(place)
        total += len(content)
        if total > MAX_OCTETS:
            raise _make_fault(place, phrase("the files have more than {octets} octets together", octets=MAX_OCTETS))
        root = _parse_gathered(place, content)
        tags = (f"{_WSDL}definitions",) if place is waiting[0] else (f"{_WSDL}definitions", f"{_XSD}schema")
        if root.tag not in tags:
            raise _make_fault(place, phrase("the root is {tag}", tag=str(root.tag)[:200]))
        names.setdefault(place, _choose_name(place, names.values()))
        changed = False
        for element, attribute, location in _list_references(root):
            other = _resolve_location(place, location, exists)
            if other not in names:
                names[other] = _choose_name(other, names.values())
                waiting.append(other)
            if element.get(attribute) != names[other]:
                element.set(attribute, names[other])
                changed = True
        kept = etree.tostring(root, xml_declaration=True, encoding="UTF-8") if changed else content
        found.append(GatheredFile(names[place], place, kept))
    return found


def is_address(origin: str) -> bool:
    """Tell whether *origin* is an address, and not the path of a file."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", origin) is not None


def _list_references(root: etree._Element) -> Iterator[tuple[etree._Element, str, str]]:
    for element in root.iter(*REFERENCES):
        attribute = REFERENCES[str(element.tag)]
        location = (element.get(attribute) or "").strip()
        known = element.tag == f"{_XSD}import" and is_known_schema(element.get("namespace") or "")
        if location and not known:
            yield element, attribute, location


def _normalise_place(location: str) -> str:
    return urldefrag(location)[0] if is_address(location) else posixpath.normpath(location)


def _resolve_location(place: str, location: str, exists: Callable[[str], bool]) -> str:
    """Return the address or path of *location*, to which the file at *place* refers."""
    if is_address(location):
        saved = posixpath.join(posixpath.dirname(place), name_wsdl_file(location))
        return _normalise_place(saved if not is_address(place) and exists(saved) else location)
    if is_address(place):
        return _normalise_place(urljoin(place, location))
    return _normalise_place(posixpath.join(posixpath.dirname(place), location))


def _choose_name(place: str, taken: Iterable[str]) -> str:
    """Return a name for the file of *place* that no other one has; not even in another case."""
    used = {each.lower() for each in taken}
    name = name_wsdl_file(place)
    stem, dot, kind = name.rpartition(".")
    count = 2
    while name.lower() in used:
        name = f"{stem}-{count}{dot}{kind}"
        count += 1
    return name


def _parse_gathered(place: str, content: bytes) -> etree._Element:
    try:
        return parse_wsdl_file(content)
    except Rejected as rejected:
        problem = rejected.problems[0]
        raise _make_fault(place, phrase("{code}: {detail}", code=problem.code, detail=problem.detail)) from rejected


def _make_fault(place: str, wrong: Phrase) -> ConfigurationFault:
    shown = urlsplit(place)._replace(query="").geturl() if is_address(place) and len(place) > 200 else place
    return ConfigurationFault([Mistake(shown, wrong, phrase("a WSDL 1.1 that can be read"))])
