"""Whose certificate is believed, when, and until when."""

import base64
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from hub.config.files import parse_certificates, read_key_file
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.security import algorithms, certificates
from hub.security.anchors import LIFE, Anchors, Purpose, Untrusted
from hub.security.certificates import CredentialUnfit, Identity
from tests import pki
from tests.conftest import ROOT
from tests.pki import DAY, NOW
from tests.words import in_vietnamese

CA = pki.authority()
OTHER = pki.authority("Other CA")
LEAF = CA.issue("leaf")
REVOKED = CA.issue("revoked", label="leaf")


def refusal(anchors: Anchors, identity: Identity, now=NOW, chain=()) -> tuple[str, str]:
    """Return the code and detail with which *identity*'s certificate is refused."""
    with pytest.raises(Untrusted) as refused:
        anchors.check(identity.certificate, now, chain)
    (problem,) = refused.value.problems
    return problem.code, str(problem.detail)


def test_a_certificate_of_a_trusted_ca_is_believed():
    Anchors([CA.certificate]).check(LEAF.certificate, NOW)


def test_the_time_may_come_in_any_zone():
    Anchors([CA.certificate]).check(LEAF.certificate, NOW.astimezone(timezone(timedelta(hours=7))))
    assert refusal(Anchors([CA.certificate]), LEAF, (NOW + 2 * DAY).astimezone(timezone(timedelta(hours=-11))))


def test_a_certificate_of_another_ca_is_not():
    code, detail = refusal(Anchors([OTHER.certificate]), LEAF)
    assert code == "certificate-untrusted"
    assert "CN=leaf" in detail
    assert refusal(Anchors([]), LEAF)[0] == "certificate-untrusted"


def test_a_ca_of_the_same_name_is_not_the_same_ca():
    impostor = pki.Authority(Identity(pki.key("impostor"), CA.certificate), NOW).issue("leaf")
    assert refusal(Anchors([CA.certificate]), impostor)[0] == "certificate-untrusted"


def test_a_certificate_is_believed_only_while_it_is_valid():
    anchors = Anchors([CA.certificate])
    assert refusal(anchors, CA.issue("old", label="leaf", ends=NOW - timedelta(seconds=1)))[0] == "certificate-expired"
    assert refusal(anchors, CA.issue("new", label="leaf", begins=NOW + DAY / 2))[0] == "certificate-expired"


def test_an_expired_ca_is_no_anchor_any_more():
    below = OTHER.subordinate("short CA", ends=NOW + DAY / 2)
    leaf = below.issue("below", label="leaf")
    anchors = Anchors([OTHER.certificate, below.certificate])
    anchors.check(leaf.certificate, NOW)
    assert refusal(anchors, leaf, NOW + DAY * 0.6)[0] == "certificate-expired"


def test_an_intermediate_may_be_an_anchor_or_be_shown_by_the_holder():
    below = OTHER.subordinate("middle CA")
    leaf = below.issue("below", label="leaf")
    Anchors([below.certificate]).check(leaf.certificate, NOW)
    Anchors([OTHER.certificate]).check(leaf.certificate, NOW, leaf.chain)
    assert refusal(Anchors([OTHER.certificate]), leaf)[0] == "certificate-untrusted"
    assert refusal(Anchors([CA.certificate]), leaf, chain=leaf.chain)[0] == "certificate-untrusted"


def test_a_leaf_is_no_ca():
    forged = pki.Authority(LEAF, NOW).issue("forged")
    assert refusal(Anchors([CA.certificate]), forged, chain=(LEAF.certificate,))[0] == "certificate-untrusted"


def test_a_revoked_certificate_is_refused():
    anchors = Anchors([CA.certificate], [CA.crl(REVOKED)])
    anchors.check(LEAF.certificate, NOW)
    assert refusal(anchors, REVOKED)[0] == "certificate-revoked"


def test_a_revoked_ca_takes_its_issue_with_it():
    below = OTHER.subordinate("middle CA")
    leaf = below.issue("below", label="leaf")
    anchors = Anchors([OTHER.certificate], [OTHER.crl(below.certificate)])
    assert refusal(anchors, leaf, chain=leaf.chain)[0] == "certificate-revoked"


def test_an_expired_crl_refuses_the_whole_issue():
    anchors = Anchors([CA.certificate], [CA.crl(ends=NOW - timedelta(seconds=1))])
    code, detail = refusal(anchors, LEAF)
    assert code == "revocation-unknown"
    assert "the CRL is overdue" in detail


def test_a_newer_crl_takes_the_place_of_an_expired_one():
    old = CA.crl(begins=NOW - 2 * DAY, ends=NOW - DAY)
    Anchors([CA.certificate], [old, CA.crl()]).check(LEAF.certificate, NOW)
    assert refusal(Anchors([CA.certificate], [old, CA.crl(REVOKED)]), REVOKED)[0] == "certificate-revoked"


def test_a_forged_crl_refuses_the_whole_issue():
    anchors = Anchors([CA.certificate], [CA.crl(signer=pki.key("impostor"))])
    assert refusal(anchors, LEAF)[0] == "revocation-unknown"


def test_the_crl_of_one_ca_demands_none_of_another():
    elsewhere = OTHER.issue("elsewhere", label="leaf")
    anchors = Anchors([CA.certificate, OTHER.certificate], [CA.crl(REVOKED)])
    anchors.check(elsewhere.certificate, NOW)
    assert refusal(anchors, REVOKED)[0] == "certificate-revoked"


def test_a_key_that_may_not_sign_is_refused():
    anchors = Anchors([CA.certificate])
    only_encrypts = CA.issue("encrypts", label="leaf", key_usage=pki.usage(key_encipherment=True))
    code, detail = refusal(anchors, only_encrypts)
    assert code == "certificate-untrusted"
    assert "digitalSignature" in detail
    anchors.check(CA.issue("free", label="leaf", key_usage=None).certificate, NOW)


def test_a_certificate_signed_with_a_weak_hash_is_refused():
    weak = CA.issue("weak", label="leaf", hash_algorithm=hashes.SHA224())
    code, _ = refusal(Anchors([CA.certificate]), weak)
    assert code == "certificate-untrusted"


def test_a_good_result_is_remembered_for_a_short_time_only():
    anchors = Anchors([CA.certificate], [CA.crl()])
    anchors.check(LEAF.certificate, NOW)
    anchors._anchors.clear()  # whatever is not remembered is now refused
    anchors.check(LEAF.certificate, NOW + LIFE - timedelta(microseconds=1))
    assert refusal(anchors, LEAF, NOW + LIFE)[0] == "certificate-untrusted"


def test_a_result_of_later_says_nothing_about_earlier():
    anchors = Anchors([CA.certificate])
    anchors.check(LEAF.certificate, NOW)
    assert refusal(anchors, LEAF, NOW - 2 * DAY)[0] == "certificate-expired"


@pytest.mark.parametrize("what", ["certificate", "ca", "crl"])
def test_nothing_is_remembered_past_the_end_of_what_it_rests_on(what):
    soon = NOW + LIFE / 2
    issuer = OTHER.subordinate("soon CA", ends=soon if what == "ca" else None)
    leaf = issuer.issue("soon", label="leaf", ends=soon if what == "certificate" else None)
    anchors = Anchors([issuer.certificate], [issuer.crl(ends=soon if what == "crl" else None)])
    anchors.check(leaf.certificate, NOW)
    assert refusal(anchors, leaf, soon + timedelta(seconds=1))[0] in {"certificate-expired", "revocation-unknown"}


def test_certificates_and_crls_are_loaded_from_pem_and_der(tmp_path):
    file = tmp_path / "a.crt"
    file.write_bytes(pki.pem(LEAF.certificate))
    assert certificates.load_certificate(file) == LEAF.certificate
    assert certificates.load_certificate(LEAF.certificate.public_bytes(Encoding.DER)) == LEAF.certificate
    one, two = CA.crl(), OTHER.crl()
    assert certificates.load_crls(pki.pem(one, two)) == (one, two)
    assert certificates.load_crls(one.public_bytes(Encoding.DER)) == (one,)


def test_a_fingerprint_is_what_openssl_prints_without_colons():
    assert certificates.hash_certificate(LEAF.certificate) == LEAF.certificate.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_an_identity_is_read_from_two_files(tmp_path, kind):
    identity = CA.issue("reader", kind, label=f"reader {kind}")
    read = Identity.read(*pki.write(tmp_path, "reader", identity, chain=True))
    assert read.certificate == identity.certificate
    assert read.chain == (CA.certificate,)
    assert certificates.load_certificate(base64.b64decode(read.token)) == identity.certificate
    assert "key" not in repr(read)


def test_a_key_of_another_certificate_is_no_identity(tmp_path):
    secret, _ = pki.write(tmp_path, "one", LEAF)
    _, public = pki.write(tmp_path, "two", CA.issue("two"))
    with pytest.raises(ValueError, match="is not the key of"):
        Identity.read(secret, public)


KEY_FILE = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
LOCKED = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
OLD_LOCKED = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x"))
PUBLIC = LEAF.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("read", "content", "said"),
    [
        (parse_certificates, KEY_FILE, "tệp chứa khóa riêng"),
        (parse_certificates, LOCKED, "tệp chứa khóa riêng đã mã hóa"),
        (parse_certificates, PUBLIC, "tệp chứa khóa công khai"),
        (parse_certificates, pki.pem(CA.crl()), "tệp chứa danh sách thu hồi (CRL)"),
        (parse_certificates, b"", "tệp trống"),
        (parse_certificates, b"none", "không đọc được nội dung tệp"),
        (parse_certificates, BROKEN, "không đọc được nội dung tệp"),
        (certificates.load_pem_certificates, KEY_FILE, "tệp chứa khóa riêng"),
        (certificates.load_certificate, KEY_FILE, "tệp chứa khóa riêng"),
        (certificates.load_crls, pki.pem(CA.certificate), "tệp chứa chứng thư"),
        (certificates.load_crls, b"none", "không đọc được nội dung tệp"),
    ],
)
def test_what_a_file_holds_instead_is_said_in_words_of_the_hub(read, content, said):
    with pytest.raises(CredentialUnfit) as caught:
        read(content)
    assert translate(caught.value, Language.VI) == said
    # and so is a sentence with the error in it
    assert in_vietnamese(phrase("it cannot be used: {error}", error=caught.value)).endswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pki.pem(LEAF.certificate), "tệp chứa chứng thư"),
        (LOCKED, "tệp chứa khóa riêng đã mã hóa"),
        (OLD_LOCKED, "tệp chứa khóa riêng đã mã hóa"),
        (PUBLIC, "tệp chứa khóa công khai"),
        (b"none", "không đọc được nội dung tệp"),
    ],
)
def test_what_the_file_of_a_key_holds_instead_is_said_with_the_file(tmp_path, content, said):
    secret, public = pki.write(tmp_path, "one", LEAF)
    secret.write_bytes(content)
    with pytest.raises(CredentialUnfit) as caught:
        Identity.read(secret, public)
    assert translate(caught.value, Language.VI) == f"{secret}: {said}"
    told = []
    assert read_key_file(secret, lambda wrong, _expected: told.append(wrong)) is None
    assert said in in_vietnamese(told[0])


def test_a_certificate_that_cannot_be_read_is_refused():
    """It is parsed only as far as something asks; a lie further down must end as a refusal, too."""
    der = bytearray(LEAF.certificate.public_bytes(Encoding.DER))
    anchors = Anchors([CA.certificate], [CA.crl()])
    read = 0
    for at in range(len(der)):
        der[at] ^= 1
        try:
            broken = certificates.load_certificate(bytes(der))
        except ValueError:
            continue
        finally:
            der[at] ^= 1
        read += 1
        with pytest.raises(Untrusted):
            anchors.check(broken, NOW)
    assert read > 300


def test_a_crl_of_another_version_of_a_nameless_issuer_or_of_no_year_is_a_value_error():
    """Found by fuzzing: the first was raised as something else, the others only when the anchors were made or asked."""
    octets = pki.authority().crl().public_bytes(Encoding.DER)
    at = octets.index(b"\x02\x01\x01")  # the version: the first INTEGER
    country = octets.index(b"\x13\x02VN")  # a PrintableString
    dated = pki.authority().crl(ends=datetime(2055, 1, 1, tzinfo=UTC)).public_bytes(Encoding.DER)
    broken = (
        octets[:at] + b"\x02\x01\x07" + octets[at + 3 :],
        octets[:country] + b"\x03" + octets[country + 1 :],
        dated.replace(b"20550101", b"00000101"),
    )
    for content in broken:
        with pytest.raises(ValueError, match=r"\w"):
            certificates.load_crls(content)


def test_a_chain_may_be_configured():
    below = OTHER.subordinate("middle CA")
    leaf = below.issue("below", label="leaf")
    Anchors([OTHER.certificate], intermediates=[below.certificate]).check(leaf.certificate, NOW)
    assert refusal(Anchors([CA.certificate], intermediates=[below.certificate]), leaf)[0] == "certificate-untrusted"


def test_a_chain_may_not_be_longer_than_a_ca_says():
    short = OTHER.subordinate("short CA", path_length=0)
    leaf = short.subordinate("one too many").issue("deep", label="leaf")
    assert refusal(Anchors([OTHER.certificate]), leaf, chain=leaf.chain)[0] == "certificate-untrusted"
    direct = short.issue("shallow", label="leaf")
    Anchors([OTHER.certificate]).check(direct.certificate, NOW, direct.chain)


def test_a_ca_whose_key_may_not_sign_certificates_is_none():
    below = OTHER.subordinate("lists only CA", key_usage=pki.usage(crl_sign=True))
    leaf = below.issue("below", label="leaf")
    assert refusal(Anchors([OTHER.certificate]), leaf, chain=leaf.chain)[0] == "certificate-untrusted"


def test_a_chain_signed_with_a_weak_key_is_refused():
    below = OTHER.subordinate("weak CA", "rsa1024")
    leaf = below.issue("below", label="leaf")
    code, detail = refusal(Anchors([OTHER.certificate]), leaf, chain=leaf.chain)
    assert (code, "weak key" in detail) == ("certificate-untrusted", True)


# Keys


@pytest.mark.parametrize("kind", ["rsa1024", "p224", "k256", "brainpool"])
def test_a_weak_key_proves_nothing_whoever_certified_it(kind):
    anchors = Anchors([OTHER.certificate])
    code, detail = refusal(anchors, OTHER.issue("weak", kind, label=f"weak {kind}"))
    assert (code, "key" in detail) == ("certificate-weak", True)
    below = OTHER.subordinate(f"CA with {kind}", kind)
    leaf = below.issue("below", label="leaf")
    code, detail = refusal(anchors, leaf, chain=leaf.chain)
    assert (code, "weak key" in detail) == ("certificate-untrusted", True)
    assert refusal(Anchors([below.certificate]), leaf)[0] == "certificate-untrusted", "nor as an anchor"


@pytest.mark.parametrize("kind", ["rsa", "rsa3072", "p256", "p384", "p521"])
def test_a_strong_key_may_be_a_cas_or_a_partners(kind):
    below = OTHER.subordinate(f"CA with {kind}", kind)
    leaf = below.issue("strong", kind, label=f"strong {kind}")
    Anchors([OTHER.certificate]).check(leaf.certificate, NOW, leaf.chain)


def test_a_curve_that_is_described_and_not_named_proves_nothing():
    """The description here is that of P-256; with another generator it would be of a curve on which anybody has the key."""
    described = certificates.load_certificate(ROOT / "tests/keys/explicit-curve.crt")
    with pytest.raises(Untrusted, match="certificate-weak: a key on an unnamed curve"):
        Anchors([described]).check(described, NOW)


def test_of_an_unknown_kind_of_key_nothing_is_proved():
    made = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(CA.certificate.subject)
    builder = builder.public_key(made.public_key()).serial_number(7)
    builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    certificate = builder.sign(CA.identity.key, hashes.SHA256())
    with pytest.raises(Untrusted, match="certificate-weak"):
        Anchors([CA.certificate]).check(certificate, NOW)


def test_a_key_that_cannot_be_read_is_weak_and_breaks_nothing():
    """As `check` and `trust add` ask it of whatever file they are given."""
    der = CA.issue("unknown curve", "p256").certificate.public_bytes(Encoding.DER)
    curve = bytes.fromhex("06082a8648ce3d030107")
    assert algorithms.describe_key_weakness(certificates.load_certificate(der)) is None
    unreadable = certificates.load_certificate(der.replace(curve, curve[:-1] + b"\x55"))
    assert str(algorithms.describe_key_weakness(unreadable)) == "a key that cannot be read"


# What is critical


def policies(*numbers: int) -> x509.CertificatePolicies:
    """Return the policies of these numbers; 0 is anyPolicy."""
    oids = [f"1.3.6.1.4.1.32473.{number}" if number else "2.5.29.32.0" for number in numbers]
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids])


REQUIRED = x509.PolicyConstraints(0, None)


@pytest.mark.parametrize(
    ("above", "below", "believed"),
    [
        ([REQUIRED], [], False),
        ([REQUIRED, policies(1)], [], False),
        ([REQUIRED, policies(1)], [policies(1)], True),
        ([REQUIRED, policies(1)], [policies(2)], False),
        ([REQUIRED, policies(0)], [policies(2)], True),
        ([REQUIRED, policies(1)], [policies(0)], True),
        ([REQUIRED, policies(1), x509.InhibitAnyPolicy(0)], [policies(0)], False),
        ([x509.PolicyConstraints(1, None)], [], False),
        ([x509.PolicyConstraints(2, None)], [], True),
        ([x509.PolicyConstraints(None, 0)], [], True),
        ([x509.InhibitAnyPolicy(0)], [], True),
        ([policies(1)], [policies(2)], True),
        ([], [REQUIRED], False),
        ([policies(1)], [REQUIRED, policies(1)], True),
    ],
)
def test_where_a_ca_requires_policies_they_must_be_named_all_the_way_down(above, below, believed):
    middle = OTHER.subordinate("policies CA", critical=above)
    leaf = middle.issue("below", label="leaf", critical=below)
    anchors = Anchors([OTHER.certificate])
    if believed:
        anchors.check(leaf.certificate, NOW, leaf.chain)
    else:
        code, detail = refusal(anchors, leaf, chain=leaf.chain)
        assert (code, "requires policies" in detail) == ("certificate-untrusted", True)


def test_of_policies_openssl_says_the_same(tmp_path):
    """Forty chains of chance, none of which maps one policy to another."""
    random = Random(20261127)
    root = OTHER.subordinate("EC root", "p256")
    (tmp_path / "root.pem").write_bytes(pki.pem(root.certificate))
    told = []
    for number in range(40):
        issuer, chain = root, []
        for depth in range(random.randrange(4)):
            name = issuer.certificate.subject if random.random() < 0.2 else None  # self-issued: it counts for nothing
            issuer = issuer.subordinate(f"EC CA {depth}", "p256", critical=drawn(random), subject=name)
            chain.append(issuer.certificate)
        leaf = issuer.issue("EC leaf", "p256", critical=drawn(random))
        (tmp_path / "chain.pem").write_bytes(pki.pem(*chain))
        (tmp_path / "leaf.pem").write_bytes(pki.pem(leaf.certificate))
        asked = ["openssl", "verify", "-partial_chain", "-attime", str(int(NOW.timestamp())), "-policy_check"]
        asked += ["-policy", "2.5.29.32.0", "-trusted", "root.pem", *(["-untrusted", "chain.pem"] if chain else [])]
        theirs = subprocess.run([*asked, "leaf.pem"], cwd=tmp_path, capture_output=True, check=False).returncode == 0
        try:
            Anchors([root.certificate]).check(leaf.certificate, NOW, chain)
            ours = True
        except Untrusted:
            ours = False
        assert ours is theirs, number
        told.append(ours)
    assert {True, False} == set(told)


def drawn(random):
    """Return what a certificate says of policies, by chance."""
    said: list[x509.ExtensionType] = []
    if random.random() < 0.8:
        said.append(policies(*random.sample(range(4), random.randint(1, 3))))
    if random.random() < 0.4:
        said.append(x509.PolicyConstraints(random.randrange(3), None))
    if random.random() < 0.3:
        said.append(x509.InhibitAnyPolicy(random.randrange(2)))
    return said


def test_what_stands_below_a_mapping_of_policies_has_none():
    first, second = (f"06092b0601040181fd590{number}" for number in (1, 2))
    mapping = x509.UnrecognizedExtension(ExtensionOID.POLICY_MAPPINGS, bytes.fromhex(f"30183016{first}{second}"))
    for required, believed in (([], True), ([REQUIRED], False)):
        middle = OTHER.subordinate("mapping CA", critical=[policies(1), mapping, *required])
        leaf = middle.issue("below", label="leaf", critical=[policies(1)])
        if believed:
            Anchors([OTHER.certificate]).check(leaf.certificate, NOW, leaf.chain)
        else:
            assert "requires policies" in refusal(Anchors([OTHER.certificate]), leaf, chain=leaf.chain)[1]


@pytest.mark.parametrize("oid", ["1.3.6.1.4.1.32473.9", "2.16.840.1.113730.1.1"], ids=["unknown", "Netscape's"])
def test_what_is_critical_and_not_understood_is_refused(oid):
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x03\x02\x07\x80")
    below = OTHER.subordinate("odd CA", critical=[odd])
    for leaf in (OTHER.issue("odd", label="leaf", critical=[odd]), below.issue("below", label="leaf")):
        code, detail = refusal(Anchors([OTHER.certificate]), leaf, chain=leaf.chain)
        assert (code, "critical extension" in detail) == ("certificate-untrusted", True)


def test_a_ca_certifies_no_name_that_it_was_not_given():
    permitted = x509.NameConstraints([x509.DNSName("tinh.example")], None)
    leaf = OTHER.subordinate("named CA", critical=[permitted]).issue("localhost", label="leaf")
    assert refusal(Anchors([OTHER.certificate]), leaf, chain=leaf.chain)[0] == "certificate-untrusted"
    permitted = x509.NameConstraints([x509.DNSName("localhost")], None)
    leaf = OTHER.subordinate("named CA", critical=[permitted]).issue("localhost", label="leaf")
    Anchors([OTHER.certificate]).check(leaf.certificate, NOW, leaf.chain)


# Purposes

OIDS = ExtendedKeyUsageOID
DOCUMENTS = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")


@pytest.mark.parametrize(
    ("purposes", "allowed"),
    [
        ([], "client server sign stamp"),
        ([OIDS.ANY_EXTENDED_KEY_USAGE], "client server sign stamp"),
        ([OIDS.CLIENT_AUTH], "client sign"),
        ([OIDS.SERVER_AUTH], "server sign"),
        ([OIDS.EMAIL_PROTECTION], "sign"),
        ([DOCUMENTS], "sign"),
        ([OIDS.CODE_SIGNING], ""),
        ([OIDS.OCSP_SIGNING], ""),
        ([OIDS.TIME_STAMPING], "stamp"),
        ([OIDS.TIME_STAMPING, OIDS.CLIENT_AUTH], "client sign stamp"),
    ],
)
def test_a_certificate_serves_what_it_was_issued_for(purposes, allowed):
    leaf, anchors = CA.issue("of a purpose", label="leaf", purposes=purposes), Anchors([CA.certificate])
    anchors.check(leaf.certificate, NOW)
    served = {Purpose(each) for each in allowed.split()}
    for purpose in served:
        anchors.check(leaf.certificate, NOW, purpose=purpose)
    for purpose in {*Purpose} - served:
        with pytest.raises(Untrusted, match="certificate-untrusted: extended key usage"):
            anchors.check(leaf.certificate, NOW, purpose=purpose)


def test_a_ca_gives_no_purpose_that_it_does_not_have():
    below = OTHER.subordinate("mail CA", purposes=[OIDS.EMAIL_PROTECTION])
    leaf = below.issue("below", label="leaf")
    anchors = Anchors([OTHER.certificate], intermediates=[below.certificate])
    anchors.check(leaf.certificate, NOW, purpose=Purpose.SIGN)
    with pytest.raises(Untrusted):
        anchors.check(leaf.certificate, NOW, purpose=Purpose.CLIENT)
