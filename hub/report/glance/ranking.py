"""Puts the units of a class beside one another: rank, change, trend, target, and figures that are far from the others.

Knows sheets and indicators. Contains no SQL, no layout and no language.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from fractions import Fraction

import attrs

from hub.domain.model import Unit
from hub.language.sorting import make_code_sort_key
from hub.report.counting.deriving import Number, round_ratio
from hub.report.form.form import Form
from hub.report.glance.settings import Better, Glance, RankIndicator
from hub.report.glance.sheet import GlanceSheet

#: The column of a form that counts what a unit took over from former units; not every form has it.
INHERITED = "taken_over"


@attrs.frozen(kw_only=True)
class RankedUnit:
    """One unit of a ranking."""

    unit: Unit
    place: int | None  #: from 1; units with the same number share it; None: it has no number, or stands apart
    value: Number
    part: Number  #: the sum of the columns of `RankIndicator.part`; of a column alone it is the value
    whole: Number  #: that of `RankIndicator.whole`; None: the indicator has none
    before: Number  #: the value in the period before; None: there is none
    place_before: int | None
    trend: tuple[Number, ...]  #: the values of the periods of the ranking, oldest first; the last is `value`
    met: bool | None  #: whether the target is met; None: there is no target, or no number
    far: bool  #: whether it is far from the others of its class
    ended: bool = False  #: whether it ended in the period: then it stands apart
    #: what it took over from former units in the period, less what it handed over; None: nothing
    inherited: Number = None
    heir: bool = False  #: whether that is so much of all it had that it stands apart (`Glance.inherited_percent`)

    @property
    def apart(self) -> bool:
        """Whether it is compared with nobody."""
        return self.ended or self.heir

    @property
    def change(self) -> Decimal | int | None:
        """By how much the value changed since the period before; None if one of the two is missing."""
        return None if self.value is None or self.before is None else self.value - self.before


@attrs.frozen(kw_only=True)
class Spread:
    """How the numbers of a class lie: a quarter of the units has at most `low`, half `middle`, three quarters `high`."""

    low: Decimal
    middle: Decimal
    high: Decimal
    count: int


@attrs.frozen(kw_only=True)
class Ranking:
    """The units of a class, the best first; where nobody says what is better, the greatest number first."""

    indicator: RankIndicator
    target: Decimal | None
    rows: tuple[RankedUnit, ...]
    periods: tuple[str, ...]  #: of the trend, oldest first
    counted: tuple[bool, ...]  #: whether the numbers of each of these periods are kept
    spread: Spread | None  #: None: no unit has a number

    def list_changes(self, most: int) -> tuple[Sequence[RankedUnit], Sequence[RankedUnit]]:
        """Return the units that rose most and those that fell most since the period before, the greatest change first, at
        most *most* of each. Where less is better, a unit rises by a smaller number.
        """
        changed = [(change, row) for row in self.rows if (change := row.change)]
        sign = -1 if self.indicator.better is Better.LESS else 1
        ups = sorted((each for each in changed if each[0] * sign > 0), key=lambda each: -each[0] * sign)
        downs = sorted((each for each in changed if each[0] * sign < 0), key=lambda each: each[0] * sign)
        return [row for _, row in ups[:most]], [row for _, row in downs[:most]]

    @property
    def last(self) -> RankedUnit | None:
        """The last unit that has a number."""
        return next((row for row in reversed(self.rows) if row.place is not None), None)


@attrs.frozen
class _UnitNumbers:
    """What the sheets say of units, by unit."""

    values: Sequence[Mapping[str, Number]]  #: of each period
    parts: Mapping[str, tuple[Number, Number]]  #: part and whole, in the last period
    inherited: Mapping[str, Number]  #: of them, what came from former units, if anything did
    heirs: AbstractSet[str]  #: units of whose work much came from former units


def _read_numbers(
    glance: Glance,
    indicator: RankIndicator,
    members: Sequence[Unit],
    sheets: Mapping[str, GlanceSheet],
    periods: Sequence[str],
    total: str,
) -> _UnitNumbers:
    values, parts = list[Mapping[str, Number]](), dict[str, tuple[Number, Number]]()
    inherited, heirs = dict[str, Number](), set[str]()
    part, whole = ([indicator.columns.index(key) for key in keys] for keys in (indicator.part, indicator.whole))
    for text in periods:
        sheet = sheets.get(text)
        numbers = {} if sheet is None else sheet.read_numbers((*indicator.columns, INHERITED, total))
        nothing = numbers.get("", (None,) * (len(indicator.columns) + 2))
        found: dict[str, Number] = {}
        for unit in members:
            cells = numbers.get(unit.code, nothing)
            both = _add_cells(cells, part), _add_cells(cells, whole)
            value = compute_share(*both) if whole else both[0]
            found[unit.code] = value if unit.code in numbers else None
            if text == periods[-1]:
                parts[unit.code] = both
                *_, taken, had = cells
                if taken is not None and taken > 0:
                    inherited[unit.code] = taken
                    if had is None or 100 * taken > glance.inherited_percent * had:
                        heirs.add(unit.code)
        values.append(found)
    return _UnitNumbers(values, parts, inherited, heirs)


def rank_units(
    glance: Glance,
    indicator: RankIndicator,
    units: Iterable[Unit],
    sheets: Mapping[str, GlanceSheet],
    periods: Sequence[str],
    total: str = "",
) -> Ranking:
    """Return the ranking of *units* in the last of *periods*, which are in order. *sheets*: the kept numbers by period;
    of a period without a sheet there are none. A unit of which a sheet has nothing at all has no number: it had nothing to do.
    A unit that ended in the last period is compared with nobody, nor is one of whose work much came from former units.
    *total*: the column of all that a unit had, with what it took over; without one, whatever it took over is much.
    """
    members = list(units)
    read = _read_numbers(glance, indicator, members, sheets, periods, total)
    values, heirs = read.values, read.heirs
    now, before = values[-1], values[-2] if len(values) > 1 else {}
    sheet = sheets.get(periods[-1])
    ended = {unit.code for unit in members if sheet and unit.until is not None and unit.until <= sheet.last}
    compared = {code: value for code, value in now.items() if code not in ended | heirs}
    places, places_before = (_find_places(indicator.better, each) for each in (compared, before))
    target = None if sheet is None else indicator.find_target(sheet.last)
    spread = measure_spread([each for each in compared.values() if each is not None])
    rows = [
        RankedUnit(
            unit=unit,
            place=places.get(unit.code),
            value=now[unit.code],
            part=read.parts[unit.code][0],
            whole=read.parts[unit.code][1],
            before=before.get(unit.code),
            place_before=places_before.get(unit.code),
            trend=tuple(each[unit.code] for each in values),
            met=_meets_target(indicator.better, now[unit.code], target),
            far=unit.code in compared and _is_far(glance, spread, now[unit.code]),
            ended=unit.code in ended,
            inherited=read.inherited.get(unit.code),
            heir=unit.code in heirs,
        )
        for unit in members
    ]
    rows.sort(key=lambda row: (row.place is None, row.place or 0, make_code_sort_key(row.unit.code)))
    return Ranking(
        indicator=indicator,
        target=target,
        rows=tuple(rows),
        periods=tuple(periods),
        counted=tuple(text in sheets for text in periods),
        spread=spread,
    )


def find_total(form: Form) -> str:
    """Return the key of the first column that sums up all that a unit had with what it took over; "": there is none."""
    return next((column.key for column in form.columns if INHERITED in column.sum), "")


def compute_indicator(indicator: RankIndicator, cells: Mapping[str, Number]) -> tuple[Number, Number, Number]:
    """Return the part, the whole (None: the indicator has none) and the value of *indicator* from the numbers of columns."""
    part, whole = (
        _add_cells([cells[key] for key in keys], range(len(keys))) for keys in (indicator.part, indicator.whole)
    )
    return part, whole, compute_share(part, whole) if indicator.whole else part


def compute_share(part: Number, whole: Number) -> Number:
    """Return *part* in per cent of *whole*, rounded to two decimals, halves up; None if one is missing, or the whole is 0."""
    if part is None or not whole:
        return None
    if type(part) is int and type(whole) is int and part >= 0 and whole > 0:  # most are, and a page has 12,000
        return Decimal((20_000 * part + whole) // (2 * whole)).scaleb(-2)
    return round_ratio(100 * Fraction(part) / Fraction(whole))


def _add_cells(cells: Sequence[Number], places: Sequence[int]) -> Number:
    """Return the sum of the *cells* at *places*; None if one is missing, or there are no places."""
    if len(places) == 1:
        return cells[places[0]]
    numbers = [cells[place] for place in places]
    known = [each for each in numbers if each is not None]
    return sum(known[1:], known[0]) if numbers and len(known) == len(numbers) else None


def _find_places(better: Better, values: Mapping[str, Number]) -> Mapping[str, int]:
    """Return the place of each unit that has a number; units with the same number share the better place."""
    known = {unit: value for unit, value in values.items() if value is not None}
    order = sorted(known.values(), reverse=better is not Better.LESS)
    places: dict[Number, int] = {}
    for place, value in enumerate(order, 1):
        places.setdefault(value, place)
    return {unit: places[value] for unit, value in known.items()}


def measure_spread(values: Sequence[int | Decimal]) -> Spread | None:
    """Return the quartiles of *values*, by linear interpolation between neighbours, exact to two decimals; None if there
    are none.
    """
    if not values:
        return None
    ordered = sorted(Fraction(each) for each in values)

    def at(share: Fraction) -> Decimal:
        place = share * (len(ordered) - 1)
        low = place.numerator // place.denominator
        high = min(low + 1, len(ordered) - 1)
        return round_ratio(ordered[low] + (place - low) * (ordered[high] - ordered[low]))

    low, middle, high = at(Fraction(1, 4)), at(Fraction(1, 2)), at(Fraction(3, 4))
    return Spread(low=low, middle=middle, high=high, count=len(ordered))


def list_middles(ranking: Ranking) -> tuple[Number, ...]:
    """Return the median of the units in each period of the trend; None where no unit has a number."""
    found = []
    for place in range(len(ranking.periods)):
        known = [value for row in ranking.rows if not row.apart and (value := row.trend[place]) is not None]
        spread = measure_spread(known)
        found.append(None if spread is None else spread.middle)
    return tuple(found)


def _is_far(glance: Glance, spread: Spread | None, value: Number) -> bool:
    if spread is None or value is None or spread.count < glance.least:
        return False
    width = (spread.high - spread.low) * glance.tenths / 10
    return not spread.low - width <= value <= spread.high + width


def _meets_target(better: Better, value: Number, target: Decimal | None) -> bool | None:
    if target is None or value is None:
        return None
    return value <= target if better is Better.LESS else value >= target
