"""Knows the forms of calls that were opened before, and reads a call of a known form without parsing it.

Knows which texts of a call with a packet may vary: those of its signature (`hub.security.known_envelopes`), its message
id, its packet, and the id that WS-Addressing gives it. Does not know partners or policies. Refuses nothing.

A form is learned only from a call that was opened in the usual way, and that costs about as much as opening
(`hub.security.form_memory`).
"""

from collections.abc import Sequence

import attrs
from cryptography import x509
from lxml import etree

from hub.domain.model import DOCUMENTS
from hub.formats import known_markup
from hub.formats.base64_text import encode_base64
from hub.formats.markup_memory import MOST, Texts
from hub.security import known_envelopes, wss_verify
from hub.security.form_memory import FormMemory, LearnedForm, StandIn
from hub.security.kept_envelopes import KeptEnvelope, KeptForm
from hub.security.known_envelopes import EnvelopeForm, KnownSignature
from hub.soap import documents_requests, envelope
from hub.soap.documents_requests import NAMESPACE, SendDocument, UpdateTraces
from hub.soap.wsdl import Contract
from hub.soap.wsdl_operations import Operation

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
    packet: int  #: index of its text
    _message_id: int | None
    _others: tuple[int, ...]  #: indices of all texts that are not base64 with line ends
    _kept: KeptForm | None  #: what is kept once of all calls of this form; None: each is kept whole

    def read(self, texts: Sequence[bytes]) -> SendDocument | UpdateTraces | None:
        """Return the call with these *texts*. Return None if one of them is in doubt."""
        if not known_markup.are_plain([texts[at] for at in self._others]):
            return None
        packet = known_envelopes.decode_plain_base64(texts[self.packet])
        if not packet:
            return None
        if self._message_id is None:
            return self._kind(packet)
        message_id = texts[self._message_id].decode()
        return self._kind(packet, message_id) if 0 < len(message_id) <= _LONGEST_ID else None

    def keep(self, texts: Texts, signature: KnownSignature) -> KeptEnvelope:
        """Return what is kept of the call with these *texts*, which was read and has this valid *signature*."""
        kept = self._kept and self._kept.keep(texts, texts[self.packet], signature.signature_value)
        return kept or self.envelope.keep_whole(texts, self.packet, signature)


class KnownCalls:
    """The known forms of calls of one process."""

    def __init__(self) -> None:
        self._memory: FormMemory[CallForm] = FormMemory(MOST, _MOST_FORMS)

    def find(self, content: bytes, contract: Contract) -> tuple[CallForm, Texts] | None:
        """Return the form of the call *content*, and its texts that vary. Return None if it is not known."""
        return self._memory.find(content, contract.name)

    def learn(
        self, content: bytes, contract: Contract, certificates: Sequence[x509.Certificate]
    ) -> LearnedForm[CallForm] | None:
        """Return the form of *content* if it is to be learned now.

        *content* is a call that was opened, signed with one of *certificates* without SHA-1. The caller compares what
        the form says of it before it calls `keep`.
        """
        if contract.name != DOCUMENTS:
            return None
        return self._memory.learn(
            content, _list_varied, lambda stand_in: _learn_form(stand_in, contract, certificates), contract.name
        )

    def keep(self, learned: LearnedForm[CallForm]) -> None:
        """Remember the form that was *learned*."""
        self._memory.keep(learned)


def _list_varied(root: etree._Element, _places: object) -> list[etree._Element]:
    """Return the elements of an opened call whose texts may vary. Raises Rejected."""
    opened, frame = envelope.open_envelope(root), wss_verify.Frame.of(root)
    return [
        *known_envelopes.list_varied_texts(frame),
        *opened.child.iterchildren(*_LEAVES),
        *frame.header.iterchildren(*_CALL_IDS),
    ]


def _learn_form(stand_in: StandIn, contract: Contract, certificates: Sequence[x509.Certificate]) -> CallForm | None:
    """Learn the form from a stand-in. Raises Rejected if even the stand-in cannot be read."""
    form, texts = stand_in.learn_envelope(certificates), stand_in.texts
    opened = envelope.open_envelope(stand_in.root)
    child = opened.child
    operation = contract.operation(child)
    call = documents_requests.read_documents_call(child, contract.validate(child))
    if form is None or not isinstance(call, SendDocument | UpdateTraces) or not isinstance(call.packet, bytes):
        return None
    packet = texts.index(encode_base64(call.packet))
    message_id = None if call.message_id is None else texts.index(call.message_id.encode())
    others = tuple(at for at in range(len(texts)) if at not in {packet, form.value})
    addressees = envelope.list_addressees(form.headers)
    kept = form.make_kept_form(packet)
    return CallForm(form, opened.soap, operation, addressees, type(call), packet, message_id, others, kept)
