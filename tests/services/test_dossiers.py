"""What one-stop offices tell of dossiers, and the facts that each message shows (docs/reference/dossiers.md)."""

import contextlib
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Fact
from hub.services import list_services
from hub.services.dossiers import SERVICE, history, online, read_dossier_call
from hub.services.dossiers.codes import load_dossier_codes
from hub.services.dossiers.item import NAMESPACE
from hub.services.dossiers.waits import RESUMED, RESUMES, WAITING, WAITS, place_wait
from hub.soap import wsdl
from tests.conftest import ROOT
from tests.dossiers import hoso, progress, statistic, sync, tiendo
from tests.pages import quoted, rows, sections

NOON = datetime(2026, 11, 30, 5, tzinfo=UTC)
CODE = "H55.13-261120-0001"
PAGE = ROOT / "docs/reference/dossiers.md"


def told(content, at=NOON):
    """Return the milestones of a message, each with its day and due date, without what it says of waits."""
    return {fact.milestone: (fact.day, fact.due) for fact in reached(read_dossier_call(content, at, "m").facts)}


def reached(facts):
    """Return *facts* without what they say of waits, which what was told before decides, and without the days of work."""
    return [fact for fact in facts if fact.milestone not in (WAITING, RESUMED, online.DAYS)]


def waits(*contents):
    """Return the waits of dossiers as these messages tell of them, a day between: milestone, day and reason."""
    kept: dict[str, list[Fact]] = {}
    for number, content in enumerate(contents):
        for fact in read_dossier_call(content, NOON + timedelta(days=number), "m").facts:
            if fact.milestone in (WAITING, RESUMED):
                placed = place_wait(kept.setdefault(fact.key, []), fact)
                kept[fact.key] += [placed] if placed else []
    facts = [fact for each in kept.values() for fact in each]
    return [(fact.milestone, fact.day and fact.day.day, dict(fact.attributes).get("reason")) for fact in facts]


def refused(content):
    with pytest.raises(Rejected) as rejected:
        read_dossier_call(content, NOON, "m")
    return [(problem.code, str(problem.detail)) for problem in rejected.value.problems]


def deviations(content):
    return [problem.code for problem in read_dossier_call(content, NOON, "m").deviations]


NOVEMBER = {day: date(2026, 11, day) for day in range(1, 31)}
DUE = NOVEMBER[27]


# --- SyncDossiers ---------------------------------------------------------------------------------------------------------


def test_a_batch_names_its_unit_and_its_dossiers_and_each_fact_carries_what_is_counted_by():
    record = read_dossier_call(sync(hoso(), hoso("2")), NOON, "m-1")
    assert (record.kind, record.sender, record.keys, record.subject) == ("dossiers", "H55.13", (CODE, "2"), "2 hồ sơ")
    fact = record.facts[0]
    assert (fact.unit, fact.service, fact.key, fact.milestone) == ("H55.13", "dossiers", CODE, "received")
    assert (fact.at, fact.message, fact.day, fact.due, fact.amount) == (NOON, "m-1", NOVEMBER[20], DUE, 1)
    assert dict(fact.attributes) == {
        "applicant": "citizen", "channel": "online", "field": "CT", "field_name": "Chứng thực", "procedure": "2.000815.000.00.00.H55",
    }  # fmt: skip
    assert list(fact.attributes) == sorted(fact.attributes)


ENDED = {"NgayKetThucXuLy": "20261125160000", "NgayTra": "20261126090000"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("2", {"received": NOVEMBER[20]}),
        ("3", {"refused": NOVEMBER[25]}),
        ("4", {"received": NOVEMBER[20]}),
        ("5", {"received": NOVEMBER[20], "supplement-requested": None}),
        ("6", {"received": NOVEMBER[20], "payment-requested": None}),
        ("7", {"received": NOVEMBER[20], "finished": NOVEMBER[25], "withdrawn": NOVEMBER[25]}),
        ("8", {"received": NOVEMBER[20], "paused": None}),
        ("9", {"received": NOVEMBER[20], "finished": NOVEMBER[25]}),
        ("10", {"received": NOVEMBER[20], "finished": NOVEMBER[25], "returned": NOVEMBER[26]}),
    ],
)
def test_each_status_shows_all_that_a_dossier_in_it_has_reached(status, expected):
    found = told(sync(hoso(TrangThaiHoSo=status, **ENDED)))
    assert found == {milestone: (day, DUE) for milestone, day in expected.items()}


def test_what_was_only_handed_in_shows_that_it_was_with_the_day_until_which_it_must_be_taken_on():
    assert told(sync(hoso(TrangThaiHoSo="1", **ENDED))) == {"registered": (NOVEMBER[20], None)}
    stated = hoso(
        TrangThaiHoSo="1", NgayNop="20261119235900", HanTiepNhan="20261121080000", NgayThuXinLoi="20261122080000"
    )
    assert told(sync(stated)) == {"registered": (NOVEMBER[19], NOVEMBER[21])}
    later = told(sync({**stated, "TrangThaiHoSo": "4"}))
    assert later["registered"] == (NOVEMBER[19], NOVEMBER[21])
    assert later["apologised"] == (NOVEMBER[22], None)


def test_work_that_ended_by_withdrawal_is_told_apart_from_work_that_was_done():
    def outcome(status):
        facts = read_dossier_call(sync(hoso(TrangThaiHoSo=status, **ENDED)), NOON, "m").facts
        return {dict(fact.attributes).get("outcome") for fact in facts if fact.milestone == "finished"}

    assert (outcome("7"), outcome("9"), outcome("10")) == ({"withdrawn"}, {"done"}, {"done"})


def test_the_day_of_the_end_is_that_of_the_return_where_only_that_is_told():
    assert told(sync(hoso(TrangThaiHoSo="9", NgayTra="20261126090000")))["finished"][0] == NOVEMBER[26]
    assert told(sync(hoso(TrangThaiHoSo="10", NgayKetThucXuLy="20261125000000")))["returned"][0] == NOVEMBER[25]
    assert told(sync(hoso(TrangThaiHoSo="3")))["refused"][0] == NOVEMBER[20], "it was not taken on the day it came"


def test_days_are_those_of_hanoi_as_written():
    assert told(sync(hoso(NgayTiepNhan="20261119235959")))["received"][0] == NOVEMBER[19]


def test_requests_for_more_papers_are_told_by_their_list_the_second_apart_from_the_first():
    first = {
        "HoSoBoSungId": "1", "NgayBoSung": "20261121080000", "NgayTiepNhanBoSung": "20261123080000",
        "NgayHenTraTruoc": "20261127170000", "NgayHenTraMoi": "20261129170000",
    }  # fmt: skip
    found = told(sync(hoso(DanhSachHoSoBoSung=[first])))
    assert found == {
        "received": (NOVEMBER[20], DUE),
        "supplement-requested": (NOVEMBER[21], NOVEMBER[29]),
        "supplemented": (NOVEMBER[23], NOVEMBER[29]),
    }
    second = {"HoSoBoSungId": "2", "NgayBoSung": "20261124080000"}
    found = told(sync(hoso(TrangThaiHoSo="5", DanhSachHoSoBoSung=[first, second, second])))
    assert found["supplement-requested"] == (NOVEMBER[21], NOVEMBER[29]), "the list knows the day, the status does not"
    assert found["supplement-requested-again"] == (NOVEMBER[24], DUE)
    assert "supplemented-again" not in found
    third = {"NgayBoSung": "20261122080000", "NgayTiepNhanBoSung": "20261122080000"}
    assert told(sync(hoso(TrangThaiHoSo="5", DanhSachHoSoBoSung=[first, second, third]))) == found, (
        "the first two count"
    )


@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        ({"TrangThaiHoSo": "11"}, "R.HoSo[2].TrangThaiHoSo", "11 is none of the statuses 1 2 3 4 5 6 7 8 9 10"),
        ({"MaHoSo": "2"}, "M.HoSo[2].MaHoSo", "another HoSo of this call has it"),
        ({"MaHoSo": " "}, "N.HoSo[2].MaHoSo", "it is empty"),
        ({"NgayTiepNhan": "20260230080000"}, "T.HoSo[2].NgayTiepNhan", "20260230080000 is no yyyyMMddHHmmss"),
        ({"NgayTiepNhan": None}, "N.HoSo[2].NgayTiepNhan", "it is empty"),
        ({"NgayHenTra": "20261127250000"}, "T.HoSo[2].NgayHenTra", "20261127250000 is no yyyyMMddHHmmss"),
        (
            {"NgayTiepNhan": "10011120083000"},
            "R.HoSo[2].NgayTiepNhan",
            "1001-11-20 is not from 2000-01-01 to 2036-12-31",
        ),
        (
            {"NgayHenTra": "22061127170000"},
            "R.HoSo[2].NgayHenTra",
            "2206-11-27 is not from 2000-01-01 to 2036-12-31",
        ),
        ({"TrangThaiHoSo": "9"}, "N.HoSo[2].NgayKetThucXuLy", "TrangThaiHoSo is 9"),
        (
            {"TrangThaiHoSo": "9", "NgayKetThucXuLy": "20261119235959"},
            "M.HoSo[2].NgayKetThucXuLy",
            "2026-11-19 is before NgayTiepNhan, 2026-11-20",
        ),
        (
            {"TrangThaiHoSo": "10", "NgayTra": "20261119235959"},
            "M.HoSo[2].NgayTra",
            "2026-11-19 is before NgayTiepNhan, 2026-11-20",
        ),
        (
            {"DanhSachHoSoBoSung": [{"NgayBoSung": "20269999000000"}]},
            "T.HoSo[2].DanhSachHoSoBoSung[1].NgayBoSung",
            "20269999000000 is no yyyyMMddHHmmss",
        ),
    ],
)
def test_what_nobody_could_count_is_refused_with_its_place(changes, code, detail):
    second = hoso(**{"MaHoSo": "3", **changes})
    assert refused(sync(hoso("2"), second)) == [(code, f"{str(second['MaHoSo']).strip()}: {detail}".removeprefix(": "))]


def test_every_mistake_of_a_batch_is_told_at_once():
    batch = sync(hoso(TrangThaiHoSo="x"), hoso("2", NgayTiepNhan="1"), hoso("2", TrangThaiHoSo="7"))
    assert [code for code, _ in refused(batch)] == [
        "R.HoSo[1].TrangThaiHoSo", "T.HoSo[2].NgayTiepNhan", "M.HoSo[3].MaHoSo", "N.HoSo[3].NgayKetThucXuLy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MaTTHC": "CT-01"}, "R.HoSo[1].MaTTHC"),
        ({"KenhThucHien": "9"}, "R.HoSo[1].KenhThucHien"),
        ({"LoaiDoiTuong": "0"}, "R.HoSo[1].LoaiDoiTuong"),
        ({"NgayHenTra": "20261119170000"}, "M.HoSo[1].NgayHenTra"),
        ({"NgayTiepNhan": "20261201000000", "NgayHenTra": "20261202000000"}, "R.HoSo[1].NgayTiepNhan"),
        ({"TrangThaiHoSo": "9", "NgayKetThucXuLy": "20261201000000"}, "R.HoSo[1].NgayKetThucXuLy"),
    ],
)
def test_what_is_odd_and_can_be_counted_is_taken_and_noted(changes, code):
    assert deviations(sync(hoso(**changes))) == [code]
    assert "received" in told(sync(hoso(**changes)))


def test_of_a_batch_that_is_wrong_throughout_fifty_problems_are_told():
    many = [hoso(str(number), MaTTHC="x") for number in range(60)]
    assert len(deviations(sync(*many))) == 50
    assert len(refused(sync(*(each | {"TrangThaiHoSo": "x"} for each in many)))) == 50


@pytest.mark.parametrize("code", ["1.005129", "2.000815", "2.000815.000.00.00.H55", "3.000001"])
def test_a_procedure_code_of_either_published_form_is_no_deviation(code):
    assert deviations(sync(hoso(MaTTHC=code))) == []


def test_a_channel_that_is_not_told_or_not_known_is_none():
    for changes in ({"KenhThucHien": None}, {"KenhThucHien": "9"}, {"KenhThucHien": ""}):
        (fact,) = reached(read_dossier_call(sync(hoso(**changes)), NOON, "m").facts)
        assert "channel" not in dict(fact.attributes)


# --- UpdateDossierProgress ------------------------------------------------------------------------------------------------


def test_a_step_dates_what_it_brings_its_dossier_to_and_never_tells_of_the_receipt():
    record = read_dossier_call(
        progress(tiendo(status="2"), tiendo("2", "5"), tiendo("3", "10", "20261122080000")), NOON, "m"
    )
    assert (record.kind, record.keys) == ("progress", (CODE, "2", "3"))
    assert {(fact.key, fact.milestone, fact.day, fact.due) for fact in reached(record.facts)} == {
        ("2", "supplement-requested", NOVEMBER[21], None),
        ("3", "finished", NOVEMBER[22], None),
        ("3", "returned", NOVEMBER[22], None),
    }


def test_several_steps_of_one_dossier_in_one_call_count_the_earliest_once():
    late, early = tiendo(status="8", at="20261124080000"), tiendo(status="8", at="20261122080000")
    assert told(progress(late, early)) == {"paused": (NOVEMBER[22], None)}
    assert read_dossier_call(progress(late, early), NOON, "m").keys == (CODE,)


def test_a_step_that_cannot_be_counted_is_refused_and_one_of_tomorrow_noted():
    wrong = progress(tiendo(status="99"), tiendo(at="20261301000000"), tiendo(" "), tiendo(at=""))
    assert [code for code, _ in refused(wrong)] == [
        "R.TienDo[1].TrangThai", "T.TienDo[2].ThoiDiemXuLy", "N.TienDo[3].MaHoSo", "N.TienDo[4].ThoiDiemXuLy",
    ]  # fmt: skip
    assert deviations(progress(tiendo(at="20261201000000"))) == ["R.TienDo[1].ThoiDiemXuLy"]


# --- waits ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "reason"), [("5", "papers"), ("6", "payment"), ("8", "paused")])
def test_a_dossier_waits_from_these_statuses_until_one_says_that_work_goes_on(status, reason):
    waiting, working = sync(hoso(TrangThaiHoSo=status)), sync(hoso(TrangThaiHoSo="4"))
    assert waits(working, waiting, waiting, working, working) == [
        ("waiting-1", None, reason),
        ("resumed-1", None, None),
    ]
    assert [name for name, *_ in waits(waiting, working, waiting)] == ["waiting-1", "resumed-1", "waiting-2"]
    assert waits(sync(hoso(TrangThaiHoSo="1")), sync(hoso(TrangThaiHoSo="3"))) == []


def test_a_wait_for_papers_begins_on_the_day_of_the_request_that_is_not_answered():
    answered = {"NgayBoSung": "20261121080000", "NgayTiepNhanBoSung": "20261122080000"}
    asked_again = {"NgayBoSung": "20261123080000"}
    assert waits(sync(hoso(TrangThaiHoSo="5", DanhSachHoSoBoSung=[answered, asked_again]))) == [
        ("waiting-1", 23, "papers")
    ]
    assert waits(sync(hoso(TrangThaiHoSo="5", DanhSachHoSoBoSung=[answered]))) == [("waiting-1", None, "papers")]


def test_steps_of_one_call_begin_and_end_waits_in_the_order_of_their_days():
    steps = [tiendo(status=code, at=f"202611{day}080000") for code, day in (("4", 23), ("6", 22), ("8", 25), ("2", 21))]
    assert waits(progress(*steps)) == [
        ("waiting-1", 22, "payment"),
        ("resumed-1", 23, None),
        ("waiting-2", 25, "paused"),
    ]


def test_a_step_of_an_earlier_day_than_the_last_change_changes_nothing():
    waiting, before = progress(tiendo(status="6", at="20261123080000")), progress(tiendo(at="20261122080000"))
    assert [name for name, *_ in waits(waiting, before)] == ["waiting-1"]


def test_three_waits_of_a_dossier_are_recorded():
    pair = [sync(hoso(TrangThaiHoSo="8")), sync(hoso(TrangThaiHoSo="4"))]
    assert [name for name, *_ in waits(*pair * 7)] == [
        name for both in zip(WAITS, RESUMES, strict=True) for name in both
    ]


# --- SubmitStatistic ------------------------------------------------------------------------------------------------------


def test_a_declared_month_is_amounts_under_milestones_of_their_own():
    record = read_dossier_call(statistic(), NOON, "m")
    assert (record.kind, record.sender, record.keys, record.subject) == ("statistic", "H55.13", (), "2026-11")
    assert {fact.milestone: fact.amount for fact in record.facts} == {
        "declared-received": 40, "declared-carried-over": 2, "declared-in-time": 28, "declared-late": 2,
        "declared-pending": 12, "declared-pending-late": 0,
    }  # fmt: skip
    assert {(fact.key, fact.day) for fact in record.facts} == {("2026-11", NOVEMBER[1])}
    assert not {fact.milestone for fact in record.facts} & set(told(sync(hoso(TrangThaiHoSo="10", **ENDED))))


def test_sums_that_do_not_add_up_are_noted_and_another_units_numbers_refused():
    assert deviations(statistic(Total="43", TotalPending="1")) == [
        "M.MStatistic[1].Total",
        "M.MStatistic[1].TotalPending",
    ]
    (problem,) = refused(statistic(OrganizationInchargeIdlevel1="H55.14"))
    assert problem == ("M.MStatistic[1].OrganizationInchargeIdlevel1", "Sở Tài nguyên: H55.14, but OrganId is H55.13")
    assert deviations(statistic(OrganizationInchargeIdlevel1=None)) == []


def test_numbers_that_are_not_of_a_month_are_kept_and_not_counted():
    assert read_dossier_call(statistic(IsMonthStatistic="false"), NOON, "m").facts == ()
    assert deviations(statistic(IsMonthStatistic="0")) == ["R.MStatistic[1].IsMonthStatistic"]


def test_numbers_that_are_none_are_refused():
    assert refused(statistic(SolvedLate="-1", Month="13")) == [
        ("T.MStatistic[1].SolvedLate", "Sở Tài nguyên: -1 is no number"),
        ("R.MStatistic[1].Month", "Sở Tài nguyên: 2026-13 is no month"),
    ]
    assert [code for code, _ in refused(statistic(Year="1026"))] == ["R.MStatistic[1].Year"]


# --- whatever the message -------------------------------------------------------------------------------------------------


def test_what_is_no_message_about_dossiers_is_refused_as_such():
    for content in (b"<edXML/>", f'<GetDossier xmlns="{NAMESPACE}"/>'.encode()):
        assert [code for code, _ in refused(content)] == ["contract-broken"]
    assert [code for code, _ in refused(b"<a")] == ["not-well-formed"]
    assert refused(f'<SyncDossiers xmlns="{NAMESPACE}"/>'.encode()) == [("N.SyncDossiers.OrganId", "it is empty")]


@given(
    st.sampled_from([sync(hoso(**ENDED), hoso("2")), progress(tiendo()), statistic()]),
    st.integers(0, 5000),
    st.binary(max_size=3) | st.sampled_from([b"9", b"0" * 14, b"<", b"-1"]),
)
def test_whatever_comes_is_read_or_refused(content, place, junk):
    place %= len(content)
    with contextlib.suppress(Rejected):
        read_dossier_call(content[:place] + junk + content[place + len(junk) :], NOON, "m")


def test_the_service_is_found_and_names_every_milestone_and_attribute_its_lists_use():
    assert list_services()["dossiers"] is SERVICE
    listed = frozenset[str]().union(*(status.milestones for status in load_dossier_codes().statuses.values()))
    assert listed < SERVICE.milestones
    assert SERVICE.synced in SERVICE.milestones


DAYS = st.integers(20, 28).map(lambda day: f"202611{day}100000")
STATES = st.builds(
    lambda code, status, end, papers: sync(
        hoso(code, TrangThaiHoSo=status, NgayKetThucXuLy=end, DanhSachHoSoBoSung=[{"NgayBoSung": end}] * papers)
    ),
    st.sampled_from("abc"),
    st.sampled_from(list(load_dossier_codes().statuses)),
    DAYS,
    st.integers(0, 3),
)
STEPS = st.builds(
    lambda code, status, at: progress(tiendo(code, status, at)),
    st.sampled_from("abc"),
    st.sampled_from(list(load_dossier_codes().statuses)),
    DAYS,
)


def recorded(contents):
    """Return the facts that are kept of messages that come in this order: the first of a key wins."""
    kept: dict[tuple[str, str, str], Fact] = {}
    for number, content in enumerate(contents):
        for fact in read_dossier_call(content, NOON + timedelta(minutes=number), f"m-{number}").facts:
            if fact.milestone not in (WAITING, RESUMED):
                kept.setdefault((fact.unit, fact.key, fact.milestone), fact)
    return kept


@given(st.lists(STATES | STEPS, max_size=8), st.randoms())
def test_the_order_in_which_messages_come_does_not_change_what_is_counted(contents, chance):
    mixed = chance.sample(contents, len(contents))
    assert recorded(contents).keys() == recorded(mixed).keys()


@given(st.lists(STATES | STEPS, max_size=6), st.randoms())
def test_a_repeated_message_changes_nothing(contents, chance):
    again = contents + [chance.choice(contents) for _ in contents]
    assert recorded(again) == recorded(contents)


@given(STATES | STEPS)
def test_every_fact_is_of_the_services_own_words_and_of_one_key_a_milestone(content):
    facts = read_dossier_call(content, NOON, "m").facts
    assert {fact.milestone for fact in facts} <= SERVICE.milestones | {WAITING, RESUMED}
    assert {name for fact in facts for name, _ in fact.attributes} <= SERVICE.attributes
    assert len({(fact.key, fact.milestone) for fact in reached(facts)}) == len(reached(facts))
    assert read_dossier_call(content, NOON, "m").facts == facts


# --- GetDossier -----------------------------------------------------------------------------------------------------------


def asked(*contents, code=CODE):
    messages = [
        history.AcceptedMessage(f"d-{number}", NOON + timedelta(hours=number), each)
        for number, each in enumerate(contents)
    ]
    random.Random(1).shuffle(messages)
    found = history.answer_get_dossier("H55.13", code, messages)
    if found is not None:
        wsdl.load_contract("dossiers").validate(etree.fromstring(etree.tostring(found)))
    return found


def leaves(element, path):
    steps = "/".join(f"{{{NAMESPACE}}}{name}" for name in path.split("/"))
    return [found.text for found in element.iterfind(steps)]


def test_a_dossiers_state_is_that_of_the_latest_message_with_every_message_in_its_history():
    found = asked(
        sync(hoso("other"), hoso(TrangThaiHoSo="2")),
        progress(tiendo(status="4"), tiendo("other")),
        sync(hoso("other")),
        sync(hoso(TrangThaiHoSo="9", **ENDED)),
        progress(tiendo(status="10", NoiDungXuLy="Trả tại quầy")),
    )
    assert (leaves(found, "OrganId"), leaves(found, "MaHoSo"), leaves(found, "TrangThai")) == (
        ["H55.13"],
        [CODE],
        ["10"],
    )
    assert leaves(found, "HoSo/TrangThaiHoSo") == ["9"]
    assert leaves(found, "HoSo/NgayKetThucXuLy") == [ENDED["NgayKetThucXuLy"]]
    assert leaves(found, "LichSu/LanCapNhat/DocumentId") == ["d-0", "d-1", "d-3", "d-4"]
    assert leaves(found, "LichSu/LanCapNhat/TrangThai") == ["2", "4", "9", "10"]
    assert leaves(found, "LichSu/LanCapNhat/Time")[0] == "2026-11-30T05:00:00.000000Z"
    assert leaves(found, "LichSu/LanCapNhat/TienDo/NoiDungXuLy") == ["Trả tại quầy"]


def test_a_dossier_of_which_only_steps_are_known_has_no_state_but_its_status():
    found = asked(progress(tiendo(status="5")))
    assert (leaves(found, "TrangThai"), leaves(found, "HoSo/MaHoSo")) == (["5"], [])


def test_of_a_dossier_nobody_told_of_there_is_nothing_to_say():
    assert asked(sync(hoso("other")), statistic()) is None
    assert asked() is None


# --- the page -------------------------------------------------------------------------------------------------------------


def test_the_reference_has_every_status_milestone_and_attribute():
    page = sections(PAGE)
    written = {quoted(row[0])[0]: (row[1], row[2], frozenset(quoted(row[3]))) for row in rows(page["Statuses"])}
    assert written == {
        code: (each.vi, each.en, each.milestones) for code, each in load_dossier_codes().statuses.items()
    }
    milestones = {name for row in rows(page["What is counted"]) for name in quoted(row[0])}
    assert milestones == SERVICE.milestones
    attributes = {quoted(row[0])[0] for row in rows(page["Attributes"])}
    assert attributes == SERVICE.attributes
