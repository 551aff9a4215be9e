"""The size of the database on each day, so that the days are known until a budget is used up."""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None
#: An earlier node writes no sizes.
part = "before"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "journal_size",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("octets", sa.BigInteger, nullable=False),
        sa.Column("free", sa.BigInteger, nullable=False),
        sa.Column("measured_at", sa.String(27), nullable=False),
    )
