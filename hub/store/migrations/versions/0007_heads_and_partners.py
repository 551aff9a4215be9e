"""Heads of lanes, so that a claim does not scan all waiting deliveries; state of each partner.

The indexes of the queue contain only the rows that a claim may read. This migration sets the flag of deliveries that
already wait.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_FREE = """
update delivery set free = true where state = 'waiting' and not exists (
  select 1 from delivery mate where mate.lane = delivery.lane and mate.recipient = delivery.recipient
    and mate.state = 'sending')
  and not exists (
  select 1 from delivery mate where mate.lane = delivery.lane and mate.recipient = delivery.recipient
    and mate.state = 'waiting' and mate.id < delivery.id)
"""


def _partial(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, "delivery", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    """Add the columns, set the flag, and create the indexes again."""
    op.add_column("delivery", sa.Column("free", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("delivery", sa.Column("crashes", sa.SmallInteger(), server_default="0", nullable=False))
    op.execute(_FREE)
    for name in ("ix_delivery_queue", "ix_delivery_alarm", "ix_delivery_lease"):
        op.drop_index(name, table_name="delivery")
    free = "free" if op.get_bind().dialect.name == "postgresql" else "free = 1"
    _partial("ix_delivery_queue", ["partner", "urgency", "due", "message"], free)
    _partial("uq_delivery_head", ["lane", "recipient"], free, unique=True)
    _partial("ix_delivery_sending", ["partner", "lease_until"], "state = 'sending'")
    _partial("ix_delivery_fetchable", ["partner", "message"], "state IN ('held', 'fetched')")
    _partial("ix_delivery_alarm", ["since"], "state IN ('held', 'fetched') AND alarmed_at IS NULL")
    op.create_index("ix_delivery_last", "delivery", ["lane", "id"])
    op.drop_column("delivery", "turn")
    op.create_table(
        "partner_state",
        sa.Column("partner", sa.Text(), primary_key=True),
        sa.Column("breaker", sa.Text(), server_default="closed", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened", sa.Integer(), server_default="0", nullable=False),
        sa.Column("until", sa.String(27)),
        sa.Column("pace", sa.Integer()),
        sa.Column("reason", sa.Text()),
        sa.Column("next_at", sa.String(27)),
        sa.Column("paused_at", sa.String(27)),
        sa.Column("paused_by", sa.Text()),
        sa.Column("paused_reason", sa.Text()),
    )
