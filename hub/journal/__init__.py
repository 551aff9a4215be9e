"""All that the hub remembers, as functions on a transaction."""
