"""The persons at OpenID providers who sign in as users."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None
#: An earlier node signs in nobody by a provider.
part = "before"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "console_identity",
        sa.Column("issuer", sa.String(500), primary_key=True),
        sa.Column("claim", sa.String(100), primary_key=True),
        sa.Column("subject", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
        sa.Column("added_at", sa.String(27), nullable=False),
    )
