"""When a dossier waits for its applicant or is paused, and when work goes on: the statuses 5, 6 and 8, and those after them.

Knows the milestones of waits. A message says only how a dossier stands. Whether that begins or ends a wait depends on what
was told before, so a message yields one of the facts `waiting` and `resumed`, and the journal numbers those that change
something (`place_wait`): `waiting-1`, `resumed-1`, `waiting-2` …  A dossier waits if it has more of the first than of the
second.
"""

from collections.abc import Collection
from datetime import date

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Fact
from hub.services.dossiers.codes import DossierStatus
from hub.services.dossiers.results import FactSource, list_known_attributes

#: What a message says of a dossier. These milestones are never recorded.
WAITING, RESUMED = "waiting", "resumed"
#: The waits of a dossier that are recorded, which bounds its facts. Later ones change nothing: its due day counts.
ROUNDS = 3
WAITS, RESUMES = (tuple(f"{name}-{number}" for number in range(1, ROUNDS + 1)) for name in (WAITING, RESUMED))


def tell_wait(source: FactSource, key: str, status: DossierStatus, day: date | None) -> Fact | None:
    """Return the fact that the dossier *key* waits, or that it does not; None if *status* says neither.

    *day*: when its unit says that this began; None: when the hub learned of it.
    """
    if status.waits:
        return source.fact(key, WAITING, day, attributes=list_known_attributes(reason=status.waits))
    return source.fact(key, RESUMED, day) if status.works else None


def place_wait(recorded: Collection[Fact], told: Fact) -> Fact | None:
    """Return *told*, `waiting` or `resumed`, as the next milestone of its dossier; None if it changes nothing.

    *recorded*: the numbered facts of the dossier. What is told of an earlier day than the last change changes nothing.
    """
    waits, resumes = ([fact for fact in recorded if fact.milestone in names] for names in (WAITS, RESUMES))
    waiting = len(waits) > len(resumes)
    if waiting is (told.milestone == WAITING):
        return None
    number = len(waits) + (not waiting)
    if number > ROUNDS or any(_find_fact_day(told) < _find_fact_day(fact) for fact in recorded):
        return None
    return attrs.evolve(told, milestone=f"{told.milestone}-{number}")


def _find_fact_day(fact: Fact) -> date:
    return fact.day or find_local_day(fact.at)
