"""Makes a sample of a contract's element: the required children in their order, with values of their types. Pure.

Knows XSD 1.0 as the hub's contracts use it: sequences, simple types with facets, no choice. Does not sign, and does not
know which values make sense together; a caller names those that must.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping

import attrs
from lxml import etree

from hub.soap.wsdl import Contract

_XSD = "{http://www.w3.org/2001/XMLSchema}"
#: A value of each built-in type in use.
_VALUES = {
    "string": "mẫu",
    "token": "mẫu",
    "int": "1",
    "long": "1",
    "decimal": "1",
    "boolean": "true",
    "date": "2026-11-24",
    "dateTime": "2026-11-24T01:00:00Z",
    "base64Binary": b64encode("mẫu".encode()).decode("ascii"),
}
#: A value that a pattern of the contracts allows.
_PATTERNS = {
    "[0-9]{14}": "20261124080000",
    "[0-9a-f]{64}": "0" * 64,
    "[0-9]{4}-[0-9]{2}-[0-9]{2}": "2026-11-24",
}
#: Deeper elements are left out, which would be a mistake of the contract.
_DEEPEST = 12


@attrs.frozen(eq=False)
class SampleWriter:
    """Writes samples of one contract."""

    _namespace: str
    _elements: Mapping[str, etree._Element]  #: global elements by name
    _types: Mapping[str, etree._Element]  #: global types by name
    _values: Mapping[str, str]  #: by the name of the element; an optional one is written if it is named here

    @classmethod
    def of(cls, contract: Contract, values: Mapping[str, str]) -> "SampleWriter":
        """Return the writer of *contract*. *values* are those of some elements."""
        schema = etree.fromstring(contract.xsd(f"{contract.name}.xsd"))
        types = [*schema.iterchildren(f"{_XSD}simpleType"), *schema.iterchildren(f"{_XSD}complexType")]
        return cls(
            contract.namespace,
            {each.get("name", ""): each for each in schema.iterchildren(f"{_XSD}element")},
            {each.get("name", ""): each for each in types},
            values,
        )

    def write(self, name: str) -> etree._Element:
        """Return a sample of the global element *name*. Raises KeyError if the contract has none."""
        return self._element(self._elements[name], {None: self._namespace}, 0)

    def _element(self, declared: etree._Element, spaces: Mapping[str | None, str], depth: int) -> etree._Element:
        name = declared.get("name", "")
        made = etree.Element(f"{{{self._namespace}}}{name}", nsmap=spaces)  # type: ignore[arg-type]
        inside = self._find_type(declared)
        children = [] if inside is None else list(self._list_children(inside))
        if children and depth < _DEEPEST:
            made.extend(self._element(each, spaces, depth + 1) for each in children)
        elif inside is None or inside.tag != f"{_XSD}complexType":
            made.text = self._values.get(name) or self._choose_value(declared.get("type", ""), inside)
        return made

    def _find_type(self, declared: etree._Element) -> etree._Element | None:
        """Return the type of an element, named or inside it. None: a built-in one."""
        named = self._types.get(declared.get("type", "").rpartition(":")[2])
        inside = (each for kind in ("complexType", "simpleType") for each in declared.iterchildren(f"{_XSD}{kind}"))
        return named if named is not None else next(inside, None)

    def _list_children(self, inside: etree._Element) -> Iterator[etree._Element]:
        """Yield the elements of a type that a sample has."""
        for each in inside.iterfind(f"{_XSD}sequence/{_XSD}element"):
            if each.get("ref"):
                continue  # only a Receipt, which is sealed and not made up
            if each.get("minOccurs") != "0" or each.get("name") in self._values:
                yield each

    def _choose_value(self, name: str, inside: etree._Element | None) -> str:
        """Return a value of a simple type."""
        if inside is None:
            return _VALUES[name.rpartition(":")[2]]
        restriction = inside.find(f"{_XSD}restriction")
        assert restriction is not None, name
        facets = {str(each.tag).removeprefix(_XSD): each.get("value", "") for each in restriction}
        if "enumeration" in facets:
            first = restriction.find(f"{_XSD}enumeration")
            assert first is not None
            return first.get("value", "")
        if "pattern" in facets:
            return _PATTERNS[facets["pattern"]]
        base = restriction.get("base", "")
        value = self._choose_value(base, self._types.get(base.rpartition(":")[2]) if ":" in base else None)
        return facets["minInclusive"] if value == "1" and int(facets.get("minInclusive", "0")) > 1 else value
