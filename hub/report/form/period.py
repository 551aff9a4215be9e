"""Determines the periods of reports, and where they begin and end. Knows the cut-off day. Does not know what is counted
in a period.

Source: standards 4.2. A period is named after the month in which it ends. With the usual cut-off on the 15th, `2026-12`
runs from 15 November to 14 December 2026, so a result of 24 November belongs to `2026-12`. Bounds are half-open, at
midnight in Hà Nội. Each period begins where the one before it ends, even if the cut-off changes. A closed period keeps
the days with which it was closed.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import assert_never

import attrs

from hub.domain.local_time import HANOI
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase

_TEXT = re.compile(
    r"(?P<year>2\d{3})(?:-(?:(?P<month>0[1-9]|1[0-2])|Q(?P<quarter>[1-4])|H(?P<half>[12])|(?P<nine>9)M))?", re.ASCII
)
_DAY = timedelta(days=1)
_MONTHS = (
    phrase("January"), phrase("February"), phrase("March"), phrase("April"), phrase("May"), phrase("June"),
    phrase("July"), phrase("August"), phrase("September"), phrase("October"), phrase("November"), phrase("December"),
)  # fmt: skip


class PeriodUnreadable(ValueError):
    """The text is not a period."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @property
    def said(self) -> Phrase:
        """The sentence for a reader; it shows the valid forms."""
        return phrase(
            "The period “{text}” cannot be read; write it like 2026-11, 2026-Q4, 2026-H1, 2026-9M or 2026.",
            text=self.text,
        )

    def __str__(self) -> str:
        return str(self.said)


class Span(StrEnum):
    """The length of a period."""

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

    Day 1 means calendar months. Days 29 to 31 do not exist in every month and raise ValueError.
    """

    day: int = attrs.field(validator=_closes_a_month)
    since: date | None = None


CUT_OFFS: tuple[CutOff, ...] = (CutOff(15),)  #: source: KH 2023 and NĐ 09/2019 Điều 12; older circulars had the 25th

#: For each span, by its number: the month in which it ends, and its number of months.
_LAST: Mapping[Span, Callable[[int], tuple[int, int]]] = {
    Span.MONTH: lambda number: (number, 1),
    Span.QUARTER: lambda number: (3 * number, 3),
    Span.HALF: lambda number: (6 * number, 6),
    Span.NINE_MONTHS: lambda _: (9, 9),
    Span.YEAR: lambda _: (12, 12),
}


@attrs.frozen
class Period:
    """A reporting period. `first` and `last` are its first and last days in Hà Nội, both inclusive."""

    text: str
    span: Span
    year: int
    number: int  #: the month, quarter or half; 9 for nine months; 0 for the year
    first: date
    last: date

    @property
    def start(self) -> datetime:
        """The first instant of the period, in UTC."""
        return _find_midnight(self.first)

    @property
    def end(self) -> datetime:
        """The first instant after the period, in UTC."""
        return _find_midnight(self.last + _DAY)

    @property
    def months(self) -> tuple[str, ...]:
        """The months of which it consists, as text, in order."""
        last, many = _LAST[self.span](self.number)
        return tuple(_write_month(self.year, month) for month in range(last - many + 1, last + 1))

    def name(self, language: Language = Language.VI) -> str:
        """Return the name of the period for readers: `Quý IV năm 2026`, or in English `Quarter 4 of 2026`."""
        return translate(self._name(), language)

    def _name(self) -> Phrase:
        year, number = self.year, self.number
        match self.span:
            case Span.MONTH:
                return phrase("{month} {year}", month=_MONTHS[number - 1], year=year)
            case Span.QUARTER:
                return (
                    phrase("Quarter 1 of {year}", year=year),
                    phrase("Quarter 2 of {year}", year=year),
                    phrase("Quarter 3 of {year}", year=year),
                    phrase("Quarter 4 of {year}", year=year),
                )[number - 1]
            case Span.HALF if number == 1:
                return phrase("First half of {year}", year=year)
            case Span.HALF:
                return phrase("Second half of {year}", year=year)
            case Span.NINE_MONTHS:
                return phrase("First nine months of {year}", year=year)
            case Span.YEAR:
                return phrase("Year {year}", year=year)
        assert_never(self.span)


@attrs.frozen
class Cuts:
    """Where the period of each month ends: by the cut-off days or, for a closed month, where it ended when it was
    closed.
    """

    cut_offs: tuple[CutOff, ...] = CUT_OFFS
    #: the first day after the period of a month, such as `2026-12`
    kept: Mapping[str, date] = attrs.field(factory=dict)

    def keeping(self, closed: Iterable[Period]) -> "Cuts":
        """Return these cuts with the days of the *closed* months. The month after a closed month begins where it ends,
        and the month before ends where it begins.
        """
        months = list(closed)
        begins = {_write_month(month.year, month.number - 1): month.first for month in months}
        ends = {month.text: month.last + _DAY for month in months}
        return attrs.evolve(self, kept={**self.kept, **begins, **ends})

    def end(self, year: int, month: int) -> date:
        """Return the first day after the period of that month; month 0 is the December before. Raises ValueError: no
        cut-off day is in force.
        """
        year, month = (year, month) if month else (year - 1, 12)
        known = self.kept.get(_write_month(year, month))
        if known is not None:
            return known
        in_force = [
            cut for cut in self.cut_offs if cut.since is None or (cut.since.year, cut.since.month) <= (year, month)
        ]
        if not in_force:
            raise ValueError(f"no cut-off day is in force in {year}-{month:02d}")
        day = max(in_force, key=lambda cut: cut.since or date.min).day
        if day == 1:
            return date(year + month // 12, month % 12 + 1, 1)
        return date(year, month, day)


CUTS = Cuts()  #: the cuts of a province without settings and without closed months


def parse_period(text: str, cuts: Cuts = CUTS) -> Period:
    """Return the period that *text* names: `2026-11`, `2026-Q4`, `2026-H1`, `2026-9M` or `2026`. Raises
    PeriodUnreadable otherwise.

    Its days are those of *cuts*. Without *cuts*, use only what does not depend on days.
    """
    found = _TEXT.fullmatch(text.strip().upper())
    if found is None:
        raise PeriodUnreadable(text)
    year = int(found["year"])
    if found["month"]:
        return _make_period(Span.MONTH, year, int(found["month"]), cuts)
    if found["quarter"]:
        return _make_period(Span.QUARTER, year, int(found["quarter"]), cuts)
    if found["half"]:
        return _make_period(Span.HALF, year, int(found["half"]), cuts)
    if found["nine"]:
        return _make_period(Span.NINE_MONTHS, year, 9, cuts)
    return _make_period(Span.YEAR, year, 0, cuts)


def find_month_containing(at: datetime, cuts: Cuts = CUTS) -> Period:
    """Return the month whose period contains the instant *at*."""
    day = at.astimezone(HANOI).date()
    year, month = day.year, day.month
    if day >= cuts.end(year, month):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return _make_period(Span.MONTH, year, month, cuts)


def find_following_month(month: Period, cuts: Cuts = CUTS) -> Period:
    """Return the month after *month*. It begins where *month* ends according to *cuts*."""
    last = month.number == 12
    return _make_period(Span.MONTH, month.year + last, 1 if last else month.number + 1, cuts)


def _make_period(span: Span, year: int, number: int, cuts: Cuts) -> Period:
    suffix = {
        Span.MONTH: f"-{number:02d}",
        Span.QUARTER: f"-Q{number}",
        Span.HALF: f"-H{number}",
        Span.NINE_MONTHS: "-9M",
    }
    last, many = _LAST[span](number)
    return Period(
        text=f"{year}{suffix.get(span, '')}",
        span=span,
        year=year,
        number=number,
        first=cuts.end(year, last - many),
        last=cuts.end(year, last) - _DAY,
    )


def _write_month(year: int, month: int) -> str:
    """Return the text of a month; month 0 is the December before."""
    return f"{year}-{month:02d}" if month else f"{year - 1}-12"


def _find_midnight(day: date) -> datetime:
    return datetime.combine(day, time(), HANOI).astimezone(UTC)
