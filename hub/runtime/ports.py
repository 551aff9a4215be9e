"""Services that know no messages: listening ports over TLS, the locks of a hub, ordered start and stop."""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import attrs
import structlog
from OpenSSL import SSL
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IOpenSSLContextFactory
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from hub.config import Listen
from hub.domain.errors import ConfigurationFault
from hub.formats import spool
from hub.runtime import pidfile
from hub.runtime.descriptors import SHORTAGE, is_reserved
from hub.runtime.private_files import close_open_files

log = structlog.get_logger()

#: Maximum octets of a TLS record (RFC 8446, 5.1).
_RECORD = 1 << 14
#: Maximum number of connections of a port begun in one turn of the reactor. A handshake takes 2 ms, and calls in
#: progress are served between turns. With 4, two hundred simultaneous connections delayed a call by 100 ms.
ACCEPTS = 1


class OrderedServices(MultiService):
    """Starts its services in order and stops them one after another, the last started first."""

    def stopService(self) -> Deferred[None]:
        """Stop each service after the one started after it has stopped."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop_in_turn())

    async def _stop_in_turn(self) -> None:
        for part in reversed(list(self)):
            await maybeDeferred(part.stopService)


class DirectTlsProtocol(TLSMemoryBIOProtocol):
    """Passes on at once all that one read of the socket brought: at most 64 KiB.

    Twisted's own passes on each TLS record, so a large body in pieces of 16 KiB, and otherwise does the same.
    """

    def _flushReceiveBIO(self) -> None:
        pieces: list[bytes] = []
        ended = broken = None
        while not self._lostTLSConnection:
            try:
                pieces.append(self._tlsConnection.recv(_RECORD))
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError as error:
                ended = error
                break
            except SSL.Error:
                broken = Failure()
                break
        if pieces and not self._aborted:
            ProtocolWrapper.dataReceived(self, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended is not None:
            self._shutdownTLS()
        if ended is not None or broken is not None:
            self._tlsShutdownFinished(broken)
        self._flushSendBIO()


class DirectTlsFactory(TLSMemoryBIOFactory):
    """Encrypts and sends each write at once, for a site that writes an answer in one piece.

    Twisted's own keeps a write until the next turn of the reactor, to join it with others.
    """

    protocol = DirectTlsProtocol


@implementer(IOpenSSLContextFactory)
@attrs.define(eq=False)
class Port(Service):
    """One listening port over TLS. Each new connection asks for the current TLS context."""

    _socket: socket.socket  #: bound before any service starts, so that a port in use is found in time
    _site: Any  #: a site, or another protocol factory
    _context: Callable[[], SSL.Context]  #: returns the current TLS context
    _reactor: Any
    _tls: type[TLSMemoryBIOFactory] = TLSMemoryBIOFactory
    _port: IListeningPort | None = attrs.field(default=None, init=False)

    def getContext(self) -> SSL.Context:
        """Return the TLS context for a new connection (IOpenSSLContextFactory)."""
        return self._context()

    def startService(self) -> None:
        """Start listening."""
        Service.startService(self)
        factory = self._tls(self, False, self._site)
        port = self._port = self._reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, factory)
        limit_accepts(port, getattr(self._site, "make_room", lambda: False))
        self._socket.close()  # the reactor has its own duplicate

    def stopService(self) -> Deferred[None] | None:
        """Accept no more connections."""
        Service.stopService(self)
        return None if self._port is None else self._port.stopListening()


@attrs.define(eq=False)
class DirectoryLockService(Service):
    """Holds the locks on the data directory and on SQLite's journal, and handles SIGHUP."""

    _data: Path
    _journal: Path | None  #: SQLite's file; None: the journal is on a server, and several hubs may share it
    _reload: Callable[[], None]  #: called in the reactor thread after SIGHUP
    _reactor: Any
    _locks: ExitStack = attrs.field(factory=ExitStack, init=False)

    def startService(self) -> None:
        """Install the SIGHUP handler, take the locks and empty the spool.

        Raises `ConfigurationFault` if another hub holds one: it started after the check of the configuration.
        """
        Service.startService(self)
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._reload))
        try:
            self._locks = pidfile.lock_hub(self._data, self._journal)
        except pidfile.Held as held:
            raise ConfigurationFault([held.mistake]) from None
        if closed := close_open_files(self._data, self._journal):
            log.warning("files-closed", files=[str(each) for each in closed])
        spool.clear_spool(spool.name_spool_folder(self._data))

    def stopService(self) -> None:
        """Release the locks."""
        Service.stopService(self)
        self._locks.close()


def limit_accepts(port: Any, make_room: Callable[[], bool] = lambda: False) -> None:
    """Limit a listening *port* to `ACCEPTS` new connections per turn. Twisted's default begins at 100 and grows.

    While only the reserve of descriptors is left, another connection is closed for each (*make_room* returns whether
    there was one), and the new one waits for a turn; or else it is closed at once.
    """
    accept = port.doRead

    def accept_some() -> None:
        port.numberAccepts = ACCEPTS  # Twisted adapts this number to the load
        try:
            file = os.dup(port.fileno())
        except OSError as error:  # Twisted closes the connection by means of one descriptor that it keeps
            SHORTAGE.note_error(error)
            accept()
            return
        os.close(file)
        if not is_reserved(file):
            accept()
            return
        SHORTAGE.note_reserve()
        if make_room():
            return
        with suppress(OSError):
            port.socket.accept()[0].close()

    port.doRead = accept_some


def bind_port(listen: Listen) -> socket.socket:
    """Bind a port and listen on it. Raises OSError when it is in use."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.create_server((listen.host, listen.port), family=family, backlog=1024)
    bound.setblocking(False)
    return bound
