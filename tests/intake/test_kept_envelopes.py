"""What the sender signed of its call is kept with the message, and proves itself again, to the hub and to OpenSSL."""

import base64
import hashlib
import subprocess
from contextlib import closing
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from hub import config
from hub.cli.message.signatures import list_kept_signatures
from hub.domain.model import Unit
from hub.formats.spool import Drawer, Octets
from hub.intake import verification
from hub.intake.known_calls import KnownCalls
from hub.journal import blobs, unit_registry
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.security import kept_envelopes
from hub.security.kept_envelopes import MOST, MOST_TEXTS, KeptForm, LeftOut, SignedPart, SignedParts
from hub.soap import documents_requests
from hub.store import transactions
from lienthong_demo.plan import packets
from tests import frontdesk, homes, pki
from tests.pki import NOW
from tests.signatures import Layout, c14n, stamp

ME = pki.partner("vpub")
WSA = "http://www.w3.org/2005/08/addressing"
DS = "{http://www.w3.org/2000/09/xmldsig#}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return config.read_config(homes.begin(tmp_path_factory.mktemp("made") / "tinh") / "hub.toml")


@pytest.fixture
def desk(made, journal_url, monkeypatch):
    monkeypatch.setattr(verification, "_KNOWN", KnownCalls())
    engine = transactions.open_journal(journal_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, [Unit(code, f"Đơn vị {code}") for code in ("H55", "H55.13", "H55.01")])
    other = frontdesk.partner("there", pki.partner("sotttt"), "H55.13")
    return frontdesk.intake(made, engine, frontdesk.partner("me", ME, "H55.01"), other), engine


def letter(number, size=10):
    return packets.write_document_packet(
        "H55.01",
        ["H55.13"],
        number=str(number),
        notation="VP",
        subject="V/v & <ký>",
        promulgated="2026/11/20",
        at=NOW,
        attachments=(("a.txt", bytes(range(256)) * size),),
    )


def call(packet, name, lines=0):
    """Return SendDocument with the base64 of *packet* in lines of so many characters (0: one)."""
    content = etree.tostring(
        documents_requests.build_call_element(documents_requests.SendDocument(packet, name))
    ).decode()
    if not lines:
        return content
    written = base64.b64encode(packet).decode()
    assert written in content
    cut = "\n".join(written[at : at + lines] for at in range(0, len(written), lines))
    return content.replace(written, f"\n  {cut}\n")


def send(intake, content, earlier, **layout):
    body = Layout(content=content, created=stamp(NOW - timedelta(seconds=earlier)), **layout).signed(ME)
    with closing(Drawer()) as drawer:
        assert b"<IsSuccess>true" in frontdesk.put(intake, body, ME, drawer).body.read()


def kept(engine, name):
    with transactions.read_transaction(engine) as tx:
        (found,) = search.find_messages(tx, MessageFilter(message_id=name))
        stored = blobs.read_kept_envelope(tx, found.id)
        assert stored is not None
        packed, form = stored
        parts = kept_envelopes.unpack_parts(packed, form)
        der = blobs.read_signer(tx, parts.certificate)
        assert der is not None
        return parts, x509.load_der_x509_certificate(der), blobs.read_blob(tx, found.sha256), packed


def by_form(engine, name):
    return kept_envelopes.read_form_name(kept(engine, name)[3]) is not None


def count(engine, table):
    with transactions.read_transaction(engine) as tx:
        return tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def openssl_verifies(parts, certificate, packet, tmp_path):
    """Let OpenSSL verify the value over SignedInfo, and hashlib each digest: no code of the hub but the cutting."""
    for name, octets in {
        "signed": parts.signed,
        "value": parts.value,
        "key": certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    }.items():
        (tmp_path / name).write_bytes(octets)
    files = ["-verify", str(tmp_path / "key"), "-signature", str(tmp_path / "value"), str(tmp_path / "signed")]
    said = subprocess.run(["openssl", "dgst", "-sha256", *files], capture_output=True, check=False)
    claimed = {
        each.get("URI"): each.findtext(f"{DS}DigestValue")
        for each in etree.fromstring(parts.signed).iter(f"{DS}Reference")
    }
    found = {
        part.uri: base64.b64encode(hashlib.sha256(b"".join(part.pieces(Octets.of(packet)))).digest()).decode()
        for part in parts.parts
    }
    return said.returncode == 0 and found == claimed


@pytest.mark.parametrize(("lines", "size"), [(0, 10), (76, 10), (64, 10), (0, 300)], ids=["one", "76", "64", "large"])
def test_what_was_signed_is_kept_and_verifies_by_openssl(desk, tmp_path, lines, size):
    intake, engine = desk
    sent = {f"m{number}": letter(number, size) for number in range(5)}  # the later ones are of a known form
    for number, (name, packet) in enumerate(sent.items()):
        send(intake, call(packet, name, lines), number)
    for name, packet in sent.items():
        parts, certificate, content, packed = kept(engine, name)
        assert content == packet
        assert (parts.left_out, certificate) == ("", ME.certificate)
        assert openssl_verifies(parts, certificate, content, tmp_path)
        again = kept_envelopes.verify_parts(parts, certificate, Octets.of(content))
        assert (again.holds, again.covers_packet) == (True, True)
        assert len(packed) < 1100, "the packet is not kept twice"
    known = size == 10  # a large call is always parsed
    assert [by_form(engine, name) for name in sent] == [False, False, False, known, known]
    if known:
        assert len(kept(engine, "m4")[3]) < 500, "and what the calls of one form have in common is kept once"
    assert (count(engine, "signer"), count(engine, "envelope_form")) == (1, int(known))


def test_changed_octets_are_found_out(desk):
    intake, engine = desk
    send(intake, call(letter(1), "m1"), 0)
    parts, certificate, content, _ = kept(engine, "m1")
    changed = content.replace(b"V/v", b"V/w", 1)
    assert kept_envelopes.verify_parts(parts, certificate, Octets.of(changed)).why == "#B"
    signed = parts.signed.replace(b"#B", b"#C")
    for wrong in (
        kept_envelopes.SignedParts(parts.certificate, "", signed, parts.value, parts.parts),
        kept_envelopes.SignedParts(parts.certificate, "", parts.signed, parts.value, parts.parts[:1]),
        kept_envelopes.SignedParts(parts.certificate, "", b"<x", parts.value, parts.parts),
    ):
        assert not kept_envelopes.verify_parts(wrong, certificate, Octets.of(content)).holds
    assert not kept_envelopes.verify_parts(parts, pki.partner("sotttt").certificate, Octets.of(content)).holds


def test_an_envelope_with_long_texts_is_kept_whole_though_its_form_is_known(desk, tmp_path):
    """So what is kept by a form has at most 2 KiB, and the signature value."""
    intake, engine = desk
    for number, length in enumerate([9, 9, 9, MOST_TEXTS // 2, MOST_TEXTS, 20_000]):
        send(intake, call(letter(number), f"m{number}"), number, **addressed("i" * length))
        parts, certificate, octets, packed = kept(engine, f"m{number}")
        assert by_form(engine, f"m{number}") == (number == 3)
        assert len(packed) < MOST_TEXTS + 300
        assert openssl_verifies(parts, certificate, octets, tmp_path)


def addressed(name, others=""):
    """Return the layout of a call with a signed wsa:MessageID, and with other signed blocks."""
    return {
        "declared": f'xmlns:wsa="{WSA}" xmlns:o="urn:o" xmlns:p="urn:{"p" * 200}"',
        "headers": f'<wsa:MessageID wsu:Id="M">{name}</wsa:MessageID><o:Other wsu:Id="O">{others}</o:Other>',
        "references": (("#TS", c14n()), ("#B", c14n()), ("#M", c14n()), ("#O", c14n())),
    }


@pytest.mark.slow
def test_a_form_is_kept_only_for_calls_that_come_again_and_again(desk):
    """Of a sender that makes forms of its own, at most one message in three brings one: less than three kept whole."""
    intake, engine = desk
    for number in range(24):
        send(intake, call(letter(number), f"m{number}"), number, **addressed("i", str(number)))
    assert count(engine, "envelope_form") == 0, "each form came once"
    for number in range(24, 40):
        send(intake, call(letter(number), f"m{number}"), number, **addressed("i", str(number // 4)))
    assert count(engine, "envelope_form") <= 16 // 3


def test_a_form_that_could_exceed_the_bound_is_not_kept(desk):
    intake, engine = desk
    for number in range(5):
        # in the canonical form each repeats the declaration of its prefix
        send(intake, call(letter(number), f"m{number}"), number, **addressed("i", "<p:a/>" * 400))
        parts, _, _, packed = kept(engine, f"m{number}")
        assert (parts.left_out, kept_envelopes.read_form_name(packed)) == (LeftOut.TOO_LARGE, None)
    parts = [("#B", [b"<a>", None, b"x" * MOST])]
    assert KeptForm.of(b"der", [b"<s/>"], parts) is None
    assert KeptForm.of(b"der", [b"<s>", 0, b"</s>"] * 40, []) is None, "each text may have 2 KiB"


def test_a_call_whose_form_is_missing_is_said_not_to_be_readable(desk, made):
    intake, engine = desk
    for number in range(4):
        send(intake, call(letter(number), f"m{number}"), number)
    with transactions.write_transaction(engine) as tx:
        (found,) = search.find_messages(tx, MessageFilter(message_id="m3"))
        *_, (fields, _) = list_kept_signatures(tx, found, made)
        assert (fields["kept"], fields["holds"], fields["covers_packet"]) == (True, True, True)
        tx.exec_driver_sql("DELETE FROM envelope_form")
        *_, (fields, line) = list_kept_signatures(tx, found, made)
        assert not fields["kept"]
        assert "is missing" in str(fields["why"])
        assert "is missing" in line


#: What `pack_parts` made before there were forms.
OLD = (
    "55943d0ec2300c85efe239529cff08a51db802593394c64648150314360ec359b818cec862eb7d92ede13df93f49a0a01ce7"
    "51f56829362501aba741eafcfd145d05df9edbd69a023142d6c001ca438fa1d73828b25fa649e44af7fdcae2fe3e60c0803d"
    "63b756de9b4f8696103a27741ebd5d0da137ce1b668f3152e2c8ec32593c278b9d332df0fe01"
)


def test_what_was_kept_before_forms_were_is_read():
    """Octets of another day: neither the dictionary nor the order of what is kept may change."""
    parts = [SignedPart("#B", b"<B>", b"</B>", 76), SignedPart("#TS", b"<T>\xc3\xa1</T>")]
    name = hashlib.sha256(b"der").hexdigest()
    assert kept_envelopes.unpack_parts(bytes.fromhex(OLD)) == SignedParts(name, "", b"<s/>", b"v", tuple(parts))


def test_a_packet_in_uneven_lines_is_taken_and_said_not_to_be_kept(desk):
    intake, engine = desk
    packet = letter(1)
    written = base64.b64encode(packet).decode()
    content = call(packet, "m1").replace(written, f"{written[:8]}\n{written[8:100]}\n{written[100:]}")
    send(intake, content, 0)
    parts, certificate, _, _ = kept(engine, "m1")
    assert (parts.left_out, certificate) == (LeftOut.LAYOUT, ME.certificate)


def test_parts_beyond_the_bound_are_said_not_to_be_kept():
    large = kept_envelopes.pack_parts(b"der", b"<s/>", b"v", [SignedPart("#B", b"x" * kept_envelopes.MOST)])
    assert kept_envelopes.unpack_parts(large.packed).left_out == LeftOut.TOO_LARGE
    most = kept_envelopes.pack_parts(b"der", b"<s/>", b"v", [SignedPart("#B", b'"' * (kept_envelopes.MOST - 4))])
    assert kept_envelopes.unpack_parts(most.packed).parts[0].before == b'"' * (kept_envelopes.MOST - 4)


@pytest.mark.parametrize("octets", [b"", b"\x00", b"no kept envelope"])
def test_what_is_no_kept_envelope_is_not_read(octets):
    with pytest.raises(ValueError, match="no kept envelope"):
        kept_envelopes.unpack_parts(octets)
