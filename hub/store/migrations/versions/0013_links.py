"""State of each link as each node sees it, and the probed minutes of the current day."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
#: An earlier node knows no links and needs none of this.
part = "before"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "link",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", sa.String(27), nullable=False),
        sa.Column("seen_at", sa.String(27), nullable=False),
        sa.Column("silent_at", sa.String(27), nullable=False),
        sa.Column("p50", sa.Float),
        sa.Column("p95", sa.Float),
        sa.Column("ends", sa.String(27)),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "link_day",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("units", sa.Text, nullable=False),
        sa.Column("probed", sa.Text, nullable=False),
        sa.Column("up", sa.Text, nullable=False),
    )
