"""Explains why an element does not conform to its schema: every mistake with its place, what was found, what is allowed.

Knows xmlschema, which is asked only after libxml2 has refused: it says much more, and takes up to 170 times as long. Does
not know what a schema describes, or what becomes of a mistake.

It never happens in a turn of the reactor. The cost is bounded, whatever a sender wrote: of a large element only the parts
that libxml2 names are examined, at most `ELEMENTS` elements and `SECONDS` of CPU, and at most `MISTAKES` mistakes are
found. What was not examined is said.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from enum import StrEnum
from itertools import islice
from typing import Any, cast

import attrs
from lxml import etree
from xmlschema import XMLSchema10
from xmlschema.exceptions import XMLSchemaException
from xmlschema.validators import (
    XMLSchemaChildrenValidationError,
    XMLSchemaDecodeError,
    XMLSchemaValidationError,
    XsdAtomicBuiltin,
    XsdAtomicRestriction,
    XsdAttributeGroup,
    XsdElement,
    XsdEnumerationFacets,
    XsdFractionDigitsFacet,
    XsdGroup,
    XsdLengthFacet,
    XsdMaxExclusiveFacet,
    XsdMaxInclusiveFacet,
    XsdMaxLengthFacet,
    XsdMinExclusiveFacet,
    XsdMinInclusiveFacet,
    XsdMinLengthFacet,
    XsdPatternFacets,
    XsdTotalDigitsFacet,
)

from hub.domain.turns import leave_turn
from hub.formats.models.xsd_components import build_components
from hub.formats.models.xsd_files import gather_schema_folder
from hub.formats.value_mistakes import (
    list_texts,
    say_children,
    say_digits,
    say_enumeration,
    say_other_length,
    say_pattern,
    say_too_little,
    say_too_long,
    say_too_many,
    say_too_much,
    say_too_short,
    say_type,
    shorten_text,
)
from hub.formats.xsd_patterns import PatternMatcher
from hub.formats.xsd_schemas import XSD, SchemaFiles, SchemaSource, find_schema_root
from hub.language.phrases import Phrase, phrase

#: The most elements of one refused element that are examined: 0.1 s of a core for the usual ones.
ELEMENTS = 4_000
#: The most seconds of CPU that one refused element takes. It is looked at before each element.
SECONDS = 0.1
#: The most attributes of one element. An element with more is not examined: the library repeats all of them for each.
_ATTRIBUTES = 50
#: The most mistakes that are named.
MISTAKES = 200
#: The most errors of libxml2 that are read to find the flawed parts of a large element: each costs a walk through it.
_READ = 200
#: The most times that libxml2 validates what is behind a child that it did not expect.
_ROUNDS = 5
#: The slashes in libxml2's path of a child of the root.
_CHILD = 2
#: The most letters of a label.
_LONGEST_LABEL = 150
#: Maximum models of schemas of the configuration that a process keeps. One has about 1 MB.
_KEPT = 16
_CLAUSE = re.compile(r"[.:;](?: |$)")  #: ends the part of a sentence that is a label
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

_Element = etree._Element  # noqa: SLF001 - lxml has no other name


class MistakeKind(StrEnum):
    """What is wrong with an element."""

    MISSING = "missing"  #: a required child or attribute is absent
    UNEXPECTED = "unexpected"  #: it has no place there, or stands there too often or in the wrong order
    PATTERN = "pattern"
    LENGTH = "length"
    ENUMERATION = "enumeration"
    RANGE = "range"
    TYPE = "type"
    OTHER = "other"  #: what has no kind of its own


@attrs.frozen
class XsdMistake:
    """One mistake of a refused element."""

    kind: MistakeKind
    element: _Element  #: in the tree that was given: the flawed one, or the one that lacks a child
    name: str  #: of the child that is missing; of an attribute with `@`; "" for the element itself
    reason: Phrase  #: what was found, what is allowed, and what to do
    following: _Element | None = None  #: the sibling before which the missing child belongs
    path: str = ""  #: such as `/SyncDossiers/HoSo[101]/NgayTiepNhan`; an index where there are several of the name
    #: what the schema says of the element, in Vietnamese where it does; and of the form of its value, if that is wrong
    label: str = ""

    @property
    def place(self) -> _Element:
        """Return the element whose line and column are those of the mistake."""
        return self.element if self.following is None else self.following


@attrs.frozen
class Explanation:
    """The mistakes of a refused element, in the order of the document."""

    mistakes: tuple[XsdMistake, ...]
    whole: bool  #: all was examined


class _Models:
    """The component models of the schemas. One is built once in a process, which takes a tenth of a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: dict[SchemaSource, XMLSchema10] = {}

    def load(self, source: SchemaSource) -> XMLSchema10:
        with self._lock:
            model = self._built.get(source)
            if model is None:
                kept = [each for each in self._built if isinstance(each, SchemaFiles)]
                if isinstance(source, SchemaFiles) and len(kept) >= _KEPT:
                    del self._built[kept[0]]
                model = self._built[source] = _build_schema(source)
            return model


def _build_schema(source: SchemaSource) -> XMLSchema10:
    if isinstance(source, SchemaFiles):
        built = build_components(dict(source.files), source.main)
    else:
        root = find_schema_root()
        files = gather_schema_folder(source, root if source.is_relative_to(root) else None)
        built = build_components(files, next(iter(files)))
    for schema in built.maps.iter_schemas():  # those of the library itself are not among them
        for each in schema.iter_components(XsdAtomicRestriction):
            facet: Any = cast("Any", each).facets.get(f"{{{XSD}}}pattern")
            if isinstance(facet, XsdPatternFacets):
                facet.patterns = cast("Any", [PatternMatcher(text) for text in facet.regexps])
    return built


_MODELS = _Models()


def explain_schema_refusal(source: SchemaSource, element: _Element, schema: etree.XMLSchema) -> Explanation:
    """Return why *element*, which *schema* of *source* has just refused, does not conform.

    *schema* still has its errors. Return no mistake if the library finds none, or cannot say what it found; the caller
    has libxml2's words then. Raises NeedsThread in a turn of the reactor.
    """
    leave_turn()
    part, sent, whole = _choose_part(element, schema)
    model = _MODELS.load(source)
    limit = _Limit()
    try:
        # a document's own hints where its schema is found are never followed
        errors = model.iter_errors(part, use_location_hints=False, validation_hook=limit.stops_at)
        found = list(_read_errors(islice(errors, MISTAKES)))
    except (XMLSchemaException, ValueError, RecursionError):  # such as an xsi:type that there is not
        return Explanation((), whole=False)
    whole = whole and not limit.reached and len(found) < MISTAKES
    order = {each: place for place, each in enumerate(part.iter("*"))}
    found.sort(key=lambda mistake: order[mistake.place])
    paths, labels = _Paths(element), _Labels(model, element)
    return Explanation(tuple(_complete_mistake(mistake, sent, paths, labels) for mistake in found[:MISTAKES]), whole)


@attrs.define
class _Limit:
    """Tells the library where to stop."""

    reached: bool = False
    _until: float = attrs.field(init=False, factory=lambda: time.thread_time() + SECONDS)

    def stops_at(self, element: Any, _declared: object) -> bool:
        """Tell whether *element* is not examined any more."""
        stops = len(element.attrib) > _ATTRIBUTES or time.thread_time() > self._until
        self.reached |= stops
        return stops


def _complete_mistake(
    mistake: XsdMistake, sent: Mapping[_Element, _Element], paths: "_Paths", labels: "_Labels"
) -> XsdMistake:
    """Return *mistake* with its path and label, and with the elements that were *sent* instead of their copies."""
    element = sent.get(mistake.element, mistake.element)
    following = None if mistake.following is None else sent.get(mistake.following, mistake.following)
    inside = f"/{mistake.name}" if mistake.name else ""
    own, of_type = labels.find(element, "" if mistake.name.startswith("@") else mistake.name)
    label = "; ".join(filter(None, (own, of_type if mistake.kind is MistakeKind.PATTERN else "")))
    return attrs.evolve(mistake, element=element, following=following, path=paths.write(element) + inside, label=label)


class _Paths:
    """Writes the paths of elements below one. The children of each parent are counted once."""

    def __init__(self, top: _Element) -> None:
        self._top = top
        self._counted: dict[_Element, dict[_Element, str]] = {}

    def write(self, element: _Element) -> str:
        """Return the path of *element* from the top, such as `/SyncDossiers/HoSo[101]/NgayTiepNhan`."""
        steps: list[str] = []
        while element is not self._top and (parent := element.getparent()) is not None:
            if parent not in self._counted:
                self._counted[parent] = self._count(parent)
            steps.append(self._counted[parent][element])
            element = parent
        return "/".join(["", _read_local_part(self._top.tag), *reversed(steps)])

    @staticmethod
    def _count(parent: _Element) -> dict[_Element, str]:
        children = list(parent.iterchildren("*"))
        every, seen = Counter(child.tag for child in children), Counter[object]()
        steps: dict[_Element, str] = {}
        for child in children:
            seen[child.tag] += 1
            steps[child] = _read_local_part(child.tag) + (f"[{seen[child.tag]}]" if every[child.tag] > 1 else "")
        return steps


class _Labels:
    """Finds what the schema says of elements and their types: the first `xs:documentation`, the Vietnamese one first."""

    def __init__(self, model: XMLSchema10, top: _Element) -> None:
        self._model, self._top = model, top
        self._found: dict[tuple[str, ...], tuple[str, str]] = {}

    def find(self, element: _Element, name: str) -> tuple[str, str]:
        """Return what is said of *element*, or of its child with the local *name*, and of the type of that."""
        tags = [str(element.tag)]
        while element is not self._top and (parent := element.getparent()) is not None:
            element = parent
            tags.append(str(element.tag))
        path = (*reversed(tags), name)
        if path not in self._found:
            self._found[path] = self._read(path)
        return self._found[path]

    def _read(self, path: tuple[str, ...]) -> tuple[str, str]:
        declared: Any = self._model.maps.elements.get(path[0])
        for tag in path[1:]:
            if declared is None or not tag:
                break
            inside = getattr(declared.type, "content", None)
            children = inside.iter_elements() if isinstance(inside, XsdGroup) else ()
            declared = next(
                (each for each in children if each.name and tag in (each.name, _read_local_part(each.name))), None
            )
        said = _read_documentation(declared) or _read_documentation(getattr(declared, "ref", None))
        return said, _read_documentation(getattr(declared, "type", None))


def _read_documentation(component: Any) -> str:
    annotation = getattr(component, "annotation", None)
    said: dict[str, str] = {}
    for each in annotation.documentation if annotation is not None else ():
        text = " ".join("".join(each.itertext()).split())
        if text:
            said.setdefault(each.get(_XML_LANG, ""), shorten_text(_CLAUSE.split(text, 1)[0], _LONGEST_LABEL))
    return said.get("vi") or next(iter(said.values()), "")


def _choose_part(element: _Element, schema: etree.XMLSchema) -> tuple[_Element, Mapping[_Element, _Element], bool]:
    """Return what is examined: *element*, or of a large one a copy with the children that libxml2 names; of each element
    of the copy the one that was sent; and whether that is all that may be flawed.
    """
    if sum(1 for _each in islice(element.iter("*"), ELEMENTS + 1)) <= ELEMENTS:
        return element, {}, True
    named, whole = _find_flawed_children(element, schema)
    part, sent, left = _copy_empty(element), {}, ELEMENTS
    sent[part] = element
    kept: set[object] = set()
    for child in element.iterchildren("*"):
        if child not in named and child.tag in kept:
            continue  # one of each kind stays, so that none is said to be missing
        size = sum(1 for _each in islice(child.iter("*"), left + 1))
        if size > left:
            whole = False
            break
        left -= size
        kept.add(child.tag)
        part.append(copy(child))
        sent.update(zip(part[-1].iter("*"), child.iter("*"), strict=True))
    return part, sent, whole


def _copy_empty(element: _Element) -> _Element:
    """Return a copy of *element* without its children."""
    attributes, namespaces = cast("Any", element.attrib), cast("Any", element.nsmap)
    copied = etree.Element(element.tag, attributes, namespaces)
    copied.text = element.text
    return copied


def _find_flawed_children(element: _Element, schema: etree.XMLSchema) -> tuple[set[_Element], bool]:
    """Return the children of *element* that libxml2 names, and whether it named all that are flawed.

    At a child that it did not expect it stops. So the children behind that one are validated again, without it.
    """
    examined, children = element, list(element)  # comments too: libxml2 does not count them, lxml does
    flawed: set[_Element] = set()
    for _round in range(_ROUNDS):
        log: list[Any] = list(islice(cast("Any", schema.error_log), _READ + 1))
        unexpected = None
        for error in log[:_READ]:
            place = _find_child(examined, error.path or "")
            if place is not None:
                flawed.add(children[place])
                if error.type_name == "SCHEMAV_ELEMENT_CONTENT" and error.path.count("/") == _CHILD:
                    unexpected = place
        if len(log) > _READ:
            return flawed, False
        if unexpected is None:
            return flawed, True
        first = {child.tag: child for child in reversed(children[:unexpected]) if child not in flawed}
        children = [*reversed(first.values()), *children[unexpected + 1 :]]
        examined = _copy_empty(element)
        examined.extend(copy(child) for child in children)
        if schema.validate(examined):
            return flawed, True
    return flawed, False


def _find_child(element: _Element, path: str) -> int | None:
    """Return the position of the child of *element* in which libxml2's *path* ends; None if it names no child."""
    try:
        found = element.getroottree().xpath(path, namespaces={p: uri for p, uri in element.nsmap.items() if p})
    except etree.XPathError:
        return None
    place = found[0] if isinstance(found, list) and found and etree.iselement(found[0]) else None
    while place is not None and place.getparent() is not element:
        place = place.getparent()
    return None if place is None else element.index(place)


# --- one error of the library ---------------------------------------------------------------------------------------


def _read_errors(errors: Iterable[XMLSchemaValidationError]) -> Iterator[XsdMistake]:
    judged: set[_Element] = set()  # the parents whose children were all judged at the first error
    for error in errors:
        element = cast("_Element", error.elem)
        if isinstance(error, XMLSchemaChildrenValidationError):
            model = _read_sequence(error.validator)
            if model is None:
                yield _first_mistake(error, element)
            elif element not in judged:
                judged.add(element)
                yield from list(_judge_sequence(model, element)) or [_first_mistake(error, element)]
        elif isinstance(error, XMLSchemaDecodeError):
            yield _type_mistake(element, error.obj, error.validator)
        else:
            yield _value_mistake(error, element)


def _read_sequence(group: object) -> list[XsdElement] | None:
    """Return the elements of *group* if it is a sequence of elements with different names; None for another one.

    A sequence in it, such as that of a base type or of a named group, is a part of it.
    """
    elements = _list_sequence(group)
    return None if elements is None or len({each.name for each in elements}) < len(elements) else elements


def _list_sequence(group: object) -> list[XsdElement] | None:
    if not isinstance(group, XsdGroup) or group.model != "sequence" or (group.min_occurs, group.max_occurs) != (1, 1):
        return None
    elements: list[XsdElement] = []
    for each in group.content if group.ref is None else group.ref.content:
        inside = [each] if isinstance(each, XsdElement) else _list_sequence(each)
        if inside is None:
            return None
        elements += inside
    return elements


def _judge_sequence(model: Iterable[XsdElement], parent: _Element) -> Iterator[XsdMistake]:
    """Yield every mistake among the children of *parent*; the library names the first. *model* tells their names, their
    order and how often each may occur.
    """
    children = list(parent.iterchildren("*"))
    ranks = {each.name: rank for rank, each in enumerate(model)}
    by_name = {each.name: each for each in model}
    counted = Counter(child.tag for child in children)
    last, before = -1, parent
    seen: Counter[object] = Counter()
    allowed = _list_names(by_name.values())
    for child in children:
        seen[child.tag] += 1
        known = by_name.get(str(child.tag))
        if known is None:
            reason = phrase("is not allowed here; remove it, or write one of: {names}", names=allowed)
            yield XsdMistake(MistakeKind.UNEXPECTED, child, "", reason)
        elif known.max_occurs is not None and seen[child.tag] == known.max_occurs + 1:
            yield XsdMistake(MistakeKind.UNEXPECTED, child, "", say_too_many(counted[child.tag], known.max_occurs))
        elif ranks[known.name] < last:
            reason = phrase("stands in the wrong place; it must come before {name}", name=_read_local_part(before.tag))
            yield XsdMistake(MistakeKind.UNEXPECTED, child, "", reason)
        else:
            last, before = ranks[known.name], child
    for each in model:
        if counted[each.name] < each.min_occurs:
            yield _make_missing_mistake(parent, each, _find_next(each, ranks, children))


def _find_next(wanted: XsdElement, ranks: Mapping[str, int], children: Iterable[_Element]) -> _Element | None:
    """Return the first of *children* that comes after *wanted* in the order of the model."""
    return next((child for child in children if ranks.get(str(child.tag), -1) > ranks[wanted.name]), None)


def _make_missing_mistake(parent: _Element, wanted: XsdElement, following: _Element | None) -> XsdMistake:
    name = _read_local_part(wanted.name)
    if following is None:
        return XsdMistake(MistakeKind.MISSING, parent, name, phrase("is missing; add it at the end"))
    reason = phrase("is missing; add it before {name}", name=_read_local_part(following.tag))
    return XsdMistake(MistakeKind.MISSING, parent, name, reason, following)


def _first_mistake(error: XMLSchemaChildrenValidationError, parent: _Element) -> XsdMistake:
    """Return the mistake that the library names first among the children of *parent*, whatever their model is."""
    expected: list[XsdElement] = [each for each in cast("Any", error.expected) or () if isinstance(each, XsdElement)]
    child = cast("_Element | None", error.invalid_child)
    if child is None:
        if len(expected) == 1:
            return _make_missing_mistake(parent, expected[0], None)
        reason = phrase("is not complete; add one of: {names}", names=_list_names(expected))
        return XsdMistake(MistakeKind.MISSING, parent, "", reason)
    if expected:
        reason = phrase("is not allowed here; before it must come one of: {names}", names=_list_names(expected))
    else:
        reason = phrase("is not allowed here; remove it")
    return XsdMistake(MistakeKind.UNEXPECTED, child, "", reason)


def _list_names(elements: Iterable[XsdElement]) -> str:
    return list_texts(_read_local_part(each.name) for each in elements)


def _value_mistake(error: XMLSchemaValidationError, element: _Element) -> XsdMistake:
    """Return what is wrong with the value of *element* or of one of its attributes."""
    rule, found = error.validator, error.obj
    match rule:
        case XsdPatternFacets():
            return XsdMistake(MistakeKind.PATTERN, element, "", say_pattern(found, rule.regexps))
        case XsdEnumerationFacets():
            return XsdMistake(MistakeKind.ENUMERATION, element, "", say_enumeration(found, rule.enumeration))
        case XsdMinLengthFacet() | XsdMaxLengthFacet() | XsdLengthFacet():
            return XsdMistake(MistakeKind.LENGTH, element, "", _say_length(rule, str(found)))
        case XsdMinInclusiveFacet() | XsdMinExclusiveFacet():
            reason = say_too_little(found, rule.value, exclusive=isinstance(rule, XsdMinExclusiveFacet))
            return XsdMistake(MistakeKind.RANGE, element, "", reason)
        case XsdMaxInclusiveFacet() | XsdMaxExclusiveFacet():
            reason = say_too_much(found, rule.value, exclusive=isinstance(rule, XsdMaxExclusiveFacet))
            return XsdMistake(MistakeKind.RANGE, element, "", reason)
        case XsdTotalDigitsFacet() | XsdFractionDigitsFacet():
            reason = say_digits(found, rule.value, fraction=isinstance(rule, XsdFractionDigitsFacet))
            return XsdMistake(MistakeKind.RANGE, element, "", reason)
    return _other_mistake(error, element)


def _other_mistake(error: XMLSchemaValidationError, element: _Element) -> XsdMistake:
    """Return the mistake that no facet names: of an attribute, of text or children where there are none, or a number
    outside the range of its built-in type.
    """
    said = str(error.reason)
    if isinstance(error.validator, XsdAttributeGroup):
        name = _QUOTED.search(said)
        attribute = _read_local_part(name[1]) if name else ""
        if "missing" in said:
            reason = phrase("is missing; add the attribute")
            return XsdMistake(MistakeKind.MISSING, element, f"@{attribute}", reason)
        return XsdMistake(MistakeKind.UNEXPECTED, element, f"@{attribute}", phrase("is not allowed here; remove it"))
    if isinstance(error.validator, XsdGroup) and "character data" in said:
        between = (element.text, *(child.tail for child in element))
        text = next(filter(None, (" ".join((each or "").split()) for each in between)), "")
        reason = phrase("has text between its elements, “{found}”; remove it", found=shorten_text(text))
        return XsdMistake(MistakeKind.UNEXPECTED, element, "", reason)
    if isinstance(error.validator, XsdElement) and len(element):
        return XsdMistake(MistakeKind.UNEXPECTED, element, "", say_children())
    if kind := _TYPES.search(said):
        return XsdMistake(MistakeKind.TYPE, element, "", say_type(error.obj, _TYPE_NAMES.get(kind[0], kind[0])))
    if limits := _RANGE.search(said):
        reason = phrase(
            "“{found}” is out of range: {range}; write a number inside it",
            found=shorten_text(error.obj),
            range=_SIGNS.get(limits[1], limits[1]),
        )
        return XsdMistake(MistakeKind.RANGE, element, "", reason)
    fixed = getattr(error.validator, "fixed", None)
    if fixed is not None and "fixed" in said:
        found = (element.text or "") if etree.iselement(error.obj) else error.obj
        return XsdMistake(MistakeKind.ENUMERATION, element, "", say_enumeration(found, [fixed]))
    return XsdMistake(MistakeKind.OTHER, element, "", _say_other(said))


#: Around the name of an attribute, in the library's words; what it says of a value that is not of its built-in type, and
#: of the range of such a type.
_QUOTED = re.compile("'([^']+)'")
_TYPES = re.compile(r"boolean(?= value$)|decimal$|QName$|hexadecimal(?= number$)|base64(?= encoding$)")
_TYPE_NAMES = {"hexadecimal": "hexBinary", "base64": "base64Binary"}
_RANGE = re.compile(r"value must be (\S+ <= x < \S+|(?:non )?(?:negative|positive))$")
_SIGNS = {"negative": "x < 0", "positive": "x > 0", "non positive": "x <= 0", "non negative": "x >= 0"}


def _say_other(said: str) -> Phrase:
    """Return our sentence for what the library *said* in its own words, which no person reads."""
    for words, sentence in _SENTENCES.items():
        if re.search(words, said):
            return sentence
    return phrase("does not conform to the schema; compare it with the schema")


#: A pattern of the library's words -> our sentence.
_SENTENCES: Mapping[str, Phrase] = {
    "nillable|xsi:nil": phrase("has the attribute xsi:nil, which it may not have so; remove the attribute"),
    "content is empty": phrase("must be empty; remove what is inside"),
    "abstract|blocked|can't be substituted": phrase(
        "may not be used here; write an element or type that the schema allows"
    ),
    "duplicated": phrase("has a value that must occur once, and that another one has; write another"),
    "missing key field": phrase("lacks the value that tells it from the others; write it"),
    "not found for": phrase("refers to a value that is not there; write one that is"),
    "prefix": phrase("uses a prefix that is not declared; declare it with xmlns"),
    "not allowed": phrase("is not allowed here; remove it"),
}


def _say_length(rule: object, found: str) -> Phrase:
    length = len(found)
    match rule:
        case XsdMaxLengthFacet():
            return say_too_long(length, rule.value)
        case XsdMinLengthFacet():
            return say_too_short(length, rule.value)
    return say_other_length(length, cast("Any", rule).value)


def _type_mistake(element: _Element, found: object, kind: object) -> XsdMistake:
    """Return the mistake of a value that is not of its built-in type."""
    name = _read_local_part(kind.name or "") if isinstance(kind, XsdAtomicBuiltin) else ""
    return XsdMistake(MistakeKind.TYPE, element, "", say_type(found, name))


def _read_local_part(name: object) -> str:
    return str(name).rpartition("}")[2].rpartition(":")[2]
