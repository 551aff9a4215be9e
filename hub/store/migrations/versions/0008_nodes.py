"""Nodes that share the journal, and the schema versions that were applied."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
part = "before"


def upgrade() -> None:
    """Create the tables. An earlier program could run only on its own version."""
    op.create_table(
        "node",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("schema", sa.String(32), nullable=False),
        sa.Column("started_at", sa.String(27), nullable=False),
        sa.Column("seen_at", sa.String(27), nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
        sa.Column("stopped_at", sa.String(27)),
    )
    made = op.create_table(
        "upgrade",
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("part", sa.String(8), nullable=False),
    )
    op.bulk_insert(made, [{"version": "0007", "part": "after"}])
