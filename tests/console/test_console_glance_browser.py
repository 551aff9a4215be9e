"""A leader walks through the province at a glance in Chromium: why is this unit last, what changed since last month."""

import re
from typing import Any

import attrs
import pytest

from hub.operations.accounts.permissions import Role
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store import transactions
from tests import glance_town
from tests.browsing import answer_from, chromium, judge, window
from tests.console_town import HOST, Browser, Town

BOOK = read_shipped_book()
FEW = attrs.evolve(BOOK, forms=tuple(form for form in BOOK.forms if form.id == "edoc"))
MONTHS = [parse_period(text) for text in glance_town.list_months(2026, range(9, 11))]


def open_window(town: Town, browser: Any, width: int, scheme: str) -> Any:
    town.add("an", "*", role=Role.VIEWER)
    behind = Browser(town)
    behind.sign_in("an")
    for month in MONTHS:
        assert behind.get(f"/glance/edoc/{month.text}").status == 200
    context = window(browser, width, scheme)
    context.route("**/*", answer_from(behind))
    return context.new_page()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_leader_finds_why_a_unit_is_last_and_what_changed_down_to_the_message(town, width, scheme):
    with transactions.write_transaction(town.engine) as tx:
        glance_town.live_months(tx, FEW, 11, MONTHS, 2, 60)
    with chromium() as browser:
        page = open_window(town, browser, width, scheme)
        page.goto(f"https://{HOST}/glance/edoc/2026-10")
        page.select_option("#by", "overdue")
        page.select_option("#class", "communes")
        page.get_by_role("button", name="Xem").click()
        page.wait_for_url("**/glance/edoc/2026-10?by=overdue&class=communes")
        judge(page)
        # what changed since last month: each line names the figure before, and now
        lines = page.locator("#changed ~ * li").all_inner_texts()
        assert lines
        assert all(re.search(r": \d+ → \d+ \([+-]\d+\)", line) for line in lines), lines
        # why is this unit last
        last = page.locator("tbody tr").last
        figure = last.locator("strong").inner_text()
        last.get_by_role("link").first.click()
        page.wait_for_selector("#why")
        judge(page)
        assert f": {figure}." in page.locator("p.first").inner_text()
        number = page.locator('tr[data-column="overdue"] a').first
        assert number.inner_text() == figure
        number.click()
        page.wait_for_selector('a[href^="/messages/"]')
        page.wait_for_load_state()  # with all its lines
        assert page.locator('tbody a[href^="/messages/"]').count() == int(figure)
        page.context.close()
