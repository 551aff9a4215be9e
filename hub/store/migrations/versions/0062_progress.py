"""What of a long message an attempt had got through, in the words of its adapter."""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None
#: An earlier node writes none, and begins a long message again.
part = "before"


def upgrade() -> None:
    """Add the column."""
    op.add_column("attempt", sa.Column("progress", sa.Text))
