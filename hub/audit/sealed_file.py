"""Tells which of the sealed documents a file is, and audits it as that one. Knows none of their contents."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from hub.audit import derived, documents
from hub.audit.drill import protocol
from hub.audit.findings import AuditFinding
from hub.audit.seals import AuditTrust

_ZIP = b"PK"
#: How a protocol is told from other documents: its namespace, among so many first octets.
_DRILL, _HEAD = protocol.NAMESPACE.encode(), 400


def audit_file(
    file: BinaryIO, trust: AuditTrust, tell: Callable[[int, int], None] = lambda _done, _total: None
) -> Iterator[AuditFinding]:
    """Yield the findings about *file*, which must be seekable: an evidence file, a sealed report, a receipt, or the
    protocol of a drill.

    *tell* is called with the number of octets read so far and in total. Memory: some hundred octets per fact, message
    and event, all bounded by `hub.report.signed.manifest`. A document above `documents.LARGEST` octets is reported as
    too large and not loaded.
    """
    head = file.read(_HEAD)
    if head.startswith(_ZIP):
        yield from derived.audit_evidence_file(file, trust, tell)
    elif _DRILL in head:
        content = head + file.read(documents.LARGEST + 1 - len(head))
        if len(content) > documents.LARGEST:
            yield documents.make_too_large_finding("drill", "")
        else:
            yield from protocol.audit_protocol(content, trust)
    else:
        yield from documents.audit_document(file, trust)
