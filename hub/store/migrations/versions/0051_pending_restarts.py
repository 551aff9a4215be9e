"""What waits for the restart of a node, so that every node and command can tell."""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None
#: An earlier node leaves the columns empty.
part = "before"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("node", sa.Column("restart_settings", sa.Text, nullable=False, server_default=""))
    op.add_column("node", sa.Column("restart_since", sa.String(27)))
