"""Carries out an order to add, change or remove a partner: judges it, writes it, records it, and has the hub use it.

The pages and the API give the same orders. An order is written only while the partner's file is the one that its giver
saw, and taken back if the hub refuses it. Contains no HTTP, no TOML and no SQL.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred

from hub.config import Config
from hub.config.editing import FileChangedMeanwhile
from hub.config.partners.partner_edit import (
    CertificateNotFound,
    LastCertificate,
    PartnerEdit,
    PartnerExists,
    PartnerLook,
    PartnerOrder,
)
from hub.config.partners.partner_settings import AssignmentUnfit
from hub.config.trust_edit import TrustEdit, TrustOrder
from hub.domain.errors import ConfigurationFault, Mistake, Unready
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import DeliveryState
from hub.journal import partner_changes
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error
from hub.monitoring.connection_steps import ConnectionStep
from hub.monitoring.partner_traffic import count_undelivered
from hub.monitoring.partner_view import PartnerView, view_partner
from hub.operations.refusals import refuse_as_absent
from hub.runtime.pidfile import ReloadVerdict
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

#: Said of an order without a reason.
SAY_WHY = phrase("Say why; the reason is recorded.")
#: Maximum octets of a certificate file.
CERTIFICATE = 64 * 1024
#: A flaw of an order: its place, what is wrong, and what is expected.
Flaw = tuple[str, Phrase, Phrase | None]


class PartnerManaging(Protocol):
    """What a node lets its console do with the files of partners. Raises as `hub.node.partner_manager`."""

    def look(self, code: str, now: datetime) -> PartnerLook: ...
    def plan(self, tx: Transaction, code: str, order: PartnerOrder, now: datetime) -> PartnerEdit: ...
    def see_trust(self) -> str: ...
    def plan_trust(self, order: TrustOrder, now: datetime) -> TrustEdit: ...
    def write(self, edit: PartnerEdit | TrustEdit) -> list[Path]: ...
    def undo(self, edit: PartnerEdit | TrustEdit) -> None: ...
    def reload(self) -> Deferred[ReloadVerdict]: ...
    def test(self, config: Config, code: str, now: datetime) -> Deferred[Sequence[ConnectionStep]]: ...


class OrderRefusal(StrEnum):
    """Why an order is not carried out."""

    UNFIT = "unfit"  #: it cannot be read, or the files would be wrong, or the hub refused them
    STALE = "stale"  #: the partner's file is not the one that the giver of the order saw
    LAST = "last"  #: it would remove the last certificate that is valid
    UNWRITABLE = "unwritable"  #: the files cannot be written


class OrderRefused(Exception):
    """The order is not carried out, and the files are as before."""

    def __init__(self, refusal: OrderRefusal, *flaws: Flaw) -> None:
        super().__init__(f"{refusal}: {flaws}")
        self.refusal, self.flaws = refusal, flaws


@attrs.frozen(kw_only=True)
class JudgedOrder:
    """An order that can be carried out."""

    edit: PartnerEdit
    left: Mapping[DeliveryState, int]  #: of a removal: the deliveries to the partner that are not delivered


@attrs.define(eq=False)
class FileOrders:
    """What carries out the orders of one node's pages and API on files of its configuration."""

    _journal: Journal  #: the journal to read and write
    _work: Work  #: runs what reads and writes files in worker threads
    _live: Live  #: the configuration in force
    _manager: PartnerManaging | None  #: reads, tests and changes the files; None: there are no pages of partners

    @property
    def managed(self) -> PartnerManaging:
        """What reads and writes the files. Raises `RequestRefused` where nothing does."""
        if self._manager is None:
            raise refuse_as_absent()
        return self._manager


@attrs.define(eq=False)
class PartnerOrders(FileOrders):
    """Carries out orders on partners."""

    async def look(self, code: str, now: datetime) -> PartnerLook:
        """Return the partner *code* as its file says. Raises `RequestRefused` without one."""
        try:
            return await self._work(CONSOLE, THRESHOLD, self.managed.look, code, now)
        except KeyError:
            raise refuse_as_absent() from None

    async def view(self, look: PartnerLook, code: str, now: datetime) -> PartnerView:
        """Return all that the configuration says of the partner *code*."""
        return await self._work(CONSOLE, THRESHOLD, view_partner, look.config, code, now)

    async def judge(self, code: str, order: PartnerOrder, seen: str, now: datetime) -> JudgedOrder:
        """Return the plan of *order*. *seen*: SHA-256 of the partner's file when the giver of the order saw it.

        Raises `OrderRefused`, and `RequestRefused` without the partner.
        """
        if not order.new and seen != (await self.look(code, now)).sha256:
            raise _refuse_stale()
        try:
            edit = await self._journal.read(self.managed.plan, code, order, now)
        except KeyError:
            raise refuse_as_absent() from None
        except LastCertificate as last:
            raise OrderRefused(OrderRefusal.LAST, ("", last.why, None)) from None
        except (AssignmentUnfit, CertificateNotFound, PartnerExists) as unfit:
            raise OrderRefused(OrderRefusal.UNFIT, ("", unfit.why, None)) from None
        except ConfigurationFault as fault:
            raise OrderRefused(OrderRefusal.UNFIT, *list_flaws(fault.mistakes)) from None
        if not order.new and edit.files and hashlib.sha256(edit.files[-1].before or b"").hexdigest() != seen:
            raise _refuse_stale()  # it was changed a moment ago
        left = await self._journal.read(count_undelivered, code) if order.leaves else {}
        return JudgedOrder(edit=edit, left=left)

    async def make(self, judged: JudgedOrder, *, by: str, reason: str, now: datetime) -> None:
        """Write the change, record it, and have the hub use it. What fails is taken back. Raises `OrderRefused`."""
        edit = judged.edit
        if not edit.files:
            return

        async def record() -> None:
            await self._record(judged, {"by": by, "reason": reason, "now": now})

        async def record_undoing(why: str) -> None:
            record_change = partner_changes.record_partner_change
            await self._journal.admit(CONSOLE, record_change, edit.code, [], (), by=by, reason=why, now=now)

        await apply_edit(self._work, self.managed, edit, record, record_undoing)

    async def _record(self, judged: JudgedOrder, who: Mapping[str, Any]) -> None:
        edit = judged.edit
        if edit.removed:
            record, left = partner_changes.record_partner_removal, sum(judged.left.values())
            await self._journal.admit(CONSOLE, record, edit.code, left=left, **who)
        else:
            record_change = partner_changes.record_partner_change
            await self._journal.admit(CONSOLE, record_change, edit.code, edit.changes, edit.units, **who)


async def apply_edit(
    work: Work,
    managed: PartnerManaging,
    edit: PartnerEdit | TrustEdit,
    record: Callable[[], Awaitable[None]],
    record_undoing: Callable[[str], Awaitable[None]],
) -> None:
    """Write *edit*, record it, and have the hub use it. What fails is taken back. Raises `OrderRefused`."""
    try:
        _ = await work(CONSOLE, THRESHOLD, managed.write, edit)
    except FileChangedMeanwhile:
        raise _refuse_stale() from None
    except OSError as error:
        why = phrase("The hub cannot write the partner's file: {error}", error=name_system_error(error))
        raise OrderRefused(OrderRefusal.UNWRITABLE, ("", why, None)) from error
    try:
        await record()
    except BaseException as error:
        _ = await work(CONSOLE, THRESHOLD, managed.undo, edit)
        if isinstance(error, Unready):  # it may be recorded nevertheless
            with suppress(Unready):  # the first one is raised
                await record_undoing("taken back: the journal did not answer")
        raise
    verdict = await managed.reload()
    if verdict.ok:
        return
    _ = await work(CONSOLE, THRESHOLD, managed.undo, edit)
    await record_undoing("taken back: the reload was refused")
    refused = phrase("The hub refused the change, so the files are as before.")
    raise OrderRefused(OrderRefusal.UNFIT, ("", refused, None), *list_flaws(verdict.mistakes))


def list_flaws(mistakes: Iterable[Mistake]) -> Iterator[Flaw]:
    """Return the mistakes of files as flaws of an order."""
    return ((each.path, each.wrong, each.expected) for each in mistakes)


def _refuse_stale() -> OrderRefused:
    why = phrase("The partner's file has changed since this page was loaded. Nothing was written.")
    return OrderRefused(OrderRefusal.STALE, ("", why, None))
