"""The national list is taken as agencies outside the province; what cannot be taken is left out and named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.model import Unit, UnitMark
from hub.units.national_agencies import SkippedAgency, read_national_agencies

KNOWN = (
    Unit("H55", "Tỉnh", aliases=("000.00.00.H55",)),
    Unit("A55", "Khối Đảng"),
    Unit("G22", "Văn phòng", aliases=("000.00.00.G22",), mark=UnitMark.NATIONAL),
)


def row(number: int, code: str, name: str = "Cơ quan", pid: int | None = None) -> dict[str, object]:
    return {"id": number, "pid": pid, "code": code, "name": name, "mail": None}


def taken(*rows: dict[str, object]) -> tuple[list[Unit], list[SkippedAgency]]:
    units, left, mistakes = read_national_agencies(json.dumps(rows).encode(), "list.json", KNOWN, "H55")
    assert mistakes == []
    return units, left


def test_an_agency_is_known_by_its_code_under_its_parent_and_keeps_the_aliases_it_has() -> None:
    units, left = taken(row(1, "G22", "Văn phòng  Chính phủ"), row(2, "G22.1", "Cục A", 1), row(3, "H41", pid=99))
    assert units == [
        Unit("G22", "Văn phòng Chính phủ", aliases=("000.00.00.G22",), mark=UnitMark.NATIONAL),
        Unit("G22.1", "Cục A", "G22", mark=UnitMark.NATIONAL),
        Unit("H41", "Cơ quan", mark=UnitMark.NATIONAL),
    ]
    assert left == []


def test_csv_and_the_axiss_own_answer_are_read_like_the_list_alone() -> None:
    rows = [row(1, "G22"), row(2, "G22.1", "Cục A", 1)]
    units, _ = taken(*rows)
    answer = json.dumps({"status": "OK", "ErrorCode": "0", "data": rows}).encode()
    lines = "\ufeffid,pid,code,name,mail\r\n1,,G22,Cơ quan,\r\n2,1,G22.1,Cục A,a@b\r\n".encode()
    assert (
        read_national_agencies(answer, "l", KNOWN, "H55")[0]
        == read_national_agencies(lines, "l", KNOWN, "H55")[0]
        == units
    )


def test_what_is_ours_twice_empty_or_no_code_is_left_out_by_name() -> None:
    ours = row(1, "H55.13"), row(2, "000.00.13.H55"), row(3, "A55"), row(4, "000.00.00.G22")
    units, left = taken(
        *ours, row(5, ""), row(6, "H41", ""), row(7, "a b"), row(8, "H41"), row(9, "H41"), row(10, "B", "\ud800")
    )
    assert [unit.code for unit in units] == ["H41"]
    assert [row.why for row in left] == [
        "province",
        "province",
        "held",
        "held",
        "empty",
        "empty",
        "unfit",
        "twice",
        "unfit",
    ]


def test_an_older_code_becomes_an_alias_unless_it_is_somebody_elses() -> None:
    units, left = taken(
        row(1, "G22") | {"oldCode": "000.00.00.G22"},
        row(2, "G14") | {"code102": "000.00.00.G14"},
        row(3, "G15") | {"oldCode": "000.00.00.G14"},
        row(4, "G16") | {"oldCode": "000.00.16.H55"},
        row(5, "G17") | {"oldCode": "G14"},
        row(6, "G18") | {"oldCode": "A55"},
        row(7, "G19") | {"oldCode": "a b"},
        row(8, "G20") | {"oldCode": "G20"},
    )
    assert {unit.code: unit.aliases for unit in units if unit.aliases} == {
        "G22": ("000.00.00.G22",),
        "G14": ("000.00.00.G14",),
    }
    assert {row.code for row in left} == {"000.00.00.G14", "000.00.16.H55", "G14", "A55", "a b"}
    assert {row.why for row in left} == {"old-code"}


def test_an_agency_that_the_axis_has_deleted_is_left_out() -> None:
    units, left = taken(row(1, "G22") | {"deleted": True}, row(2, "H41") | {"deleted": False})
    assert [unit.code for unit in units] == ["H41"]
    assert left == [SkippedAgency("G22", "deleted")]


def test_parents_in_a_circle_are_cut_once() -> None:
    units, _ = taken(row(1, "B1", pid=3), row(2, "B2", pid=1), row(3, "B3", pid=2), row(4, "B4", pid=4))
    assert [unit.parent for unit in units] == [None, "B1", "B2", None]


@pytest.mark.parametrize(
    "content",
    [b"", b"[1]", b"{}", b'{"data": 3}', b"[", b"a,b\n1,2\n", b"\xff", b'id,pid,code,name\n"', b"[" * 100_000],
)
def test_another_file_is_a_mistake(content: bytes) -> None:
    units, _, mistakes = read_national_agencies(content, "list", KNOWN, "H55")
    assert units == []
    assert [mistake.path for mistake in mistakes] == ["list"]


@given(st.binary(max_size=100))
def test_no_file_ends_in_a_traceback(content: bytes) -> None:
    read_national_agencies(content, "list", KNOWN, "H55")
    read_national_agencies(b"id,pid,code,name\n" + content, "list", KNOWN, "H55")
    read_national_agencies(b'[{"id":' + content + b"}]", "list", KNOWN, "H55")


def test_codes_of_a_merged_province_are_left_out() -> None:
    content = json.dumps([row(1, "H97.1"), row(2, "H41"), {**row(3, "H42"), "oldCode": "000.00.42.H97"}]).encode()
    units, left, _ = read_national_agencies(content, "list.json", KNOWN, "H55", "H97")
    assert [unit.code for unit in units] == ["H41", "H42"]
    assert left == [SkippedAgency("H97.1", "province"), SkippedAgency("000.00.42.H97", "old-code")]
