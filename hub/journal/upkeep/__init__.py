"""Work on the journal beside its traffic: copying it, checking it for damage, moving it to another database, recording
which units continue the work of units that end, and keeping the alerts to operators.
"""
