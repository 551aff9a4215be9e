"""Finds the successor of each open dossier of a unit that ends or has ended: by who has reported it, else by the rules of
the deed, else the main one. Moving, planning and reporting under the old code all ask here.

Knows recorded facts and the rules of deeds. Does not know how a dossier moves, nor the registry.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import sqlalchemy as sa

from hub.domain.errors import Mistake
from hub.journal.sequels.handovers import Handover
from hub.language.phrases import phrase
from hub.report.counting.division import write_value
from hub.services.dossiers.identity import BEGINS, REGISTERED, split_key
from hub.services.dossiers.results import NAME
from hub.store.tables import fact, succession
from hub.store.tables import succession_share as table
from hub.store.transactions import Transaction
from hub.units.deeds import MOST_NAMED, Share, ShareKind, choose_successor

#: What opens a dossier in a unit, taken on or not yet.
OPENS = BEGINS | {REGISTERED}
_EXPECTED = {
    ShareKind.FIELD: phrase("a field of the province's lists, or of a dossier of the unit"),
    ShareKind.PROCEDURE: phrase("a procedure of the province's lists, or of a dossier of the unit"),
    ShareKind.KEYS: phrase("codes of dossiers of these units"),
}
#: Codes per query.
_ASKED = 400


def read_shares(tx: Transaction, of: Handover, codes: Collection[str]) -> tuple[Share, ...]:
    """Return the rules of the deed for a part, or of the one by which a unit ends, in the order in which they are tried; of
    its lists of codes only *codes*.
    """
    deed = sa.select(succession.c.deed).where(succession.c.unit == of.unit).limit(1).scalar_subquery()
    rules = sa.select(table).where(table.c.deed == (of.deed or deed))
    rows = list(tx.execute(rules.where(table.c.kind != ShareKind.KEYS)))
    asked = sorted(codes)
    for first in range(0, len(asked), _ASKED):
        listed = table.c.value.in_(asked[first : first + _ASKED])
        rows += tx.execute(rules.where(table.c.kind == ShareKind.KEYS, listed))
    return collect_shares(rows)


def collect_shares(rows: Collection[sa.Row[tuple[str, str, str, int, str]]]) -> tuple[Share, ...]:
    """Return the rules of which *rows* are the values."""
    found: dict[tuple[int, str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row.number, row.successor, row.kind), []).append(row.value)
    return tuple(
        Share(successor, ShareKind(kind), frozenset(values)) for (_, successor, kind), values in sorted(found.items())
    )


def choose_heirs(
    tx: Transaction,
    of: Handover,
    told: Mapping[str, Mapping[str, str]],
    claimed: Collection[tuple[str, str]],
    shares: Sequence[Share],
) -> dict[str, str]:
    """Return the heir of each dossier of a unit, by key; of a part the unit itself, where no rule is about the dossier.

    *told*: by the keys of the dossiers, what is told of them now; what is recorded of one decides before it. *claimed*:
    heirs that have reported dossiers, each with the key. Nobody claims what a unit has that goes on.
    """
    known = _read_attributes(tx, of.unit, told) if shares else {}
    found = {}
    for key, said in told.items():
        heir = None if of.is_part else next((heir for heir in of.heirs if (heir, key) in claimed), None)
        if heir is None:
            stated = {name: write_value(text) for name, text in (dict(said) | known.get(key, {})).items()}
            chosen = choose_successor(shares, split_key(key)[0], stated) or of.heirs[0]
            heir = of.leads.get(chosen, chosen)
        found[key] = heir if heir in of.heirs else of.heirs[0]
    return found


def find_unknown_values(
    tx: Transaction, units: Sequence[str], shares: Sequence[Share], listed: Mapping[ShareKind, Collection[str]]
) -> Iterator[Mistake]:
    """Yield what *shares* name that is unknown: fields and procedures that neither the lists of the province (*listed*) nor
    a dossier of *units* has, and codes of dossiers that none of *units* has.
    """
    mine = sa.and_(fact.c.unit.in_(units), fact.c.service == NAME)
    for share in (share for share in shares if share.kind in _EXPECTED):
        unknown = share.values - frozenset(listed.get(share.kind, ()))
        if share.kind is ShareKind.KEYS:
            asked = sorted(unknown)
            for first in range(0, len(asked), _ASKED):
                held = sa.select(fact.c.key).where(mine, fact.c.key.in_(asked[first : first + _ASKED]))
                unknown -= set(tx.scalars(held.distinct()))
        elif unknown:
            stated = tx.scalars(sa.select(fact.c.attributes).where(mine).distinct())
            unknown -= {write_value(dict(said).get(share.kind, "")) for said in stated}
        if unknown:
            names = ", ".join(sorted(unknown)[:MOST_NAMED])
            wrong = phrase("{count} are unknown: {names}", count=len(unknown), names=names)
            yield Mistake(str(share), wrong, _EXPECTED[share.kind])


def _read_attributes(tx: Transaction, unit: str, keys: Collection[str]) -> dict[str, dict[str, str]]:
    """Return what the facts say of the dossiers *keys* that begin in *unit*; a receipt says more than handing in."""
    asked, found = sorted(keys), dict[str, dict[str, str]]()
    for first in range(0, len(asked), _ASKED):
        mine = sa.and_(fact.c.unit == unit, fact.c.service == NAME, fact.c.key.in_(asked[first : first + _ASKED]))
        begun = sa.select(fact.c.key, fact.c.milestone, fact.c.attributes).where(mine, fact.c.milestone.in_(OPENS))
        for key, _, said in sorted(tx.execute(begun), key=lambda row: row.milestone != REGISTERED):
            found.setdefault(key, {}).update(said)
    return found
