"""Users of the console, open sessions, and failed sign-ins."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
#: An earlier node has no console and needs none of this.
part = "before"


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "console_user",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("units", sa.Text, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("added_at", sa.String(27), nullable=False),
        sa.Column("changed_at", sa.String(27), nullable=False),
    )
    op.create_table(
        "console_session",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("begun_at", sa.String(27), nullable=False),
        sa.Column("seen_at", sa.String(27), nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
    )
    op.create_index("ix_console_session_name", "console_session", ["name"])
    op.create_table(
        "console_failure",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("next_at", sa.String(27), nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
    )
    op.create_index("ix_console_failure_until", "console_failure", ["until"])
