"""What is kept of the requests and replies of attempts.

A reply that many attempts had in common is one row. Attempts of an earlier version have none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None
#: An earlier node keeps the hashes only, as before.
part = "before"


def upgrade() -> None:
    """Create the table, and add what an attempt says of its exchange."""
    op.create_table(
        "exchange",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("head", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.add_column("attempt", sa.Column("exchange", sa.String(64)))
    op.add_column("attempt", sa.Column("exchange_octets", sa.Integer))
    op.add_column("attempt", sa.Column("varying", sa.Text))
    op.add_column("attempt", sa.Column("call_ms", sa.Integer))
