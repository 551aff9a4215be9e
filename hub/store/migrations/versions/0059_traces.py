"""The W3C trace context with which a message came."""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None
#: An earlier node writes none and sends none on.
part = "before"


def upgrade() -> None:
    """Add the column."""
    op.add_column("message", sa.Column("trace", sa.String(55)))
