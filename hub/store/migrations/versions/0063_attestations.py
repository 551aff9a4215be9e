"""What the hub's own key attests of closed months, and what was found to be edited."""

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None
#: An earlier node closes months without attesting them.
part = "before"


def upgrade() -> None:
    """Create the tables. The months that are closed already are attested by the first node of this version that starts."""
    op.create_table(
        "attestation",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("certificate", sa.Text, nullable=False),
        sa.Column("copy", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_attestation_month", "attestation", ["form", "period", "number"])
    op.create_table(
        "tampering",
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("part", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("form", "period", "unit", "service", "key", "milestone")
        ),
        sa.Column("found_at", sa.String(27), nullable=False),
    )
    op.create_index("ix_tampering_service", "tampering", ["service", "part"])
