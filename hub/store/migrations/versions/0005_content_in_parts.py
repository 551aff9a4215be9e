"""Octets of messages in parts, so that no large message is ever in memory whole."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PART = 262144  # the size of a part in hub.journal.blobs from this version on


def upgrade() -> None:
    """Split the stored octets into parts."""
    op.rename_table("content", "content_whole")
    # PostgreSQL keeps the name of a key when its table is renamed
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE content_whole RENAME CONSTRAINT content_pkey TO content_whole_pkey")
    op.create_table(
        "content",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "part"),
    )
    whole = sa.table("content_whole", sa.column("sha256", sa.String), sa.column("octets", sa.LargeBinary))
    parts = sa.table(
        "content", sa.column("sha256", sa.String), sa.column("part", sa.Integer), sa.column("octets", sa.LargeBinary)
    )
    connection, length = op.get_bind(), sa.func.length(whole.c.octets)
    small = sa.select(whole.c.sha256, sa.literal(0), whole.c.octets).where(length <= PART)
    connection.execute(sa.insert(parts).from_select(["sha256", "part", "octets"], small))
    # One row at a time: the database reads the whole value for each substring.
    for (name,) in connection.execute(sa.select(whole.c.sha256).where(length > PART)).all():
        octets = connection.execute(sa.select(whole.c.octets).where(whole.c.sha256 == name)).scalar_one()
        for number, at in enumerate(range(0, len(octets), PART)):
            row = {"sha256": name, "part": number, "octets": octets[at : at + PART]}
            connection.execute(sa.insert(parts), row)
    op.drop_table("content_whole")
