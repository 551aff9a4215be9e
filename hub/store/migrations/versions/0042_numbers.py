"""An index that finds a document by its number and notation however a sender writes them, in place of the one by Code."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None
#: An earlier node finds the same rows. It looks for a document named by Code alone among all messages of its unit.
part = "before"


def upgrade() -> None:
    """Create the new index, then drop the one that it replaces."""
    condition = sa.text("code IS NOT NULL")
    op.create_index(
        "ix_message_numbered",
        "message",
        [sa.text("replace(replace(code, '/', ''), ' ', '')"), "sender"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.drop_index("ix_message_number", table_name="message")
