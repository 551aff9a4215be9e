"""Tells whether the journal's server answers, so that nobody waits for one that does not.  Knows when to ask; not what waits.

It is asked only in doubt: when work takes long or failed.  The question is a commit of nothing that must be as safe as any other, so a
server that became a standby, or whose synchronous standby is gone, does not answer either.  While it is away it is asked again and again.
"""

from collections.abc import Callable

import attrs
import structlog
from twisted.internet import threads
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

log = structlog.get_logger()

#: Work that takes longer raises a doubt, in seconds.  With `GRACE` it is how long a caller waits while the server is away.
PATIENCE = 0.8
#: So long may the answer take, in seconds.
GRACE = 0.7
#: How long to wait before asking again, in seconds.
_AGAIN = 0.3


class MonitorReactor(IReactorTime, IReactorFromThreads):
    """What the watch needs of a reactor."""


@attrs.define(eq=False)
class Watch:
    """One node's opinion of the server."""

    _ask: Callable[[], None]  #: runs in a thread; raises when the server does not take a commit
    _reactor: MonitorReactor
    _gone: Callable[[str], None]  #: told once an outage, with the reason
    away: str = attrs.field(default="", init=False)  #: why, while it is away
    _since: float = attrs.field(default=0.0, init=False)
    _pool: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 1, "journal-watch"), init=False)
    _running: bool = attrs.field(default=False, init=False)
    _asking: bool = attrs.field(default=False, init=False)
    _next: IDelayedCall | None = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Be ready to ask."""
        self._running = True
        self._pool.start()

    def stop(self) -> None:
        """Ask no more."""
        self._running = False
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._pool.stop()

    def doubt(self) -> None:
        """Ask the server, unless that is under way."""
        if self._asking or not self._running:
            return
        self._asking = True
        limit = self._reactor.callLater(GRACE, self._declare, "it does not answer")
        asked = threads.deferToThreadPool(self._reactor, self._pool, self._ask)
        _ = asked.addBoth(self._answered, limit)

    def _answered(self, result: object, limit: IDelayedCall) -> None:
        self._asking = False
        if limit.active():
            limit.cancel()
        if isinstance(result, Failure):
            self._declare(str(getattr(result.value, "orig", None) or result.value))
            if self._running:
                self._next = self._reactor.callLater(_AGAIN, self.doubt)
        elif self.away:
            log.warning("journal-back", after=round(self._reactor.seconds() - self._since, 1))
            self.away = ""

    def _declare(self, why: str) -> None:
        if self.away:
            return
        self.away, self._since = why, self._reactor.seconds()
        log.error("journal-away", reason=why)
        self._gone(why)
