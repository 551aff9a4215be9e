"""Result of checking a packet's own signature, stored with its message."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. It is null for earlier messages."""
    op.add_column("message", sa.Column("signature", sa.Text(), nullable=True))
