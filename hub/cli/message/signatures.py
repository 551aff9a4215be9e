"""Shows the stored signatures of one message, verified again: of the packet, the receipt and the call.

Contains the wording only. `hub.audit` verifies the signatures.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.cli.screen import say_count, t
from hub.cli.words import say_word
from hub.language.phrases import phrase

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
        again = phrase("the bytes are not stored, or too large to verify again")
        fields["again"] = None
    else:
        trust = AuditTrust(anchors=config.anchors, now=datetime.now(UTC))
        found, subject = documents.judge_kept_packet(blobs.read_blob(tx, message.sha256), message.received_at, trust)
        fields |= {"again": str(found.standing), "subject": subject}
        result = f"{say_word('signature', found.standing)} {found.code} {found.detail}".rstrip()
        if subject:
            again = phrase("verified again: {result}, signed by {subject}", result=result, subject=subject)
        else:
            again = phrase("verified again: {result}", result=result)
    shown = event.get("certificate") or "–"
    return fields, t(
        "packet: {signature}, certificate {shown}, verified at {received_at}, over {size} octets "
        "SHA-256 {sha256}; {again}",
        signature=say_word("signature", message.signature),
        shown=shown,
        received_at=message.received_at.isoformat(),
        size=say_count(message.size),
        sha256=message.sha256,
        again=again,
    )


def _receipt(tx: "Transaction", message: "Message", config: "Config") -> Line:
    from hub.audit import AuditTrust, documents
    from hub.audit.seals import Sealers
    from hub.journal import search

    content = search.read_stored_receipt(tx, message.id)
    if content is None:
        return {"what": "receipt", "holds": None}, t("receipt: there is none")
    sealers = Sealers(AuditTrust(anchors=config.anchors, now=datetime.now(UTC)))
    wrong = list(documents.audit_receipt(content, message.id, sealers, quiet=True))
    name = next((subject.rfc4514_string() for subject in sealers.subjects), None)
    fields: dict[str, object] = {"what": "receipt", "holds": not wrong, "subject": name}
    if wrong:
        why = wrong[0].text
        return {**fields, "reason": str(why)}, t("receipt: FALSE, {why}", why=why)
    return fields, t("receipt: the seal is valid, by {name}", name=name)


def _call(message: "Message", sha1: dict[str, object]) -> Line:
    """Return what is known of the call. Its signature was verified but is not stored; the receipt vouches for it."""
    fields: dict[str, object] = {
        "what": "call",
        "partner": message.partner,
        "kept": False,
        "sha1": bool(sha1.get("operation")),
    }
    return fields, t(
        "call: from the partner {partner}; its signature was verified on arrival and is not stored, the "
        "receipt vouches for it",
        partner=message.partner,
    )
