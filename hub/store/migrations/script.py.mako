"""${message}."""

from alembic import op
import sqlalchemy as sa

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
part = "before"  # "after" when it takes away what the release before this one needs


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
