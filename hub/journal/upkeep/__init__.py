"""Work on the journal beside its traffic: copying it, checking it for damage, moving it to another database, and recording
which units continue the work of units that end.
"""
