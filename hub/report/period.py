"""The periods of reports and where they begin and end.  Knows the cut-off day; does not know what is counted in a period.

Source: standards 4.2.  A period is named by the month in which it ends: with the usual cut-off on the 15th, `2026-12` runs from
15 November to 14 December 2026, so a result of 24 November belongs to `2026-12`.  Bounds are half-open, at midnight in Hà Nội.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

import attrs

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")

_TEXT = re.compile(
    r"(?P<year>2\d{3})(?:-(?:(?P<month>0[1-9]|1[0-2])|Q(?P<quarter>[1-4])|H(?P<half>[12])|(?P<nine>9)M))?", re.ASCII
)
_ROMAN = ("I", "II", "III", "IV")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class PeriodUnreadable(ValueError):
    """The text names no period; the sentence says, in both languages, what would."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"Kỳ báo cáo “{text}” không đọc được; hãy ghi như 2026-11, 2026-Q4, 2026-H1, 2026-9M hoặc 2026. / "
            f"The period “{text}” cannot be read; write it like 2026-11, 2026-Q4, 2026-H1, 2026-9M or 2026."
        )
        self.text = text


class Span(StrEnum):
    """How long a period is."""

    MONTH = "month"
    QUARTER = "quarter"
    HALF = "half"
    NINE_MONTHS = "nine-months"
    YEAR = "year"


def _closes_a_month(_: object, attribute: "attrs.Attribute[int]", day: int) -> None:
    if not 1 <= day <= 28:
        raise ValueError(f"{attribute.name}: {day}, expected 1 to 28")


@attrs.frozen
class CutOff:
    """The day on which the next month's period begins, for the months from that of `since` on.

    Day 1 means calendar months.  Days 29 to 31 do not exist in every month: ValueError.
    """

    day: int = attrs.field(validator=_closes_a_month)
    since: date | None = None


CUT_OFFS: tuple[CutOff, ...] = (CutOff(15),)  #: what KH 2023 and NĐ 09/2019 Điều 12 say; older circulars had the 25th


@attrs.frozen
class Period:
    """A reporting period; `first` and `last` are its days in Hà Nội, both inside it."""

    text: str
    span: Span
    year: int
    number: int  #: the month, quarter or half; 9 for nine months; 0 for the year
    first: date
    last: date

    @property
    def start(self) -> datetime:
        """The first instant of the period, in UTC."""
        return _midnight(self.first)

    @property
    def end(self) -> datetime:
        """The first instant after the period, in UTC."""
        return _midnight(self.last + timedelta(days=1))

    def name(self, language: str = "vi") -> str:
        """Return what a reader calls the period: `Quý IV năm 2026`, or in English `Quarter 4 of 2026`."""
        vietnamese, english = self._names()
        return english if language == "en" else vietnamese

    def _names(self) -> tuple[str, str]:
        year, number = self.year, self.number
        match self.span:
            case Span.MONTH:
                return f"Tháng {number} năm {year}", f"{_MONTHS[number - 1]} {year}"
            case Span.QUARTER:
                return f"Quý {_ROMAN[number - 1]} năm {year}", f"Quarter {number} of {year}"
            case Span.HALF if number == 1:
                return f"6 tháng đầu năm {year}", f"First half of {year}"
            case Span.HALF:
                return f"6 tháng cuối năm {year}", f"Second half of {year}"
            case Span.NINE_MONTHS:
                return f"9 tháng đầu năm {year}", f"First nine months of {year}"
            case Span.YEAR:
                return f"Năm {year}", f"Year {year}"
        assert_never(self.span)


def parse(text: str, cut_offs: Sequence[CutOff] = CUT_OFFS) -> Period:
    """Return the period that *text* names: `2026-11`, `2026-Q4`, `2026-H1`, `2026-9M` or `2026`.  PeriodUnreadable otherwise."""
    found = _TEXT.fullmatch(text.strip().upper())
    if found is None:
        raise PeriodUnreadable(text)
    year = int(found["year"])
    if found["month"]:
        return _period(Span.MONTH, year, int(found["month"]), int(found["month"]), 1, cut_offs)
    if found["quarter"]:
        return _period(Span.QUARTER, year, int(found["quarter"]), 3 * int(found["quarter"]), 3, cut_offs)
    if found["half"]:
        return _period(Span.HALF, year, int(found["half"]), 6 * int(found["half"]), 6, cut_offs)
    if found["nine"]:
        return _period(Span.NINE_MONTHS, year, 9, 9, 9, cut_offs)
    return _period(Span.YEAR, year, 0, 12, 12, cut_offs)


def containing(at: datetime, cut_offs: Sequence[CutOff] = CUT_OFFS) -> Period:
    """Return the month whose period contains the instant *at*."""
    day = at.astimezone(HANOI).date()
    year, month = day.year, day.month
    if day >= _boundary(year, month, cut_offs):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return _period(Span.MONTH, year, month, month, 1, cut_offs)


def _period(span: Span, year: int, number: int, last_month: int, months: int, cut_offs: Sequence[CutOff]) -> Period:
    """Return the period of *months* months that ends with the period of *last_month*."""
    suffix = {
        Span.MONTH: f"-{number:02d}",
        Span.QUARTER: f"-Q{number}",
        Span.HALF: f"-H{number}",
        Span.NINE_MONTHS: "-9M",
    }
    before = (year, last_month - months) if last_month > months else (year - 1, 12)
    return Period(
        text=f"{year}{suffix.get(span, '')}",
        span=span,
        year=year,
        number=number,
        first=_boundary(*before, cut_offs),
        last=_boundary(year, last_month, cut_offs) - timedelta(days=1),
    )


def _boundary(year: int, month: int, cut_offs: Sequence[CutOff]) -> date:
    """Return the first day after the period of that month: so each period begins where the one before it ends."""
    in_force = [cut for cut in cut_offs if cut.since is None or (cut.since.year, cut.since.month) <= (year, month)]
    if not in_force:
        raise ValueError(f"no cut-off day is in force in {year}-{month:02d}")
    day = max(in_force, key=lambda cut: cut.since or date.min).day
    if day == 1:
        return date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, day)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), HANOI).astimezone(UTC)
