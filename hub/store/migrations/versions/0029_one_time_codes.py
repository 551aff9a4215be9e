"""The secrets of one-time codes, and the sign-ins that wait for a code."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None
#: An earlier node asks for no code. So give out secrets when all nodes run a program that knows them.
part = "before"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "console_totp",
        sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), primary_key=True),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("added_at", sa.String(27), nullable=False),
    )
    op.create_table(
        "console_code_wait",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
        sa.Column("wrong", sa.Integer, nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
    )
