"""Prints the SQL of the statements that every message or delivery runs: `python -m tests.journal.statements > docs/explanation/statements.sql`."""

import re
import sys
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hub.journal import consignments, documents, events, message_sets, messages, statuses
from hub.journal.queue import claims, deliveries, exchanges, lanes, partner_state, settlement_sets
from hub.store.hot_statements import HotStatement, SetInsert, SetQuery
from hub.store.tables import content, delivery, event, exchange, fact, message

DIALECTS: dict[str, sa.Dialect] = {"SQLite": sqlite.dialect(), "PostgreSQL": postgresql.psycopg.dialect()}
HEAD = """-- The statements that a new document, its claim and its settlement run, as the drivers are given them.
-- Made by `python -m tests.journal.statements`; a test holds this file equal to the code.
-- A statement about a set is shown for two rows. Each is prepared once for 1, 2, 4 … 64 rows.
"""
#: What it is for, and the statement.
STATEMENTS: list[tuple[str, HotStatement | SetQuery]] = [
    ("new documents: which of those received are new", message_sets._NEW),
    ("new statuses: the documents that they answer", message_sets._ANSWERED),
    ("new statuses: what their lanes hold", message_sets._PLACES),
    ("new statuses: the answered deliveries", message_sets._ANSWER),
    ("one message: the accepted message with its id", messages._TWIN),
    ("one document: the lane of its predecessors", documents._LANE),
    ("one document: changes that came before it", documents._EARLY),
    ("one status: the document that it answers", statuses._NEWEST[True, True]),
    ("one status: the delivery that it answers", statuses._DELIVERY),
    ("deliveries: the last id in the lane", deliveries._LAST),
    ("claims: the queue of each partner", claims._QUEUES),
    ("claims: the state of a partner, locked", partner_state._SEIZED),
    ("claims: messages that are being sent", partner_state._UNDER_WAY),
    ("claims: the next messages of a partner", claims._EARLIEST),
    ("claims: their deliveries", claims._TO_GO),
    ("claims: the claimed deliveries", claims._CLAIM),
    ("claims: the begun attempts", claims._BEGIN),
    ("claims: short contents", consignments._SMALL),
    ("the chain: events without a number", events._UNCHAINED),
    ("the chain: their numbers and hashes", events._CHAIN),
    ("settlements: the deliveries that are being sent", settlement_sets._HELD),
    ("settlements: what is kept of earlier attempts, if there were any", exchanges._EARLIER),
    ("settlements: the ended attempts", settlement_sets._END_ATTEMPTS),
    ("settlements: the delivered deliveries", settlement_sets._DELIVER),
    ("settlements: the next delivery of the lane", lanes._FREE_NEXT),
]
#: The tables into which sets are inserted, with whether taken keys are skipped.
INSERTS: list[tuple[sa.Table, bool]] = [
    (message, True),
    (content, True),
    (delivery, False),
    (fact, True),
    (event, False),
    (exchange, True),
]


def write_statements() -> str:
    """Return the text of the file."""
    return HEAD + "".join(f"\n{part}" for part in _parts())


def _parts() -> Iterator[str]:
    for name, dialect in DIALECTS.items():
        yield f"-- ===== {name} =====\n"
        for what, statement in STATEMENTS:
            sql = statement.write_sql(dialect, 2) if isinstance(statement, SetQuery) else statement.write_sql(dialect)
            yield f"-- {what}\n{_tidy(sql)};\n"
        for table, skips in INSERTS:
            keys = tuple(column.name for column in table.c if column.name not in {"serial", "number", "hash"})
            sql, _ = SetInsert(table, skips=skips)._compile(dialect, keys, 2)
            yield f"-- a set of rows of `{table.name}`\n{_tidy(sql)};\n"


def _tidy(sql: str) -> str:
    return re.sub(r"[ \t]+\n", "\n", sql).strip()


if __name__ == "__main__":
    sys.stdout.write(write_statements())
