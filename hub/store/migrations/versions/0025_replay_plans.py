"""Plans to replay many deliveries, and the mark of a delivery that is sent again after it was delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None
#: An earlier node knows no plan. It sends what a newer node queued, and counts a repetition that fails as a failure.
part = "before"


def upgrade() -> None:
    """Create the two tables and the column."""
    op.add_column("delivery", sa.Column("again", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "replay_plan",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("chooses", sa.Text, nullable=False),
        sa.Column("goes", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("changed_at", sa.String(27), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("approved_at", sa.String(27)),
        sa.Column("approved_by", sa.Text),
        sa.Column("rate", sa.Text),
        sa.Column("stop_after", sa.Integer),
        sa.Column("next_at", sa.String(27)),
        sa.Column("cursor", sa.String(36)),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
            for name in ("items", "chosen", "delivered", "closed", "octets")
        ),
        sa.Column("partners", sa.Text, nullable=False, server_default="{}"),
        sa.Column("left_out", sa.Text, nullable=False, server_default="{}"),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
            for name in ("reached", "queued", "skipped", "settled", "errors")
        ),
    )
    op.create_index("ix_replay_plan_state", "replay_plan", ["state"])
    op.create_table(
        "replay_item",
        sa.Column("plan", sa.String(36), sa.ForeignKey("replay_plan.id"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("delivery", sa.String(36), nullable=False),
        sa.Column("message", sa.String(36), nullable=False),
        sa.Column("was", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("since", sa.String(27), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text),
        sa.Column("queued_at", sa.String(27)),
    )
