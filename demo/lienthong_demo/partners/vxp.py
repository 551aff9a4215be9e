"""The national document axis: `python -m lienthong_demo.partners.vxp …`.

Knows its operations and its header scheme, from the public documents only. Every answer is HTTP 200 with `{status,
ErrorCode, ErrorDesc, …}`. Codes: 10 file, 15 systemId or secret, 18 unknown receiver, 19 sender not registered, 20
error of the axis, 22 no edXML, 23 receiver locked, 100 anything else. Orders, beside the moods of
`lienthong_demo.protocol.partner_server`:

    {"do": "put", "kind": "edoc" | "status", "from": CODE, "to": CODE, "packet": BASE64}    adds another system's packet
    {"do": "agency", "code": CODE, "system": ID}   {"do": "lock", "code": CODE, "locked": true}
    {"do": "twice", "on": true}                    every list contains every item twice
    {"do": "repeated", "answer": "same" | "new" | CODE}      sets the answer to a file that is sent again
    {"do": "late", "docId": ID, "days": N}         dates the parcel N days back, as if it was listed late
    {"do": "fail", "docId": ID}                    lets the receiver's system fail to take the parcel
    {"do": "parcels"}                              returns all parcels with their status
    {"do": "waiting"}                              returns how many parcels the calling system has not finished
"""

import argparse
import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from lienthong_demo.partners.axis import Agency, AxisParcel, AxisState, Refusal
from lienthong_demo.partners.xroad import Gate
from lienthong_demo.plan.packets import HANOI
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook
from lienthong_demo.protocol.partner_server import PartnerServer
from lienthong_demo.protocol.reading import read_sample_packet

ELSEWHERE = "00.99.W00"  #: the system of every agency that is not the caller's


@attrs.define
class AxisWindow:
    """The interface through which the axis is called."""

    axis: AxisState
    gate: Gate
    twice: bool = False

    def answer(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        """Answer one call."""
        try:
            system, said = self.gate.admit(call)
            if refuse:
                return _bad(Refusal("22", "the edXML is not per QĐ 28"))
            return self._do(call.path.rpartition("/")[2], system, said, call)
        except KeyError as missing:
            return _bad(Refusal("20", f"the header {missing} is missing"))
        except Refusal as refusal:
            return _bad(refusal)

    def _do(self, operation: str, system: str, said: Mapping[str, str], call: ServerCall) -> ServerAnswer:
        match operation:
            case "sendEdoc":
                return _good(DocId=self._send(system, said, call))
            case "getReceivedEdocList":
                return _good(data=self._received(system, said))
            case "getSentEdocList":
                days = [_day(said[name]) if name in said else None for name in ("fromdate", "todate")]
                found = self.axis.outgoing(system, said["messagetype"], *days)
                return _good(data=[_sent(parcel) for parcel in found])
            case "getEdoc":
                return _good(data=base64.b64encode(self.axis.open(system, said["docid"]).content).decode())
            case "updateStatus":
                self.axis.tell(system, said["docid"], said["status"])
                return _good()
            case "getAgenciesList":
                return _good(data=[_agency(agency) for agency in self.axis.agencies.values()])
            case _:
                raise Refusal("20", f"there is no operation {operation}")

    def obey(self, order: Mapping[str, Any]) -> Mapping[str, object]:
        """Execute one order of the conductor."""
        match order["do"]:
            case "put":
                packet = base64.b64decode(order["packet"])
                return {"docId": self.axis.put(order["kind"], order["from"], order["to"], packet)}
            case "agency":
                self.axis.add(order["code"], order["system"])
            case "lock":
                self.axis.agencies[order["code"]].locked = order["locked"]
            case "twice":
                self.twice = order["on"]
            case "repeated":
                self.axis.repeated = order["answer"]
            case "late":
                parcel = self.axis.parcels[order["docId"]]
                parcel.created -= timedelta(days=order["days"])
            case "fail":
                self.axis.fail(order["docId"])
            case "waiting":
                return {"waiting": self.axis.waiting()}
            case "parcels":
                return {"parcels": [_shown(parcel) for parcel in self.axis.everything()]}
            case other:
                return {"error": f"no such order: {other}"}
        return {"done": order["do"]}

    def _send(self, system: str, said: Mapping[str, str], call: ServerCall) -> str:
        if said["servicetype"] != "eDoc" or said["messagetype"] not in {"edoc", "status"}:
            raise Refusal("20", "servicetype eDoc and messagetype edoc or status are expected")
        content = self.gate.file(call, said["hash-file"])
        only: Sequence[str] | None = json.loads(said["to"]) if "to" in said else None
        return self.axis.take(system, said["from"], said["messagetype"], content, only)

    def _received(self, system: str, said: Mapping[str, str]) -> list[dict[str, str]]:
        if said["servicetype"] != "eDoc":
            raise Refusal("20", "servicetype eDoc is expected")
        days = [_day(said[name]) if name in said else None for name in ("fromdate", "todate")]
        found = self.axis.received(system, said["messagetype"], *days)
        return [_line(parcel) for parcel in found for _ in range(2 if self.twice else 1)]


def _agency(agency: Agency) -> dict[str, str]:
    return {"id": agency.id, "pid": agency.pid, "code": agency.code, "name": agency.name, "mail": ""}


def _sent(parcel: AxisParcel) -> dict[str, str]:
    ids = {"senderDocId": parcel.sender_doc_id, "receiverDocId": parcel.doc_id}
    notation = read_sample_packet(parcel.content).code
    ends = {"fromCode": parcel.sender, "toCode": parcel.to, "title": "", "notation": notation}
    times = {"sentTime": _time(parcel.created), "receivedTime": _time(parcel.updated)}
    states = {"sendStatus": "done", "sendStatusDesc": "", "receiveStatus": parcel.status, "receiveStatusDesc": ""}
    return {"serviceType": "eDoc", "messageType": parcel.kind, **ids, **ends, **times, **states}


def _line(parcel: AxisParcel) -> dict[str, str]:
    return {
        "docId": parcel.doc_id,
        "serviceType": "eDoc",
        "messageType": parcel.kind,
        "created_time": _time(parcel.created),
        "updated_time": _time(parcel.updated),
        "from": parcel.sender,
        "to": parcel.to,
        "status": parcel.status,
        "status_desc": "",
    }


def _shown(parcel: AxisParcel) -> dict[str, str]:
    return _line(parcel) | {"sha256": hashlib.sha256(parcel.content).hexdigest()}


def _good(**more: object) -> ServerAnswer:
    return ServerAnswer.json({"status": "OK", "ErrorCode": "0", "ErrorDesc": "Success", **more})


def _bad(refusal: Refusal) -> ServerAnswer:
    return ServerAnswer.json(
        {"status": "FAIL", "ErrorCode": refusal.code, "ErrorDesc": str(refusal), "DocId": "", "data": []}
    )


def _time(at: datetime) -> str:
    return f"{at.astimezone(HANOI):%Y-%m-%d %H:%M:%S}"


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y/%m/%d").replace(tzinfo=HANOI).date()
    except ValueError as error:
        raise Refusal("20", f"{text!r} is no date") from error


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("lienthong_demo.partners.vxp")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--system-id", required=True, help="of the system that calls")
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--units", default="", help="the agencies of that system, separated by commas")
    parser.add_argument("--elsewhere", default="", help="agencies of other systems")
    parser.add_argument("--national", type=int, default=0, help="so many more agencies in the list")
    parser.add_argument("--hash", dest="digits", choices=("short", "full"), default="short")
    return parser.parse_args()


def run_vxp_axis(options: argparse.Namespace) -> None:
    """Run the axis until the orders end."""
    notebook = Notebook(options.notebook)
    axis = AxisState(notebook)
    axis.reopen()
    for codes, system in ((options.units, options.system_id), (options.elsewhere, ELSEWHERE)):
        for code in filter(None, codes.split(",")):
            axis.add(code, system)
    first = len(axis.agencies) + 1
    for number in range(options.national):
        axis.add(
            f"N{number // 1000:03}.{number % 1000:03}",
            ELSEWHERE,
            pid=str(first + number - number % 1000) if number % 1000 else "",
        )
    secret = options.secret_file.read_text("utf-8").rstrip("\r\n")
    window = AxisWindow(axis, Gate({options.system_id: secret}, options.digits))
    denial = _bad(Refusal("15", "wrong systemId or secret"))
    PartnerServer(notebook, window.answer, window.obey, denial).serve(options.port)


if __name__ == "__main__":
    run_vxp_axis(_options())
