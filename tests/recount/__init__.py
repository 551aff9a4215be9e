"""A second count, made the slow way: from the exact bytes of accepted messages and the texts of events.

Nothing here imports the hub.  What the rules are is read in docs/explanation/architecture.md and docs/reference/reports.md, so
that a mistake of the hub's own code is not made here again.
"""
