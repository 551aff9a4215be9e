"""The numbers of every unit for a form and a period, kept for pages about the whole province."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None
#: An earlier node does not remove the numbers of a month of which it revises a row: update all nodes before months close.
part = "before"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "glance_sheet",
        sa.Column("form", sa.Text, primary_key=True),
        sa.Column("period", sa.String(7), primary_key=True),
        sa.Column("first_day", sa.String(10), nullable=False),
        sa.Column("last_day", sa.String(10), nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("kept_at", sa.String(27), nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
        sa.Column("figures", sa.Text, nullable=False),
    )
