"""The adapter of the national axis and an axis that somebody else wrote, over HTTP: packets and statuses, and every mood of the axis."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest

import adapters
from hub.domain.conversations import Accepted, Collected, Judged, Refused, Unavailable
from hub.domain.model import Consignment, Message, MessageState, Problem
from hub.partner.adapter_settings import Terms
from lienthong_demo.plan import packets
from tests.offices import Office, hold, opened
from tests.packets import document
from tests.pki import partner
from tests.running import PATIENCE

SYSTEM = "00.55.W00"


def now():
    return datetime.now(UTC)


@attrs.define
class Side:
    """The axis, and us before it."""

    axis: Office
    patience: float = PATIENCE  #: seconds for one call

    def adapter(self, word="m4u-kh0ng-dung-that", **settings):
        url = f"{self.axis.url}/XrdAdapter/adapter"
        said = {"system-id": SYSTEM} | {name.replace("_", "-"): value for name, value in settings.items()}
        terms = Terms(partner="vpcp", url=url, identity=partner("hub"), settings=said, secrets={"secret": word})
        return adapters.make_adapter("vxp", terms)

    def send(self, content, kind="document", sender="H55.13", attempt=1, **settings):
        message = Message(
            id="01936f1e-7c80-7000-8000-000000000001",
            partner="sotttt",
            message_id="m-1",
            service="documents",
            kind=kind,
            state=MessageState.ACCEPTED,
            received_at=now(),
            sha256="",
            size=len(content),
            sender=sender,
        )
        carried = Consignment(message=message, content=content, recipients=("G22",), attempt=attempt)
        return hold(self.adapter(**settings).deliver(carried, now()), patience=self.patience).outcome

    def collect(self, cursor="", refuses=(), **settings):
        """Return what arrived, as pairs of id and content, and how the turn ended."""

        def judge(arrival):
            return Judged(arrival.message_id not in refuses, (Problem("unit-unknown"),))

        held = hold(self.adapter(**settings).collect(cursor, now()), judge, patience=self.patience)
        return [(arrival.message_id, arrival.content) for arrival in held.arrivals], held.outcome

    def list_units(self):
        return hold(self.adapter().list_units(now()), patience=self.patience).outcome

    def put(self, content, kind="edoc", to="H55.13"):
        packet = base64.b64encode(content).decode()
        return self.axis.order("put", kind=kind, **{"from": "G22"}, to=to, packet=packet)["docId"]

    def parcels(self):
        return {each["docId"]: each for each in self.axis.order("parcels")["parcels"]}

    def status(self, doc_id):
        return self.parcels()[doc_id]["status"]


@pytest.fixture
def options(tmp_path):
    (tmp_path / "secret").write_text("m4u-kh0ng-dung-that\n")
    units = ("--units", "H55.13,H55.14", "--elsewhere", "G22,G14")
    return ("--system-id", SYSTEM, "--secret-file", str(tmp_path / "secret"), *units)


@pytest.fixture
def side(options, tmp_path):
    with opened("vxp", tmp_path, *options) as axis:
        yield Side(axis)


ANSWERED = packets.Answered("G22", "7/VB", "2026/11/20", "G22,2026/11/20,7/VB")
LETTER = document(to="G22")
STATUS = packets.write_status_packet("H55.13", "03", ANSWERED, at=datetime(2026, 11, 24, 8, tzinfo=UTC))
INCOMING = packets.write_document_packet(
    "G22", ["H55.13"], number="7", notation="VB", subject="V/v", promulgated="2026/11/20"
)
ANSWER = packets.write_status_packet(
    "G22", "03", packets.Answered("H55.13", "7/VB"), at=datetime(2026, 11, 24, 8, tzinfo=UTC)
)


def test_a_document_and_a_status_go_up_as_they_are(side):
    for content, kind in ((LETTER, "document"), (STATUS, "status")):
        outcome = side.send(content, kind)
        assert isinstance(outcome, Accepted)
        taken = side.axis.noted("sent")[-1]
        assert outcome.detail == f"docId {taken['doc_id']}"
    kept = side.axis.noted("parcel")
    assert [(line["kind"], line["from"], line["to"]) for line in kept] == [
        ("edoc", "H55.13", "G22"),
        ("status", "H55.13", "G22"),
    ]
    assert [base64.b64decode(str(line["packet"])) for line in kept] == [LETTER, STATUS]


def test_a_document_and_a_status_come_down_once_and_the_axis_hears_of_both(side):
    letter, answer = side.put(INCOMING), side.put(ANSWER, "status")
    arrived, outcome = side.collect()
    assert arrived == [(letter, INCOMING), (answer, ANSWER)]
    assert isinstance(outcome, Collected)
    told = [(line["doc_id"], line["status"]) for line in side.axis.noted("told")]
    assert told == [(letter, "processing"), (letter, "done"), (answer, "processing"), (answer, "done")]
    assert side.collect(outcome.cursor) == ([], outcome)


def test_what_we_refuse_fails_at_the_axis_and_does_not_come_again(side):
    letter, other = side.put(INCOMING), side.put(INCOMING, to="H55.14")
    arrived, outcome = side.collect(refuses={letter})
    assert len(arrived) == 2
    assert (side.status(letter), side.status(other)) == ("fail", "done")
    assert side.collect(outcome.cursor)[0] == []


def test_what_the_axis_names_twice_arrives_once(side):
    side.axis.order("twice", on=True)
    letter = side.put(INCOMING)
    assert side.collect()[0] == [(letter, INCOMING)]


def test_what_waits_comes_in_portions(side):
    put = [side.put(INCOMING) for _ in range(5)]
    cursor, arrived = "", []
    turns: list[Collected] = []
    while not turns or turns[-1].more:
        got, outcome = side.collect(cursor, portion="2")
        arrived += [doc_id for doc_id, _ in got]
        turns.append(outcome)
        cursor = outcome.cursor
    assert sorted(arrived) == sorted(put)
    assert [turn.more for turn in turns] == [True, True, False]
    assert {turn.cursor for turn in turns[:-1]} == {""}


def test_what_the_axis_listed_late_is_found_by_the_overlap(side):
    cursor = side.collect()[1].cursor
    late, lost = side.put(INCOMING), side.put(INCOMING)
    side.axis.order("late", docId=late, days=5)
    side.axis.order("late", docId=lost, days=9)
    assert [doc_id for doc_id, _ in side.collect(cursor)[0]] == [late]
    assert [doc_id for doc_id, _ in side.collect(cursor, overlap_days="30")[0]] == [lost]


@pytest.mark.parametrize("answer", ["same", "new", "30"])
def test_a_lost_answer_loses_nothing_whatever_the_axis_says_to_the_repetition(side, answer):
    side.axis.order("repeated", answer=answer)
    side.axis.mood("mute", times=1)
    assert isinstance(side.send(LETTER), Unavailable)
    again = side.send(LETTER, attempt=2, codes_duplicate="30")
    assert isinstance(again, Accepted), again
    marks = {each["sha256"] for each in side.parcels().values()}
    assert marks == {hashlib.sha256(LETTER).hexdigest()}
    assert len(side.parcels()) == (2 if answer == "new" else 1)


def test_a_lost_answer_to_done_costs_one_more_look_and_no_second_message(side):
    letter = side.put(INCOMING)

    def judge(_arrival):
        side.axis.mood("mute", times=2)
        return Judged(accepted=True)

    held = hold(side.adapter(processing="no").collect("", now()), judge, patience=PATIENCE)
    assert isinstance(held.outcome, Unavailable)
    assert [arrival.message_id for arrival in held.arrivals] == [letter]
    assert side.status(letter) == "done"
    side.axis.mood("normal")
    assert side.collect()[0] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mood", "credentials"), [("unavailable", False), ("garbage", False), ("slow", False), ("denied", True)]
)
def test_an_axis_that_is_not_well_is_tried_again_and_one_that_does_not_know_us_is_told(side, mood, credentials):
    letter = side.put(INCOMING)
    side.axis.mood(mood, seconds=2)
    side.patience = 0.5 if mood == "slow" else PATIENCE
    for outcome in (side.send(LETTER), side.collect()[1], side.list_units()):
        assert isinstance(outcome, Unavailable)
        assert outcome.credentials is credentials
    assert side.status(letter) == "initial"
    side.axis.mood("normal")
    side.patience = PATIENCE
    assert side.collect()[0] == [(letter, INCOMING)]


def test_an_axis_that_refuses_is_believed(side):
    side.axis.mood("refuse", times=1)
    assert side.send(LETTER) == Refused("22: the edXML is not per QĐ 28")
    assert side.send(document(to="G99")) == Refused("18: the receiver G99 does not exist", ())
    assert side.send(LETTER, sender="G22") == Refused("19: the sender G22 is not registered for 00.55.W00")
    side.axis.order("lock", code="G22", locked=True)
    assert side.send(LETTER) == Refused("23: the receiver G22 is locked", ("G22",))
    assert side.send(b"<a/>") == Refused("22: no edXML: no MessageHeader/From/OrganId")


def test_a_wrong_secret_system_version_or_hash_is_seen_by_the_axis(side):
    wrong = Unavailable("15: wrong systemId or secret", credentials=True)
    assert side.send(LETTER, word="khác") == wrong
    assert side.send(LETTER, system_id="00.56.W00") == wrong
    assert isinstance(side.send(LETTER, version="2"), Unavailable)
    assert side.send(document("một văn bản khác", to="G22"), hash_digits="full") == Refused(
        "10: hash-file is not the SHA-256 of the file"
    )
    past = now() - timedelta(hours=1)
    assert hold(side.adapter().collect("", past)).outcome == Unavailable(
        "15: the timestamp is too far off", credentials=True
    )


def test_a_packet_goes_to_named_recipients_unless_nobody_is_named(side):
    both = packets.write_document_packet(
        "H55.13", ["G22", "H55.14"], number="8", notation="VB", subject="V/v", promulgated="2026/11/20"
    )
    for how in ("packet", "header"):
        side.send(both, name_recipients=how)
    assert [each["to"] for each in side.parcels().values()] == ["G22", "G22"]
    side.send(both, name_recipients="no")
    assert [each["to"] for each in side.parcels().values()][2:] == ["G22", "H55.14"]


def test_an_axis_that_comes_back_has_what_it_had(options, tmp_path):
    with opened("vxp", tmp_path, *options) as axis:
        letter = Side(axis).put(INCOMING)
    with opened("vxp", tmp_path, *options) as axis:
        assert Side(axis).collect()[0] == [(letter, INCOMING)]


def test_the_list_of_agencies_is_the_axiss_own(side):
    listed = json.loads(side.list_units())
    assert [row["code"] for row in listed["data"]] == ["H55.13", "H55.14", "G22", "G14"]
