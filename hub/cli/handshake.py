"""Tries the TLS handshake with every partner that is pushed to.  Knows sockets; sends nothing but the handshake."""

import select
import socket
import time
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from cryptography import x509
from OpenSSL import SSL

from hub import tls
from hub.certificates import SERVER, Identity, fingerprint
from hub.config import Config, Partner
from hub.errors import Mistake, Rejected

_PATIENCE = 5.0  #: seconds for one handshake


def try_partners(config: Config, now: datetime) -> tuple[list[Mistake], list[Mistake]]:
    """Return the partners that showed a wrong certificate, and those that could not be reached."""
    refused: list[Mistake] = []
    unreachable: list[Mistake] = []
    for partner in config.partners.values():
        if partner.url is None:
            continue
        place = f"partners/{partner.code}.toml: url"
        try:
            shown, above = _shake(partner.url, config.tls)
        except (OSError, SSL.Error) as error:
            unreachable.append(
                Mistake(place, f"{partner.url}: {_told(error)}", "a server that takes the hub's certificate")
            )
            continue
        wrong = _judge(shown, above, partner, config, now)
        if wrong:
            refused.append(Mistake(place, f"{partner.url} shows {wrong}", "one of the partner's certificates, valid"))
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
    if fingerprint(shown) not in map(fingerprint, partner.certificates):
        return f"another certificate, {shown.subject.rfc4514_string()} {fingerprint(shown)[:16]}…"
    try:
        config.anchors.check(shown, now, above, purpose=SERVER, unknown=partner.policy.revocation)
    except Rejected as rejected:
        return str(rejected)
    return None


def _shake(url: str, identity: Identity) -> tuple[x509.Certificate | None, Sequence[x509.Certificate]]:
    """Return the certificate that the server at *url* shows, and those it shows above it.  Raises OSError, SSL.Error."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    until = time.monotonic() + _PATIENCE
    with socket.create_connection((host, parts.port or 443), _PATIENCE) as plain:
        plain.setblocking(False)
        connection = SSL.Connection(tls.context(identity), plain)
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


def _told(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
