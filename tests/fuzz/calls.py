"""Calls: one that is taken is valid by the whole schema, says what stands there, and is the same when it is written and read again."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from xml.etree import ElementTree as ET

from lxml import etree

from hub.domain.errors import CallRefused, Rejected
from hub.formats import safe_xml
from hub.soap import documents_requests, envelope, wsdl
from tests.fuzz import changing
from tests.fuzz.told import gist, tell

LONGEST = 2048
SINCE = datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=UTC)
WORDS = (
    *("2026-11-24T08:00:00", "2026-11-24T24:00:00Z", "2026-11-24T08:00:00.123456789+14:00", "-0001-01-01T00:00:00Z", "12026-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00+14:00", "2147483647", "2147483648", "-1", "+1", "0", "1000", "H55.01", "x" * 300, "QQ==", "QR==", "Q Q = ="),
    *("{urn:lienthong:documents:1}Since", "true", "\u0660", "1e3", "2026-02-29T00:00:00Z", "2026-11-24T08:00:60Z", "2026-11-24t08:00:00z"),
)  # fmt: skip

trees = changing.Trees(words=WORDS)
change, cross = trees.change, trees.cross


@cache
def documents() -> wsdl.Contract:
    return wsdl.load_contract("documents")


@cache
def schema() -> etree.XMLSchema:
    """Return a schema of our own from the same file: the contract's is asked about a stand-in only."""
    return etree.XMLSchema(etree.fromstring(documents().xsd("documents.xsd")))


def seeds() -> Iterator[bytes]:
    for call in (
        documents_requests.SendDocument(b"<edXML/>", "m-1"),
        documents_requests.UpdateTraces(b"<edXML/>"),
        documents_requests.GetPendingDocumentIds("H55.01", 10),
        documents_requests.GetDocument("0193"),
        documents_requests.ConfirmReceived("0193", "H55.01"),
        documents_requests.GetTraces("H55.01", "0193", SINCE),
        documents_requests.GetOrganizations(SINCE),
        documents_requests.CheckPermission("H55.01"),
    ):
        yield envelope.write_unsigned_envelope(documents_requests.build_call_element(call))


def judge(content: bytes) -> None:
    try:
        child = envelope.open_envelope(safe_xml.parse_safe_xml(content)).child
    except Rejected:
        return
    (seen,) = list(ET.fromstring(content))[-1]
    assert child.tag == seen.tag
    try:
        documents().operation(child)
        packets = documents().validate(child)
        call = documents_requests.read_documents_call(child, packets)
    except CallRefused as refused:
        valid = schema().validate(child) and child.tag in documents().operations
        codes = {problem.code for problem in refused.problems}
        details = " ".join(str(problem.detail) for problem in refused.problems)
        assert codes <= {"operation-unknown", "contract-broken"}
        ours_alone = any(
            each in details for each in ("base64", "/Since: ")
        )  # stricter than libxml2, and than any calendar
        assert not valid or ours_alone, details
        etree.fromstring(
            envelope.write_fault(documents_requests.NAMESPACE, refused.problems, server=False, tracking="")
        )
        tell(*sorted(codes), len(refused.problems), gist(details), valid)
        return
    assert schema().validate(child), schema().error_log
    assert packets == [
        base64.b64decode("".join(each.itertext()), validate=False) for each in seen if each.tag.endswith("}Packet")
    ]
    said = {each.tag.rpartition("}")[2]: " ".join(re.findall(r"[^ \t\r\n]+", each.text or "")) for each in seen}
    for field, name in {"organ_id": "OrganId", "document_id": "DocumentId", "message_id": "MessageId"}.items():
        assert not hasattr(call, field) or getattr(call, field) == said.get(name)
    if isinstance(call, documents_requests.GetPendingDocumentIds):
        assert call.limit == (int(said["Limit"]) if "Limit" in said else None)
    again = documents_requests.build_call_element(call)
    assert documents_requests.read_documents_call(again, documents().validate(again)) == call
    tell("taken", type(call).__name__, sorted(said))
