"""One partner system: `python -m lienthong_demo.partners.partner CODE ...`.

Speaks only SOAP over mutual TLS with the hub. Knows its own key, units and notebook, and the hub's address and
certificate. Does not know the hub's directory, database or code. The conductor writes one JSON order a line to its
standard input and reads one answer a line. When that input ends, the partner ends.
"""

import argparse
import json
import os
import queue
import sys
import threading
import traceback
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from lxml import etree

from lienthong_demo.plan import agenda, packets
from lienthong_demo.protocol.calling import make_parser
from lienthong_demo.protocol.client import HubClient, HubReply, Unanswered, Wire
from lienthong_demo.protocol.letterbox import Delivered, Letterbox, Shelf, make_server_context
from lienthong_demo.protocol.notebook import Notebook, hash_content
from lienthong_demo.protocol.reading import read_sample_packet
from lienthong_demo.protocol.signing import SOAP, WSSE, PartnerIdentity, WireSignature, read_clock, seal_packet

#: The statuses that units answer to a new document, by way of working. The document's number selects one of the tuples.
COURSES = {
    "mixed": (("01", "03", "04", "05", "06"), ("01", "02"), ("01", "03"), ("01", "03", "05", "06"), ("01", "03", "04")),
    "busy": (
        ("01", "03", "04", "05", "06"),
        ("01", "03", "04", "06"),
        ("01", "03", "04", "05"),
        ("01", "03", "05", "06"),
    ),
    "brisk": (("03", "06"), ("03",), ("01", "03")),
}
#: The statuses that they answer to the reply to an invitation.
FILED = ("03",)
#: The statuses that they answer to a recall, an update, a replacement, and to a sender that asks for its document back
#: (13).
AGREED = {"recall": ("15",), "update": ("15",), "replacement": ("01", "03"), "13": ("15",)}
MEANINGS = {
    "01": "Đã đến",
    "02": "Từ chối tiếp nhận",
    "03": "Đã tiếp nhận",
    "04": "Phân công",
    "05": "Đang xử lý",
    "06": "Hoàn thành",
    "15": "Đồng ý",
}

#: Seconds between two rounds of fetching: after a round with documents; at most, after rounds without.
_POLL, _LONGEST_POLL = 0.2, 0.8
_TRIES = 20
_PAUSE = 0.5  #: seconds before the same message is sent again


@attrs.define
class PartnerState:
    """The state that the threads of one partner share."""

    code: str
    units: tuple[str, ...]  #: the units that it fetches and answers for
    hub: str  #: address of the SOAP port
    wire: Wire
    identity: PartnerIdentity
    certificate: x509.Certificate  #: the hub's certificate
    notebook: Notebook
    shelf: Shelf
    courses: tuple[tuple[str, ...], ...] = COURSES["mixed"]
    desk: "queue.Queue[bytes]" = attrs.field(factory=queue.Queue)  #: received documents that are to be answered
    stopping: threading.Event = attrs.field(factory=threading.Event)
    #: document -> the units here that received it
    _had: dict[tuple[str, str], tuple[str, ...]] = attrs.field(factory=dict)

    def client(self, spoil: str | None = None) -> HubClient:
        """Return a new connection. *spoil* names a deliberate mistake in its calls."""
        return HubClient(self.hub, self.wire, SPOILS[spoil](self))

    def send(
        self, client: HubClient, packet: bytes, message_id: str | None, operation: str = "SendDocument"
    ) -> HubReply:
        """Send a packet until the hub answers, and note the answer. Raises Unanswered after the last try."""
        note: dict[str, object] = {
            "message_id": message_id or hash_content(packet),
            "sha256": hash_content(packet),
            "size": len(packet),
        }
        for left in reversed(range(_TRIES)):
            self.notebook.write("sending", read_clock(), **note)
            try:
                answer = client.send(packet, message_id, operation)
            except Unanswered as error:
                self.notebook.write("unanswered", read_clock(), **note, problem=str(error))
                if not left or self.stopping.wait(_PAUSE):
                    raise
                continue
            about = attrs.asdict(read_sample_packet(packet)) if answer.accepted else None
            self.notebook.write(
                "sent",
                read_clock(),
                **note,
                **attrs.asdict(answer),
                about=about,
                calendar=about and agenda.note_meeting(packet),
            )
            return answer
        raise AssertionError("unreachable")

    def fetch_rounds(self) -> None:
        """Fetch and confirm for every unit, in endless rounds, until the partner stops."""
        client, pause = self.client(), _POLL
        while not self.stopping.wait(pause):
            found = 0
            for unit in self.units:
                try:
                    found += self._fetch(client, unit)
                except Unanswered as error:
                    self.notebook.write("unanswered", read_clock(), problem=str(error))
            pause = _POLL if found else min(2 * pause, _LONGEST_POLL)

    def _fetch(self, client: HubClient, unit: str) -> int:
        """Fetch and confirm the documents that wait for *unit*. Return their number."""
        waiting = client.pending(unit)
        for document_id in waiting:
            got = client.fetch(document_id)
            if self.shelf.take(Delivered(got.document_id, got.content), "fetch"):
                self.desk.put(got.content)
            refused = client.confirm(document_id, unit)
            self.notebook.write("confirmed", read_clock(), document_id=document_id, unit=unit, codes=refused)
        return len(waiting)

    def answer_documents(self) -> None:
        """Answer received documents with statuses, in order of arrival, until the partner stops."""
        client = self.client()
        while not self.stopping.is_set():
            try:
                content = self.desk.get(timeout=0.2)
            except queue.Empty:
                continue
            # Both operations accept a status. Without a MessageId the hub uses the SHA-256.
            for packet, operation in zip(self._answers(content), cycle(("UpdateTraces", "SendDocument"))):
                if not self.stopping.is_set():
                    self.send(client, packet, None, operation)
            for reply in agenda.write_meeting_replies(content, self.units, read_clock()):
                if not self.stopping.is_set():
                    self.send(client, reply, None)
            self.desk.task_done()

    def _answers(self, content: bytes) -> Iterator[bytes]:
        """Yield the status packets that this partner's units send about *content*."""
        about = read_sample_packet(content)
        ours = [unit for unit in about.recipients if unit in self.units]
        self.notebook.write("opened", read_clock(), about=attrs.asdict(about), units=ours)
        document = (about.sender, about.document_id)
        if about.status == "13":
            units, course = self._had.get(document, ()), AGREED["13"]
        elif about.kind == "status":
            return
        elif about.kind == "document":
            chosen = self.courses[zlib.crc32(about.code.encode()) % len(self.courses)]
            units, course = tuple(ours), FILED if agenda.is_reply(content) else chosen
            self._had[document] = units
        else:
            units, course = tuple(ours), AGREED[about.kind]
        organ = about.answered or about.sender
        answered = packets.Answered(organ, about.code, about.promulgation_date, about.document_id)
        for unit in units:
            for status in course:
                yield packets.write_status_packet(unit, status, answered, at=read_clock(), description=MEANINGS[status])


def _well(partner: PartnerState) -> WireSignature:
    return WireSignature(partner.identity, partner.certificate)


def _changed(envelope: etree._Element) -> None:
    """Change signed content."""
    for element in envelope.iterfind(f"{{{SOAP}}}Body/*/*"):
        element.text = (element.text or "")[:-8]


def _moved(envelope: etree._Element) -> None:
    """Wrap the signature: move the signed Body into the Header and put another Body in its place."""
    body = envelope[-1]
    twin = etree.fromstring(etree.tostring(body))
    twin.attrib.clear()
    envelope.append(twin)
    etree.SubElement(envelope[0], "{urn:elsewhere}Kept").append(body)


def _halved(envelope: etree._Element) -> None:
    """Remove the Timestamp that was signed with the Body."""
    security = envelope.find(f"{{{SOAP}}}Header/{{{WSSE}}}Security")
    for element in [] if security is None else list(security):
        if etree.QName(element).localname == "Timestamp":
            element.getparent().remove(element)  # type: ignore[union-attr]  # it has the parent it was found in


#: The deliberate mistakes that a call may have.
SPOILS: Mapping[str | None, Any] = {
    None: _well,
    "unsigned": lambda _partner: None,
    "changed": lambda partner: attrs.evolve(_well(partner), tamper=_changed),
    "moved": lambda partner: attrs.evolve(_well(partner), tamper=_moved),
    "halved": lambda partner: attrs.evolve(_well(partner), tamper=_halved),
    "stale": lambda partner: attrs.evolve(_well(partner), lag=timedelta(hours=2)),
}


def obey_partner_order(
    partner: PartnerState, order: Mapping[str, Any], clients: dict[str | None, HubClient]
) -> Mapping[str, object]:
    """Execute one order of the conductor."""
    match order["do"]:
        case "send":
            client = _client(partner, clients, order["spoil"])
            packet = Path(order["file"]).read_bytes()
            if order["sealed"]:
                packet = seal_packet(packet, partner.identity)
            try:
                return attrs.asdict(partner.send(client, packet, order["message_id"], order["operation"]))
            except Unanswered as error:
                return {"accepted": False, "codes": ["unanswered", str(error)]}
        case "traces":
            return {"traces": len(_client(partner, clients, None).traces(order["unit"]))}
        case "idle":
            return {"waiting": partner.desk.unfinished_tasks}
        case other:
            raise ValueError(f"no such order: {other}")


def _client(partner: PartnerState, clients: dict[str | None, HubClient], spoil: str | None) -> HubClient:
    if spoil not in clients:
        clients[spoil] = partner.client(spoil)
    return clients[spoil]


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = make_parser("lienthong_demo.partners.partner")
    parser.add_argument("--units", default="", help="codes, separated by commas")
    parser.add_argument("--courses", choices=sorted(COURSES), default="mixed", help="how its units work")
    parser.add_argument("--listen", type=int, help="the port where it is pushed to; without it, it fetches")
    return parser.parse_args(arguments)


def run_partner(options: argparse.Namespace) -> None:
    """Run the partner until the orders end."""
    identity = PartnerIdentity.load(options.key, options.certificate)
    certificate = x509.load_pem_x509_certificate(options.hub_certificate.read_bytes())
    notebook = Notebook(options.notebook)  # closed only at an orderly end, because a thread may still be writing
    partner = PartnerState(
        code=options.code,
        units=tuple(filter(None, options.units.split(","))),
        hub=options.hub,
        wire=Wire(options.key, options.certificate, options.ca),
        identity=identity,
        certificate=certificate,
        notebook=notebook,
        shelf=Shelf.reopen(notebook),
        courses=COURSES[options.courses],
    )
    threads = [threading.Thread(target=partner.answer_documents, daemon=True)]
    letterbox = None
    if options.listen is None:
        threads.append(threading.Thread(target=partner.fetch_rounds, daemon=True))
    else:
        tls = make_server_context(options.key, options.certificate, options.ca)
        tell = lambda delivered: partner.desk.put(delivered.content)  # noqa: E731
        letterbox = Letterbox(("127.0.0.1", options.listen), tls, identity, certificate, partner.shelf, tell)
        threads.append(threading.Thread(target=letterbox.serve_forever, args=(0.05,), daemon=True))
    for thread in threads:
        thread.start()
    notebook.write("started", read_clock(), code=partner.code)
    _say({"ready": True})
    clients: dict[str | None, HubClient] = {}
    for line in sys.stdin:
        _say(obey_partner_order(partner, json.loads(line), clients))
    partner.stopping.set()
    if letterbox is not None:
        letterbox.shutdown()
        letterbox.server_close()
    for thread in threads:
        thread.join()
    notebook.write("stopped", read_clock(), code=partner.code)
    notebook.close()


def _say(answer: Mapping[str, object]) -> None:
    print(json.dumps(answer), flush=True)


def _die(failure: threading.ExceptHookArgs) -> None:
    """End the whole process with a traceback if a thread dies, so that no half-working partner goes on."""
    traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    threading.excepthook = _die
    run_partner(_options(sys.argv[1:]))
