"""Fills a journal on SQLite with messages of months past, by SQL alone. Knows the tables; not what is measured on them.

Each message is a document of one unit for another, accepted, delivered, counted for both, with one chained event.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

#: Octets of disk that a message takes, with its indexes; while it is filled, half as much again for sorting.
OCTETS = 2600

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}),"
_MADE = (
    _NUMBERS
    + """
 m(i, id, sender, recipient, document, at) AS (
   SELECT n.i, printf('0192f0c1-0000-7000-8000-%012d', n.i), s.code, r.code, printf('%s,2026/01/01,%d/CU', s.code, n.i),
     strftime('%Y-%m-%dT%H:%M:%S', '{first} 01:00:00', '+' || (n.i % {days}) || ' days', '+' || (n.i % 36000) || ' seconds') || '.000000Z'
   FROM n CROSS JOIN past_unit s ON s.i = n.i % {units} CROSS JOIN past_unit r ON r.i = (n.i * 7 + 3) % {units})
"""
)
_STATEMENTS = {
    "message": """
INSERT INTO message (id, partner, message_id, service, kind, state, received_at, sha256, size, sender, outside, document_id, code, subject,
    document_type, paper, lane)
  SELECT id, 'sotttt', 'past-' || i, 'documents', 'document', 'accepted', at, printf('%064d', i), 4096, sender, 0, document, i || '/CU',
    'Văn bản cũ số ' || i, 'Công văn', 0, id FROM m
""",
    "delivery": """
INSERT INTO delivery (id, message, recipient, via, partner, state, attempts, due, since, changed_at, lane, free)
  SELECT id, id, recipient, recipient, 'vpub', 'delivered', 1, at, at, at, id, 0 FROM m
""",
    "event": """
INSERT INTO event (message, text, number, hash)
  SELECT id, printf('{"type":"accepted","message":"%s","at":"%s"}', id, at), i + 1, printf('%064d', i) FROM m
""",
    "fact": """
INSERT INTO fact (unit, service, key, milestone, at, message, counterpart, outside, document_type, paper, signature)
  SELECT sender, 'documents', json_array(sender, document), 'sent', at, id, recipient, 0, 'Công văn', 0, 'absent' FROM m
  UNION ALL
  SELECT recipient, 'documents', json_array(sender, document), 'received', at, id, sender, 0, 'Công văn', 0, 'absent' FROM m
  ORDER BY 1, 2, 3, 4
""",
}


def fill_journal(
    path: Path, count: int, units: Sequence[str], first: str, days: int, tables: Sequence[str] = tuple(_STATEMENTS)
) -> None:
    """Write *count* messages of the *days* from the day *first* on into the journal at *path*, which nobody has open.

    Indexes are made again afterwards, which is faster than keeping them up. Only *tables* are filled.
    """
    made = _MADE.format(count=count, first=first, days=days, units=len(units))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-200000")
        connection.execute("CREATE TEMP TABLE past_unit (i INTEGER PRIMARY KEY, code TEXT)")
        connection.executemany("INSERT INTO past_unit VALUES (?, ?)", enumerate(units))
        names = ", ".join(f"'{name}'" for name in tables)
        indexes = connection.execute(
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({names})"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for name in tables:
            connection.execute("BEGIN")
            connection.execute(made + _STATEMENTS[name])
            connection.execute("COMMIT")
        for _, statement in indexes:
            connection.execute(statement)
        connection.execute("ANALYZE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
