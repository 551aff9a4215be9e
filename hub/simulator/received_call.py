"""Judges a call of the hub as a careful partner does, and writes the partner's answers. Pure.

Knows the documents contract from the side of a partner that is pushed to: the hub's signature over Body and Timestamp,
the contract's XSD, the packet inside. Does not know HTTP, and does not decide what to answer.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import attrs
from cryptography import x509
from lxml import etree

from hub.domain.errors import CallRefused, Rejected
from hub.domain.model import Packet, Problem
from hub.edxml import packet
from hub.formats import streamed_xml
from hub.formats.spool import Drawer, Octets
from hub.language.phrases import phrase
from hub.security import signing, wss_verify
from hub.security.certificates import Identity
from hub.soap import attachments, documents_requests, documents_responses, envelope
from hub.soap.attachments import Manner
from hub.soap.documents_requests import NAMESPACE
from hub.soap.wsdl import Contract

#: The operation that a partner serves.
OPERATION = documents_requests.SendDocument.__name__
#: Maximum age of a call of the hub, and maximum difference of its clock.
_MAX_AGE, _SKEW = timedelta(minutes=15), timedelta(minutes=1)


class CallCheck(StrEnum):
    """One check of a call, in the order in which they are made."""

    ENVELOPE = "envelope"  #: SOAP, its media type and SOAPAction
    SIGNATURE = "signature"  #: the hub signed Body and Timestamp, not long ago
    CONTRACT = "contract"  #: the Body agrees with the WSDL and XSD, and has a MessageId
    PACKET = "packet"  #: the packet is edXML of QCVN 102


@attrs.frozen(kw_only=True)
class ReceivedCall:
    """What a call of the hub contains, as far as it could be read."""

    failed: CallCheck | None = None  #: the check that it did not pass; None: it passed all of them
    problems: tuple[Problem, ...] = ()  #: why it did not pass
    message_id: str = ""  #: the hub's id of the message
    sha256: str = ""  #: of the packet
    size: int = 0  #: octets of the packet
    packet: Packet | None = None

    @property
    def is_trusted(self) -> bool:
        """Tell whether the hub signed it and it agrees with the contract: only then does it get a partner's answer."""
        return self.failed in {None, CallCheck.PACKET}


def judge_call(
    body: Octets,
    manner: Manner,
    hub: Sequence[x509.Certificate],
    contract: Contract,
    now: datetime,
    drawer: Drawer,
) -> ReceivedCall:
    """Check a call that must be signed with one of the certificates *hub*.

    Nothing is read from it but from the element that the signature covers. A long packet stays in *drawer*.
    """
    check = CallCheck.ENVELOPE
    try:
        unpacked = attachments.unpack_body(body, manner, contract.binary_names, drawer)
        opened = envelope.open_envelope(unpacked.root)
        check = CallCheck.SIGNATURE
        verified = wss_verify.verify_envelope(
            unpacked.root, hub, now, max_age=_MAX_AGE, skew=_SKEW, loads=unpacked.loads
        )
        check = CallCheck.ENVELOPE
        child = envelope.find_only_child(verified.body)
        operation = contract.operation(child)
        if opened.soap != manner.soap:
            raise CallRefused(Problem("soap-version", f"{envelope.MEDIA[manner.soap]} ≠ {opened.soap}"))
        if not envelope.action_matches(manner.action, operation.action):
            raise CallRefused(Problem("action-mismatch", f"{manner.action} ≠ {operation.action}"))
        check = CallCheck.CONTRACT
        call = documents_requests.read_documents_call(child, contract.validate(child, unpacked.loads))
        if not isinstance(call, documents_requests.SendDocument):
            raise CallRefused(Problem("operation-unknown", operation.name))
        if call.message_id is None:
            raise CallRefused(Problem("contract-broken", phrase("a call of the hub has a MessageId")))
    except Rejected as rejected:
        return ReceivedCall(failed=check, problems=tuple(rejected.problems))
    return _judge_packet(call.packet, call.message_id, drawer)


def _judge_packet(given: bytes | Octets, message_id: str, drawer: Drawer) -> ReceivedCall:
    content = Octets.of(given) if isinstance(given, bytes) else given
    received = ReceivedCall(message_id=message_id, sha256=content.sha256(), size=len(content))
    try:
        root, loads = streamed_xml.parse_streamed_xml(
            content, frozenset({packet.LOADED}), drawer, take=packet.measure_long_text
        )
        return attrs.evolve(received, packet=packet.read_packet(root, loads))
    except Rejected as rejected:
        return attrs.evolve(received, failed=CallCheck.PACKET, problems=tuple(rejected.problems))


def write_acceptance(call: ReceivedCall, document_id: str, soap: str, identity: Identity, now: datetime) -> bytes:
    """Return the signed answer that the message was accepted, with a sealed receipt. *document_id* is the partner's."""
    said = documents_responses.Receipt(document_id, call.message_id, call.sha256, now)
    receipt = signing.seal_canonical(documents_responses.write_receipt(said), identity)
    taken = documents_responses.write_taken_response(OPERATION, document_id, receipt)
    return signing.sign_canonical_body(taken, soap, identity, now)


def write_refusal(code: str, description: str, soap: str, identity: Identity, now: datetime) -> bytes:
    """Return the signed answer that the message is refused, with the partner's own *code* and *description*."""
    answer = documents_responses.build_refused_response(OPERATION, ())
    success, errors = answer[0]
    success.text = "false"
    errors.append(envelope.build_element(NAMESPACE, "Error", {"Code": code, "Description": description}))
    return _sign_answer(answer, soap, identity, now)


def write_call_fault(problems: Sequence[Problem], soap: str) -> bytes:
    """Return the fault for a call that cannot be trusted or breaks the contract. It is the caller's fault."""
    return envelope.write_fault(NAMESPACE, problems, server=False, tracking="", soap=soap)


def _sign_answer(child: etree._Element, soap: str, identity: Identity, now: datetime) -> bytes:
    return signing.sign_envelope(envelope.wrap_in_envelope(child, soap), identity, now)
