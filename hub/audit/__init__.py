"""Checks, away from any hub, what a hub has sealed: reports, receipts, evidence files.  Start at `audit.audit_file`.

Knows octets, anchors and the definition of a form; knows no journal, no network and no clock.  Whoever checks trusts nothing but the
anchors given: what is false is a finding with its name, whatever the file holds, and never an exception.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from hub.audit import documents, files
from hub.audit.findings import AuditFinding, confirm_finding, deny_finding
from hub.audit.seals import Trust

__all__ = ["AuditFinding", "Trust", "audit_file", "confirm_finding", "deny_finding"]

_ZIP = b"PK"


def audit_file(
    file: BinaryIO, trust: Trust, tell: Callable[[int, int], None] = lambda _done, _total: None
) -> Iterator[AuditFinding]:
    """Yield what holds and what does not of *file*, which can be sought in: an evidence file, a sealed report or a receipt.

    *tell* hears how many octets are looked at, of how many.  Memory: some hundred octets for each fact, message and event, all bounded
    by `hub.report.signed.manifest`; documents above `documents.LARGEST` octets are said to be too large, and not held.
    """
    head = file.read(2)
    if head == _ZIP:
        yield from files.audit_evidence_file(file, trust, tell)
    else:
        yield from documents.audit_document(file, trust)
