"""Dossiers of one-stop offices made up for samples: their courses, their fields, and what an office counts of them itself.

Knows the published fields (DongBoHoSoMC, CapNhatTienDoHoSoMC) and form II.06a's rules; nothing of how the hub reads either.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

import attrs

PROCEDURES = (
    ("2.000815.000.00.00.H55", "Chứng thực bản sao từ bản chính", "CT", "Chứng thực"),
    ("1.005129", "Cấp giấy phép xây dựng", "XD", "Hoạt động xây dựng"),
    ("2.000884.000.00.00.H55", "Chứng thực chữ ký", "CT", "Chứng thực"),
)
_CHANNELS = {"1": "direct", "2": "online", "3": "post"}


@attrs.frozen
class DossierStep:
    """What happens to a dossier so many days after it came, and by which message it is told: sync, progress, both."""

    after: int
    status: str
    told: str = "sync"


@attrs.frozen
class Course:
    """How a kind of dossier goes; it is due so many days after it came, later once more papers were handed in."""

    due: int
    steps: tuple[DossierStep, ...]
    extended: int = 0  #: days that the papers put the due date off


#: Every way that form II.06a tells apart.  They are dealt out one after another.
COURSES = (
    Course(
        4, (DossierStep(0, "2"), DossierStep(1, "4", "progress"), DossierStep(2, "9"), DossierStep(3, "10"))
    ),  # early
    Course(3, (DossierStep(0, "2"), DossierStep(3, "10"))),  # on the very day
    Course(2, (DossierStep(0, "4"), DossierStep(4, "9"))),  # late
    Course(
        2, (DossierStep(0, "2"), DossierStep(1, "5"), DossierStep(3, "4"), DossierStep(4, "9")), extended=2
    ),  # on the day it was put off to
    Course(5, (DossierStep(0, "2"), DossierStep(2, "7"), DossierStep(3, "10"))),  # withdrawn, and its papers given back
    Course(3, (DossierStep(0, "1"), DossierStep(1, "3"))),  # not taken on
    Course(2, (DossierStep(0, "2"), DossierStep(1, "8"))),  # paused, and overdue
    Course(9, (DossierStep(0, "2"), DossierStep(1, "6"), DossierStep(2, "4", "progress"))),  # still in hand
    Course(4, (DossierStep(0, "2"), DossierStep(1, "9", "both"), DossierStep(2, "10", "progress"))),  # ended by a step
    Course(3, (DossierStep(0, "9"),)),  # done while one waits
)


@attrs.define
class Dossier:
    """One dossier of an office's books."""

    unit: str
    number: int
    day: date  #: on which it came
    status: str = ""
    reached: dict[str, date] = attrs.field(factory=dict)  #: first day of each status
    ended: date | None = None

    @property
    def code(self) -> str:
        """Its code, as NĐ 61/2018 has it."""
        return f"{self.unit}-{self.day:%y%m%d}-{self.number:04}"

    @property
    def course(self) -> Course:
        """How it goes."""
        return COURSES[self.number % len(COURSES)]

    @property
    def channel(self) -> str:
        """KenhThucHien."""
        return "123"[self.number % 3]

    @property
    def handed_in(self) -> date | None:
        """The day on which the papers asked for came."""
        return self.reached.get("4") if "5" in self.reached else None

    @property
    def due(self) -> date:
        """The day on which it is due, as things stand."""
        return self.day + timedelta(self.course.due + (self.course.extended if self.handed_in else 0))

    def steps(self, today: date) -> Iterator[DossierStep]:
        """Yield what happens to it today, done in its books already."""
        for step in self.course.steps:
            if self.day + timedelta(step.after) == today:
                self.status = step.status
                self.reached.setdefault(step.status, today)
                if step.status in {"3", "7", "9", "10"}:
                    self.ended = self.ended or today
                yield step

    def state(self) -> dict[str, object]:
        """Return its HoSo as it stands."""
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
        """Return the TienDo that tells of *step*."""
        return {
            "MaHoSo": self.code,
            "NguoiXuLy": "Cán bộ một cửa (mẫu)",
            "ThoiDiemXuLy": _at(today, "16"),
            "NoiDungXuLy": "Xử lý hồ sơ",
            "TrangThai": step.status,
        }


def count_office_dossiers(dossiers: Iterable[Dossier], first: date, last: date) -> Mapping[str, int]:
    """Return what an office counts of its *dossiers* for the days *first* to *last*, by its own books; without zeros."""
    found: dict[str, int] = {}

    def add(name: str) -> None:
        found[name] = found.get(name, 0) + 1

    for each in dossiers:
        taken = not set(each.reached) <= {"1", "3"}
        if taken and first <= each.day <= last:
            add(f"received_{_CHANNELS[each.channel]}")
        if taken and each.ended and first <= each.ended <= last:
            add("withdrawn" if "7" in each.reached else f"finished_{_timing(each.ended, each.due)}")
        if taken and each.day <= last and not (each.ended and each.ended <= last):
            add("pending_overdue" if each.due < last else "pending_in_time")
        for status, name in (("3", "refused"), ("5", "supplement_requested"), ("10", "returned")):
            if status in each.reached and first <= each.reached[status] <= last:
                add(name)
        if each.handed_in and first <= each.handed_in <= last:
            add("supplemented")
    return found


def _timing(ended: date, due: date) -> str:
    if ended == due:
        return "on_time"
    return "early" if ended < due else "late"


def _at(day: date, hour: str) -> str:
    return f"{day:%Y%m%d}{hour}0000"
