"""A report opened into the facts behind it, at once: for tests, whose reports are small."""

from datetime import datetime

from hub.domain.model import Fact
from hub.report.counting.evidence import EvidenceLine
from hub.report.form.column import ColumnKind
from hub.workload.report_sources import Difference, ReportSources, ReportWithEvidence, StoredFacts


def evidence_of(asked: ReportSources, now: datetime) -> tuple[tuple[EvidenceLine, ...], tuple[Difference, ...]]:
    """Return the lines of the evidence, oldest first, and the units whose facts are not those that were closed."""
    with asked.open_evidence(now) as gathered:
        return tuple(gathered.listing), gathered.differences


def lines_of(asked: ReportSources, now: datetime) -> tuple[EvidenceLine, ...]:
    """Return the lines of the evidence, oldest first."""
    return evidence_of(asked, now)[0]


def facts_behind(asked: ReportSources, column: str, now: datetime, unit: str | None = None) -> tuple[Fact, ...]:
    """Return the facts behind the number of *column*, oldest first; and see that they are as many as is said."""
    with asked.open_facts_behind(column, now, unit) as behind:
        found = tuple(behind.facts())
        assert len(behind) == len(found)
        return found


def facts_among(
    asked: ReportSources, gathered: ReportWithEvidence, column: str, unit: str | None = None
) -> tuple[Fact, ...]:
    """Return the facts behind the number of *column* among those that were gathered for all columns at once."""
    keys = {part.key for part in asked.form.parts(column)}
    latest = asked.form.column(column).kind is ColumnKind.TIME
    return tuple(StoredFacts(gathered, keys, unit, each=not asked.bases, latest=latest).facts())
