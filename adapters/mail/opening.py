"""A mail that came in, opened: who signed it, and the packets in it.  Knows MIME and S/MIME; not where it came from.

Nothing that a mail says of itself counts: neither its sender nor its subject.  What counts is the signature, of the mail or of each
packet in it, by a certificate that the operator configured.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email import message_from_bytes
from email.message import Message as Mime
from email.policy import Compat32

import attrs
from cryptography import x509

from adapters.mail.addresses import Unusable
from hub import cms, enveloped, markup, xmldsig
from hub.certificates import SIGN, Anchors
from hub.errors import Rejected
from hub.model import Standing
from hub.spool import Octets

#: So many parts may a mail have, one in another or side by side; its packets among them.
_PARTS = 64
#: And so many ends of lines: `email` looks at each line once for every part that is open, and keeps it apart.
_LINES = 2_000_000
#: And so many characters a field with parameters: `email` looks at what comes before each semicolon of it, each time it is asked.
_FIELD = 4096
_WITH_PARAMETERS = {"content-type", "content-disposition"}
_NESTING = re.compile(rb"(?i)multipart/|message/rfc822")
_SIGNATURES = {"application/pkcs7-signature", "application/x-pkcs7-signature"}
_ENCLOSED = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_XML = {"application/xml", "text/xml", "application/edxml", "application/edxml+xml", "application/vnd.edxml"}
_NAMES = (".edxml", ".xml")
_BLANK = re.compile(rb"\r?\n\r?\n")


@attrs.frozen
class Judge:
    """By what a mail is judged."""

    signers: Sequence[x509.Certificate]  #: who may sign a mail, or a packet in it
    anchors: Anchors


class _Bounded(Compat32):
    """How `email` reads a mail, but for fields that would keep it busy for hours."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        """See `Policy`."""
        name, value = super().header_source_parse(sourcelines)
        if name.lower() in _WITH_PARAMETERS and len(value) > _FIELD:
            raise Unusable(f"{name} has more than {_FIELD} characters")
        return name, value


def packets(octets: bytes, judge: Judge, now: datetime) -> tuple[bytes, ...]:
    """Return the packets of a mail, each as its octets were attached.  Raises Unusable: not signed as it must be, or none in it."""
    try:
        return _packets(octets, judge, now)
    except (ValueError, LookupError, TypeError, RecursionError) as error:  # what `email` does not understand, it raises
        raise Unusable(f"it cannot be read: {error!r}"[:500]) from None


def name(packet: bytes) -> str:
    """Return what a packet is called: the SHA-256 of its octets; without its own signature in one spelling, where it has one.

    Such a signature holds in other spellings too, and whoever has a copy may write one: it is the same packet, not another.
    """
    try:
        root = markup.parse(packet)
        signatures = [each for each in xmldsig.claims(root) if each is not root]
        if len(signatures) == 1:
            return xmldsig.bare_digest(root, signatures[0])
    except Rejected:
        pass  # the hub will say why it does not take it
    return hashlib.sha256(packet).hexdigest()


def _packets(octets: bytes, judge: Judge, now: datetime) -> tuple[bytes, ...]:
    signed = _signed(octets, judge, now)
    found = tuple(_attached(_parse(octets if signed is None else signed)))
    if not found:
        raise Unusable("there is no packet in it")
    if signed is None:
        for packet in found:
            _check_packet(packet, judge, now)
    return found


def _signed(octets: bytes, judge: Judge, now: datetime) -> bytes | None:
    """Return what the mail's signature covers; None when it has none.  Raises Unusable when it does not count."""
    head = _parse(octets[: _body(octets)])
    kind = head.get_content_type()
    if kind == "multipart/signed":
        content, signature = _two(octets[_body(octets) :], str(head.get_param("boundary", "")))
        last = _parse(signature)
        if last.get_content_type() not in _SIGNATURES:
            raise Unusable(f"it is signed by {last.get_content_type()}, not S/MIME")
        return _verified(_payload(last), content, judge, now)
    if kind in _ENCLOSED:
        return _verified(_payload(_parse(octets)), None, judge, now)
    return None


def _verified(signature: bytes, content: bytes | None, judge: Judge, now: datetime) -> bytes:
    try:
        covered, certificate = cms.verify(signature, judge.signers, content)
        judge.anchors.check(certificate, now, purpose=SIGN)
    except Rejected as refused:
        raise Unusable(str(refused)) from None
    return covered


def _check_packet(packet: bytes, judge: Judge, now: datetime) -> None:
    try:
        root = markup.parse(packet)
    except Rejected as refused:
        raise Unusable(f"neither the mail nor the packet is signed: {refused}") from None
    found = enveloped.judge(root, Octets.of(packet), judge.signers, judge.anchors, now)
    if found.standing is not Standing.VALID:
        said = f"{found.code} {found.detail}".strip() or found.standing.value
        raise Unusable(f"the mail is not signed, and its packet: {said}")


def _two(body: bytes, boundary: str) -> tuple[bytes, bytes]:
    """Return the two parts of a multipart/signed, each to the octet; the line's end before a boundary is the boundary's (RFC 2046, 5.1.1)."""
    mark = re.escape(boundary.encode("utf-8", "surrogateescape"))
    parts = re.split(rb"(?:\A|\r?\n)--" + mark + rb"(?:--)?[ \t]*(?=\r?\n|\Z)", body) if boundary else []
    if len(parts) != 4:
        raise Unusable(f"a multipart/signed has two parts, this one {max(len(parts) - 2, 0)}")
    first, second = (re.sub(rb"\A\r?\n", b"", part, count=1) for part in parts[1:3])
    return first, second


def _attached(mail: Mime) -> Iterator[bytes]:
    for part in mail.walk():
        if part.is_multipart():
            continue
        name = str(part.get_filename("") or "").lower()
        if part.get_content_type() in _XML or name.endswith(_NAMES):
            yield _payload(part)


def _parse(octets: bytes) -> Mime:
    if len(_NESTING.findall(octets)) > _PARTS:
        raise Unusable(f"it has more than {_PARTS} parts")
    if octets.count(b"\n") + octets.count(b"\r") > _LINES:
        raise Unusable(f"it has more than {_LINES // 2} lines")
    return message_from_bytes(octets, policy=_Bounded())


def _payload(part: Mime) -> bytes:
    found = part.get_payload(decode=True)
    if not isinstance(found, bytes):
        raise Unusable("a part holds parts")
    return found


def _body(octets: bytes) -> int:
    """Return where the head ends."""
    found = _BLANK.search(octets)
    return len(octets) if found is None else found.end()
