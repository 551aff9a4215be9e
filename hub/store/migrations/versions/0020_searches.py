"""Indexes for each search of messages, in the order of receipt; fewer indexes for the look-ups of the intake.

A search by unit, partner, service, kind or state reads one range of an index. Where two indexes served look-ups that
one can serve, one is left. Indexes of columns that most messages leave empty contain only the others.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None
#: An earlier node finds the same rows. Its intake finds them by the new indexes; its searches read every message.
part = "before"


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    """Create the new indexes, then drop those that they replace: dropping locks out readers, for a moment only."""
    _partial("uq_message_accepted_id", "message", ["message_id", "partner"], "state = 'accepted'", unique=True)
    _partial("ix_message_refused_id", "message", ["message_id"], "state = 'refused'")
    op.create_index("ix_message_about", "message", ["document_id", "sender"])
    _partial("ix_message_number", "message", ["code", "sender"], "code IS NOT NULL")
    _partial("ix_message_answers", "message", ["answers_unit", "id"], "answers_unit IS NOT NULL")
    _partial("ix_message_sender", "message", ["sender", "state", "id"], "state > ''")
    _partial("ix_message_partner", "message", ["partner", "state", "id"], "state > ''")
    _partial("ix_message_kind", "message", ["service", "kind", "state", "id"], "state > ''")
    _partial("ix_delivery_undelivered", "delivery", ["state", "partner", "message", "since"], "state != 'delivered'")
    _partial("ix_delivery_to_unit", "delivery", ["recipient", "message"], "recipient > ''")
    _partial("ix_delivery_to_partner", "delivery", ["partner", "message"], "partner > ''")
    for name in ("accepted", "document", "named", "code", "message_id", "received_at", "answers_unit"):
        op.drop_index(f"{'uq' if name == 'accepted' else 'ix'}_message_{name}", table_name="message")
    for name in ("open", "recipient"):
        op.drop_index(f"ix_delivery_{name}", table_name="delivery")
