"""Writes a unit's report into the journal as a message of the hub's own, takes it back signed, and brings it to others.

Knows revisions: what was given out, handed in or published stays as it is, and other numbers are another revision, for a reason that a
person gives.  A signed report is a message of its own beside the one that was given out: its octets are the official's.  Does not know how a
report is counted, or how a partner wants it.
"""

from collections.abc import Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa
from cryptography import x509

from hub.config.officials import Official
from hub.domain.errors import Rejected
from hub.domain.ids import new_id
from hub.domain.model import HUB, DeliveryState, Event, Message, Problem, Receive, ReportState
from hub.intake import admission
from hub.journal import blobs, events, messages, search, unit_registry
from hub.journal.queue import deliveries
from hub.report.counting import evidence
from hub.report.counting.counting import Report
from hub.report.counting.evidence import EvidenceLine, Hashed
from hub.report.counting.family import list_unit_lineage
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.signed import sealed, signed
from hub.report.signed.sealed import Sealed
from hub.security.certificates import certificate_fingerprint
from hub.security.xades import Signed
from hub.services import list_services, publications, reports
from hub.store import transactions
from hub.store.tables import message
from hub.store.transactions import Transaction
from hub.units.province import Province
from hub.units.routing import Route
from hub.workload import closing, revisions
from hub.workload.revisions import name_of


class Unended(Exception):
    """The period is not over: its numbers may still change."""


class Unclosed(Exception):
    """The period is over and not closed yet, or not all of it; the argument names its first month that is open."""


class Unreasoned(Exception):
    """It would be another revision, and nobody said why; the argument is the one there is."""


class Unsigned(Exception):
    """Only a signed report may be handed in, and no official has signed this one."""


@attrs.frozen(kw_only=True)
class CountedReport:
    """A report as it is counted now."""

    report: Report
    names: dict[str, str]
    lines: Sequence[EvidenceLine] | Hashed  #: the evidence, of which the sealed report has the number and the SHA-256
    open_month: str = ""  #: the first month of its period that is still to be closed (`open_month`); none as a rule


@attrs.frozen(kw_only=True)
class KeptRevision:
    """A revision of a report, as a message of the journal."""

    message: Message
    said: Sealed
    fresh: bool = False  #: it was written just now
    behind: bool = False  #: its numbers would be others now


@attrs.frozen(kw_only=True)
class TakenBack:
    """A report that came back signed."""

    message: Message  #: the signed document
    revision: int
    official: Official
    certificate: x509.Certificate
    at: datetime  #: when it was signed, as the official's clock says
    fresh: bool


def open_month(tx: Transaction, form: Form, period: Period) -> str:
    """Return the first month of *period* that is still to be closed, such as `2026-12`; empty when there is none.

    The chain of closings of a form begins with its first fact: what lies before has nothing to close, and where nothing was ever closed,
    closings are not in use yet.  A derived form is closed with those that it takes from.
    """
    missing = set[str]()
    for counting in form.bases or (form.id,):
        made = closing.read_closings(tx, counting)
        known = {each.period.text for each in made}
        missing |= {each for each in period.months if made and each >= made[0].period.text and each not in known}
    return min(missing, default="")


def read_newest_revision(tx: Transaction, unit: str, form: str, period: str) -> KeptRevision | None:
    """Return the newest revision of the report that was ever given out, handed in or published, as it was sealed."""
    kept = [KeptRevision(message=one, said=_said(tx, one)) for one in revisions.sealed_messages(tx, unit, form, period)]
    return max(kept, key=lambda each: each.said.revision, default=None)


def give_out(
    tx: Transaction, province: Province, counted: CountedReport, *, reason: str, by: str, now: datetime
) -> KeptRevision:
    """Close the report: write it down, if it is not, so that everybody who asks gets the same octets of the same revision.

    Where its numbers would be others now, the newest revision is given out as it is, `behind`, unless *reason* makes another.
    Raises Unended, Unclosed.
    """
    try:
        kept = _keep(tx, province, reports.NAME, counted, (), reason=reason, by=by, now=now)
    except Unreasoned:
        before = _newest_of(tx, counted)
        assert before is not None
        return attrs.evolve(before, behind=True)
    if kept.fresh:
        body = {"revision": kept.said.revision, "by": by}
        events.append_events(tx, Event("report-closed", now, kept.message.id, body=body))
    return kept


def take_back(
    tx: Transaction,
    province: Province,
    kept: KeptRevision,
    uploaded: bytes,
    *,
    by: str,
    now: datetime,
    found: Signed | None = None,
) -> TakenBack:
    """Take the document *uploaded*, which must be the report *kept*, the newest revision, signed by an official who may.

    *found*: what `verify_official_signature` said of the two, where that was done before, outside the transaction; else it is done here.
    The same document again is the same message.  Raises Rejected: as `verify_official_signature` and `judge_official` do, `report-already-signed`,
    `report-other-revision` where somebody made another one meanwhile, `report-not-closed` where the revision has gone on without
    a signature.
    """
    report, officials = kept.said.report, province.config.officials
    unit, revision = report.total.unit, kept.said.revision
    transactions.one_at_a_time(tx, [f"report {report.form.id} {unit} {report.period.text}"])
    if found is None:
        found = signed.verify_official_signature(blobs.read_blob(tx, kept.message.sha256), uploaded)
    if officials is None:
        raise Rejected(Problem("official-unknown", "hub.toml: [officials]"))
    ancestors = list_unit_lineage(unit_registry.list_registry_units(tx), unit)
    official = signed.judge_official(found, officials, ancestors, report.made_at, now)
    name = name_of(reports.NAME, report.form.id, unit, report.period.text, revision, signed=True)
    said = {"revision": revision, "official": official, "certificate": found.certificate, "at": found.at}
    known = search.find_accepted_message(tx, HUB, name)
    if known is not None:
        if blobs.read_blob(tx, known.sha256) != uploaded:
            raise Rejected(Problem("report-already-signed", name))
        return TakenBack(message=known, fresh=False, **said)  # type: ignore[arg-type]
    *_, standing = revisions.list_revisions(tx, unit, report.form.id, report.period.text)
    if standing.revision != revision:
        raise Rejected(Problem("report-other-revision", f"{name}: the newest is {standing.revision}"))
    if standing.state is not ReportState.CLOSED:
        raise Rejected(Problem("report-not-closed", f"{name}: {standing.state}"))
    message = _take(tx, province, reports.NAME, uploaded, name, (), now)
    body = {
        "revision": revision,
        "official": official.code,
        "name": official.name,
        "subject": found.certificate.subject.rfc4514_string(),
        "serial": f"{found.certificate.serial_number:x}",
        "certificate": certificate_fingerprint(found.certificate),
        "signed-at": found.at.isoformat(),
        "by": by,
    }
    events.append_events(tx, Event("report-signed", now, message.id, body=body))
    return TakenBack(message=message, fresh=True, **said)  # type: ignore[arg-type]


def turn_away(tx: Transaction, kept: KeptRevision, rejected: Rejected, sha256: str, *, by: str, now: datetime) -> None:
    """Write down that a document, of that SHA-256, was not taken as *kept*, signed, and why."""
    problems = [attrs.asdict(problem) for problem in rejected.problems]
    body = {"revision": kept.said.revision, "sha256": sha256, "problems": problems, "by": by}
    events.append_events(tx, Event("report-signature-refused", now, kept.message.id, body=body))


def hand_in(
    tx: Transaction, province: Province, counted: CountedReport, partner: str, *, reason: str, by: str, now: datetime
) -> KeptRevision:
    """Write the report down, and the duty to bring it to *partner*; once, however often it is asked for.

    What an official has signed goes as it was signed, whatever the numbers would be now (then it is `behind`), unless *reason* asks
    for another revision.  Raises Unended, Unclosed, Unreasoned, Unsigned.
    """
    officials, before = province.config.officials, _newest_of(tx, counted)
    document = None if before is None else revisions.signed_message(tx, before.said)
    if before is not None and document is not None and not reason:
        _bring(tx, document, _routes((partner,)), now)
        behind = not before.said.says(counted.report, evidence.hash_evidence(counted.lines))
        kept = KeptRevision(message=document, said=before.said, behind=behind)
    elif officials is not None and officials.required:
        raise Unsigned
    else:
        kept = _keep(tx, province, reports.NAME, counted, (partner,), reason=reason, by=by, now=now)
        document = revisions.signed_message(tx, kept.said)
        if document is not None:  # the reason made no other revision
            _bring(tx, document, _routes((partner,)), now)
            kept = attrs.evolve(kept, message=document)
    body = {"partner": partner, "by": by}
    events.append_events(tx, Event("report-handed-in", now, kept.message.id, body=body))
    return kept


def publish_report(
    tx: Transaction, province: Province, counted: CountedReport, *, reason: str, by: str, now: datetime
) -> KeptRevision:
    """Write down that *by* has published the report, and the duty to bring it to each partner that takes `publications`.

    Raises Unended, Unclosed, Unreasoned.
    """
    everyone = province.config.partners.values()
    takers = [each.code for each in everyone if publications.NAME in each.services and each.receive is Receive.PUSH]
    kept = _keep(tx, province, publications.NAME, counted, takers, reason=reason, by=by, now=now)
    if kept.fresh:
        body = {"by": by, "reason": reason, "revision": kept.said.revision}
        events.append_events(tx, Event("report-published", now, kept.message.id, body=body))
    return kept


def _keep(
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
    transactions.one_at_a_time(tx, [f"report {report.form.id} {report.total.unit} {report.period.text}"])
    before = _newest_of(tx, counted)
    same = before is not None and before.said.says(report, evidence.hash_evidence(counted.lines))
    if before is not None and same and not (reason and service == reports.NAME and _returned(tx, before)):
        content, revision = blobs.read_blob(tx, before.message.sha256), before.said.revision
    elif before is not None and not reason:
        raise Unreasoned(before.said.revision)
    else:
        revision = before.said.revision + 1 if before is not None else 1
        content = sealed.seal_report(counted.report, counted.names, counted.lines, province.config.identity, revision)
    name = name_of(service, report.form.id, report.total.unit, report.period.text, revision)
    routes = _routes(partners)
    known = search.find_accepted_message(tx, HUB, name)
    if known is not None:
        if not _is_signed(tx, service, before):
            _bring(tx, known, routes, now)
        return KeptRevision(message=known, said=sealed.read_sealed_report(content))
    taken = _take(tx, province, service, content, name, routes, now)
    if before is not None and revision > before.said.revision:
        body = {"revision": revision, "reason": reason, "by": by}
        events.append_events(tx, Event("report-revised", now, taken.id, body=body))
    return KeptRevision(message=taken, said=sealed.read_sealed_report(content), fresh=True)


def _is_signed(tx: Transaction, service: str, before: KeptRevision | None) -> bool:
    """Tell whether what goes is the signed document beside this one."""
    return service == reports.NAME and before is not None and revisions.signed_message(tx, before.said) is not None


def _take(
    tx: Transaction,
    province: Province,
    service: str,
    content: bytes,
    name: str,
    routes: tuple[Route, ...],
    now: datetime,
) -> Message:
    """Write a message of our own."""
    judged = admission.judge_record(list_services()[service], content, name, HUB, province, now, new_id(now))
    taken = messages.record_message(tx, attrs.evolve(judged, routes=routes), province.routes)
    assert not taken.problems, taken.problems
    return search.read_message(tx, taken.id)


def _routes(partners: tuple[str, ...] | list[str]) -> tuple[Route, ...]:
    return tuple(Route(code, code, code, DeliveryState.WAITING) for code in partners)


def _newest_of(tx: Transaction, counted: CountedReport) -> KeptRevision | None:
    report = counted.report
    return read_newest_revision(tx, report.total.unit, report.form.id, report.period.text)


def _bring(tx: Transaction, known: Message, routes: tuple[Route, ...], now: datetime) -> None:
    """Make the deliveries to partners that had none yet."""
    there = {each.recipient for each in deliveries.of_message(tx, known.id)}
    lane = tx.scalar(sa.select(message.c.lane).where(message.c.id == known.id)) or ""
    missing = [route for route in routes if route.recipient not in there]
    if missing:
        deliveries.make_deliveries(tx, known.id, missing, now, lane=lane)


def _returned(tx: Transaction, before: KeptRevision) -> bool:
    """Tell whether this revision came back."""
    report = before.said.report
    key = reports.revision_key(report.form.id, report.total.unit, report.period.text, before.said.revision)
    return any(each.result == reports.RETURNED for each in revisions.list_revision_verdicts(tx, report.total.unit, key))


def _said(tx: Transaction, kept: Message) -> Sealed:
    return sealed.read_sealed_report(blobs.read_blob(tx, kept.sha256))
