"""Does the duties of the journal: reads attachments in a thread, writes facts, makes and stops deliveries slice by slice.

Decides when, not how.

One slice is one commit, queued behind other steps, charged to the partner that sent the message, and followed by a pause
as long as the slice took. So the writer and this process are free for others at least half of the time, however many
facts a partner sends. All nodes that share a journal may run it; a lock lets one node write at a time.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from hub.domain.conversations import Enclosed, Ignored
from hub.domain.errors import Unready
from hub.domain.fair_queue import DUTIES
from hub.domain.model import Problem
from hub.intake import enclosures
from hub.journal import duties
from hub.journal.duties import Duty, DutyAttachments, DutySlice
from hub.journal.queue import outstanding_effects
from hub.runtime.periodic import PeriodicService
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.batch_commit import ChargedStep, Journal
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.units.routing import Routes

log = structlog.get_logger()

#: Interval of the check for duties, in seconds.
EVERY = 0.25
#: After a slice the writer is left to others for so many times what it took, so that slices take a third of it, and at
#: most so many seconds: a slice that took longer waited for others.
REST, LONGEST_REST = 2, 0.05
#: How long a report waits for earlier duties, and how often it checks, in seconds.
PATIENCE, AGAIN = 5.0, 0.1


@attrs.define(eq=False)
class DutyService(PeriodicService):
    """Does the duties of one journal in their order."""

    every = EVERY
    failure = "duties-wait"

    _journal: Journal  #: the journal with the duties
    _work: Work  #: reads attachments in worker threads
    _live: Live  #: the province in force
    _clock: IReactorTime  #: the reactor's clock, for intervals and pauses
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _wake: Callable[[], None]  #: makes the delivery service look for due deliveries at once

    async def work(self) -> None:
        """Do all outstanding duties, a slice of each row in turn. One that fails stays, and is shown as outstanding."""
        done = True
        while done and not self.stopping:
            done = False
            for of in await self._journal.read(read_next_duties):
                begun = self._clock.seconds()
                if await self._do(of):  # else another node is doing it
                    done = True
                    await deferLater(self._clock, min(REST * (self._clock.seconds() - begun), LONGEST_REST))

    async def _do(self, of: Duty) -> bool:
        """Do a slice of the duty *of*, which is work for the partner `of.partner`. Return False if there was none."""
        if of.kind in duties.EFFECTS:
            write = ChargedStep(of.partner, outstanding_effects.write_next_effects)
            done = await self._journal.admit(DUTIES, write, self._now())
            self._wake()  # what was made can go, and what a stopped delivery kept waiting
            return done
        if of.kind == duties.DutyKind.FACTS:
            return await self._journal.admit(DUTIES, ChargedStep(of.partner, duties.write_next_slice))
        found = await self._journal.read(duties.read_duty_content, of)
        if found is None:
            return False
        enclosed, slices = await self._work(
            DUTIES, THRESHOLD, read_duty_attachments, found, of, self._live.province.routes
        )
        ignored = [(each.attachment, each.problem) for each in enclosed.ignored]
        record = ChargedStep(of.partner, duties.record_enclosed_facts)
        if await self._journal.admit(DUTIES, record, of, slices, ignored):
            log.info("enclosures-read", message=of.message, facts=len(enclosed.facts), ignored=len(ignored))
        return True


def read_next_duties(tx: Transaction) -> list[Duty]:
    """Return the next duty of facts and attachments and the next that makes or stops deliveries, as far as there are any."""
    return [*filter(None, (duties.read_next_duty(tx), outstanding_effects.read_next_effect(tx)))]


def read_duty_attachments(found: DutyAttachments, of: Duty, routes: Routes) -> tuple[Enclosed, tuple[DutySlice, ...]]:
    """Read the attachments *found* of the duty *of*. Return the result, and its facts as slices.

    An unexpected error yields no facts and is recorded as `hub-error`. Otherwise it would block the facts behind it.
    """
    try:
        enclosed = enclosures.read_enclosures(found.attachments, found.sender, found.partner, routes, of.at, of.message)
    except Exception:
        log.exception("enclosures-not-read", message=of.message)
        names = (attachment.name for attachment in found.attachments)
        enclosed = Enclosed((), tuple(Ignored(name, Problem("hub-error", of.message)) for name in names))
    return enclosed, duties.pack_facts(enclosed.facts)


async def wait_for_facts(
    journal: Journal, clock: IReactorTime, services: Callable[[], Collection[str] | None] = lambda: None
) -> None:
    """Wait until all facts of *services* (None: all) that receipts have promised so far are written.

    Raises `Unready` (`facts-outstanding`) after `PATIENCE`. Later promises are not waited for, so a partner that sends
    without end delays no report.
    """
    upto = await journal.read(duties.read_newest_duty)
    if upto is None:
        return
    wanted = await journal.read(lambda _tx: services())
    until = clock.seconds() + PATIENCE
    left = partial(duties.read_outstanding_duties, upto=upto, services=wanted)
    while outstanding := await journal.read(left):
        if clock.seconds() >= until:
            raise Unready("facts-outstanding", str(outstanding))
        await deferLater(clock, AGAIN)
