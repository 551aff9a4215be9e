"""A signed report with a time stamp: what authorities stamp is taken, what only looks like it is refused, and the time counts."""

import functools
from datetime import datetime, timedelta
from random import Random
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.domain.errors import SENTENCES, Rejected
from hub.report.signed import signed
from hub.security import time_stamps
from hub.security.anchors import Anchors
from hub.security.time_stamps import judge_time_stamp, verify_time_stamp
from tests.officials import AN, BINH, PERSONS, TWO, UNIT, Tool, by_signxml, by_xmlsec, official, officials, sealed
from tests.pki import DAY, NOW, authority, usage
from tests.report.test_signed_report import by_xmlsec1, code, signxml_finds
from tests.signatures import EXCLUSIVE, INCLUSIVE
from tests.stamps import (
    STAMPS,
    TIMES,
    TSA,
    by_openssl,
    clock,
    is_good_by_openssl,
    issue_tsa,
    stamp,
    stamp_document,
    trust,
)

GIVEN = sealed()
SIGNED = by_xmlsec(GIVEN)
STAMPED = stamp_document(SIGNED)
OTHERS = authority("Another time CA", NOW)
HOUR = timedelta(hours=1)
OCTETS = b"<ds:SignatureValue/>"


def refusal(token: bytes, octets: bytes = OCTETS) -> tuple[str, str]:
    """Return code and detail of the refusal of a token."""
    try:
        verify_time_stamp(token, octets)
    except Rejected as rejected:
        (problem,) = rejected.problems
        assert problem.code in SENTENCES
        return problem.code, str(problem.detail)
    return "taken", ""


def cut_stamp(document: bytes) -> bytes:
    """Return the first UnsignedProperties of *document*."""
    begin, end = b"<xades:UnsignedProperties", b"</xades:UnsignedProperties>"
    return document[document.index(begin) : document.index(end)] + end


def judged(document: bytes, people=None, now: datetime = NOW, made_at: datetime = NOW) -> str:
    """Return the code of the official who may sign, or of the refusal."""
    try:
        found = signed.verify_official_signature(GIVEN, document)
        who = people or attrs.evolve(officials(), stamping=trust())
        return signed.judge_official(found, who, (UNIT, "H55"), made_at, now).code
    except Rejected as rejected:
        (problem,) = rejected.problems
        assert problem.code in SENTENCES
        return problem.code


# --- what is taken ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("ess_cert_id_chain=yes", "tsa_name=yes"), ("ess_cert_id_alg=sha1",)], ids=str)
def test_what_openssl_stamps_is_taken(words, tmp_path):
    now = clock()
    ca = authority("Time CA of today", now)
    made = by_openssl(OCTETS, issue_tsa("today", ca), tmp_path, *words)
    found = verify_time_stamp(made, OCTETS)
    assert abs(found.at - now) < timedelta(minutes=1)
    assert (found.certificate.issuer, found.serial) == (ca.certificate.subject, 2)
    judge_time_stamp(found, trust(ca=ca).anchors, now)
    assert refusal(made, OCTETS + b" ") == ("stamp-invalid", "it is over something else")
    with pytest.raises(Rejected, match="stamp-untrusted"):
        judge_time_stamp(found, trust().anchors, now)


def test_openssl_takes_what_these_tests_stamp(tmp_path):
    """So that what is refused below is refused for what was altered."""
    now = clock()
    ca = authority("Time CA of today", now)
    made = stamp(OCTETS, issue_tsa("today", ca), now)
    assert refusal(made) == ("taken", "")
    assert is_good_by_openssl(made, OCTETS, ca.certificate, tmp_path)
    assert not is_good_by_openssl(made, OCTETS + b" ", ca.certificate, tmp_path)


@pytest.mark.parametrize("names", [("v1",), ("v2",), ("v1", "v2")], ids=str)
def test_the_certificate_may_be_named_in_either_way(names):
    assert refusal(stamp(OCTETS, names=names)) == ("taken", "")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"told": None},
        {"c14n": EXCLUSIVE},
        {"told": "http://www.w3.org/2006/12/xml-c14n11"},
        {"times": 3},
        {"encoding": ' Encoding="http://uri.etsi.org/01903/v1.2.2#DER" Id="token"'},
    ],
    ids=str,
)
def test_a_report_with_time_stamps_is_taken(said: dict[str, Any]):
    made = stamp_document(SIGNED, **said)
    found = signed.verify_official_signature(GIVEN, made)
    assert [each.at for each in found.stamps] == [NOW] * said.get("times", 1)
    assert judged(made) == "an"


@pytest.mark.parametrize("document", [SIGNED, by_signxml(GIVEN)], ids=["xmlsec", "signxml"])
def test_other_toolkits_verify_a_signature_with_a_time_stamp(document, tmp_path):
    made = stamp_document(document)
    assert code(made) == "taken"
    assert by_xmlsec1(made, PERSONS.certificate, tmp_path)
    assert signxml_finds(made) == AN.certificate


def test_the_second_signature_covers_the_time_stamp_of_the_first():
    people = attrs.evolve(TWO, stamping=trust(required=True))
    drafted = stamp_document(by_xmlsec(GIVEN, BINH, tool=Tool(name="1")))
    assert judged(drafted, people) == "signature-order", "Bình is no head of the unit"
    both = stamp_document(by_xmlsec(drafted, AN, tool=Tool(name="2")))
    found = signed.verify_official_signature(drafted, both)
    assert signed.judge_official(found, people, (UNIT,), NOW, NOW).code == "an"
    assert code(both.replace(cut_stamp(both), b"", 1), drafted) == "report-changed"
    assert len(signed.list_signing_steps(both)) == 3


# --- what only looks like it --------------------------------------------------------------------------------------------


def critical(info: Any) -> None:
    info["extensions"] = [{"extn_id": "1.2.3", "critical": True, "extn_value": b"\x05\x00"}]


@pytest.mark.parametrize(
    ("make", "wanted", "why"),
    [
        (lambda: stamp(b"other"), "stamp-invalid", "over something else"),
        (lambda: stamp(OCTETS, digest="sha1"), "stamp-invalid", "none of SHA-256"),
        (lambda: stamp(OCTETS, signed="sha1"), "stamp-invalid", "RSA-PSS nor ECDSA"),
        (lambda: stamp(OCTETS, signers=2), "stamp-invalid", "2 signers"),
        (lambda: stamp(OCTETS, signers=0), "stamp-invalid", "0 signers"),
        (lambda: stamp(OCTETS, names=()), "stamp-invalid", "does not name its certificate"),
        (lambda: stamp(OCTETS, named=AN.certificate), "stamp-invalid", "names another certificate"),
        (lambda: stamp(OCTETS, names=("v1",), named=AN.certificate), "stamp-invalid", "names another certificate"),
        (lambda: stamp(OCTETS, shown=()), "stamp-invalid", "is not in it"),
        (lambda: stamp(OCTETS, shown=(TSA.certificate,) * 11), "stamp-invalid", "11 certificates"),
        (lambda: stamp(OCTETS, change=critical), "stamp-invalid", "critical extension"),
        (
            lambda: stamp(OCTETS).replace(b"20261124080000Z", b"20261124070000Z"),
            "stamp-invalid",
            "differs from the signed",
        ),
        (lambda: stamp(OCTETS, attrs.evolve(TSA, key=AN.key)), "stamp-invalid", "does not match"),
        (
            lambda: stamp(OCTETS).replace(b"\x55\x1d\x25", b"\x55\x1d\x11", 1),
            *("stamp-invalid", "names another certificate"),
        ),
        (lambda: stamp(OCTETS) + b"\0", "stamp-invalid", "after the element"),
        (lambda: b"\x30\x80" * 100, "stamp-invalid", "nested too deeply"),
        (lambda: stamp(OCTETS) * 64, "stamp-invalid", "at most 65536"),
        (lambda: b"", "stamp-invalid", "cut short"),
        (lambda: stamp(OCTETS, AN), "stamp-untrusted", "timeStamping, critical and alone"),
        (
            lambda: stamp(OCTETS, issue_tsa(critical=[], purposes=[ExtendedKeyUsageOID.TIME_STAMPING])),
            *("stamp-untrusted", "timeStamping, critical and alone"),
        ),
        (
            lambda: stamp(
                OCTETS, issue_tsa(critical=[x509.ExtendedKeyUsage([*STAMPS, ExtendedKeyUsageOID.CLIENT_AUTH])])
            ),
            *("stamp-untrusted", "timeStamping, critical and alone"),
        ),
        (lambda: stamp(OCTETS, issue_tsa(critical=[])), "stamp-untrusted", "timeStamping, critical and alone"),
    ],
    ids=[
        *(
            "imprint",
            "SHA-1 imprint",
            "SHA-1 signature",
            "two signers",
            "no signer",
            "unnamed",
            "other named",
            "other named v1",
        ),
        *(
            "no certificate",
            "many certificates",
            "extension",
            "other time",
            "other key",
            "extension twice",
            "more behind",
            "deep",
            "huge",
            "empty",
        ),
        *("not for stamps", "not critical", "not alone", "no usage"),
    ],
)
def test_a_token_that_proves_nothing_is_refused(make, wanted, why):
    found, detail = refusal(make())
    assert (found, why in detail) == (wanted, True), detail


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"c14n": EXCLUSIVE, "told": INCLUSIVE}, "stamp-invalid"),
        ({"c14n": EXCLUSIVE, "told": None}, "stamp-invalid"),
        ({"told": f"{INCLUSIVE}#WithComments"}, "algorithm-refused"),
        ({"times": 4}, "signature-incomplete"),
        ({"times": 0}, "signature-incomplete"),
        ({"times": 0, "more": "<xades:CounterSignature/>"}, "signature-incomplete"),
        ({"more": "<xades:CertificateValues/>"}, "signature-incomplete"),
        (
            {"more": "<xades:SignatureTimeStamp><xades:XMLTimeStamp/></xades:SignatureTimeStamp>"},
            "signature-incomplete",
        ),
        ({"more": "words"}, "signature-incomplete"),
        ({"encoding": ' Encoding="http://uri.etsi.org/01903/v1.2.2#PER"'}, "signature-incomplete"),
        ({"encoding": ' says="9"'}, "signature-incomplete"),
        ({"told": f'{INCLUSIVE}" says="9'}, "signature-incomplete"),
        ({"encoding": ' Id="props"'}, "signature-invalid"),
        ({"make": lambda _value: b"\0" * (65 << 10)}, "stamp-invalid"),
        ({"make": lambda _value: b"\0" * (130 << 10)}, "stamp-invalid"),
    ],
    ids=[
        *("wrong form", "wrong default", "comments", "four", "none", "counter-signature", "LT", "XML token", "text"),
        *("encoding", "attribute", "attribute of the form", "same Id", "large", "huge"),
    ],
)
def test_what_is_no_time_stamp_of_the_signature_is_refused(said: dict[str, Any], wanted: str):
    assert code(stamp_document(SIGNED, **said)) == wanted


def test_a_time_stamp_of_another_signature_is_refused():
    other = by_xmlsec(GIVEN, tool=Tool(time="2026-11-24T08:01:00Z", more=cut_stamp(STAMPED).decode()))
    assert code(other) == "stamp-invalid"


def test_no_octet_of_a_token_can_be_changed_to_say_another_time():
    token, found = stamp(OCTETS), verify_time_stamp(stamp(OCTETS), OCTETS)
    random, taken, codes = Random(3161), 0, set[str]()
    for _ in range(300):
        changed = bytearray(token)
        changed[random.randrange(len(token))] ^= 1 << random.randrange(8)
        try:
            said = verify_time_stamp(bytes(changed), OCTETS)
        except Rejected as rejected:
            codes.add(rejected.problems[0].code)
            continue
        taken += 1
        assert (said.at, said.certificate) == (found.at, found.certificate), "a version, which nobody signs"
    assert taken < 10
    assert codes <= {"stamp-invalid", "stamp-untrusted"}


# --- which authorities, and which times ---------------------------------------------------------------------------------


def by(tsa=TSA, at: datetime = NOW, document: bytes = SIGNED) -> bytes:
    return stamp_document(document, functools.partial(stamp, tsa=tsa, at=at))


def test_only_authorities_that_the_operator_names_are_trusted():
    assert judged(by(issue_tsa(ca=OTHERS))) == "stamp-untrusted"
    assert judged(STAMPED, officials()) == "stamp-untrusted", "none is named"
    assert judged(by(PERSONS.issue("stamps", critical=[STAMPS], purposes=()))) == "stamp-untrusted", "a CA for persons"
    assert judged(by(issue_tsa(key_usage=usage(key_encipherment=True)))) == "stamp-untrusted"


def test_the_certificate_of_the_authority_is_valid_then_and_now():
    assert judged(by(issue_tsa(ends=NOW + HOUR)), now=NOW + 2 * HOUR) == "stamp-untrusted", "it has expired"
    young = issue_tsa(begins=NOW + HOUR)
    assert judged(by(young, NOW), now=NOW + 2 * HOUR) == "stamp-untrusted", "it was not valid yet"
    revoked = trust(Anchors([TIMES.certificate], [TIMES.crl(TSA)], committing=True))
    assert judged(STAMPED, attrs.evolve(officials(), stamping=revoked)) == "stamp-untrusted"
    stale = trust(Anchors([TIMES.certificate], [TIMES.crl(ends=NOW - HOUR)], committing=True))
    assert judged(STAMPED, attrs.evolve(officials(), stamping=stale)) == "stamp-untrusted"


def test_a_time_that_cannot_be_is_refused():
    assert judged(by(at=NOW + time_stamps.SKEW)) == "an"
    assert judged(by(at=NOW + HOUR)) == "stamp-time", "in the future"
    assert judged(by(at=NOW - HOUR)) == "stamp-time", "before the report was closed"
    late = by_xmlsec(GIVEN, at=NOW + HOUR)
    assert judged(by(at=NOW, document=late), now=NOW + 2 * HOUR) == "signing-time", "stamped before it was signed"


def test_one_bad_time_stamp_among_good_ones_is_refused_and_the_earliest_counts():
    times = iter([NOW + HOUR, NOW, NOW + 2 * HOUR])
    document = stamp_document(SIGNED, lambda value: stamp(value, at=next(times)), times=3)
    found = signed.verify_official_signature(GIVEN, document)
    assert [each.at for each in found.stamps] == [NOW + HOUR, NOW, NOW + 2 * HOUR]
    assert found.stamp is not None
    assert found.stamp.at == NOW
    mixed = iter([TSA, issue_tsa(ca=OTHERS)])
    assert judged(stamp_document(SIGNED, lambda value: stamp(value, next(mixed)), times=2)) == "stamp-untrusted"


def test_a_time_stamp_may_be_demanded():
    demanding = attrs.evolve(officials(), stamping=trust(required=True))
    assert judged(SIGNED, demanding) == "stamp-missing"
    assert judged(STAMPED, demanding) == "an"
    assert judged(SIGNED) == "an", "it is not demanded unless that is set"


def test_a_certificate_that_expired_after_the_time_stamp_still_counts():
    brief = PERSONS.issue("brief", ends=NOW + HOUR)
    document, people = by_xmlsec(GIVEN, brief), officials(official(identity=brief))
    people = attrs.evolve(people, stamping=trust())
    assert judged(document, people, NOW + 2 * HOUR) == "certificate-expired", "without a time stamp"
    assert judged(by(document=document), people, NOW + 2 * HOUR) == "an"
    expired = by(at=NOW + 2 * HOUR, document=document)
    assert judged(expired, people, NOW + 3 * HOUR) == "certificate-expired", "it had expired when it was stamped"


def test_the_office_is_judged_as_of_the_time_stamp():
    people = attrs.evolve(officials(official(until=(NOW + DAY / 2).date() + timedelta(days=1))), stamping=trust())
    late = NOW + DAY - HOUR
    assert judged(STAMPED, people, NOW) == "an"
    later = attrs.evolve(officials(official(until=(NOW + timedelta(days=1)).date())), stamping=trust())
    assert judged(SIGNED, later, late) == "official-not-in-office"
    assert judged(STAMPED, later, late) == "an"


def revoked(at: datetime, now: datetime, **said: Any) -> Anchors:
    """Return anchors whose CRL, made just before *now*, says that An's certificate was revoked at *at*."""
    crl = attrs.evolve(PERSONS, now=at + DAY).crl(AN, begins=now - HOUR / 2, ends=now + DAY, **said)
    return Anchors([PERSONS.certificate], [crl], committing=True)


def test_a_revocation_counts_from_its_time_on():
    now = NOW + 4 * HOUR
    for at, wanted in ((NOW - HOUR, "certificate-revoked"), (NOW, "certificate-revoked"), (NOW + HOUR, "an")):
        people = attrs.evolve(officials(anchors=revoked(at, now)), stamping=trust())
        assert judged(STAMPED, people, now) == wanted
        assert judged(SIGNED, people, now) == "certificate-revoked", "without a time stamp"


def test_the_date_since_when_a_key_was_lost_counts_if_it_is_earlier():
    now = NOW + 4 * HOUR
    gone = x509.RevokedCertificateBuilder().serial_number(AN.certificate.serial_number)
    gone = gone.revocation_date(NOW + HOUR).add_extension(x509.InvalidityDate(NOW - HOUR), critical=False)
    builder = x509.CertificateRevocationListBuilder().issuer_name(PERSONS.certificate.subject)
    builder = builder.last_update(now - HOUR).next_update(now + DAY).add_revoked_certificate(gone.build())
    crl = builder.sign(PERSONS.identity.key, hashes.SHA256())
    people = officials(anchors=Anchors([PERSONS.certificate], [crl], committing=True))
    assert judged(STAMPED, attrs.evolve(people, stamping=trust()), now) == "certificate-revoked"


def test_a_list_made_after_a_certificate_ended_need_not_name_it():
    """RFC 5280, 3.3: so such a list tells nothing, unless it says that it keeps ended ones."""
    brief, now = PERSONS.issue("brief", ends=NOW + HOUR), NOW + 4 * HOUR
    document = by(document=by_xmlsec(GIVEN, brief))

    def told(crl: x509.CertificateRevocationList) -> str:
        anchors = Anchors([PERSONS.certificate], [crl], committing=True)
        people = officials(official(identity=brief), anchors=anchors)
        return judged(document, attrs.evolve(people, stamping=trust()), now)

    assert told(PERSONS.crl(begins=now - HOUR, ends=now + DAY)) == "revocation-unknown"
    assert told(PERSONS.crl(begins=NOW + HOUR / 2, ends=NOW + 2 * HOUR)) == "an", "made before it ended"
    assert told(PERSONS.crl(begins=NOW - 2 * HOUR, ends=NOW - HOUR)) == "revocation-unknown", "overdue when stamped"
    for since, wanted in ((NOW - DAY, "an"), (NOW + 2 * HOUR, "revocation-unknown")):
        value = asn1.encode_der(asn1.GeneralizedTime(since))
        keeps = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.60"), value)
        builder = x509.CertificateRevocationListBuilder().issuer_name(PERSONS.certificate.subject)
        builder = builder.last_update(now - HOUR).next_update(now + DAY).add_extension(keeps, critical=False)
        assert told(builder.sign(PERSONS.identity.key, hashes.SHA256())) == wanted


def test_without_a_current_list_nothing_is_known_of_a_certificate_in_use():
    stale = Anchors([PERSONS.certificate], [PERSONS.crl(ends=NOW + HOUR)], committing=True)
    people = attrs.evolve(officials(anchors=stale), stamping=trust())
    assert judged(STAMPED, people, NOW + HOUR / 2) == "an"
    assert judged(STAMPED, people, NOW + 2 * HOUR) == "revocation-unknown"
