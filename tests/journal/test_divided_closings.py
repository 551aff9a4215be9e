"""Rows by field in the journal: a closing keeps them, a month closed before has none, and their evidence holds together."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.model import Fact, SignatureStanding, Unit
from hub.journal import code_lists, events, unit_registry
from hub.report.counting.division import UNDIVIDED
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.report.signed import sealed
from hub.store import transactions
from hub.store.tables import closed_row, message
from hub.store.tables import fact as facts_table
from hub.store.transactions import Transaction
from hub.workload import closing, closing_plan, facts_behind, row_revisions, unit_report
from hub.workload.report_sources import ReportSources
from tests import evidencing
from tests.opened import facts_behind as opened

BOOK = read_shipped_book()
FORM = next(form for form in BOOK.forms if form.id == "ii06a")
#: the form as it was before it divided rows
_HEAD, _, _REST = FORM.written.partition("[rows]")
BEFORE = attrs.evolve(
    BOOK, forms=(read_form_toml(f"{_HEAD}{_REST[_REST.index('[[check]]') :]}".encode(), "ii06a.toml"),)
)
MONTHS = NOVEMBER, DECEMBER = tuple(parse_period(text) for text in ("2026-11", "2026-12"))
AFTER = datetime(2027, 6, 1, tzinfo=UTC)
UNITS = (Unit("T", "Tỉnh"), Unit("S", "Sở Tư pháp", "T"), Unit("S1", "Chi cục", "S"), Unit("X", "UBND xã", "T"))


def dossier(key: str, milestone: str, day: str, field: str = "", unit: str = "X", **rest: Any) -> Fact:
    said = {"field": field, "field_name": f"Lĩnh vực {field}", "outcome": "done" if milestone == "finished" else ""}
    at = datetime.fromisoformat(f"{day} 05:00").replace(tzinfo=UTC)
    more: dict[str, Any] = {"unit": unit, "message": f"{key} {milestone}", "at": at, **rest}
    attributes = tuple(sorted((name, text) for name, text in said.items() if text and (field or name == "outcome")))
    return Fact(
        service="dossiers", key=key, milestone=milestone, day=date.fromisoformat(day), attributes=attributes, **more
    )


HISTORY = (
    dossier("1", "received", "2026-10-20", "HT"),
    dossier("1", "finished", "2026-11-20", "ĐĐ"),  # a later telling has another field
    dossier("2", "received", "2026-10-21", "ĐĐ"),
    dossier("2", "finished", "2026-10-30"),  # a step states none
    dossier("3", "received", "2026-11-22", "ht", unit="S1"),
    dossier("4", "received", "2026-11-23", "CT", unit="S"),
)


def put(tx: Transaction, *facts: Fact) -> None:
    unit_registry.write_registry_units(tx, UNITS)
    rows = [{"id": fact.message, "message_id": fact.message, "received_at": fact.at} for fact in facts]
    more = {"partner": "p", "service": "dossiers", "kind": "k", "state": "accepted", "sha256": "0" * 64, "size": 1}
    transactions.insert_missing_rows(tx, message, [row | more for row in rows])
    tx.execute(sa.insert(facts_table), [attrs.asdict(fact) for fact in facts])


def asked(tx: Transaction, unit: str, period: str) -> ReportSources:
    return unit_report.resolve_report_sources(tx, unit, period, "ii06a", BOOK)


def rows(tx: Transaction, unit: str, period: str) -> dict[tuple[str, ...], tuple[object, ...]]:
    """Return what is carried over, received, settled and pending in each row of the table."""
    report = asked(tx, unit, period).count(AFTER)
    assert not report.findings
    names = ("carried_over", "received", "settled", "pending")
    return {each.path: tuple(each.row.numbers[name] for name in names) for each in report.divided}


@pytest.mark.parametrize("close", [False, True])
def test_each_unit_has_its_rows_and_the_province_has_principal_units(tx: Transaction, close: bool) -> None:
    put(tx, *HISTORY)
    for month in MONTHS if close else ():
        closing.close_month(tx, BOOK, "ii06a", month, month.end + timedelta(minutes=2), "an")
    assert rows(tx, "X", "2026-11") == {("HT",): (0, 1, 0, 1), ("ĐĐ",): (0, 1, 1, 0)}
    assert rows(tx, "X", "2026-12") == {("HT",): (1, 1, 1, 0)}, "the dossier ended in the field of its receipt"
    assert rows(tx, "X", "2026-Q4") == {("HT",): (0, 1, 1, 0), ("ĐĐ",): (0, 1, 1, 0)}
    assert rows(tx, "S", "2026-12") == {
        ("S",): (0, 1, 0, 1),
        ("S", "CT"): (0, 1, 0, 1),
        ("S1",): (0, 1, 0, 1),
        ("S1", "HT"): (0, 1, 0, 1),
    }
    province = asked(tx, "T", "2026-12").count(AFTER)
    assert {each.path for each in province.divided if each.unit} == {
        ("Sở, ban, ngành", "S"),
        ("Cấp xã", "X"),
        ("Đơn vị khác", "T"),
    }
    (mine,) = (row for row in province.rows if row.unit == "X")
    assert mine.numbers == asked(tx, "X", "2026-12").count(AFTER).total.numbers
    november = asked(tx, "X", "2026-11")
    for field, key in (("HT", "1"), ("ĐĐ", "2")):
        source = november.narrow_row(None, (field,))
        assert [fact.key for fact in opened(source, "received", AFTER)] == [key]
        assert [fact.key for fact in facts_behind.list_facts_behind(source, "received_direct", AFTER)] == [key]
    for unit, of, values, keys in (("X", None, ("HT",), "1"), ("S", "S1", ("HT",), "3"), ("S", "S", ("CT",), "4")):
        source = asked(tx, unit, "2026-12").narrow_row(of, values)
        assert "".join(fact.key for fact in opened(source, "received", AFTER)) == keys
        assert [fact.key for fact in facts_behind.list_facts_behind(source, "received", AFTER)] == list(keys)
    with pytest.raises(KeyError):
        asked(tx, "X", "2026-12").narrow_row(None, ("HT", "P"))
    with pytest.raises(KeyError):
        asked(tx, "X", "2026-12").narrow_row("S", ("HT",))


def test_a_closing_keeps_rows_and_names_and_counting_again_finds_nothing(tx: Transaction, monkeypatch: Any) -> None:
    put(tx, *HISTORY)
    monkeypatch.setattr(code_lists, "read_value_names", lambda _tx, _by: {"field": {"ĐĐ": "Đất đai"}})
    done = closing.close_month(tx, BOOK, "ii06a", NOVEMBER, NOVEMBER.end + timedelta(minutes=2), "an")
    monkeypatch.undo()
    before = asked(tx, "X", "2026-11").count(AFTER)
    assert {each.path: each.name.vi for each in before.divided if each.name} == {
        ("HT",): "Lĩnh vực HT",
        ("ĐĐ",): "Đất đai",
    }
    assert list(row_revisions.find_differing_units(tx, "ii06a", "2026-11")) == []
    assert asked(tx, "X", "2026-11").count(AFTER) == before
    assert closing_plan.read_closings(tx, "ii06a")[0].sha256 == done.sha256
    tx.execute(sa.update(facts_table).values(attributes=(("field", "CT"),)).where(facts_table.c.key == "1"))
    assert list(row_revisions.find_differing_units(tx, "ii06a", "2026-11")) == ["X"], "another field is another row"


def test_a_month_closed_before_stays_as_it_is_and_stands_undivided_in_its_quarter(tx: Transaction) -> None:
    put(tx, *HISTORY)
    closing.close_month(tx, BEFORE, "ii06a", NOVEMBER, NOVEMBER.end + timedelta(minutes=2), "an")
    old = asked(tx, "X", "2026-11").count(AFTER)
    assert (old.by, old.divided, dict(old.divisions)) == (("unit",), (), {})
    assert set(tx.scalars(sa.select(closed_row.c.division))) == {None}
    closing.close_month(tx, BOOK, "ii06a", DECEMBER, DECEMBER.end + timedelta(minutes=2), "an")
    assert asked(tx, "X", "2026-11").count(AFTER) == old
    assert list(row_revisions.find_differing_units(tx, "ii06a", "2026-11")) == []
    assert rows(tx, "X", "2026-12") == {("HT",): (1, 1, 1, 0)}
    assert rows(tx, "X", "2026-Q4") == {("HT",): (0, 0, 1, 0), (UNDIVIDED,): (0, 2, 1, 0)}
    quarter = asked(tx, "X", "2026-Q4")
    assert [fact.key for fact in opened(quarter.narrow_row(None, (UNDIVIDED,)), "received_direct", AFTER)] == ["1", "2"]
    assert [fact.key for fact in opened(quarter.narrow_row(None, ("HT",)), "settled", AFTER)] == ["1"]


@pytest.mark.slow
def test_the_evidence_of_divided_rows_is_counted_again(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    unit_registry.write_registry_units(tx, evidencing.UNITS)
    for number, fact in enumerate(sorted(evidencing.facts(FORM, 5), key=lambda fact: fact.at)):
        said = (*fact.attributes, ("field", f"LV{int(fact.key[-1]) % 2}"))
        told = attrs.evolve(fact, attributes=tuple(sorted(said)))
        content = f"<thông-điệp số='{number}'/>".encode()
        evidencing.take(tx, number, content, told, evidencing.HUB, SignatureStanding.UNSIGNED)
    while events.chain_events(tx):
        pass
    unit = "H55.13.1"
    one, other, *_ = asked(tx, unit, evidencing.PERIOD.text).count(AFTER).divided
    assert one.row != other.row
    assert evidencing.false(evidencing.written(tx, "ii06a", unit=unit)) == []
    seal = sealed.seal_report

    def forge(report: Any, *rest: Any) -> bytes:
        one, other, *others = report.divided
        swapped = attrs.evolve(one, row=other.row), attrs.evolve(other, row=one.row)
        return seal(attrs.evolve(report, divided=(*swapped, *others)), *rest)

    monkeypatch.setattr(sealed, "seal_report", forge)
    assert {check for check, _ in evidencing.false(evidencing.written(tx, "ii06a", unit=unit))} == {"cell"}

    def lose(report: Any, *rest: Any) -> bytes:
        return seal(attrs.evolve(report, divided=report.divided[1:]), *rest)

    monkeypatch.setattr(sealed, "seal_report", lose)
    assert {check for check, _ in evidencing.false(evidencing.written(tx, "ii06a", unit=unit))} == {"cell", "sum"}
