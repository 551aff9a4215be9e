"""Failures have one cause when only what differs each time differs."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.domain.failure_causes import KEPT, NOBODY, READ, find_cause, read_cause_name, remove_varying_words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("refused: E05: no unit H55.12", "refused: E05: no unit H55.13.02"),
        ("refused: E05: message 0193f0a1-0000-7000-8000-0123456789ab", "refused: E05: message 0193f0a1-ffff"),
        ("given up: no answer within 30 s", "given up: no answer within 5 s"),
        ("given up: connect to 10.0.0.1:8443 failed", "given up: connect to [2001:db8::1]:443 failed"),
        ("unit-unknown: H55.99", "unit-unknown: 000.00.13.H55"),
        ("N.From: line 6: it is empty", "N.From: line 12: it is empty"),
        ("set aside: hub-error: ValueError('a b')", "set aside: hub-error: ValueError('c')"),
        ("refused: late since 27/11/2026 08:00", "refused: late since 2026-11-28T09:30:00Z"),
        ("refused: no file /a/b", "refused: no file /c"),
        ("refused: “Sở A” is closed", "refused: “Sở B” is closed"),
        ("refused: 2 of 20: H55.13-261124-0001: no", "refused: 3 of 7: H55.13-261124-0002: no"),
        ("refused: ask an@vpub.gov.vn", "refused: ask binh@vpub.gov.vn"),
        ("refused: No Unit", "refused: no unit"),
        ("refused: không co\u0301", "refused: không có"),
    ],
)
def test_what_differs_each_time_makes_no_other_cause(one, other):
    assert find_cause("vpub", one).name == find_cause("vpub", other).name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("refused: E05: no", "refused: E06: no"),
        ("given up: HTTP 503: busy", "given up: HTTP 500: busy"),
        ("refused: closed", "given up: closed"),
        ("unit-unknown: H55.99", "not-yours: H55.99"),
        ("refused: the partner's own fault, it's said", "refused: the partner's"),
    ],
)
def test_another_code_or_another_sentence_is_another_cause(one, other):
    assert find_cause("vpub", one).name != find_cause("vpub", other).name


def test_each_partner_has_its_own_causes():
    assert find_cause("vpub", "refused: no").name != find_cause("vpcp", "refused: no").name


@pytest.mark.parametrize(
    ("reason", "codes", "text"),
    [
        ("refused: E05: no unit H55.12, sorry", ("E05",), "refused: E05: no unit …, sorry"),
        ("unit-unknown: H55.99; N.From: line 6: it is empty", ("unit-unknown", "N.From"), None),
        ("given up: HTTP 503", ("HTTP 503",), "given up: HTTP 503"),
        ("refused: H55.13: no", (), "refused: …: no"),
        ("given up: connection refused by 10.0.0.1", (), "given up: connection refused by …"),
        ("refused: 1 2 3 4", (), "refused: …"),
        ("", (), ""),
    ],
)
def test_codes_are_kept_and_the_rest_is_readable(reason, codes, text):
    found = find_cause("vpub", reason)
    assert found.codes == codes
    assert text in (None, found.text)


def test_a_stranger_makes_no_causes_at_will():
    one, other = find_cause(None, "not-yours: abc"), find_cause(None, "not-yours: def")
    assert (one, one.partner, one.text) == (other, NOBODY, "not-yours")


def test_a_name_leads_back_to_its_partner_and_digest():
    found = find_cause("so.y-te", "refused: no")
    assert read_cause_name(found.name) == ("so.y-te", found.digest)
    for name in ("", "vpub", "vpub.", f"vpub.{found.digest}0", f".{found.digest}", f"vpub.{found.digest.upper()}"):
        assert read_cause_name(name) is None


@given(st.text(max_size=300))
def test_no_number_is_left(text):
    assert not re.search(r"\d", remove_varying_words(text))


#: Behind it a number is a code: the status of HTTP, or one of several codes.
BEFORE_CODE = ("HTTP", ";")


@given(
    st.text(max_size=50).filter(lambda text: not text.endswith(BEFORE_CODE)),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
@example(":", 0, 1)
@example("; E05:", 0, 1)
def test_numbers_never_count(text, one, other):
    assert find_cause("p", f"refused: {text} {one}") == find_cause("p", f"refused: {text} {other}")


@pytest.mark.parametrize("signs", ["'", "“", "a1 ", "; ", ": ", '"', "a"])
def test_a_long_reason_is_read_in_part(signs):
    found = find_cause("p", signs * 100_000)
    assert len(found.text) <= KEPT
    assert found == find_cause("p", (signs * 100_000)[:READ])
