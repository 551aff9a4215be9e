"""Fills a journal with deliveries that wait, by SQL alone: a million in a minute.  Knows the shapes of a backlog; not what is measured."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from hub.store import transactions
from hub.store.tables import content, write_instant

#: name -> how many deliveries each lane holds, as a part of all: everything by itself, or 50 very long lanes.
SHAPES = {"free": None, "50 lanes": 50}

_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})",
    "postgresql": "WITH n(i) AS (SELECT * FROM generate_series({first}, {last}))",
}
_ID = {
    "sqlite": "printf('0192f0c1-0000-7000-8000-%012d', i)",
    "postgresql": "'0192f0c1-0000-7000-8000-' || lpad(i::text, 12, '0')",
}

_MESSAGES = """
{numbers}
insert into message (id, partner, message_id, service, kind, state, received_at, sha256, size, sender, document_id, document_type,
    paper, outside)
  select {id}, 'sotttt', 'backlog ' || i, 'documents', 'document', 'accepted', '{at}', 'aa', 5, 'H55.13', 'D' || i, '', {no}, {no}
  from n
"""
#: All messages have the same octets, which the journal keeps.
_CONTENT = {"sha256": "aa", "part": 0, "octets": b"12345"}
_DELIVERIES = """
{numbers}
insert into delivery (id, message, recipient, via, partner, state, attempts, due, since, changed_at, lane, free)
  select {id}, {id}, 'H55.01', 'H55.01', '{partner}', 'waiting', 0, '{due}', '{at}', '{at}', 'lane ' || {lane}, {free}
  from n
"""


def fill(
    tx: transactions.Transaction,
    count: int,
    at: datetime,
    *,
    first: int = 1,
    partner: str = "vpub",
    lanes: int | None = None,
    due: timedelta = timedelta(0),
) -> None:
    """Make *count* deliveries to *partner* that wait since *at*: each in a lane of its own, or behind the first so many *lanes*; due after *due*."""
    dialect, last = tx.dialect.name, first + count - 1
    values = {
        "numbers": _NUMBERS[dialect].format(first=first, last=last),
        "id": _ID[dialect],
        "at": write_instant(at),
        "due": write_instant(at + due),
        "no": "false",
        "partner": partner,
        "lane": "i" if lanes is None else f"(i - i / {lanes} * {lanes})",
        "free": "true" if lanes is None else f"i <= {lanes}",
    }
    transactions.insert_missing_rows(tx, content, [_CONTENT])
    for statement in (_MESSAGES, _DELIVERIES):
        tx.exec_driver_sql(statement.format(**values))


def settle_down(engine: sa.Engine) -> None:
    """Let the database take note of what was filled in, as it does by itself after a while."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            "VACUUM (ANALYZE)" if engine.dialect.name == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)"
        )
