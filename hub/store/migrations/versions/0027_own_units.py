"""Indexes that find the units of the province, and their aliases, among the agencies of the national list."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None
part = "before"


def upgrade() -> None:
    """Create the indexes."""
    own = sa.text("mark != 'national'")
    op.create_index("ix_unit_own", "unit", ["code"], sqlite_where=own, postgresql_where=own)
    op.create_index("ix_unit_alias_unit", "unit_alias", ["unit"])
