"""One partner floods a hub with calls that are dear to read, over many connections: another's call is answered after a few of its pieces
of work, and what nobody waits for any more is not done.

What counts is counted, not timed.  The hub stands still until all calls are with it whole, so that they wait together however slow who sends is.
"""

import contextlib
import os
import selectors
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

import pytest

from hub.formats import xml_cost
from hub.runtime.thread_pool import THREADS, THRESHOLD
from hub.security import signing
from hub.security.certificates import Identity
from hub.soap import documents_requests, envelope
from lienthong_demo.plan.packets import write_document_packet
from tests.running import PATIENCE, RunningHub, until

pytestmark = pytest.mark.slow

FLOOD = 40
HOSTILE, HONEST = ("sotttt", "H55.14"), ("vpub", "H55.12")


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[RunningHub]:
    made = RunningHub(tmp_path_factory.mktemp("fair") / "hub")
    made.letterbox("vpub")
    try:
        yield made.start()
    finally:
        made.close()


def dear(hub: RunningHub, who: tuple[str, str], name: str) -> bytes:
    """Return a request whose call is too dear for the reactor's thread."""
    partner, unit = who
    files = hub.files(partner)
    packet = write_document_packet(
        unit,
        ["H55.13"],
        number=name,
        notation="TAI",
        subject="x",
        promulgated=date(2026, 11, 20),
        attachments=[("a.txt", os.urandom(xml_cost.EXAMINED))],
    )
    body = signing.sign_envelope(
        envelope.wrap_in_envelope(documents_requests.build_call_element(documents_requests.SendDocument(packet, name))),
        Identity.read(files["key"], files["certificate"]),
        datetime.now(UTC),
    )
    assert xml_cost.estimate_call(body) >= THRESHOLD
    place = urlsplit(hub.soap)
    head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: {envelope.CONTENT_TYPE}\r\n"
    return f'{head}SOAPAction: ""\r\nContent-Length: {len(body)}\r\n\r\n'.encode() + body


@pytest.fixture
def line(hub) -> Iterator[Callable[..., "Line"]]:
    """Open connections, and close them in the end."""
    with contextlib.ExitStack() as opened:

        def of(who: tuple[str, str], name: str) -> Line:
            made = Line(hub, who[0], dear(hub, who, name))
            return opened.enter_context(contextlib.closing(made))

        yield of


class Line:
    """One connection, on which all but the last octet of a request has been sent."""

    def __init__(self, hub: RunningHub, partner: str, request: bytes) -> None:
        files, place = hub.files(partner), urlsplit(hub.soap)
        context = ssl.create_default_context(cafile=str(files["ca"]))
        context.load_cert_chain(files["certificate"], files["key"])
        plain = socket.create_connection((place.hostname or "", place.port or 0), 30)
        self.socket = context.wrap_socket(plain, server_hostname=place.hostname)
        self.socket.sendall(request[:-1])
        self._last, self.heard = request[-1:], b""

    def finish(self) -> None:
        """Send the last octet."""
        self.socket.sendall(self._last)

    def hang_up(self) -> None:
        """Say that nothing more comes, and nothing is waited for.

        Closing would reset the connection if anything of the hub's, a session ticket, had come unread: the hub might lose the last octet.
        """
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let the socket go."""
        self.socket.close()

    def hear(self) -> bool:
        """Read what has come; tell whether the answer is whole."""
        self.socket.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):  # what came may be TLS's own
            while part := self.socket.recv(1 << 16):
                self.heard += part
        return b"Envelope>" in self.heard[-20:]


@contextlib.contextmanager
def still(hub: RunningHub) -> Iterator[None]:
    """Let the hub stand still: what comes meanwhile is with its kernel."""
    hub.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        hub.process.send_signal(signal.SIGCONT)


def answers(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield each of *lines* when its answer has come."""
    with selectors.DefaultSelector() as waiting:
        for line in lines:
            waiting.register(line.socket, selectors.EVENT_READ, line)
        while waiting.get_map():
            found = waiting.select(PATIENCE)
            assert found, "no answer came"
            for key, _ in found:
                if key.data.hear():
                    waiting.unregister(key.fileobj)
                    yield key.data


def lines(hub: RunningHub, said: str) -> int:
    """Return how many lines of the log say so, of the partner that floods."""
    return sum(said in line for line in hub.log.read_text().splitlines() if HOSTILE[0] in line)


def test_a_call_is_answered_after_a_few_of_another_s_forty(hub, line):
    flood = [line(HOSTILE, f"flood-{each}") for each in range(FLOOD)]
    single = line(HONEST, "single")
    told = len(hub.told("message-accepted"))
    with still(hub):
        for each in (*flood, single):
            each.finish()
    assert all(b"<IsSuccess>true" in each.heard for each in answers([*flood, single]))
    order = [each["partner"] for each in hub.told("message-accepted")[told:]]  # who reads the answers may come late
    # Opening it and judging it wait for what each thread does just then, and for one piece more.
    assert order.index(HONEST[0]) <= 2 * (THREADS + 1)


def test_calls_of_who_has_hung_up_are_not_done(hub, line):
    flood = [line(HOSTILE, f"gone-{each}") for each in range(FLOOD)]
    told = lines(hub, "message-accepted"), lines(hub, "call-dropped")
    with still(hub):
        for each in flood:
            each.finish()
            each.hang_up()

    def over():
        done, dropped = lines(hub, "message-accepted") - told[0], lines(hub, "call-dropped") - told[1]
        return done + dropped == FLOOD and [done]

    (done,) = until(over, "all to be over")
    assert done <= FLOOD // 4, "what had begun before it was known"
