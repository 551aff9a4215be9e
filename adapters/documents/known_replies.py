"""Knows the forms of signed acceptances that were read before, and reads one of a known form without parsing it.

Knows which texts of a partner's answer may vary: those of its signature (`hub.security.known_envelopes`), its document
id, and what its receipt says. Refuses nothing: an answer that is not known, or in doubt, is to be read in the usual way.

A form is learned only from an acceptance that was read in the usual way (`hub.security.form_memory`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs
from cryptography import x509
from lxml import etree

from hub.formats import known_markup
from hub.security import known_envelopes, wss_verify
from hub.security.form_memory import FormMemory, StandIn
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


class KnownReplies:
    """The known forms of the acceptances of one partner, who signs with one of *certificates*."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._certificates = certificates
        self._memory: FormMemory[ReplyForm] = FormMemory(_MOST, _MOST)

    def read(self, body: bytes, now: datetime, max_age: timedelta, skew: timedelta) -> str | None:
        """Return the document id in *body*, an acceptance that is signed and timely, or "" if it names none.

        Returns None for any other answer, and for one of which this knows nothing.
        """
        found = self._memory.find(body) if len(body) <= _LONGEST else None
        if found is None:
            return None
        form, texts = found
        return form.read(texts, now, max_age, skew)

    def learn(self, body: bytes, document_id: str, now: datetime, max_age: timedelta, skew: timedelta) -> None:
        """Learn the form of *body*, a signed acceptance that was read in the usual way and names *document_id*."""
        learned = self._memory.learn(body, _list_varied, self._learn_form) if len(body) <= _LONGEST else None
        if learned is not None and learned.form.read(learned.texts, now, max_age, skew) == document_id:
            self._memory.keep(learned)

    def _learn_form(self, stand_in: StandIn) -> ReplyForm | None:
        """Learn the form from a stand-in. Raises Rejected or ValueError if it is no acceptance."""
        form, texts = stand_in.learn_envelope(self._certificates), stand_in.texts
        child: etree._Element = envelope.open_reply(stand_in.root).child
        if form is None or envelope.read_fault(child) is not None:
            return None
        if not documents_responses.read_report(child, "SendDocument").success:
            return None
        named = documents_requests.read_child_text(child, "DocumentId")
        document_id = None if named is None else texts.index(named.encode())
        return ReplyForm(form, document_id, tuple(at for at in range(len(texts)) if at != form.value))


def _list_varied(root: etree._Element, places: Mapping[etree._Element, int | None]) -> list[etree._Element]:
    """Return the elements of an acceptance whose texts may vary. Raises Rejected."""
    child, frame = envelope.open_reply(root).child, wss_verify.Frame.of(root)
    receipts = [leaf for receipt in child.iterchildren(_RECEIPT) for leaf in receipt.iter("*") if not len(leaf)]
    return [
        *known_envelopes.list_varied_texts(frame),
        *child.iterchildren(_DOCUMENT_ID),
        *(leaf for leaf in receipts if places.get(leaf) is not None),
    ]
