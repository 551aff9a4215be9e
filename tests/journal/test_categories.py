"""Code lists that another system gives, as messages."""

import json

import pytest

from hub.domain.errors import Rejected
from hub.domain.model import Record
from hub.services import list_services
from hub.services.categories import parse_category_list
from tests.pki import NOW


def content(name="LayDanhSachTTHC", *rows):
    return json.dumps({"service": name, "result": rows}).encode()


def test_a_list_names_its_codes():
    found = parse_category_list(content("LayDanhSachTTHC", {"MATTHC": "2.000815", "TENTTHC": "Chứng thực bản sao"}))
    assert (found.name, found.names) == ("LayDanhSachTTHC", {"2.000815": "Chứng thực bản sao"})


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("LayDanhMucLinhVuc", {"MALINHVUC": "CT", "TENLINHVUC": "Chứng thực"}),
        ("LayDanhMucCoQuan", {"MACHA": "x", "TENCHA": "y", "MADONVI": "CT", "TENDONVI": "Chứng thực"}),
        ("LayDanhMucDanToc", {"ID": 7, "MaDanToc": "CT", "TenDanToc": "Chứng thực"}),
    ],
)
def test_a_list_has_its_codes_where_its_kind_has_them(name, row):
    assert parse_category_list(content(name, row)).names == {"CT": "Chứng thực"}


def test_a_code_may_be_a_number_and_need_no_name():
    assert parse_category_list(content("LayDanhMucGioiTinh", {"MA": 0})).names == {"0": ""}


def test_a_message_is_of_the_kind_of_its_list_and_brings_no_fact():
    record = list_services()["categories"].read(content("LayDanhMucLinhVuc", {"MALINHVUC": "CT"}), NOW, "m-1")
    assert record == Record(kind="LayDanhMucLinhVuc", sender="", subject="1 mục")


def test_what_no_database_keeps_is_a_question_mark():
    assert parse_category_list(content("LayDanhMucLinhVuc", {"MALINHVUC": "C\ud83d", "TENLINHVUC": "a\0b"})).names == {
        "C?": "a?b"
    }


@pytest.mark.parametrize(
    ("octets", "detail"),
    [
        (b"not JSON", "neither"),
        (b"[" * 100_000, "neither"),
        (b"[]", "neither"),
        (b'"text"', "neither"),
        (b"{}", ":"),
        (content("LayDanhSachTTHC"), "LayDanhSachTTHC: no rows"),
        (b'{"service": "LayDanhMucLinhVuc", "result": {"MALINHVUC": "CT"}}', "no rows"),
        (b'{"service": "LayDanhMucLinhVuc", "refused": "error_code -1"}', "LayDanhMucLinhVuc: error_code -1"),
        (content("LayDanhMucLinhVuc", {"MALINHVUC": "CT"}, {"MALINHVUC": " "}), "row 2 has no MALINHVUC"),
        (content("LayDanhMucDanToc", {"x": "1"}), "row 1 has no MA…"),
        (content("LayDanhMucDanToc", 7), "row 1 has no MA…"),
    ],
)
def test_what_is_no_list_is_refused_so_that_the_one_before_stays(octets, detail):
    with pytest.raises(Rejected) as refused:
        parse_category_list(octets)
    [problem] = refused.value.problems
    assert problem.code == "list-unreadable"
    assert detail in str(problem.detail)
