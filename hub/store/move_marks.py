"""Marks a journal that must not be served, because it was moved away or because a move into it is not finished.

The mark takes the place of the schema version in `alembic_version`, so every program refuses the journal, older
programs too. This module reads and writes the marks. It does not move any data.
"""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from hub.domain.errors import Mistake
from hub.language.phrases import phrase
from hub.store import transactions
from hub.store.tables import Instant
from hub.store.transactions import Transaction


class MoveMark(StrEnum):
    """A mark in place of the schema version: the journal must not be served."""

    MOVING = "moving"  #: it is the target of an unfinished move
    MOVED = "moved"  #: it was moved away


_tables = sa.MetaData()
#: In a journal that is the target of a move: the progress of the move, one row per table.
progress = sa.Table(
    "move_progress",
    _tables,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),  # schema version of the program that moves
    sa.Column("after", sa.BigInteger, nullable=False),  # rowid in the source: rows up to and including it are copied
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("verified", sa.Boolean, nullable=False),
)
#: In a journal that was moved away: its new address.
moved = sa.Table(
    "moved_to", _tables, sa.Column("url", sa.Text, primary_key=True), sa.Column("at", Instant, nullable=False)
)
_version = sa.table("alembic_version", sa.column("version_num"))


def find_move_mark(tx: Transaction) -> Mistake | None:
    """Return the mistake to report if this journal must not be served, or None if it has no mark."""
    match transactions.select_schema_version(tx):
        case MoveMark.MOVED:
            row = tx.execute(sa.select(moved)).one()
            wrong = phrase("this journal was moved on {at} and is now at {url}", at=f"{row.at:%Y-%m-%d}", url=row.url)
            return Mistake("hub.toml: database.url", wrong, phrase('url = "{url}"', url=row.url))
        case MoveMark.MOVING:
            source = tx.scalars(sa.select(progress.c.source).limit(1)).one()
            wrong = phrase("the move of {source} into it is not finished", source=source)
            return Mistake("hub.toml: database.url", wrong, phrase("run `lienthong db move` again until it ends"))
    return None


def mark_journal_moved(tx: Transaction, url: str, now: datetime) -> None:
    """Mark the journal as moved to *url*. It is not served any more."""
    moved.create(tx)
    tx.execute(sa.insert(moved).values(url=url, at=now))
    _set_version(tx, MoveMark.MOVED)


def mark_journal_moving(tx: Transaction, source: str, tables: list[str]) -> None:
    """Mark the journal as the target of a move from *source*, with no row of *tables* copied yet."""
    progress.create(tx)
    none = {
        "source": source,
        "version": transactions.read_latest_version(),
        "after": 0,
        "rows": 0,
        "digest": "0",
        "verified": False,
    }
    tx.execute(sa.insert(progress), [{"name": name, **none} for name in tables])
    _set_version(tx, MoveMark.MOVING)


def unmark_journal_moving(tx: Transaction) -> None:
    """Remove the mark: the move is finished."""
    progress.drop(tx)
    _set_version(tx, transactions.read_latest_version())


def _set_version(tx: Transaction, version: str) -> None:
    tx.execute(sa.update(_version).values(version_num=version))
