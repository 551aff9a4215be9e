"""Who is closing a month: a closing is counted and written in many short steps."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None
#: An earlier node closes a month in one transaction and does not look here.
part = "before"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "closing_draft",
        sa.Column("form", sa.Text, primary_key=True),
        sa.Column("token", sa.String(36), nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
    )
