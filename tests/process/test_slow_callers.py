"""On a real port, with the bounds made small: who drips is cut off, and who is only slow is served."""

import contextlib
import select
import socket
import subprocess
import sys
import time

import pytest

from tests.running import PATIENCE

pytestmark = pytest.mark.slow

#: Serves one page under bounds of a second or so, and says on which port.  A body that drips here has ten octets a second.
SERVED = """
from twisted.internet import reactor
from twisted.web.resource import Resource
from hub.web import connection_limits as connections
from hub.web.soap_listener import BoundedSite
connections.GREETING = connections.HEADERS = connections.GRACE = 1
connections.LINGER, connections._STEP, connections.SLOWEST, connections.READING = 0.5, 0.25, 20, 60
class Page(Resource):
    isLeaf = True
    def render_POST(self, request):
        return b"%d" % len(request.content.read())
port = reactor.listenTCP(0, BoundedSite(Page(), 10**6, "urn:x", reactor), interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
"""
HEAD = b"POST / HTTP/1.1\r\nHost: hub\r\n"


@pytest.fixture(scope="module")
def port():
    with subprocess.Popen([sys.executable, "-c", SERVED], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        yield int(served.stdout.readline())
        served.terminate()


def dripped(port, begun, pieces, pause=0.1):
    """Send *begun*, then each of *pieces* after a *pause* until an answer comes; return it, how many were sent, and in how many seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        started = time.monotonic()
        line.sendall(begun)
        sent = 0
        for piece in pieces:
            if select.select([line], [], [], pause)[0]:
                break
            line.sendall(piece)
            sent += 1
        took, heard = time.monotonic() - started, b""
        with contextlib.suppress(ConnectionError):
            while part := line.recv(65536):
                heard += part
        return heard, sent, took


def test_header_fields_that_drip_are_cut(port):
    heard, sent, took = dripped(port, HEAD, [b"x"] * 200)
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert sent < 200
    assert took > 0.9


def test_a_body_that_drips_is_cut(port):
    heard, sent, took = dripped(port, HEAD + b"Content-Length: 1000\r\n\r\n", [b"x"] * 200)
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert sent < 200
    assert took > 0.9


def test_a_slow_line_is_served(port):
    slow = HEAD + b"Content-Length: 10000\r\nConnection: close\r\n\r\n"
    # so much at first that a busy machine may keep the rest back for 25 seconds
    heard, sent, _ = dripped(port, slow + b"x" * 500, [b"x" * 500] * 19, pause=0.05)
    assert (heard[9:12], heard[-5:], sent) == (b"200", b"10000", 19)
