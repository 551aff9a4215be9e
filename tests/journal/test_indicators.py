"""The indicators of Decision 766 as partners' messages make them: each from calls as they are written, through the journal."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from hub.store import transactions
from hub.store.tables import event
from hub.workload import unit_report
from tests.dossiers import hoso, sync
from tests.histories.cells import Cells
from tests.histories.duties import Duties
from tests.histories.office import book
from tests.opened import facts_behind

UNIT = "H55.13"


@pytest.fixture
def engine(journal_url: str) -> Iterator[sa.Engine]:
    made = transactions.open_journal(journal_url)
    yield made
    made.dispose()


class OneStop(Duties):
    """An office that tells of dossiers on 13 November 2026 and later; the period 2026-11 ends on the 14th."""

    def tell(self, *codes: str, **fields: object) -> None:
        """Tell of dossiers that were received today, unless *fields* say otherwise."""
        said = {"NgayTiepNhan": self.stamp(0), "NgayHenTra": self.stamp(10), **fields}
        self.bring("dossiers", sync(*(hoso(code, **said) for code in codes), organ=UNIT))

    def numbers(self, period: str, form: str = "qd766") -> Any:
        """Return the numbers of the unit's row, after they were compared with the second count."""
        Cells(self.history).check(form, period, [UNIT])
        with transactions.read_transaction(self.history.engine) as tx:
            asked = unit_report.resolve_report_sources(tx, UNIT, period, form, book())
            return asked.count(self.history.now).total.numbers


@pytest.fixture
def office(engine: sa.Engine) -> OneStop:
    return OneStop(engine, ("node",))


class TestSynchronisation:
    """1.4: of the dossiers received in the period, those that reached the national portal."""

    def test_what_was_received_before_and_synced_now_is_no_more_than_100_percent(self, office: OneStop) -> None:
        office.tell("1", "2", "3", "4")
        office.wait_days(7)
        office.tell("5")
        office.carry([True] * 5)
        numbers = office.numbers("2026-12")
        assert (numbers["received_new"], numbers["synced"], numbers["sync_ratio"]) == (1, 1, Decimal("100.00"))
        assert office.numbers("2026-11")["sync_ratio"] == Decimal("100.00"), "open: as it is known now"

    def test_a_closed_month_counts_what_was_synced_before_its_closing_in_the_night_too(self, office: OneStop) -> None:
        office.tell("1", "2")
        office.wait_days(2)  # the month is over, and not closed
        office.carry([True])
        office.close("dossiers")
        assert office.numbers("2026-11")["sync_ratio"] == Decimal("100.00")
        office.tell("3", NgayTiepNhan=office.stamp(0))
        before = office.numbers("2026-11")
        office.carry([True])
        assert office.numbers("2026-11") == before
        assert office.numbers("2026-12")["sync_ratio"] == Decimal("100.00")

    def test_what_did_not_reach_the_portal_is_not_synced(self, office: OneStop) -> None:
        office.tell("1", "2")
        office.tell("3")
        office.carry([True])
        assert office.numbers("2026-11")["sync_ratio"] == Decimal("66.67")


class TestCorrectedStatistic:
    """SubmitStatistic of a month that was declared before."""

    def figures(self, office: OneStop, period: str) -> list[int]:
        numbers = office.numbers(period, "dossiers")
        return [numbers["declared_received"], numbers["declared_finished"]]

    def test_a_month_declared_again_has_the_new_figures_and_opens_into_both_messages(self, office: OneStop) -> None:
        office.declare(UNIT, 0, new=40, late=2, monthly=True, own=True)
        office.declare(UNIT, 0, new=30, late=5, monthly=True, own=True)
        assert self.figures(office, "2026-11") == [30, 33]
        office.declare(UNIT, 0, new=30, late=4, monthly=True, own=True)
        assert self.figures(office, "2026-11") == [30, 32]
        with transactions.read_transaction(office.history.engine) as tx:
            asked = unit_report.resolve_report_sources(tx, UNIT, "2026-11", "dossiers", book())
            behind = facts_behind(asked, "declared_received", office.history.now)
            assert [fact.amount for fact in behind] == [40, -10]
            assert len({fact.message for fact in behind}) == 2
            told = tx.scalars(sa.select(event.c.text).where(event.c.text.contains("figure-corrected")))
            said = [json.loads(text) for text in told]
        assert [(each["milestone"], each["held"], each["amount"]) for each in said] == [
            ("declared-received", 40, 30),
            ("declared-late", 2, 5),
            ("declared-late", 5, 4),
        ]

    def test_the_same_figures_again_change_and_tell_nothing(self, office: OneStop) -> None:
        for _ in range(2):
            office.declare(UNIT, 0, new=40, late=2, monthly=True, own=True)
        assert self.figures(office, "2026-11") == [40, 30]
        with transactions.read_transaction(office.history.engine) as tx:
            assert not list(tx.scalars(sa.select(event.c.text).where(event.c.text.contains("figure-corrected"))))

    def test_a_closed_month_stays_and_the_difference_counts_in_the_first_open_one(self, office: OneStop) -> None:
        office.declare(UNIT, 0, new=40, late=2, monthly=True, own=True)
        office.wait_days(3)
        office.close("dossiers")
        office.declare(UNIT, 0, new=30, late=2, monthly=True, own=True)
        assert self.figures(office, "2026-11") == [40, 30]
        assert self.figures(office, "2026-12") == [-10, 0]
        assert self.figures(office, "2026-Q4") == [30, 30]


class TestWaiting:
    """A dossier that waits for papers or a payment, or is paused, after its due day."""

    def pending(self, office: OneStop, period: str) -> list[int]:
        numbers = office.numbers(period, "ii06a")
        return [numbers["pending_in_time"], numbers["pending_overdue"]]

    @pytest.mark.parametrize("status", ["5", "6", "8"])
    def test_it_is_in_column_12_while_it_waits_and_in_13_when_work_goes_on(self, office: OneStop, status: str) -> None:
        due = office.stamp(2)
        office.tell("1", "2", NgayHenTra=due)
        received = office.stamp(0)
        office.wait_days(1)
        office.tell("2", NgayTiepNhan=received, NgayHenTra=due, TrangThaiHoSo=status)
        office.wait_days(10)
        assert self.pending(office, "2026-12") == [1, 1]
        office.tell("2", NgayTiepNhan=received, NgayHenTra=due, TrangThaiHoSo="4")
        assert self.pending(office, "2026-12") == [0, 2]

    def test_a_month_that_was_closed_while_it_waited_stays_so(self, office: OneStop) -> None:
        due, received = office.stamp(0), office.stamp(-1)
        office.tell("1", NgayTiepNhan=received, NgayHenTra=due, TrangThaiHoSo="6")
        office.wait_days(3)
        office.close("ii06a")
        office.tell("1", NgayTiepNhan=received, NgayHenTra=due)
        assert self.pending(office, "2026-11") == [1, 0]
        assert self.pending(office, "2026-12") == [0, 1]
