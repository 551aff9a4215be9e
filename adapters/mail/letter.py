"""Writes the mail that carries a message to a unit: text, the message as attachment, and the hub's S/MIME signature.

Follows RFC 8551. Knows MIME. Does not know how the mail is sent. The text is Vietnamese, as the agencies read it. The
signed part is written exactly as it is
transmitted, in lines of ASCII that end with CRLF, so that no mail server on the way has a reason to change it.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

from hub.domain.model import Consignment, Message
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.language.terms import name_word
from hub.security import cms
from hub.security.certificates import Signer

_DOCUMENTS = "documents"


def write_mail(consignment: Consignment, sender: str, addresses: Sequence[str], signer: Signer, now: datetime) -> bytes:
    """Return the mail, signed by *signer*. Raises Unready if the signer's key cannot be used now.

    The Message-ID depends only on the hub's id of the message. It is the same on every repetition, so that mail
    programs show it once.
    """
    message = consignment.message
    signed = _write_signed_part(consignment)
    signature = cms.sign_cms(signed, signer, now)
    boundary = _make_boundary(message, "ky")
    digest = "sha-384" if signer.method.endswith("384") else "sha-256"
    head = (
        f"From: {sender}",
        f"To: {', '.join(addresses)}".replace(", ", ",\r\n "),
        f"Subject: {_encode_header(_write_subject(message))}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{message.id}@{sender.partition('@')[2]}>",
        "Auto-Submitted: auto-generated",  # asks for no out-of-office reply (RFC 3834)
        "MIME-Version: 1.0",
        f'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n micalg={digest}; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "",
    )
    tail = (
        "",
        f"--{boundary}",
        'Content-Type: application/pkcs7-signature; name="smime.p7s"',
        "Content-Transfer-Encoding: base64",
        'Content-Disposition: attachment; filename="smime.p7s"',
        "",
        _encode_base64(signature),
        f"--{boundary}--",
        "",
    )
    return b"".join(("\r\n".join(head).encode("ascii"), signed, "\r\n".join(tail).encode("ascii")))


def _write_signed_part(consignment: Consignment) -> bytes:
    """Return the signed part: the text and the attachment."""
    message = consignment.message
    packet = message.service == _DOCUMENTS
    name = f"{'goi-tin' if packet else _make_plain(message.service)}-{message.id}.{'edxml' if packet else 'xml'}"
    text = "".join(f"{'' if line is None else _say_to_agencies(line)}\r\n" for line in _write_letter_text(consignment))
    boundary = _make_boundary(message, "thu")
    lines = (
        f'Content-Type: multipart/mixed; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: base64",
        "",
        _encode_base64(text.encode()),
        f"--{boundary}",
        f'Content-Type: application/xml; name="{name}"',
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment; filename="{name}"',
        "",
        _encode_base64(consignment.content),
        f"--{boundary}--",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def _write_letter_text(consignment: Consignment) -> Iterator[Phrase | None]:
    """Yield the lines of the text. None: an empty line."""
    message, none = consignment.message, phrase("(none)")
    yield phrase("To: {units}", units=", ".join(consignment.recipients))
    yield None
    if message.service == _DOCUMENTS:
        yield phrase(
            "The interconnection hub sends your unit an electronic document packet (edXML), which is attached."
        )
    else:
        yield phrase(
            "The interconnection hub sends your unit a notice of the service “{service}”, which is attached.",
            service=name_word("service", message.service),
        )
    yield None
    yield phrase("Sender: {sender}", sender=message.sender or message.partner)
    yield phrase("Subject: {subject}", subject=message.subject or none)
    yield phrase("Document id: {document}", document=message.document_id or none)
    yield phrase("The hub's message id: {message}", message=message.id)
    yield phrase("SHA-256 of the file: {sha256}", sha256=message.sha256)
    yield None
    yield phrase(
        "This mail has the digital signature (S/MIME) of the interconnection hub. Please verify the signature before "
        "you open the file. The mail was sent automatically; please do not reply."
    )


def _write_subject(message: Message) -> str:
    title = message.subject or message.document_id or message.id
    if message.service == _DOCUMENTS:
        return _say_to_agencies(phrase("[Document] {title}", title=title))
    return f"[{translate(name_word('service', message.service), Language.VI)}] {title}"


def _say_to_agencies(text: Phrase) -> str:
    """Return *text* in the language of the agencies."""
    return translate(text, Language.VI)


def _encode_header(text: str) -> str:
    """Return *text* encoded for a header (RFC 2047). Line breaks, which would end the header, become spaces."""
    return Header(" ".join(text.split())[:500], "utf-8", header_name="Subject").encode(linesep="\r\n")


def _make_boundary(message: Message, which: str) -> str:
    return f"lienthong-{which}-{_make_plain(message.id)}"  # no line of base64 begins with a dash


def _make_plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)


def _encode_base64(octets: bytes) -> str:
    """Return *octets* in base64, in lines of 76 characters."""
    return base64.encodebytes(octets).decode("ascii").replace("\n", "\r\n").removesuffix("\r\n")
