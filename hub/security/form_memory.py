"""Remembers the forms of signed envelopes, and finds the form of another envelope by its tags and fixed texts.

Knows when a form is due: its tags, and then its fixed texts, come for the second time. Does not know what an envelope
is for: the caller names the texts that may vary, and reads the rest of a form from a stand-in. Refuses nothing.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
from cryptography import x509
from lxml import etree

from hub.domain.errors import Rejected
from hub.formats import known_markup, markup_memory
from hub.formats.known_markup import VariedTexts
from hub.formats.markup_memory import MarkupMemory, SplitDocument, Texts
from hub.security import known_envelopes
from hub.security.known_envelopes import EnvelopeForm

_Form = TypeVar("_Form")


@attrs.frozen(eq=False)
class StandIn:
    """An envelope of a form that is learned, with random texts in the places that may vary."""

    root: etree._Element
    varied: Sequence[etree._Element]  #: the elements with these places, in document order
    texts: Sequence[bytes]  #: of these elements

    def learn_envelope(self, certificates: Sequence[x509.Certificate]) -> EnvelopeForm | None:
        """Return the form of the signed envelope: `EnvelopeForm.learn`."""
        return EnvelopeForm.learn(self.root, self.varied, self.texts, certificates)


class LearnedForm(NamedTuple, Generic[_Form]):
    """A form that may be kept."""

    form: _Form
    texts: Texts  #: those that vary, of the envelope that it was learned from
    key: Hashable


class FormMemory(Generic[_Form]):
    """The known forms of one kind of envelopes. Envelopes of different *groups* never have one form."""

    def __init__(self, most_layouts: int, most_forms: int) -> None:
        self._layouts = MarkupMemory(most_layouts)  #: `VariedTexts` by group and tags
        self._forms = MarkupMemory(most_forms)

    def find(self, content: bytes, group: str = "") -> tuple[_Form, Texts] | None:
        """Return the form of the envelope *content*, and its texts that vary. Return None if it is not known."""
        split = markup_memory.split_document(content)
        layout: VariedTexts | None = split and self._layouts.get((group, split.tags))
        if split is None or layout is None:
            return None
        form: Any = self._forms.get((layout, layout.take_fixed(split.texts)))
        return None if form is None else (form, layout.take_varied(split.texts))

    def learn(
        self,
        content: bytes,
        list_varied: Callable[[etree._Element, Mapping[etree._Element, int | None]], Sequence[etree._Element]],
        learn: Callable[[StandIn], _Form | None],
        group: str = "",
    ) -> LearnedForm[_Form] | None:
        """Return the form of *content*, an envelope that was read in the usual way, if it is to be learned now.

        *list_varied* returns the elements whose texts may vary, from the root and the places of all texts. *learn* reads
        the form from a stand-in. Either raises Rejected, and *learn* returns None or raises ValueError, for a form that
        is never known. The caller compares what the form says of *content* before it calls `keep`.
        """
        split = markup_memory.split_document(content)
        if split is None:
            return None
        tags = (group, split.tags)
        layout: VariedTexts | None = self._layouts.get(tags)
        if layout is None:
            if not self._layouts.is_due(tags, sum(map(len, split.tags))):
                return None
            layout = _find_layout(content, split, list_varied)
            if layout is None:
                return None
            self._layouts.keep(tags, layout)
        key = (layout, layout.take_fixed(split.texts))
        if not self._forms.is_due(key, sum(map(len, key[1]))):
            return None
        try:
            stand_in = _make_stand_in(split, layout)
            form = None if stand_in is None else learn(stand_in)
        except (Rejected, ValueError):
            return None
        return None if form is None else LearnedForm(form, layout.take_varied(split.texts), key)

    def keep(self, learned: LearnedForm[_Form]) -> None:
        """Remember the form that was *learned*."""
        self._forms.keep(learned.key, learned.form)


def _find_layout(
    content: bytes,
    split: SplitDocument,
    list_varied: Callable[[etree._Element, Mapping[etree._Element, int | None]], Sequence[etree._Element]],
) -> VariedTexts | None:
    """Return where the texts of an envelope with these tags may vary. None: its form is never known."""
    root = known_markup.parse_evident(content)
    places = None if root is None else known_markup.find_texts(root, split)
    if root is None or places is None:
        return None
    try:
        varied = list_varied(root, places)
    except Rejected:
        return None
    found = [place for place in map(places.get, varied) if place is not None]
    return VariedTexts.of(found, len(split.texts)) if len(found) == len(varied) else None


def _make_stand_in(split: SplitDocument, layout: VariedTexts) -> StandIn | None:
    """Return the envelope with other texts at the places of *layout*. None: its form is never known."""
    texts = [known_envelopes.make_stand_in() for _ in layout.places]
    stood = split.put(dict(zip(layout.places, texts, strict=True)))
    root = known_markup.parse_evident(stood.join())
    places = None if root is None else known_markup.find_texts(root, stood)
    if root is None or places is None:
        return None
    elements = {place: element for element, place in places.items()}
    return StandIn(root, [elements[place] for place in layout.places], texts)
