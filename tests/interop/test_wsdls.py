"""WSDLs of other toolkits are read as they are: every operation, action and type; and made by the toolkits, not by us."""

import json
import re
import shutil
import subprocess
import warnings
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import xmlschema
from lxml import etree

from hub.domain.errors import ConfigurationFault
from hub.formats.streamed_xml import Loads
from hub.partner.call_nodes import CallNode
from hub.partner.mapping_values import read_path
from hub.partner.partner_calls import load_service
from hub.soap.wsdl_documents import name_wsdl_file, read_wsdl
from hub.soap.wsdl_fields import describe_operations
from hub.soap.wsdl_gathering import gather_wsdl
from tests.conftest import cannot_be_had
from tests.interop import building
from tests.interop.toolkits import HERE
from tests.interop.wsdl_schemas import XSD, collect, compile_all, reach
from tests.waiting import PROGRAM

FOLDER = HERE / "wsdls"
NOON = datetime(2026, 11, 28, 5, tzinfo=UTC)
#: A WSDL, with each SOAP port: the version of SOAP, and of each operation the style, action and what it takes.
SEEN = {
    "made/axis-rpc-encoded.wsdl": {"hoso": ("1.1", {"guiHoSo": ("rpc", "", "in0 in1"), "timHoSo": ("rpc", "", "in0"), "demHoSo": ("rpc", "", "")})},
    "made/axis-rpc-literal.wsdl": {"hoso": ("1.1", {"guiHoSo": ("rpc", "", "in0 in1"), "timHoSo": ("rpc", "", "in0"), "demHoSo": ("rpc", "", "")})},
    "made/axis-document-literal.wsdl": {"hoso": ("1.1", {"guiHoSo": ("document", "", "in0 in1"), "timHoSo": ("document", "", ""), "demHoSo": ("document", "", "")})},
    "made/axis-wrapped-literal.wsdl": {"hoso": ("1.1", {"guiHoSo": ("document", "", "in0 in1"), "timHoSo": ("document", "", "in0"), "demHoSo": ("document", "", "")})},
    "made/axis-service.wsdl": {"hoso": ("1.1", {"guiHoSo": ("document", "", "in0 in1"), "timHoSo": ("document", "", "in0"), "demHoSo": ("document", "", "")})},
    "made/gsoap-document.wsdl": {"VanThu": ("1.2", {"nhanVanBan": ("document", "urn:vanthu.tinh.vn/nhan", "vanBan"), "trangThai": ("document", "urn:vanthu.tinh.vn/trangThai", "maTin")})},
    "made/pod-rpc.wsdl": {"DanhMuc": ("1.1", {"layDanhMuc": ("rpc", "", "maDanhMuc tu"), "luuTep": ("rpc", "", "ten noiDung")})},
    "made/spyne.wsdl": {"CongDan": ("1.1", {"timCongDan": ("document", "timCongDan", "soDinhDanh"), "khaiBao": ("document", "khaiBao", "danhSach thang")})},
    "written/xroad.wsdl": {"dangKyPort": ("1.1", {"timDoanhNghiep": ("document", "", "maSo ten tinh")})},
    "written/asmx.wsdl": {
        port: (soap, {"DongBoHoSo": ("document", "http://tempuri.org/DongBoHoSo", "maDonVi danhSach"), "DemHoSo": ("document", "http://tempuri.org/DemHoSo", "")})
        for port, soap in (("DichVuMotCuaSoap", "1.1"), ("DichVuMotCuaSoap12", "1.2"))
    },
    "written/wcf.wsdl": {
        port: (soap, {"GuiVanBan": ("document", "http://vanban.tinh.vn/dichvu/INhanVanBan/GuiVanBan", "vanBan")})
        for port, soap in (("BasicHttpBinding_INhanVanBan", "1.1"), ("WSHttpBinding_INhanVanBan", "1.2"))
    },
}  # fmt: skip
#: The files that are part of others, and the one that is not whole.
PARTS = {"made/axis-interface.wsdl", "written/wsdl0.wsdl", "made/pod-document.wsdl"}


@cache
def files(name: str) -> tuple[dict[str, bytes], str]:
    """Return the files of a WSDL, and the name of the first one: what an operator keeps."""
    folder, _, main = name.partition("/")
    return reach({path.name: path.read_bytes() for path in (FOLDER / folder).iterdir()}, main), main


@cache
def document(name: str):
    return read_wsdl(*files(name))


def taken(operation) -> str:
    """Return what zeep takes for the call: the parts, or the children of the one element."""
    body = operation.input.body
    return "" if body is None else " ".join(name for name, _ in getattr(body.type, "elements", ()))


def test_every_committed_wsdl_is_described_here():
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.wsdl")}
    assert found == SEEN.keys() | PARTS


@pytest.mark.parametrize("name", SEEN)
def test_each_operation_is_read_as_the_toolkit_describes_it(name):
    (service,) = document(name).services.values()
    ports = {
        port.name: (
            "1.2" if "soap12" in port.binding.nsmap["soap"] else "1.1",
            {each.name: (each.style, each.soapaction, taken(each)) for each in port.binding.all().values()},
        )
        for port in service.ports.values()
        if "soap" in getattr(port.binding, "nsmap", {})
    }
    assert ports == SEEN[name]


@pytest.mark.parametrize("name", SEEN)
def test_what_is_fetched_once_and_kept_describes_the_same(name):
    """Its imports are behind queries, at absolute addresses, or beside it."""
    served, main = files(name)
    asked = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return served[main if len(asked) == 1 else name_wsdl_file(address)]

    kept = {each.name: each.content for each in gather_wsdl("https://127.0.0.1/dichvu/may?wsdl", fetch)}
    assert len(asked) == len(set(asked)) == len(served)
    found = read_wsdl(kept, "may.wsdl")
    ports = {port.name: port for service in found.services.values() for port in service.ports.values()}
    for port, (_, operations) in SEEN[name].items():
        assert {each: taken(ports[port].binding.get(each)) for each in operations} == {
            each: takes for each, (_, _, takes) in operations.items()
        }


@pytest.mark.parametrize("name", SEEN)
def test_the_types_have_the_elements_that_another_library_finds_in_them(name):
    """The other is xmlschema. It reads the same schemas, each namespace as one; a type that extends has the inherited elements first."""
    ours = {
        kind.qname.text: [element.name for _, element in kind.elements]
        for kind in document(name).types.types
        if kind.qname is not None and hasattr(kind, "elements") and not getattr(kind, "_array_type", None)
    }
    found = collect(*files(name))
    for each in (each for schemas in found.values() for schema in schemas for each in schema.iter(f"{XSD}import")):
        cast("Any", each.attrib).pop("schemaLocation", None)  # all are given
    texts: list[Any] = [etree.tostring(each, encoding="unicode") for schemas in found.values() for each in schemas]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the schemas of SOAP's encoding and of xml:lang
        theirs = xmlschema.XMLSchema10(texts, validation="lax", allow="none", defuse="never")
    compared = {
        kind.name: [each.local_name for each in cast("Any", kind).content.iter_elements() if each.name is not None]
        for kind in theirs.maps.types.values()
        if kind.name and kind.name in ours and kind.is_complex() and not kind.has_simple_content()
    }
    compared = {
        kind: elements
        for kind, elements in compared.items()
        if not kind.startswith((XSD, "{http://schemas.xmlsoap.org/soap"))
    }
    assert compared
    assert {kind: ours[kind] for kind in compared} == compared


@pytest.mark.parametrize("name", SEEN)
def test_the_schemas_are_sound(name):
    compile_all(*files(name))


#: Values that the patterns of these WSDLs allow.
PATTERNED = ("0123456789", "012345678901", "00000000-0000-4000-8000-000000000000")
VALUES: dict[str, Any] = {
    "base64Binary": b"\0\xff",
    "boolean": "true",
    "date": "2026-11-28",
    "dateTime": NOON,
    "decimal": "12.50",
    "int": "3",
    "integer": "3",
}
#: Of a choice: what is chosen, and the other branch.
CHOSEN = {"written/xroad.wsdl": "maSo"}
LEFT_OUT = {"written/xroad.wsdl": ("ten", "tinh")}
CALLS = [
    (name, port, operation)
    for name, ports in SEEN.items()
    if "encoded" not in name
    for port, (_, operations) in ports.items()
    for operation in operations
]


def value_of(field) -> Any:
    kind = field.value
    if kind.choices:
        return kind.choices[-1].value
    if kind.patterns:
        return next(each for each in PATTERNED if all(re.fullmatch(one, each) for (one,) in kind.patterns))
    return VALUES.get(kind.builtin, "Đỗ")


@cache
def described(name: str, port: str, operation: str):
    (service,) = document(name).services
    return describe_operations(*files(name), service, port, [operation])[0]


@pytest.mark.parametrize(("name", "port", "operation"), CALLS)
def test_the_operator_is_shown_the_fields_that_the_adapter_takes(name, port, operation):
    """One lists them by xmlschema, the other by zeep; wildcards apart: an array of SOAP's encoding restricts its own away.

    A path of a header or an answer that is shown may be written in a mapping.
    """
    taken = load_service(*files(name), port=port).operation(operation)
    shown = described(name, port, operation)
    leaves = {each.path for each in shown.input if each.value}
    found = {each.path for each in taken.list_fields() if not each.path.endswith("*")}
    assert leaves <= found if shown.is_cut else leaves == found
    for require, fields in ((taken.require_header, shown.header), (taken.require_answer, shown.answer)):
        for each in fields:
            require(read_path(each.path, wildcard=True))


@pytest.mark.parametrize("whole", [True, False], ids=["every field", "what is required"])
@pytest.mark.parametrize(("name", "port", "operation"), CALLS)
def test_a_call_built_from_it_is_valid_by_its_own_schemas(name, port, operation, whole):
    """Judged by libxml2. Of a choice the first branch is filled."""
    taken = load_service(*files(name), port=port).operation(operation)
    fields = {each.path: each for each in described(name, port, operation).input}
    root, blocks = CallNode(), defaultdict[str, CallNode](CallNode)
    for path, field in fields.items():
        above = [path.rsplit("/", count)[0] for count in range(path.count("/") + 1)]
        needed = all(fields[each].is_needed for each in above) or path == CHOSEN.get(name)
        if (whole or needed) and path not in LEFT_OUT.get(name, ()) and not path.endswith("*"):
            if field.value:
                root.put(read_path(path), value_of(field))
            else:
                root.find(read_path(path)).given = True
    for each in described(name, port, operation).header:
        if each.value and whole:
            block, *inside = read_path(each.path)
            blocks[block.name].put(
                inside, "SUBSYSTEM" if inside and inside[-1].name == "@objectType" else value_of(each)
            )
    if whole and "service" in blocks:
        blocks["service"].attributes["@objectType"] = "SERVICE"
    envelope = taken.build(root, blocks, {}, loads := Loads())
    assert not len(loads)
    body = envelope.find("{*}Body")
    assert body is not None
    schema, sent = compile_parts(name, taken, body)
    for element in (*sent, *envelope.iterfind("{*}Header/*")):
        schema.assertValid(element)


def test_an_operation_that_is_encoded_is_none_unless_another_port_has_it_literally():
    found, main = files("made/axis-rpc-encoded.wsdl")
    assert load_service(found, main).operations == {}
    text = found[main].decode()
    binding = text[text.index("<wsdl:binding") : text.index("</wsdl:binding>") + len("</wsdl:binding>")]
    port = text[text.index("<wsdl:port ") : text.index("</wsdl:port>") + len("</wsdl:port>")]
    literal = binding.replace("hosoSoapBinding", "thuong").replace('use="encoded"', 'use="literal"')
    both = text.replace(binding, binding + literal)
    both = both.replace(port, port + port.replace('name="hoso"', 'name="thuong"').replace("hosoSoapBinding", "thuong"))
    both = both.replace('encoding="UTF-8"', 'encoding="ISO-8859-1"')
    assert load_service({main: both.encode()}, main, port="hoso").operations == {}
    assert list(load_service({main: both.encode()}, main, port="thuong").operations) == [
        "guiHoSo",
        "timHoSo",
        "demHoSo",
    ]


def compile_parts(name, taken, body):
    """Return the schemas and the elements to validate: with rpc each part, as an element of its type (WSDL 1.1, 3.5)."""
    if taken._operation.style != "rpc":
        return compile_all(*files(name)), list(body)
    (wrapper,) = body
    assert etree.QName(wrapper).localname == taken.name
    parts, declared, sent = taken._operation.input.abstract.parts, [], []
    assert [each.tag for each in wrapper] == list(parts), "without a namespace, in the order of the message"
    for element in wrapper:
        kind = parts[element.tag].type.qname
        declared.append(f'<x:element name="{element.tag}" type="k:{kind.localname}" xmlns:k="{kind.namespace}"/>')
        part = etree.Element(f"{{urn:all}}{element.tag}", cast("Any", element.attrib))
        part.text = element.text
        part.extend(list(element))
        sent.append(part)
    return compile_all(*files(name), "".join(declared)), sent


LIST = """foreach (array_slice($argv, 1) as $file) {
    $client = new SoapClient($file, ["cache_wsdl" => WSDL_CACHE_NONE]);
    $found[basename($file)] = array_map(fn ($each) => explode("(", explode(" ", $each, 2)[1])[0], $client->__getFunctions());
}
echo json_encode($found);"""


@pytest.mark.slow
def test_php_finds_the_same_operations_in_them():
    """SoapClient reads files by their addresses: not those behind a query or another host."""
    names = [name for name in SEEN if name not in {"written/xroad.wsdl", "written/wcf.wsdl"}]
    command = [str(word) for word in (*building.find_php(), "-r", LIST, "--", *(FOLDER / name for name in names))]
    theirs = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=PROGRAM).stdout)
    ours = {
        name.rpartition("/")[2]: sorted(operation for _, operations in SEEN[name].values() for operation in operations)
        for name in names
    }
    assert {name: sorted(found) for name, found in theirs.items()} == ours


def test_header_blocks_and_faults_are_read():
    xroad = document("written/xroad.wsdl").bindings["{http://dangky.x-road.vn}dangKyBinding"].get("timDoanhNghiep")
    assert [name for name, _ in xroad.input.header.type.elements] == [
        *("client", "service", "userId", "id", "issue", "protocolVersion")
    ]
    wcf = document("written/wcf.wsdl").bindings["{http://tempuri.org/}WSHttpBinding_INhanVanBan"].get("GuiVanBan")
    assert list(wcf.faults) == ["LoiNghiepVuFault"]


def test_a_wsdl_that_its_own_toolkit_leaves_incomplete_is_refused_line_by_line():
    with pytest.raises(ConfigurationFault) as refused:
        document("made/pod-document.wsdl")
    assert refused.value.mistakes[0].path == "pod-document.wsdl:34"
    assert str(refused.value.mistakes[0].wrong) == "maDanhMucPartInLayDanhMucRequest is not in the schemas"


def same(content: bytes) -> list[bytes]:
    """Return the parts of a WSDL in canonical form, without comments, which may say when they were made."""
    root = etree.fromstring(content)
    return sorted(etree.tostring(part, method="c14n", with_comments=False).strip() for part in root.iterchildren("*"))


NEEDED = {
    "axis": ("/usr/share/java/axis.jar", "libaxis-java default-jdk-headless"),
    "gsoap": ("/usr/bin/soapcpp2", "gsoap"),
    "pod": ("/usr/share/perl5/Pod/WSDL.pm", "libpod-wsdl-perl"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "toolkit", ["gsoap", "pod", pytest.param("axis", marks=pytest.mark.soak)]
)  # the last starts seven Java machines
def test_the_toolkit_makes_the_same_today(toolkit, tmp_path):
    program, package = NEEDED[toolkit]
    if not Path(program).exists() or (toolkit == "axis" and shutil.which("javac") is None):
        cannot_be_had(toolkit, f"Debian: apt-get install {package}")
    subprocess.run(["sh", FOLDER / "make.sh", tmp_path, toolkit], check=True, timeout=PROGRAM, capture_output=True)
    made = {path.name: same(path.read_bytes()) for path in tmp_path.iterdir()}
    assert made == {path.name: same(path.read_bytes()) for path in (FOLDER / "made").glob(f"{toolkit}-*.wsdl")}
    assert made
