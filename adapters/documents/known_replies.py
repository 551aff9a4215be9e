"""Knows the forms of signed acceptances that were read before, and reads one of a known form without parsing it.

Knows which texts of a partner's answer may vary: those of its signature (`hub.security.known_envelopes`), its document
id, and what its receipt says. Refuses nothing: an answer that is not known, or in doubt, is to be read in the usual way.

A form is learned only from an acceptance that was read in the usual way, and only when its tags, and then its fixed
texts, come for the second time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs
from cryptography import x509
from lxml import etree

from hub.domain.errors import Rejected
from hub.formats import known_markup, markup_memory
from hub.formats.known_markup import VariedTexts
from hub.formats.markup_memory import MarkupMemory, SplitDocument
from hub.security import known_envelopes, wss_verify
from hub.security.known_envelopes import EnvelopeForm
from hub.soap import documents_requests, documents_responses, envelope
from hub.soap.documents_requests import NAMESPACE

#: Maximum octets of an answer whose form is known.
_LONGEST = 16 * 1024
#: Maximum forms of one partner.
_MOST = 16
_DOCUMENT_ID, _RECEIPT = f"{{{NAMESPACE}}}DocumentId", f"{{{NAMESPACE}}}Receipt"


@attrs.frozen(eq=False)
class ReplyForm:
    """The form of an acceptance that was read once."""

    _envelope: EnvelopeForm
    _document_id: int | None  #: index of its text; None: the answer names none
    _others: tuple[int, ...]  #: indices of all texts but the signature value

    def read(self, texts: Sequence[bytes], now: datetime, max_age: timedelta, skew: timedelta) -> str | None:
        """Return the partner's document id, or "". Return None if the answer with these *texts* is in doubt."""
        if not known_markup.are_plain([texts[at] for at in self._others]):
            return None
        if self._envelope.verify(texts, now, max_age, skew) is None:
            return None
        return "" if self._document_id is None else texts[self._document_id].decode()


@attrs.frozen(eq=False)
class KnownReplies:
    """The known forms of the acceptances of one partner."""

    _certificates: Sequence[x509.Certificate]  #: the partner signs with one of these
    _layouts: MarkupMemory = attrs.field(factory=lambda: MarkupMemory(_MOST), init=False)  #: `VariedTexts` by tags
    _forms: MarkupMemory = attrs.field(factory=lambda: MarkupMemory(_MOST), init=False)

    def read(self, body: bytes, now: datetime, max_age: timedelta, skew: timedelta) -> str | None:
        """Return the document id in *body*, an acceptance that is signed and timely, or "" if it names none.

        Returns None for any other answer, and for one of which this knows nothing.
        """
        split = markup_memory.split_document(body) if len(body) <= _LONGEST else None
        layout: VariedTexts | None = split and self._layouts.get(split.tags)
        if split is None or layout is None:
            return None
        form: ReplyForm | None = self._forms.get((layout, layout.take_fixed(split.texts)))
        return None if form is None else form.read(layout.take_varied(split.texts), now, max_age, skew)

    def learn(self, body: bytes, document_id: str, now: datetime, max_age: timedelta, skew: timedelta) -> None:
        """Learn the form of *body*, a signed acceptance that was read in the usual way and names *document_id*."""
        split = markup_memory.split_document(body) if len(body) <= _LONGEST else None
        if split is None:
            return
        layout: VariedTexts | None = self._layouts.get(split.tags)
        if layout is None and self._layouts.is_due(split.tags, sum(map(len, split.tags))):
            layout = _find_layout(body, split)
            if layout is not None:
                self._layouts.keep(split.tags, layout)
        if layout is None:
            return
        fixed = layout.take_fixed(split.texts)
        if not self._forms.is_due((layout, fixed), sum(map(len, fixed))):
            return
        try:
            form = _learn_form(split, layout, self._certificates)
        except (Rejected, ValueError):
            return
        if form is not None and form.read(layout.take_varied(split.texts), now, max_age, skew) == document_id:
            self._forms.keep((layout, fixed), form)


def _find_layout(body: bytes, split: SplitDocument) -> VariedTexts | None:
    """Return where the texts of an acceptance with these tags may vary. None: its form is never known."""
    root = known_markup.parse_evident(body)
    places = None if root is None else known_markup.find_texts(root, split)
    if root is None or places is None:
        return None
    try:
        child, frame = envelope.open_reply(root).child, wss_verify.Frame.of(root)
        signed = known_envelopes.list_varied_texts(frame)
    except Rejected:
        return None
    receipts = [leaf for receipt in child.iterchildren(_RECEIPT) for leaf in receipt.iter("*") if not len(leaf)]
    varied = [
        *signed,
        *child.iterchildren(_DOCUMENT_ID),
        *(leaf for leaf in receipts if places.get(leaf) is not None),
    ]
    found = [place for place in map(places.get, varied) if place is not None]
    return VariedTexts.of(found, len(split.texts)) if len(found) == len(varied) else None


def _learn_form(
    split: SplitDocument, layout: VariedTexts, certificates: Sequence[x509.Certificate]
) -> ReplyForm | None:
    """Learn the form from a stand-in with other texts. Raises Rejected or ValueError if it is no acceptance."""
    stand_ins = [known_envelopes.make_stand_in() for _ in layout.places]
    stood = split.put(dict(zip(layout.places, stand_ins, strict=True)))
    root = known_markup.parse_evident(stood.join())
    places = None if root is None else known_markup.find_texts(root, stood)
    if root is None or places is None:
        return None
    elements = {place: element for element, place in places.items()}
    form = EnvelopeForm.learn(root, [elements[place] for place in layout.places], stand_ins, certificates)
    child: etree._Element = envelope.open_reply(root).child
    if form is None or envelope.read_fault(child) is not None:
        return None
    if not documents_responses.read_report(child, "SendDocument").success:
        return None
    named = documents_requests.read_child_text(child, "DocumentId")
    document_id = None if named is None else stand_ins.index(named.encode())
    return ReplyForm(form, document_id, tuple(at for at in range(len(stand_ins)) if at != form.value))
