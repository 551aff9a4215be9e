"""What programs order by the API: replay plans, pauses; each order once, however often it is sent."""

from datetime import timedelta
from typing import Any

import pytest

from hub.api import idempotency, partners
from hub.config.values import ReplaySettings
from hub.domain.model import AfterGiveUp, DeliveryState
from hub.journal.queue import delivery_ends
from hub.store import transactions
from tests.api.test_api_reading import give_partners
from tests.api_callers import Program, make_token
from tests.console.test_console_replays import go_on
from tests.journal.test_replay_plans import push

ORDER = {"to": "vpub", "again": True, "reason": "khôi phục bản sao lưu"}


@pytest.fixture
def program(town):
    """A program beside three deliveries of which one is dead."""
    give_partners(town)
    for number in (1, 2, 3):
        town.take(number, "H55.13", "H55.01")
    push(town.engine, DeliveryState.DEAD, DeliveryState.DELIVERED)
    return Program(town, name="kho")


def make(program, key="k1", **said):
    answer = program.post("/replays", ORDER | said, key=key)
    assert answer.status == 202, program.said
    return program.said["id"], answer


def test_a_dead_letter_goes_again_to_the_recipient_that_is_chosen(town, program):
    program.get("/messages?delivery=dead")
    (dead,) = program.said["items"]
    plan, answer = make(program, id=[dead["id"]], recipient="H55.01", again=False, start=True)
    assert answer.location == f"/api/v1/replays/{plan}"
    assert (program.said["state"], program.said["made_by"]) == ("planning", "an/kho")
    go_on(town)
    push(town.engine, DeliveryState.DELIVERED, now=town.now)
    program.get(f"/replays/{plan}")
    assert (program.said["state"], program.said["chosen"], program.said["results"]) == ("done", 1, {"delivered": 1})
    assert program.get(f"/replays/{plan}/deliveries?now=delivered").status == 200
    assert program.get(f"/replays/{plan}/deliveries?now=lost").status == 400
    program.get(f"/replays/{plan}/deliveries")
    (item,) = program.said["items"]
    assert (item["was"], item["state"], item["message"]) == ("dead", "delivered", dead["id"])


def test_a_bulk_is_planned_started_paused_resumed_and_cancelled(town, program):
    plan, _ = make(program, rate="60/m", stop_after=5)
    go_on(town)
    states = []
    for step in ("start", "pause", "resume", "cancel"):
        assert program.post(f"/replays/{plan}/{step}").status == 200
        states.append(program.said["state"])
    assert states == ["running", "paused", "running", "cancelled"]
    assert program.post(f"/replays/{plan}/resume").status == 409
    assert program.said["code"] == "state-unfit"
    program.get("/replays")
    assert [(each["id"], each["rate"]) for each in program.said["items"]] == [(plan, "60/m")]


def test_the_same_order_under_the_same_key_is_one_order_with_one_answer(town, program):
    _, first = make(program, start=True)
    go_on(town)
    again = program.post("/replays", ORDER | {"start": True}, key='"k1"')
    assert (again.content, again.location) == (first.content, first.location)
    assert again.fields["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.fields
    assert program.post("/replays", ORDER, key="k1").status == 422
    assert program.said["code"] == "key-reused"
    assert program.post("/partners/vpub/pause", {"reason": "x"}, key="k1").status == 422, "another operation"
    assert len(town.told("delivery-replayed")) == 3
    make(program, key="k2", start=True)
    other = Program(town, name="khác")
    make(other, start=True)
    assert other.said["made_by"] == "an/khác", "a key belongs to its token"


def test_keys_are_forgotten_after_a_day_and_bounded(town, program, monkeypatch):
    monkeypatch.setattr(idempotency, "MOST", 2)
    for number in (1, 2):
        program.post("/partners/vpub/pause", {"reason": "x"}, key=f"p{number}")
    assert program.post("/partners/vpub/resume", {"reason": "x"}, key="p3").status == 429
    assert town.told("partner-resumed") == []
    assert program.said["code"] == "keys-exhausted"
    town.wait(days=1, seconds=1)
    answer = program.post("/partners/vpub/resume", {"reason": "x"}, key="p3")
    assert (answer.status, program.said["changed"]) == (200, True)


def test_a_refused_order_takes_no_key(town, program):
    assert program.post("/replays", ORDER | {"to": "nobody"}, key="k1").status == 422
    make(program, key="k1")


WRONG: tuple[tuple[Any, str | None, str], ...] = (
    (ORDER, None, "key-missing"),
    (ORDER, "a b", "key-wrong"),
    (ORDER, "x" * 256, "key-wrong"),
    (ORDER | {"reason": "  "}, "k", "order-unfit"),
    ({"reason": "x"}, "k", "order-unfit"),
    (ORDER | {"rate": "many"}, "k", "order-unfit"),
    (ORDER | {"since": "hôm qua"}, "k", "order-unfit"),
    (ORDER | {"state": "refusd"}, "k", "order-unfit"),
    (ORDER | {"unit": "H99"}, "k", "order-unfit"),
    (ORDER | {"stop_after": -1}, "k", "order-unfit"),
    ({"to": "vpub"}, "k", "body-wrong"),
    (ORDER | {"agian": True}, "k", "body-wrong"),
    (ORDER | {"again": "yes"}, "k", "body-wrong"),
    (ORDER | {"stop_after": 1.5}, "k", "body-wrong"),
    (ORDER | {"id": "x"}, "k", "body-wrong"),
    (ORDER | {"id": ["x"] * 201}, "k", "body-wrong"),
    (ORDER | {"reason": "x" * 2001}, "k", "body-wrong"),
    ([], "k", "body-wrong"),
    (b'{"reason":"x","reason":"y","to":"vpub"}', "k", "body-wrong"),
    (b"[" * 30_000, "k", "body-wrong"),
    (b"\xff", "k", "body-wrong"),
    (b"1" * 5_000, "k", "body-wrong"),
)


def test_an_order_that_will_not_do_is_refused_with_a_code_and_nothing_is_done(town, program):
    for body, key, code in WRONG:
        program.language = "en"
        assert program.post("/replays", body, key=key).status >= 400
        assert program.said["code"] == code, body
        english = {program.said["title"], program.said["do"]}
        program.language = "vi"
        program.post("/replays", body, key=key)
        assert not english & {program.said["title"], program.said["do"]}
    assert town.told("replay-plan") == []


def test_another_person_must_approve_and_the_owner_of_a_token_is_one_person(town, program):
    own, other = Program(town, owner="An"), Program(town, owner="binh")
    for each in (program, own, other):
        config: Any = each.pages.parts.live.config
        config.replay = ReplaySettings(approve_over=1)
    plan, _ = make(program)
    go_on(town)
    program.post(f"/replays/{plan}/start")
    assert program.said["state"] == "awaiting"
    for each in (program, own):
        assert each.post(f"/replays/{plan}/approve").status == 409
        assert each.said["code"] == "same-person"
    assert other.post(f"/replays/{plan}/approve").status == 200


def test_a_partner_is_paused_and_resumed_with_a_reason(town, program):
    program.post("/partners/vpub/pause", {"reason": "bảo trì"})
    assert program.said == {"code": "vpub", "paused": True, "changed": True}
    program.get("/partners/vpub")
    assert (program.said["pause"]["by"], program.said["pause"]["reason"]) == ("an/kho", "bảo trì")
    program.post("/partners/vpub/pause", {"reason": "bảo trì"})
    assert not program.said["changed"]
    program.post("/partners/vpub/resume", {"reason": "xong"})
    assert program.said["changed"]
    assert [each["by"] for each in town.told("partner-paused", "partner-resumed")] == ["an/kho", "an/kho"]
    assert program.post("/partners/nobody/pause", {"reason": "x"}).status == 404


def test_resuming_a_partner_takes_up_what_is_suspended(town, program, monkeypatch):
    monkeypatch.setattr(partners, "TOGETHER", 2)
    for number in range(11, 16):
        town.take(number)
    with transactions.write_transaction(town.engine) as tx:
        now, wait = town.now + timedelta(hours=1), timedelta(minutes=1)
        count = delivery_ends.expire_deliveries(tx, "vpub", now, wait, "down", then=AfterGiveUp.WAIT)
    assert count >= 5
    program.post("/partners/vpub/resume", {"reason": "xong"}, key="r1")
    assert program.said["changed"]
    assert len(town.told("delivery-resumed")) == count
    program.post("/partners/vpub/resume", {"reason": "xong"}, key="r2")
    assert not program.said["changed"]


def test_a_key_dies_with_its_token(town, program):
    from hub.operations.accounts import tokens
    from hub.store.tables import api_key

    make(program)
    with transactions.write_transaction(town.engine) as tx:
        assert tokens.remove_token(tx, "kho", by="root", now=town.now)
        assert tx.execute(api_key.select()).all() == []
    assert program.get("/token").status == 401


def test_a_plan_that_was_made_a_while_ago_is_still_found(town, program):
    plan, _ = make(program)
    town.now += timedelta(days=2)
    program.token = make_token(town)
    assert program.get(f"/replays/{plan}").status == 200
    assert program.get("/replays/nothing").status == 404
    assert program.get(f"/replays/{plan}/deliveries?cursor=x").status == 400
