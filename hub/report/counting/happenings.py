"""Selects the facts that happened on a day of a period: by the day that their unit states, in their newest revision
only.

Knows days and revisions. Does not know where facts come from. A meeting is announced weeks before it is held, and is
moved or cancelled in between. So the time at which the hub received the fact does not say when the meeting was.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from hub.domain.local_time import find_local_day as day_of
from hub.domain.model import Fact
from hub.report.counting import dates
from hub.report.form.column import Column
from hub.report.form.period import Period

_Thing = tuple[str, str]  # unit, the value of the first attribute of `revised`


def list_happened_facts(column: Column, facts: Iterable[Fact], period: Period, now: datetime) -> Iterator[Fact]:
    """Yield the facts of *column*'s milestones whose day lies in *period* and is over, in their newest revision.

    *facts*: those before the period's end, in any order. A fact is superseded by a fact of the same unit, with one of
    the column's `milestones` or `without`, whose first attribute of `revised` is equal, whose second is equal or
    absent, and whose third is greater as text.
    """
    told = [fact for fact in facts if fact.milestone in column.milestones | column.without and fact.at <= now]
    newest: dict[tuple[_Thing, str], str] = {}
    for fact in told:
        thing, part, revision = _identify_revised(column, fact)
        newest[thing, part] = max(revision, newest.get((thing, part), ""))
    today = day_of(min(period.end, now))
    for fact in told:
        day = dates.find_fact_day(fact)
        thing, part, revision = _identify_revised(column, fact)
        if (
            fact.milestone in column.milestones
            and period.first <= day <= period.last
            and day < today
            and revision == max(newest[thing, part], newest.get((thing, ""), ""))
        ):
            yield fact


def _identify_revised(column: Column, fact: Fact) -> tuple[_Thing, str, str]:
    """Return the thing that a fact is about, the part of it, and the revision. Without `revised`, each business key is
    a thing of its own.
    """
    if not column.revised:
        return (fact.unit, fact.key), "", ""
    attributes = dict(fact.attributes)
    thing, part, revision = (attributes.get(name, "") for name in column.revised)
    return (fact.unit, thing), part, revision
