"""The table that a province signs: a row for each department, district and commune, with the units below it."""

import json
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from openpyxl import load_workbook
from pypdf import PdfReader

from hub.domain.model import Fact, Unit, UnitChange
from hub.journal import unit_registry
from hub.language.languages import Language
from hub.report.form.book import read_shipped_book
from hub.report.form.form import PRINCIPAL, UNIT
from hub.report.form.period import parse_period
from hub.report.output import outputs
from hub.report.output.pdf import write_pdf_report
from hub.report.output.workbook import write_xlsx_report
from hub.report.signed.sealed import read_sealed_report, seal_report
from hub.store import transactions
from hub.store.tables import fact as facts_table
from hub.store.tables import message
from hub.store.transactions import Transaction
from hub.workload import closing, facts_behind, given_paper, submission, unit_report
from hub.workload.report_sources import ReportSources, RowChoice
from tests.journal.test_signed_revisions import province
from tests.officials import HUB
from tests.opened import facts_behind as opened

BOOK = read_shipped_book()
NOW = datetime(2025, 12, 1, tzinfo=UTC)
MERGED = date(2025, 7, 1)
DEPARTMENT: dict[str, Any] = {"level": "province", "kind": "department"}
COMMUNE: dict[str, Any] = {"level": "commune", "kind": "committee"}
UNITS = (
    Unit("T", "UBND tỉnh", level="province", kind="committee"),
    Unit("S", "Sở Y tế", "T", **DEPARTMENT),
    Unit("S1", "Chi cục Dân số", "S", level="province", kind="division"),
    Unit("S2", "Trung tâm Y tế khu vực", "S", level="province", kind="health"),
    Unit("S21", "Trạm Y tế xã Vân Sơn", "S2", level="commune", kind="health"),
    Unit("H", "UBND huyện Phú Bình", "T", until=MERGED, level="district", kind="committee"),
    Unit("H1", "Phòng Nội vụ", "H", until=MERGED, level="district", kind="division"),
    Unit("X", "UBND xã Vân Sơn", "H", changes=(UnitChange(MERGED, "UBND xã Vân Sơn", "T", **COMMUNE),), **COMMUNE),
    Unit("X1", "Trường Tiểu học Vân Sơn", "X", level="commune", kind="school"),
)
#: by unit: how many dossiers it received in June and in September
MANY = {"T": 1, "S": 2, "S1": 4, "S2": 8, "S21": 16, "H": 32, "H1": 64, "X": 128, "X1": 256}
JUNE, SEPTEMBER = "2025-06", "2025-09"


def received(unit: str, number: int, day: date) -> Fact:
    at = datetime(day.year, day.month, day.day, 5, tzinfo=UTC)
    key = f"{unit} {day} {number}"
    said = (("channel", "online"), ("field", "HT"))
    return Fact(
        unit=unit, service="dossiers", key=key, milestone="received", message=key, at=at, day=day, attributes=said
    )


@pytest.fixture
def written(tx: Transaction) -> Transaction:
    unit_registry.write_registry_units(tx, UNITS)
    facts = [received(unit, number, date(2025, 6, 2)) for unit, many in MANY.items() for number in range(many)]
    facts += [
        received(unit, number, date(2025, 9, 2))
        for unit, many in MANY.items()
        if unit not in ("H", "H1")
        for number in range(many)
    ]
    ended = [fact for fact in facts if fact.unit in ("H", "H1")]  # a district leaves nothing in hand
    facts += [attrs.evolve(fact, milestone="finished", message=f"{fact.message} ended") for fact in ended]
    more = {"partner": "p", "service": "dossiers", "kind": "k", "state": "accepted", "sha256": "0" * 64, "size": 1}
    transactions.insert_missing_rows(
        tx, message, [{"id": fact.message, "message_id": fact.message, "received_at": fact.at} | more for fact in facts]
    )
    tx.execute(sa.insert(facts_table), [attrs.asdict(fact) for fact in facts])
    return tx


def asked(tx: Transaction, period: str, form: str = "ii06a", unit: str = "T") -> ReportSources:
    return unit_report.resolve_report_sources(tx, unit, period, form, BOOK, now=NOW)


def table(asked: ReportSources, column: str = "received_online") -> dict[tuple[str, ...], object]:
    return {each.path: each.row.numbers[column] for each in asked.count(NOW).divided}


def test_each_department_and_commune_has_one_row_with_what_is_below_it(written: Transaction) -> None:
    assert table(asked(written, SEPTEMBER)) == {
        ("Sở, ban, ngành",): 1 + 2 + 4 + 8 + 16,
        ("Sở, ban, ngành", "T"): 1,
        ("Sở, ban, ngành", "S"): 2 + 4 + 8 + 16,
        ("Cấp xã",): 128 + 256,
        ("Cấp xã", "X"): 128 + 256,
    }


def test_of_a_month_before_districts_ended_a_district_has_a_row_beside_its_communes(written: Transaction) -> None:
    found = table(asked(written, JUNE))
    assert found["Cấp huyện", "H"] == 32 + 64
    assert found["Cấp xã", "X"] == 128 + 256
    assert found["Cấp huyện",] == 32 + 64
    total = asked(written, JUNE).count(NOW).total.numbers["received_online"]
    assert total == sum(MANY.values()) == sum(number for path, number in found.items() if len(path) == 1)  # type: ignore[misc]


def test_what_is_below_a_unit_that_has_ended_is_in_its_row_also_if_that_counts_nothing(tx: Transaction) -> None:
    ended = Unit("S", "Sở Y tế", "T", until=MERGED, **DEPARTMENT)
    unit_registry.write_registry_units(tx, [UNITS[0], ended, Unit("S1", "Chi cục Dân số", "S", kind="division")])
    fact = received("S1", 0, date(2025, 9, 2))
    row = {"id": fact.message, "partner": "p", "message_id": fact.message, "service": "dossiers", "kind": "k"}
    tx.execute(sa.insert(message), [row | {"state": "accepted", "received_at": fact.at, "sha256": "0" * 64, "size": 1}])
    tx.execute(sa.insert(facts_table), [attrs.asdict(fact)])
    report = asked(tx, SEPTEMBER).count(NOW)
    assert [row.unit for row in report.rows] == ["T", "S1"]
    assert {each.unit: each.row.numbers["received_online"] for each in report.divided if each.unit} == {"T": 0, "S": 1}


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("period", [JUNE, SEPTEMBER, "2025"])
@pytest.mark.parametrize("form", ["ii06a", "tonghop"])
def test_a_row_opens_into_its_units_and_the_facts_of_all_of_them(
    written: Transaction, close: bool, period: str, form: str
) -> None:
    if close:
        for text in (JUNE, "2025-07", "2025-08", SEPTEMBER):
            month = parse_period(text)
            for each in ("ii06a", "edoc", "mail"):
                closing.close_month(written, BOOK, each, month, month.end + timedelta(minutes=2), "an")
    source = asked(written, period, form).choose_rows(RowChoice(by=PRINCIPAL))
    column = "received_online" if form == "ii06a" else "dossiers_online"
    rows = {each.unit: each.row for each in source.count(NOW).divided if each.unit}
    assert set(rows) == {"T", "S", "X", *(["H"] if period in (JUNE, "2025") else [])}
    seen = set[str]()
    for unit, row in rows.items():
        inside = source.choose_rows(RowChoice(opened=unit))
        within = inside.count(NOW)
        assert within.total == row, "the row is the total of its units"
        assert not within.divided
        facts = opened(inside, column, NOW)
        assert len(facts) == row.numbers[column]
        assert sorted(facts_behind.list_facts_behind(inside, column, NOW), key=str) == sorted(facts, key=str)
        parts = [
            fact for each in within.rows for fact in opened(inside.narrow_row(each.unit, None), column, NOW, each.unit)
        ]
        assert sorted(parts, key=str) == sorted(facts, key=str), "what is behind its parts, together"
        seen |= {row.unit for row in within.rows}
    assert seen == {row.unit for row in source.count(NOW).rows}
    with pytest.raises(KeyError):
        source.choose_rows(RowChoice(opened="S1"))


def test_the_rows_of_units_are_there_when_asked_for_and_those_of_any_form_sum_up(written: Transaction) -> None:
    assert not asked(written, SEPTEMBER).choose_rows(RowChoice(by=UNIT)).count(NOW).divided
    assert not asked(written, SEPTEMBER, "dossiers").count(NOW).divided
    dossiers = asked(written, SEPTEMBER, "dossiers").choose_rows(RowChoice(by=PRINCIPAL)).count(NOW)
    assert {each.unit: each.row.numbers["received"] for each in dossiers.divided} == {"T": 1, "S": 30, "X": 384}
    assert [each.path for each in asked(written, SEPTEMBER, unit="S").count(NOW).divided][:2] == [("S",), ("S", "HT")]


def test_a_time_is_the_latest_below_and_a_ratio_is_that_of_the_sums(written: Transaction) -> None:
    finished = [
        attrs.evolve(received(unit, 0, date(2025, 9, 2)), milestone="finished", day=day, due=date(2025, 9, 5))
        for unit, day in (("S", date(2025, 9, 4)), ("S1", date(2025, 9, 8)), ("S2", date(2025, 9, 5)))
    ]
    written.execute(sa.insert(facts_table), [attrs.asdict(fact) for fact in finished])
    summary = asked(written, SEPTEMBER, "tonghop").choose_rows(RowChoice(by=PRINCIPAL)).count(NOW)
    (row,) = [each.row for each in summary.divided if each.unit == "S"]
    assert (row.numbers["dossiers_settled"], str(row.numbers["dossiers_in_time"])) == (3, "66.67")
    dossiers = asked(written, SEPTEMBER, "dossiers").choose_rows(RowChoice(by=PRINCIPAL)).count(NOW)
    (row,) = [each.row for each in dossiers.divided if each.unit == "S"]
    units = [each for each in dossiers.rows if each.unit.startswith("S")]
    assert row.times == {
        key: max(at for each in units if (at := each.times[key]) is not None) for key in units[0].times
    }


def test_the_sealed_report_holds_the_table_and_every_unit_and_reads_back(written: Transaction) -> None:
    month = parse_period(SEPTEMBER)
    for text in (JUNE, "2025-07", "2025-08", SEPTEMBER):
        closing.close_month(
            written, BOOK, "ii06a", parse_period(text), parse_period(text).end + timedelta(minutes=2), "an"
        )
    source = asked(written, SEPTEMBER)
    report = source.count(month.end)
    lines: tuple[Any, ...] = ()
    octets = seal_report(report, source.names, lines, HUB)
    said = read_sealed_report(octets)
    assert (said.report.by, said.report.divided) == (report.by, report.divided)
    assert [row.unit for row in said.report.rows] == ["T", "S", "S1", "S2", "S21", "X", "X1"]
    other = attrs.evolve(report, divided=report.divided[:-1])
    assert said.says(report, said.evidence)
    assert not said.says(other, said.evidence), "a row of the table is missing"


def test_what_is_given_out_to_be_signed_is_printed_with_the_table(written: Transaction) -> None:
    for text in (JUNE, "2025-07", "2025-08", SEPTEMBER):
        month = parse_period(text)
        closing.close_month(written, BOOK, "ii06a", month, month.end + timedelta(minutes=2), "an")
    source = asked(written, SEPTEMBER)
    with source.open_evidence(NOW) as gathered:
        lines = gathered.listing.summary
        counted = submission.CountedReport(report=gathered.report, names=dict(source.names), lines=lines)
    kept = submission.issue_report(written, province(), counted, reason="", by="clerk", now=NOW)
    again = submission.issue_report(written, province(), counted, reason="", by="clerk", now=NOW)
    assert (again.message.id, again.said.report.divided) == (kept.message.id, counted.report.divided)
    given = given_paper.read_given_paper(written, source, None)
    assert given is not None
    pdf = PdfReader(BytesIO(given.write("pdf", Language.VI)))
    for text in (given.write("html", Language.VI).decode(), "".join(page.extract_text() for page in pdf.pages)):
        assert "Sở Y tế" in text
        assert "Chi cục Dân số" not in text


def test_every_output_prints_the_rows_of_the_table(written: Transaction) -> None:
    source = asked(written, SEPTEMBER)
    report, names = source.count(NOW), source.names
    sheet = load_workbook(BytesIO(write_xlsx_report(report, names, ()))).worksheets[0]
    texts = {
        "html": outputs.write_html_report(report, names),
        "csv": outputs.write_csv_report(report, names).decode("utf-8-sig"),
        "xlsx": repr(list(sheet.values)),
        "pdf": "".join(page.extract_text() for page in PdfReader(BytesIO(write_pdf_report(report, names, ()))).pages),
    }
    for kind, text in texts.items():
        assert "Chi cục Dân số" not in text, kind
        assert "Sở Y tế" in text, kind
    said = json.loads(outputs.write_json_report(report, names))["divided"]
    assert said["by"] == ["section", "principal"]
    assert [(row["path"][-1], row["received_online"]) for row in said["rows"]] == [
        ("Sở, ban, ngành", 31), ("T", 1), ("S", 30), ("Cấp xã", 384), ("X", 384),
    ]  # fmt: skip
