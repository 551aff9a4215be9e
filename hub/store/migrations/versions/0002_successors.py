"""The units that go on with the work of one that has ended."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of successors."""
    op.create_table(
        "unit_successor",
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("successor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["successor"],
            ["unit.code"],
        ),
        sa.ForeignKeyConstraint(
            ["unit"],
            ["unit.code"],
        ),
        sa.PrimaryKeyConstraint("unit", "successor"),
    )
