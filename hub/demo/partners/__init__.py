"""Sample partner systems, each a process of its own."""
