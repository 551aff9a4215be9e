"""Mails: parts in parts, heads, fields, lines that look like boundaries, signatures; from anybody."""

from collections.abc import Mapping
from functools import cache

from adapters.mail import opening, parts
from adapters.mail.addresses import MailUnusable
from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.security.anchors import Anchors
from tests import pki
from tests.pki import NOW

DIMENSIONS: dict[str, int | None] = {
    "parts": parts.PARTS,
    "depth": parts.DEPTH,
    "forwards": parts.DEPTH,  # mails in one another
    "fields": None,  # of the head
    "part_fields": None,  # of the head of each part
    "parameters": parts.FIELD // 2,  # of a field of each part
    "quotes": parts.FIELD // 2,
    "continuations": parts.FIELD // 8,  # numbered ones (RFC 2231)
    "boundary": 2000,  # its length
    "looks": parts.LOOKS,
    "near": None,  # lines that begin as a boundary does, but for the last letter
    "lines": None,
    "blocks": None,  # of a delivery status
    "letters": None,  # of content
    "elements": None,  # of a signature
    "layers": 39,  # around them
    "signers": None,
}
FILLER = "lines"
FORMS = {
    "kind": ("mixed", "mixed", "signed", "enclosed", "plain"),
    "encoding": ("base64", "quoted-printable", "uuencode", "8bit"),
    "end": ("\n", "\r\n"),
}

WORST = [
    ({"fields": 20_000}, {"kind": "plain", "encoding": "8bit", "end": "\n"}),
    ({"parts": 15, "parameters": 4000}, {"kind": "mixed", "encoding": "8bit", "end": "\n"}),
    ({"parts": parts.PARTS - 1}, {"kind": "mixed", "encoding": "uuencode", "end": "\n"}),
    ({"elements": 20_000, "layers": 30}, {"kind": "enclosed", "encoding": "8bit", "end": "\n"}),
    ({"signers": 700}, {"kind": "signed", "encoding": "8bit", "end": "\n"}),
]


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


@cache
def _oid(number: int) -> bytes:
    return bytes.fromhex("06092a864886f70d0107") + bytes([number])


def _signature(have: Mapping[str, int]) -> bytes:
    """Return signed data with so many certificates that are none, and signers that nobody knows."""
    algorithm = _element(0x30, bytes.fromhex("0609608648016503040201"))
    signer = _element(
        0x30,
        b"\x02\x01\x03"
        + _element(0x80, b"x")
        + algorithm
        + _element(0xA0, _element(0x30, _oid(1) + b"\x31\x00"))
        + algorithm
        + b"\x04\x00",
    )
    inner = b"\x05\x00" * have["elements"]
    for layer in range(have["layers"]):
        inner = _element(0x31 if layer % 2 else 0x30, inner)
    signed = (
        b"\x02\x01\x01"
        + _element(0x31, algorithm)
        + _element(0x30, _oid(1))
        + (_element(0xA0, inner) if inner else b"")
    )
    signed += _element(0x31, signer * have["signers"])
    return _element(0x30, _oid(2) + _element(0xA0, _element(0x30, signed)))


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    end, mark = form["end"], "b" * max(1, have["boundary"])
    field = ";".join(
        ["a"] + ['"'] * have["quotes"] + [""] * have["parameters"] + [f"n*{n}=1" for n in range(have["continuations"])]
    )
    head = "".join(f"{name}{end}" for name in ["X:"] * have["part_fields"])
    head += f"Content-Type: application/xml{end}Content-Transfer-Encoding: {form['encoding']}{end}Content-Disposition: {field}{end}{end}"
    body = (
        "A" * have["letters"]
        + end * have["lines"]
        + f"--{mark}x{end}" * have["looks"]
        + f"--{mark[1:]}x{end}" * have["near"]
    )
    text = "".join(f"X:{end}" for _ in range(have["fields"]))
    if form["kind"] == "signed":
        inside = f"{end}--{mark}{end}"
        text += f"Content-Type: multipart/signed; boundary={mark}{end}{end}{inside}{body}{inside}Content-Type: application/pkcs7-signature{end}{end}"
        return text.encode() + _signature(have) + f"{end}--{mark}--".encode()
    if form["kind"] == "enclosed":
        return (text + f"Content-Type: application/pkcs7-mime{end}{end}").encode() + _signature(have)
    for number in range(have["depth"]):
        text += f"Content-Type: multipart/mixed; boundary={mark}{number}{end}{end}--{mark}{number}{end}"
    text += f"Content-Type: message/rfc822{end}{end}" * have["forwards"]
    if have["blocks"]:
        return (text + f"Content-Type: message/delivery-status{end}{end}" + f"X:{end}{end}" * have["blocks"]).encode()
    if form["kind"] == "plain":
        return (text + head + body).encode()
    each = f"{end}--{mark}{end}"
    return (
        text
        + f"Content-Type: multipart/mixed; boundary={mark}{end}{end}"
        + (each + head) * max(1, have["parts"])
        + body
    ).encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return content


@cache
def judge() -> opening.MailTrust:
    """Return a judge that knows thirty signers."""
    signers = [pki.partner(f"clerk {number}", "p256").certificate for number in range(30)]
    return opening.MailTrust(signers, Anchors([pki.authority().certificate]))


def read(content: bytes) -> None:
    try:
        _ = opening.open_mail_packets(content, judge(), NOW)
    except MailUnusable as unusable:
        raise Rejected(Problem(f"mail-unusable: {unusable}"[:60], "")) from None
