"""The indicators of Decision 766 as partners' messages make them: each from calls as they are written, through the journal."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from hub.store import transactions
from hub.workload import unit_report
from tests.dossiers import hoso, sync
from tests.histories.cells import Cells
from tests.histories.duties import Duties
from tests.histories.office import book

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
