"""The replay guard: marks of recent signed calls, so that no call takes effect twice. Verifies no signature.

A mark identifies a call by the signed content and the signer, never by the signature value, because a valid ECDSA value
can be turned into another valid one. An accepted message needs no mark: the same id with the same octets is a
legitimate retry, at any time. A refused message uses up its mark: its sender was told that it took no effect, so it
must take none later unless the sender signs it again.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import attrs
import sqlalchemy as sa

from hub.domain.errors import CallRefused, Rejected
from hub.domain.model import Problem
from hub.store.hot_statements import HotStatement
from hub.store.tables import Instant
from hub.store.tables import signed_call as table
from hub.store.transactions import Transaction, insert_missing_rows

T = TypeVar("T")

#: A mark is kept this long after its call has expired, for nodes whose clocks differ.
MARGIN = timedelta(hours=1)
#: Old marks deleted with each new mark.
_SWEPT = 50
_SPENT = HotStatement(sa.select(table.c.sha256).where(table.c.sha256 == sa.bindparam("mark")))
_OLD = HotStatement(
    sa.select(table.c.sha256)
    .where(table.c.until < sa.bindparam("before", type_=Instant))
    .limit(_SWEPT)
    .with_for_update(skip_locked=True)
)


@attrs.frozen
class ReplayMark:
    """The mark of one signed call."""

    sha256: str  #: hash of the signer and the signed content
    until: datetime  #: time from which its Timestamp is no longer accepted


def run_call_once(tx: Transaction, mark: ReplayMark | None, now: datetime, step: Callable[[bool], T]) -> T | Rejected:
    """Record *mark* (None: the call was not signed) and run *step* with whether the call is new.

    For a repeated call, *step* must not change anything. It returns the answer if that needs no change, else it refuses
    with `refuse_replayed_call`. *step* must refuse before it writes. The refusal is returned and not raised, so that
    the mark is committed: a refused call must not take effect when an attacker sends it again at a better moment.
    """
    fresh = mark is None or _take_mark(tx, mark, now)
    try:
        return step(fresh)
    except Rejected as rejected:
        return rejected


def spend_call_mark(tx: Transaction, mark: ReplayMark | None, now: datetime) -> None:
    """Record the mark of a refused call (None: it was not signed), so that it takes no effect when sent again."""
    if mark is not None:
        _ = _take_mark(tx, mark, now)


def is_spent(tx: Transaction, mark: ReplayMark | None) -> bool:
    """Tell whether the call with *mark* came before, and took effect or was refused."""
    return mark is not None and _SPENT.first(tx, {"mark": mark.sha256}) is not None


def refuse_replayed_call(what: str) -> CallRefused:
    """Return the refusal of a repeated call that would change something now."""
    return CallRefused(Problem("replayed", what))


def _take_mark(tx: Transaction, mark: ReplayMark, now: datetime) -> bool:
    """Record *mark* and delete some old marks. Tell whether *mark* is new."""
    names = [row.sha256 for row in _OLD.read(tx, {"before": now - MARGIN})]
    if names:
        tx.execute(sa.delete(table).where(table.c.sha256.in_(names)))
    return bool(insert_missing_rows(tx, table, [{"sha256": mark.sha256, "until": mark.until}]))
