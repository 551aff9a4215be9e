"""Backups that were made, the eras of a journal that was restored, and the receipts that a restored journal lacks."""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None
#: An earlier node makes no backups on a schedule.
part = "before"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "backup_run",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("due", sa.String(27)),
        sa.Column("attempt", sa.SmallInteger, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("started_at", sa.String(27), nullable=False),
        sa.Column("ended_at", sa.String(27)),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("made_at", sa.String(27)),
        sa.Column("file", sa.Text),
        sa.Column("octets", sa.BigInteger),
        sa.Column("number", sa.BigInteger),
        sa.Column("restored", sa.Boolean),
        sa.Column("reason", sa.Text),
        sa.UniqueConstraint("due", "attempt", name="uq_backup_run_due"),
    )
    op.create_table(
        "era",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("began_at", sa.String(27), nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("backup", sa.Text, nullable=False),
        sa.Column("event", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("since", sa.String(27)),
        sa.Column("complete", sa.Boolean, nullable=False),
    )
    op.create_table(
        "lost_receipt",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("era", sa.Integer, nullable=False),
        sa.Column("partner", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("received_at", sa.String(27), nullable=False),
    )
    op.create_index("ix_lost_receipt_partner", "lost_receipt", ["partner", "id"])
