"""The National Public Service Portal behind its X-Road adapter: sessions, dossiers by number, their progress, lists.

Written from the portal's documents: services, required and optional fields, dates, statuses, `error_code`. Knows
nothing of its callers. A call is accepted as a whole or not at all. What no document demands is demanded by an option
only (`--demand`), and what no document says that it recognises (`--recognise`) is taken for new: a step of progress that
is sent again is stored twice. The dossiers are in the notebook and survive a restart.
"""

import argparse
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from lienthong_demo.partners.catalogue import ORGANS, find_procedure, write_category_lists
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook, read_notebook
from lienthong_demo.protocol.partner_server import PartnerServer

FORWARD = "/XrdAdapter/RestService/forward/"
DSTCODE = "VN:GOV:000.00.00.G22:vpcpdvcprovider"
LOGIN, INTEGRATE, SHARE = "mapi/login", "mapi/integrate", "mapi/share"

DOSSIER = (
    *("MaHoSo", "MaTTHC", "TenTTHC", "MaLinhVuc", "TenLinhVuc", "LoaiDoiTuong"),
    *("NgayTiepNhan", "NgayHenTra", "TrangThaiHoSo", "DonViXuLy"),
)
STEP = ("MaHoSo", "NguoiXuLy", "ThoiDiemXuLy", "NoiDungXuLy", "TrangThai")
#: What a portal may demand although no document says so: that `isUpdating` fits what it has; that an account has one
#: session, which the next login ends; that a procedure is in its list; that a step belongs to a dossier that it has and
#: names officer, time and work; that a call has at most `MOST` entries.
DEMANDS = ("updating", "session", "procedure", "step", "size")
DATES = (
    "NgayTiepNhan",
    "NgayHenTra",
    "NgayTra",
    "NgayKetThucXuLy",
    "ThoiDiemXuLy",
    "NgayBatDau",
    "NgayKetThucTheoQuyDinh",
)
STATUSES = frozenset(str(code) for code in range(1, 11))
APPLICANTS = frozenset({"1", "2"})
MOST = 100  #: entries of one call

Row = Mapping[str, Any]


class PortalRefusal(Exception):
    """The portal refuses a call. The text is the answer's message."""


@attrs.define
class PortalState:
    """The portal's state, shared by its threads."""

    notebook: Notebook
    username: str
    password: str
    lasts: float  #: lifetime of a session in seconds
    organs: frozenset[str]  #: codes that may report
    demands: frozenset[str] = frozenset()  #: of `DEMANDS`
    recognises: bool = False  #: whether it stores a step once that it gets in the same words again
    dossiers: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    steps: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    lists: dict[str, list[dict[str, Any]]] = attrs.field(factory=write_category_lists)
    _sessions: dict[str, float] = attrs.field(factory=dict, init=False)  #: session -> when it ends
    _lock: threading.RLock = attrs.field(factory=threading.RLock, init=False)

    def remember(self) -> None:
        """Restore the state from the notebook."""
        for line in read_notebook(self.notebook.path):
            body: Any = line
            if line["what"] == "dossier":
                self.dossiers[body["item"]["MaHoSo"]] = body["item"]
            elif line["what"] == "step":
                self.steps.setdefault(body["item"]["MaHoSo"], []).append(body["item"])

    def answer(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        """Answer one call. With *refuse* every writing service refuses."""
        if not call.path.startswith(FORWARD):
            return ServerAnswer(404, b"no such service", "text/plain")
        if call.query.get("dstcode") != DSTCODE or call.headers.get("dstcode", DSTCODE) != DSTCODE:
            return _xroad(
                "Server.ClientProxy.UnknownMember", f"Could not find addresses for {call.query.get('dstcode')}"
            )
        if call.method != "POST" or call.headers.get("charset", "").lower() != "utf-8":
            return _xroad("Client.BadRequest", "POST with Charset: utf-8 is expected")
        try:
            body = call.json()
            if not isinstance(body, dict):
                return _told(-1, "Dữ liệu gửi lên không phải đối tượng JSON")
        except ValueError:
            return _told(-1, "Dữ liệu gửi lên không phải JSON")
        with self._lock:
            try:
                return self._serve(call.path.removeprefix(FORWARD), body, refuse)
            except PortalRefusal as wrong:
                self._note("refused", service=body.get("service", "login"), why=str(wrong))
                return _told("-1", str(wrong))

    def _serve(self, path: str, body: Row, refuse: bool) -> ServerAnswer:
        if path == LOGIN:
            return self._login(body)
        if path not in {INTEGRATE, SHARE}:
            return ServerAnswer(404, b"no such service", "text/plain")
        session, now = body.get("session"), time.monotonic()
        if not isinstance(session, str) or self._sessions.get(session, 0) <= now:
            raise PortalRefusal("Session không tồn tại hoặc đã hết hạn")
        if body.get("madonvi") not in self.organs:
            raise PortalRefusal(f"Mã đơn vị không hợp lệ: madonvi = {body.get('madonvi')}")
        service = body.get("service")
        if path == SHARE and service in self.lists:
            return ServerAnswer.json({"error_code": "00", "result": self.lists[service]})
        if path == INTEGRATE:
            match service:
                case "DongBoHoSoMC" | "CapNhatTienDoHoSoMC" if refuse:
                    raise PortalRefusal("Đơn vị đang bị tạm dừng tích hợp")
                case "DongBoHoSoMC":
                    return self._sync(body)
                case "CapNhatTienDoHoSoMC":
                    return self._progress(body)
                case "TraCuuHoSo":
                    return ServerAnswer.json({"error_code": "00", "result": self._found(str(body.get("mahoso", "")))})
                case "LayThuTuc":
                    return ServerAnswer.json(
                        {"error_code": "00", "result": find_procedure(str(body.get("maTTHC", "")))}
                    )
        raise PortalRefusal(f"Dịch vụ không tồn tại: service = {service}")

    def _login(self, body: Row) -> ServerAnswer:
        if (body.get("username"), body.get("password")) != (self.username, self.password):
            self._note("login-refused", username=body.get("username"))
            return _told(-1, "Sai tên đăng nhập hoặc mật khẩu")
        session = str(uuid.uuid4())
        kept = {} if "session" in self.demands else self._sessions
        self._sessions = {**kept, session: time.monotonic() + self.lasts}
        self._note("login")
        return ServerAnswer.json({"session": session, "error_code": 0})

    def _sync(self, body: Row) -> ServerAnswer:
        updating = body.get("isUpdating")
        if updating not in {"True", "False"}:
            raise PortalRefusal(f"isUpdating = {updating}")
        items = self._items(body, DOSSIER)
        procedures = {row["MATTHC"] for row in self.lists["LayDanhSachTTHC"]}
        for item in items:
            _require(item, "TrangThaiHoSo", STATUSES)
            _require(item, "LoaiDoiTuong", APPLICANTS)
            if "procedure" in self.demands:
                _require(item, "MaTTHC", procedures)
            if "updating" in self.demands and (item["MaHoSo"] in self.dossiers) != (updating == "True"):
                there = "đã tồn tại" if updating == "False" else "chưa tồn tại"
                raise PortalRefusal(f"Hồ sơ {item['MaHoSo']} {there}: isUpdating = {updating}")
        if len({item["MaHoSo"] for item in items}) != len(items):
            raise PortalRefusal("Trùng MaHoSo trong data")
        for item in items:
            self._note("dossier", updating=updating == "True", madonvi=body["madonvi"], item=item)
            self.dossiers[item["MaHoSo"]] = item
        return _told("00", "Thành công")

    def _progress(self, body: Row) -> ServerAnswer:
        items = self._items(body, STEP if "step" in self.demands else ("MaHoSo", "TrangThai"))
        for item in items:
            _require(item, "TrangThai", STATUSES)
            if "step" in self.demands and item["MaHoSo"] not in self.dossiers:
                raise PortalRefusal(f"Hồ sơ {item['MaHoSo']} chưa tồn tại")
        for item in items:
            steps = self.steps.setdefault(item["MaHoSo"], [])
            if self.recognises and item in steps:
                self._note("step-again", item=item)
                continue
            self._note("step", madonvi=body["madonvi"], item=item)
            steps.append(item)
        return _told("00", "Thành công")

    def _items(self, body: Row, required: Sequence[str]) -> list[dict[str, Any]]:
        items = _items(body, required)
        if "size" in self.demands and len(items) > MOST:
            raise PortalRefusal(f"data có quá {MOST} phần tử")
        return items

    def _found(self, number: str) -> list[dict[str, Any]]:
        if number not in self.dossiers:
            return []
        return [{**self.dossiers[number], "TienDo": self.steps.get(number, [])}]

    def obey(self, order: Row) -> Mapping[str, object]:
        """Return what the portal holds, or change it."""
        with self._lock:
            match order["do"]:
                case "count":
                    return self._count(order)
                case "dossier":
                    return {"found": self._found(order["number"])}
                case "expire":
                    ended, self._sessions = len(self._sessions), {}
                    return {"ended": ended}
                case "list":
                    self.lists[order["service"]] = order["rows"]
                    return {"rows": len(order["rows"])}
        return {"error": f"no such order: {order}"}

    def _count(self, order: Row) -> Mapping[str, object]:
        """Count the dossiers of a unit (the code that begins their number) received from `since` until before `until`."""
        since, until = order.get("since", ""), order.get("until", "9")
        held = [
            item
            for number, item in self.dossiers.items()
            if number.startswith(f"{order['unit']}-") and since <= item["NgayTiepNhan"] < until
        ]
        steps = sum(len(self.steps.get(item["MaHoSo"], ())) for item in held)
        return {
            "dossiers": len(held),
            "by_status": dict(Counter(item["TrangThaiHoSo"] for item in held)),
            "steps": steps,
        }

    def _note(self, what: str, **body: object) -> None:
        self.notebook.write(what, datetime.now().astimezone(), **body)


def _items(body: Row, required: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries of `data`. Raises PortalRefusal if one lacks a *required* field or a date is invalid."""
    items = body.get("data")
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise PortalRefusal("data phải là danh sách")
    for item in items:
        for field in required:
            if not isinstance(item.get(field), str) or not item[field].strip():
                raise PortalRefusal(f"Thiếu trường bắt buộc: {field} ({item.get('MaHoSo')})")
        for field in DATES:
            if item.get(field) and not _is_date(item[field]):
                raise PortalRefusal(f"Sai định dạng ngày: {field} = {item[field]} ({item.get('MaHoSo')})")
    return items


def _is_date(text: object) -> bool:
    try:
        return bool(re.fullmatch(r"\d{14}", str(text)) and datetime.strptime(str(text), "%Y%m%d%H%M%S"))  # noqa: DTZ007
    except ValueError:
        return False


def _require(item: Row, field: str, values: frozenset[str] | set[str]) -> None:
    if item[field] not in values:
        raise PortalRefusal(f"Giá trị không hợp lệ: {field} = {item[field]} ({item['MaHoSo']})")


def _told(code: int | str, message: str) -> ServerAnswer:
    return ServerAnswer.json({"error_code": code, "message": message})


def _xroad(kind: str, message: str) -> ServerAnswer:
    return ServerAnswer(500, json.dumps({"type": kind, "message": message}).encode(), headers={"X-Road-Error": kind})


def main() -> None:
    """Run the portal until the orders end."""
    parser = argparse.ArgumentParser(description="The National Public Service Portal, played.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--username", default="h55")
    parser.add_argument("--password", default="mat-khau-mau")
    parser.add_argument("--session", type=float, default=1800.0, help="seconds that a session lives")
    parser.add_argument("--organ", action="append", help="a code that may report; several times")
    parser.add_argument("--demand", choices=DEMANDS, action="append", default=[], help="what no document demands")
    parser.add_argument("--recognise", action="store_true", help="store a step once that is sent again")
    options = parser.parse_args()
    notebook = Notebook(options.notebook)
    organs = frozenset(options.organ or (code for code, _ in ORGANS))
    portal = PortalState(
        notebook,
        options.username,
        options.password,
        options.session,
        organs,
        frozenset(options.demand),
        options.recognise,
    )
    portal.remember()
    denial = ServerAnswer.json({"error_code": -1, "message": "Sai tên đăng nhập hoặc mật khẩu"})
    PartnerServer(notebook, portal.answer, portal.obey, denial).serve(options.port)


if __name__ == "__main__":
    main()
