"""A packet's tree made ready to be judged and read.  Knows a `Shape`; not what any value means.

Real packets vary in ways that no XSD 1.0 can say.  So the children of a freshly parsed tree, which is ours alone, are
sorted, and what no schema knows is taken out.  Each such change is noted.  The signed bytes never change.
"""

import re
from collections.abc import Mapping

import attrs
from lxml import etree

from hub.domain.model import Problem
from hub.edxml.schema import QCVN, Schema, SchemaPart, Shape, join_path, local_name

MOST = 50  #: problems of one packet that are told, and as many deviations
#: A schema measures a text when its white space is collapsed; what is read and kept is the text as it stands, and may be so much longer.
PADDING = 1000

_SPACE = " \t\r\n"
_RUN = re.compile(f"[{_SPACE}]+")
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


@attrs.frozen
class PacketNotes:
    """What was found in one packet: what refuses it, and what is tolerated.  The first of a place stands."""

    _refused: dict[str, Problem] = attrs.field(factory=dict)
    _tolerated: dict[str, Problem] = attrs.field(factory=dict)

    @property
    def refused(self) -> tuple[Problem, ...]:
        return tuple(self._refused.values())

    @property
    def tolerated(self) -> tuple[Problem, ...]:
        return tuple(self._tolerated.values())

    def refuse(self, letter: str, place: str, detail: str) -> None:
        if len(self._refused) < MOST:
            self._refused.setdefault(place, Problem(f"{letter}.{place}", detail))

    def tolerate(self, letter: str, place: str, detail: str) -> None:
        if len(self._tolerated) < MOST:
            self._tolerated.setdefault(place, Problem(f"{letter}.{place}", detail))

    def remark(self, code: str, place: str, detail: str) -> None:
        """Tolerate something that is no element's value."""
        if len(self._tolerated) < MOST:
            self._tolerated.setdefault(f"{code} {place}", Problem(code, f"{place}: {detail}"))


@attrs.frozen(eq=False)
class Branch:
    """An element of a tidied tree with its children by local name; of leaves that repeat, the last."""

    element: etree._Element
    place: str  #: its path, as problems name it
    leaves: dict[str, etree._Element] = attrs.field(factory=dict)
    branches: dict[str, list["Branch"]] = attrs.field(factory=dict)

    def text(self, name: str) -> str:
        """Return the text of the child *name* without the space around it; empty if there is none."""
        leaf = self.leaves.get(name)
        return "" if leaf is None else (leaf.text or "").strip(_SPACE)

    def texts(self, name: str) -> list[str]:
        """Return the texts of all children *name*, which may be many, without the space around them."""
        return [(leaf.text or "").strip(_SPACE) for leaf in self.element if local_name(leaf) == name]

    def all(self, name: str) -> list["Branch"]:
        return self.branches.get(name, [])

    def one(self, *names: str) -> "Branch":
        """Return the branch under *names*, one inside the other; an empty one where there is none."""
        branch = self
        for name in names:
            found = branch.branches.get(name)
            branch = found[0] if found else Branch(branch.element, join_path(branch.place, name))
        return branch

    def path(self, name: str) -> str:
        return join_path(self.place, name)

    def line(self, name: str = "") -> str:
        """Return `line N` of the child *name*; of this element where there is none."""
        return f"line {self.leaves.get(name, self.element).sourceline}"


@attrs.frozen
class Tidying:
    """One tree being tidied by one schema."""

    schema: Schema
    notes: PacketNotes
    _gaps: list[tuple[etree._Element, Shape, SchemaPart]] = attrs.field(factory=list, init=False)
    _filled: set[str] = attrs.field(factory=set, init=False)  #: places that are empty only because something is missing

    def tidy(self, root: etree._Element) -> Branch:
        """Tidy the tree under *root*; refuse what it cannot do without."""
        return self._tidy(root, self.schema.root, "edXML")

    def judge(self, root: etree._Element) -> None:
        """Refuse what the observed schema does not take."""
        for finding in self.schema.observed(root):
            if finding.place not in self._filled:
                self.notes.refuse(finding.letter, finding.place, finding.detail)

    def compare(self, root: etree._Element) -> None:
        """Note what only the strict schema refuses.  To be called last: it fills the tree's gaps."""
        for element, shape, part in self._gaps:
            _fill(element, shape, part)
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
            if part is None:
                if _space(child.tag) in shape.spaces:
                    last = len(shape.parts)  # it goes behind all others
                else:
                    taken.append(child)
                    self._stranger(child, place)
                continue
            count = counts[child.tag] = counts[child.tag] + 1
            if count > part.most:
                taken.append(child)
                self.notes.refuse("R", join_path(place, part.name), f"line {child.sourceline}: more than {part.most}")
                continue
            if part.rank >= last:
                last = part.rank
            else:
                moved = child if moved is None else moved
            self._keep(child, part, join_path(place, part.name, count if part.most > 1 else 0), branch)
        for child in taken:
            element.remove(child)
        if 0 in counts.values():
            self._missing(element, shape, place, counts)
        if moved is not None:
            self.notes.remark("child-order", place, f"line {moved.sourceline}: {local_name(moved)}")
            element[:] = sorted(element, key=lambda child: _rank(child, shape))
        return branch

    def _keep(self, child: etree._Element, part: SchemaPart, place: str, branch: Branch) -> None:
        if part.shape is not None:
            branch.branches.setdefault(part.name, []).append(self._tidy(child, part.shape, place))
        else:
            branch.leaves[part.name] = child
            if not part.binary and _is_padded(child.text or ""):
                self.notes.refuse("R", place, f"line {child.sourceline}: more than {PADDING} letters of white space")
            if child.keys():
                self._attributes(child, place, None)

    def _missing(self, element: etree._Element, shape: Shape, place: str, counts: Mapping[str, int]) -> None:
        detail = f"line {element.sourceline}: {local_name(element)} has none"
        for part in shape.parts.values():
            if counts[part.tag]:
                continue
            where = join_path(place, part.name)
            self._filled.add(f"{where}[1]" if part.most > 1 else where)
            if part.needed:
                self.notes.refuse("N", where, detail)
                _fill(element, shape, part)
            elif part.expected:
                self.notes.tolerate("N", where, detail)
                self._gaps.append((element, shape, part))

    def _stranger(self, child: etree._Element, place: str) -> None:
        space = _space(child.tag)
        detail = (
            f"line {child.sourceline}" if space == QCVN else f"line {child.sourceline}: namespace {space or 'none'}"
        )
        self.notes.remark("element-unknown", join_path(place, local_name(child)), detail)

    def _attributes(self, element: etree._Element, place: str, shape: Shape | None) -> None:
        for name in map(str, list(element.attrib)):
            space = _space(name)
            if shape is not None and (name in shape.attributes or space in shape.attribute_spaces):
                continue
            del element.attrib[name]
            if space != _XSI:
                self.notes.remark(
                    "attribute-unknown", f"{place}/@{name.rpartition('}')[2]}", f"line {element.sourceline}"
                )


def _is_padded(text: str) -> bool:
    text = text.strip(_SPACE)
    return len(text) > PADDING and len(text) - len(_RUN.sub(" ", text)) > PADDING


def _fill(element: etree._Element, shape: Shape, part: SchemaPart) -> None:
    """Put an empty child where *part* is missing: libxml2 would not judge the siblings behind it."""
    filler = etree.Element(part.tag)
    filler.sourceline = element.sourceline
    element.insert(sum(1 for child in element if _rank(child, shape) < part.rank), filler)


def _rank(child: etree._Element, shape: Shape) -> int:
    part = shape.parts.get(child.tag)
    return len(shape.parts) if part is None else part.rank


def _space(name: str) -> str:
    """Return the namespace of a tag or attribute in Clark notation."""
    return name[1:].partition("}")[0] if name[0] == "{" else ""
