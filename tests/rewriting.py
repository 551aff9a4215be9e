"""Writes a schema otherwise without changing its meaning: small pure functions on the trees of its files.

Knows XML Schema 1.0. In the trees every QName in an attribute is a Clark name (`{namespace}local`), so that only
`write_schemas` knows prefixes. What a function changes is drawn from its `Random`; a tree that it is given stays as it is.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from random import Random

from lxml import etree

XSD = "http://www.w3.org/2001/XMLSchema"
XS = f"{{{XSD}}}"
#: The trees of a schema's files, by path.
Trees = Mapping[str, etree._Element]
Rewriting = Callable[[Trees, Random], dict[str, etree._Element]]
_OWN = "path"  #: the prefix of the target namespace in the paths of identity constraints
_TYPE_NAMES = ("type", "base", "itemType", "memberTypes")
_QNAMES = (*_TYPE_NAMES, "ref", "substitutionGroup", "refer")
_TYPES = (f"{XS}complexType", f"{XS}simpleType")
_HEADS = (f"{XS}include", f"{XS}import", f"{XS}redefine", f"{XS}annotation")
_ATTRIBUTES = (f"{XS}attribute", f"{XS}attributeGroup", f"{XS}anyAttribute")
_OCCURS = ("minOccurs", "maxOccurs")
_FACETS = (f"{XS}minLength", f"{XS}maxLength", f"{XS}pattern", f"{XS}minInclusive", f"{XS}maxInclusive")


def read_schemas(files: Mapping[str, bytes]) -> dict[str, etree._Element]:
    """Return the trees of *files*."""
    trees = {path: etree.fromstring(content, etree.XMLParser(remove_comments=True)) for path, content in files.items()}
    for root in trees.values():
        for each in root.iter("*"):
            for name in set(_QNAMES) & set(each.keys()):
                names = (each.get(name) or "").split()
                each.set(name, " ".join(_clark(one, each, root) for one in names))
            if each.get("xpath"):  # of the target namespace only
                each.set("xpath", re.sub(r"[\w.-]+:(?=\w)", f"{_OWN}:", each.get("xpath", "")))
    return trees


def _clark(name: str, element: etree._Element, root: etree._Element) -> str:
    prefix, _, local = name.rpartition(":")
    namespace = element.nsmap.get(prefix or None)
    return f"{{{namespace}}}{local}" if namespace else f"{{{root.get('targetNamespace')}}}{local}"


def write_schemas(trees: Trees, xsd_prefix: str | None, own_prefix: str | None) -> dict[str, bytes]:
    """Return the octets of *trees* with these prefixes of XML Schema and of the target namespace; None: the default one.

    Each file imports the namespaces that it uses.
    """
    found: dict[str, bytes] = {}
    places: dict[str, str] = {}
    for path, root in trees.items():
        places.setdefault(root.get("targetNamespace", ""), path)  # the first one includes the others
    for path, root in trees.items():
        copied = deepcopy(root)
        imported = {each.get("namespace") for each in root.iterchildren(f"{XS}import")}
        used = {name[1:].rpartition("}")[0] for name in _uses(root)}
        for space in sorted(used - imported - {XSD, root.get("targetNamespace")}):
            copied.insert(0, _make("import", namespace=space, schemaLocation=posixpath.basename(places[space])))
        found[path] = etree.tostring(_prefixed(copied, xsd_prefix, own_prefix))
    return found


def _prefixed(root: etree._Element, xsd_prefix: str | None, own_prefix: str | None) -> etree._Element:
    prefixes: dict[str, str | None] = {XSD: xsd_prefix, root.get("targetNamespace", ""): own_prefix}
    for each in root.iter("*"):
        for name in set(_QNAMES) & set(each.keys()):
            for one in (each.get(name) or "").split():
                prefixes.setdefault(one[1:].rpartition("}")[0], f"other{len(prefixes)}")
    spaces = {prefix: namespace for namespace, prefix in prefixes.items()} | {_OWN: root.get("targetNamespace", "")}
    return _copied(root, prefixes, spaces)


def _copied(
    element: etree._Element, prefixes: Mapping[str, str | None], spaces: Mapping[str | None, str]
) -> etree._Element:
    copied = etree.Element(element.tag, nsmap=spaces)  # type: ignore[arg-type]
    copied.text, copied.tail = element.text, element.tail
    for key, value in element.attrib.items():
        name, text = str(key), str(value)
        copied.set(name, " ".join(_short(each, prefixes) for each in text.split()) if name in _QNAMES else text)
    copied.extend(_copied(each, prefixes, spaces) for each in element)
    return copied


def _short(name: str, prefixes: Mapping[str, str | None]) -> str:
    namespace, _, local = name[1:].rpartition("}")
    prefix = prefixes[namespace]
    return f"{prefix}:{local}" if prefix else local


# --- what stands where ------------------------------------------------------------------------------------------------


def _copy(trees: Trees) -> dict[str, etree._Element]:
    return {path: deepcopy(root) for path, root in trees.items()}


def _globals(trees: Trees, *kinds: str) -> dict[str, etree._Element]:
    """Return the global components of these kinds, by Clark name."""
    return {
        f"{{{root.get('targetNamespace')}}}{each.get('name')}": each
        for root in trees.values()
        for each in root.iterchildren(*(f"{XS}{kind}" for kind in kinds))
    }


def _every(trees: Trees, *kinds: str) -> Iterator[etree._Element]:
    for root in trees.values():
        yield from list(root.iter(*(f"{XS}{kind}" for kind in kinds)))


def _may_copy(element: etree._Element) -> bool:
    """Tell whether *element* may stand twice: the name of a key may not."""
    return next(element.iter(f"{XS}unique", f"{XS}key"), None) is None


def _some(items: Sequence[etree._Element], random: Random) -> list[etree._Element]:
    return [each for each in items if random.random() < 0.5]


def _root(element: etree._Element) -> etree._Element:
    return element.getroottree().getroot()


def _fresh(trees: Trees, name: str) -> Iterator[str]:
    used = {each.get("name") for root in trees.values() for each in root.iterchildren("*")}
    return (fresh for number in range(10_000) if (fresh := f"{name}{number}") not in used)


def _own_name(root: etree._Element, name: str) -> str:
    return f"{{{root.get('targetNamespace')}}}{name}"


def _add_global(root: etree._Element, component: etree._Element) -> None:
    component.tail = "\n"
    root.append(component)


def _after_annotation(element: etree._Element) -> int:
    return sum(1 for _each in element.iterchildren(f"{XS}annotation"))


def _make(kind: str, **attributes: str) -> etree._Element:
    return etree.Element(f"{XS}{kind}", attributes)


def _keep_occurs(source: etree._Element, target: etree._Element) -> None:
    for name in _OCCURS:
        if name in source.attrib:
            target.set(name, str(source.attrib.pop(name)))


def _is_once(element: etree._Element) -> bool:
    return all(element.get(name, "1") == "1" for name in _OCCURS)


# --- rewritings -------------------------------------------------------------------------------------------------------


def make_types_anonymous(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Write the types of some elements and attributes into them. The named ones stay for the others."""
    trees = _copy(trees)
    types = _globals(trees, "complexType", "simpleType")
    users = [each for each in _every(trees, "element", "attribute") if each.get("type") in types]
    for each in _some(users, random):
        name = each.attrib.pop("type")
        assert isinstance(name, str)
        if (
            not _may_copy(types[name])
            or _root(types[name]).get("targetNamespace") != _root(each).get("targetNamespace")
            or _reaches(name, name, types)
        ):
            each.set("type", name)
            continue
        inside = deepcopy(types[name])
        del inside.attrib["name"]
        each.insert(_after_annotation(each), inside)
    return trees


def _reaches(name: str, wanted: str, types: Mapping[str, etree._Element], seen: frozenset[str] = frozenset()) -> bool:
    """Tell whether the type *name* contains elements of the type *wanted*."""
    inside = {used for each in types[name].iter("*") for key in _QNAMES for used in (each.get(key) or "").split()}
    return wanted in inside or any(
        _reaches(each, wanted, types, seen | {name})
        for each in inside & types.keys()
        if each not in seen and each != name
    )


def name_types(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Make named types of some anonymous ones."""
    trees = _copy(trees)
    names = _fresh(trees, "Named")
    for each in _some(list(_every(trees, "element", "attribute")), random):
        inside = next(each.iterchildren(*_TYPES), None)
        if inside is not None:
            name, root = next(names), _root(each)
            each.remove(inside)
            inside.set("name", name)
            each.set("type", _own_name(root, name))
            _add_global(root, inside)
    return trees


def extend_types(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Make extensions of some complex types: the first of their elements and attributes are those of a new base type."""
    trees = _copy(trees)
    names = _fresh(trees, "Base")
    for each in _some(list(_every(trees, "complexType")), random):
        sequence = next(each.iterchildren(f"{XS}sequence"), None)
        if sequence is None or not _is_once(sequence) or each.get("mixed"):
            continue
        name, root = next(names), _root(each)
        base, content = _make("complexType", name=name), _make("complexContent")
        extension = etree.SubElement(content, f"{XS}extension", base=_own_name(root, name))
        first, rest = etree.SubElement(base, f"{XS}sequence"), etree.SubElement(extension, f"{XS}sequence")
        children, attributes = list(sequence.iterchildren("*")), list(each.iterchildren(*_ATTRIBUTES))
        cut = random.randrange(len(children) + 1)
        first.extend(children[:cut])
        rest.extend(children[cut:])
        cut = 0 if any(one.tag == f"{XS}anyAttribute" for one in attributes) else random.randrange(len(attributes) + 1)
        base.extend(attributes[:cut])
        extension.extend(attributes[cut:])
        each.remove(sequence)
        each.append(content)
        _add_global(root, base)
    return trees


def write_extensions_out(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Write into some extensions what their base types have."""
    trees = _copy(trees)
    types = _globals(trees, "complexType")
    for content in _some(list(_every(trees, "complexContent")), random):
        extension, kind = next(content.iterchildren(f"{XS}extension"), None), content.getparent()
        base = None if extension is None else types.get(extension.get("base", ""))
        if (
            extension is None
            or kind is None
            or base is None
            or not _may_copy(base)
            or content.get("mixed")
            or base.get("mixed")
        ):
            continue
        sequences = [next(each.iterchildren(f"{XS}sequence"), None) for each in (base, extension)]
        plain = {child.tag for each in (base, extension) for child in each} <= {
            f"{XS}sequence",
            f"{XS}annotation",
            *_ATTRIBUTES,
        }
        if not plain or not all(each is None or _is_once(each) for each in sequences):
            continue
        whole = _make("sequence")
        for each in sequences:
            whole.extend(deepcopy(child) for child in (() if each is None else each.iterchildren("*")))
        kind.replace(content, whole)
        kind.extend(deepcopy(each) for source in (base, extension) for each in source.iterchildren(*_ATTRIBUTES))
    return trees


def make_groups(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Make named groups of some parts of sequences and of some whole contents, and of some attributes."""
    trees = _copy(trees)
    names = _fresh(trees, "Group")
    for each in _some(list(_every(trees, "sequence")), random):
        children = list(each.iterchildren("*"))
        if len(children) < 2:
            continue
        begin = random.randrange(len(children))
        part = children[begin : begin + 1 + random.randrange(len(children))]
        name, root = next(names), _root(each)
        group = _make("group", name=name)
        each.insert(each.index(part[0]), _make("group", ref=_own_name(root, name)))
        etree.SubElement(group, f"{XS}sequence").extend(part)
        _add_global(root, group)
    for each in _some(list(_every(trees, "complexType")), random):
        attributes = list(each.iterchildren(f"{XS}attribute"))
        if attributes:
            name, root = next(names), _root(each)
            group = _make("attributeGroup", name=name)
            each.insert(each.index(attributes[0]), _make("attributeGroup", ref=_own_name(root, name)))
            group.extend(attributes)
            _add_global(root, group)
    return trees


def write_groups_out(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Write some groups where they are referred to."""
    trees = _copy(trees)
    groups = {kind: _globals(trees, kind) for kind in ("group", "attributeGroup")}
    for each in _some([one for one in _every(trees, *groups) if one.get("ref")], random):
        source, parent = groups[etree.QName(each).localname].get(each.get("ref", "")), each.getparent()
        if source is None or parent is None or not _may_copy(source):
            continue
        parts = [deepcopy(one) for one in source.iterchildren("*") if one.tag != f"{XS}annotation"]
        place = parent.index(each)
        for part in parts:
            if each.tag == f"{XS}group":
                _keep_occurs(each, part)
        parent.remove(each)
        parent[place:place] = parts
    return trees


def refer_to_elements(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Make global elements of some local ones, where no wildcard would then find them."""
    trees = _copy(trees)
    if any(each.get("namespace", "##any") in {"##any", "##targetNamespace"} for each in _every(trees, "any")):
        return trees
    known = set(_globals(trees, "element"))
    for each in _some(list(_every(trees, "element")), random):
        root, parent = _root(each), each.getparent()
        name = each.get("name")
        if parent is None or parent is root or name is None or _own_name(root, name) in known or each.get("form"):
            continue
        known.add(_own_name(root, name))
        reference = _make("element", ref=_own_name(root, name))
        _keep_occurs(each, reference)
        parent.replace(each, reference)
        _add_global(root, each)
    return trees


def make_elements_local(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Write some global elements where they are referred to. The global ones stay."""
    trees = _copy(trees)
    known = _globals(trees, "element")
    for each in _some([one for one in _every(trees, "element") if one.get("ref") in known], random):
        source, parent = known[each.get("ref", "")], each.getparent()
        spaces = {_root(one).get("targetNamespace") for one in (source, each)}
        if parent is None or len(spaces) > 1 or not _may_copy(source) or _contains_itself(source, known):
            continue
        copied = deepcopy(source)
        _keep_occurs(each, copied)
        parent.replace(each, copied)
    return trees


def _contains_itself(element: etree._Element, known: Mapping[str, etree._Element]) -> bool:
    return any(each.get("ref") and known.get(each.get("ref", "")) is element for each in element.iter("*"))


def split_facets(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Make two restrictions of some: the first of their facets are those of a new base type."""
    trees = _copy(trees)
    names = _fresh(trees, "Loose")
    for each in _some(list(_every(trees, "restriction")), random):
        facets = [one for one in each.iterchildren(*_FACETS) if one.tag != f"{XS}pattern"]
        parent = each.getparent()
        if not facets or parent is None or parent.tag != f"{XS}simpleType" or each.get("base") is None:
            continue
        name, root = next(names), _root(each)
        base = _make("simpleType", name=name)
        etree.SubElement(base, f"{XS}restriction", base=each.get("base", "")).append(random.choice(facets))
        each.set("base", _own_name(root, name))
        _add_global(root, base)
    return trees


def split_by_includes(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Move some global components into files that are included, and that may include the first file again."""
    trees = _copy(trees)
    for path, root in list(trees.items()):
        moved = _some([each for each in root.iterchildren("*") if each.tag not in _HEADS], random)
        new = next(
            name for number in range(1000) if (name := f"part{number}.xsd") not in map(posixpath.basename, trees)
        )
        attributes = {key: value for key, value in root.attrib.items() if key != "id"}
        part = etree.Element(f"{XS}schema", attributes)  # type: ignore[arg-type]
        heads = root.iterchildren(f"{XS}import")
        part.extend(deepcopy(each) for each in heads)
        if random.random() < 0.5:
            part.insert(0, _make("include", schemaLocation=posixpath.basename(path)))
        part.extend(moved)
        root.insert(0, _make("include", schemaLocation=new))
        trees[posixpath.join(posixpath.dirname(path), new)] = part
    return trees


def split_by_imports(trees: Trees, random: Random) -> dict[str, etree._Element]:
    """Move some simple types into another namespace, which is imported. No document names a simple type."""
    trees = _copy(trees)
    types = _globals(trees, "simpleType")
    chosen = {name for name in types if random.random() < 0.5}
    while missing := {used for name in chosen for used in _uses(types[name]) & types.keys()} - chosen:
        chosen |= missing
    if not chosen or any(
        not used.startswith(XS) and used not in types for name in chosen for used in _uses(types[name])
    ):
        return trees
    path = next(iter(trees))
    space = next(
        f"urn:moved:{number}"
        for number in range(1000)
        if all(f"urn:moved:{number}" != root.get("targetNamespace") for root in trees.values())
    )
    new = next(name for number in range(1000) if (name := f"moved{number}.xsd") not in map(posixpath.basename, trees))
    renamed = {name: f"{{{space}}}{number}".replace("}", "}T") for number, name in enumerate(sorted(chosen))}
    part = etree.Element(f"{XS}schema", targetNamespace=space)
    for name in sorted(chosen):
        types[name].set("name", renamed[name].rpartition("}")[2])
        part.append(types[name])
    trees[posixpath.join(posixpath.dirname(path), new)] = part
    for root in trees.values():
        for each in root.iter("*"):
            for key in set(_TYPE_NAMES) & set(each.keys()):  # an element may have the name of a type
                each.set(key, " ".join(renamed.get(one, one) for one in (each.get(key) or "").split()))
    return trees


def _uses(component: etree._Element) -> set[str]:
    return {used for each in component.iter("*") for key in _QNAMES for used in (each.get(key) or "").split()}


#: All of them.
REWRITINGS: Sequence[Rewriting] = (
    make_types_anonymous,
    name_types,
    extend_types,
    write_extensions_out,
    make_groups,
    write_groups_out,
    refer_to_elements,
    make_elements_local,
    split_facets,
    split_by_includes,
    split_by_imports,
)
#: Prefixes of XML Schema and of the target namespace; None: the default namespace.
PREFIXES: Sequence[tuple[str | None, str | None]] = (
    ("xs", "t"),
    ("xsd", None),
    (None, "t"),
    ("t", "xs"),
    ("schema", "xsd"),
    ("a.b-c", "_"),
)
