"""Defines which algorithms may sign and digest, minimum key sizes, and how signature values are made and checked.

Knows octets and keys. Does not know XML.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import PublicKeyAlgorithmOID

from hub.domain.errors import Rejected
from hub.domain.model import Detail, Problem
from hub.formats import ber
from hub.language.phrases import Phrase, phrase

DS = "http://www.w3.org/2000/09/xmldsig#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
PSS_METHODS = "http://www.w3.org/2007/05/xmldsig-more#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_LEAST_RSA = 2048  #: minimum size of an RSA key in bits
_OBJECT_IDENTIFIER, _VERSION = 0x06, 0xA0  #: DER tags

Digest = Callable[[bytes], Any]  #: a hash constructor of hashlib
Hash = hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey


class Unverified(Rejected):
    """A signature that proves nothing. The code says why."""

    def __init__(self, code: str, detail: Detail) -> None:
        super().__init__(Problem(code, detail))


class Method(NamedTuple):
    """A signature method."""

    kind: type[RSAPublicKey] | type[EllipticCurvePublicKey]
    hash: Hash
    padding: AsymmetricPadding | None = None


def _make_pss_method(hash_: Hash) -> Method:
    return Method(RSAPublicKey, hash_, PSS(MGF1(hash_), hash_.digest_size))


#: The complete list of accepted methods. HMAC is not accepted: every verifier of an HMAC could have made it.
METHODS = {
    f"{MORE}rsa-sha256": Method(RSAPublicKey, hashes.SHA256(), PKCS1v15()),
    f"{MORE}rsa-sha384": Method(RSAPublicKey, hashes.SHA384(), PKCS1v15()),
    f"{MORE}rsa-sha512": Method(RSAPublicKey, hashes.SHA512(), PKCS1v15()),
    f"{MORE}ecdsa-sha256": Method(EllipticCurvePublicKey, hashes.SHA256()),
    f"{MORE}ecdsa-sha384": Method(EllipticCurvePublicKey, hashes.SHA384()),
    f"{PSS_METHODS}sha256-rsa-MGF1": _make_pss_method(hashes.SHA256()),
    f"{PSS_METHODS}sha384-rsa-MGF1": _make_pss_method(hashes.SHA384()),
    f"{PSS_METHODS}sha512-rsa-MGF1": _make_pss_method(hashes.SHA512()),
}
DIGESTS: dict[str, Digest] = {
    SHA256: hashlib.sha256,
    f"{MORE}sha384": hashlib.sha384,
    "http://www.w3.org/2001/04/xmlenc#sha512": hashlib.sha512,
}
#: Accepted only if the partner's policy tolerates SHA-1.
SHA1_METHODS = {f"{DS}rsa-sha1": Method(RSAPublicKey, hashes.SHA1(), PKCS1v15())}  # noqa: S303 - see above
SHA1_DIGESTS: dict[str, Digest] = {f"{DS}sha1": hashlib.sha1}


def require_strong_key(certificate: x509.Certificate) -> RSAPublicKey | EllipticCurvePublicKey:
    """Return the key of *certificate*, which must be RSA of at least 2048 bits, or EC on P-256 or P-384.

    Raises Unverified.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    match key:
        case RSAPublicKey() if key.key_size >= _LEAST_RSA:
            return key
        case EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1 | SECP384R1):
            return key
    raise Unverified(
        "algorithm-refused",
        phrase("the certificate's key is neither RSA of at least 2048 bits nor EC on P-256 or P-384"),
    )


def describe_key(certificate: x509.Certificate) -> str:
    """Return the kind and the size of a certificate's key, such as `RSA 4096` or `EC secp256r1`."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "–"
    match key:
        case RSAPublicKey():
            return f"RSA {key.key_size}"
        case EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
    return type(key).__name__.strip("_")


def describe_key_weakness(certificate: x509.Certificate) -> Phrase | None:
    """Return why the key of *certificate* is too weak for any use (TLS, messages, chains).

    Return None if it is strong. Strong keys are RSA of at least 2048 bits, and EC on the named curves P-256,
    P-384 and P-521. Explicit curve parameters may be those of a curve on which an attacker knows the private key
    (CVE-2020-0601; RFC 5480, 2.1.1 forbids them). No partner and no CA of the country uses other kinds of keys.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return phrase("a key that cannot be read")
    match key:
        case RSAPublicKey() if key.key_size >= _LEAST_RSA:
            return None
        case RSAPublicKey():
            return phrase("an RSA key of {size} bits", size=key.key_size)
        case EllipticCurvePublicKey() if not isinstance(key.curve, SECP256R1 | SECP384R1 | SECP521R1):
            return phrase("a key on the curve {curve}", curve=key.curve.name)
        case EllipticCurvePublicKey():
            return None if _names_its_curve(certificate) else phrase("a key on an unnamed curve")
    return phrase("a key that is neither RSA nor EC")


def _names_its_curve(certificate: x509.Certificate) -> bool:
    """Tell whether the EC key of *certificate* identifies its curve by name. The loaded key no longer shows this."""
    fields = ber.split_ber_elements(certificate.tbs_certificate_bytes)
    #: RFC 5280, 4.1: subjectPublicKeyInfo is the seventh field if the version is present
    key = fields[6 if fields[0][0] == _VERSION else 5]
    _kind, parameters = ber.split_ber_elements(ber.split_ber_elements(key)[0])
    return parameters[0] == _OBJECT_IDENTIFIER


def check_signature_value(method: Method, certificate: x509.Certificate, value: bytes, content: bytes) -> None:
    """Check that the key of *certificate* made the signature *value* over *content*. Raises Unverified."""
    check_value_of_key(method, require_fitting_key(method, certificate), value, content)


def require_fitting_key(method: Method, certificate: x509.Certificate) -> RSAPublicKey | EllipticCurvePublicKey:
    """Return the key of *certificate*, which must be strong and of the kind that *method* is for. Raises Unverified."""
    key = require_strong_key(certificate)
    if not isinstance(key, method.kind) or (is_pss(certificate) and not isinstance(method.padding, PSS)):
        raise Unverified("algorithm-refused", phrase("the signature method is not for the certificate's kind of key"))
    return key


def check_value_of_key(
    method: Method, key: RSAPublicKey | EllipticCurvePublicKey, value: bytes, content: bytes
) -> None:
    """Check that *key*, which fits *method*, made the signature *value* over *content*. Raises Unverified."""
    try:
        if method.padding is not None:
            assert isinstance(key, RSAPublicKey)
            key.verify(value, content, method.padding, method.hash)
        else:
            assert isinstance(key, EllipticCurvePublicKey)
            key.verify(_encode_der_value(value, key), content, _make_ecdsa(type(method.hash)))
    except InvalidSignature:
        raise Unverified(
            "signature-invalid", phrase("the signature value does not match SignedInfo and the key")
        ) from None


def is_pss(certificate: x509.Certificate) -> bool:
    """Tell whether the key of *certificate* is restricted to RSASSA-PSS (RFC 4055, 1.2)."""
    return certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS


def choose_signature_method(certificate: x509.Certificate) -> str:
    """Return the signature method with which the hub signs, given the key of *certificate*."""
    if is_pss(certificate):
        return f"{PSS_METHODS}sha256-rsa-MGF1"
    key = certificate.public_key()
    if isinstance(key, EllipticCurvePublicKey):
        return f"{MORE}ecdsa-sha384" if isinstance(key.curve, SECP384R1) else f"{MORE}ecdsa-sha256"
    return f"{MORE}rsa-sha256"


def make_signature_value(method: Method, key: PrivateKey, content: bytes) -> bytes:
    """Sign *content*. Return the octets of the SignatureValue.

    Raises TypeError if *method* is for another kind of key.
    """
    if isinstance(key, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(content, _make_repeatable_ecdsa(type(method.hash))))
        size = (key.curve.key_size + 7) // 8
        return r.to_bytes(size) + s.to_bytes(size)
    if method.padding is None:
        raise TypeError("this method is not for RSA")
    return key.sign(content, method.padding, method.hash)


@cache
def _make_ecdsa(hash_: type[Hash]) -> ECDSA:
    return ECDSA(hash_())


@cache
def _make_repeatable_ecdsa(hash_: type[Hash]) -> ECDSA:
    """Return ECDSA with deterministic signatures (RFC 6979). The same content signed again gives the same message."""
    try:
        return ECDSA(hash_(), deterministic_signing=True)
    except UnsupportedAlgorithm:  # OpenSSL before 3.2
        return ECDSA(hash_())


def _encode_der_value(value: bytes, key: EllipticCurvePublicKey) -> bytes:
    """Return an ECDSA value of XMLDSig, which is r and s side by side (RFC 4050, 3.3), as DER. Raises Unverified."""
    size = (key.curve.key_size + 7) // 8
    if len(value) != 2 * size:
        raise Unverified("signature-invalid", phrase("the ECDSA value has the wrong length"))
    return encode_dss_signature(int.from_bytes(value[:size]), int.from_bytes(value[size:]))
