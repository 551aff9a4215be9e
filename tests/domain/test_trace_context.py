"""The W3C trace context of a message: what is read, kept and sent on."""

import pytest

from hub.domain.trace_context import find_trace_id, read_traceparent, write_attempt_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{TRACE}-00f067aa0ba902b7-01"
MESSAGE = "01a2250f-c086-7024-b85e-f3d82335108a"


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (HEADER, HEADER),
        (f" {HEADER}", HEADER),
        (HEADER[:-2] + "03", HEADER),  # a flag of a later version is not passed on
        ("01" + HEADER[2:] + "-what-a-later-version-adds", HEADER),
        (None, None),
        ("", None),
        (HEADER + "-more", None),
        ("ff" + HEADER[2:], None),
        (HEADER.upper(), None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        ("01" + HEADER[2:] + "-" + "x" * 600, None),
    ],
)
def test_a_traceparent_that_is_not_valid_is_as_none(header: str | None, read: str | None) -> None:
    assert read_traceparent(header) == read


def test_a_message_without_one_begins_a_trace_with_its_own_id() -> None:
    assert find_trace_id(MESSAGE, None) == MESSAGE.replace("-", "")
    assert find_trace_id(MESSAGE, HEADER) == TRACE


def test_each_attempt_is_a_span_of_its_own_in_the_trace_of_its_message() -> None:
    sent = [write_attempt_traceparent(MESSAGE, HEADER, "vpub", number) for number in (1, 1, 2)]
    assert sent[0] == sent[1] != sent[2]
    assert all(read_traceparent(each) == each and TRACE in each and each.endswith("-01") for each in sent)
    own = write_attempt_traceparent(MESSAGE, None, "vpub", 1)
    assert read_traceparent(own) == own
    assert own.startswith(f"00-{MESSAGE.replace('-', '')}-")
