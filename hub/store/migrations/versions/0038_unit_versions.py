"""The history of units: level and kind, versions from a day on, and when each was known."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None
#: An earlier node goes by the first version of each unit.
part = "before"


def upgrade() -> None:
    """Add the columns and the table. The units of today are first versions that say neither level nor kind."""
    for name in ("level", "kind"):
        op.add_column("unit", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("unit", sa.Column("recorded_at", sa.String(27)))
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "unit_version",
        sa.Column("serial", serial, primary_key=True, autoincrement=True),
        sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), nullable=False),
        sa.Column("since", sa.String(10), nullable=False),
        sa.Column("recorded_at", sa.String(27)),
        sa.Column("name", sa.Text),
        sa.Column("parent", sa.Text),
        sa.Column("level", sa.Text, nullable=False, server_default=""),
        sa.Column("kind", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("ix_unit_version_unit", "unit_version", ["unit"])
