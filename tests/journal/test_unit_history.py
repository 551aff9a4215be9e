"""The registry keeps what a unit was, is and will be: reports, lists and closed months go by the day that they are about."""

from datetime import UTC, date, datetime

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.model import Unit, UnitChange
from hub.journal import unit_registry
from hub.language.languages import Language
from hub.operations.accounts import users
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import User
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.report.output.outputs import write_html_report, write_json_report
from hub.store.tables import unit_version
from hub.store.transactions import Transaction
from hub.units.units_csv import read_units_csv
from hub.workload import closing, month_world, unit_report
from tests.journal.test_closing import dossier, on, put

BOOK = read_shipped_book()
NOVEMBER = parse_period("2026-11")
PROVINCE = Unit("H55", "Ủy ban nhân dân tỉnh", level="province", kind="committee")
DISTRICT = Unit("H55.40", "Ủy ban nhân dân huyện Một", "H55", level="district", kind="committee")
COMMUNE = Unit("H55.40.3", "Ủy ban nhân dân xã Ba", "H55.40", level="commune", kind="committee")
#: Two weeks before the merger, and the day of the merger.
TODAY, MERGED = datetime(2026, 11, 28, 3, tzinfo=UTC), datetime(2026, 12, 12, 3, tzinfo=UTC)
MERGER = """code,name,parent,until,successors,from
H55.40,Ủy ban nhân dân huyện Một,H55,2026-12-12,H55.40.3,
H55.40.3,Ủy ban nhân dân phường Ba,H55,,,2026-12-12
"""


@pytest.fixture
def registry(tx: Transaction) -> Transaction:
    unit_registry.write_registry_units(tx, [PROVINCE, DISTRICT, COMMUNE], at=on("2026-01-01"))
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20", unit="H55.40"))
    put(tx, dossier("2", "received", "2026-10-21", "2026-10-21", unit="H55.40.3"))
    put(tx, dossier("3", "received", "2026-11-20", "2026-11-20", unit="H55.40.3"))
    return tx


def import_merger(tx: Transaction) -> None:
    units, mistakes = read_units_csv(
        MERGER.encode(), "u.csv", unit_registry.list_unit_histories(tx), today=date(2026, 11, 28)
    )
    assert mistakes == []
    unit_registry.write_registry_units(tx, units, at=TODAY)


def write_reports(tx: Transaction, now: datetime, period: str) -> tuple[str, ...]:
    """Return what is written of the reports of each unit."""
    written = []
    for unit in ("H55", "H55.40", "H55.40.3"):
        for form in ("ii06a", "tonghop"):
            asked = unit_report.resolve_report_sources(tx, unit, period, form, BOOK, now=now)
            report = asked.count(TODAY)
            written += [write_json_report(report, asked.names), write_html_report(report, asked.names, Language.VI)]
            written.append(asked.receiver)
    return tuple(written)


def find_members(tx: Transaction, unit: str, period: str, now: datetime) -> tuple[str, ...]:
    return unit_report.resolve_report_sources(tx, unit, period, "ii06a", BOOK, now=now).members


@pytest.mark.slow
def test_a_merger_imported_two_weeks_ahead_changes_no_report_and_no_closed_month(registry):
    closing.close_month(registry, BOOK, "ii06a", NOVEMBER, on("2026-11-15"), "an")
    periods = ("2026-11", "2026-12", "2026-Q4")
    before = [write_reports(registry, TODAY, period) for period in periods]
    import_merger(registry)
    assert [write_reports(registry, TODAY, period) for period in periods] == before


def test_from_the_day_of_the_merger_on_reports_go_by_it_and_the_closed_month_does_not(registry):
    closing.close_month(registry, BOOK, "ii06a", NOVEMBER, on("2026-11-15"), "an")
    closed = write_reports(registry, TODAY, "2026-11")
    import_merger(registry)
    assert find_members(registry, "H55.40", "2026-12", TODAY) == ("H55.40", "H55.40.3")
    assert find_members(registry, "H55.40", "2026-12", MERGED) == ("H55.40",)
    asked = unit_report.resolve_report_sources(registry, "H55.40.3", "2026-12", "ii06a", BOOK, now=MERGED)
    assert (asked.names["H55.40.3"], asked.receiver) == ("Ủy ban nhân dân phường Ba", "Ủy ban nhân dân tỉnh")
    assert write_reports(registry, MERGED, "2026-11") == closed


def test_a_month_that_is_closed_late_keeps_the_units_of_its_last_day(registry):
    import_merger(registry)
    closing.close_month(registry, BOOK, "ii06a", NOVEMBER, on("2026-12-20"), "an")
    world = month_world.read_month_world(registry, NOVEMBER.last)
    assert world is not None
    assert next(unit for unit in world.units if unit.code == "H55.40.3") == COMMUNE
    assert find_members(registry, "H55.40", "2026-11", MERGED) == ("H55.40", "H55.40.3")


def test_an_open_month_that_is_over_goes_by_the_units_of_its_last_day(registry):
    import_merger(registry)
    assert find_members(registry, "H55.40", "2026-11", MERGED) == ("H55.40", "H55.40.3")


def test_a_list_goes_by_the_day_that_it_is_asked_for(registry):
    import_merger(registry)
    names = [unit_registry.read_unit_names(registry, day)["H55.40.3"] for day in (TODAY.date(), MERGED.date())]
    assert names == ["Ủy ban nhân dân xã Ba", "Ủy ban nhân dân phường Ba"]
    assert COMMUNE in unit_registry.list_registry_units(registry, TODAY.date())
    found = [unit_registry.read_unit_index(registry, day).get("H55.40.3") for day in (TODAY.date(), MERGED.date())]
    assert [unit and unit.parent for unit in found] == ["H55.40", "H55"]


def test_what_was_known_earlier_stays_readable(registry):
    """A correction, a new version and its withdrawal are each known from a time on."""
    times = [on("2026-02-01"), on("2026-03-01"), on("2026-04-01")]
    corrected = Unit("H55.40.3", "Xã Đúng", "H55.40")
    change = UnitChange(date(2026, 12, 12), "Phường Ba", "H55")
    states = [corrected, Unit("H55.40.3", "Xã Đúng", "H55.40", changes=(change,)), corrected]
    for at, state in zip(times, states, strict=True):
        unit_registry.write_registry_units(registry, [state], at=at)
    for at, state in [(on("2026-01-15"), COMMUNE), *zip(times, states, strict=True)]:
        (found,) = [each for each in unit_registry.list_unit_histories(registry, known=at) if each.code == "H55.40.3"]
        assert found == state
    assert unit_registry.list_unit_histories(registry, known=on("2025-12-31")) == []


def test_a_list_that_is_written_again_adds_no_version(registry):
    import_merger(registry)
    count = sa.select(sa.func.count()).select_from(unit_version)
    many = registry.scalar(count)
    unit_registry.write_registry_units(registry, unit_registry.list_unit_histories(registry), at=MERGED)
    assert registry.scalar(count) == many == 1


def test_a_user_sees_what_is_below_its_units_on_the_day(registry):
    """From the day of the merger on, what comes to the commune is no matter of the former district any more."""
    change = UnitChange(MERGED.date(), "Ủy ban nhân dân phường Ba", "H55")
    unit_registry.write_registry_units(registry, [attrs.evolve(COMMUNE, changes=(change,))])
    user = User(name="an", role=Role.CLERK, units=("H55.40",), added_at=TODAY, changed_at=TODAY, day=TODAY.date())
    assert users.read_visible_units(registry, user) == frozenset({"H55.40", "H55.40.3"})
    later = attrs.evolve(user, day=MERGED.date())
    assert users.read_visible_units(registry, later) == frozenset({"H55.40"})


def test_a_unit_that_ended_before_the_period_has_a_row_only_if_something_is_counted_there(registry):
    """Districts that have been no more for years would else fill the report of today."""
    ended = [
        Unit("H55.41", "Ủy ban nhân dân huyện Hai", "H55", until=date(2026, 7, 1), level="district"),
        Unit("H55.42", "Ủy ban nhân dân huyện Ba", "H55", until=date(2026, 11, 1), level="district"),
    ]
    unit_registry.write_registry_units(registry, ended)
    found = {}
    for unit in ("H55", "H55.41"):
        report = unit_report.resolve_report_sources(registry, unit, "2026-11", "ii06a", BOOK, now=MERGED).count(MERGED)
        found[unit] = [row.unit for row in report.rows]
    assert found == {"H55": ["H55", "H55.40", "H55.40.3", "H55.42"], "H55.41": ["H55.41"]}
    put(registry, dossier("9", "received", "2026-06-20", "2026-06-20", unit="H55.41"))
    report = unit_report.resolve_report_sources(registry, "H55", "2026-11", "ii06a", BOOK, now=MERGED).count(MERGED)
    assert "H55.41" in [row.unit for row in report.rows]
