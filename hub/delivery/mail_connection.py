"""Connects to mail servers: with TLS from the start, for STARTTLS, or in plain text. Contains no SMTP or IMAP."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from hub.config import Partner
from hub.partner.policy import PartnerTransport
from hub.runtime import http_client, line_protocol
from hub.runtime.line_protocol import LineConnection
from hub.runtime.peer_check import make_peer_checks
from hub.security import tls
from hub.units.live import Live


@attrs.define(eq=False)
class MailConnector:
    """Opens connections to the mail servers of partners."""

    _reactor: Any  #: for connections
    _live: Live  #: the configuration in force, with its trust anchors
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC

    async def call(self, url: str, usual: Mapping[str, int], partner: Partner) -> LineConnection:
        """Connect to *url*. *usual* holds the default port of each scheme.

        Raises the error that prevented the connection.
        """
        scheme = urlsplit(url).scheme
        host, port = line_protocol.split_host_port(url, usual[scheme])
        creator = self.creator(url, partner) if scheme.endswith("s") else None
        return await line_protocol.open_connection(
            self._reactor, host, port, partner.policy.timeout.total_seconds(), creator
        )

    @staticmethod
    def starts_tls(url: str, partner: Partner) -> bool:
        """Tell whether the connection needs STARTTLS: it did not begin with TLS, and the policy is not `plain`."""
        return not urlsplit(url).scheme.endswith("s") and partner.policy.transport != PartnerTransport.PLAIN

    def creator(self, url: str, partner: Partner) -> IOpenSSLClientConnectionCreator:
        """Return the TLS side of one connection. It checks the server with `make_peer_checks`."""
        host = urlsplit(url).hostname or ""
        check, stapled = make_peer_checks(partner, self._live.config.anchors, self._now, host)
        return http_client.SharedTlsContext(
            tls.make_tls_context(None, check, stapled=stapled), staple=True
        ).creatorForNetloc(host.encode(), 0)
