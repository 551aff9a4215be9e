"""Sends an adapter's requests to partners over HTTP, and hands URLs of other schemes to their transports.

Under mutual TLS, the default, the server must show one of the partner's configured certificates, chained and unrevoked.
Under `transport=tls` the hub shows no certificate, and a server without configured certificates is checked by its name
and the anchors. Under `plain` nothing is checked. No redirect is followed, no proxy or trust store of the machine is
used, and an answer is read up to a limit. Does not know the meaning of requests and replies.
"""

import hashlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTCP, IReactorTime

from hub.config import Config, Partner
from hub.domain.conversations import Reply, Request
from hub.domain.errors import Rejected
from hub.domain.sightings import MOST_VALUES, SightingKind, Sightings
from hub.partner.policy import PartnerTransport
from hub.runtime import http_client
from hub.runtime.call_progress import CallProgress
from hub.runtime.http_client import HttpClient, HttpConnection, OutdatedConnection, Unreachable
from hub.runtime.peer_check import make_peer_checks
from hub.runtime.trust_sweep import WatchedPeer
from hub.security import tls
from hub.security.certificates import Identity, hash_certificate
from hub.units.live import Live

log = structlog.get_logger()

#: Sends one request to a partner and returns its reply, or raises the error that broke the call. Tells how far it comes.
Carrier = Callable[[Request, Partner, CallProgress], Coroutine[Any, Any, Reply]]


class SenderReactor(IReactorTCP, IReactorTime):
    """The reactor interfaces that `Sender` needs."""


@attrs.define(eq=False)
class Sender:
    """Sends requests, with one HTTP client per partner."""

    _live: Live  #: the configuration and the adapters in force
    _reactor: SenderReactor  #: for connections and timeouts
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _carriers: Mapping[str, Carrier] = attrs.field(factory=dict)  #: transports of other schemes, by URL scheme
    _sightings: Sightings = attrs.field(factory=Sightings)  #: where it is noted what servers showed
    _clients: dict[str, "_PartnerClient"] = attrs.field(factory=dict, init=False)  #: by partner code
    #: whether `note_trust_change` was called: connections are then judged by the partner's configuration in force
    _follows: bool = attrs.field(default=False, init=False)
    _gone: set[str] = attrs.field(factory=set, init=False)  #: partners that were called and removed since

    async def send(self, request: Request, partner: Partner) -> Reply:
        """Send *request* to *partner* and return the reply. Raises `Unreachable` when no reply comes in time.

        That is the policy's `timeout`, and more for a long message that moves (`hub.runtime.call_progress`).
        """
        scheme, transport = urlsplit(request.url).scheme, partner.policy.transport
        if scheme == ("http" if transport == PartnerTransport.PLAIN else "https"):
            carry: Carrier = self._over_http
        elif scheme in self._carriers:
            carry = self._carriers[scheme]
        else:
            raise Unreachable(f"transport={transport} does not allow {scheme}: {request.url}", unsent=True)
        progress = CallProgress(self._reactor, partner.policy.timeout.total_seconds())
        exchange = Deferred.fromCoroutine(carry(request, partner, progress))
        progress.limit(exchange.cancel)
        try:
            return await exchange
        except Unreachable:
            raise
        except (CancelledError, Exception) as error:
            unsent = progress.sent is False or http_client.is_connecting_error(error)
            if progress.is_late:
                raise Unreachable(f"no answer within {progress.patience:g} s", unsent=unsent) from error
            if isinstance(error, CancelledError):
                raise
            raise Unreachable(http_client.describe_connection_error(error), unsent=unsent) from error
        finally:
            progress.stop()

    async def _over_http(self, request: Request, partner: Partner, progress: CallProgress) -> Reply:
        said = request.method, request.url, request.headers, request.body, request.reply_limit
        answer = None
        while answer is None:
            with suppress(OutdatedConnection):  # a reload came while it was being opened
                answer = await self._client(partner).exchange(*said, progress)
        return Reply(answer.status, answer.body, answer.headers, self._now())

    async def close(self) -> None:
        """Close every idle connection."""
        for held in self._clients.values():
            await held.client.close()
        self._clients.clear()

    def note_trust_change(self) -> None:
        """Another configuration is in force, or a CA gave news of revocations.

        From now on no request goes over a connection that the new state does not trust, not even one of a conversation
        that began before.
        """
        self._follows, known = True, self._live.config.partners
        self._gone = {code for code in (*self._gone, *self._clients) if code not in known}
        for held in self._clients.values():
            held.judged = False
            held.client.outdate()

    def list_peers(self) -> Iterator[WatchedPeer]:
        """Yield every open connection to a partner, with its judgement."""
        for code, held in self._clients.items():
            for connection in held.client.list_open():
                peer = connection.read_peer()
                mark = hash_certificate(peer[0]) if peer else ""
                yield WatchedPeer(code, mark, partial(self._find_flaw, code, held, connection), connection.part)

    def _note_server(self, code: str, connection: HttpConnection) -> None:
        """Note what a server showed in its handshake, when it answers the first request of a connection."""
        held, handle = self._clients.get(code), connection.find_tls()
        if held is None or handle is None:
            return
        note, now = partial(self._sightings.note, code), self._now()
        note(SightingKind.SERVER_TLS, f"{handle.get_protocol_version_name()} {handle.get_cipher_name()}", now)
        if held.shown is not None:
            note(SightingKind.SERVER_ACCEPTED, hash_certificate(held.shown.certificate), now)
            names = handle.get_client_ca_list()
            for name in names if len(names) <= MOST_VALUES else ():
                note(SightingKind.SERVER_AUTHORITY, hashlib.sha256(name.der()).hexdigest(), now)

    def _find_flaw(self, code: str, held: "_PartnerClient", connection: HttpConnection) -> str:
        """Return the code of why no further request may go over *connection*; an empty text if one may."""
        config, peer = self._live.config, connection.read_peer()
        partner = config.partners.get(code)
        if partner is None:
            return "certificate-unknown" if code in self._gone else ""
        if held.shown is not None and _mark_certificate(held.shown) != _mark_certificate(config.tls):
            return "certificate-replaced"  # the hub's own, which it showed
        if not peer:
            return ""  # without TLS, nobody showed a certificate
        check, _ = make_peer_checks(partner, config.anchors, self._now, _find_host(partner))
        try:
            check(peer[0], peer[1:])
        except Rejected as rejected:
            return str(rejected.problems[0].code)
        return ""

    def _client(self, partner: Partner) -> HttpClient:
        config, code = self._live.config, partner.code
        if code in self._gone:
            raise Unreachable(f"{code} is not a partner any more", unsent=True)
        if self._follows:
            partner = config.partners.get(code, partner)
        held = self._clients.get(code)
        if held is not None and held.judged and held.config is config and held.partner is partner:
            return held.client
        shown = config.tls if partner.policy.transport == PartnerTransport.MUTUAL_TLS else None
        check, stapled = make_peer_checks(partner, config.anchors, self._now, _find_host(partner))
        context = http_client.SharedTlsContext(tls.make_tls_context(shown, check, stapled=stapled), staple=True)
        limits = partner.policy.timeout.total_seconds(), partner.policy.concurrency
        if held is None:
            client = HttpClient(self._reactor, context, limits[0], kept=limits[1], guarded=True)
            client.on_answering = partial(self._note_server, code)
        else:
            client = held.client
            client.renew(context, *limits)
            other = _mark_certificate(shown) != _mark_certificate(held.shown)
            for connection in client.list_open():
                if other or self._find_flaw(code, held, connection):
                    connection.part()
        self._clients[code] = _PartnerClient(config, partner, shown, client)
        return client


@attrs.define(eq=False)
class _PartnerClient:
    """The HTTP client of one partner, and what it was made from."""

    config: Config
    partner: Partner
    shown: Identity | None  #: what the hub shows on its connections
    client: HttpClient
    judged: bool = True  #: whether its connections were judged since the last change of trust


def _mark_certificate(shown: Identity | None) -> str:
    return "" if shown is None else hash_certificate(shown.certificate)


def _find_host(partner: Partner) -> str:
    return urlsplit(partner.url or "").hostname or ""
