"""Work on the journal beside its traffic: backing it up and moving it, checking it for damage, letting go what is handled
into archive files, recording which units continue the work of units that end, and keeping the alerts to operators.
"""
