"""Lets the database itself count the deliveries that wait, by partner and state, in the table `waiting_count`.

On PostgreSQL every change adds rows of its own, so no transaction waits for another's. The hub sums them up from time to
time (`hub.journal.queue.waiting_counts`). On SQLite, which has one writer, each pair has one row. The triggers count what earlier
programs do, too.
"""

import sqlalchemy as sa

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
_COUNT_NOW = """
INSERT INTO waiting_count (partner, state, serial, count)
SELECT partner, state, {serial}, count(*) FROM delivery WHERE state <> 'delivered' GROUP BY partner, state
"""


def create_waiting_triggers(connection: sa.Connection) -> None:
    """Create the triggers of the empty table `waiting_count`, and count what waits now.

    On PostgreSQL this keeps other writers of deliveries away until the commit.
    """
    if connection.dialect.name == "sqlite":
        for statement in (*_SQLITE, _COUNT_NOW.format(serial="0")):
            connection.exec_driver_sql(statement)
        return
    connection.exec_driver_sql("CREATE SEQUENCE waiting_count_serial OWNED BY waiting_count.serial")
    # rows come and go all the time: vacuum them by their number, not by the size of the table
    connection.exec_driver_sql(
        "ALTER TABLE waiting_count SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, "
        "autovacuum_vacuum_cost_delay = 0)"
    )
    for what, (moved, each) in _POSTGRESQL.items():
        connection.exec_driver_sql(_FUNCTION.format(what=what, moved=moved))
        connection.exec_driver_sql(
            f"CREATE TRIGGER delivery_counted_{what} AFTER {what.upper()} ON delivery {each} "
            f"EXECUTE FUNCTION delivery_counted_{what}()"
        )
    connection.exec_driver_sql(_COUNT_NOW.format(serial="nextval('waiting_count_serial')"))
