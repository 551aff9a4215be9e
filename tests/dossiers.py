"""Calls about dossiers as one-stop software writes them.  Knows the fields of the contract; nothing of the hub."""

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from lxml import etree

NAMESPACE = "urn:lienthong:dossiers:1"
ORDER = [
    "MaHoSo",
    "MaTTHC",
    "TenTTHC",
    "MaLinhVuc",
    "TenLinhVuc",
    "SoBienNhan",
    "ChuHoSo",
    "LoaiDoiTuong",
    "MaDoiTuong",
    "ThongTinKhac",
    "Email",
    "Fax",
    "SoDienThoai",
    "TrichYeuHoSo",
    "NgayTiepNhan",
    "NgayHenTra",
    "TrangThaiHoSo",
    "DonViXuLy",
    "NgayTra",
    "ThongTinTra",
    "HinhThuc",
    "NgayKetThucXuLy",
    "GhiChu",
    "TaiLieuNop",
    "DanhSachLePhi",
    "DanhSachTepDinhKemKhac",
    "DanhSachHoSoBoSung",
    "DanhSachGiayToKetQua",
    "KenhThucHien",
    "DuocThanhToanTrucTuyen",
    "HoSoCoThanhPhanSoHoa",
    "TaiKhoanDuocXacThucVoiVNeID",
    "MaCSDL",
    "TrangThaiThanhToan",
    "NgayThanhToan",
    "NgayNop",
    "HanTiepNhan",
    "MucDoTrucTuyen",
    "PhiDiaGioi",
    "NgayThuXinLoi",
]
STEP = [
    "MaHoSo",
    "NguoiXuLy",
    "ChucDanh",
    "ThoiDiemXuLy",
    "PhongBanXuLy",
    "NoiDungXuLy",
    "TrangThai",
    "NgayBatDau",
    "NgayKetThucTheoQuyDinh",
]
NUMBERS = {
    "Month": "11", "Year": "2026", "IsMonthStatistic": "true", "NewReception": "40", "PreExtisting": "2", "Total": "42",
    "TotalSolved": "30", "SolvedInTime": "28", "SolvedInTimePercent": "93.33", "SolvedLate": "2", "SolvedLatePercent": "6.67",
    "TotalPending": "12", "Pending": "12", "PendingPercent": "100", "PendingLate": "0", "PendingLatePercent": "0", "Note": "",
    "OrganizationInchargeIdlevel1": "H55.13", "OrganizationInchargeName": "Sở Tài nguyên",
}  # fmt: skip


def hoso(code: str = "H55.13-261120-0001", **changes: object) -> dict[str, object]:
    """Return the fields of a dossier in hand, received on 20 November and due on the 27th, with *changes* (None: left out)."""
    fields: dict[str, object] = {
        "MaHoSo": code,
        "MaTTHC": "2.000815.000.00.00.H55",
        "TenTTHC": "Chứng thực bản sao từ bản chính",
        "MaLinhVuc": "CT",
        "TenLinhVuc": "Chứng thực",
        "ChuHoSo": "Người nộp (mẫu)",
        "LoaiDoiTuong": "1",
        "NgayTiepNhan": "20261120083000",
        "NgayHenTra": "20261127170000",
        "TrangThaiHoSo": "4",
        "DonViXuLy": "Bộ phận Một cửa",
        "KenhThucHien": "2",
        **changes,
    }
    return {name: fields[name] for name in ORDER if fields.get(name) is not None}


def tiendo(
    code: str = "H55.13-261120-0001", status: str = "4", at: str = "20261121090000", **changes: object
) -> dict[str, object]:
    """Return the fields of a step of work."""
    fields = {"MaHoSo": code, "NguoiXuLy": "Cán bộ (mẫu)", "ThoiDiemXuLy": at, "TrangThai": status, **changes}
    return {name: fields[name] for name in STEP if name in fields}


def sync(*dossiers: Mapping[str, object], organ: str = "H55.13", message_id: str | None = None) -> bytes:
    return _call("SyncDossiers", "HoSo", dossiers, organ, message_id)


def progress(*steps: Mapping[str, object], organ: str = "H55.13", message_id: str | None = None) -> bytes:
    return _call("UpdateDossierProgress", "TienDo", steps, organ, message_id)


def statistic(organ: str = "H55.13", message_id: str | None = None, **changes: object) -> bytes:
    fields = {name: text for name, text in {**NUMBERS, **changes}.items() if text is not None}
    return _call("SubmitStatistic", "MStatistic", [fields], organ, message_id)


def _call(name: str, part: str, parts: Iterable[Mapping[str, object]], organ: str, message_id: str | None) -> bytes:
    """Return a call as the hub keeps it: the Body's child in exclusive C14N."""
    head = f"<MessageId>{message_id}</MessageId>" if message_id else ""
    inside = "".join(_element(part, each) for each in parts)
    written = f'<{name} xmlns="{NAMESPACE}">{head}<OrganId>{organ}</OrganId>{inside}</{name}>'
    return etree.tostring(etree.fromstring(written), method="c14n", exclusive=True)


def _element(name: str, value: object) -> str:
    if isinstance(value, list):
        return "".join(_element(name, each) for each in value)
    inside = (
        "".join(_element(field, each) for field, each in value.items())
        if isinstance(value, Mapping)
        else escape(str(value))
    )
    return f"<{name}>{inside}</{name}>"
