"""A connection to RabbitMQ with publisher confirms. Knows AMQP 0-9-1 through pika, and TLS.

Does not know what is published.

A missing exchange is declared as a durable topic exchange. The broker's certificate must chain to the CAs of `[feed]`
and name the broker's host. If the broker asks for a client certificate, it receives the hub's.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import attrs
from cryptography import x509
from pika import BasicProperties, ConnectionParameters, PlainCredentials
from pika.adapters.twisted_connection import TwistedProtocolConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker, UnroutableError
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from hub.config import Broker
from hub.domain.model import RevocationRule
from hub.feed.cloudevents import CONTENT_TYPE, EventPublication
from hub.feed.publisher import FeedDisconnected, PublishResult
from hub.runtime import http_client
from hub.security import tls
from hub.security.anchors import Anchors, Purpose
from hub.security.certificates import Identity

#: Time limit for opening the connection, in seconds.
GREETING = 20
#: Time limit for the broker's confirmations, in seconds.
CONFIRMING = 30
#: Time limit for an orderly close, in seconds.
PARTING = 2


@attrs.define(eq=False)
class RabbitLine:
    """One connection with one channel."""

    _broker: Broker  #: address and settings from `[feed]`
    _reactor: Any  #: for timeouts
    _protocol: Any  #: pika's connection
    _channel: Any  #: pika's channel, in confirm mode
    _returned: set[str] = attrs.field(factory=set, init=False)  #: ids of messages that no queue took

    def __attrs_post_init__(self) -> None:
        self._channel.add_on_return_callback(self._come_back)

    @property
    def is_open(self) -> bool:
        """Tell whether connection and channel are open, as far as is known."""
        return bool(self._protocol.is_open and self._channel.is_open)

    def _come_back(self, returned: Any) -> None:
        # pika keeps only the latest return and reports confirmations together; only the message id tells which message
        # was returned.
        self._returned.add(returned.properties.message_id)

    async def publish(self, publications: Sequence[EventPublication]) -> PublishResult:
        """Publish all messages in order and wait for every confirmation. After a problem the line must be closed."""
        self._returned.clear()
        found: list[str | None] = [None] * len(publications)
        sent = []
        for place, each in enumerate(publications):
            confirmed = maybeDeferred(self._send, each)
            sent.append(
                confirmed.addCallbacks(
                    _note_publish_result, _note_publish_result, (found, place), {}, (found, place), {}
                )
            )
        limit = self._reactor.callLater(CONFIRMING, _cancel_sent, sent)
        await DeferredList(sent)
        if limit.active():
            limit.cancel()
        for place, each in enumerate(publications):
            if each.id in self._returned:
                return PublishResult(place, f"no queue takes {each.key} from the exchange {self._broker.exchange}")
            if found[place]:
                return PublishResult(place, found[place] or "")
        return PublishResult(len(publications))

    def _send(self, publication: EventPublication) -> Any:
        properties = BasicProperties(content_type=CONTENT_TYPE, message_id=publication.id, delivery_mode=2)
        exchange = self._broker.exchange
        return self._channel.basic_publish(
            exchange, publication.key, publication.content, properties, mandatory=self._broker.waits
        )

    async def close(self) -> None:
        """Close the connection in an orderly way if it is still open."""
        ended = self._protocol.closed
        if ended is not None and self._protocol.is_open:
            waiting: Deferred[None] = Deferred()
            _ = ended.addBoth(lambda _: None if waiting.called else waiting.callback(None))
            self._protocol.close()
            _ = waiting.addTimeout(PARTING, self._reactor).addErrback(lambda _: None)
            await waiting
        _abort_connection(self._protocol)


async def connect_to_broker(
    broker: Broker, identity: Identity, reactor: Any, now: Callable[[], datetime]
) -> RabbitLine:
    """Return a connection to *broker*, with *identity* as client certificate. Raises FeedDisconnected."""
    logging.getLogger("pika").addHandler(logging.NullHandler())  # the caller logs what matters
    try:
        password = broker.password_file.read_text("utf-8").strip("\r\n")
    except (OSError, ValueError) as error:
        raise FeedDisconnected(f"{broker.password_file}: {error}") from error
    protocol = _protocol_of(broker, password, reactor)
    opening = Deferred.fromCoroutine(
        _open_channel(broker, protocol, _make_broker_endpoint(broker, identity, reactor, now))
    )
    try:
        channel = await opening.addTimeout(GREETING, reactor)
    except CancelledError:
        _abort_connection(protocol)
        raise
    except Exception as error:
        _abort_connection(protocol)
        raise FeedDisconnected(protocol.refusal or _say_error(error)) from error
    return RabbitLine(broker, reactor, protocol, channel)


def _protocol_of(broker: Broker, password: str, reactor: Any) -> Any:
    class Protocol(TwistedProtocolConnection):  # type: ignore[misc] # pika publishes no types
        refusal = ""

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            cause = self._impl._error  # noqa: SLF001 - pika replaces it by the end of the connection that it caused
            self.refusal = _say_error(cause) if isinstance(cause, AMQPError) else ""
            super().connectionLost(reason)

    parameters = ConnectionParameters(
        host=broker.place.host,
        port=broker.place.port,
        virtual_host=broker.place.vhost,
        credentials=PlainCredentials(broker.place.user, password),
        heartbeat=30,
        client_properties={"connection_name": "lienthong feed"},
    )
    return Protocol(parameters, custom_reactor=reactor)


def _make_broker_endpoint(broker: Broker, identity: Identity, reactor: Any, now: Callable[[], datetime]) -> Any:
    place = broker.place
    plain = HostnameEndpoint(reactor, place.host, place.port, timeout=GREETING)
    if not place.tls:
        return plain
    anchors = Anchors(broker.authorities, ())

    def check(shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
        anchors.check(shown, now(), above, purpose=Purpose.SERVER, unknown=RevocationRule.ALLOW)
        tls.check_host(shown, place.host)

    context = http_client.SharedTlsContext(tls.make_tls_context(identity, check))
    return wrapClientTLS(context.creatorForNetloc(place.host.encode("idna"), place.port), plain)


async def _open_channel(broker: Broker, protocol: Any, endpoint: Any) -> Any:
    """Return a channel with publisher confirms, after making sure that the exchange exists."""
    ready = protocol.ready
    await connectProtocol(endpoint, protocol)
    await ready
    channel = await protocol.channel()
    try:
        await channel.exchange_declare(broker.exchange, passive=True)
    except ChannelClosedByBroker as closed:
        if closed.reply_code != 404:
            raise
        channel = await protocol.channel()
        await channel.exchange_declare(broker.exchange, exchange_type="topic", durable=True)
    await channel.confirm_delivery()
    return channel


def _note_publish_result(result: object, found: list[str | None], place: int) -> None:
    refused = isinstance(result, Failure) and not result.check(UnroutableError)
    found[place] = _say_error(result.value) if refused and isinstance(result, Failure) else ""


def _cancel_sent(sent: Sequence[Deferred[None]]) -> None:
    for each in sent:
        each.cancel()


def _abort_connection(protocol: Any) -> None:
    if protocol.transport is not None:
        protocol.transport.abortConnection()


def _say_error(error: Any) -> str:
    """Describe an error in one line."""
    if isinstance(error, CancelledError):
        return f"not confirmed within {CONFIRMING} s"
    if isinstance(error, ConnectError):
        return http_client.describe_connection_error(error)
    text = getattr(error, "reply_text", "") or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
