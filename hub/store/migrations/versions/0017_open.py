"""Index to count and list undelivered deliveries without scanning the delivered ones."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
#: An earlier node finds the same rows, only faster.
part = "before"


def upgrade() -> None:
    """Create the index."""
    undelivered = sa.text("state != 'delivered'")
    columns = ["state", "partner", "since"]
    op.create_index("ix_delivery_open", "delivery", columns, sqlite_where=undelivered, postgresql_where=undelivered)
