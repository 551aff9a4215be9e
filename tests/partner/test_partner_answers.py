"""Values in a partner's answer by path, whatever the partner sends."""

import json

import pytest
from lxml import etree

from hub.domain.conversations import Reply
from hub.partner.mapping_values import Unfit, read_answer_path
from hub.partner.partner_answers import read_partner_answer
from hub.soap import envelope
from tests import effort
from tests.pki import NOW

XML = {"content-type": "text/xml", "x-ma": "h-1"}


def read(child, path, status=200, tables=None):
    """Return what *path* finds in an answer with the Body's child *child*."""
    body = envelope.write_unsigned_envelope(etree.fromstring(child))
    return read_partner_answer(Reply(status, body, XML), NOW).read(read_answer_path(path), tables or {})


def fault(soap, inside):
    return f'<s:Fault xmlns:s="{soap}">{inside}</s:Fault>'


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("kq/ma", "0"),
        ("kq/ma[2]", "7"),
        ("kq/ma[3]", ""),
        ("kq/@loai", "x"),
        ("kq/khong", ""),
        ("kq/rong", ""),
        ("kq/xml()/a", ""),
        ("trong/xml()/b/c", "trong XML"),
        ("json/json()/d/e[2]", "2"),
        ("json/json()/d/f/g", "true"),
        ("http/status", "200"),
        ("http/X-Ma", "h-1"),
        ("kq/ma | map ten", "không"),
        ("kq/ma | boolean", "false"),
        ("kq/ma[2] | boolean", ""),
        ("fault/code", ""),
    ],
)
def test_a_path_finds_what_is_there(path, text):
    child = (
        '<r xmlns="urn:a"><kq xmlns="" loai="x"><ma> 0 </ma><ma>7</ma>'
        '<rong xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:nil="true">1</rong></kq>'
        "<trong>&lt;a xmlns='urn:b'>&lt;b>&lt;c>trong XML&lt;/c>&lt;/b>&lt;/a></trong>"
        '<json>{"d": {"e": [1, 2], "f": {"g": true}}}</json></r>'
    )
    assert read(child, path, tables={"ten": {"0": "không", "*": "?"}}) == text


@pytest.mark.parametrize(
    ("path", "text"),
    [("fault/code", "Client.Sai"), ("fault/text", "Sai"), ("fault/actor", "http://a/b"), ("fault/detail/Loi/ma", "12")],
)
def test_a_fault_of_soap_11_is_read_by_its_parts(path, text):
    inside = (
        "<faultcode>s:Client.Sai</faultcode><faultstring>Sai</faultstring><faultactor>http://a/b</faultactor>"
        '<detail><Loi xmlns="urn:l"><ma>12</ma></Loi></detail>'
    )
    assert read(fault(envelope.SOAP11, inside), path, 500) == text


def test_a_fault_of_soap_12_has_a_subcode():
    inside = (
        "<s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value xmlns:w='urn:w'>w:FailedAuthentication</s:Value>"
        "</s:Subcode></s:Code><s:Reason><s:Text xml:lang='vi'>Không</s:Text></s:Reason>"
    )
    child = fault(envelope.SOAP12, inside)
    assert read(child, "fault/subcode", 400) == "FailedAuthentication"
    body = envelope.write_unsigned_envelope(etree.fromstring(child), envelope.SOAP12)
    found = read_partner_answer(Reply(400, body, {}), NOW).fault
    assert found is not None
    assert found.denies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" * 100,
        b"<html/>",
        b"<a",
        b"<!DOCTYPE a><a/>",
        b"<a>" * 100_000,
        b"--x\r\n\r\n",
        envelope.write_unsigned_envelope(etree.Element("a")).replace(b"<a/>", b"<a/><b/>"),
    ],
    ids=["empty", "zeros", "html", "broken", "doctype", "deep", "multipart", "two children"],
)
@pytest.mark.parametrize("media", ["text/xml", "multipart/related; type=text/xml; boundary=x", "", "a/b; c=\ud800"])
def test_what_is_no_answer_has_a_trouble(body, media):
    answer = read_partner_answer(Reply(200, body, {"content-type": media}), NOW)
    assert answer.trouble
    assert answer.read(read_answer_path("a"), {}) == ""


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, json.dumps([[[{"ma": 1}]]]), "&lt;!DOCTYPE a>&lt;a/>", "&lt;a>" * 50_000, "9" * 5_000],
    ids=["brackets", "lists in lists", "doctype", "deep", "number"],
)
@pytest.mark.parametrize("how", ["json()", "xml()"])
def test_what_a_text_contains_is_bounded(text, how):
    found = effort.run_within(1, lambda: read(f"<r><t>{text}</t></r>", f"t/{how}/ma"))
    assert found == ""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("9999-12-31T23:59:59Z", "t | date dd/MM/yyyy"),
        ("0001-01-01T00:00:00+14:00", "t | date dd/MM/yyyy"),
        ('{"a": "\\ud800"}', "t/json()/a/json()/b"),
        ('{"a": "\\ud800"}', "t/json()/a/xml()/b"),
    ],
    ids=["never", "before the calendar", "half a character of JSON", "half a character of XML"],
)
def test_what_a_path_cannot_read_breaks_no_conversation(text, path):
    """Otherwise a message that the partner has accepted would be sent again and again."""
    assert read(f"<r><t>{text}</t></r>", path) == ""


def test_more_elements_than_a_person_reads_are_a_mistake():
    body = envelope.write_unsigned_envelope(etree.fromstring(f"<r>{'<a>1</a>' * 10_001}</r>"))
    answer = read_partner_answer(Reply(200, body, XML), NOW)
    with pytest.raises(Unfit):
        answer.read_all(read_answer_path("a"), {})
    assert len(answer.list_items(read_answer_path("a"))) == 10_000, "of open documents the others come next time"
