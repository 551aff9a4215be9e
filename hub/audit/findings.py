"""Defines the findings of an audit: true, false or undecided, with the place and a text in both languages.

Contains no rules.
"""

from collections.abc import Iterator

import attrs

MOST = 20  #: maximum findings of one kind that are reported individually


@attrs.frozen
class AuditFinding:
    """The result of one check."""

    holds: bool | None  #: None: it could not be decided, or is only a remark
    check: str  #: what was checked, a word of docs/reference/evidence.md
    place: str  #: the member, the cell or the message
    vi: str
    en: str


def confirm_finding(check: str, place: str, vi: str, en: str) -> AuditFinding:
    """Return a finding that the check has passed."""
    return AuditFinding(True, check, place, vi, en)


def deny_finding(check: str, place: str, vi: str, en: str) -> AuditFinding:
    """Return a finding that the check has failed."""
    return AuditFinding(False, check, place, vi, en)


def note_finding(check: str, place: str, vi: str, en: str) -> AuditFinding:
    """Return a remark, which is neither a pass nor a failure."""
    return AuditFinding(None, check, place, vi, en)


@attrs.define
class FindingCollector:
    """One check of many items of one place.

    Reports the first failures individually, then their number, or that all have passed.
    """

    check: str
    place: str
    failed: int = 0

    def no(self, place: str, vi: str, en: str) -> Iterator[AuditFinding]:
        """Yield the failure of one item, unless `MOST` failures have been reported."""
        self.failed += 1
        if self.failed <= MOST:
            yield deny_finding(self.check, place, vi, en)

    def end(self, vi: str, en: str) -> Iterator[AuditFinding]:
        """Yield that all items have passed, with the given texts, or how many more have failed."""
        if not self.failed:
            yield confirm_finding(self.check, self.place, vi, en)
        elif self.failed > MOST:
            more = self.failed - MOST
            yield deny_finding(self.check, self.place, f"và {more} chỗ sai nữa", f"and {more} more")
