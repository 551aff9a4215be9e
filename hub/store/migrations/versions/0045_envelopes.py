"""The signed parts of the calls that bring messages, and the certificates that signed them."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None
#: An earlier node keeps no signed parts of the calls that it receives.
part = "before"


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("message", sa.Column("envelope", sa.LargeBinary))
    op.create_table(
        "signer",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("der", sa.LargeBinary, nullable=False),
    )
