"""Reads the life-cycle state of a report, and counts the report for signing.

Uses the journal's functions and a user's visibility.

Changes nothing: `hub.workload.submission` gives out and takes back reports, as at the command line. Each function is
one read step.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import Problem, ReportState
from hub.journal import blobs
from hub.language.languages import Language
from hub.operations.accounts.users import User
from hub.operations.reports import reading
from hub.report.counting import evidence
from hub.report.form.book import Book
from hub.report.output import minutes_lines
from hub.report.signed.minutes import CorrectionMinutes
from hub.store.transactions import Transaction
from hub.workload import given_paper, revisions, submission
from hub.workload.report_sources import ROWS_OF_FORM, ReportSources, RowChoice
from hub.workload.revisions import EarlyStep, Revision
from hub.workload.submission import KeptRevision


@attrs.frozen(kw_only=True)
class ReportStanding:
    """The state of a report."""

    asked: ReportSources
    revisions: Sequence[Revision]  #: newest first
    #: the state of the newest revision, or the step before there is one; it decides what comes next
    step: EarlyStep | ReportState
    month: str = ""  #: the first month that is not closed yet
    behind: bool = False  #: whether the numbers or their facts have changed since the newest revision
    minutes: Sequence[CorrectionMinutes] = ()  #: what each revision after the first corrected, oldest first
    problem: Problem | None = None  #: why it cannot be counted as it was closed

    def write_minutes(self, language: Language) -> Mapping[int, str]:
        """Return what each revision after the first corrected, as a line, by its number."""
        asked = self.asked
        return {
            each.revision: line
            for each in self.minutes
            for line in minutes_lines.write_minutes(asked.form, (each,), asked.names, language)
        }

    @property
    def newest(self) -> Revision | None:
        """The newest revision."""
        return self.revisions[0] if self.revisions else None


def read_report_standing(tx: Transaction, asked: ReportSources, now: datetime) -> ReportStanding:
    """Return the state of the report. Does not check whether its numbers have changed."""
    unit, form, period = asked.members[0], asked.form, asked.period
    found = revisions.list_revisions(tx, unit, form.id, period.text)[::-1]
    if found:
        minutes = tuple(given_paper.make_minutes(tx, found[::-1])) if len(found) > 1 else ()
        return ReportStanding(asked=asked, revisions=found, step=found[0].state, minutes=minutes)
    month = submission.find_open_month(tx, form, period)
    ended = EarlyStep.MONTH_OPEN if month else EarlyStep.READY
    step = EarlyStep.RUNNING if period.end > now else ended
    return ReportStanding(asked=asked, revisions=(), step=step, month=month)


def count_report_with_standing(
    tx: Transaction,
    user: User,
    book: Book,
    form: str,
    unit: str,
    period: str,
    now: datetime,
    *,
    charted: bool,
    revision: int | None = None,
    rows: RowChoice = ROWS_OF_FORM,
) -> tuple[reading.CountedPage, ReportStanding]:
    """Return the report as its page shows it, in *revision* (None: the newest) with the *rows* asked for, and its state.
    Raises `RequestRefused`.
    """
    counted = reading.count_visible_report(
        tx, user, book, form, unit, period, now, charted=charted, revision=revision, rows=rows
    )
    return counted, read_report_standing(tx, counted.asked, now)


def compare_report_standing(
    tx: Transaction, user: User, book: Book, form: str, unit: str, period: str, now: datetime
) -> ReportStanding:
    """Return the state of the report, and whether its newest revision still agrees with the count.

    Raises `RequestRefused`.
    """
    asked = reading.read_visible_sources(tx, user, book, form, unit, period, now, marked=False)
    standing = read_report_standing(tx, asked.bare, now)
    kept = submission.read_newest_revision(tx, asked.members[0], asked.form.id, asked.period.text)
    if kept is None:
        return standing
    try:
        made = _count_with_evidence(tx, asked, now)
    except Rejected as rejected:
        return attrs.evolve(standing, problem=rejected.problems[0])
    return attrs.evolve(standing, behind=not kept.said.says(made.report, evidence.hash_evidence(made.lines)))


def count_report_for_release(
    tx: Transaction, user: User, book: Book, form: str, unit: str, period: str, now: datetime
) -> submission.CountedReport:
    """Return the report as counted now, for signing.

    Raises `RequestRefused`, and `Rejected` with `evidence-differs` if closed months cannot be reproduced.
    """
    return _count_with_evidence(tx, reading.read_visible_sources(tx, user, book, form, unit, period, now), now)


@attrs.frozen(kw_only=True)
class GivenRevision:
    """The newest revision, and the document that the next official signs."""

    kept: KeptRevision
    sha256: str  #: of that document
    octets: bytes


def read_given_revision(
    tx: Transaction, user: User, book: Book, form: str, unit: str, period: str, now: datetime
) -> GivenRevision | None:
    """Return what a signed file is compared with; None without a revision. Raises `RequestRefused`."""
    asked = reading.read_visible_sources(tx, user, book, form, unit, period, now, marked=False)
    kept = submission.read_newest_revision(tx, asked.members[0], asked.form.id, asked.period.text)
    if kept is None:
        return None
    sha256 = submission.read_signing_base(tx, kept).sha256
    return GivenRevision(kept=kept, sha256=sha256, octets=blobs.read_blob(tx, sha256))


def write_signable_papers(
    tx: Transaction, user: User, book: Book, form: str, unit: str, period: str, now: datetime
) -> tuple[KeptRevision, list[bytes]] | None:
    """Return the newest revision and what a signed PDF of it is compared with; None without a revision.

    Raises `RequestRefused`.
    """
    asked = reading.read_visible_sources(tx, user, book, form, unit, period, now, marked=False)
    kept = submission.read_newest_revision(tx, asked.members[0], asked.form.id, asked.period.text)
    given = given_paper.read_given_paper(tx, asked.bare, book.trust)
    return None if kept is None or given is None else (kept, given_paper.write_signable_pdfs(given))


def _count_with_evidence(tx: Transaction, asked: ReportSources, now: datetime) -> submission.CountedReport:
    with asked.open_evidence(now) as gathered:
        report, summary, wrong = gathered.report, gathered.listing.summary, gathered.differences
    if wrong:
        raise Rejected(Problem("evidence-differs", ", ".join(f"{each.unit} {each.period}" for each in wrong)[:300]))
    return submission.CountedReport(
        report=report,
        names=dict(asked.names),
        lines=summary,
        open_month=submission.find_open_month(tx, asked.form, asked.period),
    )
