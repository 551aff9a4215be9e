"""Runs the migrations on the connection that hub.store hands over.  Knows nothing else."""

from alembic import context

from hub.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
