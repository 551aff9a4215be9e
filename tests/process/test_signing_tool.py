"""A report is signed in Chromium: with the signing tool on the official's computer, with what goes wrong there, and without script."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from hub.web import signing_tool as contract
from hub.web.answering import SIGNING_POLICY
from tests.browsing import chromium, judge, window
from tests.officials import by_signxml
from tests.pki import authority
from tests.process.test_console_port import PASSWORD, appoint, ready
from tests.running import until
from tests.signed_pdfs import by_pyhanko
from tests.signing_tool import signing_tool

pytestmark = pytest.mark.slow

YEAR = datetime.now(UTC).year - 1
WRONG = {
    "cancel": "Đã hủy việc ký",
    "refuse": "Không tìm thấy <b>chứng thư số</b> (8)",
    "end": "kết thúc mà không trả lời",
    "rubbish": "không hiểu được trả lời",
}


@pytest.fixture
def person(hub):
    """An official of H55.13, and the hub that knows them, with its clerk `chi`."""
    persons = authority("Persons", datetime.now(UTC))
    person = persons.issue("An")
    appoint(hub, persons, person)
    ready(hub)
    hub.cli("users", "add", "chi", "--role", "clerk", "--unit", "H55.13", "--password-file", hub.home / "word")
    return person


def open_page(hub, browser, month, **more):
    """Sign in, and open the signing page of a month."""
    page = window(browser, 390, "light", **more).new_page()
    page.goto(f"{hub.admin}/signing/edoc/H55.13/{YEAR}-{month:02}")
    page.get_by_label("Tên người dùng").fill("chi")
    page.get_by_label("Mật khẩu").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Ký và nộp báo cáo").wait_for()
    return page


def test_a_report_is_signed_with_the_tool_and_without_script(hub, person, tmp_path):
    with signing_tool(tmp_path, person) as tool:
        where = f"MAP {contract.ORIGIN.partition('//')[2]} 127.0.0.1:{tool.port}"
        with chromium(f"--host-resolver-rules={where}") as browser:
            page = open_page(hub, browser, 10)
            said = []
            page.on("console", lambda message: said.append(message.text))
            press = page.get_by_role("button", name="Ký và nộp")
            press.wait_for()  # before anything was given out, too; its script shows it
            for tool.does, told in WRONG.items():
                press.click()
                page.get_by_text(told).wait_for()
                judge(page)
                assert press.is_enabled()
            assert len(tool.asked) == len(WRONG)
            blocked = "new WebSocket('wss://127.0.0.1:8988/SignXML').onerror = () => document.title = 'blocked'"
            page.evaluate(f"try {{ {blocked} }} catch {{ document.title = 'blocked' }}")
            page.wait_for_function("document.title == 'blocked'")
            # Playwright hears of it while it asks for something
            until(lambda: page.title() and any("8988" in each and "connect-src" in each for each in said), "its reason")
            tool.does = "sign"
            press.click()
            page.get_by_text("Bản lần 1: đã ký.").wait_for()
            page.get_by_text("Nguyễn Văn An").wait_for()
            assert not press.is_visible(), "there is nothing more to sign"
            judge(page)

            page = open_page(hub, browser, 11)
            stranger = authority("Others", datetime.now(UTC)).issue("Người lạ")
            tool.person = stranger
            page.get_by_role("button", name="Ký và nộp").click()
            page.get_by_text("official-unknown").wait_for()
            page.get_by_role("button", name="Ký và nộp").wait_for()

            without = open_page(hub, browser, 11, java_script_enabled=False, accept_downloads=True)
            assert not without.get_by_role("button", name="Ký và nộp").is_visible()
            with without.expect_download() as download:
                without.get_by_role("button", name="Tải XML để ký").click()
            download.value.save_as(tmp_path / "report.xml")
            signed = by_signxml((tmp_path / "report.xml").read_bytes(), person, datetime.now(UTC))
            (tmp_path / "signed.xml").write_bytes(signed)
            without.reload()
            without.get_by_label("Tệp XML hoặc PDF đã ký").set_input_files(tmp_path / "signed.xml")
            without.get_by_role("button", name="Nộp bản đã ký").click()
            without.get_by_text("Bản lần 1: đã ký.").wait_for()

            for script, month in ((True, 9), (False, 8)):
                paper = open_page(hub, browser, month, java_script_enabled=script, accept_downloads=True)
                with paper.expect_download():  # the figures are fixed from the first download on
                    paper.get_by_role("button", name="Tải XML để ký").click()
                paper.reload()
                with paper.expect_download() as download:
                    paper.get_by_role("link", name="Tải PDF để ký").click()
                download.value.save_as(tmp_path / "report.pdf")
                with ThreadPoolExecutor(1) as elsewhere:  # pyHanko runs an event loop, and here Playwright's runs
                    signed = elsewhere.submit(by_pyhanko, (tmp_path / "report.pdf").read_bytes(), person).result()
                (tmp_path / "signed.pdf").write_bytes(signed)
                paper.get_by_label("Tệp XML hoặc PDF đã ký").set_input_files(tmp_path / "signed.pdf")
                paper.get_by_role("button", name="Nộp bản đã ký").click()
                paper.get_by_text("Bản lần 1: đã ký.").wait_for()
    with chromium() as browser:
        page = open_page(hub, browser, 12)
        page.get_by_role("button", name="Ký và nộp").click()
        page.get_by_text("không trả lời trên máy này").wait_for()
    for past in ("08", "09", "10", "11"):
        (state,) = hub.cli("report", "state", "H55.13", f"{YEAR}-{past}", "--json")
        assert (state["state"], state["signing"]["official"]) == ("signed", "an")
    assert SIGNING_POLICY.count("connect-src 'self' wss://127.0.0.1:8987") == 1
