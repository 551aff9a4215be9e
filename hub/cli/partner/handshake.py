"""Tests the connection to every partner that the hub calls, up to the TLS handshake, the sign-in at RabbitMQ, and the
documents of OpenID providers.

Sends nothing else; `hub.cli.partner.tried_secrets` does. `lienthong partners test` explains the connection with one partner.
"""

import http.client
import ssl
from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import Config
from hub.domain.errors import Mistake
from hub.language.phrases import phrase, verbatim
from hub.monitoring.connection_steps import ConnectionStepName, StepVerdict
from hub.monitoring.outbound_check import check_outbound
from hub.operations.accounts.openid_metadata import LARGEST, ProviderDown, name_discovery, read_metadata
from hub.runtime.http_client import split_http_url
from hub.security.id_token import TokenRefused, read_signing_keys

_PATIENCE = 5.0  #: seconds for one handshake


def try_partners(config: Config, now: datetime) -> tuple[list[Mistake], list[Mistake], set[str]]:
    """Return the mistakes of partners with a wrong certificate, and those of partners that could not be reached.

    Last come the codes of all these partners.
    """
    refused: list[Mistake] = []
    unreachable: list[Mistake] = []
    broken: set[str] = set()
    for partner in config.partners.values():
        if partner.url is None:
            continue
        for step in check_outbound(partner, config, now, asks=False):
            if step.verdict in (StepVerdict.FAILED, StepVerdict.SKIPPED):
                wrong = phrase("{url}: {flaw}", url=partner.url, flaw=step.found)
                mistake = Mistake(
                    f"partners/{partner.code}.toml: url", wrong, step.do or phrase("a server that answers")
                )
                (refused if step.name is ConnectionStepName.SERVER_CERTIFICATE else unreachable).append(mistake)
                broken.add(partner.code)
    return refused, unreachable, broken


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
        return [_make_rabbitmq_refusal(error)], []
    except (AMQPConnectionError, OSError) as error:
        wrong, expected = verbatim(f"{place.host}:{place.port}: {_cause(error)}"), phrase("a RabbitMQ that answers")
        return [], [Mistake("hub.toml: feed.url", wrong, expected)]
    except AMQPError as error:
        return [_make_rabbitmq_refusal(error)], []
    return [], []


def _make_rabbitmq_refusal(error: BaseException) -> Mistake:
    return Mistake(
        "hub.toml: feed",
        phrase("RabbitMQ refuses: {_cause}", _cause=_cause(error)),
        phrase("a user that may write to the exchange"),
    )


def _broker_context(config: Config) -> ssl.SSLContext:
    assert config.feed is not None
    return _make_trusting_context(config.feed.authorities)


def _make_trusting_context(authorities: Iterable[x509.Certificate]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in authorities)
    context.load_verify_locations(cadata=pem.decode("ascii"))
    return context


def try_providers(config: Config) -> tuple[list[Mistake], list[Mistake]]:
    """Return the OpenID providers whose documents do not serve, and those that could not be reached."""
    refused: list[Mistake] = []
    unreachable: list[Mistake] = []
    for provider in config.console.providers.values():
        place = f"hub.toml: console.providers.{provider.name}.issuer"
        tls = _make_trusting_context(provider.authorities or config.authorities)
        try:
            keys = read_metadata(_read_document(name_discovery(provider.issuer), tls), provider).keys
            read_signing_keys(_read_document(keys, tls))
        except (ProviderDown, TokenRefused) as flaw:
            refused.append(Mistake(place, verbatim(flaw), phrase("a provider as OpenID Connect Discovery says")))
        except ssl.SSLCertVerificationError as error:
            expected = phrase("a certificate of its host that leads to `ca`, or without `ca` to an anchor")
            refused.append(Mistake(place, verbatim(error), expected))
        except (OSError, http.client.HTTPException) as error:
            unreachable.append(Mistake(place, verbatim(f"{error!r}"), phrase("a provider that answers")))
    return refused, unreachable


def _read_document(url: str, tls: ssl.SSLContext) -> bytes:
    """Return the document at *url*. Raises `ProviderDown` for another status than 200, and any error of the connection."""
    server, target, _ = split_http_url(url)
    line = http.client.HTTPSConnection(server.host, server.port, context=tls, timeout=_PATIENCE)
    try:
        line.request("GET", target, headers={"Accept": "application/json"})
        answer = line.getresponse()
        content = answer.read(LARGEST + 1)
    finally:
        line.close()
    if answer.status != 200 or len(content) > LARGEST:
        raise ProviderDown(f"{url}: HTTP {answer.status}, {len(content)} bytes")
    return content


def _cause(error: BaseException) -> str:
    """Return the type and text of an error of pika."""
    text = getattr(error, "reply_text", "") or str(error) or repr(error)
    return f"{type(error).__name__}: {text}"
