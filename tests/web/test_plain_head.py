"""Whether a head is read in one step or line by line, the hub does the same."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from hub.runtime.lazy_timer import LazyTimer
from hub.web import connection_limits
from hub.web.plain_head import read_plain_head
from tests.web.test_connections import Line, Port

START = b"POST /page HTTP/1.1\r\n"
HEAD = START + b"Host: hub\r\nContent-Type: text/xml\r\nContent-Length: 5\r\n\r\n"


def test_an_ordinary_head_is_read_as_it_stands():
    head = read_plain_head(HEAD.replace(b"text/xml", b" \ttext/xml \t") + b"hello, and more")
    assert head is not None
    assert (head.method, head.target, head.length, head.size) == (b"POST", b"/page", 5, len(HEAD) + 4)
    assert list(head.fields.getAllRawHeaders()) == [
        (b"Host", [b"hub"]),
        (b"Content-Type", [b"text/xml"]),
        (b"Content-Length", [b"5"]),
    ]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        HEAD[:-1],
        b"\r\n" + HEAD,
        HEAD.replace(b"1.1", b"1.0"),
        HEAD.replace(b"\r\n", b"\n"),
        HEAD.replace(b"hub\r\n", b"hub\n"),
        HEAD.replace(b"hub\r\n", b"hub\r\n folded\r\n"),
        HEAD.replace(b"hub", b"a\rb"),
        HEAD.replace(b"hub", b"a\0b"),
        HEAD.replace(b"hub", b"hub, other"),
        HEAD.replace(b"Host:", b"Host :"),
        HEAD.replace(b"Host:", b":"),
        HEAD.replace(b"Host", b"Guest"),
        HEAD.replace(b"Host: hub", b"Host: hub\r\nHost: hub"),
        HEAD.replace(b"/page", b"/p age"),
        HEAD.replace(b"/page", b"/p\xc3\xa9"),
        HEAD.replace(b"POST", b"PO(ST"),
        HEAD.replace(b": 5", b": +5"),
        HEAD.replace(b": 5", b": 5, 5"),
        HEAD.replace(b": 5", b":"),
        HEAD.replace(b": 5", b": " + b"0" * 15 + b"5"),
        HEAD.replace(b": 5", b": 5\r\nContent-Length: 5"),
        HEAD.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        HEAD.replace(b": 5", b": 5\r\ntransfer-encoding: identity"),
        HEAD.replace(b": 5", b": 5\r\nExpect: 100-continue"),
        HEAD.replace(b"text/xml", b"x" * 9000),
        HEAD.replace(b"text/xml", b"text/xml" + b"\r\nA: b" * 100),
    ],
    ids=lambda said: f"{len(said)} {said[:140].removeprefix(START)!r}",
)
def test_what_is_not_ordinary_is_left_to_the_other_reader(said):
    assert read_plain_head(said + b"hello") is None


@pytest.mark.parametrize("said", [b"A" * 8000, START + b"A" * 8000, START + b"A:" + b" " * 8000 + b"\r\n" * 3])
def test_no_head_takes_long(said):
    """Each of these is a worst case of an expression that goes back."""
    for _ in range(200):
        read_plain_head(said)


LINES = [
    *(b"Host: hub", b"Host:hub:8443", b"host: \thub ", b"Host: a, b", b"Host : hub", b"Content-Type: text/xml"),
    *(b"Content-Length: 5", b"content-length:5", b"Content-Length: 0", b"Content-Length: 2000", b"Content-Length: x"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Expect: 100-continue", b"Connection: close"),
    *(
        b"Cookie: a=b",
        b" folded",
        b"no colon",
        b"X: \r y",
        b"X: \n y",
        b"X: \0",
        b"X: \xff",
        b"X-" + b"y" * 9000 + b": z",
    ),
]
REQUESTS = st.builds(
    lambda start, lines, end, body: b"\r\n".join([start, *lines]) + end + body,
    st.sampled_from(
        [
            START[:-2],
            b"GET /page HTTP/1.1",
            b"GET /page?a=b&a=c HTTP/1.1",
            b"HEAD /page HTTP/1.1",
            b"PUT /page HTTP/1.1",
            b"POST /page HTTP/1.0",
            b"POST  /page HTTP/1.1",
            b"post /page HTTP/1.1",
            b"\r\nGET /page HTTP/1.1",
            b"* * *",
        ]
    ),
    st.lists(st.sampled_from(LINES), max_size=5).map(lambda lines: [LINES[0], *lines])
    | st.lists(st.sampled_from(LINES)),
    st.sampled_from([b"\r\n\r\n", b"\r\n\r\n", b"\r\n\r\n", b"\r\n", b"\n\n", b""]),
    st.sampled_from([b"hello", b"hello", b"", b"5\r\nhello\r\n0\r\n\r\n", b"x" * 2000, b"hell"]),
)


def told(said: bytes, packets: list[int]) -> tuple[Any, ...]:
    """Return all that becomes of a connection that says this in packets of these sizes."""
    port, line, at = Port(), Line(), 0
    port.call(line=line)
    for size in [*packets, len(said)]:
        if said[at : at + size]:
            line.protocol.dataReceived(said[at : at + size])
        at += size
    port.clock.pump([0.5] * 10)
    early = line.gone, re.sub(rb"Date: [^\r]*", b"", line.heard), list(port.page.bodies)
    port.clock.pump([5] * 100)
    return *early, line.gone, len(line.heard), [round(call.getTime(), 3) for call in port.clock.getDelayedCalls()]


@given(st.lists(REQUESTS, min_size=1, max_size=4).map(b"".join), st.lists(st.integers(1, 400), max_size=6))
@example(HEAD + b"hello" + HEAD + b"hello", [])
@example(HEAD + b"hello" + HEAD + b"hello", [len(HEAD), 3, 10])
@example((b"GET /page HTTP/1.1\r\nHost: hub\r\n\r\n") * 300, [])
@example((HEAD + b"hello") * 300, [])
def test_both_readers_answer_alike(said, packets):
    one = told(said, packets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_limits, "read_plain_head", lambda _: None)
        assert one == told(said, packets)


def test_a_timer_comes_when_it_was_last_set_to_and_costs_one_call_of_the_reactor():
    clock, came = Clock(), []
    timer = LazyTimer(clock.seconds, clock.callLater)
    for _ in range(100):
        timer.set(10, lambda: came.append(clock.seconds()))
        clock.advance(0.1)
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([0.1] * 98)
    assert came == []
    clock.pump([0.1] * 2)
    assert came == [pytest.approx(19.9, abs=0.11)]
    assert clock.getDelayedCalls() == []


def test_a_timer_that_is_set_to_come_sooner_comes_sooner():
    clock, came = Clock(), []
    timer = LazyTimer(clock.seconds, clock.callLater)
    timer.set(10, lambda: came.append("late"))
    timer.set(1, lambda: came.append("soon"))
    clock.pump([1] * 20)
    assert came == ["soon"]


@pytest.mark.parametrize("way", ["clear", "cancel"])
def test_a_timer_that_is_called_off_calls_nothing_and_may_be_set_again(way):
    clock, came = Clock(), []
    timer = LazyTimer(clock.seconds, clock.callLater)
    timer.set(1, lambda: came.append("first"))
    getattr(timer, way)()
    assert len(clock.getDelayedCalls()) == (way == "clear")
    clock.advance(2)
    assert came == []
    assert clock.getDelayedCalls() == []
    timer.set(1, lambda: came.append("second"))
    clock.advance(1)
    assert came == ["second"]
