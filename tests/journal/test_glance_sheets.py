"""A kept sheet says of every unit what the unit's own report says, and is removed or refused when that changes."""

from datetime import timedelta
from decimal import Decimal

import attrs
import pytest
import sqlalchemy as sa

from hub.journal import unit_registry
from hub.report.form.book import read_shipped_book
from hub.report.form.column import ColumnKind
from hub.report.form.period import parse_period
from hub.report.glance.sheet import GlanceSheet
from hub.security.attesting import AttestationTrust
from hub.store import transactions
from hub.store.tables import closed_row, event
from hub.workload import closing, glance_rows, unit_report
from hub.workload.glance import glance_counting
from tests import glance_town
from tests.databases import few_on_postgresql
from tests.declaring import declaration
from tests.glance_town import UNITS
from tests.journal.test_attestations import HUB, der
from tests.journal.test_closing import put
from tests.journal.test_declarations import take
from tests.journal.test_unit_points import AFTER, TOLD, declare, renamed
from tests.province import UNITS as PROVINCE

FORMS = ("edoc", "ii06a", "mail", "tonghop")
SHIPPED = read_shipped_book()
BOOK = attrs.evolve(SHIPPED, forms=tuple(form for form in SHIPPED.forms if form.id in FORMS))
MONTHS = [parse_period(text) for text in glance_town.list_months(2026, range(8, 12))]
#: In the running month of November, of which August to October are closed.
NOW = MONTHS[-1].start + timedelta(days=20)


def sealed(sheet: GlanceSheet) -> GlanceSheet:
    return glance_rows.seal_sheet(sheet, HUB, NOW)


@pytest.fixture
def lived(engine: sa.Engine) -> sa.Engine:
    with transactions.write_transaction(engine) as tx:
        glance_town.live_months(tx, BOOK, 7, MONTHS, 3, 24)
    return engine


@few_on_postgresql("period", ["2026-09", "2026-Q4", "2026"], {"2026-Q4"})
@pytest.mark.slow
def test_each_number_is_that_of_the_unit_s_own_report(lived, period):
    with transactions.read_transaction(lived) as tx:
        for form in FORMS:
            sheet = glance_counting.count_sheet(tx, BOOK, form, period, NOW)
            numbers = sheet.read_numbers(sheet.columns)
            for unit in UNITS:
                report = unit_report.resolve_report_sources(tx, unit.code, period, form, BOOK, now=NOW).count(NOW)
                keys = [column.key for column in report.form.columns if column.kind is not ColumnKind.TIME]
                expected = tuple(report.total.numbers[key] for key in keys)
                assert numbers.get(unit.code, numbers[""]) == expected, (form, unit.code)
            assert sheet.complete is (period == "2026-09")


@pytest.mark.slow
def test_counting_in_steps_of_one_unit_gives_the_same_sheet(lived, monkeypatch):
    monkeypatch.setattr(closing, "BUDGET", 0.0)
    for form in ("edoc", "tonghop"):
        steps, found, count, made = (
            glance_counting.count_in_steps(BOOK, form, "2026-Q4", NOW),
            None,
            0,
            list[GlanceSheet](),
        )
        while True:
            try:
                step = steps.send(found)
            except StopIteration as end:
                made.append(end.value)
                break
            with transactions.read_transaction(lived) as tx:
                found, count = step.run(tx, *step.arguments), count + 1
                if step.run is glance_counting.count_some:
                    found = glance_counting.count_some(tx, *step.arguments, 0.0)
        with transactions.read_transaction(lived) as tx:
            assert made[0] == glance_counting.count_sheet(tx, BOOK, form, "2026-Q4", NOW)
        assert count > len(UNITS)


@pytest.mark.slow
def test_a_month_that_is_closed_removes_the_sheets_of_all_periods_with_its_days(lived):
    with transactions.write_transaction(lived) as tx:
        for period in ("2026-10", "2026-11", "2026-12", "2026-Q3", "2026-Q4"):
            sheet = glance_counting.count_sheet(tx, BOOK, "edoc", period, MONTHS[-1].end + timedelta(days=2))
            assert glance_rows.keep_sheet(tx, sealed(sheet), parse_period(period), NOW)
        closing.close_month(tx, BOOK, "mail", MONTHS[-1], MONTHS[-1].end + timedelta(days=1), "an")
        assert sorted(period for _, period in glance_rows.list_kept_sheets(tx)) == ["2026-10", "2026-12", "2026-Q3"]


@pytest.mark.slow
def test_a_sheet_that_was_counted_before_a_revision_is_not_kept_after_it(lived):
    with transactions.write_transaction(lived) as tx:
        sheet = glance_counting.count_sheet(tx, BOOK, "tonghop", "2026-Q3", NOW)
        row = tx.execute(sa.select(closed_row).where(closed_row.c.form == "ii06a").limit(1)).mappings().one()
        tx.execute(sa.insert(closed_row), [{**row, "revision": 2, "period": "2026-09"}])
        assert not glance_rows.keep_sheet(tx, sealed(sheet), parse_period("2026-Q3"), NOW)
        assert glance_rows.list_kept_sheets(tx) == {}


@pytest.mark.slow
def test_closed_periods_are_counted_once_and_running_ones_again_after_each_night(lived):
    with transactions.write_transaction(lived) as tx:
        due = glance_counting.list_due_sheets(tx, BOOK, NOW)
        assert ("edoc", "2026-11") in due
        assert ("edoc", "2026-08") in due
        assert not [
            period for _, period in due if period in ("2026-07", "2026-12", "2025")
        ]  # before the first fact, or not begun
        for form, period in due:
            sheet = glance_counting.count_sheet(tx, BOOK, form, period, NOW)
            assert glance_rows.keep_sheet(tx, sealed(sheet), parse_period(period), NOW)
        assert glance_counting.list_due_sheets(tx, BOOK, NOW + timedelta(minutes=1)) == []
        later = {period for _, period in glance_counting.list_due_sheets(tx, BOOK, NOW + timedelta(days=1))}
    # July was before the first closing, so the third quarter is never complete
    assert later == {"2026-11", "2026-Q4", "2026-H2", "2026", "2026-Q3", "2026-9M"}


EDITS = {
    "a figure": "figures = replace(figures, ':', ': ')",
    "the form": "definition = definition || ' '",
    "that it is of a closed month": "complete = NOT complete",
    "the seal": "seal = 'AAAA BBBB'",
    "a seal that is no text": "seal = 'x'",
    "the time": "kept_at = '2026-11-01T00:00:00.000000Z'",
    "the columns": "columns = 'no'",
}


@pytest.mark.slow
def test_a_sheet_that_somebody_edited_is_never_read_and_is_counted_again(lived):
    trust = AttestationTrust(der(HUB))
    with transactions.write_transaction(lived) as tx:
        for period in ("2026-09", "2026-10"):
            sheet = glance_counting.count_sheet(tx, BOOK, "edoc", period, NOW)
            assert glance_rows.keep_sheet(tx, sealed(sheet), parse_period(period), NOW)
    for edit in EDITS.values():
        with lived.connect() as tx:
            tx.exec_driver_sql(f"UPDATE glance_sheet SET {edit} WHERE period = '2026-10'")
            assert list(glance_rows.read_sheets(tx, "edoc", ["2026-09", "2026-10"], trust)) == ["2026-09"], edit
            assert glance_rows.find_forged_sheets(tx, trust) == ([("edoc", "2026-10")], ("", ""))
            tx.rollback()
    with transactions.write_transaction(lived) as tx:
        assert glance_rows.find_forged_sheets(tx, trust) == ([], ("", ""))
        tx.exec_driver_sql("UPDATE glance_sheet SET revision = 2 WHERE period = '2026-10'")
        forged, _ = glance_rows.find_forged_sheets(tx, trust)
        glance_rows.remove_forged_sheets(tx, forged, NOW)
        assert ("edoc", "2026-10") in glance_counting.list_due_sheets(tx, BOOK, NOW)
        assert len(tx.scalars(sa.select(event.c.text).where(event.c.text.contains("tampering-found"))).all()) == 1


def test_without_units_or_facts_nothing_is_due(tx):
    assert glance_counting.list_due_sheets(tx, BOOK, NOW) == []
    glance_town.put_facts(tx, glance_town.draw_facts(1, MONTHS[:1], 3))
    assert glance_counting.list_due_sheets(tx, BOOK, NOW) == []


def test_points_of_declared_figures_and_grades_are_those_of_each_unit_s_report(tx):
    unit_registry.write_registry_units(tx, PROVINCE)
    put(tx, *renamed(TOLD))
    declare(tx, Decimal("28.5"))  # of one unit's row
    whole = declaration({("", "general"): Decimal(25)}, unit="H55.13", form="nd335", period="2026-12", by="An")
    take(tx, whole, name="whole", by="any", later=60)
    for period in ("2026-12", "2026-Q4"):
        sheet = glance_counting.count_sheet(tx, SHIPPED, "nd335", period, AFTER)
        numbers = sheet.read_numbers(sheet.columns)
        found = set()
        for unit in PROVINCE:
            report = unit_report.resolve_report_sources(tx, unit.code, period, "nd335", SHIPPED, now=AFTER).count(AFTER)
            assert numbers.get(unit.code, numbers[""]) == tuple(report.total.numbers[key] for key in sheet.columns)
            found.add(report.total.numbers["points"])
        assert len(found) > 1 or period == "2026-Q4"
        assert not sheet.complete  # a figure may be declared after all months are closed
