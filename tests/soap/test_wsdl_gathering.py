"""A WSDL is followed from file to file, and each file gets a name beside it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from hub.domain.errors import ConfigurationFault
from hub.soap import wsdl_gathering
from hub.soap.wsdl_documents import MAX_FILES, read_wsdl
from hub.soap.wsdl_gathering import gather_wsdl
from tests.conftest import ROOT

WSDL, XSD = "http://schemas.xmlsoap.org/wsdl/", "http://www.w3.org/2001/XMLSchema"


def wsdl(*imports: str, schemas: str = "") -> bytes:
    said = "".join(f'<import namespace="urn:a" location="{each}"/>' for each in imports)
    return f'<definitions xmlns="{WSDL}">{said}<types>{schemas}</types></definitions>'.encode()


def schema(*includes: str) -> bytes:
    said = "".join(f'<include schemaLocation="{each}"/>' for each in includes)
    return f'<schema xmlns="{XSD}" targetNamespace="urn:a">{said}</schema>'.encode()


def gather(origin: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the origin of each name."""
    asked: list[str] = []

    def fetch(place: str) -> bytes:
        asked.append(place)
        return files[place]

    found = gather_wsdl(origin, fetch)
    assert sorted(asked) == sorted(set(asked)), "each is fetched once"
    return {each.name: each.origin for each in found}


class TestReferences:
    def test_a_query_is_followed_and_named(self) -> None:
        files = {
            "https://dvc.vn/DichVu.asmx?wsdl": wsdl(
                schemas=f'<schema xmlns="{XSD}"><include schemaLocation="?xsd=kieu.xsd"/></schema>'
            ),
            "https://dvc.vn/DichVu.asmx?xsd=kieu.xsd": schema(),
        }
        assert gather("https://dvc.vn/DichVu.asmx?wsdl", files) == {
            "DichVu.wsdl": "https://dvc.vn/DichVu.asmx?wsdl",
            "kieu.xsd": "https://dvc.vn/DichVu.asmx?xsd=kieu.xsd",
        }

    def test_relative_addresses_are_of_the_file_that_has_them(self) -> None:
        files = {
            "https://dvc.vn/a/main.wsdl": wsdl("../b/other.wsdl"),
            "https://dvc.vn/b/other.wsdl": wsdl(
                schemas=f'<schema xmlns="{XSD}"><include schemaLocation="kieu.xsd"/></schema>'
            ),
            "https://dvc.vn/b/kieu.xsd": schema(),
        }
        assert list(gather("https://dvc.vn/a/main.wsdl", files)) == ["main.wsdl", "other.wsdl", "kieu.xsd"]

    def test_files_with_one_name_get_different_ones(self) -> None:
        files = {
            "https://dvc.vn/main.wsdl": wsdl(
                schemas=f'<schema xmlns="{XSD}"><include schemaLocation="a/T.xsd"/><include schemaLocation="b/t.xsd"/></schema>'
            ),
            "https://dvc.vn/a/T.xsd": schema(),
            "https://dvc.vn/b/t.xsd": schema("../a/T.xsd"),
        }
        found = gather_wsdl("https://dvc.vn/main.wsdl", files.__getitem__)
        assert [each.name for each in found] == ["main.wsdl", "T.xsd", "t-2.xsd"]
        assert b'schemaLocation="t-2.xsd"' in found[0].content
        assert b'schemaLocation="T.xsd"' in found[2].content

    def test_schemas_that_include_one_another_are_fetched_once(self) -> None:
        files = {
            "main.wsdl": wsdl(schemas=f'<schema xmlns="{XSD}"><include schemaLocation="a.xsd"/></schema>'),
            "a.xsd": schema("b.xsd"),
            "b.xsd": schema("./a.xsd"),
        }
        assert list(gather("main.wsdl", files)) == ["main.wsdl", "a.xsd", "b.xsd"]

    def test_a_schema_that_every_reader_has_is_not_fetched(self) -> None:
        xml = (
            '<import namespace="http://www.w3.org/XML/1998/namespace" schemaLocation="http://www.w3.org/2001/xml.xsd"/>'
        )
        files = {"main.wsdl": wsdl(schemas=f'<schema xmlns="{XSD}">{xml}</schema>')}
        assert list(gather("main.wsdl", files)) == ["main.wsdl"]

    def test_what_needs_no_change_is_kept_octet_by_octet(self) -> None:
        folder = ROOT / "tests/interop/jaxws/wsdl"
        found = gather_wsdl(str(folder / "VanBanDenService.wsdl"), lambda place: Path(place).read_bytes())
        assert len(found) == 4
        assert [each.content for each in found] == [(folder / each.name).read_bytes() for each in found]

    def test_what_was_gathered_from_addresses_is_read_as_a_wsdl(self) -> None:
        folder = ROOT / "tests/interop/jaxws/wsdl"
        renamed = {
            "https://dvc.vn/ws?wsdl": "VanBanDenService.wsdl",
            "https://dvc.vn/ws?wsdl=1": "VanBanDen.wsdl",
            "https://dvc.vn/ws?xsd=1": "VanBanDen_schema1.xsd",
            "https://dvc.vn/ws?xsd=2": "VanBanDen_schema2.xsd",
        }
        contents = {}
        for place, file in renamed.items():
            text = (folder / file).read_text("utf-8")
            for other, name in renamed.items():
                text = text.replace(f'ocation="{name}"', f'ocation="{other}"')
            contents[place] = text.encode()
        found = gather_wsdl("https://dvc.vn/ws?wsdl", contents.__getitem__)
        document = read_wsdl({each.name: each.content for each in found}, found[0].name)
        assert list(document.services) == ["VanBanDenService"]


class TestSavedFiles:
    def test_an_address_is_the_file_beside_it_that_was_saved_under_its_name(self) -> None:
        folder = ROOT / "tests/interop/wsdls/written"
        found = gather_wsdl(
            str(folder / "wcf.wsdl"), lambda place: Path(place).read_bytes(), lambda place: Path(place).is_file()
        )
        assert [each.name for each in found][:2] == ["wcf.wsdl", "wsdl0.wsdl"]
        assert all(Path(each.origin).parent == folder for each in found)

    def test_from_an_address_no_file_is_looked_for(self) -> None:
        def looked(_place: str) -> bool:
            raise AssertionError

        place = "https://other.vn/t.xsd"
        files = {
            "https://dvc.vn/main.wsdl": wsdl(
                schemas=f'<schema xmlns="{XSD}"><include schemaLocation="{place}"/></schema>'
            ),
            place: schema(),
        }
        assert len(gather_wsdl("https://dvc.vn/main.wsdl", files.__getitem__, looked)) == 2


class TestHostileFiles:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"<html/>",
            schema(),
            b'<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><definitions xmlns="http://schemas.xmlsoap.org/wsdl/">&e;</definitions>',
        ],
        ids=["nothing", "html", "a-schema", "an-entity"],
    )
    def test_what_is_no_wsdl_is_refused(self, content: bytes) -> None:
        with pytest.raises(ConfigurationFault):
            gather("main.wsdl", {"main.wsdl": content})

    def test_a_chain_without_end_is_left(self) -> None:
        asked = 0

        def fetch(_place: str) -> bytes:
            nonlocal asked
            asked += 1
            return wsdl(f"next{asked}.wsdl")

        with pytest.raises(ConfigurationFault):
            gather_wsdl("https://dvc.vn/main.wsdl", fetch)
        assert asked <= MAX_FILES

    def test_so_are_too_many_octets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wsdl_gathering, "MAX_OCTETS", 400)
        files = {"main.wsdl": wsdl("a.wsdl"), "a.wsdl": wsdl() + b" " * 300}
        with pytest.raises(ConfigurationFault, match="octets"):
            gather("main.wsdl", files)

    def test_a_name_leads_to_no_other_folder(self) -> None:
        place = "https://dvc.vn/x?xsd=..%2F..%2F.bashrc"
        files = {
            "https://dvc.vn/main.wsdl": wsdl(
                schemas=f'<schema xmlns="{XSD}"><include schemaLocation="{place}"/></schema>'
            ),
            place: schema(),
        }
        names = list(gather("https://dvc.vn/main.wsdl", files))
        assert all("/" not in name and not name.startswith(".") for name in names)
