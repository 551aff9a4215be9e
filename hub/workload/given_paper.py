"""Reads the newest given-out revision of a report as its paper shows it: the sealed numbers, and who signed them.

Writes no file format and counts nothing.
"""

from datetime import datetime

import attrs

from hub.report.counting.counting import Report
from hub.report.output.paper import PrintedRevision, PrintedSignature
from hub.store.transactions import Transaction
from hub.workload import revisions, submission
from hub.workload.revisions import RevisionSignature
from hub.workload.unit_report import ReportSources


@attrs.frozen(kw_only=True)
class GivenPaper:
    """A given-out revision to be printed."""

    report: Report  #: as it was sealed, with the notes of the form of today
    names: dict[str, str]  #: by the codes of its units
    evidence: str  #: the SHA-256 of the list of facts behind it
    revision: PrintedRevision


def read_given_paper(tx: Transaction, asked: ReportSources) -> GivenPaper | None:
    """Return the newest revision of the report *asked* that was given out; None if there is none."""
    address = (asked.members[0], asked.form.id, asked.period.text)
    kept = submission.read_newest_revision(tx, *address)
    if kept is None:
        return None
    *_, found = revisions.list_revisions(tx, *address)
    report = kept.said.report
    return GivenPaper(
        report=attrs.evolve(report, form=attrs.evolve(report.form, notes=asked.form.notes)),
        names=dict(kept.said.names),
        evidence=kept.said.evidence,
        revision=PrintedRevision(
            revision=found.revision,
            state=found.state,
            sha256=found.sha256,
            drafter=_print_signature(found.drafting),
            head=_print_signature(found.signing),
        ),
    )


def _print_signature(said: RevisionSignature | None) -> PrintedSignature | None:
    if said is None:
        return None
    return PrintedSignature(name=said.name, serial=said.serial, at=datetime.fromisoformat(said.signed_at))
