"""The adapter `bkav` and a bus that was written from the documents alone, over real HTTP: both ways, in every mood and form."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from hub.domain.conversations import Accepted, Judged, Refused, Request, Unavailable
from hub.edxml import packet
from lienthong_demo.plan import packets
from tests.consigned import consigned, know_already, speaker, turn_down
from tests.offices import Held, Office, carry, hold, opened
from tests.packets import document
from tests.waiting import PATIENCE, until

SETTINGS = {"organ": "000.00.00.H55"}
SECRETS = {"token": "the-lien-thong"}
STATUS = packets.write_status_packet(
    "H55.13",
    "03",
    packets.Answered("000.00.00.H53", "9/UBND", "2026/11/20", "000.00.00.H53,2026/11/20,9/UBND"),
    at=datetime(2026, 11, 24, 1, tzinfo=UTC),
)
DOCUMENT = document(to="000.00.00.H53", attachments=(("a.pdf", b"%PDF-1.7\r\n\x00\xff\r\n--x"), ("b.txt", b"\n")))
#: For us, from there.
INWARD = document(to="H55.01").replace(b"H55.13", b"000.00.13.H53")
#: Its SHA-256 when it was put together: of another form, one fetched twice across an upgrade would be an id with other octets.
PUT_TOGETHER = "7c32279b9d01bbbc202af400871fb6f0a15e5570ff5985cb7c1f96ec5a9715ce"
TRACE = packets.write_status_packet(
    "000.00.13.H53",
    "06",
    packets.Answered("H55.01", "7/VB", "2026/11/20", "H55.01,2026/11/20,7/VB"),
    at=datetime(2026, 11, 24, 1, tzinfo=UTC),
)


def adapter(office: Office, secrets: Any = SECRETS, **settings: Any) -> Any:
    named = {name.replace("_", "-"): value for name, value in settings.items()}
    return speaker("bkav", f"{office.url}/services/eDoc", SETTINGS | named, secrets)


def send(office: Office, content: bytes = DOCUMENT, *, kind: str = "document", **settings: Any) -> Held:
    return hold(adapter(office, **settings).deliver(consigned(content, kind=kind), datetime.now(UTC)))


def collect(office: Office, cursor: str = "", judge: Any = None, **settings: Any) -> Held:
    conversation = adapter(office, organs="H55.01 000.00.00.H55", **settings).collect(cursor, datetime.now(UTC))
    return hold(conversation, judge) if judge else hold(conversation)


def put(office: Office, tmp_path: Path, content: bytes) -> str:
    path = tmp_path / f"{sha256(content).hexdigest()}.edxml"
    path.write_bytes(content)
    return str(office.order("put", file=str(path))["id"])


def said(content: bytes) -> object:
    return attrs.evolve(packet.read_packet(content), deviations=())


def confirmed(office: Office) -> dict[str, dict[str, bool]]:
    return dict(office.order("documents")["documents"])


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A bus that is only sent to."""
    with opened("bkav", tmp_path_factory.mktemp("bkav"), "--again", "accept") as office:
        yield office


@pytest.mark.parametrize("soap", ["1.1", "1.2"])
@pytest.mark.parametrize("attachments", ["swa", "mtom"])
def test_a_document_arrives_with_every_file_octet_for_octet(standing: Office, soap: str, attachments: str) -> None:
    held = send(standing, soap=soap, attachments=attachments)
    noted = (standing.noted("sent") + standing.noted("again"))[-1]
    assert held.outcome == Accepted(f"DocumentId {noted['id']}")
    assert noted["document_id"] == packet.read_packet(DOCUMENT).document_id
    assert list(noted["files"].values()) == [each.sha256 for each in packet.read_packet(DOCUMENT).attachments]


@pytest.mark.parametrize("soap", ["1.1", "1.2"])
def test_a_status_goes_by_update_traces(standing: Office, soap: str) -> None:
    assert isinstance(send(standing, STATUS, kind="status", soap=soap).outcome, Accepted)
    assert standing.noted("status")[-1]["code"] == "03"


def test_what_the_bus_checks_is_refused_with_its_codes(standing: Office) -> None:
    outcome = send(standing, document(to="000.00.99.H53")).outcome
    assert outcome == Refused("M.MessageHeader.To: Không hợp lệ", ())
    nameless = DOCUMENT.replace(b"<edXML:OrganName>H55.13</edXML:OrganName>", b"", 1)
    assert send(standing, nameless).outcome.detail.startswith("N.From.OrganName")
    standing.mood("refuse", times=1)
    assert isinstance(send(standing).outcome, Refused)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"<edXML:Subject>", b"<edXML:Subject>" + b"x" * 501, "R.MessageHeader.Subject"),
        (b"<edXML:CodeNumber>", b"<edXML:CodeNumber>123456789012", "R.Code.CodeNumber"),
        (
            b"2026/11/20</edXML:PromulgationDate>",
            b"2056/11/20</edXML:PromulgationDate>",
            "R.PromulgationInfo.PromulgationDate",
        ),
        (
            b"2026/11/20</edXML:PromulgationDate>",
            b"2026/02/30</edXML:PromulgationDate>",
            "T.PromulgationInfo.PromulgationDate",
        ),
        (b"<edXML:OrganId>H55.13</edXML:OrganId>", b"<edXML:OrganId>H55.13.1.2.3</edXML:OrganId>", "R.From.OrganId"),
    ],
    ids=["long", "long number", "later", "no day", "five parts"],
)
def test_lengths_and_dates_are_checked_too(standing: Office, old: bytes, new: bytes, code: str) -> None:
    assert old in DOCUMENT
    assert send(standing, DOCUMENT.replace(old, new, 1)).outcome == Refused(f"{code}: Không hợp lệ")


def test_a_packet_of_today_that_names_units_by_code_and_name_passes_every_check(standing: Office) -> None:
    assert b"OrganAdd" not in DOCUMENT
    bare = re.sub(rb"<edXML:OrganizationInCharge>[^<]*</edXML:OrganizationInCharge>", b"", DOCUMENT)
    other_day = bare.replace(b"2026/11/20</edXML:PromulgationDate>", b"20/11/2026</edXML:PromulgationDate>")
    other = other_day.replace(b",2026/11/20,", b",2026/11/21,")  # a new document
    assert isinstance(send(standing, other).outcome, Accepted)


@pytest.mark.parametrize("mood", ["unavailable", "garbage", "mute", "slow"])
def test_what_is_no_answer_is_tried_again(standing: Office, mood: str) -> None:
    def arrived() -> int:
        return len(standing.noted("sent") + standing.noted("again"))

    before = arrived()
    standing.mood(mood, times=1, seconds=2)
    patience = 0.2 if mood == "slow" else PATIENCE
    outcome = hold(adapter(standing).deliver(consigned(DOCUMENT), datetime.now(UTC)), patience=patience).outcome
    assert isinstance(outcome, Unavailable)
    assert not outcome.credentials
    standing.mood("normal")
    assert isinstance(send(standing).outcome, Accepted)
    taken = 2 if mood in {"slow", "mute"} else 1  # also that whose answer did not come
    until(lambda: arrived() == before + taken, "the slow call to be over: the next test's orders are not for it")


@pytest.mark.parametrize("soap", ["1.1", "1.2"])
def test_a_fault_of_the_bus_is_tried_again(standing: Office, soap: str) -> None:
    standing.order("fault")
    assert send(standing, soap=soap).outcome == Unavailable("Read timed out", unknown=True)


def test_a_lost_answer_does_not_make_two_of_one(tmp_path: Path) -> None:
    """The bus says that it has a new document of that DocumentId; only after a lost answer is that ours."""
    with opened("bkav", tmp_path) as office:
        office.mood("mute", times=1)
        lost, now = consigned(DOCUMENT), datetime.now(UTC)
        assert isinstance(hold(adapter(office).deliver(lost, now)).outcome, Unavailable)
        again = attrs.evolve(lost, attempt=2, unsure=now)
        assert hold(adapter(office).deliver(again, now)).outcome == Accepted("M.Exist: Không hợp lệ")
        assert isinstance(hold(adapter(office).deliver(lost, now)).outcome, Refused), "what another one has sent"
        assert len(office.noted("sent")) == 1


def test_who_is_not_known_is_told_so(standing: Office) -> None:
    stranger = adapter(standing, {"token": "sai"})
    assert hold(stranger.deliver(consigned(DOCUMENT), datetime.now(UTC))).outcome.credentials
    assert hold(stranger.collect("", datetime.now(UTC))).outcome.credentials
    standing.mood("denied", times=1)
    assert send(standing).outcome.credentials


@pytest.mark.parametrize("packing", ["swa", "mtom"])
@pytest.mark.parametrize("encoding", ["binary", "base64"])
@pytest.mark.parametrize("soap", ["1.1", "1.2"])
def test_what_waits_is_put_together_to_the_same_packet_in_whatever_form_it_comes(
    tmp_path: Path, packing: str, encoding: str, soap: str
) -> None:
    with opened("bkav", tmp_path, "--packing", packing, "--encoding", encoding) as office:
        document_id = put(office, tmp_path, INWARD)
        put(office, tmp_path, TRACE)
        office.order("double")
        held = collect(office, soap=soap)
        got, trace = held.arrivals
        assert got.message_id == document_id
        assert [said(got.content), said(trace.content)] == [said(INWARD), said(TRACE)]
        assert sha256(got.content).hexdigest() == PUT_TOGETHER
        assert confirmed(office) == {document_id: {"H55.01": True}}
        again = collect(office, held.outcome.cursor)
        assert again.arrivals == []


def test_a_document_for_two_of_our_organs_arrives_once_and_is_confirmed_for_both(tmp_path: Path) -> None:
    with opened("bkav", tmp_path) as office:
        content = packets.write_document_packet(
            "000.00.13.H53",
            ("H55.01", "000.00.00.H55"),
            number="1",
            notation="A",
            subject="x",
            promulgated="2026/11/01",
        )
        document_id = put(office, tmp_path, content)
        assert [arrival.message_id for arrival in collect(office).arrivals] == [document_id]
        assert confirmed(office) == {document_id: {"H55.01": True, "000.00.00.H55": True}}


def test_what_the_hub_refuses_is_not_confirmed_and_not_fetched_again(tmp_path: Path) -> None:
    with opened("bkav", tmp_path) as office:
        document_id = put(office, tmp_path, INWARD)
        first = collect(office, judge=turn_down)
        assert len(first.arrivals) == 1
        second = collect(office, first.outcome.cursor)
        assert second.arrivals == []
        assert not any("GetDocument" in dict(request.headers)["SOAPAction"] for request in second.requests)
        assert confirmed(office) == {document_id: {"H55.01": False}}


def test_a_document_with_a_lost_part_is_shown_to_a_person_once_and_holds_nothing_up(tmp_path: Path) -> None:
    with opened("bkav", tmp_path) as office:
        spoilt = put(office, tmp_path, INWARD)
        office.order("spoil", id=spoilt)
        first = collect(office, judge=turn_down)
        assert first.arrivals[0].content == first.replies[2].body
        whole = put(office, tmp_path, document("khac", to="H55.01"))
        second = collect(office, first.outcome.cursor)
        assert [arrival.message_id for arrival in second.arrivals] == [whole]
        office.order("spoil", id=spoilt, spoilt=False)
        third = collect(office, second.outcome.cursor)
        assert [said(arrival.content) for arrival in third.arrivals] == [said(INWARD)]
        assert confirmed(office)[spoilt] == {"H55.01": True}


def test_a_confirmation_that_was_lost_makes_no_second_message(tmp_path: Path) -> None:
    with opened("bkav", tmp_path) as office:
        put(office, tmp_path, INWARD)
        found = []

        def judge(arrival: Any) -> Judged:
            found.append(arrival)
            if len(found) == 1:
                office.mood("unavailable", times=1)
            return Judged(accepted=True)

        assert isinstance(collect(office, judge=judge).outcome, Unavailable)
        collect(office, judge=judge)
        assert len(found) == 2
        assert found[0] == found[1]


@pytest.mark.parametrize("mood", ["unavailable", "garbage", "denied", "mute"])
def test_a_collection_meets_every_mood_without_losing_anything(tmp_path: Path, mood: str) -> None:
    with opened("bkav", tmp_path) as office:
        put(office, tmp_path, INWARD)
        office.mood(mood, times=1)
        outcome = collect(office).outcome
        assert isinstance(outcome, Unavailable)
        assert outcome.credentials == (mood == "denied")
        office.mood("normal")
        assert len(collect(office).arrivals) == 1


def test_what_the_hub_has_in_other_octets_is_told_to_be_there(tmp_path: Path) -> None:
    with opened("bkav", tmp_path) as office:
        document_id = put(office, tmp_path, INWARD)
        collect(office, judge=know_already)
        assert confirmed(office) == {document_id: {"H55.01": True}}


def test_many_are_collected_in_several_goes(tmp_path: Path) -> None:
    with opened("bkav", tmp_path, "--packing", "plain") as office:
        ids = [put(office, tmp_path, document(f"so {number}", to="H55.01")) for number in range(22)]
        held = collect(office)
        assert held.outcome.more
        rest = collect(office, held.outcome.cursor)
        assert not rest.outcome.more
        assert [arrival.message_id for arrival in (*held.arrivals, *rest.arrivals)] == ids


def test_a_bus_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    with opened("bkav", tmp_path) as office:
        first = put(office, tmp_path, INWARD)
        collect(office)
    with opened("bkav", tmp_path) as office:
        assert confirmed(office) == {first: {"H55.01": True}}
        assert collect(office).arrivals == []


def test_the_bus_answers_the_call_of_the_published_client(standing: Office) -> None:
    """The form that a client of such a bus was published with: unquoted action, `start` without brackets, the token twice."""
    token = SECRETS["token"]
    envelope = (
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Header>'
        f'<Token xmlns="http://e-doc.vn/xsd">{token}</Token></SOAP-ENV:Header><SOAP-ENV:Body><CheckPermission>'
        f"<Token>{token}</Token><OrganId>000.00.00.H55</OrganId></CheckPermission></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
    body = f"--Boundary\r\nContent-Type: text/xml; charset=utf-8\r\nContent-ID:<Start>\r\n\r\n{envelope}\r\n--Boundary--\r\n"
    headers = (
        ("SOAPAction", "CheckPermission"),
        ("Content-Type", 'multipart/related;type="text/xml";boundary="Boundary";start="Start"'),
    )
    reply = carry(Request(f"{standing.url}/services/eDoc", body.encode(), headers))
    assert reply.status == 200
    assert b"<IsSuccess>true</IsSuccess>" in reply.body


@pytest.mark.slow
def test_a_document_of_20_mb_goes_both_ways(tmp_path: Path) -> None:
    large = (("bien-ban.pdf", b"%PDF-" + bytes(range(256)) * (20 << 12)),)
    with opened("bkav", tmp_path, "--encoding", "base64") as office:
        outward = document(to="000.00.00.H53", attachments=large)
        conversation = adapter(office).deliver(consigned(outward), datetime.now(UTC))
        assert isinstance(hold(conversation, patience=60).outcome, Accepted)
        inward = document(to="H55.01", attachments=large)
        put(office, tmp_path, inward)
        collection = adapter(office, organs="H55.01").collect("", datetime.now(UTC))
        held = hold(collection, patience=60)
        assert said(held.arrivals[0].content) == said(inward)
        assert all(
            len(reply.body) < request.reply_limit for request, reply in zip(held.requests, held.replies, strict=True)
        )
