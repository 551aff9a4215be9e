"""The province at a glance in the console: who is last and why, what changed since last month, each number opened."""

import csv
import json
import re
import warnings
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
import openpyxl
import pytest
from pypdf import PdfReader

from hub.journal import events, unit_registry
from hub.operations.accounts import passwords
from hub.operations.accounts.permissions import Role
from hub.report.counting.spikes import Spike
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store import transactions
from hub.store.tables import glance_sheet
from hub.workload import closing_plan
from hub.workload.spikes import FoundSpikes, make_spikes_event
from tests import databases, glance_town
from tests.api_callers import Program
from tests.console_town import NOBODY, Browser, Town
from tests.pdftags import tree
from tests.pdfua import judge_pdf

BOOK = read_shipped_book()
FEW = attrs.evolve(BOOK, forms=tuple(form for form in BOOK.forms if form.id in ("edoc", "ii06a")))
MONTHS = [parse_period(text) for text in glance_town.list_months(2026, range(8, 12))]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal of four months, of which three are closed; the last one has ended."""
    path = tmp_path_factory.mktemp("glance") / "hub.db"
    engine = transactions.open_journal(databases.sqlite(path))
    with transactions.write_transaction(engine) as tx:
        glance_town.live_months(tx, FEW, 11, MONTHS, 3, 45)
    engine.dispose()
    return path.read_bytes()


@pytest.fixture
def lived(filled: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    monkeypatch.setattr(passwords, "NOBODY", NOBODY)
    (tmp_path / "hub.db").write_bytes(filled)
    engine = transactions.open_journal(f"sqlite:///{tmp_path / 'hub.db'}")
    yield Town(engine)
    engine.dispose()


def enter(town: Town, *units: str) -> Browser:
    town.add("an", *units, role=Role.READER)
    browser = Browser(town)
    browser.sign_in("an")
    return browser


def read_ranking(page: str) -> list[tuple[str, str, str]]:
    """Return place, unit and figure of each line."""
    rows = re.findall(r'<tr data-unit="([^"]*)">(.*?)</tr>', page, re.DOTALL)
    said = []
    for unit, row in rows:
        cells = [unescape(re.sub("<[^>]*>", "", cell)).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
        said.append((cells[0], unit, cells[1]))
    return said


def test_the_first_page_is_the_newest_closed_month_and_says_the_numbers_of_the_reports(lived):
    browser = enter(lived, "*")
    browser.get("/glance/ii06a/2026-10?by=settled")  # counted now, and kept
    assert browser.get("/glance").location == "/glance/ii06a/2026-10"
    found = read_ranking(browser.get("/glance/ii06a/2026-10?by=settled").content.decode())
    assert [unit for _, unit, _ in found] != []
    for _, unit, figure in found:
        said = json.loads(browser.get(f"/reports/ii06a/{unit}/2026-10.json").content)
        assert figure == str(said["total"]["settled"])
    assert [int(figure) for *_, figure in found] == sorted((int(figure) for *_, figure in found), reverse=True)


def test_why_a_unit_is_last_is_said_with_its_parts_and_the_units_below(lived):
    browser = enter(lived, "*")
    page = browser.get("/glance/edoc/2026-10?by=overdue&class=communes").content.decode()
    last = read_ranking(page)[-1]
    assert f'href="/glance/edoc/2026-10/{last[1]}?by=overdue"' in page
    why = browser.get(f"/glance/edoc/2026-10/{last[1]}?by=overdue").content.decode()
    assert f"Hạng {last[0]} trong 3: {last[2]}." in re.sub(r"\s+", " ", re.sub("<[^>]*>", "", why))
    assert f'href="/reports/edoc/{last[1]}/2026-10/overdue"' in why
    opened = browser.get(f"/reports/edoc/{last[1]}/2026-10/overdue")
    assert opened.status == 200
    assert browser.get(f"/late?unit={last[1]}").status == 200
    assert f'href="/late?unit={last[1]}"' in why
    below = browser.get("/glance/edoc/2026-10/H55.41?by=sent").content.decode()
    assert 'data-unit="H55.41.1"' in below


def test_what_changed_since_last_month_is_named_once_both_months_are_kept(lived):
    browser = enter(lived, "*")
    browser.get("/glance/edoc/2026-09?by=sent")
    page = browser.get("/glance/edoc/2026-10?by=sent").content.decode()
    changed = unescape(page[page.index('id="changed"') : page.index('id="ranking"')])
    rows = {row["unit"]: row for row in json.loads(browser.get("/glance/edoc/2026-10.json?by=sent").content)["rows"]}
    moved = [row for row in rows.values() if row["change"]]
    assert moved
    for row in moved:
        assert f"{row['before']} → <strong>{row['value']}</strong>" in changed


def test_a_running_month_says_when_it_was_counted_and_is_not_counted_again(lived):
    browser = enter(lived, "*")
    first = browser.get("/glance/edoc/2026-11").content.decode()
    assert "số liệu tính đến" in first
    with transactions.write_transaction(lived.engine) as tx:
        tx.execute(glance_sheet.update().values(figures='{"":[]}', columns="[]"))
    found = read_ranking(browser.get("/glance/edoc/2026-11").content.decode())
    assert {(place, figure) for place, _, figure in found} == {("–", "–")}


def test_a_reader_of_some_units_sees_their_places_and_no_number_of_another(lived):
    browser = enter(lived, "H55.41")
    page = browser.get("/glance/edoc/2026-10?by=sent&class=communes").content.decode()
    assert {unit for _, unit, _ in read_ranking(page)} == {"H55.41"}
    assert "H55.42" not in page
    assert "H55.2" not in page
    said = json.loads(browser.get("/glance/edoc/2026-10.json?by=sent&class=communes").content)
    assert (said["limited"], said["spread"], len(said["rows"])) == (True, None, 1)
    for hidden in (
        "/glance/edoc/2026-10/H55.42",
        "/glance/edoc/2026-10?under=H55.2",
        "/glance/edoc/2026-10.json?under=H55",
    ):
        assert browser.get(hidden).status == 404
    assert browser.get("/glance/edoc/2026-10/H55.41?by=sent").status == 200


def test_what_there_is_not_is_not_found(lived):
    browser = enter(lived, "*")
    for place in ("x/2026-10", "edoc/2026-13", "edoc/2027-06", "edoc/2026-07", "edoc/2026-10/H99", "edoc/2026-10.exe",
                  "edoc/2026-10?by=x", "edoc/2026-10?class=x", "edoc/2026-10?under=x", "edoc", "edoc/2026-10/a/b"):  # fmt: skip
        assert browser.get(f"/glance/{place}").status == 404, place
    assert Browser(lived).get("/glance/edoc/2026-10").status == 401


def test_every_file_says_the_numbers_of_the_page(lived):
    browser, query = enter(lived, "*"), "?by=late_share&class=communes"
    browser.get(f"/glance/ii06a/2026-09{query}")
    place = "/glance/ii06a/2026-10"
    shown = read_ranking(browser.get(f"{place}{query}").content.decode())
    said = {row["unit"]: row for row in json.loads(browser.get(f"{place}.json{query}").content)["rows"]}
    rows = [
        (row["place"], unit, row["value"], row["part"], row["whole"], row["change"], row["trend"])
        for unit, row in said.items()
    ]
    assert any(row[5] for row in rows)
    assert [(str(place), unit, f"{value:.2f}".replace(".", ",")) for place, unit, value, *_ in rows] == shown
    _, *lines = csv.reader(browser.get(f"{place}.csv{query}").content.decode("utf-8-sig").splitlines())
    read = [(int(line[0]), line[1], *(float(cell) if cell else None for cell in line[3:7])) for line in lines]
    assert read == [row[:6] for row in rows]
    assert [[float(cell) if cell else None for cell in line[10:]] for line in lines] == [row[6] for row in rows]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparkline")  # openpyxl reads none
        sheet = openpyxl.load_workbook(BytesIO(browser.get(f"{place}.xlsx{query}").content)).active
    values = [[cell.value for cell in line] for line in sheet.iter_rows(min_row=7, max_row=6 + len(rows))]
    assert [(line[0], line[1], *line[3:6]) for line in values] == [row[:5] for row in rows]
    assert [[cell or None for cell in line[12:24]] for line in values] == [
        [cell or None for cell in row[6]] for row in rows
    ]
    assert [str(line[6]).startswith("=ROUND(") for line in values] == [row[5] is not None for row in rows]
    printed = browser.get(f"{place}.pdf{query}").content
    assert judge_pdf(printed) == []
    pages = PdfReader(BytesIO(printed)).pages
    text = re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))
    for place_, unit, figure in shown:
        row = said[unit]
        assert f"{place_} {row['name']} {unit} {figure} {row['part']} {row['whole']}" in text


def test_a_name_that_looks_like_a_formula_or_markup_stays_a_text_in_every_file(lived):
    with transactions.write_transaction(lived.engine) as tx:
        name = "UBND xã =1+1 <b>#x</b> \u5b57"
        unit_registry.write_registry_units(tx, [attrs.evolve(glance_town.UNITS[5], name=name)])
    browser = enter(lived, "*")
    browser.get("/glance/edoc/2026-11")
    assert "&lt;b&gt;" in browser.get("/glance/edoc/2026-11?class=communes").content.decode()
    for kind, kept in (("csv", name), ("json", name)):
        assert kept in browser.get(f"/glance/edoc/2026-11.{kind}?class=communes").content.decode("utf-8-sig")
    text = PdfReader(BytesIO(browser.get("/glance/edoc/2026-11.pdf?class=communes").content)).pages[0].extract_text()
    assert "<b>#x</b>" in text


def test_the_fields_of_a_unit_add_up_to_its_figure_and_open_into_their_messages(lived):
    browser = enter(lived, "*")
    why = browser.get("/glance/ii06a/2026-10/H55.41?by=late_share").content.decode()
    rows = re.findall(r'<tr data-field="([^"]*)">(.*?)</tr>', why, re.DOTALL)
    cells = {
        field: [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
        for field, row in rows
    }
    said = {row["unit"]: row for row in json.loads(
        browser.get("/glance/ii06a/2026-10.json?by=late_share&class=communes").content)["rows"]}["H55.41"]  # fmt: skip
    assert len(cells) > 1
    assert sum(int(cell[1]) for cell in cells.values()) == said["part"]
    assert sum(int(cell[2]) for cell in cells.values()) == said["whole"]
    parts = [int(cell[1]) for cell in cells.values()]
    assert parts == sorted(parts, reverse=True)  # where less is better, what is late most comes first
    field = next(iter(cells))
    assert browser.get(f"/reports/ii06a/H55.41/2026-10/settled_late?row={field}").status == 200
    running = browser.get("/glance/ii06a/2026-11/H55.41").content.decode()
    assert "data-field" not in running  # counted only if it is asked for
    assert "data-field" in browser.get("/glance/ii06a/2026-11/H55.41?fields=1").content.decode()


def test_a_program_reads_the_same_by_the_api(lived):
    said = json.loads(enter(lived, "*").get("/glance/edoc/2026-10.json?by=sent").content)
    program = Program(lived)
    assert program.get("/glance/edoc/2026-10?by=sent").status == 200
    assert program.said["glance"] == said
    assert program.get("/glance/edoc/2026-10/file?by=sent&format=csv").content.startswith(b"\xef\xbb\xbf")
    assert program.get("/glance/edoc/2026-10?by=x").status == 404
    limited = Program(lived, units=("H55.41",), name="nho")
    limited.get("/glance/edoc/2026-10?by=sent&class=communes")
    assert [row["unit"] for row in limited.said["glance"]["rows"]] == ["H55.41"]


@pytest.mark.parametrize(("form", "by"), [("edoc", "sent_inside"), ("tonghop", "documents_unmatched")])
def test_what_was_unusual_at_the_closing_stands_beside_the_unit_with_its_reason(lived, form, by):
    column = {"edoc": "sent_inside", "tonghop": "completed_unmatched"}[form]
    found = FoundSpikes(1, (Spike("H55.41.1", column, 900, 30, 3),))
    with transactions.write_transaction(lived.engine) as tx:
        at = next(each.closed_at for each in closing_plan.read_closings(tx, "edoc") if each.period.text == "2026-10")
        events.append_events(tx, make_spikes_event("edoc", "2026-10", found, at, "an"))
    page = enter(lived, "*").get(f"/glance/{form}/2026-10?by={by}&class=communes").content.decode()
    marked = re.findall(r'<tr data-unit="([^"]*)">(?:(?!</tr>).)*bất thường', page, re.DOTALL)
    assert marked == ["H55.41"], "the commune above the school"
    assert re.search(r"Trường Tiểu học \(H55\.41\.1\), “.*”: 900; .* 3 tháng trước .* 10,00", unescape(page))
    assert f'href="/reports/{form}/H55.41.1/2026-10/{by}?unit=H55.41.1"' in page


def test_the_printed_ranking_is_a_tagged_table_with_a_figure_for_each_trend(lived):
    content = enter(lived, "*").get("/glance/edoc/2026-10.pdf?by=sent&class=communes").content
    root: Any = PdfReader(BytesIO(content)).trailer["/Root"]
    assert (root["/MarkInfo"]["/Marked"], root["/Lang"]) == (True, "vi-VN")
    (table,) = tree(content).all("Table")
    head, *rows = table.all("TR")
    assert [cell.text for cell in head.all("TH")] == [
        "Hạng", "Đơn vị", "Số liệu", "Thay đổi", "Hạng kỳ trước", "Xu hướng", "Ghi chú",
    ]  # fmt: skip
    assert [len(list(row.all("Figure"))) for row in rows] == [1, 1, 1]
