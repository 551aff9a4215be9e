"""Normalises a packet's tree before it is validated and read. Knows a `Shape`. Does not interpret values.

Real packets vary in ways that XSD 1.0 cannot express. So the children in a freshly parsed tree, which only the hub
uses, are sorted, and elements that no schema knows are removed. Each such change is noted. The signed octets never
change. A packet that the standard allows as it is (`is_normal`) needs none of this.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, Self, cast

import attrs
from lxml import etree

from hub.domain.model import Detail, Problem
from hub.edxml.schema import QCVN, Schema, SchemaPart, Shape, join_path, read_local_name
from hub.formats.base64_content import Carried, ContentUnfit, Letters, measure_base64
from hub.formats.streamed_xml import Load, Loads
from hub.language.phrases import Phrase, phrase

MOST = 50  #: maximum problems reported for one packet, and maximum deviations
#: A schema measures a text after collapsing white space. The stored text keeps its white space and may be longer by
#: this many characters.
PADDING = 1000

_SPACE = " \t\r\n"
_RUN = re.compile(f"[{_SPACE}]+")
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
#: More elements than any bound of the observed schema on repeated elements, or instructions to the validator.
_UNUSUAL = etree.XPath("count(//*) > 2000 or //@xsi:*", namespaces={"xsi": _XSI})
_TEXTS = etree.XPath("//text()", smart_strings=False)
_PADDED = etree.XPath(f"boolean(//q:*[string-length(text()) > {PADDING}])", namespaces={"q": QCVN})


@attrs.frozen
class PacketNotes:
    """The findings in one packet: those that refuse it and those that are tolerated.

    Only the first finding per place is kept.
    """

    _refused: dict[str, Problem] = attrs.field(factory=dict)
    _tolerated: dict[str, Problem] = attrs.field(factory=dict)

    @property
    def refused(self) -> tuple[Problem, ...]:
        return tuple(self._refused.values())

    @property
    def tolerated(self) -> tuple[Problem, ...]:
        return tuple(self._tolerated.values())

    def refuse(self, letter: str, place: str, detail: Detail) -> None:
        if len(self._refused) < MOST:
            self._refused.setdefault(place, Problem(f"{letter}.{place}", detail))

    def tolerate(self, letter: str, place: str, detail: Detail) -> None:
        if len(self._tolerated) < MOST:
            self._tolerated.setdefault(place, Problem(f"{letter}.{place}", detail))

    def remark(self, code: str, place: str, detail: Detail) -> None:
        """Tolerate something that is not the value of an element."""
        if len(self._tolerated) < MOST:
            self._tolerated.setdefault(
                f"{code} {place}", Problem(code, phrase("{place}: {detail}", place=place, detail=detail))
            )


class PacketBranch(Protocol):
    """An element of a packet, with its children by local name, as the reader of packets needs it."""

    def has(self, name: str) -> bool:
        """Tell whether there is a child *name* that has children itself."""
        ...

    def text(self, name: str) -> str:
        """Return the stripped text of the child *name*. Return an empty text if there is none."""
        ...

    def texts(self, name: str) -> list[str]:
        """Return the stripped texts of all children *name*."""
        ...

    def attribute(self, name: str) -> str:
        """Return an attribute. Return an empty text if there is none."""
        ...

    def all(self, name: str) -> Sequence[Self]:
        """Return the branches *name*."""
        ...

    def one(self, *names: str) -> Self:
        """Return the branch at the path *names*. Return an empty branch if there is none."""
        ...

    def path(self, name: str) -> str:
        """Return the path of the child *name* as problems name it."""
        ...

    def line(self, name: str = "") -> Phrase:
        """Return `line N` of the child *name*, or of this element if there is no such child."""
        ...

    def take_letters(self, name: str, loads: Loads) -> Letters | None:
        """Return the base64 of the child *name*, and remove it from the tree. Return None if there is no such leaf."""
        ...


@attrs.define(eq=False)
class Branch:
    """An element of a normalised tree with its children by local name. Of repeated leaves, the last one."""

    element: etree._Element
    place: str  #: its path as problems name it
    _shape: Shape | None = None  #: its children are listed by this shape when they are first asked for
    _leaves: dict[str, etree._Element] = attrs.field(factory=dict)
    _branches: dict[str, list["Branch"]] = attrs.field(factory=dict)

    @property
    def leaves(self) -> dict[str, etree._Element]:
        if self._shape is not None:
            self._list_children()
        return self._leaves

    @property
    def branches(self) -> dict[str, list["Branch"]]:
        if self._shape is not None:
            self._list_children()
        return self._branches

    def _list_children(self) -> None:
        assert self._shape is not None
        parts, self._shape = self._shape.parts, None
        for child in self.element:
            part = parts.get(child.tag)
            if part is None:  # of another namespace
                continue
            if part.shape is None:
                self._leaves[part.name] = child
            else:
                twins = self._branches.setdefault(part.name, [])
                place = join_path(self.place, part.name, len(twins) + 1 if part.most > 1 else 0)
                twins.append(Branch(child, place, part.shape))

    def has(self, name: str) -> bool:
        """See `PacketBranch`."""
        return name in self.branches

    def text(self, name: str) -> str:
        """See `PacketBranch`."""
        leaf = self.leaves.get(name)
        return "" if leaf is None else (leaf.text or "").strip(_SPACE)

    def texts(self, name: str) -> list[str]:
        """See `PacketBranch`."""
        return [(leaf.text or "").strip(_SPACE) for leaf in self.element if read_local_name(leaf) == name]

    def attribute(self, name: str) -> str:
        """See `PacketBranch`."""
        return self.element.get(name, "")

    def all(self, name: str) -> list["Branch"]:
        """See `PacketBranch`."""
        return self.branches.get(name, [])

    def one(self, *names: str) -> "Branch":
        """See `PacketBranch`."""
        branch = self
        for name in names:
            found = branch.branches.get(name)
            branch = found[0] if found else Branch(branch.element, join_path(branch.place, name))
        return branch

    def path(self, name: str) -> str:
        """See `PacketBranch`."""
        return join_path(self.place, name)

    def line(self, name: str = "") -> Phrase:
        """See `PacketBranch`."""
        return phrase("line {line}", line=self.leaves.get(name, self.element).sourceline)

    def take_letters(self, name: str, loads: Loads) -> Letters | None:
        """See `PacketBranch`."""
        leaf = self.leaves.get(name)
        if leaf is None or len(leaf):
            return None  # the schema reports it
        load, letters = loads.get(leaf), leaf.text or ""
        leaf.text = None
        return letters if load is None else LoadLetters(load)


@attrs.frozen(eq=False)
class LoadLetters:
    """The letters of a load. They can be read again."""

    _load: Load

    def __iter__(self) -> Iterator[bytes]:
        return self._load.letters()

    def measure(self) -> Carried:
        """Return what was measured when the load was found, or measure it now. Raises like `measure_base64`."""
        if isinstance(self._load.taken, ContentUnfit):
            raise self._load.taken
        return self._load.taken if isinstance(self._load.taken, Carried) else measure_base64(self)


def is_normal(root: etree._Element, schema: Schema) -> bool:
    """Tell whether the packet under *root* conforms to both schemas as it is, so that normalising would change nothing.

    The strict schema is the narrower one, apart from what is checked here besides: it allows any number of elements
    where the observed one allows 2,000, texts of any length, and `+1` for 1.
    """
    if _UNUSUAL(root) or not schema.is_strict(root):
        return False
    if max(map(len, cast("list[str]", _TEXTS(root))), default=0) > PADDING and _PADDED(root):
        return False
    values = schema.values
    return all((leaf.text or "").strip(_SPACE) in values[leaf.tag] for leaf in root.iter(*values))


@attrs.frozen
class TreeNormalisation:
    """The normalisation of one tree by one schema."""

    schema: Schema
    notes: PacketNotes
    _gaps: list[tuple[etree._Element, Shape, SchemaPart]] = attrs.field(factory=list, init=False)
    #: places that are empty only because an element is missing
    _filled: set[str] = attrs.field(factory=set, init=False)

    def tidy(self, root: etree._Element) -> Branch:
        """Normalise the tree under *root*. Note a refusal for each missing required element."""
        return self._tidy(root, self.schema.root, "edXML")

    def judge(self, root: etree._Element) -> None:
        """Note a refusal for each violation of the observed schema."""
        for finding in self.schema.observed(root):
            if finding.place not in self._filled:
                self.notes.refuse(finding.letter, finding.place, finding.detail)

    def compare(self, root: etree._Element) -> None:
        """Note a deviation for each violation of the strict schema only.

        Must be called last: it fills the gaps in the tree.
        """
        for element, shape, part in self._gaps:
            _fill_missing_part(element, shape, part)
        for finding in self.schema.strict(root):
            if finding.place not in self._filled:
                self.notes.tolerate(finding.letter, finding.place, finding.detail)

    def _tidy(self, element: etree._Element, shape: Shape, place: str) -> Branch:
        branch = Branch(element, place)
        counts = dict.fromkeys(shape.parts, 0)
        taken: list[etree._Element] = []
        last, moved = 0, None
        if element.keys():
            self._attributes(element, place, shape)
        for child in element:
            part = shape.parts.get(child.tag)
            if part is None and not shape.allows_wild(_read_namespace(child.tag)):
                taken.append(child)
                self._stranger(child, place)
                continue
            if part is not None:
                count = counts[child.tag] = counts[child.tag] + 1
                if count > part.most:
                    taken.append(child)
                    self.notes.refuse(
                        "R",
                        join_path(place, part.name),
                        phrase("line {line}: more than {most}", line=child.sourceline, most=part.most),
                    )
                    continue
                self._keep(child, part, join_path(place, part.name, count if part.most > 1 else 0), branch)
            rank = _rank_child(child, shape)
            moved = child if rank < last and moved is None else moved
            last = max(last, rank)
        for child in taken:
            element.remove(child)
        if 0 in counts.values():
            self._missing(element, shape, place, counts)
        if moved is not None:
            self.notes.remark(
                "child-order",
                place,
                phrase("line {line}: {reason}", line=moved.sourceline, reason=read_local_name(moved)),
            )
            element[:] = sorted(element, key=lambda child: _rank_child(child, shape))
        return branch

    def _keep(self, child: etree._Element, part: SchemaPart, place: str, branch: Branch) -> None:
        if part.shape is not None:
            branch.branches.setdefault(part.name, []).append(self._tidy(child, part.shape, place))
        else:
            branch.leaves[part.name] = child
            if not part.binary and _is_padded(child.text or ""):
                self.notes.refuse(
                    "R",
                    place,
                    phrase(
                        "line {line}: more than {most} characters of white space", line=child.sourceline, most=PADDING
                    ),
                )
            if child.keys():
                self._attributes(child, place, None)

    def _missing(self, element: etree._Element, shape: Shape, place: str, counts: Mapping[str, int]) -> None:
        detail = phrase("line {line}: {name} has none", line=element.sourceline, name=read_local_name(element))
        for part in shape.parts.values():
            if counts[part.tag]:
                continue
            where = join_path(place, part.name)
            self._filled.add(f"{where}[1]" if part.most > 1 else where)
            if part.needed:
                self.notes.refuse("N", where, detail)
                _fill_missing_part(element, shape, part)
            elif part.expected:
                self.notes.tolerate("N", where, detail)
                self._gaps.append((element, shape, part))

    def _stranger(self, child: etree._Element, place: str) -> None:
        space = _read_namespace(child.tag)
        detail = (
            phrase("line {line}", line=child.sourceline)
            if space == QCVN
            else phrase(
                "line {line}: namespace {space}",
                line=child.sourceline,
                space=space or phrase("none"),
            )
        )
        self.notes.remark("element-unknown", join_path(place, read_local_name(child)), detail)

    def _attributes(self, element: etree._Element, place: str, shape: Shape | None) -> None:
        for name in map(str, list(element.attrib)):
            space = _read_namespace(name)
            if shape is not None and (name in shape.attributes or space in shape.attribute_spaces):
                continue
            del element.attrib[name]
            if space != _XSI:
                self.notes.remark(
                    "attribute-unknown",
                    f"{place}/@{name.rpartition('}')[2]}",
                    phrase("line {line}", line=element.sourceline),
                )


def _is_padded(text: str) -> bool:
    text = text.strip(_SPACE)
    return len(text) > PADDING and len(text) - len(_RUN.sub(" ", text)) > PADDING


def _fill_missing_part(element: etree._Element, shape: Shape, part: SchemaPart) -> None:
    """Insert an empty child where *part* is missing: libxml2 would not validate the siblings behind the gap."""
    filler = etree.Element(part.tag)
    filler.sourceline = element.sourceline
    element.insert(sum(1 for child in element if _rank_child(child, shape) < part.rank), filler)


def _rank_child(child: etree._Element, shape: Shape) -> int:
    part = shape.parts.get(child.tag)
    return shape.wild_rank if part is None else part.rank


def _read_namespace(name: str) -> str:
    """Return the namespace of a tag or attribute in Clark notation."""
    return name[1:].partition("}")[0] if name[0] == "{" else ""
