"""What SyncDossiers says of a dossier beside its progress: payment, digitised papers, data that were used again, its result,
a letter of apology.

Knows the fields that the indicators of Decision 766/QĐ-TTg read (“Mô tả công thức tính chỉ số 766.docx”, standards 4.3), and
those that the forms `tthc` and `btp07a` read (standards 12), and the fact that each proves. Like all facts of a dossier they count once, by the first message that says so, in whatever
order messages come; a field that is absent or 0 proves nothing.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation

from hub.domain.model import Fact
from hub.services.dossiers.codes import DossierCodes
from hub.services.dossiers.item import CallItem
from hub.services.dossiers.results import FactSource

CHARGED, PAID, DIGITISED, REUSED = "fee-charged", "paid-online", "papers-digitised", "data-reused"
FROM_STORE, IDENTIFIED, RESULT, DAYS = "store-used", "population-data-used", "result-file", "days-taken"
PAID_DIRECTLY, APOLOGISED = "paid-direct", "apologised"
MILESTONES = (
    CHARGED, PAID, PAID_DIRECTLY, DIGITISED, REUSED, FROM_STORE, IDENTIFIED, RESULT, DAYS, APOLOGISED,
)  # fmt: skip
_YES = "1"


def tell_online_facts(
    item: CallItem, source: FactSource, codes: DossierCodes, *, received: date | None, ended: date | None
) -> Iterator[Fact]:
    """Yield the facts that the fields of a received dossier prove. *ended*: when its work was done; None: it goes on."""
    key, papers = item.text("MaHoSo"), [each for each in item.each("TaiLieuNop") if each.text("IsDeleted") != _YES]
    from_store = any(each.text("DuocLayTuKhoDMQG") == _YES for each in papers)
    online = item.text("DuocThanhToanTrucTuyen") in codes.payments
    proved = {
        CHARGED: any(_is_charged(each) for each in item.each("DanhSachLePhi")),
        PAID: online,
        PAID_DIRECTLY: not online and item.text("TrangThaiThanhToan") in codes.paid,
        DIGITISED: any(each.text("DuongDanTaiTepTin") or each.text("TepDinhKemId") for each in papers),
        REUSED: item.text("HoSoCoThanhPhanSoHoa") == _YES or any(each.text("DuocSoHoa") == _YES for each in papers),
        FROM_STORE: from_store,
        IDENTIFIED: from_store
        or item.text("TaiKhoanDuocXacThucVoiVNeID") == _YES
        or item.text("MaCSDL") in codes.population_databases,
        RESULT: any(each.text("DuongDanTepTinKetQua") for each in item.each("DanhSachGiayToKetQua")),
    }
    paid = item.day("NgayThanhToan")
    for milestone, is_so in proved.items():
        if is_so:
            yield source.fact(key, milestone, paid if milestone in (PAID, PAID_DIRECTLY) else None)
    if received is not None and ended is not None:
        yield source.fact(key, DAYS, ended, amount=_count_days(item, received, ended))


def tell_apology(item: CallItem, source: FactSource) -> Iterator[Fact]:
    """Yield the fact that a letter of apology was sent. It does not change the due day (Decree 61/2018, which Decree
    118/2025 replaced; mark U).
    """
    if day := item.day("NgayThuXinLoi"):
        yield source.fact(item.text("MaHoSo"), APOLOGISED, day)


def _is_charged(fee: CallItem) -> bool:
    try:
        return Decimal(fee.text("Gia") or "0") > 0
    except InvalidOperation:
        return False  # the schema refuses it; of a message that was checked by no schema it says nothing


def _count_days(item: CallItem, received: date, ended: date) -> int:
    """Return the days from receipt to end, without those on which the applicant was asked for papers; at least 0."""
    days = (ended - received).days
    for request in item.each("DanhSachHoSoBoSung"):
        asked, answered = request.day("NgayBoSung"), request.day("NgayTiepNhanBoSung")
        if asked and answered and asked <= answered <= ended:
            days -= (answered - asked).days
    return max(days, 0)
