"""Reads how the reports of many units stand: one form, one period, one line for each unit.

Knows which units report, their declarations and their newest revisions. Changes nothing and opens no fact: a
declaration is compared only with the stored numbers of a closed period.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import ReportState, Unit, UnitKind
from hub.journal import blobs, unit_registry
from hub.report.counting import declaring, reconciling
from hub.report.counting.declaring import Declaration
from hub.report.counting.family import list_unit_family
from hub.report.form.book import Book
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.form.workdays import Due
from hub.store.transactions import Transaction
from hub.workload import declarations, revisions, submission, unit_report
from hub.workload.declarations import StoredDeclaration
from hub.workload.report_sources import ReportSources
from hub.workload.revisions import EarlyStep, Revision

#: Steps after which a unit has nothing to do any more.
DONE = frozenset({ReportState.SUBMITTED, ReportState.ACCEPTED})


class DeclarationStanding(StrEnum):
    """What a unit's newest declaration says beside the count."""

    NONE = "undeclared"  #: the unit has declared nothing
    DECLARED = "declared"  #: it has; the period is not closed, so nothing is compared
    EQUAL = "declared-equal"  #: every declared cell is the counted one
    DIFFERS = "declared-differing"  #: at least one cell is not


@attrs.frozen(kw_only=True)
class UnitStanding:
    """How the report of one unit stands."""

    unit: Unit
    step: EarlyStep | ReportState
    revision: Revision | None = None  #: the newest
    declared: DeclarationStanding = DeclarationStanding.NONE
    declared_at: datetime | None = None
    differing: int = 0  #: cells of the declaration that are not as counted

    @property
    def since(self) -> datetime | None:
        """When the report reached its step; None before its first revision."""
        newest = self.revision
        if newest is None:
            return None
        times = [newest.closed_at, *(each.at for each in newest.handed_in), *(each.at for each in newest.verdicts)]
        times += [each.at for each in (newest.drafting, newest.signing) if each is not None]
        return max(times)


@attrs.frozen(kw_only=True)
class ReportRound:
    """The reports of one form and period, unit by unit."""

    form: Form
    period: Period
    ended: bool
    open_month: str  #: the first month of the period that is not closed; "" if there is none
    due: Due | None  #: the last day on which a report is in time
    days_left: int | None  #: days from today to that day, below 0 when it is over; None if the form has none
    units: Sequence[UnitStanding]
    registry: Mapping[str, Unit]  #: every unit that reports, by code

    def count_steps(self) -> Mapping[str, int]:
        """Return how many of the units are at each step, by the word of the step."""
        return Counter(str(each.step) for each in self.units)

    def count_declarations(self) -> Mapping[str, int]:
        """Return how many of the units have each standing of declarations, by its word."""
        return Counter(str(each.declared) for each in self.units)

    @property
    def unfinished(self) -> int:
        """The number of units whose report is neither submitted nor accepted."""
        return sum(each.step not in DONE for each in self.units)


@attrs.frozen(kw_only=True)
class RoundFilter:
    """Which units of a round are wanted. What is empty does not limit."""

    units: frozenset[str] = frozenset()  #: codes
    below: str = ""  #: the code of a unit: that unit and all below it
    levels: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()  #: words of `EarlyStep` and `ReportState`
    declared: frozenset[str] = frozenset()  #: words of `DeclarationStanding`

    def choose(self, found: ReportRound) -> ReportRound:
        """Return *found* with the units that are wanted, in the same order."""
        units = [each.unit for each in found.units]
        family = frozenset(list_unit_family(units, self.below)) if self.below else frozenset()

        def wants(each: UnitStanding) -> bool:
            limits = (
                (self.units, each.unit.code),
                (family, each.unit.code),
                (self.levels, each.unit.level),
                (self.kinds, each.unit.kind),
                (self.steps, str(each.step)),
                (self.declared, str(each.declared)),
            )
            return all(not wanted or has in wanted for wanted, has in limits)

        return attrs.evolve(found, units=[each for each in found.units if wants(each)])


def read_report_round(
    tx: Transaction, book: Book, form: str, period: str, now: datetime, within: Collection[str] | None = None
) -> ReportRound:
    """Return how the report *form* of each unit for *period* stands at *now*, parents before children.

    *within*: the only units that are read, by code; None: all of the province. Test units of a drill are in no
    round. Raises PeriodUnreadable and FormMissing.
    """
    asked = unit_report.resolve_all_units(tx, period, form, book, now)
    codes = [
        code
        for code in _sort_units(asked)
        if (within is None or code in within) and asked.units[code].kind != UnitKind.DRILL
    ]
    newest = revisions.find_newest_revisions(tx, codes, asked.form.id, asked.period.text)
    said = declarations.find_newest_declarations(tx, asked.form.id, asked.period, codes)
    ended, month = asked.period.end <= now, submission.find_open_month(tx, asked.form, asked.period)
    early = EarlyStep.RUNNING if not ended else EarlyStep.MONTH_OPEN if month else EarlyStep.READY
    compared = _count_differing_cells(tx, asked, said, now) if asked.complete and ended and not month else {}
    units = []
    for code in codes:
        found = newest.get(code)
        standing = UnitStanding(unit=asked.units[code], step=found.state if found else early, revision=found)
        if code in said:
            many = compared.get(code)
            word = DeclarationStanding.DECLARED if many is None else DeclarationStanding.EQUAL
            word = DeclarationStanding.DIFFERS if many else word
            standing = attrs.evolve(standing, declared=word, declared_at=said[code].at, differing=many or 0)
        units.append(standing)
    return ReportRound(
        form=asked.form,
        period=asked.period,
        ended=ended,
        open_month=month,
        due=asked.due,
        days_left=None if asked.due is None else (asked.due.day - find_local_day(now)).days,
        units=units,
        registry=asked.units,
    )


def _sort_units(asked: ReportSources) -> Iterator[str]:
    """Yield the units, parents before children, roots in the order of the registry."""
    units, seen = list(asked.units.values()), set[str]()
    roots = [unit.code for unit in units if unit.parent not in asked.units]
    for root in (*roots, *asked.units):  # after the roots: members of a cycle of parents
        if root not in seen:
            family = list_unit_family(units, root)
            yield from (code for code in family if code not in seen)
            seen.update(family)


def _count_differing_cells(
    tx: Transaction, asked: ReportSources, said: Mapping[str, StoredDeclaration], now: datetime
) -> Mapping[str, int]:
    """Return how many cells of each declaration are not as counted, by unit."""
    units, found = list(asked.units.values()), dict[str, int]()
    parents = {unit.parent for unit in units}
    for unit, stored in said.items():
        declared = _resolve_cells(tx, asked, declaring.parse_declaration(blobs.read_blob(tx, stored.sha256)))
        family = list_unit_family(units, unit) if unit in parents else (unit,)
        report = asked.narrow_family(family).count(now)
        found[unit] = sum(cell.figure != counted for cell, counted in reconciling.pair_cells(declared, report))
    return found


def _resolve_cells(tx: Transaction, asked: ReportSources, said: Declaration) -> Declaration:
    """Return *said* with the registry's codes of units."""
    unknown = {cell.unit for cell in said.cells} - {"", *asked.units}
    codes = {code: unit_registry.resolve_unit_code(tx, code, asked.period.last) for code in unknown}
    cells = tuple(attrs.evolve(cell, unit=codes.get(cell.unit, cell.unit)) for cell in said.cells)
    return attrs.evolve(said, cells=cells)
