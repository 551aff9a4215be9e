"""Pairs the opening and the closing of incidents into facts of their duration. Knows facts, not messages."""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from hub.domain.model import Fact
from hub.journal.fact_reading import fact_rows
from hub.journal.fact_reading.fact_rows import Key
from hub.services.incidents import CLOSED, OPENED, make_duration_fact
from hub.store.transactions import Transaction

_OTHER = {OPENED: CLOSED, CLOSED: OPENED}


def read_incident_ends(tx: Transaction, facts: Iterable[Fact]) -> dict[Key, Fact]:
    """Return the recorded openings and closings of the incidents that *facts* open or close."""
    keys = [
        fact_rows.make_fact_key(attrs.evolve(fact, milestone=each))
        for fact in facts
        if _is_end(fact)
        for each in _OTHER
    ]
    return fact_rows.read_facts_by_key(tx, keys)


def pair_incident_facts(facts: Sequence[Fact], recorded: Mapping[Key, Fact]) -> tuple[Fact, ...]:
    """Return *facts*, plus a duration fact for each incident that they open or close and whose other end is known.

    The two ends may come in any order. The other end may be *recorded* already (`read_incident_ends`) or stand anywhere
    in *facts*.
    """
    found, held = list(facts), dict(recorded)
    for fact in filter(_is_end, facts):
        here = held.setdefault(fact_rows.make_fact_key(fact), fact)  # the first fact of a key counts
        other = held.get(fact_rows.make_fact_key(attrs.evolve(fact, milestone=_OTHER[fact.milestone])))
        if other is not None:
            both = (here, other) if fact.milestone == OPENED else (other, here)
            found.append(make_duration_fact(*both, last=fact))
    return tuple(found)


def _is_end(fact: Fact) -> bool:
    return fact.service == "incidents" and fact.milestone in _OTHER


def find_incident_fact(tx: Transaction, unit: str, key: str, milestone: str) -> Fact | None:
    """Return the fact of an incident, or None."""
    wanted = (unit, "incidents", key, milestone)
    return fact_rows.read_facts_by_key(tx, [wanted]).get(wanted)
