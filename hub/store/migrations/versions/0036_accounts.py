"""What the pages of accounts show and set: passwords that must be changed, locks, last sign-ins."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None
#: An earlier node lets a locked user sign in, asks nobody to change a password, and writes no last sign-in.
part = "before"


def upgrade() -> None:
    """Add the columns."""
    for table in ("console_user", "console_session", "console_code_wait"):
        op.add_column(table, sa.Column("must_change", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("console_user", sa.Column("locked_at", sa.String(27)))
    op.add_column("console_user", sa.Column("signed_in_at", sa.String(27)))
