"""Loads the schemas of packets.

Knows libxml2's errors, and the model of a schema (`hub.formats.models.xsd_model`), however the schema is written. Does not
interpret values.

`xsd/qcvn102/observed` is what the hub accepts, and `xsd/qcvn102/strict` what the standard declares. A packet is
validated by both. The `Shape` is derived from the same files: the children that an element may have, in their order.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

import attrs
from lxml import etree

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import Detail
from hub.formats import xsd_schemas
from hub.formats.models.schema_loading import load_schema_model
from hub.formats.models.xsd_files import gather_schema_folder
from hub.formats.models.xsd_model import (
    BASE64,
    ModelType,
    ModelValue,
    NamespaceSet,
    SchemaModel,
    ValueVariety,
    count_elements,
    list_wildcards,
    rank_elements,
)
from hub.formats.value_mistakes import explain_value, say_too_many
from hub.language.phrases import Phrase, phrase

QCVN = "http://www.mic.gov.vn/TBT/QCVN_102_2016"

_ROOT = f"{{{QCVN}}}edXML"
#: The most of one kind of child where the observed schema names no bound.
_MOST = 2000
_ROOMS = frozenset({"edXML", "edXMLEnvelope", "edXMLHeader"})
#: The problem letter of libxml2's errors: N missing, T wrong type; all others R, out of range.
_LETTERS = {
    "SCHEMAV_CVC_MINLENGTH_VALID": "N",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "T",
    "SCHEMAV_CVC_TYPE_3_1_2": "T",
}
#: libxml2's error of children, and how it names one that lacks some.
_CONTENT, _MISSING = "SCHEMAV_ELEMENT_CONTENT", "Missing child"
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
    patterns: tuple[re.Pattern[str], ...] = ()  #: each must match
    values: frozenset[str] | None = None  #: its only values

    @property
    def is_plain(self) -> bool:
        """Tell whether only the length counts, and blanks that follow one another, which a schema may count as one, do
        not matter.
        """
        return not self.patterns and self.values is None and self.least <= 1

    def fits(self, text: str) -> bool:
        """Tell whether both schemas certainly allow *text*."""
        if not self.least <= len(text) <= self.most:
            return False
        return self.is_plain or (
            "  " not in text
            and all(each.fullmatch(text) is not None for each in self.patterns)
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
    #: maximum occurrences, and what its text may be, by the strict schema; None: any
    strict_most: int | None = None
    strict_value: ModelValue | None = None


@attrs.frozen(eq=False)
class Shape:
    """The content that an element with children may have."""

    parts: dict[str, SchemaPart]  #: by tag
    spaces: tuple[NamespaceSet, ...]  #: namespaces all of whose elements are allowed too
    wild_rank: int  #: the position of such elements among the parts
    attributes: frozenset[str]  #: names
    attribute_spaces: NamespaceSet  #: namespaces all of whose attributes are allowed

    def allows_wild(self, namespace: str) -> bool:
        """Tell whether all elements of *namespace* are allowed."""
        return any(namespace in each for each in self.spaces)

    def every_part(self) -> Iterator[SchemaPart]:
        """Yield the parts of this shape and of the shapes below it, each once."""
        todo, seen = [self], {self}
        while todo:
            for part in todo.pop().parts.values():
                yield part
                if part.shape is not None and part.shape not in seen:
                    seen.add(part.shape)
                    todo.append(part.shape)


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
        """Return what the hub does not accept. Raises NeedsThread in a turn of the reactor if there is anything."""
        return self._judged(self._observed, root, _explain_refusals)

    def strict(self, root: etree._Element) -> list[SchemaFinding]:
        """Return what the standard does not allow. The reasons cost little: they may be of an accepted packet."""
        return self._judged(self._strict, root)

    def _judged(
        self,
        path: Path,
        root: etree._Element,
        explain: Callable[[Path, etree._Element, etree.XMLSchema], Mapping[etree._Element, Phrase]] | None = None,
    ) -> list[SchemaFinding]:
        schema = xsd_schemas.compile_schema(path)
        if schema.validate(root):
            return []
        log: list[Any] = list(islice(cast("Any", schema.error_log), _FINDINGS))
        reasons = {} if explain is None else explain(path, root, schema)
        findings: list[SchemaFinding] = []
        families: dict[etree._Element, _ElementChildren] = {}
        for error in log:
            place, element, part = self._place(root, error.path or "", families)
            reason = reasons.get(element) or _say_reason(error, element, part)
            findings.append(
                SchemaFinding(
                    _LETTERS.get(error.type_name, "R"),
                    place,
                    phrase("line {line}: {reason}", line=error.line, reason=reason),
                )
            )
        return findings

    def _place(
        self, element: etree._Element, path: str, families: dict[etree._Element, "_ElementChildren"]
    ) -> tuple[str, etree._Element, SchemaPart | None]:
        """Convert libxml2's path, `/*/q:edXMLEnvelope/q:To[2]`, into the hub's, `MessageHeader.To[2]`. Return also the
        element of the last step, and what it is; None: the root, an attribute, or no kind of child that is known.

        *families* caches the counted children of elements.
        """
        place, shape, part = "edXML", self.root, None
        for step in path.split("/")[2:]:
            name, _, index = step.rstrip("]").partition("[")
            family = families.get(element) or families.setdefault(element, _ElementChildren.of(element))
            found = family.nth(name, int(index or 1))
            if found is None:  # an attribute
                return place, element, None
            element = found
            part = shape.parts.get(element.tag)
            many = part is not None and part.most > 1
            place = join_path(place, read_local_name(element), family.twins[element] if many else 0)
            if part is None or part.shape is None:
                break
            shape = part.shape
        return place, element, part


def _explain_refusals(path: Path, root: etree._Element, schema: etree.XMLSchema) -> dict[etree._Element, Phrase]:
    """Return why each element under *root* that *schema* has just refused does not conform."""
    from hub.formats.xsd_mistakes import explain_schema_refusal  # 24 MB that a hub needs at its first refusal

    return {
        mistake.element: mistake.reason for mistake in reversed(explain_schema_refusal(path, root, schema).mistakes)
    }


def _say_reason(error: Any, element: etree._Element, part: SchemaPart | None) -> Phrase | str:
    """Return what is wrong with *element*, of the kind *part*, that libxml2 names in *error*; its own words for the rest."""
    if part is not None and part.strict_value is not None:
        reason = explain_value(part.strict_value, element.text or "", error.type_name)
        if reason is not None:
            return reason
    parent = element.getparent()
    if error.type_name == _CONTENT and _MISSING in error.message:
        names = error.message.partition("Expected is")[2].partition("(")[2].partition(")")[0].strip()
        return phrase("is not complete; add one of: {names}", names=names.replace(f"{{{QCVN}}}", "")[:200])
    if error.type_name == _CONTENT and part is not None and parent is not None:
        count = sum(1 for _each in parent.iterchildren(element.tag))
        if part.strict_most is not None and count > part.strict_most:
            return say_too_many(count, part.strict_most)
        return phrase("is not allowed here; remove it")
    return _PREAMBLE.sub("", error.message or "").replace(f"{{{QCVN}}}", "")[:200]


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

    The folder has the folders `observed` and `strict`, or the files themselves, which are then both. Raises OSError if
    they are missing, ConfigurationFault or etree.LxmlError if they are broken or name a file outside the folder.
    """
    place = folder or xsd_schemas.find_schema_root() / "xsd/qcvn102"
    flat = (place / f"{kind}.xsd").exists()
    observed, strict = ((place if flat else place / profile) / f"{kind}.xsd" for profile in ("observed", "strict"))
    shaping = _Shaping(*(_load_model(path, place) for path in (observed, strict)))
    try:
        shape = shaping.shape_root()
    except RecursionError:
        raise _make_unfit_fault(kind, phrase("types inside one another, too many")) from None
    values: dict[str, frozenset[str]] = {}
    for part in shape.every_part():
        if part.values is not None:
            values[part.tag] = values.get(part.tag, part.values) & part.values
    return Schema(shape, values, observed, strict)


def _load_model(path: Path, folder: Path) -> SchemaModel:
    files = gather_schema_folder(path, folder)
    return load_schema_model(files, next(iter(files)))


@attrs.frozen(eq=False)
class _Shaping:
    """Derives the shapes of a kind of packet from the models of both schemas. A type may contain itself."""

    _observed: SchemaModel
    _strict: SchemaModel
    _shapes: dict[tuple[str, str], Shape] = attrs.field(factory=dict, init=False)

    def shape_root(self) -> Shape:
        """Return the shape of a packet. Raises ConfigurationFault."""
        pair = [model.elements.get(_ROOT) for model in (self._observed, self._strict)]
        if pair[0] is None or pair[1] is None:
            raise _make_unfit_fault("edXML", phrase("no element edXML of the namespace {space}", space=QCVN))
        found = self._shape(pair[0].type, pair[1].type)
        if found is None:
            raise _make_unfit_fault("edXML", phrase("the element edXML has no children"))
        return found

    def _shape(self, observed: str, strict: str) -> Shape | None:
        """Return the shape of elements with these types: the order of their children by the strict schema, and the
        required ones by the observed schema. Return None if they have a value or any content.
        """
        taken, declared = self._observed.types[observed], self._strict.types[strict]
        if taken.is_any or declared.is_any or taken.value is not None or declared.value is not None:
            return None
        if (observed, strict) not in self._shapes:
            places, wild = rank_elements(declared.group) if declared.group is not None else ({}, 0)
            wildcards = list_wildcards(declared.group) if declared.group is not None else ()
            found = self._shapes[observed, strict] = Shape(
                {},
                tuple(each.namespaces for each in wildcards),
                wild,
                frozenset(each.name for each in taken.attributes),
                taken.attribute_spaces or NamespaceSet(),
            )
            found.parts.update(self._parts(taken, declared, places))
        return self._shapes[observed, strict]

    def _parts(
        self, taken: ModelType, declared: ModelType, places: Mapping[str, int]
    ) -> Iterator[tuple[str, SchemaPart]]:
        narrow, wide = (count_elements(each.group) if each.group is not None else {} for each in (declared, taken))
        for tag, total in narrow.items():
            if tag not in wide:
                continue  # as any element that no schema knows
            kinds = wide[tag].element.type, total.element.type
            allowed, value = self._observed.types[kinds[0]].value, self._strict.types[kinds[1]].value
            most = wide[tag].most
            yield (
                tag,
                SchemaPart(
                    places[tag],
                    total.element.name,
                    tag,
                    most=_MOST if most is None else most,
                    needed=wide[tag].least > 0,
                    expected=total.least > 0,
                    binary=value is not None and value.builtin == BASE64,
                    shape=self._shape(*kinds),
                    values=None if allowed is None else allowed.values,
                    rule=None if allowed is None or value is None else derive_text_rule(allowed, value),
                    strict_most=total.most,
                    strict_value=value,
                ),
            )


def _make_unfit_fault(place: str, wrong: Phrase) -> ConfigurationFault:
    return ConfigurationFault([Mistake(place, wrong, phrase("schemas of packets of QCVN 102"))])


_TEXTS = ("string", "normalizedString", "token")
_WHOLE = ("integer", "nonNegativeInteger", "long", "unsignedLong", "int", "unsignedInt")
#: Digits of whole numbers, without signs, and without numbers near the ends of their ranges.
_DIGITS = {
    **dict.fromkeys(_WHOLE, "[0-9]{1,9}"),
    "positiveInteger": "[1-9][0-9]{0,8}",
    **dict.fromkeys(("short", "unsignedShort"), "[0-9]{1,4}"),
    **dict.fromkeys(("byte", "unsignedByte"), "[0-9]{1,2}"),
}
#: The rules of the built-in types.
_BUILT_IN = {
    **dict.fromkeys(_TEXTS, TextRule()),
    "boolean": TextRule(values=frozenset({"true", "false", "1", "0"})),
    **{name: TextRule(patterns=(re.compile(digits),)) for name, digits in _DIGITS.items()},
}
#: A range of numbers is listed if it ends below this one.
_FEW = 100
#: What a pattern of the schemas may consist of to mean the same in Python, where `\\d` is limited to ASCII.
_COMMON_PATTERN = re.compile(r"(?:[0-9A-Z/: ()?|]|\\[d.]|\[[0-9A-Z-]+\]|\{[0-9]+(?:,[0-9]+)?\})*")


def derive_text_rule(*kinds: ModelValue) -> TextRule | None:
    """Return the rule of texts that each of *kinds* certainly allows; None if one has anything that is not known here."""
    rule = TextRule()
    for each in kinds:
        own = _read_rule(each)
        if own is None:
            return None
        rule = TextRule(
            max(rule.least, own.least),
            min(rule.most, own.most),
            (*rule.patterns, *(pattern for pattern in own.patterns if pattern not in rule.patterns)),
            own.values if rule.values is None else rule.values if own.values is None else rule.values & own.values,
        )
    return rule


def _read_rule(kind: ModelValue) -> TextRule | None:
    rule = _BUILT_IN.get(kind.builtin) if kind.variety is ValueVariety.ATOMIC else None
    others = (kind.min_exclusive, kind.max_exclusive, kind.total_digits, kind.fraction_digits)
    if rule is None or any(each is not None for each in others):
        return None
    try:
        patterns = [_translate_patterns(group) for group in kind.patterns]
    except (ValueError, OverflowError, re.error):
        return None
    values = kind.values
    if kind.min_inclusive is not None or kind.max_inclusive is not None:  # of small numbers, which are all listed
        least, most = int(kind.min_inclusive or "0"), int(kind.max_inclusive or _FEW)
        if kind.builtin in _TEXTS or not 0 <= least <= most < _FEW or values is not None:
            return None
        values = frozenset(map(str, range(least, most + 1)))
    if rule.values is not None:
        values = rule.values if values is None else values & rule.values
    return TextRule(
        max(rule.least, kind.least),
        rule.most if kind.most is None else min(rule.most, kind.most),
        (*rule.patterns, *patterns),
        values,
    )


def _translate_patterns(group: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern for texts that one of the XSD patterns *group* allows. Raises ValueError or re.error."""
    if not all(map(_COMMON_PATTERN.fullmatch, group)):
        raise ValueError(group)
    return re.compile("|".join(f"(?:{each})" for each in group), re.ASCII)
