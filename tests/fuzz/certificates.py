"""Certificates and CRLs in DER and PEM: read or refused with ValueError, and trusted only if the CA made them."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import Encoding

from hub.security import certificates, wss_tokens
from hub.security.algorithms import Unverified, require_strong_key
from hub.security.anchors import Anchors, Untrusted
from tests.fuzz.identities import ANCHORS, FORGED, PARTNER, STRANGER, authority
from tests.fuzz.told import gist, tell
from tests.pki import NOW

LONGEST = 4096
ISSUED = {each.certificate.tbs_certificate_bytes for each in (PARTNER, STRANGER, authority().identity)}


def seeds() -> Iterator[bytes]:
    crl = authority().crl(STRANGER)
    for item in (PARTNER.certificate, authority().certificate, FORGED, crl):
        yield item.public_bytes(Encoding.DER)
        yield item.public_bytes(Encoding.PEM)
    yield PARTNER.certificate.public_bytes(Encoding.DER).replace(
        b"\x55\x1d\x0f", b"\x55\x1d\x0e"
    )  # two of one extension


def judge(content: bytes) -> None:
    judge_certificate(content)
    judge_crls(content)


def judge_certificate(content: bytes) -> None:
    try:
        certificate = certificates.load_certificate(content)
    except ValueError as error:
        tell("no certificate", gist(str(error)))
        return
    assert len(certificates.hash_certificate(certificate)) == 64
    if b"-----BEGIN" not in content:
        assert certificates.load_der(content) == certificate
        assert wss_tokens.filter_by_octets(content, [certificate]) == [certificate]
    try:
        require_strong_key(certificate)
        wss_tokens._read_key_identifier(certificate)
        strong = True
    except (Unverified, ValueError):
        strong = False
    try:
        ANCHORS.check(certificate, NOW)
        verdict = "trusted"
    except Untrusted as untrusted:
        verdict = untrusted.problems[0].code
    assert verdict != "trusted" or certificate.tbs_certificate_bytes in ISSUED, "the CA did not make it"
    tell("certificate", strong, verdict)


def judge_crls(content: bytes) -> None:
    try:
        crls = certificates.load_crls(content)
    except ValueError as error:
        tell("no CRL", gist(str(error)))
        return
    try:
        Anchors([authority().certificate], crls).check(STRANGER.certificate, NOW)
        verdict = "trusted"
    except Untrusted as untrusted:
        verdict = untrusted.problems[0].code
    tell("crls", len(crls), verdict)
