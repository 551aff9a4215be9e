"""Verifies the documents that a hub has sealed, without access to a hub: reports, receipts, evidence files.

Start at `sealed_file.audit_file`. Knows octets, anchors and the definition of a form. Uses no journal, no network and no
clock. It trusts only the given anchors: whatever the file contains, every error is returned as a named finding and
never raised.
"""
