"""The rows by field, procedure and so on, into which the row of a unit in a closed month is divided."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None
#: An earlier node writes NULL: the rows of the months that it closes are not divided.
part = "before"


def upgrade() -> None:
    """Add the column."""
    op.add_column("closed_row", sa.Column("division", sa.Text))
