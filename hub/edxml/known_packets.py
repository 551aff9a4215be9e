"""Knows packets again by their tags, and reads a packet with known tags without parsing it.

Knows which texts of a normal packet may vary: those of the elements whose type has a `TextRule`, and base64. Does not
interpret them: the reader of `hub.edxml.packet` does. Refuses nothing, and tolerates nothing: a packet about which
there would be something to note is read in the usual way.

Tags are learned only from a packet without signature that was read in the usual way, that both schemas allow as it is
(`is_normal`), that has no element by which packets are marked as secret or timed, and whose tags came before. Learning
costs about as much as reading.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import le
from typing import NoReturn, Self

import attrs
from lxml import etree

from hub.domain.model import Packet
from hub.edxml import markings, packet
from hub.edxml.normalise import PacketNotes, is_normal
from hub.edxml.schema import Shape, TextRule
from hub.formats import known_markup, markup_memory, streamed_xml
from hub.formats.base64_content import Letters
from hub.formats.markup_memory import MarkupMemory, SplitDocument, Texts
from hub.formats.streamed_xml import Loads
from hub.language.phrases import Phrase
from hub.security import xmldsig

#: Stands around texts that are looked at together.
_BETWEEN, _SEPARATOR = "|", b"|"
#: What shows that one of these texts contains a reference, or begins or ends with a blank. Other white space and what
#: XML forbids is not printable.
_DOUBTFUL = ("&", f" {_BETWEEN}", f"{_BETWEEN} ")
#: The place of the text of an empty-element tag: there is none.
_NOWHERE = -1


class Doubt(Exception):
    """There would be something to note about the packet."""


@attrs.frozen(eq=False)
class Outline:
    """The children of an element of a packet with known tags. Texts are named by their indices."""

    leaves: Mapping[str, int]  #: by name; of repeated ones, the last
    repeated: Mapping[str, Sequence[int]]  #: all of each name
    branches: Mapping[str, Sequence["Outline"]]
    attributes: Mapping[str, str]


_EMPTY = Outline({}, {}, {}, {})


@attrs.define(eq=False)
class KnownBranch:
    """An element of a packet with known tags, with its texts. See `PacketBranch`."""

    _outline: Outline
    _texts: Sequence[str]

    def has(self, name: str) -> bool:
        """See `PacketBranch`."""
        return name in self._outline.branches

    def text(self, name: str) -> str:
        """See `PacketBranch`."""
        return self._texts[self._outline.leaves.get(name, _NOWHERE)]

    def texts(self, name: str) -> list[str]:
        """See `PacketBranch`."""
        return [self._texts[at] for at in self._outline.repeated.get(name, ())]

    def attribute(self, name: str) -> str:
        """See `PacketBranch`."""
        return self._outline.attributes.get(name, "")

    def all(self, name: str) -> Sequence[Self]:
        """See `PacketBranch`."""
        return [type(self)(each, self._texts) for each in self._outline.branches.get(name, ())]

    def one(self, *names: str) -> Self:
        """See `PacketBranch`."""
        outline = self._outline
        for name in names:
            outline = outline.branches.get(name, (_EMPTY,))[0]
        return type(self)(outline, self._texts)

    def path(self, name: str) -> NoReturn:
        """Raise `Doubt`: only what is to be noted has a path."""
        raise Doubt

    def line(self, name: str = "") -> Phrase:
        """Raise `Doubt`: only what is to be noted has a line."""
        raise Doubt

    def take_letters(self, name: str, loads: Loads) -> Letters | None:
        """See `PacketBranch`."""
        at = self._outline.leaves.get(name)
        return None if at is None else self._texts[at]


@attrs.frozen(eq=False)
class PlainRules:
    """The rules of many texts, in their order. Lengths are compared for all at once."""

    _least: Sequence[int]
    _most: Sequence[int]
    _others: Sequence[tuple[int, TextRule]]  #: index and rule of each text of which not only the length counts

    @classmethod
    def of(cls, rules: Sequence[TextRule]) -> "PlainRules":
        """Return the rules of texts in this order."""
        others = [(at, rule) for at, rule in enumerate(rules) if not rule.is_plain]
        return cls([rule.least for rule in rules], [rule.most for rule in rules], others)

    def fit(self, texts: Sequence[str]) -> bool:
        """Tell whether there are as many *texts* as rules, and each one fits its rule."""
        lengths = list(map(len, texts))
        if len(lengths) != len(self._least) or not all(map(le, self._least, lengths)):
            return False
        return all(map(le, lengths, self._most)) and all(rule.fits(texts[at]) for at, rule in self._others)


@attrs.frozen(eq=False)
class PacketForm:
    """What is known of packets with the same tags. Their texts are the plain ones, then base64, then an empty one."""

    _take_fixed: Callable[[Texts], Texts]
    _take_plain: Callable[[Texts], Texts]
    _take_base64: Callable[[Texts], Texts]
    _fixed: Texts
    _rules: PlainRules
    _root: Outline
    _is_status: bool

    def read(self, split: SplitDocument) -> Packet | None:
        """Return the content of the packet *split*, which has these tags. Return None if anything is in doubt."""
        if self._take_fixed(split.texts) != self._fixed:
            return None
        try:
            plain = _SEPARATOR.join((b"", *self._take_plain(split.texts), b"")).decode()
            base64 = [text.decode("ascii") for text in self._take_base64(split.texts)]
        except UnicodeDecodeError:
            return None
        texts = plain.split(_BETWEEN)[1:-1]
        if not plain.isprintable() or any(each in plain for each in _DOUBTFUL):
            return None
        if not self._rules.fit(texts):
            return None
        notes = PacketNotes()
        _, read = packet.choose_reader(is_status=self._is_status)
        try:
            found = read(KnownBranch(self._root, [*texts, *base64, ""]), notes, streamed_xml.NONE)
        except Doubt:
            return None
        return None if notes.refused or notes.tolerated else found


_KNOWN = MarkupMemory()


def read_known_packet(content: bytes) -> Packet | None:
    """Return the content of a packet with known tags, which has no signature. Return None if it is not known.

    The result is that of `packet.read_packet`.
    """
    split = markup_memory.split_document(content)
    form: PacketForm | None = split and _KNOWN.get(split.tags)
    return form.read(split) if split is not None and form is not None else None


def learn_packet(content: bytes, found: Packet) -> None:
    """Learn the tags of *content*, if they are due, from the result *found* of reading it in the usual way."""
    split = markup_memory.split_document(content) if not found.deviations else None
    if split is None or not _KNOWN.is_due(split.tags, sum(map(len, split.tags))) or _KNOWN.get(split.tags) is not None:
        return
    form = _learn_form(content, split)
    if form is not None and form.read(split) == found:
        _KNOWN.keep(split.tags, form)


def _learn_form(content: bytes, split: SplitDocument) -> PacketForm | None:
    root = known_markup.parse_evident(content)
    places = None if root is None else known_markup.find_texts(root, split)
    if root is None or places is None or xmldsig.find_claimed_signatures(root):
        return None
    if any(markings.is_marking(each.tag) for each in root.iter()):
        return None
    is_status = next(root.iter(packet.STATUS_CODE), None) is not None
    schema, _ = packet.choose_reader(is_status=is_status)
    plain: list[tuple[int, TextRule]] = []
    base64: list[int] = []
    if not _collect_places(root, schema.root, places, plain, base64):
        return None
    for each in root.iter(packet.LOADED_TAG):
        each.text = None
    if not is_normal(root, schema):
        return None
    order = [*(place for place, _ in plain), *base64]
    indices = {place: at for at, place in enumerate(order)}
    return PacketForm(
        take_fixed=(take := known_markup.make_text_getter([at for at in range(len(split.texts)) if at not in indices])),
        take_plain=known_markup.make_text_getter([place for place, _ in plain]),
        take_base64=known_markup.make_text_getter(base64),
        fixed=take(split.texts),
        rules=PlainRules.of([rule for _, rule in plain]),
        root=_outline(root, schema.root, places, indices),
        is_status=is_status,
    )


def _collect_places(
    element: etree._Element,
    shape: Shape,
    places: Mapping[etree._Element, int | None],
    plain: list[tuple[int, TextRule]],
    base64: list[int],
) -> bool:
    """Add the places below *element* to *plain* and *base64*. Return False if there is an element without a rule."""
    for child in element:
        part = shape.parts.get(child.tag)
        if part is None:
            return False
        if part.shape is not None:
            if not _collect_places(child, part.shape, places, plain, base64):
                return False
            continue
        if child not in places or (part.rule is None and not part.binary):
            return False
        place = places[child]
        if place is None:
            continue
        if part.rule is None:
            base64.append(place)
        else:
            plain.append((place, part.rule))
    return True


def _outline(
    element: etree._Element,
    shape: Shape,
    places: Mapping[etree._Element, int | None],
    indices: Mapping[int, int],
) -> Outline:
    """Return the outline of *element*, all of whose children the *shape* contains."""
    leaves: dict[str, list[int]] = {}
    branches: dict[str, list[Outline]] = {}
    for child in element:
        part = shape.parts[child.tag]
        if part.shape is None:
            place = places[child]
            leaves.setdefault(part.name, []).append(_NOWHERE if place is None else indices[place])
        else:
            branches.setdefault(part.name, []).append(_outline(child, part.shape, places, indices))
    attributes = {str(name): str(value) for name, value in element.attrib.items()}
    return Outline({name: many[-1] for name, many in leaves.items()}, leaves, branches, attributes)
