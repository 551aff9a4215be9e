"""Operators see what failed by cause; each group leads to exactly its failures, and to a replay of them."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub.config.values import ReplaySettings
from hub.domain.model import Event, Problem, Receive
from hub.journal import events
from hub.journal.replays import replay_plans
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from hub.web.answering import HEADERS
from tests.browsing import chromium, window
from tests.console_town import HOST, Browser
from tests.monitoring.test_failures import die, refuse, refuse_call
from tests.province import NOW, ROUTES


@pytest.fixture
def op(town):
    """The browser of an operator, over a journal with failures of each kind."""
    with transactions.write_transaction(town.engine) as tx:
        for number in (1, 2):
            die(tx, number, f"refused: E05: no unit <H55.{number}>", at=NOW + timedelta(minutes=number))
        die(tx, 3, "refused: E06: later")
        refuse(tx, 4, Problem("unit-unknown", "H55.99"))
        refuse_call(tx, "certificate-unknown")
    town.wait(hours=1)
    return signed_in(town, "op", Role.OPERATOR)


def signed_in(town, name, role):
    town.add(name, role=role)
    browser = Browser(town)
    assert browser.sign_in(name).status == 303
    config: Any = browser.pages.parts.live.config
    config.partners = {
        code: SimpleNamespace(name=code, certificates=(), receive=Receive.PUSH) for code in ("vpub", "sotttt")
    }
    config.replay, config.upstream = ReplaySettings(), "vpcp"
    return browser


def lists(browser):
    """Return where the numbers of the page lead, each with its number."""
    cells = re.findall(r'class="number" data-label="[^"]*"><a href="([^"]*)"[^>]*>([^<]*)<', browser.page)
    return [(place.replace("&amp;", "&"), int(count)) for place, count in cells]


def test_each_number_leads_to_a_list_of_so_many(op):
    assert op.get("/failures").status == 200
    found = lists(op)
    assert sorted(count for _, count in found) == [1, 1, 1, 2]
    for place, count in found:
        assert op.get(place).status == 200
        shown = [each for each in op.links() if re.fullmatch(r"/messages/[0-9a-f-]{36}", each)]
        if place.startswith("/events"):
            assert (op.page.count('<span class="code">call-refused'), shown[0][:10]) == (count, "/messages/")
        else:
            assert len(set(shown)) == count


def test_a_group_is_replayed_by_one_link_and_one_form(town, op):
    op.get("/failures?state=dead")
    places = [each for each in op.links() if each.startswith("/replays/new?")]
    assert len(places) == 2
    assert op.get(places[0]).status == 200, "the latest is the first"
    fields = dict(re.findall(r'<input type="hidden" name="(cause|delivery|key)" value="([^"]*)"', op.page))
    answer = op.post("/replays", **fields, reason="đã sửa")
    assert answer.status == 303, op.page
    op.get(answer.location)
    plan = answer.location.rpartition("/")[2]
    with transactions.write_transaction(town.engine) as tx:
        done = replay_plans.take_step(tx, plan, ROUTES, town.now + timedelta(hours=1), approve_over=None)
    assert done is not None
    assert (done.chosen, done.partners) == (2, {"vpub": 2})


@pytest.mark.parametrize(
    ("query", "status", "count"),
    [
        ("?partner=vpub", 200, 2),
        ("?partner=-", 200, 1),
        ("?state=refused", 200, 1),
        ("?since=24/11/2026&until=25/11/2026", 200, 4),
        ("?until=24/11/2026", 200, 0),
        ("?partner=nobody", 422, 0),
        ("?state=other", 422, 0),
        ("?since=yesterday", 422, 0),
    ],
)
def test_the_address_is_the_search(op, query, status, count):
    assert op.get(f"/failures{query}").status == status
    assert len(lists(op)) == count
    assert ('role="alert"' in op.page) == (status == 422)


def test_what_others_wrote_is_shown_as_text(op):
    op.get("/failures?lang=en")
    assert "no unit …" in op.page
    assert "<H55" not in op.page
    assert "The sender corrects it and sends it again." in op.page


def test_only_operators_see_failures(town, op):
    an = signed_in(town, "an", Role.READER)
    assert an.get("/failures").status == 404
    assert "/failures" not in an.links()
    op.get("/")
    assert "/failures" in op.links()


@pytest.mark.parametrize("place", ["/messages?cause=x", "/messages?cause=nobody.0123456789abcdef"])
def test_a_cause_that_is_none_is_said(op, place):
    assert op.get(place).status == 422
    assert op.get(place.replace("/messages", "/replays/new")).status == 200
    assert op.post("/replays", cause="x", reason="y").status == 422


def test_a_call_without_tracking_is_listed_too(town, op):
    with transactions.write_transaction(town.engine) as tx:
        events.append_events(tx, Event("call-refused", NOW, body={"code": "no-room", "partner": "vpub"}))
    op.get("/failures?state=call&partner=vpub")
    assert [count for _, count in lists(op)] == [1]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme", "script"), [(1280, "light", True), (390, "dark", False)])
def test_an_engineer_goes_from_the_overview_to_the_plan_of_one_cause(op, width, scheme, script):
    def answer(route: Any) -> None:
        asked = urlsplit(route.request.url)
        said = op.get(f"{asked.path}?{asked.query}" if asked.query else asked.path)
        route.fulfill(status=said.status, body=said.content, headers={**HEADERS, "Content-Type": said.content_type})

    with chromium() as browser:
        context = window(browser, width, scheme, java_script_enabled=script)
        context.route("**/*", answer)
        page = context.new_page()
        page.goto(f"https://{HOST}/?lang=vi")
        page.locator("main a[href='/failures']").click()
        page.get_by_role("row").filter(has_text="E05: no unit …").get_by_role("link", name="Lập kế hoạch").click()
        page.locator("#reason").wait_for()
        assert page.locator("input[name=cause]").input_value().startswith("vpub.")
        for place in ("/failures?lang=vi", "/failures?lang=en", "/failures?lang=vi&partner=nobody&since=x"):
            page.goto(f"https://{HOST}{place}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") if script else True
        context.close()
