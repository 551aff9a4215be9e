"""The endpoint of the documents service: packets are accepted, fetched, confirmed and traced.

Knows the operations of the service. Does not know how a call arrived.
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial

import attrs
from lxml import etree

from hub.config import Partner
from hub.domain.errors import CallRefused, Rejected
from hub.domain.local_time import find_local_day
from hub.domain.measures import DELIVERED_SECONDS
from hub.domain.model import Problem, UnitKind
from hub.formats import xml_cost
from hub.formats.spool import SMALL, Drawer, Octets
from hub.intake.admission import judge_message
from hub.intake.endpoint import Answer, Case, JournalAccess
from hub.intake.grants import SEND, is_granted, refuse_ungranted
from hub.intake.unread_answers import UnreadAnswers
from hub.intake.verification import Read
from hub.journal import blobs, statuses, unit_registry
from hub.journal.queue import pickup
from hub.language.phrases import phrase
from hub.soap import documents_requests, documents_responses
from hub.soap.attachments import Carriage
from hub.soap.wsdl import Contract
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: Maximum ids per `GetPendingDocumentIds`; the caller may ask for fewer.
PENDING_LIMIT = 1000
#: Maximum statuses per `GetTraces`. More are refused, because a Trace has no time from which a caller could continue.
TRACES_LIMIT = 2000
#: Maximum octets of these statuses: each answer stays on the disk until its caller has read it.
TRACES_OCTETS = 64 * 1024 * 1024
#: Cost of a row of an answer, in octets of `hub.formats.xml_cost`: 6 microseconds.
_ROW = 48


@attrs.frozen(eq=False)
class DocumentsEndpoint:
    """The endpoint of the documents service."""

    contract: Contract  #: the contract of the documents service
    _access: JournalAccess  #: access to the journal
    read: Read = documents_requests.read_documents_call  #: reads a validated element
    _unread: UnreadAnswers = attrs.field(factory=UnreadAnswers, init=False)

    @property
    def is_private(self) -> bool:
        """See `Endpoint`."""
        return False

    def carries_message(self, call: object) -> bool:
        """See `Endpoint`."""
        return isinstance(call, documents_requests.SendDocument | documents_requests.UpdateTraces)

    async def perform(self, case: Case) -> Answer:
        """See `Endpoint`."""
        partner, opened, now = case.partner, case.opened, case.now
        routes, journal = case.province.routes, self._access.journal
        match opened.call:
            case documents_requests.SendDocument() | documents_requests.UpdateTraces():
                return await self._take(case)
            case documents_requests.GetPendingDocumentIds(organ, limit):
                if not routes.receives(partner.code, organ):
                    raise CallRefused(Problem("not-yours", organ))
                most = min(limit or PENDING_LIMIT, PENDING_LIMIT)
                unit, *also = routes.list_meant(organ, find_local_day(now))
                return documents_responses.build_pending_response(
                    await journal.read(pickup.list_pending_messages, partner.code, unit, most, now, also=also)
                )
            case documents_requests.GetDocument(document_id):
                self._unread.require_reader(partner.code)
                row = await self._access.run_once(
                    case.owner, opened.mark, now, pickup.fetch_message, partner.code, document_id, now
                )
                answer = documents_responses.build_document_response(
                    documents_responses.Document(document_id, row["message_id"], b"")
                )
                return await self._fill(answer, [row["sha256"]], case)
            case documents_requests.ConfirmReceived(document_id, given):
                meant = routes.list_meant(given, find_local_day(now)) if given else ()
                return await self._confirm(case, document_id, meant)
            case documents_requests.GetTraces() as asked:
                self._unread.require_reader(partner.code)
                found = await self._traces(routes, partner, asked, find_local_day(now))
                rows = [documents_responses.Trace(trace.document, b"") for trace in found]
                answer = await self._access.work(
                    case.owner, _ROW * len(rows), documents_responses.build_traces_response, rows
                )
                return await self._fill(answer, [trace.sha256 for trace in found], case)
            case documents_requests.GetOrganizations(since):
                return await self._list_organizations(case, since)
            case documents_requests.CheckPermission(organ):
                if not is_granted(partner, case.province.config, self.contract.name, SEND):
                    return documents_responses.build_permission_response((refuse_ungranted(self.contract.name, SEND),))
                problems = routes.find_send_problems(partner.code, organ)
                ended = () if problems else (routes.find_end_problem(organ, find_local_day(now)),)
                return documents_responses.build_permission_response((*problems, *filter(None, ended)))
        raise AssertionError(f"{opened.operation} is not an operation of this endpoint")

    async def _list_organizations(self, case: Case, since: datetime | None) -> Answer:
        """Return the units that a partner reaches, without those that ended before the day of *since*."""
        units = await self._access.journal.read(unit_registry.list_registry_units, find_local_day(case.now))
        reached = [
            unit
            for unit in units
            if (since is None or not unit.until or unit.until > find_local_day(since))
            and (unit.kind != UnitKind.DRILL or case.province.routes.owns(case.partner.code, unit.code))
        ]
        return await self._access.work(
            case.owner, _ROW * len(reached), documents_responses.write_organizations_response, reached
        )

    async def _take(self, case: Case) -> Answer:
        call, partner, province = case.opened.call, case.partner, case.province
        self._access.require_space()  # messages accepted earlier can still be fetched, confirmed and delivered
        service = self.contract.name
        entry = await self._access.work(
            case.owner,
            xml_cost.estimate_packet(call.packet),
            judge_message,
            call,
            partner,
            province,
            service,
            case.now,
            case.tracking,
            case.drawer,
        )
        taken = await self._access.record(
            case.owner,
            attrs.evolve(entry, sha1=case.sha1, envelope=case.opened.envelope, trace=case.trace),
            province.routes,
            case.opened.mark,
        )
        if taken.problems:
            return documents_responses.build_refused_response(case.opened.operation, taken.problems)
        assert taken.receipt is not None
        return documents_responses.write_taken_response(case.opened.operation, taken.id, taken.receipt)

    async def _confirm(self, case: Case, document_id: str, units: Sequence[str]) -> etree._Element:
        opened, partner, now = case.opened, case.partner.code, case.now
        unit, also = (units[0], units[1:]) if units else (None, ())
        try:
            waited = await self._access.run_once(
                case.owner,
                opened.mark,
                now,
                partial(pickup.confirm_receipt, also=also),
                partner,
                document_id,
                unit,
                now,
            )
        except CallRefused:
            raise
        except Rejected as rejected:
            return documents_responses.build_refused_response(opened.operation, rejected.problems)
        for each in waited:
            self._access.measures.observe(DELIVERED_SECONDS, each.total_seconds(), partner)
        return documents_responses.build_confirmed_response()

    async def _fill(self, answer: etree._Element, names: Sequence[str], case: Case) -> etree._Element:
        """Put the packets *names* into the empty Packets of *answer*: as text if small and inline, else as loads."""
        octets = await self._access.journal.read(_copy_contents, names, case.drawer)
        size = sum(map(len, octets))
        self._unread.note(case.partner.code, size, case.drawer)
        if case.how is Carriage.INLINE and size <= SMALL:
            documents_responses.fill_packets(answer, octets)
        else:
            documents_responses.fill_packets(answer, octets, case.loads)
        return answer

    async def _traces(
        self, routes: Routes, partner: Partner, asked: documents_requests.GetTraces, today: date
    ) -> Sequence[statuses.StatusTrace]:
        unit = routes.canonical(asked.organ_id)
        if not (routes.may_send(partner.code, unit) or routes.receives(partner.code, unit)):
            raise CallRefused(Problem("not-yours", asked.organ_id))
        own = None if routes.owns(partner.code, unit) else partner.code
        _, *forebears = routes.list_estate(unit, today)
        actor = routes.find_actor(unit, today)
        if actor != unit and routes.stands_for(partner.code, actor):
            forebears.append(actor)  # the partner asks under the old code for what it may also ask under the new one
        found_traces = await self._access.journal.read(
            statuses.read_status_traces,
            unit,
            forebears=forebears,
            document=asked.document_id,
            since=asked.since,
            carried_by=own,
            limit=TRACES_LIMIT + 1,
        )
        if len(found_traces) > TRACES_LIMIT:
            raise CallRefused(Problem("too-many-traces", f"{asked.organ_id}: {TRACES_LIMIT}"))
        if sum(trace.size for trace in found_traces) > TRACES_OCTETS:
            raise CallRefused(
                Problem(
                    "too-many-traces", phrase("{organ_id}: {most} octets", organ_id=asked.organ_id, most=TRACES_OCTETS)
                )
            )
        return found_traces


def _copy_contents(tx: Transaction, names: Sequence[str], drawer: Drawer) -> list[Octets]:
    """Return the octets of each name. Large ones are kept in *drawer*."""
    return drawer.keep_each(blobs.read_blob_pieces(tx, name) for name in names)
