"""Formats an event as CloudEvents 1.0 in structured JSON. Does not publish it.

Sources: CloudEvents 1.0.2, the JSON event format, and the documented extension `sequence`. `data` is exactly the hashed
text of the event and comes last. With `sequence` and `hash`, a subscriber that reads every event can verify the chain
without the hub.
"""

import json

import attrs

from hub.journal.events import Chained

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


@attrs.frozen
class EventPublication:
    """The publication of one event."""

    number: int  #: number of the event in the chain
    id: str  #: the same in every publication of the event, and unique even after a restore from a backup
    key: str  #: routing key: EVENT, or EVENT.PARTNER when the event names a partner
    content: bytes  #: the CloudEvent as JSON


def feed_source(province: str) -> str:
    """Return the CloudEvents `source` of the events of a province's hub."""
    return f"urn:lienthong:hub:{province}"


def make_event_publication(event: Chained, origin: str) -> EventPublication:
    """Return the publication of *event* with *origin* as `source`."""
    said = json.loads(event.text)
    name, partner = said["event"], said.get("partner")
    id_ = f"{event.number}-{event.hash[:16]}"
    attributes = {
        "specversion": "1.0",
        "id": id_,
        "source": origin,
        "type": f"urn:lienthong:event:1:{name}",
        **({"subject": said["message"]} if said.get("message") else {}),
        "time": said["at"],
        "datacontenttype": "application/json",
        "sequence": f"{event.number:020d}",  # sorts as text; an integer of CloudEvents has only 32 bits
        "hash": event.hash,
    }
    around = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
    key = f"{name}.{partner}" if partner else name
    return EventPublication(event.number, id_, key, f'{around[:-1]},"data":{event.text}}}'.encode())
