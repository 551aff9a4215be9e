"""Sample partner systems, each in a process of its own."""
