"""The list of messages at the console: what is found, by whom, page by page, saved, and as a file."""

import csv
import json
import re
from datetime import timedelta
from html import unescape
from io import StringIO
from urllib.parse import quote

import pytest

from hub.domain.ids import make_id
from hub.domain.model import Event, Problem
from hub.journal import events
from hub.operations.accounts import saved_searches, users
from hub.operations.accounts.permissions import Role
from hub.operations.messages import message_list
from hub.operations.messages.message_list import COUNTED, PAGE
from hub.services.lookups import operations
from hub.store import transactions
from hub.store.tables import message as table
from tests.console_town import Browser, done
from tests.province import NOW


@pytest.fixture
def op(town):
    return signed_in(town, "op", role=Role.OPERATOR)


def signed_in(town, name, *units, role=Role.READER):
    town.add(name, *units, role=role)
    browser = Browser(town)
    browser.sign_in(name)
    return browser


def found(browser, query="", expected=200):
    """Return the hub's ids of the rows of a page of the list, in order."""
    assert browser.get(f"/messages{'?' if query else ''}{query}").status == expected, browser.page
    return [link.rsplit("/", 1)[1] for link in browser.links() if re.match(r"/messages/[0-9a-f-]{36}$", link)]


def take(town, number, sender="H55.13", *recipients, minutes=0, **fields):
    """Journal a document with an id of its time."""
    at = NOW + timedelta(minutes=minutes or number)
    return town.take(number, sender, *recipients, at=at, id=make_id(at), **fields)


def read_parts(answer):
    """Return the octets of an answer in parts."""

    async def read():
        return [part async for part in answer.parts]

    octets = done(read())
    return b"".join(octets), len(octets)


def test_a_refused_document_is_found_by_its_number_and_says_why(town, op):
    take(town, 1)
    refused = take(town, 2, problems=(Problem("unit-unknown", "H55.99"),), subject="Báo cáo tháng")
    assert found(op, "q=7816%2FVPUB&state=refused") == [refused]
    assert "unit-unknown: H55.99" in op.page
    assert op.get(f"/messages/{refused}").status == 200
    assert found(op, "q=bao+cao+thang") == [refused]
    assert found(op, "refusal=unit-unknown") == [refused]
    assert found(op, "refusal=not-yours") == []
    assert "Không tìm thấy gì" in op.page


def test_an_agency_is_found_by_its_abbreviation_and_named(town, op):
    first = take(town, 1)
    second = take(town, 2, "H55.13.1")
    assert found(op, f"q={quote('VP UBND tỉnh')}") == [second, first]
    assert "Văn phòng UBND tỉnh" in op.page
    assert found(op, f"q={quote('TT CNTT')}") == [second]
    assert found(op, "recipient=H55.01&unit=H55.13.1") == [second]


def test_a_refused_call_is_found_by_its_tracking_and_listed(town, op):
    tracking = make_id(NOW)
    said = {"partner": "sotttt", "operation": "GetDocument", "code": "not-yours", "tracking": tracking}
    with transactions.write_transaction(town.engine) as tx:
        events.append_events(tx, Event("call-refused", NOW, None, None, said))
    assert found(op, "state=call") == [tracking]
    assert "not-yours" in op.page
    assert op.get(f"/messages/{tracking}").status == 200
    an = signed_in(town, "an", "H55.13")
    assert found(an, "state=call") == []


def test_the_box_takes_the_tracking_of_a_refused_call(town, op):
    tracking = make_id(NOW)
    said = {"partner": "sotttt", "operation": "GetDocument", "code": "not-yours", "tracking": tracking}
    with transactions.write_transaction(town.engine) as tx:
        events.append_events(tx, Event("call-refused", NOW, None, None, said))
    assert found(op, f"q={tracking}") == [tracking]


# --- who finds what -------------------------------------------------------------------------------------------------------


def test_a_reader_finds_only_what_concerns_its_units(town):
    own = take(town, 1, "H55.13")
    below = take(town, 2, "H55.13.1")
    other = take(town, 3, "H55.30", "H55.01")
    take(town, 4, "H55.13", problems=(Problem("unit-unknown", "H55.99"),))
    an = signed_in(town, "an", "H55.13")
    assert found(an) == [below, own]
    assert found(an, "q=7816") == [below, own]
    assert found(an, "unit=H55.30") == []
    assert found(an, f"q={other}") == []
    assert found(an, "state=refused") == []
    assert found(an, "refusal=unit-unknown") == []
    office = signed_in(town, "office", "H55.01")
    assert found(office) == [other, below, own]
    everything = signed_in(town, "every", "*")
    assert found(everything) == [other, below, own]


def test_what_a_reader_finds_is_what_a_reader_may_open(town):
    """For each user the list is a part of what the page of the message opens."""
    taken = [
        take(town, 1, "H55.13"),
        take(town, 2, "H55.30"),
        take(town, 3, "H55.13.1"),
        take(town, 4, "H55.01", "H55.13"),
        take(town, 5, problems=(Problem("unit-unknown", "H55.99"),)),
    ]
    for number, units in enumerate([("H55.13",), ("H55.13.1",), ("H55.01",), ("H55.20",), ("H55",)]):
        browser = signed_in(town, f"u{number}", *units)
        listed = set(found(browser))
        opened = {each for each in taken if browser.get(f"/messages/{each}").status == 200}
        assert listed == opened, units


def test_lookups_are_found_by_operators_only(town, op):
    taken = take(town, 1)
    with transactions.write_transaction(town.engine) as tx:
        tx.execute(table.update().where(table.c.id == taken).values(service=operations.NAME, kind="verify-citizen"))
    assert found(op) == [taken]
    assert found(signed_in(town, "an", "H55.13")) == []
    assert found(signed_in(town, "every", "*"), "q=ket+noi") == []


def test_nobody_finds_anything_without_a_sign_in(town):
    take(town, 1)
    stranger = Browser(town)
    for place in ("/messages", "/messages.csv", "/messages.jsonl?q=x"):
        answer = stranger.get(place)
        assert (answer.status, answer.parts) == (401, None)
    assert stranger.post("/messages", name="x", query="").status == 403


def places(browser, word):
    """Return the links of the open page to other pages of the list."""
    return [link for link in browser.links() if link.startswith("/messages?") and word in link and "lang=" not in link]


# --- pages ----------------------------------------------------------------------------------------------------------------


def test_pages_lead_back_and_forth_and_show_each_message_once(town, op, monkeypatch):
    monkeypatch.setattr(message_list, "PAGE", 3)
    taken = [take(town, number) for number in range(1, 9)][::-1]
    pages = [found(op)]
    assert not any("after=" in link for link in op.links())
    while len(pages) < 5 and (older := places(op, "before=")):
        pages.append(found(op, older[0].partition("?")[2]))
    assert [each for page in pages for each in page] == taken
    assert [len(page) for page in pages] == [3, 3, 2]
    back = list[list[str]]()
    while len(back) < 5 and (newer := places(op, "after=")):
        back.append(found(op, newer[0].partition("?")[2]))
    assert back == [pages[1], pages[0]]


def test_the_number_of_what_is_found_is_bounded(town, op, monkeypatch):
    monkeypatch.setattr(message_list, "COUNTED", 2)
    for number in range(1, 5):
        take(town, number)
    found(op)
    assert "Hơn 2 thông điệp" in op.page
    assert COUNTED >= PAGE


@pytest.mark.parametrize(
    "query",
    [
        "since=31%2F02%2F2026",
        "until=x",
        "partner=nobody",
        "unit=Sở+Không+Có",
        "recipient=H99.99",
    ],
)
def test_what_is_not_understood_is_said_and_finds_nothing(town, op, query):
    take(town, 1)
    assert found(op, quote(query, safe="=+%&"), 422) == []
    assert 'role="alert"' in op.page


@pytest.mark.parametrize("query", ["before=x", "after=%00", "state=nonsense", "direction=up", "kind=%2F", "lang=xx"])
def test_a_parameter_of_no_meaning_is_left_out(town, op, query):
    taken = take(town, 1)
    assert found(op, query) == [taken]


def test_what_was_typed_stands_in_the_form_and_is_no_markup(town, op):
    found(op, "q=%3Cb%3E%22x&refusal=%3Ci%3E")
    assert "<b>" not in op.page
    assert "&lt;b&gt;&#34;x" in op.page
    assert "<details open>" in op.page


def test_times_are_of_ha_noi(town, op):
    take(town, 1)
    late = take(town, 2, minutes=600)
    assert found(op, "since=25%2F11%2F2026") == [late]
    assert "25/11/2026 01:00:00" in op.page


# --- saved searches -------------------------------------------------------------------------------------------------------


def test_a_search_is_saved_opened_and_removed_by_its_user_alone(town, op):
    taken = take(town, 1)
    found(op, "q=7816&state=accepted&before=x&evil=1")
    answer = op.post("/messages", name="  Của   tôi ", query="q=7816&state=accepted&evil=1&before=x")
    assert (answer.status, answer.location) == (303, "/messages?q=7816&state=accepted")
    found(op)
    (link,) = [each for each in op.links() if each.startswith("/messages?q=")]
    assert ">Của tôi</a>" in op.page
    assert found(op, link.partition("?")[2]) == [taken]
    other = signed_in(town, "other", role=Role.OPERATOR)
    found(other)
    assert "Của tôi" not in other.page
    other.post("/messages", action="remove", name="Của tôi", query="")
    found(op)
    assert "Của tôi" in op.page
    op.post("/messages", action="remove", name="Của tôi", query="")
    found(op)
    assert "Của tôi" not in op.page


def test_saved_searches_are_few_and_go_with_their_user(town, op):
    with transactions.write_transaction(town.engine) as tx:
        for number in range(saved_searches.MOST + 2):
            kept = saved_searches.save_search(tx, "op", saved_searches.SavedSearch(f"s{number}", "q=1"), NOW)
            assert kept == (number < saved_searches.MOST)
        assert not saved_searches.save_search(tx, "op", saved_searches.SavedSearch("", "q=1"), NOW)
        assert not saved_searches.save_search(tx, "op", saved_searches.SavedSearch("s1", "q" * 2_001), NOW)
        assert len(saved_searches.list_saved_searches(tx, "op")) == saved_searches.MOST
        assert users.remove_user(tx, "op", by="test", now=NOW)
        assert saved_searches.list_saved_searches(tx, "op") == []


def test_a_form_from_elsewhere_saves_nothing(town, op):
    found(op)
    assert op.post("/messages", name="x", query="", origin="https://evil").status == 403
    assert op.post("/messages", name="x", query="", proof="wrong").status == 403


# --- files ----------------------------------------------------------------------------------------------------------------


def test_what_is_found_is_a_file_of_the_same_messages(town, op, monkeypatch):
    monkeypatch.setattr(message_list, "PART", 2)
    taken = [take(town, number, subject=f"=Số {number}") for number in range(1, 6)][::-1]
    found(op, "q=7816")
    (place,) = [link for link in op.links() if link.startswith("/messages.csv")]
    answer = op.get(place)
    assert answer.filename is not None
    assert answer.filename.endswith(".csv")
    octets, parts = read_parts(answer)
    rows = list(csv.DictReader(StringIO(octets.decode("utf-8-sig"))))
    assert [list(row.values())[-1] for row in rows] == taken
    assert list(rows[0].values())[2] == "'=Số 5"
    assert parts == 3
    lines, _ = read_parts(op.get(place.replace(".csv", ".jsonl")))
    objects = [json.loads(line) for line in lines.splitlines()]
    assert [each["id"] for each in objects] == taken
    assert [each["state"] for each in objects[0]["deliveries"]] == ["waiting"]


def test_a_file_is_bounded_and_holds_what_its_user_may_see(town, monkeypatch):
    monkeypatch.setattr(message_list, "PART", 2)
    monkeypatch.setattr(message_list, "EXPORTED", 4)
    taken = [take(town, number, "H55.13") for number in range(1, 7)][::-1]
    take(town, 9, "H55.30")
    an = signed_in(town, "an", "H55.13")
    lines, _ = read_parts(an.get("/messages.jsonl"))
    assert [json.loads(line)["id"] for line in lines.splitlines()] == taken[:4]
    lines, _ = read_parts(an.get("/messages.jsonl?since=x"))
    assert lines == b""


def test_the_form_of_the_list_offers_what_the_journal_has(town, op):
    take(town, 1)
    found(op)
    page = unescape(op.page)
    assert 'value="documents/document"' in page
    assert 'value="delivered"' in page
