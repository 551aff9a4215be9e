"""A mapping to fill in says all that a person must know of each field, whatever its schema says."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from hub.cli.partner.mapping_skeleton import renew_mapping, write_mapping
from hub.partner.mapping_check import find_mapping_mistakes
from hub.partner.mapping_reading import read_mapping
from hub.soap.wsdl_fields import describe_operations, list_ports
from hub.soap.wsdl_gathering import gather_wsdl
from tests.conftest import ROOT

JAVA = {each.name: each.read_bytes() for each in (ROOT / "tests/interop/jaxws/wsdl").iterdir()}


def write(files: Mapping[str, bytes], main: str, *operations: str) -> str:
    ports = list_ports(files, main)
    port = ports[0]
    described = describe_operations(files, main, port.service, port.name, operations)
    return write_mapping(files, main, f"https://dvc.vn/{main}", port, ports, described)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")


def test_it_is_a_mapping_with_every_step_and_every_hash() -> None:
    read = tomllib.loads(write(JAVA, "VanBanDenService.wsdl", "dangNhap", "guiVanBan"))
    assert read["wsdl"]["port"] == "VanBanDenPort"
    assert set(read["wsdl"]["sha256"]) == set(JAVA)
    assert [each["operation"] for each in read["deliver"]] == ["dangNhap", "guiVanBan"]


def test_each_field_is_a_line_to_fill_in() -> None:
    lines = write(JAVA, "VanBanDenService.wsdl", "guiVanBan").splitlines()
    assert '# "vanBan/maTin" = ""  # xs:string, required' in lines
    assert '# "vanBan/noiDung" = "{content}"  # xs:base64Binary, required' in lines
    assert "#   ketQua/ma: xs:int, required" in lines
    assert any("Other operations: dangNhap, xemTinhTrang" in line for line in lines)


def test_every_line_filled_in_is_toml() -> None:
    lines = write(JAVA, "VanBanDenService.wsdl", "guiVanBan").splitlines()
    filled = [line.removeprefix("# ") if line.startswith('# "') else line for line in lines]
    (step,) = tomllib.loads("\n".join(filled))["deliver"]
    assert step["input"]["vanBan/noiDung"] == "{content}"


@pytest.mark.slow
def test_documentation_stands_in_the_language_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {each.name: each.read_bytes() for each in (ROOT / "wsdl/lienthong/1").iterdir() if each.suffix == ".wsdl"}
    files |= {each.name: each.read_bytes() for each in (ROOT / "xsd/lienthong/1").iterdir() if each.suffix == ".xsd"}
    assert "The unit whose work it tells of." in write(files, "dossiers.wsdl", "SyncDossiers")
    monkeypatch.setenv("LC_ALL", "vi_VN.UTF-8")
    said = write(files, "dossiers.wsdl", "SyncDossiers")
    assert "bắt buộc. Đơn vị có công việc được báo." in said
    assert "Other ports" not in said


def test_what_a_schema_says_ends_no_line() -> None:
    said = 'một\r\n[wsdl]\nfile = "x"\u2028[security]\nsign = false \x1b[31m'
    schema = JAVA["VanBanDen_schema1.xsd"].decode()
    note = f"<xs:annotation><xs:documentation>{said.replace(chr(27), '')}</xs:documentation></xs:annotation>"
    schema = schema.replace(
        '<xs:element name="maTin" type="xs:string"/>', f'<xs:element name="maTin" type="xs:string">{note}</xs:element>'
    )
    schema = schema.replace('value="TRA_LAI"', 'value="TRA_LAI&#10;[[deliver]]"')
    files = {**JAVA, "VanBanDen_schema1.xsd": schema.encode()}
    text = write(files, "VanBanDenService.wsdl", "guiVanBan", "xemTinhTrang")
    read = tomllib.loads(text)
    assert read["wsdl"]["file"] == "VanBanDenService.wsdl"
    assert read["security"] == {}
    assert len(read["deliver"]) == 2
    assert "\u2028" not in text
    assert "sign = false" in text


def test_a_new_version_changes_the_hashes_and_nothing_else() -> None:
    before = write(JAVA, "VanBanDenService.wsdl", "guiVanBan").replace("# sign = true", "sign = true  # từ 2027")
    files = {name: content + b"\n" for name, content in JAVA.items() if name != "VanBanDen_schema1.xsd"}
    after = renew_mapping(before, files, "VanBanDenService.wsdl")
    assert set(tomllib.loads(after)["wsdl"]["sha256"]) == set(files)
    assert "sign = true  # từ 2027" in after
    assert [line for line in after.splitlines() if " = " in line and "xsd" not in line and ".wsdl" not in line] == [
        line for line in before.splitlines() if " = " in line and "xsd" not in line and ".wsdl" not in line
    ]


#: Parts of others, one that contradicts itself, and one of which every operation is rpc/encoded.
LEFT = {"wsdl0.wsdl", "axis-interface.wsdl", "pod-document.wsdl", "axis-rpc-encoded.wsdl"}


def list_wsdls() -> list[str]:
    made = sorted((ROOT / "tests/interop/wsdls").glob("*/*.wsdl"))
    found = (ROOT / "tests/interop/php/TiepNhan.wsdl", *made)
    return [str(path.relative_to(ROOT)) for path in found if path.name not in LEFT]


@pytest.mark.parametrize("wsdl", list_wsdls())
def test_whatever_made_the_wsdl_each_field_that_is_filled_in_fits_it(wsdl: str) -> None:
    gathered = gather_wsdl(
        str(ROOT / wsdl), lambda place: Path(place).read_bytes(), lambda place: Path(place).is_file()
    )
    files, main = {each.name: each.content for each in gathered}, gathered[0].name
    ports = list_ports(files, main)
    assert ports
    for port in ports:
        text = write(files, main, *port.operations)
        lines = [line.removeprefix("# ") if line.startswith('# "') else line for line in text.splitlines()]
        filled = "\n".join(line.replace('= ""', '= "1"', 1) for line in lines)
        assert find_mapping_mistakes(read_mapping(filled.encode()), "mapping.toml", files) == []
