"""The partner systems of a simulated province: they send, are pushed to, and fetch. Knows the outside contract only.

They speak TLS and HTTP over the lines of the world, sign and verify by signxml, and keep what they saw as the lines of a record
(tests/faults/record.py).
"""

import base64
import hashlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import attrs
from cryptography import x509
from lxml import etree
from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from hub.runtime.http_client import HttpClient, SharedTlsContext
from lienthong_demo.protocol.signing import PartnerIdentity, Unbelievable
from tests.faults import caller
from tests.faults.caller import DOCUMENTS, Refused, Unknown
from tests.faults.generator import POISON, draw_lane
from tests.faults.receiver import ACCEPTED, GARBAGE, REFUSED, read_pushed, told
from tests.simulation.world import Reactor

#: Seconds that a partner waits for an answer of the hub.
PATIENCE = 20.0
#: Days of a series of meetings that a document may bring.
DAYS = 120
#: Part of what was taken that a sender sends once more.
_AGAIN = 0.05
#: Every so manieth document is left unconfirmed when it is fetched first.
_LEFT = 7


def make_context(pki: Path, code: str) -> SSL.Context:
    """Return the TLS context of a partner, on either end."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_file(str(pki / f"partners/{code}.crt"))
    context.use_privatekey_file(str(pki / f"partners/{code}.key"))
    context.load_verify_locations(str(pki / "ca.crt"))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *said: bool(said[-1]))
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


@attrs.define(eq=False)
class Record:
    """What one partner saw, in order."""

    now: Callable[[], float]
    lines: list[dict[str, Any]] = attrs.field(factory=list)

    def write(self, what: str, **said: object) -> None:
        """Append a line."""
        self.lines.append({"what": what, "at": self.now(), **said})


@attrs.define(eq=False)
class Caller:
    """How a partner calls the hub."""

    reactor: Reactor
    identity: PartnerIdentity
    hub: x509.Certificate
    port: int
    wall: Callable[[], datetime]
    client: HttpClient

    @classmethod
    def load(cls, reactor: Reactor, pki: Path, code: str, port: int, wall: Callable[[], datetime]) -> "Caller":
        """Read the partner's key and certificate, and the hub's certificate."""
        identity = PartnerIdentity.load(pki / f"partners/{code}.key", pki / f"partners/{code}.crt")
        hub = x509.load_pem_x509_certificate((pki / "hub.crt").read_bytes())
        client = HttpClient(reactor, SharedTlsContext(make_context(pki, code)), 5.0, 2)
        return cls(reactor, identity, hub, port, wall, client)

    async def send(self, message_id: str, packet: bytes) -> caller.Taken:
        """Send a packet. Unknown, Refused."""
        fields = {"MessageId": message_id, "Packet": base64.b64encode(packet).decode()}
        return caller.read_taken(await self._call("SendDocument", fields))

    async def list_pending(self, unit: str) -> list[str]:
        """Return what waits for *unit*. Unknown, Refused."""
        return caller.read_pending(await self._call("GetPendingDocumentIds", {"OrganId": unit}))

    async def fetch(self, document_id: str) -> bytes:
        """Return the packet of a document. Unknown, Refused."""
        return caller.read_packet(await self._call("GetDocument", {"DocumentId": document_id}))

    async def confirm(self, document_id: str, unit: str) -> None:
        """Confirm that *unit* has it. Unknown, Refused."""
        caller.require_success(await self._call("ConfirmReceived", {"DocumentId": document_id, "OrganId": unit}))

    async def _call(self, operation: str, fields: dict[str, str]) -> etree._Element:
        content = caller.write_call(self.identity, self.wall(), operation, fields)
        headers = (("Content-Type", "text/xml; charset=utf-8"), ("SOAPAction", f'"{DOCUMENTS}/{operation}"'))
        asked = self.client.exchange(
            "POST", f"https://127.0.0.1:{self.port}/soap/documents", headers, content, 50_000_000
        )
        try:
            answer = await Deferred.fromCoroutine(asked).addTimeout(PATIENCE, self.reactor)
            return caller.understand(answer.status, answer.body, self.hub, self.wall())
        except (Refused, Unknown):
            raise
        except (defer.TimeoutError, Unbelievable, etree.XMLSyntaxError, OSError, ValueError, SSL.Error) as error:
            raise Unknown(f"{type(error).__name__}: {error}") from error
        except Exception as error:  # the connection ended, in one of Twisted's many words
            raise Unknown(f"{type(error).__name__}: {error}") from error


@attrs.define(eq=False)
class Sender:
    """Sends whole lanes: a document, then updates of it, each when the one before has its receipt."""

    caller: Caller
    record: Record
    who: dict[str, Any]
    number: int
    seed: str
    pause: tuple[float, float]  #: seconds between two messages
    chance: random.Random = attrs.field(init=False)
    over: bool = False
    ended: bool = False

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(f"sender {self.seed} {self.number}")

    async def run(self) -> None:
        """Send until told to end, and finish what is begun."""
        lane = 0
        while not self.over:
            lane += 1
            for packet, said in draw_lane(self.chance, self.who, f"{self.seed}-{self.number}", self.number, lane, DAYS):
                if not await self._send(packet, said):
                    break
                if self.chance.random() < _AGAIN:
                    await self._send(packet, said)
                await _wait(self.caller.reactor, self.chance.uniform(*self.pause))
        self.ended = True

    async def _send(self, packet: bytes, said: dict[str, Any]) -> bool:
        """Send until there is an answer. True for a receipt."""
        name = said["message_id"]
        self.record.write("sending", **said)
        while True:
            try:
                taken = await self.caller.send(name, packet)
            except Unknown as unknown:
                self.record.write("unknown", message_id=name, why=str(unknown)[:200])
                await _wait(self.caller.reactor, self.chance.uniform(2, 30))
                continue
            except Refused as refused:
                self.record.write("refused", message_id=name, codes=refused.codes)
                return False
            receipt = taken.receipt.decode()
            self.record.write(
                "receipted", message_id=name, sha256=said["sha256"], document_id=taken.document_id, receipt=receipt
            )
            return True


@attrs.define(eq=False)
class Fetcher:
    """Fetches, records and confirms; leaves some unconfirmed at first."""

    caller: Caller
    record: Record
    unit: str
    every: float  #: seconds between two rounds
    over: bool = False
    ended: bool = False
    got: dict[str, int] = attrs.field(factory=dict)

    async def run(self) -> None:
        """Fetch round after round; when told to end, until nothing is left."""
        while True:
            ending, left = self.over, -1
            try:
                left = await self._fetch_all(everything=ending)
            except Unknown as unknown:
                self.record.write("unheard", why=str(unknown)[:200])
            if ending and left == 0:
                break
            await _wait(self.caller.reactor, self.every)
        self.ended = True

    async def _fetch_all(self, *, everything: bool) -> int:
        waiting = await self.caller.list_pending(self.unit)
        for document_id in waiting:
            if document_id in self.got and self.got[document_id] % _LEFT == 0 and not everything:
                continue
            try:
                packet = await self.caller.fetch(document_id)
                digest = hashlib.sha256(packet).hexdigest()
                self.record.write("arrived", document_id=document_id, sha256=digest, answer="fetched", **told(packet))
                self.got.setdefault(document_id, len(self.got) + 1)
                if self.got[document_id] % _LEFT or everything:
                    self.record.write("confirming", document_id=document_id)
                    await self.caller.confirm(document_id, self.unit)
            except Refused as refused:
                self.record.write("refused", document_id=document_id, codes=refused.codes)
                break  # what follows may be of the same lane; the next round asks again
        return len(waiting)


@implementer(IOpenSSLContextFactory)
@attrs.define(eq=False)
class Receiver:
    """A partner that is pushed to: it takes, records and answers; or misbehaves.

    Its modes are those of tests/faults/receiver.py.
    """

    reactor: Reactor
    record: Record
    port: int
    context: SSL.Context
    chance: random.Random
    mode: str = "ok"
    delay: float = 3.0
    listening: Any = None

    def getContext(self) -> SSL.Context:
        """See `IOpenSSLContextFactory`."""
        return self.context

    def open(self) -> None:
        """Listen."""
        factory = Factory.forProtocol(lambda: _Receiving(self))
        factory.noisy = False
        self.listening = self.reactor.listen(self.port, TLSMemoryBIOFactory(self, False, factory))

    def move(self, port: int) -> None:
        """Listen at another port; lines that are open stay."""
        listens = self.mode != "down"
        if listens:
            self.listening.stopListening()
        self.port = port
        if listens:
            self.open()

    def turn(self, mode: str, delay: float) -> None:
        """Take on a mode."""
        if mode == "down" and self.mode != "down":
            self.listening.stopListening()
            for line in [each for each in self.reactor.world.lines if each.port == self.port]:
                line.lose(None)
        if mode != "down" and self.mode == "down":
            self.open()
        self.mode, self.delay = mode, delay


class _Receiving(Protocol):
    """One connection of the hub to a partner."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver, self.buffer, self.lost = receiver, b"", False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note that nobody hears an answer."""
        self.lost = True

    def dataReceived(self, data: bytes) -> None:
        """Collect a call; answer it as the mode says."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        (length,) = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if len(rest) < int(length):
            return
        self.buffer = rest[int(length) :]
        self._take(rest[: int(length)])

    def _take(self, content: bytes) -> None:
        receiver, transport = self.receiver, cast("Any", self.transport)
        mode = receiver.mode
        if mode == "reset" and receiver.chance.random() < 0.5:
            transport.abortConnection()
            return
        pushed = read_pushed(content)
        refused = mode == "refuse" or POISON in pushed["subject"]
        said = {"ok": "accepted", "slow": "accepted", "refuse": "accepted"}.get(mode, mode)
        receiver.record.write("arrived", **pushed, answer="refused" if refused and said == "accepted" else said)
        answer = REFUSED if refused else ACCEPTED
        match mode:
            case "late":
                receiver.reactor.callLater(receiver.delay * 40, transport.loseConnection)
            case "garbage":
                transport.write(receiver.chance.choice(GARBAGE))
                transport.loseConnection()
            case "reset" | "down":
                transport.abortConnection()
            case "slow":
                receiver.reactor.callLater(receiver.delay, self._answer, answer)
            case _:
                transport.write(answer)

    def _answer(self, answer: bytes) -> None:
        if not self.lost and self.transport is not None:
            self.transport.write(answer)


def _wait(reactor: Reactor, seconds: float) -> Awaitable[None]:
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done
