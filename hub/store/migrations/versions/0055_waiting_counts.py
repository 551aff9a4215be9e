"""How many deliveries wait, by partner and state: counted by the database itself, so that no look counts them one by one.

On PostgreSQL every change adds rows of its own, so no transaction waits for another's. The hub
sums them up from time to time (`hub.journal.waiting_counts`). On SQLite, which has one writer, each pair has one row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None
#: Triggers count what earlier programs do, too.
part = "before"

_SQLITE = (
    """
CREATE TRIGGER delivery_counted_insert AFTER INSERT ON delivery WHEN NEW.state <> 'delivered' BEGIN
  INSERT INTO waiting_count (partner, state, serial, count) VALUES (NEW.partner, NEW.state, 0, 1)
  ON CONFLICT (partner, state, serial) DO UPDATE SET count = count + 1;
END
""",
    """
CREATE TRIGGER delivery_counted_update AFTER UPDATE OF state, partner ON delivery
WHEN OLD.state <> NEW.state OR OLD.partner <> NEW.partner BEGIN
  INSERT INTO waiting_count (partner, state, serial, count)
  SELECT OLD.partner, OLD.state, 0, -1 WHERE OLD.state <> 'delivered'
  ON CONFLICT (partner, state, serial) DO UPDATE SET count = count - 1;
  INSERT INTO waiting_count (partner, state, serial, count)
  SELECT NEW.partner, NEW.state, 0, 1 WHERE NEW.state <> 'delivered'
  ON CONFLICT (partner, state, serial) DO UPDATE SET count = count + 1;
END
""",
    """
CREATE TRIGGER delivery_counted_delete AFTER DELETE ON delivery WHEN OLD.state <> 'delivered' BEGIN
  INSERT INTO waiting_count (partner, state, serial, count) VALUES (OLD.partner, OLD.state, 0, -1)
  ON CONFLICT (partner, state, serial) DO UPDATE SET count = count - 1;
END
""",
    """
INSERT INTO waiting_count (partner, state, serial, count)
SELECT partner, state, 0, count(*) FROM delivery WHERE state <> 'delivered' GROUP BY partner, state
""",
)
#: Of each kind of change: what is counted, and when the trigger runs. Messages are inserted in sets, but
#: each delivery is moved by a statement of its own, and statements that change no state must cost nothing.
_POSTGRESQL = {
    "insert": (
        "SELECT partner, state, count(*) AS moved FROM counted_rows GROUP BY partner, state",
        "REFERENCING NEW TABLE AS counted_rows FOR EACH STATEMENT",
    ),
    "update": (
        "VALUES (OLD.partner, OLD.state, -1), (NEW.partner, NEW.state, 1)",
        "FOR EACH ROW WHEN (OLD.state <> NEW.state OR OLD.partner <> NEW.partner)",
    ),
    "delete": (
        "SELECT partner, state, -count(*) AS moved FROM counted_rows GROUP BY partner, state",
        "REFERENCING OLD TABLE AS counted_rows FOR EACH STATEMENT",
    ),
}
_FUNCTION = """
CREATE FUNCTION delivery_counted_{what}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
INSERT INTO waiting_count (partner, state, serial, count)
SELECT partner, state, nextval('waiting_count_serial'), moved
FROM ({moved}) AS each (partner, state, moved) WHERE state <> 'delivered';
RETURN NULL; END $$
"""


def upgrade() -> None:
    """Create the table and the triggers, and count what waits now."""
    op.create_table(
        "waiting_count",
        sa.Column("partner", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, primary_key=True),
        sa.Column("serial", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for statement in _SQLITE:
            op.get_bind().exec_driver_sql(statement)
        return
    op.execute("CREATE SEQUENCE waiting_count_serial OWNED BY waiting_count.serial")
    # rows come and go all the time: vacuum them by their number, not by the size of the table
    op.execute(
        "ALTER TABLE waiting_count SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, "
        "autovacuum_vacuum_cost_delay = 0)"
    )
    for what, (moved, each) in _POSTGRESQL.items():
        op.execute(_FUNCTION.format(what=what, moved=moved))
        # the lock that this takes keeps other writers of deliveries away until the commit
        op.execute(
            f"CREATE TRIGGER delivery_counted_{what} AFTER {what.upper()} ON delivery {each} "
            f"EXECUTE FUNCTION delivery_counted_{what}()"
        )
    op.execute(
        "INSERT INTO waiting_count (partner, state, serial, count) "
        "SELECT partner, state, nextval('waiting_count_serial'), count(*) FROM delivery WHERE state <> 'delivered' "
        "GROUP BY partner, state"
    )
