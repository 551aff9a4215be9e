"""The journal as anyone with an SQL shell reads it: accepted messages with their exact bytes, and what events tell, in their order.

Knows three tables; the table of facts is none of them.
"""

import hashlib
import json
from datetime import datetime

import attrs
import sqlalchemy as sa


@attrs.frozen(kw_only=True)
class Message:
    """An accepted message."""

    id: str
    partner: str
    message_id: str
    service: str
    at: datetime  #: when it was received
    sha256: str
    octets: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Event:
    name: str
    at: datetime
    message: str | None
    said: dict[str, object]

    def text(self, name: str) -> str:
        said = self.said[name]
        assert isinstance(said, str)
        return said


@attrs.frozen
class Journal:
    """What is known when one counts; events stand in the order in which they were written."""

    messages: dict[str, Message]  #: by the hub's id
    events: list[Event]

    def of(self, service: str) -> list[Message]:
        """Return the messages of a service, in the order in which they were accepted."""
        named = [event.message for event in self.events if event.name == "message-accepted"]
        return [self.messages[name] for name in named if name and self.messages[name].service == service]

    def delivered(self, service: str) -> list[tuple[Message, datetime]]:
        """Return what was brought to somebody of a service's messages, and when."""
        done = [event for event in self.events if event.name == "delivery-delivered"]
        return [
            (self.messages[e.message], e.at) for e in done if e.message and self.messages[e.message].service == service
        ]


@attrs.frozen
class Closed:
    """A month of a form that was closed: its text, and when.  What is recorded from then on comes late."""

    period: str
    at: datetime


def closings(journal: Journal, form: str) -> list[Closed]:
    """Return the closed months of a form, in turn."""
    told = [event for event in journal.events if event.name == "period-closed" and event.text("form") == form]
    return [Closed(event.text("period"), event.at) for event in told]


def revised(journal: Journal, form: str, period: str, unit: str) -> datetime | None:
    """Return when the row of a unit in a closed month was counted again and came out otherwise, the last time."""
    wanted = {"form": form, "period": period, "unit": unit}
    told = [e for e in journal.events if e.name == "report-row-revised" and wanted.items() <= e.said.items()]
    return told[-1].at if told else None


def read(connection: sa.Connection) -> Journal:
    """Return the journal, each message's bytes checked against their name."""
    parts = connection.execute(sa.text("SELECT sha256, octets FROM content ORDER BY sha256, part")).all()
    kept: dict[str, bytes] = {}
    for sha256, octets in parts:
        kept[sha256] = kept.get(sha256, b"") + bytes(octets)
    assert all(hashlib.sha256(octets).hexdigest() == sha256 for sha256, octets in kept.items())
    rows = connection.execute(
        sa.text("SELECT id, partner, message_id, service, received_at, sha256 FROM message WHERE state = 'accepted'")
    ).all()
    messages = {
        id_: Message(
            id=id_,
            partner=partner,
            message_id=message_id,
            service=service,
            at=datetime.fromisoformat(at),
            sha256=sha256,
            octets=kept[sha256],
        )
        for id_, partner, message_id, service, at, sha256 in rows
    }
    texts = connection.execute(sa.text("SELECT message, text FROM event ORDER BY serial")).all()
    return Journal(messages, [_event(message, json.loads(text)) for message, text in texts])


def _event(message: str | None, said: dict[str, object]) -> Event:
    name, at = said["event"], said["at"]
    assert isinstance(name, str)
    assert isinstance(at, str)
    return Event(name=name, at=datetime.fromisoformat(at), message=message, said=said)
