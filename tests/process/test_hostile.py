"""No hostile message gets in, none costs much, and honest callers are served all the while."""

import contextlib
import re
import resource
import socket
import sqlite3
import ssl
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import attrs
import pytest

from hub.security.certificates import Identity
from lienthong_demo.plan.packets import write_document_packet
from tests import hostile, pki
from tests.effort import read_scale
from tests.hostile import MEDIA, TABLE, Honest
from tests.overload.stage import processor_seconds
from tests.running import RunningHub, until
from tests.signatures import SOAP11, SOAP12

pytestmark = pytest.mark.slow

LIMIT = 40 * 1000 * 1000


@attrs.define(eq=False)
class Target:
    """A hub, and a partner's way to send it anything."""

    hub: RunningHub
    number: int = 0

    @property
    def port(self):
        return self.port_of("soap")

    def port_of(self, name):
        return tomllib.loads(self.hub.config.read_text())[name]["port"]

    def identity(self, partner):
        files = self.hub.files(partner)
        return Identity.read(files["key"], files["certificate"])

    def honest(self, soap):
        return Honest(soap=soap, identity=self.identity("sotttt"), stranger=STRANGER, limit=LIMIT)

    @contextlib.contextmanager
    def connection(self, key=None, certificate=None, port=None):
        files = self.hub.files("sotttt")
        context = ssl.create_default_context(cafile=str(files["ca"]))
        context.load_cert_chain(certificate or files["certificate"], key or files["key"])
        with (
            socket.create_connection(("127.0.0.1", port or self.port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            yield secure

    def post(self, soap, body, headers=()):
        """Send *body*, and return the status and the body of the answer."""
        said = {"Host": "hub", "Content-Type": MEDIA[soap], "Content-Length": str(len(body)), "Connection": "close"}
        said |= {name: value for name, value in headers if name != "action"}
        if action := dict(headers).get("action"):
            said |= (
                {"SOAPAction": f'"{action}"'}
                if soap == SOAP11
                else {"Content-Type": f'{MEDIA[soap]}; action="{action}"'}
            )
        head = "POST /soap/documents HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said.items())
        with self.connection() as secure:
            with contextlib.suppress(ConnectionError, ssl.SSLError):  # it may refuse before it has read all
                secure.sendall(head.encode() + b"\r\n" + body)
            return heard(secure)

    def refusals(self):
        """Return how many messages and calls the journal says were refused."""
        with contextlib.closing(sqlite3.connect(self.hub.home / "data/hub.db")) as journal:
            (messages,) = journal.execute("select count(*) from message where state = 'refused'").fetchone()
            (events,) = journal.execute("select count(*) from event where text like '%\"call-refused\"%'").fetchone()
        return {"message": messages, "event": events}

    def memory(self, what):
        """Return VmRSS or VmHWM, in octets."""
        said = Path(f"/proc/{self.hub.process.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", said)
        assert found is not None, said
        return int(found[1]) * 1024

    @contextlib.contextmanager
    def measured(self, megabytes):
        """Fail when what happens inside costs the hub more."""
        Path(f"/proc/{self.hub.process.pid}/clear_refs").write_text("5")
        before = self.memory("VmRSS")
        yield
        cost = (self.memory("VmHWM") - before) / hostile.MB
        assert cost <= megabytes, f"{cost:.1f} MB"

    def honest_call(self, soap=SOAP11):
        self.number += 1
        status, answer = self.post(soap, self.honest(soap).carrying(self.honest(soap).packet(number=str(self.number))))
        assert (status, b"IsSuccess>true<" in answer) == (200, True), answer[:2000]


def heard(secure):
    """Read an answer to its end, or nothing if none comes as long as the connection waits."""
    parts = []
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        while part := secure.recv(65536):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def codes(answer):
    """Return every code of a fault or a refusal."""
    return {code.decode() for code in re.findall(rb"<Code>([^<]+)</Code>", answer)}  # in whichever part it stands


STRANGER = pki.authority("Other CA", datetime.now(UTC)).issue("sotttt")


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    made = RunningHub(tmp_path_factory.mktemp("hostile") / "hub")
    made.start()
    target = Target(made)
    for soap in (SOAP11, SOAP12):
        for _ in range(5):
            target.honest_call(soap)
    yield target
    made.close()


@pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["soap11", "soap12"])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_it_is_refused_kept_and_costs_little(target, row, soap):
    body = row.make(target.honest(soap))
    packing = () if row.body is None else (("Content-Type", hostile.in_version(row.body, soap).content_type),)
    before = target.refusals()
    scale, spent = read_scale(), processor_seconds(target.hub.process.pid)
    with target.measured(row.megabytes):
        status, answer = target.post(soap, body, (*row.headers, *packing))
    assert (processor_seconds(target.hub.process.pid) - spent) * min(1.0, scale, read_scale()) < row.seconds
    assert answer, "there is an answer, whatever was sent"
    found = codes(answer)
    assert any(code == wanted or code.startswith(f"{wanted}.") for code in found for wanted in row.codes), found
    if row.status is not None:
        assert status == row.status
    for secret in (b"Traceback", b"/site-packages/", b"root:x:0", b"lxml.", b".py"):  # no base64 has a dot
        assert secret not in answer
    until(lambda: target.refusals()[row.refusal] > before[row.refusal], "the journal to say why")
    target.honest_call(soap)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n",
        b"Content-Length : 5\r\n",
        b"Bad Name: x\r\n",
        b"X: a\x00b\r\n",
        b"".join(b"X-%d: y\r\n" % n for n in range(2000)),
        b"X: " + b"y" * 100_000 + b"\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"Host: y\r\n",
        b"X: y\n\n",
    ],
    ids=lambda head: head[:60].decode("latin-1").replace("\r\n", " "),
)
def test_what_proxies_could_read_in_two_ways_is_no_request(target, head):
    """It is told at once: nothing more need come."""
    with target.measured(8), target.connection() as secure:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            secure.sendall(
                b"POST /soap/documents HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n" + head + b"\r\nhello"
            )
        status, answer = heard(secure)
    assert (status, answer) == (400, b"")
    target.honest_call()


@pytest.mark.parametrize("port", ["soap", "admin"])
@pytest.mark.parametrize(
    "said",
    [
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX: a\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    ],
)
def test_both_ports_refuse_what_is_no_request(target, port, said):
    with target.connection(port=target.port_of(port)) as secure:
        secure.sendall(said)
        assert heard(secure) == (400, b"")


@pytest.mark.parametrize("charset", ["nope", "iso-8859-1", "utf-7"])
def test_a_charset_that_is_not_read_is_refused(target, charset):
    status, answer = target.post(SOAP11, b"<x/>", (("Content-Type", f"text/xml; charset={charset}"),))
    assert (status, codes(answer)) == (415, {"media-type"})
    target.honest_call()


def test_a_body_without_a_length_is_refused_when_it_has_grown_too_long(target):
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    with target.measured(24), target.connection() as secure:
        secure.sendall(
            b"POST /soap/documents HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for _ in range(60):
                secure.sendall(chunk)
        status, answer = heard(secure)
    assert (status, codes(answer)) == (413, {"too-large"})
    target.honest_call()


def test_no_certificate_but_a_registered_one_gets_an_answer(target, tmp_path):
    now = datetime.now(UTC)
    other = pki.authority("Other CA", now)
    same_name = pki.authority(target.hub.authority().certificate.subject.rfc4514_string().partition("=")[2], now)
    for name, shown in (
        ("of another CA", other.issue("sotttt")),
        ("of a CA with the same name", same_name.issue("sotttt")),
        ("self-signed", pki.authority("sotttt", now).identity),
    ):
        key, certificate = pki.write(tmp_path, name, shown)
        said = b""
        with contextlib.suppress(ssl.SSLError, ConnectionError), target.connection(key, certificate) as secure:
            secure.sendall(b"GET /soap/documents?wsdl HTTP/1.1\r\nHost: x\r\n\r\n")
            said = secure.recv(1000)
        assert said == b"", name
    target.honest_call()


def test_ten_thousand_idle_and_slow_connections_leave_honest_callers_served(target):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted + 500), hard))
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 400
    before = target.memory("VmRSS")
    with contextlib.ExitStack() as stack:
        for _ in range(200):  # slow: half a request each
            secure = stack.enter_context(target.connection())
            secure.sendall(b"POST /soap/documents HTTP/1.1\r\nHost: x\r\n")
        opened = 0
        for number in range(min(wanted, room)):
            stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", target.port))))
            opened += 1
            if number % 1000 == 0:
                target.honest_call()
        for _ in range(10):
            target.honest_call()
        cost = (target.memory("VmRSS") - before) / hostile.MB
    assert cost < 400, f"{cost:.0f} MB for {opened} connections"
    until(lambda: target.honest_call() is None, "an honest call afterwards")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_leaves_uploads_unfinished_is_told_so_himself_and_the_others_bring_theirs(target):
    partner = target.hub.home / "partners/sotttt.toml"
    partner.write_text(partner.read_text("utf-8") + '\n[policy]\nintake-spool = "100MiB"\n', "utf-8")
    target.hub.cli("reload")
    head = b"POST /soap/documents HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 39000000\r\n\r\n<"
    with contextlib.ExitStack() as stack:
        begun = [stack.enter_context(target.connection()) for _ in range(23)]
        for secure in begun:
            secure.sendall(head)
        until(lambda: target.hub.log.read_text().count("spool: sotttt has") == 21, "the hub to refuse all but two")
        for secure in begun[-3:]:
            secure.settimeout(5)  # two of all are not answered, mostly those that began first
        told = [(status, codes(answer)) for status, answer in map(heard, begun[-3:])]
        assert (503, {"hub-busy"}) in told
        packet = write_document_packet("H55.1", ["H55.13"], number="1", notation="VP", subject="x", promulgated=date(2026, 11, 20),
                          attachments=[("x.bin", bytes(5_000_000))])  # fmt: skip
        with target.hub.client("vpub") as client:
            assert client.send(packet, "vpub-large").document_id
        target.number += 1
        target.honest_call()  # what is small, the partner may send all the while
    assert "disk-low" not in target.hub.log.read_text()
    until(lambda: target.post(SOAP11, b" " * 200_000)[0] == 500, "its room to be given back")


def test_nothing_hostile_stands_among_the_accepted(target):
    accepted = target.hub.cli("messages", "--state", "accepted", "--json")
    assert len(accepted) == target.number
    assert "Traceback" not in target.hub.log.read_text()
    assert target.hub.process.poll() is None
