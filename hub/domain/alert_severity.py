"""How grave an alert to operators is."""

from enum import StrEnum


class AlertSeverity(StrEnum):
    """How grave an alert is; the names and numbers of RFC 5424, 6.2.1."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"

    @property
    def rank(self) -> int:
        """Return the number of the severity: 2 critical, 3 error, 4 warning."""
        return {AlertSeverity.CRITICAL: 2, AlertSeverity.ERROR: 3, AlertSeverity.WARNING: 4}[self]

    def reaches(self, least: "AlertSeverity") -> bool:
        """Tell whether it is as grave as *least*, or graver."""
        return self.rank <= least.rank
