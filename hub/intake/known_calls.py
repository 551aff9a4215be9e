"""Knows the forms of calls that were opened before, and reads a call of a known form without parsing it.

Knows which texts of a call with a packet may vary: those of its signature (`hub.security.known_envelopes`), its message
id, its packet, and the id that WS-Addressing gives it. Does not know partners or policies. Refuses nothing.

A form is learned only from a call that was opened in the usual way, and only when its tags, and then its fixed texts,
come for the second time. Learning costs about as much as opening.
"""

from collections.abc import Sequence

import attrs
from cryptography import x509

from hub.domain.errors import Rejected
from hub.domain.model import DOCUMENTS
from hub.formats import known_markup, markup_memory
from hub.formats.known_markup import VariedTexts
from hub.formats.markup_memory import MarkupMemory, SplitDocument
from hub.security import known_envelopes, wss_verify
from hub.security.known_envelopes import EnvelopeForm
from hub.soap import documents_requests, envelope
from hub.soap.documents_requests import NAMESPACE, SendDocument, UpdateTraces
from hub.soap.wsdl import Contract, Operation

#: The header blocks whose text nothing reads, and which differ in every call.
_CALL_IDS = [
    f"{{{space}}}MessageID"
    for space in ("http://www.w3.org/2005/08/addressing", "http://schemas.xmlsoap.org/ws/2004/08/addressing")
]
_LEAVES = [f"{{{NAMESPACE}}}{name}" for name in ("MessageId", "Packet")]
_LONGEST_ID = 200  #: characters of a message id, as the contract says
#: Maximum forms: senders times the kinds of software that each uses. A form has at most 50 kB.
_MOST_FORMS = 1024


@attrs.frozen(eq=False)
class CallForm:
    """The form of a call that was opened once."""

    envelope: EnvelopeForm
    soap: str  #: the SOAP version
    operation: Operation
    addressees: tuple[str, ...]  #: the signed ones
    _kind: type[SendDocument] | type[UpdateTraces]
    _packet: int  #: index of its text
    _message_id: int | None
    _others: tuple[int, ...]  #: indices of all texts that are not base64 with line ends

    def read(self, texts: Sequence[bytes]) -> SendDocument | UpdateTraces | None:
        """Return the call with these *texts*. Return None if one of them is in doubt."""
        if not known_markup.are_plain([texts[at] for at in self._others]):
            return None
        packet = known_envelopes.decode_plain_base64(texts[self._packet])
        if not packet:
            return None
        if self._message_id is None:
            return self._kind(packet)
        message_id = texts[self._message_id].decode()
        return self._kind(packet, message_id) if 0 < len(message_id) <= _LONGEST_ID else None


@attrs.frozen(eq=False)
class KnownCalls:
    """The known forms of calls of one process."""

    _layouts: MarkupMemory = attrs.field(factory=MarkupMemory, init=False)  #: `VariedTexts` by contract and tags
    _forms: MarkupMemory = attrs.field(factory=lambda: MarkupMemory(_MOST_FORMS), init=False)

    def find(self, content: bytes, contract: Contract) -> tuple[CallForm, Sequence[bytes]] | None:
        """Return the form of the call *content*, and its texts that vary. Return None if it is not known."""
        split = markup_memory.split_document(content)
        layout: VariedTexts | None = split and self._layouts.get((contract.name, split.tags))
        if split is None or layout is None:
            return None
        form: CallForm | None = self._forms.get((layout, layout.take_fixed(split.texts)))
        return None if form is None else (form, layout.take_varied(split.texts))

    def learn(
        self, content: bytes, contract: Contract, certificates: Sequence[x509.Certificate]
    ) -> tuple[CallForm, Sequence[bytes]] | None:
        """Return the form of *content*, and its texts, if it is to be learned now.

        *content* is a call that was opened, signed with one of *certificates* without SHA-1. The caller compares what
        the form says of it before it calls `keep`.
        """
        split = markup_memory.split_document(content) if contract.name == DOCUMENTS else None
        if split is None:
            return None
        key = (contract.name, split.tags)
        layout: VariedTexts | None = self._layouts.get(key)
        if layout is None:
            if not self._layouts.is_due(key, sum(map(len, split.tags))):
                return None
            layout = _find_layout(content, split)
            if layout is None:
                return None
            self._layouts.keep(key, layout)
        fixed = layout.take_fixed(split.texts)
        if not self._forms.is_due((layout, fixed), sum(map(len, fixed))):
            return None
        try:
            form = _learn_form(split, layout, contract, certificates)
        except Rejected:
            return None
        return None if form is None else (form, layout.take_varied(split.texts))

    def keep(self, content: bytes, contract: Contract, form: CallForm) -> None:
        """Remember the *form* that was learned from *content*."""
        split = markup_memory.split_document(content)
        layout = split and self._layouts.get((contract.name, split.tags))
        if split is not None and layout is not None:
            self._forms.keep((layout, layout.take_fixed(split.texts)), form)


def _find_layout(content: bytes, split: SplitDocument) -> VariedTexts | None:
    """Return where the texts of an opened call with these tags may vary. None: its form is never known."""
    root = known_markup.parse_evident(content)
    places = None if root is None else known_markup.find_texts(root, split)
    if root is None or places is None:
        return None
    try:
        opened, frame = envelope.open_envelope(root), wss_verify.Frame.of(root)
        varied = [
            *known_envelopes.list_varied_texts(frame),
            *opened.child.iterchildren(*_LEAVES),
            *frame.header.iterchildren(*_CALL_IDS),
        ]
    except Rejected:
        return None
    found = [places.get(element) for element in varied]
    known = [place for place in found if place is not None]
    return VariedTexts.of(known, len(split.texts)) if len(known) == len(found) else None


def _learn_form(
    split: SplitDocument, layout: VariedTexts, contract: Contract, certificates: Sequence[x509.Certificate]
) -> CallForm | None:
    """Learn the form from a stand-in with other texts. Raises Rejected if even the stand-in cannot be read."""
    stand_ins = [known_envelopes.make_stand_in() for _ in layout.places]
    stood = split.put(dict(zip(layout.places, stand_ins, strict=True)))
    root = known_markup.parse_evident(stood.join())
    places = None if root is None else known_markup.find_texts(root, stood)
    if root is None or places is None:
        return None
    elements = {place: element for element, place in places.items()}
    form = EnvelopeForm.learn(root, [elements[place] for place in layout.places], stand_ins, certificates)
    opened = envelope.open_envelope(root)
    child = opened.child
    operation = contract.operation(child)
    call = documents_requests.read_documents_call(child, contract.validate(child))
    if form is None or not isinstance(call, SendDocument | UpdateTraces) or not isinstance(call.packet, bytes):
        return None
    packet = stand_ins.index(known_envelopes.encode_base64(call.packet))
    message_id = None if call.message_id is None else stand_ins.index(call.message_id.encode())
    others = tuple(at for at in range(len(stand_ins)) if at not in {packet, form.value})
    addressees = envelope.list_addressees(form.headers)
    return CallForm(form, opened.soap, operation, addressees, type(call), packet, message_id, others)
