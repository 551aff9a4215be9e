"""How a packet writes a recipient, and which recipients are sent to apart from each other."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None
#: An earlier node writes neither, and sends to all waiting recipients of a message together.
part = "before"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("delivery", sa.Column("named", sa.Text))
    op.add_column("delivery", sa.Column("part", sa.Text))
