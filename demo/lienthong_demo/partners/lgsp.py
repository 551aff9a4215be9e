"""A provincial LGSP: `python -m lienthong_demo.partners.lgsp`.

Knows the calls, checks and error table of Lạng Sơn's guide. Knows nothing of the hub. Orders: `put FILE` adds a waiting
packet; `fault CODE [TIMES]` answers the next packets with that code; `withhold ID` lists a document but does not return
it, `give ID` ends that; `double` lists every document twice; `documents` returns the state of each.
"""

import argparse
import base64
import email.parser
import email.policy
import secrets
import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from lienthong_demo.partners.waiting_packets import WaitingPacket, WaitingPackets
from lienthong_demo.plan.packets import HANOI
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook, hash_content
from lienthong_demo.protocol.partner_server import PartnerServer
from lienthong_demo.protocol.reading import list_sample_attachments, read_sample_packet

#: The error table of the guide.
ERRORS = {
    "0": "Thành công",
    "10": "File không hợp lệ",
    "15": "Sai SystemId hoặc SecretKey",
    "18": "Đơn vị nhận không tồn tại",
    "19": "Đơn vị gửi không đăng ký",
    "20": "Lỗi hệ thống từ phía LGSP",
    "21": "Lỗi xử lý file",
    "22": "Format edXML không đúng chuẩn QĐ 28",
    "23": "Đơn vị nhận đã khóa",
}
STATES = {"initial", "processing", "done", "fail"}


@attrs.define
class Gateway:
    """The state that the threads of the LGSP share."""

    options: argparse.Namespace
    office: PartnerServer
    holes: WaitingPackets
    faults: list[str] = attrs.field(factory=list)  #: codes that answer the next packets
    withheld: set[str] = attrs.field(factory=set)
    doubling: bool = False
    tokens: dict[str, datetime] = attrs.field(factory=dict)  #: bearer token -> when it ends
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def answer(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        """Answer one call."""
        if call.path == "/v1/auth/login" and call.method == "POST":
            return self._login(call)
        if self.options.login and not self._known(call.headers.get("authorization", "")):
            return ServerAnswer.json({"code": 401, "message": "Unauthorized", "licenseInfo": "invalid"}, 401)
        shown = (call.headers.get("x-systemid"), call.headers.get("x-secretkey"))
        if shown != (self.options.system_id, self.options.secret):
            return self._said("15")
        match call.method, call.path:
            case "POST", "/v1/sendEdoc":
                return self._send(call, refuse)
            case "GET", "/v1/syncReceivedEdocList":
                return self._list(call)
            case "GET", "/v1/getEdoc":
                return self._get(call)
            case "POST", "/v1/updateStatus":
                return self._update(call)
        return ServerAnswer.json({"code": 404, "message": f"no such call: {call.path}"}, 404)

    def _login(self, call: ServerCall) -> ServerAnswer:
        asked = call.json()
        shown = ":".join(str(asked.get(name)) for name in ("username", "password", "applicationCode"))
        if shown != self.options.login:
            return ServerAnswer.json({"code": 400, "message": "Sai tên đăng nhập hoặc mật khẩu", "data": None})
        token = secrets.token_urlsafe(24)
        with self.lock:
            self.tokens[token] = datetime.now(UTC) + timedelta(seconds=self.options.token_life)
        self.office.note("token")
        return ServerAnswer.json(
            {"code": 200, "message": "Success", "data": {"username": asked["username"], "token": token}}
        )

    def _known(self, header: str) -> bool:
        with self.lock:
            return self.tokens.get(header.removeprefix("Bearer "), datetime.min.replace(tzinfo=UTC)) > datetime.now(UTC)

    def _send(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        parts = _parts(call)
        file, kind = parts.get("edocFile", b""), parts.get("messageType", b"").decode()
        with self.lock:
            code = self.faults.pop(0) if self.faults else ""
        code = code or ("18" if refuse else self._judge(file, kind))
        document_id = "" if code else str(uuid.uuid4())
        packet = base64.b64encode(file).decode()
        said = {"id": document_id, "type": kind, "sha256": hash_content(file), "size": len(file)}
        self.office.note("sent", code=code, **said, packet=packet)
        return self._said(code or "0", document_id)

    def _judge(self, file: bytes, kind: str) -> str:
        """Return the error code for a packet; empty if it is accepted."""
        if not file:
            return "10"
        try:
            found = read_sample_packet(file)
        except (ValueError, KeyError):
            return "22"
        if kind not in {"edoc", "status"} or (kind == "status") != (found.kind == "status"):
            return "22"
        senders, receivers = self.options.senders.split(","), self.options.receivers.split(",")
        if not any(found.sender == each or found.sender.startswith(f"{each}.") for each in senders):
            return "19"
        to = (found.answered,) if found.kind == "status" else found.recipients
        if set(to) & set(self.options.locked.split(",")):
            return "23"
        return "" if to and set(to) & set(receivers) else "18"

    def _list(self, call: ServerCall) -> ServerAnswer:
        try:
            first, last = (datetime.strptime(call.query[name], "%Y/%m/%d").date() for name in ("fromDate", "toDate"))  # noqa: DTZ007 - a day
        except (KeyError, ValueError):
            return ServerAnswer.json({"success": False, "message": "fromDate, toDate: YYYY/MM/DD"})
        found = [
            item
            for item in self.holes.each(call.query.get("messageType", "edoc"))
            if first <= item.created.astimezone(HANOI).date() <= last
        ]
        rows = [_row(item) for item in found for _ in range(2 if self.doubling else 1)]
        return ServerAnswer.json({"success": True, "message": "OK", "count": len(rows), "data": rows})

    def _get(self, call: ServerCall) -> ServerAnswer:
        item = self.holes.get(call.query.get("docId", ""))
        if item is None or item.id in self.withheld:
            return self._said("21" if item else "10")
        if item.state == "initial":
            self.holes.move(item.id, "processing")
        plain = self.options.edxml == "xml"
        edxml = item.content.decode() if plain else base64.b64encode(item.content).decode()
        data = {"docId": item.id, "from": item.sender, **_describe(item.content), "edxml": edxml}
        return ServerAnswer.json({"success": True, "message": "OK", "data": data})

    def _update(self, call: ServerCall) -> ServerAnswer:
        asked = call.json()
        document_id, state = str(asked.get("docId")), str(asked.get("status"))
        if self.holes.get(document_id) is None or state not in STATES:
            return self._said("22")
        self.holes.move(document_id, state)
        return ServerAnswer.json({"success": True, "message": "OK"})

    def _said(self, code: str, document_id: str = "") -> ServerAnswer:
        """Answer with *code*, in the form of the guide or in the form observed later at the same interface."""
        if self.options.form == "seen":
            if code == "0":
                told = {"status": "OK", "docId": document_id, "errorCode": None, "errorDesc": None}
                return ServerAnswer.json({"code": 200, "message": "Success", "data": told})
            told = {"status": "FAIL", "docId": None, "errorCode": code, "errorDesc": ERRORS[code]}
            return ServerAnswer.json(
                {"code": 500, "message": ERRORS[code], "errorDetail": [{"exception": code}], "data": told}
            )
        if code == "0":
            return ServerAnswer.json({"success": True, "message": "OK", "docId": document_id})
        told = {"docId": None, "status": "FAIL", "errorCode": code, "errorDesc": ERRORS[code]}
        return ServerAnswer.json({"success": False, "message": "Lỗi", "data": told})

    def obey(self, order: Mapping[str, Any]) -> Mapping[str, object]:
        """Execute one order of the conductor."""
        match order["do"]:
            case "put":
                content = Path(order["file"]).read_bytes()
                found = read_sample_packet(content) if order.get("sound", True) else None
                kind = "status" if found and found.kind == "status" else "edoc"
                return {"id": self.holes.put(kind, found.sender if found else "", self.options.system_id, content)}
            case "fault":
                self.faults += [order["code"]] * order.get("times", 1)
            case "withhold":
                self.withheld.add(order["id"])
            case "give":
                self.withheld.discard(order["id"])
            case "double":
                self.doubling = True
            case "expire":
                self.tokens.clear()
            case "documents":
                return {"documents": {item.id: item.state for item in self.holes.each()}}
            case other:
                return {"error": f"no such order: {other}"}
        return {"done": order["do"]}


def _row(item: WaitingPacket) -> dict[str, str]:
    at = item.created.astimezone(HANOI).strftime("%Y/%m/%d %H:%M:%S")
    row = {"serviceType": "eDoc", "createdTime": at, "updatedTime": at, "messageType": item.type, "docId": item.id}
    return {**row, "from": item.sender, "to": item.to, "status": item.state, "statusDesc": item.state}


def _describe(content: bytes) -> dict[str, object]:
    """Return what the LGSP tells of a packet beside it: the sender's name, number, subject and files."""
    try:
        found, files = read_sample_packet(content), list(list_sample_attachments(content))
    except (ValueError, KeyError):
        return {"fromName": None, "edocCode": None, "edocAbstract": None, "attachments": []}
    attachments = [{"fileName": name, "fileContent": base64.b64encode(octets).decode()} for name, octets in files]
    told = {"fromName": found.sender_name, "edocCode": found.code, "edocAbstract": found.subject}
    return {**told, "attachments": attachments}


def _parts(call: ServerCall) -> dict[str, bytes]:
    """Return the fields of a multipart/form-data, by name."""
    whole = f"Content-Type: {call.headers.get('content-type', '')}\r\n\r\n".encode() + call.body
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(whole)
    found = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        found[str(name)] = content if isinstance(content, bytes) else b""
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("lienthong_demo.partners.lgsp")
    parser.add_argument("--port", type=int, required=True, help="on loopback; 0: any")
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--system-id", default="H37.TN")
    parser.add_argument("--secret", default="khoa-bi-mat")
    parser.add_argument("--senders", default="H55", help="codes registered to send, with what is below them")
    parser.add_argument("--receivers", default="H37.01,H37.02,H37.03", help="codes that may be sent to")
    parser.add_argument("--locked", default="H37.99", help="codes that are locked")
    parser.add_argument("--form", choices=("guide", "seen"), default="guide", help="how answers are written")
    parser.add_argument("--edxml", choices=("base64", "xml"), default="base64")
    parser.add_argument(
        "--login", default="", help="user:password:application that gets a bearer token; empty: none is asked for"
    )
    parser.add_argument("--token-life", type=float, default=1800.0, help="seconds")
    return parser.parse_args()


def run_lgsp(options: argparse.Namespace) -> None:
    """Run the LGSP until the orders end."""
    notebook = Notebook(options.notebook)
    told = {"docId": None, "status": "FAIL", "errorCode": "15", "errorDesc": ERRORS["15"]}
    denial = ServerAnswer.json({"success": False, "message": "Lỗi", "data": told})
    office = PartnerServer(notebook, lambda _call, _refuse: denial, denial=denial)
    gateway = Gateway(options, office, WaitingPackets(notebook, lambda: datetime.now(UTC)))
    office.answer, office.obey = gateway.answer, gateway.obey
    office.serve(options.port)


if __name__ == "__main__":
    run_lgsp(_options())
