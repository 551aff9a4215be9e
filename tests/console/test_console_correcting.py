"""Correcting at the console: the packet in a text area, what is wrong at its line, the plan, and one new message."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock

from hub.config.values import ReplaySettings
from hub.delivery.replay_service import ReplayService
from hub.domain.model import DeliveryState
from hub.edxml import editable
from hub.formats.spool import Octets
from hub.journal import blobs
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.replay_rules import PlanState
from hub.journal.searching import message_reading
from hub.operations.accounts.permissions import Role
from hub.partner.policy import Policy
from hub.runtime.thread_pool import run_at_once
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from tests.cli.test_cli_corrected import LINE, PACKET, REFUSAL, WRONG
from tests.console_town import Browser, done
from tests.journal.test_replay_plans import push

#: From a unit of `sotttt` to one of `vpub` in the units of the town.
GOOD, BAD = (each.replace(b"H55.12", b"H55.01") for each in (PACKET, WRONG))


@pytest.fixture
def original(town):
    """Refuse a document of the town."""
    return town.take(1, "H55.13", "H55.01", content=BAD, problems=REFUSAL, receipt=None)


def give_config(pages, **rules):
    """Give a hub the partners of the town, and *rules* of `[replay]`."""
    config: Any = pages.parts.live.config
    config.partners = {
        code: SimpleNamespace(name=code, code=code, policy=Policy(), certificates=()) for code in ("vpub", "sotttt")
    }
    config.replay, config.upstream = ReplaySettings(**rules), "vpcp"


def signed_in(town, name, role=Role.ENGINEER, address="10.0.0.1", **rules):
    town.add(name, role=role) if role is not Role.CLERK else town.add(name, "H55.13", role=role)
    browser = Browser(town, address)
    give_config(browser.pages, **rules)
    browser.sign_in(name)
    return browser


def post(browser, original, content, **form):
    said = {"key": "k", "reason": "sai loại", "packet": Octets.of(content)} | form
    return browser.post(f"/replays/correct/{original}", **said)


def test_an_engineer_corrects_what_was_refused(town, original):
    an = signed_in(town, "an")
    an.get(f"/messages/{original}")
    assert f"/replays/correct/{original}" in an.links()
    an.get(f"/replays/correct/{original}")
    assert "[[attachment 1]]" in an.page
    assert "BussinessDocType&gt;9" in an.page
    text = editable.write_editable_text(BAD)
    assert text is not None
    wrong = post(an, original, text.replace("\n", "\r\n").encode())
    assert (wrong.status, f'<span class="no">{LINE}</span>' in an.page) == (422, True)
    assert "TraceHeaderList.Bussiness.BussinessDocType" in an.page
    assert town.told("replay-plan") == []
    answer = post(an, original, text.replace("Type>9<", "Type>0<").encode())
    assert answer.status == 303
    an.get(answer.location)
    assert ("Gửi thông điệp đã sửa" in an.page, "chưa gửi" in an.page) == (True, True)
    an.get(f"{answer.location}/compare")
    assert "BussinessDocType&gt;0" in an.page
    an.get(answer.location)
    for _ in range(2):
        assert an.post(answer.location, do="start").status == 303, "pressed twice"
        an.get(answer.location)
    (told,) = town.told("message-corrected")
    assert f"/messages/{told['corrected']}" in an.links()
    an.get(f"/messages/{original}")
    assert ("an đã sửa thông điệp này: sai loại." in an.page, f"/messages/{told['corrected']}" in an.links()) == (
        True,
        True,
    )
    assert f"/replays/correct/{original}" not in an.links()
    an.get(f"/messages/{told['corrected']}")
    assert f"/messages/{told['corrected']}/compare/{original}" in an.links()
    assert post(an, original, GOOD, key="other").status == 422, "it was corrected before"
    assert "an đã sửa trước đó" in an.page
    with transactions.read_transaction(town.engine) as tx:
        kept = blobs.read_blob(tx, message_reading.read_message(tx, told["corrected"]).sha256)
    assert kept.count(b"<ds:SignatureValue>") == 1
    assert len(town.told("content-opened")) >= 5


def test_a_file_in_place_of_the_text_for_a_dead_delivery(town):
    message = town.take(1, "H55.13", "H55.01", content=GOOD.replace(b"15/SNV-VP</DocumentId>", b"x</DocumentId>"))
    push(town.engine, DeliveryState.DEAD)
    an = signed_in(town, "an")
    an.get(f"/replays/correct/{message}")
    differs = post(an, message, b"", file=Octets.of(GOOD))
    assert (differs.status, "correction-differs" in an.page) == (422, True)
    answer = post(an, message, b"", file=Octets.of(GOOD.replace(b"H55.13,2026/11/20,15/SNV-VP", b"D1")))
    assert answer.status == 303
    an.get(answer.location)
    assert an.post(answer.location, do="start").status == 303
    an.get(f"/messages/{message}")
    assert "đã đóng vì thông điệp được sửa" in an.page
    assert "/replays/new?" not in " ".join(an.links()), "a closed delivery is not replayed"


def test_another_person_approves_a_correction(town, original):
    an = signed_in(town, "an", approve_corrected=True)
    an.get(f"/replays/correct/{original}")
    answer = post(an, original, GOOD)
    an.get(answer.location)
    an.post(answer.location, do="start")
    an.get(answer.location)
    assert "chờ duyệt" in an.page
    assert an.post(answer.location, do="approve").status in (403, 404)
    assert town.told("message-corrected") == []
    binh = signed_in(town, "binh", Role.APPROVER, "10.0.0.2", approve_corrected=True)
    binh.get(f"{answer.location}/compare")
    assert "BussinessDocType&gt;0" in binh.page
    binh.get(answer.location)
    assert binh.post(answer.location, do="approve").status == 303
    assert town.told("message-corrected")[0]["approved_by"] == "binh"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.READER, Role.CLERK, Role.APPROVER])
def test_who_may_not_correct_finds_no_such_page(town, original, role):
    an = signed_in(town, "an")
    an.get(f"/replays/correct/{original}")
    plan = post(an, original, GOOD).location
    other = signed_in(town, "other", role, "10.0.0.2")
    assert other.get(f"/replays/correct/{original}").status == 404
    other.get("/account")
    proof = other.proof
    assert other.post(f"/replays/correct/{original}", proof=proof, packet=Octets.of(GOOD), reason="x").status == 404
    assert other.post(plan, proof=proof, do="start").status == 404
    assert town.told("message-corrected") == []


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"reason": " "}, "Hãy nêu lý do"),
        ({"packet": Octets.of(b"<a>")}, "not-well-formed"),
        ({"packet": None}, "not-well-formed"),
    ],
)
def test_a_form_that_does_not_fit_says_why(town, original, form, said):
    an = signed_in(town, "an")
    an.get(f"/replays/correct/{original}")
    assert post(an, original, GOOD, **form).status == 422
    assert said in an.page
    assert town.told("replay-plan") == []


def test_what_cannot_be_corrected_says_why(town):
    sent = town.take(1, "H55.13", "H55.01", content=GOOD)
    an = signed_in(town, "an")
    assert an.get(f"/replays/correct/{sent}").status == 200
    assert "không có lượt chuyển lỗi nào" in an.page
    assert "<textarea" not in an.page
    assert an.get("/replays/correct/00000000-0000-7000-8000-000000000099").status == 404


def test_the_service_of_a_node_carries_out_what_a_crash_interrupted(town, original):
    an = signed_in(town, "an")
    an.get(f"/replays/correct/{original}")
    (plan,) = re.findall(r"[0-9a-f-]{36}$", post(an, original, GOOD).location)
    with transactions.write_transaction(town.engine) as tx:
        replay_plans.start_plan(tx, plan, by="an", now=town.now, approve_over=None)
    woken = []
    words = (
        InlineDatabase(town.engine),
        an.pages.parts.live,
        Clock(),
        lambda: town.now,
        lambda: None,
        lambda: woken.append(1),
    )
    service = ReplayService(*words, run_at_once)
    for _ in range(2):
        done(service.run_once())
    with transactions.read_transaction(town.engine) as tx:
        assert plan_rows.read_plan(tx, plan).state is PlanState.DONE
    assert (len(town.told("message-corrected")), woken) == (1, [1])
