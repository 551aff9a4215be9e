"""The values of the operations that declare and sign reports. Contains no operation."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Self

import attrs

from hub.api.schemas import At, Projected
from hub.domain.model import ReportState
from hub.language.phrases import phrase
from hub.operations.operation import LONG
from hub.operations.reports.standing import ReportStanding
from hub.report.counting.declaring import DeclaredCell
from hub.report.counting.reconciling import CellVerdict, ReconciledCell
from hub.report.signed.minutes import CorrectedCell, CorrectionMinutes
from hub.workload.declarations import ComparedDeclaration
from hub.workload.many.report_round import ReportRound, UnitStanding
from hub.workload.revisions import ReportSubmission, Revision, RevisionSignature, RevisionVerdict, SignatureStamp

_UNIT = phrase("unit of the row; empty: the total of the unit")
_FIGURE = phrase("a whole number; of a ratio or a score with up to two decimals, or null without a denominator")


@attrs.frozen(kw_only=True)
class ApiStamp(Projected[SignatureStamp]):
    """The time stamp that proves when a signature was made."""

    at: datetime
    by: Annotated[str, phrase("subject of the authority's certificate")]
    certificate: Annotated[str, phrase("SHA-256 of that certificate")]
    serial: Annotated[str, phrase("number of the time stamp, hexadecimal")]


@attrs.frozen(kw_only=True)
class ApiReportSignature(Projected[RevisionSignature]):
    """A signature of an official on a revision."""

    message: Annotated[str, phrase("the hub's id of the signed document")]
    sha256: str
    format: Annotated[str, phrase("xml or pdf")]
    official: Annotated[str, phrase("the file that gives the right to sign")]
    name: str
    subject: Annotated[str, phrase("subject of the certificate")]
    serial: Annotated[str, phrase("serial number of the certificate, hexadecimal")]
    signed_at: Annotated[datetime, phrase("by the signer's clock")]
    at: Annotated[datetime, phrase("when the hub received it")]
    stamp: ApiStamp | None

    @classmethod
    def project(cls, value: RevisionSignature, /, **said: object) -> Self:
        """Return a signature."""
        return super().project(value, signed_at=datetime.fromisoformat(value.signed_at), **said)


@attrs.frozen(kw_only=True)
class ApiReportSubmission(Projected[ReportSubmission]):
    """A submission of a revision."""

    partner: str
    by: str
    at: datetime


@attrs.frozen(kw_only=True)
class ApiReportVerdict(Projected[RevisionVerdict]):
    """What a partner answered to a revision."""

    result: Annotated[str, phrase("accepted or returned")]
    by: str
    at: datetime
    reasons: Sequence[str]


@attrs.frozen(kw_only=True)
class ApiRevision(Projected[Revision]):
    """A revision of a report, and what became of it."""

    revision: int
    state: ReportState
    message: Annotated[str, phrase("the hub's id of the sealed report")]
    sha256: str
    closed_at: datetime
    reason: Annotated[str, phrase("why this revision was made; empty for the first")]
    by: Annotated[str, phrase("who made this revision; empty for the first")]
    drafting: Annotated[ApiReportSignature | None, phrase("the signature of the drafter, where two sign")]
    signing: Annotated[ApiReportSignature | None, phrase("the only signature, or that of the head of the unit")]
    submissions: Annotated[Sequence[ApiReportSubmission], At("handed_in")]
    verdicts: Sequence[ApiReportVerdict]


@attrs.frozen(kw_only=True)
class ApiCorrectedCell(Projected[CorrectedCell]):
    """A cell that another revision has with another number."""

    unit: Annotated[str, phrase("unit of the row; empty: the total of the unit")]
    column: str
    was: float | None
    now: float | None


@attrs.frozen(kw_only=True)
class ApiReportCorrection(Projected[CorrectionMinutes]):
    """What a revision corrected."""

    revision: int
    at: datetime
    by: str
    reason: str
    cells: Annotated[Sequence[ApiCorrectedCell], phrase("at most 50")]
    more: Annotated[int, phrase("further cells that differ")]


@attrs.frozen(kw_only=True)
class ApiReportLife(Projected[ReportStanding]):
    """Where a report stands, and its revisions."""

    form: Annotated[str, At("asked.form.id")]
    unit: str
    period: Annotated[str, At("asked.period.text")]
    step: Annotated[str, phrase("the state of the newest revision, or what comes before there is one")]
    month: Annotated[str, phrase("the first month that is not closed yet")]
    behind: Annotated[bool, phrase("whether a count made now differs from the newest revision")]
    problem: Annotated[str, phrase("why it cannot be counted as it was closed; empty: it can")]
    drafted: Annotated[bool, phrase("whether two persons sign: the drafter, then the head of the unit")]
    pdf: Annotated[bool, phrase("whether a signed PDF is taken")]
    stamped: Annotated[bool, phrase("whether a signature needs a time stamp")]
    revisions: Annotated[Sequence[ApiRevision], phrase("newest first")]
    corrections: Annotated[
        Sequence[ApiReportCorrection],
        At("minutes"),
        phrase("what each revision after the first corrected, oldest first"),
    ]

    @classmethod
    def of(cls, found: ReportStanding, problem: str, *, drafted: bool, pdf: bool, stamped: bool) -> "ApiReportLife":
        """Return the life of a report."""
        unit = found.asked.members[0]
        return cls.project(found, unit=unit, problem=problem, drafted=drafted, pdf=pdf, stamped=stamped)


@attrs.frozen(kw_only=True)
class ApiClosingOrder:
    """An order to fix the figures of a report for signing."""

    asked = True
    reason: Annotated[str | None, phrase("makes a new revision, if the figures differ or it was returned")] = None


@attrs.frozen(kw_only=True)
class ApiClosedReport:
    """The revision that is to be signed."""

    revision: int
    message: Annotated[str, phrase("the hub's id of the sealed report")]
    sha256: str
    made: Annotated[bool, phrase("whether this order made the revision")]
    behind: Annotated[bool, phrase("whether a count made now differs; a reason makes a new revision")]


@attrs.frozen(kw_only=True)
class ApiDeclaredFigure:
    """One figure that a unit declares."""

    asked = True
    column: Annotated[str, phrase("key of a column or a manual line of the form")]
    figure: Annotated[float | None, _FIGURE]
    unit: Annotated[str, _UNIT] = ""
    note: str = ""


@attrs.frozen(kw_only=True)
class ApiDeclarationOrder:
    """What a unit declares; it replaces what it declared before."""

    asked = True
    cells: Annotated[tuple[ApiDeclaredFigure, ...], phrase("at least one, each once"), LONG]
    by: Annotated[str, phrase("who is responsible for the figures; empty: the token")] = ""
    note: str = ""


@attrs.frozen(kw_only=True)
class ApiRecordedDeclaration:
    """The declaration that counts now."""

    message: Annotated[str, phrase("the hub's id of the declaration")]


@attrs.frozen(kw_only=True)
class ApiComparedCell(Projected[ReconciledCell]):
    """A declared figure beside the counted one."""

    unit: Annotated[str, _UNIT]
    column: str
    declared: float | None
    counted: float | None
    difference: Annotated[float | None, phrase("declared minus counted; null where one of them is no number")]
    verdict: CellVerdict
    note: str


@attrs.frozen(kw_only=True)
class ApiManualLine(Projected[DeclaredCell]):
    """A declared figure that the hub cannot count."""

    unit: Annotated[str, _UNIT]
    column: str
    figure: float | None
    note: str


@attrs.frozen(kw_only=True)
class ApiDeclaration(Projected[ComparedDeclaration]):
    """The newest declaration of a unit, compared with the count."""

    message: Annotated[str, At("kept.message.id"), phrase("the hub's id of the declaration")]
    at: Annotated[datetime, At("kept.message.received_at")]
    by: str
    note: Annotated[str, At("kept.said.note")]
    earlier: Annotated[int, At("kept.earlier"), phrase("declarations before it, at most 1,000")]
    differing: Annotated[int, phrase("cells that differ")]
    undeclared: Annotated[int, At("found.undeclared"), phrase("cells that are counted and not declared")]
    cells: Annotated[Sequence[ApiComparedCell], At("found.cells"), phrase("those that differ first")]
    manual: Annotated[Sequence[ApiManualLine], At("found.manual")]

    @classmethod
    def of(cls, found: ComparedDeclaration) -> "ApiDeclaration":
        """Return a declaration."""
        by = found.kept.said.by or found.kept.message.partner
        return cls.project(found, by=by, differing=len(found.found.differing))


@attrs.frozen(kw_only=True)
class ApiDeclarable:
    """What a unit may declare for a form and a period, and what it has declared."""

    form: str
    unit: str
    period: str
    columns: Annotated[Mapping[str, str], phrase("headings of the columns and manual lines, by key")]
    units: Annotated[Mapping[str, str], phrase("names of the units of the rows, by code")]
    declaration: Annotated[ApiDeclaration | None, phrase("null: the unit has declared nothing")]


@attrs.frozen(kw_only=True)
class ApiUnitStanding(Projected[UnitStanding]):
    """How the report of one unit stands."""

    unit: Annotated[str, At("unit.code")]
    name: Annotated[str, At("unit.name")]
    parent: Annotated[str | None, At("unit.parent")]
    level: Annotated[str | None, phrase("level of the unit, if the registry has it")]
    kind: Annotated[str | None, phrase("kind of the unit, if the registry has it")]
    state: Annotated[
        str,
        At("step"),
        phrase("running, month-open, ready, closed, drafted, signed, submitted, accepted or returned"),
    ]
    since: Annotated[datetime | None, phrase("when it reached the state; null before the first revision")]
    revision: Annotated[int | None, At("revision.revision"), phrase("number of the newest revision")]
    signed_by: Annotated[str | None, At("revision.signing.official"), phrase("the file that gives the right to sign")]
    partners: Annotated[Sequence[str], phrase("to whom it was submitted")]
    reasons: Annotated[Sequence[str], phrase("why it was returned")]
    declaration: Annotated[str, At("declared"), phrase("undeclared, declared, declared-equal or declared-differing")]
    declared_at: datetime | None
    differing: Annotated[int, phrase("declared cells that are not as counted")]

    @classmethod
    def of(cls, found: UnitStanding) -> "ApiUnitStanding":
        """Return how a report stands."""
        newest = found.revision
        return cls.project(
            found,
            level=found.unit.level or None,
            kind=found.unit.kind or None,
            partners=[] if newest is None else [each.partner for each in newest.handed_in],
            reasons=[] if newest is None else [reason for each in newest.verdicts for reason in each.reasons],
        )


@attrs.frozen(kw_only=True)
class ApiReportRound(Projected[ReportRound]):
    """How the reports of all units stand, for one form and period."""

    form: Annotated[str, At("form.id")]
    period: Annotated[str, At("period.text")]
    ended: bool
    open_month: Annotated[str | None, phrase("the first month that is not closed")]
    due: Annotated[date | None, At("due.day"), phrase("the last day on which a report is in time")]
    days_left: Annotated[int | None, phrase("days from today to that day, below 0 when it is over")]
    units: Annotated[Sequence[ApiUnitStanding], phrase("parents before the units below them"), LONG]

    @classmethod
    def of(cls, found: ReportRound) -> "ApiReportRound":
        """Return a round."""
        return cls.project(found, open_month=found.open_month or None, units=list(map(ApiUnitStanding.of, found.units)))
