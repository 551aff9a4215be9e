"""Corrections: plans whose packet replaces that of a message, each message at most once."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None
#: An earlier node ends the plan of a correction without carrying it out: nothing is sent, and the plan names no message.
part = "before"


def upgrade() -> None:
    """Add the columns and their indexes."""
    for name, length in (("corrects", 36), ("given", 64), ("packet", 64), ("corrected", 36)):
        op.add_column("replay_plan", sa.Column(name, sa.String(length)))
    where = sa.text("corrected IS NOT NULL")
    for name, column, unique in (
        ("uq_replay_plan_corrects", "corrects", True),
        ("ix_replay_plan_corrected", "corrected", False),
    ):
        op.create_index(name, "replay_plan", [column], unique=unique, sqlite_where=where, postgresql_where=where)
