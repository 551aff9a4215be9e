"""What units still have to do, by due day. The hub fills it from the facts, in steps beside the exchange."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None
#: An earlier node neither reads nor writes it.
part = "before"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "open_work",
        sa.Column("unit", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("due", sa.String(10), nullable=False),
        sa.Column("since", sa.String(10), nullable=False),
        sa.Column("waiting", sa.Boolean, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("field_name", sa.Text, nullable=False),
        sa.Column("officer", sa.Text, nullable=False),
        sa.Column("counterpart", sa.Text, nullable=False),
        sa.Column("message", sa.String(36), nullable=False),
        sa.Column("told", sa.String(36), nullable=False),
        sa.Column("due_told_at", sa.String(27), nullable=False),
    )
    op.create_index("ix_open_work_due", "open_work", ["due", "unit", "service", "key"])
    op.create_index("ix_open_work_unit", "open_work", ["unit", "service", "waiting", "due", "field"])
