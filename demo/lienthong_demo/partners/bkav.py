"""A provincial SOAP bus with BKAV's eDoc service: `python -m lienthong_demo.partners.bkav`.

Knows the operations and their checks. Knows nothing of the hub. Orders: `put FILE` adds a document or a status of
another agency; `spoil ID` removes a part of a document; `double` lists every document twice; `fault` answers the next
call with a fault of the bus; `documents` returns which organ has confirmed what, and how many statuses have not been
requested yet.
"""

import argparse
import base64
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import attrs
from lxml import etree

from lienthong_demo.protocol import bus, checker
from lienthong_demo.protocol.bus import (
    EDOC,
    BusCall,
    CallUnreadable,
    find_elements,
    read_path_text,
    write_bus_answer,
    write_bus_fault,
)
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook, hash_content, read_notebook
from lienthong_demo.protocol.partner_server import PartnerServer

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"


@attrs.define
class Waiting:
    """A document that waits for its receiving organs."""

    header: list[str]
    manifest: str
    files: dict[str, bytes]
    organs: dict[str, bool]  #: organ -> whether it has confirmed
    spoilt: bool = False


@attrs.define
class Bus:
    """The state that the threads of the bus share."""

    options: argparse.Namespace
    office: PartnerServer
    documents: dict[str, Waiting] = attrs.field(factory=dict)
    statuses: list[tuple[str, str]] = attrs.field(factory=list)  #: receiver and XML
    shown: set[str] = attrs.field(factory=set)  #: ids of statuses that were requested
    taken: dict[tuple[str, ...], str] = attrs.field(factory=dict)  #: content that was sent -> its id
    doubling: bool = False
    faults: int = 0
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def answer(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        """Answer one call."""
        try:
            asked = bus.open_bus_call(call)
        except CallUnreadable as error:
            return write_bus_fault(SOAP11, escape(str(error)), ours=False)
        with self.lock:
            self.faults, faulty = max(self.faults - 1, 0), self.faults > 0
        if faulty:
            return write_bus_fault(asked.soap, "Read timed out", ours=True)
        operations: dict[str, Callable[[BusCall], ServerAnswer]] = {
            "SendDocument": self._send,
            "UpdateTraces": self._update,
            "GetPendingDocumentIds": self._pending,
            "GetDocument": self._get,
            "ConfirmReceived": self._confirm,
            "GetTraces": self._traces,
            "CheckPermission": lambda asked: self.report(asked, "CheckPermission"),
        }
        if asked.action not in operations:
            return write_bus_fault(asked.soap, f"The operation {escape(asked.action)} is not there", ours=False)
        wrong = self._stranger(asked) or (["M.MessageHeader.To"] if refuse else [])
        return self.report(asked, asked.action, *wrong) if wrong else operations[asked.action](asked)

    def _stranger(self, asked: BusCall) -> list[str]:
        """Return the error codes for a wrong caller.

        At least one place must hold the token, and none may hold another value.
        """
        key = next(iter(find_elements(asked.header.get("Signature"), "KeyInfo")), None)
        shown = [read_path_text(key, "Token")] if key is not None else []
        shown += [(each.text or "").strip() for each in find_elements(asked.body, "Token")]
        shown += [(asked.header["Token"].text or "").strip()] if "Token" in asked.header else []
        if not shown:
            return ["N.Token"]
        organ = read_path_text(key, "OrganId") if key is not None else asked.field("OrganId")
        known = self.options.organs.split(",")
        return [] if set(shown) == {self.options.token} and organ in known else ["M.CheckPermission"]

    def _send(self, asked: BusCall) -> ServerAnswer:
        message = asked.header.get("MessageHeader")
        manifest = next(iter(find_elements(asked.body, "Manifest")), None)
        organs = [read_path_text(each, "OrganId") for each in find_elements(message, "To")]
        receivers, whole = self.options.receivers.split(","), self.options.checks == "all"
        wrong = checker.check_document_packet(message, manifest, asked.files, receivers, whole=whole)
        if wrong:
            self.office.note("refused", codes=wrong)
            return self.report(asked, "SendDocument", *wrong)
        business = read_path_text(asked.header.get("TraceHeaderList"), "BussinessDocType")
        sender, document = read_path_text(message, "From", "OrganId"), find_elements(message, "DocumentId")[-1:]
        key = (
            sender,
            document[0].text or "" if document else "",
            business,
            *(hash_content(each) for each in asked.files.values()),
        )
        with self.lock:
            if self.options.again == "exist":
                # as its source does: only a new document is looked up, by its DocumentId alone
                if business in {"", "0"} and any(each[1] == key[1] for each in self.taken):
                    return self.report(asked, "SendDocument", "M.Exist")
                key = (*key, str(len(self.taken)))
            known = self.taken.get(key)
            self.taken.setdefault(key, str(len(self.taken) + 1000))
        if known and self.options.again == "refuse":
            return self.report(asked, "SendDocument", "M.DocumentId")
        files = {name: hash_content(content) for name, content in asked.files.items()}
        self.office.note(
            "again" if known else "sent",
            id=self.taken[key],
            document_id=key[1],
            sender=sender,
            organs=organs,
            files=files,
        )
        return self.report(asked, "SendDocument", more=f"<edXML:DocumentId>{self.taken[key]}</edXML:DocumentId>")

    def _update(self, asked: BusCall) -> ServerAnswer:
        message = asked.header.get("MessageHeader")
        wrong = checker.check_status_packet(message)
        if not wrong:
            told = {"sender": read_path_text(message, "From", "OrganId"), "code": read_path_text(message, "StatusCode")}
            self.office.note("status", document_id=read_path_text(message, "ResponseFor", "DocumentId"), **told)
        return self.report(asked, "UpdateTraces", *wrong)

    def _pending(self, asked: BusCall) -> ServerAnswer:
        organ = asked.field("OrganId")
        ids = [name for name, each in self.documents.items() if each.organs.get(organ) is False]
        listed = "".join(f"<DocumentId>{name}</DocumentId>" for name in ids for _ in range(2 if self.doubling else 1))
        return self.report(asked, "GetPendingDocumentIds", more=listed)

    def _get(self, asked: BusCall) -> ServerAnswer:
        waiting = self.documents.get(asked.field("DocumentId"))
        if waiting is None or asked.field("OrganId") not in waiting.organs:
            return self.report(asked, "GetDocument", "N.DocumentId")
        files = dict(list(waiting.files.items())[1:]) if waiting.spoilt else waiting.files
        return self._written(asked, waiting.header, waiting.manifest, files)

    def _confirm(self, asked: BusCall) -> ServerAnswer:
        document_id, organ = asked.field("DocumentId"), asked.field("OrganId")
        waiting = self.documents.get(document_id)
        if waiting is None or organ not in waiting.organs:
            return self.report(asked, "ConfirmReceived", "N.DocumentId")
        self.office.note("confirmed", id=document_id, organ=organ)
        waiting.organs[organ] = True
        return self.report(asked, "ConfirmReceived")

    def _traces(self, asked: BusCall) -> ServerAnswer:
        organ = asked.field("OrganId")
        given = {f"status {n}": xml for n, (to, xml) in enumerate(self.statuses, 1) if to == organ}
        with self.lock:
            new = sorted(given.keys() - self.shown)
            self.shown.update(new)
        for status_id in new:
            self.office.note("shown", id=status_id)
        return self.report(asked, "GetTraces", more="".join(given.values()))

    def report(self, asked: BusCall, operation: str, *codes: str, more: str = "") -> ServerAnswer:
        """Write the answer of *operation*: success, or an error for each of *codes*."""
        errors = "".join(f"<Error><Code>{code}</Code><Description>Không hợp lệ</Description></Error>" for code in codes)
        success = "false" if codes else "true"
        report = f"<edXML:Report><IsSuccess>{success}</IsSuccess><ErrorList>{errors}</ErrorList></edXML:Report>"
        name = f"{operation}Response"
        return self._written(asked, [], f'<edXML:{name} xmlns:edXML="{EDOC}">{report}{more}</edXML:{name}>', {})

    def _written(self, asked: BusCall, header: list[str], body: str, files: Mapping[str, bytes]) -> ServerAnswer:
        return write_bus_answer(
            asked.soap, header, body, files, packing=self.options.packing, encoding=self.options.encoding
        )

    def put(self, content: bytes) -> str:
        """Add a packet of another agency, split into the parts that the bus would have received."""
        root = bus.parse_bus_document(content)
        message = find_elements(root, "MessageHeader")[0]
        status = read_path_text(message, "StatusCode")
        if status:
            self.statuses.append(
                (read_path_text(message, "ResponseFor", "OrganId"), bus.respell_element(message, EDOC, "Status"))
            )
            return f"status {len(self.statuses)}"
        header = [
            bus.respell_element(each, EDOC)
            for each in message.getparent()  # type: ignore[union-attr]
            if etree.QName(each).localname != "Signature"
        ]
        manifest = bus.respell_element(find_elements(root, "edXMLManifest")[0], EDOC, "Manifest")
        files = {
            read_path_text(each, "ContentId").removeprefix("cid:"): base64.b64decode(
                read_path_text(each, "ContentTransferEncoded")
            )
            for each in find_elements(root, "Attachment")
        }
        organs = {read_path_text(each, "OrganId"): False for each in find_elements(message, "To")}
        document_id = str(len(self.documents) + 1)
        self.documents[document_id] = Waiting(header, manifest, files, organs)
        return document_id

    def obey(self, order: Mapping[str, Any]) -> Mapping[str, object]:
        """Execute one order of the conductor."""
        match order["do"]:
            case "put":
                content = Path(order["file"]).read_bytes()
                self.office.note("waiting", content=base64.b64encode(content).decode())
                return {"id": self.put(content)}
            case "spoil":
                self.documents[order["id"]].spoilt = order.get("spoilt", True)
            case "double":
                self.doubling = True
            case "fault":
                self.faults = order.get("times", 1)
            case "documents":
                documents = {name: each.organs for name, each in self.documents.items()}
                return {"documents": documents, "unseen": len(self.statuses) - len(self.shown)}
            case other:
                return {"error": f"no such order: {other}"}
        return {"done": order["do"]}

    def reopen(self) -> None:
        """Restore the state from the notebook."""
        for line in read_notebook(self.office.notebook.path):
            if line["what"] == "waiting":
                self.put(base64.b64decode(str(line["content"])))
            elif line["what"] == "confirmed":
                self.documents[str(line["id"])].organs[str(line["organ"])] = True
            elif line["what"] == "shown":
                self.shown.add(str(line["id"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("lienthong_demo.partners.bkav")
    parser.add_argument("--port", type=int, required=True, help="on loopback; 0: any")
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--token", default="the-lien-thong")
    parser.add_argument("--organs", default="000.00.00.H55,H55.01", help="codes that the token is good for")
    parser.add_argument("--receivers", default="000.00.00.H53,000.00.13.H53", help="codes that may be sent to")
    parser.add_argument("--packing", choices=("plain", "swa", "mtom"), default="swa", help="of answers")
    parser.add_argument("--encoding", choices=("binary", "base64"), default="binary", help="of parts")
    parser.add_argument("--checks", choices=("all", "run-time"), default="all", help="of documents")
    parser.add_argument("--again", choices=("exist", "accept", "refuse"), default="exist", help="what was sent before")
    return parser.parse_args()


def run_bkav_bus(options: argparse.Namespace) -> None:
    """Run the bus until the orders end."""
    notebook = Notebook(options.notebook)
    office = PartnerServer(notebook, lambda _call, _refuse: ServerAnswer(500))
    made = Bus(options, office)
    nobody = BusCall(soap=SOAP11, action="", header={}, body=etree.Element("Body"), files={})
    office.answer, office.obey, office.denial = made.answer, made.obey, made.report(nobody, "", "M.CheckPermission")
    made.reopen()
    office.serve(options.port)


if __name__ == "__main__":
    run_bkav_bus(_options())
