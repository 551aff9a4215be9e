"""What one message means by its bytes among those that came before: which documents it names, stops, follows or answers.

Knows messages in the order in which they were accepted; moves nothing.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import attrs

from tests.recount.letter import CHANGES, Letter
from tests.recount.places import actor, canonical, day, heirs, speaks_for, stands_for

DOCUMENTS = ("document", "replacement")
STEP = timedelta(minutes=10)  #: how far a degree of urgency goes ahead


@attrs.define(eq=False)
class Sent:
    """One delivery."""

    message: "Message" = attrs.field(repr=lambda message: message.id)
    recipient: str
    partner: str
    via: str
    state: str
    due: datetime
    since: datetime
    number: int  #: in the order in which deliveries were made
    attempts: int = 0
    reason: str | None = None
    stopped: str | None = None
    status: str | None = None
    answer: str | None = None
    told_overdue: bool = False
    crashes: int = 0  #: attempts in a row that a crash cut short
    doubted: bool = False  #: an attempt was interrupted: the partner may have it
    again: bool = False  #: it had arrived before a person sent it once more
    failed: bool = False  #: it died, not stopped, and has not arrived since

    @property
    def place(self) -> tuple[str, str]:
        """Its lane, which each recipient has for itself."""
        return self.message.lane, self.recipient

    @property
    def turn(self) -> datetime:
        return self.due - STEP * self.message.letter.priority


@attrs.define(eq=False)
class Message:
    id: str
    partner: str
    message_id: str
    at: datetime
    sha256: str
    letter: Letter
    answered: "Message | None" = attrs.field(default=None, repr=False)
    by_number: bool = False  #: a status that names its document by number and notation alone
    of_change: bool = False  #: a status about a change whose DocumentId no document to its unit has
    about: tuple[str, ...] = ()  #: the DocumentIds that a change is about
    lane: str = ""
    sent: list[Sent] = attrs.field(factory=list, repr=False)
    dead: set[str] = attrs.field(factory=set, repr=False)  #: recipients whose delivery is dead
    arrived: set[str] = attrs.field(factory=set, repr=False)  #: recipients whose delivery was delivered once
    failing: bool = False  #: a delivery died, and not all that did have arrived since
    failures: int = 0

    @property
    def sender(self) -> str:
        return actor(self.letter.sender, day(self.at))

    def to(self, recipient: str, on: date | None = None) -> Sent | None:
        """Return its delivery to a unit, or to one whose work that unit continues *on* a day."""
        return next((each for each in self.sent if same(each.recipient, recipient, on)), None)


def same(one: str, other: str, on: date | None) -> bool:
    """Tell whether two units are one, or one of them continues the work of the other *on* a day."""
    return one == other or (on is not None and (one in heirs(other, on) or other in heirs(one, on)))


def named(messages: Sequence[Message], letter: Letter, partner: str, on: date | None = None) -> dict[str, bool | None]:
    """Return the documents a change names: known of its own unit, not known, or (None) known of another only.

    Who may send for any unit alone knows those only that it brought itself.
    """
    sender = canonical(letter.sender)
    if letter.kind == "replacement":
        wanted = [(document, "", "") for document, _ in letter.replaces]
    elif letter.kind == "recall" and not letter.about:
        wanted = [(one.document_id, one.number, one.date) for one in letter.answers]
    else:
        wanted = [(letter.about or letter.document_id, "", "")]
    found: dict[str, bool | None] = {}
    for document, number, written in wanted:
        alike = [
            one
            for one in messages
            if one.letter.kind in DOCUMENTS
            and (
                one.letter.document_id == document
                if document
                else (one.letter.number, one.letter.date) == (number, written)
            )
        ]
        able = [one for one in alike if one.partner == partner or stands_for(partner, sender)]
        own = [one for one in able if same(one.sender, sender, on)]
        if own:
            found[own[-1].letter.document_id] = True
        elif document and document not in found:
            found[document] = None if alike else False
    if letter.kind == "recall" and True in found.values():
        found = {document: True for document, known in found.items() if known}
    return found


def effects(message: Message) -> list[tuple[str, str, str]]:
    """Return what a change stops: at which unit (empty: all), by which word, of which document."""
    letter, found = message.letter, list[tuple[str, str, str]]()
    for document in message.about:
        if letter.kind == "recall":
            found += [(canonical(unit), "recalled", document) for unit in letter.to]
        elif letter.kind == "update":
            found += [(canonical(unit), "removed", document) for unit in letter.removed]
        else:
            lists = [organs for replaced, organs in letter.replaces if replaced == document]
            units = [canonical(unit) for organs in lists for unit in organs] if all(lists) else [""]
            found += [(unit, "replaced", document) for unit in units]
    return found


def changed_by(message: Message, document: str, messages: Sequence[Message]) -> list[Message]:
    """Return what carries a document that a change may touch: what its partner brought, where that does not stand for the unit."""
    return [
        one
        for one in carriers(messages, message.sender, document)
        if one is not message and (one.partner == message.partner or stands_for(message.partner, message.sender))
    ]


def carriers(messages: Sequence[Message], sender: str, document: str) -> list[Message]:
    """Return what carries a document to its recipients: itself, a replacement under its id, its updates."""
    return [
        one
        for one in messages
        if one.sender == sender
        and (
            (one.letter.kind in (*DOCUMENTS, "update") and one.letter.document_id == document)
            or (one.letter.kind == "update" and document in one.about)
        )
    ]


def lane(messages: Sequence[Message], message: Message) -> str:
    """Return the lane of a message: that of the document it is, changes or answers."""
    letter = message.letter
    if message.answered is not None:
        return message.answered.lane
    sender, document = message.sender, next(iter(message.about), letter.document_id)
    if letter.kind == "status":
        answer = letter.answers[0]
        sender, document = canonical(answer.organ), answer.document_id or f"{answer.number},{answer.date}"
    for one in messages:
        if one.letter.kind != "status" and (one.sender, one.letter.document_id) == (sender, document):
            return one.lane
    return f"{sender} {document}"


def answered(
    messages: Sequence[Message], letter: Letter, on: date | None = None, partner: str = ""
) -> tuple[Message | None, bool]:
    """Return the newest document that a status answers, or for 15 and 16 the newest change that is still open.

    True: it names the document by number and notation alone.  *partner*: who sent the status, and may speak for some units.
    """
    answer, reporter = letter.answers[0], canonical(letter.sender)
    organ = canonical(answer.organ)
    theirs = [one for one in messages if one.letter.kind != "status" and same(one.sender, organ, on)]
    if not same(organ, reporter, on):
        units = speaks_for(reporter, on, partner) if partner and on else [reporter]
        theirs = [one for one in theirs if any(one.to(unit) for unit in units)]
    found = None
    for one in theirs:
        by_id = answer.document_id and one.letter.document_id == answer.document_id
        by_code = not answer.document_id and (one.letter.number, one.letter.date) == (answer.number, answer.date)
        if by_id or (by_code and answer.number):
            found = one
    alone = None if found else by_number(messages, letter, on)
    found = found or alone
    if letter.status not in ("15", "16"):
        return found, alone is not None
    document = answer.document_id or (found.letter.document_id if found else "")
    asked = [
        one
        for one in messages
        if one.letter.kind in CHANGES
        and same(one.sender, organ, on)
        and one.to(reporter, on)
        and (document in one.about or one.letter.document_id == document)
    ]
    open_ = [one for one in asked if (sent := one.to(reporter, on)) and sent.answer is None]
    return (open_ or asked)[-1] if asked else found, alone is not None


def by_number(messages: Sequence[Message], letter: Letter, on: date | None = None) -> Message | None:
    """Return the only document of its sender to the reporter with the number that a status writes without “/” (standards 12).

    The date says nothing if it is not before the day of the receipt; else it must be the document's own.
    """
    answer, reporter = letter.answers[0], canonical(letter.sender)
    if answer.document_id or same(canonical(answer.organ), reporter, on) or not _plain(answer.number):
        return None
    found = [
        one
        for one in messages
        if one.letter.kind in DOCUMENTS
        and same(one.sender, canonical(answer.organ), on)
        and one.to(reporter, on)
        and _plain(one.letter.number) == _plain(answer.number)
        and (answer.date in ("", one.letter.date) or answer.date >= day(one.at).strftime("%Y/%m/%d"))
    ]
    return found[-1] if len({one.letter.document_id for one in found}) == 1 else None


def _plain(number: str) -> str:
    return "".join(sign for sign in number if sign not in "/ ")


def is_of_change(messages: Sequence[Message], status: Message) -> bool:
    """Tell whether a status is about a change, not about a document that has the same id."""
    answered, reporter = status.answered, status.sender
    if answered is None or answered.letter.kind not in CHANGES or status.letter.status in ("15", "16"):
        return False
    same = [one for one in messages if one.sender == answered.sender and one.letter.kind == "document"]
    return not any(one.letter.document_id == answered.letter.document_id and one.to(reporter) for one in same)


def is_about(status: Message, document: Message) -> bool:
    """Tell whether a status is about a document, or about a change of it."""
    answered = status.answered
    if answered is None or answered is document:
        return answered is document
    changes = answered.letter.kind in CHANGES and document.letter.kind in DOCUMENTS
    return changes and answered.sender == document.sender and document.letter.document_id in answered.about
