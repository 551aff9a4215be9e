"""Listens for PostgreSQL NOTIFY, by which another node says that a delivery became due.

Uses one connection in a dedicated thread. A notification that is sent while the connection is down is lost, so the
listening service must also poll, and more often while `NotifyListener.is_listening` is false. Does not know what is
due.
"""

import threading
from collections.abc import Callable
from typing import Any

import attrs
import sqlalchemy as sa
import structlog
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from hub.runtime.server_monitor import MonitorReactor
from hub.store import transactions

log = structlog.get_logger()

#: Minimum interval between two calls of `_on_notified`, in seconds. The first notification is passed on at once.
_APART = 0.05
#: Delay before a reconnection, in seconds: the first, and the longest.
_FIRST, _MOST = 0.1, 2.0
#: Interval at which the thread checks whether it must end, in seconds.
_GLANCE = 0.5


@attrs.define(eq=False)
class NotifyListener(Service):
    """Listens for PostgreSQL NOTIFY and wakes the delivery service, at most 20 times a second."""

    _engine: sa.Engine  #: a separate engine, without a pool
    _reactor: MonitorReactor  #: for callbacks and delays
    _node: str  #: notifications from this node itself are ignored
    _on_notified: Callable[[], None]  #: called in the reactor thread for notifications of other nodes
    #: whether the connection listens, so that a notification sent now arrives
    is_listening: bool = attrs.field(default=False, init=False)
    _over: threading.Event = attrs.field(factory=threading.Event, init=False)  #: set by a stop
    _next: IDelayedCall | None = attrs.field(default=None, init=False)  #: end of the current interval
    _again: bool = attrs.field(default=False, init=False)  #: another notification came during the current interval

    def startService(self) -> None:
        """Start the listening thread."""
        Service.startService(self)
        threading.Thread(target=self._listen, name="journal-notify", daemon=True).start()

    def stopService(self) -> None:
        """Stop listening. The thread ends by itself."""
        Service.stopService(self)
        self._over.set()
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _listen(self) -> None:
        wait = _FIRST
        while not self._over.is_set():
            try:
                self._receive()
            except Exception as error:  # noqa: BLE001 - every error is logged, and the connection is opened again
                wait = _FIRST if self.is_listening else min(wait * 2, _MOST)
                if self.is_listening or wait == _MOST:
                    log.warning("bell-deaf", error=str(getattr(error, "orig", None) or error))
            self.is_listening = False
            self._over.wait(wait)

    def _receive(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"LISTEN {transactions.CHANNEL}")
            raw: Any = connection.connection.dbapi_connection
            self.is_listening = True
            self._schedule()  # something may have become due before LISTEN
            while not self._over.is_set():
                for told in raw.notifies(timeout=_GLANCE):
                    if told.payload != self._node:
                        self._schedule()
                    if self._over.is_set():
                        return

    def _schedule(self) -> None:
        if not self._over.is_set():
            self._reactor.callFromThread(self._notify)

    def _notify(self) -> None:
        if not self.running:
            return
        if self._next is not None and self._next.active():
            self._again = True
            return
        self._next = self._reactor.callLater(_APART, self._rest)
        self._on_notified()

    def _rest(self) -> None:
        if self._again:
            self._again = False
            self._notify()
