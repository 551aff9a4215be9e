"""Mail accounts of a unit that has ended count once: its own until its end, then those of the unit that continues its work."""

from datetime import UTC, date, datetime, timedelta

import attrs
import pytest

from hub.domain.local_time import HANOI
from hub.domain.model import Fact, Unit
from hub.journal import facts, unit_registry
from hub.journal.fact_reading import fact_rows
from hub.keeping import fact_audit, mail_moves, successions
from hub.report.counting.counting import Row
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store import transactions
from hub.store.tables import message
from hub.store.transactions import Transaction
from hub.units.deeds import WORK, DeedOrder, Estate
from hub.workload import closing, closing_plan, row_revisions, unit_report
from tests.opened import facts_behind

OLD, NEW, OTHER = "H55.41", "H55.43", "H55.44"
UNITS = [Unit("H55", "Tỉnh"), *(Unit(code, code, "H55") for code in (OLD, NEW, OTHER))]
BOOK = read_shipped_book()
END = date(2026, 11, 20)  #: in the month 2026-12, which lasts from 15 November to 14 December
MONTHS = ("2026-11", "2026-12", "2027-01")


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=HANOI).astimezone(UTC)


@attrs.define
class Town:
    """A province whose units report their accounts day by day, and what it counts."""

    tx: Transaction
    now: datetime = datetime(2026, 10, 1, tzinfo=UTC)

    def report(self, unit: str, day: str, issued: int, *, active: int = 0, key: str = "", later: int = 1) -> None:
        """Report the accounts of a day, on the day after it, or *later*."""
        said = date.fromisoformat(day)
        self.now = max(self.now, at(said + timedelta(days=later)))
        name = f"{unit} {key or day}"
        row = {"id": name, "partner": "p", "message_id": name, "service": "mail", "kind": "usage", "size": 1}
        more = {"state": "accepted", "received_at": self.now, "sha256": "0" * 64}
        transactions.insert_missing_rows(self.tx, message, [row | more])
        told = {"accounts-issued": issued, "accounts-active": active, "sent-internal": 1}
        one = Fact(unit=unit, service="mail", key=key or day, milestone="", at=self.now, message=name, day=said)
        facts.record_facts(
            self.tx, [attrs.evolve(one, milestone=what, amount=number) for what, number in told.items() if number]
        )

    def end(self, *old: str, new: str = NEW, on: date = END, what: frozenset[Estate] = WORK) -> str:
        order = DeedOrder(units=old, successors=(new,), on=on, estates=what)
        return successions.record_deed(self.tx, order, by="an", now=self.now)

    def move(self, day: date) -> int:
        """Let the hub do what it does on a day."""
        self.now = max(self.now, at(day))
        found = mail_moves.list_account_moves(self.tx, self.now)
        facts.record_facts(self.tx, found)
        return len(found)

    def close(self, *months: str) -> None:
        for text in months:
            period = parse_period(text)
            self.now = max(self.now, closing_plan.find_earliest_closing_time(period))
            closing.close_month(self.tx, BOOK, "mail", period, self.now, "an")

    def revise(self, unit: str) -> None:
        first = row_revisions.find_late_units(self.tx, "mail").get(unit)
        if first:
            row_revisions.revise_unit(self.tx, "mail", first, unit, reason="late", by="an", now=self.now)

    def rows(self, period: str, form: str = "mail") -> dict[str, Row]:
        report = unit_report.resolve_report_sources(self.tx, "H55", period, form, BOOK).count(self.now)
        assert report.findings == ()
        return {"": report.total, **{row.unit: row for row in report.rows}}

    def counted(self, period: str, column: str = "accounts") -> tuple[object, ...]:
        """Return a column of the old unit, of the new one, and of the whole province."""
        rows = self.rows(period)
        return tuple(rows[code].numbers[column] if code in rows else 0 for code in (OLD, NEW, ""))

    def explained(self, period: str, column: str = "accounts") -> tuple[int, ...]:
        """Return the same as the facts behind it add up to."""
        asked = unit_report.resolve_report_sources(self.tx, "H55", period, "mail", BOOK)
        found = facts_behind(asked, column, self.now)
        sums = [sum(each.amount for each in found if each.unit == code) for code in (OLD, NEW)]
        return (*sums, sum(each.amount for each in found))


@pytest.fixture
def town(tx: Transaction) -> Town:
    """The old unit has 50 accounts until its end; from then on they are among the 80 of the new one, which had 30."""
    unit_registry.write_registry_units(tx, UNITS)
    made = Town(tx)
    for day in ("2026-11-10", "2026-11-18"):
        made.report(OLD, day, 50, active=40)
        made.report(NEW, day, 30, active=20)
    made.close("2026-11")
    return made


def merge(town: Town) -> str:
    """Let the old unit pass to the new one, which reports of itself to the end of the month after."""
    deed = town.end(OLD)
    town.move(END)
    for day in ("2026-11-25", "2026-12-20"):
        town.report(NEW, day, 80, active=60)
    return deed


@pytest.mark.parametrize("closed", [(), ("2026-12",), ("2026-12", "2027-01")], ids=["open", "closed", "all-closed"])
def test_accounts_that_were_handed_over_count_once_in_the_month_the_quarter_and_the_year(
    town: Town, closed: tuple[str, ...]
) -> None:
    merge(town)
    town.close(*closed)
    assert town.counted("2026-11") == (50, 30, 80), "the month before is as it was"
    for period in ("2026-12", "2026-Q4", "2026"):
        for column, most in (("accounts", 80), ("active", 60)):
            assert town.counted(period, column) == town.explained(period, column) == (0, most, most), period
        assert town.counted(period, "handed_over") == town.explained(period, "handed_over") == (50, 0, 50)
    assert town.counted("2027-01") == (0, 80, 80)
    assert town.counted("2027-01", "handed_over") == (0, 0, 0)
    summary = town.rows("2026-Q4", "tonghop")
    assert [summary[code].numbers["accounts"] for code in (OLD, NEW, "")] == [0, 80, 80]
    assert town.counted("2026-Q4", "sent") == (2, 3, 5), "mails were sent all the same"


def test_a_unit_that_ends_with_a_period_has_its_accounts_in_it(town: Town) -> None:
    town.end(OLD, on=date(2026, 12, 15))
    town.move(date(2026, 12, 15))
    town.report(NEW, "2026-12-20", 80)
    assert town.counted("2026-12") == (50, 30, 80)
    assert town.counted("2027-01", "handed_over") == (50, 0, 50)
    assert town.counted("2027-Q1") == (0, 80, 80)


def test_the_fact_says_to_whom_how_many_passed_and_on_which_day(town: Town) -> None:
    merge(town)
    (moved,) = facts_behind(
        unit_report.resolve_report_sources(town.tx, OLD, "2026-12", "mail", BOOK), "handed_over", town.now
    )
    assert (moved.counterpart, moved.day, moved.amount) == (NEW, END, 50)
    assert moved.message == f"{OLD} 2026-11-18", "what it reported last"
    assert town.move(END + timedelta(days=1)) == 0, "once"


def test_of_a_report_and_its_correction_the_corrected_number_passes(town: Town) -> None:
    town.report(OLD, "2026-11-18", -4, key="2026-11-18#1")
    merge(town)
    assert town.counted("2026-12", "handed_over") == (46, 0, 46)


def test_accounts_that_were_moved_before_the_end_are_not_the_old_units_either(town: Town) -> None:
    """The last number above 0 passes: who reports 0 at last has had them in the period all the same."""
    town.report(OLD, "2026-11-19", -50, key="2026-11-19#1")
    merge(town)
    assert town.counted("2026-12") == (0, 80, 80)
    assert town.counted("2026-12", "handed_over") == (50, 0, 50)


def test_without_mail_in_the_deed_nothing_passes(town: Town) -> None:
    town.end(OLD, what=frozenset({Estate.DOSSIERS}))
    assert town.move(END) == 0
    assert town.counted("2026-12") == (50, 30, 80)


def test_a_unit_that_reports_no_accounts_hands_none_over(town: Town) -> None:
    town.end(OTHER)
    assert town.move(END) == 0


@pytest.mark.parametrize("closed", [(), ("2026-12",)], ids=["open", "closed"])
def test_what_the_old_system_reports_after_the_end_is_none_of_its_accounts(town: Town, closed: tuple[str, ...]) -> None:
    merge(town)
    town.close(*closed)
    town.report(OLD, "2026-11-19", 51, later=40)  # of a day before, in the month of the end
    town.report(OLD, "2026-11-13", 52, later=50)  # in the month before
    town.report(OLD, "2026-12-28", 53)
    town.revise(OLD)
    assert town.counted("2026-11") == (52, 30, 82)
    assert town.counted("2026-12") == town.explained("2026-12") == (0, 80, 80)
    assert town.counted("2027-01") == town.explained("2027-01") == (0, 80, 80)
    assert town.counted("2027-01", "sent") == (1, 1, 2), "what was sent counts where it was sent"
    assert town.counted("2026-12", "handed_over") == (50, 0, 50), "what was reported when they passed"


def test_accounts_that_are_first_reported_after_the_end_pass_the_next_day(town: Town) -> None:
    town.end(OTHER)
    town.move(END)
    town.report(OTHER, "2026-11-19", 7, later=20)
    assert town.move(date(2026, 12, 10)) == 1
    assert town.rows("2026-12")[OTHER].numbers["handed_over"] == 7
    assert town.rows("2026-12")[OTHER].numbers["accounts"] == 0


def test_a_deed_that_is_recorded_late_revises_the_closed_month_of_its_day(town: Town) -> None:
    town.report(NEW, "2026-11-25", 80)
    town.report(OLD, "2026-12-20", 50)
    town.close("2026-12", "2027-01")
    assert town.counted("2026-12") == (50, 80, 130)
    town.end(OLD)
    town.move(date(2027, 1, 20))
    town.revise(OLD)
    assert town.counted("2026-12") == town.counted("2026-Q4") == (0, 80, 80)
    assert town.counted("2027-01", "accounts")[0] == 0


def test_an_undone_deed_gives_the_accounts_back(town: Town) -> None:
    deed = merge(town)
    town.close("2026-12")
    town.now = at(date(2027, 1, 10))
    assert successions.undo_deed(town.tx, deed, by="an", now=town.now).accounts == 50
    town.report(OLD, "2027-01-12", 50)
    assert town.counted("2026-12") == (0, 80, 80), "they were the heir's then"
    assert town.counted("2026-12", "handed_over") == (50, 0, 50)
    assert town.counted("2027-01") == town.explained("2027-01") == (50, 80, 130)
    assert town.counted("2027-01", "handed_over") == (-50, 0, -50)
    assert town.move(date(2027, 1, 13)) == 0
    town.end(OLD, on=date(2027, 2, 20))
    assert town.move(date(2027, 2, 20)) == 1
    assert town.counted("2027-03", "handed_over") == (50, 0, 50)
    assert town.counted("2027-Q1")[0] == 0, "the last that is said of them holds"


def test_a_deed_undone_in_its_own_month_leaves_the_month_as_if_it_had_not_been(town: Town) -> None:
    deed = town.end(OLD)
    town.move(END)
    town.now = at(END + timedelta(days=3))
    successions.undo_deed(town.tx, deed, by="an", now=town.now)
    assert town.counted("2026-12") == (50, 30, 80)
    assert town.counted("2026-12", "handed_over") == (0, 0, 0)


def test_a_unit_that_the_registry_lets_go_on_has_its_accounts_again(town: Town) -> None:
    merge(town)
    unit_registry.write_registry_units(town.tx, [Unit(OLD, OLD, "H55")])
    assert town.move(date(2026, 12, 21)) == 1
    town.report(OLD, "2026-12-22", 45)
    assert town.counted("2026-12") == (0, 80, 80)
    assert town.counted("2027-01") == (45, 80, 125)


def test_the_audit_of_facts_finds_nothing_planted(town: Town) -> None:
    merge(town)
    moved = fact_rows.read_facts(town.tx, units=[OLD])
    found = fact_audit.compare_given_facts(town.tx, [each for each in moved if each.milestone == "handed-over"])
    assert [each for each in found if each.fault is not fact_audit.FactFault.OCTETS] == []
