"""Deeds for a part of a unit that goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None
#: An earlier node knows no such deed: what it is told of stays with the unit until a node of this version moves it.
part = "before"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "succession_part",
        sa.Column("deed", sa.Text, primary_key=True),
        sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),
        sa.Column("since", sa.String(10), nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("recorded_by", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.String(27), nullable=False),
    )
    op.create_index("ix_succession_part_unit", "succession_part", ["unit"])
