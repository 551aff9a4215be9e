"""Puts corrections of days in the place of the facts that they correct. Knows which milestones are corrected, and which of
several statements of a due day counts. Does not know who may correct.

A recorded fact never changes. A correction is a fact of its own, `MILESTONE-corrected-N`, with another day or due day. It
takes the place of what it corrects, unless the month in which that counts was closed when the correction was recorded.
Then the count stays as it is, and only the due day of what is still open is the corrected one. A form whose late facts make
revisions has the corrected day in closed months, too.

The due day that was stated last counts: a corrected one replaces what was stated before it, that of a supplement or of a
takeover, too (a letter of apology with a new due day follows a request for papers: forms 04 and 02 of the one-stop rules).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime

import attrs

from hub.domain.model import DOCUMENTS, Fact
from hub.report.counting.dates import find_fact_day, make_fact_sort_key
from hub.report.counting.posting import ClosedMonths, make_poster
from hub.report.form.column import RECEIVED, TAKEN_OVER
from hub.report.form.form import Form, LatePolicy
from hub.report.form.period import Period

#: The milestones that may state a due day of work that goes on, and all whose days are corrected.
STATING = ("received", "supplemented", "supplemented-again", "taken-over")
CORRECTED = (*STATING, "finished")
#: The corrections of one fact that are recorded and counted. It bounds what a system that changes its mind each night makes
#: the hub keep: a dossier is open for months, and a day of it that changes a hundred times is no statement.
MOST = 99
#: By milestone: those of its corrections, in order.
CORRECTIONS = {name: tuple(f"{name}-corrected-{number}" for number in range(1, MOST + 1)) for name in CORRECTED}
ALL = frozenset(name for names in CORRECTIONS.values() for name in names)
_SERVICE = "dossiers"


def corrects_days(form: Form) -> bool:
    """Return whether facts that *form* counts may have corrections of their days."""
    return form.by_day and form.service == _SERVICE


def list_corrections(milestones: Iterable[str]) -> frozenset[str]:
    """Return *milestones* with those of their corrections."""
    named = frozenset(milestones)
    return named.union(*(CORRECTIONS.get(name, ()) for name in named))


@attrs.frozen
class Corrected:
    """The facts of one key as they count, and by the id of each changed one the fact that was recorded."""

    facts: Sequence[Fact]
    recorded: dict[int, Fact] = attrs.field(factory=dict)
    stated: Fact | None = None  #: the correction that stated the due day last; None: no correction did


def put_corrections(
    history: Sequence[Fact],
    is_known: Callable[[Fact], bool] = lambda _: True,
    keeps_day: Callable[[Fact, Fact], bool] = lambda fact, _: fact.service == DOCUMENTS,
) -> Corrected:
    """Return *history*, facts of one unit, service and key, with its corrections in their places.

    *is_known*: whether a correction is looked at. *keeps_day*: whether of a fact, as corrected so far, the next correction
    changes only the due day; a document stays where it was received.
    """
    by_name = {fact.milestone: fact for fact in history}
    if ALL.isdisjoint(by_name):
        return Corrected(history)
    places = list[tuple[Fact, Fact]]()  # each fact as it counts, and as it was recorded
    stated: Fact | None = None
    for fact in history:
        if fact.milestone in ALL:
            continue
        counts = recorded = fact
        for other in (by_name[name] for name in CORRECTIONS.get(fact.milestone, ()) if name in by_name):
            if not is_known(other):
                continue
            if fact.milestone in STATING and other.due != counts.due:
                stated = max(stated or other, other, key=lambda each: (each.at, each.milestone))
            if keeps_day(counts, other):
                counts = attrs.evolve(counts, due=other.due)
            else:
                counts, recorded = attrs.evolve(other, milestone=fact.milestone), other
        places.append((counts, recorded))
    found, recorded_as = list[Fact](), dict[int, Fact]()
    for counts, recorded in places:
        is_replaced = stated is not None and counts.milestone in STATING and counts.at < stated.at
        found.append(attrs.evolve(counts, due=stated.due) if stated and is_replaced else counts)
        if found[-1] is not recorded:
            recorded_as[id(found[-1])] = recorded
    return Corrected(found, recorded_as, stated)


def make_due_correction(history: Sequence[Fact], earlier: Fact, at: datetime) -> Fact | None:
    """Return the correction by which what is open in a unit is due as early as what it takes over beside it, recorded *at*.

    *history*: the facts of the key in the unit. *earlier*: what it takes over, with its due day and the unit that had it,
    which is the counterpart of the correction. None: it is not due earlier, or was corrected too often.
    """
    counts = find_beginning(put_corrections(history).facts)
    due = find_due_day(history)
    if counts is None or earlier.due is None or (due is not None and due <= earlier.due):
        return None
    recorded = {fact.milestone for fact in history}
    name = next((name for name in CORRECTIONS[counts.milestone] if name not in recorded), None)
    if name is None:
        return None
    made = attrs.evolve(counts, due=earlier.due, counterpart=earlier.unit)
    return attrs.evolve(made, milestone=name, at=at, message=earlier.message)


def find_beginning(facts: Iterable[Fact]) -> Fact | None:
    """Return the fact by which a unit has what *facts* are about: taken over from another unit, else received."""
    found = {fact.milestone: fact for fact in facts}
    return found.get(TAKEN_OVER) or found.get(RECEIVED)


def find_due_day(history: Sequence[Fact]) -> date | None:
    """Return the due day of what *history* is about, all facts of one unit, service and key, by what was stated last."""
    stating = (each for each in put_corrections(history).facts if each.milestone in STATING and each.due)
    latest = max(stating, key=lambda each: (find_fact_day(each), make_fact_sort_key(each)), default=None)
    return None if latest is None else latest.due


def make_corrector(
    form: Form, period: Period, books: ClosedMonths, now: datetime
) -> Callable[[Sequence[Fact]], Corrected] | None:
    """Return a function that puts the corrections among all facts of a key in their places, for the count of *period* as of
    *now*. If *period* is closed, those that were recorded later are left out. None: the form counts nothing that is corrected.
    """
    if form.service == DOCUMENTS:
        return lambda history: put_corrections(history, lambda other: other.at < period.end and other.at <= now)
    if not corrects_days(form):
        return None
    closing = books.find(period) if form.late is LatePolicy.NEXT else None
    post, closings = make_poster(form, books), books.months if form.late is LatePolicy.NEXT else ()

    def is_known(other: Fact) -> bool:
        return closing is None or other.at < closing.closed_at

    def is_closed(counts: Fact, other: Fact) -> bool:
        when = post(counts)
        return any(when < month.period.end and other.at >= month.closed_at for month in closings)

    return lambda history: put_corrections(history, is_known, is_closed)
