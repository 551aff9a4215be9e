"""Takes calls in: opened, verified, validated, authorised, journalled, and only then answered.

Knows the order of the steps (design.md «The life of one message») and what each operation does; not HTTP, not SQL.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import attrs
import structlog
from cryptography import x509
from lxml import etree
from twisted.internet.defer import CancelledError

from hub import answers, calls, carriage, contents, envelope, events, fetching, journal, registry, statuses, window
from hub.admission import judge_message
from hub.carriage import Carriage, Manner, Outgoing
from hub.certificates import CLIENT, fingerprint
from hub.config import Partner
from hub.contract import Contract
from hub.database import Journal
from hub.errors import CallRefused, Rejected, Unready
from hub.ids import new_id
from hub.journal import Entry, Taken
from hub.model import Event, Problem
from hub.opening import Opened, open_call
from hub.province import Province, day
from hub.routes import Routes
from hub.slimming import Loads
from hub.spool import SMALL, Drawer, Octets
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

    body: Outgoing
    fault: bool = False
    retry_after: int | None = None  #: seconds
    senders: bool = False  #: the fault is the caller's own, as SOAP 1.2 tells it apart


@attrs.define(eq=False)
class Intake:
    """The front desk."""

    province: Province
    _contract: Contract
    _journal: Journal
    _work: Work
    _now: Callable[[], datetime]
    _room: Callable[[], None]  #: raises `Unready` when there is none for another message
    _accepted: Callable[[], None]  #: told after each commit that may have made deliveries

    async def answer(self, body: Octets, manner: Manner, certificate: x509.Certificate, drawer: Drawer) -> Answer:
        """Answer the call in *body*, sent in that *manner* over a connection whose client showed *certificate*.

        What is large lies in *drawer*, from which the answer is to be written too.
        """
        province, now, loads = self.province, self._now(), Loads()
        tracking = new_id(now)
        retry_after, fault, senders, soap = None, True, False, manner.soap
        try:
            try:
                child = await self._serve(province, body, manner, certificate, now, tracking, drawer, loads)
                unsigned, fault = envelope.answer(child, soap), False
            except Rejected as rejected:
                unsigned = self._fault(rejected.problems, tracking, soap)
                senders = envelope.is_senders(rejected.problems)
        except CancelledError:
            raise
        except Unready as unready:
            unsigned, retry_after = self._unready(unready, tracking, soap), unready.retry_after
        except Exception:
            log.exception("intake-failed", tracking=tracking)
            unsigned = self._fault((Problem("hub-error", tracking),), tracking, soap, ours=True)
        identity, size = province.config.identity, len(unsigned) + loads.size
        try:
            packed = await self._work(size, carriage.pack, unsigned, loads, manner, identity, now)
        except Unready as unready:  # unsigned, so it says no more than that the same may be sent again
            unsigned = self._unready(unready, tracking, soap)
            return Answer(carriage.plain(unsigned, soap), fault=True, retry_after=unready.retry_after)
        return Answer(packed, fault, retry_after, senders)

    def note(self, problem: Problem, certificate: x509.Certificate) -> None:
        """Journal that a request was refused before it was read, by whoever showed *certificate*; he has his answer already."""
        partner = self.province.partner_with(certificate)
        who = {"partner": partner.code} if partner else {"certificate": fingerprint(certificate)}
        said = {**who, "code": problem.code, "detail": problem.detail[:200]}
        written = self._journal.admit(events.append, Event("call-refused", self._now(), None, None, said))
        _ = written.addErrback(lambda failure: log.warning("refusal-not-kept", error=failure.getErrorMessage(), **said))

    def _unready(self, unready: Unready, tracking: str, soap: str) -> bytes:
        """Return the fault of what passes.  What exactly fails here is the operator's to know, and stands in the log."""
        code, detail = unready.problem.code, unready.problem.detail
        log.warning("hub-unready", problem=code, detail=detail, tracking=tracking)
        return self._fault((Problem(code, tracking),), tracking, soap, ours=True)

    def _fault(self, problems: tuple[Problem, ...], tracking: str, soap: str, *, ours: bool = False) -> bytes:
        return envelope.fault(self._contract.namespace, problems, server=ours, tracking=tracking, soap=soap)

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
    ) -> etree._Element:
        """Return the answer's element, what is large of it in *loads*.  Raises `Rejected`, after journalling it, when there is no answer but a fault."""
        partner = province.partner_with(certificate)
        if partner is None:
            shown = fingerprint(certificate)
            await self._journal.admit(
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
                drawer,
            )
        except Rejected as rejected:
            self._room()
            kept = await self._work(len(body), carriage.kept, body, manner, drawer)
            entry = Entry(
                id=tracking,
                partner=partner.code,
                message_id=None,
                service=self._contract.name,
                received_at=now,
                content=kept,
                sha256=await self._work(len(kept), kept.sha256),
                problems=rejected.problems,
            )
            await self._keep(entry)
            await self._journal.admit(journal.take, entry, province.routes)
            raise
        if opened.partner is not partner:
            log.info("call-relayed", partner=opened.partner.code, relay=partner.code, operation=opened.operation)
            partner = opened.partner
        try:
            return await self._perform(province, partner, opened, now, tracking, manner.carriage, drawer, loads)
        except Rejected as rejected:
            said = {"partner": partner.code, "operation": opened.operation, "tracking": tracking}
            said["code"] = rejected.problems[0].code
            await self._journal.admit(events.append, Event("call-refused", now, None, None, said))
            raise

    async def _perform(
        self,
        province: Province,
        partner: Partner,
        opened: Opened,
        now: datetime,
        tracking: str,
        how: Carriage,
        drawer: Drawer,
        loads: Loads,
    ) -> etree._Element:
        routes = province.routes
        sha1 = None
        if opened.sha1 is not None:
            log.warning("sha1-tolerated", partner=partner.code, operation=opened.operation)
            shown = fingerprint(opened.sha1)
            sha1 = {"partner": partner.code, "operation": opened.operation, "certificate": shown}
        if opened.unknown:
            log.warning("revocation-unknown-allowed", partner=partner.code, reason=opened.unknown)
        if isinstance(opened.call, calls.SendDocument | calls.UpdateTraces):
            return await self._take(province, partner, opened, now, tracking, drawer, sha1)
        if sha1 is not None:
            await self._journal.write(events.append, Event("sha1-used", now, None, None, sha1))
        match opened.call:
            case calls.GetPendingDocumentIds(organ, limit):
                if not routes.receives(partner.code, organ):
                    raise CallRefused(Problem("not-yours", organ))
                most = min(limit or PENDING_LIMIT, PENDING_LIMIT)
                unit = routes.canonical(organ)
                return answers.pending(await self._journal.read(fetching.pending, partner.code, unit, most, now))
            case calls.GetDocument(document_id):
                row = await self._once(opened.mark, now, fetching.fetch, partner.code, document_id, now)
                answer = answers.document(answers.Document(document_id, row["message_id"], b""))
                return await self._fill(answer, [row["sha256"]], how, drawer, loads)
            case calls.ConfirmReceived(document_id, given):
                confirmed_unit = routes.canonical(given) if given else None
                return await self._confirm(opened, partner.code, document_id, confirmed_unit, now)
            case calls.GetTraces() as asked:
                found = await self._traces(routes, partner, asked)
                answer = answers.traces([answers.Trace(trace.document, b"") for trace in found])
                return await self._fill(answer, [trace.sha256 for trace in found], how, drawer, loads)
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
            await self._once(opened.mark, now, fetching.confirm, partner, document_id, unit, now)
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

    async def _fill(
        self, answer: etree._Element, names: Sequence[str], how: Carriage, drawer: Drawer, loads: Loads
    ) -> etree._Element:
        """Put the packets of these *names* into the empty Packets of *answer*: as text if they are few and go inline, else as loads."""
        octets = await self._journal.read(_copied, names, drawer)
        if how is Carriage.INLINE and sum(map(len, octets)) <= SMALL:
            answers.fill(answer, octets)
        else:
            answers.fill(answer, octets, loads)
        return answer

    async def _traces(self, routes: Routes, partner: Partner, asked: calls.GetTraces) -> Sequence[statuses.Trace]:
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
        return found_traces

    async def _take(
        self,
        province: Province,
        partner: Partner,
        opened: Opened,
        now: datetime,
        tracking: str,
        drawer: Drawer,
        sha1: Mapping[str, str] | None,
    ) -> etree._Element:
        call = opened.call
        assert isinstance(call, calls.SendDocument | calls.UpdateTraces)
        self._room()  # what was taken in before can still be fetched, confirmed and delivered
        entry = await self._work(
            len(call.packet), judge_message, call, partner, province, self._contract.name, now, tracking, drawer
        )
        entry = attrs.evolve(entry, sha1=sha1)
        await self._keep(entry)
        taken: Taken = await self._journal.admit(journal.take, entry, province.routes)
        if taken.problems:
            log.info("message-refused", message=taken.id, partner=partner.code, code=taken.problems[0].code)
            return answers.refused(opened.operation, taken.problems)
        log.info("message-accepted", message=taken.id, partner=partner.code, repeated=taken.id != entry.id)
        self._accepted()
        assert taken.receipt is not None
        return answers.taken(opened.operation, taken.id, taken.receipt)

    async def _keep(self, entry: Entry) -> None:
        """Write the bytes of a large *entry* before the transaction that names them, some at a time: nobody waits long for the writer."""
        size = len(entry.content)
        if size <= contents.LARGE or not journal.keeps(entry):
            return
        if await self._journal.read(contents.size, entry.sha256) == size:
            return  # it came before
        for numbers in contents.batches(size):
            await self._journal.admit(contents.keep_parts, entry.sha256, entry.content, numbers)


def _copied(tx: Transaction, names: Sequence[str], drawer: Drawer) -> list[Octets]:
    """Return the bytes of each name; what is large of them lies in *drawer*."""
    return drawer.keep_each(contents.pieces(tx, name) for name in names)
