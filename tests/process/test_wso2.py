"""The adapter `wso2` and an exchange that was written from its published client alone, over real HTTP: both ways, in every mood."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hub.domain.conversations import Accepted, Refused, Unavailable
from lienthong_demo.plan import packets
from tests.consigned import consigned, know_already, speaker, turn_down
from tests.offices import Held, Office, hold, opened
from tests.packets import document

SETTINGS = {"consumer-key": "ung-dung-thai-nguyen"}
SECRETS = {"consumer-secret": "khoa-ung-dung", "unit-secret": "ma-bi-mat"}
STATUS = packets.write_status_packet(
    "H55.13", "03", packets.Answered("H47.01", "9/UBND", "2026/11/20", "x"), at=datetime(2026, 11, 24, 1, tzinfo=UTC)
)
DOCUMENT = document(to="H47.01")


def adapter(office: Office, secrets: Any = SECRETS, **settings: Any) -> Any:
    named = {name.replace("_", "-"): value for name, value in settings.items()}
    return speaker("wso2", f"{office.url}/truclienthong/v1.0.0", SETTINGS | named, secrets)


def send(office: Office, content: bytes = DOCUMENT, *, kind: str = "document", **settings: Any) -> Held:
    return hold(adapter(office, **settings).deliver(consigned(content, kind=kind), datetime.now(UTC)))


def collect(office: Office, cursor: str = "") -> Held:
    return hold(adapter(office).collect(cursor, datetime.now(UTC)))


def put(office: Office, tmp_path: Path, content: bytes) -> str:
    path = tmp_path / f"{sha256(content).hexdigest()}.edxml"
    path.write_bytes(content)
    return str(office.order("put", file=str(path), sound=content.startswith(b"<?xml"))["id"])


def states(office: Office) -> dict[str, str]:
    return dict(office.order("documents")["documents"])


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An exchange that is only sent to."""
    with opened("wso2", tmp_path_factory.mktemp("wso2")) as office:
        yield office


@pytest.mark.parametrize(
    ("place", "unit", "name"), [("form", "query", "vanBan"), ("json", "header", "data"), ("text", "query", "data")]
)
def test_a_document_and_a_status_arrive_octet_for_octet_where_the_exchange_reads_them_and_nowhere_else(
    tmp_path: Path, place: str, unit: str, name: str
) -> None:
    there = ("--packet-in", place, "--unit-in", unit, "--packet-name", name)
    with opened("wso2", tmp_path, *there) as office:
        for content, kind in ((DOCUMENT, "document"), (STATUS, "status")):
            held = send(office, content, kind=kind, packet_in=place, unit_in=unit, packet_name=name)
            noted = office.noted("sent")[-1]
            assert held.outcome == Accepted(f"docId {noted['id']}")
            assert noted["sha256"] == sha256(content).hexdigest()
        elsewhere = "json" if place == "form" else "form"
        assert isinstance(send(office, packet_in=elsewhere, unit_in=unit, packet_name=name).outcome, Refused)
        other = "header" if unit == "query" else "query"
        assert send(office, packet_in=place, unit_in=other, packet_name=name).outcome.credentials
        if place != "text":
            assert isinstance(send(office, packet_in=place, unit_in=unit, packet_name="khac").outcome, Refused)


def test_by_default_a_document_and_a_status_arrive_too(standing: Office) -> None:
    for content, kind in ((DOCUMENT, "document"), (STATUS, "status")):
        assert isinstance(send(standing, content, kind=kind).outcome, Accepted)
        assert standing.noted("sent")[-1]["sha256"] == sha256(content).hexdigest()


def test_codes_mean_what_the_settings_say(standing: Office) -> None:
    for code, outcome in (("10", Refused), ("18", Refused), ("20", Unavailable), ("21", Unavailable)):
        standing.order("fault", code=code)
        assert isinstance(send(standing).outcome, outcome), code
    standing.order("fault", code="7")
    assert isinstance(send(standing, refused_codes="7").outcome, Refused)


def test_the_exchange_itself_turns_down_what_is_for_nobody_there(standing: Office) -> None:
    assert isinstance(send(standing, document(to="H47.99")).outcome, Refused)
    standing.mood("refuse", times=2)  # one call is for the token
    assert isinstance(send(standing).outcome, Refused)


@pytest.mark.parametrize("mood", ["unavailable", "garbage", "mute", "slow"])
@pytest.mark.parametrize("has_token", [False, True], ids=["to the token", "to the packet"])
def test_what_is_no_answer_is_tried_again(standing: Office, mood: str, has_token: bool) -> None:
    spoken = adapter(standing)
    if has_token:
        assert isinstance(hold(spoken.deliver(consigned(DOCUMENT), datetime.now(UTC))).outcome, Accepted)
    standing.mood(mood, times=1, seconds=2)
    outcome = hold(spoken.deliver(consigned(DOCUMENT), datetime.now(UTC)), patience=0.2).outcome
    assert isinstance(outcome, Unavailable)
    assert not outcome.credentials
    standing.mood("normal")
    assert isinstance(hold(spoken.deliver(consigned(DOCUMENT), datetime.now(UTC))).outcome, Accepted)


def test_a_token_serves_until_it_ends_and_one_that_ended_early_is_replaced_once(tmp_path: Path) -> None:
    with opened("wso2", tmp_path, "--token-life", "40") as office:
        spoken, now = adapter(office), datetime.now(UTC)
        for _ in range(3):
            assert isinstance(hold(spoken.deliver(consigned(DOCUMENT), now)).outcome, Accepted)
        assert len(office.noted("token")) == 1
        office.order("expire")
        held = hold(spoken.deliver(consigned(DOCUMENT), now))
        assert isinstance(held.outcome, Accepted)
        assert [reply.status for reply in held.replies] == [401, 200, 200]
        assert isinstance(hold(spoken.deliver(consigned(DOCUMENT), now + timedelta(seconds=31))).outcome, Accepted)
        assert len(office.noted("token")) == 3


def test_who_is_not_known_is_told_so_and_asks_no_more_than_twice(standing: Office) -> None:
    for secrets in ({**SECRETS, "consumer-secret": "sai"}, {**SECRETS, "unit-secret": "sai"}):
        held = hold(adapter(standing, secrets).deliver(consigned(DOCUMENT), datetime.now(UTC)))
        assert held.outcome.credentials
        assert len(held.requests) <= 2
    spoken = adapter(standing)
    assert isinstance(hold(spoken.deliver(consigned(DOCUMENT), datetime.now(UTC))).outcome, Accepted)
    standing.mood("denied")
    held = hold(spoken.deliver(consigned(DOCUMENT), datetime.now(UTC)))
    standing.mood("normal")
    assert held.outcome.credentials
    assert len(held.requests) == 2


def test_what_waits_is_collected_once_and_put_to_done(tmp_path: Path) -> None:
    with opened("wso2", tmp_path) as office:
        ids = [put(office, tmp_path, content) for content in (DOCUMENT, STATUS)]
        office.order("double")
        held = collect(office)
        assert [(arrival.message_id, arrival.content) for arrival in held.arrivals] == list(
            zip(ids, (DOCUMENT, STATUS), strict=True)
        )
        assert states(office) == dict.fromkeys(ids, "DONE")
        assert collect(office, held.outcome.cursor).arrivals == []


def test_what_the_hub_refuses_is_put_to_fail(tmp_path: Path) -> None:
    with opened("wso2", tmp_path) as office:
        bad = put(office, tmp_path, b"no packet at all")
        held = hold(adapter(office).collect("", datetime.now(UTC)), turn_down)
        assert [arrival.content for arrival in held.arrivals] == [b"no packet at all"]
        assert states(office) == {bad: "FAIL"}
        assert collect(office, held.outcome.cursor).arrivals == []


def test_what_is_listed_but_not_given_is_shown_once_and_holds_nothing_up(tmp_path: Path) -> None:
    with opened("wso2", tmp_path) as office:
        stuck = put(office, tmp_path, DOCUMENT)
        office.order("withhold", id=stuck)
        first = hold(adapter(office).collect("", datetime.now(UTC)), turn_down)
        assert b'"21"' in first.arrivals[0].content
        put(office, tmp_path, STATUS)
        second = collect(office, first.outcome.cursor)
        assert [arrival.content for arrival in second.arrivals] == [STATUS]
        office.order("give", id=stuck)
        third = collect(office, second.outcome.cursor)
        assert [arrival.content for arrival in third.arrivals] == [DOCUMENT]
        assert third.outcome.cursor == ""


def test_what_the_hub_has_in_other_octets_is_told_to_be_there(tmp_path: Path) -> None:
    with opened("wso2", tmp_path) as office:
        document_id = put(office, tmp_path, DOCUMENT)
        hold(adapter(office).collect("", datetime.now(UTC)), know_already)
        assert states(office) == {document_id: "DONE"}


def test_many_are_collected_in_several_goes(tmp_path: Path) -> None:
    with opened("wso2", tmp_path) as office:
        contents = [document(f"so {number}", to="H55.01") for number in range(22)]
        for content in contents:
            put(office, tmp_path, content)
        held = collect(office)
        assert held.outcome.more
        rest = collect(office, held.outcome.cursor)
        assert not rest.outcome.more
        assert [arrival.content for arrival in (*held.arrivals, *rest.arrivals)] == contents


@pytest.mark.parametrize("mood", ["unavailable", "garbage", "denied", "mute"])
def test_a_collection_meets_every_mood_without_losing_anything(tmp_path: Path, mood: str) -> None:
    with opened("wso2", tmp_path) as office:
        put(office, tmp_path, DOCUMENT)
        office.mood(mood, times=1)
        outcome = collect(office).outcome
        assert isinstance(outcome, Unavailable)
        assert outcome.credentials == (mood == "denied")
        office.mood("normal")
        assert [arrival.content for arrival in collect(office).arrivals] == [DOCUMENT]


def test_a_collection_whose_last_word_was_lost_finds_nothing_new(tmp_path: Path) -> None:
    with opened("wso2", tmp_path) as office:
        put(office, tmp_path, DOCUMENT)

        def judge_and_go_deaf(arrival: Any) -> Any:
            office.mood("mute", times=1)
            return turn_down(arrival)

        assert isinstance(hold(adapter(office).collect("", datetime.now(UTC)), judge_and_go_deaf).outcome, Unavailable)
        assert collect(office).arrivals == []
