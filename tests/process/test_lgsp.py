"""The adapter `lgsp` and an LGSP that was written from the guide alone, over real HTTP: both ways, in every mood."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hub.domain.conversations import Accepted, Collected, Judged, Refused, Unavailable
from lienthong_demo.plan import packets
from tests.consigned import consigned, know_already, speaker, turn_down
from tests.offices import Held, Office, hold, opened
from tests.packets import document
from tests.waiting import PATIENCE, until

SETTINGS = {"system-id": "H37.TN"}
SECRETS = {"secret": "khoa-bi-mat"}
STATUS = packets.write_status_packet(
    "H55.13", "03", packets.Answered("H37.01", "9/UBND", "2026/11/20", "x"), at=datetime(2026, 11, 24, 1, tzinfo=UTC)
)
DOCUMENT = document(to="H37.01")


def adapter(office: Office, **settings: Any) -> Any:
    secrets = {**SECRETS, **({"password": "mat-khau"} if "username" in settings else {})}
    return speaker("lgsp", office.url, SETTINGS | settings, secrets)


def send(office: Office, content: bytes = DOCUMENT, *, kind: str = "document", attempt: int = 1) -> Held:
    return hold(adapter(office).deliver(consigned(content, kind=kind, attempt=attempt), datetime.now(UTC)))


def collect(office: Office, cursor: str = "", **settings: Any) -> Held:
    return hold(adapter(office, **settings).collect(cursor, datetime.now(UTC)))


def put(office: Office, tmp_path: Path, content: bytes) -> str:
    path = tmp_path / f"{sha256(content).hexdigest()}.edxml"
    path.write_bytes(content)
    return str(office.order("put", file=str(path), sound=content.startswith(b"<?xml"))["id"])


def states(office: Office) -> dict[str, str]:
    return dict(office.order("documents")["documents"])


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An LGSP that is only sent to."""
    with opened("lgsp", tmp_path_factory.mktemp("lgsp")) as office:
        yield office
        office.mood("normal")


@pytest.mark.parametrize(("content", "kind"), [(DOCUMENT, "document"), (STATUS, "status")])
def test_a_document_and_a_status_arrive_octet_for_octet_and_carry_their_id(
    standing: Office, content: bytes, kind: str
) -> None:
    held = send(standing, content, kind=kind)
    noted = standing.noted("sent")[-1]
    assert held.outcome == Accepted(f"docId {noted['id']}")
    assert noted["sha256"] == sha256(content).hexdigest()


def test_line_ends_and_what_looks_like_a_boundary_arrive_as_they_are(standing: Office) -> None:
    content = DOCUMENT.replace(b"\n", b"\r\n").replace(b"TL. ", b"--lienthong-\xe1\xba\xbf ")
    assert isinstance(send(standing, content).outcome, Accepted)
    assert standing.noted("sent")[-1]["sha256"] == sha256(content).hexdigest()


@pytest.mark.parametrize("form", ["guide", "seen"])
def test_every_code_of_the_table_is_understood_in_both_forms_of_the_answer(tmp_path: Path, form: str) -> None:
    with opened("lgsp", tmp_path, "--form", form) as office:
        for code in ("10", "18", "19", "22", "23"):
            office.order("fault", code=code)
            outcome = send(office).outcome
            assert isinstance(outcome, Refused), code
            assert outcome.detail.startswith(f"{code}: ")
        office.order("fault", code="20")
        assert isinstance(send(office).outcome, Unavailable)
        office.order("fault", code="21", times=3)
        assert [type(send(office, attempt=attempt).outcome) for attempt in (1, 2, 3)] == [
            Unavailable,
            Unavailable,
            Refused,
        ]
        office.order("fault", code="15")
        assert send(office).outcome.credentials
        assert isinstance(send(office).outcome, Accepted)


@pytest.mark.parametrize(
    ("sender", "to", "code"), [("G09.20", "H37.01", "19"), ("H55.13", "H37.77", "18"), ("H55.13", "H37.99", "23")]
)
def test_the_lgsp_itself_turns_down_what_its_guide_says(standing: Office, sender: str, to: str, code: str) -> None:
    outcome = send(standing, document(to=to).replace(b"H55.13", sender.encode())).outcome
    assert isinstance(outcome, Refused)
    assert outcome.detail.startswith(code)


@pytest.mark.parametrize("mood", ["unavailable", "garbage", "mute", "slow"])
def test_what_is_no_answer_is_tried_again(standing: Office, mood: str) -> None:
    before = len(standing.noted("sent"))
    standing.mood(mood, times=1, seconds=2)
    patience = 0.2 if mood == "slow" else PATIENCE
    outcome = hold(adapter(standing).deliver(consigned(DOCUMENT), datetime.now(UTC)), patience=patience).outcome
    assert isinstance(outcome, Unavailable)
    assert not outcome.credentials
    standing.mood("normal")
    assert isinstance(send(standing).outcome, Accepted)
    taken = 2 if mood in {"slow", "mute"} else 1  # also that whose answer did not come
    until(lambda: len(standing.noted("sent")) == before + taken, "the slow call to be over: the next counts the calls")


def test_a_lost_answer_leaves_the_same_file_there_twice(standing: Office) -> None:
    """The dialect has no id of the sender's: what a repetition is, only the packet's octets tell."""
    before = len(standing.noted("sent"))
    standing.mood("mute", times=1)
    outcomes = [type(send(standing).outcome) for _ in range(2)]
    assert outcomes == [Unavailable, Accepted]
    assert len({line["sha256"] for line in standing.noted("sent")[before:]}) == 1


def test_who_is_not_known_is_told_so(standing: Office) -> None:
    standing.mood("denied", times=1)
    assert send(standing).outcome.credentials
    stranger = speaker("lgsp", standing.url, {"system-id": "H99"}, SECRETS)
    assert hold(stranger.collect("", datetime.now(UTC))).outcome.credentials


@pytest.mark.parametrize("written", ["base64", "xml"])
def test_what_waits_is_collected_once_and_told_to_be_done(tmp_path: Path, written: str) -> None:
    with opened("lgsp", tmp_path, "--edxml", written) as office:
        ids = [put(office, tmp_path, content) for content in (DOCUMENT, STATUS)]
        office.order("double")
        held = collect(office)
        assert [(arrival.message_id, arrival.content) for arrival in held.arrivals] == list(
            zip(ids, (DOCUMENT, STATUS), strict=True)
        )
        assert states(office) == dict.fromkeys(ids, "done")
        again = collect(office, held.outcome.cursor)
        assert again.arrivals == []
        assert isinstance(again.outcome, Collected)


def test_what_the_hub_refuses_is_told_to_have_failed(tmp_path: Path) -> None:
    with opened("lgsp", tmp_path) as office:
        bad = put(office, tmp_path, b"no packet at all")
        held = hold(adapter(office).collect("", datetime.now(UTC)), turn_down)
        assert [arrival.content for arrival in held.arrivals] == [b"no packet at all"]
        assert states(office) == {bad: "fail"}
        assert collect(office, held.outcome.cursor).arrivals == []


def test_a_collection_that_broke_finds_the_same_again(tmp_path: Path) -> None:
    """It broke after the hub had the document, and before the partner was told."""
    with opened("lgsp", tmp_path) as office:
        put(office, tmp_path, DOCUMENT)
        found: list[Any] = []

        def judge(arrival: Any) -> Judged:
            if not found:
                office.mood("unavailable", times=1)
            found.append(arrival)
            return Judged(accepted=True)

        outcomes = [hold(adapter(office).collect("", datetime.now(UTC)), judge).outcome for _ in range(2)]
        assert [type(outcome) for outcome in outcomes] == [Unavailable, Collected]
        assert found[0] == found[1]


def test_what_is_listed_but_not_given_is_shown_to_a_person_once_and_fetched_when_it_is_there(tmp_path: Path) -> None:
    with opened("lgsp", tmp_path) as office:
        document_id = put(office, tmp_path, DOCUMENT)
        office.order("withhold", id=document_id)
        first = hold(adapter(office).collect("", datetime.now(UTC)), turn_down)
        assert b'"21"' in first.arrivals[0].content
        second = collect(office, first.outcome.cursor)
        assert second.arrivals == []
        office.order("give", id=document_id)
        third = collect(office, second.outcome.cursor)
        assert [arrival.content for arrival in third.arrivals] == [DOCUMENT]
        assert states(office) == {document_id: "done"}


def test_what_the_hub_has_in_other_octets_is_told_to_be_there(tmp_path: Path) -> None:
    with opened("lgsp", tmp_path) as office:
        document_id = put(office, tmp_path, DOCUMENT)
        hold(adapter(office).collect("", datetime.now(UTC)), know_already)
        assert states(office) == {document_id: "done"}


def test_what_they_list_late_under_a_day_already_seen_is_found(tmp_path: Path) -> None:
    with opened("lgsp", tmp_path) as office:
        later = datetime.now(UTC) + timedelta(days=3)
        seen = hold(adapter(office).collect("", later)).outcome
        put(office, tmp_path, DOCUMENT)
        assert [arrival.content for arrival in hold(adapter(office).collect(seen.cursor, later)).arrivals] == [DOCUMENT]


def test_many_are_collected_in_several_goes(tmp_path: Path) -> None:
    with opened("lgsp", tmp_path) as office:
        contents = [document(f"so {number}", to="H55.01") for number in range(23)]
        for content in contents:
            put(office, tmp_path, content)
        held = collect(office)
        assert held.outcome.more
        rest = collect(office, held.outcome.cursor)
        assert not rest.outcome.more
        assert [arrival.content for arrival in (*held.arrivals, *rest.arrivals)] == contents


def test_a_door_that_wants_a_bearer_token_gets_one_until_it_ends(tmp_path: Path) -> None:
    login = {"username": "tinh", "application": "lienthong"}
    with opened("lgsp", tmp_path, "--login", "tinh:mat-khau:lienthong") as office:
        assert send(office).outcome.credentials
        spoken = adapter(office, **login)
        for ends in (False, False, True):
            if ends:
                office.order("expire")
            assert isinstance(hold(spoken.deliver(consigned(DOCUMENT), datetime.now(UTC))).outcome, Accepted)
        assert len(office.noted("token")) == 2
        later = datetime.now(UTC) + timedelta(minutes=29)
        assert isinstance(hold(spoken.deliver(consigned(DOCUMENT), later)).outcome, Accepted)
        assert len(office.noted("token")) == 3
        wrong = adapter(office, username="ai-do", application="lienthong")
        assert hold(wrong.deliver(consigned(DOCUMENT), datetime.now(UTC))).outcome.credentials


@pytest.mark.parametrize("mood", ["unavailable", "garbage", "denied", "mute"])
def test_a_collection_meets_every_mood_without_losing_anything(tmp_path: Path, mood: str) -> None:
    with opened("lgsp", tmp_path) as office:
        put(office, tmp_path, DOCUMENT)
        office.mood(mood, times=1)
        outcome = collect(office).outcome
        assert isinstance(outcome, Unavailable)
        assert outcome.credentials == (mood == "denied")
        office.mood("normal")
        assert [arrival.content for arrival in collect(office).arrivals] == [DOCUMENT]


def test_an_lgsp_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    with opened("lgsp", tmp_path) as office:
        kept, done = (put(office, tmp_path, content) for content in (DOCUMENT, STATUS))
        office.order("withhold", id=kept)
        hold(adapter(office).collect("", datetime.now(UTC)))
        assert states(office)[done] == "done"
    with opened("lgsp", tmp_path) as office:
        assert [arrival.message_id for arrival in collect(office).arrivals] == [kept]
