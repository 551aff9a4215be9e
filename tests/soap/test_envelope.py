"""SOAP 1.1 as the Basic Profile has it: what is opened, what is refused, what a fault looks like, how one is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import SENTENCES, CallRefused, describe_problem, find_error_sentence
from hub.domain.model import Problem
from hub.language.catalogues import say_both
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.soap import envelope
from tests.costs import drawing

SOAP = envelope.SOAP11
ACTION = "urn:lienthong:documents:1/SendDocument"
NS = "urn:lienthong:documents:1"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def read(xml):
    return etree.fromstring(xml)


def soap(inside, attributes=""):
    return f'<s:Envelope xmlns:s="{SOAP}"{attributes}>{inside}</s:Envelope>'


def fault_in(octets):
    """Return the fault's element and what it says."""
    child = envelope.open_reply(read(octets)).child
    fault = envelope.read_fault(child)
    assert fault is not None
    return child, fault


def code(xml):
    with pytest.raises(CallRefused) as refused:
        envelope.open_envelope(read(xml))
    (problem,) = refused.value.problems
    return problem.code


# --- opened -------------------------------------------------------------------------------------------------------------


def test_an_envelope_gives_its_header_its_body_and_the_one_child():
    root = read(soap("\n <s:Header><a/></s:Header>\n <!-- x --><s:Body>\n  <b/>\n</s:Body>"))
    opened = envelope.open_envelope(root)
    assert opened.header is root[0]
    assert opened.body.tag == f"{{{SOAP}}}Body"
    assert opened.child.tag == "b"
    assert envelope.open_envelope(read(soap("<s:Body><b/></s:Body>"))).header is None


@pytest.mark.parametrize(
    "xml",
    [
        "<a/>",
        soap(""),
        soap("<s:Header/>"),
        soap("<s:Body/>"),
        soap("<s:Body>text</s:Body>"),
        soap("<s:Body><a/><b/></s:Body>"),
        soap("<s:Body><a/>text</s:Body>"),
        soap("<s:Body>text<a/></s:Body>"),
        soap("<s:Body><a/><!-- x -->text</s:Body>"),
        soap("text<s:Body><a/></s:Body>"),
        soap("<s:Body><a/></s:Body>text"),
        soap("<s:Header>text</s:Header><s:Body><a/></s:Body>"),
        soap("<s:Body><a/></s:Body><s:Header/>"),
        soap("<s:Body><a/></s:Body><s:Body><a/></s:Body>"),
        soap("<s:Header/><s:Header/><s:Body><a/></s:Body>"),
        soap("<s:Body><a/></s:Body><x/>"),
        soap("<x/><s:Body><a/></s:Body>"),
        soap("<Body><a/></Body>"),
        soap(f'<Body xmlns="{envelope.SOAP12}"><a/></Body>'),
        "<?php x?>" + soap("<s:Body><a/></s:Body>"),
        soap("<s:Body><a/></s:Body>") + "<?php x?>",
        soap("<s:Body><a><?php x?></a></s:Body>"),
    ],
)
def test_an_envelope_that_breaks_the_profile_is_refused(xml):
    assert code(xml) == "contract-broken"


def test_another_soap_is_refused_by_its_version():
    assert code('<s:Envelope xmlns:s="urn:soap:3"><s:Body><a/></s:Body></s:Envelope>') == "soap-version"
    assert code("<Envelope><Body><a/></Body></Envelope>") == "soap-version"


@pytest.mark.parametrize(
    ("block", "refused"),
    [
        ('<x s:mustUnderstand="1"/>', True),
        ('<x s:mustUnderstand="true"/>', True),
        ('<x s:mustUnderstand="yes"/>', True),
        ('<x s:mustUnderstand="1" s:actor=""/>', True),
        ('<x s:mustUnderstand="1" s:actor="http://schemas.xmlsoap.org/soap/actor/next"/>', True),
        ('<x s:mustUnderstand="1" s:actor="urn:another"/>', False),
        ('<x s:mustUnderstand="0"/>', False),
        ('<x mustUnderstand="1"/>', False),
        ("<x/>", False),
        (f'<w:Security xmlns:w="{envelope.WSSE}" s:mustUnderstand="1"/>', False),
        ('<Security s:mustUnderstand="1"/>', True),
    ],
)
def test_a_header_that_must_be_understood_is_refused_unless_it_is_for_another_or_is_security(block, refused):
    xml = soap(f"<s:Header>{block}</s:Header><s:Body><a/></s:Body>")
    if refused:
        assert code(xml) == "not-must-understand"
    else:
        envelope.open_envelope(read(xml))


@pytest.mark.parametrize(
    ("block", "refused"),
    [
        ('<x s:mustUnderstand="true"/>', True),
        ('<x s:mustUnderstand="1" s:role="{s}/role/next"/>', True),
        ('<x s:mustUnderstand="1" s:role="{s}/role/ultimateReceiver"/>', True),
        ('<x s:mustUnderstand="1" s:role="{s}/role/none"/>', False),
        ('<x s:mustUnderstand="1" s:role="urn:another"/>', False),
        ('<x s:mustUnderstand="1" s:actor="urn:another"/>', True),
        ('<x s:mustUnderstand="false"/>', False),
        (f'<w:Security xmlns:w="{envelope.WSSE}" s:mustUnderstand="1"/>', False),
    ],
)
def test_in_soap_12_the_role_says_for_whom_a_header_is(block, refused):
    xml = (
        f'<s:Envelope xmlns:s="{envelope.SOAP12}"><s:Header>{block.format(s=envelope.SOAP12)}</s:Header>'
        "<s:Body><a/></s:Body></s:Envelope>"
    )
    if refused:
        assert code(xml) == "not-must-understand"
    else:
        opened = envelope.open_envelope(read(xml))
        assert (opened.soap, opened.child.tag) == (envelope.SOAP12, "a")


@pytest.mark.parametrize("header", [f'"{ACTION}"', ACTION, '""', "", None, f' "{ACTION}" '])
def test_the_soap_action_may_be_quoted_bare_empty_or_absent(header):
    assert envelope.action_matches(header, ACTION)


@pytest.mark.parametrize(
    "header", [f'"{ACTION}', f"'{ACTION}'", "SendDocument", f'"{NS}/GetDocument"', f"{ACTION}/", '"']
)
def test_the_soap_action_may_not_name_anything_else(header):
    assert not envelope.action_matches(header, ACTION)


# --- made ---------------------------------------------------------------------------------------------------------------


def test_what_we_make_opens_again():
    octets = envelope.write_unsigned_envelope(etree.Element("{urn:x}a"))
    assert octets.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    assert envelope.open_envelope(read(octets)).child.tag == "{urn:x}a"


@pytest.mark.parametrize(
    ("problem", "server", "faultcode"),
    [
        ("unsigned", False, "soap:Client"),
        ("hub-error", True, "soap:Server"),
        ("journal-unavailable", True, "soap:Server"),
        ("soap-version", False, "soap:VersionMismatch"),
        ("not-must-understand", False, "soap:MustUnderstand"),
    ],
)
def test_a_fault_says_whose_fault_it_is(problem, server, faultcode):
    fault = envelope.open_reply(
        read(envelope.write_fault(NS, [Problem(problem, "x")], server=server, tracking="t-1"))
    ).child
    assert [each.tag for each in fault] == ["faultcode", "faultstring", "detail"]  # unqualified, in this order
    assert fault.findtext("faultcode") == faultcode
    assert fault.nsmap["soap"] == SOAP  # what the QName in faultcode means


@pytest.mark.parametrize(
    ("problem", "server", "value"),
    [
        ("unsigned", False, "soap:Sender"),
        ("hub-error", True, "soap:Receiver"),
        ("soap-version", False, "soap:VersionMismatch"),
        ("not-must-understand", False, "soap:MustUnderstand"),
    ],
)
def test_a_soap_12_fault_has_code_reason_and_detail(problem, server, value):
    octets = envelope.write_fault(NS, [Problem(problem, "x")], server=server, tracking="t-1", soap=envelope.SOAP12)
    opened = envelope.open_envelope(read(octets))
    assert opened.soap == envelope.SOAP12
    names = {"s": envelope.SOAP12}
    assert [etree.QName(each).localname for each in opened.child] == ["Code", "Reason", "Detail"]
    assert opened.child.findtext("s:Code/s:Value", namespaces=names) == value
    assert opened.child.nsmap["soap"] == envelope.SOAP12
    fault = envelope.read_fault(opened.child)
    assert fault is not None
    assert (fault.sender, fault.tracking, fault.problems[0].code) == (value == "soap:Sender", "t-1", problem)


def test_the_reason_of_a_soap_12_fault_is_one_text_in_each_language():
    """SOAP 1.2 part 1, 5.4.2: each Text has its own `xml:lang`."""
    problem = Problem("attachment-unknown", phrase("a part without Content-ID"))
    child, fault = fault_in(envelope.write_fault(NS, [problem], server=False, tracking="t", soap=envelope.SOAP12))
    texts = {each.get(LANG): each.text for each in child.iterfind("s:Reason/s:Text", {"s": envelope.SOAP12})}
    assert list(texts) == ["vi", "en"]
    assert texts == {str(language): describe_problem(problem, language) for language in Language}
    assert "[một phần không có Content-ID]" in texts["vi"]
    assert "[a part without Content-ID]" in texts["en"]
    assert (fault.text, fault.problems) == (texts["en"], (Problem(problem.code, f"{texts['vi']} / {texts['en']}"),))


def test_the_faultstring_of_a_soap_11_fault_has_both_languages():
    problem = Problem("attachment-unknown", phrase("a part without Content-ID"))
    _, fault = fault_in(envelope.write_fault(NS, [problem], server=False, tracking="t"))
    assert fault.text == describe_problem(problem)
    assert fault.text.index("[một phần không có Content-ID]") < fault.text.index("[a part without Content-ID]")


@pytest.mark.parametrize("code", sorted(SENTENCES))
def test_a_fault_speaks_both_languages_and_carries_a_typed_detail(code):
    problem = Problem(f"{code}MessageHeader.Code" if code.endswith(".") else code, "tại đây")
    octets = envelope.write_fault(NS, [problem], server=False, tracking="0192-abc")
    child, fault = fault_in(octets)
    (string,) = child.iterfind("faultstring")
    assert string.get(LANG) == "vi"
    vietnamese, english = say_both(find_error_sentence(problem.code))
    assert vietnamese in fault.text
    assert english in fault.text
    assert fault.problems == (Problem(problem.code, fault.text),)
    assert fault.tracking == "0192-abc"
    assert "tại đây" in fault.text


@given(st.text(st.characters(codec=None), max_size=40))
def test_a_fault_can_quote_anything(detail):
    """A refusal that could not be written would be a crash at the very moment of an attack."""
    read(envelope.write_fault(NS, [Problem("contract-broken", detail)], server=False, tracking="t"))


# --- read ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faultcode", "sender"),
    [
        ("s:Client", True),
        ("Client", True),
        ("s:Client.Authentication", True),
        ("s:Server", False),
        ("s:MustUnderstand", False),
        ("", False),
        ("clientele", False),
    ],
)
def test_a_partners_soap_11_fault_is_read(faultcode, sender):
    root = read(
        soap(
            f"<s:Body><s:Fault><faultcode>{faultcode}</faultcode><faultstring> vì  sao </faultstring></s:Fault></s:Body>"
        )
    )
    assert envelope.read_fault(envelope.open_reply(root).child) == envelope.SoapFault(sender, "vì sao")


@pytest.mark.parametrize(
    ("value", "sender"), [("e:Sender", True), ("e:Receiver", False), ("e:DataEncodingUnknown", False)]
)
def test_a_partners_soap_12_fault_is_read(value, sender):
    root = read(
        f'<e:Envelope xmlns:e="{envelope.SOAP12}"><e:Body><e:Fault><e:Code><e:Value>{value}</e:Value></e:Code>'
        f'<e:Reason><e:Text xml:lang="vi">vì sao</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>'
    )
    assert envelope.read_fault(envelope.open_reply(root).child) == envelope.SoapFault(sender, "vì sao")


@pytest.mark.parametrize(("languages", "text"), [(("vi", "en"), "2"), (("en", "vi"), "1"), (("fr", "vi"), "1")])
def test_of_several_texts_the_english_one_is_read_or_else_the_first(languages, text):
    texts = "".join(f'<e:Text xml:lang="{language}">{at}</e:Text>' for at, language in enumerate(languages, 1))
    root = read(
        f'<e:Envelope xmlns:e="{envelope.SOAP12}"><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value></e:Code>'
        f"<e:Reason>{texts}</e:Reason></e:Fault></e:Body></e:Envelope>"
    )
    assert envelope.read_fault(envelope.open_reply(root).child) == envelope.SoapFault(sender=True, text=text)


def test_a_fault_without_anything_in_it_is_the_receivers():
    root = read(soap("<s:Body><s:Fault/></s:Body>"))
    assert envelope.read_fault(envelope.open_reply(root).child) == envelope.SoapFault(sender=False, text="")


@pytest.mark.parametrize(
    "detail",
    [
        "<detail/>",
        "<detail><a/>text<x:b xmlns:x='urn:x'/></detail>",
        "<detail a='1' x:b='2' xmlns:x='urn:x'><a/></detail>",
        "",
    ],
)
def test_R1002_R1003_R1016_a_partners_fault_may_say_anything_in_its_detail(detail):
    root = read(
        soap(
            f"<s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring xml:lang='en'>no</faultstring>{detail}</s:Fault></s:Body>"
        )
    )
    assert envelope.read_fault(envelope.open_reply(root).child) == envelope.SoapFault(sender=True, text="no")


def test_every_reason_of_a_fault_is_read():
    problems = [Problem("unit-unknown", "H55.1"), Problem("unit-unknown", "H55.2")]
    octets = envelope.write_fault(NS, problems, server=False, tracking="t")
    _, fault = fault_in(octets)
    assert [(problem.code, str(problem.detail)[-7:]) for problem in fault.problems] == [
        ("unit-unknown", "[H55.1]"),
        ("unit-unknown", "[H55.2]"),
    ]


def test_an_answer_is_no_fault():
    assert envelope.read_fault(etree.Element("{urn:x}Fault")) is None


def test_a_reply_is_signed_when_its_header_holds_a_signature():
    signature = '<d:Signature xmlns:d="http://www.w3.org/2000/09/xmldsig#"/>'
    inside = envelope.open_reply(read(soap(f"<s:Header><a>{signature}</a></s:Header><s:Body><a/></s:Body>")))
    assert envelope.is_signed(inside)
    for xml in (soap(f"<s:Body><a>{signature}</a></s:Body>"), soap("<s:Header><a/></s:Header><s:Body><a/></s:Body>")):
        assert not envelope.is_signed(envelope.open_reply(read(xml)))


@pytest.mark.parametrize(("blocks", "refused"), [(envelope.MOST_BLOCKS, None), (envelope.MOST_BLOCKS + 1, "too-deep")])
def test_a_header_has_64_blocks_at_most(blocks, refused):
    xml = soap(f"<s:Header>{'<h/>' * blocks}</s:Header><s:Body><a/></s:Body>")
    if refused is None:
        header = envelope.open_envelope(read(xml)).header
        assert header is not None
        assert len(header) == blocks
    else:
        assert code(xml) == refused


@pytest.mark.parametrize(
    "inside", ["<s:Header>{}</s:Header><s:Body><a/></s:Body>", "<s:Body>{}</s:Body>", "{}<s:Body/>"]
)
def test_what_nobody_reads_costs_little(inside):
    """390,000 empty header blocks took 3 s, signed or not."""
    root = etree.fromstring(soap(inside.format("<h/>" * 390_000)))
    with pytest.raises(CallRefused):
        envelope.open_envelope(root)
    assert drawing.least_seconds_of(envelope.open_envelope, root, 0.5)[0] < 0.5
