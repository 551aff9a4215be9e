"""Recalls, updates and replacements; lanes, urgency, answers, alarms.

A delivery that already waits gets a lane of its own message, without urgency.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table of changes."""
    op.create_table(
        "change",
        sa.Column("message", sa.String(length=36), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["message.id"]),
        sa.PrimaryKeyConstraint("message", "document_id", "unit"),
    )
    op.create_index("ix_change_document", "change", ["sender", "document_id"], unique=False)
    op.add_column("message", sa.Column("lane", sa.Text(), nullable=True))
    for column in (
        sa.Column("urgency", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("turn", sa.String(27), server_default="", nullable=False),
        sa.Column("lane", sa.Text(), server_default="", nullable=False),
        sa.Column("stopped", sa.Text(), nullable=True),
        sa.Column("answer", sa.String(length=2), nullable=True),
        sa.Column("alarmed_at", sa.String(27), nullable=True),
    ):
        op.add_column("delivery", column)
    op.execute("update message set lane = id where state = 'accepted'")
    op.execute("update delivery set lane = message, turn = due")
    op.drop_index("ix_delivery_queue", table_name="delivery")
    op.create_index("ix_delivery_queue", "delivery", ["partner", "state", "turn", "message", "due"], unique=False)
    op.create_index("ix_delivery_lane", "delivery", ["lane", "recipient", "state", "id"], unique=False)
    op.create_index("ix_delivery_alarm", "delivery", ["state", "alarmed_at", "since"], unique=False)
