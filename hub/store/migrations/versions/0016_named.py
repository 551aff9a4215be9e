"""Documents are found by their id alone, and by their number, however many the journal holds."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
#: A node of before finds the same, only faster.
part = "before"


def upgrade() -> None:
    """Make the two indexes."""
    op.create_index("ix_message_named", "message", ["document_id"])
    op.create_index("ix_message_code", "message", ["sender", "code"])
