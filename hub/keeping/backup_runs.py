"""Keeps which backups were made, when, and why one failed. `read_backup_standing` says how old the last good one is.

Does not know how a backup is made. The row of a backup is written after it, so no backup contains its own.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import attrs
import sqlalchemy as sa

from hub.domain.ids import make_id
from hub.domain.model import Event
from hub.journal import events
from hub.store import transactions
from hub.store.tables import backup_run as table
from hub.store.transactions import Transaction

#: Rows that are kept.
MOST_KEPT = 500
#: Longest text of a reason.
_REASON = 500


class BackupOutcome(StrEnum):
    """What became of a backup."""

    RUNNING = "running"
    GOOD = "good"  #: it was made and tried
    FAILED = "failed"  #: there is no new backup


@attrs.frozen(kw_only=True)
class BackupRun:
    """One backup, or a try to make one."""

    id: str
    due: datetime | None  #: the time of the schedule that it is for; None: a person began it
    attempt: int  #: of those for one `due`, from 1
    node: str
    started_at: datetime
    ended_at: datetime | None
    outcome: BackupOutcome
    made_at: datetime | None  #: the moment of its journal
    file: str | None
    octets: int | None
    number: int | None  #: of the last numbered event in it
    restored: bool | None  #: whether the trial restored it; False: it only read the dump
    reason: str | None  #: why it failed


@attrs.frozen(kw_only=True)
class BackupStanding:
    """How well the journal is backed up."""

    last_good: BackupRun | None  #: None: there is no good backup
    last: BackupRun | None  #: the last that has ended, good or not

    @property
    def failure(self) -> BackupRun | None:
        """Return the last backup if it failed."""
        return self.last if self.last is not None and self.last.outcome is BackupOutcome.FAILED else None


def read_backup_standing(tx: Transaction) -> BackupStanding:
    """Return how well the journal is backed up, as far as it knows. The table has at most `MOST_KEPT` + 1 rows."""
    good = _find_last(tx, table.c.outcome == BackupOutcome.GOOD)
    return BackupStanding(last_good=good, last=_find_last(tx, table.c.outcome != BackupOutcome.RUNNING))


def _find_last(tx: Transaction, which: sa.ColumnElement[bool]) -> BackupRun | None:
    row = tx.execute(sa.select(table).where(which).order_by(table.c.started_at.desc(), table.c.id.desc()).limit(1))
    return next(map(_make_run, row), None)


def list_backup_runs(tx: Transaction, limit: int = MOST_KEPT, before: str | None = None) -> Sequence[BackupRun]:
    """Return *limit* backups, the one that began last first; with *before*, the id of a backup, those that began earlier.

    Raises KeyError if there is no backup *before*.
    """
    query = sa.select(table)
    if before is not None:
        place = tx.execute(sa.select(table.c.started_at, table.c.id).where(table.c.id == before)).first()
        if place is None:
            raise KeyError(before)
        earlier = sa.and_(table.c.started_at == place.started_at, table.c.id < place.id)
        query = query.where(sa.or_(table.c.started_at < place.started_at, earlier))
    rows = tx.execute(query.order_by(table.c.started_at.desc(), table.c.id.desc()).limit(limit))
    return list(map(_make_run, rows))


def _make_run(row: sa.Row[tuple[object, ...]]) -> BackupRun:
    return BackupRun(**{**row._mapping, "outcome": BackupOutcome(row.outcome)})  # noqa: SLF001


def begin_backup_run(
    tx: Transaction, node: str, now: datetime, due: datetime | None = None, attempt: int = 1
) -> str | None:
    """Record that *node* begins a backup. Return its id; None if another node has begun the same."""
    id_ = make_id(now)
    row = {
        "id": id_,
        "due": due,
        "attempt": attempt,
        "node": node,
        "started_at": now,
        "outcome": BackupOutcome.RUNNING,
    }
    if due is None:
        tx.execute(sa.insert(table), row)
        return id_
    if not transactions.insert_missing_rows(tx, table, [row]):
        return None
    return id_


def end_backup_run(
    tx: Transaction,
    id_: str,
    now: datetime,
    *,
    made_at: datetime,
    file: str,
    octets: int,
    number: int,
    restored: bool,
) -> None:
    """Record that the backup *id_* is good, with its event."""
    values = {"made_at": made_at, "file": file, "octets": octets, "number": number, "restored": restored}
    tx.execute(sa.update(table).where(table.c.id == id_).values(ended_at=now, outcome=BackupOutcome.GOOD, **values))
    said = values | {"made_at": made_at.isoformat()}
    events.append_events(tx, Event("backup-made", now, body=said))
    _forget_old(tx)


def fail_backup_run(tx: Transaction, id_: str, now: datetime, reason: str) -> None:
    """Record that the backup *id_* failed, with its event."""
    said = reason[:_REASON]
    tx.execute(
        sa.update(table).where(table.c.id == id_).values(ended_at=now, outcome=BackupOutcome.FAILED, reason=said)
    )
    events.append_events(tx, Event("backup-failed", now, body={"reason": said}))
    _forget_old(tx)


def fail_ended_runs(tx: Transaction, node: str, now: datetime) -> int:
    """Record that the scheduled backups which *node* had begun have failed: it runs none. Return how many."""
    begun = sa.and_(table.c.node == node, table.c.outcome == BackupOutcome.RUNNING, table.c.due.is_not(None))
    found = tx.scalars(sa.select(table.c.id).where(begun)).all()
    for each in found:
        fail_backup_run(tx, each, now, "the hub ended meanwhile, or the journal did not answer")
    return len(found)


def _forget_old(tx: Transaction) -> None:
    """Delete the oldest rows beyond `MOST_KEPT`, but not that of the last good backup."""
    kept = sa.select(table.c.id).order_by(table.c.started_at.desc(), table.c.id.desc()).limit(MOST_KEPT)
    good = (
        sa.select(table.c.id)
        .where(table.c.outcome == BackupOutcome.GOOD)
        .order_by(table.c.started_at.desc(), table.c.id.desc())
        .limit(1)
    )
    tx.execute(sa.delete(table).where(table.c.id.not_in(kept), table.c.id.not_in(good)))
