"""Checks the server certificate of a partner that the hub calls.

Knows certificates and the partner's policy, no protocol above TLS.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog
from cryptography import x509

from hub.config import Partner
from hub.domain.errors import Rejected
from hub.domain.model import Problem, RevocationRule
from hub.security import tls
from hub.security.anchors import Anchors, Purpose
from hub.security.certificates import hash_certificate
from hub.security.crl_ocsp import RevocationUnusable

log = structlog.get_logger()


def read_peer_certificates(transport: Any) -> tuple[x509.Certificate, ...]:
    """Return the certificate that the peer of *transport* showed, and at most `tls.MOST_LINKS` that it sent above it.

    Return nothing without TLS, before the handshake, after the end of the connection, and for a certificate that cannot
    be read.
    """
    if not hasattr(transport, "getPeerCertificate") or transport.getHandle() is None:
        return ()
    peer = transport.getPeerCertificate()
    if peer is None:
        return ()
    try:
        own = peer.to_cryptography()
        above = transport.getHandle().get_peer_cert_chain(as_cryptography=True) or ()
    except (ValueError, x509.InvalidVersion):
        return ()
    return (own, *[each for each in above if each != own][: tls.MOST_LINKS])


def make_peer_checks(
    partner: Partner, anchors: Anchors, now: Callable[[], datetime], host: str
) -> tuple[tls.Check, tls.Stapled]:
    """Return two checks of *partner*'s server: of its certificate, and of the OCSP response that it stapled.

    A partner without configured certificates (`transport=tls`) must show a certificate for its name, *host*.
    """
    known = {hash_certificate(certificate) for certificate in partner.certificates}

    def check(shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
        if not known:
            tls.check_host(shown, host)
        elif hash_certificate(shown) not in known:
            raise Rejected(Problem("certificate-unknown", hash_certificate(shown)))
        # an unknown status is allowed here, because `stapled` decides
        anchors.check(shown, now(), above, purpose=Purpose.SERVER, unknown=RevocationRule.ALLOW)

    def stapled(shown: x509.Certificate, octets: bytes) -> None:
        if octets:
            try:
                anchors.staple(shown, octets, now())
            except RevocationUnusable as unusable:
                log.warning("staple-unusable", partner=partner.code, reason=str(unusable))
        unknown = anchors.check(shown, now(), purpose=Purpose.SERVER, unknown=partner.policy.revocation)
        if unknown:
            log.warning("revocation-unknown-allowed", partner=partner.code, reason=str(unknown))

    return check, stapled
