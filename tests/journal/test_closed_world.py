"""A closed report stays the same whatever is edited afterwards: units, forms that take from others, holidays, rules."""

import json
from datetime import UTC, date, datetime

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.model import Fact, Unit
from hub.journal import unit_registry
from hub.language.languages import Language
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.report.output.outputs import write_html_report, write_json_report
from hub.store.tables import closed_month
from hub.store.transactions import Transaction
from hub.workload import closing, closing_plan, month_world, row_revisions, unit_report
from hub.workload.closing_plan import OutOfTurn
from tests.journal.test_closing import dossier, in_steps, on, put, told

AFTER = datetime(2027, 6, 1, tzinfo=UTC)
BOOK = read_shipped_book()
NOVEMBER, DECEMBER = parse_period("2026-11"), parse_period("2026-12")


@pytest.fixture
def province(tx: Transaction) -> Transaction:
    """A province with a district and a commune below it, whose November is closed in every form that has facts."""
    units = [
        Unit("H55", "Ủy ban nhân dân tỉnh"),
        Unit("H55.40", "Ủy ban nhân dân huyện Một", "H55"),
        Unit("H55.40.1", "Ủy ban nhân dân xã Hai", "H55.40"),
    ]
    unit_registry.write_registry_units(tx, units)
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20", unit="H55.40"))
    put(tx, dossier("2", "received", "2026-10-21", "2026-10-21", unit="H55.40.1"))
    for form in ("ii06a", "edoc", "mail"):
        closing.close_month(tx, BOOK, form, NOVEMBER, on("2026-11-15"), "an")
    return tx


def read_outputs(tx: Transaction, book: Book = BOOK, unit: str = "H55.40", period: str = "2026-11") -> tuple[str, ...]:
    """Return what is written of the closed reports of *unit*, in each form."""
    written = []
    for form in ("ii06a", "tonghop"):
        asked = unit_report.resolve_report_sources(tx, unit, period, form, book)
        report = asked.count(AFTER)
        written += [write_json_report(report, asked.names), write_html_report(report, asked.names, Language.VI)]
        written.append(f"{asked.receiver} {asked.due} {asked.revision}")
    return tuple(written)


def test_the_legal_basis_of_a_form_that_takes_from_others_is_kept_as_it_was_called(province):
    kept = month_world.read_month_world(province, NOVEMBER.last)
    assert kept is not None
    basis = {form.id: (form.basis.en, form.cites) for form in kept.derived}
    assert basis["qd766"] == ("Decision 766/QĐ-TTg of 2022", ())


def test_a_unit_that_is_moved_renamed_or_ended_afterwards_stays_where_it_was_in_the_closed_report(province):
    before = read_outputs(province)
    moved = [
        Unit("H55.40", "Phường Khác", "H55", until=date(2026, 12, 1), successors=("H55.41",)),
        Unit("H55.40.1", "Xã Đổi Tên", "H55"),
        Unit("H55.41", "Xã Mới", "H55", since=date(2026, 11, 1)),
    ]
    unit_registry.write_registry_units(province, moved)
    assert read_outputs(province) == before
    now = unit_report.resolve_report_sources(province, "H55.40", "2026-12", "ii06a")
    assert now.members == ("H55.40",), "the open month goes by the registry"


def test_a_form_that_takes_from_others_stays_as_it_was(province):
    before = read_outputs(province)
    (summary,) = (form for form in BOOK.forms if form.id == "tonghop")
    edited = read_form_toml(summary.written.replace(summary.title.vi, "Tên khác").encode(), "tonghop")
    assert edited.title.vi == "Tên khác"
    book = attrs.evolve(BOOK, forms=tuple(edited if form is summary else form for form in BOOK.forms))
    assert read_outputs(province, book) == before
    assert unit_report.resolve_report_sources(province, "H55", "2026-12", "tonghop", book).form.title.vi == "Tên khác"


@pytest.mark.slow
def test_a_form_with_other_rules_does_not_count_a_closed_period_anew(province):
    closing.close_month(province, BOOK, "ii06a", DECEMBER, on("2026-12-15"), "an")
    before = read_outputs(province, period="2026-Q4")
    (form,) = (each for each in BOOK.forms if each.id == "ii06a")
    ended = form.written.replace('milestones = ["received"]\nwhere', 'milestones = ["finished"]\nwhere')
    book = attrs.evolve(
        BOOK, forms=tuple(read_form_toml(ended.encode(), "x") if each is form else each for each in BOOK.forms)
    )
    assert read_outputs(province, book, period="2026-Q4") == before


def test_a_holiday_that_is_announced_later_moves_no_day_on_which_a_closed_report_was_due(province):
    before = read_outputs(province)
    due = unit_report.resolve_report_sources(province, "H55", "2026-11", "ii06a").due
    assert due is not None
    off = attrs.evolve(next(iter(BOOK.workdays.days.values())), worked=False)
    book = attrs.evolve(BOOK, workdays=attrs.evolve(BOOK.workdays, days={**BOOK.workdays.days, due.day: off}))
    moved = book.due(next(form for form in BOOK.forms if form.id == "ii06a"), NOVEMBER)
    assert moved is not None
    assert moved.day > due.day
    assert read_outputs(province, book) == before


def test_all_forms_of_a_month_are_closed_as_of_the_same_time(province):
    """A dossier told between the closings of two forms is late for both, so that their reports agree."""
    put(province, dossier("3", "received", "2026-10-25", "2026-11-16", unit="H55.40"))
    made = closing.close_month(province, BOOK, "dossiers", NOVEMBER, on("2026-11-17"), "an")
    assert made.closed_at == on("2026-11-15")
    for form in ("ii06a", "dossiers"):
        november, december = (
            unit_report.resolve_report_sources(province, "H55.40", period, form).count(AFTER).total.numbers
            for period in ("2026-11", "2026-12")
        )
        key = "received_direct" if form == "ii06a" else "received"
        assert (november[key], december[key]) == (2, 1)
    assert list(row_revisions.find_differing_units(province, "dossiers", "2026-11")) == []


def test_a_form_whose_late_facts_make_revisions_counts_what_came_until_its_own_closing(tx):
    sent = [
        Fact(
            unit="A",
            service="mail",
            key=day,
            milestone="sent-internal",
            at=on(told_at),
            message=day,
            day=date.fromisoformat(day),
        )
        for day, told_at in (("2026-10-20", "2026-10-20"), ("2026-10-21", "2026-11-16"))
    ]
    put(tx, *sent)
    closing.close_month(tx, BOOK, "edoc", NOVEMBER, on("2026-11-15"), "an")
    made = closing.close_month(tx, BOOK, "mail", NOVEMBER, on("2026-11-17"), "an")
    assert made.closed_at == on("2026-11-17")
    assert list(row_revisions.find_differing_units(tx, "mail", "2026-11")) == []
    asked = unit_report.resolve_report_sources(tx, "A", "2026-11", "mail")
    assert asked.revision == 1
    assert {each.key for each in asked.facts} == {"2026-10-20", "2026-10-21"}


def test_a_form_that_was_begun_before_another_was_closed_is_begun_again(tx):
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20"))
    draft = closing.count_month_draft(tx, BOOK, "dossiers", NOVEMBER, on("2026-11-16"))
    closing.close_month(tx, BOOK, "ii06a", NOVEMBER, on("2026-11-15"), "an")
    with pytest.raises(OutOfTurn):
        closing.settle_closing(tx, draft, "an")
    in_steps(tx, BOOK, "dossiers", NOVEMBER, on("2026-11-16"))
    (made,) = closing_plan.read_closings(tx, "dossiers")
    assert made.closed_at == on("2026-11-15")


def test_a_month_closed_by_an_earlier_version_goes_by_the_registry_as_before(province, monkeypatch):
    monkeypatch.setattr(month_world, "read_month_world", lambda _tx, _last: None)
    unit_registry.write_registry_units(province, [Unit("H55.40.1", "Xã Đổi Tên", "H55")])
    assert unit_report.resolve_report_sources(province, "H55.40", "2026-11", "ii06a").members == ("H55.40",)


def test_the_world_of_a_month_is_written_once_and_named_by_its_hash_in_the_event(province):
    first = month_world.find_first_closing(province, "2026-11")
    unit_registry.write_registry_units(province, [Unit("H55.50", "Xã Mới", "H55")])
    closing.close_month(province, BOOK, "dossiers", NOVEMBER, on("2026-11-17"), "an")
    assert month_world.find_first_closing(province, "2026-11") == first
    assert first is not None
    assert {said["world"] for said in told(province, "period-closed")} == {first.sha256}


def test_a_world_that_an_earlier_version_kept_says_neither_level_nor_kind(tx):
    unit = ["H55.40", "Huyện Một", "H55", None, "2026-12-01", ["40.H55"], "", ["H55.41"]]
    said = json.dumps({"units": [unit], "derived": [], "due": {}})
    kept = {"last_day": NOVEMBER.last, "closed_at": AFTER, "sha256": "", "world": said}
    tx.execute(sa.insert(closed_month), [{"period": "2026-11", **kept}])
    world = month_world.read_month_world(tx, NOVEMBER.last)
    assert world is not None
    assert world.units == (
        Unit("H55.40", "Huyện Một", "H55", until=date(2026, 12, 1), aliases=("40.H55",), successors=("H55.41",)),
    )
