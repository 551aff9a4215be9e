"""What a receipt promised and is still to be done: facts beyond the first, attachments to be read."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
#: A node of before does all of it in one transaction, as it always did.
part = "before"


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "duty",
        sa.Column("serial", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("services", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "duty_slice",
        sa.Column("duty", sa.BigInteger, sa.ForeignKey("duty.serial"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("facts", sa.Integer, nullable=False),
        sa.Column("octets", sa.LargeBinary, nullable=False),
    )
