"""Which deliveries a partner may have once or twice after a lost answer, and the partner's own ids of them."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None
#: An earlier node writes none of them, so its lost answers are not shown and not asked about.
part = "before"


def upgrade() -> None:
    """Add the columns and the index."""
    op.add_column("delivery", sa.Column("unsure", sa.String(27)))
    op.add_column("delivery", sa.Column("twice", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("delivery", sa.Column("their_id", sa.Text))
    op.create_index(
        "ix_delivery_their_id",
        "delivery",
        ["partner", "their_id"],
        sqlite_where=sa.text("their_id IS NOT NULL"),
        postgresql_where=sa.text("their_id IS NOT NULL"),
    )
