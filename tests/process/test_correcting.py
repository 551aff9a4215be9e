"""An engineer corrects a refused document in Chromium and sends it: wide with script, narrow without."""

import os

import pytest

from tests.browsing import chromium, window
from tests.packets import document
from tests.process.test_console_port import PASSWORD, ready

pytestmark = pytest.mark.slow


def refuse(hub, number):
    """Let the hub refuse a document; return its id."""
    file = hub.home / f"{number}.edxml"
    file.write_bytes(document(to="H55.99.99", number=number, subject=f"Báo cáo số {number}"))
    hub.cli("send", file, "--as", "sotttt", code=1)
    (found,) = hub.cli("messages", "--state", "refused", f"{number}/VB", "--json")
    return found["id"]


def test_a_refused_document_is_corrected_and_sent(hub):
    ready(hub)
    shots = os.environ.get("SCREENSHOTS")
    refused = {script: refuse(hub, number) for script, number in ((True, "71"), (False, "72"))}

    def look(page, name):
        if shots:
            page.screenshot(path=f"{shots}/correct-{name}.png", full_page=True)

    with chromium() as browser:
        for width, scheme, script in ((1280, "light", True), (390, "dark", False)):
            context = window(browser, width, scheme, java_script_enabled=script)
            page = context.new_page()
            page.goto(f"{hub.admin}/messages/{refused[script]}")
            page.get_by_label("Tên người dùng").fill("op")
            page.get_by_label("Mật khẩu").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.get_by_role("link", name="Sửa và gửi").click()
            page.wait_for_load_state()  # else a long text may be read before its end has come
            text = page.get_by_label("Gói tin", exact=True)
            assert "[[attachment 1]]" in text.input_value()
            look(page, "form")
            reason = page.get_by_label("Lý do")
            reason.fill("sai mã cơ quan")
            page.get_by_role("button", name="Kiểm tra và xem kế hoạch").click()
            page.get_by_role("alert").get_by_text("unit-unknown").wait_for()
            page.wait_for_load_state()
            assert reason.input_value() == "sai mã cơ quan"
            look(page, "wrong")
            text.fill(text.input_value().replace("H55.99.99", "H55.12"))
            page.get_by_role("button", name="Kiểm tra và xem kế hoạch").click()
            page.get_by_text("chưa gửi").wait_for()
            look(page, "plan")
            page.get_by_role("link", name="so sánh hai gói tin").click()
            page.locator("li.new").get_by_text("OrganId>H55.12").wait_for()
            look(page, "compare")
            page.go_back()
            page.get_by_role("button", name="Gửi thông điệp đã sửa").click()
            page.get_by_text("chưa gửi").wait_for(state="detached")
            look(page, "sent")
            page.goto(f"{hub.admin}/messages/{refused[script]}")
            page.get_by_role("link", name="Mở thông điệp được gửi thay").click()
            page.get_by_role("link", name="Mở thông điệp gốc").wait_for()
            look(page, "corrected")
            context.close()
    for original in refused.values():
        (shown,) = hub.cli("show", original, "--json")
        (link,) = [each for each in shown["links"] if each["relation"] == "corrected-by"]
        (corrected,) = hub.cli("show", link["id"], "--json")
        assert [(each["recipient"], each["partner"]) for each in corrected["deliveries"]] == [("H55.12", "vpub")]
    sent = [fact for fact in hub.cli("report", "--facts", "--json") if fact["milestone"] == "sent"]
    assert len(sent) == 3, "both, and the one that was accepted as it came"
