"""Reads the attachments of a packet that contain facts of their own: calendars and incident reports. Contains no SQL.

An attachment never causes the refusal of its packet. An attachment that cannot be read, or that reports about units its
sender may not report about, yields no facts, and the journal records that.

Cheap checks come first: permission before content. Worst-case cost: `MOST` attachments of `packet.READ_SIZE` octets
(2.5 MiB unpacked, whatever the size of the packet), with calendars within one `meetings.CalendarLimits`. That takes as
long as 800 RSA-2048 signatures (240 ms).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

import attrs

from hub.domain.conversations import Enclosed, Ignored
from hub.domain.errors import Rejected
from hub.domain.model import Attachment, Fact, Packet, Problem, Record
from hub.edxml import packet
from hub.formats.icalendar import ContentLine
from hub.language.phrases import phrase
from hub.services import incidents, meetings
from hub.units.routing import Routes

MOST = 10  #: attachments read per packet


def find_enclosures(packet: Packet) -> tuple[Attachment, ...]:
    """Return the attachments of *packet* to be read into facts, at most one more than `MOST`. Reads none of them."""
    return tuple(islice(filter(_tells_facts, packet.attachments), MOST + 1))


def read_enclosures(
    attachments: Sequence[Attachment], sender: str, partner: str, routes: Routes, at: datetime, message: str
) -> Enclosed:
    """Return the facts in *attachments* of a packet of the unit *sender* that *partner* sent, with registry codes."""
    facts: list[Fact] = []
    ignored: list[Ignored] = []
    room = meetings.CalendarLimits()
    for number, attachment in enumerate(attachments):
        if number == MOST:
            ignored.append(
                Ignored(attachment.name, Problem("too-many-enclosures", phrase("more than {most}", most=MOST)))
            )
            break
        may_tell = _Permission(partner, sender, routes)
        try:
            told = _record_enclosure(attachment, sender, routes, at, message, may_tell, room).facts
        except Rejected as rejected:
            ignored += (Ignored(attachment.name, problem) for problem in rejected.problems)
            continue
        facts += (
            fact if routes.canonical(fact.unit) == fact.unit else attrs.evolve(fact, unit=routes.canonical(fact.unit))
            for fact in told
            if may_tell(fact.unit)
        )
        ignored += (Ignored(attachment.name, problem) for problem in may_tell.refusals())
    return Enclosed(tuple(_choose_first_facts(facts)), tuple(dict.fromkeys(ignored)))


@attrs.define
class _Permission:
    """Tells which units a partner may report about in a packet of *sender*, and remembers the refusals."""

    _partner: str
    _sender: str
    _routes: Routes
    _known: dict[str, Problem | None] = attrs.field(factory=dict, init=False)

    def __call__(self, unit: str) -> bool:
        if unit not in self._known:
            problems = self._routes.find_send_problems(self._partner, unit)
            self._known[unit] = next(iter(problems), None) or self._routes.find_drill_problem((self._sender, unit))
        return self._known[unit] is None

    def refusals(self) -> Iterator[Problem]:
        return filter(None, self._known.values())


def _tells_facts(attachment: Attachment) -> bool:
    """Tell whether an attachment is a calendar, or XML that names the namespace of incident reports."""
    if attachment.content is None:
        return False
    kind = packet.read_type(attachment.name, attachment.content_type)
    return kind == packet.CALENDAR or incidents.NAMESPACE.encode() in attachment.content


def _record_enclosure(
    attachment: Attachment,
    sender: str,
    routes: Routes,
    at: datetime,
    message: str,
    may_tell: meetings.MayTell,
    room: meetings.CalendarLimits,
) -> Record:
    assert attachment.content is not None
    if packet.read_type(attachment.name, attachment.content_type) != packet.CALENDAR:
        return incidents.read_incident(attachment.content, at, message)

    def who_is(person: ContentLine, sends: bool) -> str:
        """Return the unit by its code or address in the registry; else, for the sender, the packet's From unit."""
        said = meetings.name_calendar_unit(person, sends)
        if person.parameters.get(meetings.UNIT) or routes.canonical(said) != said:
            return routes.canonical(said)
        return routes.canonical(sender) if sends else ""

    return meetings.read_meetings(attachment.content, at, message, who_is, may_tell, room)


def _choose_first_facts(facts: list[Fact]) -> Iterator[Fact]:
    """Yield the first fact of each key, because two attachments may report the same fact."""
    seen: set[tuple[str, str, str, str]] = set()
    for fact in facts:
        key = (fact.unit, fact.service, fact.key, fact.milestone)
        if key not in seen:
            seen.add(key)
            yield fact
