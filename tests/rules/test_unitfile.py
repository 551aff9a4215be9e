"""A list of units is read whole, and every mistake of it is named by its line."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import vietnamese
from hub.model import Unit
from hub.unitfile import COLUMNS, read

KNOWN = (Unit("H55", "Tỉnh", aliases=("000.00.00.H55",)), Unit("H55.1", "Văn phòng", "H55"))


def wrong(*lines: str, header: str = ",".join(COLUMNS)) -> list[str]:
    _, mistakes = read("\n".join([header, *lines]).encode(), "u.csv", KNOWN)
    assert all(vietnamese.of(mistake.wrong) and vietnamese.of(mistake.expected) for mistake in mistakes)
    return [mistake.path for mistake in mistakes]


def test_a_unit_has_its_days_its_parent_and_its_other_codes() -> None:
    content = "code,name,parent,since,until,aliases\r\nH55.2,Sở A,H55,2025-07-01,2026-07-01,000.00.02.H55;02.H55\r\n"
    assert read(content.encode("utf-8-sig"), "u.csv", KNOWN) == (
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
    read(content, "u.csv", KNOWN)
    read(b"code,name,parent,since,until,aliases\n" + content, "u.csv", KNOWN)
