"""A call is the same call whatever carried it, and nothing beside the envelope is believed that was not signed."""

import base64
import hashlib
import random

import attrs
import pytest
from lxml import etree

from hub import config
from hub.domain.errors import Rejected
from hub.domain.model import Receive, SignatureStanding, Unit
from hub.edxml import packet, packet_signature
from hub.formats import safe_xml, streamed_xml
from hub.formats.mime import MimePart
from hub.formats.spool import Drawer, Octets
from hub.formats.streamed_xml import Loads
from hub.intake import admission, verification
from hub.partner.policy import Policy
from hub.security import wss_verify
from hub.security.anchors import Anchors
from hub.soap import attachments, documents_requests, documents_responses, envelope, wsdl
from hub.soap.attachments import Carriage
from hub.soap.envelope import SOAP11, SOAP12
from hub.units.province import Province
from tests import homes, mtom, pki
from tests.mtom import PART, Body, with_attachment
from tests.packets import ENVELOPED_STEP, Seal, document
from tests.pki import NOW
from tests.signatures import INCLUSIVE, MAX_AGE, Layout, by_signxml, by_xmlsec, c14n, forge
from tests.vectors import PARTNER, with_str_transform

CA, ME = pki.authority(), pki.partner("sotttt")
CONTRACT = wsdl.load_contract("documents")
LARGE = document(random.Random(1).randbytes(200_000).hex())
SMALL = document()


@pytest.fixture
def drawer(tmp_path):
    made = Drawer(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def province(tmp_path_factory):
    """Return a way to make a province of one partner with a policy."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    made = config.read_config(home / "hub.toml")

    def of(*, crls=(), **policy):
        me = config.Partner(code="me", name="Me", certificates=(ME.certificate,), units=("*",), policy=Policy(**policy))
        there = config.Partner(code="there", name="There", certificates=(), units=("H55.01",), receive=Receive.FETCH)
        partners = {partner.code: partner for partner in (me, there, made.partners[made.upstream])}
        changed = attrs.evolve(made, anchors=Anchors([CA.certificate], crls), partners=partners)
        return Province.of(changed, [Unit(code, code) for code in ("H55", "H55.13", "H55.01")])

    return of


def signed(value, soap=mtom.SOAP11, name="Packet", more=""):
    """Return a SendDocument signed by xmlsec, its Packet as written."""
    content = f'<d:SendDocument xmlns:d="urn:lienthong:documents:1"><d:MessageId>m</d:MessageId><d:{name}{more}>{value}</d:{name}></d:SendDocument>'
    return Layout(soap=mtom.SOAPS[soap], content=content).signed(ME)


def inline(octets, soap=mtom.SOAP11):
    return signed(base64.b64encode(octets).decode(), soap)


def opened(province, drawer, content_type, body, action=None, *, by=("me",)):
    how = attachments.read_http_manner(content_type, action)
    callers = [province.config.partners[code] for code in by]
    return verification.open_call(Octets.of(body), how, callers, ME.certificate, province, CONTRACT, NOW, drawer)


def sent(province, drawer, form, envelope_, parts, action=None):
    """Return the packet that the hub reads from a multipart call, or the code of the refusal."""
    try:
        call = opened(province, drawer, form.content_type, form.written(envelope_, parts), action).call
    except Rejected as rejected:
        return rejected.problems[0].code
    assert isinstance(call, documents_requests.SendDocument)
    return call.packet if isinstance(call.packet, bytes) else call.packet.read()


XOP = [Body(soap=soap) for soap in (mtom.SOAP11, mtom.SOAP12)]
SWA = [Body(kind=soap, soap=soap) for soap in (mtom.SOAP11, mtom.SOAP12)]


@pytest.mark.parametrize("octets", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("form", XOP, ids=["1.1", "1.2"])
def test_mtom_is_verified_as_the_inline_call_it_was_signed_as(province, drawer, form, octets):
    whole = inline(octets, form.soap)
    assert by_xmlsec(whole, ME) == by_signxml(whole, ME) == "valid"
    call = opened(province(), drawer, form.soap, whole).call
    assert (call.packet if isinstance(call.packet, bytes) else call.packet.read()) == octets
    root, parts = mtom.optimised(whole)
    assert sent(province(), drawer, form, root, parts) == octets
    wrong = octets.replace(b"H55.13", b"H55.14")
    assert len(wrong) == len(octets)
    assert sent(province(), drawer, form, root, {PART: wrong}) == "signature-invalid"
    as_base64 = attrs.evolve(form, part_headers="Content-Transfer-Encoding: base64\r\n")
    assert (
        sent(province(), drawer, as_base64, root, {PART: base64.encodebytes(octets).replace(b"\n", b"\r\n")}) == octets
    )


@pytest.mark.parametrize("octets", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("form", SWA, ids=["1.1", "1.2"])
@pytest.mark.parametrize("where", ["text", "href"])
def test_an_attachment_is_believed_only_when_the_signature_covers_it(province, drawer, form, octets, where):
    uri = f"cid:{PART}"
    named = signed(uri, form.soap) if where == "text" else signed("", form.soap, more=f' href="{uri}"')
    covered = with_attachment(named, ME, octets)
    assert sent(province(), drawer, form, covered, {PART: octets}) == octets
    assert sent(province(), drawer, form, named, {PART: octets}) == "attachment-not-signed"
    wrong = octets.replace(b"H55.13", b"H55.14")
    assert sent(province(), drawer, form, covered, {PART: wrong}) == "signature-invalid"
    assert sent(province(), drawer, form, covered, {"other@x": octets}) == "attachment-unknown"
    assert sent(province(), drawer, form, covered, {PART: octets, "other@x": b""}) == "attachment-unknown"


def test_of_two_attachments_the_one_that_was_signed_does_not_vouch_for_the_one_that_is_named(province, drawer):
    covered = with_attachment(signed("cid:b@x"), ME, SMALL, name="a@x")
    assert sent(province(), drawer, SWA[0], covered, {"a@x": SMALL, "b@x": LARGE}) == "attachment-not-signed"
    both = with_attachment(with_attachment(signed("cid:b@x"), ME, SMALL, name="a@x"), ME, LARGE, name="b@x")
    assert sent(province(), drawer, SWA[0], both, {"a@x": SMALL, "b@x": LARGE}) == "attachment-unknown", "one too many"
    twice = with_attachment(with_attachment(signed("cid:a@x"), ME, SMALL, name="a@x"), ME, SMALL, uri="cid:%61@x")
    assert sent(province(), drawer, SWA[0], twice, {"a@x": SMALL}) == "signature-invalid"


def test_a_token_signed_by_str_transform_and_a_signed_attachment_go_together():
    parts = {PART: MimePart(PART, "application/octet-stream", {}, Octets.of(SMALL))}

    def verify(envelope_):
        root = safe_xml.parse_safe_xml(with_attachment(envelope_, PARTNER, SMALL))
        return wss_verify.verify_envelope(root, [PARTNER.certificate], NOW, max_age=MAX_AGE, attached=parts).attached

    assert verify(with_str_transform()) == {PART}
    for spoilt in (with_str_transform(empty=""), with_str_transform(at="cid:other@x")):
        with pytest.raises(Rejected, match="signature-invalid"):
            verify(spoilt)


# What holds for a call inline holds for it by parts


def carried(how, octets=LARGE):
    """Return the media type and the body of a signed call."""
    if how is Carriage.INLINE:
        return mtom.SOAP11, inline(octets)
    if how is Carriage.MTOM:
        return XOP[0].content_type, XOP[0].written(*mtom.optimised(inline(octets)))
    covered = with_attachment(signed(f"cid:{PART}"), ME, octets)
    return SWA[0].content_type, SWA[0].written(covered, {PART: octets})


def test_one_signature_is_one_call_whatever_carries_it(province, drawer):
    here, other = province(), attrs.evolve(SWA[0], boundary="other")
    whole, optimised, attached = (opened(here, drawer, *carried(how)).mark for how in Carriage)
    assert whole is not None
    assert optimised == whole, "sent again in another form it is still the same"
    assert attached not in (None, whole)
    covered = with_attachment(signed(f"cid:{PART}"), ME, LARGE)
    again = opened(here, drawer, other.content_type, other.written(covered, {PART: LARGE}))
    assert again.mark == attached
    assert opened(here, drawer, *carried(Carriage.SWA, SMALL)).mark != attached, "another attachment, another call"


@pytest.mark.parametrize("how", Carriage)
def test_a_certificate_must_be_good_whatever_carries_the_call(province, drawer, how):
    for here, code in (
        (province(crls=[CA.crl(ME)]), "certificate-revoked"),
        (province(revocation="require"), "revocation-unknown"),
    ):
        with pytest.raises(Rejected, match=code):
            opened(here, drawer, *carried(how))


@pytest.mark.parametrize("how", Carriage)
def test_a_relay_carries_calls_in_any_form_and_vouches_for_no_attachment(province, drawer, how):
    call = opened(province(), drawer, *carried(how), by=("there", "me"))
    assert call.partner.code == "me"
    assert (call.call.packet if isinstance(call.call.packet, bytes) else call.call.packet.read()) == LARGE
    named = SWA[0].written(signed(f"cid:{PART}"), {PART: LARGE})
    with pytest.raises(Rejected, match="attachment-not-signed"):
        opened(province(), drawer, SWA[0].content_type, named, by=("there", "me"))


@pytest.mark.parametrize("media", ["text/plain", "text/xml", "application/xml", "image/svg+xml"])
def test_what_the_profile_would_canonicalise_is_refused(province, drawer, media):
    form = attrs.evolve(SWA[0], part_headers=f"Content-Type: {media}\r\n")
    covered = with_attachment(signed(f"cid:{PART}"), ME, SMALL)
    assert sent(province(), drawer, form, covered, {PART: SMALL}) == "algorithm-refused"


def test_another_transform_of_an_attachment_or_its_transform_elsewhere_is_refused(province, drawer):
    covered = with_attachment(signed(f"cid:{PART}"), ME, SMALL).decode()
    for other in (mtom.ATTACHED.replace("Content", "Complete"), "http://www.w3.org/2001/10/xml-exc-c14n#"):
        changed = forge(covered.replace(mtom.ATTACHED, other).encode(), ME)
        assert sent(province(), drawer, SWA[0], changed, {PART: SMALL}) == "algorithm-refused"
    body = forge(covered.replace(f'URI="cid:{PART}"', 'URI="#B"').encode(), ME)
    assert sent(province(), drawer, SWA[0], body, {PART: SMALL}) == "algorithm-refused"


def test_in_a_call_by_mtom_no_reference_names_a_part(province, drawer):
    root, parts = mtom.optimised(with_attachment(inline(SMALL), ME, SMALL))
    assert sent(province(), drawer, XOP[0], root, parts) == "algorithm-refused"


def test_under_packet_tls_answers_for_an_unsigned_call_and_its_attachment(province, drawer):
    unsigned = etree.tostring(
        envelope.wrap_in_envelope(
            etree.fromstring(
                f'<SendDocument xmlns="urn:lienthong:documents:1"><Packet>cid:{PART}</Packet></SendDocument>'
            )
        )
    )
    assert sent(province(signature="packet"), drawer, SWA[0], unsigned, {PART: LARGE}) == LARGE
    assert sent(province(), drawer, SWA[0], unsigned, {PART: LARGE}) == "unsigned"
    assert (
        sent(province(signature="packet"), drawer, SWA[0], signed(f"cid:{PART}"), {PART: LARGE})
        == "attachment-not-signed"
    )


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (f"cid:{PART}", "cid:nobody@x", "attachment-unknown"),
        (f"cid:{PART}", "http://127.0.0.1/secret", "attachment-unknown"),
        (f"cid:{PART}", "file:///etc/passwd", "attachment-unknown"),
        (f"cid:{PART}", f"cid:{mtom.ROOT}", "attachment-unknown"),
        ('href="cid', 'wsu:Id="B" href="cid', "multipart-broken"),
        ("<xop:Include", "QUJD<xop:Include", "multipart-broken"),
        ("</d:Packet>", "QUJD</d:Packet>", "multipart-broken"),
        ("</d:Packet>", "<x/></d:Packet>", "multipart-broken"),
        (f'href="cid:{PART}"/>', f'href="cid:{PART}">x</xop:Include>', "multipart-broken"),
        ("</d:MessageId>", f'</d:MessageId><xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:{PART}"/>', "multipart-broken"),
        ("<d:MessageId>m</d:MessageId>", f'<d:MessageId><xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:{PART}"/></d:MessageId>', "too-large"),
    ],
)  # fmt: skip
def test_an_include_stands_alone_and_names_a_part_of_this_body_once(province, drawer, old, new, code):
    root, parts = mtom.optimised(inline(LARGE))
    assert old.encode() in root
    assert sent(province(), drawer, XOP[0], root.replace(old.encode(), new.encode(), 1), parts) == code


def test_a_part_that_nothing_names_is_refused(province, drawer):
    root, parts = mtom.optimised(inline(SMALL))
    assert sent(province(), drawer, XOP[0], root, parts | {"more@x": b""}) == "attachment-unknown"
    assert sent(province(), drawer, XOP[0], inline(SMALL), {PART: SMALL}) == "attachment-unknown"


def test_an_include_in_a_call_that_is_not_mtom_is_only_an_element_too_many(province, drawer):
    root, parts = mtom.optimised(inline(SMALL))
    with pytest.raises(Rejected, match="signature-invalid"):
        opened(province(), drawer, "text/xml", root)
    assert sent(province(), drawer, SWA[0], root, parts) == "signature-invalid"


def test_small_octets_elsewhere_may_be_parts_too_as_dotnet_and_cxf_write_tokens(province, drawer):
    whole = inline(LARGE).decode()
    token = ME.token
    include = '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:http%3A%2F%2Ftempuri.org%2F1"/>'
    root, parts = mtom.optimised(whole.replace(token, include, 1).encode())
    assert include.encode() in root
    parts["http://tempuri.org/1"] = base64.b64decode(token)
    assert sent(province(), drawer, XOP[0], root, parts) == LARGE


def test_the_version_and_the_action_are_told_in_many_places_and_must_agree(province, drawer):
    whole = inline(SMALL, mtom.SOAP12)
    root, parts = mtom.optimised(whole)
    ours, other = (f"urn:lienthong:documents:1/{name}" for name in ("SendDocument", "GetDocument"))
    form = attrs.evolve(XOP[1], action=ours)
    assert sent(province(), drawer, form, root, parts) == SMALL
    assert sent(province(), drawer, attrs.evolve(form, action=other), root, parts) == "action-mismatch"
    nested = f'Content-Type: application/xop+xml; type="application/soap+xml; action=\\"{other}\\""\r\n'
    assert sent(province(), drawer, attrs.evolve(form, root_headers=nested), root, parts) == "action-mismatch"
    assert sent(province(), drawer, attrs.evolve(form, root_headers=nested.replace(other, ours)), root, parts) == SMALL
    other_charset = nested.replace(other, ours).replace("xop+xml;", "xop+xml; charset=nope;")
    assert sent(province(), drawer, attrs.evolve(form, root_headers=other_charset), root, parts) == "media-type"
    said = 'Content-Type: application/xop+xml; type="text/xml"\r\n'
    assert sent(province(), drawer, attrs.evolve(form, root_headers=said), root, parts) == "multipart-broken"
    assert sent(province(), drawer, XOP[0], root, parts) == "soap-version"
    swa = Body(kind=mtom.SOAP12, soap=mtom.SOAP12, action=other)
    covered = with_attachment(signed(f"cid:{PART}", mtom.SOAP12), ME, SMALL)
    assert sent(province(), drawer, swa, covered, {PART: SMALL}) == "action-mismatch"


@pytest.mark.parametrize(
    ("header", "soap", "how"),
    [
        ("text/xml; charset=utf-8", SOAP11, Carriage.INLINE),
        ('text/xml; charset="UTF-8"', SOAP11, Carriage.INLINE),
        ('text/xml;charset="utf-16"', SOAP11, Carriage.INLINE),
        ('application/soap+xml; action="a"', SOAP12, Carriage.INLINE),
        ('Multipart/Related; boundary=a; type="application/xop+xml"; start-info="text/xml"', SOAP11, Carriage.MTOM),
        ('multipart/related; boundary=a; type="application/xop+xml"; start-info="application/soap+xml; action=\\"a\\""', SOAP12, Carriage.MTOM),
        ("multipart/related; boundary=a; type=text/xml", SOAP11, Carriage.SWA),
        ('multipart/related; boundary=a; type="application/soap+xml"', SOAP12, Carriage.SWA),
    ],
)  # fmt: skip
def test_the_content_type_tells_version_and_carriage(header, soap, how):
    found = attachments.read_http_manner(header, None)
    assert (found.soap, found.carriage) == (soap, how)
    assert found.action in (None, "a")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "text/plain",
        "text/xml; charset=nope",
        'application/soap+xml; charset=""',
        "text/xml; charset=iso-8859-1",
        "multipart/form-data; boundary=a",
        'multipart/related; boundary=a; type="application/xop+xml"',
        'multipart/related; boundary=a; type="application/xop+xml"; start-info="text/plain"',
        "multipart/related; boundary=a; type=image/png",
    ],
)
def test_other_content_types_are_refused(header):
    with pytest.raises(Rejected, match="media-type"):
        attachments.read_http_manner(header, None)


# What goes out


@pytest.mark.parametrize("soap", [SOAP11, SOAP12])
@pytest.mark.parametrize("octets", [b"", b"a", b"\r\n\r\n--x\r\n", LARGE], ids=["none", "one", "lines", "large"])
@pytest.mark.parametrize("how", Carriage)
def test_an_answer_goes_as_the_call_came_and_verifies_with_its_packet(drawer, how, octets, soap):
    loads, packets = Loads(), [Octets.of(octets), Octets.of(SMALL)]
    answer = documents_responses.build_traces_response(
        [documents_responses.Trace("d", b""), documents_responses.Trace(None, b"")]
    )
    documents_responses.fill_packets(answer, packets, loads)
    out = attachments.pack_envelope(
        envelope.write_unsigned_envelope(answer, soap), loads, attachments.Manner(soap, carriage=how), ME, NOW
    )
    body = out.read()
    assert out.size == len(body)
    heard = mtom.Heard.of(200, out.content_type, body)
    assert len(heard.parts) == (0 if how is Carriage.INLINE else 2)
    assert by_xmlsec(heard.whole(), ME) == "valid" or how is Carriage.SWA
    found = attachments.read_http_manner(out.content_type, None)
    assert (found.carriage, found.soap) == (how, soap)
    unpacked = attachments.unpack_body(Octets.of(body), found, frozenset({"Packet"}), drawer)
    verified = wss_verify.verify_envelope(
        unpacked.root,
        [ME.certificate],
        NOW,
        max_age=MAX_AGE,
        loads=unpacked.loads,
        attached=unpacked.attached or None,
    )
    if how is Carriage.SWA:
        child = envelope.find_only_child(verified.body)
        attachments.attach_parts(child, CONTRACT.binary, unpacked.attached, verified.attached, unpacked.loads)
    read = []
    for element in verified.body.iter("{*}Packet"):
        load = unpacked.loads.get(element)
        read.append(base64.b64decode(element.text or "") if load is None else unpacked.loads.decoded(load).read())
    assert read == [octets, SMALL]


def test_an_answer_without_a_packet_is_multipart_only_by_mtom():
    element = documents_responses.build_confirmed_response()
    for how, media in ((Carriage.INLINE, "text/xml"), (Carriage.SWA, "text/xml"), (Carriage.MTOM, "multipart/related")):
        out = attachments.pack_envelope(
            envelope.write_unsigned_envelope(element), Loads(), attachments.Manner(carriage=how), ME, NOW
        )
        assert out.content_type.startswith(media)


# The packet's own signature, over attachments that are not in the tree


@pytest.mark.parametrize("transforms", [Seal().transforms, ENVELOPED_STEP + c14n(INCLUSIVE)])
def test_a_large_attachment_is_covered_by_the_packets_own_signature(drawer, transforms):
    content = Seal(transforms=transforms).signed(ME, LARGE)
    anchors = Anchors([CA.certificate])
    names = frozenset({packet.LOADED})

    def judged(octets):
        root, loads = streamed_xml.parse_streamed_xml(Octets.of(octets), names, drawer)
        assert len(loads) == 1
        found = packet_signature.judge_packet_signature(
            root, Octets.of(octets), [ME.certificate], anchors, NOW, loads=loads
        )
        assert found == packet_signature.judge_packet_signature(
            safe_xml.parse_safe_xml(octets), Octets.of(octets), [ME.certificate], anchors, NOW
        )
        assert packet.read_packet(root, loads) == packet.read_packet(octets)
        return found.standing

    assert judged(content) is SignatureStanding.VALID
    at = content.index(b"UEs") + 100_000  # in the midst of the attachment
    swapped = content[:at] + (b"B" if content[at : at + 1] == b"A" else b"A") + content[at + 1 :]
    assert judged(swapped) is SignatureStanding.INVALID


def test_entries_of_slim_and_whole_packets_are_equal(province, drawer):
    made, partner = province(), province().config.partners["me"]
    for call in (documents_requests.SendDocument(LARGE), documents_requests.SendDocument(drawer.keep([LARGE]))):
        entry = admission.judge_message(call, partner, made, "documents", NOW, "id", drawer)
        assert entry.problems == ()
        assert (entry.sha256, len(entry.content)) == (hashlib.sha256(LARGE).hexdigest(), len(LARGE))
        assert entry.packet == packet.read_packet(LARGE)
