"""Tables for searches by words, codes and hashes, and for the searches that users save.

No row is written here. The hub's indexer begins with the first event and reads the whole journal in short steps, while
the hub runs (hub/node/search_indexer.py). Until then a search by words finds fewer messages, and says so.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None
#: An earlier node writes the events from which a newer node fills the tables.
part = "before"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "search_posting",
        sa.Column("term", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("batch", sa.BigInteger, primary_key=True),
        sa.Column("moments", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "search_progress",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "saved_search",
        sa.Column("user", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("saved_at", sa.String(27), nullable=False),
    )
