"""TLS contexts, both ways: TLS 1.2 or later, no session resumption, one rule for every certificate shown.

Knows pyOpenSSL; not sockets, not partners.  Resumption is off because a resumed session would skip the revocation check.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from weakref import WeakKeyDictionary

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_PEM, load_privatekey
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.security.algorithms import is_pss
from hub.security.certificates import Identity

#: Judges the peer's certificate by the chain it showed above it, which is worth nothing by itself; raises `Rejected` to refuse it.
Check = Callable[[x509.Certificate, Sequence[x509.Certificate]], None]
#: Judges the server's certificate with the OCSP response it stapled, empty without one; raises `Rejected` to refuse it.
Stapled = Callable[[x509.Certificate, bytes], None]

#: So many CA certificates that a peer shows are looked at, those next to its own.
MOST_LINKS = 5

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"


def make_tls_context(
    identity: Identity | None,
    check: Check | None = None,
    authorities: Iterable[x509.Certificate] = (),
    *,
    stapled: Stapled | None = None,
) -> SSL.Context:
    """Return a context that shows *identity*, if there is one.

    With *check*, the peer must show a certificate that passes it, or the handshake fails; *authorities* are named to clients
    that choose among their certificates.  With *stapled*, a server must pass it too, on connections that ask for an OCSP
    response.  (The other way TLS gives nothing: no library that partners use staples a client's certificate.)
    """
    made = SSL.Context(SSL.TLS_METHOD)
    made.set_min_proto_version(SSL.TLS1_2_VERSION)
    made.set_cipher_list(_CIPHERS)
    made.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if identity is not None:
        made.use_certificate(identity.certificate)
        for link in identity.chain:
            made.add_extra_chain_cert(link)
        _use_key(made, identity)
    for authority in authorities:
        made.add_client_ca(authority)
    if check is not None:
        made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _judging(check))
    if stapled is not None:
        made.set_ocsp_client_callback(_judging_staple(stapled), None)
    return made


def check_host(shown: x509.Certificate, host: str) -> None:
    """Raise Rejected if *shown* is not the certificate of *host*."""
    try:
        if ":" in host or host.replace(".", "").isdigit():
            verify_certificate_ip_address(shown, host)
        else:
            verify_certificate_hostname(shown, host)
    except (VerificationError, CertificateError) as error:
        raise Rejected(Problem("certificate-untrusted", f"not the certificate of {host}: {error!r}")) from None


def _use_key(made: SSL.Context, identity: Identity) -> None:
    if not (identity.pem and is_pss(identity.certificate)):
        made.use_privatekey(identity.key)
        return
    with (
        warnings.catch_warnings()
    ):  # a key of `cryptography` has forgotten that it is for PSS alone: OpenSSL reads it anew
        warnings.simplefilter("ignore", DeprecationWarning)
        made.use_privatekey(load_privatekey(FILETYPE_PEM, identity.pem))


def _judging(check: Check) -> Callable[..., bool]:
    """Ask *check* about the peer's own certificate; it builds the chain itself, to configured anchors and by configured CRLs only.

    OpenSSL comes here with each certificate of the chain that it makes of what was shown, without a gap, from the highest down to
    the peer's own.
    """
    above: WeakKeyDictionary[SSL.Connection, dict[int, x509.Certificate]] = WeakKeyDictionary()

    def judge(connection: SSL.Connection, shown: object, _error: int, depth: int, _so_far: int) -> bool:
        links = above.setdefault(connection, {})
        try:
            certificate: x509.Certificate = shown.to_cryptography()  # type: ignore[attr-defined]  # an X509, deprecated
            if 0 < depth <= MOST_LINKS:
                links[depth] = certificate
            elif not depth:
                check(certificate, [links[level] for level in sorted(links)])
        except (ValueError, x509.InvalidVersion):
            return depth > 0  # a link that cannot be read is as good as not shown
        except Rejected:
            return False
        return True

    return judge


def _judging_staple(stapled: Stapled) -> Callable[..., bool]:
    def judge(connection: SSL.Connection, octets: bytes, _data: None) -> bool:
        shown = connection.get_peer_certificate(as_cryptography=True)
        try:
            if shown is None:
                return False
            stapled(shown, octets)
        except Rejected:
            return False
        return True

    return judge
