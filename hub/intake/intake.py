"""Takes calls in: opens, verifies and validates each call, passes it to its service's endpoint, and only then answers.

The order of the steps is described in docs/explanation/architecture.md. Contains no HTTP and no SQL. The endpoints know
what each operation does.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

import attrs
import structlog
from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred

from hub.config import Partner
from hub.domain.errors import CallRefused, Rejected, Unready
from hub.domain.fair_queue import STRANGERS, Owner
from hub.domain.ids import make_id
from hub.domain.measures import CALL_SECONDS, CALLS_ANSWERED, DROPPED, MESSAGES, OK, name_code
from hub.domain.model import Event, Problem
from hub.domain.sightings import SightingKind
from hub.domain.spans import SpanWork
from hub.formats import xml_cost
from hub.formats.canonical_xml import CanonicalElement
from hub.formats.spool import Drawer, Octets
from hub.formats.streamed_xml import Loads
from hub.intake.dear_calls import ArrivedCall, DearCalls
from hub.intake.endpoint import (
    Answer,
    Case,
    Endpoint,
    JournalAccess,
    record_message_once,
    record_refusal,
    store_large_octets,
)
from hub.intake.grants import NotGranted
from hub.intake.signed_response import SignedResponse
from hub.intake.verification import VerifiedCall, open_call
from hub.journal import events
from hub.journal.effects import MessageEntry
from hub.journal.message_sets import ReceivedMessage
from hub.journal.replay_guard import ReplayMark
from hub.language.phrases import phrase
from hub.partner.policy import Policy
from hub.partner.throttle import Throttle
from hub.security.anchors import Purpose
from hub.security.certificates import hash_certificate
from hub.soap import attachments, envelope
from hub.soap.attachments import Manner
from hub.units.live import Live
from hub.units.province import Province

log = structlog.get_logger()


@attrs.frozen(kw_only=True, eq=False)
class PendingCall:
    """A call that is being answered in this process, with what all steps must know of it."""

    arrived: ArrivedCall
    province: Province  #: in force when it was begun
    partner: Partner | None  #: that it is answered to; None: the client's certificate belongs to no partner
    owner: Owner  #: for whom work is done
    now: datetime
    tracking: str
    cost: int  #: of reading it (`hub.formats.xml_cost`)
    loads: Loads = attrs.field(factory=Loads)  #: the large content of its answer

    @classmethod
    def of(cls, arrived: ArrivedCall, province: Province, *, now: datetime, tracking: str, cost: int) -> "PendingCall":
        """Return the call that *arrived* on a connection of the partner that *province* knows by its certificate."""
        partner = province.partner_with(arrived.certificate)
        owner = STRANGERS if partner is None else Owner(partner.code, arrived.wanted)
        return cls(
            arrived=arrived, province=province, partner=partner, owner=owner, now=now, tracking=tracking, cost=cost
        )


@attrs.frozen
class UnsignedReply:
    """What is answered to a call, before it is signed."""

    unsigned: bytes | CanonicalElement
    code: str = OK  #: of the fault, if it is one
    retry_after: int | None = attrs.field(default=None, kw_only=True)  #: seconds, after a temporary failure
    senders: bool = attrs.field(default=False, kw_only=True)  #: the fault is the sender's
    logged: bool = attrs.field(default=False, kw_only=True)  #: the call carried a message


@attrs.define(eq=False)
class Intake:
    """Takes in the calls of one endpoint."""

    live: Live  #: the configuration and the province in force
    _endpoint: Endpoint  #: the endpoint of the service
    _access: JournalAccess  #: access to the journal
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _throttle: Throttle  #: limits the calls of each partner
    _seconds: Callable[[], float] = time.monotonic  #: a monotonic clock, for durations
    _dear: DearCalls = attrs.field(factory=DearCalls)  #: which calls another process answers

    def enter(self, certificate: x509.Certificate) -> Callable[[], None]:
        """Take a place for a call on a connection with this client *certificate*. Return the function that releases it.

        On a relay's connection the relay is the partner. Raises `Unready` when the partner may not begin another call
        now. Such refusals are reported by an event and the log at intervals (`throttle.TOLD`).
        """
        partner = self.live.province.partner_with(certificate)
        name, policy = (STRANGERS.name, Policy()) if partner is None else (partner.code, partner.policy)
        try:
            self._throttle.enter(name, policy)
        except Unready as unready:
            self._count(partner, unready.problem.code)
            if count := self._throttle.count_refusal(name):
                detail = phrase("{reason}: {count} refused", reason=unready.problem.detail, count=count)
                log.warning("calls-refused", partner=partner.code if partner else "", detail=str(detail))
                self._journal_refusal(Problem(unready.problem.code, detail), certificate)
            raise
        return partial(self._throttle.leave, name)

    async def answer(
        self,
        body: Octets,
        manner: Manner,
        certificate: x509.Certificate,
        drawer: Drawer,
        wanted: Callable[[], bool] = lambda: True,
    ) -> SignedResponse:
        """Answer the call in *body*, sent as *manner* says on a connection with this client *certificate*.

        Large content is kept in *drawer*, and the response must be written from it, too. When the call is not *wanted*
        any more, no further work is begun and CancelledError is raised. What the journal has received stays. A dear call
        is answered in another process, if there is one.
        """
        now, partner, cost = self._now(), self.live.province.partner_with(certificate), _estimate_body(body)
        question = (partner.code if partner else "", self._endpoint.contract.name, manner.action)
        arrived = ArrivedCall(question[1], body, manner, certificate, drawer, wanted)
        tracking = make_id(now)
        answer = None
        try:
            if partner is not None:
                answer = await self._dear.forward(arrived, question, cost)
        except Unready as unready:
            self._count(partner, unready.problem.code)
            return self._refuse_unsigned(unready, tracking, manner.soap)
        if answer is None:
            call = PendingCall.of(arrived, self.live.province, now=now, tracking=tracking, cost=cost)
            with self._access.tracer.span(SpanWork.INTAKE, tracking, manner.trace) as told:
                answer = await self._answer(call, told)
        self._dear.note_answer(question, answer.body.size)
        return answer

    async def _answer(self, call: PendingCall, told: dict[str, str | int]) -> SignedResponse:
        """See `answer`. *told* gets what the span of the call says."""
        begun, partner, manner = self._seconds(), call.partner, call.arrived.manner
        told |= {"service": self._endpoint.contract.name, "partner": partner.code if partner else ""}
        reply = await self._reply(call)
        identity, size = call.province.config.identity, len(reply.unsigned) + call.loads.size
        try:
            packed = await self._access.work(
                call.owner, size, attachments.pack_envelope, reply.unsigned, call.loads, manner, identity, call.now
            )
        except CancelledError:
            self._count(partner, DROPPED)
            raise
        except Unready as unready:  # the answer is unsigned, so it says only that the same call may be sent again
            told["failure"] = name_code(unready.problem.code)
            self._count(partner, unready.problem.code, self._seconds() - begun)
            return self._refuse_unsigned(unready, call.tracking, manner.soap)
        if reply.code != OK:
            told["failure"] = name_code(reply.code)
        self._count(partner, reply.code, self._seconds() - begun)
        return SignedResponse(packed, reply.code != OK, reply.retry_after, reply.senders, reply.logged)

    async def _reply(self, call: PendingCall) -> UnsignedReply:
        """Return what is answered to *call*: the answer of its endpoint, or a fault for whatever went wrong."""
        soap, tracking = call.arrived.manner.soap, call.tracking
        try:
            try:
                child, logged = await self._serve(call)
                unsigned = (
                    child if isinstance(child, CanonicalElement) else envelope.write_unsigned_envelope(child, soap)
                )
                return UnsignedReply(unsigned, logged=logged)
            except Rejected as rejected:
                unsigned, code = self._fault(rejected.problems, tracking, soap), rejected.problems[0].code
                return UnsignedReply(unsigned, code, senders=envelope.is_sender_fault(rejected.problems))
        except CancelledError:
            self._count(call.partner, DROPPED)
            log.info("call-dropped", partner=call.partner.code if call.partner else "", tracking=tracking)
            raise
        except Unready as unready:
            unsigned = self._unready(unready, tracking, soap)
            return UnsignedReply(unsigned, unready.problem.code, retry_after=unready.retry_after)
        except Exception:
            log.exception("intake-failed", tracking=tracking)
            unsigned = self._fault((Problem("hub-error", tracking),), tracking, soap, ours=True)
            return UnsignedReply(unsigned, "hub-error")

    def _count(
        self, partner: Partner | None, code: str, seconds: float | None = None, service: str | None = None
    ) -> None:
        """Count a call by its answer, and by its duration in *seconds* if it was answered."""
        who, measures = partner.code if partner else "", self._access.measures
        name = self._endpoint.contract.name if service is None else service
        measures.count(CALLS_ANSWERED, who, name, code if code in (OK, DROPPED) else name_code(code))
        if seconds is not None:
            measures.observe(CALL_SECONDS, seconds, who, name)

    def check_certificate(self, certificate: x509.Certificate) -> Problem | None:
        """Return the problem if *certificate* belongs to no partner, else None."""
        known = self.live.province.partner_with(certificate) is not None
        return None if known else Problem("certificate-unknown", hash_certificate(certificate))

    def record_refusal(self, problem: Problem, certificate: x509.Certificate, service: str | None = None) -> None:
        """Journal that a request with this *certificate* was refused before it was read.

        The caller already has its answer. *service* is given where it is not the endpoint's: "" for an unknown one.
        """
        self.count_unread(problem.code, certificate, service)
        self._journal_refusal(problem, certificate)

    def count_unread(self, code: str, certificate: x509.Certificate, service: str | None = None) -> None:
        """Count a call that was answered before it was read. See `record_refusal`."""
        self._count(self.live.province.partner_with(certificate), code, service=service)

    def _journal_refusal(self, problem: Problem, certificate: x509.Certificate) -> None:
        partner = self.live.province.partner_with(certificate)
        who = {"partner": partner.code} if partner else {"certificate": hash_certificate(certificate)}
        said = {**who, "code": problem.code, "detail": str(problem.detail)[:200]}
        owner = Owner(partner.code) if partner else STRANGERS
        written = maybeDeferred(self._refuse, owner, said, self._now())
        _ = written.addErrback(lambda failure: log.warning("refusal-not-kept", error=failure.getErrorMessage(), **said))

    def _refuse(
        self, owner: Owner, said: Mapping[str, str], now: datetime, mark: ReplayMark | None = None
    ) -> Deferred[None]:
        """Journal the refusal *said* of a call, and spend its *mark* if it was signed.

        Raises `Unready` when the disk is nearly full: refusals must not fill the rest of it.
        """
        self._access.require_space()
        return self._access.journal.admit(owner, record_refusal, Event("call-refused", now, None, None, said), mark)

    def _unready(self, unready: Unready, tracking: str, soap: str) -> bytes:
        """Return the fault for a temporary failure. Its details are for the operator only, in the log."""
        code, detail = unready.problem.code, str(unready.problem.detail)
        log.warning("hub-unready", problem=code, detail=detail, tracking=tracking)
        return self._fault((Problem(code, tracking),), tracking, soap, ours=True)

    def _refuse_unsigned(self, unready: Unready, tracking: str, soap: str) -> SignedResponse:
        """Return the response for a temporary failure of signing itself, or of the process that was to answer."""
        plain = attachments.pack_plain_envelope(self._unready(unready, tracking, soap), soap)
        return SignedResponse(plain, fault=True, retry_after=unready.retry_after)

    def _fault(self, problems: tuple[Problem, ...], tracking: str, soap: str, *, ours: bool = False) -> bytes:
        return envelope.write_fault(
            self._endpoint.contract.namespace, problems, server=ours, tracking=tracking, soap=soap
        )

    async def _serve(self, call: PendingCall) -> tuple[Answer, bool]:
        """Return the element of the answer, with large content in the call's loads, and whether it carried a message.

        Raises `Rejected`, after journalling the refusal, when the only answer is a fault.
        """
        if call.partner is None:
            shown = hash_certificate(call.arrived.certificate)
            said = {"certificate": shown, "tracking": call.tracking, "code": "certificate-unknown"}
            await self._refuse(call.owner, said, call.now)
            raise CallRefused(Problem("certificate-unknown", shown))
        opened = await self._open(call, call.partner)
        partner = opened.partner
        if opened.signer is not None:
            self._access.sightings.note(partner.code, SightingKind.SIGNATURE_CERTIFICATE, opened.signer, call.now)
        if partner is not call.partner:
            log.info("call-relayed", partner=partner.code, relay=call.partner.code, operation=opened.operation)
            call = attrs.evolve(call, partner=partner, owner=attrs.evolve(call.owner, name=partner.code))
        try:
            child = await self._perform(call, opened)
        except Rejected as rejected:
            said = {"partner": partner.code, "operation": opened.operation, "tracking": call.tracking}
            said["code"] = rejected.problems[0].code
            await self._refuse(call.owner, said, call.now, opened.mark)
            raise
        return child, self._endpoint.carries_message(opened.call)

    async def _open(self, call: PendingCall, partner: Partner) -> VerifiedCall:
        """Verify the call on a connection of *partner*. Raises `Rejected` after journalling the refusal."""
        province, arrived = call.province, call.arrived
        try:
            # checked again, because the connection may be old
            province.config.anchors.check(
                arrived.certificate, call.now, purpose=Purpose.CLIENT, unknown=partner.policy.revocation
            )
            with self._access.tracer.span(SpanWork.VERIFY, call.tracking, arrived.manner.trace):
                return await self._access.work(
                    call.owner,
                    call.cost,
                    open_call,
                    arrived.body,
                    arrived.manner,
                    province.callers_over(partner),
                    arrived.certificate,
                    province,
                    self._endpoint.contract,
                    call.now,
                    arrived.drawer,
                    self._endpoint.read,
                )
        except NotGranted as refused:  # the signature is valid, so an event records the caller; the body is not stored
            said = {"partner": refused.partner, "operation": refused.operation, "tracking": call.tracking}
            problem = refused.problems[0]
            said |= {"code": problem.code, "detail": str(problem.detail)}
            await self._refuse(call.owner, said, call.now, refused.mark)
            raise
        except Rejected as rejected:
            await self._journal_refused_body(call, partner, rejected)
            raise

    async def _journal_refused_body(self, call: PendingCall, partner: Partner, rejected: Rejected) -> None:
        """Journal the body of a refused call as a message, even if the call is not wanted any more."""
        self._access.require_space()
        private, owner, body = self._endpoint.is_private, Owner(partner.code), call.arrived.body
        manner, drawer = call.arrived.manner, call.arrived.drawer
        kept = await self._access.work(owner, len(body), attachments.keep_refused_body, body, manner, drawer)
        entry = MessageEntry(
            id=call.tracking,
            partner=partner.code,
            message_id=None,
            service=self._endpoint.contract.name,
            received_at=call.now,
            content=kept,
            sha256=await self._access.work(owner, len(kept), kept.sha256),
            problems=tuple(Problem(each.code) for each in rejected.problems) if private else rejected.problems,
            withheld=private,
            trace=manner.trace,
        )
        await store_large_octets(self._access.journal, owner, entry)
        received = ReceivedMessage(entry, call.province.routes, rejected.mark)
        await self._access.journal.admit(owner, record_message_once, received)
        self._access.measures.count(MESSAGES, partner.code, entry.service, name_code(rejected.problems[0].code))

    async def _perform(self, call: PendingCall, opened: VerifiedCall) -> Answer:
        partner, now, sha1 = opened.partner, call.now, None
        if opened.sha1 is not None:
            log.warning("sha1-tolerated", partner=partner.code, operation=opened.operation)
            shown = hash_certificate(opened.sha1)
            sha1 = {"partner": partner.code, "operation": opened.operation, "certificate": shown}
        if opened.unknown:
            log.warning("revocation-unknown-allowed", partner=partner.code, reason=str(opened.unknown))
        if sha1 is not None and not self._endpoint.carries_message(opened.call):
            await self._access.journal.admit(
                call.owner, events.append_events, Event("sha1-used", now, None, None, sha1)
            )
        case = Case(
            province=call.province,
            partner=partner,
            owner=call.owner,
            opened=opened,
            now=now,
            tracking=call.tracking,
            how=call.arrived.manner.carriage,
            drawer=call.arrived.drawer,
            loads=call.loads,
            sha1=sha1,
            trace=call.arrived.manner.trace,
        )
        return await self._endpoint.perform(case)


def _estimate_body(body: Octets) -> int:
    """Return what reading *body* costs. If it cannot be read, that is found where it is opened."""
    try:
        return xml_cost.estimate_call(body)
    except OSError:
        return 0
