"""What did not arrive is counted and listed without a look at all that did."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
#: A node of before finds the same, only slower.
part = "before"


def upgrade() -> None:
    """Make the index."""
    undelivered = sa.text("state != 'delivered'")
    columns = ["state", "partner", "since"]
    op.create_index("ix_delivery_open", "delivery", columns, sqlite_where=undelivered, postgresql_where=undelivered)
