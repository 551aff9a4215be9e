"""The values of the operations that declare and sign reports. Contains no operation."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

import attrs

from hub.domain.model import ReportState
from hub.language.phrases import phrase
from hub.operations.operation import LONG
from hub.operations.reports.standing import ReportStanding
from hub.report.counting.declaring import DeclaredCell
from hub.report.counting.reconciling import CellVerdict, ReconciledCell
from hub.report.signed.minutes import CorrectionMinutes
from hub.report.words import make_json_number
from hub.workload.declarations import ComparedDeclaration
from hub.workload.many.report_round import ReportRound, UnitStanding
from hub.workload.revisions import Revision, RevisionSignature, SignatureStamp

_UNIT = phrase("unit of the row; empty: the total of the unit")
_FIGURE = phrase("a whole number; of a ratio or a score with up to two decimals, or null without a denominator")


@attrs.frozen(kw_only=True)
class ApiStamp:
    """The time stamp that proves when a signature was made."""

    at: datetime
    by: Annotated[str, phrase("subject of the authority's certificate")]
    certificate: Annotated[str, phrase("SHA-256 of that certificate")]
    serial: Annotated[str, phrase("number of the time stamp, hexadecimal")]

    @classmethod
    def of(cls, found: SignatureStamp | None) -> "ApiStamp | None":
        """Return a time stamp."""
        return None if found is None else cls(**attrs.asdict(found))


@attrs.frozen(kw_only=True)
class ApiReportSignature:
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
    def of(cls, found: RevisionSignature | None) -> "ApiReportSignature | None":
        """Return a signature."""
        if found is None:
            return None
        said = {name: getattr(found, name) for name in ("message", "sha256", "format", "official", "name", "subject")}
        signed_at, stamp = datetime.fromisoformat(found.signed_at), ApiStamp.of(found.stamp)
        return cls(**said, serial=found.serial, signed_at=signed_at, at=found.at, stamp=stamp)


@attrs.frozen(kw_only=True)
class ApiReportSubmission:
    """A submission of a revision."""

    partner: str
    by: str
    at: datetime


@attrs.frozen(kw_only=True)
class ApiReportVerdict:
    """What a partner answered to a revision."""

    result: Annotated[str, phrase("accepted or returned")]
    by: str
    at: datetime
    reasons: Sequence[str]


@attrs.frozen(kw_only=True)
class ApiRevision:
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
    submissions: Sequence[ApiReportSubmission]
    verdicts: Sequence[ApiReportVerdict]

    @classmethod
    def of(cls, found: Revision) -> "ApiRevision":
        """Return a revision."""
        return cls(
            revision=found.revision,
            state=found.state,
            message=found.message,
            sha256=found.sha256,
            closed_at=found.closed_at,
            reason=found.reason,
            by=found.by,
            drafting=ApiReportSignature.of(found.drafting),
            signing=ApiReportSignature.of(found.signing),
            submissions=[ApiReportSubmission(**attrs.asdict(each)) for each in found.handed_in],
            verdicts=[ApiReportVerdict(**attrs.asdict(each)) for each in found.verdicts],
        )


@attrs.frozen(kw_only=True)
class ApiCorrectedCell:
    """A cell that another revision has with another number."""

    unit: Annotated[str, phrase("unit of the row; empty: the total of the unit")]
    column: str
    was: float | None
    now: float | None


@attrs.frozen(kw_only=True)
class ApiReportCorrection:
    """What a revision corrected."""

    revision: int
    at: datetime
    by: str
    reason: str
    cells: Annotated[Sequence[ApiCorrectedCell], phrase("at most 50")]
    more: Annotated[int, phrase("further cells that differ")]

    @classmethod
    def of(cls, found: CorrectionMinutes) -> "ApiReportCorrection":
        """Return a correction."""
        return cls(
            revision=found.revision,
            at=found.at,
            by=found.by,
            reason=found.reason,
            cells=[
                ApiCorrectedCell(
                    unit=each.unit, column=each.column, was=make_json_number(each.was), now=make_json_number(each.now)
                )
                for each in found.cells
            ],
            more=found.more,
        )


@attrs.frozen(kw_only=True)
class ApiReportLife:
    """Where a report stands, and its revisions."""

    form: str
    unit: str
    period: str
    step: Annotated[str, phrase("the state of the newest revision, or what comes before there is one")]
    month: Annotated[str, phrase("the first month that is not closed yet")]
    behind: Annotated[bool, phrase("whether a count made now differs from the newest revision")]
    problem: Annotated[str, phrase("why it cannot be counted as it was closed; empty: it can")]
    drafted: Annotated[bool, phrase("whether two persons sign: the drafter, then the head of the unit")]
    pdf: Annotated[bool, phrase("whether a signed PDF is taken")]
    stamped: Annotated[bool, phrase("whether a signature needs a time stamp")]
    revisions: Annotated[Sequence[ApiRevision], phrase("newest first")]
    corrections: Annotated[
        Sequence[ApiReportCorrection], phrase("what each revision after the first corrected, oldest first")
    ]

    @classmethod
    def of(cls, found: ReportStanding, problem: str, *, drafted: bool, pdf: bool, stamped: bool) -> "ApiReportLife":
        """Return the life of a report."""
        return cls(
            form=found.asked.form.id,
            unit=found.asked.members[0],
            period=found.asked.period.text,
            step=str(found.step),
            month=found.month,
            behind=found.behind,
            problem=problem,
            drafted=drafted,
            pdf=pdf,
            stamped=stamped,
            revisions=list(map(ApiRevision.of, found.revisions)),
            corrections=list(map(ApiReportCorrection.of, found.minutes)),
        )


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
class ApiComparedCell:
    """A declared figure beside the counted one."""

    unit: Annotated[str, _UNIT]
    column: str
    declared: float | None
    counted: float | None
    difference: Annotated[float | None, phrase("declared minus counted; null where one of them is no number")]
    verdict: CellVerdict
    note: str

    @classmethod
    def of(cls, found: ReconciledCell) -> "ApiComparedCell":
        """Return a cell."""
        declared, counted, difference = map(make_json_number, (found.declared, found.counted, found.difference))
        named = {"unit": found.unit, "column": found.column, "verdict": found.verdict, "note": found.note}
        return cls(**named, declared=declared, counted=counted, difference=difference)  # type: ignore[arg-type]


@attrs.frozen(kw_only=True)
class ApiManualLine:
    """A declared figure that the hub cannot count."""

    unit: Annotated[str, _UNIT]
    column: str
    figure: float | None
    note: str

    @classmethod
    def of(cls, found: DeclaredCell) -> "ApiManualLine":
        """Return a line."""
        return cls(unit=found.unit, column=found.column, figure=make_json_number(found.figure), note=found.note)


@attrs.frozen(kw_only=True)
class ApiDeclaration:
    """The newest declaration of a unit, compared with the count."""

    message: Annotated[str, phrase("the hub's id of the declaration")]
    at: datetime
    by: str
    note: str
    earlier: Annotated[int, phrase("declarations before it, at most 1,000")]
    differing: Annotated[int, phrase("cells that differ")]
    undeclared: Annotated[int, phrase("cells that are counted and not declared")]
    cells: Annotated[Sequence[ApiComparedCell], phrase("those that differ first")]
    manual: Sequence[ApiManualLine]

    @classmethod
    def of(cls, found: ComparedDeclaration) -> "ApiDeclaration":
        """Return a declaration."""
        kept, compared = found.kept, found.found
        return cls(
            message=kept.message.id,
            at=kept.message.received_at,
            by=kept.said.by or kept.message.partner,
            note=kept.said.note,
            earlier=kept.earlier,
            differing=len(compared.differing),
            undeclared=compared.undeclared,
            cells=list(map(ApiComparedCell.of, compared.cells)),
            manual=list(map(ApiManualLine.of, compared.manual)),
        )


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
class ApiUnitStanding:
    """How the report of one unit stands."""

    unit: str
    name: str
    parent: str | None
    level: Annotated[str | None, phrase("level of the unit, if the registry has it")]
    kind: Annotated[str | None, phrase("kind of the unit, if the registry has it")]
    state: Annotated[
        str, phrase("running, month-open, ready, closed, drafted, signed, submitted, accepted or returned")
    ]
    since: Annotated[datetime | None, phrase("when it reached the state; null before the first revision")]
    revision: Annotated[int | None, phrase("number of the newest revision")]
    signed_by: Annotated[str | None, phrase("the file that gives the right to sign")]
    partners: Annotated[Sequence[str], phrase("to whom it was submitted")]
    reasons: Annotated[Sequence[str], phrase("why it was returned")]
    declaration: Annotated[str, phrase("undeclared, declared, declared-equal or declared-differing")]
    declared_at: datetime | None
    differing: Annotated[int, phrase("declared cells that are not as counted")]

    @classmethod
    def of(cls, found: UnitStanding) -> "ApiUnitStanding":
        """Return how a report stands."""
        unit, newest = found.unit, found.revision
        return cls(
            unit=unit.code,
            name=unit.name,
            parent=unit.parent,
            level=unit.level or None,
            kind=unit.kind or None,
            state=str(found.step),
            since=found.since,
            revision=None if newest is None else newest.revision,
            signed_by=None if newest is None or newest.signing is None else newest.signing.official,
            partners=[] if newest is None else [each.partner for each in newest.handed_in],
            reasons=[] if newest is None else [reason for each in newest.verdicts for reason in each.reasons],
            declaration=str(found.declared),
            declared_at=found.declared_at,
            differing=found.differing,
        )


@attrs.frozen(kw_only=True)
class ApiReportRound:
    """How the reports of all units stand, for one form and period."""

    form: str
    period: str
    ended: bool
    open_month: Annotated[str | None, phrase("the first month that is not closed")]
    due: Annotated[date | None, phrase("the last day on which a report is in time")]
    days_left: Annotated[int | None, phrase("days from today to that day, below 0 when it is over")]
    units: Annotated[Sequence[ApiUnitStanding], phrase("parents before the units below them"), LONG]

    @classmethod
    def of(cls, found: ReportRound) -> "ApiReportRound":
        """Return a round."""
        return cls(
            form=found.form.id,
            period=found.period.text,
            ended=found.ended,
            open_month=found.open_month or None,
            due=None if found.due is None else found.due.day,
            days_left=found.days_left,
            units=[ApiUnitStanding.of(each) for each in found.units],
        )
