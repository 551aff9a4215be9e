"""A dossier counts in one unit, whoever reports it and in whatever order; and it stays one when units are merged."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, cast

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.config import Partner
from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import Fact, Receive, Unit
from hub.intake.admission import judge_record
from hub.journal import events, facts, messages, unit_registry
from hub.journal.sequels import handovers
from hub.journal.sequels.open_work import following, listing
from hub.journal.sequels.open_work.listing import make_filter
from hub.keeping import dossier_moves
from hub.report.counting.corrections import CORRECTIONS
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.services import list_services
from hub.store import transactions
from hub.units.deeds import Estate
from hub.units.province import Province
from hub.workload import closing, closing_plan, row_revisions, unit_report
from hub.workload.facts_behind import list_facts_behind
from hub.workload.month_end import MonthEnd
from tests import databases
from tests.dossiers import hoso, progress, sync, tiendo
from tests.histories import office
from tests.histories.duties import Books as JournalWithoutReactor

UNITS = (
    Unit("H55", "Tỉnh"),
    Unit("H55.40", "Trung tâm PVHCC", "H55"),
    Unit("H55.41", "Sở Tư pháp", "H55", aliases=("000.00.41.H55",)),
    Unit("H55.66", "Đơn vị lạ", "H55"),
)
CENTRE, COMPETENT, CODE = "H55.40", "H55.41", "H55.40-261120-0001"
#: partner → the units that it may send for
MAY = {"centre": ("H55.40",), "department": ("H55.41",), "stranger": ("H55.66",), "onestop": ("*",)}
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
LATER = datetime(2027, 6, 1, tzinfo=UTC)
BOOK = read_shipped_book()


def province(units: Iterable[Unit] = UNITS, may: Mapping[str, tuple[str, ...]] = MAY) -> Province:
    partners = {
        code: Partner(code=code, name=code, certificates=(), units=units_of, receive=Receive.NONE)
        for code, units_of in may.items()
    }
    return Province.of(attrs.evolve(office.province().config, partners=partners), units)


PROVINCE = province()


class Books:
    """A journal into which messages are brought one by one, each an hour after the one before."""

    def __init__(self, tx: transactions.Transaction, known: Province = PROVINCE, units: Sequence[Unit] = UNITS) -> None:
        self.tx, self.now = tx, NOW
        self.brought: list[str] = []
        self.meet(units, known)

    def meet(self, units: Sequence[Unit], known: Province) -> None:
        """Replace the registry."""
        self.known = known
        unit_registry.write_registry_units(self.tx, units)

    def bring(self, partner: str, content: bytes) -> str:
        self.now += timedelta(hours=1)
        name = make_id(self.now)
        entry = judge_record(list_services()["dossiers"], content, None, partner, self.known, self.now, name)
        assert messages.record_message(self.tx, entry, self.known.routes).problems == ()
        self.brought.append(name)
        return name

    def cells(self, unit: str, period: str = "2026-12", form: str = "ii06a") -> dict[str, int]:
        """Return the cells of a unit's own row that are not 0."""
        report = unit_report.resolve_report_sources(self.tx, "H55", period, form).count(LATER)
        row = next((row for row in report.rows if row.unit == unit), report.total if unit == "" else None)
        assert not report.findings
        return {} if row is None else {key: int(number) for key, number in row.numbers.items() if number}

    def told(self, name: str) -> list[dict[str, Any]]:
        found = (each for message in self.brought for each in events.read_message_events(self.tx, message))
        return [each for each in found if each["event"] == name]


@pytest.fixture
def books(tx):
    return Books(tx)


def of_centre(**fields: object) -> bytes:
    return sync(hoso(CODE, DonViXuLy=COMPETENT, **fields), organ=CENTRE)


def of_competent(**fields: object) -> bytes:
    return sync(hoso(CODE, DonViXuLy=COMPETENT, **fields), organ=COMPETENT)


ENDED = {"TrangThaiHoSo": "9", "NgayKetThucXuLy": "20261123160000"}


class TestTwoReportersOfOneDossier:
    """The code names the unit that received it; the competent agency that this one names adds what it knows."""

    @pytest.mark.parametrize(
        "order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)], ids=["received-first", "competent-first", "step-first"]
    )
    def test_it_counts_once_and_the_same_in_each_order(self, tx, order):
        books = Books(tx)
        calls = [
            ("centre", of_centre()),
            ("department", of_competent()),
            ("department", progress(tiendo(CODE, "9", "20261123090000"), organ="000.00.41.H55")),
        ]
        for number in order:
            books.bring(*calls[number])
        settled = {"received": 1, "received_online": 1, "settled": 1, "settled_early": 1}
        assert books.cells(CENTRE) == settled
        assert books.cells(COMPETENT) == {}
        assert books.cells("") == settled

    def test_a_system_of_all_units_may_report_it_for_any_of_them(self, books):
        books.bring("onestop", sync(hoso(CODE, **ENDED), organ=COMPETENT))
        books.bring("onestop", sync(hoso(CODE), organ="H55"))
        assert books.cells(CENTRE) == books.cells("") == {
            "received": 1, "received_online": 1, "settled": 1, "settled_early": 1
        }  # fmt: skip

    def test_a_code_within_the_unit_stays_there(self, books):
        books.bring("centre", sync(hoso("HS-1"), organ=CENTRE))
        books.bring("department", sync(hoso("HS-1"), organ=COMPETENT))
        assert books.cells("")["received"] == 2

    def test_what_the_portal_took_counts_for_the_unit_of_the_dossier(self, books):
        message = books.bring("centre", of_centre())
        other = books.bring("department", of_competent())
        for each in (message, other):
            row: Any = {"sender": CENTRE if each == message else COMPETENT, "service": "dossiers", "id": each}
            made = facts.make_synced_facts(row | {"keys": f'["{CODE}"]'}, "synced", "cong", books.now)
            facts.record_facts(books.tx, made)
        assert {unit: books.cells(unit, form="dossiers").get("synced") for unit in (CENTRE, COMPETENT)} == {
            CENTRE: 1, COMPETENT: None
        }  # fmt: skip


class TestAStranger:
    """A partner of its own cannot change the figures of another unit."""

    @pytest.mark.parametrize("first", [True, False])
    def test_it_takes_no_dossier_away_and_ends_none_by_reporting_its_code(self, tx, first):
        books = Books(tx)
        forged = sync(hoso(CODE, NgayTiepNhan="20260901080000", NgayHenTra="20260902170000", **ENDED), organ="H55.66")
        if first:
            books.bring("stranger", forged)
        books.bring("centre", of_centre())
        books.bring("stranger", forged)
        books.bring("stranger", progress(tiendo(CODE, "3"), organ="H55.66"))
        assert books.cells(CENTRE) == {"received": 1, "received_online": 1, "pending": 1, "pending_overdue": 1}
        assert books.cells("H55.66") == {}
        assert {(each["unit"], each["key"], each["owner"]) for each in books.told("dossier-claimed")} == {
            ("H55.66", CODE, CENTRE)
        }

    def test_it_becomes_competent_by_its_own_word_for_nobody(self, books):
        books.bring("centre", of_centre())
        books.bring("stranger", sync(hoso(CODE, DonViXuLy="H55.66", **ENDED), organ="H55.66"))
        assert books.cells(CENTRE)["pending"] == 1

    def test_it_takes_no_dossier_away_whose_code_names_no_unit_of_the_province(self, books):
        ministry = "G09.20-20261120-0092637"
        books.bring("stranger", sync(hoso(ministry), organ="H55.66"))
        books.bring("centre", sync(hoso(ministry, **ENDED), organ=CENTRE))
        assert books.cells(CENTRE) == {"received": 1, "received_online": 1, "settled": 1, "settled_early": 1}
        (told,) = books.told("dossier-disputed")
        assert (told["unit"], told["owner"]) == (CENTRE, "H55.66")

    def test_of_such_a_code_the_one_that_names_the_other_as_competent_does_not_count(self, books):
        ministry = "G09.20-20261120-0092637"
        books.bring("department", sync(hoso(ministry), organ=COMPETENT))
        books.bring("centre", sync(hoso(ministry, DonViXuLy=COMPETENT), organ=CENTRE))
        books.bring("centre", progress(tiendo(ministry, "9", "20261123090000"), organ=CENTRE))
        assert (books.cells(CENTRE), books.cells(COMPETENT)["pending"]) == ({}, 1)


MERGED = date(2027, 2, 1)
BEFORE = (
    Unit("H55", "Tỉnh"),
    *(Unit(code, code, "H55", aliases=(f"000.00.{code[-2:]}.H55",)) for code in ("H55.81", "H55.82")),
)
AFTER = (
    BEFORE[0],
    *(attrs.evolve(unit, until=MERGED, successors=("H55.80",)) for unit in BEFORE[1:]),
    Unit("H55.80", "Xã mới", "H55", since=MERGED),
)
COMMUNES = {"communes": ("H55.80", "H55.81", "H55.82")}


def day(text: str, hour: int = 9) -> datetime:
    return datetime.fromisoformat(f"{text}T{hour:02}:00:00+07:00").astimezone(UTC)


def received(key: str, on: str = "2027-01-20", due: str = "2027-02-10") -> dict[str, object]:
    return hoso(key, NgayTiepNhan=f"{on.replace('-', '')}080000", NgayHenTra=f"{due.replace('-', '')}170000")


def finished(key: str, on: str, **fields: object) -> dict[str, object]:
    ended = {"TrangThaiHoSo": "9", "NgayKetThucXuLy": f"{on.replace('-', '')}160000"}
    return {**received(key), **ended, **fields}


class TestAMerger:
    """H55.81 and H55.82 become H55.80 on 1 February 2027. The month ends on the 14th."""

    @pytest.fixture
    def merger(self, tx):
        books = Books(tx, province(BEFORE, COMMUNES), BEFORE)
        books.now = day("2027-01-20")
        for code in ("H55.81-270120-0001", "H55.81-270120-0002", "H55.81-270120-0003", "HS-7"):
            books.bring("communes", sync(received(code), organ="H55.81"))
        books.bring("communes", sync(received("HS-7"), organ="H55.82"))
        books.now = day("2027-02-01", 0)
        books.meet(AFTER, province(AFTER, COMMUNES))
        return books

    def move(self, books: Books) -> None:
        for of in handovers.list_handovers(books.tx, find_local_day(books.now), Estate.DOSSIERS)[Estate.DOSSIERS]:
            keys, _ = dossier_moves.list_dossiers_to_move(books.tx, of)
            dossier_moves.move_dossiers(books.tx, of, keys, books.now)

    @pytest.mark.parametrize(
        ("told", "moved"),
        [
            ("H55.80", "before"),
            ("000.00.81.H55", "before"),
            ("H55.81", "before"),
            ("H55.80", "after"),
            ("H55.81", "after"),
        ],
    )
    def test_what_the_new_unit_ends_by_any_code_is_no_longer_in_hand_and_counts_once(self, merger, moved, told):
        if moved == "before":
            self.move(merger)
        merger.now = day("2027-02-03")
        merger.bring("communes", sync(finished("H55.81-270120-0001", "2027-02-03"), organ=told))
        merger.bring("communes", progress(tiendo("H55.81-270120-0002", "9", "20270203100000"), organ=told))
        if moved == "after":
            self.move(merger)
        month = merger.cells("", "2027-02")
        assert month == {
            "received": 5, "received_online": 5, "settled": 2, "settled_early": 2, "pending": 3, "pending_overdue": 3
        }  # fmt: skip
        assert merger.cells("H55.81", "2027-02") == {"received_online": 4, "taken_over": -4}
        assert merger.cells("H55.82", "2027-02") == {"received_online": 1, "taken_over": -1}
        assert merger.cells("H55.80", "2027-02") == {
            "received": 5, "taken_over": 5, "settled": 2, "settled_early": 2, "pending": 3, "pending_overdue": 3
        }  # fmt: skip

    def test_the_months_before_stay_and_the_quarter_counts_each_once(self, merger):
        book = read_shipped_book()
        # told in January, of which the month ended on 14 February for these; the closed month is the one before
        merger.bring("communes", sync(received("HS-9", "2027-01-10"), organ="H55.82"))
        for text in ("2027-02", "2027-03"):
            self.move(merger)
            merger.now = max(merger.now, closing_plan.find_earliest_closing_time(parse_period(text)))
            while (found := closing_plan.find_next_month_to_close(merger.tx, book, "ii06a")) and found[1].text <= text:
                closing.close_month(merger.tx, book, "ii06a", found[1], merger.now, "an")
            if text == "2027-02":
                merger.bring("communes", sync(finished("H55.81-270120-0001", "2027-02-20"), organ="H55.81"))
        quarter = merger.cells("", "2027-Q1")
        assert (quarter["received"], quarter["settled"], quarter["pending"]) == (6, 1, 5)
        assert {unit: merger.cells(unit, "2027-Q1").get("pending") for unit in ("H55.81", "H55.82", "H55.80")} == {
            "H55.81": None, "H55.82": None, "H55.80": 5
        }  # fmt: skip
        assert list(row_revisions.find_differing_units(merger.tx, "ii06a", "2027-02")) == []

    def test_a_deed_that_is_learned_late_leaves_the_closed_month_and_moves_the_stock_in_the_open_one(self, tx):
        books, book = Books(tx, province(BEFORE, COMMUNES), BEFORE), read_shipped_book()
        books.now = day("2027-01-20")
        books.bring("communes", sync(received("H55.81-270120-0001"), organ="H55.81"))
        books.now = closing_plan.find_earliest_closing_time(parse_period("2027-02"))
        closing.close_month(tx, book, "ii06a", parse_period("2027-02"), books.now, "an")
        sealed = closing_plan.read_closings(tx, "ii06a")[-1].sha256
        books.meet(AFTER, province(AFTER, COMMUNES))
        books.now += timedelta(days=1)
        self.move(books)
        assert list(row_revisions.find_differing_units(tx, "ii06a", "2027-02")) == []
        assert closing_plan.read_closings(tx, "ii06a")[-1].sha256 == sealed
        assert books.cells("H55.81", "2027-02")["pending"] == 1
        assert books.cells("H55.81", "2027-03") == {"carried_over": 1, "taken_over": -1}
        assert books.cells("H55.80", "2027-03") == {"received": 1, "taken_over": 1, "pending": 1, "pending_overdue": 1}

    def test_a_dossier_that_waits_for_papers_waits_in_the_new_unit_too(self, merger):
        merger.bring("communes", sync(received("H55.82-270120-0009") | {"TrangThaiHoSo": "5"}, organ="H55.82"))
        self.move(merger)
        assert merger.cells("H55.80", "2027-02")["pending_in_time"] == 1
        merger.bring("communes", sync(received("H55.82-270120-0009"), organ="H55.80"))
        assert "pending_in_time" not in merger.cells("H55.80", "2027-02")

    @pytest.mark.parametrize("moved", ["before its receipt", "with its receipt"])
    def test_what_was_only_handed_in_waits_in_the_new_unit_and_counts_there_when_it_is_received(self, tx, moved):
        books = Books(tx, province(BEFORE, COMMUNES), BEFORE)
        books.now = day("2027-01-20")
        codes = ["H55.81-270120-0009"] + (["HS-9"] if moved == "before its receipt" else [])
        for code in codes:
            books.bring("communes", sync({**received(code), "TrangThaiHoSo": "1"}, organ="H55.81"))
        assert books.cells("H55.81", "2027-02", "btp07a") == {"awaiting": len(codes), "awaiting_in_time": len(codes)}
        books.now = day("2027-02-01", 0)
        books.meet(AFTER, province(AFTER, COMMUNES))
        if moved == "before its receipt":
            self.move(books)
            self.move(books)
            assert books.cells("H55.81", "2027-02", "btp07a") == {}
            assert books.cells("H55.80", "2027-02", "btp07a") == {
                "awaiting": len(codes), "awaiting_in_time": len(codes)
            }  # fmt: skip
        for code in codes:
            books.bring("communes", sync(received(code, "2027-02-01"), organ="H55.81"))
        self.move(books)
        assert books.cells("H55.81", "2027-02", "btp07a") == {}
        taken = books.cells("H55.80", "2027-02", "btp07a")
        assert taken["received"] == taken["received_online_other"] == taken["pending"] == len(codes)
        assert not {"awaiting", "taken_over"} & taken.keys()

    CODE = "H55.81-270120-0001"

    def listed(self, books: Books) -> dict[tuple[str, str], date]:
        """Return the due days of open work, by unit and key."""
        events.chain_events(books.tx)
        while (step := following.read_step(books.tx)) is not None:
            following.write_step(books.tx, step)
        works = listing.list_open_work(books.tx, make_filter(date(2027, 2, 20), 99), 100)
        return {(each.work.unit, each.work.key): each.work.due for each in works}

    @pytest.mark.parametrize("moved", ["before", "with"])
    def test_the_due_day_that_the_successor_states_holds_and_is_told_with_both_messages(self, merger, moved):
        if moved == "before":
            self.move(merger)
            assert merger.cells("H55.80", "2027-02")["pending_overdue"] == 5
        merger.now = day("2027-02-03")
        second = merger.bring("communes", sync(received(self.CODE, due="2027-03-20"), organ="H55.80"))
        self.move(merger)
        month = merger.cells("H55.80", "2027-02")
        assert (month["pending_overdue"], month["pending_in_time"], month["taken_over"]) == (4, 1, 5)
        assert [(each["message"], each["due"], each["held_due"]) for each in merger.told("dossier-corrected")] == [
            (second, "2027-03-20", "2027-02-10")
        ]
        assert self.listed(merger)["H55.80", self.CODE] == date(2027, 3, 20)
        merger.bring("communes", sync(received(self.CODE, due="2027-02-09"), organ="H55.80"))
        assert merger.cells("H55.80", "2027-02")["pending_overdue"] == 5
        assert self.listed(merger)["H55.80", self.CODE] == date(2027, 2, 9)

    def tell_before_the_merger(self, books: Books, told: Mapping[str, object]) -> None:
        books.now = day("2027-01-30")
        books.meet(BEFORE, province(BEFORE, COMMUNES))
        books.bring("communes", sync(told, organ="H55.81"))
        books.now = day("2027-02-01", 0)
        books.meet(AFTER, province(AFTER, COMMUNES))
        self.move(books)

    def test_a_corrected_due_day_passes_to_the_successor(self, merger):
        self.tell_before_the_merger(merger, received(self.CODE, due="2027-03-20"))
        assert merger.cells("H55.80", "2027-02")["pending_in_time"] == 1
        assert self.listed(merger)["H55.80", self.CODE] == date(2027, 3, 20)

    def test_a_successor_that_tells_on_what_its_former_unit_told_corrects_nothing(self, merger):
        papers = {"NgayBoSung": "20270121090000", "NgayTiepNhanBoSung": "20270122090000"}
        papers["NgayHenTraMoi"] = "20270320170000"
        told = received(self.CODE) | {"DanhSachHoSoBoSung": [papers]}
        self.tell_before_the_merger(merger, told)
        merger.now = day("2027-02-02")
        merger.bring("communes", sync(told, organ="H55.80"))
        assert merger.cells("H55.80", "2027-02")["pending_in_time"] == 1, "the due day of the supplement holds"
        assert merger.told("dossier-corrected") == []

    def test_moving_again_moves_nothing(self, merger):
        self.move(merger)
        before = merger.cells("H55.80", "2027-02")
        self.move(merger)
        assert merger.cells("H55.80", "2027-02") == before

    def test_of_two_successors_the_first_has_it_until_the_other_reports_it(self, tx):
        split = (
            BEFORE[0],
            attrs.evolve(BEFORE[1], until=MERGED, successors=("H55.83", "H55.84")),
            Unit("H55.83", "B", "H55", since=MERGED),
            Unit("H55.84", "C", "H55", since=MERGED),
        )
        may = {"communes": ("H55.81",), "b": ("H55.83",), "c": ("H55.84",)}
        books = Books(tx, province(BEFORE, may), BEFORE)
        books.now = day("2027-01-20")
        for number in (1, 2):
            books.bring("communes", sync(received(f"H55.81-270120-000{number}"), organ="H55.81"))
        books.now = day("2027-02-01", 0)
        books.meet(split, province(split, may))
        self.move(books)
        books.bring("c", progress(tiendo("H55.81-270120-0002", "9", "20270203100000"), organ="H55.84"))
        books.bring("b", progress(tiendo("H55.81-270120-0002", "9", "20270204100000"), organ="H55.83"))
        assert books.cells("H55.83", "2027-02") == {
            "received": 1, "taken_over": 1, "pending": 1, "pending_overdue": 1
        }  # fmt: skip
        assert books.cells("H55.84", "2027-02") == {"received": 1, "taken_over": 1, "settled": 1, "settled_early": 1}


class TestCorrectedDays:
    """The unit reports other days of a dossier than before. The month of November ends on the 14th."""

    @pytest.fixture
    def november(self, tx):
        books = Books(tx)
        books.now = day("2026-11-02")
        return books

    def tell(self, books: Books, on: str = "2026-11-02", due: str = "2026-11-10", end: str = "") -> str:
        ended = {"TrangThaiHoSo": "9", "NgayKetThucXuLy": f"{end.replace('-', '')}160000"} if end else {}
        return books.bring("centre", sync(received(CODE, on, due) | ended, organ=CENTRE))

    def close(self, books: Books, text: str = "2026-11", form: str = "ii06a", book: Book = BOOK) -> None:
        books.now = closing_plan.find_earliest_closing_time(parse_period(text))
        closing.close_month(books.tx, book, form, parse_period(text), books.now, "an")

    def test_another_due_day_counts_in_the_open_month_and_is_told_with_both_messages(self, november):
        first = self.tell(november)
        assert november.cells(CENTRE, "2026-11")["pending_overdue"] == 1
        second = self.tell(november, due="2026-12-10")
        assert november.cells(CENTRE, "2026-11") == {
            "received": 1,
            "received_online": 1,
            "pending": 1,
            "pending_in_time": 1,
        }
        (told,) = november.told("dossier-corrected")
        assert (told["message"], told["held_message"], told["due"], told["held_due"]) == (
            second, first, "2026-12-10", "2026-11-10"
        )  # fmt: skip
        (listed,) = facts_of(november, "pending_in_time", "2026-11")
        assert listed.message == second, "the number opens into the message that corrected it"

    def test_another_day_of_the_end_counts_in_the_open_month(self, november):
        self.tell(november, end="2026-11-12")
        assert november.cells(CENTRE, "2026-11")["settled_late"] == 1
        self.tell(november, end="2026-11-09")
        assert november.cells(CENTRE, "2026-11") == {
            "received": 1, "received_online": 1, "settled": 1, "settled_early": 1
        }  # fmt: skip

    def test_another_day_of_receipt_moves_it_to_the_month_of_that_day(self, november):
        self.tell(november)
        november.now = day("2026-11-13")
        self.tell(november, on="2026-11-16", due="2026-12-20")
        self.close(november)
        assert november.cells(CENTRE, "2026-11") == {}
        assert november.cells(CENTRE, "2026-12")["received_online"] == 1

    def test_a_closed_month_stays_and_what_is_still_open_has_the_new_due_day(self, november):
        self.tell(november)
        self.close(november)
        before = november.cells(CENTRE, "2026-11")
        self.tell(november, on="2026-11-20", due="2027-03-01")
        assert november.cells(CENTRE, "2026-11") == before
        assert list(row_revisions.find_differing_units(november.tx, "ii06a", "2026-11")) == []
        assert november.cells(CENTRE, "2026-12") == {
            "received": 1, "carried_over": 1, "pending": 1, "pending_in_time": 1
        }  # fmt: skip
        self.close(november, "2026-12")
        assert november.cells(CENTRE, "2027-01") == {
            "received": 1, "carried_over": 1, "pending": 1, "pending_in_time": 1
        }  # fmt: skip

    def test_an_end_in_a_closed_month_is_not_counted_again(self, november):
        self.tell(november, end="2026-11-12")
        self.close(november)
        self.tell(november, end="2026-12-01")
        assert november.cells(CENTRE, "2026-12") == {}
        assert november.cells("", "2026-Q4")["settled"] == 1
        assert len(november.told("dossier-corrected")) == 1

    def test_a_form_whose_late_facts_make_revisions_has_a_revision_of_the_closed_month(self, november):
        ours = next(form for form in BOOK.forms if form.id == "ii06a")
        own = read_form_toml(ours.written.replace("by_day = true", 'by_day = true\nlate = "revision"').encode(), "own")
        book = attrs.evolve(BOOK, forms=(own,))
        self.tell(november, end="2026-11-12")
        self.close(november, book=book)
        self.tell(november, end="2026-11-09")
        assert row_revisions.find_late_units(november.tx, "ii06a") == {CENTRE: "2026-11"}
        ((period, row),) = row_revisions.revise_unit(
            november.tx, "ii06a", "2026-11", CENTRE, reason="ngày sửa", by="an", now=november.now
        )
        assert (period, row.revision, row.reason, row.diff) == (
            "2026-11", 2, "ngày sửa", {"settled_early": [0, 1], "settled_late": [1, 0]}
        )  # fmt: skip

    def test_every_correction_of_a_due_day_counts_the_fourth_too_until_one_says_that_it_has_no_effect(
        self, november, monkeypatch
    ):
        for number in range(6):
            self.tell(november, due=f"2026-11-{9 + number:02}")
            assert november.cells(CENTRE, "2026-11").get("pending_overdue", 0) == (number < 5), number
        assert [each["due"] for each in november.told("dossier-corrected")] == [f"2026-11-{10 + n}" for n in range(5)]
        monkeypatch.setitem(CORRECTIONS, "received", CORRECTIONS["received"][:5])
        self.tell(november, due="2026-11-02")
        assert [each["due"] for each in november.told("dossier-differs")] == ["2026-11-02"]
        assert november.cells(CENTRE, "2026-11")["pending_in_time"] == 1

    def ask_for_papers(self, books: Books, due: str = "2026-11-10", until: str = "2026-11-12", **fields: object) -> str:
        """Form 02: papers were asked for on 3 November, came on the 5th, and it is due on the day *until* instead."""
        request = {"NgayBoSung": "20261103090000", "NgayTiepNhanBoSung": "20261105090000"}
        request["NgayHenTraMoi"] = f"{until.replace('-', '')}170000"
        asked = {"TrangThaiHoSo": "4", "DanhSachHoSoBoSung": [request], **fields}
        return books.bring("centre", sync(received(CODE, "2026-11-02", due) | asked, organ=CENTRE))

    @pytest.mark.parametrize("closed", [False, True])
    def test_a_due_day_that_a_letter_of_apology_states_after_a_supplement_holds(self, november, closed):
        self.tell(november, due="2026-11-10")
        november.now = day("2026-11-05")
        self.ask_for_papers(november)
        month = "2026-12" if closed else "2026-11"
        if closed:
            self.close(november)
        assert november.cells(CENTRE, month)["pending_overdue"] == 1
        self.ask_for_papers(november, due="2026-12-20")
        assert november.cells(CENTRE, month)["pending_in_time"] == 1
        assert [each["due"] for each in november.told("dossier-corrected")] == ["2026-12-20"]
        self.ask_for_papers(november, due="2026-12-20")
        assert len(november.told("dossier-corrected")) == 1, "told again, it is nothing new"

    def test_another_due_day_of_a_supplement_holds(self, november):
        self.tell(november, due="2026-11-10")
        november.now = day("2026-11-05")
        for until in ("2026-11-12", "2026-12-20"):
            self.ask_for_papers(november, until=until)
        assert november.cells(CENTRE, "2026-11")["pending_in_time"] == 1
        assert [(each["milestone"], each["due"]) for each in november.told("dossier-corrected")] == [
            ("supplemented", "2026-12-20")
        ]

    def test_a_supplement_that_is_told_after_a_correction_holds(self, november):
        for due in ("2026-11-10", "2026-11-11"):
            self.tell(november, due=due)
        november.now = day("2026-11-06")
        self.ask_for_papers(november, due="2026-11-11", until="2026-12-20")
        assert november.cells(CENTRE, "2026-11")["pending_in_time"] == 1

    @pytest.mark.parametrize("first", ["centre", "department"])
    def test_another_reporter_corrects_nothing_and_the_word_of_the_unit_holds(self, tx, first):
        books = Books(tx)
        books.bring("centre", of_centre())
        calls = {
            "centre": of_centre(**ENDED),
            "department": of_competent(**ENDED | {"NgayKetThucXuLy": "20261201160000"}),
        }
        for partner in sorted(calls, key=lambda each: each != first):
            books.bring(partner, calls[partner])
        assert books.cells(CENTRE)["settled_early"] == 1
        found = [*books.told("dossier-differs"), *books.told("dossier-corrected")]
        assert [(each["milestone"], {each["day"], each["held_day"]}) for each in found] == [
            ("finished", {"2026-11-23", "2026-12-01"})
        ]


def test_the_hub_moves_what_is_open_in_the_night_before_it_closes_the_month(engine):
    with transactions.write_transaction(engine) as tx:
        books = Books(tx, province(BEFORE, COMMUNES), BEFORE)
        books.now = day("2027-01-20")
        books.bring("communes", sync(received("H55.81-270120-0001"), organ="H55.81"))
        books.meet(AFTER, province(AFTER, COMMUNES))
    start, ticks = closing_plan.find_automatic_closing_time(BOOK, parse_period("2027-02")), count()
    node = MonthEnd(
        cast("Any", JournalWithoutReactor(engine)),
        cast("Any", None),
        lambda: start + timedelta(milliseconds=next(ticks)),
        lambda: BOOK,
    )
    with pytest.raises(StopIteration):
        node.run_once().send(None)
    with transactions.write_transaction(engine) as tx:
        books.tx = tx
        assert closing_plan.read_closings(tx, "ii06a")[-1].period.text == "2027-02"
        assert books.cells("H55.81", "2027-02") == {"received_online": 1, "taken_over": -1}
        assert books.cells("H55.80", "2027-02")["pending_overdue"] == 1
        assert list(row_revisions.find_differing_units(tx, "ii06a", "2027-02")) == []


def facts_of(books: Books, column: str, period: str) -> list[Fact]:
    asked = unit_report.resolve_report_sources(books.tx, "H55", period, "ii06a")
    with asked.open_facts_behind(column, LATER) as behind:
        found = list(behind.facts())
    assert list(list_facts_behind(asked, column, LATER)) == found, "read in pages they are the same"
    return found


CALLS = st.permutations(
    [
        ("centre", of_centre()),
        ("centre", of_centre(TrangThaiHoSo="5")),
        ("department", of_competent()),
        ("department", of_competent(**ENDED)),
        ("department", of_competent(**ENDED | {"NgayKetThucXuLy": "20261130160000"})),
        ("centre", of_centre(**ENDED)),
        ("stranger", sync(hoso(CODE, **ENDED), organ="H55.66")),
        ("onestop", sync(hoso("H55.41-261120-0002"), organ=CENTRE)),
        ("department", sync(hoso("H55.41-261120-0002", **ENDED), organ=COMPETENT)),
    ]
)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    made = transactions.open_journal(databases.sqlite(tmp_path_factory.mktemp("orders") / "hub.db"))
    yield made
    made.dispose()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
@pytest.mark.slow
def test_every_order_of_arrival_gives_the_same_counts(journal, calls):
    with journal.connect() as connection, connection.begin() as whole:
        books = Books(connection)
        for partner, content in calls:
            books.bring(partner, content)
        once = {"received": 1, "received_online": 1, "settled": 1, "settled_early": 1}
        assert [books.cells(unit) for unit in (CENTRE, COMPETENT, "H55.66")] == [once, once, {}]
        whole.rollback()
