"""The page of the backups: how old the newest good one is, why one failed, what is next; and the eras of the journal."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub.console.keeping import backups_page
from hub.keeping import backup_runs, eras
from hub.keeping.backups import claims, due
from hub.keeping.backups.due import DueBackup
from hub.keeping.backups.witness import Witness, WitnessLine
from hub.keeping.eras import EraBeginning
from hub.operations.accounts.permissions import Role
from hub.runtime.disk_reader import PATIENCE, WAITING, DiskReader
from hub.security import age_files
from hub.store import transactions
from hub.store.tables import backup_run
from tests.backup.test_backup_schedule import DAY, FAILED, GOOD, HOUR, NIGHT, RUNNING, run, settings
from tests.console.test_console_access import visit
from tests.console_town import Browser, Town, done
from tests.effort import run_within


@pytest.fixture
def kept(town: Town, tmp_path: Path) -> Town:
    """A hub that makes a backup each night, with an engineer."""
    town.add("an", role=Role.ENGINEER)
    town.witness = tmp_path / "witness"
    key = age_files.make_private_key().recipient
    (tmp_path / "kept").mkdir()
    town.backup = settings(folder=tmp_path / "kept", recipients=(key,), send=("/usr/bin/rclone", "{file}", "secret:"))
    return town


def open_page(town: Town, place: str = "/backups") -> Browser:
    browser = visit(town, "an")
    assert browser.get(place).status == 200
    return browser


def make(town: Town, at: datetime, *, octets: int = 3 << 20, slot: datetime | None = None) -> str:
    """Let a good backup be made at that time; its file lies in the folder. Return the name of the file."""
    name = f"lienthong-H55-{at:%Y%m%dT%H%M%S}Z.tar.gz.age"
    with transactions.write_transaction(town.engine) as tx:
        begun = backup_runs.begin_backup_run(tx, "nut-1", at, slot)
        assert begun is not None
        end = at + timedelta(seconds=90)
        backup_runs.end_backup_run(tx, begun, end, made_at=at, file=name, octets=octets, number=7, restored=True)
    assert town.backup is not None
    with (town.backup.folder / name).open("wb") as file:
        file.truncate(octets)
    return name


def fail(town: Town, at: datetime, reason: str, slot: datetime | None = None) -> None:
    with transactions.write_transaction(town.engine) as tx:
        begun = backup_runs.begin_backup_run(tx, "nut-1", at, slot)
        assert begun is not None
        backup_runs.fail_backup_run(tx, begun, at, reason)


def warnings(browser: Browser) -> list[str]:
    return [" ".join(each.split()) for each in re.findall(r'<p role="status" class="wrong">(.*?)</p>', browser.page)]


def test_the_page_shows_how_old_the_newest_good_one_is_and_when_the_next_is_due(kept: Town) -> None:
    name = make(kept, kept.now - timedelta(hours=9), slot=kept.now - timedelta(hours=9))
    browser = open_page(kept)
    assert warnings(browser) == []
    assert "9 h</" in browser.page.replace("<span", "</")
    assert name in browser.page
    assert "3,0 MB" in browser.page
    assert "khôi phục thử, nguyên vẹn" in browser.page
    assert "không còn ở đó" not in browser.page
    following = due.find_last_slot(DAY, timedelta(hours=1), kept.now) + DAY
    assert following.isoformat() in browser.page


def test_it_names_the_public_keys_and_the_program_that_sends_but_nothing_secret(kept: Town) -> None:
    page = open_page(kept).page
    assert kept.backup is not None
    assert kept.backup.recipients[0].text in page
    assert "rclone mang từng bản đi nơi khác" in page
    assert "secret:" not in page


def test_a_failure_is_explained_in_the_language_of_the_reader(kept: Town) -> None:
    fail(kept, kept.now - timedelta(minutes=5), "it was made, but not sent: ssh: no route")
    fail(kept, kept.now, "/sao-luu: Read-only file system")
    browser = open_page(kept)
    assert warnings(browser)[:2] == [
        "Không có bản sao lưu tốt nào.",
        "Lần sao lưu cuối không thành: /sao-luu: hệ thống tệp chỉ cho đọc",
    ]
    assert "đã tạo nhưng chưa gửi được: ssh: no route" in browser.page


def test_an_old_one_and_one_whose_file_is_gone_or_cut_are_told_of(kept: Town) -> None:
    name = make(kept, kept.now - timedelta(days=3))
    assert kept.backup is not None
    assert warnings(open_page(kept)) == ["Bản sao lưu tốt mới nhất đã cũ hơn 2 ngày."]
    file = kept.backup.folder / name
    with file.open("r+b") as cut:
        cut.truncate(5)
    assert "kích thước khác lúc được thử" in warnings(open_page(kept))[1]
    file.unlink()
    assert "không còn trong" in warnings(open_page(kept))[1]
    kept.backup.folder.rmdir()
    assert warnings(open_page(kept))[1].endswith(": không có tệp hay thư mục này")


def test_a_disk_that_does_not_answer_holds_one_thread_and_no_page(kept: Town) -> None:
    make(kept, kept.now)
    clock, begun = Clock(), list[object]()

    def hang(*words: object) -> Deferred[object]:
        begun.append(words)
        return Deferred()

    kept.disk = DiskReader(hang, clock)
    browser = visit(kept, "an")
    asked = browser._asked(path=("backups",))
    pages = list[str]()
    for _ in range(30):
        answer = Deferred.fromCoroutine(browser.pages.answer(asked))
        _ = answer.addCallback(lambda said: pages.append(said.content.decode()))
    assert len(pages) == 30 - 1 - WAITING, "no more wait for the disk"
    clock.advance(PATIENCE)
    assert len(pages) == 30
    assert all("không trả lời: không biết các tệp còn ở đó hay không" in page for page in pages)
    assert len(begun) == 1
    assert clock.getDelayedCalls() == []


def test_what_a_disk_refuses_is_an_error_of_the_reading(kept: Town) -> None:
    with pytest.raises(PermissionError):
        done(kept.disk.read(refuse))
    assert done(kept.disk.read(len, "abc")) == 3, "and its turn ended"


def refuse() -> None:
    raise PermissionError


def test_without_backup_in_hub_toml_the_page_says_so(kept: Town) -> None:
    kept.backup = None
    page = open_page(kept).page
    assert "Trục không sao lưu" in page
    assert "/help/howto/back-up" in page
    assert "Chưa sao lưu lần nào." in page


def test_older_ones_are_on_the_next_page(kept: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups_page, "PAGE", 2)
    names = [make(kept, kept.now - timedelta(days=each)) for each in range(5)]
    browser, seen, following = open_page(kept), list[str](), None
    for _ in range(3):
        table = browser.page.partition("<tbody")[2].partition("</tbody>")[0]
        seen += [each for each in names if each in table]
        following = re.search(r'href="([^"]*)" rel="next"', browser.page)
        if following is not None:
            assert browser.get(following[1]).status == 200
    assert following is None
    assert seen == names
    assert browser.get("/backups?before=nothing").status == 404
    assert browser.get("/backups/x").status == 404


def test_a_restore_is_an_era_with_its_reason_and_what_is_missing(kept: Town) -> None:
    with transactions.write_transaction(kept.engine) as tx:
        first = eras.ensure_era(tx, kept.now - timedelta(days=90))
        because = EraBeginning.RESTORED
        seen = (kept.now - timedelta(hours=2), kept.now - timedelta(hours=1))
        eras.begin_era(tx, kept.now, because=because, reason="x", by="y", after=first.number, witnessed=seen)
        era = eras.begin_era(
            tx, kept.now, because=because, reason="hỏng đĩa", by="minh", backup="b.tar.gz.age", after=first.number
        )
    witness = Witness(kept.witness)
    witness.append(WitnessLine(era.number, era.id, 3, "0" * 64, kept.now))
    assert kept.backup is not None
    claims.write_claim(kept.backup.folder, "H55", era, "nut-2", kept.now)
    page = open_page(kept).page
    for each in (
        "đã khôi phục từ một bản sao lưu",
        "minh · hỏng đĩa · b.tar.gz.age",
        "không sổ chứng kiến nào",
        "sổ chứng kiến có mọi biên nhận đã cấp từ",
        "nut-2, thời kỳ 3",
    ):
        assert each in page
    assert page.index("đã khôi phục từ một bản sao lưu") < page.index("nhật ký được tạo")


def test_each_page_of_a_journal_is_read_in_its_order(engine: sa.Engine) -> None:
    """Of two that began in one instant none is left out, and none comes twice."""
    rows = [(NIGHT + each // 2 * HOUR, f"{each:036}") for each in range(7)]
    with transactions.write_transaction(engine) as tx:
        for at, id_ in rows:
            row = {"id": id_, "attempt": 1, "node": "n", "started_at": at, "outcome": GOOD}
            tx.execute(sa.insert(backup_run), row)
    with transactions.read_transaction(engine) as tx:
        found, before = list[str](), None
        while page := backup_runs.list_backup_runs(tx, 3, before):
            found += [each.id for each in page]
            before = found[-1]
        assert found == [id_ for _, id_ in reversed(rows)]
        with pytest.raises(KeyError):
            backup_runs.list_backup_runs(tx, 3, "x")


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [run(GOOD, NIGHT, NIGHT)],
        [run(GOOD, NIGHT + HOUR)],
        [run(FAILED, NIGHT, NIGHT)],
        [run(FAILED, NIGHT + 2 * HOUR, NIGHT, 2), run(FAILED, NIGHT, NIGHT)],
        [run(FAILED, NIGHT + 4 * HOUR, NIGHT, 3), run(FAILED, NIGHT, NIGHT)],
        [run(FAILED, NIGHT + 23 * HOUR, NIGHT, 2)],
    ],
    ids=["none", "good", "by a person", "failed", "failed twice", "failed three times", "failed late"],
)
def test_the_schedule_begins_the_next_one_when_it_was_said(runs: list[backup_runs.BackupRun]) -> None:
    now = max([NIGHT + 5 * HOUR, *(each.ended_at for each in runs if each.ended_at)])
    said = due.find_next_try(settings(), now, runs)
    minutes = (now + timedelta(minutes=each) for each in range(3000))
    begun = next(each for each in minutes if due.decide_backup(settings(), each, runs) is not None)
    assert said is not None
    assert said <= begun < said + timedelta(minutes=1)


def test_one_that_runs_keeps_the_next_for_its_time() -> None:
    runs = [run(RUNNING, NIGHT, NIGHT)]
    assert due.find_next_try(settings(), NIGHT + HOUR, runs) == NIGHT + DAY
    assert due.decide_backup(settings(), NIGHT + DAY, runs) == DueBackup(NIGHT + DAY, 1), "it is given up by then"
    assert due.find_next_try(settings(every=None), NIGHT, runs) is None


def test_ten_thousand_backups_cost_the_page_no_tenth_of_a_second(kept: Town) -> None:
    """The table holds 500 and one; the page reads fifty of them, whatever there is."""
    with transactions.write_transaction(kept.engine) as tx:
        at = [kept.now - timedelta(minutes=each) for each in range(10_000)]
        rows = [
            {"id": f"{each:036}", "attempt": 1, "node": "n", "started_at": began, "ended_at": began, "outcome": FAILED}
            for each, began in enumerate(at)
        ]
        tx.execute(sa.insert(backup_run), rows)
    browser = open_page(kept)
    run_within(0.1, lambda: browser.get("/backups"))
    assert browser.page.count('role="rowheader"') == backups_page.PAGE
