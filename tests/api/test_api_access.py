"""Who gets in by the API: every operation with every scope, and with tokens of foreign units and partners; and nobody else."""

from datetime import timedelta

import pytest

from hub.api import partner_changes
from hub.api.operation import FILE_TYPE
from hub.api.table import OPERATIONS
from hub.api.token_check import FREE, WITHIN
from hub.domain.model import DeliveryState
from hub.edxml.sample import make_sample_packet
from hub.operations.accounts.permissions import Permission
from tests.api.test_api_orders import ORDER
from tests.api.test_api_reading import give_partners
from tests.api_callers import Program, make_token
from tests.console.test_console_messages import try_to_deliver
from tests.console_town import done
from tests.province import NOW

_SEEN = {"reason": "x", "seen": ""}
BODIES: dict[str, object] = {
    "makePlan": ORDER,
    "correctMessage": {"reason": "x", "packet": "<a/>"},
    "tryRules": {"policy": ["timeout=1s"]},
    "tryForm": {"form": "", "period": "2026-12"},
    "addPartner": {"code": "vpub"},
    "changePartner": {**_SEEN, "set": ["name=x"]},
    "addPartnerCertificate": {**_SEEN, "certificate": ""},
    "removePartnerCertificate": _SEEN,
    "removePartner": _SEEN,
    "closeReport": {},
    "declareReport": {"cells": [{"column": "sent_inside", "figure": 1}]},
    "addTrusted": {"seen": "", "pem": ""},
    "removeTrusted": {"seen": ""},
    "makeAccount": {"name": "moi", "role": "engineer"},
    "makeToken": {"name": "moi", "scopes": ["replay"]},
}


@pytest.fixture
def stage(town):
    """A message of H55.13 for H55.01 at vpub with an attempt, and what each parameter of a path may name."""
    give_partners(town)
    message = town.take(1, content=make_sample_packet("H55.13", "H55.01", "V/v kết nối", NOW.date()))
    try_to_deliver(town, (503, b"bi-mat"), (200, b"<bi-mat/>"))
    program = Program(town)
    program.get(f"/messages/{message}")
    first, second = [each["id"] for each in program.said["attempts"]]
    program.post("/replays", ORDER, key="k")
    return {
        "message": message,
        "attempt": first,
        "other": second,
        "number": "1",
        "tracking": "0193aaaa-0000-7000-8000-000000000001",
        "plan": program.said["id"],
        "partner": "vpub",
        "trial": "0193aaaa-0000-7000-8000-000000000002",
        "fingerprint": "0123456789abcdef",
        "unit": "H55.13",
        "form": "edoc",
        "period": "2026-12",
        "column": "sent_inside",
        "user": "an",
        "name": "nobody",
    }


def call(program, operation, stage):
    """Call an operation about what is on the stage."""
    other = stage["message"] if operation.name == "compareMessages" else stage["other"]
    path = operation.path.format(**stage | {"other": other})
    if operation.name in {"getReportFile", "getGlanceFile"}:
        path += "?format=csv"
    body = None if operation.takes is None else BODIES.get(operation.name, {"reason": "x"})
    if operation.takes_file:
        return program.send(operation.method, path, body=b"x", content_type=FILE_TYPE)
    return program.send(
        operation.method,
        path,
        body=b"" if body is None else __import__("json").dumps(body).encode(),
        content_type="application/json",
        key="k" if operation.keyed else None,
    )


@pytest.mark.slow
def test_each_operation_is_done_with_one_of_its_scopes_and_with_no_other(town, stage):
    programs = {scope: Program(town, scope) for scope in Permission}
    for operation in OPERATIONS:
        for scope, program in programs.items():
            answer = call(program, operation, stage)
            refused = answer.status == 403
            assert refused == bool(operation.scopes and scope not in operation.scopes), (operation.name, scope)
            if refused:
                assert program.said["code"] == "scope-missing"


@pytest.mark.slow
def test_a_token_of_other_units_finds_nothing_of_these(town, stage):
    """Neither what it is about nor that it exists."""
    program = Program(town, units=("H55.30",))
    for operation in OPERATIONS:
        answer = call(program, operation, stage)
        if operation.whole:
            assert (answer.status, program.said["code"]) == (403, "token-limited"), operation.name
        elif any(f"{{{name}}}" in operation.path for name in ("message", "attempt", "plan", "unit")):
            assert answer.status == 404, operation.name
        elif operation.name in {"listMessages", "listPlans"}:
            assert program.said["items"] == [], operation.name
    program.get("/units")
    assert [each["code"] for each in program.said["items"]] == ["H55.30"]
    assert town.told("content-opened") == []


def test_a_token_of_other_partners_does_nothing_to_these(town, stage):
    program = Program(town, partners=("sotttt",))
    program.get("/partners")
    assert [each["code"] for each in program.said["items"]] == ["sotttt"]
    assert program.get("/partners/vpub").status == 404
    assert program.post("/partners/vpub/pause", {"reason": "x"}).status == 404
    for operation in partner_changes.OPERATIONS:
        answer = call(program, operation, stage)
        assert answer.status == 404, operation.name
    assert program.post("/replays", ORDER, key="k").status == 422
    program.get("/status")
    assert [each["code"] for each in program.said["partners"]] == ["sotttt"]
    assert program.get("/events?partner=vpub").status == 422
    assert program.get(f"/replays/{stage['plan']}").status == 404
    assert town.told("partner-paused") == []
    for operation in OPERATIONS:
        if operation.unlimited:
            assert (call(program, operation, stage).status, program.said["code"]) == (403, "token-bounded")


def test_an_order_of_a_limited_token_reaches_only_what_it_sees(town, stage):
    program = Program(town, units=("H55.01",), partners=("vpub",), name="nho")
    program.post("/replays", ORDER, key="k")
    (wanted,) = program.said["chooses"]["wanted"]
    assert (wanted["visible"], wanted["partners"]) == (["H55.01"], ["vpub"])
    plan = program.said["id"]
    program.get("/replays")
    assert [each["id"] for each in program.said["items"]] == [plan], "not the plans of others"
    assert program.get(f"/replays/{plan}").status == 200


@pytest.mark.slow
def test_content_is_never_shown_without_its_scope_and_its_event(town, stage):
    scopes = [scope for scope in Permission if scope is not Permission.SEE_CONTENT]
    program = Program(town, *scopes)
    for operation in OPERATIONS:
        if operation.name not in {"exportMessages", "getReceipt"}:
            answer = call(program, operation, stage)
            assert b"bi-mat" not in answer.content
            assert answer.stored is None
    assert town.told("content-opened") == []


@pytest.mark.parametrize("given", ["", "Basic YW46eA==", "Bearer", "Bearer ", "Bearer a b", "bearer\tx"])
def test_without_a_token_there_is_only_the_document(town, given):
    program = Program(town)
    answer = program.get("/token", authorization=given)
    assert (answer.status, program.said["code"]) == (401, "token-missing")
    assert answer.fields["WWW-Authenticate"].startswith("Bearer")
    assert program.get("/nothing", authorization=given).status == 401
    assert program.get("/openapi.json", authorization=given).status == 200


def test_a_wrong_an_expired_and_a_removed_token_are_refused_and_told_of(town):
    program = Program(town)
    right = program.token
    program.token = f"{right[:-1]}y"
    assert (program.get("/token").status, program.said["code"]) == (401, "token-unknown")
    program.token = make_token(town, until=town.now + timedelta(minutes=1))
    assert program.get("/token").status == 200
    town.wait(minutes=1)
    assert (program.get("/token").status, program.said["code"]) == (401, "token-expired")
    told = town.told("token-refused")
    assert [(each["prefix"], each["reason"]) for each in told] == [
        (right[:11], "unknown"),
        (program.token[:11], "expired"),
    ]
    program.address, program.token = "10.0.0.7", "another-secret-altogether"
    program.get("/token")
    assert town.told("token-refused")[-1]["prefix"] is None, "it may be the secret of something else"


def test_wrong_tokens_are_bounded_and_hold_up_nobody_with_a_right_one(town):
    program, neighbour = Program(town), Program(town)
    neighbour.service = program.service
    neighbour.get("/token")
    program.token = "lt_00000000_" + "x" * 43
    statuses = [program.get("/token").status for _ in range(FREE + 3)]
    assert statuses == [401] * FREE + [429] * 3
    assert len(town.told("token-refused")) == 2, "the first, and the one that began the wait"
    assert neighbour.get("/token").status == 200, "the node knows it to be right"
    answer = program.get("/token")
    assert 0 < (answer.retry_after or 0) <= WITHIN.total_seconds() + 1
    elsewhere = Program(town)
    elsewhere.service, elsewhere.address = program.service, "10.0.0.8"
    assert elsewhere.get("/token").status == 200
    town.wait(seconds=61)
    assert program.get("/token").status == 401


def test_the_last_use_of_a_token_is_written_once_a_minute(town):
    from hub.operations.accounts import tokens
    from hub.store import transactions

    program = Program(town)
    times = []
    for seconds in (0, 30, 45):
        town.wait(seconds=seconds)
        program.get("/token")
        with transactions.read_transaction(town.engine) as tx:
            times.append(tokens.list_tokens(tx)[0].used_at)
    assert times == [NOW, NOW, NOW + timedelta(seconds=75)]


@pytest.mark.parametrize(
    ("method", "place", "status", "code"),
    [
        ("GET", "/messages?stat=refused", 400, "parameter-wrong"),
        ("GET", "/messages?state=refusd", 400, "parameter-wrong"),
        ("GET", "/messages?q=a&q=b", 400, "parameter-wrong"),
        ("GET", f"/messages?q={'x' * 501}", 400, "parameter-wrong"),
        ("GET", "/messages?cursor=x", 400, "parameter-wrong"),
        ("GET", f"/messages/{'x' * 501}", 404, "not-found"),
        ("GET", "/messages/x", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/", 404, "not-found"),
        ("DELETE", "/messages", 405, "method-unfit"),
        ("POST", "/messages", 405, "method-unfit"),
        ("GET", "/replays/x/start", 405, "method-unfit"),
    ],
)
def test_a_wrong_request_is_told_what_to_do(town, method, place, status, code):
    program = Program(town)
    answer = program.send(method, place) if place != "/" else done(program.service.answer(_root(program)))
    assert answer.status == status
    if place != "/":
        assert program.said["code"] == code
    if status == 405:
        assert answer.fields["Allow"]
    assert answer.fields["Content-Language"] == "en"


def _root(program):
    from hub.api.service import ApiRequest

    return ApiRequest(path=("v2",), authorization=f"Bearer {program.token}", languages="en")


def test_a_body_of_another_type_is_refused(town):
    give_partners(town)
    program = Program(town)
    answer = program.post("/partners/vpub/pause", b"reason=x", content_type="application/x-www-form-urlencoded")
    assert (answer.status, program.said["code"]) == (415, "media-type")
    assert program.post("/partners/vpub/pause", {"reason": "x" * 70_000}).status == 413


def test_dead_letters_of_other_units_are_not_found(town, stage):
    from tests.journal.test_replay_plans import push

    town.take(9, "H55.01", "H55.13")
    push(town.engine, DeliveryState.DEAD)
    program = Program(town, units=("H55.30",))
    program.get("/messages?delivery=dead")
    assert program.said["items"] == []
