"""The parts of a node that know no message: ports over TLS, the grip on the data directory, an order to start and stop in."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IOpenSSLContextFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from hub.config import Listen
from hub.domain.errors import ConfigurationFault, Mistake
from hub.formats import spool
from hub.runtime import pidfile

#: So many connections of a port are begun in one turn of the reactor: a handshake takes 2 ms, and those under way are served between.  With
#: four, two hundred that connect at once kept a call waiting for 100 ms.
ACCEPTS = 1


class Ordered(MultiService):
    """Starts its parts in order and stops them one after another, the last started first."""

    def stopService(self) -> Deferred[None]:
        """Stop each part when the one above it has stopped."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop_in_turn())

    async def _stop_in_turn(self) -> None:
        for part in reversed(list(self)):
            await maybeDeferred(part.stopService)


@implementer(IOpenSSLContextFactory)
@attrs.define(eq=False)
class Port(Service):
    """One listening port over TLS, whose context is asked for anew by each connection."""

    _socket: socket.socket  #: bound before anything else starts: a taken port is found in time
    _site: Any  #: a site, or another factory of protocols
    _context: Callable[[], SSL.Context]
    _reactor: Any
    _port: IListeningPort | None = attrs.field(default=None, init=False)

    def getContext(self) -> SSL.Context:
        """Return the context of a new connection, as Twisted asks a context factory for it."""
        return self._context()

    def startService(self) -> None:
        """Listen."""
        Service.startService(self)
        factory = TLSMemoryBIOFactory(self, False, self._site)
        port = self._port = self._reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, factory)
        accept_few(port)
        self._socket.close()  # the reactor has its own duplicate

    def stopService(self) -> Deferred[None] | None:
        """Take no more connections."""
        Service.stopService(self)
        return None if self._port is None else self._port.stopListening()


@attrs.define(eq=False)
class DirectoryLockService(Service):
    """The grip on the data directory, and the ear for SIGHUP."""

    _data: Path
    _reload: Callable[[], None]
    _reactor: Any
    _hold: pidfile.PidFileLock | None = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Take hold.  Exits 78 when another hub has it."""
        Service.startService(self)
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._reload))
        try:
            self._hold = pidfile.PidFileLock.take(self._data)
        except pidfile.Held as held:
            path = f"hub.toml: data ({self._data})"
            raise ConfigurationFault(
                [Mistake(path, f"the hub with pid {held} runs here", "one hub a data directory")]
            ) from None
        spool.clear_spool(spool.spool_folder(self._data))

    def stopService(self) -> None:
        """Let go."""
        Service.stopService(self)
        if self._hold is not None:
            self._hold.release()


def accept_few(port: Any) -> None:
    """Let a listening *port* begin at most `ACCEPTS` connections a turn: Twisted by itself begins a hundred, and more each time."""
    accept = port.doRead

    def accept_some() -> None:
        port.numberAccepts = ACCEPTS  # it adapts this to what came
        accept()

    port.doRead = accept_some


def bind_port(listen: Listen) -> socket.socket:
    """Bind and listen on a port.  Raises OSError when another has it."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.create_server((listen.host, listen.port), family=family, backlog=1024)
    bound.setblocking(False)
    return bound
