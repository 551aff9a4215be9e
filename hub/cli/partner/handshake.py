"""Tests the connection to every partner that the hub calls, up to the TLS handshake, and the sign-in at RabbitMQ.

Sends nothing else.
"""

import os
import select
import socket
import ssl
import time
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from hub.config import Config, Partner
from hub.domain.errors import Mistake, Rejected
from hub.language.phrases import phrase, verbatim
from hub.partner.policy import PartnerTransport
from hub.security import tls
from hub.security.certificates import Identity, Purpose, hash_certificate

_PATIENCE = 5.0  #: seconds for one handshake


def try_partners(config: Config, now: datetime) -> tuple[list[Mistake], list[Mistake]]:
    """Return the mistakes of partners with a wrong certificate, and those of partners that could not be reached."""
    refused: list[Mistake] = []
    unreachable: list[Mistake] = []
    for partner in config.partners.values():
        if partner.url is None:
            continue
        place = f"partners/{partner.code}.toml: url"
        parts = urlsplit(partner.url)
        if parts.scheme != "https":
            if flaw := _unreached(parts):
                unreachable.append(
                    Mistake(place, phrase("{url}: {flaw}", url=partner.url, flaw=flaw), phrase("a server that answers"))
                )
            continue
        try:
            shown, above = _shake(
                partner.url, config.tls if partner.policy.transport == PartnerTransport.MUTUAL_TLS else None
            )
        except (OSError, SSL.Error) as error:
            unreachable.append(
                Mistake(
                    place,
                    verbatim(f"{partner.url}: {_told(error)}"),
                    phrase("a server that takes the hub's certificate"),
                )
            )
            continue
        wrong = _judge(shown, above, partner, config, now)
        if wrong:
            refused.append(
                Mistake(
                    place,
                    phrase("{url} shows {wrong}", url=partner.url, wrong=wrong),
                    phrase("one of the partner's certificates, valid"),
                )
            )
    return refused, unreachable


def _judge(
    shown: x509.Certificate | None,
    above: Sequence[x509.Certificate],
    partner: Partner,
    config: Config,
    now: datetime,
) -> str | None:
    if shown is None:
        return "no certificate"
    if partner.certificates and hash_certificate(shown) not in map(hash_certificate, partner.certificates):
        return f"another certificate, {shown.subject.rfc4514_string()} {hash_certificate(shown)[:16]}…"
    try:
        if not partner.certificates:
            tls.check_host(shown, urlsplit(partner.url or "").hostname or "")
        config.anchors.check(shown, now, above, purpose=Purpose.SERVER, unknown=partner.policy.revocation)
    except Rejected as rejected:
        return str(rejected)
    return None


#: Default ports of URL schemes other than https.
_PORTS = {"http": 80, "smtp": 587, "smtps": 465, "imap": 143, "imaps": 993}


def _unreached(parts: SplitResult) -> str:
    """Return why the server does not answer or the directory is not writable; an empty text if it works."""
    if parts.scheme == "file":
        return "" if os.access(parts.path, os.W_OK | os.X_OK) else "no directory that this account may write"
    port = parts.port or _PORTS.get(parts.scheme)
    if port is None:
        return "the URL names no port"
    try:
        with socket.create_connection((parts.hostname or "", port), _PATIENCE):
            return ""
    except OSError as error:
        return _told(error)


def _shake(url: str, identity: Identity | None) -> tuple[x509.Certificate | None, Sequence[x509.Certificate]]:
    """Return the certificate of the server at *url*, and the rest of its chain. Raises `OSError` or `SSL.Error`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    until = time.monotonic() + _PATIENCE
    with socket.create_connection((host, parts.port or 443), _PATIENCE) as plain:
        plain.setblocking(False)
        connection = SSL.Connection(tls.make_tls_context(identity), plain)
        if not host.replace(".", "").replace(":", "").isdigit():
            connection.set_tlsext_host_name(host.encode("idna"))
        connection.set_connect_state()
        while True:
            try:
                connection.do_handshake()
                break
            except SSL.WantReadError:
                ready = select.select([plain], [], [], max(0.0, until - time.monotonic()))[0]
            except SSL.WantWriteError:
                ready = select.select([], [plain], [], max(0.0, until - time.monotonic()))[1]
            if not ready:
                raise TimeoutError(f"no handshake within {_PATIENCE:g} s")
        chain = connection.get_peer_cert_chain(as_cryptography=True) or []
        return connection.get_peer_certificate(as_cryptography=True), chain[1 : tls.MOST_LINKS + 1]


def try_broker(config: Config) -> tuple[list[Mistake], list[Mistake]]:
    """Return the mistakes that RabbitMQ finds in `[feed]`, and those because of which it could not be reached.

    The exchange may be missing: the hub declares it.
    """
    import pika
    from pika.exceptions import (
        AMQPConnectionError,
        AMQPError,
        ChannelClosedByBroker,
        ConnectionClosedByBroker,
        ProbableAccessDeniedError,
        ProbableAuthenticationError,
    )

    broker = config.feed
    assert broker is not None
    place = broker.place
    parameters = pika.ConnectionParameters(
        host=place.host,
        port=place.port,
        virtual_host=place.vhost,
        credentials=pika.PlainCredentials(place.user, broker.password_file.read_text("utf-8").strip("\r\n")),
        ssl_options=pika.SSLOptions(_broker_context(config), place.host) if place.tls else None,
        socket_timeout=_PATIENCE,
        stack_timeout=_PATIENCE * 2,
        blocked_connection_timeout=_PATIENCE,
    )
    try:
        connection = pika.BlockingConnection(parameters)
        try:
            connection.channel().exchange_declare(broker.exchange, passive=True)
        except ChannelClosedByBroker as closed:
            if closed.reply_code != 404:
                raise
        connection.close()
    except (ProbableAuthenticationError, ProbableAccessDeniedError, ConnectionClosedByBroker) as error:
        return [_refusal(error)], []
    except (AMQPConnectionError, OSError) as error:
        wrong, expected = verbatim(f"{place.host}:{place.port}: {_cause(error)}"), phrase("a RabbitMQ that answers")
        return [], [Mistake("hub.toml: feed.url", wrong, expected)]
    except AMQPError as error:
        return [_refusal(error)], []
    return [], []


def _refusal(error: BaseException) -> Mistake:
    return Mistake(
        "hub.toml: feed",
        phrase("RabbitMQ refuses: {_cause}", _cause=_cause(error)),
        phrase("a user that may write to the exchange"),
    )


def _broker_context(config: Config) -> ssl.SSLContext:
    assert config.feed is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in config.feed.authorities)
    context.load_verify_locations(cadata=pem.decode("ascii"))
    return context


def _cause(error: BaseException) -> str:
    """Return the type and text of an error of pika."""
    text = getattr(error, "reply_text", "") or str(error) or repr(error)
    return f"{type(error).__name__}: {text}"


def _told(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
