"""Defines what a report says of the closings behind it: rows that were counted again afterwards, with the reason, and
facts that came after a closing and count in a later month.

Knows no storage and no layout. Counts nothing.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

import attrs

from hub.domain.errors import ConfigurationFault, Rejected
from hub.domain.model import Problem
from hub.language.catalogues import say_both
from hub.language.phrases import Phrase, phrase
from hub.report.counting.deriving import Number, derive_row_numbers, round_number
from hub.report.form.column import Column, ColumnKind, Wording
from hub.report.form.form import Form

#: The reasons of a revision for which no person gives one: with late messages, and without. They are stored in both
#: languages (`write_own_reason`).
LATE, RECOUNTED = phrase("facts came after the closing"), phrase("counted again")
#: The maximum number of late messages that a revision names.
MOST_MESSAGES = 20
#: The maximum number of revisions that a report lists. It always says how many there are.
MOST_REVISIONS = 100


@attrs.frozen(kw_only=True)
class LateMessage:
    """A message whose facts came after a row was counted, and belong in that row's month."""

    id: str  #: the hub's id
    partner: str  #: the code of the partner that sent it
    at: datetime  #: when the hub received it
    facts: int


@attrs.frozen(kw_only=True)
class LateMessages:
    """The messages that came after a row was counted, the earliest first, at most `MOST_MESSAGES`."""

    named: tuple[LateMessage, ...] = ()
    more: int = 0  #: how many further messages are not named


NO_MESSAGES = LateMessages()


@attrs.frozen(kw_only=True)
class ChangedCell:
    """A cell of a row before and after it was counted again."""

    column: str
    heading: Wording  #: behind that of its group
    was: Number | datetime
    now: Number | datetime


@attrs.frozen(kw_only=True)
class RowRevision:
    """A row of a closed month that was counted again, with another result."""

    form: str  #: of a report that takes from others: the form whose month was closed
    period: str  #: the month
    unit: str
    revision: int  #: of this row, from 2 on
    made_at: datetime
    by: str  #: a person, or `hub`; "" where an earlier version made the revision
    reason: str
    cells: tuple[ChangedCell, ...] = ()  #: empty: other facts are behind the same numbers
    late: LateMessages = NO_MESSAGES


@attrs.frozen(kw_only=True)
class LateFacts:
    """Facts of a closed period that came after its closing. They count in a later month."""

    form: str
    period: str  #: where the facts belong by their own day
    counted_in: str  #: where they count
    facts: int


class SilenceKind(StrEnum):
    """Why something of a period may be missing."""

    UNHEARD = "unheard"  #: a partner that tells on most days told nothing on the last days
    UNREAD = "unread"  #: what a partner had for the hub was not collected after the period


@attrs.frozen(kw_only=True)
class Silence:
    """A partner of whose messages some may be missing in a closed month."""

    period: str  #: the month
    partner: str
    kind: SilenceKind
    since: datetime | None  #: of its last message, or of the last answer to a collection; None: never
    units: tuple[str, ...] | None  #: the units of which it tells; None: any
    services: tuple[str, ...] | None  #: those of which it told before; None: any


class TamperedPart(StrEnum):
    """What of a closed month is not as the hub wrote it."""

    ROW = "row"  #: a unit's figures, or why they were revised
    CLOSING = "closing"  #: when, by whom and by which form it was closed, or that it was
    WORLD = "world"  #: its units, derived forms, due days and silences
    ATTESTATION = "attestation"  #: what attests the others
    FACT = "fact"  #: a fact behind an open figure


@attrs.frozen(kw_only=True)
class Tampering:
    """A difference between a closed month as it is stored and as the hub's key attests it. Somebody edited the database."""

    form: str
    period: str  #: the month
    part: TamperedPart
    unit: str = ""  #: of a row, and of a fact
    revision: int = 0  #: of a row
    key: str = ""  #: of a fact: its business key
    cells: tuple[
        ChangedCell, ...
    ] = ()  #: of a row: as attested, and as found; empty: other things differ, or it is unreadable


@attrs.frozen(kw_only=True)
class ClosingMarks:
    """What a report says of the closings behind it."""

    closed_at: datetime | None = None  #: when the last closed month of the period was closed; None: none is closed
    revision: int = 1  #: 1 plus the number of all revisions of its rows
    revised: tuple[RowRevision, ...] = ()  #: the newest first, at most `MOST_REVISIONS`
    late: tuple[LateFacts, ...] = ()  #: one for each pair of months, of which one is in the period of the report
    silences: tuple[Silence, ...] = ()  #: what may be missing in its months; empty: all that was expected was heard
    tampered: tuple[Tampering, ...] = ()  #: what of its months somebody edited; empty: nothing, or nothing is attested

    @property
    def left_out(self) -> int:
        """The number of revisions that are not listed."""
        return self.revision - 1 - len(self.revised)

    @property
    def revised_units(self) -> frozenset[str]:
        """The units of the listed revisions."""
        return frozenset(each.unit for each in self.revised)


def require_untampered(marks: ClosingMarks) -> None:
    """Raise Rejected with `closing-tampered` if a closed month behind a report was edited in the database."""
    if edited := [each for each in marks.tampered if each.part is not TamperedPart.FACT]:
        named = dict.fromkeys(" ".join(filter(None, (each.form, each.period, each.unit, each.part))) for each in edited)
        raise Rejected(Problem("closing-tampered", ", ".join(named)[:300]))


@contextmanager
def refuse_unreadable(what: str) -> Generator[None]:
    """Turn an error of reading *what* of a closed month, which the hub has written itself, into Rejected with
    `closing-tampered`.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, ConfigurationFault) as error:
        raise Rejected(Problem("closing-tampered", what)) from error


#: Nothing is closed.
NO_MARKS = ClosingMarks()

Values = tuple[Mapping[str, int], Mapping[str, datetime]]  #: the sums and the times of a row, by column


def find_changed_values(form: Form, before: Values, after: Values) -> tuple[ChangedCell, ...]:
    """Return each cell that differs, those of formulas included, in the order of the form."""
    was, now = (_read_values(form, each) for each in (before, after))
    return tuple(
        ChangedCell(column=column.key, heading=_name_column(form, column.key), was=was[column.key], now=now[column.key])
        for column in form.columns
        if was[column.key] != now[column.key]
    )


def take_changed_cells(form: Form, base: str, cells: Sequence[ChangedCell]) -> Iterator[ChangedCell]:
    """Yield the cells of *form* that it takes from the changed *cells* of the form *base*."""
    changed = {each.column: each for each in cells}
    for column in form.columns:
        if column.taken is not None and column.least is None and column.taken[0] == base and column.taken[1] in changed:
            cell = changed[column.taken[1]]
            was, now = (_scale_value(column, each) for each in (cell.was, cell.now))
            yield attrs.evolve(cell, column=column.key, heading=_name_column(form, column.key), was=was, now=now)


def _scale_value(column: Column, value: Number | datetime) -> Number | datetime:
    """Return *value* of another form as *column* writes it."""
    return round_number(Fraction(value, 10**column.places), column) if isinstance(value, int) else value


def name_late_messages(found: Iterable[LateMessage]) -> LateMessages:
    """Return the earliest of the messages *found*, and the number of the others."""
    ordered = sorted(found, key=lambda each: (each.at, each.id))
    return LateMessages(named=tuple(ordered[:MOST_MESSAGES]), more=max(0, len(ordered) - MOST_MESSAGES))


def _read_values(form: Form, values: Values) -> dict[str, Number | datetime]:
    sums, times = values
    numbers = derive_row_numbers(form, sums)
    return {
        column.key: times.get(column.key) if column.kind is ColumnKind.TIME else numbers[column.key]
        for column in form.columns
    }


def _name_column(form: Form, key: str) -> Wording:
    column = form.column(key)
    if column.group is None:
        return column.heading
    return Wording(f"{column.group.vi}: {column.heading.vi}", f"{column.group.en}: {column.heading.en}")


def write_own_reason(said: Phrase) -> str:
    """Return the text that is stored for *said*, `LATE` or `RECOUNTED`."""
    return " / ".join(say_both(said))


def read_own_reason(text: str) -> Phrase | str:
    """Return what is stored as *text* for a reader: `LATE` or `RECOUNTED`, else the words of a person."""
    return next((said for said in (LATE, RECOUNTED) if text == write_own_reason(said)), text)
