"""The forms of the envelopes of calls, each kept once."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None
#: An earlier node keeps every envelope whole. It does not show those of which a later node keeps the form.
part = "before"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "envelope_form",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )
