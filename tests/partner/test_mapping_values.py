"""The small expressions of a mapping: what they stand for, and what is refused before anything is sent."""

from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree

from hub.partner.mapping_values import (
    Sources,
    Unfit,
    Unwritten,
    evaluate_value,
    list_mapped_items,
    read_answer_path,
    read_element_text,
    read_value,
)

KNOWN = ("message.subject", "content", "message.received-at", "recipients", "settings.", "xml/", "item/")
AT = datetime(2026, 11, 24, 18, 30, 5, 7000, tzinfo=UTC)
ROOT = etree.fromstring(
    '<r xmlns="urn:r"><a l="7"><b> một </b><b>hai</b></a><a><b>ba</b></a><ngay>20261124083000</ngay></r>'
)


def evaluate(written, **fixed):
    said: dict[str, Any] = {
        "message.subject": "Về {việc}",
        "content": "ă".encode(),
        "message.received-at": AT,
        "recipients": ("H55.1", "H55.2"),
        "settings.user": "tinh",
        "settings.member": "VN:GOV:000.00.00.H55",
    }
    sources = Sources(said | fixed, root=lambda: ROOT, tables={"ma": {"1": "MOT", "*": "KHAC"}, "hep": {"1": "MOT"}})
    return evaluate_value(read_value(written, KNOWN), sources)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("cố định", "cố định"),
        ("", ""),
        ("{{x}}", "{x}"),
        ("{settings.user}", "tinh"),
        ("{settings.none}", None),
        ("<{settings.none}>", "<>"),
        ("{message.subject}", "Về {việc}"),
        ("{content}", "ă".encode()),
        ("{content | base64}", "xIM="),
        ("{content | text}", "ă"),
        ("{content | text | upper}", "Ă"),
        ("{content | sha256 | cut 8}", "81778924"),
        ("{settings.member | part 1}", "VN"),
        ("{settings.member | part 3}", "000.00.00.H55"),
        ("{settings.member | part 4}", None),
        ("{settings.member | part 4 | default x}", "x"),
        ("{recipients}", ("H55.1", "H55.2")),
        ("đến {recipients}", "đến H55.1,H55.2"),
        ("{recipients | join '; '}", "H55.1; H55.2"),
        ("{message.received-at}", AT),
        ("lúc {message.received-at}", "lúc 2026-11-25T01:30:05+07:00"),
        ("{message.received-at | date dd/MM/yyyy HH:mm:ss.SSS}", "25/11/2026 01:30:05.007"),
        ("{xml.a/b}", "một"),
        ("{xml.a[2]/b}", "ba"),
        ("{xml.a/b[2]}", "hai"),
        ("{xml.a/@l}", "7"),
        ("{xml.a | count}", "2"),
        ("{xml.a/b | count}", "3"),
        ("{xml.c | count}", "0"),
        ("{recipients | count}", "2"),
        ("{content | base64 | octets}", "ă".encode()),
        ("{xml.//b}", "một"),
        ("{xml.a/c}", None),
        ("{xml.a/c | default không}", "không"),
        ("{xml.ngay | read yyyyMMddHHmmss | date dd/MM/yyyy}", "24/11/2026"),
        ("{xml.a/@l | map ma}", "KHAC"),
        ("{settings.user | map ma | lower}", "khac"),
    ],
)
def test_a_value_is(written, found):
    assert evaluate(written) == found


@pytest.mark.parametrize(
    "written",
    [
        "{message.subject",
        "}",
        "{message.subjekt}",
        "{}",
        "{secrets.password}",
        "{xml.a//b}",
        "{xml.a[0]}",
        "{xml.a[b='1']}",
        "{xml.../b}",
        "{content | gzip}",
        "{content | cut}",
        "{content | cut x}",
        "{content | base64 x}",
        "{xml.ngay | read dd/MM}",
        "{xml.ngay | read yyyy yyyy}",
        "{message.received-at | date %Y}",
    ],
)
def test_what_is_no_value_is_refused_with_what_is_expected(written):
    with pytest.raises(Unwritten) as raised:
        read_value(written, KNOWN)
    assert str(raised.value.expected)


@pytest.mark.parametrize(
    ("written", "fixed"),
    [
        ("x{content}", {}),
        ("{settings.user | map hep}", {}),
        ("{settings.user | read dd/MM/yyyy}", {}),
        ("{settings.user | date yyyy}", {}),
        ("{settings.user | boolean}", {}),
        ("{message.subject | octets}", {}),
        ("{content | text}", {"content": b"\xff"}),
        ("{content | text}", {"content": b"\0"}),
        ("{content | xml}", {"content": b"<a"}),
        ("{content | xml}", {"content": b"<!DOCTYPE a><a/>"}),
    ],
)
def test_a_value_of_a_message_that_cannot_be_used_does_not_fit(written, fixed):
    with pytest.raises(Unfit):
        evaluate(written, **fixed)


def test_a_list_has_every_element_at_its_path():
    sources = Sources({}, root=lambda: ROOT)
    items = list_mapped_items(read_value("{xml.a/b}", KNOWN), sources)
    assert [each if isinstance(each, str) else read_element_text(each) for each in items] == ["một", "hai", "ba"]


def test_a_list_is_bounded():
    many = etree.fromstring(f"<r>{'<a/>' * 10_001}</r>")
    with pytest.raises(Unfit):
        list_mapped_items(read_value("{xml.a}", KNOWN), Sources({}, root=lambda: many))


@pytest.mark.parametrize("written", ["", "a//b", "a/", "/a", "a/@b/c", "http/", "http/a b", "a | xyz", "a[0]"])
def test_what_is_no_path_in_an_answer_is_refused(written):
    with pytest.raises(Unwritten):
        read_answer_path(written)
