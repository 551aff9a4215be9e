"""The list of messages in Chromium: found by number, filtered, opened; with and without script."""

import os

import pytest

from tests.browsing import chromium, window
from tests.packets import document
from tests.process.test_console_port import PASSWORD, Caller, ready
from tests.running import RunningHub, until

pytestmark = pytest.mark.slow


@pytest.fixture
def town(hub: RunningHub) -> RunningHub:
    """A hub with a document that arrived and one that was refused."""
    ready(hub)
    refused = hub.home / "refused.edxml"
    refused.write_bytes(document(to="H55.99.99", subject="Báo cáo tháng 11"))
    hub.cli("send", refused, "--as", "sotttt", code=1)
    return hub


def sign_in(page, hub):
    page.goto(f"{hub.admin}/messages")
    page.get_by_label("Tên người dùng").fill("op")
    page.get_by_label("Mật khẩu").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.locator("table.stacked").wait_for()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
def test_a_refused_document_is_found_by_its_number_and_opened(town, tmp_path, script):
    shots = os.environ.get("SCREENSHOTS")

    def look(page, name):
        if shots:
            page.screenshot(path=f"{shots}/{name}.png", full_page=True)

    with chromium() as browser:
        for width, scheme in ((1280, "light"), (390, "dark")) if script else ((390, "light"),):
            context = window(browser, width, scheme, accept_downloads=True, java_script_enabled=script)
            page = context.new_page()
            sign_in(page, town)
            look(page, f"{width}-{scheme}-list")
            page.locator("#q").fill("bao cao thang")
            page.locator("#state").select_option("refused")
            page.get_by_role("button", name="Tìm", exact=True).click()
            page.wait_for_url("**/messages?q=bao+cao+thang*state=refused*")
            assert page.locator("table.stacked tbody tr").count() == 1
            assert "unit-unknown" in page.locator("table.stacked").inner_text()
            page.locator("summary").click()
            look(page, f"{width}-{scheme}-found")
            with page.expect_download() as download:
                page.get_by_role("link", name="CSV").click()
            download.value.save_as(tmp_path / "found.csv")
            assert len((tmp_path / "found.csv").read_text("utf-8-sig").splitlines()) == 2
            page.locator("#name").fill(f"báo cáo {width}")
            page.get_by_role("button", name="Lưu", exact=True).click()
            page.get_by_role("link", name=f"báo cáo {width}").wait_for()
            page.goto(f"{town.admin}/messages?state=call&lang=en")
            look(page, f"{width}-{scheme}-calls")
            page.goto(f"{town.admin}/messages?partner=nobody&since=x&lang=en")
            look(page, f"{width}-{scheme}-wrong")
            page.goto(f"{town.admin}/messages?q=bao+cao+thang&lang=vi")
            page.locator("table.stacked tbody th a").click()
            page.wait_for_url("**/messages/*")
            assert "unit-unknown" in page.content()
            context.close()


def test_a_file_comes_in_parts_and_its_length_is_not_promised(town):
    caller = Caller(town)
    caller.sign_in("op")
    status, headers = caller.call("GET", "/messages.jsonl")
    assert (status, len(caller.page.splitlines())) == (200, 2)
    assert "content-length" not in {name.lower() for name in headers}
    assert caller.call("HEAD", "/messages.csv")[0] == 200
    until(lambda: town.cli("messages", "bao cao thang", "--json"), "the document to be found")
