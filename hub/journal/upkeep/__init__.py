"""Work on the journal beside its traffic: copying and moving it, checking it for damage, letting go what is handled, recording
which units continue the work of units that end, and keeping the alerts to operators.
"""
