"""A stranger's text, made fit for where it goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.domain.sanitize import replace_controls, replace_unstorable, replace_unwritable

ANY = st.text(st.characters(exclude_categories=()))
HARMLESS = "Báo cáo tháng 11, mục 2 – 10\u00a0kg “ổn” 🙂 e\u0301"


@pytest.mark.parametrize("made", [replace_unstorable, replace_unwritable, replace_controls])
def test_what_people_write_stays_as_it_is(made):
    assert made(HARMLESS) == HARMLESS


@given(ANY)
def test_xml_holds_every_text(text):
    element = etree.Element("a")
    element.text = replace_unwritable(text)
    assert etree.fromstring(etree.tostring(element, encoding="UTF-8")).text in {
        None,
        replace_unwritable(text).replace("\r", "\n"),
        replace_unwritable(text),
    }


@given(ANY)
def test_every_database_can_keep_every_text(text):
    assert "\0" not in replace_unstorable(text)
    assert replace_unstorable(text).encode().decode() == replace_unstorable(text)


@pytest.mark.parametrize(
    "moving", ["\x1b[2J", "\x9b2J", "\r", "\n", "\t", "\b", "\u202e", "\u2066", "\u2028", "\u200b", "\ud800", "\ue000"]
)
def test_nothing_on_a_screen_moves_the_cursor_turns_the_direction_or_hides(moving):
    assert replace_controls(f"a{moving}b")[1] == "\ufffd"
