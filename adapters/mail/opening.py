"""Opens a received mail: verifies its signature and extracts its packets. Knows MIME and S/MIME. Knows no mailbox.

Nothing that a mail says about itself counts, neither its sender nor its subject. What counts is a signature, of the
mail or of each packet in it, by a certificate that the operator configured.

Cheap checks come first. A mail that claims to be signed is split into parts only after its signature has been verified,
and the signer's certificate is looked up before anything is computed. Worst cost of a mail from anyone: that of
`parts`, plus one signature of at most `SIGNATURE` octets, plus the first packet in it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

import attrs
from cryptography import x509

from adapters.mail.addresses import MailUnusable
from adapters.mail.parts import MailPart, MailSplitter
from hub.domain.errors import Rejected
from hub.domain.model import SignatureStanding
from hub.edxml import packet_signature
from hub.formats import safe_xml
from hub.formats.spool import Octets
from hub.security import cms, xmldsig
from hub.security.anchors import Anchors, Purpose

#: Octets of a detached signature, including the certificates and CRLs in it.
SIGNATURE = 1 << 18
_SIGNATURES = {"application/pkcs7-signature", "application/x-pkcs7-signature"}
_ENCLOSED = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_XML = {"application/xml", "text/xml", "application/edxml", "application/edxml+xml", "application/vnd.edxml"}
_NAMES = (".edxml", ".xml")


@attrs.frozen
class MailTrust:
    """The certificates by which a mail is verified."""

    signers: Sequence[x509.Certificate]  #: who may sign a mail, or a packet in it
    anchors: Anchors


def open_mail_packets(octets: bytes, trust: MailTrust, now: datetime) -> tuple[bytes, ...]:
    """Return the packets of a mail, each with the exact octets of its attachment.

    Raises MailUnusable if the required signature is missing or invalid, or if the mail contains no packet.
    """
    try:
        return _read_packets(octets, trust, now)
    # raised by `email` for input that it cannot parse
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise MailUnusable(f"it cannot be read: {error!r}"[:500]) from None


def name_packet(packet: bytes) -> str:
    """Return the name of a packet: the SHA-256 of its octets.

    For a signed packet, the SHA-256 of a canonical form without the signature.

    Such a signature stays valid in other spellings of the packet, and anyone with a copy can write one. All spellings
    are the same packet.
    """
    try:
        root = safe_xml.parse_safe_xml(packet)
        signatures = [each for each in xmldsig.find_claimed_signatures(root) if each is not root]
        if len(signatures) == 1:
            return xmldsig.hash_without_signature(root, signatures[0])
    except Rejected:
        pass  # the hub refuses it and says why
    return hashlib.sha256(packet).hexdigest()


def _read_packets(octets: bytes, trust: MailTrust, now: datetime) -> tuple[bytes, ...]:
    splitter = MailSplitter(octets)
    whole = splitter.part()
    signed = _read_signed_content(splitter, whole, trust, now)
    if signed is not None:
        splitter = MailSplitter(signed)
        whole = splitter.part()
    found = tuple(_list_attached(splitter.leaves(whole)))
    if not found:
        raise MailUnusable("there is no packet in it")
    if signed is None:
        for packet in found:
            _check_packet(packet, trust, now)
    return found


def _read_signed_content(splitter: MailSplitter, whole: MailPart, trust: MailTrust, now: datetime) -> bytes | None:
    """Return the content that the mail's signature covers; None without a signature.

    Raises MailUnusable if it is invalid.
    """
    if whole.kind == "multipart/signed":
        content, last = _split_in_two(splitter, whole)
        if last.kind not in _SIGNATURES:
            raise MailUnusable(f"it is signed by {last.kind}, not S/MIME")
        signature = last.content()
        if len(signature) > SIGNATURE:
            raise MailUnusable(f"its signature has {len(signature)} octets; at most {SIGNATURE}")
        return _verify_signed(signature, content, trust, now)
    if whole.kind in _ENCLOSED:
        return _verify_signed(whole.content(), None, trust, now)
    return None


def _verify_signed(signature: bytes, content: bytes | None, trust: MailTrust, now: datetime) -> bytes:
    try:
        covered, certificate = cms.verify_cms(signature, trust.signers, content)
        trust.anchors.check(certificate, now, purpose=Purpose.SIGN)
    except Rejected as refused:
        raise MailUnusable(str(refused)) from None
    return covered


def _check_packet(packet: bytes, trust: MailTrust, now: datetime) -> None:
    try:
        root = safe_xml.parse_safe_xml(packet)
    except Rejected as refused:
        raise MailUnusable(f"neither the mail nor the packet is signed: {refused}") from None
    found = packet_signature.judge_packet_signature(root, Octets.of(packet), trust.signers, trust.anchors, now)
    if found.standing is not SignatureStanding.VALID:
        said = f"{found.code} {found.detail}".strip() or found.standing.value
        raise MailUnusable(f"the mail is not signed, and its packet: {said}")


def _split_in_two(splitter: MailSplitter, whole: MailPart) -> tuple[bytes, MailPart]:
    """Return the two parts of a multipart/signed, the first one octet for octet."""
    if not whole.boundary or len(list(islice(splitter.boundaries(whole), 4))) != 3:
        raise MailUnusable("a multipart/signed has two parts, and a boundary before, between and behind them")
    (start, end), last = islice(splitter.between(whole), 2)
    return whole.octets[start:end], splitter.part(*last)


def _list_attached(leaves: Iterable[MailPart]) -> Iterator[bytes]:
    for part in leaves:
        if part.kind in _XML or part.name.lower().endswith(_NAMES):
            yield part.content()
