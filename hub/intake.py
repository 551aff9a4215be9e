"""Takes calls in: opened, verified, validated, authorised, journalled, and only then answered.

Knows the order of the steps (design.md «The life of one message») and what each operation does; not HTTP, not SQL.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import attrs
import structlog
from cryptography import x509
from lxml import etree
from twisted.internet.defer import CancelledError

from hub import (
    answers,
    calls,
    changes,
    deliveries,
    envelope,
    enveloped,
    events,
    examination,
    journal,
    markup,
    packet,
    registry,
    signature,
    signing,
    statuses,
    window,
)
from hub.calls import Call
from hub.certificates import CLIENT, SIGN, fingerprint
from hub.config import Partner
from hub.contract import Contract
from hub.database import Journal
from hub.errors import CallRefused, Rejected, Unready
from hub.ids import new_id
from hub.journal import Entry, Taken
from hub.model import Event, Kind, Packet, PacketSignature, Problem, Standing
from hub.policy import Policy
from hub.province import Province, day
from hub.routes import Route, Routes
from hub.store import Transaction
from hub.window import Mark
from hub.workroom import Work

log = structlog.get_logger()
T = TypeVar("T")

#: `GetPendingDocumentIds` gives so many unless asked for fewer.
PENDING_LIMIT = 1000
#: `GetTraces` gives so many, or says that there are more: a Trace has no time to go on from.
TRACES_LIMIT = 2000


@attrs.frozen
class Answer:
    """What goes back: a signed envelope, and when to come again if the hub was not ready."""

    body: bytes
    fault: bool = False
    retry_after: int | None = None  #: seconds
    senders: bool = False  #: the fault is the caller's own, as SOAP 1.2 tells it apart


@attrs.frozen
class Manner:
    """How a call was sent, and so how it is answered."""

    soap: str = envelope.SOAP11  #: the version its media type names
    action: str | None = None  #: the SOAPAction, or the media type's action


@attrs.frozen
class Opened:
    """A call that has passed every step up to the contract: read from the verified element and nothing else."""

    partner: Partner  #: who signed it; or whose connection it came over, where no signature is asked for
    call: Call
    operation: str
    sha1: bool  #: the signature used SHA-1, as the partner's policy tolerates
    unknown: str  #: what of a certificate's revocation could not be learned, as the partner's policy tolerates
    mark: Mark | None  #: what tells this signed call from every other; None where there is no signature


@attrs.define(eq=False)
class Intake:
    """The front desk."""

    province: Province
    _contract: Contract
    _journal: Journal
    _work: Work
    _now: Callable[[], datetime]
    _accepted: Callable[[], None]  #: told after each commit that may have made deliveries

    async def answer(self, body: bytes, manner: Manner, certificate: x509.Certificate) -> Answer:
        """Answer the call in *body*, sent in that *manner* over a connection whose client showed *certificate*."""
        province, now = self.province, self._now()
        tracking = new_id(now)
        retry_after, fault, senders, soap = None, True, False, manner.soap
        try:
            try:
                child = await self._serve(province, body, manner, certificate, now, tracking)
                unsigned, fault = envelope.answer(child, soap), False
            except Rejected as rejected:
                unsigned = self._fault(rejected.problems, tracking, soap)
                senders = envelope.is_senders(rejected.problems)
        except CancelledError:
            raise
        except Unready as unready:
            log.warning("hub-unready", problem=unready.problem.code, detail=unready.problem.detail, tracking=tracking)
            unsigned, retry_after = self._fault((unready.problem,), tracking, soap, ours=True), unready.retry_after
        except Exception:
            log.exception("intake-failed", tracking=tracking)
            unsigned = self._fault((Problem("hub-error", tracking),), tracking, soap, ours=True)
        signed = await self._work(len(unsigned), signing.sign, unsigned, province.config.identity, now)
        return Answer(signed, fault, retry_after, senders)

    def _fault(self, problems: tuple[Problem, ...], tracking: str, soap: str, *, ours: bool = False) -> bytes:
        return envelope.fault(self._contract.namespace, problems, server=ours, tracking=tracking, soap=soap)

    async def _serve(
        self,
        province: Province,
        body: bytes,
        manner: Manner,
        certificate: x509.Certificate,
        now: datetime,
        tracking: str,
    ) -> etree._Element:
        """Return the answer's element.  Raises `Rejected`, after journalling it, when there is no answer but a fault."""
        partner = province.partner_with(certificate)
        if partner is None:
            shown = fingerprint(certificate)
            await self._journal.write(
                events.append,
                Event(
                    "call-refused",
                    now,
                    None,
                    None,
                    {"certificate": shown, "tracking": tracking, "code": "certificate-unknown"},
                ),
            )
            raise CallRefused(Problem("certificate-unknown", shown))
        anchors, rule = province.config.anchors, partner.policy.revocation
        try:
            anchors.check(certificate, now, purpose=CLIENT, unknown=rule)  # again: the connection may be an old one
            opened = await self._work(
                len(body),
                open_call,
                body,
                manner,
                province.callers_over(partner),
                certificate,
                province,
                self._contract,
                now,
            )
        except Rejected as rejected:
            sha256 = hashlib.sha256(body).hexdigest()
            entry = Entry(
                id=tracking,
                partner=partner.code,
                message_id=None,
                service=self._contract.name,
                received_at=now,
                content=body,
                sha256=sha256,
                problems=rejected.problems,
            )
            await self._journal.write(journal.take, entry, province.routes)
            raise
        if opened.partner is not partner:
            log.info("call-relayed", partner=opened.partner.code, relay=partner.code, operation=opened.operation)
            partner = opened.partner
        try:
            return await self._perform(province, partner, opened, now, tracking)
        except Rejected as rejected:
            said = {"partner": partner.code, "operation": opened.operation, "tracking": tracking}
            said["code"] = rejected.problems[0].code
            await self._journal.write(events.append, Event("call-refused", now, None, None, said))
            raise

    async def _perform(
        self, province: Province, partner: Partner, opened: Opened, now: datetime, tracking: str
    ) -> etree._Element:
        routes = province.routes
        if opened.sha1:
            log.warning("sha1-tolerated", partner=partner.code, operation=opened.operation)
        if opened.unknown:
            log.warning("revocation-unknown-allowed", partner=partner.code, reason=opened.unknown)
        match opened.call:
            case calls.SendDocument() | calls.UpdateTraces():
                return await self._take(province, partner, opened, now, tracking)
            case calls.GetPendingDocumentIds(organ, limit):
                if not routes.receives(partner.code, organ):
                    raise CallRefused(Problem("not-yours", organ))
                most = min(limit or PENDING_LIMIT, PENDING_LIMIT)
                unit = routes.canonical(organ)
                return answers.pending(await self._journal.read(deliveries.pending, partner.code, unit, most, now))
            case calls.GetDocument(document_id):
                row, octets = await self._once(opened.mark, now, deliveries.fetch, partner.code, document_id, now)
                found = answers.Document(document_id, row["message_id"], octets)
                return await self._work(len(octets), answers.document, found)
            case calls.ConfirmReceived(document_id, given):
                confirmed_unit = routes.canonical(given) if given else None
                return await self._confirm(opened, partner.code, document_id, confirmed_unit, now)
            case calls.GetTraces() as asked:
                return await self._traces(routes, partner, asked)
            case calls.GetOrganizations(since):
                units = await self._journal.read(registry.units)
                reached = [unit for unit in units if since is None or not unit.until or unit.until > day(since)]
                return answers.organizations(reached)
            case calls.CheckPermission(organ):
                return answers.permission(routes.permission(partner.code, organ))

    async def _confirm(
        self, opened: Opened, partner: str, document_id: str, unit: str | None, now: datetime
    ) -> etree._Element:
        try:
            await self._once(opened.mark, now, deliveries.confirm, partner, document_id, unit, now)
        except CallRefused:
            raise
        except Rejected as rejected:
            return answers.refused(opened.operation, rejected.problems)
        return answers.confirmed()

    async def _once(self, mark: Mark | None, now: datetime, step: Callable[..., T], *args: object) -> T:
        """Do a writing *step* of a call without an id of its own.  Raises `Rejected`: also `replayed`."""

        def take(tx: Transaction) -> T | Rejected:
            return window.once(tx, mark, now, lambda fresh: step(tx, *args, fresh=fresh))

        found = await self._journal.write(take)
        if isinstance(found, Rejected):
            raise found
        return found

    async def _traces(self, routes: Routes, partner: Partner, asked: calls.GetTraces) -> etree._Element:
        unit = routes.canonical(asked.organ_id)
        if not (routes.may_send(partner.code, unit) or routes.receives(partner.code, unit)):
            raise CallRefused(Problem("not-yours", asked.organ_id))
        own = None if routes.owns(partner.code, unit) else partner.code
        found_traces = await self._journal.read(
            statuses.traces,
            unit,
            document=asked.document_id,
            since=asked.since,
            carried_by=own,
            limit=TRACES_LIMIT + 1,
        )
        if len(found_traces) > TRACES_LIMIT:
            raise CallRefused(Problem("too-many-traces", f"{asked.organ_id}: {TRACES_LIMIT}"))
        return answers.traces([answers.Trace(trace.document, trace.packet) for trace in found_traces])

    async def _take(
        self, province: Province, partner: Partner, opened: Opened, now: datetime, tracking: str
    ) -> etree._Element:
        call = opened.call
        assert isinstance(call, calls.SendDocument | calls.UpdateTraces)
        entry = await self._work(
            len(call.packet), judge_message, call, partner, province, self._contract.name, now, tracking
        )
        taken: Taken = await self._journal.write(journal.take, entry, province.routes)
        if taken.problems:
            log.info("message-refused", message=taken.id, partner=partner.code, code=taken.problems[0].code)
            return answers.refused(opened.operation, taken.problems)
        log.info("message-accepted", message=taken.id, partner=partner.code, repeated=taken.id != entry.id)
        self._accepted()
        assert taken.receipt is not None
        return answers.taken(opened.operation, taken.id, taken.receipt)


def open_call(
    body: bytes,
    manner: Manner,
    callers: Sequence[Partner],
    shown: x509.Certificate,
    province: Province,
    contract: Contract,
    now: datetime,
) -> Opened:
    """Parse, verify and validate a call of one of *callers*, the first of whom showed that certificate; return what its
    verified Body says.

    Raises `Rejected` with the code of the step that refused it.
    """
    root = markup.parse(body)
    opened = envelope.open_envelope(root)
    if opened.soap != manner.soap:
        raise CallRefused(Problem("soap-version", f"{envelope.MEDIA[manner.soap]} ≠ {opened.soap}"))
    believed = believe(root, opened, callers, shown, province, now)
    (child,) = believed.body.iterchildren("*")
    operation = contract.operation(child)
    if not envelope.action_matches(manner.action, operation.action):
        raise CallRefused(Problem("action-mismatch", f"{manner.action} ≠ {operation.action}"))
    call = calls.read(child, contract.validate(child))
    return Opened(believed.partner, call, operation.name, believed.sha1, believed.unknown, believed.mark)


@attrs.frozen(eq=False)
class Believed:
    """The Body that may be read, whose it is, and what the partner's policy tolerated for it."""

    partner: Partner
    body: etree._Element
    sha1: bool = False
    unknown: str = ""
    mark: Mark | None = None


def believe(
    root: etree._Element,
    opened: envelope.Envelope,
    callers: Sequence[Partner],
    shown: x509.Certificate,
    province: Province,
    now: datetime,
) -> Believed:
    """Return the Body that may be read.  Raises `Unverified`, `Untrusted`.

    It is the one that the WS-Security signature covers, made by one of *callers*, each by its own certificates and policy.  Under
    `signature=packet` there may be no such signature, and then the certificate that TLS showed answers for the Body, which is of
    the first of *callers*; a signature that is there must verify all the same.
    """
    refused: list[Rejected] = []
    for partner in callers:
        try:
            return _believe(root, opened, partner, shown, province, now)
        except Rejected as error:
            refused.append(error)
    raise min(refused, key=lambda each: _VAGUE.get(each.problems[0].code, 0))


#: Refusals that may only mean that another of the callers signed: the more, the less they tell.
_VAGUE = {"algorithm-refused": 1, "certificate-unknown": 2}


def _believe(
    root: etree._Element,
    opened: envelope.Envelope,
    partner: Partner,
    shown: x509.Certificate,
    province: Province,
    now: datetime,
) -> Believed:
    policy, anchors = partner.policy, province.config.anchors
    try:
        verified = signature.verify(
            root, partner.certificates, now, max_age=policy.max_age, skew=policy.clock_skew, sha1=policy.sha1
        )
    except signature.Unverified as error:
        if policy.signature != "packet" or error.problems[0].code != "unsigned" or envelope.is_signed(opened):
            raise
        return Believed(partner, opened.body, unknown=anchors.check(shown, now, unknown=policy.revocation))
    unknown = anchors.check(verified.certificate, now, verified.chain, purpose=SIGN, unknown=policy.revocation)
    name = hashlib.sha256(f"{partner.code}\n".encode() + verified.signed).hexdigest()
    mark = Mark(name, verified.expires + policy.clock_skew)
    return Believed(partner, verified.body, verified.sha1, unknown, mark)


def judge_message(
    call: calls.SendDocument | calls.UpdateTraces,
    partner: Partner,
    province: Province,
    service: str,
    now: datetime,
    message: str,
) -> Entry:
    """Judge the packet of *call*: read it, examine it, authorise its sender, route it, and write the receipt for it."""
    sha256 = hashlib.sha256(call.packet).hexdigest()
    entry = Entry(
        id=message,
        partner=partner.code,
        message_id=call.message_id or sha256,
        service=service,
        received_at=now,
        content=call.packet,
        sha256=sha256,
    )
    try:
        root = markup.parse(call.packet)
        entry = attrs.evolve(entry, signature=judge_signature(root, partner, province, now))
        require_signature(entry.signature, partner.policy)
        read = packet.read(root)
    except Rejected as rejected:
        return attrs.evolve(entry, problems=rejected.problems)
    only_status = isinstance(call, calls.UpdateTraces)
    try:
        read = examination.examine(read, today=day(now), profile=partner.policy.profile)
        routes = authorise(read, partner.code, province, now, only_status=only_status)
    except Rejected as rejected:
        return attrs.evolve(entry, packet=read, problems=rejected.problems)
    assert entry.message_id is not None
    said = answers.Receipt(document_id=message, message_id=entry.message_id, sha256=sha256, time=now)
    receipt = signing.seal(answers.receipt(said), province.config.identity)
    return attrs.evolve(entry, packet=read, routes=routes, receipt=receipt)


def judge_signature(root: etree._Element, partner: Partner, province: Province, now: datetime) -> PacketSignature:
    """Return what the own signature of a packet that *partner* brings is worth."""
    policy = partner.policy
    return enveloped.judge(
        root,
        partner.certificates,
        province.config.anchors,
        now,
        sha1=policy.sha1,
        vxp=policy.vxp_signature,
        unknown=policy.revocation,
    )


def require_signature(found: PacketSignature | None, policy: Policy) -> None:
    """Raise `Rejected` where the policy wants packets signed and this one is not, or not well."""
    if policy.signature == "message" or found is None or found.standing is Standing.VALID:
        return
    codes = {
        Standing.UNSIGNED: "packet-unsigned",
        Standing.INVALID: "packet-signature-invalid",
        Standing.UNVERIFIABLE: "packet-signature-unverifiable",
    }
    reason = ": ".join(filter(None, (found.code, found.detail)))
    raise Rejected(Problem(codes[found.standing], reason))


def authorise(
    read: Packet, partner: str, province: Province, now: datetime, *, only_status: bool = False
) -> tuple[Route, ...]:
    """Return where *read* goes, if *partner* may send it: by UpdateTraces, a status only.  Raises `Rejected`."""
    routes, today = province.routes, day(now)
    if only_status and read.kind is not Kind.STATUS:
        raise Rejected(Problem("N.MessageHeader.StatusCode", "UpdateTraces"))
    if not routes.may_send(partner, read.sender):
        raise Rejected(Problem("sender-not-allowed", read.sender))
    if read.kind is not Kind.STATUS:
        return routes.route_all(partner, (*read.recipients, *changes.told(read)), today, also=read.removed)
    organ = read.responses[0].organ
    if routes.canonical(organ) == routes.canonical(read.sender):
        return ()  # the original sender's own word: it goes to the document's recipients, whom the journal knows
    try:
        return routes.route_all(partner, (organ,), today)
    except Rejected as rejected:
        if all(problem.code == "unit-without-system" for problem in rejected.problems):
            return ()  # its system finds the status by GetTraces
        raise
