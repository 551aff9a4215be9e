"""The client certificates by which users sign in."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None
#: An earlier node asks for no certificate.
part = "before"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "console_certificate",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
        sa.Column("added_at", sa.String(27), nullable=False),
    )
