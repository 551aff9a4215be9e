"""Keeps what was found to be edited in the database behind the hub's back, until it is as the hub wrote it again.

Knows rows of findings. Neither looks for them nor judges them: `hub.workload.attestations` compares closed months with what
the hub's key attests, `hub.keeping.fact_audit` facts with their events.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.keeping.fact_audit import FactFault, FactFinding
from hub.report.counting.marks import Tampering
from hub.store.tables import tampering as table
from hub.store.transactions import Transaction

#: Findings that are kept at most. More are counted by `lienthong db verify` only.
MOST_KEPT = 10_000


@attrs.frozen(order=True)
class KeptFinding:
    """A finding. Of a closed month *form* and *period* say which; of a fact *service* and *key*."""

    place: str  #: what it is about, unique
    part: str  #: a `TamperedPart`, or a `FactFault`
    form: str = ""
    period: str = ""
    unit: str = ""
    service: str = ""
    key: str = ""
    milestone: str = ""


def keep_closing_finding(found: Tampering) -> KeptFinding:
    """Return *found* as it is kept."""
    place = f"closing {found.form} {found.period} {found.part} {found.unit} {found.revision}"
    return KeptFinding(place=place, part=found.part, form=found.form, period=found.period, unit=found.unit)


def keep_fact_finding(found: FactFinding) -> KeptFinding:
    """Return *found* as it is kept."""
    named = {"unit": found.unit, "service": found.service, "key": found.key, "milestone": found.milestone}
    return KeptFinding(place="fact " + " ".join(named.values()), part=found.fault, **named)


def replace_findings(
    tx: Transaction, begin: Collection[str], found: Iterable[KeptFinding], now: datetime
) -> Sequence[KeptFinding]:
    """Keep *found* instead of the findings whose places begin with one of *begin*. Return those that are new.

    Appends an event for each that is new.
    """
    new = {each.place: each for each in found}
    known = set[str]()
    for start in begin:
        here = _list_places(tx, start)
        if gone := here - new.keys():
            tx.execute(sa.delete(table).where(table.c.place.in_(gone)))
        known |= here
    fresh = [each for place, each in new.items() if place not in known]
    room = MOST_KEPT - int(tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
    fresh = fresh[: max(room, 0)]
    if fresh:
        tx.execute(sa.insert(table), [{**attrs.asdict(each), "found_at": now} for each in fresh])
        body = [
            {name: value for name, value in attrs.asdict(each).items() if value and name != "place"} for each in fresh
        ]
        events.append_events(tx, *(Event("tampering-found", now, body=each) for each in body))
    return fresh


def has_same_findings(tx: Transaction, begin: Collection[str], found: Iterable[KeptFinding]) -> bool:
    """Return whether the findings whose places begin with one of *begin* are those of *found*."""
    here = {place for start in begin for place in _list_places(tx, start)}
    return here == {each.place for each in found}


def _list_places(tx: Transaction, start: str) -> set[str]:
    named = sa.select(table.c.place).where(table.c.place.startswith(start, autoescape=True))
    return {place for place in tx.scalars(named) if place.startswith(start)}  # LIKE of SQLite ignores case


def count_findings(tx: Transaction) -> int:
    """Return how many findings are kept."""
    return int(tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def list_findings(tx: Transaction, limit: int) -> list[KeptFinding]:
    """Return the first *limit* findings, by place."""
    columns = [table.c[field.name] for field in attrs.fields(KeptFinding)]
    return [KeptFinding(*row) for row in tx.execute(sa.select(*columns).order_by(table.c.place).limit(limit))]


def list_fact_findings(tx: Transaction) -> list[KeptFinding]:
    """Return the findings about facts, by place."""
    return [each for each in list_findings(tx, MOST_KEPT) if each.service]


def list_forged_facts(tx: Transaction, service: str, units: Collection[str]) -> list[FactFinding]:
    """Return the findings about facts of *service* of *units*, at most `MOST_KEPT`; empty at the cost of one index step."""
    faults = [each.value for each in FactFault]
    query = sa.select(table).where(table.c.service == service, table.c.part.in_(faults))
    wanted = frozenset(units)
    return [
        FactFinding(
            unit=row.unit,
            service=row.service,
            key=row.key,
            milestone=row.milestone,
            fault=FactFault(row.part),
            message="",
        )
        for row in tx.execute(query.order_by(table.c.place))
        if row.unit in wanted
    ]
