"""What happened on a day of a period: facts by the day their unit names, each thing by the newest that was said of it.

Knows days and revisions; not where facts come from.  A meeting is called weeks before it is held, and moved or cancelled in between: the
moment at which the hub heard of it says nothing of when it was.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from hub.domain.local_time import local_day as day_of
from hub.domain.model import Fact
from hub.report.counting import dates
from hub.report.form.form import Column
from hub.report.form.period import Period

_Thing = tuple[str, str]  # unit, the value of the first attribute of `revised`


def list_happened_facts(column: Column, facts: Iterable[Fact], period: Period, now: datetime) -> Iterator[Fact]:
    """Yield the facts of *column*'s milestones whose day lies in *period* and is over, in their newest revision.

    *facts* are those before the period's end, in any order.  A fact is superseded by one of the same unit, of the column's
    `milestones` or `without`, that has the same value in the first attribute of `revised`, the same or none in the second, and a
    greater one, as text, in the third.
    """
    told = [fact for fact in facts if fact.milestone in column.milestones | column.without and fact.at <= now]
    newest: dict[tuple[_Thing, str], str] = {}
    for fact in told:
        thing, part, revision = _revised(column, fact)
        newest[thing, part] = max(revision, newest.get((thing, part), ""))
    today = day_of(min(period.end, now))
    for fact in told:
        day = dates.fact_day(fact)
        thing, part, revision = _revised(column, fact)
        if (
            fact.milestone in column.milestones
            and period.first <= day <= period.last
            and day < today
            and revision == max(newest[thing, part], newest.get((thing, ""), ""))
        ):
            yield fact


def _revised(column: Column, fact: Fact) -> tuple[_Thing, str, str]:
    """Return what a fact is about, which part of it, and how new it is; without `revised`, each key is a thing of its own."""
    if not column.revised:
        return (fact.unit, fact.key), "", ""
    attributes = dict(fact.attributes)
    thing, part, revision = (attributes.get(name, "") for name in column.revised)
    return (fact.unit, thing), part, revision
