"""Asks an OpenID provider: its discovery document, its keys, and the ID token behind a code. Knows no users and no pages.

Each request goes to the issuer's host, or to one that the operator names; redirects are not followed. Time and size of
each answer are limited, and so are the sign-ins that wait for one. The discovery document and the keys are kept for an
hour. A token with an unknown key makes the hub read the keys again, at most once a minute. After a failure the provider
is not asked for ten seconds.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode

import attrs
import structlog
from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, DeferredSemaphore

from hub.config.openid import OpenIdProvider
from hub.console.sign_in.openid_flow import OpenIdFlow
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import RevocationRule
from hub.operations.accounts.openid_metadata import (
    LARGEST,
    ProviderDown,
    ProviderMetadata,
    name_discovery,
    read_metadata,
)
from hub.operations.turns import queue_turn
from hub.runtime import http_client
from hub.runtime.http_answer import CompleteAnswer
from hub.runtime.http_client import HttpClient
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.security import id_token, tls
from hub.security.anchors import Anchors, Purpose
from hub.security.id_token import ExpectedToken, KeyUnknown, SigningKey, TokenRefused

log = structlog.get_logger()

T = TypeVar("T")

#: Seconds within which one answer must be complete.
PATIENCE = 8.0
#: How long the discovery document and the keys are used.
KEPT = timedelta(hours=1)
#: The keys are not read again for an unknown key before this time has passed.
KEYS_REST = timedelta(minutes=1)
#: After a failure the provider is not asked before this time has passed.
REST = timedelta(seconds=10)
#: Sign-ins at a time that ask one provider. As many as `turns.WAITING` more may wait; others get status 503.
ASKING = 8

#: Sends a request and returns the answer: method, URL, header fields, body. Raises any error of the connection.
Fetch = Callable[[str, str, Sequence[tuple[str, str]], bytes], Awaitable[CompleteAnswer]]
#: Returns the `Fetch` for one provider.
MakeFetch = Callable[[OpenIdProvider], Fetch]


class CodeRefused(Exception):
    """The provider does not give a token for the code."""


@attrs.define(eq=False)
class OpenIdClient:
    """One node's view of one provider."""

    provider: OpenIdProvider
    _fetch: Fetch
    _work: Work  #: runs parsing and verification in worker threads
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _turns: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(ASKING), init=False)
    _reading: DeferredLock = attrs.field(factory=DeferredLock, init=False)  #: one reads document and keys at a time
    _metadata: tuple[ProviderMetadata, datetime] | None = attrs.field(default=None, init=False)
    _keys: tuple[Sequence[SigningKey], datetime] | None = attrs.field(default=None, init=False)
    _failed: tuple[str, datetime] | None = attrs.field(default=None, init=False)  #: why and when it did not answer

    @property
    def is_down(self) -> bool:
        """Whether the provider did not answer just now."""
        return self._failed is not None and self._now() < self._failed[1] + REST

    async def find_metadata(self) -> ProviderMetadata:
        """Return what the discovery document says, read at most an hour ago. Raises `ProviderDown`, `RequestRefused`."""
        return await self._in_turn(self._read_metadata)

    async def redeem_code(self, code: str, flow: OpenIdFlow, redirect: str) -> str:
        """Return the subject of the person who signed in at the provider.

        Raises `CodeRefused`, `TokenRefused`, `ProviderDown`, and `RequestRefused` if too many wait.
        """
        return await self._in_turn(lambda: self._redeem(code, flow, redirect))

    async def _in_turn(self, step: Callable[[], Awaitable[T]]) -> T:
        return await queue_turn(self._turns, lambda: Deferred.fromCoroutine(_run_step(step)))

    async def _redeem(self, code: str, flow: OpenIdFlow, redirect: str) -> str:
        metadata, provider = await self._read_metadata(), self.provider
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
        form["code_verifier"] = flow.verifier
        fields = [("Content-Type", "application/x-www-form-urlencoded")]
        if metadata.secret_in_body:
            form |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
        else:  # RFC 6749 section 2.3.1: both are encoded before they are joined
            pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
            fields.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
        answer = await self._ask("POST", metadata.token, fields, urlencode(form).encode())
        if 400 <= answer.status < 500:
            raise CodeRefused(f"HTTP {answer.status}: {answer.body[:200]!r}")
        if answer.status != 200:
            raise self._note_failure(f"{metadata.token}: HTTP {answer.status}")
        try:
            token = id_token.read_json_object(answer.body).get("id_token")
        except ValueError as error:
            raise self._note_failure(f"{metadata.token}: {error}") from None
        if not isinstance(token, str):
            raise TokenRefused("there is no id_token")
        expected = ExpectedToken(
            issuer=provider.issuer,
            client=provider.client_id,
            nonce=flow.nonce,
            claim=provider.claim,
            max_age=provider.max_age,
        )
        keys = await self._read_keys(metadata)
        try:
            return await self._verify(token, keys, expected)
        except KeyUnknown:
            keys = await self._read_keys(metadata, KEYS_REST)
            return await self._verify(token, keys, expected)

    async def _verify(self, token: str, keys: Sequence[SigningKey], expected: ExpectedToken) -> str:
        return await self._work(CONSOLE, THRESHOLD, id_token.verify_id_token, token, keys, expected, self._now())

    async def _read_metadata(self) -> ProviderMetadata:
        await self._reading.acquire()
        try:
            known = self._metadata
            if known is None or self._now() >= known[1] + KEPT:
                octets = await self._read(name_discovery(self.provider.issuer))
                try:
                    known = await self._work(CONSOLE, THRESHOLD, read_metadata, octets, self.provider), self._now()
                except ProviderDown as down:
                    raise self._note_failure(str(down)) from None
                self._metadata = known
            return known[0]
        finally:
            self._reading.release()

    async def _read_keys(self, metadata: ProviderMetadata, fresh: timedelta = KEPT) -> Sequence[SigningKey]:
        """Return the provider's keys, read at most *fresh* ago."""
        await self._reading.acquire()
        try:
            known = self._keys
            if known is None or self._now() >= known[1] + fresh:
                octets = await self._read(metadata.keys)
                try:
                    known = await self._work(CONSOLE, THRESHOLD, id_token.read_signing_keys, octets), self._now()
                except TokenRefused as refused:
                    raise self._note_failure(f"{metadata.keys}: {refused}") from None
                self._keys = known
            return known[0]
        finally:
            self._reading.release()

    async def _read(self, url: str) -> bytes:
        answer = await self._ask("GET", url, (), b"")
        if answer.status != 200:
            raise self._note_failure(f"{url}: HTTP {answer.status}")
        return answer.body

    async def _ask(self, method: str, url: str, fields: Sequence[tuple[str, str]], body: bytes) -> CompleteAnswer:
        if self._failed is not None and self.is_down:
            raise ProviderDown(self._failed[0])
        try:
            return await self._fetch(method, url, [*fields, ("Accept", "application/json")], body)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - any error of the connection
            raise self._note_failure(f"{url}: {http_client.describe_connection_error(error)}") from None

    def _note_failure(self, why: str) -> ProviderDown:
        log.warning("openid-provider-down", provider=self.provider.name, reason=why)
        self._failed = (why, self._now())
        return ProviderDown(why)


async def _run_step(step: Callable[[], Awaitable[T]]) -> T:
    return await step()


@attrs.define(eq=False)
class OpenIdClients:
    """The clients of the providers in force. A provider whose settings changed gets a new one, which has read nothing."""

    _make_fetch: MakeFetch
    _work: Work
    _now: Callable[[], datetime]
    _clients: dict[str, OpenIdClient] = attrs.field(factory=dict, init=False)

    def find_client(self, provider: OpenIdProvider) -> OpenIdClient:
        """Return the client of *provider*."""
        known = self._clients.get(provider.name)
        if known is None or known.provider != provider:
            known = OpenIdClient(provider, self._make_fetch(provider), self._work, self._now)
            self._clients[provider.name] = known
        return known


def make_network_fetch(
    provider: OpenIdProvider, anchors: Callable[[], Anchors], reactor: Any, now: Callable[[], datetime]
) -> Fetch:
    """Return the `Fetch` of *provider* over the network: TLS to its host, by its own CAs or else by the *anchors*."""
    own = Anchors(provider.authorities, ()) if provider.authorities else None

    async def fetch(method: str, url: str, fields: Sequence[tuple[str, str]], body: bytes) -> CompleteAnswer:
        server, _, _ = http_client.split_http_url(url)

        def check(shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
            trusted = own or anchors()
            trusted.check(shown, now(), above, purpose=Purpose.SERVER, unknown=RevocationRule.ALLOW)
            tls.check_host(shown, server.host)

        context = http_client.SharedTlsContext(tls.make_tls_context(None, check))
        asked = HttpClient(reactor, context, PATIENCE).exchange(method, url, fields, body, LARGEST)
        return await Deferred.fromCoroutine(asked).addTimeout(PATIENCE, reactor)

    return fetch
