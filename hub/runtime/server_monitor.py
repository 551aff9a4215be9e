"""Monitors whether the journal's database server answers, so that no caller waits for a server that does not.

It probes the server only on suspicion: when work takes long or has failed. The probe is an empty commit that must be as
durable as any other, so a server that became a standby, or lost its synchronous standby, fails it too. While the server
is unreachable the probe is repeated. Knows when to probe, not what work waits.
"""

from collections.abc import Callable

import attrs
import structlog
from twisted.internet import threads
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

log = structlog.get_logger()

#: Work that takes longer triggers a probe, in seconds. `PATIENCE` + `GRACE` is the longest wait of a caller while the
#: server is away.
PATIENCE = 0.8
#: Time limit of a probe, in seconds.
GRACE = 0.7
#: Delay before the next probe of an unreachable server, in seconds.
_AGAIN = 0.3


class MonitorReactor(IReactorTime, IReactorFromThreads):
    """The reactor interfaces that `ServerMonitor` needs."""


@attrs.define(eq=False)
class ServerMonitor:
    """One node's view of the server."""

    _ask: Callable[[], None]  #: the probe: runs in a thread and raises when the server does not commit
    _reactor: MonitorReactor
    _gone: Callable[[str], None]  #: called once per outage, with the reason
    away: str = attrs.field(default="", init=False)  #: the reason while the server is unreachable, else ""
    _since: float = attrs.field(default=0.0, init=False)  #: start of the outage, by the reactor's clock
    _pool: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 1, "journal-watch"), init=False)
    _running: bool = attrs.field(default=False, init=False)
    _asking: bool = attrs.field(default=False, init=False)  #: whether a probe is running
    _next: IDelayedCall | None = attrs.field(default=None, init=False)  #: the next probe during an outage

    def start(self) -> None:
        """Start the thread."""
        self._running = True
        self._pool.start()

    def stop(self) -> None:
        """Stop probing."""
        self._running = False
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._pool.stop()

    def probe(self) -> None:
        """Probe the server, unless a probe is running."""
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
                self._next = self._reactor.callLater(_AGAIN, self.probe)
        elif self.away:
            log.warning("journal-back", after=round(self._reactor.seconds() - self._since, 1))
            self.away = ""

    def _declare(self, why: str) -> None:
        if self.away:
            return
        self.away, self._since = why, self._reactor.seconds()
        log.error("journal-away", reason=why)
        self._gone(why)
