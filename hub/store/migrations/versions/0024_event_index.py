"""The list of the events that no message leads to, with the events that there are.

Those of refused calls are stored under the Tracking of their call, so all events are read once, in short steps.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0022"
branch_labels = None
depends_on = None
#: An earlier node writes its events without a row here: they stay in the journal, and are missing in the list.
part = "before"

#: Events read with one statement.
_BLOCK = 2_000
#: The name of an event begins at the 46th letter of its text: `{"at":"2026-11-24T08:00:00.000000Z","event":"`.
_READ = sa.text(
    "SELECT serial, text FROM event WHERE serial > :after"
    " AND (message IS NULL OR substr(text, 46, 13) = 'call-refused\"') ORDER BY serial LIMIT :block"
)


def upgrade() -> None:
    """Create the table and its indexes, and fill it."""
    made = op.create_table(
        "event_index",
        sa.Column(
            "serial",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            sa.ForeignKey("event.serial"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("partner", sa.Text),
        sa.Column("account", sa.Text),
        sa.Column("actor", sa.Text),
        sa.Column("tracking", sa.String(36)),
        sa.Column("message", sa.String(36)),
    )
    connection, after = op.get_bind(), 0
    while rows := connection.execute(_READ, {"after": after, "block": _BLOCK}).all():
        op.bulk_insert(made, [_row(row.serial, json.loads(row.text)) for row in rows])
        after = rows[-1].serial
    op.create_index("ix_event_index_at", "event_index", ["at", "serial"])
    op.create_index("ix_event_index_name", "event_index", ["name", "at", "serial"])
    for column in ("partner", "account", "actor"):
        _partial(column, "at", "serial")
    _partial("tracking")


def _partial(column: str, *further: str) -> None:
    where = sa.text(f"{column} IS NOT NULL")
    columns = [column, *further]
    op.create_index(f"ix_event_index_{column}", "event_index", columns, sqlite_where=where, postgresql_where=where)


def _row(serial: int, said: dict[str, object]) -> dict[str, object]:
    tracking = said.get("tracking")
    return {
        "serial": serial,
        "at": said["at"],
        "name": said.get("event", ""),
        "partner": said.get("partner") or said.get("link") or None,
        "account": said.get("user") or None,
        "actor": said.get("by") or None,
        "tracking": tracking if isinstance(tracking, str) and len(tracking) <= 36 else None,
        "message": None,
    }
