"""What a clerk types when a partner is down: look, pause, give up, resume."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.domain.conversations import Unavailable
from hub.domain.ids import make_id
from hub.domain.model import AfterGiveUp, DeliveryState, Event
from hub.journal import events, messages
from hub.journal.queue import claims, deliveries, delivery_ends, partner_state
from hub.journal.searching import message_filter, search
from hub.partner import circuit_breaker
from hub.partner.policy import Policy
from hub.store import transactions
from tests import homes
from tests.homes import Type, engine_of
from tests.province import NOW, ROUTES, document, entry


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A hub with three documents that wait for the province office, one of them on its way."""
    home = homes.begin(tmp_path / "tinh")
    with transactions.write_transaction(engine_of(home)) as tx:
        for number in (1, 2, 3):
            messages.record_message(
                tx, entry(document(document_id=f"D{number}"), number, at=NOW - timedelta(hours=1 / number)), ROUTES
            )
        claims.claim_deliveries(tx, "vpub", NOW, limit=1, holder="node", lease=timedelta(minutes=1))
    return home


@pytest.fixture
def type_(home: Path) -> Type:
    return homes.typing(home)


def listed(type_: Type) -> dict[str, dict[str, Any]]:
    done = type_("partners", "list", "--json")
    assert done.exit_code == 0, done.output
    return {row["code"]: row["standing"] for row in map(json.loads, done.stdout.splitlines())}


def test_the_list_of_partners_says_how_it_goes_with_each(home, type_):
    assert listed(type_)["sotttt"] is None, "the hub does not push to it"
    usual = {"breaker": "closed", "failures": 0, "opened": 0, "until": None, "reason": None, "paused": None}
    assert listed(type_)["vpub"] == usual | {"under_way": 1}
    step = partial(
        circuit_breaker.record_breaker_failure,
        policy=Policy(),
        now=NOW,
        random=0.5,
        outcome=Unavailable("connection refused"),
    )
    with transactions.write_transaction(engine_of(home)) as tx:
        for _ in range(circuit_breaker.FAILURES):
            partner_state.move_breaker(tx, "vpub", step, NOW)
    down = {"breaker": "open", "failures": 5, "opened": 1, "until": "2026-11-24T08:00:12+00:00"}
    assert listed(type_)["vpub"] == usual | down | {"reason": "connection refused", "under_way": 1}
    assert "cut off: connection refused" in type_("partners", "list").stdout
    assert "đang ngắt: connection refused" in type_("partners", "list", language="vi").stdout
    assert json.loads(type_("resume", "vpub", "--json").stdout)["changed"] is True
    until = listed(type_)["vpub"]["until"]
    assert datetime.now(UTC) - datetime.fromisoformat(until) < timedelta(minutes=5), "tried at once"


def test_a_pause_is_told_with_its_reason_and_ends_with_resume(type_):
    done = type_("pause", "vpub", "--reason", "bảo trì", "--json")
    assert json.loads(done.stdout) == {"code": "vpub", "paused": True, "changed": True}
    paused = listed(type_)["vpub"]["paused"]
    assert (paused["reason"], bool(paused["by"])) == ("bảo trì", True)
    assert "paused by" in type_("partners", "list").stdout
    again = type_("pause", "vpub", "--reason", "lần nữa")
    assert (again.exit_code, "already paused" in again.stderr) == (0, True)
    assert type_("resume", "vpub").exit_code == 0
    assert listed(type_)["vpub"]["paused"] is None
    assert "was not paused" in type_("resume", "vpub").stderr


def test_resume_takes_up_what_is_suspended(home, type_):
    with transactions.write_transaction(engine_of(home)) as tx:
        now = datetime.now(UTC)
        wait, then = timedelta(seconds=1), AfterGiveUp.PAUSE
        assert delivery_ends.expire_deliveries(tx, "vpub", now, wait, "connection refused", then=then) == 2
    assert states(home) == [DeliveryState.SENDING, DeliveryState.SUSPENDED, DeliveryState.SUSPENDED]
    row = next(json.loads(line) for line in type_("status", "--json").stdout.splitlines() if '"vpub"' in line)
    assert (row["suspended"], row["dead"], "suspended" in row["concerns"]) == (2, 0, True)
    assert row["paused"]["by"] == "hub"
    assert "paused by hub: suspended: connection refused" in type_("status").stdout
    assert len(type_("messages", "--delivery-state", "suspended", "--json").stdout.splitlines()) == 2
    (group,) = map(json.loads, type_("failures", "--json").stdout.splitlines())
    assert (group["state"], group["count"], group["detail"]) == ("suspended", 2, "suspended: connection refused")
    done = type_("resume", "vpub", "--json")
    assert json.loads(done.stdout) == {"code": "vpub", "paused": False, "changed": True, "resumed": 2}
    assert states(home) == [DeliveryState.SENDING, DeliveryState.WAITING, DeliveryState.WAITING]
    again = type_("resume", "vpub", "--json")
    assert json.loads(again.stdout) == {"code": "vpub", "paused": False, "changed": False, "resumed": 0}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["pause", "nobody", "--reason", "x"], 4, "no partner nobody"),
        (["pause", "sotttt", "--reason", "x"], 2, "does not push to sotttt"),
        (["pause", "vpub"], 2, "--reason"),
        (["pause", "vpub", "--reason", " "], 2, "--reason"),
        (["resume", "sotttt"], 2, "does not push"),
        (["give-up", "--reason", "x"], 2, "an ID or a filter"),
        (["give-up", "--partner", "vpub", "--reason", " "], 2, "--reason"),
        (["give-up", "--partner", "vpcp", "--reason", "x"], 4, "no waiting delivery"),
    ],
)
def test_what_does_not_fit_is_said(type_, words, code, told):
    done = type_(*words)
    assert (done.exit_code, told in done.stderr) == (code, True), done.output


def test_what_waits_is_given_up_by_plan_and_a_replay_brings_it_back(home, type_):
    words = ["give-up", "--partner", "vpub", "--reason", "hệ thống đã bỏ", "--json"]
    planned = [json.loads(line) for line in type_(*words).stdout.splitlines()]
    assert [(row["action"], row.get("message_id")) for row in planned] == [
        ("planned", "m2"),
        ("planned", "m3"),
        ("excluded", "m1"),
    ]
    done = [json.loads(line)["action"] for line in type_(*words, "--yes").stdout.splitlines()]
    assert done == ["given up", "given up", "excluded"]
    assert states(home) == [DeliveryState.SENDING, DeliveryState.DEAD, DeliveryState.DEAD]
    assert type_("give-up", "--partner", "vpub", "--reason", "x", "--yes").exit_code == 4
    replayed = type_("replay", "--partner", "vpub", "--reason", "lại", "--yes", "--json")
    assert [json.loads(line)["action"] for line in replayed.stdout.splitlines()] == ["replayed", "replayed"]
    assert states(home) == [DeliveryState.SENDING, DeliveryState.WAITING, DeliveryState.WAITING]


def states(home: Path) -> list[DeliveryState]:
    with transactions.read_transaction(engine_of(home)) as tx:
        ids = [f"00000000-0000-7000-8000-{number:012d}" for number in (1, 2, 3)]
        return [made.state for each in ids for made in deliveries.read_message_deliveries(tx, each)]


def test_without_a_journal_the_list_comes_all_the_same(home, type_):
    (home / "data/hub.db").unlink()
    done = type_("partners", "list", "--json")
    assert done.exit_code == 0, done.output
    assert "The journal cannot be read" in done.stderr
    assert [json.loads(line)["standing"] for line in done.stdout.splitlines()] == [None, None, None]


def test_a_refused_call_is_looked_at_by_the_id_that_its_caller_quotes(home, type_):
    tracking = make_id(NOW)
    said = {"partner": "sotttt", "operation": "GetDocument", "code": "document-not-found", "tracking": tracking}
    with transactions.write_transaction(engine_of(home)) as tx:
        events.append_events(tx, Event("call-refused", NOW, None, None, said))
        (first, *_) = search.find_messages(tx, message_filter.MessageFilter())
    for verb in (("trace", tracking), ("show", tracking), ("messages", "--tracking", tracking)):
        told = type_(*verb)
        assert (told.exit_code, "document-not-found" in told.stdout) == (0, True), verb
    assert type_("messages", "--tracking", tracking, "--count").stdout == "1\n"
    (row,) = map(json.loads, type_("messages", "--tracking", first.id, "--json").stdout.splitlines())
    assert row["id"] == first.id, "a message is found by its own"
    for verb in (("show", tracking, "--raw"), ("show", "nothing"), ("trace", "nothing")):
        assert type_(*verb).exit_code == 4
    assert type_("messages", "--tracking", "nothing", "--json").stdout == ""


def test_messages_are_listed_in_pages_of_which_each_begins_behind_the_one_before(type_):
    def page(*words: str) -> list[str]:
        done = type_("messages", "--service", "documents", "--kind", "document", "--limit", "2", "--json", *words)
        assert done.exit_code == 0, done.output
        return [json.loads(line)["message_id"] for line in done.stdout.splitlines()]

    assert page() == ["m1", "m2"]
    assert page("--after", "00000000-0000-7000-8000-000000000002") == ["m3"]
    assert page("--after", "00000000-0000-7000-8000-000000000003") == []
    assert type_("messages", "--kind", "document", "--count").stdout == "3\n"
    assert type_("messages", "--kind", "status", "--count").stdout == "0\n"
