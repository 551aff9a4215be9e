"""Which alerts by mail were sent to which unit."""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None
#: An earlier node sends no alerts.
part = "before"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "alert",
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("upto", sa.String(27)),
        sa.Column("next_at", sa.String(27)),
        sa.Column("changed_at", sa.String(27), nullable=False),
    )
    op.create_index("ix_alert_day", "alert", ["day"])
    op.create_index(
        "ix_alert_sending",
        "alert",
        ["node"],
        sqlite_where=sa.text("state = 'sending'"),
        postgresql_where=sa.text("state = 'sending'"),
    )
