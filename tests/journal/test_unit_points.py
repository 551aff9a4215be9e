"""The points of a unit by the form `nd335`: recomputed from its printed page, opened into messages, kept when the form is edited."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import attrs
import pytest
from lxml import html

from hub.domain.errors import ConfigurationFault
from hub.domain.model import Fact
from hub.journal import unit_registry
from hub.language.languages import Language
from hub.report.counting.declaring import split_declaration
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.folder import FOLDER, read_form_folder
from hub.report.form.period import parse_period
from hub.report.output.outputs import write_html_report, write_json_report
from hub.report.workbooks.declared_workbook import DeclaredReport, read_declared_workbook
from hub.report.workbooks.template_workbook import write_template_workbook
from hub.store.transactions import Transaction
from hub.workload import closing, closing_plan, declarations, report_sources, unit_report
from tests.declaring import declaration, filled, octets
from tests.evidencing import FORMS, PERIOD, false, fill, found, members, resealed, written
from tests.journal.test_closing import on, put
from tests.journal.test_declarations import codes, take
from tests.opened import facts_behind
from tests.province import UNITS
from tests.services.test_shipped_work import DONE_LATE, EXCUSED, item, judge, judged, read, returned

UNIT = "H55.13"
AFTER = datetime(2027, 6, 1, tzinfo=UTC)
NOVEMBER = parse_period("2026-12")  # its days are 15/11 to 14/12
BOOK = read_shipped_book()
IN_TIME = "<Done>2026-11-18</Done>"


def renamed(facts: Iterable[Fact]) -> list[Fact]:
    """Return *facts* with a message of their own for each telling, as `put` writes them."""
    return [attrs.evolve(fact, message=f"{fact.key} {fact.message}") for fact in facts]


#: Four items: one in time, one late with the factor 1.5, one returned twice, one not done and overdue.
TOLD = [
    *read(item("V1", more=IN_TIME)),
    *read(item("V2", "1.5", more=DONE_LATE)),
    *read(item("V3", "2", more=IN_TIME)),
    *judge(judged("V3", "2", more=returned(1) + returned(2))),
    *read(item("V4", "0.5")),
]


@pytest.fixture
def office(tx: Transaction) -> Transaction:
    unit_registry.write_registry_units(tx, UNITS)
    return tx


def declare(tx: Transaction, general: Decimal, unit: str = "H55", later: int = 0, period: str = "2026-12") -> Any:
    """Have *unit* declare the general points of H55.13."""
    said = declaration({(UNIT, "general"): general}, unit=unit, form="nd335", period=period, by="Nguyễn Thị Lan")
    return take(tx, said, name=f"d{later}", by="any", later=later)


def sources(
    tx: Transaction, period: str = "2026-12", unit: str = UNIT, book: Book = BOOK
) -> report_sources.ReportSources:
    return unit_report.resolve_report_sources(tx, unit, period, "nd335", book)


def row_of(
    tx: Transaction, facts: Iterable[Fact] = (), period: str = "2026-12", book: Book = BOOK
) -> Mapping[str, Any]:
    if told := renamed(facts):
        put(tx, *told)
    report = sources(tx, period, book=book).count(AFTER)
    return next(row.numbers for row in report.rows if row.unit == UNIT)


# --- recomputed from the page


def calculate(text: str) -> Decimal:
    """Work out what a page writes, as a pocket calculator does, to two decimals."""
    python = text.replace(".", "").replace(",", ".").replace("×", "*").replace("−", "-").replace(";", ",")
    python = re.sub(r"\d+(\.\d+)?", lambda found: f"Decimal('{found[0]}')", python)
    value = eval(python, {"__builtins__": {}, "Decimal": Decimal, "max": max, "min": min})
    return Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_the_points_are_computed_again_from_the_printed_page_with_a_pocket_calculator(office):
    put(office, *renamed(TOLD))
    declare(office, Decimal("28.5"))
    asked = sources(office)
    report = asked.count(AFTER)
    page: Any = html.fromstring(write_html_report(report, asked.names, Language.VI))
    (row,) = page.xpath(f"//tbody/tr[not(@class) and @data-unit='{UNIT}']")
    cells = {cell.get("data-column"): cell.text_content() for cell in row.xpath("td[@data-column]")}
    name = f"{asked.names[UNIT]}: "
    said = [line.text_content() for line in page.xpath("//footer//li")]
    lines = [line.removeprefix(name) for line in said if line.startswith(name)]
    numbers = {f"({place})": cells[column.key] for place, column in enumerate(report.form.columns, 1)}
    computed = 0
    for line in lines:
        sides = line.split(" = ")
        if len(sides) != 4:
            continue
        _, over, put_in, result = sides
        for place, number in numbers.items():
            over = over.replace(place, number)
        assert over == put_in, "the numbers put in are those of the cells"
        assert calculate(put_in) == Decimal(result.replace(".", "").replace(",", ".")), line
        assert numbers[line.split(" ")[0]] == result
        computed += 1
    assert computed == 8
    assert cells["grade"] == "Hoàn thành tốt"
    assert any("(18) Điểm: Tiêu chí chung (kê khai) = 28,50, Tỉnh Thái Nguyên (H55) kê khai" in line for line in lines)


def test_the_numbers_are_those_that_a_clerk_works_out(office):
    declare(office, Decimal("28.5"))
    found = row_of(office, TOLD)
    assert {key: str(found[key]) for key in ("done", "due", "late", "quantity", "quality", "progress")} == {
        "done": "4.50",  # 1 + 1.5 + 2
        "due": "5.00",  # and 0.5 that is not done
        "late": "1.50",
        "quantity": "90.00",
        "quality": "70.00",  # 4.5 less a quarter of 2, twice
        "progress": "82.50",  # 4.5 less a quarter of 1.5
    }
    assert str(found["results"]) == "56.58"  # 242.5 / 3 × 0.7
    assert str(found["points"]) == "85.08"


# --- what changes what


def test_an_excuse_a_return_and_a_factor_change_exactly_what_the_form_says(office):
    before = row_of(office, TOLD)

    def changed(*facts: Fact) -> dict[str, tuple[str, str]]:
        nonlocal before
        was, now = before, row_of(office, facts)
        before = now
        return {key: (str(was[key]), str(now[key])) for key in now if was[key] != now[key]}

    assert changed(*judge(judged("V2", "1.5", more=EXCUSED))) == {
        "work_late": ("1.50", "0.00"), "late": ("1.50", "0.00"), "progress": ("82.50", "90.00"), "results": ("56.58", "58.33"),
    }  # fmt: skip
    assert changed(*judge(judged("V4", "0.5", more=EXCUSED))) == {
        "work_overdue": ("0.50", "0.00"), "due": ("5.00", "4.50"), "quantity": ("90.00", "100.00"), "quality": ("70.00", "77.78"),
        "progress": ("90.00", "100.00"), "results": ("58.33", "64.82"),
    }  # fmt: skip
    assert changed(*judge(judged("V1", more=returned(1)))) == {
        "work_returned": ("4.00", "5.00"), "quality": ("77.78", "72.22"), "results": ("64.82", "63.52"),
    }  # fmt: skip
    assert changed(*read(item("V5", "3", more=IN_TIME))) == {
        "work_done": ("4.50", "7.50"), "done": ("4.50", "7.50"), "due": ("4.50", "7.50"), "quality": ("72.22", "83.33"),
        "results": ("63.52", "66.11"),
    }  # fmt: skip


# --- declared figures


def test_general_points_are_those_that_the_unit_above_declared_last(office):
    put(office, *renamed(TOLD))
    assert row_of(office)["points"] is None
    first, second = declare(office, Decimal(20)), declare(office, Decimal("28.5"), later=1)
    assert codes(first) == codes(second) == []
    assert str(row_of(office)["general"]) == "28.50"
    declare(office, Decimal(30), unit=UNIT, later=2)
    assert str(row_of(office)["general"]) == "28.50", "nobody gives points to themselves"
    declare(office, Decimal(1), later=3, period="2026-Q4")
    assert str(row_of(office)["general"]) == "28.50", "another period"
    refused = declare(office, Decimal("30.5"), later=4)
    assert [code.partition(".")[0] for code in codes(refused)] == ["R"]
    (told,) = [each for each in sources(office).count(AFTER).declared if each.unit == UNIT]
    assert (told.sender, told.by, told.message) == ("H55", "Nguyễn Thị Lan", second.id)


def test_general_points_of_many_units_are_declared_in_one_workbook(office):
    put(office, *renamed(TOLD))
    asked = sources(office, unit="H55")
    points = {unit: Decimal(20) + place for place, unit in enumerate(asked.members[1:])}
    assert len(points) > 1
    empty = write_template_workbook(asked.form, asked.period, asked.members, asked.names)
    workbook = filled(empty, {(unit, "general"): float(point) for unit, point in points.items()})
    report = DeclaredReport(asked.form, asked.period, asked.members)
    said = read_declared_workbook(workbook, report, declarations.read_unit_names(office, asked))
    (kept,) = split_declaration(said, asked.form)
    assert codes(take(office, kept, name="d1", by="any")) == []
    for unit, point in points.items():
        assert sources(office, unit=unit).count(AFTER).total.numbers["general"] == point
    whole = sources(office, unit="H55").count(AFTER)
    assert {row.unit: row.numbers["general"] for row in whole.rows} == {"H55": None, **points}


def test_what_is_kept_of_declarations_is_bounded(office, monkeypatch):
    monkeypatch.setattr(declarations, "_MOST_CELLS", 6)
    monkeypatch.setattr(declarations, "_KEPT", {})
    for later in range(8):
        declare(office, Decimal(later), later=later)
        assert row_of(office)["general"] == later
        assert sum(1 + len(said.cells) for said in declarations._KEPT.values()) <= 6


def test_every_input_opens_into_its_messages(office):
    put(office, *renamed(TOLD))
    declare(office, Decimal(20))
    opened = {fact.key for fact in facts_behind(sources(office), "points", AFTER)}
    assert opened == {"V1", "V2", "V3", "V4"}
    assert {fact.key for fact in facts_behind(sources(office), "work_returned", AFTER)} == {"V3"}
    assert facts_behind(sources(office), "general", AFTER) == ()


# --- the law is data


def edited(tmp_path: Any, **changes: str) -> Book:
    """Return the book of a province whose own folder has `nd335` with *changes*."""
    text = (FOLDER / "nd335.toml").read_text("utf-8")
    for old, new in changes.items():
        assert text.count(old.replace("·", "-")) >= 1, old
        text = text.replace(old, new)
    (tmp_path / "nd335.toml").write_text(text, "utf-8")
    return attrs.evolve(BOOK, forms=read_form_folder(own=tmp_path))


def test_a_formula_a_grade_and_a_column_are_replaced_in_one_toml_and_closed_months_keep_the_old_one(office, tmp_path):
    declare(office, Decimal("28.5"))
    put(office, *renamed(TOLD))
    for form in ("congviec", "congviec-vanban", "congviec-hoso"):
        while (following := closing_plan.find_next_month_to_close(office, BOOK, form)) and following[
            1
        ].text <= "2026-12":
            closing.close_month(office, BOOK, form, following[1], on("2026-12-16"), "an")
    before = write_json_report(sources(office).count(AFTER), {})
    book = edited(
        tmp_path,
        **{
            "(quantity + quality + progress) / 3 * results_points / 100": "(2 * quantity + quality + progress) / 4 * 0.6",
            "at = 70": "at = 75",
            "Hoàn thành tốt": "Tốt",
            '[[column]]\nkey = "grade"': '[[column]]\nkey = "gap"\nkind = "expression"\nvi = "Còn thiếu"\nen = "Missing"\n'
            'expression = "100 - points"\n\n[[column]]\nkey = "grade"',
        },
    )
    assert write_json_report(sources(office, book=book).count(AFTER), {}) == before
    put(
        office,
        *renamed(
            read(
                item("W1", assigned="2026-12-16", due="2026-12-18", more="<Done>2026-12-20</Done>"), at=on("2026-12-21")
            )
        ),
    )
    now = row_of(office, period="2027-01", book=book)
    assert (str(now["results"]), now["gap"]) == ("37.50", None)  # V4 is still not done: (133.34 + 66.67 + 50) / 4 × 0.6
    declare(office, Decimal(20), later=60 * 24 * 30, period="2027-01")
    now = row_of(office, period="2027-01", book=book)
    assert (str(now["points"]), str(now["gap"]), now["grade"]) == ("57.50", "42.50", 3)


def test_check_explains_what_is_wrong_in_an_edited_form(tmp_path):
    with pytest.raises(ConfigurationFault) as caught:
        edited(
            tmp_path, **{"100 * done / due": "100 * donne / due", "at = 70": "at = 95", 'of = "points"': 'of = "point"'}
        )
    said = sorted(f"{each.path} {each.wrong}; {each.expected}" for each in caught.value.mistakes)
    assert said == [
        "nd335.toml: column[13].expression at character 7 has 'donne'; a column or a parameter; perhaps: done",
        "nd335.toml: column[19].grade[1].at is 95; less than 90, the grade before",
        "nd335.toml: column[19].of is 'point'; a column that is a number",
    ]


def test_a_province_whose_document_system_tells_every_mission_counts_work_items_only(office):
    forms = read_form_folder(rule_sets={"nd335": "work_items_only"})
    chosen = next(form for form in forms if form.id == "nd335")
    assert chosen.column("done").expression == "work_done"
    found = row_of(office, TOLD, book=attrs.evolve(BOOK, forms=forms))
    assert (str(found["done"]), str(found["results"])) == ("4.50", "56.58")


# --- evidence


@pytest.mark.slow
def test_the_evidence_has_the_declarations_and_one_that_says_something_else_is_found(tx):
    fill(tx, FORMS["congviec-vanban"], keys=1)
    said = declaration({("H55.13.1", "general"): 25}, unit=UNIT, form="nd335", period=PERIOD.text)
    taken = take(tx, said, by="any")
    assert codes(taken) == []
    content = written(tx, "nd335")
    name = f"declared/{taken.id}.xml"
    assert members(content)[name] == octets(said)
    told = found(content)
    assert [each for each in told if each.holds is False] == []
    assert "1 declared figures of 1 messages, 1 of them in the file" in next(
        str(each.text) for each in told if each.check == "declared"
    )
    assert name not in members(written(tx, "nd335", octets=False)), "it may name a person"
    other = octets(attrs.evolve(said, cells=(attrs.evolve(said.cells[0], figure=26),)))
    assert ("declared", name) in false(resealed(content, {name: other}))
