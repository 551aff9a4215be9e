"""Records a unit's report in the journal as a message of the hub's own, accepts it back signed, and submits or
publishes it.

Knows revisions. A revision that was given out, submitted or published never changes. Different numbers make a new
revision, for which a person gives a reason. A signed report is a separate message beside the one that was given out:
its octets are the official's. Does not know how a report is counted, nor the format that a partner needs.
"""

from collections.abc import Sequence
from datetime import date, datetime

import attrs
import sqlalchemy as sa
from cryptography import x509

from hub.config.officials import Official, SignaturePlace
from hub.domain.errors import Rejected, write_problem_json
from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import HUB, DeliveryState, Event, Message, Problem, Receive, ReportState
from hub.intake import admission
from hub.journal import blobs, events, messages, unit_registry
from hub.journal.queue import deliveries
from hub.journal.searching import message_reading
from hub.language.phrases import phrase
from hub.report.counting import evidence
from hub.report.counting.counting import Report
from hub.report.counting.evidence import EvidenceLine, HashedLines
from hub.report.counting.family import list_unit_lineage
from hub.report.counting.marks import require_untampered
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.signed import sealed, signed
from hub.report.signed.sealed import Sealed
from hub.security.attesting import AttestationTrust, is_own_document
from hub.security.certificates import describe_owner, hash_certificate
from hub.security.time_stamps import TimeStamp
from hub.security.xades import Signed
from hub.services import list_services, publications, reports
from hub.store import transactions
from hub.store.tables import message
from hub.store.transactions import Transaction
from hub.units.deeds import Estate
from hub.units.heirs import find_forebears, find_heirs
from hub.units.province import Province
from hub.units.routing import Route
from hub.units.unit_index import UnitIndex
from hub.workload import closing_plan, revisions
from hub.workload.revisions import name_revision


class Unended(Exception):
    """The period is not over, so its numbers may still change."""


class Unclosed(Exception):
    """The period is over, but not all its months are closed. The argument is the first open month."""


class Unreasoned(Exception):
    """The report would be a new revision, and no reason was given. The argument is the number of the newest
    revision.
    """


class Unsigned(Exception):
    """Only a signed report may be submitted, and no official has signed this one."""


class OfDrill(Exception):
    """The report is of a test unit of a drill: it leaves the hub by no way."""


#: Why a report is not given out, handed in or published.
REFUSALS = (Unended, Unclosed, Unreasoned, Unsigned, OfDrill)


@attrs.frozen(kw_only=True)
class CountedReport:
    """A report as counted now."""

    report: Report
    names: dict[str, str]
    #: the evidence; the sealed report contains its number of facts and its SHA-256
    lines: Sequence[EvidenceLine] | HashedLines
    #: the first month of its period that is not closed yet (`find_open_month`); "" if there is none
    open_month: str = ""


@attrs.frozen(kw_only=True)
class KeptRevision:
    """A revision of a report, as a message of the journal."""

    message: Message
    said: Sealed
    fresh: bool = False  #: this call recorded it
    behind: bool = False  #: a count made now gives other numbers


@attrs.frozen(kw_only=True)
class SignedReturn:
    """A report that an official returned signed."""

    message: Message  #: the signed document
    revision: int
    place: SignaturePlace
    official: Official
    certificate: x509.Certificate
    at: datetime  #: the time of signing, by the official's clock
    stamp: TimeStamp | None  #: the earliest time stamp on it
    fresh: bool


def find_open_month(tx: Transaction, form: Form, period: Period) -> str:
    """Return the first month of *period* that must still be closed, such as `2026-12`; "" if there is none.

    The chain of closings of a form begins with its first fact. Months before that have nothing to close. If no month of
    the form was ever closed, closings are not in use yet. A derived form is closed when the forms that it takes from
    are.
    """
    missing = set[str]()
    for counting in form.bases or (form.id,):
        made = closing_plan.read_closings(tx, counting)
        known = {each.period.text for each in made}
        missing |= {each for each in period.months if made and each >= made[0].period.text and each not in known}
    return min(missing, default="")


def read_newest_revision(tx: Transaction, unit: str, form: str, period: str) -> KeptRevision | None:
    """Return the newest revision of the report that was given out, submitted or published, as it was sealed; None if
    there is none.
    """
    kept = [
        KeptRevision(message=one, said=_read_kept_report(tx, one))
        for one in revisions.list_sealed_messages(tx, unit, form, period)
    ]
    return max(kept, key=lambda each: each.said.revision, default=None)


def issue_report(
    tx: Transaction, province: Province, counted: CountedReport, *, reason: str, by: str, now: datetime
) -> KeptRevision:
    """Close the report: record it, unless it is recorded, so that every caller gets the same octets of the same
    revision.

    If a count made now gives other numbers, the newest revision is returned unchanged and marked `behind`, unless
    *reason* makes a new one. Raises Unended, Unclosed.
    """
    try:
        kept = _keep_revision(tx, province, reports.NAME, counted, (), reason=reason, by=by, now=now)
    except Unreasoned:
        before = _newest_of(tx, province, counted)
        assert before is not None
        return attrs.evolve(before, behind=True)
    if kept.fresh:
        body = {"revision": kept.said.revision, "by": by}
        events.append_events(tx, Event("report-closed", now, kept.message.id, body=body))
    return kept


def read_signing_base(tx: Transaction, kept: KeptRevision) -> Message:
    """Return the document that the next official signs: the sealed report *kept*, or, once the first of two persons has
    signed it, that document.
    """
    return revisions.find_drafted_message(tx, kept.said) or kept.message


def name_signing_file(kept: KeptRevision, sha256: str) -> str:
    """Return the name of the file that the next official signs: `FORM_UNIT_PERIOD_REVISION.xml`, with `_drafted` before
    the dot once the first of two persons has signed it. *sha256*: of the file.
    """
    report, drafted = kept.said.report, "" if sha256 == kept.message.sha256 else "_drafted"
    return f"{report.form.id}_{report.total.unit}_{report.period.text}_{kept.said.revision}{drafted}.xml"


def list_signing_units(index: UnitIndex, unit: str, on: date) -> tuple[str, ...]:
    """Return the other units whose officials sign the reports of *unit* on the day *on*.

    For a unit that has ended these are the units that continue its work; for any other the units that have ended and
    whose deed hands over their officials to it.
    """
    heirs = tuple(heir for heir in find_heirs(index, unit, on) if heir != unit)
    return heirs + find_forebears(index, unit, on, Estate.OFFICIALS)


@attrs.frozen(kw_only=True)
class SigningAct:
    """The signature of an official at a place of a revision."""

    revision: int
    place: SignaturePlace
    official: Official
    found: Signed

    def make_return(self, message: Message, *, fresh: bool) -> SignedReturn:
        """Return the signed report that *message* is. *fresh*: it was not accepted before."""
        return SignedReturn(
            message=message,
            fresh=fresh,
            revision=self.revision,
            place=self.place,
            official=self.official,
            certificate=self.found.certificate,
            at=self.found.at,
            stamp=self.found.stamp,
        )


def _require_signable(standing: revisions.Revision, act: SigningAct, name: str, *, drafted: bool) -> None:
    """Raise Rejected unless the newest revision, *standing*, may get the signature *act* now."""
    if standing.revision != act.revision:
        raise Rejected(
            Problem(
                "report-other-revision",
                phrase("{name}: the newest is {revision}", name=name, revision=standing.revision),
            )
        )
    if standing.state is ReportState.SIGNED:  # as PDF
        raise Rejected(Problem("report-already-signed", name))
    if standing.state is not (ReportState.CLOSED if not drafted else ReportState.DRAFTED):
        raise Rejected(Problem("report-not-closed", f"{name}: {standing.state}"))
    if standing.drafting is not None and standing.drafting.official == act.official.code:
        raise Rejected(Problem("signature-order", phrase("{official} is the drafter", official=act.official.code)))


def _judge_signer(
    tx: Transaction, province: Province, report: Report, found: Signed, place: SignaturePlace, now: datetime
) -> Official:
    """Return the official who signed. Raises Rejected, as `judge_official` does, if they may not sign at *place*."""
    unit, officials = report.total.unit, province.config.officials
    assert officials is not None
    ancestors = list_unit_lineage(unit_registry.list_registry_units(tx, find_local_day(now)), unit)
    also = list_signing_units(province.routes.index, unit, find_local_day(now))
    return signed.judge_official(found, officials, ancestors, report.made_at, now, place, also=also)


def _append_signature(tx: Transaction, act: SigningAct, message: Message, by: str, now: datetime) -> None:
    event = "report-drafted" if act.place is SignaturePlace.DRAFTER else "report-signed"
    body = _describe_signature(act.official, act.found, act.revision, by)
    events.append_events(tx, Event(event, now, message.id, body=body))


def accept_signed_report(
    tx: Transaction,
    province: Province,
    kept: KeptRevision,
    uploaded: bytes,
    *,
    by: str,
    now: datetime,
    found: Signed | None = None,
    over: str = "",
) -> SignedReturn:
    """Accept the document *uploaded*: the report *kept*, the newest revision, signed by an official who may sign it.

    Where two persons sign, the drafter signs the sealed report and the head of the unit signs the document that the
    drafter has signed (`read_signing_base`).

    *found*: the result of `verify_official_signature` with the octets of the SHA-256 *over*, if the caller verified
    outside the transaction. If it is None, or *over* is not what must be signed now: verify here. The same document again
    returns the same message.

    Raises Rejected: as `verify_official_signature` and `judge_official` do; `report-already-signed`;
    `report-other-revision` if there is a newer revision by now; `report-not-closed` if the revision has advanced
    without a signature; `signature-order` if one person signs at both places.
    """
    report, officials = kept.said.report, province.config.officials
    unit, revision = report.total.unit, kept.said.revision
    transactions.lock_names(tx, [f"report {report.form.id} {unit} {report.period.text}"])
    drafted = revisions.find_drafted_message(tx, kept.said)
    again = drafted is not None and blobs.read_blob(tx, drafted.sha256) == uploaded
    base = kept.message if drafted is None or again else drafted
    if found is None or over != base.sha256:
        found = signed.verify_official_signature(blobs.read_blob(tx, base.sha256), uploaded)
    if officials is None:
        raise Rejected(Problem("official-unknown", "hub.toml: [officials]"))
    first = again or (drafted is None and officials.needs_drafter(report.form.id))
    place = SignaturePlace.DRAFTER if first else SignaturePlace.HEAD
    official = _judge_signer(tx, province, report, found, place, now)
    named = (reports.NAME, report.form.id, unit, report.period.text, revision)
    name = name_revision(*named, drafted=first, signed=not first)
    act = SigningAct(revision=revision, place=place, official=official, found=found)
    if (known := message_reading.find_accepted_message(tx, HUB, name)) is not None:
        if blobs.read_blob(tx, known.sha256) != uploaded:
            raise Rejected(Problem("report-already-signed", name))
        return act.make_return(known, fresh=False)
    *_, standing = revisions.list_revisions(tx, unit, report.form.id, report.period.text)
    _require_signable(standing, act, name, drafted=drafted is not None)
    message = _take_own_message(tx, province, reports.NAME, uploaded, name, (), now)
    _append_signature(tx, act, message, by, now)
    return act.make_return(message, fresh=True)


def accept_signed_pdf(
    tx: Transaction, province: Province, kept: KeptRevision, uploaded: bytes, found: Signed, *, by: str, now: datetime
) -> SignedReturn:
    """Accept the PDF *uploaded* of the report *kept*, the newest revision, with the signature *found* of an official who
    may sign it. The same file again returns the same message.

    *found*: the result of `verify_signed_pdf`. The sealed report is then submitted as it is. Raises Rejected: as
    `judge_official` does; `report-already-signed`; `report-other-revision`; `report-not-closed`; `signature-order` where
    two persons sign, because both sign the XML.
    """
    report, officials, revision = kept.said.report, province.config.officials, kept.said.revision
    unit, form, period = report.total.unit, report.form.id, report.period.text
    transactions.lock_names(tx, [f"report {form} {unit} {period}"])
    if officials is None:
        raise Rejected(Problem("official-unknown", "hub.toml: [officials]"))
    if officials.needs_drafter(form):
        raise Rejected(Problem("signature-order", phrase("two persons sign the XML file")))
    ancestors = list_unit_lineage(unit_registry.list_registry_units(tx, find_local_day(now)), unit)
    also = list_signing_units(province.routes.index, unit, find_local_day(now))
    official = signed.judge_official(found, officials, ancestors, report.made_at, now, also=also)
    content = reports.wrap_signed_pdf(uploaded, form, unit, period, revision)
    name = name_revision(reports.NAME, form, unit, period, revision, pdf=True)
    said = {"revision": revision, "place": SignaturePlace.HEAD, "official": official, "at": found.at}
    said["stamp"] = found.stamp
    known = revisions.find_signed_pdf(tx, kept.said)
    if known is not None:
        if blobs.read_blob(tx, known.sha256) != content:
            raise Rejected(Problem("report-already-signed", name))
        return SignedReturn(message=known, certificate=found.certificate, fresh=False, **said)  # type: ignore[arg-type]
    *_, standing = revisions.list_revisions(tx, unit, form, period)
    if standing.revision != revision:
        told = phrase("{name}: the newest is {revision}", name=name, revision=standing.revision)
        raise Rejected(Problem("report-other-revision", told))
    if standing.state is not ReportState.CLOSED:
        code = "report-already-signed" if standing.state is ReportState.SIGNED else "report-not-closed"
        raise Rejected(Problem(code, f"{name}: {standing.state}"))
    message = _take_own_message(tx, province, reports.NAME, content, name, (), now)
    body = _describe_signature(official, found, revision, by) | {"format": "pdf"}
    events.append_events(tx, Event("report-signed", now, message.id, body=body))
    return SignedReturn(message=message, certificate=found.certificate, fresh=True, **said)  # type: ignore[arg-type]


def _describe_signature(official: Official, found: Signed, revision: int, by: str) -> dict[str, object]:
    """Return the body of the event of an accepted signature."""
    stamp = found.stamp
    stamped = {} if stamp is None else _describe_stamp(stamp)
    return stamped | {
        "revision": revision,
        "official": official.code,
        "name": official.name,
        "subject": found.certificate.subject.rfc4514_string(),
        "serial": f"{found.certificate.serial_number:x}",
        "certificate": hash_certificate(found.certificate),
        "signed-at": found.at.isoformat(),
        "by": by,
    }


def _describe_stamp(stamp: TimeStamp) -> dict[str, object]:
    return {
        "stamped-at": stamp.at.isoformat(),
        "stamped-by": describe_owner(stamp.certificate),
        "stamp-serial": f"{stamp.serial:x}",
        "stamp-certificate": hash_certificate(stamp.certificate),
    }


def record_signature_refusal(
    tx: Transaction, kept: KeptRevision, rejected: Rejected, sha256: str, *, by: str, now: datetime
) -> None:
    """Record that a document with the SHA-256 *sha256* was refused as the signed form of *kept*, and why."""
    problems = [write_problem_json(problem) for problem in rejected.problems]
    body = {"revision": kept.said.revision, "sha256": sha256, "problems": problems, "by": by}
    events.append_events(tx, Event("report-signature-refused", now, kept.message.id, body=body))


def submit_report(
    tx: Transaction, province: Province, counted: CountedReport, partner: str, *, reason: str, by: str, now: datetime
) -> KeptRevision:
    """Record the report and a delivery of it to *partner*. Idempotent: a repetition makes no second delivery.

    A report that an official has signed is submitted as signed, even if a count made now gives other numbers (then it
    is marked `behind`), unless *reason* asks for a new revision. Raises Unended, Unclosed, Unreasoned, Unsigned,
    OfDrill.
    """
    _require_real(province, counted)
    officials, before = province.config.officials, _newest_of(tx, province, counted)
    document = None if before is None else revisions.find_submittable_message(tx, before.said)
    if before is not None and document is not None and not reason:
        _bring_missing_deliveries(tx, document, _make_routes((partner,)), now)
        behind = not before.said.says(counted.report, evidence.hash_evidence(counted.lines))
        kept = KeptRevision(message=document, said=before.said, behind=behind)
    elif officials is not None and officials.required:
        raise Unsigned
    else:
        kept = _keep_revision(tx, province, reports.NAME, counted, (partner,), reason=reason, by=by, now=now)
        document = revisions.find_submittable_message(tx, kept.said)
        if document is not None:  # the reason made no new revision
            _bring_missing_deliveries(tx, document, _make_routes((partner,)), now)
            kept = attrs.evolve(kept, message=document)
    body = {"partner": partner, "by": by}
    events.append_events(tx, Event("report-handed-in", now, kept.message.id, body=body))
    return kept


def publish_report(
    tx: Transaction, province: Province, counted: CountedReport, *, reason: str, by: str, now: datetime
) -> KeptRevision:
    """Record that *by* has published the report, and a delivery of it to each partner that subscribes to
    `publications`.

    Raises Unended, Unclosed, Unreasoned, OfDrill.
    """
    _require_real(province, counted)
    everyone = province.config.partners.values()
    takers = [each.code for each in everyone if publications.NAME in each.services and each.receive is Receive.PUSH]
    kept = _keep_revision(tx, province, publications.NAME, counted, takers, reason=reason, by=by, now=now)
    if kept.fresh:
        body = {"by": by, "reason": reason, "revision": kept.said.revision}
        events.append_events(tx, Event("report-published", now, kept.message.id, body=body))
    return kept


def _require_real(province: Province, counted: CountedReport) -> None:
    """Raise OfDrill for the report of a test unit."""
    if province.routes.is_drill(counted.report.total.unit):
        raise OfDrill


def _keep_revision(
    tx: Transaction,
    province: Province,
    service: str,
    counted: CountedReport,
    partners: tuple[str, ...] | list[str],
    *,
    reason: str,
    by: str,
    now: datetime,
) -> KeptRevision:
    report = counted.report
    if not report.ended:
        raise Unended
    if counted.open_month:
        raise Unclosed(counted.open_month)
    require_untampered(report.marks)
    transactions.lock_names(tx, [f"report {report.form.id} {report.total.unit} {report.period.text}"])
    before = _newest_of(tx, province, counted)
    same = before is not None and before.said.says(report, evidence.hash_evidence(counted.lines))
    if before is not None and same and not (reason and service == reports.NAME and _was_returned(tx, before)):
        content, revision = blobs.read_blob(tx, before.message.sha256), before.said.revision
    elif before is not None and not reason:
        raise Unreasoned(before.said.revision)
    else:
        revision = before.said.revision + 1 if before is not None else 1
        content = sealed.seal_report(counted.report, counted.names, counted.lines, province.config.identity, revision)
    name = name_revision(service, report.form.id, report.total.unit, report.period.text, revision)
    routes = _make_routes(partners)
    known = message_reading.find_accepted_message(tx, HUB, name)
    if known is not None:
        if not _is_signed(tx, service, before):
            _bring_missing_deliveries(tx, known, routes, now)
        return KeptRevision(message=known, said=sealed.read_sealed_report(content))
    taken = _take_own_message(tx, province, service, content, name, routes, now)
    if before is not None and revision > before.said.revision:
        body = {"revision": revision, "reason": reason, "by": by}
        events.append_events(tx, Event("report-revised", now, taken.id, body=body))
    return KeptRevision(message=taken, said=sealed.read_sealed_report(content), fresh=True)


def _is_signed(tx: Transaction, service: str, before: KeptRevision | None) -> bool:
    """Return whether the signed document is submitted in place of this one."""
    return (
        service == reports.NAME
        and before is not None
        and revisions.find_submittable_message(tx, before.said) is not None
    )


def _take_own_message(
    tx: Transaction,
    province: Province,
    service: str,
    content: bytes,
    name: str,
    routes: tuple[Route, ...],
    now: datetime,
) -> Message:
    """Record a message of the hub's own and return it."""
    judged = admission.judge_record(list_services()[service], content, name, HUB, province, now, make_id(now))
    taken = messages.record_message(tx, attrs.evolve(judged, routes=routes), province.routes)
    assert not taken.problems, taken.problems
    return message_reading.read_message(tx, taken.id)


def _make_routes(partners: tuple[str, ...] | list[str]) -> tuple[Route, ...]:
    return tuple(Route(code, code, code, DeliveryState.WAITING) for code in partners)


def _newest_of(tx: Transaction, province: Province, counted: CountedReport) -> KeptRevision | None:
    """Return the newest revision. Raises Rejected with `closing-tampered` if its octets are not as the hub sealed them."""
    report = counted.report
    found = read_newest_revision(tx, report.total.unit, report.form.id, report.period.text)
    if found is not None:
        require_own_seal(tx, found, province.config.reports.trust)
    return found


def require_own_seal(tx: Transaction, kept: KeptRevision, trust: AttestationTrust | None) -> None:
    """Raise Rejected with `closing-tampered` if the octets of *kept* are not as this hub sealed them (*trust*)."""
    if trust is None:
        return
    content, made_at = blobs.read_blob(tx, kept.message.sha256), kept.said.report.made_at
    if not is_own_document(trust, content, max(made_at, kept.message.received_at)):
        raise Rejected(Problem("closing-tampered", kept.message.message_id or kept.message.id))


def _bring_missing_deliveries(tx: Transaction, known: Message, routes: tuple[Route, ...], now: datetime) -> None:
    """Create the deliveries to those partners that have none yet."""
    there = {each.recipient for each in deliveries.read_message_deliveries(tx, known.id)}
    lane = tx.scalar(sa.select(message.c.lane).where(message.c.id == known.id)) or ""
    missing = [route for route in routes if route.recipient not in there]
    if missing:
        deliveries.make_deliveries(tx, known.id, missing, now, lane=lane)


def _was_returned(tx: Transaction, before: KeptRevision) -> bool:
    """Return whether a partner returned this revision."""
    report = before.said.report
    key = reports.make_revision_key(report.form.id, report.total.unit, report.period.text, before.said.revision)
    return any(each.result == reports.RETURNED for each in revisions.list_revision_verdicts(tx, report.total.unit, key))


def _read_kept_report(tx: Transaction, kept: Message) -> Sealed:
    return sealed.read_sealed_report(blobs.read_blob(tx, kept.sha256))
