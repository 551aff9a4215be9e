"""A hub that may open few files: its own come first, and every caller gets an answer or a closed connection at once."""

import contextlib
import http.client
import json
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.process.test_moved_journal import attempt
from tests.running import until
from tests.warm import BIN

pytestmark = pytest.mark.slow

#: Seconds within which a caller has an answer or a closed connection. Only a caller that hangs takes as long.
AT_ONCE = 30


@contextlib.contextmanager
def connected(hub, url, partner=None):
    """Yield a connection to the hub that has shaken hands."""
    context = ssl.create_default_context(cafile=str(hub.home / "pki/ca.crt"))
    if partner is not None:
        files = hub.files(partner)
        context.load_cert_chain(files["certificate"], files["key"])
    at = urlsplit(url)
    made = http.client.HTTPSConnection(at.hostname, at.port, context=context, timeout=AT_ONCE)
    with contextlib.closing(made):
        made.connect()
        yield made


def call(made):
    """Send what is no call. Return the status of the answer, or 0 for a closed connection; never hangs."""
    fields = {"Content-Type": "text/xml; charset=utf-8"}
    try:
        made.request("POST", "/soap/documents", b"<not-soap/>", fields)
        with made.getresponse() as answer:
            answer.read()
            return answer.status
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return 0


def readiness(made):
    """Return the status of /readyz, and what it says of resources."""
    made.request("GET", "/readyz")
    with made.getresponse() as answer:
        return answer.status, json.loads(answer.read())["reasons"]["resources"]


@contextlib.contextmanager
def idle(hub, count) -> Iterator[list[socket.socket]]:
    """Open so many connections of strangers to both ports, that send nothing."""
    places = [(urlsplit(url).hostname, urlsplit(url).port) for url in (hub.soap, hub.admin)]
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(socket.create_connection(places[number % 2])) for number in range(count)]


def exhaust(hub):
    """Take every descriptor from the running hub that it has not open. Return what gives them back."""
    pid = hub.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    free = next(number for number in range(len(used) + 1) if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, before[1]))
    return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_without_a_descriptor_each_caller_has_an_answer_or_a_closed_connection_at_once(hub):
    hub.start()
    assert not isinstance(attempt(hub, 1), str)
    with connected(hub, hub.soap, "vpub") as soap, connected(hub, hub.admin) as admin:
        admin.request("GET", "/healthz")
        admin.getresponse().read()
        give_back = exhaust(hub)
        assert call(soap) in {400, 500, 503}, "the first fault of this hub needs no file"
        until(lambda: readiness(admin) == (503, "short"), "readyz to say so, which looks once a second")
        for _ in range(5):
            # closed before or in the handshake
            with contextlib.suppress(ConnectionError, ssl.SSLError), connected(hub, hub.soap, "vpub") as made:
                call(made)
        give_back()
    until(lambda: hub.get("/readyz")[0] == 200, "the hub to be well again")
    assert not isinstance(attempt(hub, 2), str)


@pytest.mark.parametrize("workers", [1, 2])
def test_idle_strangers_leave_the_journal_the_witness_and_the_log_their_descriptors(hub, workers):
    hub.config.write_text(f"workers = {workers}\n" + hub.config.read_text())
    hub.start("prlimit", "--nofile=128:128", BIN / "twistd")
    with idle(hub, 300):
        receipts = [attempt(hub, number) for number in range(6)]
        assert not any(isinstance(each, str) for each in receipts), receipts
        log = hub.log.read_text()
        for trouble in ("Too many open files", "unable to open database file"):
            assert trouble not in log
    until(lambda: hub.get("/readyz")[0] == 200, "the hub to be well")
    assert not isinstance(attempt(hub, 9), str)
