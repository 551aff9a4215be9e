"""What a closed month keeps for its reports: the units as they were, the forms that take from others, the due days."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None
#: An earlier node closes months without it; their reports go by the registry as it is, as before.
part = "before"


def upgrade() -> None:
    """Create the table. The months that are closed already have no row."""
    op.create_table(
        "closed_month",
        sa.Column("period", sa.String(7), primary_key=True),
        sa.Column("last_day", sa.String(10), nullable=False, unique=True),
        sa.Column("closed_at", sa.String(27), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("world", sa.Text, nullable=False),
    )
