"""A list of units is read whole, and every mistake of it is named by its line."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.model import Unit, UnitMark
from hub.units.units_csv import COLUMNS, fits_unit_code, read_units_csv, write_units_csv
from tests.words import in_vietnamese

KNOWN = (Unit("H55", "Tỉnh", aliases=("000.00.00.H55",)), Unit("H55.1", "Văn phòng", "H55"))


def wrong(*lines: str, header: str = ",".join(COLUMNS)) -> list[str]:
    _, mistakes = read_units_csv("\n".join([header, *lines]).encode(), "u.csv", KNOWN)
    assert all(in_vietnamese(mistake.wrong) and in_vietnamese(mistake.expected) for mistake in mistakes)
    return [mistake.path for mistake in mistakes]


def test_a_unit_has_its_days_its_parent_and_its_other_codes() -> None:
    content = "code,name,parent,since,until,aliases\r\nH55.2,Sở A,H55,2025-07-01,2026-07-01,000.00.02.H55;02.H55\r\n"
    assert read_units_csv(content.encode("utf-8-sig"), "u.csv", KNOWN) == (
        [Unit("H55.2", "Sở A", "H55", date(2025, 7, 1), date(2026, 7, 1), ("000.00.02.H55", "02.H55"))],
        [],
    )


def test_a_parent_may_stand_below_its_child_in_the_file() -> None:
    assert wrong("H55.2.1,Phòng,H55.2,,,", "H55.2,Sở,H55,,,") == []


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (",Sở A,H55,,,", "code"),
        ("H55 2,Sở A,H55,,,", "code"),
        ("000.00.00.H55,Sở A,H55,,,", "code"),  # the province's other code
        ("H55.2,,H55,,,", "name"),
        ("H55.2,Sở A,H56,,,", "parent"),
        ("H55.2,Sở A,H55.2,,,", "parent"),
        ("H55.2,Sở A,H55,1/7/2025,,", "since"),
        ("H55.2,Sở A,H55,2025-07-01,2025-07-01,", "until"),
        ("H55.2,Sở A,H55,,,000.00.00.H55", "aliases"),
        ("H55.2,Sở A,H55,,,H55.1", "aliases"),
    ],
)
def test_a_mistake_is_named_by_line_and_column(line: str, column: str) -> None:
    assert f"u.csv:2: {column}" in wrong(line)


def test_a_unit_named_twice_is_a_mistake() -> None:
    assert wrong("H55.2,A,H55,,,", "H55.2,B,H55,,,") == ["u.csv:3: code"]


def test_units_above_one_another_in_a_circle_are_a_mistake() -> None:
    assert wrong("H55.2,A,H55.3,,,", "H55.3,B,H55.2,,,") == ["u.csv:2: parent", "u.csv:3: parent"]


@pytest.mark.parametrize("header", ["", "code", "code,name,color", "code,name,name", "Code,Name"])
def test_the_columns_must_be_those_of_the_manual(header: str) -> None:
    assert wrong("x,y", header=header) == ["u.csv:1"]


@given(st.binary(max_size=200))
def test_no_file_ends_in_a_traceback(content: bytes) -> None:
    read_units_csv(content, "u.csv", KNOWN)
    read_units_csv(b"code,name,parent,since,until,aliases\n" + content, "u.csv", KNOWN)


# --- successors, marks, export ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("H55.2,Sở A,H55,,2025-07-01,,H55.9,", "successors"),
        ("H55.2,Sở A,H55,,2025-07-01,,H55.2,", "successors"),
        ("H55.2,Sở A,H55,,,,H55.1,", "until"),
        ("H55.2,Sở \0A,H55,,,,,", "name"),
        ("H55.2,Sở A,H55,,,,,sample", "mark"),
        ("H55.2,Sở A,H55,,,,,national", "mark"),
        ("H41.2,Sở A,,,,000.00.41.H55,,national", "mark"),
        ("H55.2,Sở A,H55,,," + "x" * 65 + ",,", "aliases"),
    ],
)
def test_a_mistake_in_successors_or_mark_is_named_too(line: str, column: str) -> None:
    _, mistakes = read_units_csv(f"{','.join(COLUMNS)}\n{line}\n".encode(), "u.csv", KNOWN, provinces=("H55",))
    assert [mistake.path for mistake in mistakes] == [f"u.csv:2: {column}"]
    assert all(in_vietnamese(mistake.wrong) and in_vietnamese(mistake.expected) for mistake in mistakes)


def test_units_that_follow_one_another_in_a_circle_are_a_mistake() -> None:
    ended = ",H55,,2025-07-01,,"
    assert wrong(f"H55.2,A{ended}H55.3,", f"H55.3,B{ended}H55.2,") == ["u.csv:2: successors", "u.csv:3: successors"]


def test_many_may_merge_into_one_and_one_may_split_into_many() -> None:
    merge = "H55.2,A,H55,,2025-07-01,,H55.4,", "H55.3,B,H55,,2025-07-01,,H55.4,", "H55.4,C,H55,2025-07-01,,,,"
    assert wrong(*merge, "H55.5,D,H55,,2025-07-01,,H55.1 H55.4,") == []


def test_progress_is_told_of_a_long_file() -> None:
    lines = "\n".join(f"H55.2.{number},Phòng,H55" for number in range(5000))
    told: list[int] = []
    units, _ = read_units_csv(f"code,name,parent\n{lines}\n".encode(), "u.csv", KNOWN, told.append)
    assert len(units) == 5000
    assert 4000 <= sum(told) <= 5001


CODE = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=";*"), min_size=1, max_size=8)
NAME = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1).filter(
    lambda s: s == s.strip() != ""
)


@st.composite
def registries(draw: st.DrawFn) -> list[Unit]:
    """Units that agree with one another."""
    codes = draw(st.lists(CODE, unique=True, max_size=8))
    units, free = draw(st.integers(0, len(codes))), []
    codes, free = sorted(codes[:units]), codes[units:]
    made = []
    for number, code in enumerate(codes):
        since = draw(st.none() | st.dates(date(2000, 1, 1), date(2020, 1, 1)))
        until = draw(st.none() | st.dates(date(2020, 1, 2)))
        aliases = tuple(sorted(free[number :: len(codes)]))
        parent = draw(st.none() | st.sampled_from(codes[:number])) if number else None
        after = codes[number + 1 :] if until else []
        successors = draw(st.lists(st.sampled_from(after), unique=True)) if after else []
        mark = draw(st.sampled_from(UnitMark))
        made.append(Unit(code, draw(NAME), parent, since, until, aliases, mark, tuple(sorted(successors))))
    return made


@given(registries())
@pytest.mark.slow
def test_what_is_exported_is_taken_back_unchanged(units: list[Unit]) -> None:
    assert read_units_csv(write_units_csv(units), "u.csv", []) == (units, [])
    assert read_units_csv(write_units_csv(units), "u.csv", units) == (units, [])


@pytest.mark.parametrize("code", ["*", "H55.*", "a b", "a;b", "x" * 65, "a\n"])
def test_a_code_that_would_mean_something_else_is_no_code(code):
    assert not fits_unit_code(code)
