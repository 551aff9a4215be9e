"""From when to when a node's witness had seen every receipt, of each era that began by a restore."""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None
#: An earlier node writes neither column: of its eras nobody says from when to when.
part = "before"


def upgrade() -> None:
    """Add the columns. That a witness went back far enough was not all that `complete` said."""
    op.add_column("era", sa.Column("complete_from", sa.String(27)))
    op.add_column("era", sa.Column("complete_until", sa.String(27)))
    op.execute("UPDATE era SET complete = false WHERE because <> 'made'")
