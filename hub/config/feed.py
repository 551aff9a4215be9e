"""Parses the URL of the broker that events are published to, in its two AMQP forms.

Opens nothing, and never holds a password.
"""

from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import attrs

from hub.language.phrases import phrase

EXPECTED = phrase('"amqps://USER@HOST:PORT/VHOST"; on this machine "amqp://USER@127.0.0.1/VHOST" will do')
EXPECTED_APART = phrase("a URL without a password, and password-file")
_PORTS = {"amqp": 5672, "amqps": 5671}


class BrokerUrlUnfit(ValueError):
    """The text is not an accepted URL. The arguments say what is wrong and what is expected.

    They never contain the password.
    """


@attrs.frozen
class BrokerPlace:
    """A virtual host of RabbitMQ, with the user that connects to it."""

    host: str
    port: int
    tls: bool
    user: str
    vhost: str


def parse_broker_url(text: str) -> BrokerPlace:
    """Return the parts of the URL. Raises BrokerUrlUnfit.

    Without TLS a password would be sent in clear text, so a host other than loopback must use amqps.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # the port is not a number
        raise BrokerUrlUnfit(phrase("the URL does not fit"), EXPECTED) from None
    if parts.password is not None:
        raise BrokerUrlUnfit(phrase("it contains a password"), EXPECTED_APART)
    host, user, tls = parts.hostname or "", unquote(parts.username or ""), parts.scheme == "amqps"
    sound = parts.scheme in _PORTS and host and user and not parts.query and not parts.fragment and text.isprintable()
    if not sound or port == 0 or parts.path.count("/") > 1 or not (tls or _is_loopback(host)):
        raise BrokerUrlUnfit(phrase("{text} does not fit", text=repr(text)), EXPECTED)
    return BrokerPlace(host, port or _PORTS[parts.scheme], tls, user, unquote(parts.path[1:]) or "/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
