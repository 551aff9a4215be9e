"""Which deliveries count as failed, so that a failure ends when its document is delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None
#: An earlier node ends no failure.
part = "before"


def upgrade() -> None:
    """Add the column. Of deliveries that are dead now and were never delivered, it says that they failed."""
    op.add_column("delivery", sa.Column("failed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("UPDATE delivery SET failed = true WHERE state = 'dead' AND stopped IS NULL AND again = false")
