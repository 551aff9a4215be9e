"""What made a revision of a closed row: who made it, and the messages that came late."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None
#: An earlier node makes revisions that name nobody and no message.
part = "before"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("closed_row", sa.Column("made_by", sa.Text, nullable=False, server_default=""))
    op.add_column("closed_row", sa.Column("late", sa.Text, nullable=False, server_default="[[], 0]"))
