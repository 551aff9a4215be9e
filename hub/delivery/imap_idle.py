"""Waits with IMAP IDLE at the mailboxes that are collected, so that a new mail is fetched at once.

Without it a mail is found at the partner's next collection (`policy.collect`). IDLE only shortens that delay, and a
server without IDLE keeps it. Knows when to connect again, not what a mail contains.
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
from hub.delivery.imap_transport import ImapSession, SignInRefused
from hub.delivery.mail_connection import MailConnector
from hub.domain.conversations import Request
from hub.partner.policy import choose_delay
from hub.runtime import http_client, line_protocol
from hub.runtime.http_client import Unreachable
from hub.units.live import Live

log = structlog.get_logger()

#: IDLE is renewed after this time, in seconds: a server may end it after 30 minutes (RFC 2177), a router drops idle
#: connections sooner.
PATIENCE = 240.0


@runtime_checkable
class Watched(Protocol):
    """An adapter whose partner can announce new messages."""

    def watched(self) -> Request | None:
        """Return the request with the mailbox to wait at and its credentials, or None."""
        ...


@attrs.define(eq=False)
class MailWatch(Service):
    """Waits at one mailbox per partner."""

    _live: Live  #: the configuration and the adapters in force
    _connector: MailConnector  #: opens the connections
    _wake: Callable[[str], None]  #: starts a collection from the partner with that code
    _clock: Any  #: the reactor's clock, for delays and timeouts
    _random: Callable[[], float]  #: returns a number in [0, 1)
    #: partner and mailbox by partner code
    _places: Mapping[str, tuple[Partner, Request]] = attrs.field(factory=dict, init=False)
    _waits: dict[str, Deferred[None]] = attrs.field(factory=dict, init=False)  #: running waits by partner code

    def reconfigure(self) -> None:
        """Wait from now on for exactly the partners that are collected and whose adapter is `Watched`."""
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
        """Start waiting."""
        Service.startService(self)
        self.reconfigure()

    def stopService(self) -> None:
        """Stop waiting."""
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
        """Wait, and connect again after each failure with a growing delay, reset by a connection that held."""
        failures = 0
        while True:
            began, wait = self._clock.seconds(), partner.policy.first_retry
            try:
                if not await self._wait(partner, request):
                    return
            except SignInRefused as stranger:
                wait = partner.policy.max_retry  # an operator must act; retries must not flood the server meanwhile
                log.error("mailbox-refused", partner=partner.code, reason=str(stranger))  # noqa: TRY400 - theirs
            except (Unreachable, *line_protocol.BROKEN) as error:
                failures = 1 if self._clock.seconds() > began + PATIENCE else failures + 1
                wait = choose_delay(partner.policy, failures, self._random())
                log.warning(
                    "mailbox-unreachable", partner=partner.code, reason=http_client.describe_connection_error(error)
                )
            await deferLater(self._clock, wait.total_seconds())

    async def _wait(self, partner: Partner, request: Request) -> bool:
        """Wake the collection for earlier mails, then for each new one. Return False when the server has no IDLE."""
        opened = Deferred.fromCoroutine(ImapSession.open(self._connector, request, partner))
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
