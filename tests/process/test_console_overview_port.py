"""The overview and the events in Chromium: by clicks and by keyboard, wide with script, narrow without."""

import pytest

from tests.browsing import chromium, window
from tests.process.test_console_port import PASSWORD, Caller, ready

pytestmark = pytest.mark.slow


def test_an_operator_goes_from_a_number_to_its_list_and_finds_what_happened(hub):
    ready(hub)
    hub.cli("pause", "vpub", "--reason", "bảo trì máy chủ")
    assert Caller(hub).sign_in("an", "wrong") == 401
    asked = []

    with chromium() as browser:
        for width, scheme, script in (
            (1280, "light", True),
            (390, "dark", False),
        ):
            context = window(browser, width, scheme, java_script_enabled=script)
            page = context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.goto(hub.admin)
            page.get_by_label("Tên người dùng").fill("op")
            page.get_by_label("Mật khẩu").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.get_by_role("heading", name="Tổng quan").wait_for()
            page.get_by_text("do root: bảo trì máy chủ").or_(page.get_by_text(": bảo trì máy chủ")).first.wait_for()
            page.get_by_role("link", name="vpub", exact=True).click()
            page.get_by_role("link", name="Sự kiện của vpub").click()
            page.get_by_role("listitem").filter(has_text="dừng gửi tới đối tác").first.wait_for()
            page.get_by_label("Đối tác hoặc đường truyền").fill("")
            page.get_by_label("Mã theo dõi (Tracking)").fill("an 127.0.0.1")
            page.get_by_role("combobox", name="Sự kiện").select_option("user-sign-in-failed")
            page.get_by_role("button", name="Tìm").click()
            page.get_by_text("1 sự kiện").wait_for()
            context.close()
    assert {url.split("/")[2] for url in asked} == {hub.admin.removeprefix("https://")}
