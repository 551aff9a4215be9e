"""Does what receipts have promised: reads attachments in a thread, writes facts slice by slice.  Knows when, and who waits; not how.

One slice a commit, behind what others wait for, and then a rest as long as the slice took: however many facts somebody brings, the writer
and this process are others' for half of the time at least.  Nodes that share a journal may all look; a lock lets one write.
"""

from collections.abc import Callable, Collection
from functools import partial

import attrs
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner
from hub.domain.model import Enclosed, Ignored, Problem
from hub.intake import enclosures
from hub.journal import duties
from hub.journal.duties import Brought, Duty, Slice
from hub.runtime.periodic import Regular
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.group_commit import Journal
from hub.units.live import Live
from hub.units.routing import Routes

log = structlog.get_logger()

#: In the threads and at the writer duties wait in a queue of their own, which no partner can have.
OWNER = Owner("?duties")
#: How often to see whether something is to be done, in seconds.
EVERY = 0.25
#: The longest rest between two slices: one that took longer waited for others.
REST = 0.05
#: Who asks for a report waits so long for what was promised before, in seconds, and looks so often.
PATIENCE, AGAIN = 5.0, 0.1


@attrs.define(eq=False)
class DutyService(Regular):
    """Does the duties of one journal, in their order."""

    every = EVERY

    _journal: Journal
    _work: Work
    _live: Live
    _clock: IReactorTime
    _stopping: bool = attrs.field(default=False, init=False)

    def startService(self) -> None:
        """Begin, with what was left when the hub was last stopped or killed."""
        self._stopping = False
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Begin no other slice: the next start goes on."""
        self._stopping = True
        return super().stopService()

    async def look(self) -> None:
        """Do all that there is to do."""
        try:
            while not self._stopping and (of := await self._journal.read(duties.read_next_duty)) is not None:
                begun = self._clock.seconds()
                if not await self._do(of):
                    return  # another node is at it
                await deferLater(self._clock, min(self._clock.seconds() - begun, REST))
        except CancelledError:
            raise
        except Unready as unready:
            log.warning("duties-wait", reason=str(unready))  # tried again at the next look
        except Exception:
            log.exception("duty-failed")  # it stays: reports say that it is outstanding

    async def _do(self, of: Duty) -> bool:
        if of.kind == duties.FACTS:
            return await self._journal.admit(OWNER, duties.write_next)
        found = await self._journal.read(duties.read_duty_content, of)
        if found is None:
            return False
        enclosed, slices = await self._work(
            OWNER, THRESHOLD, read_duty_attachments, found, of, self._live.province.routes
        )
        ignored = [(each.attachment, each.problem) for each in enclosed.ignored]
        if await self._journal.admit(OWNER, duties.record_enclosed_facts, of, slices, ignored):
            log.info("enclosures-read", message=of.message, facts=len(enclosed.facts), ignored=len(ignored))
        return True


def read_duty_attachments(found: Brought, of: Duty, routes: Routes) -> tuple[Enclosed, tuple[Slice, ...]]:
    """Return what the attachments *found* by the duty *of* bring, and its facts as slices.

    What breaks the hub brings nothing, which is told (`hub-error`): it would keep what comes behind it from being counted.
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
    """Wait until all facts of *services* (None: of all) that receipts have promised until now are written.

    Raises `Unready`, `facts-outstanding`, after `PATIENCE`.  What is promised meanwhile is not waited for: whoever sends without end
    keeps no report from being counted.
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
