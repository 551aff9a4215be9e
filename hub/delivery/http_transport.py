"""Sends an adapter's requests to partners over HTTP, and hands URLs of other schemes to their transports.

Under mutual TLS, the default, the server must show one of the partner's configured certificates, chained and unrevoked.
Under `transport=tls` the hub shows no certificate, and a server without configured certificates is checked by its name
and the anchors. Under `plain` nothing is checked. No redirect is followed, no proxy or trust store of the machine is
used, and an answer is read up to a limit. Does not know the meaning of requests and replies.
"""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import attrs
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse

from hub.config import Config, Partner
from hub.domain.model import Reply, Request
from hub.partner.policy import PartnerTransport
from hub.runtime import http_client
from hub.runtime.http_client import Unreachable
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
    """Sends requests, with one connection pool per partner."""

    _live: Live  #: the configuration and the adapters in force
    _reactor: SenderReactor  #: for connections and timeouts
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _carriers: Mapping[str, Carrier] = attrs.field(factory=dict)  #: transports of other schemes, by URL scheme
    #: HTTP agent and pool by partner code, with the configuration and the partner they were made from
    _agents: dict[str, tuple[Config, Partner, Agent, HTTPConnectionPool]] = attrs.field(factory=dict, init=False)

    async def send(self, request: Request, partner: Partner) -> Reply:
        """Send *request* to *partner* and return the reply. Raises `Unreachable` when no reply comes in time."""
        scheme, transport = urlsplit(request.url).scheme, partner.policy.transport
        if scheme == ("http" if transport == PartnerTransport.PLAIN else "https"):
            carry: Carrier = self._over_http
        elif scheme in self._carriers:
            carry = self._carriers[scheme]
        else:
            raise Unreachable(f"transport={transport} does not allow {scheme}: {request.url}")
        exchange = Deferred.fromCoroutine(carry(request, partner))
        try:
            return await exchange.addTimeout(partner.policy.timeout.total_seconds(), self._reactor)
        except (CancelledError, Unreachable):
            raise
        except Exception as error:
            raise Unreachable(http_client.describe_connection_error(error)) from error

    async def _over_http(self, request: Request, partner: Partner) -> Reply:
        headers = Headers({name: [value] for name, value in request.headers})
        asked = self._agent(partner).request(
            request.method.encode(), request.url.encode("ascii"), headers, _producer(request.body)
        )
        return await _reply(asked, self._now, request.reply_limit)

    async def close(self) -> None:
        """Close every idle connection."""
        for _, _, _, pool in self._agents.values():
            await pool.closeCachedConnections()
        self._agents.clear()

    def _agent(self, partner: Partner) -> Agent:
        config, held = self._live.config, self._agents.get(partner.code)
        if held is not None and held[0] is config and held[1] is partner:
            return held[2]
        if held is not None:
            _ = held[3].closeCachedConnections()
        pool = http_client.make_connection_pool(self._reactor, persistent=True)
        pool.maxPersistentPerHost = partner.policy.concurrency
        pool.cachedConnectionTimeout = 30
        shown = config.tls if partner.policy.transport == PartnerTransport.MUTUAL_TLS else None
        host = urlsplit(partner.url or "").hostname or ""
        check, stapled = make_peer_checks(partner, config.anchors, self._now, host)
        policy = http_client.SharedTlsContext(tls.make_tls_context(shown, check, stapled=stapled), staple=True)
        agent = Agent(self._reactor, policy, connectTimeout=partner.policy.timeout.total_seconds(), pool=pool)
        self._agents[partner.code] = (config, partner, agent, pool)
        return agent


def _producer(body: bytes) -> IBodyProducer:
    return FileBodyProducer(BytesIO(body), readSize=1 << 18)


async def _reply(asked: Deferred[IResponse], now: Callable[[], datetime], limit: int) -> Reply:
    response = await asked
    body = await http_client.read_body(response, limit)
    if not 100 <= response.code <= 999:  # Twisted accepts any number, but the journal cannot store any number
        raise Unreachable("the answer has no valid HTTP status")
    headers = {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }
    return Reply(response.code, body, headers, now())
