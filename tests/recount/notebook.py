"""What partners themselves wrote down of what they sent and took, and what must be in the journal by it.

Knows the published rules alone: a message counts once by its sender's id of it, a refused one not at all, months close by the
calendar.  Reads neither the journal nor the answers, but for whether a message was refused.
"""

from datetime import UTC, datetime, timedelta

import attrs

from tests.recount import calendar, cells, letter, places, results
from tests.recount.exported import Event, Journal, Message


@attrs.frozen(kw_only=True)
class Sending:
    """One call, and whether its answer said that it was refused."""

    at: datetime
    partner: str
    service: str
    message_id: str
    sha256: str
    octets: bytes = attrs.field(repr=False)
    refused: bool = False


@attrs.frozen(kw_only=True)
class Taking:
    """A partner took a message that was brought to it, or refused it."""

    at: datetime
    partner: str  #: who took it
    sender: str  #: the partner that had sent it, and its id of it
    message_id: str
    refused: bool = False


@attrs.define
class Notebook:
    """What was written down, in the order of time."""

    lines: list[Sending | Taking] = attrs.field(factory=list)
    forms: tuple[str, ...] = (*results.FORMS, *cells.FORMS)

    def until(self, at: datetime) -> "Notebook":
        """Return what had been written down by then."""
        return Notebook([line for line in self.lines if line.at <= at], self.forms)

    def journal(self, now: datetime, *, closes: bool = True) -> Journal:
        """Return what the journal must contain; *closes*: the hub closes months."""
        messages: dict[str, Message] = {}
        events: list[Event] = []
        first: dict[tuple[str, str], Message] = {}
        done = set[tuple[str, object]]()  #: what each recipient has, or refused
        for line in self.lines:
            key = (line.sender if isinstance(line, Taking) else line.partner), line.message_id
            if isinstance(line, Taking):
                fresh = [
                    each for each in _taken(line, first[key]) if (first[key].id, each.said["recipient"]) not in done
                ]
                done |= {(first[key].id, each.said["recipient"]) for each in fresh}
                events += fresh
            elif not line.refused and key not in first:
                first[key] = message = Message(
                    id=f"{len(messages):06d}",
                    partner=line.partner,
                    message_id=line.message_id,
                    service=line.service,
                    at=line.at,
                    sha256=line.sha256,
                    octets=line.octets,
                )
                messages[message.id] = message
                events.append(Event(name="message-accepted", at=line.at, message=message.id, said={}))
                events += _addressed(message)
        if messages and closes:
            begun = next(iter(messages.values())).at
            for period, at in calendar.closed(begun, now):
                said: list[dict[str, object]] = [{"form": form, "period": period} for form in self.forms]
                events += [Event(name="period-closed", at=at, message=None, said=each) for each in said]
        events.append(Event(name="counted-again", at=now, message=None, said={}))
        return Journal(messages, events)


def _addressed(message: Message) -> list[Event]:
    """Return to whom a document must go: its recipients in the order of its To, by the partners that receive for them."""
    if message.service != "documents":
        return []
    found: dict[str, str] = {}
    read = letter.read(message.octets)
    for code in read.told if read.kind != "status" else ():
        way = places.way(code, places.day(message.at))
        if not isinstance(way, str) and not (
            message.partner == way[0] and places.outside(code, places.day(message.at))
        ):
            found.setdefault(places.actor(code, places.day(message.at)), way[0])
    return [
        Event(
            name="delivery-waiting",
            at=message.at,
            message=message.id,
            said={"recipient": recipient, "partner": partner},
        )
        for recipient, partner in found.items()
    ]


def _taken(line: Taking, message: Message) -> list[Event]:
    """Return what it means that a partner took a message: each of its units that the message names has it, or none."""
    name = "delivery-dead" if line.refused else "delivery-delivered"
    said: list[dict[str, object]] = [
        {"recipient": each.said["recipient"], "partner": line.partner, "reason": "refused: "}
        for each in _addressed(message)
        if _receiver(each, line.at) == line.partner
    ]
    if message.service != "documents":
        said = [{"recipient": line.partner, "partner": line.partner, "reason": "refused: "}]
    return [Event(name=name, at=line.at, message=message.id, said=each) for each in said]


def _receiver(addressed: Event, at: datetime) -> str:
    """Return the partner that has what is addressed by then: that of the unit's successor, when the unit has ended."""
    unit, on = addressed.text("recipient"), places.day(at)
    way = places.way(places.actor(unit, on), on) if places.has_ended(unit, on) else ""
    return addressed.text("partner") if isinstance(way, str) else way[0]


def last_noon(now: datetime) -> datetime:
    """Return when the hub last took up what had come late: each day after noon."""
    noon = datetime.combine(places.day(now), calendar.NOON, places.HANOI).astimezone(UTC)
    return noon if noon <= now else noon - timedelta(days=1)
