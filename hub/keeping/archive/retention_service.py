"""Does the work of retention on one node at a time: announces once a day, lets go in the hours that are set, watches the size.

Knows when. `hub.keeping.archive.retention` knows how. A fault is logged, kept with its part, and tried again at the next round.
"""

import contextlib
from collections.abc import Awaitable, Callable
from datetime import date, datetime

import attrs
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from hub.domain.errors import ConfigurationFault, Unready
from hub.domain.local_time import HANOI, find_local_day
from hub.domain.model import HUB
from hub.keeping.archive.catalogue import ArchiveAbsent
from hub.keeping.archive.retention import RetentionHeld, RetentionRun, hold_turn, make_setting
from hub.keeping.archive.writing import ArchiveBroken
from hub.keeping.retention import disk_budget, parts
from hub.keeping.retention.parts import RetentionPart
from hub.language.phrases import phrase
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal
from hub.units.live import Live

log = structlog.get_logger()

#: PostgreSQL: advisory lock of the node that lets go ("letgo" in ASCII).
LOCK = 0x6C6574676F
#: SQLite: pages given back by one step, steps of one round, and the part of free pages that stays for new rows.
_PAGES, _STEPS, _SPARE = 500, 200, 0.1
_Faults = (ArchiveAbsent, ArchiveBroken, OSError, Unready, ConfigurationFault)


@attrs.define(eq=False)
class RetentionService(PeriodicService):
    """The retention of one node."""

    every, at_once = 300.0, False
    failure = "retention-failed"

    _journal: Journal
    _live: Live
    _clock: IReactorTime  #: the reactor, which times the rounds
    _now: Callable[[], datetime]
    _forms: Callable[[], list[str]]  #: returns the forms that are closed each month
    _take_turn: Callable[[], Deferred[bool]]  #: tells whether this node is the one that does it
    _announced_on: date | None = attrs.field(default=None, init=False)  #: the day whose announcement is done
    _warned_on: date | None = attrs.field(default=None, init=False)  #: the day of the last warning

    async def work(self) -> None:
        """Do what is to be done now."""
        if await self._take_turn():
            await self._watch_size()
            if self._live.config.retention.enabled:
                await self._keep_and_let_go()

    async def _watch_size(self) -> None:
        """Keep the size of today, and warn once a day while the budget is tight."""
        now = self._now()
        await self._journal.write(disk_budget.record_size, now)
        standing = await self._journal.read(disk_budget.read_budget, self._live.config.retention.budget, now)
        if standing.is_tight and self._warned_on != find_local_day(now):
            self._warned_on = find_local_day(now)
            log.warning(
                "disk-budget-tight",
                octets=standing.octets,
                free=standing.free,
                budget=standing.budget,
                days=standing.days,
                growth=None if standing.growth is None else round(standing.growth),
            )

    async def _keep_and_let_go(self) -> None:
        now = self._now()
        run = await self._make_run()
        if self._announced_on != find_local_day(now):
            for part in await run.announce(HUB):
                log.info("retention-announced", month=part.month, messages=part.messages, due=part.due_at.isoformat())
            self._announced_on = find_local_day(now)
        due = [each for each in await self._journal.read(parts.list_parts, only_open=True) if each.due_at <= now]
        for part in due:
            if self.stopping or not self._is_time():
                return
            await self._carry_out(run, part)
        if due:
            await self._give_back()

    def _is_time(self) -> bool:
        return self._live.config.retention.is_hour(self._now().astimezone(HANOI).hour)

    async def _carry_out(self, run: RetentionRun, part: RetentionPart) -> None:
        try:
            with hold_turn(run.folder):
                done = await run.carry_out(part.number)
        except RetentionHeld as held:
            await self._journal.write(parts.note_reason, part.number, str(held), self._now())
            return
        except _Faults as error:
            log.warning("retention-failed", month=part.month, error=str(error))
            with contextlib.suppress(Unready):  # the journal itself is away
                await self._journal.write(parts.note_reason, part.number, str(error), self._now())
            return
        log.info(
            "retention-deleted", month=done.month, messages=done.messages, events=done.events, archive=done.archive
        )

    async def _give_back(self) -> None:
        """SQLite: give free pages back to the file system, but for some that new rows will need."""
        for _ in range(_STEPS):
            if self.stopping or not await self._journal.write(disk_budget.give_back_pages, _PAGES, _SPARE):
                return
            await self._pause(0.05)

    def _pause(self, seconds: float) -> Awaitable[None]:
        return deferLater(self._clock, seconds)

    async def _hold_on(self, seconds: float) -> None:
        """Wait between two batches; a stop of the node ends the work there."""
        await self._pause(seconds)
        if self.stopping:
            raise RetentionHeld(phrase("the node is stopping"))

    async def _make_run(self) -> RetentionRun:
        config = self._live.config
        forms = await self._journal.read(lambda _tx: self._forms())  # in a thread: it may read files
        feed = config.feed.exchange if config.feed else None
        return RetentionRun(
            journal=self._journal,
            setting=make_setting(config.retention, forms, feed),
            settings=config.retention,
            folder=config.archive,
            identity=config.identity,
            now=self._now,
            pause=self._hold_on,
        )
