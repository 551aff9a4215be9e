"""What a CA says of revocation, CRLs and OCSP answers: read only if the CA's key signed it, and then as another reader reads it."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.config import revocation_cache
from hub.config.revocation_cache import RevocationAnswer, RevocationQuestion
from hub.domain.model import RevocationRule
from hub.security import crl_ocsp
from hub.security.anchors import Anchors, Untrusted
from hub.security.certificates import Identity
from hub.security.crl_ocsp import OcspAnswer, RevocationFinding, RevocationList, RevocationStatus, RevocationUnusable
from tests import pki
from tests.fuzz import der
from tests.fuzz.der import Node
from tests.fuzz.identities import PARTNER, STRANGER, authority, key
from tests.fuzz.told import gist, tell
from tests.pki import DAY, NOW

LONGEST = 4096
CA = authority().certificate
URL = "http://crl.example/ca.crl"
HASHES: dict[str, hashes.HashAlgorithm] = {
    "2a864886f70d01010b": hashes.SHA256(),
    "2a864886f70d01010c": hashes.SHA384(),
    "2a864886f70d01010d": hashes.SHA512(),
}
DIGESTS = {
    "2b0e03021a": hashlib.sha1,
    "608648016503040201": hashlib.sha256,
    "608648016503040202": hashlib.sha384,
    "608648016503040203": hashlib.sha512,
    "608648016503040204": hashlib.sha224,
}
OCSP_SIGNING = bytes.fromhex("2b06010505070309")
STATUS = {0x80: RevocationStatus.GOOD, 0xA1: RevocationStatus.REVOKED, 0x82: RevocationStatus.UNKNOWN}
INTEGER, VERSION, TIMES = 0x02, 0xA0, (0x17, 0x18)

change = der.changer([key("authority"), key("stranger")])


def _responder() -> Identity:
    """Return who may answer for the CA."""
    builder = pki._builder(pki._name("responder"), CA.subject, key("stranger"), NOW - DAY, NOW + DAY).serial_number(5)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
    return Identity(key("stranger"), builder.sign(key("authority"), hashes.SHA256()))


def _answer(
    of: Identity,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    *,
    by: Identity | None = None,
    named: str = "authority",
) -> bytes:
    """Return an OCSP response that is the same every day: its library writes the time of the day into it.

    The key of that name signs it.
    """
    nodes = der.read(authority().answer(of, status, responder=by))
    basic = nodes[0].parts[1].parts[0].parts[1].parts[0]
    (made,) = [part for part in basic.parts[0].parts if part.tag == TIMES[1]]
    made.content = b"20261124080000Z"
    der.resign([Node(basic.tag, basic.parts[:3])], key(named))
    return der.write(nodes)


def seeds() -> Iterator[bytes]:
    point = x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(URL)], relative_name=None, only_contains_user_certs=True,
        only_contains_ca_certs=False, only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False,
    )  # fmt: skip
    for crl in (
        authority().crl(),
        authority().crl(STRANGER, PARTNER),
        authority().crl(PARTNER, ends=NOW - DAY / 2),
        authority().crl(extension=point),
        authority().crl(extension=x509.DeltaCRLIndicator(1)),
        authority().crl(signer=key("stranger")),
    ):
        yield crl.public_bytes(Encoding.DER)
    yield authority().crl(STRANGER).public_bytes(Encoding.PEM)
    yield _answer(PARTNER)
    yield _answer(PARTNER, ocsp.OCSPCertStatus.REVOKED)
    yield _answer(PARTNER, ocsp.OCSPCertStatus.UNKNOWN)
    yield _answer(STRANGER, by=_responder(), named="stranger")
    yield _answer(PARTNER, by=PARTNER, named="partner")  # who may not answer
    yield ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER)


def judge(content: bytes) -> None:
    judge_list(content)
    for asked in (PARTNER.certificate, STRANGER.certificate):
        judge_answer(content, asked)


def judge_list(content: bytes) -> None:
    question = RevocationQuestion(CA, (URL,))
    try:
        found = question.read(content, NOW)
    except RevocationUnusable as unusable:
        tell("no list", gist(str(unusable)))
        return
    assert isinstance(found, RevocationList)
    octets = found.crl.public_bytes(Encoding.DER)
    assert b"-----BEGIN" in content or octets == content
    tbs, algorithm, value = der.read(octets)[0].parts
    assert is_by(CA.public_key(), tbs, algorithm, value), "the CA did not sign it"
    rest = [part for part in tbs.parts if part.tag != VERSION]
    rest = rest[rest[0].tag == INTEGER :]
    begins, *more = rest[2:]
    ends = time_of(more.pop(0)) if more and more[0].tag in TIMES else None
    listed = more[0].parts if more else []
    serials = frozenset(int.from_bytes(each.parts[0].octets, signed=True) for each in listed)
    assert (found.begins, found.ends, found.serials) == (time_of(begins), ends, serials)
    current = ends is not None and time_of(begins) <= NOW + crl_ocsp.SKEW and ends > NOW
    for asked in (PARTNER.certificate, STRANGER.certificate):
        finding = crl_ocsp.judge_revocation(asked, CA, [found], [], NOW, authority=False)
        assert (finding.status is RevocationStatus.REVOKED) == (asked.serial_number in serials)
        assert finding.status is not RevocationStatus.GOOD or current
        assert_counts(asked, RevocationAnswer(question, NOW, found), finding)


def judge_answer(content: bytes, asked: x509.Certificate) -> None:
    question = RevocationQuestion(CA, (URL,), asked)
    try:
        found = question.read(content, NOW)
    except RevocationUnusable as unusable:
        tell("no answer", gist(str(unusable)))
        return
    assert isinstance(found, OcspAnswer)
    basic = der.read(content)[0].parts[1].parts[0].parts[1].parts[0].parts
    shown = [certificate for part in basic[3:] for row in part.parts for certificate in row.parts]
    assert any(is_by(signer, *basic[:3]) for signer in (CA.public_key(), *responders(shown))), (
        "no responder of the CA signed it"
    )
    rows = next(part for part in basic[0].parts if part.tag == der.SEQUENCE)
    said = next(row.parts for row in rows.parts if is_about(row.parts[0].parts, asked))
    assert found.status is STATUS[said[1].tag]
    assert found.begins == time_of(said[2])
    assert found.ends - found.begins <= timedelta(days=7)
    finding = crl_ocsp.judge_revocation(asked, CA, [], [found], NOW, authority=False)
    assert (finding.status is RevocationStatus.REVOKED) == (found.status is RevocationStatus.REVOKED)
    assert finding.status is not RevocationStatus.GOOD or found.begins - crl_ocsp.SKEW <= NOW < found.ends
    assert_counts(asked, RevocationAnswer(question, NOW, found), finding)


def assert_counts(asked: x509.Certificate, said: RevocationAnswer, finding: RevocationFinding) -> None:
    """Fail unless *asked* gets in where revocation must be known, just if it is known to be good."""
    anchors = Anchors([CA])
    revocation_cache.apply_revocation_answers(anchors, [said])
    try:
        anchors.check(asked, NOW, unknown=RevocationRule.REQUIRE)
        verdict = RevocationStatus.GOOD
    except Untrusted as untrusted:
        refusals = {"certificate-revoked": RevocationStatus.REVOKED, "revocation-unknown": RevocationStatus.UNKNOWN}
        verdict = refusals[untrusted.problems[0].code]
    assert verdict is finding.status
    tell(type(said.said).__name__, verdict, gist(str(finding.detail)))


def is_by(public: object, tbs: Node, algorithm: Node, value: Node) -> bool:
    """Tell whether the private half of the key *public* made the *value* over *tbs*."""
    hash_ = HASHES.get(algorithm.parts[0].octets.hex())
    if hash_ is None or not isinstance(public, RSAPublicKey):
        return False
    try:
        public.verify(value.octets[1:], der.write([tbs]), PKCS1v15(), hash_)
    except InvalidSignature:
        return False
    return True


def responders(shown: Sequence[Node]) -> Iterator[object]:
    """Yield the keys of those of *shown* that the CA made for answering in its name."""
    for each in shown:
        if len(each.parts) == 3 and is_by(CA.public_key(), *each.parts) and OCSP_SIGNING in each.octets:
            fields = each.parts[0].parts
            with suppress(
                ValueError, IndexError, UnsupportedAlgorithm
            ):  # one without a key that can be read signed nothing
                yield load_der_public_key(der.write([fields[6 if fields[0].tag == VERSION else 5]]))


def is_about(name: Sequence[Node], asked: x509.Certificate) -> bool:
    """Tell whether *name*, a CertID (RFC 6960, 4.1.1), is that of *asked*."""
    digest = DIGESTS.get(name[0].parts[0].octets.hex())
    if digest is None:
        return False
    issuer, bits = CA.subject.public_bytes(), der.read(CA.public_bytes(Encoding.DER))[0].parts[0].parts[6].parts[1]
    serial = int.from_bytes(name[3].octets, signed=True)
    said = (name[1].octets, name[2].octets, serial)
    return said == (digest(issuer).digest(), digest(bits.octets[1:]).digest(), asked.serial_number)


def time_of(node: Node) -> datetime:
    """Read a UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5)."""
    text = node.octets.decode("ascii")
    if node.tag == TIMES[0]:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
