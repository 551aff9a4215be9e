"""Made-up dossiers of one-stop offices: their course, their fields, and the office's own counts of them.

Knows the published fields (DongBoHoSoMC, CapNhatTienDoHoSoMC), those of the hub's own, and the rules of the forms II.06a and
07a/BTP. Does not use the hub's code
for either.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

import attrs

PROCEDURES = (
    ("2.000815.000.00.00.H55", "Chứng thực bản sao từ bản chính", "CT", "Chứng thực"),
    ("1.005129", "Cấp giấy phép xây dựng", "XD", "Hoạt động xây dựng"),
    ("2.000884.000.00.00.H55", "Chứng thực chữ ký", "CT", "Chứng thực"),
)
_LEVELS = {"4": "full", "3": "partial", "": "other"}
_CHANNELS = {"1": "direct", "2": "online", "3": "post"}


@attrs.frozen
class DossierStep:
    """One step of a dossier, `after` days after its receipt, and the message that reports it: sync, progress or both."""

    after: int
    status: str
    told: str = "sync"


@attrs.frozen
class Course:
    """The course of one kind of dossier.

    It is due `due` days after its receipt; later once more papers have been submitted.
    """

    due: int
    steps: tuple[DossierStep, ...]
    extended: int = 0  #: days by which submitted papers extend the due date


#: All cases that form II.06a distinguishes. Dossiers take them in turn.
COURSES = (
    Course(
        4, (DossierStep(0, "2"), DossierStep(1, "4", "progress"), DossierStep(2, "9"), DossierStep(3, "10"))
    ),  # early
    Course(3, (DossierStep(0, "2"), DossierStep(3, "10"))),  # on the very day
    Course(2, (DossierStep(0, "4"), DossierStep(4, "9"))),  # late
    Course(
        2, (DossierStep(0, "2"), DossierStep(1, "5"), DossierStep(3, "4"), DossierStep(4, "9")), extended=2
    ),  # on the extended due day
    Course(5, (DossierStep(0, "2"), DossierStep(2, "7"), DossierStep(3, "10"))),  # withdrawn, and its papers returned
    Course(3, (DossierStep(0, "1"), DossierStep(2, "3"))),  # refused, a day later than it should have been
    # paused, so in time; only a step states the day of a pause, and of the wait for a payment
    Course(2, (DossierStep(0, "2"), DossierStep(1, "8", "progress"))),
    Course(9, (DossierStep(0, "2"), DossierStep(1, "6", "progress"), DossierStep(2, "4", "progress"))),  # in progress
    # finished by a step
    Course(4, (DossierStep(0, "2"), DossierStep(1, "9", "both"), DossierStep(2, "10", "progress"))),
    Course(3, (DossierStep(0, "9"),)),  # finished while the applicant waits
)


@attrs.define
class Dossier:
    """One dossier in the records of an office."""

    unit: str
    number: int
    day: date  #: of its receipt
    status: str = ""
    reached: dict[str, date] = attrs.field(factory=dict)  #: first day of each status
    ended: date | None = None

    @property
    def code(self) -> str:
        """Its code in the form of NĐ 61/2018 (now NĐ 118/2025)."""
        return f"{self.unit}-{self.day:%y%m%d}-{self.number:04}"

    @property
    def course(self) -> Course:
        """The course that it takes."""
        return COURSES[self.number % len(COURSES)]

    @property
    def channel(self) -> str:
        """Its KenhThucHien."""
        return "123"[self.number % 3]

    @property
    def level(self) -> str:
        """Its MucDoTrucTuyen; "" if it is not told."""
        return ("4", "3", "")[self.number // 3 % 3] if self.channel == "2" else ""

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether it was received for another place."""
        return self.number % 7 == 3

    @property
    def is_paid(self) -> bool:
        """Whether its fee is paid, on the day of its receipt: online if it was handed in online."""
        return self.number % 4 == 0

    @property
    def apology(self) -> date | None:
        """The day of the letter of apology, which is told with the late result; None if there was none."""
        late = self.ended is not None and self.ended > self.due and "7" not in self.reached
        return self.due + timedelta(1) if late and self.number % 4 > 1 else None

    @property
    def taken_on(self) -> bool:
        """Whether the office has received it."""
        return not set(self.reached) <= {"1", "3"}

    @property
    def handed_in(self) -> date | None:
        """The day on which the requested papers were submitted; None before that."""
        return self.reached.get("4") if "5" in self.reached else None

    @property
    def due(self) -> date:
        """The due day, extended if papers were submitted."""
        return self.day + timedelta(self.course.due + (self.course.extended if self.handed_in else 0))

    def waits_on(self, day: date) -> bool:
        """Tell whether it waited for papers or a payment, or was paused, on *day*: then it is in time."""
        until_then = [step.status for step in self.course.steps if self.reached.get(step.status, date.max) <= day]
        return until_then[-1:] in (["5"], ["6"], ["8"])

    def steps(self, today: date) -> Iterator[DossierStep]:
        """Yield today's steps. They are recorded in the dossier before they are yielded."""
        for step in self.course.steps:
            if self.day + timedelta(step.after) == today:
                self.status = step.status
                self.reached.setdefault(step.status, today)
                if step.status in {"3", "7", "9", "10"}:
                    self.ended = self.ended or today
                yield step

    def state(self) -> dict[str, object]:
        """Return its current HoSo."""
        code, name, field, field_name = PROCEDURES[self.number % len(PROCEDURES)]
        found: dict[str, object] = {
            "MaHoSo": self.code,
            "MaTTHC": code,
            "TenTTHC": name,
            "MaLinhVuc": field,
            "TenLinhVuc": field_name,
            "ChuHoSo": f"Người nộp {self.number} (mẫu)",
            "LoaiDoiTuong": "12"[self.number % 2],
            "NgayTiepNhan": _at(self.day, "08"),
            "NgayHenTra": _at(self.due, "17"),
            "TrangThaiHoSo": self.status,
            "DonViXuLy": "Bộ phận Một cửa (mẫu)",
            "KenhThucHien": self.channel,
        }
        if self.is_paid:
            found["DuocThanhToanTrucTuyen" if self.channel == "2" else "TrangThaiThanhToan"] = "1"
            found["NgayThanhToan"] = _at(self.day, "08")
        if not self.taken_on:
            found |= {"NgayNop": _at(self.day, "07"), "HanTiepNhan": _at(self.day, "17")}
        if self.level:
            found["MucDoTrucTuyen"] = self.level
        if self.is_from_elsewhere:
            found["PhiDiaGioi"] = "1"
        if self.apology:
            found["NgayThuXinLoi"] = _at(self.apology, "10")
        if self.ended:
            found["NgayKetThucXuLy"] = _at(self.ended, "16")
        if "10" in self.reached:
            found["NgayTra"] = _at(self.reached["10"], "16")
        if "5" in self.reached:
            request = {"HoSoBoSungId": f"{self.code}-1", "NgayBoSung": _at(self.reached["5"], "10")}
            if self.handed_in:
                request |= {"NgayTiepNhanBoSung": _at(self.handed_in, "09"), "NgayHenTraMoi": _at(self.due, "17")}
            found["DanhSachHoSoBoSung"] = [request]
        return found

    def progress(self, step: DossierStep, today: date) -> dict[str, object]:
        """Return the TienDo that reports *step*."""
        return {
            "MaHoSo": self.code,
            "NguoiXuLy": "Cán bộ một cửa (mẫu)",
            "ThoiDiemXuLy": _at(today, "16"),
            "NoiDungXuLy": "Xử lý hồ sơ",
            "TrangThai": step.status,
        }


def count_office_dossiers(dossiers: Iterable[Dossier], first: date, last: date) -> Mapping[str, int]:
    """Return the office's own count of its *dossiers* for the days *first* to *last*, without zeros."""
    found: dict[str, int] = {}

    def add(name: str) -> None:
        found[name] = found.get(name, 0) + 1

    for each in dossiers:
        taken = each.taken_on
        if taken and first <= each.day <= last:
            add(f"received_{_CHANNELS[each.channel]}")
        if taken and each.ended and first <= each.ended <= last:
            add("withdrawn" if "7" in each.reached else f"finished_{_timing(each.ended, each.due)}")
        if taken and each.day <= last and not (each.ended and each.ended <= last):
            add("pending_overdue" if each.due < last and not each.waits_on(last) else "pending_in_time")
        for status, name in (("3", "refused"), ("5", "supplement_requested"), ("10", "returned")):
            if status in each.reached and first <= each.reached[status] <= last:
                add(name)
        if each.handed_in and first <= each.handed_in <= last:
            add("supplemented")
    return found


def count_office_table(dossiers: Iterable[Dossier], first: date, last: date) -> Mapping[str, int]:
    """Return the office's own count of its *dossiers* by form 07a/BTP for the days *first* to *last*, without zeros and
    sums.
    """
    return Counter(name for each in dossiers for name in _cells_of_table(each, first, last))


def _cells_of_table(one: Dossier, first: date, last: date) -> Iterator[str]:
    """Yield the columns that count one dossier."""

    def within(day: date | None) -> bool:
        return day is not None and first <= day <= last

    if within(one.reached.get("8")):
        yield "stopped"
    if not one.taken_on:
        if one.day <= last and not (one.ended and one.ended <= last):
            yield "awaiting_in_time" if one.day == last else "awaiting_overdue"
        if within(one.ended):
            yield "refused"
        return
    if within(one.day):
        way = {"1": "direct", "2": f"online_{_LEVELS[one.level]}", "3": "post"}[one.channel]
        yield f"received_{way}"
        yield from ["received_elsewhere"] if one.is_from_elsewhere else []
        yield from [f"paid_{'online' if one.channel == '2' else 'direct'}"] if one.is_paid else []
    letter = "apologised" if one.apology else "unapologised"
    if within(one.ended):
        withdrawn = "7" in one.reached
        is_late = not withdrawn and one.ended is not None and one.ended > one.due
        yield f"settled_late_{letter}" if is_late else "settled_in_time"
        yield from ["withdrawn"] if withdrawn else []
    if one.day <= last and not (one.ended and one.ended <= last):
        sent = "apologised" if one.apology and one.apology <= last else "unapologised"
        is_overdue = one.due < last and not one.waits_on(last)
        yield f"pending_overdue_{sent}" if is_overdue else "pending_in_time"


def _timing(ended: date, due: date) -> str:
    if ended == due:
        return "on_time"
    return "early" if ended < due else "late"


def _at(day: date, hour: str) -> str:
    return f"{day:%Y%m%d}{hour}0000"
