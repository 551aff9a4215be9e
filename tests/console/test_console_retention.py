"""The page of what is kept and deleted: what is announced and why it waits, what was deleted, the size of the database."""

import re
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from hub.config.upkeep.retention import RetentionSettings
from hub.console.keeping import retention_page
from hub.keeping.retention import letting_go, parts
from hub.keeping.retention.parts import PartEvent, PartState
from hub.language.languages import Language
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from hub.store.tables import archive, retention_part
from hub.web import layout
from tests.archive.test_given_up_files import give_up, interrupted
from tests.archive.test_retention_run import announced, make_run, now_, prepared
from tests.console.test_console_access import visit
from tests.console_town import Browser, Town
from tests.effort import run_within
from tests.province import NOW

GIB = 1 << 30


def open_page(town: Town) -> str:
    town.add("an", role=Role.ENGINEER)
    browser = visit(town, "an")
    assert browser.get("/retention").status == 200
    return browser.page


def again(town: Town, place: str = "/retention") -> Browser:
    browser = visit(town, "an")
    assert browser.get(place).status == 200
    return browser


def warnings(page: str, kind: str = "wrong") -> list[str]:
    """Return the warnings of the page, but for that of the budget, which is used up here."""
    found = [" ".join(each.split()) for each in re.findall(rf'<p role="status" class="{kind}">(.*?)</p>', page)]
    return [each for each in found if "ạn mức" not in each]


def write_entries(engine: sa.Engine, many: int, folder: Path = Path("/nowhere")) -> None:
    """Write *many* parts that have gone, each with its archive file."""
    ids = [f"{number:036}" for number in range(1, many + 1)]
    size = {"messages": 1, "octets": 9, "events": 7}
    part = {
        "month": "2024-09",
        "state": PartState.GONE,
        "announced_at": NOW,
        "due_at": NOW,
        "changed_at": NOW,
        "reason": "",
    }
    file = {"period": "2024-09", "size": 5, "sha256": "a" * 64, "made_at": NOW}
    with transactions.write_transaction(engine) as tx:
        rows = [{**part, **size, "number": number, "archive": id_} for number, id_ in enumerate(ids, 1)]
        tx.execute(sa.insert(retention_part), rows)
        tx.execute(
            sa.insert(archive),
            [{**file, **size, "id": id_, "path": str(folder / f"archive-2024-09-{id_}.zip")} for id_ in ids],
        )


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


def test_a_part_names_its_file_with_size_and_hash_and_a_lost_one_is_told_of(town, tmp_path):
    town.archive = tmp_path
    prepared(town.engine)
    done = now_(make_run(town.engine, tmp_path).carry_out(announced(town.engine, tmp_path).number))
    (file,) = tmp_path.glob("archive-*.zip")
    page = open_page(town)
    with transactions.read_transaction(town.engine) as tx:
        (entry,) = tx.execute(sa.select(archive)).all()
    for each in (file.name, entry.sha256, layout.write_size(file.stat().st_size, Language.VI), f"phần {done.number}"):
        assert each in page
    assert warnings(page) == []
    assert len(warnings(page, "noted")) == 1, "that it is not enabled"
    file.write_bytes(b"x")
    assert warnings(again(town).page) == [
        f"Không như lúc được ghi: {file.name}. <code>lienthong archive verify</code> cho biết sai ở đâu."
    ]
    file.unlink()
    (_, told) = warnings(again(town).page, "noted")
    assert told.startswith(f"1 tệp lưu trữ không có ở đó: {file.name}.")


def test_a_file_that_was_given_up_is_named_with_the_reason_and_asked_for_no_more(town, tmp_path, monkeypatch):
    monkeypatch.setattr(letting_go, "BATCH", 2)
    town.archive = tmp_path
    prepared(town.engine)
    lost = interrupted(town.engine, tmp_path, 2)
    lost.unlink()
    give_up(town.engine, lost.name, reason="hỏng đĩa")
    page = open_page(town)
    assert "2 thông điệp đã bị xóa theo tệp này" in page
    assert "hỏng đĩa" in page
    assert f"{lost.name}</span>" in page
    assert "đã mất, được bỏ" in page
    assert not any(lost.name in each for each in warnings(page, "noted"))


def test_a_part_that_should_have_gone_days_ago_is_told_of(town):
    with transactions.write_transaction(town.engine) as tx:
        due = town.now - timedelta(days=2)
        parts.announce_part(tx, "2024-10", messages=1, octets=1, due_at=due, by="hub", now=due)
        parts.note_reason(tx, 1, "archive-2024-10-0193.zip: the file is absent", due)
    page = open_page(town)
    (told,) = warnings(page)
    assert told.startswith("10/2024 lẽ ra đã xóa từ")
    assert "lienthong retention run" in told
    assert "đang chờ: archive-2024-10-0193.zip: không có tệp" in page


def test_the_page_says_how_long_each_kind_is_kept(town):
    page = open_page(town)
    for each in ("Thông điệp bị từ chối", "6 tháng", "24 tháng", "14 ngày", "xóa từ 20 giờ đến 5 giờ"):
        assert each in page


def test_what_ended_is_read_page_by_page(engine, monkeypatch):
    monkeypatch.setattr(retention_page, "PAGE", 3)
    write_entries(engine, 7)
    with transactions.write_transaction(engine) as tx:
        parts.announce_part(tx, "2024-10", messages=1, octets=1, due_at=NOW, by="hub", now=NOW)
    settings, seen, before = RetentionSettings(), list[int](), None
    with transactions.read_transaction(engine) as tx:
        for _ in range(3):
            found = retention_page.read_retention(tx, settings, before, NOW)
            seen, before = [*seen, *(each.number for each in found.ended)], found.more
            assert {each.archive for each in found.ended} == set(found.entries)
            assert [each.month for each in found.open] == ["2024-10"]
            assert (found.total.files, found.total.octets) == (7, 35)
    assert (seen, before) == ([7, 6, 5, 4, 3, 2, 1], None)


def test_a_thousand_archive_files_cost_the_page_no_tenth_of_a_second(town, tmp_path):
    write_entries(town.engine, 1000, tmp_path)
    town.archive = tmp_path
    open_page(town)
    browser = again(town)
    run_within(0.1, lambda: browser.get("/retention"))
    assert browser.page.count('role="rowheader"') == retention_page.PAGE
    assert "1.000 tệp lưu trữ không có ở đó" in browser.page
    assert browser.page.count("archive-2024-09-") == retention_page.PAGE + retention_page.NAMED
    assert browser.get("/retention?before=51").status == 200
    assert browser.page.count('role="rowheader"') == 50
    assert browser.get("/retention?before=x").status == 404
    assert browser.get("/retention/1").status == 404
