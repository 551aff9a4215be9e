"""Loads the schemas of packets.

Knows XSD 1.0 as the hub's schemas use it, and libxml2's errors. Does not interpret values.

`xsd/qcvn102/observed` is what the hub accepts, and `xsd/qcvn102/strict` what the standard declares. A packet is
validated by both. The `Shape` is derived from the same files: the children that an element may have, in their order.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

import attrs
from lxml import etree

from hub.domain.model import Detail
from hub.formats import xsd_schemas
from hub.language.phrases import Phrase, phrase

QCVN = "http://www.mic.gov.vn/TBT/QCVN_102_2016"

_XS = "{http://www.w3.org/2001/XMLSchema}"
_ROOMS = frozenset({"edXML", "edXMLEnvelope", "edXMLHeader"})
#: The problem letter of libxml2's errors: N missing, T wrong type; all others R, out of range.
_LETTERS = {
    "SCHEMAV_CVC_MINLENGTH_VALID": "N",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "T",
    "SCHEMAV_CVC_TYPE_3_1_2": "T",
}
_PREAMBLE = re.compile(r"^Element '[^']*'(, attribute '[^']*')?: (\[facet '\w+'\] )?")


#: A text that is longer is always left to the schemas.
_LONGEST_TEXT = 1000


@attrs.frozen
class TextRule:
    """Which texts of an element both schemas certainly allow, if their only white space is blanks inside.

    It may leave out texts that the schemas allow.
    """

    least: int = 0  #: characters
    most: int = _LONGEST_TEXT
    pattern: re.Pattern[str] | None = None
    values: frozenset[str] | None = None  #: its only values

    def fits(self, text: str) -> bool:
        """Tell whether both schemas certainly allow *text*."""
        return (
            self.least <= len(text) <= self.most
            and (self.pattern is None or self.pattern.fullmatch(text) is not None)
            and (self.values is None or text in self.values)
        )


@attrs.frozen
class SchemaPart:
    """One kind of child: its position among its siblings, and whether it is required."""

    rank: int
    name: str
    tag: str  #: with the namespace
    most: int  #: maximum occurrences, by the observed schema
    needed: bool  #: required by the observed schema
    expected: bool  #: required by the strict schema
    binary: bool  #: base64, whose lines may be indented
    shape: "Shape | None"  #: None: text, or any content
    values: frozenset[str] | None = None  #: its only values, by the observed schema; None: any
    rule: TextRule | None = None  #: None: its text is always left to the schemas


@attrs.frozen(eq=False)
class Shape:
    """The content that an element with children may have."""

    parts: Mapping[str, SchemaPart]  #: by tag
    spaces: frozenset[str]  #: namespaces all of whose elements are allowed too
    attributes: frozenset[str]  #: names
    attribute_spaces: frozenset[str]  #: namespaces all of whose attributes are allowed

    def every_part(self) -> Iterator[SchemaPart]:
        """Yield the parts of this shape and of the shapes below it."""
        for part in self.parts.values():
            yield part
            if part.shape is not None:
                yield from part.shape.every_part()


@attrs.frozen
class SchemaFinding:
    """A violation of a schema: N, R or T, the place, and the reason."""

    letter: str
    place: str
    detail: Detail


#: Maximum findings of one schema that are reported. There may be as many as elements, and callers keep fewer.
_FINDINGS = 100


@attrs.frozen(eq=False)
class Schema:
    """The schemas of one kind of packet."""

    root: Shape
    values: Mapping[str, frozenset[str]]  #: by tag: the only values that the observed schema allows
    _observed: Path
    _strict: Path

    def is_strict(self, root: etree._Element) -> bool:
        """Tell whether the standard allows the packet under *root* as it is."""
        return xsd_schemas.compile_schema(self._strict).validate(root)

    def observed(self, root: etree._Element) -> list[SchemaFinding]:
        """Return what the hub does not accept, with reasons that a person can follow where the library finds them."""
        return self._judged(self._observed, root, explained=True)

    def strict(self, root: etree._Element) -> list[SchemaFinding]:
        """Return what the standard does not allow."""
        return self._judged(self._strict, root)

    def _judged(self, path: Path, root: etree._Element, *, explained: bool = False) -> list[SchemaFinding]:
        schema = xsd_schemas.compile_schema(path)
        findings: list[SchemaFinding] = []
        families: dict[etree._Element, _ElementChildren] = {}
        if not schema.validate(root):
            log: list[Any] = list(islice(cast("Any", schema.error_log), _FINDINGS))
            reasons = _explain(path, root, schema) if explained else {}
            for error in log:
                said = _PREAMBLE.sub("", error.message or "").replace(f"{{{QCVN}}}", "")
                place, element = self._place(root, error.path or "", families)
                findings.append(
                    SchemaFinding(
                        _LETTERS.get(error.type_name, "R"),
                        place,
                        phrase("line {line}: {reason}", line=error.line, reason=reasons.get(element, said[:200])),
                    )
                )
        return findings

    def _place(
        self, element: etree._Element, path: str, families: dict[etree._Element, "_ElementChildren"]
    ) -> tuple[str, etree._Element]:
        """Convert libxml2's path, `/*/q:edXMLEnvelope/q:To[2]`, into the hub's, `MessageHeader.To[2]`. Return also the
        element of the last step.

        *families* caches the counted children of elements.
        """
        place, shape = "edXML", self.root
        for step in path.split("/")[2:]:
            name, _, index = step.rstrip("]").partition("[")
            family = families.get(element) or families.setdefault(element, _ElementChildren.of(element))
            found = family.nth(name, int(index or 1))
            if found is None:  # an attribute
                break
            element = found
            part = shape.parts.get(element.tag)
            many = part is not None and part.most > 1
            place = join_path(place, read_local_name(element), family.twins[element] if many else 0)
            if part is None or part.shape is None:
                break
            shape = part.shape
        return place, element


def _explain(path: Path, root: etree._Element, schema: etree.XMLSchema) -> dict[etree._Element, Phrase]:
    """Return why each element under *root* that *schema* has just refused does not conform."""
    from hub.formats.xsd_mistakes import explain_refusal  # 24 MB that a hub needs at its first refusal

    return {mistake.element: mistake.reason for mistake in reversed(explain_refusal(path, root, schema).mistakes)}


@attrs.frozen(eq=False)
class _ElementChildren:
    """The children of one element, counted once."""

    named: Mapping[str, list[etree._Element]]  #: by the name in libxml2's paths: `prefix:local`, or `*` for any
    twins: Mapping[etree._Element, int]  #: position among the children with the same tag, from 1

    @classmethod
    def of(cls, parent: etree._Element) -> "_ElementChildren":
        named: dict[str, list[etree._Element]] = {"*": list(parent)}
        twins: dict[etree._Element, int] = {}
        seen: dict[str, int] = {}
        for child in parent:
            named.setdefault(f"{child.prefix or ''}:{read_local_name(child)}", []).append(child)
            twins[child] = seen[child.tag] = seen.get(child.tag, 0) + 1
        return cls(named, twins)

    def nth(self, name: str, index: int) -> etree._Element | None:
        found = self.named.get(name if name == "*" or ":" in name else f":{name}", [])
        return found[index - 1] if 0 < index <= len(found) else None


def join_path(place: str, name: str, index: int = 0) -> str:
    """Return the path of the child *name* of *place* as problems name it.

    *index*, from 1, is given if there may be several. The outermost elements are omitted, as in the codes that systems
    already know: `MessageHeader.To[2].OrganId`.
    """
    path = name if place in _ROOMS else f"{place}.{name}"
    return f"{path}[{index}]" if index else path


def read_local_name(element: etree._Element) -> str:
    """Return the local name of *element*."""
    return element.tag.rpartition("}")[2]


@cache
def load_packet_schema(kind: str, folder: Path | None = None) -> Schema:
    """Load the schemas of *kind*, `document` or `status`, from *folder*; None: those of the hub.

    The folder has the folders `observed` and `strict`, or the files themselves, which are then both. Raises OSError,
    etree.LxmlError or KeyError if they are missing or broken.
    """
    place = folder or xsd_schemas.find_schema_root() / "xsd/qcvn102"
    flat = (place / f"{kind}.xsd").exists()
    observed, strict = ((place if flat else place / profile) / f"{kind}.xsd" for profile in ("observed", "strict"))
    shape = _shape("Packet", read_schema_types(observed), read_schema_types(strict))
    values = {part.tag: part.values for part in shape.every_part() if part.values is not None}
    return Schema(shape, values, observed, strict)


def read_schema_types(path: Path) -> dict[str, etree._Element]:
    """Return the named types of the schema at *path* and of the schemas that it includes."""
    root = xsd_schemas.parse_schema_file(path)
    types = {each.get("name", ""): each for each in root.iterchildren(f"{_XS}complexType", f"{_XS}simpleType")}
    for include in root.iterfind(f"{_XS}include"):
        types = {**read_schema_types(path.parent / include.get("schemaLocation", "")), **types}
    return types


def _shape(name: str, observed: Mapping[str, etree._Element], strict: Mapping[str, etree._Element]) -> Shape:
    """Read one type: the order of its children from the strict schema, and the required ones from the observed
    schema.
    """
    taken = {each.get("name"): each for each in _particles(observed[name], "element")}
    parts = {}
    for rank, each in enumerate(_particles(strict[name], "element")):
        child, kind = each.get("name", ""), each.get("type", "")
        parts[f"{{{QCVN}}}{child}"] = SchemaPart(
            rank,
            child,
            f"{{{QCVN}}}{child}",
            most=int(taken[child].get("maxOccurs", "1")),
            needed=taken[child].get("minOccurs") != "0",
            expected=each.get("minOccurs") != "0",
            binary=kind == "xs:base64Binary",
            shape=_shape(kind, observed, strict) if _is_complex(strict.get(kind)) else None,
            values=_values(taken[child].get("type", ""), observed),
            rule=_text_rule(kind, strict, _values(taken[child].get("type", ""), observed)),
        )
    return Shape(
        parts,
        frozenset(each.get("namespace", "") for each in _particles(strict[name], "any")),
        frozenset(each.get("name", "") for each in observed[name].iterfind(f"{_XS}attribute")),
        frozenset(each.get("namespace", "") for each in observed[name].iterfind(f"{_XS}anyAttribute")),
    )


def _is_complex(kind: etree._Element | None) -> bool:
    return kind is not None and kind.tag == f"{_XS}complexType"


def _values(name: str, types: Mapping[str, etree._Element]) -> frozenset[str] | None:
    """Return the enumeration of the simple type *name* or of its nearest base that has one."""
    restriction = types[name].find(f"{_XS}restriction") if name in types else None
    if restriction is None:
        return None
    own = frozenset(each.get("value", "") for each in restriction.iterfind(f"{_XS}enumeration"))
    return own or _values(restriction.get("base", ""), types)


#: The rules of the built-in types. Those of numbers leave out signs, and numbers near the ends of their ranges.
_BUILT_IN = {
    "xs:token": TextRule(),
    "xs:boolean": TextRule(values=frozenset({"true", "false", "1", "0"})),
    "xs:int": TextRule(pattern=re.compile("[0-9]{1,9}")),
    "xs:nonNegativeInteger": TextRule(pattern=re.compile("[0-9]{1,9}")),
    "xs:unsignedShort": TextRule(pattern=re.compile("[0-9]{1,4}")),
}
#: A range of numbers is listed if it ends below this one.
_FEW = 100
#: What a pattern of the schemas may consist of to mean the same in Python, where `\\d` is limited to ASCII.
_COMMON_PATTERN = re.compile(r"(?:[0-9A-Z/: ()?|]|\\[d.]|\[[0-9A-Z-]+\]|\{[0-9]+(?:,[0-9]+)?\})*")


def _text_rule(name: str, types: Mapping[str, etree._Element], allowed: frozenset[str] | None) -> TextRule | None:
    """Return the rule of the simple type *name* of the strict schema, whose values the observed one limits to
    *allowed*.

    Return None for a type with anything that is not known here.
    """
    if name in _BUILT_IN:
        return attrs.evolve(_BUILT_IN[name], values=_both(_BUILT_IN[name].values, allowed))
    restriction = types[name].find(f"{_XS}restriction") if name in types else None
    rule = None if restriction is None else _text_rule(restriction.get("base", ""), types, allowed)
    if restriction is None or rule is None:
        return None
    values: set[str] = set()
    limits: dict[str, int] = {}
    for facet in restriction.iterchildren("*"):
        name, value = facet.tag.removeprefix(_XS), facet.get("value", "")
        if name == "minLength":
            rule = attrs.evolve(rule, least=max(rule.least, int(value)))
        elif name == "maxLength":
            rule = attrs.evolve(rule, most=min(rule.most, int(value)))
        elif name == "enumeration":
            values.add(value)
        elif name in {"minInclusive", "maxInclusive"}:
            limits[name] = int(value)
        elif name == "pattern" and rule.pattern is None and _COMMON_PATTERN.fullmatch(value):
            rule = attrs.evolve(rule, pattern=re.compile(value, re.ASCII))
        else:
            return None
    if limits:  # of small numbers, which are all listed
        least, most = limits.get("minInclusive", 0), limits.get("maxInclusive", _FEW)
        if not 0 <= least <= most < _FEW or values:
            return None
        values.update(map(str, range(least, most + 1)))
    return attrs.evolve(rule, values=_both(rule.values, frozenset(values) if values else None))


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return other if one is None else one if other is None else one & other


def _particles(kind: etree._Element, name: str) -> Iterator[etree._Element]:
    for group in ("sequence", "all"):
        yield from kind.iterfind(f"{_XS}{group}/{_XS}{name}")
