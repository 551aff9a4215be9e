"""The published contract: what a stock client reads from it, and what a call that breaks it is told."""

import hashlib
import re
import tomllib
from base64 import b64encode, encodebytes
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from zeep import Client, Settings
from zeep.exceptions import Fault
from zeep.transports import Transport

from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import xsd_schemas, xsd_types
from hub.soap import documents_requests, documents_responses, envelope, wsdl
from tests.costs import drawing
from tests.stage import build_taken
from tests.wsdls import SOAP, WSDL, client

NS = documents_requests.NAMESPACE
OPERATIONS = {
    "SendDocument",
    "GetPendingDocumentIds",
    "GetDocument",
    "ConfirmReceived",
    "UpdateTraces",
    "GetTraces",
    "GetOrganizations",
    "CheckPermission",
}
PACKET = "<edXML>một gói tin</edXML>".encode()
NOON = datetime(2026, 11, 24, 5, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(scope="module")
def documents():
    return wsdl.load_contract("documents")


@pytest.fixture(scope="module")
def zeep():
    return client("documents")


def child(xml):
    return etree.fromstring(xml.format(ns=NS))


def refusal(documents, xml):
    with pytest.raises(CallRefused) as refused:
        documents.validate(child(xml))
    return [(problem.code, str(problem.detail)) for problem in refused.value.problems]


# --- what is published --------------------------------------------------------------------------------------------------


def test_the_wsdl_offers_exactly_the_operations_that_are_served(documents):
    assert {operation.name for operation in documents.operations.values()} == OPERATIONS
    for operation in documents.operations.values():
        assert operation.action == f"{NS}/{operation.name}"
        assert operation.request == f"{{{NS}}}{operation.name}"
        assert operation.response == f"{{{NS}}}{operation.name}Response"


def test_the_served_wsdl_names_the_configured_address_and_fetches_its_schema_from_there(documents):
    served = etree.fromstring(documents.wsdl("https://truc.example.vn/soap/documents"))
    (address,) = served.iter(f"{{{SOAP}}}address")
    assert address.get("location") == "https://truc.example.vn/soap/documents"
    (imported,) = served.iter("{http://www.w3.org/2001/XMLSchema}import")
    assert imported.get("schemaLocation") == "https://truc.example.vn/soap/documents?xsd=documents.xsd"
    assert (
        documents.xsd("documents.xsd")
        == (xsd_schemas.find_schema_root() / "xsd/lienthong/1/documents.xsd").read_bytes()
    )
    with pytest.raises(KeyError):
        documents.xsd("../../../hub.toml")


def test_a_stock_client_loads_the_served_wsdl_by_its_links_alone(documents):
    address = "https://truc.example.vn/soap/documents"
    pages = {f"{address}?wsdl": documents.wsdl(address), f"{address}?xsd=documents.xsd": documents.xsd("documents.xsd")}

    class Pages(Transport):
        def load(self, url):
            return pages[url]

    loaded = Client(f"{address}?wsdl", transport=Pages(), settings=Settings(strict=True))
    ports = loaded.wsdl.services["Documents"].ports
    assert list(ports) == ["DocumentsSoap11", "DocumentsSoap12"]
    for port in ports.values():
        assert port.binding_options["address"] == address
        assert set(port.binding.all()) == OPERATIONS


def test_every_file_beside_a_source_note_is_the_file_it_describes():
    """SOURCE.toml says where a contract comes from; its SHA-256 says which file that is."""
    for path in (xsd_schemas.find_schema_root() / kind / "lienthong/1" for kind in ("wsdl", "xsd")):
        note = tomllib.loads((path / "SOURCE.toml").read_text())
        described = {name: each["sha256"] for name, each in note.items() if isinstance(each, dict)}
        assert described == {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in path.iterdir()
            if file.name != "SOURCE.toml"
        }


def test_every_contract_file_can_be_had_by_its_path():
    found = wsdl.list_contract_files()
    assert "wsdl/lienthong/1/documents.wsdl" in found
    assert "xsd/lienthong/1/documents.xsd" in found
    assert all(path.is_file() for path in found.values())


def test_the_wsdl_keeps_the_basic_profile(documents):
    """WS-I Basic Profile 1.1: one part a message, an element; document, literal, over HTTP; faults named alike."""
    root = etree.fromstring(documents.wsdl("https://h/soap/documents"))
    for message in root.iter(f"{{{WSDL}}}message"):  # R2201, R2204
        (part,) = message.iter(f"{{{WSDL}}}part")
        assert part.get("element")
        assert part.get("type") is None
    (binding,) = root.iter(f"{{{SOAP}}}binding")  # R2701, R2702, R2705
    assert binding.get("transport") == "http://schemas.xmlsoap.org/soap/http"
    assert {each.get("style") for each in (binding, *root.iter(f"{{{SOAP}}}operation"))} == {"document"}
    bodies = list(root.iter(f"{{{SOAP}}}body"))
    assert len(bodies) == 2 * len(OPERATIONS)
    for each in (*bodies, *root.iter(f"{{{SOAP}}}fault")):  # R2706, R2723, R2716
        assert each.get("use") == "literal"
        assert each.get("namespace") is None
        assert each.get("encodingStyle") is None
    for each in root.iter(f"{{{SOAP}}}fault"):  # R2721, R2754
        assert each.get("name") == "FaultDetail"
    names = [each.get("name") for each in root.iterfind(f"{{{WSDL}}}portType/{{{WSDL}}}operation")]
    assert len(names) == len(set(names))  # R2304: no overloading
    inputs = [(m.get("name"), m[0].get("element")) for m in root.iter(f"{{{WSDL}}}message")]
    assert len({element for _, element in inputs}) == len(inputs)  # R2710: each wire signature is its own
    for schema in root.iter("{http://www.w3.org/2001/XMLSchema}schema"):  # R2105
        assert {each.tag for each in schema} == {"{http://www.w3.org/2001/XMLSchema}import"}
    assert root.find(f"{{{WSDL}}}import") is None  # R2001, R2002, R2003: schemas are imported by xsd:import in types
    for each in root.iterfind(
        f"{{{WSDL}}}portType/{{{WSDL}}}operation"
    ):  # R2303: request and response; R2740: the fault
        assert [etree.QName(part).localname for part in each if part.get("message")] == ["input", "output", "fault"]
    for each in root.iterfind(f"{{{WSDL}}}binding"):  # R2718: each binding binds every operation
        assert [part.get("name") for part in each.iterfind(f"{{{WSDL}}}operation")] == names
    for each in root.iter(f"{{{SOAP}}}body"):  # R2209: no part is left out
        assert each.get("parts") is None
    (address,) = root.iter(
        f"{{{SOAP}}}address"
    )  # R2711: one SOAP 1.1 port a location; R5001: where HTTPS is wanted, it says so
    assert address.get("location") == "https://h/soap/documents"


# --- a stock client and our validation agree ----------------------------------------------------------------------------

CALLS: dict[str, tuple[dict[str, Any], documents_requests.Call]] = {
    "SendDocument": ({"MessageId": "m-1", "Packet": PACKET}, documents_requests.SendDocument(PACKET, "m-1")),
    "GetOrganizations": ({"Since": NOON}, documents_requests.GetOrganizations(NOON)),
    "CheckPermission": ({"OrganId": "H55.1"}, documents_requests.CheckPermission("H55.1")),
    "GetPendingDocumentIds": ({"OrganId": "H55.01", "Limit": 5}, documents_requests.GetPendingDocumentIds("H55.01", 5)),
    "GetDocument": ({"DocumentId": "d-1"}, documents_requests.GetDocument("d-1")),
    "ConfirmReceived": (
        {"DocumentId": "d-1", "OrganId": "H55.01"},
        documents_requests.ConfirmReceived("d-1", "H55.01"),
    ),
    "UpdateTraces": ({"Packet": PACKET}, documents_requests.UpdateTraces(PACKET)),
    "GetTraces": (
        {"OrganId": "H55.01", "DocumentId": "d-1", "Since": NOON},
        documents_requests.GetTraces("H55.01", "d-1", NOON),
    ),
}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_what_a_stock_client_writes_is_a_valid_call_and_reads_as_meant(documents, zeep, name):
    given_values, meant = CALLS[name]
    opened = envelope.open_envelope(zeep.create_message(zeep.service, name, **given_values))
    packets = documents.validate(opened.child)
    assert documents.operation(opened.child).name == name
    assert documents_requests.read_documents_call(opened.child, packets) == meant


@pytest.mark.parametrize("call", [meant for _, meant in CALLS.values()], ids=list(CALLS))
def test_our_own_calls_are_valid_and_read_back_equal(documents, call):
    element = documents_requests.build_call_element(call)
    assert documents_requests.read_documents_call(element, documents.validate(element)) == call
    assert documents.operation(element).action == documents_requests.choose_soap_action(call)


def heard(zeep, name, octets, status=200):
    """Let zeep read *octets* as the reply to *name*."""
    binding = zeep.wsdl.services["Documents"].ports["DocumentsSoap11"].binding
    headers = {"Content-Type": envelope.CONTENT_TYPE}
    reply = SimpleNamespace(status_code=status, headers=headers, content=octets, encoding="utf-8")
    return binding.process_reply(zeep, binding.get(name), reply)


SAID = documents_responses.Receipt("0192f0c1", "m-1", hashlib.sha256(PACKET).hexdigest(), NOON)


def sealed():
    """A receipt as the hub seals it, as far as the schema can see."""
    receipt = etree.fromstring(documents_responses.write_receipt(SAID).octets)
    etree.SubElement(receipt, "{http://www.w3.org/2000/09/xmldsig#}Signature")
    return etree.tostring(receipt)


@pytest.mark.parametrize("name", ["SendDocument", "UpdateTraces"])
def test_a_stock_client_reads_every_value_of_a_receipt(documents, zeep, name):
    element = build_taken(name, "0192f0c1", sealed())
    documents.validate(element)
    got = heard(zeep, name, envelope.write_unsigned_envelope(element))
    assert got.Report.IsSuccess is True
    assert got.Report.ErrorList is None or not got.Report.ErrorList.Error
    assert got.DocumentId == "0192f0c1"
    receipt = got.Receipt
    assert (receipt.DocumentId, receipt.MessageId, receipt.Sha256) == (SAID.document_id, SAID.message_id, SAID.sha256)
    assert receipt.Time == NOON
    assert documents_responses.read_submission(element, name).document_id == "0192f0c1"


def test_a_receipt_taken_out_of_its_answer_is_the_document_that_was_sealed(documents):
    answer = etree.fromstring(envelope.write_unsigned_envelope(build_taken("SendDocument", "0192f0c1", sealed())))
    alone = documents_responses.read_submission(envelope.open_reply(answer).child, "SendDocument").receipt
    assert alone == etree.tostring(etree.fromstring(sealed()), method="c14n", exclusive=True)
    assert documents_responses.read_receipt(etree.fromstring(alone)) == SAID


@pytest.mark.parametrize("name", ["SendDocument", "UpdateTraces", "ConfirmReceived"])
def test_a_stock_client_reads_each_reason_of_a_refusal(documents, zeep, name):
    problems = (Problem("unit-unknown", "H55.99.99"), Problem("N.MessageHeader.Code"))
    element = documents_responses.build_refused_response(name, problems)
    documents.validate(element)
    got = heard(zeep, name, envelope.write_unsigned_envelope(element))
    report = got if name == "ConfirmReceived" else got.Report
    assert report.IsSuccess is False
    errors = report.ErrorList.Error
    assert [error.Code for error in errors] == ["unit-unknown", "N.MessageHeader.Code"]
    assert "H55.99.99" in errors[0].Description
    read = documents_responses.read_report(element, name)
    assert not read.success
    assert [(problem.code, str(problem.detail)) for problem in read.problems] == [
        (e.Code, e.Description) for e in errors
    ]


def test_a_stock_client_reads_the_ids_that_wait(documents, zeep):
    for ids in (["a", "b"], []):
        element = documents_responses.build_pending_response(ids)
        documents.validate(element)
        got = heard(zeep, "GetPendingDocumentIds", envelope.write_unsigned_envelope(element))
        assert (getattr(got, "DocumentId", got) or []) == ids
        assert documents_responses.read_pending(element) == tuple(ids)


def test_a_stock_client_reads_a_document_to_the_last_byte(documents, zeep):
    document = documents_responses.Document("0192f0c1", "m-1", PACKET + b"\r\n")
    element = documents_responses.build_document_response(document)
    assert documents.validate(element) == [PACKET + b"\r\n"]
    got = heard(zeep, "GetDocument", envelope.write_unsigned_envelope(element))
    assert (got.DocumentId, got.MessageId, got.Packet) == ("0192f0c1", "m-1", PACKET + b"\r\n")
    assert documents_responses.read_document(element) == document


def test_a_stock_client_reads_the_confirmation(documents, zeep):
    element = documents_responses.build_confirmed_response()
    documents.validate(element)
    assert heard(zeep, "ConfirmReceived", envelope.write_unsigned_envelope(element)).IsSuccess is True
    assert documents_responses.read_report(element, "ConfirmReceived") == documents_responses.SubmissionReport(
        success=True
    )


def test_a_stock_client_reads_statuses_of_known_and_unknown_documents(documents, zeep):
    traces = (documents_responses.Trace("0192f0c1", b"<a/>"), documents_responses.Trace(None, b"<b/>"))
    element = documents_responses.build_traces_response(traces)
    assert documents.validate(element) == [b"<a/>", b"<b/>"]
    got = heard(zeep, "GetTraces", envelope.write_unsigned_envelope(element))
    got = getattr(got, "Trace", got)
    assert [(trace.DocumentId, trace.Packet) for trace in got] == [("0192f0c1", b"<a/>"), (None, b"<b/>")]
    assert documents_responses.read_traces(element) == traces
    assert documents_responses.read_traces(documents_responses.build_traces_response([])) == ()


def test_a_stock_client_raises_our_faults_with_their_typed_detail(documents, zeep):
    problems = [Problem("unsigned"), Problem("contract-broken", "dòng 3 \x00")]
    octets = envelope.write_fault(NS, problems, server=False, tracking="0192-abc")
    opened = envelope.open_reply(etree.fromstring(octets))
    (detail,) = opened.child.iterfind("detail/*")
    documents.validate(detail)
    with pytest.raises(Fault) as raised:
        heard(zeep, "SendDocument", octets, status=500)
    assert raised.value.code == "soap:Client"
    typed = zeep.wsdl.types.get_element(f"{{{NS}}}FaultDetail").parse(raised.value.detail[0], zeep.wsdl.types)
    assert (typed.Code, typed.Tracking) == ("unsigned", "0192-abc")
    assert typed.Description == raised.value.message
    assert [error.Code for error in typed.ErrorList.Error] == ["unsigned", "contract-broken"]
    assert "dòng 3 \ufffd" in typed.ErrorList.Error[1].Description


# --- a call that breaks the contract is told where and why --------------------------------------------------------------


def test_an_unknown_operation_is_refused_by_name(documents):
    for name in ("Delete", "RemoveDocument", "SendDocumentResponse"):
        with pytest.raises(CallRefused) as refused:
            documents.operation(child(f'<{name} xmlns="{{ns}}"/>'))
        assert refused.value.problems == (Problem("operation-unknown", f"{{{NS}}}{name}"),)
    with pytest.raises(CallRefused):
        documents.operation(etree.fromstring("<SendDocument/>"))


def test_each_broken_place_is_named_by_line_and_path(documents):
    told = refusal(
        documents, '<d:SendDocument xmlns:d="{ns}">\n<d:MessageId/>\n<d:Packet x="1">QQ==</d:Packet>\n</d:SendDocument>'
    )
    assert [code for code, _ in told] == ["contract-broken"] * 2
    assert told[0][1].startswith("line 2, /SendDocument/MessageId (Mã do bên gửi đặt): ")
    assert told[1][1].startswith("line 3, /SendDocument/Packet/@x (Gói tin edXML, nguyên từng byte): ")
    assert NS not in told[0][1]


@pytest.mark.parametrize(
    ("xml", "place"),
    [
        ('<SendDocument xmlns="{ns}"/>', "SendDocument/Packet: "),
        ('<SendDocument xmlns="{ns}"><Packet>QQ==</Packet><MessageId>m</MessageId></SendDocument>', "/MessageId: "),
        ('<SendDocument xmlns="{ns}"><Packet>QQ==</Packet>text</SendDocument>', "SendDocument: "),
        ('<SendDocument xmlns="{ns}"><Packet><x xmlns=""/>QQ==</Packet></SendDocument>', "SendDocument/Packet: "),
        ('<SendDocument xmlns="{ns}"><Packet><Packet>QQ==</Packet></Packet></SendDocument>', "/Packet"),
        ('<SendDocument xmlns="{ns}"><Packet>QQ==</Packet><Packet>QQ==</Packet></SendDocument>', "/Packet[2]: "),
        ('<GetTraces xmlns="{ns}"><OrganId>a</OrganId><Since>hôm nay</Since></GetTraces>', "GetTraces/Since: "),
        (
            '<GetPendingDocumentIds xmlns="{ns}"><OrganId>a</OrganId><Limit>0</Limit></GetPendingDocumentIds>',
            "/Limit: ",
        ),
        ('<GetDocument xmlns="{ns}"><DocumentId>' + "x" * 201 + "</DocumentId></GetDocument>", "/DocumentId: "),
        ('<GetDocument xmlns="{ns}"><DocumentId xmlns="">d</DocumentId></GetDocument>', "DocumentId: "),
        (
            '<GetDocument xmlns="{ns}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><DocumentId i:nil="true"/></GetDocument>',
            "/DocumentId: ",
        ),
    ],
)
def test_a_call_that_breaks_the_schema_is_refused_with_its_place(documents, xml, place):
    assert any(code == "contract-broken" and place in unlabelled(detail) for code, detail in refusal(documents, xml))


def test_a_fault_lists_twenty_mistakes_and_says_how_many_more_the_journal_has(documents):
    problems = [Problem("contract-broken", str(number)) for number in range(200)]
    fault = etree.fromstring(envelope.write_fault(NS, problems, server=False, tracking="t"))
    listed = envelope.read_error_list(next(fault.iter(f"{{{NS}}}ErrorList")))
    assert len(listed) == 21
    assert "180 more are in the hub's journal" in str(listed[-1].detail)
    assert "còn 180 lỗi nữa" in str(listed[-1].detail)


def unlabelled(detail):
    """Return *detail* without what the schema calls the element."""
    return re.sub(r" \([^)]*\): ", ": ", detail)


def test_types_named_by_a_prefix_of_the_envelope_are_understood(documents):
    """SOAP::Lite and .NET write `xsi:type`; its prefix is often declared on the Envelope."""
    root = child(
        '<e:Envelope xmlns:e="urn:e" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><SendDocument xmlns="{ns}">'
        '<Packet xsi:type="xsd:base64Binary">QUI=</Packet></SendDocument></e:Envelope>'
    )
    assert documents.validate(root[0]) == [b"AB"]


def test_a_comment_does_not_cut_a_value_in_two(documents):
    element = child(
        '<SendDocument xmlns="{ns}"><MessageId>m<!--x-->1</MessageId><Packet>Q<!--x-->UI=</Packet></SendDocument>'
    )
    assert documents_requests.read_documents_call(
        element, documents.validate(element)
    ) == documents_requests.SendDocument(b"AB", "m1")


def test_a_call_is_left_as_it_was(documents):
    """Its signature was verified on these very nodes, and the packet is read from them."""
    element = documents_requests.build_call_element(documents_requests.SendDocument(PACKET, "m"))
    before = etree.tostring(element, method="c14n")
    documents.validate(element)
    assert etree.tostring(element, method="c14n") == before


def test_threads_never_get_one_another_s_mistakes(documents):
    def told(number):
        lines = "\n" * number
        return refusal(documents, f'<GetDocument xmlns="{{ns}}">{lines}<X/></GetDocument>')[-1][1]

    with ThreadPoolExecutor(4) as pool:
        for number, detail in enumerate(pool.map(told, range(200))):
            assert detail.startswith(f"line {number + 1}, ")


def test_a_call_with_a_great_many_mistakes_costs_little():
    dossiers = wsdl.load_contract("dossiers")
    wrong = f'<SyncDossiers xmlns="{dossiers.namespace}"><HoSo>{{}}</HoSo></SyncDossiers>'
    for many in (9_900, 40_000):
        call = etree.fromstring(wrong.format('<TaiLieuNop a="1"/>' * many))
        assert drawing.least_seconds_of(dossiers.validate, call, 2)[0] < 2
        with pytest.raises(CallRefused, match="contract-broken"):
            dossiers.validate(call)


def test_nobody_waits_for_a_thread_that_validates(documents):
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(lambda: xsd_schemas.compile_schema(documents._schema)).result()
    assert theirs is not xsd_schemas.compile_schema(documents._schema)


# --- base64 -------------------------------------------------------------------------------------------------------------

_XSD = etree.XMLSchema(
    etree.fromstring(
        '<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema"><s:element name="a" type="s:base64Binary"/></s:schema>'
    )
)


def leaf(text):
    element = etree.Element("a")
    element.text = text
    return element


@given(st.binary(max_size=400))
def test_base64_reads_back_whatever_line_breaks_a_toolkit_adds(octets):
    for text in (
        xsd_types.encode_canonical_base64(octets),
        encodebytes(octets).decode(),
        "\r\n\t " + b64encode(octets).decode() + " \n",
    ):
        assert xsd_types.read_xs_base64(leaf(text)) == octets


@given(st.text(alphabet="AQgwx+/= \n\t", max_size=12))
def test_our_base64_refuses_what_libxml2_refuses_and_nothing_else(text):
    """Of texts in the alphabet; libxml2 skips any other character, we refuse it."""
    element = leaf(text)
    try:
        xsd_types.read_xs_base64(element)
        ours = True
    except ValueError:
        ours = False
    assert ours == _XSD.validate(element)


@pytest.mark.parametrize("text", ["QR==", "QUJ=", "QQ=", "QQ", "Q", "=QQ=", "QQ==QQ==", "QUI=QQ==", "QQ--", "Qé=="])
def test_broken_base64_breaks_the_contract(documents, text):
    ((code, detail),) = refusal(documents, f'<SendDocument xmlns="{{ns}}">\n<Packet>{text}</Packet></SendDocument>')
    assert code == "contract-broken"
    assert detail.startswith("line 2, /SendDocument/Packet: ")


def test_an_empty_packet_keeps_the_contract(documents):
    """It is judged as a packet, not as a call."""
    assert documents.validate(child('<SendDocument xmlns="{ns}"><Packet/></SendDocument>')) == [b""]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (xsd_types.read_xs_boolean, "true"),
        (xsd_types.read_xs_int, "1"),
        (xsd_types.read_xs_datetime, "2026-11-24T05:00:00Z"),
        (xsd_types.read_xs_base64, "QUJD"),
    ],
)
def test_a_value_stands_in_a_leaf_whose_comments_do_not_matter(read, value):
    assert read(etree.fromstring(f"<a><!-- x -->{value}</a>")) == read(leaf(value))
    for text in (f"<b/>{value}", f"{value}<b/>", f"<b>{value}</b>"):
        with pytest.raises(ValueError, match="child elements instead of a value"):
            read(etree.fromstring(f"<a>{text}</a>"))


# --- times --------------------------------------------------------------------------------------------------------------


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_reads_back_to_the_microsecond(when):
    assert xsd_types.read_xs_datetime(leaf(xsd_types.write_xs_datetime(when))) == when


def test_a_time_with_an_offset_is_that_moment_and_one_without_is_utc():
    for text in (
        "2026-11-24T12:00:00+07:00",
        "2026-11-24T05:00:00Z",
        " 2026-11-24T05:00:00 ",
        "2026-11-24T05:00:00.0000000Z",
    ):
        assert xsd_types.read_xs_datetime(leaf(text)) == datetime(2026, 11, 24, 5, tzinfo=UTC)


def test_a_time_that_no_calendar_here_has_breaks_the_contract(documents):
    for text in ("12026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "-0044-03-15T00:00:00Z"):
        element = child(f'<GetTraces xmlns="{{ns}}"><OrganId>a</OrganId><Since>{text}</Since></GetTraces>')
        with pytest.raises(CallRefused) as refused:
            documents_requests.read_documents_call(element, documents.validate(element))
        assert refused.value.problems[0].code == "contract-broken"


def test_a_call_of_many_elements_is_copied_by_libxml2(documents):
    """A copy made here element by element took four times as long."""
    many = ("<b>" + "<a/>" * 9_990 + "</b>") * 30
    element = child(f'<SendDocument xmlns="{documents_requests.NAMESPACE}">{many}</SendDocument>')
    seconds, said = drawing.least_seconds_of(documents.validate, element, 0.5)
    assert said == "to be explained"
    assert seconds < 0.5
    assert etree.tostring(element).count(b"<a/>") == 299_700


def test_a_value_between_other_elements_is_told_and_stays_as_it_was(documents):
    xml = f'<SendDocument xmlns="{documents_requests.NAMESPACE}"><Packet>QQ==<x/>QQ==</Packet></SendDocument>'
    element = child(xml)
    with pytest.raises(CallRefused):
        documents.validate(element)
    assert etree.tostring(element).decode() == xml
