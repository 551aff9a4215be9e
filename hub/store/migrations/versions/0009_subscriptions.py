"""Last event published for each subscription; an event for each fact that was recorded before facts had events."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
#: An earlier node writes facts without events. None can run beside this version, because 0007 already stops all of
#: them.
part = "before"

_BATCH = 1000
_COLUMNS = (
    "unit",
    "service",
    "key",
    "milestone",
    "counterpart",
    "outside",
    "document_type",
    "paper",
    "signature",
    "due",
)


def upgrade() -> None:
    """Create the table and write an event for each existing fact."""
    op.create_table(
        "subscription",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    fact = sa.table("fact", *(sa.column(name) for name in ("at", "message", *_COLUMNS)))
    event = sa.table("event", sa.column("message"), sa.column("text"))
    connection = op.get_bind()
    query = sa.select(fact).order_by(fact.c.at, fact.c.message, fact.c.unit, fact.c.milestone)
    with connection.execute(query.execution_options(yield_per=_BATCH)) as rows:
        for batch in rows.mappings().partitions():
            connection.execute(sa.insert(event), [{"message": row["message"], "text": _text(row)} for row in batch])


def _text(row: sa.RowMapping) -> str:
    """Return the event `fact-recorded` as this version of the program writes it."""
    said = {"at": row["at"], "event": "fact-recorded", "message": row["message"]} | {
        name: row[name] for name in _COLUMNS
    }
    said |= {name: bool(said[name]) for name in ("outside", "paper")}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))
