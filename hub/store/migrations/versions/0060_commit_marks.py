"""The mark of a node's last commit, by which it asks whether a commit was done whose answer was lost."""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None
#: An earlier node writes none, and runs such a commit again.
part = "before"


def upgrade() -> None:
    """Add the column."""
    op.add_column("node", sa.Column("last_commit", sa.String(24)))
