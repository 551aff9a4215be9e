"""Operators find what the journal tells that no message leads to; who downloads content is told there, too."""

from datetime import timedelta

import pytest

from hub.domain.model import Event
from hub.journal import events
from hub.operations.accounts.permissions import Role
from hub.operations.watching import visible_events
from hub.store import transactions
from tests.console_town import Browser
from tests.province import NOW

TRACKING = "01a20c91-a000-7000-be09-2c2fafa9a658"
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def op(town):
    """The browser of an operator, over a journal that tells of this and that."""
    town.add("op", role=Role.OPERATOR)
    with transactions.write_transaction(town.engine) as tx:
        events.append_events(
            tx,
            Event("call-refused", NOW, body={"partner": "vpub", "operation": EVIL, "code": "x", "tracking": TRACKING}),
            Event("partner-paused", NOW, body={"partner": "vpub", "reason": "Bảo trì đến 17 giờ", "by": "binh"}),
            Event("link-down", NOW - timedelta(days=2), body={"link": "vpcp", "node": "n", "place": "h:1"}),
        )
    browser = Browser(town)
    assert browser.sign_in("op").status == 303
    return browser


def listed(browser, query=""):
    """Return the names of the events that the page lists."""
    assert browser.get(f"/events{query}").status == 200, browser.page
    return [part.partition("</span>")[0] for part in browser.page.split('<span class="code">')[1:]]


def test_the_newest_come_first_in_the_time_of_ha_noi(op):
    assert listed(op)[:3] == ["user-signed-in", "partner-paused", "call-refused"]
    assert "24/11/2026 15:00:00" in op.page
    assert EVIL not in op.page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"?q={TRACKING}", ["call-refused"]),
        (f"?q={TRACKING.upper()}", ["call-refused"]),
        ("?q=bao+tri", ["partner-paused"]),
        ("?kind=partner-paused", ["partner-paused"]),
        ("?partner=vpub", ["partner-paused", "call-refused"]),
        ("?partner=vpcp", ["link-down"]),
        ("?user=BINH", ["partner-paused"]),
        ("?until=24/11/2026", ["link-down"]),
        ("?until=24%2F11%2F2026+14:59", ["link-down"]),
        ("?since=22/11/2026&until=23/11/2026&kind=link-down", ["link-down"]),
        ("?kind=breaker-opened", []),
        ("?q=nothing+of+that", []),
    ],
)
def test_each_field_of_the_search_finds_its_events(op, query, found):
    assert listed(op, query) == found


def test_a_refused_call_leads_to_its_page(op):
    listed(op, "?kind=call-refused")
    assert f"/messages/{TRACKING}" in op.links()
    assert op.get(f"/messages/{TRACKING}").status == 200


def test_times_within_an_event_are_of_ha_noi_too(op, town):
    with transactions.write_transaction(town.engine) as tx:
        said = {"partner": "vpub", "until": "2026-11-24T09:00:00+00:00", "reason": "x"}
        events.append_events(tx, Event("breaker-opened", NOW, body=said))
    listed(op, "?kind=breaker-opened")
    assert "24/11/2026 16:00:00" in op.page
    assert "09:00:00" not in op.page


def test_an_id_that_is_no_tracking_may_be_a_message(op, town):
    message = town.take(1)
    assert listed(op, f"?q={message}") == []
    assert f"/messages/{message}" in op.links()


@pytest.mark.parametrize("query", ["?since=yesterday", "?until=31/02/2026", "?partner=vpbu", "?user=nobody"])
def test_what_cannot_be_or_is_not_known_is_said_and_not_taken_for_none(op, query):
    assert op.get(f"/events{query}").status == 422
    assert '<p class="wrong" role="alert">' in op.page
    assert "Không có sự kiện nào khớp" not in op.page


@pytest.mark.parametrize("before", ["x", "2026-11-24T08:00:00Z_x", "%00", "2026_1_1"])
def test_what_is_no_page_is_not_found(op, before):
    assert op.get(f"/events?before={before}").status == 404


def test_pages_lead_on_and_keep_the_search(op, monkeypatch):
    monkeypatch.setattr(visible_events, "PAGE", 1)
    seen = listed(op, "?partner=vpub")
    (more,) = [link for link in op.links() if "before=" in link and "lang=" not in link]
    assert "partner=vpub" in more
    assert op.get(more).status == 200
    assert "call-refused" in op.page
    assert seen == ["partner-paused"]
    assert "/events?partner=vpub" in op.links()


def test_who_opens_content_is_listed(op, town):
    message = town.take(1)
    assert op.get(f"/messages/{message}/content").status == 200
    assert listed(op, "?kind=content-opened") == ["content-opened"]
    assert f"/messages/{message}" in op.links()


@pytest.mark.parametrize("language", ["vi", "en"])
def test_each_kind_of_event_has_a_name(op, language):
    op.get(f"/events?lang={language}")
    assert ("dừng gửi tới đối tác" in op.page) is (language == "vi")
    assert f'<html lang="{language}">' in op.page
