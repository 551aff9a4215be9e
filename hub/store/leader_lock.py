"""Whose turn it is, of the nodes that share a journal, to do what one at a time does.  Knows a lock that lives as long as its connection.

No clock is asked: a node that dies, or loses its connection to the database, has lost its turn, and another gets it.  One node that
is alone (SQLite) always has it.
"""

import contextlib

import attrs
import sqlalchemy as sa
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.threadpool import ThreadPool


@attrs.define(eq=False)
class LeaderTurn(Service):
    """One node's turn at one thing; a thread of its own asks for it."""

    _engine: sa.Engine
    _lock: int  #: the advisory lock on PostgreSQL
    _reactor: IReactorFromThreads
    _thread: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 1, "turn"), init=False)
    _connection: sa.Connection | None = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Be ready to ask."""
        Service.startService(self)
        self._thread.start()

    def stopService(self) -> None:
        """Let another node have it."""
        Service.stopService(self)
        self._thread.stop()
        self.give_up()

    def take(self) -> Deferred[bool]:
        """Tell whether it is our turn, asking the database each time.  Fails with DBAPIError when it does not answer."""
        if self._engine.dialect.name != "postgresql":
            return succeed(True)
        return threads.deferToThreadPool(self._reactor, self._thread, self.ask)

    def ask(self) -> bool:
        """See `take`; blocks."""
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
            except sa.exc.DBAPIError:
                self.give_up()
                raise
            return True
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            if connection.scalar(sa.select(sa.func.pg_try_advisory_lock(self._lock))):
                self._connection = connection
        finally:
            if self._connection is None:
                connection.close()
        return self._connection is not None

    def give_up(self) -> None:
        """Let another node have the turn, if it is ours."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.DBAPIError):
                connection.invalidate()  # back in the pool it would hold the lock still
            connection.close()
