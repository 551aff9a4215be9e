"""What a CA says it has revoked, and when that is believed."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.security import crl_ocsp
from hub.security.anchors import Anchors, Untrusted
from hub.security.crl_ocsp import OcspAnswer, RevocationFinding, RevocationList, RevocationStatus, RevocationUnusable
from tests import pki
from tests.pki import DAY, NOW

CA = pki.authority()
OTHER = pki.authority("Other CA")
LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)
LEAF = CA.issue("leaf")
GONE = CA.issue("revoked", label="leaf")
SECOND = timedelta(seconds=1)
POINT = x509.UniformResourceIdentifier("http://crl.example/1.crl")


def judged(certificate=LEAF, lists=(), answers=(), now=NOW, *, authority=False) -> RevocationFinding:
    of = certificate.certificate
    return crl_ocsp.judge_revocation(of, CA.certificate, map(RevocationList, lists), answers, now, authority=authority)


def der(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(Encoding.DER)


def answer(octets: bytes, now=NOW) -> OcspAnswer:
    return crl_ocsp.read_answer(octets, LEAF.certificate, CA.certificate, now)


def scoped(**said: bool | list[x509.GeneralName]) -> x509.IssuingDistributionPoint:
    names = "full_name relative_name only_contains_user_certs only_contains_ca_certs only_some_reasons indirect_crl"
    nothing = dict.fromkeys([*names.split(), "only_contains_attribute_certs"], False)
    nothing |= dict.fromkeys(["full_name", "relative_name", "only_some_reasons"])  # type: ignore[arg-type]
    return x509.IssuingDistributionPoint(**{**nothing, **said})  # type: ignore[arg-type]


# --- what a CRL says ------------------------------------------------------------------------------------------------------


def test_a_current_crl_tells_the_revoked_from_the_others():
    crl = CA.crl(GONE)
    assert judged(LEAF, [crl]) == RevocationFinding(RevocationStatus.GOOD, until=NOW + DAY)
    assert judged(GONE, [crl]).status is RevocationStatus.REVOKED


def test_without_anything_heard_nothing_is_known():
    assert judged().status is RevocationStatus.UNKNOWN


def test_what_was_revoked_stays_so_when_the_crl_is_overdue_and_others_are_unknown():
    overdue = CA.crl(GONE, begins=NOW - 2 * DAY, ends=NOW - DAY)
    assert judged(GONE, [overdue]).status is RevocationStatus.REVOKED
    found = judged(LEAF, [overdue])
    assert (found.status, str(found.detail)) == (
        RevocationStatus.UNKNOWN,
        "the CRL is overdue since 2026-11-23 08:00",
    )


def test_a_crl_of_tomorrow_is_not_current():
    assert judged(LEAF, [CA.crl(begins=NOW + DAY / 2, ends=NOW + DAY)]).status is RevocationStatus.UNKNOWN


def test_a_crl_signed_by_another_says_nothing():
    assert judged(GONE, [CA.crl(GONE, signer=pki.key("impostor"))]).status is RevocationStatus.UNKNOWN


def test_a_ca_whose_key_may_not_sign_crls_signs_none():
    below = CA.subordinate("no lists CA", key_usage=pki.usage(key_cert_sign=True))
    assert not RevocationList(below.crl()).is_of(below.certificate)
    assert RevocationList(CA.crl()).is_of(CA.certificate)


@pytest.mark.parametrize(
    ("extension", "leafs", "authorities"),
    [
        (scoped(only_contains_user_certs=True), RevocationStatus.GOOD, RevocationStatus.UNKNOWN),
        (scoped(only_contains_ca_certs=True), RevocationStatus.UNKNOWN, RevocationStatus.GOOD),
        (scoped(indirect_crl=True), RevocationStatus.UNKNOWN, RevocationStatus.UNKNOWN),
        (scoped(only_contains_attribute_certs=True), RevocationStatus.UNKNOWN, RevocationStatus.UNKNOWN),
        (scoped(full_name=[POINT]), RevocationStatus.UNKNOWN, RevocationStatus.UNKNOWN),
        (x509.DeltaCRLIndicator(1), RevocationStatus.UNKNOWN, RevocationStatus.UNKNOWN),
    ],
)
def test_a_crl_that_does_not_cover_a_certificate_does_not_clear_it(extension, leafs, authorities):
    crl = CA.crl(GONE, extension=extension)
    assert judged(LEAF, [crl]).status is leafs
    assert judged(LEAF, [crl], authority=True).status is authorities
    assert judged(GONE, [crl]).status is RevocationStatus.REVOKED


def test_a_crl_of_one_place_clears_the_certificates_that_name_the_place():
    points = x509.CRLDistributionPoints([x509.DistributionPoint([POINT], None, None, None)])
    here = CA.issue("here", label="leaf", extension=points)
    assert judged(here, [CA.crl(extension=scoped(full_name=[POINT]))]).status is RevocationStatus.GOOD


def test_a_crl_is_read_in_pem_and_der_if_the_ca_signed_it():
    crl = CA.crl(GONE)
    for octets in (der(crl), pki.pem(crl)):
        assert crl_ocsp.read_crl(octets, CA.certificate).serials == {GONE.certificate.serial_number}


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "it is not a CRL"),
        (b"<html>404</html>", "it is not a CRL"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "it is not a CRL"),
        (der(OTHER.crl()), "not a CRL signed by"),
        (der(CA.crl(signer=pki.key("impostor"))), "not a CRL signed by"),
        (der(CA.crl(extension=x509.DeltaCRLIndicator(1))), "delta"),
        (der(CA.crl()).replace(b"\x02\x01\x01", b"\x02\x01\x7f", 1), "it is not a CRL: 127 is not a valid CRL version"),
    ],
)
def test_what_is_no_crl_of_the_ca_is_not_read(octets, why):
    with pytest.raises(RevocationUnusable, match=why):
        crl_ocsp.read_crl(octets, CA.certificate)


# --- what OCSP says -------------------------------------------------------------------------------------------------------


def test_an_answer_of_the_ca_is_believed_until_it_is_overdue():
    said = answer(CA.answer(LEAF))
    assert (said.status, said.ends) == (RevocationStatus.GOOD, NOW + DAY)
    assert judged(LEAF, answers=[said]) == RevocationFinding(RevocationStatus.GOOD, until=NOW + DAY)
    assert judged(LEAF, answers=[said], now=NOW + DAY).status is RevocationStatus.UNKNOWN


def test_the_question_names_the_certificate_and_its_issuer():
    asked = ocsp.load_der_ocsp_request(crl_ocsp.build_ocsp_request(LEAF.certificate, CA.certificate))
    assert asked.serial_number == LEAF.certificate.serial_number


def test_revoked_by_ocsp_is_revoked_whatever_the_crl_says():
    said = answer(CA.answer(LEAF, ocsp.OCSPCertStatus.REVOKED))
    assert judged(LEAF, [CA.crl()], [said]).status is RevocationStatus.REVOKED


def test_revoked_by_the_crl_is_revoked_whatever_ocsp_says():
    good = crl_ocsp.read_answer(CA.answer(GONE), GONE.certificate, CA.certificate, NOW)
    assert judged(GONE, [CA.crl(GONE)], [good]).status is RevocationStatus.REVOKED


def test_the_newest_answer_counts():
    old = answer(CA.answer(LEAF, ocsp.OCSPCertStatus.REVOKED, begins=NOW - DAY / 2))
    new = answer(CA.answer(LEAF, begins=NOW - DAY / 4))
    assert judged(LEAF, answers=[new, old]).status is RevocationStatus.GOOD  # a hold that was lifted
    assert judged(LEAF, answers=[old]).status is RevocationStatus.REVOKED


def test_one_current_source_is_enough():
    overdue = CA.crl(begins=NOW - 2 * DAY, ends=NOW - DAY)
    assert judged(LEAF, [overdue], [answer(CA.answer(LEAF))]).status is RevocationStatus.GOOD
    unknown = answer(CA.answer(LEAF, ocsp.OCSPCertStatus.UNKNOWN))
    assert judged(LEAF, [CA.crl()], [unknown]).status is RevocationStatus.GOOD
    found = judged(LEAF, [], [unknown])
    assert (found.status, str(found.detail)) == (
        RevocationStatus.UNKNOWN,
        "the OCSP responder does not know the certificate",
    )


def test_an_answer_holds_a_week_at_most():
    said = answer(CA.answer(LEAF, begins=NOW, ends=NOW + 365 * DAY))
    assert said.ends == NOW + crl_ocsp.LONGEST


RESPONDER = [ExtendedKeyUsageOID.OCSP_SIGNING]


def test_a_responder_that_the_ca_made_may_answer():
    responder = CA.issue("responder", purposes=RESPONDER)
    assert answer(CA.answer(LEAF, responder=responder)).status is RevocationStatus.GOOD


@pytest.mark.parametrize(
    "responder",
    [
        CA.issue("some partner", label="responder"),
        OTHER.issue("responder of another", label="responder", purposes=RESPONDER),
        CA.issue("responder of yesterday", label="responder", purposes=RESPONDER, ends=NOW - SECOND),
        CA.issue("may not sign", label="responder", purposes=RESPONDER, key_usage=pki.usage(key_agreement=True)),
        CA.issue("weak", label="responder", purposes=RESPONDER, hash_algorithm=hashes.SHA224()),
        CA.issue("weak", "rsa1024", label="weak responder", purposes=RESPONDER),
    ],
    ids=["no responder", "of another CA", "expired", "key usage", "weak hash", "weak key"],
)
def test_nobody_else_may(responder):
    with pytest.raises(RevocationUnusable, match="not signed by the CA"):
        answer(CA.answer(LEAF, responder=responder))


def refusal() -> bytes:
    made = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    return made.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "not an OCSP response"),
        (b"\x30\x03\x0a\x01\x06", "the responder says unauthorized"),
        (refusal(), "try_later"),
        (bytes(crl_ocsp.LARGEST_ANSWER + 1), "octets"),
        (CA.answer(GONE), "about another certificate"),
        (OTHER.answer(LEAF), "not signed by the CA"),
        (CA.answer(LEAF, issuer=OTHER.certificate), "about another certificate"),
        (
            CA.answer(LEAF, begins=LAST_DAY, ends=LAST_DAY + timedelta(hours=1)),
            "not an OCSP response: date value out of range",
        ),
    ],
)
def test_what_is_no_answer_about_it_is_not_read(octets, why):
    with pytest.raises(RevocationUnusable, match=why):
        answer(octets)


def test_an_answer_with_one_bit_changed_says_nothing_else():
    octets = bytearray(CA.answer(LEAF))
    for at in range(len(octets)):
        octets[at] ^= 1
        try:
            assert answer(bytes(octets)).status is RevocationStatus.GOOD
        except RevocationUnusable:
            pass
        finally:
            octets[at] ^= 1


# --- when to ask again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("life", "wait"),
    [
        (timedelta(minutes=10), timedelta(minutes=5)),
        (timedelta(hours=10), timedelta(hours=1)),
        (timedelta(days=365), timedelta(hours=6)),
    ],
)
def test_the_longer_an_answer_lives_the_later_it_is_asked_for_again(life, wait):
    assert crl_ocsp.choose_next_fetch(NOW, NOW, NOW + life) == NOW + wait


# --- what the anchors make of it ------------------------------------------------------------------------------------------


def check(anchors: Anchors, identity=LEAF, now=NOW, **how) -> str:
    try:
        return str(anchors.check(identity.certificate, now, **how) or "good")
    except Untrusted as untrusted:
        return untrusted.problems[0].code


@pytest.mark.parametrize(
    ("rule", "unsourced", "silent"),
    [
        ("require", "revocation-unknown", "revocation-unknown"),
        ("configured", "good", "revocation-unknown"),
        ("allow", "good", "nothing has been fetched from the CA yet: CN=leaf,O=Sở Thử nghiệm\\, tỉnh Mẫu,C=VN"),
    ],
)
def test_a_status_that_cannot_be_learned_means_what_the_rule_says(rule, unsourced, silent):
    assert check(Anchors([CA.certificate]), unknown=rule) == unsourced
    asked = Anchors([CA.certificate], sourced=[CA.certificate])
    assert check(asked, unknown=rule) == silent
    asked.set_revocations([RevocationList(CA.crl(GONE))], {})
    assert check(asked, unknown=rule) == "good"
    assert check(asked, GONE, unknown=rule) == "certificate-revoked"


def test_what_is_heard_counts_at_once():
    anchors = Anchors([CA.certificate], [CA.crl()])
    assert check(anchors) == "good"
    anchors.set_revocations([], {LEAF.certificate: answer(CA.answer(LEAF, ocsp.OCSPCertStatus.REVOKED))})
    assert check(anchors) == "certificate-revoked"


def test_a_good_result_ends_with_what_was_heard():
    anchors = Anchors([CA.certificate], sourced=[CA.certificate])
    anchors.set_revocations([], {LEAF.certificate: answer(CA.answer(LEAF, ends=NOW + SECOND))})
    assert check(anchors) == "good"
    assert check(anchors, now=NOW + SECOND) == "revocation-unknown"


def test_a_stapled_answer_counts():
    anchors = Anchors([CA.certificate], sourced=[CA.certificate])
    assert check(anchors) == "revocation-unknown"
    anchors.staple(LEAF.certificate, CA.answer(LEAF), NOW)
    assert check(anchors) == "good"
    with pytest.raises(RevocationUnusable):
        anchors.staple(LEAF.certificate, OTHER.answer(LEAF), NOW)


def test_a_staple_of_one_partner_demands_none_of_another():
    anchors = Anchors([CA.certificate])
    anchors.staple(LEAF.certificate, CA.answer(LEAF), NOW)
    assert check(anchors, GONE) == "good"


def test_every_link_is_judged():
    below = OTHER.subordinate("middle CA")
    leaf = below.issue("below", label="leaf")
    anchors = Anchors(
        [OTHER.certificate], [below.crl()], intermediates=[below.certificate], sourced=[OTHER.certificate]
    )
    assert check(anchors, leaf) == "revocation-unknown"
    anchors.set_revocations([RevocationList(OTHER.crl())], {})
    assert check(anchors, leaf) == "good"
    anchors.set_revocations(
        [],
        {
            below.certificate: crl_ocsp.read_answer(
                OTHER.answer(below.certificate, ocsp.OCSPCertStatus.REVOKED), below.certificate, OTHER.certificate, NOW
            )
        },
    )
    assert check(anchors, leaf) == "certificate-revoked"


def test_overdue_issuers_are_told():
    anchors = Anchors([CA.certificate, OTHER.certificate], [CA.crl(ends=NOW - SECOND), OTHER.crl()])
    assert anchors.overdue(NOW) == {CA.certificate.subject}
    anchors.set_revocations([RevocationList(CA.crl())], {})
    assert anchors.overdue(NOW) == set()
