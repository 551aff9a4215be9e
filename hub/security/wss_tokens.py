"""Resolves names in WS-Security: ids, and the X.509 token that identifies the signing key.

Does not verify signature values or chains.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from lxml import etree

from hub.language.phrases import phrase
from hub.security.algorithms import DS, Unverified
from hub.security.certificates import load_der
from hub.security.xmldsig import XML, decode_base64_leaf

_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE = f"{_OASIS}wssecurity-secext-1.0.xsd"
WSU = f"{_OASIS}wssecurity-utility-1.0.xsd"
X509V3, PKI_PATH, PKCS7 = (f"{_OASIS}x509-token-profile-1.0#{name}" for name in ("X509v3", "X509PKIPathv1", "PKCS7"))
BASE64 = f"{_OASIS}soap-message-security-1.0#Base64Binary"
TOKEN = f"{{{WSSE}}}BinarySecurityToken"
WSU_ID = f"{{{WSU}}}Id"

_SKI = f"{_OASIS}x509-token-profile-1.0#X509SubjectKeyIdentifier"
_THUMBPRINT = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
_POINTER, _DIRECT, _KEY_IDENTIFIER = (
    f"{{{WSSE}}}{name}" for name in ("SecurityTokenReference", "Reference", "KeyIdentifier")
)
_X509_DATA, _X509_CERTIFICATE, _ISSUER_SERIAL, _ISSUER, _SERIAL = (
    f"{{{DS}}}X509{name}" for name in ("Data", "Certificate", "IssuerSerial", "IssuerName", "SerialNumber")
)
_ID_NAMES = (WSU_ID, "Id", f"{XML}id")
#: Some readers find an element by any attribute with this local name, whatever its namespace.
_IDS = etree.XPath(
    "/descendant::*/@*[local-name() = 'Id' or local-name() = 'ID' or local-name() = 'id']", smart_strings=False
)
_KINDS = (X509V3, PKI_PATH, PKCS7)
_MOST_SHOWN = 10
_LARGEST_TOKEN = 64 * 1024  #: octets
_LONGEST_NAME = 2000  #: characters
#: Octets by the text of a token: a sender sends the same token with each call.
_DECODED: dict[str, bytes] = {}
_MOST_KEPT, _LONGEST_KEPT = 1024, 4096
_FRAGMENT = re.compile(r"#[\w.-]+")
_AFTER_COMMA = re.compile(r"(?<!\\), +")
_OTHER_NAMES = {
    "E": x509.NameOID.EMAIL_ADDRESS,
    "EMAILADDRESS": x509.NameOID.EMAIL_ADDRESS,
    "S": x509.NameOID.STATE_OR_PROVINCE_NAME,
}


def count_ids(element: etree._Element) -> Mapping[str, int]:
    """Return how often each value occurs in an attribute called Id, ID or id in the document of *element*."""
    times: dict[str, int] = {}
    for name in cast("list[str]", _IDS(element)):
        times[name] = times.get(name, 0) + 1
    return times


def index_ids(places: Iterable[etree._Element]) -> Mapping[str, etree._Element]:
    """Return *places* by their ids, from the attributes that a reference may mean.

    Of two with the same id, the first one.
    """
    found: dict[str, etree._Element] = {}
    for element in places:
        for attribute in _ID_NAMES:
            name = element.get(attribute)
            if name is not None:
                found.setdefault(name, element)
    return found


def find_id_bearer(uri: str, places: Mapping[str, etree._Element], ids: Mapping[str, int]) -> etree._Element:
    """Return the one of *places* (`index_ids`) with the id in *uri*.

    No other element of the document may bear this id (*ids*: `count_ids`). Raises Unverified: `signature-invalid`.
    """
    if _FRAGMENT.fullmatch(uri) is None:
        raise Unverified("signature-invalid", phrase("{uri} is not a reference by id", uri=repr(uri[:200])))
    name = uri[1:]
    if (times := ids.get(name, 0)) > 1:
        raise Unverified(
            "signature-invalid", phrase("{times} elements bear the id {name}", times=times, name=name[:200])
        )
    found = places.get(name)
    if found is None:
        raise Unverified("signature-invalid", phrase("{uri} is not at a place that may be signed", uri=uri[:200]))
    return found


class TokenSigner(NamedTuple):
    """The signer's certificate, and the certificates that came with it, which prove nothing by themselves."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()


def find_token_signer(
    key_info: etree._Element, security: etree._Element, certificates: Sequence[x509.Certificate], ids: Mapping[str, int]
) -> TokenSigner:
    """Return the one of *certificates* that *key_info* in a *security* header names.

    It must be named by one SecurityTokenReference: direct, to a BinarySecurityToken of the same header, which holds the
    certificate or, as X509PKIPathv1 or PKCS7, its chain too; issuer and serial; subject key identifier; thumbprint.
    Embedded tokens, key names, key values and unregistered certificates are refused. Raises Unverified:
    `certificate-unknown`, `signature-invalid`.
    """
    pointer = _find_single_child(_find_single_child(key_info, _POINTER), _DIRECT, _KEY_IDENTIFIER, _X509_DATA)
    shown: list[bytes] = []
    if pointer.tag == _DIRECT:
        shown, matches = _by_token(pointer, security, certificates, ids)
    elif pointer.tag == _X509_DATA:
        matches = _by_serial(pointer, certificates)
    else:
        matches = _by_identifier(pointer, certificates)
    if not matches:
        raise Unverified("certificate-unknown", phrase("the signing certificate is not registered for this partner"))
    found = max(matches, key=lambda one: one.not_valid_after_utc)  # a renewed certificate may have the same key
    return TokenSigner(found, tuple(_load_certificate(der) for der in shown if der != _encode_der(found)))


def find_pointed_token(pointer: etree._Element, security: etree._Element, ids: Mapping[str, int]) -> etree._Element:
    """Return the BinarySecurityToken that a SecurityTokenReference directly references. Raises Unverified."""
    if pointer.tag != _POINTER:
        raise Unverified(
            "signature-invalid", phrase("STR-Transform of an element that is not a SecurityTokenReference")
        )
    return find_id_bearer(
        _find_single_child(pointer, _DIRECT).get("URI", ""), index_ids(security.iterchildren(TOKEN)), ids
    )


def _by_token(
    pointer: etree._Element, security: etree._Element, certificates: Sequence[x509.Certificate], ids: Mapping[str, int]
) -> tuple[list[bytes], list[x509.Certificate]]:
    """Return the certificates in the referenced token, and those of *certificates* that may be the signer's."""
    token = find_id_bearer(pointer.get("URI", ""), index_ids(security.iterchildren(TOKEN)), ids)
    kind = token.get("ValueType", X509V3)
    if pointer.get("ValueType", kind) != kind or kind not in _KINDS or token.get("EncodingType", BASE64) != BASE64:
        raise Unverified("signature-invalid", phrase("the token is not an X.509 certificate, or its chain, in base64"))
    if len(token.text or "") > 2 * _LARGEST_TOKEN:
        raise Unverified("signature-invalid", phrase("a token of {count} letters", count=len(token.text or "")))
    content = _decode_token(token)
    if kind == X509V3:
        return [], filter_by_octets(content, certificates)
    shown = _read_chain(content, kind)
    if kind == PKI_PATH:
        return shown, filter_by_octets(shown[-1], certificates)  # the path begins at the top
    matches = [one for one in certificates if _encode_der(one) in shown]
    if len(matches) > 1:
        raise Unverified("signature-invalid", phrase("the PKCS7 token holds several certificates of this partner"))
    return shown, matches


def _decode_token(token: etree._Element) -> bytes:
    """Return the octets of a token. Those of the tokens that were seen last are remembered."""
    text = token.text
    known = _DECODED.get(text) if text and not len(token) else None
    if known is None:
        known = decode_base64_leaf(token)
        if text and len(text) <= _LONGEST_KEPT:
            if len(_DECODED) >= _MOST_KEPT:
                _DECODED.clear()
            _DECODED[text] = known
    return known


def _read_chain(content: bytes, kind: str) -> list[bytes]:
    """Return the certificates of a PKIPath or a PKCS7 as DER. Raises Unverified."""
    if len(content) > _LARGEST_TOKEN:
        raise Unverified("signature-invalid", phrase("a token of {count} octets", count=len(content)))
    try:
        if kind == PKI_PATH:
            found = _list_der_items(content)
        else:
            found = [one.public_bytes(Encoding.DER) for one in load_der_pkcs7_certificates(content)]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Unverified("signature-invalid", phrase("the token cannot be read: {error}", error=str(error))) from None
    if not 0 < len(found) <= _MOST_SHOWN:
        raise Unverified(
            "signature-invalid",
            phrase("{count} certificates in the token; 1 to {most} are accepted", count=len(found), most=_MOST_SHOWN),
        )
    return found


def _list_der_items(content: bytes) -> list[bytes]:
    """Return the elements of a DER SEQUENCE, each with tag and length. Raises ValueError."""
    end, start = _find_der_extent(content, 0)
    if content[:1] != b"\x30" or end != len(content):
        raise ValueError("no SEQUENCE")
    found = []
    while start < end:
        after, _ = _find_der_extent(content, start)
        found.append(content[start:after])
        start = after
    if start != end:
        raise ValueError("an element that extends beyond its SEQUENCE")
    return found


def _find_der_extent(content: bytes, at: int) -> tuple[int, int]:
    """Return the end of the DER element at *at*, and the start of its content. Raises ValueError."""
    head = content[at : at + 6]
    if len(head) < 2:
        raise ValueError("cut short")
    many = head[1] & 0x7F if head[1] & 0x80 else 0
    if many > 4 or head[1] == 0x80 or len(head) < 2 + many:
        raise ValueError("an invalid length for a certificate")
    start = at + 2 + many
    end = start + (int.from_bytes(head[2 : 2 + many]) if many else head[1])
    if end > len(content):
        raise ValueError("cut short")
    return end, start


def _load_certificate(der: bytes) -> x509.Certificate:
    try:
        return load_der(der)
    except ValueError as error:
        raise Unverified(
            "signature-invalid", phrase("a certificate of the token cannot be read: {error}", error=str(error))
        ) from None


def _find_single_child(parent: etree._Element, *tags: str) -> etree._Element:
    children = list(parent) if len(parent) == 1 else []
    if len(children) != 1 or children[0].tag not in tags:
        names = " or ".join(tag.rpartition("}")[2] for tag in tags)
        raise Unverified(
            "signature-invalid",
            phrase(
                "{localname} must hold one {names} and nothing else",
                localname=etree.QName(parent).localname,
                names=names,
            ),
        )
    return children[0]


def _by_serial(data: etree._Element, certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    pair = list(islice(_find_single_child(data, _ISSUER_SERIAL), 3))
    if [part.tag for part in pair] != [_ISSUER, _SERIAL] or any(len(part) for part in pair):
        raise Unverified("signature-invalid", phrase("X509IssuerSerial must hold X509IssuerName and X509SerialNumber"))
    issuer, serial = ((part.text or "").strip() for part in pair)
    if len(issuer) > _LONGEST_NAME:
        return []
    try:
        name = x509.Name.from_rfc4514_string(_AFTER_COMMA.sub(",", issuer), _OTHER_NAMES)
    except ValueError:
        return []
    names = (name, x509.Name(reversed(list(name.rdns))))  # some toolkits write the name in reverse order
    return [one for one in certificates if str(one.serial_number) == serial and one.issuer in names]


def _by_identifier(identifier: etree._Element, certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    kind, wanted = identifier.get("ValueType"), decode_base64_leaf(identifier)
    if identifier.get("EncodingType", BASE64) == BASE64:
        if kind == _THUMBPRINT:
            return [one for one in certificates if one.fingerprint(hashes.SHA1()) == wanted]  # noqa: S303 - only a name
        if kind == _SKI:
            return [one for one in certificates if _read_key_identifier(one) == wanted]
    raise Unverified("signature-invalid", f"KeyIdentifier {str(kind)[:200]}")


def filter_by_octets(content: bytes, certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return those of *certificates* whose DER is *content*. *content* is not parsed."""
    return [one for one in certificates if _encode_der(one) == content]


@lru_cache(1024)
def _encode_der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@lru_cache(1024)
def _read_key_identifier(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):  # absent or malformed
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def read_enclosed_certificate(key_info: etree._Element) -> bytes:
    """Return the octets of the one certificate that *key_info* holds in X509Data. Does not verify it."""
    return decode_base64_leaf(_find_single_child(_find_single_child(key_info, _X509_DATA), _X509_CERTIFICATE))


def list_shown_certificates(key_info: etree._Element, space: str = DS) -> list[bytes]:
    """Return the octets of all certificates in *key_info*: the signer's, and perhaps its chain.

    Its elements are in *space*. They are in one X509Data. Its other elements only describe them and are ignored, as is
    a KeyValue beside it. Nothing is verified. Raises Unverified: `signature-invalid`.
    """
    data = [child for child in key_info if child.tag != f"{{{space}}}KeyValue"]
    if [child.tag for child in data] != [f"{{{space}}}X509Data"]:
        raise Unverified("signature-invalid", phrase("KeyInfo must hold one X509Data"))
    names = {f"{{{space}}}X509{name}" for name in ("Certificate", "SubjectName", "IssuerSerial", "SKI")}
    if not {child.tag for child in data[0]} <= names:
        raise Unverified("signature-invalid", phrase("X509Data may hold certificates and their names"))
    found = [decode_base64_leaf(child) for child in data[0].iterchildren(f"{{{space}}}X509Certificate")]
    if not 0 < len(found) <= _MOST_SHOWN:
        raise Unverified(
            "signature-invalid",
            phrase("{count} certificates in KeyInfo; 1 to {most} are accepted", count=len(found), most=_MOST_SHOWN),
        )
    return found
