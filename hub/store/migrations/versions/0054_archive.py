"""Archive files are listed: what is in each, and where it was written."""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None
#: An earlier node writes no archive and does not read the table.
part = "before"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "archive",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
        sa.Column("first_message", sa.String(36)),
        sa.Column("last_message", sa.String(36)),
        sa.Column("first_number", sa.BigInteger),
        sa.Column("last_number", sa.BigInteger),
    )
    op.create_index("ix_archive_period", "archive", ["period", "id"])
    where = sa.text("first_message IS NOT NULL")
    op.create_index(
        "ix_archive_messages", "archive", ["first_message", "last_message"], sqlite_where=where, postgresql_where=where
    )
