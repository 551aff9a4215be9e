"""`lienthong report template`, `declare`, `reconcile`: a clerk's way, in the words that stand on the screen."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.model import Fact
from hub.journal import facts
from hub.report.form.book import read_book
from hub.report.form.period import find_month_containing
from hub.store import tables, transactions
from tests import homes
from tests.declaring import filled
from tests.report.laid_out import as_xls, lay_out

Type = Callable[..., Result]
PERIOD = find_month_containing(datetime.now(UTC)).text
OWN = """
id = "rieng"
service = "documents"
title = { vi = "Biểu riêng", en = "Our own" }
basis = { vi = "QĐ 1", en = "Decision 1" }
counted = { vi = "văn bản", en = "documents" }
[[column]]
key = "gone"
kind = "flow"
vi = "Đã gửi"
en = "Sent"
milestones = ["sent"]
[[manual]]
key = "talks"
vi = "Cuộc trao đổi"
en = "Talks"
"""

LAYOUT = """
id = "rieng"
form = "rieng"
number = ["STT"]
unit = ["Đơn vị"]
total = ["Cộng"]
[paper]
number = "Biểu riêng"
title = "BIỂU RIÊNG"
unit = "Đơn vị"
[[column]]
column = "gone"
number = "(3)"
heading = ["Văn bản", "Đã gửi"]
[[column]]
column = "talks"
number = "(4)"
heading = ["Cuộc trao đổi"]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with three documents sent, and a form of its own."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    (home / "bieu").mkdir()
    (home / "bieu/rieng.toml").write_text(OWN, "utf-8")
    (home / "bieu/layouts").mkdir()
    (home / "bieu/layouts/rieng.toml").write_text(LAYOUT, "utf-8")
    config = home / "hub.toml"
    config.write_text(config.read_text("utf-8") + '\n[reports]\nforms = "bieu"\n', "utf-8")
    engine, now = transactions.open_journal(read_config(config).database_url, pooled=False), datetime.now(UTC)
    with transactions.write_transaction(engine) as tx:
        for unit, number in (("H55.13", "1"), ("H55.13", "2"), ("H55.13.1", "3")):
            message = {"id": f"m{number}", "partner": "sotttt", "message_id": number, "received_at": now}
            message |= {"service": "documents", "kind": "document", "state": "accepted", "sha256": "0" * 64, "size": 1}
            tx.execute(sa.insert(tables.message), message)
            facts.record_facts(
                tx, [Fact(unit=unit, service="documents", key=number, milestone="sent", at=now, message=f"m{number}")]
            )
    engine.dispose()
    return home


@pytest.fixture(scope="module")
def typed(home: Path) -> Type:
    """Types a command, in Vietnamese, for that hub."""

    def run(*words: object) -> Result:
        return CliRunner(env={"LANG": "vi_VN.UTF-8"}).invoke(
            lienthong, ["-c", str(home / "hub.toml"), *map(str, words)]
        )

    return run


def test_a_clerk_takes_the_template_fills_it_in_and_sees_where_it_differs(typed: Type, tmp_path: Path) -> None:
    book, asked = tmp_path / "mau.xlsx", ("H55.13", PERIOD, "--form", "edoc")
    assert typed("report", "reconcile", *asked).exit_code == 4, "nothing is declared yet"
    assert typed("report", "template", *asked, "-o", book).exit_code == 0
    figures = {("H55.13", "sent_inside"): 5, ("H55.13.1", "sent_inside"): 1, ("H55.13", "recalls"): 2}
    book.write_bytes(filled(book.read_bytes(), figures, [("by:", "Lan"), ("note:", "đã rà soát\x9b2J")]))
    assert typed("report", "declare", *asked, book).exit_code == 0

    shown = typed("report", "reconcile", *asked)
    assert shown.exit_code == 0
    first, second, third = shown.stdout.splitlines()[1:4]
    assert first.split()[:4] == ["chênh", "lệch", "H55.13", "sent_inside"]
    assert "+3" in first
    assert "các mã: thêm --json" in first, "its list is not that of the unit with those below it"
    assert second.split()[:6] == ["không", "có", "căn", "cứ", "H55.13", "recalls"]
    assert third.split()[:4] == ["bằng", "nhau", "H55.13.1", "sent_inside"]
    assert "đã rà soát\ufffd2J" in shown.stderr, "which would clear the screen"
    assert "người khai Lan" in shown.stderr
    rows = [json.loads(line) for line in typed("report", "reconcile", *asked, "--json").stdout.splitlines()]
    assert [(row["difference"], row["messages"]) for row in rows] == [(3, ["m1", "m2"]), (2, []), (0, [])]
    beside = typed("report", "H55.13", PERIOD, "--format", "csv")
    assert beside.exit_code == 0, beside.output
    assert "đã rà soát" not in beside.stdout
    assert any("(H55.13): đã rà soát" in line and "Lan khai" in line for line in beside.stderr.splitlines())
    assert "\x9b" not in beside.stderr


def test_what_is_wrong_in_the_workbook_is_told_by_cell_and_nothing_is_written(typed: Type, tmp_path: Path) -> None:
    book, asked = tmp_path / "mau.xlsx", ("H55.1", PERIOD, "--form", "edoc")
    assert typed("report", "template", *asked, "-o", book).exit_code == 0
    book.write_bytes(filled(book.read_bytes(), {("H55.1", "recalls"): "ba", ("H55.1", "updates"): 1.5}))
    refused = typed("report", "declare", *asked, book)
    assert refused.exit_code == 1
    assert len([line for line in refused.stderr.splitlines() if line.startswith("Báo cáo!")]) == 2
    assert "hãy nhập số nguyên" in refused.stderr
    assert typed("report", "reconcile", *asked).exit_code == 4
    assert typed("report", "declare", "H55.13", PERIOD, book).exit_code == 1, "it is another unit's"


def test_a_form_of_the_provinces_own_is_declared_with_its_manual_lines(typed: Type, tmp_path: Path) -> None:
    book, asked = tmp_path / "mau.xlsx", ("H55.13", PERIOD, "--form", "rieng")
    assert typed("report", "template", *asked, "-o", book).exit_code == 0
    book.write_bytes(filled(book.read_bytes(), {("H55.13", "gone"): 2, ("H55.13", "talks"): 4}))
    assert typed("report", "declare", *asked, book).exit_code == 0
    shown = typed("report", "reconcile", *asked).stdout
    assert "bằng nhau" in shown
    assert "tự khai" in shown
    assert "Cuộc trao đổi" in shown


def test_an_old_workbook_of_the_provinces_own_layout_is_declared_and_each_bad_cell_is_named(
    typed: Type, home: Path, tmp_path: Path
) -> None:
    (layout,) = [each for each in read_book(read_config(home / "hub.toml").reports).layouts if each.id == "rieng"]
    book, asked = tmp_path / "thang.xls", ("H55.13", PERIOD, "--form", "rieng")
    with_mistakes: list[tuple[int, str, dict[str, Any]]] = [(1, "H55.13", {"gone": "hai"}), (2, "Sở Lạ", {"gone": 1})]
    book.write_bytes(as_xls(lay_out(layout, with_mistakes, top=())))
    refused = typed("report", "declare", *asked, book)
    assert refused.exit_code == 1
    assert [line.partition(":")[0] for line in refused.stderr.splitlines()] == ["Biểu!C5", "Biểu!B6"]
    book.write_bytes(
        as_xls(lay_out(layout, [(1, "H55.13", {"gone": 3, "talks": 9}), ("", "Cộng", {"gone": 3})], top=()))
    )
    assert typed("report", "declare", *asked, book).exit_code == 0
    rows = [json.loads(line) for line in typed("report", "reconcile", *asked, "--json").stdout.splitlines()]
    assert [(row["unit"], row["declared"]) for row in rows] == [("H55.13", 3), ("", 3), ("H55.13", 9)]


def test_the_file_of_many_units_is_recorded_for_each_of_them_and_typed_again_for_none(
    typed: Type, home: Path, tmp_path: Path
) -> None:
    (layout,) = [each for each in read_book(read_config(home / "hub.toml").reports).layouts if each.id == "rieng"]
    book, asked = tmp_path / "toan-tinh.xls", ("H55", PERIOD, "--form", "rieng")
    rows = [(1, "H55.13", {"gone": 2}), (2, "H55.13.1", {"gone": 1, "talks": 5}), ("", "Cộng", {"gone": 3})]
    book.write_bytes(as_xls(lay_out(layout, rows, top=())))
    recorded = typed("report", "declare", *asked, "--each", "--json", book)
    assert recorded.exit_code == 0
    found = {row["unit"]: row["message"] for row in map(json.loads, recorded.stdout.splitlines())}
    assert found.keys() == {"H55", "H55.13", "H55.13.1"}
    for unit, declared in (
        ("H55", [("", 3)]),
        ("H55.13", [("H55.13", 2)]),
        ("H55.13.1", [("H55.13.1", 1), ("H55.13.1", 5)]),
    ):
        shown = typed("report", "reconcile", unit, PERIOD, "--form", "rieng", "--json").stdout.splitlines()
        assert [(row["unit"], row["declared"]) for row in map(json.loads, shown)] == declared
    again = typed("report", "declare", *asked, "--each", "--json", book)
    assert {row["unit"]: row["message"] for row in map(json.loads, again.stdout.splitlines())} == found


def test_a_folder_has_a_workbook_of_each_unit_called_by_its_code_or_its_name(
    typed: Type, home: Path, tmp_path: Path
) -> None:
    (layout,) = [each for each in read_book(read_config(home / "hub.toml").reports).layouts if each.id == "rieng"]
    asked = ("H55", PERIOD, "--form", "rieng", tmp_path)
    assert typed("report", "declare", *asked).exit_code == 1, "it is empty"

    def put(name: str, figure: object) -> None:
        rows: list[tuple[int, str, dict[str, Any]]] = [(1, "Việc", {"gone": figure})]
        (tmp_path / name).write_bytes(as_xls(lay_out(layout, rows, top=())))

    put("rieng_H55.13.1.xls", 7)
    put("Đơn vị lạ.xls", 7)
    refused = typed("report", "declare", *asked)
    assert refused.exit_code == 1
    assert "Đơn vị lạ.xls: không có đơn vị nào của báo cáo tên là “Đơn vị lạ”" in refused.stderr
    assert "chưa ghi gì" in refused.stderr
    (tmp_path / "Đơn vị lạ.xls").unlink()
    put("H55.1_thang.xls", "ba")
    half = typed("report", "declare", *asked, "--json")
    assert half.exit_code == 1
    assert "H55.1_thang.xls: Biểu!C5: “ba” không phải số nguyên" in half.stderr
    rows = [json.loads(line) for line in half.stdout.splitlines()]
    assert sorted((row.get("kind", ""), row.get("file", "")) for row in rows) == [
        ("", ""),
        ("mistake", "H55.1_thang.xls"),
    ]
    shown = typed("report", "reconcile", "H55.13.1", PERIOD, "--form", "rieng", "--json").stdout
    assert [json.loads(line)["declared"] for line in shown.splitlines()] == [7]
    put("h55.13.1.XLS", 8)
    assert "có cả" in typed("report", "declare", *asked).stderr


def test_the_paper_form_is_written_by_the_provinces_own_layout(typed: Type, tmp_path: Path) -> None:
    file = tmp_path / "bieu.xlsx"
    assert typed("report", "H55.13", PERIOD, "--form", "rieng", "--format", "paper", "-o", file).exit_code == 0
    shown = {str(cell.value) for row in openpyxl.load_workbook(file).worksheets[0].iter_rows() for cell in row}
    assert {"BIỂU RIÊNG", "Văn bản", "Đã gửi", "Cuộc trao đổi", "(4)", "Tổng cộng", "3"} <= shown
    missing = typed("report", "H55.13", PERIOD, "--format", "paper", "-o", file)
    assert missing.exit_code == 2
    assert "biểu mẫu edoc không có bố cục của biểu giấy" in missing.stderr


def test_the_template_needs_a_file_and_all_three_a_unit_and_a_period(typed: Type, tmp_path: Path) -> None:
    assert typed("report", "reconcile", "H55.13").exit_code == 2
    assert typed("report", "template", "H55.13", PERIOD).exit_code == 2
    assert typed("report", "template", "nobody", PERIOD, "-o", tmp_path / "x.xlsx").exit_code == 4
    assert typed("report", "reconcile", "H55.13", "thang 11").exit_code == 2
