"""Partner systems that are pushed to, in one process: `python -m tests.faults.receiver ORDERS`.  Take, record, answer; or misbehave.

Each line of its input gives a partner a mode, and is answered by a line when the mode holds:

    ok       take it and say so                          slow     take it, wait, and say so in pieces
    late     take it and never answer                    garbage  take it and answer what is no answer
    reset    take it or not, and reset the connection    refuse   refuse every message, as a business refusal
    down     no port, no connection

It checks the hub's certificate by TLS and what it was pushed by its hash; it does not trust that the hub sends well.
"""

import asyncio
import base64
import hashlib
import json
import os
import random
import socket
import ssl
import struct
import sys
from pathlib import Path
from typing import Any

import attrs
from lxml import etree

from tests.faults.generator import POISON
from tests.faults.record import Record

_D = "{urn:lienthong:documents:1}"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
GARBAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 20\r\n\r\n\x00\xff<<>>not xml at all",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 29\r\n\r\n<html><body>ok</body></html>\n",
    b"HTTP/1.1 500 Oops\r\nContent-Type: text/xml\r\nContent-Length: 400\r\n\r\n<soap:Envelope",
    b"\x16\x03\x01 this is not HTTP\r\n\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 0\r\n\r\n",
)


def _answer(success: bool) -> bytes:
    error = "<d:Error><d:Code>99</d:Code><d:Description>không nhận</d:Description></d:Error>"
    body = (
        f'<soap:Envelope xmlns:soap="{_SOAP}"><soap:Body><d:SendDocumentResponse xmlns:d="urn:lienthong:documents:1"><d:Report>'
        f"<d:IsSuccess>{'true' if success else 'false'}</d:IsSuccess><d:ErrorList>{'' if success else error}</d:ErrorList>"
        "</d:Report></d:SendDocumentResponse></soap:Body></soap:Envelope>"
    ).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


ACCEPTED, REFUSED = _answer(True), _answer(False)


@attrs.define(eq=False)
class Receiver:
    """One partner."""

    orders: dict[str, Any]
    record: Record
    mode: str = "ok"
    delay: float = 0.5
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = attrs.field(factory=set)

    async def open(self) -> None:
        """Listen."""
        pki, code = Path(self.orders["pki"]), self.orders["partner"]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pki / f"partners/{code}.crt", pki / f"partners/{code}.key")
        tls.load_verify_locations(pki / "ca.crt")
        tls.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(
            self._serve, self.orders["host"], self.orders["port"], ssl=tls, backlog=200
        )

    async def turn(self, mode: str, delay: float) -> None:
        """Take on a mode."""
        if mode == "down" and self._server is not None:
            self._server.close()
            self._server = None
            for writer in list(self._open):
                writer.transport.abort()
        if mode != "down" and self._server is None:
            await self.open()
        self.mode, self.delay = mode, delay

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                mode, delay = self.mode, self.delay
                if mode == "reset" and random.random() < 0.5:
                    _reset(writer)
                    return
                pushed = read_pushed(await reader.readexactly(int(length)))
                refused = mode == "refuse" or POISON in pushed["subject"]
                said = {"ok": "accepted", "slow": "accepted", "refuse": "accepted"}.get(mode, mode)
                self.record.write("arrived", **pushed, answer="refused" if refused and said == "accepted" else said)
                match mode:
                    case "late":
                        await asyncio.sleep(delay)
                        return
                    case "garbage":
                        writer.write(random.choice(GARBAGE))
                        await writer.drain()
                        return
                    case "reset":
                        _reset(writer)
                        return
                    case "down":
                        writer.transport.abort()
                        return
                answer = REFUSED if refused else ACCEPTED
                if mode == "slow":
                    for start in range(0, len(answer), 100):
                        await asyncio.sleep(delay * 100 / len(answer))
                        writer.write(answer[start : start + 100])
                        await writer.drain()
                else:
                    writer.write(answer)
                    await writer.drain()
        except (OSError, EOFError, ssl.SSLError):
            pass  # the other side went: the record has what came
        finally:
            self._open.discard(writer)
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    found: socket.socket = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def read_pushed(content: bytes) -> dict[str, Any]:
    """Read what was pushed, and of the packet where in which lane it belongs."""
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    call = root.find(f"{{{_SOAP}}}Body/{_D}SendDocument")
    assert call is not None
    packet = base64.b64decode("".join((call.findtext(f"{_D}Packet") or "").split()), validate=True)
    return {
        "document_id": call.findtext(f"{_D}MessageId"),
        "sha256": hashlib.sha256(packet).hexdigest(),
        **told(packet),
    }


def told(packet: bytes) -> dict[str, Any]:
    """Return the lane and the place that the generator wrote into the subject, and the recipients."""
    header = etree.fromstring(packet).find("{*}edXMLEnvelope/{*}edXMLHeader/{*}MessageHeader")
    assert header is not None
    subject = header.findtext("{*}Subject") or ""
    lane, place, *_ = subject.split(" ")
    return {
        "lane": lane,
        "place": int(place),
        "subject": subject,
        "recipients": [each.text for each in header.iterfind("{*}To/{*}OrganId")],
    }


async def run(orders: dict[str, Any]) -> None:
    """Take until the input ends."""
    common = {name: orders[name] for name in ("pki", "host")}
    receivers = {each["partner"]: Receiver(each | common, Record(Path(each["record"]))) for each in orders["partners"]}
    for receiver in receivers.values():
        await receiver.open()
    print("ready", flush=True)
    lines: asyncio.Queue[str] = asyncio.Queue()

    def heard() -> None:
        for line in os.read(0, 65536).decode().splitlines() or [""]:
            lines.put_nowait(line)

    asyncio.get_running_loop().add_reader(0, heard)
    while line := await lines.get():
        asked = json.loads(line)
        await receivers[asked["partner"]].turn(asked["mode"], asked["delay"])
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
