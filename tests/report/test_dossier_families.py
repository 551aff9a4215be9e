"""Forms 07a/BTP and A count the example of their page as it was worked out there by hand, and agree with II.06a."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import count

import attrs
import pytest

from hub.domain.model import Fact
from hub.report.counting import deriving
from hub.report.counting.counting import Report, count_report, find_counted_facts, place_facts
from hub.report.counting.posting import OPEN, ClosedMonth, ClosedMonths
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form, choose_form
from hub.report.form.period import parse_period
from hub.services.dossiers import read_dossier_call
from hub.services.dossiers.waits import RESUMED, RESUMES, WAITING, WAITS, place_wait
from tests.dossiers import hoso, progress, sync, tiendo
from tests.pages import DOCS, rows, sections

PAGE = sections(DOCS / "reference/families.md")
NOVEMBER = parse_period("2026-11")
BTP07A, II06A, TTHC = (choose_form(read_form_folder(), name, NOVEMBER) for name in ("btp07a", "ii06a", "tthc"))
KEYS = {number: key.strip("`") for number, key, _ in list(rows(PAGE["Form 07a/BTP"]))}
LINES = list(rows(PAGE["The example"]))
AFTER = datetime(2027, 3, 1, tzinfo=UTC)
UNIT = "H55.13"


def written(day: str) -> str:
    return f"2026{day[3:]}{day[:2]}100000"


def read(*calls: bytes, at: datetime | None = None) -> tuple[Fact, ...]:
    """Return the facts of *calls*, each told a minute after the one before: the first of each milestone."""
    found: dict[tuple[str, str], Fact] = {}
    for number, call in enumerate(calls):
        told = (at or datetime(2026, 11, 14, 9, tzinfo=UTC)).replace(minute=number)
        for fact in read_dossier_call(call, told, f"m{number}").facts:
            known = [each for each in found.values() if each.key == fact.key and each.milestone in WAITS + RESUMES]
            placed = place_wait(known, fact) if fact.milestone in (WAITING, RESUMED) else fact
            if placed is not None:
                _ = found.setdefault((placed.key, placed.milestone), placed)
    return tuple(found.values())


def example() -> Iterator[bytes]:
    for code, channel, level, received, due, ended, status, more in [line for line in LINES if len(line) == 8]:
        told = dict(each.split() for each in more.split(", ") if each)
        yield sync(
            hoso(
                code,
                KenhThucHien=channel or None,
                MucDoTrucTuyen=level or None,
                NgayTiepNhan=written(received),
                NgayHenTra=written(due),
                NgayKetThucXuLy=written(ended) if ended else None,
                TrangThaiHoSo=status,
                **{name: written(value) if "/" in value else value for name, value in told.items()},
            )
        )


FACTS = read(*example())


def counted(facts: tuple[Fact, ...] = FACTS, books: ClosedMonths = OPEN, form: Form = BTP07A) -> Report:
    return count_report(form, facts, NOVEMBER, AFTER, (UNIT,), books)


def cells(*calls: bytes, at: datetime | None = None) -> dict[str, int]:
    """Return the cells of 07a that are not 0, by what *calls* tell."""
    found = counted(read(*calls, at=at)).total.numbers
    return {key: int(number) for key, number in found.items() if number}


def test_07a_counts_the_example_as_it_was_worked_out_by_hand():
    by_hand = [line for line in LINES if len(line) == 3]
    assert len(by_hand) == len(BTP07A.columns) == 28
    report = counted()
    assert not report.findings
    assert {KEYS[column]: number for column, number, _ in by_hand} == {
        key: str(number) for key, number in report.total.numbers.items()
    }
    for column, _, dossiers in by_hand:
        if "+" not in dossiers:
            found = find_counted_facts(BTP07A, KEYS[column], FACTS, NOVEMBER, AFTER, (UNIT,))
            assert sorted(fact.key for fact in found) == dossiers.split(), f"column {column} opens into its dossiers"


def test_the_page_lists_the_columns_of_both_forms_under_their_numbers():
    for form, title in ((BTP07A, "Form 07a/BTP"), (TTHC, "Form A")):
        listed = [(number, key.strip("`")) for number, key, _ in rows(PAGE[title])]
        assert listed == [(str(number), column.key) for number, column in enumerate(form.columns, form.first_number)]


def test_the_three_tables_agree_on_what_was_settled_and_what_is_in_hand():
    seven, six = counted().total.numbers, counted(form=II06A).total.numbers
    for key in ("received", "carried_over", "settled", "pending", "pending_in_time", "pending_overdue", "taken_over"):
        assert seven[key] == six[key]
    taken = deriving.derive_numbers(TTHC, UNIT, {"btp07a": {UNIT: seven}})
    table = deriving.derive_row_numbers(TTHC, taken)
    assert table["settled"] == seven["settled"]
    assert table["received_online"] == six["received_online"] == 5
    known = {number: key.strip("`") for number, key, _ in rows(PAGE["Form 07a/BTP"])}
    for _, key, counts in rows(PAGE["Form A"]):
        if counts.endswith("of 07a"):
            assert table[key.strip("`")] == seven[known[counts.split()[0]]]


def test_a_province_that_counts_what_waits_by_its_due_day_does_so_in_both_tables():
    chosen = dict.fromkeys(("btp07a", "ii06a"), "waiting-by-due-day")
    seven, six = (choose_form(read_form_folder(rule_sets=chosen), name, NOVEMBER) for name in ("btp07a", "ii06a"))
    table, other = counted(form=seven).total.numbers, counted(form=six).total.numbers
    assert (table["pending_in_time"], table["pending_overdue_unapologised"]) == (1, 3), "10 is paused, and past its day"
    assert (table["pending_in_time"], table["pending_overdue"]) == (other["pending_in_time"], other["pending_overdue"])


def test_a_stock_that_asks_for_a_milestone_alone_finds_it_and_carries_on_what_has_none_yet():
    column = BTP07A.column("pending_overdue_apologised")
    alone = attrs.evolve(BTP07A, columns=(column,), checks=(), charts=(), manual=())
    carried = set[tuple[str, str]]()
    placed = list(place_facts(alone, FACTS, NOVEMBER, AFTER, (UNIT,), OPEN, carried))
    assert [fact.key for _, fact in placed] == ["07"]
    assert {key for _, key in carried} >= {"07", "08", "13"}, "a letter of next month finds them"


class TestTheLetterOfApology:
    LATE = hoso("1", NgayTiepNhan=written("16/10"), NgayHenTra=written("20/10"))

    def test_that_is_known_only_after_the_closing_leaves_the_closed_month_as_it_is(self):
        ended = {**self.LATE, "TrangThaiHoSo": "9", "NgayKetThucXuLy": written("22/10")}
        first = read(sync(ended), at=datetime(2026, 10, 22, 10, tzinfo=UTC))
        letter = read(sync(ended | {"NgayThuXinLoi": written("23/10")}), at=datetime(2026, 11, 20, tzinfo=UTC))
        known = {(fact.key, fact.milestone) for fact in first}
        facts = first + tuple(fact for fact in letter if (fact.key, fact.milestone) not in known)
        books = ClosedMonths((ClosedMonth(NOVEMBER, datetime(2026, 11, 16, 8, tzinfo=UTC)),))
        closed, still_open = counted(facts, books).total.numbers, counted(facts).total.numbers
        assert (closed["settled_late_apologised"], closed["settled_late_unapologised"]) == (0, 1)
        assert (still_open["settled_late_apologised"], still_open["settled_late_unapologised"]) == (1, 0)

    def test_moves_no_due_day(self):
        told = cells(sync({**self.LATE, "TrangThaiHoSo": "4", "NgayThuXinLoi": written("20/10")}))
        assert told["pending_overdue_apologised"] == 1
        assert "pending_in_time" not in told

    def test_of_a_dossier_that_ended_in_time_is_in_no_column(self):
        ended = hoso("1", NgayTiepNhan=written("16/10"), NgayHenTra=written("20/10"), TrangThaiHoSo="9",
                     NgayKetThucXuLy=written("20/10"), NgayThuXinLoi=written("20/10"))  # fmt: skip
        assert cells(sync(ended)).keys() == {"received", "received_online_other", "settled", "settled_in_time"}


class TestWhatWaitsToBeTakenOn:
    HANDED_IN = hoso("1", TrangThaiHoSo="1", NgayTiepNhan=written("10/11"), HanTiepNhan=written("12/11"))

    def test_is_overdue_from_the_day_after_its_due_day_and_gone_once_it_is_received(self):
        assert cells(sync(self.HANDED_IN)) == {"awaiting": 1, "awaiting_overdue": 1}
        received = {**self.HANDED_IN, "TrangThaiHoSo": "2", "NgayTiepNhan": written("13/11")}
        for calls in ((self.HANDED_IN, received), (received, self.HANDED_IN)):
            told = cells(*(sync(each) for each in calls))
            assert told == {"received": 1, "received_online_other": 1, "pending": 1, "pending_in_time": 1}

    def test_is_in_time_on_its_due_day_and_without_one(self):
        for due in (written("14/11"), None):
            told = cells(sync(hoso("1", TrangThaiHoSo="1", NgayTiepNhan=written("10/11"), HanTiepNhan=due)))
            assert told == {"awaiting": 1, "awaiting_in_time": 1}

    def test_is_gone_when_it_is_refused_which_is_not_the_same_as_given_back(self):
        refused = {**self.HANDED_IN, "TrangThaiHoSo": "3"}
        assert cells(sync(self.HANDED_IN), sync(refused)) == {"refused": 1}
        given_back = cells(sync({**self.HANDED_IN, "TrangThaiHoSo": "2"}), sync(refused))
        assert given_back["settled_in_time"] == 1
        assert "refused" not in given_back

    def test_waited_before_its_receipt_if_only_the_receipt_was_told(self):
        """NgayNop of a later message says so: at the end of the month before it was not taken on."""
        later = hoso("1", TrangThaiHoSo="2", NgayNop=written("13/11"), NgayTiepNhan=written("16/11"))
        assert cells(sync(later)) == {"awaiting": 1, "awaiting_in_time": 1}

    def test_a_step_tells_it_too(self):
        assert cells(progress(tiendo("1", "1", written("10/11")))) == {"awaiting": 1, "awaiting_in_time": 1}


@pytest.mark.parametrize(
    ("fields", "paid"),
    [
        ({"DuocThanhToanTrucTuyen": "1", "TrangThaiThanhToan": "1"}, "paid_online"),
        ({"TrangThaiThanhToan": "1"}, "paid_direct"),
        ({"DuocThanhToanTrucTuyen": "0", "TrangThaiThanhToan": "1"}, "paid_direct"),
        ({"DuocThanhToanTrucTuyen": "0", "TrangThaiThanhToan": "0"}, None),
    ],
    ids=["online", "paid", "paid and not online", "not paid"],
)
def test_a_payment_counts_once_on_the_day_of_the_payment(fields, paid):
    told = sync(hoso("1", NgayTiepNhan=written("16/10"), NgayThanhToan=written("14/11"), **fields))
    found = {key for key in cells(told) if key.startswith("paid")}
    assert found == ({"paid", paid} if paid else set())
    on_next_day = sync(hoso("1", NgayTiepNhan=written("16/10"), NgayThanhToan=written("15/11"), **fields))
    assert not [key for key in cells(on_next_day) if key.startswith("paid")]


def test_a_level_that_the_list_does_not_have_is_tolerated_and_counts_as_another_way():
    call = sync(hoso("1", NgayTiepNhan=written("16/10"), MucDoTrucTuyen="9"))
    record = read_dossier_call(call, AFTER, "m")
    assert [each.code for each in record.deviations] == ["R.HoSo[1].MucDoTrucTuyen"]
    assert cells(call)["received_online_other"] == 1


def test_facts_of_a_receipt_say_the_level_and_that_it_was_for_another_place():
    number = count()
    for level, place, attributes in (
        ("4", "1", {"level": "full", "place": "elsewhere"}),
        ("3", "0", {"level": "partial"}),
        (None, None, {}),
    ):
        call = sync(hoso(f"{next(number)}", MucDoTrucTuyen=level, PhiDiaGioi=place))
        (received,) = [each for each in read_dossier_call(call, AFTER, "m").facts if each.milestone == "received"]
        told = dict(received.attributes)
        assert {name: told[name] for name in ("level", "place") if name in told} == attributes
        assert received.day == date(2026, 11, 20)
