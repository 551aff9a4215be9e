"""Names in the order of a Vietnamese dictionary, codes in their natural order."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.language.sorting import fold_text, make_code_sort_key, make_name_sort_key


@pytest.mark.parametrize(
    "order",
    [
        ["Da Nang", "Dũng", "Đà Nẵng", "Đại Từ", "Em"],
        ["an", "ăn", "ân", "ba"],
        ["em", "êm", "ga"],
        ["no", "nô", "nơ", "nu", "nư"],
        ["ma", "mà", "mả", "mã", "má", "mạ"],
        ["Sở Nội vụ", "Sở Tài chính", "Sở Tư pháp", "Sở Y tế"],
        ["Phòng 2", "Phòng A"],
        ["xã A", "xã a", "xã b"],
        ["Hà Nội", "Hà Tĩnh", "Hải Dương", "Hải Phòng"],
    ],
)
def test_names_stand_in_the_order_of_the_alphabet(order: list[str]) -> None:
    for before, after in pairwise(order):
        assert make_name_sort_key(before) < make_name_sort_key(after), (before, after)


@pytest.mark.parametrize(
    "order",
    [
        ["H55.2", "H55.10", "H55.10.1", "H55.11"],
        ["000.00.13.H55", "000.01.02.H55", "G01", "G22", "H55"],
        ["p1", "P2", "p10", "vpub"],
        ["", "1", "a", "a1", "a01b"],
    ],
)
def test_codes_stand_in_the_order_of_their_numbers(order: list[str]) -> None:
    mixed = order[::-1]
    assert sorted(mixed, key=make_code_sort_key) == order


@given(st.lists(st.text(max_size=8), max_size=6))
def test_every_code_has_its_place(codes: list[str]) -> None:
    found = sorted(codes, key=make_code_sort_key)
    mixed = found[::-1]
    assert found == sorted(mixed, key=make_code_sort_key)


def test_the_tone_counts_only_where_the_letters_are_the_same() -> None:
    assert sorted(["má b", "ma c", "mạ a"], key=make_name_sort_key) == ["mạ a", "má b", "ma c"]


@pytest.mark.parametrize(("text", "plain"), [("Sở Nội vụ Đà Lạt", "so noi vu da lat"), ("  ỦY BAN  ", "uy ban")])
def test_a_search_needs_no_diacritics(text: str, plain: str) -> None:
    assert fold_text(text) == plain


@given(st.text())
def test_no_combining_character_is_left(text: str) -> None:
    """Whatever the script: a search for a word finds it however its accents were typed."""
    apart = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    assert fold_text(text) == " ".join("".join(each for each in apart if not unicodedata.combining(each)).split())
