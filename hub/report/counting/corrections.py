"""Puts corrections of days in the place of the facts that they correct. Knows which milestones are corrected, and which of
several corrections counts. Does not know who may correct.

A recorded fact never changes. A correction is a fact of its own, `MILESTONE-corrected-N`, with another day or due day. It
takes the place of what it corrects, unless the month in which that counts was closed when the correction was recorded.
Then the count stays as it is, and only the due day of what is still open is the corrected one. A form whose late facts make
revisions has the corrected day in closed months, too.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from hub.domain.model import Fact
from hub.report.counting.posting import ClosedMonths, make_poster
from hub.report.form.form import Form, LatePolicy
from hub.report.form.period import Period

#: The milestones whose days are corrected, and the corrections of one fact that are recorded and counted.
CORRECTED, MOST = ("received", "finished"), 3
#: By milestone: those of its corrections, in order.
CORRECTIONS = {name: tuple(f"{name}-corrected-{number}" for number in range(1, MOST + 1)) for name in CORRECTED}
ALL = frozenset(name for names in CORRECTIONS.values() for name in names)
_SERVICE = "dossiers"


def corrects_days(form: Form) -> bool:
    """Return whether facts that *form* counts may have corrections."""
    return form.by_day and form.service == _SERVICE


def list_corrections(milestones: frozenset[str]) -> frozenset[str]:
    """Return *milestones* with those of their corrections."""
    return milestones.union(*(CORRECTIONS.get(name, ()) for name in milestones))


@attrs.frozen
class Corrected:
    """The facts of one key as they count, and by the id of each changed one the fact that was recorded."""

    facts: Sequence[Fact]
    recorded: dict[int, Fact] = attrs.field(factory=dict)


def make_corrector(form: Form, period: Period, books: ClosedMonths) -> Callable[[Sequence[Fact]], Corrected]:
    """Return a function that puts the corrections among all facts of a key in their places, for the count of *period*.
    If *period* is closed, those that were recorded later are left out.
    """
    closing = books.find(period) if form.late is LatePolicy.NEXT else None
    post, closings = make_poster(form, books), books.months if form.late is LatePolicy.NEXT else ()

    def is_closed(when: datetime, at: datetime) -> bool:
        return any(when < month.period.end and at >= month.closed_at for month in closings)

    def correct(history: Sequence[Fact]) -> Corrected:
        by_name = {fact.milestone: fact for fact in history}
        if ALL.isdisjoint(by_name):
            return Corrected(history)
        found, recorded_as = list[Fact](), dict[int, Fact]()
        for fact in history:
            if fact.milestone in ALL:
                continue
            counts = recorded = fact
            for name in CORRECTIONS.get(fact.milestone, ()):
                other = by_name.get(name)
                if other is None or (closing is not None and other.at >= closing.closed_at):
                    continue
                if is_closed(post(counts), other.at):
                    counts = attrs.evolve(counts, due=other.due)
                else:
                    counts, recorded = attrs.evolve(other, milestone=fact.milestone), other
            found.append(counts)
            if counts is not fact:
                recorded_as[id(counts)] = recorded
        return Corrected(found, recorded_as)

    return correct
