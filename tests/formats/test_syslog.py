"""Syslog: the messages of RFC 5424, 6.5, written anew; framing of RFC 5425 and RFC 6587; nothing that a stranger sends breaks it."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.formats.syslog import LONGEST, Stream, Unframed, read_syslog_message

BOM = b"\xef\xbb\xbf"


def test_a_message_without_structured_data():
    line = read_syslog_message(
        b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - " + BOM + "'su root' hỏng".encode()
    )
    assert (line.facility, line.severity, line.host, line.app, line.process, line.kind) == (
        *("auth", 2, "mymachine.example.com", "su"),
        *("", "ID47"),
    )
    assert line.at == datetime(2003, 10, 11, 22, 14, 15, 3000, UTC)
    assert (line.data, line.text) == ({}, "'su root' hỏng")


def test_a_time_with_an_offset_is_told_in_utc():
    line = read_syslog_message(
        b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts."
    )
    assert line.at == datetime(2003, 8, 24, 12, 14, 15, 3, UTC)
    assert (line.facility, line.severity, line.process, line.text[:2]) == ("local4", 5, "8710", "%%")


def test_structured_data_with_a_text_behind_it_and_alone():
    elements = (
        b'[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]'
    )
    for text in (b"", b" " + BOM + b"An application event log entry..."):
        line = read_syslog_message(
            b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 " + elements + text
        )
        assert line.data["exampleSDID@32473"] == {"iut": "3", "eventSource": "Application", "eventID": "1011"}
        assert line.data["examplePriority@32473"] == {"class": "high"}
        assert line.text == text.decode().lstrip(" \ufeff")


def test_a_value_keeps_its_quotes_brackets_and_foreign_backslashes():
    line = read_syslog_message(
        rb'<1>1 - - - - - [a@1 v="\"x\" \\ \] \n" w="' + "Thái Nguyên".encode() + b'" v="2" e=""]'
    )
    assert line.data == {"a@1": {"v": '"x" \\ ] \\n', "w": "Thái Nguyên", "e": ""}}


def test_a_text_in_another_encoding_is_kept_as_far_as_it_can_be_read():
    assert read_syslog_message(b"<1>1 - - - - - - \xff!").text == "\ufffd!"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<34>Oct 11 22:14:15 mymachine su: the format of before",
        b"<192>1 - - - - - -",
        b"<01>1 - - - - - -",
        b"<1>2 - - - - - -",
        b"<1>1 - - - - -",
        b"<1>1 2026-11-24 - - - - -",
        b"<1>1 2026-11-24T08:00:00 - - - - -",
        b"<1>1 2026-11-24T08:00:60Z - - - - -",
        b"<1>1 2026-13-24T08:00:00Z - - - - -",
        b"<1>1 0001-01-01T00:00:00+14:00 - - - - -",
        b"<1>1 - h\xc3\xb4 - - - -",
        b"<1>1 - - - - - x",
        b"<1>1 - - - - - -x",
        b"<1>1 - - - - - [a@1",
        b'<1>1 - - - - - [a@1 b="c]',
        b'<1>1 - - - - - [a@1 b="c"]x',
        b"<1>1 - - - - - [a@1][a@1]",
        b'<1>1 - - - - - [a@1 b="\xff"]',
        b"<1>1 - - - - - " + b"".join(b"[a%d]" % number for number in range(101)),
        b"<1>1 - - - - - [a" + b' b="c"' * 1001 + b"]",
        b"<1>1 - - - - - - " + b"x" * LONGEST,
    ],
)
def test_what_rfc_5424_has_no_room_for_is_no_message(octets):
    with pytest.raises(ValueError, match=r"."):
        read_syslog_message(octets)


MESSAGES = st.lists(st.binary(max_size=40).map(lambda tail: b"<1>1 " + tail.replace(b"\n", b"")), max_size=8)


@given(st.data(), MESSAGES)
@pytest.mark.slow
def test_messages_framed_in_either_way_come_out_wherever_they_are_cut(data, messages):
    framed = b"".join(
        b"%d %s" % (len(each), each) if data.draw(st.booleans()) else each.removesuffix(b"\r") + b"\n"
        for each in messages
    )
    stream, at = Stream(), 0
    found: list[bytes] = []
    while at < len(framed):
        end = data.draw(st.integers(at + 1, len(framed)))
        found += stream.feed(framed[at:end])
        at = end
    assert [each.rstrip(b"\r") for each in found] == [each.rstrip(b"\r") for each in messages]


def test_what_comes_before_a_broken_frame_is_not_lost():
    found: list[bytes] = []
    with pytest.raises(Unframed):
        found.extend(Stream().feed(b"5 <1>1 5 <1>1 GET /"))
    assert found == [b"<1>1 "] * 2


@pytest.mark.parametrize(
    "octets",
    [
        b"x",
        b"0 <1>1",
        b"-1 <1>",
        b"99999999 ",
        b"123456789",
        b"70000 <1>1",
        b"<" * (LONGEST + 1),
        b"12x",
        b"\x16\x03\x01",
    ],
)
def test_where_no_message_begins_the_stream_is_given_up(octets):
    with pytest.raises(Unframed):
        list(Stream().feed(octets))


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"<1>1 ", b"5 ", b"\n", b"[a b=", b'"', b"]"]), max_size=20))
def test_no_octets_break_the_reading_or_make_it_keep_more_than_one_message(pieces):
    stream = Stream()
    with suppress(Unframed):
        for piece in pieces:
            for message in stream.feed(piece):
                with suppress(ValueError):
                    read_syslog_message(message)
    assert len(stream._left) <= LONGEST + 60
    with suppress(ValueError):
        read_syslog_message(b"<1>1 - - - - - " + b"".join(pieces))
