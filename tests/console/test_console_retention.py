"""The page of what is kept and deleted: what is announced and why it waits, what was deleted, the size of the database."""

from datetime import timedelta

from hub.console import layout
from hub.console.permissions import Role
from hub.journal.upkeep.retention import parts
from hub.journal.upkeep.retention.parts import PartEvent
from hub.language.languages import Language
from hub.store import transactions
from tests.console.test_console_access import visit
from tests.console_town import Town

GIB = 1 << 30


def open_page(town: Town) -> str:
    town.add("an", role=Role.ENGINEER)
    browser = visit(town, "an")
    assert browser.get("/retention").status == 200
    return browser.page


def test_a_month_waits_for_its_day_and_says_why_in_the_language_of_the_reader(town):
    with transactions.write_transaction(town.engine) as tx:
        due = town.now + timedelta(days=14)
        parts.announce_part(tx, "2024-10", messages=12_345, octets=3 * GIB, due_at=due, by="hub", now=town.now)
        parts.note_reason(tx, 1, "an earlier version runs on nut-2", town.now)
    page = open_page(town)
    assert "10/2024" in page
    assert "đang chờ: phiên bản cũ còn chạy ở nut-2" in page
    assert "12.345" in page
    assert "3,0 GB" in page
    assert "Đã xóa, hoặc" not in page


def test_a_month_that_was_deleted_names_its_archive_file(town):
    archive = "0198f1c2-0000-7000-8000-000000000001"
    with transactions.write_transaction(town.engine) as tx:
        parts.announce_part(tx, "2024-09", messages=1, octets=9, due_at=town.now, by="hub", now=town.now)
        parts.move_part(tx, 1, PartEvent.ARCHIVE, town.now, archive=archive)
        parts.move_part(tx, 1, PartEvent.FINISH, town.now)
    page = open_page(town)
    assert archive in page
    assert "Chưa báo trước đợt xóa nào" in page


def test_a_size_is_written_in_its_largest_unit_as_each_language_writes_numbers():
    sizes = (999, 1 << 10, 1_200_000_000, 51_200 << 30)
    assert [layout.write_size(each, Language.VI) for each in sizes] == ["999 byte", "1,0 kB", "1,1 GB", "50,0 TB"]
    assert [layout.write_size(each, Language.EN) for each in sizes] == ["999 bytes", "1.0 kB", "1.1 GB", "50.0 TB"]
