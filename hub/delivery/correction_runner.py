"""Carries out the corrections that people have ordered: judges their packets again, and records each in one commit.

The service of replay plans and the console call it. Decides nothing: `hub.intake.correction` judges, and
`hub.journal.replays.corrections` writes.
"""

from collections.abc import Callable
from datetime import datetime

import attrs

from hub.domain.errors import Rejected
from hub.domain.fair_queue import Owner
from hub.domain.ids import make_id
from hub.formats import xml_cost
from hub.intake.correction import judge_correction, prepare_correction
from hub.intake.endpoint import store_large_octets
from hub.journal import blobs
from hub.journal.effects import MessageEntry
from hub.journal.replays import corrections
from hub.journal.replays.corrections import CorrectableMessage, CorrectionOrder
from hub.journal.replays.plan_rows import ReplayPlan
from hub.runtime.thread_pool import Work
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live


@attrs.define(eq=False)
class CorrectionRunner:
    """Carries out corrections for one owner of work."""

    _owner: Owner  #: the owner in whose queues its work and its steps wait
    _journal: Journal  #: the journal with the plans and their packets
    _live: Live  #: the configuration and the province in force
    _work: Work  #: runs XML work where its cost says
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC

    async def prepare(self, order: CorrectionOrder, given: bytes) -> MessageEntry | None:
        """Judge the packet *given*, sign it and store it if it is large. Return it for `plan_correction`.

        None: the same order was given before. Raises Rejected with what is wrong with the packet or the message,
        KeyError if there is no such message, and `KeyReused`.
        """
        province, now = self._live.province, self._now()
        if await self._journal.read(corrections.find_ordered_plan, order) is not None:
            return None
        original = await self._journal.read(corrections.read_correctable_message, order.original)
        words = (given, original, province, now, make_id(now))
        entry = await self._work(self._owner, xml_cost.estimate_packet(given), prepare_correction, *words)
        if entry.problems:
            raise Rejected(*entry.problems)
        await store_large_octets(self._journal, self._owner, entry)
        return entry

    async def order(self, order: CorrectionOrder, given: bytes) -> ReplayPlan:
        """Record *order* to send the packet *given* in place of a message. Return its plan, which waits to be started.

        Raises as `prepare`.
        """
        entry = await self.prepare(order, given)
        routes = self._live.province.routes
        return await self._journal.admit(
            self._owner, corrections.plan_correction, order, entry, routes, self._now(), goes=False
        )

    async def run(self, plan: ReplayPlan) -> ReplayPlan:
        """Carry out the running correction *plan*, and return the plan after it.

        Where another process is at it, or the plan does not run, it stays as it is.
        """
        province, now = self._live.province, self._now()
        original, content = await self._journal.read(_read_correction, plan)
        entry = None
        if original is not None:
            cost = xml_cost.estimate_packet(content)
            entry = await self._work(
                self._owner, cost, judge_correction, content, original, province, now, make_id(now)
            )
        after = await self._journal.admit(
            self._owner,
            corrections.perform_correction,
            plan.id,
            entry,
            province.routes,
            now,
            self._live.config.replay,
        )
        return plan if after is None else after


def _read_correction(tx: Transaction, plan: ReplayPlan) -> tuple[CorrectableMessage | None, bytes]:
    """Return the message that *plan* corrects, and the corrected packet; None if it cannot be corrected any more."""
    assert plan.corrects is not None
    assert plan.packet is not None
    try:
        return corrections.read_correctable_message(tx, plan.corrects), blobs.read_blob(tx, plan.packet)
    except Rejected:
        return None, b""
