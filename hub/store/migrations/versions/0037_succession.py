"""Deeds of succession: what of a unit's work a successor continues."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None
#: An earlier node knows successors and no deeds: it forwards nothing to them.
part = "before"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "succession",
        sa.Column("unit", sa.Text(), sa.ForeignKey("unit.code"), nullable=False),
        sa.Column("successor", sa.Text(), sa.ForeignKey("unit.code"), nullable=False),
        sa.Column("deed", sa.Text(), nullable=False),
        sa.Column("estates", sa.Text(), nullable=False),
        sa.Column("main", sa.Boolean(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("unit", "successor"),
    )
    op.create_index("ix_succession_deed", "succession", ["deed"])
