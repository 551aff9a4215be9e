"""The shared services behind NGSP: `python -m lienthong_demo.partners.ngsp --port N --notebook FILE`.

Written from the services' documents. Knows nothing of the hub. A WSO2 gateway issues tokens that expire and requires
one on every call. Behind it are the business register, the shared categories, the post, the civil status register and
the judicial record system, each with its own data, errors and envelope. The post identifies an order by customer and
number: the same contents again are the same order, other contents are an error.

Orders: `{"do": "tokens", "last": 0.5}` sets the lifetime of new tokens in seconds; `{"do": "revoke"}` ends all tokens.
"""

import argparse
import base64
import binascii
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import attrs
from lxml import etree

from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook, hash_content, read_notebook
from lienthong_demo.protocol.partner_server import PartnerServer

#: The business register. Its enterprises and people are made up.
ENTERPRISES: Mapping[str, Mapping[str, Any]] = {
    "4600100001": {
        "MainInformation": {
            "ENTERPRISE_ID": 100001,
            "ENTERPRISE_GDT_CODE": "4600100001",
            "ENTERPRISE_TYPE_NAME": "Công ty trách nhiệm hữu hạn một thành viên",
            "NAME": "CÔNG TY TNHH CHÈ MẪU THÁI NGUYÊN",
            "SHORT_NAME": "CHÈ MẪU",
            "NAME_F": None,
            "FOUNDING_DATE": "12/03/2015",
            "NUMBER_CHANGES": 2,
            "ENTERPRISE_STATUS": "Đang hoạt động",
            "LEGAL_NAMES": "Nguyễn Thị Mẫu",
            "CAPITAL_AMOUNT": 2000000000,
        },
        "Representatives": {"FULL_NAME": "Nguyễn Thị Mẫu"},
        "HOAdress": {"CityName": "Tỉnh Thái Nguyên", "AddressFullText": "Xóm Mẫu, Tỉnh Thái Nguyên"},
        "BusinessActivity": [
            {"CODE": "4632", "NAME": "Bán buôn thực phẩm", "IS_MAIN": "N"},
            {"CODE": "1076", "NAME": "Sản xuất chè", "IS_MAIN": "Y"},
        ],
    }
}
CATEGORIES: Mapping[str, list[Mapping[str, Any]]] = {
    "magioitinh": [{"Ma": "1", "Ten": "Nam"}, {"Ma": "2", "Ten": "Nữ"}, {"Ma": "3", "Ten": "Chưa xác định"}],
    "qlvanbandieuhanhcap1": [{"MaDinhDanhCap1": "000.00.00.H55", "TenDonVi": "UBND tỉnh Thái Nguyên", "Fax": None}],
}
#: The required fields of an order (marked * in the documents), and which fields are numbers.
ORDER_MUST: tuple[str, ...] = (
    "customerCode",
    "orderNumber",
    "senderProvince",
    "senderAddress",
    "senderName",
    "senderTel",
)
ORDER_MUST += ("receiverName", "receiverAddress", "receiverTel", "receiverProvince")
ORDER_NUMBERS = ("codAmount", "senderProvince", "senderDistrict", "receiverProvince", "receiverDistrict")
MODULES = {"KS", "KT", "KH", "CMC", "GH", "XNHN", "BS"}
JOINT = {"LTKS", "LTKT", "LTKH"}
FORM_MUST = ("loaiPhieu", "mucDich", "nycHoTen", "nycGioiTinh", "nycNgaySinh", "nycSoGiayTo", "nycLoaiGiayTo")


@attrs.define
class Services:
    """The gateway and the services behind it."""

    client: str
    secret: str
    customer: str
    office: PartnerServer = attrs.field(init=False)
    lasts: float = 3600.0
    _tokens: dict[str, float] = attrs.field(factory=dict)  #: token -> its end, by the monotonic clock
    _placed: dict[str, str] = attrs.field(factory=dict)  #: key of an accepted request -> the SHA-256 of its contents
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def remember(self, notebook: Path) -> None:
        """Restore what was placed before this process began."""
        for line in read_notebook(notebook):
            if line["what"] == "placed":
                self._placed[str(line["key"])] = str(line["sha256"])

    def answer(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        """Answer one call at the gateway."""
        if call.path == "/token":
            return self._token(call)
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or time.monotonic() >= self._tokens.get(token, 0.0):
            return _fault(401, 900901, "Invalid Credentials")
        for pattern, method, serve in ROUTES:
            found = re.fullmatch(pattern, call.path)
            if found and call.method == method:
                self.office.note("asked", path=call.path, sha256=hash_content(call.body + call.path.encode()))
                return serve(self, call, found.groupdict(), refuse)
        return _fault(404, 900906, "No matching resource found in the API for the given request")

    def obey(self, order: Mapping[str, Any]) -> Mapping[str, object]:
        """Set the lifetime of tokens, or end them all."""
        match order["do"]:
            case "tokens":
                self.lasts = float(order["last"])
                return {"last": self.lasts}
            case "revoke":
                self._tokens.clear()
                return {"revoked": True}
        return {"error": f"no such order: {order}"}

    def _token(self, call: ServerCall) -> ServerAnswer:
        """Issue a token by RFC 6749, 4.4: client credentials by HTTP Basic, each form-encoded (2.3.1)."""
        scheme, _, basic = call.headers.get("authorization", "").partition(" ")
        try:
            client, _, secret = base64.b64decode(basic, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            client, secret = "", ""
        if scheme != "Basic" or (unquote(client), unquote(secret)) != (self.client, self.secret):
            return ServerAnswer.json(
                {"error": "invalid_client", "error_description": "Client Authentication failed."}, 401
            )
        if call.method != "POST" or parse_qs(call.body.decode()).get("grant_type") != ["client_credentials"]:
            return ServerAnswer.json({"error": "unsupported_grant_type"}, 400)
        token = secrets.token_hex(18)
        self._tokens[token] = time.monotonic() + self.lasts
        self.office.note("token", lasts=self.lasts)
        said = {"access_token": token, "scope": "default", "token_type": "Bearer", "expires_in": int(self.lasts)}
        return ServerAnswer.json(said)

    # --- what is behind the gateway -----------------------------------------------------------------------------------

    def enterprise(self, call: ServerCall, _: Mapping[str, str], refuse: bool) -> ServerAnswer:
        """`chiTietDoanhNghiep?msdn=`: the enterprise is in Data. An unknown code returns no enterprise."""
        found = None if refuse else ENTERPRISES.get(call.query.get("msdn", ""))
        if found is None:
            return ServerAnswer.json(
                {"Data": {}, "DataCount": 0, "Status": "0", "Message": "Không tìm thấy doanh nghiệp"}
            )
        return ServerAnswer.json({"Data": found, "DataCount": 1, "Status": "1", "Message": "success"})

    def category(self, call: ServerCall, found: Mapping[str, str], refuse: bool) -> ServerAnswer:
        """Return the rows of one category, without an envelope."""
        rows = None if refuse else CATEGORIES.get(found["category"])
        if rows is None:
            return ServerAnswer.json({"Status": "0", "Message": "Danh mục không tồn tại"})
        return ServerAnswer.json(rows)

    def categories(self, call: ServerCall, _: Mapping[str, str], refuse: bool) -> ServerAnswer:
        """Return the codes of all categories."""
        if refuse:
            return ServerAnswer.json({"Status": "0", "Message": "Không được phép"})
        return ServerAnswer.json([{"Ma": code, "SoBanGhi": len(rows)} for code, rows in CATEGORIES.items()])

    def order(self, call: ServerCall, _: Mapping[str, str], refuse: bool) -> ServerAnswer:
        """Accept an order to deliver a result by post, once for each customer and number."""
        said = _body(call)
        if said is None:
            return ServerAnswer.json({"status": "400", "message": "Dữ liệu không hợp lệ"})
        wrong = [name for name in ORDER_MUST if said.get(name) in {None, ""}]
        wrong += [name for name in ORDER_NUMBERS if name in said and not isinstance(said[name], int)]
        if wrong or said["customerCode"] != self.customer or refuse:
            return ServerAnswer.json(
                {"status": "400", "message": f"Sai hoặc thiếu: {', '.join(wrong) or 'customerCode'}"}
            )
        taken = self._place("order", f"{said['customerCode']}/{said['orderNumber']}", said)
        if not taken:
            return ServerAnswer.json({"status": "409", "message": "orderNumber đã dùng cho đơn khác"})
        return ServerAnswer.json({"status": "200", "message": "success", "orderNumber": said["orderNumber"]})

    def civil_status(self, call: ServerCall, _: Mapping[str, str], refuse: bool) -> ServerAnswer:
        """Accept a dossier of the civil status register (`dangKyHoTich`) or of a joint procedure (`nhanHoSoDKHT`)."""
        said, modules = _body(call), MODULES if "hotich" in call.path else JOINT
        if (
            said is None
            or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(said.get("ngayTiepNhan")))
            or not said.get("maHoSo")
        ):
            return _refusal("500", "DATA_INCORRECT")
        if not re.fullmatch(r"\d{5}", str(said.get("maDonVi"))):
            return _refusal("106", "AGENCY_ID_INCORRECT")
        if refuse or said.get("module") not in modules or not _form(said):
            return _refusal("500", "DATA_INCORRECT")
        if not self._place("civil-status", str(said["maHoSo"]), said):
            return _refusal("500", "DATA_INCORRECT - maHoSo đã có")
        return ServerAnswer.json({"status": "1"})

    def record(self, call: ServerCall, _: Mapping[str, str], refuse: bool) -> ServerAnswer:
        """Accept a form that requests a judicial record."""
        said = _body(call) or {}
        form = said.get("toKhai")
        if (
            refuse
            or not isinstance(form, dict)
            or not said.get("maHoSo")
            or any(not form.get(name) for name in FORM_MUST)
        ):
            return ServerAnswer.json({"statusCode": "01", "message": "Tờ khai thiếu hoặc sai thông tin"})
        if not self._place("record", str(said["maHoSo"]), said):
            return ServerAnswer.json({"statusCode": "01", "message": "Hồ sơ đã có với nội dung khác"})
        return ServerAnswer.json(
            {"statusCode": "00", "message": "Thành công", "id": f"LLTP-{hash_content(said['maHoSo'].encode())[:8]}"}
        )

    def _place(self, kind: str, key: str, said: Mapping[str, Any]) -> bool:
        """Accept a request once; equal contents again are accepted too. Return False if the key has other contents."""
        name, sha256 = f"{kind}:{key}", hash_content(json.dumps(said, sort_keys=True, ensure_ascii=False).encode())
        with self._lock:
            if name in self._placed:
                self.office.note("repeated", key=name)
                return self._placed[name] == sha256
            self.office.note("placed", key=name, sha256=sha256)
            self._placed[name] = sha256
        return True


Serve = Callable[[Services, ServerCall, Mapping[str, str], bool], ServerAnswer]
ROUTES: tuple[tuple[str, str, Serve], ...] = (
    (r"/apiCSDLDKDN/1\.0/chiTietDoanhNghiep", "GET", Services.enterprise),
    (r"/dmdc/1\.0/AllCategory", "GET", Services.categories),
    (r"/dmdc/1\.0/Category/(?P<category>[^/]+)", "GET", Services.category),
    (r"/apiVNPostNGSP/p1\.0/order/post", "POST", Services.order),
    (r"/hotich/1\.0/dangKyHoTich", "POST", Services.civil_status),
    (r"/apiLienThongKSKT/1\.0/nhanHoSoDKHT", "POST", Services.civil_status),
    (r"/apiLyLichTuPhap/1\.0/nhanHoSoDangKy", "POST", Services.record),
)


def _fault(status: int, code: int, message: str) -> ServerAnswer:
    """A fault of the gateway, as WSO2 API Manager writes it."""
    return ServerAnswer.json({"fault": {"code": code, "message": message, "description": message}}, status)


def _refusal(code: str, words: str) -> ServerAnswer:
    return ServerAnswer.json({"status": "0", "errorCode": code, "message": words})


def _body(call: ServerCall) -> dict[str, Any] | None:
    try:
        said = call.json()
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _form(said: Mapping[str, Any]) -> bool:
    """Tell whether `data` is a form as text: the XML `hotich/hoso`, or JSON for additions (BS)."""
    data = said.get("data")
    if not isinstance(data, str):
        return False
    try:
        if said.get("module") == "BS":
            return isinstance(json.loads(data), dict)
        root = etree.fromstring(data.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    except (ValueError, etree.XMLSyntaxError):
        return False
    return root.tag == "hotich" and root.find("hoso") is not None


def main() -> None:
    """Serve until the orders end."""
    parser = argparse.ArgumentParser(prog="lienthong_demo.partners.ngsp")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--client", default="truc-lien-thong")
    parser.add_argument("--secret", default="mật khẩu mẫu")
    parser.add_argument("--customer", default="TNG01")
    given = parser.parse_args()
    services = Services(given.client, given.secret, given.customer)
    services.remember(given.notebook)
    services.office = PartnerServer(
        Notebook(given.notebook), services.answer, services.obey, denial=_fault(401, 900901, "Invalid Credentials")
    )
    services.office.serve(given.port)


if __name__ == "__main__":
    main()
