"""Signs and verifies S/MIME content: CMS SignedData (RFC 5652).

Knows octets, keys and certificates. Does not know mail, nor time stamps (`hub.security.time_stamps`).

`cryptography` makes such signatures only with a key in memory, and verifies none. Here a `Signer` makes them, whose key
may be in a token. `verify_cms` ignores certificates inside a signature: only configured ones count.

Cheap checks come first: the signer, then the signature, and only then the digest of the content. Worst cost: 3 µs per
element of a signature, of which `ber` accepts 100,000 (300 ms); one signature; 1 ms per MB of content.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import attrs
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.asn1 import TLV, Explicit, Implicit, Null, SetOf
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from hub.formats import ber
from hub.language.phrases import phrase
from hub.security import algorithms
from hub.security.algorithms import METHODS, MORE, PSS_METHODS, Unverified
from hub.security.certificates import Signer

_Oid = x509.ObjectIdentifier
_PKCS, _NIST = "1.2.840.113549.1", "2.16.840.1.101.3.4.2"
DATA = f"{_PKCS}.7.1"  #: the content type of plain octets
_DATA, _SIGNED = _Oid(DATA), _Oid(f"{_PKCS}.7.2")
_CONTENT_TYPE, _DIGEST, _TIME = (_Oid(f"{_PKCS}.9.{number}") for number in (3, 4, 5))
#: The accepted digests, by number of bits.
_HASHES = {256: _Oid(f"{_NIST}.1"), 384: _Oid(f"{_NIST}.2"), 512: _Oid(f"{_NIST}.3")}


@asn1.sequence
class _Algorithm:
    kind: _Oid
    nothing: Null | None


@asn1.sequence
class _Mask:
    kind: _Oid
    digest: _Algorithm


@asn1.sequence
class _PssParameters:
    digest: Annotated[_Algorithm, Explicit(0)]
    mask: Annotated[_Mask, Explicit(1)]
    salt: Annotated[int, Explicit(2)]


@asn1.sequence
class _Pss:
    kind: _Oid
    parameters: _PssParameters


@asn1.sequence
class _Attribute:
    kind: _Oid
    values: SetOf[TLV]


@asn1.sequence
class _IssuerAndSerial:
    issuer: TLV
    serial: int


@asn1.sequence
class _Signing:
    version: int
    who: _IssuerAndSerial | Annotated[bytes, Implicit(0)]
    digest: TLV
    attributes: Annotated[SetOf[_Attribute] | None, Implicit(0)]
    method: TLV
    value: bytes
    unsigned: Annotated[SetOf[_Attribute] | None, Implicit(1)]


@asn1.sequence
class _Content:
    kind: _Oid
    octets: Annotated[bytes | None, Explicit(0)]


@asn1.sequence
class _SignedData:
    version: int
    digests: SetOf[TLV]
    content: _Content
    certificates: Annotated[SetOf[TLV] | None, Implicit(0)]
    crls: Annotated[SetOf[TLV] | None, Implicit(1)]
    signers: SetOf[_Signing]


@asn1.sequence
class _Outermost:
    kind: _Oid
    content: Annotated[_SignedData, Explicit(0)]


def _make_algorithm(dotted: str, *, null: bool) -> bytes:
    return asn1.encode_der(_Algorithm(kind=_Oid(dotted), nothing=Null() if null else None))


def _make_pss_algorithm(bits: int, *, null: bool) -> bytes:
    digest = _Algorithm(kind=_HASHES[bits], nothing=Null() if null else None)
    mask = _Mask(kind=_Oid(f"{_PKCS}.1.8"), digest=digest)
    parameters = _PssParameters(digest=digest, mask=mask, salt=bits // 8)
    return asn1.encode_der(_Pss(kind=_Oid(f"{_PKCS}.1.10"), parameters=parameters))


_UNREADABLE = (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_BOTH = (True, False)  #: with and without the NULL that stands for absent parameters; readers accept both
_DIGESTS = {_make_algorithm(oid.dotted_string, null=null): bits for bits, oid in _HASHES.items() for null in _BOTH}
#: (the encoded signature algorithm, bits of the digest) -> the method of `algorithms.METHODS`. The hub writes the first
#: form of each.
_WRITTEN: dict[tuple[bytes, int], str] = {}
for _bits, _last, _curved in ((256, 11, 2), (384, 12, 3), (512, 13, 4)):
    for _null in _BOTH:
        _WRITTEN[_make_algorithm(f"{_PKCS}.1.1", null=_null), _bits] = f"{MORE}rsa-sha{_bits}"
        _WRITTEN[_make_algorithm(f"{_PKCS}.1.{_last}", null=_null), _bits] = f"{MORE}rsa-sha{_bits}"
        _WRITTEN[_make_pss_algorithm(_bits, null=_null), _bits] = f"{PSS_METHODS}sha{_bits}-rsa-MGF1"
        _WRITTEN[_make_algorithm(f"1.2.840.10045.4.3.{_curved}", null=not _null), _bits] = f"{MORE}ecdsa-sha{_bits}"


def sign_cms(content: bytes, signer: Signer, at: datetime) -> bytes:
    """Return the detached signature of *signer* over *content* as DER. Raises Unready if the key cannot be used now."""
    method, certificate = signer.method, signer.certificate
    written, bits = next(key for key, name in _WRITTEN.items() if name == method)
    digest = asn1.decode_der(TLV, next(written for written, size in _DIGESTS.items() if size == bits))
    moment = at.astimezone(UTC).replace(microsecond=0)
    attributes = SetOf(
        [
            _make_attribute(_CONTENT_TYPE, asn1.encode_der(_DATA)),
            _make_attribute(_TIME, asn1.encode_der(asn1.UTCTime(moment))),
            _make_attribute(_DIGEST, asn1.encode_der(_digest_content(bits, content))),
        ]
    )
    value = signer.sign(asn1.encode_der(attributes))
    if isinstance(certificate.public_key(), EllipticCurvePublicKey):
        half = len(value) // 2
        value = encode_dss_signature(int.from_bytes(value[:half]), int.from_bytes(value[half:]))
    who = _IssuerAndSerial(
        issuer=asn1.decode_der(TLV, certificate.issuer.public_bytes()), serial=certificate.serial_number
    )
    info = _Signing(
        version=1,
        who=who,
        digest=digest,
        attributes=attributes,
        method=asn1.decode_der(TLV, written),
        value=value,
        unsigned=None,
    )
    shown = [asn1.decode_der(TLV, each.public_bytes(Encoding.DER)) for each in (certificate, *signer.chain)]
    signed = _SignedData(
        version=1,
        digests=SetOf([digest]),
        content=_Content(kind=_DATA, octets=None),
        certificates=SetOf(shown),
        crls=None,
        signers=SetOf([info]),
    )
    return asn1.encode_der(_Outermost(kind=_SIGNED, content=signed))


@attrs.frozen(eq=False, kw_only=True)
class CmsSignature:
    """A SignedData that was read. Nothing is verified yet."""

    content_type: str  #: the object identifier of its content
    content: bytes | None  #: the content inside; None: it is detached
    shown: tuple[bytes, ...]  #: the certificates inside, as DER, not parsed
    signers: tuple["CmsSigner", ...]


@attrs.frozen(eq=False)
class CmsSigner:
    """A SignerInfo that was read."""

    _info: _Signing

    @property
    def value(self) -> bytes:
        """Return the octets of the signature value."""
        return self._info.value

    def find_certificate(self, certificates: Iterable[x509.Certificate]) -> x509.Certificate | None:
        """Return the first of *certificates* that it names as the signer's, by issuer and serial number or by key
        identifier.
        """
        who = self._info.who
        name = who if isinstance(who, bytes) else (who.serial, asn1.encode_der(who.issuer))
        return _by_name(certificates).get(name)

    def list_signed_values(self, kind: str) -> list[bytes]:
        """Return the values of the signed attributes *kind*, as DER."""
        return _read_attribute_values(self._info.attributes, _Oid(kind))

    def list_unsigned_values(self, kind: str) -> list[bytes]:
        """Return the values of the unsigned attributes *kind*, as DER."""
        return _read_attribute_values(self._info.unsigned, _Oid(kind))

    def check(self, certificate: x509.Certificate, content: bytes, content_type: str = DATA) -> None:
        """Check that the key of *certificate* signed *content* of the type *content_type*. Raises Unverified."""
        _check_signer(self._info, certificate, content, _Oid(content_type))


def read_cms(signature: bytes) -> CmsSignature:
    """Return the SignedData in *signature*. Raises Unverified: `signature-invalid`."""
    try:
        info = asn1.decode_der(_Outermost, ber.make_definite(signature))
    except ValueError as error:
        raise Unverified("signature-invalid", phrase("not a CMS signature: {error}", error=str(error))) from None
    if info.kind != _SIGNED:
        raise Unverified(
            "signature-invalid", phrase("not signed data: {dotted_string}", dotted_string=info.kind.dotted_string)
        )
    data = info.content
    return CmsSignature(
        content_type=data.content.kind.dotted_string,
        content=data.content.octets,
        shown=tuple(map(asn1.encode_der, data.certificates.as_list() if data.certificates else ())),
        signers=tuple(map(CmsSigner, data.signers.as_list())),
    )


def verify_cms(
    signature: bytes, certificates: Sequence[x509.Certificate], content: bytes | None = None
) -> tuple[bytes, x509.Certificate]:
    """Return the signed content and the one of *certificates* that signed it.

    The content is *content*, or, without it, the content inside the signature. Not checked here: whether that
    certificate is valid now and leads to an anchor. Raises Unverified: `signature-invalid`, `algorithm-refused`,
    `certificate-unknown`.
    """
    found = read_cms(signature)
    signed = content if content is not None else found.content
    if signed is None:
        raise Unverified("signature-invalid", phrase("the signature holds no content"))
    _, certificate = verify_cms_signer(found, certificates, signed)
    return signed, certificate


def verify_cms_signer(
    found: CmsSignature, certificates: Sequence[x509.Certificate], content: bytes
) -> tuple[CmsSigner, x509.Certificate]:
    """Return the first signer that one of *certificates* belongs to, and that certificate, if it signed *content*.

    Raises Unverified as `verify_cms` does.
    """
    for signer in found.signers:
        if (certificate := signer.find_certificate(certificates)) is not None:
            signer.check(certificate, content)
            return signer, certificate
    raise Unverified("certificate-unknown", phrase("the signer's certificate is not configured"))


def _by_name(certificates: Iterable[x509.Certificate]) -> Mapping[object, x509.Certificate]:
    """Return *certificates* by the identifiers a signer may use: key identifier, or serial number and issuer."""
    found: dict[object, x509.Certificate] = {}
    for certificate in certificates:
        found.setdefault((certificate.serial_number, certificate.issuer.public_bytes()), certificate)
        try:
            identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except (*_UNREADABLE, ValueError):
            continue
        found.setdefault(identifier.value.digest, certificate)
    return found


def _check_signer(signer: _Signing, certificate: x509.Certificate, content: bytes, content_type: _Oid) -> None:
    bits = _DIGESTS.get(asn1.encode_der(signer.digest), 0)
    method = _WRITTEN.get((asn1.encode_der(signer.method), bits))
    if method not in METHODS:
        raise Unverified("algorithm-refused", phrase("neither RSA, RSA-PSS nor ECDSA with SHA-256 or more"))
    if signer.attributes is None:  # otherwise content could be passed off as attributes, and attributes as content
        raise Unverified("signature-invalid", phrase("there are no signed attributes"))
    attributes = signer.attributes.as_list()
    if _read_attribute_value(attributes, _CONTENT_TYPE) != asn1.encode_der(content_type):
        named = content_type.dotted_string
        raise Unverified("signature-invalid", phrase("the signed content type is not {named}", named=named))
    value = signer.value
    if isinstance(key := algorithms.require_strong_key(certificate), EllipticCurvePublicKey):
        size = (key.curve.key_size + 7) // 8
        try:
            value = b"".join(part.to_bytes(size) for part in decode_dss_signature(value))
        except (ValueError, OverflowError):
            raise Unverified("signature-invalid", phrase("the ECDSA value does not consist of two numbers")) from None
    algorithms.check_signature_value(METHODS[method], certificate, value, asn1.encode_der(signer.attributes))
    if _read_attribute_value(attributes, _DIGEST) != asn1.encode_der(_digest_content(bits, content)):
        raise Unverified("signature-invalid", phrase("the content differs from the signed content"))


def _read_attribute_value(attributes: Iterable[_Attribute], kind: _Oid) -> bytes:
    """Return the value of the attribute *kind* as DER.

    Return empty octets unless the attribute is present once with one value (RFC 5652, 11).
    """
    found = [value for each in attributes if each.kind == kind for value in each.values.as_list()]
    return asn1.encode_der(found[0]) if len(found) == 1 else b""


def _read_attribute_values(attributes: SetOf[_Attribute] | None, kind: _Oid) -> list[bytes]:
    if attributes is None:
        return []
    found = (each.values.as_list() for each in attributes.as_list() if each.kind == kind)
    return [asn1.encode_der(value) for values in found for value in values]


def _make_attribute(kind: _Oid, value: bytes) -> _Attribute:
    return _Attribute(kind=kind, values=SetOf([asn1.decode_der(TLV, value)]))


def find_digest_size(algorithm: bytes) -> int:
    """Return the number of bits of the digest *algorithm*, an AlgorithmIdentifier as DER; 0 if it is not accepted."""
    return _DIGESTS.get(algorithm, 0)


def _digest_content(bits: int, content: bytes) -> bytes:
    return hashlib.new(f"sha{bits}", content).digest()
