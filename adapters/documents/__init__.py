"""The hub's own services, served by a partner: one signed SendDocument for each packet, and one signed call for each
message of another service, whose element is the operation.

Knows no HTTP and no journal. README.md names the source of the dialect. samples/ holds whole conversations.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs
from cryptography import x509
from lxml import etree

from adapters.documents.known_replies import KnownReplies
from hub.domain.conversations import Accepted, Conversation, Outcome, Refused, Reply, Request, Unavailable
from hub.domain.errors import Rejected
from hub.domain.model import DOCUMENTS, Consignment, Problem
from hub.formats import safe_xml
from hub.formats.canonical_xml import CanonicalElement
from hub.formats.spool import SMALL, Octets
from hub.formats.streamed_xml import Loads
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms
from hub.partner.reply_parsing import may_have_taken, retry_after
from hub.security import signing, wss_verify
from hub.security.certificates import Signer
from hub.soap import attachments, documents_requests, documents_responses, envelope
from hub.soap.attachments import Manner

#: HTTP statuses under which a SOAP stack sends an envelope. Under any other the body is a proxy's, or an HTML page.
_SOAP_STATUSES = {200, 400, 500}
_SEND = documents_requests.SendDocument.__name__
_HEADERS = (("Content-Type", envelope.CONTENT_TYPE), ("SOAPAction", f'"{documents_requests.NAMESPACE}/{_SEND}"'))
ANY_SERVICE = True  #: see `adapters.carries_any_service`
_SERVICE = "{service}"  #: what stands for the name of the service in the setting
SETTINGS = (
    Setting(
        "service-url",
        default="",
        like=r"https?://[!-~]+",
        expected=phrase("the URL for messages of other services, such as https://10.0.0.5/soap/{service}"),
    ),
)
#: Comments and CDATA in the Body of an answer are allowed: only the result of the call is read from it.
_REPLY = safe_xml.Limits(plain=frozenset({"Security"}))


@attrs.frozen
class Documents:
    """One partner that serves SendDocument at *url*. If it signs its replies, it uses one of *certificates*."""

    url: str
    service_url: str  #: for messages of other services than documents; `{service}` in it is the name of the service
    identity: Signer  #: the hub's identity, which signs the push
    certificates: Sequence[x509.Certificate]
    max_age: timedelta  #: the maximum age of a signed reply
    skew: timedelta  #: the maximum difference of the signer's clock
    _known: KnownReplies = attrs.field(
        default=attrs.Factory(lambda self: KnownReplies(self.certificates), takes_self=True), init=False, eq=False
    )

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Send the packet inline. The MessageId is the hub's id of the message, the same on every repetition.

        A message of another service is sent as it was received.
        """
        service = consignment.message.service
        if service == DOCUMENTS:
            reply = yield Request(self.url, self._call(consignment, now), _HEADERS, hands_over=True)
            return self._outcome(reply, reply.at or now)
        operation = etree.QName(safe_xml.parse_safe_xml(consignment.content).tag).localname
        action = ("SOAPAction", f'"urn:lienthong:{service}:1/{operation}"')
        body = signing.sign_canonical_body(CanonicalElement(consignment.content), envelope.SOAP11, self.identity, now)
        url = self.service_url.replace(_SERVICE, service)
        reply = yield Request(url, body, (_HEADERS[0], action), hands_over=True)
        return self._outcome(reply, reply.at or now, operation)

    def _call(self, consignment: Consignment, now: datetime) -> bytes:
        """Return the signed call. A long packet stays outside the tree, a short one needs no tree."""
        content, message_id = consignment.content, consignment.message.id
        if len(content) <= SMALL:
            child = documents_requests.write_send_document(content, message_id)
            return signing.sign_canonical_body(child, envelope.SOAP11, self.identity, now)
        element, loads = (
            documents_requests.build_call_element(documents_requests.SendDocument(b"", message_id)),
            Loads(),
        )
        documents_responses.fill_packets(element, [Octets.of(content)], loads)
        return attachments.pack_envelope(
            envelope.write_unsigned_envelope(element), loads, Manner(), self.identity, now
        ).read()

    def _outcome(self, reply: Reply, now: datetime, operation: str = _SEND) -> Outcome:
        def unavailable(reason: str) -> Unavailable:
            lost = may_have_taken(reply.status)
            return Unavailable(f"HTTP {reply.status}: {reason}", retry_after(reply.headers, now), unknown=lost)

        if reply.status not in _SOAP_STATUSES:
            return unavailable("no SOAP answer")
        packet = operation == _SEND
        named = self._known.read(reply.body, now, self.max_age, self.skew) if reply.status == 200 and packet else None
        if named is not None:
            return _make_accepted(named)
        try:
            child, signed = self._heard(reply.body, now)
            fault = envelope.read_fault(child)
            read = documents_responses.read_report if packet else documents_responses.read_service_report
            report = None if fault else read(child, operation)
        except (Rejected, ValueError) as error:
            return unavailable(str(error))
        if fault is not None:
            told = _say_problems(fault.problems) or fault.text
            return Refused(told) if fault.sender else unavailable(told)
        assert report is not None
        if not report.success:
            return Refused(_say_problems(report.problems) or "IsSuccess=false, without a reason")
        if reply.status != 200:
            return unavailable("IsSuccess=true")
        theirs = documents_requests.read_child_text(child, "DocumentId") or ""
        if signed and packet:
            self._known.learn(reply.body, theirs, now, self.max_age, self.skew)
        return _make_accepted(theirs)

    def _heard(self, body: bytes, now: datetime) -> tuple[etree._Element, bool]:
        """Return the child of the Body, and whether the reply is signed. Then it is the signed child."""
        opened = envelope.open_reply(safe_xml.parse_safe_xml(body, limits=_REPLY))
        if not envelope.is_signed(opened):
            return opened.child, False
        root = opened.body.getparent()
        assert root is not None
        verified = wss_verify.verify_envelope(root, self.certificates, now, max_age=self.max_age, skew=self.skew)
        return envelope.find_only_child(verified.body), True


def adapter(terms: Terms) -> Documents:
    """Return the adapter of one partner. Every adapter folder has this function."""
    others = terms.settings.get("service-url") or terms.url
    return Documents(terms.url, others, terms.identity, tuple(terms.certificates), terms.max_age, terms.skew)


def _make_accepted(document_id: str) -> Accepted:
    return Accepted(f"DocumentId {document_id}" if document_id else "")


def _say_problems(problems: Sequence[Problem]) -> str:
    return "; ".join(f"{problem.code}: {problem.detail}" for problem in problems)[:2000]
