"""What a person types into the one box, and where it is looked for."""

import pytest

from hub.domain.model import Unit
from hub.domain.search_box import AGENCIES, WORDS, BoxLook, find_agencies, read_box
from hub.domain.search_terms import MOST, list_codes, list_words, split_words

UNITS = [
    Unit("H55.13", "Sở Khoa học và Công nghệ", aliases=("000.00.13.H55",)),
    Unit("H55.14", "Sở Nội vụ"),
    Unit("H55.30", "Ủy ban nhân dân xã Tân Thành"),
    Unit("H55.31", "Ủy ban nhân dân phường Tân Long"),
    Unit("H55.32", "UBND xã Đại Phúc"),
    *(Unit(f"H55.9{number}", f"Trung tâm số {number}") for number in range(AGENCIES + 1)),
]
PARTNERS = {"vpub": "Văn phòng UBND tỉnh", "vpcp": "Trục quốc gia"}
ID = "0193f0a1-0000-7000-8000-0123456789ab"


def looks(text):
    return read_box(text, UNITS, PARTNERS).looks


def places(text):
    """Return the places that only this text has: every text may be an id of the sender, or words."""
    return [each for each in looks(text) if each.unit or each.partner or each.sha256 or each.id]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Sở KHCN", ["H55.13"]),
        ("so khcn", ["H55.13"]),
        ("SKHCN", ["H55.13"]),
        ("sở khoa học và công nghệ", ["H55.13"]),
        ("Sở Khoa học và CN", ["H55.13"]),
        ("000.00.13.H55", ["H55.13"]),
        ("h55.14", ["H55.14"]),
        ("SNV", ["H55.14"]),
        ("UBND xã Tân Thành", ["H55.30"]),
        ("Ủy ban nhân dân xã Đại Phúc", ["H55.32"]),
        ("tân long", ["H55.31"]),
        ("UBND", ["H55.30", "H55.31", "H55.32"]),
        ("15/SNV-VP", []),
        ("kết nối dữ liệu", []),
        ("", []),
    ],
)
def test_an_agency_is_named_by_name_code_or_usual_abbreviation(text, codes):
    assert [unit.code for unit in find_agencies(text, UNITS)] == codes


def test_a_text_that_names_many_agencies_looks_for_none_and_says_so():
    found = read_box("trung tâm", UNITS, PARTNERS)
    assert found.many == AGENCIES + 1
    assert not found.units
    assert not any(look.unit for look in found.looks)


def test_an_agency_that_the_registry_does_not_have_is_looked_for_by_its_code():
    assert BoxLook(unit="G22.99.01") in looks("G22.99.01")


@pytest.mark.parametrize("text", ["15/SNV-VP", "15 / snv - vp", "15/SNV–VP", "015 SNV VP", "15SNV-VP"])
def test_a_number_is_read_with_or_without_spaces_and_signs(text):
    (look,) = [each for each in looks(text) if each.words]
    assert look.words == ("15", "snv", "vp")
    assert list_words("15/SNV-VP", None).issuperset(look.words)


def test_letters_without_signs_are_found_and_diacritics_make_no_difference():
    assert list_words("15/QĐ-UBND", "").issuperset(split_words("15 qd ubnd"))
    assert list_words("15/QĐ-UBND", "").issuperset(split_words("15QĐUBND"))
    assert list_words(None, "Về việc kết nối dữ liệu").issuperset(split_words("KET NOI DỮ liệu"))


def test_ambiguous_text_is_looked_for_in_several_places():
    assert [each for each in looks("VPUB") if each.partner] == [BoxLook(partner="vpub")]
    assert [each for each in looks("văn phòng ubnd tỉnh") if each.partner] == [BoxLook(partner="vpub")]
    assert {BoxLook(message_id="A-1"), BoxLook(document_id="A-1"), BoxLook(words=("a", "1"))} <= set(looks(" A-1 "))


def test_ids_and_hashes_are_seen_by_their_form():
    assert looks(ID.upper()) == (BoxLook(id=ID), BoxLook(message_id=ID.upper()), BoxLook(document_id=ID.upper()))
    assert places("ab" * 32) == [BoxLook(sha256="ab" * 32)]
    assert places("0123456789ab") == [BoxLook(sha256="0123456789ab")]
    assert places("012345678901") == [], "a number of twelve digits is hardly the beginning of a hash"


def test_what_a_stranger_types_costs_a_bound():
    found = read_box("a1" * 100_000, UNITS, PARTNERS)
    assert all(len(look.words) <= WORDS for look in found.looks)
    assert len(list_words("1/" * 5_000, " ".join(f"w{each}" for each in range(5_000)))) <= MOST
    assert max(map(len, split_words("x" * 10_000))) <= 40


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        ("refused: E05: no such unit; E07", {"refused", "e05", "e07"}),
        ("unit-unknown: H55.99; not-yours", {"unit-unknown", "h55.99", "not-yours"}),
        ("given up: HTTP 503", {"http 503"}),
        ("the conversation took too long", set()),
        (None, set()),
    ],
)
def test_codes_are_read_from_a_stored_reason(reason, codes):
    assert list_codes(reason) == codes
