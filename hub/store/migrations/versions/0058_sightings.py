"""What was seen of the TLS handshakes and signatures of partners."""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None
#: An earlier node writes none.
part = "before"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "sighting",
        sa.Column("partner", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("first_at", sa.String(27), nullable=False),
        sa.Column("last_at", sa.String(27), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
