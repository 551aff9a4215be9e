"""Judges a corrected packet as an incoming one, compares it with what it corrects, and signs it with the hub's key.

Knows what must stay as it was so that a report counts nothing twice. Does not know the journal, nor who corrects.
"""

import hashlib
from collections.abc import Iterator
from datetime import date, datetime

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import DOCUMENTS, Packet, PacketKind, Problem
from hub.edxml import readable
from hub.intake.admission import judge_message
from hub.journal.effects import MessageEntry
from hub.journal.replays.corrections import CorrectableMessage
from hub.language.phrases import Phrase, phrase
from hub.security import signing
from hub.security.certificates import Signer
from hub.soap.documents_requests import SendDocument
from hub.units.province import Province
from hub.units.routing import Routes


def judge_correction(
    content: bytes, original: CorrectableMessage, province: Province, now: datetime, message: str
) -> MessageEntry:
    """Judge the packet *content* like an incoming one of the partner of *original*; its hub id is *message*.

    A signature in it is not checked: the hub's own, or that of the sender, which `sign_correction` takes away.
    """
    found = original.message
    partner = province.config.partners.get(found.partner)
    if partner is None:
        return _refuse_correction(
            content, original, now, message, Problem("not-correctable", _describe_absence(found.partner))
        )
    if len(content) > readable.LARGEST:
        return _refuse_correction(
            content, original, now, message, Problem("too-large", f"{len(content)} > {readable.LARGEST}")
        )
    call = SendDocument(content, f"corrected-{found.id}")
    entry = judge_message(call, partner, province, DOCUMENTS, now, message, corrected=True)
    if entry.problems or entry.packet is None or not original.is_accepted:
        return entry
    return attrs.evolve(entry, problems=tuple(_list_differences(original, entry.packet, province.routes, entry.day)))


def prepare_correction(
    given: bytes, original: CorrectableMessage, province: Province, now: datetime, message: str
) -> MessageEntry:
    """Judge the packet that a person has *given*. Return it signed by the hub and with its routes, or with its problems.

    The place of a finding is that in *given*.
    """
    judged = judge_correction(given, original, province, now, message)
    if judged.problems:
        return judged
    try:
        signed = sign_correction(given, province.config.identity)
    except Rejected as rejected:
        return attrs.evolve(judged, problems=rejected.problems)
    return attrs.evolve(judged, content=signed, sha256=hashlib.sha256(signed).hexdigest(), receipt=None)


def _describe_absence(partner: str) -> Phrase:
    return phrase("the partner {code} is not configured any more", code=partner)


def _refuse_correction(
    content: bytes, original: CorrectableMessage, now: datetime, message: str, problem: Problem
) -> MessageEntry:
    return MessageEntry(
        id=message,
        partner=original.message.partner,
        message_id=None,
        service=DOCUMENTS,
        received_at=now,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        problems=(problem,),
    )


def _list_differences(original: CorrectableMessage, packet: Packet, routes: Routes, on: date) -> Iterator[Problem]:
    """Yield what *packet* says otherwise than the accepted *original*, of that by which it is counted.

    Units are those that act on the day *on* for the units of both.
    """
    was = original.message

    def act(code: str | None) -> str | None:
        return routes.find_actor(code, on) if code else code

    said: dict[str, tuple[str | None, str | None]] = {
        "BussinessDocType": (was.kind, packet.kind),
        "From/OrganId": (act(was.sender), act(packet.sender)),
    }
    if packet.kind is PacketKind.STATUS:
        answer = packet.responses[0]
        said |= {
            "ResponseFor/OrganId": (act(original.answers_unit), act(answer.organ)),
            "ResponseFor/DocumentId": (was.document_id, answer.document_id),
            "StatusCode": (original.status, packet.status),
        }
    else:
        said["DocumentId"] = (was.document_id, packet.document_id)
    for field, (before, after) in said.items():
        if (before or "") != (after or ""):
            yield Problem("correction-differs", f"{field}: {before} → {after}")


def sign_correction(content: bytes, identity: Signer) -> bytes:
    """Return the packet *content* signed by the hub, in place of the signature of its sender.

    Raises Rejected.
    """
    unsigned = signing.remove_signatures(content)
    try:
        return signing.sign_packet(unsigned, identity)
    except ValueError as error:
        raise Rejected(Problem("packet-unsignable", str(error))) from error
