"""The partners that an account of the console is limited to; and an operator's units are told as `*`."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None
#: An earlier node knows no limits by partner. It shows an operator every unit, whatever the units are.
part = "before"


def upgrade() -> None:
    """Add the column, and let existing operators see every unit as before."""
    op.add_column("console_user", sa.Column("partners", sa.Text, nullable=False, server_default='["*"]'))
    op.execute("UPDATE console_user SET units = '[\"*\"]' WHERE role = 'operator'")
