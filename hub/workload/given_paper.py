"""Prints the newest given-out revision of a report as paper: the sealed numbers, and who signed them.

Counts nothing. The PDF that an official has signed is given as it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import attrs

from hub.domain.model import ReportState
from hub.journal import blobs
from hub.language.languages import Language
from hub.report.counting.counting import Report
from hub.report.output import formats
from hub.report.output.charts import Plot
from hub.report.output.paper import PrintedRevision, PrintedSignature
from hub.report.signed.minutes import CorrectionMinutes, ReturnNote, compare_revisions
from hub.report.signed.sealed import Sealed, read_sealed_report
from hub.security.attesting import AttestationTrust
from hub.services import reports
from hub.store.transactions import Transaction
from hub.workload import revisions, submission
from hub.workload.report_sources import ReportSources
from hub.workload.revisions import Revision, RevisionSignature


@attrs.frozen(kw_only=True)
class GivenPaper:
    """A given-out revision to be printed."""

    report: Report  #: as it was sealed, with the notes of the form of today
    names: dict[str, str]  #: by the codes of its units
    evidence: str  #: the SHA-256 of the list of facts behind it
    revision: PrintedRevision
    receiver: str  #: the name of the receiver
    signed_pdf: bytes | None = None  #: the PDF that an official has signed

    def write(self, kind: str, language: Language, charts: Iterable[Plot] = ()) -> bytes:
        """Return the paper as `html` or `pdf`. A signed PDF has the language and the charts that it has."""
        if kind == "pdf" and self.signed_pdf is not None:
            return self.signed_pdf
        said = {"receiver": self.receiver, "charts": charts, "revision": self.revision}
        return formats.write_report(kind, self.report, self.names, self.evidence, language, None, **said)  # type: ignore[arg-type]


def write_signable_pdfs(given: GivenPaper) -> list[bytes]:
    """Return the PDF that an official may sign, in each language: as it was before anyone signed it."""
    closed = attrs.evolve(given.revision, state=ReportState.CLOSED, drafter=None, head=None)
    unsigned = attrs.evolve(given, revision=closed, signed_pdf=None)
    return [unsigned.write("pdf", language) for language in Language]


def read_given_paper(tx: Transaction, asked: ReportSources, trust: AttestationTrust | None) -> GivenPaper | None:
    """Return the newest revision of the report *asked* that was given out; None if there is none.

    Raises Rejected with `closing-tampered` if its octets are not as the hub sealed them (*trust*).
    """
    address = (asked.members[0], asked.form.id, asked.period.text)
    kept = submission.read_newest_revision(tx, *address)
    if kept is None:
        return None
    submission.require_own_seal(tx, kept, trust)
    *earlier, found = revisions.list_revisions(tx, *address)
    report, signed = kept.said.report, revisions.find_signed_pdf(tx, kept.said)
    return GivenPaper(
        receiver=asked.receiver,
        signed_pdf=None if signed is None else reports.unwrap_signed_pdf(blobs.read_blob(tx, signed.sha256)),
        report=attrs.evolve(report, form=attrs.evolve(report.form, notes=asked.form.notes)),
        names=dict(kept.said.names),
        evidence=kept.said.evidence,
        revision=PrintedRevision(
            revision=found.revision,
            state=found.state,
            sha256=found.sha256,
            reason=found.reason,
            before=earlier[-1].sha256 if earlier else "",
            minutes=tuple(make_minutes(tx, (*earlier, found))),
            drafter=_print_signature(found.drafting),
            head=_print_signature(found.signing),
        ),
    )


def make_minutes(tx: Transaction, found: Sequence[Revision]) -> Iterator[CorrectionMinutes]:
    """Yield what each revision of *found*, all those of one report, corrected, from the second on."""
    before: Sealed | None = None
    for place, each in enumerate(found):
        sealed = read_sealed_report(blobs.read_blob(tx, each.sha256))
        if before is not None:
            cells, more = compare_revisions(before, sealed)
            returned = (
                ReturnNote(partner=one.by, at=one.at, reasons=one.reasons)
                for one in found[place - 1].verdicts
                if one.result == reports.RETURNED
            )
            yield CorrectionMinutes(
                revision=each.revision,
                at=each.closed_at,
                by=each.by,
                reason=each.reason,
                returned=tuple(returned),
                cells=cells,
                more=more,
            )
        before = sealed


def _print_signature(said: RevisionSignature | None) -> PrintedSignature | None:
    if said is None:
        return None
    return PrintedSignature(name=said.name, serial=said.serial, at=datetime.fromisoformat(said.signed_at))
