"""Serves the partner's `SendDocument` over HTTPS, gives the answers of a plan, and tells of each call.

Uses the bounds of the hub's own ports (`hub.web`): of a long body only its file grows, and connections and calls under
way are limited. Keeps the ids of the last `REMEMBERED` messages, so that a repetition is recognised, and nothing else of
a call. Does not print anything.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import attrs
from cryptography import x509
from OpenSSL import SSL
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from hub.domain.errors import CallRefused, Rejected, find_error_sentence
from hub.domain.model import Problem
from hub.formats.spool import Octets
from hub.language.catalogues import say_both
from hub.runtime.ports import DirectTlsFactory
from hub.security import tls
from hub.security.certificates import Identity, hash_certificate
from hub.simulator import received_call
from hub.simulator.answers import AnswerKind, AnswerPlan, ToldAnswer
from hub.simulator.received_call import CallCheck, ReceivedCall
from hub.soap import attachments, envelope
from hub.soap.attachments import Manner
from hub.soap.documents_requests import NAMESPACE
from hub.soap.wsdl import Contract
from hub.web.soap_listener import BoundedRequest, BoundedSite

#: Maximum octets of a call: the largest document of the hub, inline.
LARGEST = 64 << 20
#: Calls that may wait for a slow answer at a time. The hub sends at most `concurrency` to one partner.
MOST_WAITING = 100
#: Messages of which the id is kept.
REMEMBERED = 10_000
_GARBAGE = b"<html>\xff this is not what you asked for"
_XML_TYPES = {soap: media.encode() for soap, media in envelope.CONTENT_TYPES.items()}


@attrs.frozen(kw_only=True)
class SimulatedCall:
    """One call, or one connection that was closed because the partner is down."""

    number: int  #: from 1
    at: datetime
    answer: ToldAnswer | None  #: None: a fault, because the call did not pass a check
    received: ReceivedCall | None = None  #: None: nothing was read
    again: bool = False  #: the message came before


@attrs.define(eq=False)
class SimulatedPartner:
    """What one partner is, and what it was told."""

    identity: Identity  #: signs its answers; its certificate is the one of TLS
    hub: Sequence[x509.Certificate]  #: with one of these the hub signs, and shows itself in TLS
    contract: Contract  #: of the documents service
    plan: AnswerPlan
    now: Callable[[], datetime]
    tell: Callable[[SimulatedCall], None]  #: called once for each call
    turned_away: int = attrs.field(default=0, init=False)  #: handshakes of others than the hub
    _calls: int = attrs.field(default=0, init=False)
    #: message id -> SHA-256 of its packet and the partner's own id of it, the oldest first
    _known: OrderedDict[str, tuple[str, str]] = attrs.field(factory=OrderedDict, init=False)

    def make_context(self) -> SSL.Context:
        """Return the context of its port: the client must show a certificate of the hub."""
        return tls.make_tls_context(self.identity, self._require_hub)

    def _require_hub(self, shown: x509.Certificate, _above: Sequence[x509.Certificate]) -> None:
        if shown not in self.hub:
            self.turned_away += 1
            raise Rejected(Problem("certificate-unknown", hash_certificate(shown)))

    def close_if_down(self) -> bool:
        """Tell whether a new connection must be closed at once. If so, it counts as a call."""
        if self.plan.next.kind is not AnswerKind.DOWN:
            return False
        self._tell(self.plan.take())
        return True

    def judge(self, body: Octets, manner: Manner, drawer: Any) -> tuple[ToldAnswer | None, bytes]:
        """Check a call. Return the answer to give (None: a fault), and its octets.

        There are none for an answer that is no SOAP.
        """
        received = received_call.judge_call(body, manner, self.hub, self.contract, self.now(), drawer)
        before = self._known.get(received.message_id)
        if before is not None and before[0] != received.sha256:
            reused = Problem("id-reused", received.message_id)
            received = attrs.evolve(received, failed=CallCheck.CONTRACT, problems=(reused,))
        if not received.is_trusted:
            self._tell(None, received)
            return None, received_call.write_call_fault(received.problems, manner.soap)
        answer = self.plan.take()
        self._tell(answer, received, again=before is not None)
        return answer, self._write(answer, received, manner.soap)

    def note_unread(self, problem: Problem) -> None:
        """Count a call that could not be read at all."""
        self._tell(None, ReceivedCall(failed=CallCheck.ENVELOPE, problems=(problem,)))

    def _write(self, answer: ToldAnswer, call: ReceivedCall, soap: str) -> bytes:
        if answer.kind is AnswerKind.REFUSE:
            return self._refuse(answer.code, answer.detail, soap)
        if answer.kind not in {AnswerKind.ACCEPT, AnswerKind.SLOW}:
            return b""
        if call.problems:
            return self._refuse(call.problems[0].code, str(call.problems[0].detail), soap)
        _, document_id = self._known.get(call.message_id, ("", f"SIM-{self._calls}"))
        self._remember(call.message_id, call.sha256, document_id)
        return received_call.write_acceptance(call, document_id, soap, self.identity, self.now())

    def _refuse(self, code: str, detail: str, soap: str) -> bytes:
        return received_call.write_refusal(code, describe_refusal(code, detail), soap, self.identity, self.now())

    def _remember(self, message_id: str, sha256: str, document_id: str) -> None:
        self._known[message_id] = sha256, document_id
        self._known.move_to_end(message_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _tell(self, answer: ToldAnswer | None, received: ReceivedCall | None = None, *, again: bool = False) -> None:
        self._calls += 1
        call = SimulatedCall(number=self._calls, at=self.now(), answer=answer, received=received, again=again)
        self.tell(call)


def describe_refusal(code: str, detail: str) -> str:
    """Return the description of a refusal: the hub's sentences of a code that it knows, then the detail."""
    try:
        said = " / ".join(f"{each}." for each in say_both(find_error_sentence(code)))
    except KeyError:
        return detail or code
    return f"{said} [{detail}]" if detail else said


class PartnerSite(BoundedSite):
    """The site of a simulated partner: `SendDocument` at every path."""

    def __init__(self, partner: SimulatedPartner, reactor: Any) -> None:
        super().__init__(PartnerResource(partner, reactor), LARGEST, NAMESPACE, reactor)
        self.partner = partner
        self.answering = MOST_WAITING

    def log(self, request: Any) -> None:
        """Write no access log: each call is told."""


class PartnerTlsFactory(DirectTlsFactory):
    """Closes new connections at once while the partner is down."""

    def buildProtocol(self, addr: Any) -> Any:
        """See `TLSMemoryBIOFactory`. Twisted closes the connection if there is no protocol for it."""
        site: Any = self.wrappedFactory
        return None if site.partner.close_if_down() else super().buildProtocol(addr)


class PartnerResource(Resource):
    """Takes calls by POST, and answers as the plan says."""

    isLeaf = True

    def __init__(self, partner: SimulatedPartner, reactor: Any) -> None:
        super().__init__()
        self._partner, self._reactor = partner, reactor

    def render(self, request: BoundedRequest) -> Any:
        """Answer any method but POST with status 405."""
        if request.method == b"POST":
            return self.render_POST(request)
        request.setResponseCode(405)
        request.setHeader(b"Allow", b"POST")
        return b""

    def render_POST(self, request: BoundedRequest) -> Any:
        """Take one call."""
        try:
            manner = attachments.read_http_manner(
                request.getHeader("content-type") or "", request.getHeader("soapaction")
            )
        except CallRefused as refused:
            request.close_body()
            self._partner.note_unread(refused.problems[0])
            return _write_fault(request, received_call.write_call_fault(refused.problems, envelope.SOAP11))
        body, drawer = request.take_body()
        try:
            answer, said = self._partner.judge(body, manner, drawer)
        finally:
            drawer.close()
        request.setHeader(b"Content-Type", _XML_TYPES[manner.soap])
        if answer is None:
            return _write_fault(request, said)
        match answer.kind:
            case AnswerKind.DOWN:
                request.channel.abort()
                return NOT_DONE_YET
            case AnswerKind.TIMEOUT:
                return NOT_DONE_YET  # until the caller hangs up
            case AnswerKind.GARBAGE:
                request.setHeader(b"Content-Type", b"text/html")
                return _GARBAGE
            case AnswerKind.SLOW:
                later = self._reactor.callLater(answer.seconds, request.answer, said)
                _ = request.notifyFinish().addErrback(lambda _: later.cancel())
                return NOT_DONE_YET
        return said


def _write_fault(request: BoundedRequest, said: bytes) -> bytes:
    request.setResponseCode(500)
    return said
