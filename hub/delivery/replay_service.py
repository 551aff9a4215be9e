"""Goes on with the replay plans that people have ordered, in short steps. Decides when, not how.

Each step is one commit of a few deliveries, behind the steps of the exchange, followed by a pause as long as the step
took. So the writer is free for others at least half of the time, however large a plan is. All nodes that share a
journal run this service. A plan is locked by the node, or the command line, that takes a step of it.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from datetime import datetime

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from hub.delivery.correction_runner import CorrectionRunner
from hub.domain.fair_queue import Owner
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.replay_rules import ACTIVE, PlanState
from hub.keeping.archive import restoring
from hub.keeping.archive.catalogue import ArchiveAbsent
from hub.runtime.periodic import PeriodicService
from hub.runtime.thread_pool import Work
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

log = structlog.get_logger()

#: Owner of this work at the writer, with a name that no partner can have.
OWNER = Owner("?replays")
#: Deliveries that one step queues: about 10 ms of the writer.
LIMIT = 50
#: Steps of one plan in one run. The others come in the next run, a second later.
STEPS = 20
#: Longest pause between two steps, in seconds: a step that took longer waited for others.
REST = 0.05


@attrs.define(eq=False)
class ReplayService(PeriodicService):
    """Chooses and queues the deliveries of active plans."""

    every = replay_plans.TICK.total_seconds()
    failure = "replays-wait"

    _journal: Journal  #: the journal with the plans
    _live: Live  #: the configuration and the province in force
    _clock: IReactorTime  #: the reactor's clock, for intervals and pauses
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _may_work: Callable[[], None]  #: raises `Unready` while this node must accept nothing
    _queued: Callable[[], None]  #: called when deliveries were queued
    _work: Work  #: runs XML work where its cost says

    async def work(self) -> None:
        """Take the next steps of each active plan."""
        self._may_work()
        for plan in await self._journal.read(plan_rows.list_active_plans):
            await self._go_on(plan)

    async def _go_on(self, plan_id: str) -> None:
        before = None
        for _ in range(STEPS):
            if self.stopping:
                return
            begun = self._clock.seconds()
            routes, chosen = self._live.province.routes, None
            if before is None or before.state is PlanState.PLANNING:
                chosen = await self._journal.read(replay_plans.choose_next, plan_id, routes)
            if before is None or before.state is PlanState.RUNNING:
                await self._bring_back(plan_id)
            plan = await self._journal.admit(
                OWNER,
                replay_plans.take_step,
                plan_id,
                routes,
                self._now(),
                approve_over=self._live.config.replay.approve_over,
                limit=LIMIT,
                chosen=chosen,
            )
            if plan is None:
                return  # another node, or the command line, is at it
            if plan.corrects is not None and plan.state is PlanState.RUNNING:
                runner = CorrectionRunner(OWNER, self._journal, self._live, self._work, self._now)
                plan = await runner.run(plan)
            if plan.queued and (before is None or plan.queued != before.queued):
                self._queued()
            if plan.state not in ACTIVE:
                log.info("replay-plan", plan=plan.id, state=plan.state, queued=plan.queued, chosen=plan.chosen)
                return
            if plan == before:
                return  # its rate, or its limit of errors, allows no more now
            before = plan
            await deferLater(self._clock, min(self._clock.seconds() - begun, REST))

    async def _bring_back(self, plan_id: str) -> None:
        """Bring the messages of the next step back from their archive files. Those whose file is away are left alone."""
        found = await self._journal.read(replay_plans.list_archived_next, plan_id, LIMIT)
        if not found:
            return
        plan, folder = await self._journal.read(plan_rows.read_plan, plan_id), self._live.config.archive
        for each in found:
            entry = await self._journal.read(restoring.find_archive_entry, each)
            if entry is None:
                continue  # another node was faster
            steps = restoring.restore_steps(entry, each, folder, by=plan.made_by, plan=plan.id, now=self._now())
            try:
                with closing(steps):
                    while (step := await self._journal.read(_read_step, steps)) is not None:
                        await self._journal.admit(OWNER, step)
            except ArchiveAbsent as absent:
                log.warning("archive-absent", file=absent.entry.name, message=each, plan=plan.id, reason=absent.why)


def _read_step(_tx: Transaction, steps: Generator[restoring.Step]) -> restoring.Step | None:
    """Read the next step from the archive file, in the thread of the caller."""
    return next(steps, None)
