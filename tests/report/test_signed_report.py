"""A report that an official has signed: what two toolkits make is taken, and everything that only looks like it is refused."""

import hashlib
import shutil
import subprocess
from datetime import date, timedelta

import attrs
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from lxml import etree
from signxml import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.xades import XAdESSignatureConfiguration, XAdESVerifier

from hub.domain.errors import SENTENCES, Rejected
from hub.domain.model import Unit
from hub.report.signed import signed
from hub.report.signed.element import check_report_element
from hub.report.signed.sealed import read_sealed_report
from hub.security import wss_verify, xades
from hub.security.anchors import Anchors
from hub.security.certificates import load_der
from hub.units.deeds import WORK, Deed, Estate
from hub.units.unit_index import UnitIndex
from hub.workload import submission
from tests.conftest import cannot_be_had
from tests.officials import (
    AN,
    BINH,
    ETSI,
    HUB,
    PERSONS,
    UNIT,
    Tool,
    by_signxml,
    by_xmlsec,
    official,
    officials,
    resigned,
    sealed,
)
from tests.pki import DAY, NOW, authority, pem, unreadable, usage
from tests.signatures import DS, ENVELOPED, INCLUSIVE, SHA256, plain

GIVEN = sealed()
SIGNED = by_xmlsec(GIVEN)
C14N = CanonicalizationMethod


def code(uploaded, given=GIVEN):
    """Return `taken`, or the code of the refusal."""
    try:
        signed.verify_official_signature(given, uploaded)
    except Rejected as rejected:
        (problem,) = rejected.problems
        assert problem.code in SENTENCES
        return problem.code
    return "taken"


def judged(identity=AN, people=None, at=NOW, now=NOW, lineage=(UNIT, "H55"), **said):
    """Return the code of the official who may sign, or of the refusal."""
    found = signed.verify_official_signature(GIVEN, by_xmlsec(GIVEN, identity, at, said.pop("tool", None)))
    try:
        return signed.judge_official(
            found, people or officials(official(identity=identity, **said)), lineage, NOW, now
        ).code
    except Rejected as rejected:
        return rejected.problems[0].code


# --- what is taken ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "c14n", [C14N.CANONICAL_XML_1_0, C14N.CANONICAL_XML_1_1, C14N.EXCLUSIVE_XML_CANONICALIZATION_1_0]
)
def test_what_signxml_signs_is_taken(c14n):
    found = signed.verify_official_signature(GIVEN, by_signxml(GIVEN, c14n=c14n))
    assert (found.certificate, found.at) == (AN.certificate, NOW)


@pytest.mark.parametrize(
    ("identity", "method", "digest"),
    [
        (AN, SignatureMethod.RSA_SHA384, DigestAlgorithm.SHA384),
        (AN, SignatureMethod.RSA_SHA512, DigestAlgorithm.SHA512),
        (AN, SignatureMethod.SHA256_RSA_MGF1, DigestAlgorithm.SHA256),
        (BINH, SignatureMethod.ECDSA_SHA256, DigestAlgorithm.SHA256),
    ],
)
def test_the_algorithms_of_the_profile_are_taken(identity, method, digest):
    found = signed.verify_official_signature(GIVEN, by_signxml(GIVEN, identity, method=method, digest=digest))
    assert found.certificate == identity.certificate


@pytest.mark.parametrize(
    "tool",
    [
        Tool(),
        Tool(c14n=INCLUSIVE),
        Tool(property="SigningCertificate"),
        Tool(document=f'<ds:Transform Algorithm="{ENVELOPED}"/>'),
        Tool(time="2026-11-24T15:00:00+07:00"),
    ],
)
def test_what_xmlsec_signs_is_taken(tool):
    found = signed.verify_official_signature(GIVEN, by_xmlsec(GIVEN, tool=tool))
    assert (found.certificate, found.at) == (AN.certificate, NOW)


def test_a_signed_report_is_still_a_report_and_the_sealed_one_is_inside():
    check_report_element(SIGNED)
    assert read_sealed_report(SIGNED) == read_sealed_report(GIVEN)
    root, certificate = wss_verify.unseal_document(signed.list_signing_steps(SIGNED)[0], [HUB.certificate], NOW)
    assert certificate == HUB.certificate
    assert root.get("revision") == "1"


@pytest.mark.parametrize("document", [SIGNED, by_signxml(GIVEN)])
def test_toolkits_that_nobody_here_wrote_verify_the_signature_and_the_seal_below_it(document, tmp_path):
    persons, hub = PERSONS.certificate, authority("Hub CA", NOW).certificate
    assert by_xmlsec1(document, persons, tmp_path)
    assert signxml_finds(document) == AN.certificate
    assert by_xmlsec1(signed.list_signing_steps(document)[0], hub, tmp_path)
    changed = document.replace(b">3<", b">4<", 1)
    assert not by_xmlsec1(changed, persons, tmp_path)
    assert signxml_finds(changed) is None
    assert not by_xmlsec1(document, hub, tmp_path), "another CA"


def by_xmlsec1(document, anchor, place):
    """Ask the program xmlsec1 about the last signature in *document*."""
    if shutil.which("xmlsec1") is None:
        cannot_be_had("xmlsec1", "it is not installed; Debian: apt-get install xmlsec1")
    (place / "report.xml").write_bytes(document)
    (place / "ca.crt").write_bytes(pem(anchor))
    words = [
        "--verify",
        "--trusted-pem",
        place / "ca.crt",
        "--enabled-key-data",
        "x509",
        "--node-xpath",
        "/*/*[last()]",
    ]
    words += ["--id-attr:Id", f"{ETSI}:SignedProperties", "--verification-time", f"{NOW:%Y-%m-%d %H:%M:%S}"]
    return subprocess.run(["xmlsec1", *words, place / "report.xml"], capture_output=True, check=False).returncode == 0


class LastSignature(XAdESVerifier):
    """signxml's, which would take the first signature of a document."""

    def _get_signature(self, root):
        return root[-1]


def signxml_finds(document):
    """Return the certificate of the last signature, if signxml verifies it."""
    count = len(plain(document)[-1][0].findall(f"{{{DS}}}Reference"))
    settings = XAdESSignatureConfiguration(require_x509=True, expect_references=count, verification_time=NOW)
    try:
        LastSignature().verify(document, x509_cert=AN.certificate, expect_config=settings)
    except (SignXMLException, InvalidSignature):
        return None
    return AN.certificate


# --- what only looks like it -------------------------------------------------------------------------------------------


def test_what_nobody_signed_is_unsigned():
    assert code(GIVEN) == "report-unsigned"


@pytest.mark.parametrize("cell", [b">3<", "Sở Mẫu".encode(), b'unit="H55.13"'])
def test_a_changed_report_is_refused_though_it_is_signed_well(cell):
    other = GIVEN.replace(cell, cell.replace(b"3", b"4").replace("Sở".encode(), b"so"), 1)
    assert code(by_xmlsec(other)) in {"report-changed", "report-other-revision"}
    changed = SIGNED.replace(cell, cell.replace(b"3", b"4").replace("Sở".encode(), b"so"), 1)
    assert code(changed) in {"report-changed", "report-other-revision"}


def test_a_change_is_told_with_its_place():
    with pytest.raises(Rejected) as told:
        signed.verify_official_signature(GIVEN, by_xmlsec(GIVEN.replace(b">3<", b">4<", 1)))
    (problem,) = told.value.problems
    assert (problem.code, str(problem.detail)) == (
        "report-changed",
        "Total[unit=H55.13]/Number[column=sent_inside]: '3' -> '4'",
    )


def test_another_revision_report_or_unit_is_told_so():
    assert code(by_xmlsec(sealed(2))) == "report-other-revision"
    assert code(by_xmlsec(sealed(unit="H55.14"))) == "report-other-revision"
    assert code(by_xmlsec(sealed(sent=4))) == "report-changed"


def test_the_seal_must_stay():
    root = plain(GIVEN)
    root.remove(root[-1])
    naked = etree.tostring(root)
    assert code(by_xmlsec(naked)) == "report-changed"
    assert code(by_xmlsec(sealed(seal=authority("Hub CA", NOW).issue("another hub")))) == "report-changed"


def test_white_space_that_a_tool_lost_is_a_change():
    parser = etree.XMLParser(remove_blank_text=True)
    assert code(by_xmlsec(etree.tostring(etree.fromstring(GIVEN, parser)))) == "report-changed"


def test_two_signatures_are_one_too_many():
    assert code(by_xmlsec(SIGNED, BINH, tool=Tool()).replace(b'Id="sig"', b'Id="other"', 1)) == "report-signatures"
    assert code(by_signxml(SIGNED, BINH, method=SignatureMethod.ECDSA_SHA256)) == "report-signatures"


DRAFTED = by_xmlsec(GIVEN, BINH, tool=Tool(name="1"))
BOTH = by_xmlsec(DRAFTED, AN, tool=Tool(name="2"))


def test_a_second_signature_covers_the_first():
    assert signed.verify_official_signature(GIVEN, DRAFTED).certificate == BINH.certificate
    assert signed.verify_official_signature(DRAFTED, BOTH).certificate == AN.certificate
    by_other_tool = by_signxml(DRAFTED)
    assert signed.verify_official_signature(DRAFTED, by_other_tool).certificate == AN.certificate
    check_report_element(BOTH)
    assert read_sealed_report(BOTH) == read_sealed_report(GIVEN)
    given, drafted, both = signed.list_signing_steps(BOTH)
    assert (code(drafted, GIVEN), code(both, drafted)) == ("taken", "taken")
    assert given == signed.list_signing_steps(DRAFTED)[0]


def test_two_signatures_are_verified_by_a_tool_that_nobody_here_wrote(tmp_path):
    _, drafted, both = signed.list_signing_steps(BOTH)
    assert by_xmlsec1(both, PERSONS.certificate, tmp_path)
    assert by_xmlsec1(drafted, PERSONS.certificate, tmp_path)
    assert not by_xmlsec1(both.replace(BINH.token.encode(), AN.token.encode()), PERSONS.certificate, tmp_path)


@pytest.mark.parametrize(
    ("uploaded", "wanted"),
    [
        (GIVEN, "report-unsigned"),
        (DRAFTED, "report-unsigned"),
        (SIGNED, "signature-order"),
        (by_xmlsec(GIVEN, BINH), "signature-order"),
        (by_xmlsec(BOTH, BINH, tool=Tool(name="3")), "report-signatures"),
        (by_xmlsec(DRAFTED, tool=Tool(name="1")), "signature-invalid"),
        (by_xmlsec(DRAFTED.replace(b">3<", b">4<", 1), tool=Tool(name="2")), "report-changed"),
        (by_xmlsec(by_xmlsec(sealed(2), BINH, tool=Tool(name="1")), tool=Tool(name="2")), "report-other-revision"),
        (BOTH.replace(b"#props1", b"#props2"), "report-changed"),
    ],
    ids=["sealed", "drafted", "head alone", "drafter anew", "three", "same Ids", "changed", "other revision", "inner"],
)
def test_what_is_no_second_signature_over_the_first_is_refused(uploaded, wanted):
    assert code(uploaded, DRAFTED) == wanted


def test_signatures_that_stand_elsewhere_are_no_steps():
    moved = plain(BOTH)
    moved.insert(0, moved[-1])
    for hostile in (
        etree.tostring(moved),
        b"<Both>" + b"".join(each.partition(b"?>")[2] for each in (BOTH, BOTH)) + b"</Both>",
    ):
        assert code(hostile, DRAFTED) == "report-signatures"
        with pytest.raises(Rejected, match="report-signatures"):
            signed.list_signing_steps(hostile)


def test_two_reports_in_one_file_are_refused():
    assert code(GIVEN + SIGNED.partition(b"?>")[2]) == "not-well-formed"
    wrapped = b"<Both>" + b"".join(each.partition(b"?>")[2] for each in (GIVEN, SIGNED)) + b"</Both>"
    assert code(wrapped) == "report-signatures"
    assert code(wrapped.replace(b"<Both>", b"<Report>").replace(b"</Both>", b"</Report>")) == "report-signatures"


def test_a_signature_around_what_it_signed_is_refused():
    """Wrapping: the report that was signed is carried inside, and another one stands where it is read."""
    root, inner = plain(sealed(sent=9)), plain(SIGNED)
    signature_of_it = inner[-1]
    holder = etree.SubElement(signature_of_it, f"{{{DS}}}Object")
    root.append(signature_of_it)
    holder.append(inner)
    assert code(etree.tostring(root)) == "report-signatures"
    moved = plain(SIGNED)
    moved.insert(0, moved[-1])
    assert code(etree.tostring(moved)) == "report-signatures"


def test_a_second_element_with_the_id_of_what_is_signed_is_refused():
    root = plain(SIGNED)
    root[-1][2].set("Id", "props")
    assert code(etree.tostring(root)) == "signature-invalid"


@pytest.mark.parametrize(
    "added",
    [b"<!-- a word -->", b"<?note a?>", b"<![CDATA[]]>"],
)
def test_nothing_may_be_added_that_no_canonical_form_covers(added):
    assert code(SIGNED.replace(b"<Period", added + b"<Period", 1)) in {"report-changed", "not-well-formed"}


def test_a_document_type_is_refused_before_anything_is_read():
    declared = SIGNED.replace(b"<Report", b'<!DOCTYPE Report [<!ENTITY n "9">]><Report', 1)
    assert code(declared) == "doctype-refused"


@pytest.mark.parametrize(
    ("tool", "wanted"),
    [
        (Tool(method=f"{DS}rsa-sha1"), "algorithm-refused"),
        (Tool(digest=f"{DS}sha1"), "algorithm-refused"),
        (Tool(hashed=hashlib.sha1, hash_name=f"{DS}sha1"), "algorithm-refused"),
        (Tool(c14n=f"{INCLUSIVE}#WithComments"), "algorithm-refused"),
        (
            Tool(
                document='<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>0=1</ds:XPath></ds:Transform>'
            ),
            "algorithm-refused",
        ),
        (Tool(signs_properties=False), "signature-incomplete"),
        (Tool(time="2026-11-24T08:00:00"), "signature-incomplete"),
        (Tool(time="hôm nay"), "signature-incomplete"),
        (Tool(property="SigningCertificateV3"), "signature-incomplete"),
        (Tool(hashed=hashlib.sha512, hash_name=SHA256), "signature-invalid"),
        (Tool(more="<xades:UnsignedProperties/>"), "signature-incomplete"),
        (Tool(reference='URI="#props"', document=f'<ds:Transform Algorithm="{INCLUSIVE}"/>'), "signature-incomplete"),
    ],
)
def test_what_is_not_in_the_profile_is_refused(tool, wanted):
    assert code(by_xmlsec(GIVEN, tool=tool)) == wanted


def test_a_secret_that_the_verifier_would_share_signs_nothing():
    hmac = SIGNED.replace(b"2001/04/xmldsig-more#rsa-sha256", b"2001/04/xmldsig-more#hmac-sha256")
    first, _, last = hmac.partition(b"hmac-sha256")  # the seal stays as it was
    assert code(first + b"rsa-sha256" + last) == "algorithm-refused"


def test_plain_xmldsig_is_not_xades():
    root = plain(SIGNED)
    root[-1].remove(root[-1][-1])
    root[-1][0].remove(root[-1][0][-1])
    assert code(resigned(etree.tostring(root))) == "signature-incomplete"


def test_the_certificate_in_key_info_cannot_be_exchanged():
    twin = PERSONS.issue("Nguyễn Văn An", label="Nguyễn Văn An")
    assert code(SIGNED.replace(AN.token.encode(), twin.token.encode())) == "signature-invalid"


def test_only_the_root_s_own_child_is_looked_at():
    root = plain(SIGNED)
    element = root[-1]
    outer = etree.Element("Outer")
    outer.append(root)
    with pytest.raises(Rejected):
        xades.verify_xades(root, element)


def test_key_info_which_nobody_signs_holds_no_other_report():
    other = plain(sealed(sent=999))
    other.remove(other[-1])
    at = SIGNED.rindex(b"<ds:KeyInfo>") + len(b"<ds:KeyInfo>")
    stranger = etree.tostring(other).join((b"<ds:KeyValue>", b"</ds:KeyValue>"))
    assert code(SIGNED[:at] + stranger + SIGNED[at:]) == "signature-incomplete"
    assert code(SIGNED[:at] + b"<ds:KeyValue><ds:RSAKeyValue/></ds:KeyValue>" + SIGNED[at:]) == "taken"


# --- who may ------------------------------------------------------------------------------------------------------------


def test_the_official_of_the_unit_may_sign():
    assert judged() == "an"
    assert judged(BINH) == "an"


def test_somebody_else_s_certificate_is_unknown_be_its_name_the_same():
    other = authority("Another CA", NOW).issue("Nguyễn Văn An")
    assert other.certificate.subject == AN.certificate.subject
    assert judged(other, officials()) == "official-unknown"
    assert judged(PERSONS.issue("Lê Văn Cường"), officials()) == "official-unknown"


def test_a_certificate_without_a_readable_name_is_unknown_too():
    assert judged(unreadable(PERSONS.issue("Lê Văn Cường")), officials()) == "official-unknown"


def test_a_name_that_is_no_text_is_unknown_too():
    """`cryptography` raises TypeError of a name that is a BIT STRING."""
    identity = PERSONS.issue("\0Lê Văn Cường")
    der = identity.certificate.public_bytes(Encoding.DER)
    name = "\0Lê Văn Cường".encode()
    changed = der.replace(b"\x0c" + bytes([len(name)]) + name, b"\x03" + bytes([len(name)]) + name)
    assert changed != der
    assert judged(attrs.evolve(identity, certificate=load_der(changed)), officials()) == "official-unknown"


def test_a_registered_certificate_that_leads_to_no_anchor_signs_nothing():
    stranger = authority("Another CA", NOW).issue("Nguyễn Văn An")
    assert judged(stranger) == "certificate-untrusted"
    assert judged(authority("Self", NOW).identity) == "certificate-untrusted"


def test_expired_and_revoked_certificates_sign_nothing():
    old = PERSONS.issue("old", ends=NOW - DAY / 2)
    assert judged(old, at=NOW) == "certificate-expired"
    young = PERSONS.issue("young", begins=NOW - timedelta(minutes=1))
    assert judged(young, at=NOW - timedelta(minutes=4)) == "certificate-expired", "not valid yet when it signed"
    anchors = Anchors([PERSONS.certificate], [PERSONS.crl(AN)], committing=True)
    assert judged(people=officials(anchors=anchors)) == "certificate-revoked"
    stale = Anchors([PERSONS.certificate], [PERSONS.crl(ends=NOW - DAY / 2)], committing=True)
    assert judged(people=officials(anchors=stale)) == "revocation-unknown"


def test_the_key_must_be_one_to_sign_with():
    for used, wanted in (
        ({"content_commitment": True}, "an"),
        ({"digital_signature": True}, "an"),
        ({"key_encipherment": True}, "certificate-untrusted"),
    ):
        identity = PERSONS.issue("keyed", key_usage=usage(**used))
        assert judged(identity) == wanted


def test_a_certificate_for_something_else_signs_nothing():
    assert judged(PERSONS.issue("stamps", purposes=[ExtendedKeyUsageOID.TIME_STAMPING])) == "certificate-untrusted"
    assert judged(PERSONS.issue("mails", purposes=[ExtendedKeyUsageOID.EMAIL_PROTECTION])) == "an"


def test_a_key_that_only_commits_still_opens_no_connection():
    identity = PERSONS.issue("keyed", key_usage=usage(content_commitment=True))
    with pytest.raises(Rejected, match="digitalSignature"):
        Anchors([PERSONS.certificate]).check(identity.certificate, NOW)


def test_an_official_signs_for_their_own_units_and_where_it_says_so_for_those_below():
    assert judged(units=("H55.14",)) == "official-not-for-unit"
    assert judged(units=("H55",)) == "official-not-for-unit"
    assert judged(units=("H55",), below=True) == "an"
    assert judged(units=(UNIT,), below=True, lineage=("H55", "H00")) == "official-not-for-unit", "not for the one above"


def test_an_official_signs_while_in_office():
    today = date(2026, 11, 24)
    assert judged(since=today, until=date(2026, 11, 25)) == "an"
    assert judged(until=today) == "official-not-in-office"
    assert judged(since=date(2026, 11, 25)) == "official-not-in-office"


def test_a_report_is_signed_after_it_was_closed_and_not_in_the_future():
    late = timedelta(hours=3)
    assert judged(at=NOW + late, now=NOW + late) == "an"
    assert judged(at=NOW + late, now=NOW) == "signing-time"
    assert judged(tool=Tool(time="9999-12-31T23:59:59Z")) == "signing-time", "a moment without a day in Hà Nội"
    assert judged(at=NOW - late) == "signing-time"
    assert judged(at=NOW + signed.SKEW, now=NOW) == "an"


# --- units that have ended -----------------------------------------------------------------------------------------------


def test_an_official_of_a_unit_whose_officials_sign_for_it_too_may_sign():
    found = signed.verify_official_signature(GIVEN, by_xmlsec(GIVEN, AN, NOW))
    other = officials(official(units=("H55.41",)))
    with pytest.raises(Rejected, match="official-not-for-unit"):
        signed.judge_official(found, other, (UNIT, "H55"), NOW, NOW)
    assert signed.judge_official(found, other, (UNIT, "H55"), NOW, NOW, also=("H55.41",)).code == "an"


def test_officials_sign_for_the_successor_if_the_deed_says_so_and_the_successor_for_the_old_unit():
    day = date(2026, 7, 1)
    units = [Unit(code, code, until=day, successors=("H55.43",)) for code in ("H55.41", "H55.42")]
    handed = Deed("H55.41", "H55.43", WORK | {Estate.OFFICIALS})
    index = UnitIndex.of([*units, Unit("H55.43", "Phường AB")], day, [handed])
    assert submission.list_signing_units(index, "H55.43", day) == ("H55.41",)
    assert submission.list_signing_units(index, "H55.42", day) == ("H55.43",)
    assert submission.list_signing_units(index, "H55.43", date(2026, 6, 30)) == ()
