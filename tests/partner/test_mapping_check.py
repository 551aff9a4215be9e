"""A mapping is held to its WSDL: every operation and path of it, and what it gives no value for."""

from collections.abc import Mapping

import pytest
from lxml import etree

from hub.partner.mapping_check import find_mapping_mistakes
from hub.partner.mapping_reading import read_mapping
from hub.soap.wsdl_validation import find_schema_flaws
from tests.conftest import ROOT

JAVA = {each.name: each.read_bytes() for each in (ROOT / "tests/interop/jaxws/wsdl").iterdir()}
PHP = {"TiepNhan.wsdl": (ROOT / "tests/interop/php/TiepNhan.wsdl").read_bytes()}
SPACE = "http://vanban.tinh.example.vn/"


def judge(steps: str, files: Mapping[str, bytes] = JAVA, main: str = "VanBanDenService.wsdl") -> list[str]:
    """Return the places of the mistakes of a mapping with *steps*."""
    hashes = "\n".join(f'"{name}" = "{"0" * 64}"' for name in files)
    text = f'[wsdl]\nfile = "{main}"\n[wsdl.sha256]\n{hashes}\n{steps}'
    found = find_mapping_mistakes(read_mapping(text.encode()), "mapping.toml", files)
    return [each.path.removeprefix("mapping.toml: ") for each in found]


GOOD = """
[[deliver]]
operation = "guiVanBan"
[deliver.input]
"vanBan/maTin" = "{message.id}"
[deliver.keep]
bien = "ketQua/bienNhan"
[[deliver.outcome]]
when = { "ketQua/ma" = "0" }
then = "accepted"
[[deliver.outcome]]
when = { "fault/detail/LoiGoi/ma" = "*", "http/status" = "500" }
then = "refused"
reason = ["fault/text", "ketQua/thongBao"]
"""


def test_what_fits_has_no_mistake() -> None:
    assert judge(GOOD) == []


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ("guiVanBan", "guiVanban", "deliver[1].operation"),
        ('"vanBan/maTin"', '"vanBan/maTinn"', 'deliver[1].input."vanBan/maTinn"'),
        ('"vanBan/maTin"', '"vanBan/maTin[2]"', 'deliver[1].input."vanBan/maTin[2]"'),
        ('"ketQua/bienNhan"', '"ketQua/bien"', "deliver[1].keep.bien"),
        ('"ketQua/ma"', '"ketQua/maLoi"', 'deliver[1].outcome[1].when."ketQua/maLoi"'),
        ('"ketQua/thongBao"', '"thongBao"', "deliver[1].outcome[2].reason"),
    ],
)
def test_each_place_that_does_not_fit_is_named(right: str, wrong: str, place: str) -> None:
    assert judge(GOOD.replace(right, wrong)) == [place]


def test_a_header_block_that_there_is_not_is_named() -> None:
    header = '[[deliver]]\noperation = "guiVanBan"\n[deliver.header]\n"khoa/ma" = "1"\n"wsa:To" = "{url}"\n'
    assert judge(header) == ['deliver[1].header."khoa/ma"']


def test_what_stands_inside_a_text_is_not_judged() -> None:
    assert judge(GOOD.replace('"ketQua/bienNhan"', '"ketQua/bienNhan/json()/a/b"')) == []


def test_required_parts_without_a_value_are_named() -> None:
    step = '[[deliver]]\noperation = "nhanVanBan"\n[deliver.input]\n"maTin" = "{message.id}"\n"lan" = 1\n'
    assert judge(step, PHP, "TiepNhan.wsdl") == ['deliver[1].input."donVi"', 'deliver[1].input."goiTin"']


def test_an_element_with_a_simple_type_is_given_by_a_dot() -> None:
    file = ROOT / "tests/interop/wsdls/made/axis-document-literal.wsdl"
    files = {file.name: file.read_bytes()}
    step = '[[deliver]]\noperation = "timHoSo"\n[deliver.input]\n'
    assert judge(step, files, file.name) == ['deliver[1].input."."']
    assert judge(f'{step}"." = "{{message.id}}"\n', files, file.name) == []


def test_a_wsdl_that_cannot_be_read_is_told() -> None:
    assert judge(GOOD, {"a.wsdl": b"<a/>"}, "a.wsdl") == ["a.wsdl:1"]


class TestSchemaFlaws:
    def test_a_flaw_is_told_with_its_element(self) -> None:
        element = etree.fromstring(f'<t:dangNhap xmlns:t="{SPACE}"><tenDangNhap/><x/></t:dangNhap>')
        (flaw,) = find_schema_flaws(JAVA, element)
        assert flaw.name == "x"
        assert "matKhau" in flaw.said

    @pytest.mark.parametrize("name", ["dangNhap", "mot-ten-khac"])
    def test_what_fits_or_is_not_declared_has_none(self, name: str) -> None:
        assert find_schema_flaws(JAVA, etree.fromstring(f'<t:{name} xmlns:t="{SPACE}"/>')) == []

    def test_nothing_but_the_files_is_opened(self) -> None:
        files = {
            "a.xsd": b'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:include schemaLocation="file:///etc/hostname"/></xs:schema>'
        }
        assert find_schema_flaws(files, etree.fromstring("<a/>")) == []
