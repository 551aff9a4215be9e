"""What packets tell, read out of their bytes, and what became of them: documents, statuses, and what they enclose.

Which document a status answers is for tests/recount/documents.py.
"""

import base64
from collections.abc import Callable
from datetime import date, datetime
from xml.etree import ElementTree as ET

import attrs

from tests.recount import documents, gatherings, letter, numbers, places
from tests.recount.documents import Message, Sent
from tests.recount.exported import Event, Journal
from tests.recount.told import Told

STOPPED = ("recalled", "removed", "replaced")  #: what was stopped by a change died, and did not fail


@attrs.define
class Papers:
    """The packets of a journal, in the order in which they were accepted."""

    messages: list[Message] = attrs.field(factory=list)
    sent_by: dict[str, list[Message]] = attrs.field(factory=dict)  #: by the unit
    log: list[tuple[datetime, str, Message, str]] = attrs.field(factory=list)  #: when, what, message, recipient

    def of_sender(self, unit: str, on: date) -> list[Message]:
        """Return the packets of a unit and of the units whose work goes on in the same *on* a day, in their order."""
        family = [other for other in self.sent_by if documents.same(other, unit, on)]
        return sorted((one for other in family for one in self.sent_by[other]), key=lambda one: (one.at, one.id))


def read(journal: Journal) -> Papers:
    """Return what was sent, told, received, and what failed."""
    papers = Papers()
    known: dict[str, Message] = {}
    for event in journal.events:
        name = event.message or ""
        if event.name == "message-accepted" and journal.messages[name].service == "documents":
            known[name] = _accepted(papers, journal, name)
        elif name in known:
            _heard(papers, known[name], event)
    return papers


def _accepted(papers: Papers, journal: Journal, name: str) -> Message:
    kept = journal.messages[name]
    said = letter.read(kept.octets)
    message = Message(kept.id, kept.partner, kept.message_id, kept.at, kept.sha256, said)
    if said.kind == "status":
        on = places.day(kept.at)
        theirs = papers.of_sender(places.canonical(said.answers[0].organ), on)
        message.answered, message.by_number = documents.answered(theirs, said, on, kept.partner)
        message.of_change = documents.is_of_change(theirs, message)
        _answer(message)
        what = f"status-{said.status}"
    elif said.kind == "document":
        what = "sent"
    else:
        message.about = tuple(documents.named(papers.messages, said, kept.partner, places.day(kept.at)))
        what = f"sent-{said.kind}"
    papers.messages.append(message)
    papers.sent_by.setdefault(message.sender, []).append(message)
    papers.log.append((kept.at, what, message, ""))
    return message


def _answer(status: Message) -> None:
    """Note that a recall, update or replacement has its answer: the first of each recipient holds."""
    change = status.answered
    if change is None or change.letter.kind not in letter.CHANGES or status.letter.status not in ("15", "16"):
        return
    sent = change.to(status.sender, places.day(status.at))
    if sent is not None and sent.answer is None:
        sent.answer = status.letter.status


def _heard(papers: Papers, message: Message, event: Event) -> None:
    match event.name:
        case "delivery-waiting" | "delivery-held":
            to, partner = event.text("recipient"), event.text("partner")
            message.sent.append(Sent(message, to, partner, to, "waiting", event.at, event.at, len(message.sent)))
        case "delivery-delivered":
            papers.log.append((event.at, "received", message, event.text("recipient")))
            if event.text("recipient") in message.dead:
                message.dead.remove(event.text("recipient"))
                if not message.dead:
                    message.failing = False
                    papers.log.append((event.at, f"failed-over {message.failures}", message, ""))
            message.arrived.add(event.text("recipient"))
        case "delivery-marked":
            message.dead.discard(event.text("recipient"))  # it is not waited for any more
        case "delivery-dead":
            _died(papers, message, event)


def _died(papers: Papers, message: Message, event: Event) -> None:
    """Note a failure: it lasts until no delivery of the message is dead.  What was stopped, or had arrived, did not fail."""
    reason, recipient = event.text("reason"), event.text("recipient")
    if reason.startswith(tuple(f"{word}: " for word in STOPPED)):
        return
    if recipient in message.arrived and not reason.startswith("failed later: "):
        return
    if not message.failing:
        message.failing, message.failures = True, message.failures + 1
        papers.log.append((event.at, f"failed {message.failures}", message, recipient))
    message.dead.add(recipient)


def enclosed(journal: Journal) -> list[Told]:
    """Return what calendars and incident reports in packets, and messages of their services, tell; in the order in which they came."""
    found = []
    for event in journal.events:
        if event.name != "message-accepted" or not event.message:
            continue
        message = journal.messages[event.message]
        if message.service == "meetings":
            found += gatherings.read(message, message.octets, "")
        elif message.service == "incidents":
            found.append(numbers.incident_of_line(message))
        elif message.service == "documents":
            packet = letter.read(message.octets)
            sender = places.canonical(packet.sender)
            for name, octets in _attachments(message.octets) if packet.kind != "status" else []:
                if name.endswith(".ics"):
                    found += gatherings.read(message, octets, sender, _spoken_for(message.partner))
                elif b"urn:lienthong:incident:1" in octets:
                    told = numbers.incident_of_report(message, octets)
                    found += [told] if places.may_send(message.partner, told.unit) else []
    return found


def _spoken_for(partner: str) -> Callable[[str], bool]:
    return lambda unit: places.may_send(partner, unit)


def _attachments(packet: bytes) -> list[tuple[str, bytes]]:
    found = ET.fromstring(packet).iterfind("{*}AttachmentEncoded/{*}Attachment")
    return [
        (each.findtext("{*}AttachmentName") or "", base64.b64decode(each.findtext("{*}ContentTransferEncoded") or ""))
        for each in found
    ]
