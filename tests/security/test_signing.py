"""What the hub signs and seals is believed by every other toolkit; what they sign is believed by us."""

import base64
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import xmlsec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml import DigestAlgorithm, SignatureConstructionMethod, SignatureMethod, XMLSigner
from zeep.wsse.signature import BinarySignature

from hub.domain.errors import Rejected
from hub.formats import canonical_xml, safe_xml
from hub.security import signing, wss_verify, xmldsig
from hub.security.anchors import Anchors, Untrusted
from hub.security.certificates import Identity
from hub.security.wss_verify import Unverified
from hub.soap import documents_responses, envelope
from tests import pki
from tests.conftest import ROOT, cannot_be_had
from tests.examples import at_most
from tests.pki import NOW
from tests.signatures import (
    CONTENT,
    DS,
    EXCLUSIVE,
    MAX_AGE,
    SOAP11,
    SOAP12,
    WSSE,
    WSU,
    X509V3,
    by_signxml,
    by_xmlsec,
    fill,
    forge,
    ours,
    plain,
    stamp,
)
from tests.vectors import ENVELOPE, OTHER, PARTNER, STRANGER

CA = pki.authority()
IDENTITIES = [PARTNER, pki.partner("ec", "p256"), pki.partner("ec", "p384")]
RECEIPT = '<Receipt xmlns="urn:lienthong:documents:1"><DocumentId>số 1</DocumentId><Time>2026</Time></Receipt>'
SEALED = wss_verify.seal_element(etree.fromstring(RECEIPT), PARTNER)


def name(identity: Identity) -> str:
    return f"{type(identity.key).__name__} {identity.key.key_size}"


# Envelopes


@pytest.mark.parametrize("identity", IDENTITIES, ids=name)
def test_what_we_sign_all_judges_believe(identity):
    content = wss_verify.sign_envelope(ENVELOPE, identity, NOW)
    assert ours(content, [identity]) == "accepted"
    assert by_signxml(content, identity) == by_xmlsec(content, identity) == "valid"


def parts(text, namespace):
    """Return a receipt and the answer with it as trees, each text in them *text*."""
    receipt, answer = (
        etree.fromstring(f'<{root} xmlns="{namespace}"/>') for root in ("Receipt", "SendDocumentResponse")
    )
    for leaf in ("DocumentId", "MessageId", "Sha256"):
        etree.SubElement(receipt, f"{{{namespace}}}{leaf}").text = text
    etree.SubElement(receipt, f"{{{namespace}}}Time").text = "2026-11-24T08:00:00.000000Z"
    report = etree.SubElement(answer, f"{{{namespace}}}Report")
    etree.SubElement(report, f"{{{namespace}}}IsSuccess").text = "true"
    etree.SubElement(report, f"{{{namespace}}}ErrorList")
    etree.SubElement(answer, f"{{{namespace}}}DocumentId").text = text
    return receipt, answer


@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\r\n\t&<>\"'\ufffd"),
        max_size=30,
    ),
    st.sampled_from(IDENTITIES),
    st.sampled_from([SOAP11, SOAP12]),
)
@settings(max_examples=at_most(60))
def test_what_is_written_in_canonical_form_is_what_is_canonicalised(text, identity, soap):
    text, namespace = text.replace("\ufffe", "").replace("\uffff", ""), "urn:lienthong:documents:1"
    receipt, answer = parts(text, namespace)
    sealed = signing.seal_canonical(
        documents_responses.write_receipt(documents_responses.Receipt(text, text, text, NOW), namespace), identity
    )
    assert sealed == signing.seal_element(receipt, identity)
    answer.append(etree.fromstring(sealed))
    written = documents_responses.write_taken_response("SendDocument", text, sealed, namespace)
    assert written.octets == etree.tostring(answer, method="c14n", exclusive=True)
    signed = signing.sign_canonical_body(written, soap, identity, NOW)
    assert signed == signing.sign_envelope(envelope.write_unsigned_envelope(answer, soap), identity, NOW)


@pytest.mark.parametrize("identity", IDENTITIES, ids=name)
@pytest.mark.parametrize("soap", [SOAP11, SOAP12])
def test_an_answer_in_canonical_form_all_judges_believe(identity, soap):
    said = documents_responses.Receipt("0192", "số <1> & 'x'", "00" * 32, NOW)
    sealed = signing.seal_canonical(documents_responses.write_receipt(said), identity)
    written = documents_responses.write_taken_response("SendDocument", "0192", sealed)
    content = signing.sign_canonical_body(written, soap, identity, NOW)
    assert ours(content, [identity]) == "accepted"
    assert by_xmlsec(content, identity) == "valid"
    if soap == SOAP11:
        assert by_signxml(content, identity) == "valid"
    receipt = documents_responses.read_submission(plain(content)[1][0], "SendDocument").receipt
    assert receipt == signing.canonicalize_sealed(sealed)
    root, certificate = wss_verify.unseal_document(receipt, [identity.certificate], NOW)
    assert (documents_responses.read_receipt(root), certificate) == (said, identity.certificate)


@pytest.mark.parametrize("text", ["\0", "\x1f", "\ufffe", "\ud800", "\x0b"])
def test_what_no_xml_can_hold_is_not_written(text):
    with pytest.raises(ValueError, match="no XML document"):
        canonical_xml.escape_canonical_text(f"a{text}b")


def test_only_a_receipt_of_the_same_namespace_is_put_into_an_answer():
    for receipt in (
        b"",
        b"<Receipt/>",
        signing.seal_canonical(
            documents_responses.write_receipt(documents_responses.Receipt("1", "1", "1", NOW), "urn:x"), PARTNER
        ),
    ):
        with pytest.raises(ValueError, match="not a Receipt"):
            documents_responses.write_taken_response("SendDocument", "1", receipt)


def test_what_we_sign_zeep_believes(tmp_path):
    wire = BinarySignature(*map(str, pki.write(tmp_path, "partner", PARTNER)))
    wire.verify(plain(wss_verify.sign_envelope(ENVELOPE, PARTNER, NOW)))


def test_what_zeep_signs_with_sha256_we_believe(tmp_path):
    secret, public = map(str, pki.write(tmp_path, "partner", PARTNER))
    wire = BinarySignature(
        secret,
        public,
        signature_method=xmlsec.constants.TransformRsaSha256,
        digest_method=xmlsec.constants.TransformSha256,
    )
    times = f"<wsu:Created>{stamp(NOW)}</wsu:Created><wsu:Expires>{stamp(NOW + timedelta(minutes=5))}</wsu:Expires>"
    security = f'<w:Security xmlns:w="{WSSE}" xmlns:wsu="{WSU}"><wsu:Timestamp>{times}</wsu:Timestamp></w:Security>'
    envelope = f'<s:Envelope xmlns:s="{SOAP11}"><s:Header>{security}</s:Header><s:Body>{CONTENT}</s:Body></s:Envelope>'
    signed, _ = wire.apply(etree.fromstring(envelope), {})
    assert ours(etree.tostring(signed), [PARTNER]) == "accepted"


def test_what_signxml_signs_we_believe():
    envelope = f"""<s:Envelope xmlns:s="{SOAP11}" xmlns:wsu="{WSU}"><s:Header><wsse:Security xmlns:wsse="{WSSE}">
      <wsse:BinarySecurityToken wsu:Id="T">{PARTNER.token}</wsse:BinarySecurityToken>
      <wsu:Timestamp wsu:Id="S"><wsu:Created>{stamp(NOW)}</wsu:Created>
        <wsu:Expires>{stamp(NOW + timedelta(minutes=5))}</wsu:Expires></wsu:Timestamp>
    </wsse:Security></s:Header><s:Body wsu:Id="B">{CONTENT}</s:Body></s:Envelope>"""
    key_info = etree.fromstring(
        f'<ds:KeyInfo xmlns:ds="{DS}"><wsse:SecurityTokenReference xmlns:wsse="{WSSE}">'
        f'<wsse:Reference URI="#T" ValueType="{X509V3}"/></wsse:SecurityTokenReference></ds:KeyInfo>'
    )
    root = plain(envelope.encode())
    signer = XMLSigner(
        SignatureConstructionMethod.detached, SignatureMethod.RSA_SHA256, DigestAlgorithm.SHA256, EXCLUSIVE
    )
    made = signer.sign(root, key=PARTNER.key, reference_uri=["#S", "#B"], key_info=key_info, id_attribute="Id")
    root[0][0].append(made)
    assert ours(etree.tostring(root), [PARTNER]) == "accepted"


def test_the_body_is_sent_in_the_octets_that_were_digested():
    """What gSOAP reads as `xsd:any`, such as a Receipt's signature, it verifies without canonicalising it."""
    sealed = f"<d:Answer xmlns:d='urn:d'  a = '1' ><e/>{SEALED.decode()}</d:Answer>"
    content = wss_verify.sign_envelope(
        f"<s:Envelope xmlns:s='{SOAP11}'><s:Body>{sealed}</s:Body></s:Envelope>".encode(), PARTNER, NOW
    )
    body = plain(content)[1]
    assert etree.tostring(body, method="c14n", exclusive=True, with_comments=False) in content


def test_octets_and_tree_give_the_same_and_the_tree_stays_as_it_was():
    root = plain(ENVELOPE)
    assert wss_verify.sign_envelope(root, PARTNER, NOW) == wss_verify.sign_envelope(ENVELOPE, PARTNER, NOW)
    assert etree.tostring(root, encoding="UTF-8") == ENVELOPE


def test_soap_1_2_is_signed_too():
    assert (
        ours(wss_verify.sign_envelope(ENVELOPE.replace(SOAP11.encode(), SOAP12.encode()), PARTNER, NOW), [PARTNER])
        == "accepted"
    )


def test_other_header_blocks_stay():
    envelope = ENVELOPE.replace(b"<s:Body>", b'<s:Header><a:To xmlns:a="urn:a">hub</a:To></s:Header><s:Body>')
    root = plain(wss_verify.sign_envelope(envelope, PARTNER, NOW))
    assert [etree.QName(block).localname for block in root[0]] == ["Security", "To"]
    assert ours(etree.tostring(root), [PARTNER]) == "accepted"


def test_a_prefix_used_in_a_value_survives():
    fault = f'<s:Envelope xmlns:s="{SOAP11}" xmlns:q="urn:q"><s:Body><s:Fault><faultcode>q:x</faultcode></s:Fault></s:Body></s:Envelope>'
    root = safe_xml.parse_safe_xml(wss_verify.sign_envelope(fault.encode(), PARTNER, NOW))
    (code,) = root.iter("faultcode")
    assert code.nsmap["q"] == "urn:q"


def test_an_envelope_in_the_default_namespace_is_signed():
    envelope = f'<Envelope xmlns="{SOAP11}"><Body><d xmlns="">x</d></Body></Envelope>'.encode()
    content = wss_verify.sign_envelope(envelope, PARTNER, NOW)
    assert ours(content, [PARTNER]) == "accepted"
    assert by_signxml(content, PARTNER) == by_xmlsec(content, PARTNER) == "valid"


def test_a_tree_built_in_a_way_that_does_not_survive_writing_is_signed_as_it_is_written():
    """An element of no namespace below a default namespace is in that namespace for whoever reads it (security.md 1.1)."""
    root = etree.Element(f"{{{SOAP11}}}Envelope", nsmap={"s": SOAP11})
    body = etree.SubElement(root, f"{{{SOAP11}}}Body")
    body.append(etree.fromstring('<d xmlns="urn:d"/>'))
    etree.SubElement(body[0], "e").text = "\r\n\t"
    content = wss_verify.sign_envelope(root, PARTNER, NOW)
    assert ours(content, [PARTNER]) == "accepted"
    assert by_xmlsec(content, PARTNER) == "valid"


def test_a_signature_lives_as_long_as_it_is_told():
    content = wss_verify.sign_envelope(ENVELOPE, PARTNER, NOW, life=timedelta(minutes=2))
    verified = wss_verify.verify_envelope(safe_xml.parse_safe_xml(content), [PARTNER.certificate], NOW, max_age=MAX_AGE)
    assert (verified.created, verified.expires) == (NOW, NOW + timedelta(minutes=2))


def test_no_reader_is_made_to_understand_the_signature():
    (security,) = plain(wss_verify.sign_envelope(ENVELOPE, PARTNER, NOW)).iter(f"{{{WSSE}}}Security")
    assert not security.attrib


@settings(max_examples=at_most(60), deadline=None)
@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=40
    )
)
def test_any_text_is_signed(text):
    root = plain(ENVELOPE)
    root[0][0].text = text + "\r"
    content = wss_verify.sign_envelope(root, PARTNER, NOW)
    assert ours(content, [PARTNER]) == "accepted"
    assert by_xmlsec(content, PARTNER) == "valid"
    assert safe_xml.parse_safe_xml(content)[1][0].text == text + "\r"


def test_threads_sign_and_verify_side_by_side():
    def once(number: int) -> str:
        content = wss_verify.sign_envelope(ENVELOPE.replace("số 1".encode(), str(number).encode()), PARTNER, NOW)
        return by_xmlsec(content, PARTNER) if number % 2 else ours(content, [PARTNER])

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(once, range(100))) == {"accepted", "valid"}


@pytest.mark.slow
def test_a_new_process_signs_its_first_message_right(tmp_path):
    """Canonicalisation by lxml depends on what the process has parsed before (security.md 1.1)."""
    secret, public = pki.write(tmp_path, "partner", PARTNER)
    program = (
        "import sys; from datetime import datetime; from pathlib import Path; from hub.security import signing;"
        "from hub.security.certificates import Identity; secret, public, now, envelope = sys.argv[1:];"
        "identity = Identity.read(Path(secret), Path(public));"
        "sys.stdout.buffer.write(signing.sign_envelope(envelope.encode(), identity, datetime.fromisoformat(now)))"
    )
    for _ in range(3):
        command = [sys.executable, "-c", program, str(secret), str(public), NOW.isoformat(), ENVELOPE.decode()]
        content = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout
        assert ours(content, [PARTNER]) == "accepted"
        assert by_signxml(content, PARTNER) == by_xmlsec(content, PARTNER) == "valid"


def test_an_attachment_of_20_megabytes_is_signed_and_verified():
    text = base64.b64encode(os.urandom(15_000_000))
    content = wss_verify.sign_envelope(ENVELOPE.replace("số 1".encode(), text), PARTNER, NOW)
    assert len(content) > 20_000_000
    assert ours(content, [PARTNER]) == "accepted"
    assert ours(content[:9_000_000] + b"A" * 9 + content[9_000_009:], [PARTNER]) == "signature-invalid"


# Sealed documents


@pytest.mark.parametrize("identity", IDENTITIES, ids=name)
def test_a_seal_is_believed_by_all(identity):
    content = wss_verify.seal_element(etree.fromstring(RECEIPT), identity)
    root, certificate = wss_verify.unseal_document(content, [identity.certificate], NOW)
    assert certificate == identity.certificate
    assert root.findtext("{*}DocumentId") == "số 1"
    assert by_signxml(content, identity) == by_xmlsec(content, identity) == "valid"


def test_xmlsec1_believes_a_seal(tmp_path):
    program = shutil.which("xmlsec1")
    if program is None:
        cannot_be_had("xmlsec1", "it is not installed (apt install xmlsec1)")
    (tmp_path / "receipt.xml").write_bytes(SEALED)
    (tmp_path / "ca.pem").write_bytes(CA.certificate.public_bytes(Encoding.PEM))
    options = [
        "--trusted-pem",
        "ca.pem",
        "--verification-gmt-time",
        f"{NOW:%Y-%m-%d %H:%M:%S}",
        "--enabled-key-data",
        "x509",
    ]
    done = subprocess.run(
        [program, "--verify", *options, "receipt.xml"], check=False, capture_output=True, cwd=tmp_path, text=True
    )
    assert done.returncode == 0, done.stderr


def unsealed(content: bytes, trusted: Anchors | list[Identity] | None = None) -> str:
    """Return `accepted`, or the code of the refusal."""
    believed = trusted if isinstance(trusted, Anchors) else [one.certificate for one in trusted or [PARTNER]]
    try:
        wss_verify.unseal_document(content, believed, NOW)
    except Rejected as rejected:
        return rejected.problems[0].code
    return "accepted"


def test_a_seal_is_believed_by_certificate_or_by_anchor():
    assert unsealed(SEALED, [OTHER, PARTNER]) == "accepted"
    assert unsealed(SEALED, [OTHER]) == "certificate-unknown"
    assert unsealed(SEALED, Anchors([CA.certificate], [CA.crl()])) == "accepted"
    assert unsealed(SEALED, Anchors([CA.certificate], [CA.crl(PARTNER)])) == "certificate-revoked"
    assert unsealed(SEALED.replace(PARTNER.token.encode(), b"AAAA"), Anchors([CA.certificate])) == "signature-invalid"
    with pytest.raises(Untrusted):
        wss_verify.unseal_document(
            wss_verify.seal_element(etree.fromstring(RECEIPT), STRANGER), Anchors([CA.certificate]), NOW
        )


def test_white_space_around_the_signature_belongs_to_what_was_signed():
    """The enveloped-signature transform takes the element out and leaves the text after it."""
    template = f"""<a xmlns="urn:a"> <b>1</b> <ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>
      <ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>
      <ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><ds:Reference URI=""><ds:Transforms>
      <ds:Transform Algorithm="{DS}enveloped-signature"/><ds:Transform Algorithm="{EXCLUSIVE}"/></ds:Transforms>
      <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference></ds:SignedInfo>
      <ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{PARTNER.token}</ds:X509Certificate></ds:X509Data>
      </ds:KeyInfo></ds:Signature> after <c/> </a>"""
    for written in (template, template.replace(" <b>1</b> ", ""), template.replace(" after ", "")):
        content = fill(written, PARTNER)
        assert unsealed(content) == "accepted"
        assert unsealed(content.replace(b"<c/>", b" <c/>")) == "signature-invalid"


def test_a_sealed_tree_stays_as_it_was():
    root = safe_xml.parse_safe_xml(SEALED)
    before = etree.tostring(root)
    assert wss_verify.unseal_document(root, [PARTNER.certificate], NOW)[0] is root
    assert etree.tostring(root) == before


def moved(content: bytes, wrapper: str) -> bytes:
    """Put the sealed document into another, whose root is new and whose Signature is a child of it."""
    root, outer = plain(content), etree.fromstring(wrapper)
    (found,) = root.iter(f"{{{DS}}}Signature")
    outer.append(root)
    outer.append(found)
    return etree.tostring(outer, encoding="UTF-8")


HOSTILE_SEALS = {
    "changed text": (SEALED.replace("số 1".encode(), "số 2".encode()), "signature-invalid"),
    "wrapped in another document": (moved(SEALED, "<Receipt/>"), "signature-invalid"),
    "the signature deeper": (SEALED.replace(b"<ds:Signature ", b"<x><ds:Signature ").replace(b"</ds:Signature>", b"</ds:Signature></x>"), "signature-invalid"),
    "two signatures": (SEALED.replace(b"</Receipt>", SEALED[SEALED.index(b"<ds:Signature ") :]), "signature-invalid"),
    "no signature": (RECEIPT.encode(), "unsigned"),
    "something after the signature": (SEALED.replace(b"</Receipt>", b"<Time>2027</Time></Receipt>"), "signature-invalid"),
    "a DOCTYPE": (b"<!DOCTYPE Receipt>" + SEALED, "doctype-refused"),
    "signed by id": (forge(SEALED.replace(b'URI=""', b'URI="#r"').replace(b"<Receipt ", b'<Receipt Id="r" '), PARTNER), "signature-covers-too-little"),
    "not enveloped": (forge(SEALED.replace(f'<ds:Transform Algorithm="{DS}enveloped-signature"></ds:Transform>'.encode(), b""), PARTNER), "signature-covers-too-little"),
    "another certificate": (SEALED.replace(PARTNER.token.encode(), OTHER.token.encode()), "certificate-unknown"),
    "a certificate that is none": (SEALED.replace(PARTNER.token.encode(), b"AAAA"), "certificate-unknown"),
    "no certificate": (SEALED.replace(f"<ds:X509Certificate>{PARTNER.token}</ds:X509Certificate>".encode(), b""), "signature-invalid"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_SEALS)
def test_a_seal_covers_the_whole_document_or_is_refused(name):
    content, code = HOSTILE_SEALS[name]
    assert unsealed(content) == code


def test_a_comment_in_a_sealed_tree_of_another_parser_is_refused():
    with pytest.raises(Unverified, match="comment"):
        wss_verify.unseal_document(plain(SEALED.replace(b"<Time>", b"<Time><!-- -->")), [PARTNER.certificate], NOW)


@pytest.mark.parametrize("cut", [b"<!-- -->", b"<![CDATA[]]>"])
def test_a_comment_or_cdata_in_a_seal_is_refused(cut):
    assert unsealed(SEALED.replace(b"<Time>", b"<Time>" + cut)) == "signature-invalid"


def test_one_bit_changed_anywhere_in_a_seal_is_refused_or_harmless():
    signed = xmldsig.canonicalize_element(etree.fromstring(RECEIPT), xmldsig.PLAIN)
    for at, octet in enumerate(SEALED):
        content = SEALED[:at] + bytes([octet ^ 1]) + SEALED[at + 1 :]
        if unsealed(content) == "accepted":
            root, _ = wss_verify.unseal_document(content, [PARTNER.certificate], NOW)
            (found,) = root.iter(f"{{{DS}}}Signature")
            assert xmldsig.canonicalize_element(root, xmldsig.PLAIN, without=found) == signed


def test_the_files_of_an_identity_are_all_that_signing_needs(tmp_path):
    identity = Identity.read(*pki.write(Path(tmp_path), "partner", PARTNER))
    assert wss_verify.sign_envelope(ENVELOPE, identity, NOW) == wss_verify.sign_envelope(ENVELOPE, PARTNER, NOW)
