"""Translates our questions into the fields of each shared service, and its answers back.

Knows field names, no token, no HTTP.

A reader raises KeyError, TypeError, ValueError or AttributeError for an answer of another shape.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import attrs

from hub.domain.conversations import Answer, Query, Refused
from hub.domain.sanitize import replace_unwritable

Settings = Mapping[str, str]


@attrs.frozen
class GatewayRequest:
    """One call: a path below the gateway, a query, and a JSON body; None for a GET."""

    path: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, object] | None = None


@attrs.frozen
class NgspOperation:
    """How one of our operations is asked and its answer read."""

    asking: Callable[[Query, Settings], GatewayRequest]
    read: Callable[[Any, Settings], Answer | Refused]
    needs: tuple[str, ...] = ()  #: settings that the operation requires


# --- business registration: chiTietDoanhNghiep ------------------------------------------------------------------------------


def _ask_enterprise(query: Query, settings: Settings) -> GatewayRequest:
    return GatewayRequest(settings["enterprise-path"], {"msdn": query.fields["EnterpriseCode"]})


def _read_enterprise(said: Any, settings: Settings) -> Answer | Refused:
    """Read `MainInformation` and the objects beside it.

    They are in `Data` or, by the provinces' guide, at the top level.
    """
    data = said.get("Data") or said
    main = _find_first(data.get("MainInformation"))
    if str(said.get("Status", "1")) == "0" or not main:
        return Refused("there is no such enterprise")
    people = [_write_value_text(person.get("FULL_NAME")) for person in _list_objects(data.get("Representatives"))]
    names = people or _write_value_text(main.get("LEGAL_NAMES")).split(";")
    activities = sorted(_list_objects(data.get("BusinessActivity")), key=lambda each: each.get("IS_MAIN") != "Y")
    address = _find_first(data.get("HOAdress") or data.get("HOAddress"))
    pairs = [
        ("EnterpriseCode", main.get("ENTERPRISE_GDT_CODE")),
        ("Name", main["NAME"]),
        ("ShortName", main.get("SHORT_NAME")),
        ("ForeignName", main.get("NAME_F")),
        ("TypeName", main.get("ENTERPRISE_TYPE_NAME")),
        ("Status", main.get("ENTERPRISE_STATUS")),
        ("FoundedOn", main.get("FOUNDING_DATE")),
        *(("Representative", name) for name in names),
        ("Address", address.get("AddressFullText")),
        *(("Activity", f"{each.get('CODE') or ''} {each.get('NAME') or ''}") for each in activities),
    ]
    return _make_answer(pairs)


# --- shared categories ----------------------------------------------------------------------------------------------------


def _ask_category(query: Query, settings: Settings) -> GatewayRequest:
    category = query.fields.get("Category")
    if category is None:
        return GatewayRequest(settings["categories-path"])
    return GatewayRequest(settings["category-path"].replace("{category}", quote(category, safe="")))


def _read_category(said: Any, settings: Settings) -> Answer | Refused:
    """Read the rows. Each is an object with the category's own columns and is passed on as one."""
    rows = said if isinstance(said, list) else said.get("Data")
    if rows is None and str(said.get("Status")) == "0":
        return Refused("there is no such category")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TypeError("no list of rows")
    texts = [
        {_write_value_text(name): _write_value_text(value) for name, value in row.items() if _write_value_text(value)}
        for row in rows
    ]
    return Answer(tuple(("Row", json.dumps(row, ensure_ascii=False, separators=(",", ":"))) for row in texts))


# --- VNPost: order/post ----------------------------------------------------------------------------------------------------

_ORDER = {
    "OrderNumber": "orderNumber",
    "CodAmount": "codAmount",
    "SenderProvince": "senderProvince",
    "SenderDistrict": "senderDistrict",
    "SenderAddress": "senderAddress",
    "SenderName": "senderName",
    "SenderEmail": "senderEmail",
    "SenderTel": "senderTel",
    "SenderDesc": "senderDesc",
    "Description": "description",
    "ReceiverName": "receiverName",
    "ReceiverAddress": "receiverAddress",
    "ReceiverTel": "receiverTel",
    "ReceiverProvince": "receiverProvince",
    "ReceiverDistrict": "receiverDistrict",
    "ReceiverEmail": "receiverEmail",
}
_NUMBERS = {"CodAmount", "SenderProvince", "SenderDistrict", "ReceiverProvince", "ReceiverDistrict"}


def _ask_order(query: Query, settings: Settings) -> GatewayRequest:
    fields = query.fields
    known = {
        theirs: int(fields[ours]) if ours in _NUMBERS else fields[ours]
        for ours, theirs in _ORDER.items()
        if ours in fields
    }
    return GatewayRequest(settings["order-path"], body={"customerCode": settings["customer-code"], **known})


def _read_order(said: Any, settings: Settings) -> Answer | Refused:
    status = _read_status(said, "status")
    if status not in settings["order-accepted"].split():
        return Refused(f"the post does not take the order: status {status[:20]}")
    return _make_answer(
        [("OrderNumber", said.get("orderNumber")), ("Status", status), ("Message", said.get("message"))]
    )


# --- civil status: dangKyHoTich, and nhanHoSoDKHT for the joint procedures ------------------------------------------------------


def _ask_civil_status(query: Query, settings: Settings) -> GatewayRequest:
    fields = query.fields
    joint = fields["Module"].startswith("LT")
    body = {
        "maDonVi": fields["Commune"],
        "module": fields["Module"],
        "maHoSo": fields["Dossier"],
        "ngayTiepNhan": fields["ReceivedOn"],
        "data": fields["Data"],
    }
    return GatewayRequest(settings["joint-civil-status-path" if joint else "civil-status-path"], body=body)


def _read_civil_status(said: Any, settings: Settings) -> Answer | Refused:
    status = _read_status(said, "status", "trangThai", "statusCode")
    if status not in settings["civil-status-accepted"].split():
        return Refused(f"the civil status register refuses: status {status[:20]}, error {_read_error_code(said)}")
    return _make_answer([("Status", status), ("Message", said.get("message") or said.get("moTaLoi"))])


# --- judicial record: a form with toKhai -----------------------------------------------------------------------------------------

_FORM = {
    "RecordType": "loaiPhieu",
    "RecordPurpose": "mucDich",
    "Quantity": "soLuongCap",
    "FullName": "nycHoTen",
    "OtherName": "nycTenGoiKhac",
    "Gender": "nycGioiTinh",
    "BornOn": "nycNgaySinh",
    "IdType": "nycLoaiGiayTo",
    "IdNumber": "nycSoGiayTo",
    "IdIssuedOn": "nycNgayCapGiayTo",
    "IdIssuedBy": "nycNoiCapGiayTo",
    "Nationality": "nycQuocTich",
    "Ethnicity": "nycDanToc",
    "Tel": "nycDienThoai",
    "Email": "nycEmail",
}


def _ask_record(query: Query, settings: Settings) -> GatewayRequest:
    fields = query.fields
    form: dict[str, object] = {theirs: fields[ours] for ours, theirs in _FORM.items() if ours in fields}
    if "Residence" in fields:
        form["nycThuongTru"] = {"dcChiTiet": fields["Residence"]}
    return GatewayRequest(settings["judicial-record-path"], body={"maHoSo": fields["Dossier"], "toKhai": form})


def _read_record(said: Any, settings: Settings) -> Answer | Refused:
    status = _read_status(said, "statusCode", "STATUS")
    if status not in settings["judicial-record-accepted"].split():
        return Refused(f"the judicial record system refuses: status {status[:20]}")
    text = said.get("message") or said.get("DESCRIPTION")
    return _make_answer([("RecordId", said.get("id") or said.get("ID")), ("Status", status), ("Message", text)])


#: operation -> how it is asked and its answer read
BY_OPERATION: Mapping[str, NgspOperation] = {
    "LookupEnterprise": NgspOperation(_ask_enterprise, _read_enterprise),
    "LookupCategory": NgspOperation(_ask_category, _read_category),
    "OrderPostalReturn": NgspOperation(_ask_order, _read_order, ("customer-code",)),
    "RegisterCivilStatus": NgspOperation(_ask_civil_status, _read_civil_status),
    "RequestJudicialRecord": NgspOperation(_ask_record, _read_record),
}


def _make_answer(pairs: Iterable[tuple[str, object]]) -> Answer:
    texts = ((name, _write_value_text(value)) for name, value in pairs)
    return Answer(tuple((name, text) for name, text in texts if text))


def _write_value_text(value: object) -> str:
    """Return a JSON value as text that XML can hold; empty for null, lists and objects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return replace_unwritable(" ".join(str(value).split())) if isinstance(value, str | int | float) else ""


def _read_status(said: Any, *names: str) -> str:
    """Return the value of the first of these keys that is present. Raises KeyError if none is."""
    return (
        next(_write_value_text(said[name]) for name in names if name in said)
        if set(names) & set(said)
        else said[names[0]]
    )


def _read_error_code(said: Any) -> str:
    """Return the error code only. The error text may describe a person."""
    code = _write_value_text(said.get("errorCode") or said.get("maLoi") or "")
    return code if code.isalnum() and len(code) <= 10 else "without a code"


def _list_objects(value: Any) -> list[Mapping[str, Any]]:
    """Return a list of objects. A single object counts as a list of one."""
    found = value if isinstance(value, list) else [value] if value else []
    return [each for each in found if isinstance(each, dict)]


def _find_first(value: Any) -> Mapping[str, Any]:
    return next(iter(_list_objects(value)), {})
