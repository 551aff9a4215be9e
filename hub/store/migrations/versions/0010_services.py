"""Results of services other than documents: amount, day, attributes; and the progress of collections."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
#: Rows that an earlier node writes get the defaults, which are correct for them.
part = "before"


def upgrade() -> None:
    """Add the columns and create the table."""
    op.add_column("fact", sa.Column("day", sa.String(10)))
    op.add_column("fact", sa.Column("amount", sa.BigInteger, nullable=False, server_default="1"))
    op.add_column("fact", sa.Column("attributes", sa.Text, nullable=False, server_default="{}"))
    op.add_column("message", sa.Column("keys", sa.Text))
    listed = sa.text("service = 'categories' AND state = 'accepted'")
    op.create_index("ix_message_list", "message", ["kind", "id"], sqlite_where=listed, postgresql_where=listed)
    op.create_table(
        "collection",
        sa.Column("partner", sa.Text, primary_key=True),
        sa.Column("cursor", sa.Text, nullable=False, server_default=""),
        sa.Column("holder", sa.Text),
        sa.Column("lease_until", sa.String(27)),
        sa.Column("due", sa.String(27), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text),
        sa.Column("ended_at", sa.String(27)),
    )
