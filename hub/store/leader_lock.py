"""Elects one node, among those that share a journal, for work that only one node may do at a time.

On PostgreSQL the leader holds a session-level advisory lock, which ends with its connection. No clock is involved: a
node that stops, or loses its connection to the database, loses the lock, and another node can take it. On SQLite the
only node is always the leader. This module does not know what work the leader does.
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
class LeaderLock(Service):
    """One node's leadership for one kind of work. A dedicated thread asks the database for the lock."""

    _engine: sa.Engine  #: the database
    _lock: int  #: key of the PostgreSQL advisory lock
    _reactor: IReactorFromThreads  #: for the thread
    _thread: ThreadPool = attrs.field(factory=lambda: ThreadPool(0, 1, "leader-lock"), init=False)
    #: the connection that holds the lock, while this node is the leader
    _connection: sa.Connection | None = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Start the thread."""
        Service.startService(self)
        self._thread.start()

    def stopService(self) -> None:
        """Stop the thread and release the lock."""
        Service.stopService(self)
        self._thread.stop()
        self.release()

    def try_lock(self) -> Deferred[bool]:
        """Ask the database whether this node is the leader, and try to become it.

        Fails with DBAPIError when the database does not answer.
        """
        if self._engine.dialect.name != "postgresql":
            return succeed(True)
        return threads.deferToThreadPool(self._reactor, self._thread, self.try_lock_blocking)

    def try_lock_blocking(self) -> bool:
        """Do the work of `try_lock` and block until the database answers."""
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
            except sa.exc.DBAPIError:
                self.release()
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

    def release(self) -> None:
        """Release the lock, if this node holds it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.DBAPIError):
                connection.invalidate()  # a connection returned to the pool would keep the lock
            connection.close()
