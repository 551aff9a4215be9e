"""Reads who is late today: what is open by unit and by field, and item by item, for one unit or all that a reader may see.

Knows the registry and the list of open work. Does not know pages, files or accounts.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Unit, UnitKind
from hub.journal import unit_registry
from hub.journal.sequels.open_work import following, listing
from hub.journal.sequels.open_work.listing import WorkFilter
from hub.language.phrases import phrase
from hub.language.sorting import make_code_sort_key
from hub.report.counting.family import list_unit_family
from hub.report.counting.open_work import ListedWork, WorkCount, WorkState
from hub.report.form.workdays import Workdays
from hub.report.output.work_list import WorkListHead
from hub.report.words import write_day
from hub.store.transactions import Transaction

#: Working days ahead unless a reader asks for others, and the most that may be asked for.
DAYS, MOST_DAYS = 3, 60
#: Items on one page, and in one file.
PAGE, MOST = 100, 20_000


@attrs.frozen(kw_only=True)
class LateRequest:
    """What a reader asks for. All given conditions must hold."""

    unit: str | None = None  #: this unit and those below it
    service: str | None = None
    state: WorkState | None = None  #: of the items; numbers are of every state
    field: str | None = None
    officer: str | None = None
    days: int = DAYS  #: working days after today, up to whose end things are due soon
    after: Sequence[str] | None = None  #: the place of the last item that was read


@attrs.frozen(kw_only=True)
class UnitLateness:
    """The open work of one unit, without that of the units below it."""

    unit: str
    name: str
    counts: Sequence[WorkCount]  #: one for each service

    @property
    def late(self) -> int:
        """How many things are late."""
        return sum(each.late for each in self.counts)

    @property
    def soon(self) -> int:
        """How many things are due soon."""
        return sum(each.soon for each in self.counts)

    @property
    def waiting(self) -> int:
        """How many things wait or are excused."""
        return sum(each.waiting for each in self.counts)

    @property
    def oldest(self) -> date | None:
        """The earliest due day that has passed; None: none has."""
        return min((each.oldest for each in self.counts if each.oldest), default=None)


@attrs.frozen(kw_only=True)
class LateView:
    """Who is late on a day."""

    asked: LateRequest
    made_at: datetime
    today: date
    until: date  #: what is due on this day is due soon
    unread: int  #: events that are not in the list yet
    names: Mapping[str, str]  #: of the units, by code
    units: Sequence[UnitLateness]  #: the one with the most that is late first
    fields: Sequence[WorkCount]  #: of the unit that was asked for, without those below it; else empty
    items: Sequence[ListedWork]  #: by due day
    more: bool  #: there are items behind these
    workdays: Workdays = attrs.field(repr=False, eq=False)

    @property
    def head(self) -> WorkListHead:
        """What a file of the items needs beside them."""
        unit = self.asked.unit
        title = (
            phrase("Open work: late and due until {day}", day=write_day(self.until))
            if unit is None
            else phrase(
                "Open work of {unit} {name}: late and due until {day}",
                unit=unit,
                name=self.names.get(unit, ""),
                day=write_day(self.until),
            )
        )
        return WorkListHead(
            title=title, today=self.today, made_at=self.made_at, names=self.names, workdays=self.workdays
        )

    def count_days(self, due: date) -> int:
        """Return the working days from today until *due*; below 0: since."""
        return self.workdays.between(self.today, due)


class UnitUnknown(LookupError):
    """There is no such unit, or the reader may not see it."""


def read_late_view(
    tx: Transaction,
    asked: LateRequest,
    workdays: Workdays,
    now: datetime,
    seen: Collection[str] | None = None,
    limit: int = PAGE,
) -> LateView:
    """Return who is late at *now*.

    *seen*: the units that the reader may see; None: all. *limit*: of the items; 0: none are read. Raises `UnitUnknown`.
    """
    today = find_local_day(now)
    until = workdays.add(today, asked.days)
    units = {unit.code: unit.at(today) for unit in unit_registry.list_unit_histories(tx)}
    members = choose_units(tx, units, asked.unit, today, seen)
    names = {code: unit.name for code, unit in units.items()}
    whole = WorkFilter(
        today=today, until=until, units=members, service=asked.service, field=asked.field, officer=asked.officer
    )
    counted: dict[str, list[WorkCount]] = {}
    for each in listing.count_open_work(tx, whole):
        counted.setdefault(each.unit, []).append(each)
    found = [UnitLateness(unit=code, name=names.get(code, ""), counts=each) for code, each in counted.items()]
    found.sort(key=lambda each: (-each.late, -each.soon, make_code_sort_key(each.unit)))
    fields: Sequence[WorkCount] = ()
    if asked.unit is not None:
        own = attrs.evolve(whole, units=[unit_registry.resolve_unit_code(tx, asked.unit, today)])
        fields = listing.count_open_work(tx, own, by_field=True)
    wanted = attrs.evolve(whole, state=asked.state)
    items = listing.list_open_work(tx, wanted, limit + 1, asked.after) if limit else []
    return LateView(
        asked=asked,
        made_at=now,
        today=today,
        until=until,
        unread=following.count_unread(tx),
        names=names,
        units=found,
        fields=fields,
        items=items[:limit],
        more=len(items) > limit,
        workdays=workdays,
    )


def choose_units(
    tx: Transaction, units: Mapping[str, Unit], code: str | None, today: date, seen: Collection[str] | None
) -> Collection[str]:
    """Return the units that a reader asks for, as far as they are *seen*: those of the province without the test units of a
    drill, or *code* and those below it. Raises `UnitUnknown`.
    """
    if code is None:
        real = [each for each, unit in units.items() if unit.kind != UnitKind.DRILL]
        return [each for each in real if seen is None or each in seen]
    asked = unit_registry.resolve_unit_code(tx, code, today)
    if asked not in units or (seen is not None and asked not in seen):
        raise UnitUnknown(code)
    family = list_unit_family(units.values(), asked)
    return [each for each in family if seen is None or each in seen]
