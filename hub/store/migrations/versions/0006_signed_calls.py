"""Recently accepted signed calls, so that no call takes effect twice."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "signed_call",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("until", sa.String(27), nullable=False),
    )
    op.create_index("ix_signed_call_until", "signed_call", ["until"])
