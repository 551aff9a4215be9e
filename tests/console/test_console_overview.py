"""The first page of an operator: each partner's numbers, each leading to its list. Officials see none of it."""

import re
from datetime import timedelta

import pytest

from hub import config
from hub.console.exchange import overview_page
from hub.domain.ids import make_id
from hub.domain.model import DeliveryState, Event, Problem, Receive
from hub.journal import events, nodes
from hub.journal.queue import partner_state
from hub.language.languages import Language
from hub.monitoring import overview
from hub.monitoring.overview import BoundedCount
from hub.operations.accounts.permissions import Role
from hub.operations.watching.visible_alerts import ShownAlerts
from hub.store import transactions
from hub.web import layout
from tests import pki
from tests.console_town import Browser
from tests.journal.test_replay_plans import push
from tests.province import NOW


@pytest.fixture
def op(town):
    """The browser of an operator, whose hub has two partners and runs."""
    town.partners = {
        code: config.Partner(code=code, name=name, certificates=(pki.partner(code).certificate,), receive=receive)
        for code, name, receive in (
            ("sotttt", "Sở TT&TT", Receive.FETCH),
            ("vpub", "Văn phòng <UBND>", Receive.PUSH),
        )
    }
    with transactions.write_transaction(town.engine) as tx:
        nodes.record_heartbeat(tx, nodes.Node(name="n", host="h", version="1", schema="1", started_at=NOW), NOW)
    return signed_in(town, "op", role=Role.OPERATOR)


def signed_in(town, name, *units, role=Role.READER):
    town.add(name, *units, role=role)
    browser = Browser(town)
    assert browser.sign_in(name).status == 303
    return browser


def row(browser, code):
    """Return the cells of the row of a partner, as text."""
    found = re.search(rf'<tr role="row" id="{code}">(.*?)</tr>', browser.page, re.DOTALL)
    assert found, browser.page
    cells = re.findall(r"<t[hd] .*?</t[hd]>", found[1], re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in cells]


def test_the_first_page_of_an_operator_shows_each_partner(town, op):
    town.take(1, at=town.now - timedelta(minutes=90))
    town.take(2)
    with transactions.write_transaction(town.engine) as tx:
        partner_state.pause_partner(tx, "vpub", reason="bảo trì", by="binh", now=NOW)
    assert op.get("/").status == 200
    cells = row(op, "vpub")
    assert cells[0] == "vpub Văn phòng &lt;UBND&gt;"
    assert cells[1:6] == ["2", "0", "0", "0", "1 giờ"]
    assert cells[6].endswith("tạm dừng do binh: bảo trì")
    assert row(op, "sotttt")[6] == "–"
    assert "có lượt chuyển chậm" in op.page
    assert "không có trục nào" not in op.page
    town.wait(minutes=1)
    op.get("/")
    assert "không có trục nào" in op.page, "its last heartbeat is too old"


def test_a_number_leads_to_the_list_of_what_it_counts(town, op):
    refused = {"partner": "vpub", "code": "not-yours", "tracking": make_id(NOW)}
    with transactions.write_transaction(town.engine) as tx:
        events.append_events(
            tx,
            Event("call-refused", NOW, body=refused),
            Event("call-refused", NOW, body={"certificate": "ab", "code": "certificate-unknown"}),
            Event("call-refused", NOW - timedelta(days=1), body=refused),
        )
    waiting = town.take(1)
    refused_message = town.take(2, id=make_id(NOW), problems=(Problem("unit-unknown", "H55.99"),))
    op.get("/")
    assert [link for link in op.links() if link.startswith("/messages?")] == [
        "/messages?partner=sotttt&state=refused&since=24%2F11%2F2026",
        "/messages?sent_to=vpub&delivery=waiting",
    ]
    places = [link for link in op.links() if link.startswith("/events?kind=")]
    op.get("/messages?partner=sotttt&state=refused&since=24%2F11%2F2026")
    assert [link for link in op.links() if link.startswith("/messages/")] == [f"/messages/{refused_message}"]
    op.get("/messages?sent_to=vpub&delivery=waiting")
    assert [link for link in op.links() if link.startswith("/messages/")] == [f"/messages/{waiting}"]
    op.get("/")
    assert places == [
        "/events?kind=call-refused&partner=-&since=24%2F11%2F2026",
        "/events?kind=call-refused&partner=vpub&since=24%2F11%2F2026",
    ]
    for place, count in zip(places, (1, 1), strict=True):
        assert op.get(place).status == 200
        assert op.page.count("<li><time") == count
    for place in {link for link in op.links() if link.startswith("/") and "lang=" not in link}:
        assert op.follow(place).status == 200, place


def test_a_number_of_a_partner_leads_to_none_of_its_own_messages_and_to_no_other_delivery(town, op):
    """Vpub sends one that waits for vpcp, and one to itself and vpcp has gone to vpcp and waits for vpub."""
    own = town.take(1, "H55.01", "G22", partner="vpub")
    both = town.take(2, "H55.13", "H55.01", "G22")
    push(town.engine, DeliveryState.DELIVERED, partner="vpcp")
    late = town.take(3, "H55.01", "G22", partner="vpub")
    for place, found in (
        ("/messages?sent_to=vpub&delivery=waiting", [both]),
        ("/messages?sent_to=vpcp&delivery=waiting", [late]),
        ("/messages?sent_to=vpcp&delivery=delivered", [both, own]),
        ("/messages?sent_to=vpcp&delivery=waiting&direction=out", [late]),
        ("/messages?sent_to=vpub&direction=out", []),
    ):
        assert op.get(place).status == 200
        assert [link for link in op.links() if link.startswith("/messages/")] == [f"/messages/{each}" for each in found]
    assert op.get("/messages?sent_to=nobody").status == 422


@pytest.mark.usefixtures("op")
def test_a_large_number_says_that_there_are_more(town):
    page = overview_page.link_refused_calls(BoundedCount(10_000, more=True), NOW, None)
    with transactions.read_transaction(town.engine) as tx:
        found = overview.measure_overview(tx, town.partners, NOW)
    said = overview_page.arrange_overview(found, ShownAlerts(raised=[], ended=[])) | {"strangers": page}
    around = {"hub": "x", "here": lambda _language: "/", "visitor": None, "proof": ""}
    assert "trên 10.000" in layout.render_page("overview", Language.VI, said | around).decode()
    assert "over 10,000" in layout.render_page("overview", Language.EN, said | around).decode()


def test_the_search_of_units_has_an_address_of_its_own(town, op):
    assert op.get("/units?q=van+phong").status == 200
    assert 'action="/units"' in op.page
    assert "/reports/edoc/H55.01/2026-12" in op.links()
    an = signed_in(town, "an", "H55.13")
    for place in ("/", "/units"):
        assert an.get(place).status == 200
        assert f'action="{place}"' in an.page
        assert "/reports/edoc/H55.13/2026-12" in an.links()


@pytest.mark.parametrize("role", [Role.READER, Role.CLERK])
@pytest.mark.parametrize("unit", ["H55.13", "*"])
def test_an_official_sees_nothing_of_the_exchange(town, role, unit):
    town.partners = {"vpub": config.Partner(code="vpub", name="", certificates=())}
    an = signed_in(town, "an", unit, role=role)
    an.get("/")
    assert "vpub" not in an.page
    assert not {"/events", "/readiness"} & set(an.links())
    for place in ("/events", "/events?kind=call-refused", "/events?before=x", "/readiness"):
        assert an.get(place).status == 404, place
        assert "vpub" not in an.page
    stranger = Browser(town)
    assert stranger.get("/events").status == 401
    assert "vpub" not in stranger.page
