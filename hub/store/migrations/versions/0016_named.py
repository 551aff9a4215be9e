"""Indexes to find a document by its id alone or by its number, however many documents the journal holds."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
#: An earlier node finds the same rows, only faster.
part = "before"


def upgrade() -> None:
    """Create the two indexes."""
    op.create_index("ix_message_named", "message", ["document_id"])
    op.create_index("ix_message_code", "message", ["sender", "code"])
