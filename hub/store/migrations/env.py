"""Runs the migrations on the connection of hub.store.transactions, and records the part of each migration."""

from alembic import context

from hub.store.schema_version import note_migration
from hub.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, on_version_apply=note_migration
)
with context.begin_transaction():
    context.run_migrations()
