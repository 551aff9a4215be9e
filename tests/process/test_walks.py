"""The stories of the exchange in Chromium, as an engineer lives them at one hub: wide with script, narrow in the dark without.

Where `SCREENSHOTS` is set, a picture of each step, wide and narrow, light and dark, is left there.
"""

import os
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.config import read_config
from hub.domain.ids import make_first_id
from hub.domain.local_time import HANOI
from hub.soap import documents_requests
from hub.store import transactions
from hub.store.tables import content, delivery, message
from tests.browsing import chromium, window
from tests.packets import document
from tests.process.test_console_port import PASSWORD
from tests.process.test_outage import packet, policy
from tests.process.test_replayed import post, signed
from tests.process.test_simulated import Simulated
from tests.running import PATIENCE, RunningHub, until

pytestmark = pytest.mark.slow

#: Deliveries of yesterday, of the day before; more than so many need a second person.
YESTERDAY, MANY, OVER = 45, 60, 50
TODAY = datetime.now(HANOI)
BOTH = pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])


def write(number):
    """Write a number as the pages do in Vietnamese."""
    return f"{number:,}".replace(",", ".")


def day(ago):
    """Write the day so many days *ago*, as a person does."""
    return f"{TODAY - timedelta(days=ago):%d/%m/%Y}"


def tell_past(hub, ago, count, subject):
    """Let *count* documents have been delivered to `vpub` on that day: rows of the journal, made by SQL."""
    octets, sha256 = document(to="H55.12", subject=subject), f"{ago:064d}"
    noon = (TODAY - timedelta(days=ago)).replace(hour=9, minute=0, second=0, microsecond=0)
    times = [(noon + timedelta(seconds=number)).astimezone(UTC) for number in range(count)]
    told: dict[str, Any] = {
        "partner": "sotttt",
        "service": "documents",
        "kind": "document",
        "state": "accepted",
        "sha256": sha256,
    }
    told |= {"size": len(octets), "sender": "H55.13", "subject": subject}
    rows = [
        told | {"id": make_first_id(at), "message_id": f"{ago}-{number}", "received_at": at, "code": f"{number}/{ago}-STTTT"}
        | {"document_id": f"{ago}-{number}", "lane": make_first_id(at)}
        for number, at in enumerate(times, 1)
    ]  # fmt: skip
    sent = {
        "recipient": "H55.12",
        "via": "H55.12",
        "partner": "vpub",
        "state": "delivered",
        "attempts": 1,
        "free": False,
    }
    deliveries = [
        sent | {"id": each["id"], "message": each["id"], "lane": each["id"]}
        | dict.fromkeys(("due", "since", "changed_at"), each["received_at"])
        for each in rows
    ]  # fmt: skip
    engine = transactions.open_journal(read_config(hub.config).database_url)
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.insert(content), [{"sha256": sha256, "part": 0, "octets": octets}])
        tx.execute(sa.insert(message), rows)
        tx.execute(sa.insert(delivery), deliveries)
    engine.dispose()


class Scene:
    """A hub with a partner that answers as it is told, and the desks of the people who work at it."""

    def __init__(self, hub, partner, browser):
        self.hub, self.partner, self.browser = hub, partner, browser
        self._desks = {}

    def desk(self, person, script, width=None):
        """Return the page at which *person* has signed in."""
        if (person, script) not in self._desks:
            shape = (1280, "light") if script else (390, "dark")
            page = window(self.browser, *shape, java_script_enabled=script, accept_downloads=True).new_page()
            page.goto(self.hub.admin)
            page.get_by_label("Tên người dùng").fill(person)
            page.get_by_label("Mật khẩu").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.get_by_role("link", name=person, exact=True).wait_for()
            self._desks[person, script] = page
        page = self._desks[person, script]
        page.goto(self.hub.admin)
        return page


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    hub = RunningHub(tmp_path_factory.mktemp("walks") / "hub")
    policy(hub, "vpub", first_retry="100ms", max_retry="200ms", timeout="5s", concurrency=16)
    with hub.config.open("a", encoding="utf-8") as file:
        file.write(f"\n[replay]\napprove-over = {OVER}\n")
    (hub.home / "word").write_text(f"{PASSWORD}\n", "utf-8")
    for name, role in (("an", "engineer"), ("binh", "approver")):
        hub.cli("users", "add", name, "--role", role, "--password-file", hub.home / "word")
    for ago, count, subject in ((1, YESTERDAY, "Giấy mời họp"), (2, MANY, "Báo cáo ngày")):
        tell_past(hub, ago, count, subject)
    hub.start()
    partner = Simulated(hub)
    try:
        with chromium() as browser:
            yield Scene(hub, partner, browser)
    finally:
        partner.process.kill()
        partner.process.wait(PATIENCE)
        partner.reader.join(10)
        partner.process.stdin.close()
        partner.process.stdout.close()
        hub.close()


def look(page, name, script):
    """Leave pictures of the page that is open."""
    shots = os.environ.get("SCREENSHOTS")
    shapes = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] if shots and script else []
    for width, scheme in shapes:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=f"{shots}/{name}-{width}-{scheme}.png", full_page=True)
    if shapes:
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")
    elif shots:
        page.screenshot(path=f"{shots}/{name}-without.png", full_page=True)


def find(page, text, **conditions):
    """Find messages as a person does, from any page."""
    page.get_by_role("link", name="Thông điệp", exact=True).click()
    page.locator("#q").fill(text)
    for name, value in conditions.items():
        page.locator(f"#{name}").fill(value)
    page.get_by_role("button", name="Tìm", exact=True).click()


@BOTH
def test_a_refused_document_is_found_by_its_number_and_says_why(scene, script):
    number = "71" if script else "72"
    file = scene.hub.home / f"{number}.edxml"
    file.write_bytes(document(to="H55.99.99", number=number, notation="SNV-VP", subject="Báo cáo biên chế"))
    scene.hub.cli("send", file, "--as", "sotttt", code=1)
    page = scene.desk("an", script)
    find(page, f"{number}/snv vp")
    look(page, "number-found", script)
    page.get_by_role("link", name=f"{number}/SNV-VP").click()
    page.get_by_role("heading", name="Vì sao bị từ chối").wait_for()
    look(page, "number-message", script)
    page.get_by_role("link", name="unit-unknown").click()
    page.locator("tr:target, :target").first.wait_for()
    look(page, "number-help", script)
    page.go_back()
    page.go_back()
    assert page.locator("#q").input_value() == f"{number}/snv vp"
    file.write_bytes(document(to="H55.12", number=number, notation="SNV-VP", subject="Báo cáo biên chế"))
    scene.hub.cli("send", file, "--as", "sotttt")
    page.get_by_role("link", name=f"{number}/SNV-VP").click()
    page.get_by_role("link", name="so sánh hai gói tin").click()
    page.locator("li.gone").get_by_text("OrganId>H55.99.99").wait_for()
    page.locator("li.new").get_by_text("OrganId>H55.12").wait_for()
    look(page, "number-compare", script)


@BOTH
def test_a_refused_call_is_found_by_its_tracking(scene, script):
    missing = f"00000000-0000-7000-8000-00000000000{int(script)}"
    call = signed(scene.hub, documents_requests.ConfirmReceived(missing, None))
    _, fault = post(scene.hub, call.replace(missing.encode(), missing[::-1].encode()))
    tracking = fault.partition("<Tracking>")[2].partition("<")[0]
    page = scene.desk("an", script)
    find(page, tracking)
    look(page, "tracking-found", script)
    page.get_by_role("link", name=tracking).click()
    page.get_by_role("heading", name="Vì sao bị từ chối").wait_for()
    look(page, "tracking-call", script)


@BOTH
def test_one_dead_letter_is_replayed_to_one_of_two_recipients(scene, script):
    hub, partner = scene.hub, scene.partner
    partner.type("refuse:E-17:không có người nhận")
    with hub.client("sotttt") as client:
        sent = client.send(packet(f"8{int(script)}", "H55.1", "H55.12")).document_id
    until(lambda: {state for state, _ in hub.states(sent).values()} == {"dead"}, "both to be dead")
    partner.type("accept")
    page = scene.desk("an", script)
    look(page, "dead-overview", script)
    page.get_by_role("link", name=re.compile("^vpub, lỗi: ")).click()
    look(page, "dead-list", script)
    page.get_by_role("link", name=f"8{int(script)}/STTTT").click()
    look(page, "dead-message", script)
    page.locator("tr", has_text="H55.12").get_by_role("link", name="Gửi lại").click()
    look(page, "dead-form", script)
    page.get_by_label("Lý do").fill("đã khai báo người nhận")
    page.get_by_role("button", name="Xem kế hoạch").click()
    press = plans(page, script, 1)
    look(page, "dead-plan", script)
    tab = page.context.new_page()
    tab.goto(page.url)
    press.dblclick()
    tab.get_by_role("button", name="Xếp hàng").click()
    comes(tab, script, tab.locator("#state", has_text="đã xếp hàng hết").count, "the same plan, done")
    tab.close()
    comes(page, script, lambda: figure(page, "đã đến nơi"), "the one to arrive")
    assert hub.states(sent)["H55.12"][0] == "delivered"
    look(page, "dead-done", script)
    assert hub.states(sent)["H55.1"][0] == "dead"
    events = [each["event"] for each in hub.cli("trace", sent, "--json")]
    assert events.count("delivery-replayed") == 1, "pressed twice, and in two tabs"
    page.get_by_role("link", name=f"8{int(script)}/STTTT").click()
    page.get_by_role("link", name="lần gửi 2").click()
    look(page, "dead-attempt", script)
    page.get_by_role("link", name="so sánh với lần gửi 1").click()
    page.locator("li.gone").get_by_text("E-17").first.wait_for()
    look(page, "dead-compare", script)


def plan(page, ago, **fields):
    """Search a day, and plan to send everything of it to `vpub` again."""
    find(page, "", since=day(ago), until=day(ago - 1))
    page.get_by_role("link", name="Lập kế hoạch gửi lại").click()
    page.get_by_label("Chỉ lượt chuyển tới đối tác này").select_option("vpub")
    page.get_by_label("Ở trạng thái nào").select_option("1")
    for label, value in fields.items():
        page.locator(f"#{label}").fill(value)
    page.get_by_role("button", name="Xem kế hoạch").click()


def comes(page, script, condition, what, patience=PATIENCE):
    """Wait until the page shows it: by itself, or without script when a person loads it again."""

    def is_there():
        if not script:
            time.sleep(0.4)  # nobody is faster
            page.reload()
        return condition()

    until(is_there, what, patience)


def plans(page, script, count, patience=PATIENCE):
    """Wait until the plan has its deliveries, and tell the button that starts it."""
    press = page.get_by_role("button", name=f"Xếp hàng gửi lại {write(count)} lượt chuyển")
    comes(page, script, press.count, "the plan", patience)
    return press


def figure(page, name):
    """Return the number under that name."""
    found = page.locator("#figures div", has_text=name).locator("dd").all_inner_texts()
    return int(found[0].split()[0].replace(".", "")) if found else 0


@BOTH
def test_everything_of_yesterday_goes_to_one_partner_again(scene, script):
    page = scene.desk("an", script)
    plan(page, 1, rate="20/m", reason="đối tác khôi phục bản sao lưu")
    press = plans(page, script, YESTERDAY)
    look(page, "again-plan", script)
    press.click()
    comes(page, script, lambda: figure(page, "đã đến nơi"), "the first to arrive")
    look(page, "again-running", script)
    pause = page.get_by_role("button", name="Tạm dừng")
    if script:
        pause.focus()
        seen = figure(page, "Đã xếp hàng")
        comes(page, script, lambda: figure(page, "Đã xếp hàng") > seen, "one more")
        assert page.evaluate("document.activeElement.value") == "pause", "the keyboard's place stays"
    pause.click()
    page.get_by_role("button", name="Chạy tiếp").wait_for()
    queued = figure(page, "Đã xếp hàng")
    assert 0 < queued < YESTERDAY
    look(page, "again-paused", script)
    page.get_by_role("button", name="Chạy tiếp").click()
    comes(page, script, lambda: figure(page, "Đã xếp hàng") > queued, "one more")
    page.get_by_role("button", name="Hủy kế hoạch").click()
    page.locator("#state", has_text="đã hủy").wait_for()
    queued = figure(page, "Đã xếp hàng")
    assert figure(page, "Không xếp hàng") == YESTERDAY - queued
    comes(page, script, lambda: figure(page, "đã đến nơi") == queued, "what was queued to arrive")
    look(page, "again-cancelled", script)
    assert page.locator("#chosen tbody tr").count() == YESTERDAY


def approve(scene, script, ago, count, patience=PATIENCE):
    """Let `an` plan a day again and `binh` approve it; return the seconds until it is planned, and from then until it has arrived."""
    page, other, begun = scene.desk("an", script), scene.desk("binh", script), time.monotonic()
    plan(page, ago, reason="đối tác khôi phục bản sao lưu")
    plans(page, script, count, patience).click()
    planned = time.monotonic()
    page.get_by_text("chờ duyệt").first.wait_for()
    look(page, "many-awaiting", script)
    other.get_by_role("link", name="Gửi lại", exact=True).click()
    look(other, "many-list", script)
    other.locator("tr", has_text="chờ duyệt").get_by_role("link").click()
    look(other, "many-approve", script)
    other.get_by_role("button", name="Duyệt").click()
    comes(page, script, lambda: figure(page, "đã đến nơi") == count, "all of them to arrive", patience)
    look(page, "many-done", script)
    page.locator("#figures div", has_text="đã đến nơi").get_by_role("link").click()
    page.get_by_role("heading", name="Lượt chuyển: đã đến nơi").wait_for()
    return planned - begun, time.monotonic() - planned


@BOTH
def test_a_large_replay_is_approved_by_another_person(scene, script):
    approve(scene, script, 2, MANY)


@pytest.mark.soak
def test_ten_thousand_are_planned_approved_and_sent(scene, record_property):
    tell_past(scene.hub, 3, 10_000, "Bản tin")
    planned, sent = approve(scene, True, 3, 10_000, patience=1800)
    (made, *_) = scene.hub.cli("replays", "list", "--json")
    (done,) = scene.hub.cli("replays", "show", made["id"], "--json")
    assert (done["state"], done["queued"], done["results"]) == ("done", 10_000, {"delivered": 10_000})
    record_property("seconds until planned", round(planned))
    record_property("seconds until delivered", round(sent))


@BOTH
def test_a_number_of_a_report_opens_down_to_the_bytes(scene, script):
    hub = scene.hub
    file = hub.home / f"9{int(script)}.edxml"
    file.write_bytes(document(to="H55.12", number=f"9{int(script)}", subject="Giấy mời"))
    hub.cli("send", file, "--as", "sotttt")
    page = scene.desk("an", script)
    page.get_by_role("link", name="Báo cáo", exact=True).click()
    page.get_by_label("Đơn vị: tên hoặc mã").fill("so khoa hoc")
    page.get_by_role("button", name="Tìm", exact=True).click()
    page.get_by_role("link", name="Sở Khoa học và Công nghệ").first.click()
    page.locator('tr.total td[data-column="sent"] a').click()
    look(page, "cell-facts", script)
    page.locator("tr", has_text=f"9{int(script)}/VB").get_by_role("link").click()
    page.get_by_role("link", name="Xem gói tin").click()
    page.locator("ol.packet").get_by_text("H55.12").first.wait_for()
    look(page, "cell-packet", script)
    page.go_back()
    with page.expect_download() as download:
        page.get_by_role("link", name="Tải nguyên bản").click()
    download.value.save_as(hub.home / "bytes")
    assert (hub.home / "bytes").read_bytes() == file.read_bytes()
    page.get_by_role("link", name="Sự kiện", exact=True).click()
    page.get_by_role("combobox", name="Sự kiện").select_option("content-opened")
    page.get_by_role("button", name="Tìm", exact=True).click()
    look(page, "cell-events", script)
    (message,) = hub.cli("messages", f"9{int(script)}/VB", "--json")
    opened = [
        each for each in hub.cli("events", "--kind", "content-opened", "--json") if each["message"] == message["id"]
    ]
    assert [(each["user"], each["content"]) for each in opened] == [("an", "bytes"), ("an", "packet")]
