"""Leaders and units see who is late today: by unit, by field, one by one, each item with its message."""

import csv
import io
import re
from datetime import timedelta

import pytest
from openpyxl import load_workbook

from hub.domain.local_time import find_local_day
from hub.domain.model import Unit, UnitKind, UnitMark
from hub.journal import unit_registry
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from tests.browsing import answer_from, chromium, judge, window
from tests.console_town import HOST, Browser
from tests.journal.test_open_work import settle, tell
from tests.province import NOW

TODAY = find_local_day(NOW)


@pytest.fixture
def late(town):
    """A town in which units have something to do. Returns the town."""
    with transactions.write_transaction(town.engine) as tx:
        outside = Unit("G22", "Bộ Công an", mark=UnitMark.NATIONAL)
        unit_registry.write_registry_units(tx, [Unit("H55.T1", "Kiểm tra", kind=UnitKind.DRILL), outside])
        for number in range(4):
            known = (("field", f"F{number % 2}"), ("field_name", f"Lĩnh vực {number % 2}"))
            due, key = TODAY - timedelta(days=20 - number), f"D{number}"
            tell(tx, "H55.13", "dossiers", key, "received", NOW, day=due, due=due, attributes=known)
        tell(tx, "H55.13", "dossiers", "D3", "waiting", NOW + timedelta(seconds=1), day=TODAY)
        known = (("kind", "bao-cao"), ("officer", "CB-07"))
        tell(tx, "H55.30", "work", "V1", "assigned", NOW, day=TODAY, due=TODAY, attributes=known)
        due = TODAY - timedelta(days=3)
        tell(tx, "H55.30", "documents", '["H55","9"]', "received", NOW, due=due, code="<15>/UBND", counterpart="H55")
        tell(tx, "H55.T1", "documents", '["H55","8"]', "received", NOW, due=due, code="8/T")
        tell(tx, "G22", "documents", '["H55","7"]', "received", NOW, due=due, code="7/B")
        settle(tx)
    town.wait(seconds=2)
    return town


def visit(town, name="lan", *units, role=Role.VIEWER, **limits):
    town.add(name, *(units or ("*",)), role=role, **limits)
    browser = Browser(town)
    assert browser.sign_in(name).status == 303
    return browser


def numbers(page):
    """Return the numbers above the tables."""
    return [re.sub(r"<[^>]*>", "", each) for each in re.findall(r"<dd>(.*?)</dd>", page)]


def keys(page):
    """Return the items on the page."""
    return re.findall(r'scope="row"><a href="/messages/[^"]*">([^<]*)<', page)


def test_the_page_says_how_much_is_late_and_the_numbers_lead_to_it(late):
    browser = visit(late)
    assert browser.get("/late").status == 200
    assert numbers(browser.page) == ["4", "1", "1"]
    assert keys(browser.page) == ["D0", "D1", "D2", "D3", "&lt;15&gt;/UBND", "V1"]
    assert "8/T" not in browser.page, "a drill's test unit"
    assert "7/B" not in browser.page, "an agency outside the province"
    for place in re.findall(r'<dd><a href="([^"]*)"', browser.page):
        browser.get(place.replace("&amp;", "&"))
    assert keys(browser.page) == ["D3"]


def test_it_is_opened_down_to_the_field_and_the_message(late):
    browser = visit(late)
    browser.get("/late?unit=H55.13")
    assert "Lĩnh vực 1" in browser.page
    browser.get("/late?unit=H55.13&field=F0&service=dossiers")
    assert keys(browser.page) == ["D0", "D2"]
    message = re.findall(r'scope="row"><a href="(/messages/[^"]*)"', browser.page)[0]
    assert browser.get(message).status == 200
    browser.get("/late?officer=CB-07&lang=vi")
    assert keys(browser.page) == ["V1"]
    assert "sắp đến hạn" in browser.page


def test_a_user_of_one_unit_sees_nothing_of_another(late):
    browser = visit(late, "minh", "H55.30")
    browser.get("/late")
    assert keys(browser.page) == ["&lt;15&gt;/UBND", "V1"]
    assert browser.get("/late?unit=H55.13").status == 422
    assert "D0" not in browser.page
    lines = csv.reader(io.StringIO(browser.get("/late.csv").content.decode("utf-8-sig")))
    assert [line[3] for line in lines][1:] == ["H55.30", "H55.30"]


def test_of_partners_that_a_user_does_not_see_no_document_is_named(late):
    browser = visit(late, "ha", partners=("vpub",))
    browser.get("/late")
    assert numbers(browser.page) == ["4", "1", "1"]
    assert "D0" not in browser.page
    assert "UBND<" not in browser.page
    assert "CB-07" not in browser.page
    browser.get("/late?officer=CB-07&unit=H55.30")
    assert numbers(browser.page) == ["0", "0", "0"], "nor is it told by a search who has what"


def test_what_cannot_be_read_is_said_and_nothing_is_searched(late):
    browser = visit(late)
    for asked in ("state=soonish", "service=links", "days=x", "days=61", "unit=H99"):
        assert browser.get(f"/late?{asked}").status == 422
        assert 'role="alert"' in browser.page
    for place in ("x", "WyJhIl0", "W10"):
        assert browser.get(f"/late?after={place}").status == 404


def test_the_files_have_what_the_page_shows(late):
    browser = visit(late)
    browser.get("/late?unit=H55.13&state=late")
    shown = keys(browser.page)
    lines = list(csv.reader(io.StringIO(browser.get("/late.csv?unit=H55.13&state=late").content.decode("utf-8-sig"))))
    sheet = load_workbook(io.BytesIO(browser.get("/late.xlsx?unit=H55.13&state=late").content)).active
    assert [line[6] for line in lines[1:]] == shown
    assert [sheet.cell(row, 7).value for row in range(5, 5 + len(shown))] == shown


def test_a_long_list_is_read_page_by_page(late, monkeypatch):
    monkeypatch.setattr("hub.operations.watching.visible_late_work.PAGE", 2)
    browser = visit(late)
    found, place = [], "/late"
    while place:
        browser.get(place)
        found += keys(browser.page)
        place = next(iter(re.findall(r'rel="next" href="([^"]*)"', browser.page)), "").replace("&amp;", "&")
    assert found == ["D0", "D1", "D2", "D3", "&lt;15&gt;/UBND", "V1"]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_leader_walks_from_who_is_late_today_to_the_message(late, width, scheme):
    """The unit with the most, its late things, the first of them, its message: by links alone, on a desk and on a phone."""
    behind = visit(late)
    with chromium() as browser:
        context = window(browser, width, scheme)
        context.route("**/*", answer_from(behind))
        page = context.new_page()
        page.goto(f"https://{HOST}/?lang=vi")
        page.get_by_role("link", name="Quá hạn", exact=True).click()
        judge(page)
        row = page.locator("[aria-labelledby=by-unit] tbody tr").first
        assert "H55.13" in row.inner_text()
        row.get_by_role("cell").first.get_by_role("link").click()
        judge(page)
        items = page.locator("table[aria-labelledby=items] tbody tr")
        assert items.count() == 3
        assert "ngày làm việc" in items.first.inner_text()
        items.first.get_by_role("link", name="tất cả đã báo").click()
        judge(page)
        page.get_by_role("table").get_by_role("link").first.click()
        page.wait_for_url("**/messages/*")
        context.close()


def test_a_thing_opens_into_all_that_was_told_of_it(late):
    with transactions.write_transaction(late.engine) as tx:
        then = NOW + timedelta(seconds=5)
        tell(tx, "H55.30", "work", "V1", "done", then, day=TODAY, attributes=(("officer", "CB-07"),))
    browser = visit(late)
    browser.get("/late")
    (link,) = [each for each in browser.links() if each.startswith("/item?unit=H55.30&service=work")]
    assert browser.get(link).status == 200
    assert re.findall(r'scope="row"><span title="[^"]*">([^<]*)<', browser.page) == [
        "công việc được giao",
        "công việc hoàn thành",
    ]
    assert browser.page.count("CB-07") == 2
    assert len([each for each in browser.links() if each.startswith("/messages/")]) == 2
    assert browser.get("/item?unit=H55.30&service=work&key=V9").status == 404


def test_a_thing_is_called_by_the_pieces_of_its_number(late):
    browser = visit(late)
    assert browser.get("/item?unit=H55.30&service=documents&key=%5B%22H55%22%2C%229%22%5D").status == 200
    assert '<dd class="code">H55 · 9</dd>' in browser.page


def test_a_clerk_opens_the_things_of_its_own_units_only(late):
    browser = visit(late, "tam", "H55.13")
    assert browser.get("/item?unit=H55.13&service=dossiers&key=D0").status == 200
    assert browser.get("/item?unit=H55.30&service=work&key=V1").status == 404


def test_details_of_messages_that_a_user_does_not_see_are_left_out(late):
    browser = visit(late, "tam", partners=("vpcp",))
    browser.get("/item?unit=H55.30&service=work&key=V1")
    assert "CB-07" not in browser.page
    assert not [each for each in browser.links() if each.startswith("/messages/")]
