"""Bounds what the types of schemas come to when groups and extensions are written out.

Knows XSD 1.0's ways to use one component in another. Does not know zeep, which writes them out without a bound: 22
groups that each refer to the next one twice are four million elements.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import attrs
from lxml import etree

_XSD = "{http://www.w3.org/2001/XMLSchema}"
#: Maximum elements and attributes of one type, written out.
MAX_MEMBERS = 20_000
#: The same for all types together.
MAX_ALL_MEMBERS = 2_000_000
_COMPONENTS = (f"{_XSD}complexType", f"{_XSD}simpleType", f"{_XSD}group", f"{_XSD}attributeGroup")
_TYPES = (f"{_XSD}complexType", f"{_XSD}simpleType")
_MEMBERS = {f"{_XSD}{name}" for name in ("element", "any", "attribute", "anyAttribute", "union", "list")}
#: How a component uses another: the attribute that names it, and what is named.
_USES = {
    f"{_XSD}group": ("ref", (f"{_XSD}group",)),
    f"{_XSD}attributeGroup": ("ref", (f"{_XSD}attributeGroup",)),
    f"{_XSD}extension": ("base", _TYPES),
    f"{_XSD}restriction": ("base", _TYPES),
    f"{_XSD}union": ("memberTypes", _TYPES),
    f"{_XSD}list": ("itemType", _TYPES),
}


def find_excess(roots: Iterable[etree._Element]) -> etree._Element | None:
    """Return the first type or group of the schemas in *roots* that comes to too many members or contains itself.

    Members are elements, attributes, wildcards, and the unions and lists of a simple type.

    Also the first with which all together come to too many. A type within an element counts for itself, so a type may
    have elements of its own type. Raises RecursionError if types are derived from one another too often.
    """
    counted = _Counting(roots)
    total = 0
    for component in counted.components:
        members = counted.count_members(component)
        total += MAX_ALL_MEMBERS if members is None else members
        if members is None or members > MAX_MEMBERS or total > MAX_ALL_MEMBERS:
            return component
    return None


def read_qname(element: etree._Element, attribute: str) -> str | None:
    """Return the Clark name that *attribute* of *element* has, None without such an attribute or declared prefix."""
    return _resolve_name(element, (element.get(attribute) or "").strip())


def _resolve_name(element: etree._Element, name: str) -> str | None:
    prefix, _, local = name.rpartition(":")
    space = element.nsmap.get(prefix or None)
    if not local or (prefix and space is None):
        return None
    return f"{{{space}}}{local}" if space else local


@attrs.define
class _Counting:
    _roots: Iterable[etree._Element]
    components: list[etree._Element] = attrs.field(factory=list, init=False)
    #: components by kind and local name, with their target namespace; None: that of whoever includes the file
    _named: dict[tuple[str, str], list[tuple[str | None, etree._Element]]] = attrs.field(
        factory=lambda: defaultdict(list), init=False
    )
    #: members by component; None while they are counted, or if a component contains itself
    _counts: dict[etree._Element, int | None] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        for root in self._roots:
            for component in root.iter(*_COMPONENTS):
                if component.get("ref") is not None:
                    continue
                self.components.append(component)
                if (name := component.get("name")) is not None:
                    parent = component.getparent()
                    space = None if parent is None else parent.get("targetNamespace")
                    self._named[component.tag, name].append((space, component))

    def count_members(self, component: etree._Element) -> int | None:
        if component in self._counts:
            return self._counts[component]
        self._counts[component] = None
        members = 0
        for each in _walk_component(component):
            members += each.tag in _MEMBERS
            for candidates in self._find(each):
                used = [self.count_members(other) for other in candidates]
                if None in used:
                    return None
                members += max((count or 0 for count in used), default=0)
        self._counts[component] = members
        return members

    def _find(self, use: etree._Element) -> Iterator[list[etree._Element]]:
        """Yield for each name in *use* what it may name: files without a target namespace take that of any other."""
        if use.tag not in _USES:
            return
        attribute, kinds = _USES[str(use.tag)]
        for written in (use.get(attribute) or "").split():
            name = _resolve_name(use, written)
            if name is None:
                continue
            split = etree.QName(name)
            named = [each for kind in kinds for each in self._named.get((kind, split.localname), ())]
            exact = [each for space, each in named if space == split.namespace]
            if not exact:
                exact = [each for space, each in named if space is None or split.namespace is None]
            yield exact


def _walk_component(component: etree._Element) -> Iterator[etree._Element]:
    """Yield the descendants of *component*, but not those of an element in it."""
    for child in component.iterchildren("*"):
        yield child
        if child.tag != f"{_XSD}element":
            yield from _walk_component(child)
