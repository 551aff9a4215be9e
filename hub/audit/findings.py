"""What is found when something is checked: it holds, or not, or could not be told; where, and in both languages.  Knows no rule."""

from collections.abc import Iterator

import attrs

MOST = 20  #: findings of one kind that are told one by one


@attrs.frozen
class AuditFinding:
    """One thing that was looked at."""

    holds: bool | None  #: None: it could not be told, or is only good to know
    check: str  #: what was checked, a word of docs/reference/evidence.md
    place: str  #: the member, the cell, the message
    vi: str
    en: str


def confirm_finding(check: str, place: str, vi: str, en: str) -> AuditFinding:
    """Return that it holds."""
    return AuditFinding(True, check, place, vi, en)


def deny_finding(check: str, place: str, vi: str, en: str) -> AuditFinding:
    """Return that it is false."""
    return AuditFinding(False, check, place, vi, en)


def note_finding(check: str, place: str, vi: str, en: str) -> AuditFinding:
    """Return what is good to know, and neither holds nor fails."""
    return AuditFinding(None, check, place, vi, en)


@attrs.define
class Many:
    """One check made of many things of one place: tells the first that fail one by one, then how many; or that all hold."""

    check: str
    place: str
    failed: int = 0

    def no(self, place: str, vi: str, en: str) -> Iterator[AuditFinding]:
        """Yield that one fails, as long as there are not too many."""
        self.failed += 1
        if self.failed <= MOST:
            yield deny_finding(self.check, place, vi, en)

    def end(self, vi: str, en: str) -> Iterator[AuditFinding]:
        """Yield that all hold, in these words; or how many more fail."""
        if not self.failed:
            yield confirm_finding(self.check, self.place, vi, en)
        elif self.failed > MOST:
            more = self.failed - MOST
            yield deny_finding(self.check, self.place, f"và {more} chỗ sai nữa", f"and {more} more")
