"""How many public services had a dossier, of all in force: each once, by the list's level and field, whatever is edited later."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.config.reports import ReportSettings
from hub.domain.errors import ConfigurationFault
from hub.domain.model import Fact, Unit
from hub.journal import unit_registry
from hub.language.languages import Language
from hub.report.form.book import Book, read_book
from hub.report.form.period import parse_period
from hub.report.form.service_list import read_service_list
from hub.report.output import outputs
from hub.report.output.body import arrange_body, write_check_findings
from hub.report.output.pdf import write_pdf_report
from hub.report.signed.sealed import read_sealed_report, seal_report
from hub.store import transactions
from hub.store.tables import fact as facts_table
from hub.store.tables import message
from hub.store.transactions import Transaction
from hub.workload import closing, unit_report
from hub.workload.report_sources import ReportSources
from tests.officials import HUB
from tests.opened import facts_behind as opened

LIST = """\
code,name,field,field_name,level,since,until
1.000001,Cấp bản sao trích lục,TP-HT,Hộ tịch,toàn trình,,
1.000002,Đăng ký khai sinh,TP-HT,Hộ tịch,một phần,,
1.000003,Đăng ký kết hôn,TP-HT,Hộ tịch,partial,2026-12-15,
1.000004,Đăng ký biến động,TN-DD,Đất đai,full,,2026-11-20
1.000005,Tách thửa,TN-DD,Đất đai,full,,
1.000005.000.00.00.H55,Tách thửa ở tỉnh,TN-DD,Đất đai,full,,
2.000815,Chứng thực bản sao,TP-CT,,khác,,
"""
UNITS = (Unit("T", "Tỉnh"), Unit("S", "Sở Tư pháp", "T"), Unit("X", "UBND xã", "T"))
MONTHS = tuple(parse_period(text) for text in ("2026-12", "2027-01"))
NOW = datetime(2027, 1, 20, tzinfo=UTC)


def book_of(tmp_path: Path, listed: str) -> Book:
    path = tmp_path / "dich-vu-cong.csv"
    path.write_text(listed, "utf-8")
    return read_book(ReportSettings(services=path))


def received(unit: str, key: str, day: str, procedure: str, channel: str = "online", **more: Any) -> Fact:
    at = datetime.fromisoformat(f"{day} 05:00").replace(tzinfo=UTC)
    said = {
        "procedure": procedure,
        "channel": channel,
        "level": "partial",
    }  # what a dossier says of the level does not count
    attributes = tuple(sorted((name, text) for name, text in said.items() if text))
    fields: dict[str, Any] = {
        "unit": unit,
        "key": key,
        "milestone": "received",
        "message": f"{unit} {key}",
        "at": at,
    } | more
    return Fact(service="dossiers", day=date.fromisoformat(day), attributes=attributes, **fields)


FACTS = (
    received("S", "1", "2026-11-20", "1.000001"),
    received("X", "2", "2026-11-21", "1.000001"),  # the same service in another unit
    received("X", "3", "2026-11-22", "1.000002", "direct"),
    received("X", "4", "2026-11-23", "2.000815.000.00.00.H55"),  # a province continues the national code
    received("X", "5", "2026-11-24", "1.000005.000.00.00.h55", ""),
    received("X", "6", "2026-12-20", "1.000003"),
    received("S", "7", "2026-12-21", "9.999999"),
    received("S", "8", "2026-12-22", ""),
)


@pytest.fixture
def written(tx: Transaction) -> Transaction:
    unit_registry.write_registry_units(tx, UNITS)
    more = {"partner": "p", "service": "dossiers", "kind": "k", "state": "accepted", "sha256": "0" * 64, "size": 1}
    rows = [{"id": fact.message, "message_id": fact.message, "received_at": fact.at} | more for fact in FACTS]
    transactions.insert_missing_rows(tx, message, rows)
    tx.execute(sa.insert(facts_table), [attrs.asdict(fact) for fact in FACTS])
    return tx


def asked(tx: Transaction, book: Book, period: str, unit: str = "T", form: str = "dichvucong") -> ReportSources:
    return unit_report.resolve_report_sources(tx, unit, period, form, book, now=NOW)


def table(asked: ReportSources) -> dict[tuple[str, ...], tuple[object, ...]]:
    """Return in each row: the services in force, those with a dossier, and those with one received online."""
    report = asked.count(NOW)
    rows = [((), report.total), *((each.path, each.row) for each in report.divided)]
    return {path: tuple(row.numbers[key] for key in ("services", "used", "used_online")) for path, row in rows}


def close(tx: Transaction, book: Book) -> None:
    for month in MONTHS:
        closing.close_month(tx, book, "thutuc", month, month.end + timedelta(minutes=2), "an")


@pytest.mark.parametrize("closed", [False, True])
def test_a_service_counts_once_by_its_level_and_field(written: Transaction, tmp_path: Path, closed: bool) -> None:
    book = book_of(tmp_path, LIST)
    if closed:
        close(written, book)
    assert table(asked(written, book, "2026-12")) == {
        (): (6, 4, 2),
        ("full",): (4, 2, 1),
        ("full", "TN-DD"): (3, 1, 0),
        ("full", "TP-HT"): (1, 1, 1),
        ("partial",): (1, 1, 0),
        ("partial", "TP-HT"): (1, 1, 0),
        ("other",): (1, 1, 1),
        ("other", "TP-CT"): (1, 1, 1),
    }
    january = table(asked(written, book, "2027-01"))
    assert january[()] == (6, 1, 1), "one service ended in December, one begins in January"
    assert january["partial", "TP-HT"] == (2, 1, 1)
    assert table(asked(written, book, "2026-12", "S"))[()] == (6, 1, 1), "of the dossiers of the unit"
    report = asked(written, book, "2026-12").count(NOW)
    assert str(report.total.numbers["used_ratio"]) == "66.67"
    assert len(report.rows) == 1


def test_a_longer_period_counts_a_service_once_however_many_months_have_its_dossiers(
    written: Transaction, tmp_path: Path
) -> None:
    book = book_of(tmp_path, LIST)
    for close_first in (False, True):
        if close_first:
            close(written, book)
        assert table(asked(written, book, "2027-Q1"))[()] == (6, 1, 1)
        assert table(asked(written, book, "2026-Q4"))[()] == (6, 4, 2)


def test_what_is_no_service_in_force_is_a_finding(written: Transaction, tmp_path: Path) -> None:
    report = asked(written, book_of(tmp_path, LIST), "2027-01").count(NOW)
    (said,) = write_check_findings(report, {})
    assert said == "Tổng cộng: Hồ sơ của 2 thủ tục không phải dịch vụ đang hiệu lực (9.999999, –): 2 ≠ 0"
    assert [(each.left, each.right) for each in report.findings] == [(2, 0)]
    (said,) = write_check_findings(report, {}, Language.EN)
    assert said == "Total: Dossiers of 2 procedures that are no service in force (9.999999, –): 2 ≠ 0"
    assert not asked(written, book_of(tmp_path, LIST), "2026-12").count(NOW).findings


def test_a_list_that_is_edited_after_the_closing_changes_no_closed_month(written: Transaction, tmp_path: Path) -> None:
    book = book_of(tmp_path, LIST)
    close(written, book)
    before = {period: table(asked(written, book, period)) for period in ("2026-12", "2027-01", "2026-Q4", "2026")}
    later = book_of(tmp_path, LIST.replace("toàn trình", "một phần") + "1.000009,Mới,TP-HT,Hộ tịch,full,,\n")
    assert {period: table(asked(written, later, period)) for period in before} == before
    assert table(asked(written, later, "2027-02"))[()][0] == 7


def test_a_number_opens_into_the_dossiers_and_the_procedures_have_a_report_of_their_own(
    written: Transaction, tmp_path: Path
) -> None:
    book = book_of(tmp_path, LIST)
    assert [fact.key for fact in opened(asked(written, book, "2026-12"), "used", NOW)] == ["1", "2", "3", "4", "5"]
    assert [fact.key for fact in opened(asked(written, book, "2026-12"), "used_online", NOW)] == ["1", "2", "4"]
    report = asked(written, book, "2026-12", form="thutuc").count(NOW)
    rows = {each.path: (each.row.numbers["received"], each.name and each.name.vi) for each in report.divided}
    assert rows == {
        ("1.000001",): (2, "Cấp bản sao trích lục"),
        ("1.000002",): (1, "Đăng ký khai sinh"),
        ("1.000005.000.00.00.H55",): (1, "Tách thửa ở tỉnh"),
        ("2.000815.000.00.00.H55",): (1, None),
    }


@pytest.mark.parametrize(("language", "level"), [(Language.VI, "Toàn trình"), (Language.EN, "Online from end to end")])
def test_every_output_has_the_table_in_both_languages(
    written: Transaction, tmp_path: Path, language: Language, level: str
) -> None:
    source = asked(written, book_of(tmp_path, LIST), "2026-12")
    report = source.count(NOW)
    lines = arrange_body(report, source.names, language)
    assert [(line.number, line.name) for line in lines[1:4]] == [("I", level), ("1", "Đất đai"), ("2", "Hộ tịch")]
    assert not any(line.opens for line in lines[1:]), "the dossiers of a procedure open in the other form"
    assert level in outputs.write_html_report(report, source.names, language)
    assert level in outputs.write_csv_report(report, source.names, language).decode()
    said = json.loads(outputs.write_json_report(report, source.names))["divided"]
    assert (said["by"], said["rows"][0]["path"], said["rows"][0]["used"]) == (["level", "field"], ["full"], 2)
    assert write_pdf_report(report, source.names, (), language).startswith(b"%PDF")
    sealed = read_sealed_report(seal_report(report, source.names, (), HUB))
    assert (sealed.report.by, sealed.report.divided) == (report.by, report.divided)
    assert [line.name for line in arrange_body(sealed.report, source.names, language)] == [line.name for line in lines]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("code,name\n1,x\n", "l.csv: 1"),
        ("code,field,level\n1.1,HT,toàn bộ\n", "l.csv: 2.level"),
        ("code,field,level\n,HT,full\n", "l.csv: 2.code"),
        ("code,field,level,since\n1.1,HT,full,01/07/2026\n", "l.csv: 2.since"),
        ("code,field,level,since,until\n1.1,HT,full,2026-07-01,2026-07-01\n", "l.csv: 2.until"),
        ("code,field,level,since,until\n1.1,HT,full,,2026-07-02\n1.1,HT,partial,2026-07-01,\n", "l.csv: 1.1"),
    ],
)
def test_a_mistake_in_the_list_is_named_by_its_line(text: str, where: str) -> None:
    with pytest.raises(ConfigurationFault) as fault:
        read_service_list(text.encode(), "l.csv")
    assert [mistake.path for mistake in fault.value.mistakes] == [where]


def test_a_service_may_change_its_level_from_a_day_on() -> None:
    text = "code,field,level,since,until\n1.1,HT,partial,,2026-07-01\n1.1,HT,full,2026-07-01,\n"
    assert [each.level for each in read_service_list(text.encode(), "l.csv")] == ["partial", "full"]
