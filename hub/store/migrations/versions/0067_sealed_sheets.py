"""Lets the hub seal the kept numbers of the page at a glance. Those without a seal are counted again."""

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None
part = "before"


def upgrade() -> None:
    op.add_column("glance_sheet", sa.Column("seal", sa.Text, nullable=False, server_default=""))
