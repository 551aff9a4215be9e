"""S/MIME signatures: what we sign OpenSSL verifies, what OpenSSL and others sign we verify, and what was changed nobody does."""

import subprocess
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

from hub.formats import ber
from hub.security import cms
from hub.security.algorithms import Unverified
from tests import pki
from tests.pki import NOW, authority, partner

CONTENT = "Kính gửi: Sở Y tế\r\n".encode()


def openssl(*arguments, given=b""):
    return subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, check=False)


def files(tmp_path, identity):
    key, certificate = pki.write(tmp_path, "signer", identity)
    (tmp_path / "ca.crt").write_bytes(pki.pem(authority().certificate))
    (tmp_path / "content").write_bytes(CONTENT)
    return key, certificate


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
def test_openssl_verifies_what_we_sign_and_sees_any_change(tmp_path, kind):
    signer = partner(f"mail {kind}", kind)
    files(tmp_path, signer)
    signature = cms.sign_cms(CONTENT, signer, NOW)

    def verified(content):
        (tmp_path / "content").write_bytes(content)
        asked = ("cms", "-verify", "-inform", "DER", "-binary", "-content", tmp_path / "content", "-CAfile")
        return openssl(*asked, tmp_path / "ca.crt", "-purpose", "any", "-attime", int(NOW.timestamp()), given=signature)

    good = verified(CONTENT)
    assert good.returncode == 0, good.stderr
    assert good.stdout == CONTENT
    assert verified(CONTENT + b".").returncode != 0


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
@pytest.mark.parametrize(
    "form", [(), ("-stream",), ("-keyid",), ("-nodetach",), ("-nodetach", "-stream")], ids=" ".join
)
def test_we_verify_what_openssl_signs_as_a_whole_or_as_a_stream(tmp_path, kind, form):
    signer = partner(f"mail {kind}", kind)
    key, certificate = files(tmp_path, signer)
    asked = (
        "cms",
        "-sign",
        "-binary",
        "-outform",
        "DER",
        "-md",
        "sha256",
        *form,
        "-signer",
        certificate,
        "-inkey",
        key,
    )
    made = openssl(*asked, given=CONTENT)
    assert made.returncode == 0, made.stderr
    inside = "-nodetach" in form
    assert (made.stdout[:2] == b"\x30\x80") == ("-stream" in form)
    known = [partner("vpub").certificate, signer.certificate]
    assert cms.verify_cms(made.stdout, known, None if inside else CONTENT) == (CONTENT, signer.certificate)


def test_rsa_pss_counts_too(tmp_path):
    signer = partner("mail rsa")
    key, certificate = files(tmp_path, signer)
    asked = ("cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256", "-signer", certificate, "-inkey", key)
    pss = ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest")
    made = openssl(*asked, *pss, given=CONTENT)
    assert cms.verify_cms(made.stdout, [signer.certificate], CONTENT)[1] == signer.certificate


def test_what_another_library_signs_is_verified_with_several_certificates_in_it():
    signer = partner("mail rsa")
    builder = PKCS7SignatureBuilder().set_data(CONTENT).add_signer(signer.certificate, signer.key, hashes.SHA512())
    for link in signer.chain:
        builder = builder.add_certificate(link)
    made = builder.sign(Encoding.DER, [PKCS7Options.DetachedSignature, PKCS7Options.Binary])
    assert cms.verify_cms(made, [signer.certificate], CONTENT)[1] == signer.certificate


def refusal(signature, certificates, content=CONTENT):
    with pytest.raises(Unverified) as refused:
        cms.verify_cms(signature, certificates, content)
    return refused.value.problems[0].code


def test_only_configured_certificates_count_whatever_the_signature_brings_along():
    signer, stranger = partner("mail rsa"), partner("stranger")
    assert refusal(cms.sign_cms(CONTENT, stranger, NOW), [signer.certificate]) == "certificate-unknown"
    assert refusal(cms.sign_cms(CONTENT, signer, NOW), []) == "certificate-unknown"
    twin = authority().issue("mail rsa", label="another key", serial=signer.certificate.serial_number)
    assert refusal(cms.sign_cms(CONTENT, twin, NOW), [signer.certificate]) == "signature-invalid"


def test_another_content_another_time_or_sha_1_is_refused(tmp_path):
    signer = partner("mail rsa")
    key, certificate = files(tmp_path, signer)
    signature = cms.sign_cms(CONTENT, signer, NOW)
    assert refusal(signature, [signer.certificate], CONTENT + b" ") == "signature-invalid"
    moved = cms.sign_cms(CONTENT, signer, NOW + timedelta(days=1))
    time = b"261125080000Z"
    assert time in moved
    assert refusal(moved.replace(time, b"261126080000Z"), [signer.certificate]) == "signature-invalid"
    asked = ("cms", "-sign", "-binary", "-outform", "DER", "-md", "sha1", "-signer", certificate, "-inkey", key)
    assert refusal(openssl(*asked, given=CONTENT).stdout, [signer.certificate]) == "algorithm-refused"
    bare = openssl(*asked, "-md", "sha256", "-noattr", given=CONTENT).stdout
    assert refusal(bare, [signer.certificate]) == "signature-invalid"


def test_octets_that_are_no_signature_are_refused_and_nothing_else_happens():
    signer = partner("mail rsa")
    whole = cms.sign_cms(CONTENT, signer, NOW)
    for at in range(0, len(whole), 7):
        broken = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        for octets in (whole[:at], broken, whole + b"\x00"):
            try:
                found = cms.verify_cms(octets, [signer.certificate], CONTENT)
            except Unverified:
                continue
            assert found == (CONTENT, signer.certificate)  # what it changed is not signed: a certificate brought along
    for octets in (b"", b"\x30", b"\x30\x80" * 100, b"\x04\x80\x00\x00", b"\x1f\x01\x00", b"\x30\x85" + b"\x01" * 9):
        assert refusal(octets, [signer.certificate]) == "signature-invalid"


def test_what_was_der_stays_as_it_is():
    whole = cms.sign_cms(CONTENT, partner("mail p256", "p256"), NOW)
    assert ber.make_definite(whole) == whole
    sequence = bytes.fromhex(
        "a10d06092a864886f70d01010b0500"
    )  # of CMSAlgorithmProtection: no set, though its tag may be one
    assert ber.make_definite(sequence) == sequence
    assert ber.cut_padding(sequence + bytes(9)) == sequence
    for wrong in (sequence + b"\1", sequence[:-1], b""):
        with pytest.raises(ValueError, match=r"after the element|cut short"):
            ber.cut_padding(wrong)
    assert ber.make_definite(bytes.fromhex("24800401610401620000")) == bytes.fromhex("04026162")


def test_of_elements_there_may_be_only_so_many_however_small_they_are():
    pieces = b"\x04\x01a" * 15_000
    assert ber.make_definite(b"\x24\x80" + pieces + b"\0\0") == b"\x04\x82\x3a\x98" + b"a" * 15_000
    with pytest.raises(ValueError, match="more than 100000 elements"):
        ber.make_definite(b"\x31\x80" + b"\x05\0" * 100_000 + b"\0\0")
