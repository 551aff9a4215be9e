"""TLS contexts, both ways: TLS 1.2 or later, no session resumption, one rule for every certificate shown.

Knows pyOpenSSL; not sockets, not partners.  Resumption is off because a resumed session would skip the revocation check.
"""

from collections.abc import Callable, Iterable

from cryptography import x509
from OpenSSL import SSL

from hub.certificates import Identity
from hub.errors import Rejected

#: Judges the peer's certificate; raises `Rejected` to refuse it.
Check = Callable[[x509.Certificate], None]

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"


def context(
    identity: Identity, check: Check | None = None, authorities: Iterable[x509.Certificate] = ()
) -> SSL.Context:
    """Return a context that shows *identity*.

    With *check*, the peer must show a certificate that passes it, or the handshake fails; *authorities* are named to clients
    that choose among their certificates.
    """
    made = SSL.Context(SSL.TLS_METHOD)
    made.set_min_proto_version(SSL.TLS1_2_VERSION)
    made.set_cipher_list(_CIPHERS)
    made.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    made.use_certificate(identity.certificate)
    for link in identity.chain:
        made.add_extra_chain_cert(link)
    made.use_privatekey(identity.key)
    for authority in authorities:
        made.add_client_ca(authority)
    if check is not None:
        made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _judging(check))
    return made


def _judging(check: Check) -> Callable[..., bool]:
    """Ask *check* about the peer's own certificate; it builds the chain itself, from configured anchors and CRLs only."""

    def judge(_connection: SSL.Connection, shown: object, _error: int, depth: int, _so_far: int) -> bool:
        if depth:
            return True
        try:
            check(shown.to_cryptography())  # type: ignore[attr-defined]  # an X509, whose name is deprecated
        except Rejected:
            return False
        return True

    return judge
