"""Number of lookups of each unit on a day, and cached encrypted answers."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
#: An earlier node answers no lookups.
part = "before"


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "lookup_count",
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("operation", sa.Text, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("used", sa.Integer, nullable=False),
    )
    op.create_table(
        "lookup_answer",
        sa.Column("question", sa.String(64), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("heard_at", sa.String(27), nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
    )
    op.create_index("ix_lookup_answer_until", "lookup_answer", ["until"])
