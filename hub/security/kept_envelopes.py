"""The signed parts of a verified envelope, as they are kept with its message, and their verification afterwards.

Knows what to keep so that the signature can be verified again without the envelope: SignedInfo and the value, and each
signed part in its canonical form. The base64 of the packet is cut out of the Body, because the packet is kept already.
Does not know where they are kept, nor whether a certificate is trusted.

There are two ways to keep them. *Whole*: a JSON object, compressed with a dictionary of the texts that every envelope
has. *By their form*, where the envelope is of a known form (`hub.security.known_envelopes`): what all envelopes of the
form have in common is kept once, named by its SHA-256, and of each envelope only that name and its own texts. It takes
a tenth of the time. Beyond `MOST` octets, or where the base64 is laid out otherwise than in lines of one length, only
the reason is kept (`left_out`).
"""

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from hub.domain.errors import Rejected
from hub.formats import safe_xml
from hub.formats.known_markup import make_text_getter
from hub.formats.markup_memory import Texts
from hub.formats.spool import Octets
from hub.formats.streamed_xml import Load, Loads
from hub.security import algorithms
from hub.security.algorithms import DIGESTS, METHODS, SHA1_DIGESTS, SHA1_METHODS
from hub.security.wss_verify import Verified
from hub.security.xmldsig import canonicalize_element

#: Maximum octets of the parts of one envelope, before they are compressed.
MOST = 64 * 1024
#: The most octets that are unpacked: `MOST`, escaped in JSON.
_UNPACKED = 8 * MOST
#: Maximum octets of an envelope's own texts and blanks that are kept by its form. With longer ones it is kept whole.
MOST_TEXTS = 2048
#: First octet of what is kept by a form. No deflate stream begins with it: block type 11 is reserved (RFC 1951, 3.2.3).
_BY_FORM = b"\x07"
#: Octets of the name of a form: its SHA-256.
_NAME = 32
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-"
#: Texts of every envelope, the most frequent last (RFC 1950, 2.2). A stored envelope needs the same dictionary for ever.
_DICTIONARY = (
    '<ds:InclusiveNamespaces xmlns:ds="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="soap soapenv wsse wsu">'
    '<soapenv:Body xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:soap="http://www.w3.org/2003/05/soap-envelope" '
    f'<wsse:BinarySecurityToken xmlns:wsse=\\"{_WSS}secext-1.0.xsd\\" EncodingType=\\"'
    f'{_WSS}soap-message-security-1.0#Base64Binary\\" ValueType=\\"{_WSS}x509-token-profile-1.0#X509v3\\" wsu:Id=\\"'
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512 http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
    '<SendDocument xmlns=\\"urn:lienthong:documents:1\\"><MessageId></MessageId><Packet></Packet></SendDocument>'
    f'<wsu:Timestamp xmlns:wsu=\\"{_WSS}utility-1.0.xsd\\" wsu:Id=\\"TS\\"><wsu:Created>2026-11-24T08:00:00Z</wsu:Created>'
    "<wsu:Expires>2026-11-24T08:05:00Z</wsu:Expires></wsu:Timestamp>"
    f'<soap:Body xmlns:soap=\\"http://schemas.xmlsoap.org/soap/envelope/\\" xmlns:wsu=\\"{_WSS}utility-1.0.xsd\\" '
    'wsu:Id=\\"Body\\"></soap:Body>{"parts":[["#Body",'
    '<ds:SignedInfo xmlns:ds=\\"http://www.w3.org/2000/09/xmldsig#\\"><ds:CanonicalizationMethod Algorithm=\\"'
    'http://www.w3.org/2001/10/xml-exc-c14n#\\"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm=\\"'
    'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\\"></ds:SignatureMethod><ds:Reference URI=\\"#"><ds:Transforms>'
    '<ds:Transform Algorithm=\\"http://www.w3.org/2001/10/xml-exc-c14n#\\"></ds:Transform></ds:Transforms>'
    '<ds:DigestMethod Algorithm=\\"http://www.w3.org/2001/04/xmlenc#sha256\\"></ds:DigestMethod><ds:DigestValue>'
    "</ds:DigestValue></ds:Reference></ds:SignedInfo>"
).encode()


class LeftOut(StrEnum):
    """Why the parts of an envelope are not kept."""

    TOO_LARGE = "too-large"  #: they have more than `MOST` octets
    LAYOUT = "layout"  #: the base64 of the packet is not in lines of one length
    TOKEN = "token"  # noqa: S105 #: a token is signed by an STR-Transform


@attrs.frozen
class SignedPart:
    """What one Reference covers: *before*, the packet's base64 in lines of *width* (0: one line), and *after*.

    *after* None: *before* is all. *before* None: the packet's own octets, a part beside the envelope.
    """

    uri: str
    before: bytes | None
    after: bytes | None = None
    width: int = 0

    @property
    def covers_packet(self) -> bool:
        """Whether the packet is in it."""
        return self.before is None or self.after is not None

    def pieces(self, packet: Octets) -> Iterator[bytes]:
        """Yield the octets that were digested."""
        if self.before is None:
            yield from packet.pieces()
            return
        yield self.before
        if self.after is not None:
            yield from _write_lines(packet, self.width)
            yield self.after


@attrs.frozen(eq=False)
class KeptEnvelope:
    """The packed parts of an envelope, with what is kept once for all messages that need it.

    Two are equal if they tell the same: the one may be kept whole and the other by its form.
    """

    packed: bytes
    certificate: bytes = attrs.field(repr=False)  #: the signer's (DER)
    form: bytes | None = attrs.field(default=None, repr=False)  #: the form that `packed` names; None: kept whole

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeptEnvelope):
            return NotImplemented
        return self.certificate == other.certificate and self.unpack() == other.unpack()

    __hash__ = None  # type: ignore[assignment]  # it would have to be unpacked

    def unpack(self) -> "SignedParts":
        """Return the parts. Raises ValueError for something else."""
        return unpack_parts(self.packed, self.form)


#: A canonical form: its fixed texts, and the indices of the texts between them. None: the base64 of the packet.
Pieces = Sequence[bytes | int | None]


@attrs.frozen(eq=False)
class KeptForm:
    """What all envelopes of one form have in common, as it is kept once for their messages."""

    _certificate: bytes
    _form: bytes  #: packed
    _start: bytes  #: the octets with which each envelope of it begins
    _take: Callable[[Texts], Texts]  #: returns the texts that are kept

    @classmethod
    def of(cls, certificate: bytes, signed: Pieces, parts: Iterable[tuple[str, Pieces]]) -> "KeptForm | None":
        """Return the form of envelopes that are signed with the *certificate* (DER). None: it is too large to be kept.

        *signed*: SignedInfo. *parts*: URI and pieces of each signed part, not more than one packet in each.
        """
        ordered = sorted(parts, key=lambda part: part[0])
        every = [*signed, *(piece for _, pieces in ordered for piece in pieces)]
        most = sum(len(piece) if isinstance(piece, bytes) else MOST_TEXTS for piece in every)
        if most > MOST:  # so no envelope of it can exceed the bound
            return None
        kept = sorted({piece for piece in every if isinstance(piece, int)})
        number = {text: at for at, text in enumerate(kept)}

        def write(pieces: Pieces) -> list[str | int | None]:
            return [
                piece.decode() if isinstance(piece, bytes) else None if piece is None else number[piece]
                for piece in pieces
            ]

        form = _compress_said(
            {
                "parts": [[uri, write(pieces)] for uri, pieces in ordered],
                "signed": write(signed),
                "certificate": hashlib.sha256(certificate).hexdigest(),
            }
        )
        return cls(certificate, form, _BY_FORM + hashlib.sha256(form).digest(), make_text_getter(kept))

    def keep(self, texts: Texts, packet: bytes, value: bytes) -> KeptEnvelope | None:
        """Return the signed parts of the envelope with these *texts*, the base64 *packet* and the signature *value*.

        The texts are plain (`hub.formats.known_markup.are_plain`). None: the parts must be kept whole.
        """
        laid = read_line_width(packet)
        if laid is None:
            return None
        before, width, after = laid
        own = b"\n".join((*self._take(texts), b"%d %d %d" % (len(before), width, len(after)), before + after))
        if len(own) > MOST_TEXTS:
            return None
        return KeptEnvelope(self._start + own + value, self._certificate, self._form)


@attrs.frozen
class SignedParts:
    """The unpacked parts of an envelope."""

    certificate: str  #: SHA-256 of the signer's certificate
    left_out: str = ""  #: a `LeftOut`; then there is nothing else
    signed: bytes = b""  #: SignedInfo in its canonical form
    value: bytes = b""
    parts: tuple[SignedPart, ...] = ()


@attrs.frozen
class VerifiedAgain:
    """The result of verifying kept parts."""

    holds: bool
    why: str = ""  #: the first thing that is wrong
    covers_packet: bool = False


def keep_verified_envelope(verified: Verified, leaf: etree._Element | None, size: int, loads: Loads) -> KeptEnvelope:
    """Return the signed parts of the *verified* envelope.

    *leaf*: the element of the verified tree whose text is the packet's base64; None: the Body has no packet, which may be
    a part beside it. *size*: octets of the packet.
    """
    der = verified.certificate.public_bytes(Encoding.DER)
    parts = [SignedPart(f"cid:{name}", None) for name in verified.attached]
    for reference, element in verified.referred:
        if reference.pointer:
            return leave_out(der, LeftOut.TOKEN)
        canonical = canonicalize_element(element, reference.form)
        if element is not verified.body or leaf is None:
            if len(canonical) > MOST or any(isinstance(piece, Load) for piece in loads.split(canonical)):
                return leave_out(der, LeftOut.TOO_LARGE)
            parts.append(SignedPart(reference.uri, canonical))
            continue
        found = _cut_packet(reference.uri, canonical, leaf, size, loads)
        if found is None:
            return leave_out(der, LeftOut.LAYOUT)
        parts.append(found)
    return pack_parts(der, verified.signed, verified.signature_value, parts)


def pack_parts(certificate: bytes, signed: bytes, value: bytes, parts: Iterable[SignedPart]) -> KeptEnvelope:
    """Pack the parts of an envelope signed with the *certificate* (DER)."""
    ordered = sorted(parts, key=lambda part: part.uri)
    if len(signed) + sum(len(part.before or b"") + len(part.after or b"") for part in ordered) > MOST:
        return leave_out(certificate, LeftOut.TOO_LARGE)
    rows = [
        [part.uri, _decode_text(part.before), _decode_text(part.after), *([part.width] if part.width else [])]
        for part in ordered
    ]
    said: dict[str, object] = {"parts": rows, "signed": signed.decode(), "value": base64.b64encode(value).decode()}
    return _pack_envelope(certificate, said)


def read_line_width(text: bytes) -> tuple[bytes, int, bytes] | None:
    """Return the blanks before base64, the length of its lines (0: one line), and the blanks behind. None: other lines."""
    if b"\n" not in text and b" " not in text and b"\t" not in text:
        return b"", 0, b""
    inner = text.strip(b" \t\n")
    start = text.index(inner) if inner else 0
    lines = inner.split(b"\n")
    width = len(lines[0]) if len(lines) > 1 else 0
    regular = all(len(line) == width for line in lines[:-1]) and len(lines[-1]) <= (width or len(inner))
    if not regular or b" " in inner or b"\t" in inner:
        return None
    return text[:start], width, text[start + len(inner) :]


def read_form_name(packed: bytes) -> str | None:
    """Return the SHA-256 of the form by which *packed* is kept. None: it is kept whole."""
    return packed[1 : 1 + _NAME].hex() if packed[:1] == _BY_FORM else None


def unpack_parts(packed: bytes, form: bytes | None = None) -> SignedParts:
    """Return the parts of which `pack_parts` or `KeptForm.keep` made *packed*, with the *form* that it names.

    Raises ValueError for anything else.
    """
    name = read_form_name(packed)
    if name is not None and (form is None or hashlib.sha256(form).hexdigest() != name):
        raise ValueError(f"no kept envelope: the form {name} is missing")
    try:
        if form is None:
            return _read_whole(_decompress_packed(packed))
        return _read_by_form(packed[1 + _NAME :], _decompress_packed(form))
    except (zlib.error, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no kept envelope: {error}") from None


def _read_whole(said: Any) -> SignedParts:
    parts = tuple(
        SignedPart(uri, _encode_text(before), _encode_text(after), *width)
        for uri, before, after, *width in said.get("parts", ())
    )
    value = base64.b64decode(said.get("value", ""))
    return SignedParts(said["certificate"], said.get("left_out", ""), said.get("signed", "").encode(), value, parts)


def _read_by_form(own: bytes, said: Any) -> SignedParts:
    every = [*said["signed"], *(piece for _, pieces in said["parts"] for piece in pieces)]
    count = len({piece for piece in every if isinstance(piece, int)})
    *texts, layout, rest = own.split(b"\n", count + 1)
    before, width, after = map(int, layout.split(b" "))

    def write(pieces: Sequence[str | int]) -> bytes:
        return b"".join(texts[piece] if isinstance(piece, int) else piece.encode() for piece in pieces)

    parts = []
    for uri, pieces in said["parts"]:
        if None not in pieces:
            parts.append(SignedPart(uri, write(pieces)))
            continue
        at = pieces.index(None)
        start, end = write(pieces[:at]) + rest[:before], rest[before : before + after] + write(pieces[at + 1 :])
        parts.append(SignedPart(uri, start, end, width))
    value = rest[before + after :]
    return SignedParts(said["certificate"], "", write(said["signed"]), value, tuple(parts))


def verify_parts(kept: SignedParts, certificate: x509.Certificate, packet: Octets) -> VerifiedAgain:
    """Verify the signature over the *kept* parts and the *packet* again, with the signer's *certificate*.

    Whether the certificate is trusted is not judged, and SHA-1 is accepted: the policy of the time tolerated it.
    """
    try:
        root = safe_xml.parse_safe_xml(kept.signed)
        name = root.find(f"{_DS}SignatureMethod").get("Algorithm", "")  # type: ignore[union-attr]
        method = {**METHODS, **SHA1_METHODS}[name]
        algorithms.check_signature_value(method, certificate, kept.value, kept.signed)
        listed = {each.get("URI", ""): each for each in root.iterchildren(f"{_DS}Reference")}
    except (Rejected, ValueError, KeyError, AttributeError) as error:
        return VerifiedAgain(False, str(error))
    if listed.keys() != {part.uri for part in kept.parts}:
        return VerifiedAgain(False, f"{sorted(listed)} ≠ {[part.uri for part in kept.parts]}")
    for part in kept.parts:
        reference = listed[part.uri]
        digest_method, digest_value = (reference.find(f"{_DS}{each}") for each in ("DigestMethod", "DigestValue"))
        assert digest_method is not None
        assert digest_value is not None
        digest = {**DIGESTS, **SHA1_DIGESTS}[digest_method.get("Algorithm", "")](b"")
        for piece in part.pieces(packet):
            digest.update(piece)
        if not hmac.compare_digest(digest.digest(), base64.b64decode(digest_value.text or "")):
            return VerifiedAgain(False, part.uri)
    return VerifiedAgain(True, covers_packet=any(part.covers_packet for part in kept.parts))


def _cut_packet(uri: str, canonical: bytes, leaf: etree._Element, size: int, loads: Loads) -> SignedPart | None:
    load = loads.get(leaf)
    if load is not None:
        pieces = list(loads.split(canonical))
        if len(pieces) != 3 or not (load.carried or len(load.octets) == -(-size // 3) * 4):
            return None
        before, _, after = pieces
        assert isinstance(before, bytes)
        assert isinstance(after, bytes)
        return SignedPart(uri, before, after)
    text = (leaf.text or "").encode()
    laid = read_line_width(text)
    at = canonical.find(b">" + text + b"</") + 1
    if laid is None or not at or not text:
        return None
    return SignedPart(uri, canonical[:at] + laid[0], laid[2] + canonical[at + len(text) :], laid[1])


def _write_lines(packet: Octets, width: int) -> Iterator[bytes]:
    written = base64.b64encode(packet.read()) if width or len(packet) <= MOST else None
    if written is None:
        yield from Load(packet, carried=True).canonical()
    elif not width:
        yield written
    else:
        yield b"\n".join(written[at : at + width] for at in range(0, len(written), width))


def leave_out(certificate: bytes, why: LeftOut) -> KeptEnvelope:
    """Return what is kept of an envelope signed with the *certificate* (DER) whose parts are not kept: why not."""
    return _pack_envelope(certificate, {"left_out": why})


def _pack_envelope(certificate: bytes, said: dict[str, object]) -> KeptEnvelope:
    return KeptEnvelope(_compress_said(said | {"certificate": hashlib.sha256(certificate).hexdigest()}), certificate)


def _compress_said(said: dict[str, object]) -> bytes:
    written = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    writer = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    return writer.compress(written.encode()) + writer.flush()


def _decompress_packed(packed: bytes) -> Any:
    reader = zlib.decompressobj(-15, zdict=_DICTIONARY)
    return json.loads(reader.decompress(packed, _UNPACKED))


def _decode_text(octets: bytes | None) -> str | None:
    return None if octets is None else octets.decode()


def _encode_text(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
