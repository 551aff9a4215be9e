"""Makes the model of a schema from the components that xmlschema finds in its files.

Knows xmlschema, which costs 0.15 s and 21 MB to import: import this file only where a model is derived. Reads no file and
no network: `hub.formats.models.xsd_files` has gathered what the schema consists of.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from lxml import etree
from xmlschema import XMLSchema10
from xmlschema.exceptions import XMLSchemaException, XMLSchemaWarning
from xmlschema.loaders import SchemaLoader
from xmlschema.validators import (
    XsdAnyAttribute,
    XsdAnyElement,
    XsdAtomicRestriction,
    XsdComplexType,
    XsdElement,
    XsdEnumerationFacets,
    XsdFacet,
    XsdGroup,
    XsdPatternFacets,
)

from hub.domain.errors import ConfigurationFault, Mistake
from hub.formats.models.xsd_files import list_named_files, parse_schema
from hub.formats.models.xsd_model import (
    ANY_TYPE,
    GroupKind,
    ModelAttribute,
    ModelChoice,
    ModelElement,
    ModelGroup,
    ModelType,
    ModelValue,
    ModelWildcard,
    NamespaceSet,
    SchemaModel,
    ValueVariety,
)
from hub.formats.xsd_schemas import XSD
from hub.language.phrases import Phrase, phrase

#: The most elements, wildcards and groups of a schema, and in the content of one type with all groups written out. The
#: library's time grows with the square of those of one type: 2 s for 2,000, 14 s for 5,000.
PARTICLES = 5_000
_PARTICLES = tuple(f"{{{XSD}}}{name}" for name in ("element", "any", "group"))
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_UNKNOWN = NamespaceSet(others=True)  #: of `xs:anyType`
_MODELS = {each.value: each for each in GroupKind}


def derive_model(files: Mapping[str, bytes], main: str) -> SchemaModel:
    """Return the model of the schema *main* of *files* (`gather_schema_files`). Raises ConfigurationFault."""
    components = build_components(files, main)
    try:
        return _Deriving(components.maps).derive()
    except (XMLSchemaException, RecursionError, ValueError) as error:
        raise _make_unfit_fault(main, error) from None


def build_components(files: Mapping[str, bytes], main: str) -> XMLSchema10:
    """Return the components of the schema *main* of *files* (`gather_schema_files`). Raises ConfigurationFault.

    The library sees no name of a file but `file:///NUMBER.xsd`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", XMLSchemaWarning)  # such as a content that was too deep to be examined
            return _build_schema(files, main)
    except ConfigurationFault:
        raise
    except Exception as error:  # noqa: BLE001 - of a broken schema the library also fails by AttributeError and the like
        raise _make_unfit_fault(main, error) from None


def _make_unfit_fault(main: str, error: Exception) -> ConfigurationFault:
    return ConfigurationFault([Mistake(main, _say_fault(error), phrase("a schema without mistakes"))])


def _say_fault(error: Exception) -> Phrase:
    """Return in our words where the library found the schema at fault, and what it misses, if it misses something."""
    said, element = str(getattr(error, "message", "") or error), getattr(error, "elem", None)
    if isinstance(error, RecursionError) or "depth" in said:
        return phrase("it is nested too deeply to be examined")
    missing = _MISSING.search(said)
    if missing:
        return phrase("it uses “{name}”, which no file declares", name=missing[1].rpartition("}")[2][:200])
    if element is None:
        return phrase("it cannot be read as a schema")
    name = " ".join(filter(None, (str(element.tag).rpartition("}")[2], element.get("name") or element.get("ref"))))
    return phrase("the schema rules are broken at “{element}”", element=name[:200])


#: What the library says of a name that nothing declares.
_MISSING = re.compile(r"(?:unknown|missing) (?:type|element|attribute|group|base type|attribute group) '([^']+)'")


def _build_schema(files: Mapping[str, bytes], main: str) -> XMLSchema10:
    locations = {path: f"file:///{number}.xsd" for number, path in enumerate(files)}
    contents: dict[str, bytes] = {}
    declared = 0
    for path, content in files.items():
        root = parse_schema(path, content)
        declared += sum(1 for _each in root.iter(*_PARTICLES))
        if declared > PARTICLES:
            raise ValueError(f"more than {PARTICLES} elements")
        for each, named in list_named_files(path, root):
            each.set("schemaLocation", locations[named])
        contents[locations[path]] = etree.tostring(root)

    class InMemory(SchemaLoader):
        """Loads the schemas that are given, and none besides."""

        def load_schema(
            self,
            source: Any,
            namespace: str | None = None,
            base_url: str | None = None,
            build: bool = False,
            partial: bool = False,
        ) -> Any:
            content = contents[source]
            known = self.maps.get_schema(namespace, content)  # also one that is being loaded, which includes itself
            if known is not None:
                return known
            return self.schema_class(
                content,
                namespace=namespace,
                validation=self.maps.validation,
                global_maps=self.maps,
                build=build,
                partial=partial,
            )

    return XMLSchema10(
        contents[locations[main]], allow="none", defuse="always", loader_class=InMemory, use_fallback=False
    )


@attrs.define(eq=False)
class _Deriving:
    """Walks through the components. Each type is derived once."""

    _maps: Any
    _types: dict[str, ModelType] = attrs.field(factory=dict)
    _keys: dict[int, str] = attrs.field(factory=dict)  #: by the identity of the type
    _used: set[str] = attrs.field(factory=set)
    _todo: list[tuple[str, Any]] = attrs.field(factory=list)
    _left: int = PARTICLES

    def derive(self) -> SchemaModel:
        for each in self._of_schema(self._maps.types):
            self._key(each, "")
        elements = {each.name: self._element(each, "") for each in self._of_schema(self._maps.elements)}
        while self._todo:
            key, component = self._todo.pop()
            self._left = PARTICLES
            self._types[key] = self._type(component, key)
        return SchemaModel(dict(sorted(elements.items())), dict(sorted(self._types.items())))

    @staticmethod
    def _of_schema(components: Any) -> list[Any]:
        """Return the global components without those of XML Schema itself."""
        return [each for name, each in components.items() if each.schema.meta_schema is not None]

    def _key(self, kind: Any, place: str) -> str:
        """Return the key of the type *kind*, which is derived later; of an anonymous one by the *place* where it stands."""
        if id(kind) not in self._keys:
            key = kind.name if kind.name and kind.parent is None else place
            while key in self._used:
                key += "'"
            self._used.add(key)
            self._keys[id(kind)] = key
            self._todo.append((key, kind))
        return self._keys[id(kind)]

    def _element(self, element: XsdElement, place: str) -> ModelElement:
        return ModelElement(
            tag=str(element.name),
            type=self._key(element.type, f"{place}/{element.name}"),
            least=element.min_occurs,
            most=element.max_occurs,
            nillable=element.nillable,
            default=element.default,
            fixed=element.fixed,
            labels=_read_labels(element) or _read_labels(element.ref),
        )

    def _type(self, kind: Any, key: str) -> ModelType:
        name, labels = (kind.name or "") if kind.parent is None else "", _read_labels(kind)
        if name == ANY_TYPE:
            return ModelType(name=name, mixed=True, attribute_spaces=_UNKNOWN)
        if not isinstance(kind, XsdComplexType):
            return ModelType(name=name, value=_read_value(kind), labels=labels)
        content: Any = kind.content
        group = _simplify_group(self._group(content, key)) if isinstance(content, XsdGroup) else None
        declared: Mapping[Any, Any] = kind.attributes
        wild = declared.get(None)
        return ModelType(
            name=name,
            value=None if isinstance(content, XsdGroup) else _read_value(content),
            group=group if not isinstance(group, ModelElement | ModelWildcard) else _make_sequence(group),
            mixed=bool(kind.mixed),
            attributes=tuple(
                _read_attribute(each) for name, each in declared.items() if name and each.use != "prohibited"
            ),
            attribute_spaces=_read_spaces(wild) if isinstance(wild, XsdAnyAttribute) else None,
            labels=labels,
        )

    def _group(self, group: Any, key: str) -> ModelGroup:
        content = group.content if group.ref is None else group.ref.content
        kind = group.model if group.ref is None else group.ref.model
        items = tuple(each for each in (self._particle(each, key) for each in content) if each is not None)
        return ModelGroup(kind=_MODELS[kind], items=items, least=group.min_occurs, most=group.max_occurs)

    def _particle(self, particle: Any, key: str) -> ModelElement | ModelWildcard | ModelGroup | None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {PARTICLES} elements in one type")
        if particle.max_occurs == 0:
            return None
        if isinstance(particle, XsdAnyElement):
            return ModelWildcard(namespaces=_read_spaces(particle), least=particle.min_occurs, most=particle.max_occurs)
        if isinstance(particle, XsdElement):
            return self._substitutes(particle, key)
        return self._group(particle, key)

    def _substitutes(self, element: XsdElement, key: str) -> ModelElement | ModelGroup:
        """Return *element*, or the choice of all that may stand for it."""
        members = [] if element.ref is None else list(element.iter_substitutes())
        if not members and not element.abstract:
            return self._element(element, key)
        names = {each.name: each for each in (*([] if element.abstract else [element]), *members) if not each.abstract}
        choices = (self._element(each, key) for _name, each in sorted(names.items()))
        return ModelGroup(
            kind=GroupKind.CHOICE,
            items=tuple(attrs.evolve(each, least=1, most=1) for each in choices),
            least=element.min_occurs,
            most=element.max_occurs,
        )


def _make_sequence(item: ModelElement | ModelWildcard) -> ModelGroup:
    return ModelGroup(kind=GroupKind.SEQUENCE, items=(item,))


def _simplify_group(group: ModelGroup) -> ModelElement | ModelWildcard | ModelGroup:
    """Return *group* without groups in it that mean nothing."""
    items: list[ModelElement | ModelWildcard | ModelGroup] = []
    for each in group.items:
        item = _simplify_group(each) if isinstance(each, ModelGroup) else each
        if isinstance(item, ModelGroup) and (
            not item.items or ((item.least, item.most) == (1, 1) and item.kind is group.kind)
        ):
            items.extend(item.items)
        else:
            items.append(item)
    once = (group.least, group.most) == (1, 1)
    if len(items) == 1 and (once or (items[0].least, items[0].most) == (1, 1)):
        return items[0] if once else attrs.evolve(items[0], least=group.least, most=group.most)
    return attrs.evolve(group, items=tuple(items))


def _read_spaces(wildcard: Any) -> NamespaceSet:
    allowed = set(wildcard.namespace)
    if "##any" in allowed:
        return NamespaceSet(others=True)
    if "##other" in allowed:
        return NamespaceSet(frozenset({"", wildcard.target_namespace}), others=True)
    return NamespaceSet(frozenset(allowed))


def _read_attribute(attribute: Any) -> ModelAttribute:
    return ModelAttribute(
        name=str(attribute.name),
        value=_read_value(attribute.type),
        needed=attribute.use == "required",
        default=attribute.default,
        fixed=attribute.fixed,
        labels=_read_labels(attribute) or _read_labels(attribute.ref),
    )


def _read_value(kind: Any) -> ModelValue:
    """Return the built-in type and the facets of the simple type *kind* and of all that it restricts."""
    found = _FacetSum()
    while isinstance(kind, XsdAtomicRestriction) and not _is_builtin(kind):
        for facet in kind.facets.values():
            if isinstance(facet, XsdFacet):
                found.add(facet)
        base: Any = kind.base_type
        kind = base.content if isinstance(base, XsdComplexType) else base
    return ModelValue(
        builtin=kind.name.rpartition("}")[2] if _is_builtin(kind) else "anySimpleType",
        variety=ValueVariety(getattr(kind, "variety", None) or ValueVariety.ATOMIC),
        least=found.least,
        most=found.most,
        patterns=tuple(found.patterns),
        choices=found.choices,
        **found.others,
    )


#: The names of other facets, and the types of their values.
_FACETS: Mapping[str, tuple[str, Callable[[str], str | int]]] = {
    "minInclusive": ("min_inclusive", str),
    "maxInclusive": ("max_inclusive", str),
    "minExclusive": ("min_exclusive", str),
    "maxExclusive": ("max_exclusive", str),
    "totalDigits": ("total_digits", int),
    "fractionDigits": ("fraction_digits", int),
}


@attrs.define
class _FacetSum:
    """The facets of several restrictions, the last one first."""

    least: int = 0
    most: int | None = None
    patterns: list[tuple[str, ...]] = attrs.field(factory=list)
    choices: tuple[ModelChoice, ...] | None = None
    others: dict[str, Any] = attrs.field(factory=dict)

    def add(self, facet: XsdFacet) -> None:
        name, text = facet.elem.tag.rpartition("}")[2], facet.elem.get("value", "").strip()
        if isinstance(facet, XsdPatternFacets):
            self.patterns.append(tuple(facet.regexps))
        elif isinstance(facet, XsdEnumerationFacets):
            own = _read_choices(facet)
            values = {each.value for each in own}
            self.choices = own if self.choices is None else tuple(e for e in self.choices if e.value in values)
        elif name in _FACETS:
            field, convert = _FACETS[name]
            self.others.setdefault(field, convert(text))
        if name in {"length", "minLength"}:
            self.least = max(self.least, int(text))
        if name in {"length", "maxLength"}:
            self.most = int(text) if self.most is None else min(self.most, int(text))


def _is_builtin(kind: Any) -> bool:
    return str(kind.name).startswith(f"{{{XSD}}}")


def _read_choices(facet: XsdEnumerationFacets) -> tuple[ModelChoice, ...]:
    values: Iterable[Any] = facet
    return tuple(
        ModelChoice(each.get("value", ""), _read_annotation(facet.get_annotation(index)))
        for index, each in enumerate(values)
    )


def _read_labels(component: Any) -> dict[str, str]:
    return _read_annotation(getattr(component, "annotation", None))


def _read_annotation(annotation: Any) -> dict[str, str]:
    """Return what `xs:documentation` says, by language; of several of one language the first."""
    said: dict[str, str] = {}
    for each in annotation.documentation if annotation is not None else ():
        text = " ".join("".join(each.itertext()).split())
        if text:
            said.setdefault(each.get(_LANG, ""), text)
    return said
