"""Closed months of each form, their rows, and the stock carried from one to the next; indexes for a period's facts."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
#: An earlier node counts ended periods as before, until it is stopped. It writes facts as this version does.
part = "before"


def upgrade() -> None:
    """Create the tables and the indexes."""
    op.create_table(
        "closing",
        sa.Column("form", sa.Text, primary_key=True),
        sa.Column("period", sa.String(7), primary_key=True),
        sa.Column("first_day", sa.String(10), nullable=False),
        sa.Column("last_day", sa.String(10), nullable=False),
        sa.Column("closed_at", sa.String(27), nullable=False),
        sa.Column("closed_by", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_table(
        "closed_row",
        sa.Column("form", sa.Text, primary_key=True),
        sa.Column("period", sa.String(7), primary_key=True),
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("numbers", sa.Text, nullable=False),
        sa.Column("times", sa.Text, nullable=False),
        sa.Column("facts", sa.BigInteger, nullable=False),
        sa.Column("evidence", sa.String(64), nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("diff", sa.Text, nullable=False, server_default="{}"),
    )
    op.create_table(
        "carried",
        sa.Column("form", sa.Text, primary_key=True),
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("since", sa.String(7), primary_key=True),
        sa.Column("until", sa.String(7)),
    )
    op.create_index("ix_fact_recorded", "fact", ["service", "unit", "at"])
    dated = sa.text("day IS NOT NULL")
    op.create_index("ix_fact_day", "fact", ["service", "unit", "day", "at"], sqlite_where=dated, postgresql_where=dated)
