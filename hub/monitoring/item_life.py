"""All that was told of one thing: a document, a dossier or a work item of a unit, with the message behind each fact.

Reads the journal. Does not know who may see it. The things of a business key are few: at most `MOST` facts are returned.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import Fact
from hub.journal import unit_registry
from hub.journal.fact_reading import fact_pages
from hub.monitoring.late_work import UnitUnknown
from hub.report.counting import dates
from hub.store.transactions import Transaction

#: The maximum number of facts that are returned. A key has one for each of its service's milestones.
MOST = 200


@attrs.frozen(kw_only=True)
class ItemLife:
    """The facts of one business key."""

    unit: str
    name: str  #: of the unit; empty: not in the registry
    service: str
    key: str
    facts: Sequence[Fact]  #: by their day, then as recorded; at most `MOST`
    more: int  #: further facts


def read_item_life(
    tx: Transaction, unit: str, service: str, key: str, now: datetime, seen: Collection[str] | None = None
) -> ItemLife | None:
    """Return what was told of *key* of *unit* in *service*; None if nothing was.

    *unit*: its code, or another code that it has at *now*. *seen*: the units that the reader may see; None: all. Raises `UnitUnknown`.
    """
    code = unit_registry.resolve_unit_code(tx, unit, find_local_day(now))
    if seen is not None and code not in seen:
        raise UnitUnknown(unit)
    found = fact_pages.read_histories(tx, service, {(code, key)}).get((code, key), [])
    if not found:
        return None
    found.sort(key=lambda fact: (dates.find_fact_day(fact), dates.make_fact_sort_key(fact)))
    units = {each.code: each for each in unit_registry.list_unit_histories(tx)}
    name = units[code].at(find_local_day(found[-1].at)).name if code in units else ""
    return ItemLife(unit=code, name=name, service=service, key=key, facts=found[:MOST], more=max(0, len(found) - MOST))
