"""Defines the findings of an audit: true, false or undecided, with the place and what to say of it.

Contains no rules.
"""

from collections.abc import Iterator

import attrs

from hub.language.phrases import Phrase, phrase

MOST = 20  #: maximum findings of one kind that are reported individually


@attrs.frozen
class AuditFinding:
    """The result of one check."""

    holds: bool | None  #: None: it could not be decided, or is only a remark
    check: str  #: what was checked, a word of docs/reference/evidence.md
    place: str  #: the member, the cell or the message
    text: Phrase


def confirm_finding(check: str, place: str, text: Phrase) -> AuditFinding:
    """Return a finding that the check has passed."""
    return AuditFinding(True, check, place, text)


def deny_finding(check: str, place: str, text: Phrase) -> AuditFinding:
    """Return a finding that the check has failed."""
    return AuditFinding(False, check, place, text)


def note_finding(check: str, place: str, text: Phrase) -> AuditFinding:
    """Return a remark, which is neither a pass nor a failure."""
    return AuditFinding(None, check, place, text)


@attrs.define
class FindingCollector:
    """One check of many items of one place.

    Reports the first failures individually, then their number, or that all have passed.
    """

    check: str
    place: str
    failed: int = 0

    def no(self, place: str, text: Phrase) -> Iterator[AuditFinding]:
        """Yield the failure of one item, unless `MOST` failures have been reported."""
        self.failed += 1
        if self.failed <= MOST:
            yield deny_finding(self.check, place, text)

    def end(self, text: Phrase) -> Iterator[AuditFinding]:
        """Yield that all items have passed, with the given text, or how many more have failed."""
        if not self.failed:
            yield confirm_finding(self.check, self.place, text)
        elif self.failed > MOST:
            more = self.failed - MOST
            yield deny_finding(self.check, self.place, phrase("and {more} more", more=more))
