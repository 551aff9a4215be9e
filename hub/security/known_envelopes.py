"""Verifies signed envelopes of a form that was verified before. Knows which texts of a signed envelope may vary.

The form of an envelope is all of it except a few texts: the times of the Timestamp, the digests, the signature value,
and those that the caller names. Everything that `wss_verify.verify_envelope` decides from the other parts is the same
for each envelope of one form: which elements are signed, by which algorithms, in which canonical form, and with which
certificate. It is decided once, by the same functions, on a stand-in: the envelope with random texts in these places.
Their canonical forms with the texts of another envelope are the canonical forms of that envelope, because these texts
are plain (`hub.formats.known_markup`). What depends on the texts is checked for every envelope: digests, value, time.

This module never refuses anything. An envelope that it does not accept is to be verified in the usual way.
"""

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from hub.formats import xsd_types
from hub.formats.base64_text import decode_strict_base64, encode_base64
from hub.security import algorithms, kept_envelopes, wss_tokens, wss_verify, xmldsig
from hub.security.algorithms import DS, Digest, Method, Unverified
from hub.security.certificates import hash_certificate
from hub.security.kept_envelopes import KeptEnvelope, KeptForm, LeftOut, SignedPart
from hub.security.wss_tokens import TOKEN

_DIGEST_VALUE = "/".join(f"{{{DS}}}{name}" for name in ("SignedInfo", "Reference", "DigestValue"))
_SIGNATURE_VALUE = f"{{{DS}}}SignatureValue"
_STAND_IN = 33  #: random octets of a stand-in: 44 characters of base64 without padding

Texts = Sequence[bytes]


def list_varied_texts(frame: wss_verify.Frame) -> list[etree._Element]:
    """Return the elements of a verified envelope whose texts may vary: times, digests, value."""
    return [
        *wss_verify.list_lifetime_leaves(frame.timestamp),
        *frame.signature.iterfind(_DIGEST_VALUE),
        *frame.signature.iterfind(_SIGNATURE_VALUE),
    ]


def make_stand_in() -> bytes:
    """Return a new random text that stands for one that varies. It is canonical base64, and plain."""
    return encode_base64(secrets.token_bytes(_STAND_IN))


@attrs.frozen(eq=False)
class CanonicalPattern:
    """A canonical form with places for texts."""

    _pieces: tuple[bytes, ...]  #: empty at the places
    _places: tuple[tuple[int, int], ...]  #: index of the piece, and index of its text

    @classmethod
    def of(cls, canonical: bytes, stand_ins: Mapping[bytes, int]) -> "CanonicalPattern":
        """Return the pattern of *canonical*, in which each of the *stand_ins* stands for the text with its index."""
        pieces, places = [], []
        for at, piece in enumerate(re.split(b"(" + b"|".join(map(re.escape, stand_ins)) + b")", canonical)):
            pieces.append(b"" if at % 2 else piece)
            if at % 2:
                places.append((at, stand_ins[piece]))
        return cls(tuple(pieces), tuple(places))

    def cut(self, texts: Texts, at: int) -> tuple[bytes, bytes] | None:
        """Return the canonical form with *texts* before and behind the place of the text with the index *at*.

        None: it has no such place.
        """
        place = next((place for place, text in self._places if text == at), None)
        if place is None:
            return None
        pieces = list(self._pieces)
        for there, text in self._places:
            pieces[there] = texts[text]
        return b"".join(pieces[:place]), b"".join(pieces[place + 1 :])

    def list_pieces(self, packet: int) -> list[bytes | int | None]:
        """Return the fixed texts, and the indices of the texts between them. None: the text with the index *packet*."""
        places = dict(self._places)
        return [places.get(at, piece) if places.get(at) != packet else None for at, piece in enumerate(self._pieces)]

    def fill(self, texts: Texts) -> bytes:
        """Return the canonical form with *texts* at its places."""
        pieces = list(self._pieces)
        for at, text in self._places:
            pieces[at] = texts[text]
        return b"".join(pieces)


@attrs.frozen(eq=False)
class _SignedPart:
    """The claim of one Reference."""

    pattern: CanonicalPattern
    digest: Digest
    value: int  #: index of the text of its DigestValue
    uri: str


@attrs.frozen
class KnownSignature:
    """What the signature of an envelope of a known form proves."""

    signed: bytes  #: as in `wss_verify.Verified.signed`
    expires: datetime
    signature_value: bytes = b""


@attrs.frozen(eq=False)
class EnvelopeForm:
    """The form of an envelope that was verified once. Texts have the indices with which it was learned."""

    certificates: Sequence[x509.Certificate]  #: those among which the signer was found
    certificate: x509.Certificate  #: the signer's
    chain: tuple[x509.Certificate, ...]
    headers: tuple[tuple[str, str], ...]  #: tag and text of other signed children of the Header
    _method: Method
    _key: RSAPublicKey | EllipticCurvePublicKey  #: the certificate's, which fits the method
    _signed: CanonicalPattern
    _parts: tuple[_SignedPart, ...]
    value: int  #: its text is in no canonical form
    _created: int
    _expires: int

    @classmethod
    def learn(
        cls,
        root: etree._Element,
        varied: Sequence[etree._Element],
        stand_ins: Sequence[bytes],
        certificates: Sequence[x509.Certificate],
    ) -> "EnvelopeForm | None":
        """Learn the form of the stand-in *root*, whose *varied* elements have the texts *stand_ins*.

        An envelope with these tags and fixed texts has been verified with one of *certificates*, without SHA-1. Returns
        None for a form that is always verified in the usual way: one with a Reference to a token by STR-Transform.
        Raises Unverified.
        """
        frame = wss_verify.Frame.of(root)
        header, body, security, timestamp = frame.header, frame.body, frame.security, frame.timestamp
        signature = xmldsig.read_signature(frame.signature, dialect=wss_verify.ENVELOPE_DIALECT)
        certificate, chain = wss_tokens.find_token_signer(signature.key_info, security, certificates, frame.ids)
        places = (body, timestamp, *security.iterchildren(TOKEN))
        referred = wss_verify.list_referred(signature, places, header, security, frame.ids)
        covered = [element for _, element in referred]
        if body not in covered or timestamp not in covered or any(reference.pointer for reference, _ in referred):
            return None
        xmldsig.require_short_prefix_lists(referred)
        index = {text: at for at, text in enumerate(stand_ins)}
        parts = [
            _SignedPart(
                CanonicalPattern.of(xmldsig.canonicalize_element(element, reference.form), index),
                reference.digest,
                index[encode_base64(reference.value)],
                reference.uri,
            )
            for reference, element in sorted(referred, key=lambda each: each[1] is not timestamp)
        ]
        created, expires = wss_verify.list_lifetime_leaves(timestamp)
        return cls(
            certificates,
            certificate,
            chain,
            tuple((part.tag, xsd_types.read_xs_token(part)) for part in covered if part.getparent() is header),
            signature.method,
            algorithms.require_fitting_key(signature.method, certificate),
            CanonicalPattern.of(signature.signed, index),
            tuple(parts),
            index[encode_base64(signature.value)],
            varied.index(created),
            varied.index(expires),
        )

    def verify(self, texts: Texts, now: datetime, max_age: timedelta, skew: timedelta) -> KnownSignature | None:
        """Verify the envelope with these *texts*, as `wss_verify.verify_envelope` does. Return None if in doubt.

        The texts are plain, but there may be white space in the value, and in a text of the caller's that has no `&`,
        `<`, `>` or carriage return. The cheap checks come first, so that an envelope that was changed costs one digest more
        than in the usual way.
        """
        created, expires = (wss_verify.read_timestamp(texts[at].decode()) for at in (self._created, self._expires))
        if created is None or expires is None:
            return None
        if wss_verify.describe_untimely(created, expires, now, max_age, skew) is not None:
            return None
        for part in self._parts:
            said = encode_base64(part.digest(part.pattern.fill(texts)).digest())
            if not hmac.compare_digest(said, texts[part.value]):
                return None
        signed, value = self._signed.fill(texts), decode_plain_base64(texts[self.value])
        try:
            algorithms.check_value_of_key(self._method, self._key, value, signed)
        except Unverified:
            return None
        return KnownSignature(signed, expires, value)

    def keep_whole(self, texts: Texts, packet: int, found: KnownSignature) -> KeptEnvelope:
        """Return the signed parts, whole, of the envelope with these *texts*, whose signature was *found* to be valid.

        *packet*: index of the text that is the packet.
        """
        parts = []
        for part in self._parts:
            around = part.pattern.cut(texts, packet)
            if around is None:
                parts.append(SignedPart(part.uri, part.pattern.fill(texts)))
                continue
            laid = kept_envelopes.read_line_width(texts[packet])
            if laid is None:
                return kept_envelopes.leave_out(self._der, LeftOut.LAYOUT)
            parts.append(SignedPart(part.uri, around[0] + laid[0], laid[2] + around[1], laid[1]))
        return kept_envelopes.pack_parts(self._der, found.signed, found.signature_value, parts)

    def make_kept_form(self, packet: int) -> KeptForm | None:
        """Return what is kept once for all envelopes of this form. None: they are kept whole.

        *packet*: index of the text that is the packet.
        """
        parts = [(part.uri, part.pattern.list_pieces(packet)) for part in self._parts]
        return KeptForm.of(self._der, self._signed.list_pieces(packet), parts)

    @cached_property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the signer's certificate, in hex."""
        return hash_certificate(self.certificate)

    @cached_property
    def _der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def decode_plain_base64(text: bytes) -> bytes:
    """Return the octets of base64. Return nothing for a *text* with anything else, or stray bits.

    A canonical form contains blanks and line feeds as they are. A carriage return is in doubt, and so refused.
    """
    written = text.translate(None, b" \t\n") if b"\n" in text or b" " in text else text
    try:
        return decode_strict_base64(written)
    except ValueError:
        return b""
