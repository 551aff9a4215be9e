"""The model of a schema as plain values: elements, types, content and facets, however the schema writes them.

Knows XML Schema 1.0. Does not read schemas: `hub.formats.models.xsd_components` does, with xmlschema, and what it makes
of the schemas that are shipped is kept (`hub.formats.models.kept_values`), so that a start does without xmlschema.
Prefixes, named and anonymous types, groups, extensions, references, and the files of a schema leave no trace here, except
the names of types.

Names of elements and types are Clark names (`{namespace}local`). Types are found by their keys, because a type may
contain itself.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.formats.xsd_schemas import XSD
from hub.language.phrases import Phrase, phrase

ANY_TYPE = f"{{{XSD}}}anyType"
BASE64 = "base64Binary"
#: The built-in types of whole numbers (XSD 1.0 part 2, 3.3).
INTEGERS = frozenset(
    {
        *("integer", "long", "int", "short", "byte", "nonNegativeInteger", "positiveInteger", "nonPositiveInteger"),
        *("negativeInteger", "unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte"),
    }
)
#: The greatest least length of a binary value, in octets: a text of that length is kept to stand for the value.
_LEAST = 10_000
#: Text by language, `""` where none is given.
Labels = Mapping[str, str]


class ValueVariety(StrEnum):
    """The varieties of simple types (XSD 1.0 part 2, 4.1.1)."""

    ATOMIC = "atomic"
    LIST = "list"
    UNION = "union"


class GroupKind(StrEnum):
    """The compositors of model groups (XSD 1.0 part 1, 3.8.1)."""

    SEQUENCE = "sequence"
    CHOICE = "choice"
    ALL = "all"


@attrs.frozen
class NamespaceSet:
    """The namespaces that a wildcard allows; `""`: no namespace."""

    names: frozenset[str] = frozenset()
    others: bool = False  #: all but *names*

    def __contains__(self, namespace: object) -> bool:
        return (namespace in self.names) is not self.others


@attrs.frozen
class ModelChoice:
    """One value of an enumeration."""

    value: str
    labels: Labels = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ModelValue:
    """A simple type: a built-in type, and the facets of all restrictions of it."""

    builtin: str  #: local name of the built-in type, such as `token`; of a list or union `anySimpleType`
    variety: ValueVariety = ValueVariety.ATOMIC
    least: int = 0  #: length in characters; of base64 and hex in octets; of a list in items
    most: int | None = None  #: None: any length
    patterns: tuple[tuple[str, ...], ...] = ()  #: as XSD writes them; of each group one must match
    choices: tuple[ModelChoice, ...] | None = None  #: None: any value
    #: the narrowest bounds, as the schema writes them
    min_inclusive: str | None = None
    max_inclusive: str | None = None
    min_exclusive: str | None = None
    max_exclusive: str | None = None
    total_digits: int | None = None
    fraction_digits: int | None = None

    @property
    def values(self) -> frozenset[str] | None:
        """Return the only values; None: any."""
        return None if self.choices is None else frozenset(each.value for each in self.choices)

    @property
    def is_bounded(self) -> bool:
        """Tell whether a facet other than a length bounds it."""
        others = (self.choices, self.min_inclusive, self.max_inclusive, self.min_exclusive, self.max_exclusive)
        digits = (self.total_digits, self.fraction_digits)
        return bool(self.patterns) or any(each is not None for each in (*others, *digits))


@attrs.frozen(kw_only=True)
class ModelAttribute:
    """An attribute that a type allows."""

    name: str  #: Clark name; without a namespace the local name
    value: ModelValue
    needed: bool = False
    default: str | None = None
    fixed: str | None = None
    labels: Labels = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ModelElement:
    """An element: a global one, or one in the content of a type."""

    tag: str  #: Clark name; without a namespace the local name
    type: str  #: key of its type
    least: int = 1
    most: int | None = 1  #: None: any number
    nillable: bool = False
    default: str | None = None
    fixed: str | None = None
    labels: Labels = attrs.field(factory=dict)

    @property
    def name(self) -> str:
        """Return the local name."""
        return self.tag.rpartition("}")[2]

    @property
    def namespace(self) -> str:
        """Return the namespace; `""`: none."""
        return self.tag[1:].rpartition("}")[0]


@attrs.frozen(kw_only=True)
class ModelWildcard:
    """Any element of some namespaces."""

    namespaces: NamespaceSet
    least: int = 1
    most: int | None = 1


@attrs.frozen(kw_only=True)
class ModelGroup:
    """The children of an element, in order.

    A group in a group is there only where it means something: no sequence once in a sequence, no group of one.
    """

    kind: GroupKind
    items: tuple["ModelElement | ModelWildcard | ModelGroup", ...] = ()
    least: int = 1
    most: int | None = 1


@attrs.frozen(kw_only=True)
class ModelType:
    """A type: a simple one has a *value*; a complex one has attributes, and a *group* of children or a *value*."""

    name: str = ""  #: Clark name; "": anonymous
    value: ModelValue | None = None
    group: ModelGroup | None = None
    mixed: bool = False  #: text may stand between the children
    attributes: tuple[ModelAttribute, ...] = ()
    attribute_spaces: NamespaceSet | None = None
    labels: Labels = attrs.field(factory=dict)

    @property
    def is_any(self) -> bool:
        """Tell whether it is `xs:anyType`: any content."""
        return self.name == ANY_TYPE


@attrs.frozen
class SchemaModel:
    """A schema with all that it includes and imports."""

    elements: Mapping[str, ModelElement]  #: the global ones, by Clark name
    types: Mapping[str, ModelType]  #: by key; of a named type its Clark name

    def type_of(self, element: ModelElement) -> ModelType:
        """Return the type of *element*."""
        return self.types[element.type]

    def every_element(self) -> Iterator[ModelElement]:
        """Yield every element once for each declaration: the global ones, and those in the content of types."""
        yield from self.elements.values()
        for each in self.types.values():
            if each.group is not None:
                yield from list_elements(each.group)


def list_elements(group: ModelGroup) -> Iterator[ModelElement]:
    """Yield the elements of *group*, in order, those of groups in it too."""
    for each in group.items:
        if isinstance(each, ModelElement):
            yield each
        elif isinstance(each, ModelGroup):
            yield from list_elements(each)


def list_wildcards(group: ModelGroup) -> Iterator[ModelWildcard]:
    """Yield the wildcards of *group*, in order, those of groups in it too."""
    for each in group.items:
        if isinstance(each, ModelWildcard):
            yield each
        elif isinstance(each, ModelGroup):
            yield from list_wildcards(each)


def find_binary_elements(model: SchemaModel) -> dict[str, ModelValue]:
    """Return the elements whose value is base64, by tag, with the bounds of its length in octets.

    Raises ConfigurationFault if the tag of one has another meaning elsewhere, or if more than the length of a value is
    bounded: a reader takes long values out of a document by their names, before it is validated.
    """
    found: dict[str, ModelValue | None] = {}
    for each in model.every_element():
        value = model.type_of(each).value
        binary = (
            value if value is not None and value.builtin == BASE64 and value.variety == ValueVariety.ATOMIC else None
        )
        if found.setdefault(each.tag, binary) != binary:
            raise _make_unfit_fault(each, phrase("is base64 in one place, and something else in another"))
        if binary is not None and binary.is_bounded:
            raise _make_unfit_fault(each, phrase("its base64 is bounded by more than its length"))
        if binary is not None and binary.least > _LEAST:
            raise _make_unfit_fault(
                each, phrase("its base64 must have at least {least} octets: too many", least=binary.least)
            )
    return {tag: value for tag, value in found.items() if value is not None}


def _make_unfit_fault(element: ModelElement, wrong: Phrase) -> ConfigurationFault:
    return ConfigurationFault(
        [Mistake(element.name, wrong, phrase("an element of its own name for each binary value"))]
    )


@attrs.frozen
class ElementTotal:
    """How often an element may occur in a content altogether; *most* None: any number."""

    element: ModelElement
    least: int
    most: int | None


def count_elements(group: ModelGroup) -> dict[str, ElementTotal]:
    """Return the elements that *group* allows, by tag in order, with the numbers that every content of it keeps."""
    found: dict[str, ElementTotal] = {}
    for index, each in enumerate(group.items):
        if isinstance(each, ModelWildcard):
            totals: Mapping[str, ElementTotal] = {}
        elif isinstance(each, ModelElement):
            totals = {each.tag: ElementTotal(each, each.least, each.most)}
        else:
            totals = count_elements(each)
        if group.kind is GroupKind.CHOICE:
            found = _choose_totals(found, totals) if index else dict(totals)
        else:
            for tag, total in totals.items():
                found[tag] = _add_totals(found[tag], total) if tag in found else total
    times = {
        tag: ElementTotal(each.element, each.least * group.least, _multiply_bounds(each.most, group.most))
        for tag, each in found.items()
    }
    return {tag: each for tag, each in times.items() if each.most != 0}


def _add_totals(one: ElementTotal, other: ElementTotal) -> ElementTotal:
    most = None if one.most is None or other.most is None else one.most + other.most
    return ElementTotal(one.element, one.least + other.least, most)


def _choose_totals(one: Mapping[str, ElementTotal], other: Mapping[str, ElementTotal]) -> dict[str, ElementTotal]:
    found = {}
    for tag in (*one, *(tag for tag in other if tag not in one)):
        some = [each[tag] for each in (one, other) if tag in each]
        least = min(each.least for each in some) if len(some) > 1 else 0
        most = None if any(each.most is None for each in some) else max(each.most or 0 for each in some)
        found[tag] = ElementTotal(some[0].element, least, most)
    return found


def _multiply_bounds(one: int | None, other: int | None) -> int | None:
    if 0 in {one, other}:
        return 0
    return None if one is None or other is None else one * other


def rank_elements(group: ModelGroup) -> tuple[dict[str, int], int]:
    """Return the places of the elements of *group* in its order, by tag, and the place of its last wildcard.

    Elements that may stand in any order have the same place. Without a wildcard its place is behind all elements.
    """
    found: list[tuple[str, int]] = []
    last = _rank_elements(group, found, 0, alike=False)
    spans: dict[str, tuple[int, int]] = {}
    for tag, place in found:
        spans[tag] = (spans[tag][0] if tag in spans else place, place)
    first = list(range(last + 1))
    for begin, end in sorted(spans.values()):  # one that may come again: all between have its place
        first[begin : end + 1] = [first[begin]] * (end + 1 - begin)
    wild = first[spans.pop("")[1]] if "" in spans else last
    return {tag: first[begin] for tag, (begin, _end) in spans.items()}, wild


def _rank_elements(group: ModelGroup, found: list[tuple[str, int]], place: int, *, alike: bool) -> int:
    """Add the elements of *group* with their places from *place*. Return the place behind them."""
    alike = alike or group.kind is GroupKind.ALL or (group.most != 1 and len(group.items) > 1)
    for each in group.items:
        if isinstance(each, ModelGroup):
            behind = _rank_elements(each, found, place, alike=alike)
        else:
            found.append((each.tag if isinstance(each, ModelElement) else "", place))
            behind = place + 1
        place = place if alike else behind
    return place + 1 if alike else place


# --- as JSON ----------------------------------------------------------------------------------------------------------


def write_model(model: SchemaModel) -> Any:
    """Return *model* as a JSON value. What has its default value is left out."""
    return {
        "elements": {tag: _dump_value(each) for tag, each in model.elements.items()},
        "types": {key: _dump_value(each) for key, each in model.types.items()},
    }


def read_model(value: Any) -> SchemaModel:
    """Return the model that `write_model` wrote."""
    return SchemaModel(
        {tag: ModelElement(**each) for tag, each in value["elements"].items()},
        {key: _load_type(each) for key, each in value["types"].items()},
    )


def _dump_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_dump_value(each) for each in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if not attrs.has(type(value)):
        return value
    fields = {field.name: (getattr(value, field.name), field.default) for field in attrs.fields(type(value))}
    return {name: _dump_value(own) for name, (own, default) in fields.items() if own not in (default, {})}


def _load_type(value: Any) -> ModelType:
    built = dict(value)
    if "value" in value:
        built["value"] = _load_value(value["value"])
    if "group" in value:
        built["group"] = _load_group(value["group"])
    if "attributes" in value:
        attributes = ({**each, "value": _load_value(each["value"])} for each in value["attributes"])
        built["attributes"] = tuple(ModelAttribute(**each) for each in attributes)
    if "attribute_spaces" in value:
        built["attribute_spaces"] = _load_spaces(value["attribute_spaces"])
    return ModelType(**built)


def _load_value(value: Any) -> ModelValue:
    built = dict(value)
    if "variety" in value:
        built["variety"] = ValueVariety(value["variety"])
    if "patterns" in value:
        built["patterns"] = tuple(map(tuple, value["patterns"]))
    if "choices" in value:
        built["choices"] = tuple(ModelChoice(**each) for each in value["choices"])
    return ModelValue(**built)


def _load_group(value: Any) -> ModelGroup:
    items = tuple(map(_load_item, value.get("items", ())))
    return ModelGroup(**{**value, "kind": GroupKind(value["kind"]), "items": items})


def _load_item(value: Any) -> ModelElement | ModelWildcard | ModelGroup:
    if "kind" in value:
        return _load_group(value)
    if "namespaces" in value:
        return ModelWildcard(**{**value, "namespaces": _load_spaces(value["namespaces"])})
    return ModelElement(**value)


def _load_spaces(value: Any) -> NamespaceSet:
    return NamespaceSet(frozenset(value.get("names", ())), value.get("others", False))
