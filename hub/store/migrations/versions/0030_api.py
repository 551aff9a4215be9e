"""The tokens of programs that use the API, and the answers to their orders."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None
#: An earlier node does not look at these tables.
part = "before"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "api_token",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("prefix", sa.String(16), nullable=False, unique=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("owner", "scopes", "units", "partners")),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
        sa.Column("used_at", sa.String(27)),
    )
    op.create_table(
        "api_key",
        sa.Column("token", sa.String(16), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("location", sa.Text),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
    )
