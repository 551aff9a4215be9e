"""Shows the stored signatures of one message, verified again: of the packet, the receipt and the call.

Contains the wording only. `hub.audit` verifies the signatures.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.cli.screen import t

if TYPE_CHECKING:
    from hub.config import Config
    from hub.domain.model import Message
    from hub.store.transactions import Transaction

Line = tuple[dict[str, object], str]


def list_kept_signatures(tx: "Transaction", message: "Message", config: "Config") -> Iterator[Line]:
    """Yield fields and a line of text for each signature. `what` is `packet`, `receipt` or `call`."""
    from hub.domain.model import DOCUMENTS
    from hub.journal import events

    told = {str(event["event"]): event for event in events.read_message_events(tx, message.id)}
    if message.service == DOCUMENTS:
        yield _packet(tx, message, config, told.get("packet-signature", {}))
    yield _receipt(tx, message, config)
    yield _call(message, told.get("sha1-used", {}))


def _packet(tx: "Transaction", message: "Message", config: "Config", event: dict[str, object]) -> Line:
    """Return the packet's own signature: the result on arrival, and the result of verifying the same octets now."""
    from hub.audit import AuditTrust, documents
    from hub.journal import blobs

    fields: dict[str, object] = {
        "what": "packet",
        "standing": message.signature,
        "certificate": event.get("certificate"),
        "code": event.get("code"),
        "verified_at": message.received_at,
        "over": message.sha256,
        "size": message.size,
    }
    if blobs.read_blob_size(tx, message.sha256) != message.size or message.size > documents.LARGEST:
        again = t(
            "không lưu byte, hoặc quá lớn để kiểm tra lại", "the bytes are not stored, or too large to verify again"
        )
        fields["again"] = None
    else:
        trust = AuditTrust(anchors=config.anchors, now=datetime.now(UTC))
        found, subject = documents.judge_kept_packet(blobs.read_blob(tx, message.sha256), message.received_at, trust)
        fields |= {"again": str(found.standing), "subject": subject}
        again = t(
            f"kiểm tra lại: {found.standing} {found.code} {found.detail}".rstrip()
            + (f", người ký {subject}" if subject else ""),
            f"verified again: {found.standing} {found.code} {found.detail}".rstrip()
            + (f", signed by {subject}" if subject else ""),
        )
    shown = event.get("certificate") or "–"
    return fields, t(
        f"gói tin: {message.signature}, chứng thư {shown}, kiểm tra lúc {message.received_at.isoformat()}, trên {message.size} byte"
        f" SHA-256 {message.sha256}; {again}",
        f"packet: {message.signature}, certificate {shown}, verified at {message.received_at.isoformat()}, over {message.size} octets"
        f" SHA-256 {message.sha256}; {again}",
    )


def _receipt(tx: "Transaction", message: "Message", config: "Config") -> Line:
    from hub.audit import AuditTrust, documents
    from hub.audit.seals import Sealers
    from hub.journal import search

    content = search.read_stored_receipt(tx, message.id)
    if content is None:
        return {"what": "receipt", "holds": None}, t("biên nhận: không có", "receipt: there is none")
    sealers = Sealers(AuditTrust(anchors=config.anchors, now=datetime.now(UTC)))
    wrong = list(documents.audit_receipt(content, message.id, sealers, quiet=True))
    name = next((subject.rfc4514_string() for subject in sealers.subjects), None)
    fields: dict[str, object] = {"what": "receipt", "holds": not wrong, "subject": name}
    if wrong:
        return {**fields, "reason": wrong[0].en}, t(f"biên nhận: SAI, {wrong[0].vi}", f"receipt: FALSE, {wrong[0].en}")
    return fields, t(f"biên nhận: niêm phong đúng, của {name}", f"receipt: the seal is valid, by {name}")


def _call(message: "Message", sha1: dict[str, object]) -> Line:
    """Return what is known of the call. Its signature was verified but is not stored; the receipt vouches for it."""
    fields: dict[str, object] = {
        "what": "call",
        "partner": message.partner,
        "kept": False,
        "sha1": bool(sha1.get("operation")),
    }
    return fields, t(
        f"lời gọi: của đối tác {message.partner}; chữ ký của lời gọi đã kiểm tra khi nhận và không được lưu, biên nhận là lời của trục",
        f"call: from the partner {message.partner}; its signature was verified on arrival and is not stored, the "
        "receipt vouches for it",
    )
