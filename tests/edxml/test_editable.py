"""A packet as a text that a person edits: attachments are marks that come back, whatever stands around them."""

import pytest

from hub.edxml import editable
from hub.security import signing
from tests import pki
from tests.conftest import ROOT

PACKET = (ROOT / "docs/examples/van-ban.edxml").read_bytes()
LEAF = b"<ContentTransferEncoded>%b</ContentTransferEncoded>"
TWO = b"<a>" + LEAF % b"QUJD\nREVG" + b'<x:ContentTransferEncoded xmlns:x="u" n=">">eA==</x:ContentTransferEncoded></a>'


@pytest.mark.parametrize("packet", [PACKET, TWO, b"<a><ContentTransferEncoded/></a>", b"<a>", b"", "<a>đ</a>".encode()])
def test_what_is_not_edited_comes_back_as_it_was(packet):
    text = editable.write_editable_text(packet)
    assert text is not None
    assert editable.read_edited_text(text.replace("\n", "\r\n"), packet) == packet


def test_the_content_of_attachments_is_a_mark():
    text = editable.write_editable_text(TWO)
    assert text is not None
    assert text.count("[[attachment 1]]") == text.count("[[attachment 2]]") == 1
    assert "QUJD" not in text
    turned = text.replace("attachment 1", "X").replace("attachment 2", "attachment 1").replace("X", "attachment 2")
    assert editable.read_edited_text(turned, TWO).index(b"eA==") < 60


def test_a_mark_is_filled_once_and_never_grows_the_packet():
    many = "[[attachment 1]]" * 1000 + "[[attachment 3]]"
    assert len(editable.read_edited_text(many, TWO)) < len(many)
    assert editable.read_edited_text(many, TWO).count(b"QUJD") == 1


@pytest.mark.parametrize("packet", ["<a/>".encode("utf-16"), b"<a>" + b"x" * editable.LARGEST_TEXT + b"</a>"])
def test_what_cannot_be_edited_is_no_text(packet):
    assert editable.write_editable_text(packet) is None


def test_a_doctype_is_not_read():
    packet = b'<!DOCTYPE a [<!ENTITY e "eeee">]><a>' + LEAF % b"&e;" + b"</a>"
    assert editable.write_editable_text(packet) == packet.decode()


@pytest.mark.parametrize("hollow", [b"<Signature/>", b"<DigitalSignature> </DigitalSignature>"])
def test_signatures_are_taken_out_and_nothing_else(hollow):
    signed = signing.sign_packet(PACKET, pki.partner("hub"))
    assert signing.remove_signatures(signed) == signing.remove_signatures(PACKET) == PACKET
    wrapped = signed.replace(b"<ds:Signature ", b"<DigitalSignature><ds:Signature ", 1)
    wrapped = wrapped.replace(b"</ds:Signature>", b"</ds:Signature></DigitalSignature>", 1)
    assert signing.remove_signatures(wrapped) == PACKET
    empty = PACKET.replace(b"<TraceHeaderList>", hollow + b"<TraceHeaderList>")
    assert signing.remove_signatures(empty) == empty, "an empty one claims nothing"
    twice = signed.replace(b"</ds:Signature>", b"</ds:Signature><Signature>x</Signature>", 1)
    assert signing.remove_signatures(twice) == PACKET
