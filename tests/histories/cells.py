"""Compares every cell of every form with the second count: each unit's row, the total, and what is behind each number."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count

import attrs

from hub.report.counting.counting import Report, Row
from hub.store import transactions
from hub.workload import unit_report
from hub.workload.report_sources import ReportSources, ReportWithEvidence
from tests import pki
from tests.histories.history import History
from tests.histories.office import book, identity
from tests.opened import facts_among, facts_behind
from tests.recount import cells, derived, exported, letter, places, results
from tests.recount.cells import PEAKS, TIMES, Behind, Recount
from tests.recount.documents import Message
from tests.recount.places import canonical

FORMS = (*results.FORMS, *cells.FORMS)  #: those that count
DERIVED = tuple(derived.FORMS)
PEAKS_TAKEN = {
    (form, name)
    for form, columns in derived.FORMS.items()
    for name, each in columns.items()
    if isinstance(each, derived.Taken) and each.column in PEAKS
}
TOPMOST = ("H55", "G22", "A12")  #: the units that are in nobody's family


@attrs.define(eq=False)
class Cells:
    """The cells of one journal."""

    history: History
    taken_up: bool = False  #: a night has gone by, so that no revision is due
    recount: Recount = attrs.field(init=False)
    _turns: Iterator[int] = attrs.field(factory=count, init=False)

    def __attrs_post_init__(self) -> None:
        with transactions.read_transaction(self.history.engine) as tx:
            journal = exported.read(tx)

        def signed(message: Message) -> bool:
            return letter.is_signed(journal.messages[message.id].octets, pki.pem(identity(message.partner).certificate))

        again = cells.recount(journal, signed)
        self.recount = attrs.evolve(again, taken_up=self.history.now) if self.taken_up else again

    def check(self, form: str, period: str, units: Iterable[str] | None = None) -> None:
        """Compare the report *form* of *period* for each of *units* (None: the topmost), as it is now."""
        for unit in (
            units or TOPMOST[: len(TOPMOST) if form in results.FORMS else 1]
        ):  # outside, only documents are counted
            members = places.below(canonical(unit), results.bounds(period)[1])
            with transactions.read_transaction(self.history.engine) as tx:
                asked = unit_report.resolve_report_sources(tx, unit, period, form, book())
                report = asked.count(self.history.now)
                absent = set(members) - {row.unit for row in report.rows}
                first = places.day(results.bounds(period)[0])
                assert len(report.rows) + len(absent) == len(members), (form, unit, period)
                assert all(places.has_ended(each, first) for each in absent), "what ended before and counts nothing"
                assert sorted(column.key for column in asked.form.columns) == sorted(self.recount.columns(form)), form
                if form == "ii06a":
                    told = [(each.unit, each.check.before, each.left, each.right) for each in report.findings]
                    assert Counter(told) == Counter(self.recount.broken(members, period, self.history.now)), told
                if form in cells.DIVIDED:
                    self._divided(asked, report)
                due = self.recount.due(form, period)
                columns = sorted(self.recount.columns(form))
                with asked.open_evidence(self.history.now) as gathered:
                    assert {each.unit for each in gathered.differences} <= due, "not what was closed"
                    for column in columns:
                        self._column(asked, report, gathered, column, members, due)
                    # Opened alone, as people do, a column says the same: one in each report, in turn.
                    alone = columns[next(self._turns) % len(columns)]
                    if is_opened(form, alone):
                        assert facts_behind(asked, alone, self.history.now) == facts_among(asked, gathered, alone)

    def _divided(self, asked: ReportSources, report: Report) -> None:
        """Compare the rows that each unit's row is divided into, and open one of them."""
        now, period, form = self.history.now, asked.period.text, asked.form.id
        for column in cells.FORMS[form][1]:
            for unit, division in report.divisions.items():
                counted = {field: sums[column] for (field,), sums in division.sums.items() if sums.get(column)}
                again = self.recount.by_row(form, column, unit, period, now)
                assert counted == again, f"{period} {unit} {column}: {counted}, counted again {again}"
        rows = [(each.unit or None, each.values, each.row) for each in report.divided if each.values]
        if rows:
            of, values, row = rows[next(self._turns) % len(rows)]
            counting = sorted(cells.FORMS[form][1])
            column = counting[next(self._turns) % len(counting)]
            source = asked.narrow_row(of, values)
            opened = facts_behind(source, column, now)
            assert sum(fact.amount for fact in opened) == row.numbers[column], (period, of, values, column)

    def _column(
        self,
        asked: ReportSources,
        report: Report,
        gathered: ReportWithEvidence,
        column: str,
        members: list[str],
        due: set[str],
    ) -> None:
        form, period, now = asked.form.id, asked.period.text, self.history.now
        rows = {row.unit: row for row in report.rows}
        places = [("total", report.total, members), *((unit, rows[unit], [unit]) for unit in members if unit in rows)]
        for unit in set(members) - rows.keys():
            assert not self.recount.value(form, column, [unit], period, now), (form, period, unit, column)
        for place, row, units in places:
            counted, again = _cell(row, column), self.recount.value(form, column, units, period, now)
            assert counted == again, f"{form} {period} {place} {column}: {counted}, counted again {again}"
        if not is_opened(form, column):
            return
        # Where a revision is due the facts are ahead of the numbers, which the hub tells of.
        behind = {unit: self.recount.behind(form, column, unit, period, now) for unit in members if unit not in due}
        every = [one for found in behind.values() for one in found]
        explained = [
            Behind(f.unit, f.milestone, f.message, f.amount, f.at)
            for f in facts_among(asked, gathered, column)
            if f.unit not in due
        ]
        if column in TIMES:
            if due:
                return  # it may be one of those that are ahead
            latest = [one for one in every if one.at == max(each.at for each in every)]
            assert len(explained) == min(1, len(latest)), (form, period, column)
            assert all(one in latest for one in explained), (form, period, column)
        elif column in PEAKS or (form, column) in PEAKS_TAKEN:  # of days with the same any may be shown
            for unit, found in behind.items():
                assert sum(one.amount for one in explained if one.unit == unit) == sum(one.amount for one in found)
        else:
            assert Counter(explained) == Counter(every), f"{form} {period} {column}: {explained}, counted again {every}"


def _cell(row: Row, column: str) -> object:
    return row.times[column] if column in TIMES else row.numbers[column]


def is_opened(form: str, column: str) -> bool:
    """Tell whether what is behind a cell is compared: shares and points open into what they are worked out from."""
    return form not in derived.FORMS or isinstance(derived.FORMS[form][column], derived.Taken)


def begun(now: datetime) -> Iterator[str]:
    """Yield the months of a history from before its beginning until *now*, and the longer periods about them that have begun."""
    year, month = 2026, 10
    while results.bounds(f"{year}-{month:02d}")[0] <= now:
        yield f"{year}-{month:02d}"
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    longer = ("2026-Q4", "2026-H2", "2026-9M", "2026", "2027-Q1", "2027")
    yield from (period for period in longer if results.bounds(period)[0] <= now)
