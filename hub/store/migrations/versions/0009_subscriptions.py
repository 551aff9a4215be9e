"""How far each subscription was told of the events; and an event for each fact from before facts had one."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
#: A node of before writes facts without their events; none can run beside this one, as 0007 stops them all first.
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
    """Make the table, and tell of the facts that are there."""
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
    """Return the event `fact-recorded` as the ledger of this version writes it."""
    said = {"at": row["at"], "event": "fact-recorded", "message": row["message"]} | {
        name: row[name] for name in _COLUMNS
    }
    said |= {name: bool(said[name]) for name in ("outside", "paper")}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))
