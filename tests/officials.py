"""Officials who sign reports with tools that nobody here wrote, and the sealed reports that they sign.  Knows nothing of how the hub verifies.

`by_signxml` and `by_xmlsec` each make an enveloped XAdES-B signature; the second from a template, so that hostile ones can be made too.
"""

import base64
import hashlib
from collections.abc import Callable, Collection
from datetime import UTC, datetime

import attrs
import xmlsec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree
from signxml import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.util import SigningSettings, ds_tag, xades_tag
from signxml.xades import XAdESSigner

from hub.config.officials import Official, Officials, SignaturePlace
from hub.domain.model import Fact
from hub.report.counting import counting, evidence
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.report.signed.element import build_report_element
from hub.security import signing
from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from tests.pki import NOW, authority
from tests.signatures import DS, ENVELOPED, EXCLUSIVE, SHA256, plain

ETSI = "http://uri.etsi.org/01903/v1.3.2#"
HUB = authority("Hub CA", NOW).issue("hub")
PERSONS = authority("Persons CA", NOW)
AN = PERSONS.issue("Nguyễn Văn An")
BINH = PERSONS.issue("Trần Thị Bình", "p256")
EDOC = next(form for form in read_form_folder() if form.id == "edoc")
UNIT, PERIOD = "H55.13", parse_period("2026-11")


def sealed(revision: int = 1, unit: str = UNIT, sent: int = 3, seal: Identity = HUB) -> bytes:
    """Return a sealed report over so many documents sent."""
    facts = [
        Fact(unit=unit, service="documents", key=str(number), milestone="sent", at=PERIOD.start, message=f"m{number}")
        for number in range(sent)
    ]
    counted = counting.count_report(EDOC, facts, PERIOD, NOW, (unit,))
    lines = evidence.gather_evidence(EDOC, facts, PERIOD, NOW, (unit,))
    element = build_report_element(counted, {unit: "Sở Mẫu"}, lines, revision)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + signing.seal_element(element, seal) + b"\n"


def official(code: str = "an", identity: Identity = AN, **said: object) -> Official:
    return Official(
        code=code,
        **{"name": "Nguyễn Văn An", "certificates": (identity.certificate,), "units": (UNIT,), **said},  # type: ignore[arg-type]
    )


def officials(
    *people: Official, anchors: Anchors | None = None, required: bool = True, drafted: Collection[str] = ()
) -> Officials:
    trusted = anchors or Anchors([PERSONS.certificate], committing=True)
    named = {each.code: each for each in people or (official(),)}
    rules = {"required": required, "drafted": frozenset(drafted)}
    return Officials(anchors=trusted, authorities=(PERSONS.certificate,), people=named, **rules)  # type: ignore[arg-type]


#: Bình draws the reports of H55.13 up, and An is the head of the unit.
TWO = officials(
    official(),
    official("binh", BINH, name="Trần Thị Bình", signs_as=frozenset({SignaturePlace.DRAFTER})),
    drafted=["*"],
)


class _Signer(XAdESSigner):
    """signxml's, at a time that is given; and with the Transforms that it forgets under exclusive C14N."""

    at: datetime = NOW

    def add_signing_time(
        self, signed_signature_properties: etree._Element, sig_root: etree._Element, signing_settings: SigningSettings
    ) -> None:
        time = etree.SubElement(signed_signature_properties, xades_tag("SigningTime"))
        time.text = self.at.astimezone(UTC).isoformat(timespec="seconds")

    def _add_reference_to_signed_info(
        self, sig_root: etree._Element, node_to_reference: etree._Element, **attrs: str
    ) -> None:
        super()._add_reference_to_signed_info(sig_root, node_to_reference, **attrs)
        if self.c14n_alg is CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0:
            reference = self._find(sig_root, "SignedInfo")[-1]
            transforms = etree.Element(ds_tag("Transforms"))
            etree.SubElement(transforms, ds_tag("Transform"), Algorithm=self.c14n_alg.value)
            reference.insert(0, transforms)


def by_signxml(
    given: bytes,
    identity: Identity = AN,
    at: datetime = NOW,
    *,
    c14n: CanonicalizationMethod = CanonicalizationMethod.CANONICAL_XML_1_1,
    method: SignatureMethod = SignatureMethod.RSA_SHA256,
    digest: DigestAlgorithm = DigestAlgorithm.SHA256,
) -> bytes:
    """Return *given* signed as signxml signs it."""
    signer = _Signer(
        method=SignatureConstructionMethod.enveloped,
        signature_algorithm=method,
        digest_algorithm=digest,
        c14n_algorithm=c14n,
    )
    signer.at = at
    root = signer.sign(plain(given), key=identity.key, cert=[identity.certificate])
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


@attrs.frozen(kw_only=True)
class Tool:
    """What of a signature's form may vary with the tool."""

    c14n: str = EXCLUSIVE
    method: str = ""  #: that of the key without
    digest: str = SHA256
    hashed: Callable[[bytes], "hashlib._Hash"] = hashlib.sha256  #: of SigningCertificate
    hash_name: str = SHA256
    property: str = "SigningCertificateV2"
    document: str = ""  #: the transforms of the document; enveloped and `c14n` without
    signs_properties: bool = True
    time: str = ""  #: SigningTime as it is written
    more: str = ""  #: behind SignedProperties
    reference: str = 'URI=""'
    name: str = ""  #: ends the Ids, which no two signatures of a document may share

    def template(self, identity: Identity, at: datetime) -> str:
        der = identity.certificate.public_bytes(Encoding.DER)
        named = base64.b64encode(self.hashed(der).digest()).decode()
        step = f'<ds:Transform Algorithm="{self.c14n}"/>'
        document = self.document or f'<ds:Transform Algorithm="{ENVELOPED}"/>{step}'
        empty = f'<ds:DigestMethod Algorithm="{self.digest}"/><ds:DigestValue></ds:DigestValue></ds:Reference>'
        properties = (
            f'<ds:Reference URI="#props{self.name}" Type="http://uri.etsi.org/01903#SignedProperties"><ds:Transforms>{step}'
            f"</ds:Transforms>{empty}"
        )
        method = self.method or identity.method
        time = self.time or f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return (
            f'<ds:Signature xmlns:ds="{DS}" Id="sig{self.name}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{self.c14n}"/>'
            f'<ds:SignatureMethod Algorithm="{method}"/><ds:Reference {self.reference}><ds:Transforms>{document}'
            f"</ds:Transforms>{empty}{properties if self.signs_properties else ''}</ds:SignedInfo>"
            "<ds:SignatureValue></ds:SignatureValue>"
            f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{identity.token}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
            f'<ds:Object><xades:QualifyingProperties xmlns:xades="{ETSI}" Target="#sig{self.name}">'
            f'<xades:SignedProperties Id="props{self.name}"><xades:SignedSignatureProperties><xades:SigningTime>{time}'
            f"</xades:SigningTime><xades:{self.property}><xades:Cert><xades:CertDigest>"
            f'<ds:DigestMethod Algorithm="{self.hash_name}"/><ds:DigestValue>{named}</ds:DigestValue></xades:CertDigest>'
            f"</xades:Cert></xades:{self.property}></xades:SignedSignatureProperties></xades:SignedProperties>{self.more}"
            "</xades:QualifyingProperties></ds:Object></ds:Signature>"
        )


def by_xmlsec(given: bytes, identity: Identity = AN, at: datetime = NOW, tool: Tool | None = None) -> bytes:
    """Return *given* with one more signature, its digests and value computed by xmlsec."""
    template = (tool or Tool()).template(identity, at)
    end = given.rindex(b"</")
    root = plain(given[:end] + template.encode() + given[end:])
    found = root[-1]
    xmlsec.tree.add_ids(found, ["Id"])
    context = xmlsec.SignatureContext()
    secret = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context.key = xmlsec.Key.from_memory(secret, xmlsec.constants.KeyDataFormatPem)
    context.sign(found)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def resigned(document: bytes, identity: Identity = AN) -> bytes:
    """Return *document*, changed after it was signed, with the last signature's digests and value made anew by xmlsec."""
    root = plain(document)
    xmlsec.tree.add_ids(root, ["Id"])
    context = xmlsec.SignatureContext()
    secret = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context.key = xmlsec.Key.from_memory(secret, xmlsec.constants.KeyDataFormatPem)
    context.sign(root[-1])
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
