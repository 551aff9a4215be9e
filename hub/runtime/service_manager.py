"""Speaks to systemd: what it passes at the start, and what a service tells it (sd_notify(3), sd_listen_fds(3)).

Knows environment variables, descriptors and one datagram socket. Does not know what is reloaded or served.
"""

import re
import socket
import time
from collections.abc import Callable, MutableMapping
from ipaddress import ip_address
from typing import Any, Self

import attrs
import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import LoopingCall

from hub.config import Listen
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error

log = structlog.get_logger()

#: Pings for each period of the watchdog (sd_watchdog_enabled(3) advises half the period).
_PINGS = 2
#: What systemd sets for this process alone. LISTEN_FDS and LISTEN_PID are Twisted's, which takes them when it is imported.
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDNAMES")


@attrs.frozen
class ManagerStart:
    """What systemd passed to this process at its start; empty where something else started it."""

    address: str = ""  #: the socket for notices, a path or `@` and an abstract name
    watchdog: float = 0.0  #: seconds within which systemd wants to hear from the reactor; 0: it does not watch

    @classmethod
    def take(cls, environment: MutableMapping[str, str], pid: int) -> Self:
        """Return what *environment* says, and take it out of there: it is not for this process's children.

        A watchdog for another process than *pid* is ignored. Raises `ConfigurationFault` if its period is no number.
        """
        said = {name: environment.pop(name, "") for name in _VARIABLES}
        period = said["WATCHDOG_USEC"] if said["WATCHDOG_PID"] in {"", str(pid)} else ""
        if period and not re.fullmatch("[0-9]{1,18}", period):
            wrong, expected = phrase("{value} does not fit", value=period), phrase("what systemd sets")
            raise ConfigurationFault([Mistake("WATCHDOG_USEC", wrong, expected)])
        return cls(said["NOTIFY_SOCKET"], int(period or "0") / 1_000_000)


def open_passed_socket(reactor: Any, key: str, listen: Listen) -> socket.socket:
    """Return the socket that systemd passed for the port *listen* of the section *key* of hub.toml.

    Raises `ConfigurationFault` if it did not pass `listen.endpoint`, or if that is not a listening TCP socket at the host
    and port of *listen*: what the configuration says about a port must be true of the port that is served.
    """
    place = f"hub.toml: {key}.endpoint"
    try:
        descriptor = serverFromString(reactor, listen.endpoint).fileno
    except (LookupError, ValueError):
        wrong = phrase("systemd has not passed this socket")
        raise ConfigurationFault([Mistake(place, wrong, phrase("a start by systemd, with its socket unit"))]) from None
    address = _write_address((listen.host, listen.port))
    expected = phrase("ListenStream={address} in the socket unit", address=address)
    try:
        found = socket.socket(fileno=descriptor)
        listens = found.type == socket.SOCK_STREAM and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        actual = found.getsockname() if found.family in {socket.AF_INET, socket.AF_INET6} else None
    except OSError as error:
        wrong = phrase("cannot be used: {strerror}", strerror=name_system_error(error))
        raise ConfigurationFault([Mistake(place, wrong, expected)]) from None
    same = actual is not None and (ip_address(actual[0]), actual[1]) == (ip_address(listen.host), listen.port)
    if not listens or not same:
        wrong = phrase(
            "the socket that systemd passed is {address}",
            address=_write_address(actual[:2]) if actual else found.family.name,
        )
        found.close()
        raise ConfigurationFault([Mistake(place, wrong, expected)])
    found.setblocking(False)
    found.set_inheritable(False)
    return found


def _write_address(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@attrs.define(eq=False)
class ManagerNotices(Service):
    """Tells systemd when the node serves, reloads and stops, and that its reactor turns (Type=notify-reload).

    Belongs behind all other services: it starts when they have started, and is told first to stop.
    """

    _start: ManagerStart
    _reactor: Any
    _language: Language  #: of the status that `systemctl status` shows
    _served: Callable[[], Deferred[None]]  #: fires when the SOAP port is served
    _monotonic: Callable[[], int] = time.monotonic_ns  #: CLOCK_MONOTONIC in nanoseconds
    _reloads: int = attrs.field(default=0, init=False)  #: reloads in progress
    _is_ready: bool = attrs.field(default=False, init=False)
    _ping: LoopingCall = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ping = LoopingCall(self._send, "WATCHDOG=1")
        self._ping.clock = self._reactor

    def startService(self) -> None:
        """Begin to ping, and tell that the node is ready once the reactor turns and the SOAP port is served."""
        Service.startService(self)
        if self._start.watchdog:
            _ = self._ping.start(self._start.watchdog / _PINGS, now=False)
        self._reactor.callLater(0, self._wait_for_ports)

    def stopService(self) -> None:
        """Tell that the node stops. The pings go on to the end of the process: a stop may take longer than a period."""
        Service.stopService(self)
        self._send("STOPPING=1", self._status(phrase("Stopping: calls in progress have ten seconds.")))

    def begin_reload(self) -> None:
        """Tell that a reload begins. systemd waits for the end (sd_notify(3): RELOADING=1)."""
        self._reloads += 1
        if self._is_ready:
            self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic() // 1000}")

    def end_reload(self, *, ok: bool) -> None:
        """Tell that a reload has ended: the new configuration is in force, or it was refused."""
        self._reloads -= 1
        if not self._is_ready or not self.running:
            return
        said = phrase("The last reload was refused; the configuration before it is in force. See the log.")
        status = self._status(phrase("Serving.") if ok else said)
        self._send(*([] if self._reloads else ["READY=1"]), status)

    def _wait_for_ports(self) -> None:
        if self.running:
            _ = self._served().addCallback(self._tell_ready)

    def _tell_ready(self, _: object) -> None:
        if self.running:
            self._is_ready = True
            self._send("READY=1", self._status(phrase("Serving.")))

    def _status(self, text: Phrase) -> str:
        return f"STATUS={translate(text, self._language)}"

    def _send(self, *lines: str) -> None:
        address = self._start.address
        if not address:
            return
        to = f"\0{address[1:]}" if address.startswith("@") else address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as line:
                line.sendto("\n".join(lines).encode(), to)
        except OSError as error:
            log.warning("service-manager-not-told", notice=lines[0], error=str(error))
