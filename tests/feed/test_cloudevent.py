"""What is published for an event is CloudEvents 1.0, and enough to verify the chain: by the form's own SDK, and by value."""

import hashlib
import json
from datetime import UTC, datetime

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from hub.feed import cloudevents
from hub.feed.cloudevents import make_event_publication
from hub.journal.events import ORIGIN, Chained

TEXT = (
    '{"at":"2026-11-24T08:00:00.000001Z","event":"delivery-dead","message":"0192f0c1-0000-7000-8000-000000000001",'
    '"delivery":"0192f0c1-0000-7000-8000-000000000002","recipient":"H55.01","partner":"vpub","reason":"từ chối: \\"sai\\""}'
)
HASH = hashlib.sha256(f"{ORIGIN}\n{TEXT}".encode()).hexdigest()
MADE = make_event_publication(Chained(1, HASH, TEXT), cloudevents.feed_source("H55"))


def test_an_event_is_a_cloudevent_in_every_attribute():
    read = JSONFormat().read(CloudEvent, MADE.content)
    assert read.get_attributes() == {
        "specversion": "1.0",
        "id": f"1-{HASH[:16]}",
        "source": "urn:lienthong:hub:H55",
        "type": "urn:lienthong:event:1:delivery-dead",
        "subject": "0192f0c1-0000-7000-8000-000000000001",
        "time": datetime(2026, 11, 24, 8, 0, 0, 1, tzinfo=UTC),
        "datacontenttype": "application/json",
        "sequence": "00000000000000000001",
        "hash": HASH,
    }
    assert read.get_data() == json.loads(TEXT)
    assert MADE.id == read.get_id()


def test_the_data_stand_last_letter_by_letter_as_they_were_hashed():
    octets = MADE.content[MADE.content.index(b'"data":') + 7 : -1]
    assert octets == TEXT.encode()
    assert hashlib.sha256(ORIGIN.encode() + b"\n" + octets).hexdigest() == json.loads(MADE.content)["hash"]


def test_an_event_about_no_message_has_no_subject_and_its_key_is_its_name_alone():
    text = '{"at":"2026-11-24T08:00:00.000000Z","event":"replay","reason":"x","by":"y","deliveries":2}'
    made = make_event_publication(Chained(2**40, HASH, text), "urn:x")
    assert "subject" not in JSONFormat().read(CloudEvent, made.content).get_attributes()
    assert made.key == "replay"
    assert int(json.loads(made.content)["sequence"]) == 2**40


def test_the_key_names_the_event_and_its_partner():
    assert MADE.key == "delivery-dead.vpub"


def test_the_same_event_has_the_same_id_and_one_of_another_history_another():
    assert make_event_publication(Chained(1, HASH, TEXT), "urn:x").id == MADE.id
    other = make_event_publication(Chained(1, "f" * 64, TEXT.replace("sai", "sót")), "urn:x")
    assert other.id != MADE.id
    assert other.number == MADE.number


def test_sequences_sort_as_texts():
    numbers = [9, 10, 99, 100, 2**40]
    told = [
        json.loads(make_event_publication(Chained(each, HASH, TEXT), "urn:x").content)["sequence"] for each in numbers
    ]
    assert told == sorted(told)
