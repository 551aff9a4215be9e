"""Finds the line and the column at which elements of a parsed document begin. Knows expat, since lxml keeps lines only.

Does not know what the document is for. Asked only about a document that was refused.
"""

from collections.abc import Iterable, Mapping
from xml.parsers import expat

from lxml import etree

from hub.formats.spool import Octets

#: A larger document is not read again: 0.1 s of a core for the usual one of this size.
LARGEST = 4 << 20
#: A reference to a part of the message, in whose place the tree may hold the part.
_INCLUDE = "http://www.w3.org/2004/08/xop/include Include"

_Element = etree._Element  # noqa: SLF001 - lxml has no other name


def find_element_places(document: Octets, elements: Iterable[_Element]) -> Mapping[_Element, tuple[int, int]]:
    """Return line and column, both from 1, of each of *elements* of the tree that *document* was parsed into.

    Empty for a document of more than `LARGEST` octets, or without elements.
    """
    wanted = list(elements)
    if not wanted or len(document) > LARGEST:
        return {}
    numbers = dict.fromkeys(wanted, 0)
    root = wanted[0].getroottree().getroot()
    for number, element in enumerate(each for each in root.iter("*") if each.tag != _write_clark_name(_INCLUDE)):
        if element in numbers:
            numbers[element] = number
    places = _read_places(document, set(numbers.values()))
    return {element: places[number] for element, number in numbers.items() if number in places}


def _read_places(document: Octets, numbers: set[int]) -> dict[int, tuple[int, int]]:
    """Return the places of the elements with these *numbers*, from 0 in the order of the document."""
    parser = expat.ParserCreate(namespace_separator=" ")
    found: dict[int, tuple[int, int]] = {}
    count = 0

    def note(name: str, _attributes: object) -> None:
        nonlocal count
        if name == _INCLUDE:
            return
        if count in numbers:
            found[count] = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        count += 1

    parser.StartElementHandler = note
    for piece in document.pieces():
        parser.Parse(piece, False)
    return found


def _write_clark_name(name: str) -> str:
    return "{{{}}}{}".format(*name.split(" "))
