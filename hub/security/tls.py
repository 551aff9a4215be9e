"""Makes TLS contexts for clients and servers.

They use TLS 1.2 or later, no session resumption, and one check for every peer certificate. Knows pyOpenSSL. Does not
know sockets or partners. Resumption is disabled because a resumed session would skip the revocation check.
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
from hub.language.phrases import phrase
from hub.security.algorithms import is_pss
from hub.security.certificates import Identity

#: Checks the peer's certificate with the chain that the peer sent, which is not trusted by itself. Raises `Rejected` to
#: refuse it.
Check = Callable[[x509.Certificate, Sequence[x509.Certificate]], None]
#: Checks the server's certificate with the OCSP response that it stapled (empty if none). Raises `Rejected` to refuse
#: it.
Stapled = Callable[[x509.Certificate, bytes], None]

#: Maximum number of CA certificates of a peer that are used, those nearest to its own.
MOST_LINKS = 5

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"


def make_tls_context(
    identity: Identity | None,
    check: Check | None = None,
    authorities: Iterable[x509.Certificate] = (),
    *,
    stapled: Stapled | None = None,
    asks: bool = False,
) -> SSL.Context:
    """Return a context that presents *identity*, if given.

    With *asks*, a client may present a certificate, any one; who uses it must check it.

    With *check*, the peer must present a certificate that passes it, or the handshake fails. The names of *authorities*
    are sent to clients, which choose among their certificates by them. With *stapled*, a server must pass that too, on
    connections that request an OCSP response. (There is no such check for clients: no library that partners use staples
    a client's certificate.)
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
        made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _make_verify_callback(check))
    if asks:
        made.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    if stapled is not None:
        made.set_ocsp_client_callback(_judging_staple(stapled), None)
    return made


def check_host(shown: x509.Certificate, host: str) -> None:
    """Raise Rejected if *shown* is not a certificate for *host*."""
    try:
        if ":" in host or host.replace(".", "").isdigit():
            verify_certificate_ip_address(shown, host)
        else:
            verify_certificate_hostname(shown, host)
    except (VerificationError, CertificateError) as error:
        raise Rejected(
            Problem(
                "certificate-untrusted", phrase("not the certificate of {host}: {error}", host=host, error=repr(error))
            )
        ) from None


def _use_key(made: SSL.Context, identity: Identity) -> None:
    if not (identity.pem and is_pss(identity.certificate)):
        made.use_privatekey(identity.key)
        return
    with (
        warnings.catch_warnings()
    ):  # a key of `cryptography` does not keep the restriction to PSS, so OpenSSL reads it again
        warnings.simplefilter("ignore", DeprecationWarning)
        made.use_privatekey(load_privatekey(FILETYPE_PEM, identity.pem))


def _make_verify_callback(check: Check) -> Callable[..., bool]:
    """Return the OpenSSL callback that applies *check* to the peer's own certificate.

    *check* builds the chain itself, only to configured anchors and with configured CRLs. OpenSSL calls the callback for
    each certificate of the chain that it built from the presented ones, without gaps, from the top down to the peer's
    own.
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
            return depth > 0  # a certificate that cannot be read counts as not presented
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
