"""What the hub itself tells operators: the alerts that are raised, and the notices of them on their way out."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None
#: An earlier node raises no such alerts.
part = "before"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "hub_alert",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("about", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("values", sa.Text, nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("since", sa.String(27), nullable=False),
        sa.Column("absent_since", sa.String(27)),
        sa.Column("ended_at", sa.String(27)),
        sa.Column("reminded_at", sa.String(27)),
        sa.Column("acknowledged_at", sa.String(27)),
        sa.Column("acknowledged_by", sa.Text, nullable=False),
        sa.Column("acknowledged_note", sa.Text, nullable=False),
        sa.Column("changed_at", sa.String(27), nullable=False),
    )
    op.create_table(
        "hub_alert_notice",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("transition", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("alert_node", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("values", sa.Text, nullable=False),
        sa.Column("since", sa.String(27), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("due", sa.String(27), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("batch", sa.String(36)),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_at", sa.String(27), nullable=False),
    )
    unsent = sa.text("state IN ('waiting', 'sending')")
    op.create_index(
        "ix_hub_alert_notice_unsent", "hub_alert_notice", ["due"], sqlite_where=unsent, postgresql_where=unsent
    )
