"""What a stranger's XML may look like, and where it is told to be wrong."""

import base64
import gc
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import Rejected
from hub.formats import safe_xml
from hub.formats.safe_xml import Limits
from hub.security import signing, xmldsig
from hub.security.xmldsig import CanonicalForm
from hub.soap import documents_requests, envelope
from tests import effort, packets, pki
from tests.conftest import ROOT, not_applicable
from tests.costs import drawing

SAMPLES = ROOT.parent / "shared" / "samples" / "edxml"


def refusal(content: bytes, limits: Limits = safe_xml.LIMITS) -> tuple[str, str]:
    """Return the code and detail with which *content* is refused."""
    with pytest.raises(Rejected) as refused:
        safe_xml.parse_safe_xml(content, limits=limits)
    (problem,) = refused.value.problems
    return problem.code, str(problem.detail)


def test_an_ordinary_document_is_read():
    root = safe_xml.parse_safe_xml('<?xml version="1.0" encoding="utf-8"?>\n<a xmlns="urn:a"><b>số 1</b></a>'.encode())
    assert safe_xml.read_local_name(root) == "a"
    assert root.findtext("{urn:a}b") == "số 1"


def test_utf_16_with_its_mark_and_utf_8_with_a_mark_are_read():
    assert safe_xml.parse_safe_xml('<?xml version="1.0" encoding="UTF-16"?><a>é</a>'.encode("utf-16")).text == "é"
    assert safe_xml.parse_safe_xml(b"\xef\xbb\xbf<a/>").tag == "a"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_not(encoding):
    code, detail = refusal('<?xml version="1.0" encoding="UTF-16"?><a/>'.encode(encoding))
    assert (code, "mark" in detail) == ("not-well-formed", True)


def test_every_sample_packet_is_read_but_the_broken_one():
    if not SAMPLES.is_dir():
        not_applicable("the sample packets are not beside the project")
    packets = {packet.stem: packet.read_bytes() for packet in SAMPLES.glob("*.edxml")}
    broken = packets.pop("edoc")
    assert {safe_xml.read_local_name(safe_xml.parse_safe_xml(content)) for content in packets.values()} == {"edXML"}
    assert refusal(broken) == ("not-well-formed", "line 74, column 9: mismatched tag")


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<?xml version="1.0"?><!-- early --><!DOCTYPE a PUBLIC "p" "http://x.invalid/"><a/>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
    ],
)
def test_a_doctype_is_refused_before_anything_is_built(content):
    assert refusal(content)[0] == "doctype-refused"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"<a",
        b"<a/>junk",
        b"<a><b></a></b>",
        b"<a>&undefined;</a>",
        b"<a>\xff</a>",
        b"<a>&#0;</a>",
        b"<a b='1' b='2'/>",
        b"<x:a/>",
        b"<a xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>",
        b"<a xmlns:x=''/>",
        b"<a:b:c xmlns:a='u'/>",
        b"<a/><a/>",
        b"plain text",
    ],
)
def test_what_is_not_well_formed_is_refused_with_its_place(content):
    code, detail = refusal(content)
    assert code == "not-well-formed"
    assert detail.startswith("line ")
    assert "\n" not in detail


@pytest.mark.parametrize("warned", [b"xml:space='odd'", b"xmlns='relative'"])
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"<x:b/>", "Namespace prefix x on b is not defined"),
        (b"<b:/>", "Failed to parse QName 'b:'"),
        (b"<b xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>", "Namespaced Attribute a in 'u' redefined"),
        (b"<b xmlns:xml='u'/>", "xml namespace prefix mapped to wrong URI"),
    ],
)
def test_a_mistake_with_namespaces_is_refused_though_a_warning_follows_it(wrong, reason, warned):
    """What libxml2 said last is all that lxml asks: found by fuzzing, where expat sees no such document."""
    code, detail = refusal(b"<a>" + wrong + b"<c " + warned + b"/></a>")
    assert (code, detail.partition(": ")[2]) == ("not-well-formed", reason)


def test_the_place_is_counted_from_one():
    assert refusal(b"<a>\n  <b>\n </a>")[1].startswith("line 3, column 4: mismatched tag")


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0" encoding="iso-8859-1"?><a/>',
        b'<?xml version="1.0" encoding="UTF-7"?><a/>',
        b'<?xml version="1.1"?><a/>',
        b'<?xml version="1.0" encoding="UTF-16"?><a/>',
        "<a/>".encode("utf-16-le"),
        "<a/>".encode("utf-32"),
        "<a/>".encode("cp037"),
    ],
)
def test_other_encodings_and_versions_are_refused(content):
    assert refusal(content)[0] == "not-well-formed"


@pytest.mark.parametrize("content", [b'<?xml-stylesheet href="x"?><a/>', b"<a><?php echo ?></a>", b"<a/><?end x?>"])
def test_processing_instructions_are_refused(content):
    code, detail = refusal(content)
    assert code == "not-well-formed"
    assert "processing instruction" in detail


def test_a_comment_does_not_cut_a_text_in_two():
    assert safe_xml.parse_safe_xml(b"<a><b>12<!-- cut -->34</b></a>").findtext("b") == "1234"


#: What may stand in no signed text, and how it is called.
CUTS = [
    ("<!-- cut -->", "comment"),
    ("<!---->", "comment"),
    ("<![CDATA[cut]]>", "CDATA section"),
    ("<![CDATA[]]>", "CDATA section"),
]


@pytest.mark.parametrize(("cut", "called"), CUTS)
@pytest.mark.parametrize("name", ["s:Body", "w:Security"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_neither_comment_nor_cdata_may_stand_in_a_body_or_security_header(cut, called, name, encoding):
    code, detail = refusal(f"<e xmlns:s='u' xmlns:w='v'><{name}>\n<d>AA{cut}BB</d></{name}></e>".encode(encoding))
    assert (code, detail) == ("signature-invalid", f"line 2, column 6: a {called} inside {name}")


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "UTF-16-LE", "UTF-16-BE"])
@pytest.mark.parametrize("cut", [cut for cut, _ in CUTS])
def test_a_comment_or_cdata_is_found_in_every_encoding(cut, encoding):
    mark = "\ufeff" if encoding[-2:] in {"LE", "BE"} else ""
    held = f"{mark}<a>1{cut}</a>".encode(encoding)
    none = f"{mark}<a b='--> ]]'>1 &lt;!-- x &lt;![CDATA[ \u3c21\u213c!</a>".encode(encoding)
    for step in (1, 2, 3, 1000):
        assert safe_xml.may_hold_comment_or_cdata(held[at : at + step] for at in range(0, len(held), step))
        assert not safe_xml.may_hold_comment_or_cdata(none[at : at + step] for at in range(0, len(none), step))


def test_an_answer_may_be_read_with_cdata_in_its_body():
    limits = Limits(plain=frozenset({"Security"}))
    assert safe_xml.parse_safe_xml(b"<Body>1<![CDATA[<2>]]>3</Body>", limits=limits).text == "1<2>3"


def test_character_data_sections_elsewhere_are_text():
    assert safe_xml.parse_safe_xml(b"<a>1<![CDATA[<2>]]>3</a>").text == "1<2>3"


@pytest.mark.parametrize(
    ("content", "limits"),
    [
        (b"<a>" * 65 + b"</a>" * 65, Limits()),
        (b"<a " + b" ".join(b"x%d=''" % n for n in range(65)) + b"/>", Limits()),
        (b"<a><b/><b c='' d=''/></a>", Limits(nodes=4)),
        (b"<" + b"a" * 257 + b"/>", Limits()),
        (b"<a " + b"x" * 257 + b"=''/>", Limits()),
        (b"<a>" + b"".join(b"<b%d/>" % n for n in range(2000)) + b"</a>", Limits()),
        (b"<a xmlns:b='urn:" + b"x" * 300 + b"'/>", Limits()),
        (b"<a>" + b"".join(b"<b xmlns='urn:%d'/>" % n for n in range(2001)) + b"</a>", Limits()),
    ],
    ids=[
        *("depth", "attributes", "nodes", "element name", "attribute name", "different names"),
        *("namespace", "different namespaces"),
    ],
)
def test_what_is_out_of_bounds_is_refused(content, limits):
    assert refusal(content, limits)[0] == "too-deep"


def named_anew(number):
    """Return a document with names that none of another *number* has, half a megabyte of them."""
    return b"<a>" + b"".join(b"<p:x xmlns:p='u:%d:%0200d'/>" % (number, n) for n in range(1900)) + b"</a>"


def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.slow
def test_no_sender_can_fill_the_memory_with_names(monkeypatch):
    if not Path("/proc/self/statm").exists():
        not_applicable("only Linux tells so how much memory a process has")
    monkeypatch.setattr(safe_xml, "KEPT", 1 << 20)
    safe_xml.parse_safe_xml(named_anew(0))
    before = resident()
    for number in range(1, 61):
        safe_xml.parse_safe_xml(named_anew(number))
    assert resident() - before < 18 << 20  # 29 MB, and for good


def test_a_tree_outlives_the_dictionary_it_was_built_with(monkeypatch):
    whole = safe_xml.parse_safe_xml(b"<a xmlns:b='urn:b'><b:c d='1'>x</b:c></a>")
    monkeypatch.setattr(safe_xml, "KEPT", 0)
    other = safe_xml.parse_safe_xml(b"<e><f/></e>")
    other.append(whole[0])
    monkeypatch.setattr(safe_xml, "KEPT", 1 << 20)
    assert etree.tostring(other) == b'<e><f/><b:c xmlns:b="urn:b" d="1">x</b:c></e>'
    assert etree.tostring(whole, method="c14n", exclusive=True) == b"<a></a>"
    assert other.xpath("//b:c/@d", namespaces={"b": "urn:b"}) == ["1"]


def scoped(levels, leaves):
    """Return so many elements inside of each other, each with 60 namespaces of its own, around so many leaves."""
    starts = (b"".join(b" xmlns:p%d='u:%d'" % (n, n) for n in range(60 * at, 60 * at + 60)) for at in range(levels))
    return b"".join(b"<a%b>" % each for each in starts) + b"<b/>" * leaves + b"</a>" * levels


def test_many_elements_may_not_stand_inside_many_namespaces():
    assert refusal(scoped(20, 100), Limits())[0] == "too-deep"
    root = safe_xml.parse_safe_xml(scoped(20, 1))
    written = effort.run_within(1, lambda: xmldsig.canonicalize_element(root, CanonicalForm(exclusive=False)))
    assert b"p1199" in written
    assert safe_xml.parse_safe_xml(b"<a>" + scoped(1, 0) * 5000 + b"</a>") is not None, (
        "one beside the other they are few"
    )


def test_what_is_just_inside_the_bounds_is_read():
    assert safe_xml.parse_safe_xml(b"<a>" * 64 + b"</a>" * 64).tag == "a"
    assert safe_xml.parse_safe_xml(b"<a " + b" ".join(b"x%d=''" % n for n in range(64)) + b"/>").tag == "a"
    assert safe_xml.parse_safe_xml(b"<" + b"a" * 256 + b"/>") is not None


@pytest.mark.parametrize("content", ["<p:{} xmlns:p='u'/>", "<a p:{}='' xmlns:p='u'/>", "<a xmlns:{}='u'/>"])
@pytest.mark.parametrize("first", ["\u0c3f", "·", "々", "ー"])
def test_a_name_whose_part_after_the_colon_begins_with_no_letter_is_refused(content, first):
    """libxml2 reads it, by the fifth edition of XML 1.0; parsers that go by the fourth do not."""
    code, detail = refusal(content.format(first).encode())
    assert (code, detail.partition(": ")[0]) == (
        "not-well-formed",
        "a name whose part after the colon does not begin with a letter",
    )
    assert safe_xml.parse_safe_xml(content.format("đ" + first).encode()) is not None


def test_a_document_over_the_size_limit_is_refused_unread():
    assert refusal(b"<a>" + b"x" * 100, Limits(size=50)) == ("too-large", "103 > 50")


def test_one_text_of_37_megabytes_is_read():
    text = base64.b64encode(bytes(28_000_000))
    root = safe_xml.parse_safe_xml(b"<a><b>" + text + b"</b></a>")
    assert len(root.findtext("b") or "") == len(text) > 37_000_000


def test_a_mistake_in_a_long_document_is_found_at_its_place():
    code, detail = refusal(b"<a>\n" + b"x" * 1_000_000 + b"\n<b></c></a>")
    assert (code, detail) == ("not-well-formed", "line 3, column 6: mismatched tag")


@given(st.binary(max_size=200) | st.text("<>/&;ab:='\"?![]- x", max_size=60).map(str.encode))
def test_whatever_comes_is_read_or_refused(content):
    try:
        assert safe_xml.parse_safe_xml(content) is not None
    except Rejected as refused:
        assert len(refused.problems) == 1  # noqa: PT017 - either end is right, and nothing else is


def outcome(parse, content, limits):
    """Return the tree that *parse* makes of *content*, in canonical form, or the problem with which it is refused."""
    try:
        return etree.tostring(parse(content, limits), method="c14n")
    except Rejected as refused:
        return [(problem.code, str(problem.detail)) for problem in refused.problems]
    except etree.C14NError as error:  # a relative namespace: there is a tree, and no canonical form
        return str(error)


def by_scan(content, limits):
    safe_xml.scan_xml(content, limits)
    return safe_xml.build_scanned_tree(content)


def unlike(content, limits=safe_xml.LIMITS):
    """Return what the two ways make of *content*, if it is not the same."""
    found = outcome(lambda octets, most: safe_xml.parse_safe_xml(octets, limits=most), content, limits)
    scanned = outcome(by_scan, content, limits)
    return None if found == scanned else (found, scanned)


ROW = b"<p:e xmlns:p='u' a='1' p:b=\"2\">&amp;<f/></p:e>"
#: On both sides of each bound that the octets alone may prove.
DOUBTFUL = {
    "depth": [b"<a>" * n + b"</a>" * n for n in (63, 64, 65, 255, 256, 257)],
    "depth of an empty element": [b"<a>" * n + b"<b/>" + b"</a>" * n for n in (62, 63, 64)],
    "attributes": [b"<a " + b" ".join(b"x%d=''" % at for at in range(n)) + b"/>" for n in (49, 50, 51, 63, 64, 65)],
    "attributes in double quotes": [b"<a " + b" ".join(b'x%d=""' % at for at in range(n)) + b"/>" for n in (64, 65)],
    "values with equals": [b'<a b="' + b"=" * n + b'"/>' for n in (63, 64, 65, 300)],
    "element name": [b"<" + b"a" * n + b"/>" for n in (248, 249, 250, 251, 256, 257)],
    "attribute name": [b"<a " + b"x" * n + b'=""/>' for n in (243, 250, 251, 256, 257)],
    "value": [b'<a b="' + b"x" * n + b'"/>' for n in (240, 250, 251, 256, 300)],
    "namespace": [b'<a xmlns="urn:' + b"x" * n + b'"/>' for n in (240, 245, 246, 247, 252, 300)],
    "namespace with spaces": [b'<a xmlns="urn:' + b"x " * n + b'"/>' for n in (120, 125, 130)],
    "namespace with a quotation mark": [b"<a xmlns=\"urn:x'" + b"x" * 240 + b"'" + b"x" * 240 + b'"/>'],
    "different names": [b"<a>" + b"".join(b"<b%d/>" % at for at in range(n)) + b"</a>" for n in (1000, 1999, 2000)],
    "different attributes": [
        b"<a>" + b"".join(b"<b x%d=''/>" % at for at in range(n)) + b"</a>" for n in (999, 1997, 1998, 1999)
    ],
    "namespaces in scope": [
        b"<a" + b"".join(b" xmlns:p%d='u'" % at for at in range(60)) + b">" + b"<b/>" * n + b"</a>" for n in (9, 9000)
    ],
    "declaration": [
        *(b"<?xml version='1.0'?><a/>", b'<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<a/>'),
        *(b"<?xml version='1.0\"?><a/>", b"<?xml version='1.0' encoding='utf-8\" ?><a/>", b"<?xml version='1.0'?>"),
        *(b"<?xml version='1.0' encoding='UTF-16'?><a/>", b"<?xml version='1.0' encoding='latin1'?><a>\xe9</a>"),
        *(b"<?xml version='1.1'?><a/>", b"<?xml version='1.0'?><?xml version='1.0'?><a/>", b" <?xml version='1.0'?><a/>"),
    ],
    "instruction": [b"<?a?><a/>", b"<a><?b?></a>", b"<a/><?b?>", b"<a b='<?c?>'/>", b"<a b='?>'/>"],
    "comment": [b"<a><!-- b --></a>", b"<Body><!----></Body>", b"<a>1<![CDATA[<b>]]>2</a>", b"<!DOCTYPE a><a/>"],
    "closing bracket": [b"<a>></a>", b"<a>]]></a>", b"<a b='>'/>", b"<a b='>'>]]></a>", b"<a b='>/'"],
    "opening bracket": [b"<a b='<'/>", b"<<a/>", b"<a><</a>", b"< a/>", b"<a/ >", b"<a/><", b"<a/>>", b"<a b=1/>"],
    "letters": [
        "<số/>".encode(),
        *(each.encode() for each in ("<a số=''/>", "<a b='số'/>", "<a>số<b/>số</a>", "<a xmlns='số'/>", "<a:ー xmlns:a='u'/>")),
        *(b"<a>\xc0\xaf</a>", b"<a>\xed\xa0\x80</a>", b"<a>\xef\xbf\xbf</a>", b"<a>\xf4\x90\x80\x80</a>", b"<a>\xc3</a>"),
        *(b"<a>\0</a>", b"<a>\1</a>", b"<a>\x7f</a>", b"<a b='\x0c'/>", b"\xef\xbb\xbf<a/>", b"<\0a\0/\0>\0"),
    ],
    "references": [b"<a>&#0;</a>", b"<a>&b;</a>", b"<a>&#x1F600;&lt;</a>", b"<a>&</a>", b"<a>&#xD800;</a>", b"<a b='&c;'/>"],
    "prefixes": [b"<b:a/>", b"<a b:c=''/>", b"<a:b:c xmlns:a='u'/>", b"<a xmlns:b=''/>", b"<b:/>", b"<:a/>", b"<a xmlns:xml='u'/>"],
    "size": [b"<a>" + ROW * (n // len(ROW)) + b"</a>" for n in (1 << 10, 1 << 16, (1 << 17) - 40, (1 << 17) + 40)],
}  # fmt: skip


@pytest.mark.parametrize("bound", DOUBTFUL)
def test_what_is_not_scanned_is_what_a_scan_passes(bound):
    for content in DOUBTFUL[bound]:
        assert unlike(content) is None, content[:400]
        for limits in (Limits(depth=3, attributes=2, nodes=5, header=5, name=12, names=4, spaces=20), Limits(header=3)):
            assert unlike(content, limits) is None, content[:400]


@given(st.text("<>/abp:='\"?![]&;#xmlns \u0111", max_size=60).map(str.encode), st.sampled_from([1, 2, 3, 64]))
def test_whatever_comes_is_judged_as_a_scan_judges_it(content, most):
    assert unlike(content) is None
    assert unlike(ROW.replace(b"<f/>", content), Limits(depth=most, attributes=most)) is None


def test_an_ordinary_call_and_its_packet_need_no_scan(monkeypatch):
    packet = packets.document()
    call = documents_requests.build_call_element(documents_requests.SendDocument(packet, "1"))
    monkeypatch.setattr(safe_xml, "scan_xml", None)
    assert safe_xml.parse_safe_xml(packet).tag == f"{{{packets.QCVN}}}edXML"
    for key in pki.partner(), pki.authority().issue("p256", "p256"):
        signed = signing.sign_envelope(envelope.wrap_in_envelope(call), key, pki.NOW)
        assert len(safe_xml.parse_safe_xml(signed)) == 2


def crowded(inner, size=1_000_000):
    """Return a document of about *size* octets: 55 elements inside each other around *inner*, again and again."""
    return b"<a>" * 55 + inner * (size // len(inner)) + b"</a>" * 55


@pytest.mark.parametrize("inner", [b"<!---->", b"<a/><!---->", b"<![CDATA[]]>"])
def test_what_stands_everywhere_costs_little(inner):
    """A comment was looked at by each element around it: ten times as much."""
    assert drawing.least_seconds_of(safe_xml.scan_xml, crowded(inner), 1)[0] < 1


@pytest.mark.slow
def test_comments_are_counted_as_elements_are():
    assert refusal(crowded(b"<!---->", 3_000_000))[0] == "too-deep"


def test_an_element_that_must_be_plain_holds_no_comment_however_many_stood_before_it():
    spoilt = b"<a>" + b"<b><!----></b>" * 20 + b"<s:Body><c><!----></c></s:Body></a>"
    assert refusal(spoilt)[0] == "signature-invalid"


def test_the_namespaces_that_toolkits_write_are_read_in_a_document_of_any_size():
    declared = b" ".join(b"xmlns:p%d='urn:%d'" % (n, n) for n in range(30))
    safe_xml.scan_xml(b"<a " + declared + b">" + b"<p1:b>x</p1:b>" * 190_000 + b"</a>")


def test_a_header_has_10000_elements_and_attributes_at_most_and_is_read_no_further():
    def call(count):
        return (
            b"<s:Envelope><s:Header>"
            + b"<a b=''/>" * count
            + b"</s:Header><s:Body>"
            + b"<c/>" * 5000
            + b"</s:Body></s:Envelope>"
        )

    safe_xml.scan_xml(call(5000))
    with pytest.raises(Rejected, match="more than 10000 elements and attributes in the Header"):
        safe_xml.scan_xml(call(5001))

    def scan_twenty() -> None:
        for _ in range(20):
            with pytest.raises(Rejected):
                safe_xml.scan_xml(b"<s:Envelope><s:Header>" + b"<a/>" * 390_000)

    effort.run_within(1, scan_twenty)  # what stands behind the bound is not looked at
