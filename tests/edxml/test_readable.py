"""A packet for people: each element on a line of its own, findings at theirs; any octets can be shown."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.edxml import readable
from hub.edxml.readable import LETTERS, LINES, PacketFinding, write_packet_lines, write_readable_packet
from hub.edxml.sample import make_sample_packet
from tests.examples import at_most
from tests.province import NOW

PACKET = make_sample_packet("H55.13", "H55.01", "V/v kết nối", NOW.date())


def finding(code, detail):
    return PacketFinding(code=code, detail=detail, refuses=True)


def with_attachment(content: bytes) -> bytes:
    return PACKET.replace(b"Tm9pIGR1bmcgdmFuIGJhbgo=", base64.b64encode(content))


def test_a_packet_of_one_line_is_shown_in_many_with_the_finding_at_the_element_it_names():
    found = write_readable_packet(PACKET.replace(b"\n", b""), [finding("R.edXML.MessageHeader.Subject", "line 1: x")])
    (line,) = [each for each in found.lines if each.findings]
    assert line.text == "<edXML:Subject>V/v kết nối</edXML:Subject>"
    assert len(found.lines) > 50
    assert found.elsewhere == []


def test_a_finding_of_an_unknown_line_stands_apart():
    found = write_readable_packet(PACKET, [finding("unit-unknown", "H55.99"), finding("x", "line 900: y")])
    assert [each.code for each in found.elsewhere] == ["unit-unknown", "x"]


@pytest.mark.parametrize("size", [10, 1 << 18])
def test_an_attachment_is_listed_and_had_again_however_large(size):
    content = bytes(range(256)) * (size // 256) + b"end"
    octets = with_attachment(content)
    found = write_readable_packet(octets, [])
    (listed,) = found.attachments
    assert (listed.name, listed.content_type) == ("van-ban.txt", "text/plain")
    assert listed.letters == len(base64.b64encode(content))
    (line,) = [each for each in found.lines if each.attachment]
    assert (line.attachment, line.hidden) == (1, listed.letters)
    had = readable.read_packet_attachment(octets, 1)
    assert had is not None
    assert had[1] == content
    assert readable.read_packet_attachment(octets, 2) is None


def test_what_is_no_base64_is_no_attachment():
    assert readable.read_packet_attachment(PACKET.replace(b"Tm9pIGR1bmcgdmFuIGJhbgo=", b"???"), 1) is None


def test_lines_and_letters_are_bounded():
    long = write_readable_packet(b"<a>" + b"<b>" + b"x" * 9000 + b"</b>" + b"<c/>" * 5000 + b"</a>", [])
    assert long.more
    assert len(long.lines) == LINES
    assert long.lines[1].hidden == 9000 - LETTERS


def test_lines_to_compare_are_those_of_the_content_not_of_the_writing():
    one = b'<a y="1" x="2"><b></b><c>t</c></a>'
    other = b"<?xml version='1.0'?>\n<a x='2'\n y='1'>\n  <b/>\n  <c>t</c>\n</a>"
    assert write_packet_lines(one) == write_packet_lines(other)
    assert write_packet_lines(one) != write_packet_lines(one.replace(b"t", b"u"))
    for more in (b"", bytes(60_000)):
        assert write_packet_lines(with_attachment(b"one" + more)) != write_packet_lines(with_attachment(b"two" + more))
    whole = with_attachment(bytes(60_000))
    assert write_packet_lines(whole.replace(b"A" * 400, b"A" * 200 + b"\n" + b"A" * 200)) == write_packet_lines(whole)


@settings(max_examples=at_most(80), deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.text(max_size=30), st.text(max_size=30))
def test_any_octets_are_shown(octets, code, detail):
    for content in (octets, b"<a>" + octets + b"</a>", PACKET.replace(b"V/v", octets)):
        found = write_readable_packet(content, [finding(code, detail)])
        assert len(found.lines) <= LINES
        write_packet_lines(content)
        readable.read_packet_attachment(content, 1)
