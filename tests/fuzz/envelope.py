"""SOAP envelopes: opened exactly when a naive reader finds them in order, and every refusal can be written as a fault and read back."""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from lxml import etree

from hub.domain.errors import CallRefused, Rejected
from hub.domain.model import Problem
from hub.formats import safe_xml
from hub.soap import documents_requests, envelope
from hub.soap.envelope import SOAP11, SOAP12
from tests.fuzz import changing
from tests.fuzz.told import gist, tell
from tests.signatures import DS, WSSE, Layout

LONGEST = 4096
CODES = {"soap-version", "not-must-understand", "contract-broken", "too-deep"}
NEXT = {
    SOAP11: ("actor", {"", "http://schemas.xmlsoap.org/soap/actor/next"}),
    SOAP12: ("role", {"", f"{SOAP12}/role/next", f"{SOAP12}/role/ultimateReceiver"}),
}
SPACE = " \t\r\n"
WORDS = (SOAP11, SOAP12, "1", "0", "true", "false", f"{SOAP12}/role/next", f"{SOAP12}/role/none", "urn:other", " 1 ")

trees = changing.Trees(words=WORDS)
change, cross = trees.change, trees.cross


def seeds() -> Iterator[bytes]:
    block = '<a:To xmlns:a="urn:a" s:mustUnderstand="0">hub</a:To>'
    yield Layout(headers=block, security='s:mustUnderstand="1"').template("AAAA").encode()
    yield (
        Layout(soap=SOAP12, headers=block.replace("0", "true").replace("<a:To", '<a:To s:role="urn:other"'))
        .template("AAAA")
        .encode()
    )
    yield envelope.write_unsigned_envelope(
        documents_requests.build_call_element(documents_requests.CheckPermission("H55.01"))
    )
    yield envelope.write_unsigned_envelope(
        documents_requests.build_call_element(documents_requests.GetDocument("1")), SOAP12
    )
    for soap in (SOAP11, SOAP12):
        yield envelope.write_fault(
            documents_requests.NAMESPACE, [Problem("unit-unknown", "H55.99")], server=False, tracking="t", soap=soap
        )


def judge(content: bytes) -> None:
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected:
        return
    seen = ET.fromstring(content)
    try:
        opened = envelope.open_envelope(root)
    except CallRefused as refused:
        (problem,) = refused.problems
        assert problem.code in CODES
        assert not is_in_order(seen), problem
        for soap in (SOAP11, SOAP12):
            written = envelope.write_fault(
                documents_requests.NAMESPACE, refused.problems, server=False, tracking="t", soap=soap
            )
            fault = envelope.read_fault(envelope.open_reply(etree.fromstring(written)).child)
            assert fault is not None
            assert [told.code for told in fault.problems] == [problem.code]
            assert fault.text
            assert fault.tracking == "t"
        tell(problem.code, gist(str(problem.detail)))
        return
    assert is_in_order(seen)
    assert opened.body is root[-1]
    assert opened.child is opened.body[0]
    assert opened.header in {None, root[0]}
    assert root.tag == f"{{{opened.soap}}}Envelope"
    signatures = [] if opened.header is None else list(seen[0].iter(f"{{{DS}}}Signature"))
    assert envelope.is_signed(opened) == bool(signatures)
    fault = envelope.read_fault(opened.child)
    tell(
        "opened",
        opened.soap,
        opened.header is None,
        bool(signatures),
        fault and fault.sender,
        fault and len(fault.problems),
    )


def is_in_order(root: ET.Element) -> bool:
    """Tell whether *root* is an envelope as Basic Profile 1.1 and SOAP 1.2 have it, and asks us for nothing we do not understand."""
    soap = SOAP12 if root.tag.startswith(f"{{{SOAP12}}}") else SOAP11
    tags = [part.tag for part in root]
    if root.tag != f"{{{soap}}}Envelope" or tags not in ([f"{{{soap}}}Body"], [f"{{{soap}}}Header", f"{{{soap}}}Body"]):
        return False
    if len(root[-1]) != 1:
        return False
    for parent in [root, *root]:
        if (parent.text or "").strip(SPACE) or any((child.tail or "").strip(SPACE) for child in parent):
            return False
    if len(root) == 2 and len(root[0]) > envelope.MOST_BLOCKS:
        return False
    attribute, us = NEXT[soap]
    for block in root[0] if len(root) == 2 else ():
        ours = block.get(f"{{{soap}}}{attribute}", "").strip() in us
        must = block.get(f"{{{soap}}}mustUnderstand", "0").strip() not in {"0", "false"}
        if ours and must and block.tag != f"{{{WSSE}}}Security":
            return False
    return True
