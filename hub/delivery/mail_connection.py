"""Connects to mail servers: with TLS from the start, for STARTTLS, or in plain text. Contains no SMTP or IMAP."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import attrs
from cryptography import x509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from hub.config import Partner
from hub.domain.errors import Rejected
from hub.partner.policy import PartnerTransport
from hub.runtime import http_client, line_protocol
from hub.runtime.line_protocol import LineConnection
from hub.runtime.peer_check import make_peer_checks
from hub.runtime.trust_sweep import WatchedPeer
from hub.security import tls
from hub.security.certificates import hash_certificate
from hub.units.live import Live


@attrs.define(eq=False)
class MailConnector:
    """Opens connections to the mail servers of partners."""

    _reactor: Any  #: for connections
    _live: Live  #: the configuration in force, with its trust anchors
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    #: connections that may be open, with the partner and the host that they lead to
    _lines: WeakKeyDictionary[LineConnection, tuple[str, str]] = attrs.field(factory=WeakKeyDictionary, init=False)

    async def call(self, url: str, usual: Mapping[str, int], partner: Partner) -> LineConnection:
        """Connect to *url*. *usual* holds the default port of each scheme.

        Raises the error that prevented the connection.
        """
        scheme = urlsplit(url).scheme
        host, port = line_protocol.split_host_port(url, usual[scheme])
        creator = self.creator(url, partner) if scheme.endswith("s") else None
        line = await line_protocol.open_connection(
            self._reactor, host, port, partner.policy.timeout.total_seconds(), creator
        )
        self._lines[line] = partner.code, host
        return line

    def list_peers(self) -> Iterator[WatchedPeer]:
        """Yield every open connection whose server has shown a certificate, with its judgement."""
        for line, (code, host) in list(self._lines.items()):
            peer = line.read_peer()
            if peer:
                yield WatchedPeer(
                    code, hash_certificate(peer[0]), partial(self._find_flaw, code, host, peer), line.close
                )

    def _find_flaw(self, code: str, host: str, peer: Sequence[x509.Certificate]) -> str:
        config = self._live.config
        partner = config.partners.get(code)
        if partner is None:
            return "certificate-unknown"
        check, _ = make_peer_checks(partner, config.anchors, self._now, host)
        try:
            check(peer[0], peer[1:])
        except Rejected as rejected:
            return str(rejected.problems[0].code)
        return ""

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
