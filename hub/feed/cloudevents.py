"""An event as CloudEvents 1.0 in structured JSON, as the feed publishes it.  Knows the form; not where it goes.

Source: CloudEvents 1.0.2, the JSON event format and the documented extension `sequence`.  `data` is the event's own text, letter by
letter as it was hashed, and stands last; with `sequence` and `hash` whoever reads every event verifies the chain without the hub.
"""

import json

import attrs

from hub.journal.events import Chained

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


@attrs.frozen
class EventPublication:
    """What is published for one event."""

    number: int
    id: str  #: the same whenever the event is published, and no other's, even after the journal was restored from a backup
    key: str  #: EVENT, or EVENT.PARTNER when the event names one
    content: bytes


def feed_source(province: str) -> str:
    """Return the `feed_source` of the events of a province's hub."""
    return f"urn:lienthong:hub:{province}"


def make_event_publication(event: Chained, origin: str) -> EventPublication:
    """Return *event* as the hub *origin* publishes it."""
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
        "sequence": f"{event.number:020d}",  # sorts as text; a CloudEvents integer has 32 bits
        "hash": event.hash,
    }
    around = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
    key = f"{name}.{partner}" if partner else name
    return EventPublication(event.number, id_, key, f'{around[:-1]},"data":{event.text}}}'.encode())
