"""Records the beginning and the end of each wait of a dossier, of all that messages say of how it stands.

Knows recorded facts. The rule is in `hub.services.dossiers.waits`.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from hub.domain.model import Fact
from hub.services.dossiers.results import NAME
from hub.services.dossiers.waits import RESUMED, RESUMES, WAITING, WAITS, place_wait
from hub.store.hot_statements import HotStatement
from hub.store.tables import fact as table
from hub.store.transactions import Transaction

_READ = HotStatement(
    sa.select(table.c.key, table.c.milestone, table.c.at, table.c.message, table.c.day).where(
        table.c.unit == sa.bindparam("of", type_=sa.Text),
        table.c.service == NAME,
        table.c.key.in_(sa.bindparam("keys", expanding=True, type_=sa.Text)),
        table.c.milestone.in_((*WAITS, *RESUMES)),
    ),
    lists=("keys",),
)
#: Keys per query. The facts of a message are written 200 at a time.
_ASKED = 200


def place_waits(tx: Transaction, facts: Sequence[Fact]) -> Sequence[Fact]:
    """Return *facts* with those that tell of waits numbered, and without those that change nothing.

    Takes one look-up for each unit and slice of facts; facts of other services cost nothing.
    """
    told: dict[str, dict[str, list[Fact]]] = {}
    for fact in facts:
        if _tells_wait(fact):
            told.setdefault(fact.unit, {}).setdefault(fact.key, [])
    if not told:
        return facts
    for unit, by_key in told.items():
        keys = list(by_key)
        for first in range(0, len(keys), _ASKED):
            for row in _READ.read(tx, {"of": unit, "keys": keys[first : first + _ASKED]}):
                known = Fact(unit=unit, service=NAME, **row._asdict())
                by_key[row.key].append(known)
    found = []
    for fact in facts:
        if not _tells_wait(fact):
            found.append(fact)
        elif placed := place_wait(told[fact.unit][fact.key], fact):
            told[fact.unit][fact.key].append(placed)
            found.append(placed)
    return found


def _tells_wait(fact: Fact) -> bool:
    return fact.service == NAME and fact.milestone in (WAITING, RESUMED)
