"""Writes the mail that carries a message to a unit: text, the message as attachment, and the hub's S/MIME signature.

Follows RFC 8551. Knows MIME. Does not know how the mail is sent. The signed part is written exactly as it is
transmitted, in lines of ASCII that end with CRLF, so that no mail server on the way has a reason to change it.
"""

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

from hub.domain.model import Consignment, Message
from hub.security import cms
from hub.security.certificates import Signer

_DOCUMENTS = "documents"
_GREETING = """\
Kính gửi: {units}

Trục liên thông chuyển đến đơn vị {what} trong tệp đính kèm.

Nơi gửi: {sender}
Trích yếu: {subject}
Mã văn bản: {document}
Mã thông điệp của trục: {id}
SHA-256 của tệp: {sha256}

Thư này có chữ ký số S/MIME của trục liên thông. Xin kiểm tra chữ ký trước khi mở tệp. Thư được gửi tự động, xin không trả lời.
"""


def write_mail(consignment: Consignment, sender: str, addresses: Sequence[str], signer: Signer, now: datetime) -> bytes:
    """Return the mail, signed by *signer*. Raises Unready if the signer's key cannot be used now.

    The Message-ID depends only on the hub's id of the message. It is the same on every repetition, so that mail
    programs show it once.
    """
    message = consignment.message
    signed = _content(consignment)
    signature = cms.sign_cms(signed, signer, now)
    boundary = _boundary(message, "ky")
    digest = "sha-384" if signer.method.endswith("384") else "sha-256"
    head = (
        f"From: {sender}",
        f"To: {', '.join(addresses)}".replace(", ", ",\r\n "),
        f"Subject: {_header(_subject(message))}",
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
        _base64(signature),
        f"--{boundary}--",
        "",
    )
    return b"".join(("\r\n".join(head).encode("ascii"), signed, "\r\n".join(tail).encode("ascii")))


def _content(consignment: Consignment) -> bytes:
    """Return the signed part: the text and the attachment."""
    message = consignment.message
    packet = message.service == _DOCUMENTS
    name = f"{'goi-tin' if packet else _plain(message.service)}-{message.id}.{'edxml' if packet else 'xml'}"
    text = _GREETING.format(
        units=", ".join(consignment.recipients),
        what="gói tin văn bản điện tử (edXML)" if packet else f"thông báo của dịch vụ “{message.service}”",
        sender=message.sender or message.partner,
        subject=message.subject or "(không có)",
        document=message.document_id or "(không có)",
        id=message.id,
        sha256=message.sha256,
    )
    boundary = _boundary(message, "thu")
    lines = (
        f'Content-Type: multipart/mixed; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: base64",
        "",
        _base64(text.replace("\n", "\r\n").encode()),
        f"--{boundary}",
        f'Content-Type: application/xml; name="{name}"',
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment; filename="{name}"',
        "",
        _base64(consignment.content),
        f"--{boundary}--",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def _subject(message: Message) -> str:
    title = message.subject or message.document_id or message.id
    return f"[{'Văn bản' if message.service == _DOCUMENTS else message.service}] {title}"


def _header(text: str) -> str:
    """Return *text* encoded for a header (RFC 2047). Line breaks, which would end the header, become spaces."""
    return Header(" ".join(text.split())[:500], "utf-8", header_name="Subject").encode(linesep="\r\n")


def _boundary(message: Message, which: str) -> str:
    return f"lienthong-{which}-{_plain(message.id)}"  # no line of base64 begins with a dash


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)


def _base64(octets: bytes) -> str:
    """Return *octets* in base64, in lines of 76 characters."""
    return base64.encodebytes(octets).decode("ascii").replace("\n", "\r\n").removesuffix("\r\n")
