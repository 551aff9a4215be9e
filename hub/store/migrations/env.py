"""Makes a new journal from the tables of today, or runs the migrations of an earlier one and records the part of each.

Works on the connection of hub.store.transactions. A new journal counts as one to which every migration was applied.
"""

from alembic import context
from sqlalchemy.util import OrderedSet

from hub.store.schema_version import note_migration, note_new_journal
from hub.store.tables import metadata
from hub.store.waiting_triggers import create_waiting_triggers

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, on_version_apply=note_migration)
journal = context.get_context()
with context.begin_transaction():
    if journal.get_current_revision() is None:
        for table in metadata.tables.values():
            # a set, in another order in each process: SQLite chooses between equal indexes by the order of their making
            table.indexes = OrderedSet(sorted(table.indexes, key=lambda index: str(index.name)))
        metadata.create_all(connection, checkfirst=False)
        create_waiting_triggers(connection)
        journal.stamp(context.script, "head")
        note_new_journal(connection)
    else:
        context.run_migrations()
