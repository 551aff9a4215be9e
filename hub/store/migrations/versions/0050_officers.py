"""What an officer still has to do is found by an index of its own."""

from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None
#: An earlier node keeps the index, too.
part = "before"


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_open_work_officer", "open_work", ["officer", "due"])
