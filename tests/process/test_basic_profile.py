"""WS-I Basic Profile 1.1 with Simple SOAP Binding Profile 1.0, rule by rule, at a hub that runs.  The WSDL's rules: tests/soap.

Not kept on purpose: R1126 (every fault is HTTP 500) where HTTP has a better word, 413, 415 and 503; R1019 (the declaration's
encoding is ignored), for the hub reads UTF-8 and UTF-16 alone, whatever the media type says.
"""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import attrs
import pytest
from lxml import etree

from hub.security import signing
from hub.security.certificates import Identity
from hub.soap import documents_requests, envelope
from tests.packets import document
from tests.running import RunningHub

pytestmark = pytest.mark.slow

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
NS = documents_requests.NAMESPACE
PERMISSION = documents_requests.CheckPermission("H55.1")


@attrs.frozen
class Answer:
    """An answer as it came."""

    status: int
    version: int  #: of HTTP, as http.client has it
    media: str
    octets: bytes

    @property
    def root(self) -> etree._Element:
        return etree.fromstring(self.octets)

    @property
    def child(self) -> etree._Element:
        return self.root[-1][0]

    @property
    def fault(self) -> tuple[str, str]:
        """The fault's code and ours."""
        code = self.child.findtext("faultcode") or ""
        return code.rpartition(":")[2], next(self.child.iter(f"{{{NS}}}Code")).text or ""


@attrs.frozen
class Office:
    """The province office, which can say anything."""

    hub: RunningHub

    def signed(self, call: documents_requests.Call = PERMISSION) -> bytes:
        """Return *call* in a signed envelope."""
        identity = Identity.read(self.hub.files("vpub")["key"], self.hub.files("vpub")["certificate"])
        return signing.sign_envelope(
            envelope.wrap_in_envelope(documents_requests.build_call_element(call)), identity, datetime.now(UTC)
        )

    def post(self, body: bytes, action: str | None = None, method: str = "POST", media: str = "text/xml") -> Answer:
        """Send octets; *action*: the header as it stands, by itself that of CheckPermission."""
        files, place = self.hub.files("vpub"), urlsplit(self.hub.soap)
        tls = ssl.create_default_context(cafile=files["ca"])
        tls.load_cert_chain(files["certificate"], files["key"])
        connection = HTTPSConnection(place.hostname or "", place.port, context=tls, timeout=60)
        said = f'"{NS}/CheckPermission"' if action is None else action
        try:
            connection.request(method, place.path, body, {"Content-Type": media, "SOAPAction": said})
            answer = connection.getresponse()
            return Answer(answer.status, answer.version, answer.getheader("Content-Type") or "", answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One hub for all rules."""
    made = RunningHub(tmp_path_factory.mktemp("profile") / "hub")
    made.start()
    yield Office(made)
    made.close()


def within(content: bytes, old: str, new: str) -> bytes:
    """Change the last place of *old*, which must be there."""
    before, found, after = content.decode().rpartition(old)
    assert found
    return (before + new + after).encode()


# --- what comes ---------------------------------------------------------------------------------------------------------

PROLOG = "<?xml version='1.0' encoding='UTF-8'?>"
BLOCK = "<x:Order xmlns:x='urn:x' soap:mustUnderstand='1'/>"

REFUSED = [
    ("R9980 R1015", "<soap:Envelope", "<soap:Letter", ("Client", "contract-broken")),
    ("R9981", "</soap:Body>", "<x xmlns='urn:x'/></soap:Body>", ("Client", "contract-broken")),
    ("R1011", "</soap:Envelope>", "<x xmlns='urn:x'/></soap:Envelope>", ("Client", "contract-broken")),
    ("R1008", PROLOG, f"{PROLOG}<!DOCTYPE soap:Envelope>", ("Client", "doctype-refused")),
    ("R1009", PROLOG, f"{PROLOG}<?robots no?>", ("Client", "not-well-formed")),
    ("R1012", PROLOG, "<?xml version='1.0' encoding='ISO-8859-1'?>", ("Client", "not-well-formed")),
    ("R1027", "</soap:Header>", f"{BLOCK}</soap:Header>", ("MustUnderstand", "not-must-understand")),
]


@pytest.mark.parametrize(("rule", "old", "new", "fault"), REFUSED, ids=[rule for rule, *_ in REFUSED])
def test_an_envelope_that_breaks_a_rule_is_answered_by_a_fault(office, rule, old, new, fault):
    changed = within(office.signed(), old, new)
    if old == "<soap:Envelope":
        changed = within(changed, "</soap:Envelope>", "</soap:Letter>")
    answer = office.post(changed)
    assert (answer.status, *answer.fault) == (500, *fault)


def test_R1014_the_child_of_the_body_is_namespace_qualified(office):
    element = etree.Element("CheckPermission")
    identity = Identity.read(office.hub.files("vpub")["key"], office.hub.files("vpub")["certificate"])
    answer = office.post(signing.sign_envelope(envelope.wrap_in_envelope(element), identity, datetime.now(UTC)), '""')
    assert (answer.status, *answer.fault) == (500, "Client", "operation-unknown")


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("R1010 with a declaration", lambda content: content),
        ("R1010 without one", lambda content: within(content, PROLOG, "").strip()),
        (
            "R1012 UTF-16",
            lambda content: within(content, "encoding='UTF-8'", "encoding='UTF-16'").decode().encode("utf-16"),
        ),
        ("R4001 UTF-8 with its mark", lambda content: b"\xef\xbb\xbf" + content),
        (
            "R1013 mustUnderstand 0",
            lambda content: within(content, "</soap:Header>", BLOCK.replace("1", "0") + "</soap:Header>"),
        ),
        (
            "R1027 a header for another",
            lambda content: within(
                content, "</soap:Header>", BLOCK.replace("/>", " soap:actor='urn:a'/>") + "</soap:Header>"
            ),
        ),
        (
            "R2752 a header that the contract does not know",
            lambda content: within(content, "</soap:Header>", "<x:a xmlns:x='urn:x'/></soap:Header>"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_envelope_that_keeps_the_rules_is_taken(office, rule, change):
    answer = office.post(change(office.signed()))
    assert (answer.status, answer.child.tag) == (200, f"{{{NS}}}CheckPermissionResponse"), answer.octets


def test_R1017_xsi_type_is_neither_wanted_nor_refused(office):
    child = etree.fromstring(
        f'<d:CheckPermission xmlns:d="{NS}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<d:OrganId xsi:type="d:Identifier">H55.1</d:OrganId></d:CheckPermission>'
    )
    identity = Identity.read(office.hub.files("vpub")["key"], office.hub.files("vpub")["certificate"])
    assert (
        office.post(signing.sign_envelope(envelope.wrap_in_envelope(child), identity, datetime.now(UTC))).status == 200
    )


@pytest.mark.parametrize("action", [f'"{NS}/CheckPermission"', f"{NS}/CheckPermission", '""', ""])
def test_R1109_R1119_R2744_the_action_is_quoted_and_the_operations_own(office, action):
    """A RECEIVER may take an unquoted one; the body chooses the operation, and the header may only agree."""
    assert office.post(office.signed(), action).status == 200
    assert office.post(office.signed(), f'"{NS}/GetDocument"').fault == ("Client", "action-mismatch")


def test_R2725_the_version_is_judged_before_the_headers_and_those_before_the_body(office):
    broken = within(office.signed(), "</soap:Body>", "<x xmlns='urn:x'/></soap:Body>")
    assert office.post(broken).fault == ("Client", "contract-broken")
    alien = within(office.signed(), "</soap:Header>", f"{BLOCK}</soap:Header>").replace(SOAP.encode(), b"urn:soap:3")
    assert office.post(alien).fault == ("VersionMismatch", "soap-version")


def test_R1025_R1028_nothing_is_done_when_a_header_is_not_understood(office):
    before = office.hub.cli("messages", "--state", "accepted", "--count", text=True)
    call = documents_requests.SendDocument(document(to="H55.13"), "R1025")
    refused = within(office.signed(call), "</soap:Header>", f"{BLOCK}</soap:Header>")
    assert office.post(refused, '""').fault == ("MustUnderstand", "not-must-understand")
    assert office.hub.cli("messages", "--state", "accepted", "--count", text=True) == before


def test_R2724_a_call_that_is_not_the_contracts_is_the_clients_fault(office):
    child = etree.fromstring(f'<CheckPermission xmlns="{NS}"><Unit>H55.1</Unit></CheckPermission>')
    identity = Identity.read(office.hub.files("vpub")["key"], office.hub.files("vpub")["certificate"])
    answer = office.post(signing.sign_envelope(envelope.wrap_in_envelope(child), identity, datetime.now(UTC)))
    assert (answer.status, *answer.fault) == (500, "Client", "contract-broken")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_R1114_another_method_is_405(office, method):
    assert office.post(b"", method=method).status == 405


def test_R1115_another_media_type_is_415(office):
    assert office.post(office.signed(), media="application/xml").status == 415


def test_R1113_a_request_that_is_no_http_is_400(office):
    files, place = office.hub.files("vpub"), urlsplit(office.hub.soap)
    tls = ssl.create_default_context(cafile=files["ca"])
    tls.load_cert_chain(files["certificate"], files["key"])
    connection = HTTPSConnection(place.hostname or "", place.port, context=tls, timeout=60)
    connection.connect()
    connection.sock.sendall(b"HELLO HUB\r\n\r\n")
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 400 ")
    connection.close()


# --- what goes ----------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[documents_requests.Call, Callable[[bytes], bytes] | None]] = {
    "an answer": (PERMISSION, None),
    "a business refusal": (documents_requests.CheckPermission("H55.13"), None),
    "an acceptance with its receipt": (documents_requests.SendDocument(document(to="H55.13", number="8"), "R-8"), None),
    "a list": (documents_requests.GetOrganizations(), None),
    "Client": (documents_requests.GetDocument("nothing"), None),
    "Client, in octets that are no XML": (PERMISSION, lambda content: content[:100]),
    "MustUnderstand": (PERMISSION, lambda content: within(content, "</soap:Header>", f"{BLOCK}</soap:Header>")),
    "VersionMismatch": (PERMISSION, lambda content: content.replace(SOAP.encode(), b"urn:soap:3")),
}


@pytest.fixture(scope="module", params=ANSWERS)
def answer(request: pytest.FixtureRequest, office: Office) -> Answer:
    """Every kind of answer."""
    call, change = ANSWERS[request.param]
    content = office.signed(call)
    return office.post(change(content) if change else content, '""')


def test_R9980_R9981_R1011_R1014_the_envelope_has_a_header_a_body_and_one_qualified_child(answer):
    root = answer.root
    assert root.tag == f"{{{SOAP}}}Envelope"
    assert [part.tag for part in root] == [f"{{{SOAP}}}Header", f"{{{SOAP}}}Body"]
    (child,) = root[1]
    assert etree.QName(child).namespace in {SOAP, NS}


def test_R1005_R1006_R1032_R1033_R1013_no_attribute_of_soap_where_none_may_be(answer):
    root = answer.root
    for part in root.iter():
        assert f"{{{SOAP}}}encodingStyle" not in part.attrib
        assert part.get(f"{{{SOAP}}}mustUnderstand", "0") in {"0", "1"}
    for part in (root, *root):
        assert not [name for name in part.attrib if str(name).startswith(f"{{{SOAP}}}")]
    assert b"xmlns:xml=" not in answer.octets


def test_R1008_R1009_R1010_R1012_R1018_it_is_xml_in_utf_8_and_the_media_type_says_so(answer):
    assert answer.media == "text/xml; charset=utf-8"
    assert answer.octets.startswith(PROLOG.encode())
    assert answer.octets.decode("utf-8")
    assert b"<!DOCTYPE" not in answer.octets
    assert answer.octets.count(b"<?") == 1


def test_R1000_R1001_R1004_R1031_R1016_a_fault_has_the_profiles_shape(answer):
    if answer.child.tag != f"{{{SOAP}}}Fault":
        assert answer.status == 200
        return
    assert [part.tag for part in answer.child] == ["faultcode", "faultstring", "detail"]
    prefix, _, name = answer.child.findtext("faultcode").partition(":")
    assert answer.child.nsmap[prefix] == SOAP
    assert name in {"VersionMismatch", "MustUnderstand", "Client", "Server"}
    (string,) = answer.child.iterfind("faultstring")
    assert dict(string.attrib) == {"{http://www.w3.org/XML/1998/namespace}lang": "vi"}


def test_R1111_R1124_R1126_R1141_http_says_what_the_envelope_says(answer):
    assert answer.version == 11
    assert answer.status == (500 if answer.child.tag == f"{{{SOAP}}}Fault" else 200)
