"""Which days a reporting period has, and which period a moment falls in (standards 4.2)."""

import pickle
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.report.form.period import (
    CutOff,
    Cuts,
    PeriodUnreadable,
    find_following_month,
    find_month_containing,
    parse_period,
)

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
MONTHS = st.builds(lambda year, month: f"{year}-{month:02d}", st.integers(2001, 2998), st.integers(1, 12))
CUTS = st.lists(st.integers(1, 28), min_size=1, max_size=3).map(
    lambda days: Cuts((CutOff(days[0]), *(CutOff(day, date(2010 + 10 * n, 5, 1)) for n, day in enumerate(days[1:]))))
)


@pytest.mark.parametrize(
    ("text", "first", "last", "name", "english"),
    [
        ("2026-11", "2026-10-15", "2026-11-14", "Tháng 11 năm 2026", "November 2026"),
        ("2026-01", "2025-12-15", "2026-01-14", "Tháng 1 năm 2026", "January 2026"),
        ("2026-03", "2026-02-15", "2026-03-14", "Tháng 3 năm 2026", "March 2026"),
        ("2026-Q1", "2025-12-15", "2026-03-14", "Quý I năm 2026", "Quarter 1 of 2026"),
        ("2026-Q4", "2026-09-15", "2026-12-14", "Quý IV năm 2026", "Quarter 4 of 2026"),
        ("2026-H1", "2025-12-15", "2026-06-14", "6 tháng đầu năm 2026", "First half of 2026"),
        ("2026-H2", "2026-06-15", "2026-12-14", "6 tháng cuối năm 2026", "Second half of 2026"),
        ("2026-9M", "2025-12-15", "2026-09-14", "9 tháng đầu năm 2026", "First nine months of 2026"),
        ("2026", "2025-12-15", "2026-12-14", "Năm 2026", "Year 2026"),
    ],
)
def test_each_kind_of_period_has_the_days_of_the_circular(text, first, last, name, english):
    period = parse_period(text)
    assert (period.text, period.first.isoformat(), period.last.isoformat()) == (text, first, last)
    assert (period.name(), period.name(Language.EN)) == (name, english)


def test_a_period_begins_and_ends_at_midnight_in_hanoi():
    period = parse_period("2026-11")
    assert period.start == datetime(2026, 10, 14, 17, tzinfo=UTC)
    assert period.end == datetime(2026, 11, 14, 17, tzinfo=UTC)


def test_a_result_of_24_november_2026_belongs_to_2026_12():
    assert find_month_containing(datetime(2026, 11, 24, 8, tzinfo=UTC)).text == "2026-12"


def test_the_15th_begins_the_next_period_and_december_leads_into_the_next_year():
    assert find_month_containing(datetime(2026, 11, 14, 23, 59, 59, tzinfo=HANOI)).text == "2026-11"
    assert find_month_containing(datetime(2026, 11, 15, tzinfo=HANOI)).text == "2026-12"
    assert find_month_containing(datetime(2026, 12, 15, tzinfo=HANOI)).text == "2027-01"


def test_small_letters_and_spaces_around_are_read():
    assert parse_period(" 2026-q4 ").text == "2026-Q4"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "26-11",
        "2026-13",
        "2026-00",
        "2026-1",
        "2026-Q5",
        "2026-Q0",
        "2026-H3",
        "2026-6M",
        "1999",
        "2026-11-24",
        "٢٠٢٦",
        "x2026",
    ],
)
def test_any_other_text_is_refused_with_a_sentence_in_both_languages(text):
    with pytest.raises(PeriodUnreadable, match=r"The period .* cannot be read") as refused:
        parse_period(text)
    said = translate(refused.value.said, Language.VI)
    assert said.startswith(f"Kỳ báo cáo “{text}” không đọc được; hãy ghi như 2026-11")
    assert isinstance(refused.value, ValueError)
    assert refused.value.text == text
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


@given(MONTHS, CUTS)
def test_each_month_begins_where_the_one_before_it_ends_whatever_the_cuts(text, cuts):
    period = parse_period(text, cuts)
    before = find_month_containing(period.start - timedelta(microseconds=1), cuts)
    assert before.end == period.start < period.end
    assert (
        find_month_containing(period.start, cuts)
        == find_month_containing(period.end - timedelta(microseconds=1), cuts)
        == period
    )


@given(st.integers(2001, 2998), CUTS)
def test_longer_periods_are_made_of_whole_months(year, cuts):
    def months(first: int, last: int):
        return (parse_period(f"{year}-{first:02d}", cuts).start, parse_period(f"{year}-{last:02d}", cuts).end)

    def bounds(kind: str):
        period = parse_period(f"{year}{kind}", cuts)
        return period.start, period.end

    assert [bounds(f"-Q{quarter}") for quarter in (1, 2, 3, 4)] == [months(3 * n - 2, 3 * n) for n in (1, 2, 3, 4)]
    assert [bounds(kind) for kind in ("-H1", "-H2", "-9M", "")] == [
        months(1, 6),
        months(7, 12),
        months(1, 9),
        months(1, 12),
    ]


def test_a_cut_off_holds_from_the_month_of_its_date():
    cuts = Cuts((CutOff(25), CutOff(15, date(2026, 3, 1))))
    assert (parse_period("2026-02", cuts).first, parse_period("2026-02", cuts).last) == (
        date(2026, 1, 25),
        date(2026, 2, 24),
    )
    assert (parse_period("2026-03", cuts).first, parse_period("2026-03", cuts).last) == (
        date(2026, 2, 25),
        date(2026, 3, 14),
    )


def test_cut_off_day_1_means_calendar_months():
    november = parse_period("2026-11", Cuts((CutOff(1),)))
    assert (november.first, november.last) == (date(2026, 11, 1), date(2026, 11, 30))
    december = parse_period("2026", Cuts((CutOff(1),)))
    assert (december.first, december.last) == (date(2026, 1, 1), date(2026, 12, 31))


def test_a_cut_off_that_some_months_do_not_have_cannot_be_made():
    with pytest.raises(ValueError, match="expected 1 to 28"):
        CutOff(29)


def test_a_month_before_the_first_cut_off_is_told_plainly():
    with pytest.raises(ValueError, match="no cut-off day is in force in 2025-12"):
        parse_period("2026-01", Cuts((CutOff(15, date(2026, 1, 1)),)))


@st.composite
def closed_and_changed(draw):
    """A run of months that were closed by one list of cut-off days, and the list that holds now, whatever it says of the past."""
    before, now = draw(CUTS), draw(CUTS)
    month = parse_period(f"{draw(st.integers(2005, 2025))}-{draw(st.integers(1, 12)):02d}", before)
    closed = [month]
    for _ in range(draw(st.integers(0, 30))):
        closed.append(find_following_month(closed[-1], before))
    return closed, now.keeping(closed)


@given(closed_and_changed(), st.integers(1, 24))
def test_after_a_change_of_the_cut_off_months_join_without_gap_or_overlap_and_closed_ones_stay(drawn, around):
    closed, cuts = drawn
    assert [parse_period(month.text, cuts) for month in closed] == closed, "what is closed keeps its days"
    month = parse_period(closed[0].text, cuts)
    for _ in range(around):
        month = find_month_containing(month.start - timedelta(microseconds=1), cuts)
    names = [month.text]
    for _ in range(around + len(closed) + around):
        after = find_following_month(month, cuts)
        assert month.first <= month.last
        assert after.first == month.last + timedelta(days=1)
        assert (after.year * 12 + after.number) - (month.year * 12 + month.number) == 1
        assert (
            find_month_containing(after.start, cuts)
            == find_month_containing(after.end - timedelta(microseconds=1), cuts)
            == after
        )
        assert parse_period(after.text, cuts) == after
        month = after
        names.append(after.text)
    assert len(set(names)) == len(names), "no month comes twice"


@given(closed_and_changed())
def test_longer_periods_begin_and_end_with_their_months_though_some_were_closed_by_another_cut_off(drawn):
    closed, cuts = drawn
    for kind, count in (("-Q1", 3), ("-Q2", 3), ("-Q3", 3), ("-Q4", 3), ("-H1", 6), ("-H2", 6), ("-9M", 9), ("", 12)):
        span = parse_period(f"{closed[-1].year}{kind}", cuts)
        months = [parse_period(text, cuts) for text in span.months]
        assert len(months) == count
        assert (span.first, span.last) == (months[0].first, months[-1].last)


def test_the_first_month_under_an_earlier_cut_off_is_shorter_and_under_a_later_one_longer():
    def days(before: int, now: int) -> tuple[str, str]:
        closed = parse_period("2026-10", Cuts((CutOff(before),)))
        november = find_following_month(closed, Cuts((CutOff(now),)).keeping([closed]))
        return november.first.isoformat(), november.last.isoformat()

    assert days(25, 15) == ("2026-10-25", "2026-11-14")
    assert days(15, 25) == ("2026-10-15", "2026-11-24")
    assert days(1, 2) == ("2026-11-01", "2026-11-01"), "never without a day"
    assert days(2, 1) == ("2026-10-02", "2026-11-30")


def test_the_month_before_the_first_closed_one_leads_up_to_it():
    closed = parse_period("2026-11", Cuts((CutOff(25),)))
    cuts = Cuts().keeping([closed])
    assert parse_period("2026-10", cuts).last == date(2026, 10, 24)
    assert parse_period("2026-10", cuts).first == date(2026, 9, 15)
    assert find_month_containing(datetime(2026, 10, 20, tzinfo=HANOI), cuts).text == "2026-10"
