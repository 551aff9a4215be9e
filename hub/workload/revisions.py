"""Reads the revisions of a unit's report from the journal: when each was closed, signed and submitted, and the
receiver's verdict.

Knows the ids of the hub's own messages and the events of each step. Changes nothing. States follow from
`hub.domain.lifecycle` alone.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain import lifecycle
from hub.domain.lifecycle import ReportEvent
from hub.domain.model import HUB, Message, MessageState, ReportState
from hub.journal import blobs, events
from hub.journal.searching import message_reading
from hub.report.signed.sealed import Sealed
from hub.services import publications, reports, verdicts
from hub.store.tables import SEARCHED, fact, message
from hub.store.transactions import Transaction

_DRAFTED, _SIGNED, _SIGNED_PDF = "drafted", "signed", "signed-pdf"
#: Units that one query names.
_NAMED = 200


class EarlyStep(StrEnum):
    """The state of a report before its first revision."""

    RUNNING = "running"  #: the period has not ended
    MONTH_OPEN = "month-open"  #: a month of the period is not closed
    READY = "ready"  #: the report may be given out


@attrs.frozen(kw_only=True)
class SignatureStamp:
    """The time stamp that proves when a signature was made."""

    at: datetime  #: by the clock of the authority
    by: str  #: the subject of the authority's certificate
    certificate: str  #: the SHA-256 of that certificate
    serial: str  #: the number of the time stamp, in hexadecimal


@attrs.frozen(kw_only=True)
class RevisionSignature:
    """The signature on a revision."""

    message: str  #: the hub's id of the signed document
    sha256: str  #: the SHA-256 of its octets
    official: str
    name: str
    subject: str  #: the subject of the certificate
    serial: str  #: the serial number of the certificate, in hexadecimal
    signed_at: str  #: the time of signing, by the official's clock
    at: datetime  #: when the hub received it
    format: str = "xml"  #: or `pdf`
    stamp: SignatureStamp | None = None  #: the earliest time stamp on it


@attrs.frozen(kw_only=True)
class ReportSubmission:
    """The submission of a revision to a partner."""

    partner: str
    by: str
    at: datetime


@attrs.frozen(kw_only=True)
class RevisionVerdict:
    """A partner's verdict on a revision."""

    result: str  #: `reports.ACCEPTED` or `RETURNED`
    by: str  #: the code of the partner
    at: datetime
    reasons: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Revision:
    """One revision and its history, as the journal has it."""

    revision: int
    state: ReportState
    message: str  #: the hub's id of the sealed report
    sha256: str
    closed_at: datetime
    reason: str = ""  #: why this revision was made; "" for the first
    by: str = ""  #: the person who made this revision; "" for the first
    #: the signature of the person who drew it up, where two persons sign
    drafting: RevisionSignature | None = None
    signing: RevisionSignature | None = None  #: the only signature, or that of the head of the unit
    handed_in: tuple[ReportSubmission, ...] = ()
    verdicts: tuple[RevisionVerdict, ...] = ()


def name_revision(
    service: str,
    form: str,
    unit: str,
    period: str,
    revision: int,
    *,
    signed: bool = False,
    drafted: bool = False,
    pdf: bool = False,
) -> str:
    """Return the message id of a revision of a report, or of the document with an official's signature (*signed*), with
    the first of two signatures (*drafted*), or of its signed PDF (*pdf*).
    """
    step = f"/{_SIGNED}" if signed else f"/{_DRAFTED}" if drafted else f"/{_SIGNED_PDF}" if pdf else ""
    return f"{service}/{form}/{unit}/{period}/{revision}{step}"


def list_sealed_messages(tx: Transaction, unit: str, form: str, period: str) -> list[Message]:
    """Return the sealed message of each revision, in the order of arrival. A revision that was both submitted and
    published occurs twice.
    """
    names = [f"{service}/{form}/{unit}/{period}/" for service in (reports.NAME, publications.NAME)]
    begins = sa.or_(*(message.c.message_id.startswith(name, autoescape=True) for name in names))
    rows = tx.execute(
        sa.select(message)
        .where(message.c.partner == HUB, message.c.state == MessageState.ACCEPTED, SEARCHED, begins)
        .order_by(message.c.received_at, message.c.id)
    ).mappings()
    return [
        one for one in map(message_reading.read_message_row, rows) if _before_number(one) in names
    ]  # SQLite's LIKE ignores case


def _before_number(one: Message) -> str:
    """Return the message id of a revision without its number. For a document with an official's signature, the result
    equals the start of no revision's id.
    """
    before, slash, _ = (one.message_id or "").rpartition("/")
    return before + slash


def find_signed_message(tx: Transaction, said: Sealed) -> Message | None:
    """Return the document with an official's signature on the sealed report *said*; None if no official has signed
    it.
    """
    return message_reading.find_accepted_message(tx, HUB, name_revision(*_name_parts(said), signed=True))


def find_drafted_message(tx: Transaction, said: Sealed) -> Message | None:
    """Return the document with the drafter's signature on the sealed report *said*, where two persons sign; None if the
    drafter has not signed it.
    """
    return message_reading.find_accepted_message(tx, HUB, name_revision(*_name_parts(said), drafted=True))


def find_signed_pdf(tx: Transaction, said: Sealed) -> Message | None:
    """Return the message with the signed PDF of the sealed report *said*; None if there is none."""
    return message_reading.find_accepted_message(tx, HUB, name_revision(*_name_parts(said), pdf=True))


def find_submittable_message(tx: Transaction, said: Sealed) -> Message | None:
    """Return what is submitted of the signed report *said*: the signed document, or, where the PDF was signed, the sealed
    report; None if no official has signed it.
    """
    document = find_signed_message(tx, said)
    if document is None and find_signed_pdf(tx, said) is not None:
        return message_reading.find_accepted_message(tx, HUB, name_revision(*_name_parts(said)))
    return document


def _name_parts(said: Sealed) -> tuple[str, str, str, str, int]:
    report = said.report
    return reports.NAME, report.form.id, report.total.unit, report.period.text, said.revision


def list_revisions(tx: Transaction, unit: str, form: str, period: str) -> list[Revision]:
    """Return every revision of the report, oldest first."""
    first: dict[int, Message] = {}
    for one in list_sealed_messages(tx, unit, form, period):
        first.setdefault(int((one.message_id or "").rpartition("/")[2]), one)
    return [_read_revision(tx, unit, form, period, number, first[number]) for number in sorted(first)]


def find_newest_revisions(tx: Transaction, units: Collection[str], form: str, period: str) -> dict[str, Revision]:
    """Return the newest revision of the report of each of *units* that has one, by unit.

    Reads by message ids and not by prefixes: a few statements for each 200 units and revision, whatever else the
    journal has.
    """
    found: dict[str, Revision] = {}
    rest = iter(units)
    while some := list(islice(rest, _NAMED)):
        newest = _find_newest_messages(tx, some, form, period)
        named = message_reading.find_accepted_messages(
            tx,
            HUB,
            [name for unit, (number, _) in newest.items() for name in _name_documents(form, unit, period, number)],
        )
        told = events.read_events_of_messages(
            tx, {one.id for one in (*named.values(), *(m for _, m in newest.values()))}
        )
        keys = {unit: reports.make_revision_key(form, unit, period, number) for unit, (number, _) in newest.items()}
        outcomes = _read_verdicts(tx, keys)
        for unit, (number, first) in newest.items():
            kept = [named.get(name) for name in _name_documents(form, unit, period, number)]
            found[unit] = _assemble_revision(number, first, kept, told, outcomes.get(unit, []))
    return found


def _find_newest_messages(
    tx: Transaction, units: Sequence[str], form: str, period: str
) -> dict[str, tuple[int, Message]]:
    """Return number and message of the newest revision of each of *units* that has one. Revisions have no gaps."""
    found: dict[str, tuple[int, Message]] = {}
    number, rest = 1, list(units)
    while rest:
        names = {
            name_revision(service, form, unit, period, number): unit
            for unit in rest
            for service in (reports.NAME, publications.NAME)
        }
        there = message_reading.find_accepted_messages(tx, HUB, names)
        rest = []
        for one in sorted(there.values(), key=lambda each: (each.received_at, each.id)):
            unit = names[one.message_id or ""]
            if found.get(unit, (0, one))[0] < number:
                found[unit] = (number, one)
                rest.append(unit)
        number += 1
    return found


def _name_documents(form: str, unit: str, period: str, number: int) -> tuple[str, ...]:
    """Return the message ids of the sealed report, with the drafter's signature, signed, and as a signed PDF."""
    parts = (reports.NAME, form, unit, period, number)
    return (
        name_revision(*parts),
        name_revision(*parts, drafted=True),
        name_revision(*parts, signed=True),
        name_revision(*parts, pdf=True),
    )


def list_revision_verdicts(tx: Transaction, unit: str, key: str) -> list[RevisionVerdict]:
    """Return the verdicts on the revision with the business key *key*, in the order of time."""
    return _read_verdicts(tx, {unit: key}).get(unit, [])


def _read_verdicts(tx: Transaction, keys: Mapping[str, str]) -> dict[str, list[RevisionVerdict]]:
    """Return the verdicts on the revisions with the business keys *keys*, by unit, each in the order of time."""
    which = sa.tuple_(fact.c.unit, fact.c.service, fact.c.key).in_(
        [(unit, reports.NAME, key) for unit, key in keys.items()]
    )
    rows = tx.execute(
        sa.select(fact.c.unit, fact.c.milestone, fact.c.at, fact.c.message, fact.c.counterpart)
        .where(which, fact.c.milestone.in_((reports.ACCEPTED, reports.RETURNED)))
        .order_by(fact.c.at)
    ).all()
    found: dict[str, list[RevisionVerdict]] = {}
    for row in rows:
        verdict = RevisionVerdict(
            result=row.milestone, by=row.counterpart or "", at=row.at, reasons=_read_reasons(tx, row.message)
        )
        found.setdefault(row.unit, []).append(verdict)
    return found


def _read_reasons(tx: Transaction, verdict: str) -> tuple[str, ...]:
    try:
        return verdicts.read_verdict_reasons(blobs.read_blob(tx, message_reading.read_message(tx, verdict).sha256))
    except KeyError:
        return ()  # its message is no longer kept, only the fact


def _read_revision(tx: Transaction, unit: str, form: str, period: str, number: int, first: Message) -> Revision:
    key = reports.make_revision_key(form, unit, period, number)
    kept = [
        message_reading.find_accepted_message(tx, HUB, name) for name in _name_documents(form, unit, period, number)
    ]
    told = events.read_events_of_messages(tx, {one.id for one in (first, *kept) if one is not None})
    return _assemble_revision(number, first, kept, told, list_revision_verdicts(tx, unit, key))


def _assemble_revision(
    number: int,
    first: Message,
    documents: Sequence[Message | None],
    told: Mapping[str, Sequence[Mapping[str, Any]]],
    outcomes: list[RevisionVerdict],
) -> Revision:
    """Return a revision from its *documents* (`_name_documents`), their events *told* and the verdicts on it."""
    sealed, drafted, signed, paper = documents
    kept = (first, *documents)
    happened = [each for one in kept if one is not None for each in told.get(one.id, ())]
    revised: Mapping[str, Any] = next((each for each in happened if each["event"] == "report-revised"), {})
    drafting, signing = (
        next((_read_signing(one, each) for each in happened if one and each["event"] == name), None)
        for one, name in ((drafted, "report-drafted"), (signed or paper, "report-signed"))
    )
    handed = {(each["at"], each["partner"]): each for each in happened if each["event"] == "report-handed-in"}
    handed_in = tuple(
        ReportSubmission(partner=str(each["partner"]), by=str(each["by"]), at=_read_moment(each["at"]))
        for each in sorted(handed.values(), key=lambda each: str(each["at"]))
    )
    return Revision(
        revision=number,
        state=_judge_report_state(drafting, signing, handed_in, outcomes),
        message=(sealed or first).id,
        sha256=first.sha256,
        closed_at=first.received_at,
        reason=str(revised.get("reason", "")),
        by=str(revised.get("by", "")),
        drafting=drafting,
        signing=signing,
        handed_in=handed_in,
        verdicts=tuple(outcomes),
    )


def _judge_report_state(
    drafting: RevisionSignature | None,
    signing: RevisionSignature | None,
    handed_in: tuple[ReportSubmission, ...],
    outcomes: list[RevisionVerdict],
) -> ReportState:
    """Return the state that the history leads to, by the transition table of `hub.domain.lifecycle`.

    The steps are applied in this order: the signatures, the submission, the verdicts. Two partners may each give a
    verdict.
    """
    words = {reports.ACCEPTED: ReportEvent.ACCEPT, reports.RETURNED: ReportEvent.RETURN}
    steps = [ReportEvent.CLOSE]
    steps += [ReportEvent.DRAFT] if drafting else []
    steps += [ReportEvent.SIGN] if signing else []
    steps += [ReportEvent.SUBMIT] if handed_in else []
    steps += [words[each.result] for each in outcomes if handed_in]
    state = ReportState.OPEN
    for step in steps:
        state = lifecycle.move_report(state, step)
    return state


def _read_signing(signed: Message, event: Mapping[str, Any]) -> RevisionSignature:
    said = {name: str(event[name]) for name in ("official", "name", "subject", "serial")}
    return RevisionSignature(
        message=signed.id,
        sha256=signed.sha256,
        signed_at=str(event["signed-at"]),
        at=signed.received_at,
        format=str(event.get("format", "xml")),
        stamp=_read_stamp(event) if "stamped-at" in event else None,
        **said,
    )


def _read_stamp(event: Mapping[str, Any]) -> SignatureStamp:
    by, certificate, serial = (str(event[name]) for name in ("stamped-by", "stamp-certificate", "stamp-serial"))
    return SignatureStamp(at=_read_moment(event["stamped-at"]), by=by, certificate=certificate, serial=serial)


def _read_moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)
