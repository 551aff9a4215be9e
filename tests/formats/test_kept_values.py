"""What is kept of the shipped schemas is what they say, and a start needs no xmlschema for them."""

import subprocess
import sys

import pytest

from hub.formats.models import kept_values
from hub.formats.models.kept_values import read_kept, record_kept_values
from tests import derived

FILES = {"a.xsd": b"<a/>", "b.xsd": b"<b/>"}


@pytest.mark.slow
def test_what_is_kept_is_what_would_be_derived_now():
    """After a change of `wsdl/` or `xsd/`: ./dev schemas"""
    kept = {path.name: path.read_bytes() for path in kept_values.FOLDER.iterdir()}
    assert kept == derived.derive_all()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_values, "FOLDER", tmp_path)
    return tmp_path


def test_a_value_is_derived_once_for_the_same_files(folder):
    with record_kept_values() as recorded:
        assert read_kept("model a.xsd", FILES, lambda: [1, "ắ"]) == [1, "ắ"]
    for name, content in recorded.items():
        (folder / name).write_bytes(content)
    assert [each.name[:6] for each in folder.iterdir()] == ["model-"]
    assert read_kept("model a.xsd", dict(reversed(FILES.items())), lambda: pytest.fail("derived again")) == [1, "ắ"]


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("model b.xsd", FILES),
        ("model a.xsd", FILES | {"b.xsd": b"<b />"}),
        ("model a.xsd", {"a.xsd": b"<a/>"}),
        ("model a.xsd", {"a.xsd": b"<a/>", "c.xsd": b"<b/>"}),
    ],
    ids=["another main file", "another content", "a file less", "another name"],
)
def test_a_value_of_other_files_is_derived(folder, kind, files):
    with record_kept_values() as recorded:
        read_kept("model a.xsd", FILES, lambda: 1)
    for name, content in recorded.items():
        (folder / name).write_bytes(content)
    assert read_kept(kind, files, lambda: (2, 3)) == [2, 3], "as it would be read"


def test_a_start_imports_neither_xmlschema_nor_zeep_for_what_is_shipped():
    code = (
        "import sys\n"
        "from hub.edxml.schema import load_packet_schema\n"
        "from hub.soap import wsdl\n"
        "for kind in ('document', 'status'): load_packet_schema(kind)\n"
        "for name in wsdl.list_contract_names(): wsdl.load_contract(name)\n"
        "print({'xmlschema', 'zeep', 'elementpath'} & sys.modules.keys())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
