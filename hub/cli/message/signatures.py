"""Shows the stored signatures of one message, verified again: of the packet, the receipt and the call.

Contains the wording only. `hub.audit` verifies the signatures.
"""

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from hub.audit import documents
from hub.audit.seals import AuditTrust, Sealers
from hub.cli.screen import say, say_count, say_instant, t
from hub.cli.words import say_refusal, say_word
from hub.config import Config
from hub.domain.errors import Rejected
from hub.domain.model import DOCUMENTS, Message
from hub.formats.spool import Octets
from hub.journal import blobs, events
from hub.journal.searching import message_reading
from hub.language.phrases import phrase
from hub.security import kept_envelopes
from hub.security.anchors import Purpose
from hub.security.certificates import load_der
from hub.security.kept_envelopes import SignedPart
from hub.store.transactions import Transaction

Line = tuple[dict[str, object], str]


def list_kept_signatures(tx: Transaction, message: Message, config: Config) -> Iterator[Line]:
    """Yield fields and a line of text for each signature. `what` is `packet`, `receipt` or `call`."""
    told = {str(event["event"]): event for event in events.read_message_events(tx, message.id)}
    if message.service == DOCUMENTS:
        yield _check_packet_signature(tx, message, config, told.get("packet-signature", {}))
    yield _check_receipt_signature(tx, message, config)
    yield _check_call_signature(tx, message, config, told.get("sha1-used", {}))


def _check_packet_signature(tx: Transaction, message: Message, config: Config, event: dict[str, object]) -> Line:
    """Return the packet's own signature: the result on arrival, and the result of verifying the same octets now."""
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
        why = say_refusal(": ".join(filter(None, (found.code, say(found.detail)))))
        result = ": ".join(filter(None, (say_word("signature", found.standing), why)))
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
        received_at=say_instant(message.received_at),
        size=say_count(message.size),
        sha256=message.sha256,
        again=again,
    )


def _check_receipt_signature(tx: Transaction, message: Message, config: Config) -> Line:
    content = message_reading.read_stored_receipt(tx, message.id)
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


def _check_call_signature(tx: Transaction, message: Message, config: Config, sha1: dict[str, object]) -> Line:
    """Return the signature of the call: its kept parts, verified again, with the certificate as judged at that time."""
    fields: dict[str, object] = {
        "what": "call",
        "partner": message.partner,
        "kept": False,
        "sha1": bool(sha1.get("operation")),
    }
    stored_parts = blobs.read_kept_envelope(tx, message.id)
    if stored_parts is None:
        return fields, t("call: from the partner {partner}; no signature of it is kept", partner=message.partner)
    packed, form = stored_parts
    try:
        kept = kept_envelopes.unpack_parts(packed, form)
    except ValueError as error:
        return {**fields, "why": str(error)}, t("call: FALSE, what is kept of it cannot be read: {why}", why=error)
    der = blobs.read_signer(tx, kept.certificate)
    fields |= {"certificate": kept.certificate, "left_out": kept.left_out or None}
    if kept.left_out or der is None:
        return fields, t(
            "call: from the partner {partner}, signed with the certificate {shown}; its signed parts are not kept: {why}",
            partner=message.partner,
            shown=kept.certificate,
            why=kept.left_out or t("the certificate is missing"),
        )
    certificate = load_der(der)
    stored = blobs.read_blob_size(tx, message.sha256) == message.size
    packet = Octets.of(blobs.read_blob(tx, message.sha256) if stored else b"")
    found = kept_envelopes.verify_parts(kept, certificate, packet)
    distrust = _find_distrust(certificate, message.received_at, config)
    subject = certificate.subject.rfc4514_string()
    fields |= {"kept": True, "holds": found.holds, "why": found.why or None, "covers_packet": found.covers_packet}
    fields |= {"subject": subject, "trusted": not distrust, "distrust": distrust or None, "octets": len(packed)}
    fields |= {"signed_info": kept.signed.decode(), "value": b64encode(kept.value).decode()}
    fields |= {
        "pem": certificate.public_bytes(Encoding.PEM).decode(),
        "parts": list(map(_describe_signed_part, kept.parts)),
    }
    if not found.holds:
        return fields, t("call: FALSE, {why}; signed by {subject}", why=found.why, subject=subject)
    if distrust:
        return fields, t(
            "call: the signature is valid, by {subject}, which was not trusted: {why}", subject=subject, why=distrust
        )
    return fields, t("call: the signature is valid, verified again, by {subject}", subject=subject)


def _find_distrust(certificate: Certificate, at: datetime, config: Config) -> str:
    """Return why *certificate* was not trusted at that time; "" if it was."""
    try:
        config.anchors.check(certificate, at, purpose=Purpose.SIGN)
    except Rejected as rejected:
        return str(rejected)
    return ""


def _describe_signed_part(part: SignedPart) -> dict[str, object]:
    before, after = (None if each is None else each.decode() for each in (part.before, part.after))
    return {"uri": part.uri, "before": before, "after": after, "width": part.width}
