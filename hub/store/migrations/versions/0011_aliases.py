"""One code may belong to several units, one after another: an alias is valid for the active days of its unit."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
#: An earlier node reads any one of an alias's units, until it is stopped.
part = "before"


def upgrade() -> None:
    """Make the key (alias, unit)."""
    op.rename_table("unit_alias", "unit_alias_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE unit_alias_before RENAME CONSTRAINT unit_alias_pkey TO unit_alias_before_pkey")
    op.create_table(
        "unit_alias",
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), nullable=False),
        sa.PrimaryKeyConstraint("alias", "unit"),
    )
    op.execute("INSERT INTO unit_alias (alias, unit) SELECT alias, unit FROM unit_alias_before")
    op.drop_table("unit_alias_before")
