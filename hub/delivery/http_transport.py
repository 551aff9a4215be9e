"""Sends an adapter's requests to partners over HTTP, and hands URLs of other schemes to their transports.

Under mutual TLS, the default, the server must show one of the partner's configured certificates, chained and unrevoked.
Under `transport=tls` the hub shows no certificate, and a server without configured certificates is checked by its name
and the anchors. Under `plain` nothing is checked. No redirect is followed, no proxy or trust store of the machine is
used, and an answer is read up to a limit. Does not know the meaning of requests and replies.
"""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import attrs
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTCP, IReactorTime

from hub.config import Config, Partner
from hub.domain.model import Reply, Request
from hub.partner.policy import PartnerTransport
from hub.runtime import http_client
from hub.runtime.http_client import HttpClient, Unreachable
from hub.runtime.peer_check import make_peer_checks
from hub.security import tls
from hub.units.live import Live

log = structlog.get_logger()

#: Sends one request to a partner and returns its reply, or raises the error that broke the call.
Carrier = Callable[[Request, Partner], Coroutine[Any, Any, Reply]]


class SenderReactor(IReactorTCP, IReactorTime):
    """The reactor interfaces that `Sender` needs."""


@attrs.define(eq=False)
class Sender:
    """Sends requests, with one HTTP client per partner."""

    _live: Live  #: the configuration and the adapters in force
    _reactor: SenderReactor  #: for connections and timeouts
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _carriers: Mapping[str, Carrier] = attrs.field(factory=dict)  #: transports of other schemes, by URL scheme
    #: HTTP client by partner code, with the configuration and the partner it was made from
    _clients: dict[str, tuple[Config, Partner, HttpClient]] = attrs.field(factory=dict, init=False)

    async def send(self, request: Request, partner: Partner) -> Reply:
        """Send *request* to *partner* and return the reply. Raises `Unreachable` when no reply comes in time."""
        scheme, transport = urlsplit(request.url).scheme, partner.policy.transport
        if scheme == ("http" if transport == PartnerTransport.PLAIN else "https"):
            carry: Carrier = self._over_http
        elif scheme in self._carriers:
            carry = self._carriers[scheme]
        else:
            raise Unreachable(f"transport={transport} does not allow {scheme}: {request.url}", unsent=True)
        exchange = Deferred.fromCoroutine(carry(request, partner))
        try:
            return await exchange.addTimeout(partner.policy.timeout.total_seconds(), self._reactor)
        except (CancelledError, Unreachable):
            raise
        except Exception as error:
            unsent = http_client.is_connecting_error(error)
            raise Unreachable(http_client.describe_connection_error(error), unsent=unsent) from error

    async def _over_http(self, request: Request, partner: Partner) -> Reply:
        answer = await self._client(partner).exchange(
            request.method, request.url, request.headers, request.body, request.reply_limit
        )
        return Reply(answer.status, answer.body, answer.headers, self._now())

    async def close(self) -> None:
        """Close every idle connection."""
        for _, _, client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _client(self, partner: Partner) -> HttpClient:
        config, held = self._live.config, self._clients.get(partner.code)
        if held is not None and held[0] is config and held[1] is partner:
            return held[2]
        if held is not None:
            _ = Deferred.fromCoroutine(held[2].close())
        shown = config.tls if partner.policy.transport == PartnerTransport.MUTUAL_TLS else None
        host = urlsplit(partner.url or "").hostname or ""
        check, stapled = make_peer_checks(partner, config.anchors, self._now, host)
        context = http_client.SharedTlsContext(tls.make_tls_context(shown, check, stapled=stapled), staple=True)
        patience = partner.policy.timeout.total_seconds()
        client = HttpClient(self._reactor, context, patience, kept=partner.policy.concurrency)
        self._clients[partner.code] = (config, partner, client)
        return client
