"""What the files of other hubs say as results: documents once they are there or done, statuses once they were asked for."""

import base64
from datetime import UTC, date, datetime

import pytest

from lienthong_demo.plan import packets
from lienthong_demo.protocol.reading import read_sample_packet
from lienthong_demo.tally.tally import TalliedResult
from lienthong_demo.tally.tallyhubs import tally_bus, tally_gateway

AGENCY, UNIT = "H37.01", "H55.13"
DAY = date(2026, 11, 20)
OUT = packets.write_document_packet(UNIT, [AGENCY, "H41"], number="7", notation="VB", subject="V/v", promulgated=DAY)
IN = packets.write_document_packet(AGENCY, [UNIT], number="8", notation="VB", subject="V/v", promulgated=DAY)
DOC_OUT, DOC_IN = read_sample_packet(OUT).document_id, read_sample_packet(IN).document_id
STATUS = packets.write_status_packet(
    AGENCY, "03", packets.Answered(UNIT, "7/VB", "2026/11/20", DOC_OUT), at=datetime(2026, 11, 24, tzinfo=UTC)
)
RECEIVED = TalliedResult(AGENCY, "documents", (UNIT, DOC_OUT), "received")
SENT = TalliedResult(AGENCY, "documents", (AGENCY, DOC_IN), "sent")
ANSWERED = TalliedResult(AGENCY, "documents", (UNIT, DOC_OUT), "status-03")


def text(content):
    return base64.b64encode(content).decode()


def sent(code="", kind="edoc"):
    return {"what": "sent", "code": code, "type": kind, "packet": text(OUT)}


def waiting(content, **more):
    return {"what": "waiting", "content": text(content), **more}


def test_a_gateway_received_what_it_took_for_the_agencies_behind_it_alone():
    assert list(tally_gateway([sent(), {"what": "token"}], {AGENCY})) == [RECEIVED]


@pytest.mark.parametrize("line", [sent("18"), sent(kind="status")])
def test_what_a_gateway_turned_down_or_a_status_is_no_document_received(line):
    assert not list(tally_gateway([line], {AGENCY}))


@pytest.mark.parametrize("done", ["done", "DONE"])
def test_what_waits_at_a_gateway_counts_once_the_hub_has_said_that_it_is_done(done):
    lines = [waiting(IN, id="a"), waiting(STATUS, id="b"), {"what": "state", "id": "a", "state": "processing"}]
    assert not list(tally_gateway(lines, {AGENCY}))
    lines += [{"what": "state", "id": name, "state": done} for name in ("a", "b")]
    assert list(tally_gateway(lines, {AGENCY})) == [SENT, ANSWERED]


def test_a_bus_received_what_it_took_and_what_waits_counts_once_confirmed_or_shown():
    lines = [
        {"what": "sent", "sender": UNIT, "document_id": DOC_OUT, "organs": [AGENCY, "H41"]},
        waiting(STATUS),
        waiting(IN),
    ]
    assert list(tally_bus(lines, {AGENCY})) == [RECEIVED]
    lines += [{"what": "shown", "id": "status 1"}, {"what": "confirmed", "id": "1", "organ": UNIT}]
    assert list(tally_bus(lines, {AGENCY})) == [RECEIVED, ANSWERED, SENT]
