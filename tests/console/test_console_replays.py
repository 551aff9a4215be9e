"""Replaying at the console: an operator plans, starts, pauses, resumes, cancels, and another one approves."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from hub.config.values import ReplaySettings
from hub.domain.model import DeliveryState
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.replay_rules import PlanState
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from tests.console_town import Browser
from tests.journal.test_replay_plans import push
from tests.province import ROUTES


@pytest.fixture
def an(town):
    """The browser of an operator, beside three deliveries of which one is dead."""
    for number in (1, 2, 3):
        town.take(number, "H55.13", "H55.01")
    push(town.engine, DeliveryState.DEAD, DeliveryState.DELIVERED)
    return signed_in(town, "an")


def signed_in(town, name, role=Role.OPERATOR, address="10.0.0.1"):
    town.add(name, role=role) if role is Role.OPERATOR else town.add(name, "H55.13", role=role)
    browser = Browser(town, address)
    config: Any = browser.pages.parts.live.config
    config.partners = {code: SimpleNamespace(name=code) for code in ("vpub", "sotttt")}
    config.replay, config.upstream = ReplaySettings(), "vpcp"
    browser.sign_in(name)
    return browser


def go_on(town, **said):
    """Take the steps that the service of a node takes."""
    with transactions.write_transaction(town.engine) as tx:
        for plan in plan_rows.list_active_plans(tx):
            while (after := replay_plans.take_step(tx, plan, ROUTES, town.now, approve_over=None)) is not None:
                if after.state not in (PlanState.PLANNING, PlanState.RUNNING):
                    break


def make(town, browser, **form):
    browser.get("/replays/new")
    (key,) = re.findall(r'name="key" value="([^"]+)"', browser.page)
    said = {"key": key, "to": "vpub", "reason": "khôi phục"} | form
    answer = browser.post("/replays", **said)
    if answer.status == 303:
        town.page = answer.location
    return answer, said


def test_a_dead_delivery_is_planned_started_and_its_words_say_what_happened(town, an):
    answer, _ = make(town, an)
    assert answer.status == 303
    an.get(answer.location)
    assert "đang lập" in an.page
    go_on(town)
    an.get(answer.location)
    assert "Xếp hàng gửi lại 1 lượt chuyển" in an.page
    assert "refused" not in an.page, "a reason is said in the reader's language"
    assert an.post(answer.location, do="start").status == 303
    go_on(town)
    an.get(answer.location)
    assert "đã xếp hàng hết" in an.page
    push(town.engine, DeliveryState.DELIVERED, now=town.now)
    an.get(answer.location)
    assert "đã đến nơi" in an.page
    (one,) = [each for each in an.links() if "now=delivered" in each]
    an.get(one.partition("#")[0])
    assert an.page.count('<tr role="row"><td') == 1
    an.get(f"{answer.location}?now=dead")
    assert an.page.count('<tr role="row"><td') == 0
    assert an.get(f"{answer.location}?now=nothing&after={'9' * 5000}").status == 200
    an.get("/replays")
    assert answer.location in an.links()


def test_a_double_click_and_two_tabs_make_one_plan_and_run_it_once(town, an):
    first, said = make(town, an, again="1")
    an.get("/replays/new")
    second = an.post("/replays", **said)
    assert (first.status, second.status, first.location) == (303, 303, second.location)
    go_on(town)
    an.get(first.location)
    for _ in range(2):
        assert an.post(first.location, do="start").status == 303
        an.get(first.location)
    go_on(town)
    push(town.engine, DeliveryState.DELIVERED, now=town.now)
    assert len(town.told("delivery-replayed")) == 3
    an.get("/replays/new")
    assert an.post("/replays", **said | {"reason": "khác"}).status == 422, "another order under the same key"


@pytest.mark.slow
def test_a_plan_is_paused_resumed_and_cancelled(town, an):
    answer, _ = make(town, an, again="1", rate="60/m")
    go_on(town)
    an.get(answer.location)
    an.post(answer.location, do="start")
    for what, state in (("pause", "tạm dừng"), ("resume", "đang chạy"), ("cancel", "đã hủy")):
        an.get(answer.location)
        assert f'value="{what}"' in an.page
        assert an.post(answer.location, do=what).status == 303
        an.get(answer.location)
        assert state in an.page
    assert an.post(answer.location, do="resume", proof=signed_proof(an)).status == 409
    assert an.post(answer.location, do="sing", proof=signed_proof(an)).status == 404


def signed_proof(browser):
    browser.get("/account")
    return browser.proof


def test_another_person_approves_what_is_large(town, an):
    binh = signed_in(town, "binh", address="10.0.0.2")
    for browser in (an, binh):
        config: Any = browser.pages.parts.live.config
        config.replay = ReplaySettings(approve_over=1)
    answer, _ = make(town, an, again="1")
    go_on(town)
    an.get(answer.location)
    an.post(answer.location, do="start")
    an.get(answer.location)
    assert "chờ duyệt" in an.page
    assert an.post(answer.location, do="approve").status == 409
    assert town.told("delivery-replayed") == []
    binh.get(answer.location)
    assert binh.post(answer.location, do="approve").status == 303
    go_on(town)
    assert len(town.told("delivery-replayed")) == 3


@pytest.mark.parametrize(
    "form",
    [
        {"reason": " "},
        {"to": ""},
        {"to": "nobody"},
        {"since": "hôm qua"},
        {"partner": "nobody"},
        {"unit": "H55.77"},
        {"direction": "up"},
        {"state": "call"},
        {"rate": "fast"},
        {"stop_after": "-1"},
    ],
)
def test_a_form_that_does_not_fit_says_why_and_makes_nothing(town, an, form):
    answer, _ = make(town, an, **form)
    assert answer.status == 422
    assert 'role="alert"' in an.page
    an.get("/replays")
    assert "Chưa có kế hoạch" in an.page


def test_the_fields_of_a_search_fill_the_form_in(an):
    an.get("/replays/new?to=vpub&since=27/11/2026&again=1&id=a+b")
    assert 'value="27/11/2026"' in an.page
    assert 'value="a b"' in an.page
    assert re.search(r'<option value="vpub" selected>', an.page)


def test_a_plan_is_made_of_a_search(town, an):
    town.take(4, "H55.13", "H55.01", subject="V/v đê điều")
    push(town.engine, DeliveryState.DELIVERED)
    answer, _ = make(town, an, to="", q="đê điều", again="1", kind="documents/document")
    assert answer.status == 303
    go_on(town)
    with transactions.read_transaction(town.engine) as tx:
        (plan,) = plan_rows.list_plans(tx, 5)
        (item,) = plan_rows.list_items(tx, plan.id)
    assert (plan.chosen, item.message.subject) == (1, "V/v đê điều")


def test_the_list_of_messages_leads_to_a_plan_for_what_it_found(an):
    an.get("/messages?q=ket+noi&partner=vpub")
    (link,) = [each for each in an.links() if each.startswith("/replays/new")]
    an.get(link)
    assert 'value="ket noi"' in an.page


def test_a_delivery_that_ended_leads_to_a_plan_for_it(town, an):
    name = "00000000-0000-7000-8000-000000000001"
    an.get(f"/messages/{name}")
    (link,) = [each for each in an.links() if each.startswith("/replays/new")]
    an.get(link)
    assert re.search(r'<option value="vpub" selected>', an.page)
    assert f'value="{name}"' in an.page
    assert 'value="H55.01"' in an.page


def test_nobody_but_an_operator_replays_and_nobody_from_another_site(town, an):
    answer, said = make(town, an)
    clerk = signed_in(town, "chi", Role.CLERK, address="10.0.0.3")
    for place in ("/replays", "/replays/new", answer.location):
        assert clerk.get(place).status == 404
        assert "/replays" not in clerk.links()
    proof = signed_proof(clerk)
    assert clerk.post("/replays", proof=proof, **said).status == 404
    assert clerk.post(answer.location, proof=proof, do="start").status == 404
    an.get(answer.location)
    assert an.post(answer.location, do="cancel", origin="https://evil.example").status == 403
    assert an.post(answer.location, do="cancel", proof="x").status == 403
    assert an.get("/replays/" + "0" * 36).status == 404
