"""The feed of published reports is Atom, whatever is in it."""

from datetime import UTC, datetime

import pytest

from hub.report.output.atom import AtomEntry, write_atom_feed
from tests.atoms import A, judged

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


def entry(number, title="Thống kê", at=AT):
    where = f"https://truc.example/public/reports/edoc/H55.{number}/2026-11"
    return AtomEntry(
        id=f"urn:lienthong:publication:H55:edoc:H55.{number}:2026-11",
        title=title,
        at=at,
        summary="kỳ 2026-11",
        html=f"{where}.html",
        json=f"{where}.json",
    )


def feed(*entries):
    return judged(
        write_atom_feed(
            "urn:lienthong:publications:H55", "Báo cáo", "Trục", "https://truc.example/public/feed.atom", entries
        )
    )


def test_a_feed_is_as_new_as_its_newest_entry():
    later = datetime(2026, 11, 25, 1, 2, 3, 999, tzinfo=UTC)
    found = feed(entry(13), entry(14, at=later))
    assert found.findtext(f"{A}updated") == "2026-11-25T01:02:03Z"


def test_an_empty_feed_is_a_feed_and_the_same_each_time():
    assert feed().findtext(f"{A}updated") == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize("title", ["<b>&amp;", "“Nội vụ” & Tư pháp", "a\u00a0b"])
def test_a_title_is_a_text_whatever_it_holds(title):
    (found,) = feed(entry(13, title)).iterfind(f"{A}entry")
    assert found.findtext(f"{A}title") == title
