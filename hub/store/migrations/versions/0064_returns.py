"""How often a document or a dossier came back to a unit that had handed it over."""

import sqlalchemy as sa
from alembic import op

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None
#: An earlier node writes neither. Of what came back it records results under the first key, as if it had stayed away.
part = "before"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("delivery", sa.Column("returns", sa.SmallInteger))
    op.add_column("dossier", sa.Column("key", sa.Text, nullable=False, server_default=""))
