"""What stays of a message whose bytes and events have gone into an archive file: its head, its receipt, the link of the chain."""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None
#: An earlier node lets nothing go. It must not run beside one that does: it would answer a repetition without a receipt.
part = "before"


def upgrade() -> None:
    """Add the columns and the tables."""
    op.add_column("message", sa.Column("archive", sa.Integer))
    op.add_column("delivery", sa.Column("given_up", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "receipt_form",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("octets", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "kept_receipt",
        sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), primary_key=True),
        sa.Column("form", sa.String(64), sa.ForeignKey("receipt_form.sha256"), nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "chain_gap",
        sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger, nullable=False, unique=True),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "retention_part",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("archive", sa.String(36)),
        sa.Column("announced_at", sa.String(27), nullable=False),
        sa.Column("due_at", sa.String(27), nullable=False),
        sa.Column("changed_at", sa.String(27), nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
    )
