"""Waits at the mailboxes that are collected, so that a new mail is fetched at once.  Knows when to come back; not what a mail is.

Without it a mail is found as soon as the partner's turn to be collected comes (`policy.collect`): the watch only shortens that, and a
server that has no IDLE is left to it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import attrs
import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from hub.config import Partner
from hub.delivery.imap_transport import ImapSession, Stranger
from hub.delivery.mail_connection import MailConnector
from hub.domain.model import Request
from hub.partner.policy import choose_delay
from hub.runtime import http_client, line_protocol
from hub.runtime.http_client import Unreachable
from hub.units.live import Live

log = structlog.get_logger()

#: A server may end an IDLE after half an hour (RFC 2177), and a router forgets a silent connection sooner: said anew after so many seconds.
PATIENCE = 240.0


@runtime_checkable
class Watched(Protocol):
    """An adapter whose partner can say when something has come."""

    def watched(self) -> Request | None:
        """Return the request that names where to wait, and as whom; none: nowhere."""
        ...


@attrs.define(eq=False)
class MailWatch(Service):
    """One wait a partner."""

    _live: Live
    _post: MailConnector
    _wake: Callable[[str], None]  #: collect from the partner of that code, now
    _clock: Any
    _random: Callable[[], float]  #: in [0, 1)
    _places: Mapping[str, tuple[Partner, Request]] = attrs.field(factory=dict, init=False)
    _waits: dict[str, Deferred[None]] = attrs.field(factory=dict, init=False)

    def take_up(self) -> None:
        """Wait from now on for the partners that are collected and whose adapter can be watched, and for no others."""
        found, partners = {}, self._live.config.partners
        for code, adapter in self._live.adapters.items():
            request = adapter.watched() if isinstance(adapter, Watched) and partners[code].policy.collect else None
            if request is not None:
                found[code] = (partners[code], request)
        gone = [code for code, place in self._places.items() if found.get(code) != place]
        self._places = found
        for code in gone:
            self._end(code)
        self._begin()

    def startService(self) -> None:
        """Begin to wait."""
        Service.startService(self)
        self.take_up()

    def stopService(self) -> None:
        """Wait no more."""
        Service.stopService(self)
        for code in list(self._waits):
            self._end(code)

    def _begin(self) -> None:
        for code, (partner, request) in self._places.items():
            if code not in self._waits:
                self._waits[code] = Deferred.fromCoroutine(self._watch(partner, request))
                _ = self._waits[code].addErrback(self._broke, code)

    def _end(self, code: str) -> None:
        waiting = self._waits.pop(code, None)
        if waiting is not None:
            waiting.cancel()

    def _broke(self, failure: Failure, code: str) -> None:
        if not failure.check(CancelledError):
            self._waits.pop(code, None)
            log.error(
                "mailbox-watch-broke", partner=code, error=failure.getErrorMessage(), traceback=failure.getTraceback()
            )

    async def _watch(self, partner: Partner, request: Request) -> None:
        """Wait, and come back whenever the connection broke, each time later, unless it held for a while."""
        failures = 0
        while True:
            began, wait = self._clock.seconds(), partner.policy.first_retry
            try:
                if not await self._wait(partner, request):
                    return
            except Stranger as stranger:
                wait = partner.policy.max_retry  # a person must look; nobody hammers at the server meanwhile
                log.error("mailbox-refused", partner=partner.code, reason=str(stranger))  # noqa: TRY400 - what went wrong is theirs
            except (Unreachable, *line_protocol.BROKEN) as error:
                failures = 1 if self._clock.seconds() > began + PATIENCE else failures + 1
                wait = choose_delay(partner.policy, failures, self._random())
                log.warning(
                    "mailbox-unreachable", partner=partner.code, reason=http_client.describe_connection_error(error)
                )
            await deferLater(self._clock, wait.total_seconds())

    async def _wait(self, partner: Partner, request: Request) -> bool:
        """Wake for what came while nobody waited, then whenever something comes.  Returns, False, when the server has no IDLE."""
        opened = Deferred.fromCoroutine(ImapSession.open(self._post, request, partner))
        session = await opened.addTimeout(partner.policy.timeout.total_seconds(), self._clock)
        try:
            if b"IDLE" not in session.offered:
                log.info("mailbox-without-idle", partner=partner.code)
                return False
            came = True
            while True:
                if came:
                    self._wake(partner.code)
                came = await session.idle(self._clock, PATIENCE)
        finally:
            session.close()
