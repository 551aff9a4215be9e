"""Hears by PostgreSQL's NOTIFY that another node made something due.  Knows one connection in a thread of its own; not what is due.

What is told while the connection is down is missed: whoever listens also looks by itself, more often while the bell is deaf.
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

#: Rings are passed on at most so often, in seconds; the first one at once.
_APART = 0.05
#: How long to wait before connecting again, in seconds: the first time, and at most.
_FIRST, _MOST = 0.1, 2.0
#: How often the thread looks whether it shall end, in seconds.
_GLANCE = 0.5


@attrs.define(eq=False)
class Bell(Service):
    """One node's ear."""

    _engine: sa.Engine  #: of its own, without a pool
    _reactor: MonitorReactor
    _node: str  #: whose own rings are not passed on
    _rung: Callable[[], None]
    hears: bool = attrs.field(default=False, init=False)  #: whether what is told now will be heard
    _over: threading.Event = attrs.field(factory=threading.Event, init=False)
    _next: IDelayedCall | None = attrs.field(default=None, init=False)
    _again: bool = attrs.field(default=False, init=False)

    def startService(self) -> None:
        """Begin to listen."""
        Service.startService(self)
        threading.Thread(target=self._listen, name="journal-bell", daemon=True).start()

    def stopService(self) -> None:
        """Stop to listen; the thread ends by itself."""
        Service.stopService(self)
        self._over.set()
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _listen(self) -> None:
        wait = _FIRST
        while not self._over.is_set():
            try:
                self._hear()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the bell is hung up anew
                wait = _FIRST if self.hears else min(wait * 2, _MOST)
                if self.hears or wait == _MOST:
                    log.warning("bell-deaf", error=str(getattr(error, "orig", None) or error))
            self.hears = False
            self._over.wait(wait)

    def _hear(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"LISTEN {transactions.CHANNEL}")
            raw: Any = connection.connection.dbapi_connection
            self.hears = True
            self._tell()  # it may have been told before
            while not self._over.is_set():
                for told in raw.notifies(timeout=_GLANCE):
                    if told.payload != self._node:
                        self._tell()
                    if self._over.is_set():
                        return

    def _tell(self) -> None:
        if not self._over.is_set():
            self._reactor.callFromThread(self._ring)

    def _ring(self) -> None:
        if not self.running:
            return
        if self._next is not None and self._next.active():
            self._again = True
            return
        self._next = self._reactor.callLater(_APART, self._rest)
        self._rung()

    def _rest(self) -> None:
        if self._again:
            self._again = False
            self._ring()
