"""Runs the migrations on the connection that hub.store.transactions hands over, and writes down which part each was.  Knows nothing else."""

from alembic import context

from hub.store.schema_version import note_migration
from hub.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, on_version_apply=note_migration
)
with context.begin_transaction():
    context.run_migrations()
