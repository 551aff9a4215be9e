"""Time-stamping authorities: `openssl ts`, and one that stamps as nobody should.  Knows nothing of how the hub verifies.

`stamp_document` puts a token into the last signature of a signed report, as XAdES-T has it.
"""

import base64
import hashlib
import secrets
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from lxml import etree

from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from hub.security.time_stamps import StampTrust
from tests import pki
from tests.officials import ETSI
from tests.pki import NOW, Authority, authority, usage
from tests.signatures import DS, INCLUSIVE, plain

TIMES = authority("Time CA", NOW)
STAMPS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])


def issue_tsa(name: str = "tsa", ca: Authority = TIMES, **said: Any) -> Identity:
    """Return a key and a certificate for time stamps only."""
    said = {"critical": [STAMPS], "purposes": (), "key_usage": usage(digital_signature=True), **said}
    return ca.issue(name, label="tsa", **said)


TSA = issue_tsa()


def trust(anchors: Anchors | None = None, *, required: bool = False, ca: Authority = TIMES) -> StampTrust:
    trusted = anchors or Anchors([ca.certificate], committing=True)
    return StampTrust(anchors=trusted, authorities=(ca.certificate,), required=required)


def stamp(
    content: bytes,
    tsa: Identity = TSA,
    at: datetime = NOW,
    *,
    digest: str = "sha256",
    signed: str = "sha256",
    names: Sequence[str] = ("v2",),
    named: x509.Certificate | None = None,
    signers: int = 1,
    shown: Sequence[x509.Certificate] | None = None,
    change: Callable[[Any], None] = lambda _info: None,
    serial: int | None = None,
) -> bytes:
    """Return a token over *content*; *names*: the attributes that name its certificate, *named*: another one."""
    pytest.importorskip("asn1crypto.tsp")  # comes with pyHanko
    from asn1crypto import algos, cms, core, tsp  # type: ignore[import-untyped]
    from asn1crypto import x509 as certificates

    def load(certificate: x509.Certificate) -> Any:
        return certificates.Certificate.load(certificate.public_bytes(Encoding.DER))

    info = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": "1.2.3.4",
            "message_imprint": {
                "hash_algorithm": {"algorithm": digest},
                "hashed_message": hashlib.new(digest, content).digest(),
            },
            "serial_number": secrets.randbelow(1 << 64) if serial is None else serial,
            "gen_time": at,
        }
    )
    change(info)
    octets, der = info.dump(), (named or tsa.certificate).public_bytes(Encoding.DER)
    attributes = [
        cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
        cms.CMSAttribute({"type": "message_digest", "values": [hashlib.new(signed, octets).digest()]}),
    ]
    if "v1" in names:
        old = tsp.SigningCertificate({"certs": [{"cert_hash": hashlib.sha1(der).digest()}]})
        attributes.append(cms.CMSAttribute({"type": "signing_certificate", "values": [old]}))
    if "v2" in names:
        issuer = load(named or tsa.certificate)
        name = certificates.GeneralName(name="directory_name", value=issuer.issuer)
        numbered = {"issuer": [name], "serial_number": issuer.serial_number}
        new = tsp.SigningCertificateV2(
            {"certs": [{"cert_hash": hashlib.sha256(der).digest(), "issuer_serial": numbered}]}
        )
        attributes.append(cms.CMSAttribute({"type": "signing_certificate_v2", "values": [new]}))
    covered = cms.CMSAttributes(attributes)
    hash_ = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384()}[signed]
    mine = load(tsa.certificate)
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                        {"issuer": mine.issuer, "serial_number": mine.serial_number}
                    )
                }
            ),
            "digest_algorithm": algos.DigestAlgorithm({"algorithm": signed}),
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": f"{signed}_rsa"}),
            "signed_attrs": covered,
            "signature": tsa.key.sign(covered.dump(), PKCS1v15(), hash_),  # type: ignore[call-arg, arg-type]
        }
    )
    data = cms.SignedData(
        {
            "version": "v3",
            "digest_algorithms": [{"algorithm": signed}],
            "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(octets)},
            "certificates": [load(each) for each in ((tsa.certificate,) if shown is None else shown)],
            "signer_infos": [signer] * signers,
        }
    )
    made: bytes = cms.ContentInfo({"content_type": "signed_data", "content": data}).dump()
    return made


def by_openssl(content: bytes, tsa: Identity, place: Path, *words: str) -> bytes:
    """Return the token that `openssl ts` makes over *content*, now."""
    secret, public = pki.write(place, "tsa", tsa)
    (place / "content").write_bytes(content)
    (place / "serial").write_text("01")
    (place / "tsa.cnf").write_text(
        f"[tsa]\ndefault_tsa=one\n[one]\nserial={place}/serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4\n"
        "digests=sha1,sha256,sha384,sha512\naccuracy=secs:1\n" + "".join(f"{word}\n" for word in words)
    )

    def run(*arguments: object) -> None:
        subprocess.run(["openssl", "ts", *map(str, arguments)], check=True, capture_output=True)

    run("-config", "/dev/null", "-query", "-data", place / "content", "-sha256", "-cert", "-out", place / "query")
    asked = ("-reply", "-config", place / "tsa.cnf", "-queryfile", place / "query")
    run(*asked, "-signer", public, "-inkey", secret, "-token_out", "-out", place / "token")
    return (place / "token").read_bytes()


def is_good_by_openssl(token: bytes, content: bytes, ca: x509.Certificate, place: Path) -> bool:
    """Ask `openssl ts -verify` about a token."""
    (place / "token").write_bytes(token)
    (place / "content").write_bytes(content)
    (place / "ca.crt").write_bytes(pki.pem(ca))
    asked: list[str | Path] = [
        "-verify",
        "-token_in",
        "-in",
        place / "token",
        "-data",
        place / "content",
        "-CAfile",
        place / "ca.crt",
    ]
    return subprocess.run(["openssl", "ts", *asked], capture_output=True, check=False).returncode == 0


def stamp_document(
    document: bytes,
    make: Callable[[bytes], bytes] = stamp,
    *,
    c14n: str = INCLUSIVE,
    told: str | None = "",
    more: str = "",
    times: int = 1,
    encoding: str = "",
) -> bytes:
    """Return *document* with tokens of *make* over the last signature's value, canonical by *c14n*.

    *told*: the canonical form that the property names: `""` that of *c14n*, None none.
    """
    root = plain(document)
    signature = root[-1]
    (value,) = signature.iterchildren(f"{{{DS}}}SignatureValue")
    how = {"exclusive": "exc" in c14n, "with_comments": False}
    octets = etree.tostring(plain(etree.tostring(value, with_tail=False)), method="c14n", **how)  # type: ignore[call-overload]
    named = c14n if told == "" else told
    method = f'<ds:CanonicalizationMethod xmlns:ds="{DS}" Algorithm="{named}"/>' if named else ""
    tokens = "".join(
        f"<xades:SignatureTimeStamp>{method}<xades:EncapsulatedTimeStamp{encoding}>"
        f"{base64.b64encode(make(octets)).decode()}</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>"
        for _ in range(times)
    )
    properties = etree.fromstring(
        f'<xades:UnsignedProperties xmlns:xades="{ETSI}"><xades:UnsignedSignatureProperties>{tokens}{more}'
        "</xades:UnsignedSignatureProperties></xades:UnsignedProperties>"
    )
    (qualifying,) = signature.iter(f"{{{ETSI}}}QualifyingProperties")
    qualifying.append(properties)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def clock() -> datetime:
    """Return the time by the machine's clock, by which `openssl ts` stamps."""
    return datetime.now(UTC).replace(microsecond=0)
