"""Faults on purpose: processes that send, take and fetch with records of their own, faults that hit the hub, and one checker.

The checker, the journal reader and the processes import nothing of the hub but `lienthong_demo`, which knows nothing of it either: what
the hub promises is read in docs/explanation/faults.md, and its database is read by plain SQL.  Only the filler, which stands in for
the listener, is the hub's own code.
"""
