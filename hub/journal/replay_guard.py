"""The signed calls that were taken lately, so that none of them takes effect twice.  Knows marks and until when they count; no signature.

A mark names a call by what was signed and by whom, never by the signature's value: an ECDSA value can be turned into another that is
valid too.  A message that is accepted needs none: the same id with the same bytes is an honest retry, for ever.  One that is refused
spends its mark: its sender was told that it took no effect, so it must take none unless that sender signs it anew.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import attrs
import sqlalchemy as sa

from hub.domain.errors import CallRefused, Rejected
from hub.domain.model import Problem
from hub.store.tables import signed_call as table
from hub.store.transactions import Transaction, put_once

T = TypeVar("T")

#: Marks stay so long after their call has expired: for nodes whose clocks differ.
MARGIN = timedelta(hours=1)
#: Each call that comes takes so many old marks away.
_SWEPT = 50
_SPENT = sa.select(table.c.sha256).where(table.c.sha256 == sa.bindparam("mark"))


@attrs.frozen
class ReplayMark:
    """One signed call."""

    sha256: str
    until: datetime  #: when its Timestamp stops being accepted


def run_call_once(tx: Transaction, mark: ReplayMark | None, now: datetime, step: Callable[[bool], T]) -> T | Rejected:
    """Take the call *mark* (None: it was not signed) and do *step*, which is told whether it may change anything.

    A call that comes again may not: it gets its answer as long as giving it changes nothing, else the step refuses it as
    `refuse_replayed_call`.  *step* refuses before it writes; the refusal is returned, not raised, so that its call is marked all the same:
    what was refused once must not take effect when somebody sends it again at a better moment.
    """
    fresh = mark is None or _take(tx, mark, now)
    try:
        return step(fresh)
    except Rejected as rejected:
        return rejected


def spend_call_mark(tx: Transaction, mark: ReplayMark | None, now: datetime) -> None:
    """Remember that the call *mark* (None: it was not signed) was refused: it must not take effect when somebody sends it again."""
    if mark is not None:
        _ = _take(tx, mark, now)


def is_spent(tx: Transaction, mark: ReplayMark | None) -> bool:
    """Tell whether the call *mark* came before, and took its effect or was refused."""
    return mark is not None and tx.scalar(_SPENT, {"mark": mark.sha256}) is not None


def refuse_replayed_call(what: str) -> CallRefused:
    """Return the refusal of a call that came before and would change something now."""
    return CallRefused(Problem("replayed", what))


def _take(tx: Transaction, mark: ReplayMark, now: datetime) -> bool:
    """Put *mark* in the window; tell whether it is new there."""
    old = sa.select(table.c.sha256).where(table.c.until < now - MARGIN).limit(_SWEPT)
    names = tx.scalars(old.with_for_update(skip_locked=True)).all()
    if names:
        tx.execute(sa.delete(table).where(table.c.sha256.in_(names)))
    return bool(put_once(tx, table, [{"sha256": mark.sha256, "until": mark.until}]))
