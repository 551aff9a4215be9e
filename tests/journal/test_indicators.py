"""The indicators of Decision 766 as partners' messages make them: each from calls as they are written, through the journal."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from hub.language.languages import Language
from hub.report.form.column import Wording
from hub.report.form.form import Indicator, Measured
from hub.report.words import write_notes
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


class TestTwentyIndicators:
    """The indicators that what partners send can say, and the others."""

    def test_payment_papers_and_data_that_come_with_dossiers_are_counted(self, office: OneStop) -> None:
        fee, free = [{"Gia": "0"}, {"Gia": "25000"}], [{"Gia": "0"}]
        paper = {"DuongDanTaiTepTin": "https://kho/1", "DuocSoHoa": "1"}
        result = [{"DuongDanTepTinKetQua": "https://kho/kq"}]
        done = {"TrangThaiHoSo": "9", "NgayKetThucXuLy": office.stamp(0)}
        office.tell("1", DanhSachLePhi=fee, DuocThanhToanTrucTuyen="1", TaiLieuNop=[paper])
        office.tell("2", DanhSachLePhi=fee, DuocThanhToanTrucTuyen="0", TaiKhoanDuocXacThucVoiVNeID="1")
        office.tell("3", DanhSachLePhi=free, DuocThanhToanTrucTuyen="2", TaiLieuNop=[{"DuocLayTuKhoDMQG": "1"}])
        office.tell("4", **done, DanhSachGiayToKetQua=result, TaiLieuNop=[paper])
        office.tell("5", **done, DanhSachGiayToKetQua=result, TaiLieuNop=[{**paper, "IsDeleted": "1"}])
        office.tell("6", **done)
        numbers = office.numbers("2026-11")
        assert (numbers["charged"], numbers["paid_online"], numbers["paid_ratio"]) == (2, 1, Decimal("50.00"))
        assert (numbers["finished"], numbers["with_result"], numbers["digitised"]) == (3, 2, 1)
        assert (numbers["reused"], numbers["from_store"], numbers["identified"]) == (2, 1, 2)
        assert (numbers["result_ratio"], numbers["reused_ratio"]) == (Decimal("66.67"), Decimal("33.33"))

    def test_what_is_paid_later_counts_for_the_period_of_the_receipt(self, office: OneStop) -> None:
        received = office.stamp(0)
        office.tell("1", DanhSachLePhi=[{"Gia": "1000"}])
        office.wait_days(5)
        office.tell("1", NgayTiepNhan=received, DanhSachLePhi=[{"Gia": "1000"}], DuocThanhToanTrucTuyen="2")
        assert office.numbers("2026-11")["paid_ratio"] == Decimal("100.00")

    def test_the_time_of_a_supplement_is_taken_off_and_the_days_of_work_are_counted(self, office: OneStop) -> None:
        day = office.stamp
        papers = {"NgayBoSung": day(-15), "NgayTiepNhanBoSung": day(-6)}
        told = {"NgayTiepNhan": day(-20), "NgayHenTra": day(-10), "TrangThaiHoSo": "9", "NgayKetThucXuLy": day(-2)}
        office.tell("1", **told, DanhSachHoSoBoSung=[papers])
        office.tell("2", **told)
        numbers = office.numbers("2026-11")
        assert (numbers["ended_in_time"], numbers["ended_late"]) == (1, 1), "18 days, of which 9 waited for papers"
        assert (numbers["finished_timed"], numbers["days_taken"]) == (2, 9 + 18)
        assert office.numbers("2026-11", "ii06a")["settled_late"] == 2

    @pytest.mark.parametrize(
        ("requests", "status", "late"),
        [([-12], "5", 0), ([-8], "5", 1), ([-12, -11], "5", 1), ([], "4", 1), ([], "6", 1)],
        ids=["asked in time", "asked after the due day", "asked twice", "in hand", "waits for payment"],
    )
    def test_a_request_for_papers_is_the_end_of_what_waits_for_them(
        self, office: OneStop, requests: list[int], status: str, late: int
    ) -> None:
        listed: list[dict[str, object]] = [{"NgayBoSung": office.stamp(each)} for each in requests]
        for earlier in listed[:-1]:
            earlier["NgayTiepNhanBoSung"] = earlier["NgayBoSung"]
        said = {"NgayTiepNhan": office.stamp(-20), "NgayHenTra": office.stamp(-10), "TrangThaiHoSo": status}
        office.tell("1", **said, DanhSachHoSoBoSung=listed or None)
        numbers = office.numbers("2026-11")
        assert (numbers["open_in_time"], numbers["open_late"]) == (1 - late, late)

    def test_each_of_the_twenty_says_whether_it_is_counted_or_declared(self) -> None:
        form = next(form for form in book().forms if form.id == "qd766")
        numbers = [
            "1.1",
            "1.2",
            "1.3",
            "1.4",
            "2.1",
            "2.2",
            "3.1",
            "3.2",
            "3.3",
            "3.5",
            "3.6",
            "4.1",
            "4.2",
            "4.3",
            "4.4",
            "4.5",
            "5.1",
            "5.2",
            "5.3",
            "5.4",
        ]
        assert [each.number for each in form.indicators] == numbers
        notes = write_notes(form, Language.EN)
        assert [note.split(" ")[0] for note in notes[-20:]] == numbers
        by_number = {each.number: each.measured for each in form.indicators}
        assert {by_number[each] for each in ("1.4", "2.1", "3.6", "4.3")} == {Measured.COUNTED}
        assert {by_number[each] for each in ("1.1", "3.1", "5.2")} == {Measured.DECLARED}
        assert {by_number[each] for each in ("4.5", "5.4")} == {Measured.PARTLY}
        assert (
            "declared by units, not counted (Procedures of the unit that are public; Procedures offered online)"
            in notes[-14]
        )
        bare = Indicator(number="9.9", title=Wording("a", "a"), formula=Wording("b", "b"))
        assert bare.measured is Measured.NOT_MEASURED
