"""A provincial exchange behind WSO2 API Manager: `python -m lienthong_demo.partners.wso2`.

Knows Quảng Nam's calls, OAuth2 client credentials with expiring tokens, and the answers of gateway and exchange. Knows
nothing of the hub. Orders: `put FILE` adds a waiting packet; `fault CODE [TIMES]` answers the next packets with that
code; `withhold ID`, `give ID`; `double` lists every document twice; `expire` ends all tokens; `documents` returns the
state of each.
"""

import argparse
import base64
import json
import secrets
import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import attrs

from lienthong_demo.partners.waiting_packets import WaitingPacket, WaitingPackets
from lienthong_demo.plan.packets import HANOI
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook, hash_content
from lienthong_demo.protocol.partner_server import PartnerServer
from lienthong_demo.protocol.reading import read_sample_packet

STATES = {"INITIAL", "PROCESSING", "DONE", "FAIL"}
MEDIA = {"form": "application/x-www-form-urlencoded", "json": "application/json", "text": "text/plain"}
_API = "/truclienthong/v1.0.0"


@attrs.define
class ExchangeState:
    """The state that the threads of gateway and exchange share."""

    options: argparse.Namespace
    office: PartnerServer
    holes: WaitingPackets
    faults: list[str] = attrs.field(factory=list)
    withheld: set[str] = attrs.field(factory=set)
    doubling: bool = False
    tokens: dict[str, datetime] = attrs.field(factory=dict)  #: token -> when it ends
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def answer(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        """Answer one call."""
        if call.path == "/token":
            return self._token(call)
        if not call.path.startswith(f"{_API}/"):
            return _fault(404, "404", "No matching resource found")
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        with self.lock:
            until = self.tokens.get(token)
        if kind != "Bearer" or until is None:
            return _fault(401, "900901", "Invalid Credentials")
        if until <= datetime.now(UTC):
            return _fault(401, "900903", "Access Token Expired")
        where = call.headers.get("secretdonvi"), call.query.get("secretDonVi")
        unit = where[self.options.unit_in == "query"]
        if unit != self.options.unit_secret:
            return _said("15", "Sai mã bí mật của đơn vị")
        match call.method, call.path.removeprefix(_API).split("/")[1:]:
            case "GET", ["vanbans"]:
                return self._list()
            case "POST", ["vanbans"]:
                return self._send(call, refuse)
            case "GET", ["vanbans", document_id]:
                return self._get(unquote(document_id))
            case "PUT", ["vanbans", document_id]:
                return self._put(unquote(document_id), call.query.get("status", ""))
        return _fault(404, "404", "No matching resource found")

    def _token(self, call: ServerCall) -> ServerAnswer:
        pair = base64.b64encode(f"{self.options.key}:{self.options.secret}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {pair}":
            return ServerAnswer.json(
                {"error": "invalid_client", "error_description": "Client Authentication failed."}, 401
            )
        if dict(parse_qsl(call.body.decode())).get("grant_type") != "client_credentials":
            return ServerAnswer.json(
                {"error": "unsupported_grant_type", "error_description": "Unsupported grant_type"}, 400
            )
        token = secrets.token_hex(16)
        with self.lock:
            self.tokens[token] = datetime.now(UTC) + timedelta(seconds=self.options.token_life)
        self.office.note("token")
        lives = int(self.options.token_life)
        return ServerAnswer.json(
            {"access_token": token, "scope": "default", "token_type": "Bearer", "expires_in": lives}
        )

    def _send(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        letters, kind = _read_sent(call, self.options.packet_in, self.options.packet_name)
        try:
            content = base64.b64decode(letters, validate=True)
        except ValueError:
            content = b""
        with self.lock:
            code = self.faults.pop(0) if self.faults else ""
        code = code or ("18" if refuse else self._judge(content, kind))
        document_id = "" if code else str(uuid.uuid4())
        packet = base64.b64encode(content).decode()
        said = {"id": document_id, "type": kind, "sha256": hash_content(content), "size": len(content)}
        self.office.note("sent", code=code, **said, packet=packet)
        return _said(code, "Không nhận văn bản") if code else _said("", "", docId=document_id)

    def _judge(self, content: bytes, kind: str) -> str:
        if not content:
            return "10"
        try:
            found = read_sample_packet(content)
        except (ValueError, KeyError):
            return "22"
        if (kind == "status") != (found.kind == "status"):
            return "22"
        if not found.sender.endswith(self.options.senders) and not found.sender.startswith(self.options.senders):
            return "19"
        to = (found.answered,) if found.kind == "status" else found.recipients
        return "" if set(to) & set(self.options.receivers.split(",")) else "18"

    def _list(self) -> ServerAnswer:
        rows = [_row(item) for item in self.holes.each() for _ in range(2 if self.doubling else 1)]
        return _said("", "", data=rows)

    def _get(self, document_id: str) -> ServerAnswer:
        item = self.holes.get(document_id)
        if item is None or item.id in self.withheld:
            return _said("10" if item is None else "21", "Không lấy được văn bản")
        return _said("", "", data=base64.b64encode(item.content).decode())

    def _put(self, document_id: str, state: str) -> ServerAnswer:
        if self.holes.get(document_id) is None or state not in STATES:
            return _said("10", "Trạng thái hoặc văn bản không hợp lệ")
        self.holes.move(document_id, state)
        return _said("", "")

    def obey(self, order: Mapping[str, Any]) -> Mapping[str, object]:
        """Execute one order of the conductor."""
        match order["do"]:
            case "put":
                content = Path(order["file"]).read_bytes()
                found = read_sample_packet(content) if order.get("sound", True) else None
                kind = "status" if found and found.kind == "status" else "edoc"
                return {"id": self.holes.put(kind, found.sender if found else "", self.options.senders, content)}
            case "fault":
                self.faults += [order["code"]] * order.get("times", 1)
            case "withhold":
                self.withheld.add(order["id"])
            case "give":
                self.withheld.discard(order["id"])
            case "double":
                self.doubling = True
            case "expire":
                with self.lock:
                    self.tokens = dict.fromkeys(self.tokens, datetime.now(UTC))
            case "documents":
                return {"documents": {item.id: item.told or "INITIAL" for item in self.holes.each()}}
            case other:
                return {"error": f"no such order: {other}"}
        return {"done": order["do"]}


def _read_sent(call: ServerCall, place: str, name: str) -> tuple[str, str]:
    """Return the base64 and the loaiVanBan from their one place, empty where they are not there.

    No public document says which place that is, so it is an option. An exchange has one, and reads no other.
    """
    media = call.headers.get("content-type", "").partition(";")[0].strip()
    if media != MEDIA[place]:
        return "", ""
    if place == "text":
        return call.body.decode(), call.query.get("loaiVanBan", "")
    fields = json.loads(call.body) if place == "json" else dict(parse_qsl(call.body.decode()))
    return str(fields.get(name, "")), str(fields.get("loaiVanBan", ""))


def _row(item: WaitingPacket) -> dict[str, str]:
    at = item.created.astimezone(HANOI).strftime("%Y-%m-%d %H:%M:%S")
    row = {"serviceType": "eDoc", "messageType": item.type, "statusDesc": "", "docId": item.id, "from": item.sender}
    return {**row, "to": item.to, "status": item.told or "INITIAL", "createdTime": at}


def _said(code: str, told: str, **more: object) -> ServerAnswer:
    status = "FAIL" if code else "OK"
    return ServerAnswer.json({"status": status, "errorCode": code or "0", "errorDesc": told, **more})


def _fault(status: int, code: str, message: str) -> ServerAnswer:
    return ServerAnswer.json({"fault": {"code": int(code), "message": message, "description": message}}, status)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("lienthong_demo.partners.wso2")
    parser.add_argument("--port", type=int, required=True, help="on loopback; 0: any")
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--key", default="ung-dung-thai-nguyen")
    parser.add_argument("--secret", default="khoa-ung-dung")
    parser.add_argument("--unit-secret", default="ma-bi-mat")
    parser.add_argument("--token-life", type=float, default=3600.0, help="seconds")
    parser.add_argument("--unit-in", choices=("header", "query"), default="header", help="place of the unit's secret")
    parser.add_argument("--packet-in", choices=tuple(MEDIA), default="form", help="place of the packet")
    parser.add_argument("--packet-name", default="data", help="name of the packet in a form or in JSON")
    parser.add_argument("--senders", default="H55", help="how the codes begin or end that may send")
    parser.add_argument("--receivers", default="H47.01,H47.02", help="codes that may be sent to")
    return parser.parse_args()


def run_wso2_exchange(options: argparse.Namespace) -> None:
    """Run the exchange until the orders end."""
    notebook = Notebook(options.notebook)
    denial = _fault(401, "900901", "Invalid Credentials")
    office = PartnerServer(notebook, lambda _call, _refuse: denial, denial=denial)
    exchange = ExchangeState(options, office, WaitingPackets(notebook, lambda: datetime.now(UTC)))
    office.answer, office.obey = exchange.answer, exchange.obey
    office.serve(options.port)


if __name__ == "__main__":
    run_wso2_exchange(_options())
