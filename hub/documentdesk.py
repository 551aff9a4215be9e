"""The desk of the documents service: packets taken, fetched, confirmed and traced.  Knows its operations; not how a call came in."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import attrs
from lxml import etree

from hub import answers, calls, contents, cost, fetching, registry, statuses
from hub.admission import judge_message
from hub.carriage import Carriage
from hub.config import Partner
from hub.contract import Contract
from hub.desk import Books, Case
from hub.errors import CallRefused, Rejected, Unready
from hub.grants import SEND, is_granted, refusal
from hub.hanoi import day
from hub.model import Problem
from hub.opening import Read
from hub.routes import Routes
from hub.spool import SMALL, Drawer, Octets
from hub.store import Transaction

#: `GetPendingDocumentIds` gives so many unless asked for fewer.
PENDING_LIMIT = 1000
#: `GetTraces` gives so many, or says that there are more: a Trace has no time to go on from.
TRACES_LIMIT = 2000
#: And so many octets of them: each answer lies on the disk until its caller has read it.
TRACES_OCTETS = 64 * 1024 * 1024
#: What a row of an answer costs, in the octets of `hub.cost`: 6 microseconds.
_ROW = 48
#: And so many octets of packets may lie there for one partner, in all the answers that it has not read yet.
LYING = 256 * 1024 * 1024


@attrs.frozen(eq=False)
class DocumentDesk:
    """Where packets come in and go out."""

    contract: Contract
    _books: Books
    read: Read = calls.read
    _lying: Counter[str] = attrs.field(factory=Counter, init=False)  #: octets, by partner

    @property
    def private(self) -> bool:
        """See `Desk`."""
        return False

    def brings(self, call: object) -> bool:
        """See `Desk`."""
        return isinstance(call, calls.SendDocument | calls.UpdateTraces)

    async def perform(self, case: Case) -> etree._Element:
        """See `Desk`."""
        partner, opened, now = case.partner, case.opened, case.now
        routes, journal = case.province.routes, self._books.journal
        match opened.call:
            case calls.SendDocument() | calls.UpdateTraces():
                return await self._take(case)
            case calls.GetPendingDocumentIds(organ, limit):
                if not routes.receives(partner.code, organ):
                    raise CallRefused(Problem("not-yours", organ))
                most = min(limit or PENDING_LIMIT, PENDING_LIMIT)
                unit = routes.canonical(organ)
                return answers.pending(await journal.read(fetching.pending, partner.code, unit, most, now))
            case calls.GetDocument(document_id):
                self._require_reader(partner)
                row = await self._books.once(
                    case.owner, opened.mark, now, fetching.fetch, partner.code, document_id, now
                )
                answer = answers.document(answers.Document(document_id, row["message_id"], b""))
                return await self._fill(answer, [row["sha256"]], case)
            case calls.ConfirmReceived(document_id, given):
                confirmed_unit = routes.canonical(given) if given else None
                return await self._confirm(case, document_id, confirmed_unit)
            case calls.GetTraces() as asked:
                self._require_reader(partner)
                found = await self._traces(routes, partner, asked)
                rows = [answers.Trace(trace.document, b"") for trace in found]
                answer = await self._books.work(case.owner, _ROW * len(rows), answers.traces, rows)
                return await self._fill(answer, [trace.sha256 for trace in found], case)
            case calls.GetOrganizations(since):
                units = await journal.read(registry.units)
                reached = [unit for unit in units if since is None or not unit.until or unit.until > day(since)]
                return await self._books.work(case.owner, _ROW * len(reached), answers.organizations, reached)
            case calls.CheckPermission(organ):
                if not is_granted(partner, case.province.routes.upstream, self.contract.name, SEND):
                    return answers.permission((refusal(self.contract.name, SEND),))
                return answers.permission(routes.permission(partner.code, organ))
        raise AssertionError(f"{opened.operation} was read as no call of this desk")

    async def _take(self, case: Case) -> etree._Element:
        call, partner, province = case.opened.call, case.partner, case.province
        self._books.room()  # what was taken in before can still be fetched, confirmed and delivered
        service = self.contract.name
        entry = await self._books.work(
            case.owner,
            cost.estimate_packet(call.packet),
            judge_message,
            call,
            partner,
            province,
            service,
            case.now,
            case.tracking,
            case.drawer,
        )
        taken = await self._books.take(
            case.owner, attrs.evolve(entry, sha1=case.sha1), province.routes, case.opened.mark
        )
        if taken.problems:
            return answers.refused(case.opened.operation, taken.problems)
        assert taken.receipt is not None
        return answers.taken(case.opened.operation, taken.id, taken.receipt)

    async def _confirm(self, case: Case, document_id: str, unit: str | None) -> etree._Element:
        opened, partner, now = case.opened, case.partner.code, case.now
        try:
            await self._books.once(case.owner, opened.mark, now, fetching.confirm, partner, document_id, unit, now)
        except CallRefused:
            raise
        except Rejected as rejected:
            return answers.refused(opened.operation, rejected.problems)
        return answers.confirmed()

    def _require_reader(self, partner: Partner) -> None:
        """Raise `Unready` for a partner that does not read what it asks for."""
        if self._lying[partner.code] > LYING:
            raise Unready("hub-busy", f"{self._lying[partner.code]} octets of answers lie unread")

    async def _fill(self, answer: etree._Element, names: Sequence[str], case: Case) -> etree._Element:
        """Put the packets of these *names* into the empty Packets of *answer*: as text if they are few and go inline, else as loads."""
        octets = await self._books.journal.read(_copied, names, case.drawer)
        size = sum(map(len, octets))
        self._lying[case.partner.code] += size
        case.drawer.afterwards(partial(self._lying.subtract, {case.partner.code: size}))
        if case.how is Carriage.INLINE and size <= SMALL:
            answers.fill(answer, octets)
        else:
            answers.fill(answer, octets, case.loads)
        return answer

    async def _traces(self, routes: Routes, partner: Partner, asked: calls.GetTraces) -> Sequence[statuses.Trace]:
        unit = routes.canonical(asked.organ_id)
        if not (routes.may_send(partner.code, unit) or routes.receives(partner.code, unit)):
            raise CallRefused(Problem("not-yours", asked.organ_id))
        own = None if routes.owns(partner.code, unit) else partner.code
        found_traces = await self._books.journal.read(
            statuses.traces,
            unit,
            document=asked.document_id,
            since=asked.since,
            carried_by=own,
            limit=TRACES_LIMIT + 1,
        )
        if len(found_traces) > TRACES_LIMIT:
            raise CallRefused(Problem("too-many-traces", f"{asked.organ_id}: {TRACES_LIMIT}"))
        if sum(trace.size for trace in found_traces) > TRACES_OCTETS:
            raise CallRefused(Problem("too-many-traces", f"{asked.organ_id}: {TRACES_OCTETS} octets"))
        return found_traces


def _copied(tx: Transaction, names: Sequence[str], drawer: Drawer) -> list[Octets]:
    """Return the bytes of each name; what is large of them lies in *drawer*."""
    return drawer.keep_each(contents.pieces(tx, name) for name in names)
