"""Work that a receipt promised and that is still to be done.

That is facts beyond the first 200, and attachments to be read into facts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
#: An earlier node does all of this work in one transaction, as before.
part = "before"


def upgrade() -> None:
    """Create the two tables."""
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
