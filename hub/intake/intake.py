"""Takes calls in: opened, verified, validated, handed to the desk of their service, and only then answered.

Knows the order of the steps (design.md «The life of one message»); not HTTP, not SQL, nor what any operation does: desks do.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

import attrs
import structlog
from cryptography import x509
from lxml import etree
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred

from hub.config import Partner
from hub.domain.errors import CallRefused, Rejected, Unready
from hub.domain.fair_queue import STRANGERS, Owner
from hub.domain.ids import new_id
from hub.domain.model import Event, Problem
from hub.formats import xml_cost
from hub.formats.spool import Drawer, Octets
from hub.formats.streamed_xml import Loads
from hub.intake.endpoint import Case, Desk, EndpointJournal, take_once, tell_refused
from hub.intake.grants import NotGranted
from hub.intake.verification import VerifiedCall, open_call
from hub.journal import events
from hub.journal.messages import MessageEntry
from hub.journal.replay_guard import ReplayMark
from hub.partner.policy import Policy
from hub.partner.throttle import Throttle
from hub.security.certificates import CLIENT, certificate_fingerprint
from hub.soap import attachments, envelope
from hub.soap.attachments import Carriage, Manner, Outgoing
from hub.units.live import Live
from hub.units.province import Province

log = structlog.get_logger()


@attrs.frozen
class SignedResponse:
    """What goes back: a signed envelope, and when to come again if the hub was not ready."""

    body: Outgoing
    fault: bool = False
    retry_after: int | None = None  #: seconds
    senders: bool = False  #: the fault is the caller's own, as SOAP 1.2 tells it apart


@attrs.define(eq=False)
class Intake:
    """The way to one desk."""

    live: Live
    _desk: Desk
    _books: EndpointJournal
    _now: Callable[[], datetime]
    _throttle: Throttle

    def enter(self, certificate: x509.Certificate) -> Callable[[], None]:
        """Take a place for a call over a connection whose client showed *certificate*; return what gives it back.

        A relay's connections are the relay's.  Raises `Unready` where whoever it is may not bring another call now; an event and the log
        tell of that, once in a while.
        """
        partner = self.live.province.partner_with(certificate)
        name, policy = (STRANGERS.name, Policy()) if partner is None else (partner.code, partner.policy)
        try:
            self._throttle.enter(name, policy)
        except Unready as unready:
            if count := self._throttle.refused(name):
                detail = f"{unready.problem.detail}: {count} refused"
                log.warning("calls-refused", partner=partner.code if partner else "", detail=detail)
                self.note(Problem(unready.problem.code, detail), certificate)
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
        """Answer the call in *body*, sent in that *manner* over a connection whose client showed *certificate*.

        What is large lies in *drawer*, from which the answer is to be written too.  When the call is not *wanted* any more no work is
        begun for it, and this raises CancelledError; what the journal was given stays.
        """
        province, now, loads = self.live.province, self._now(), Loads()
        partner = province.partner_with(certificate)
        owner = STRANGERS if partner is None else Owner(partner.code, wanted)
        tracking = new_id(now)
        retry_after, fault, senders, soap = None, True, False, manner.soap
        try:
            try:
                child = await self._serve(
                    province, body, manner, certificate, now, tracking, drawer, loads, partner, owner
                )
                unsigned, fault = envelope.write_unsigned_envelope(child, soap), False
            except Rejected as rejected:
                unsigned = self._fault(rejected.problems, tracking, soap)
                senders = envelope.is_senders(rejected.problems)
        except CancelledError:
            log.info("call-dropped", partner=partner.code if partner else "", tracking=tracking)
            raise
        except Unready as unready:
            unsigned, retry_after = self._unready(unready, tracking, soap), unready.retry_after
        except Exception:
            log.exception("intake-failed", tracking=tracking)
            unsigned = self._fault((Problem("hub-error", tracking),), tracking, soap, ours=True)
        identity, size = province.config.identity, len(unsigned) + loads.size
        try:
            packed = await self._books.work(
                owner, size, attachments.pack_envelope, unsigned, loads, manner, identity, now
            )
        except Unready as unready:  # unsigned, so it says no more than that the same may be sent again
            unsigned = self._unready(unready, tracking, soap)
            return SignedResponse(
                attachments.pack_plain_envelope(unsigned, soap), fault=True, retry_after=unready.retry_after
            )
        return SignedResponse(packed, fault, retry_after, senders)

    def stranger(self, certificate: x509.Certificate) -> Problem | None:
        """Return why whoever shows *certificate* is nobody to us; None for a partner."""
        known = self.live.province.partner_with(certificate) is not None
        return None if known else Problem("certificate-unknown", certificate_fingerprint(certificate))

    def note(self, problem: Problem, certificate: x509.Certificate) -> None:
        """Journal that a request was refused before it was read, by whoever showed *certificate*; he has his answer already."""
        partner = self.live.province.partner_with(certificate)
        who = {"partner": partner.code} if partner else {"certificate": certificate_fingerprint(certificate)}
        said = {**who, "code": problem.code, "detail": problem.detail[:200]}
        owner = Owner(partner.code) if partner else STRANGERS
        written = maybeDeferred(self._refuse, owner, said, self._now())
        _ = written.addErrback(lambda failure: log.warning("refusal-not-kept", error=failure.getErrorMessage(), **said))

    def _refuse(
        self, owner: Owner, said: Mapping[str, str], now: datetime, mark: ReplayMark | None = None
    ) -> Deferred[None]:
        """Journal what is *said* of a refused call, the one of that *mark* if it was signed.  Raises `Unready` where there is no room: the last of it is not for refusals to fill."""
        self._books.room()
        return self._books.journal.admit(owner, tell_refused, Event("call-refused", now, None, None, said), mark)

    def _unready(self, unready: Unready, tracking: str, soap: str) -> bytes:
        """Return the fault of what passes.  What exactly fails here is the operator's to know, and stands in the log."""
        code, detail = unready.problem.code, unready.problem.detail
        log.warning("hub-unready", problem=code, detail=detail, tracking=tracking)
        return self._fault((Problem(code, tracking),), tracking, soap, ours=True)

    def _fault(self, problems: tuple[Problem, ...], tracking: str, soap: str, *, ours: bool = False) -> bytes:
        return envelope.write_fault(self._desk.contract.namespace, problems, server=ours, tracking=tracking, soap=soap)

    async def _serve(
        self,
        province: Province,
        body: Octets,
        manner: Manner,
        certificate: x509.Certificate,
        now: datetime,
        tracking: str,
        drawer: Drawer,
        loads: Loads,
        partner: Partner | None,
        owner: Owner,
    ) -> etree._Element:
        """Return the answer's element, what is large of it in *loads*.  Raises `Rejected`, after journalling it, when there is no answer but a fault."""
        if partner is None:
            shown = certificate_fingerprint(certificate)
            await self._refuse(owner, {"certificate": shown, "tracking": tracking, "code": "certificate-unknown"}, now)
            raise CallRefused(Problem("certificate-unknown", shown))
        anchors, rule = province.config.anchors, partner.policy.revocation
        try:
            anchors.check(certificate, now, purpose=CLIENT, unknown=rule)  # again: the connection may be an old one
            opened = await self._books.work(
                owner,
                xml_cost.estimate_call(body),
                open_call,
                body,
                manner,
                province.callers_over(partner),
                certificate,
                province,
                self._desk.contract,
                now,
                drawer,
                self._desk.read,
            )
        except NotGranted as refused:  # well signed, so an event tells who asked for what; the body is nobody's to keep
            said = {"partner": refused.partner, "operation": refused.operation, "tracking": tracking}
            problem = refused.problems[0]
            await self._refuse(owner, {**said, "code": problem.code, "detail": problem.detail}, now, refused.mark)
            raise
        except Rejected as rejected:
            self._books.room()
            private, owner = self._desk.private, Owner(partner.code)  # a refusal is journalled, wanted or not
            kept = await self._books.work(owner, len(body), attachments.keep_refused_body, body, manner, drawer)
            entry = MessageEntry(
                id=tracking,
                partner=partner.code,
                message_id=None,
                service=self._desk.contract.name,
                received_at=now,
                content=kept,
                sha256=await self._books.work(owner, len(kept), kept.sha256),
                problems=tuple(Problem(each.code) for each in rejected.problems) if private else rejected.problems,
                withheld=private,
            )
            await self._books.keep(owner, entry)
            await self._books.journal.admit(owner, take_once, entry, province.routes, rejected.mark)
            raise
        if opened.partner is not partner:
            log.info("call-relayed", partner=opened.partner.code, relay=partner.code, operation=opened.operation)
            partner, owner = opened.partner, attrs.evolve(owner, name=opened.partner.code)
        try:
            return await self._perform(province, partner, owner, opened, now, tracking, manner.carriage, drawer, loads)
        except Rejected as rejected:
            said = {"partner": partner.code, "operation": opened.operation, "tracking": tracking}
            said["code"] = rejected.problems[0].code
            await self._refuse(owner, said, now, opened.mark)
            raise

    async def _perform(
        self,
        province: Province,
        partner: Partner,
        owner: Owner,
        opened: VerifiedCall,
        now: datetime,
        tracking: str,
        how: Carriage,
        drawer: Drawer,
        loads: Loads,
    ) -> etree._Element:
        sha1 = None
        if opened.sha1 is not None:
            log.warning("sha1-tolerated", partner=partner.code, operation=opened.operation)
            shown = certificate_fingerprint(opened.sha1)
            sha1 = {"partner": partner.code, "operation": opened.operation, "certificate": shown}
        if opened.unknown:
            log.warning("revocation-unknown-allowed", partner=partner.code, reason=opened.unknown)
        if sha1 is not None and not self._desk.brings(opened.call):
            await self._books.journal.admit(owner, events.append_events, Event("sha1-used", now, None, None, sha1))
        case = Case(
            province=province,
            partner=partner,
            owner=owner,
            opened=opened,
            now=now,
            tracking=tracking,
            how=how,
            drawer=drawer,
            loads=loads,
            sha1=sha1,
        )
        return await self._desk.perform(case)
