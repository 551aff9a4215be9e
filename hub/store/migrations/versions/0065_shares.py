"""Which dossiers of a unit that ends go to which successor: the rules of a deed."""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None
#: An earlier node knows no rules: it hands all dossiers over to the main successor, so it is updated before a deed has any.
part = "before"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "succession_share",
        sa.Column("deed", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("successor", sa.Text, sa.ForeignKey("unit.code"), nullable=False),
    )
