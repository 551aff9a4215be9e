"""`lienthong report import-signed` and `state`: imports a signed report, and shows the state of each revision.

Contains the dialogue only. Other modules verify the signature and store the report.
"""

import getpass
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import attrs
import click

from hub.cli.journal import open_journal, read_view_config
from hub.cli.report.declared import read_report_sources
from hub.cli.screen import FAILED, NOT_FOUND, UNAVAILABLE, CommandStop, Screen, exit_command, say, t
from hub.cli.words import say_word
from hub.config import Config, read_config, revocation_cache
from hub.config.officials import SignaturePlace
from hub.domain import local_time
from hub.domain.errors import Rejected, Unready, find_error_sentence
from hub.domain.local_time import HANOI
from hub.domain.model import Problem, ReportState
from hub.journal import unit_registry
from hub.language.catalogues import say_both
from hub.report.form import book
from hub.report.form.book import Book
from hub.report.form.form import FormMissing, choose_form
from hub.report.form.period import PeriodUnreadable, parse_period
from hub.report.signed import signed_pdf
from hub.report.signed.minutes import CorrectedCell
from hub.security.certificates import describe_owner, hash_certificate
from hub.security.time_stamps import TimeStamp
from hub.store import transactions
from hub.store.transactions import Transaction
from hub.units.province import Province
from hub.workload import closing_plan, given_paper, revisions, submission
from hub.workload.revisions import Revision
from hub.workload.submission import KeptRevision, SignedReturn

LARGEST = 64 * 1024 * 1024  #: maximum octets of a signed report; the report of 989 units has about 3 MB


def import_signed(screen: Screen, unit: str, period: str, form: str, file: Path) -> None:
    if file.stat().st_size > LARGEST:
        raise click.UsageError(t("{file} is too large", file=file))
    uploaded, config, now = file.read_bytes(), read_config(screen.config), datetime.now(UTC)
    revocation_cache.set_revocation_answers(config, revocation_cache.load_revocation_answers(config, now))
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            code, text = _normalise_report_name(tx, unit, period, form, book.read_book(config.reports))
        try:
            with transactions.write_transaction(engine) as tx:
                kept = submission.read_newest_revision(tx, code, form, text)
                taken = accept_document(tx, config, kept, uploaded, now)
        except Rejected as rejected:
            with transactions.write_transaction(engine) as tx:
                record_refusal(tx, code, form, text, rejected, uploaded, now)
            _refuse_signed_report(screen, rejected)
        except Unready as unready:
            why = unready.problem.detail
            raise CommandStop(t("no receipt can be written now: {why}", why=why), UNAVAILABLE) from None
    subject = taken.certificate.subject.rfc4514_string()
    fields = {
        "message": taken.message.id,
        "message_id": taken.message.message_id,
        "revision": taken.revision,
        "place": taken.place,
        "official": taken.official.code,
        "name": taken.official.name,
        "subject": subject,
        "serial": f"{taken.certificate.serial_number:x}",
        "signed_at": taken.at,
        "stamp": None if taken.stamp is None else _describe_stamp(taken.stamp),
        "sha256": taken.message.sha256,
        "fresh": taken.fresh,
    }
    made = t("signed report accepted") if taken.fresh else t("already recorded")
    if taken.place is SignaturePlace.DRAFTER:
        made = f"{made}; {say_word('reports', ReportState.DRAFTED)}"
    lines = [f"{taken.message.message_id}: {made}; {taken.official.name} ({subject})"]
    if taken.stamp is not None:
        lines.append(f"  {_say_stamp(taken.stamp.at, describe_owner(taken.stamp.certificate))}")
    screen.row(fields, "\n".join(lines))


def show_state(screen: Screen, unit: str, period: str, form: str) -> None:
    config = read_view_config(screen, "reports", "services")
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        code, text = _normalise_report_name(tx, unit, period, form, book.read_book(config.reports))
        found = revisions.list_revisions(tx, code, form, text)
        told = {each.revision: each for each in given_paper.make_minutes(tx, found)} if len(found) > 1 else {}
    asked: Mapping[str, object] = {"form": form, "unit": code, "period": text}
    if not found:
        fields = {**asked, "revision": None, "state": "open"}
        screen.row(fields, f"{form} {code} {text}: {say_word('reports', 'open')}")
    for each in found:
        minutes = told.get(each.revision)
        changed = [] if minutes is None else [_describe_cell(cell) for cell in minutes.cells]
        fields = {**asked, **attrs.asdict(each), "changed": changed, "more_changed": minutes.more if minutes else 0}
        lines = [*_describe_revision(f"{form} {code} {text}", each), *_say_changed(changed, fields["more_changed"])]
        screen.row(fields, "\n".join(lines))


def _describe_cell(cell: CorrectedCell) -> dict[str, object]:
    """Return a cell that a revision corrected, as JSON has it."""
    was, now = (each if each is None or isinstance(each, int) else float(each) for each in (cell.was, cell.now))
    return {"unit": cell.unit or None, "column": cell.column, "was": was, "now": now}


def _say_changed(changed: Sequence[Mapping[str, object]], more: object) -> list[str]:
    lines = [
        f"  {each['unit'] or t('total')} {each['column']}: {_or_none(each['was'])} → {_or_none(each['now'])}"
        for each in changed
    ]
    return [*lines, f"  … (+{more})"] if more else lines


def _or_none(value: object) -> object:
    return "–" if value is None else value


def _describe_revision(name: str, found: Revision) -> list[str]:
    """Return the lines that describe one revision."""
    lines = [f"{name} {t('revision')} {found.revision}: {say_word('reports', found.state)}"]
    why = f": {found.reason} ({found.by})" if found.reason else ""
    lines.append(f"  {_say_moment(found.closed_at)}  {t('closed')}{why}")
    for one, what in ((found.drafting, t("signed by the drafter")), (found.signing, t("signed"))):
        if one is not None:
            who = f"{one.name} — {one.subject}, {t('serial')} {one.serial}"
            lines.append(f"  {_say_moment(one.at)}  {what}: {who}")
            if one.stamp is not None:
                lines.append(f"    {_say_stamp(one.stamp.at, one.stamp.by)}")
    lines += [f"  {_say_moment(each.at)}  {t('submitted')}: {each.partner} ({each.by})" for each in found.handed_in]
    for each in found.verdicts:
        reasons = f": {'; '.join(each.reasons)}" if each.reasons else ""
        lines.append(f"  {_say_moment(each.at)}  {say_word('reports', each.result)}: {each.by}{reasons}")
    return lines


def _say_stamp(at: datetime, by: str) -> str:
    return t("time stamp of {time} by {name}", time=_say_moment(at), name=by)


def _describe_stamp(stamp: TimeStamp) -> Mapping[str, object]:
    """Return a time stamp as `report state` has it."""
    by, certificate = describe_owner(stamp.certificate), hash_certificate(stamp.certificate)
    return {"at": stamp.at, "by": by, "certificate": certificate, "serial": f"{stamp.serial:x}"}


def _say_moment(moment: datetime) -> str:
    return f"{moment.astimezone(HANOI):%d/%m/%Y %H:%M}"


def _normalise_report_name(tx: Transaction, unit: str, period: str, form: str, book: Book) -> tuple[str, str]:
    """Return the registry's code of *unit* and the normal form of *period*. Raises `UsageError` and `CommandStop`."""
    try:
        span = parse_period(period, closing_plan.keep_closed_workdays(tx, book).cuts)
        if all(each.period.text != span.text for each in closing_plan.read_closings(tx, form)):
            choose_form(book.forms, form, span)
    except (PeriodUnreadable, FormMissing) as error:
        raise click.UsageError(say(error.said)) from None
    code = unit_registry.resolve_unit_code(tx, unit, span.last)
    if code not in {each.code for each in unit_registry.list_unit_histories(tx)}:
        raise CommandStop(t("there is no unit {unit}", unit=unit), NOT_FOUND)
    return code, span.text


def accept_document(
    tx: Transaction, config: Config, kept: KeptRevision | None, uploaded: bytes, now: datetime
) -> SignedReturn:
    """Accept a signed XML report or PDF of the revision *kept*. Raises Rejected."""
    return (_take_pdf if uploaded.startswith(signed_pdf.BEGINS) else _take_signed_report)(
        tx, config, kept, uploaded, now
    )


def _take_signed_report(
    tx: Transaction, config: Config, kept: KeptRevision | None, uploaded: bytes, now: datetime
) -> SignedReturn:
    if kept is None:
        raise Rejected(Problem("report-not-closed"))
    province = Province.of(config, unit_registry.read_unit_index(tx, local_time.find_local_day(now)))
    return submission.accept_signed_report(tx, province, kept, uploaded, by=getpass.getuser(), now=now)


def _take_pdf(
    tx: Transaction, config: Config, kept: KeptRevision | None, uploaded: bytes, now: datetime
) -> SignedReturn:
    """Accept a signed PDF. Raises Rejected."""
    if kept is None:
        raise Rejected(Problem("report-not-closed"))
    report, officials = kept.said.report, config.officials
    address = (report.total.unit, report.period.text, report.form.id)
    known = book.read_book(config.reports)
    given = given_paper.read_given_paper(tx, read_report_sources(tx, *address, known), known.trust)
    if given is None or officials is None:
        raise Rejected(Problem("official-unknown", "hub.toml: [officials]"))
    papers = given_paper.write_signable_pdfs(given)
    found = signed_pdf.verify_signed_pdf(papers, uploaded, officials.certificates)
    province = Province.of(config, unit_registry.read_unit_index(tx, local_time.find_local_day(now)))
    return submission.accept_signed_pdf(tx, province, kept, uploaded, found, by=getpass.getuser(), now=now)


def record_refusal(
    tx: Transaction, code: str, form: str, period: str, rejected: Rejected, uploaded: bytes, now: datetime
) -> None:
    """Record the refusal, if there is a revision to which it belongs."""
    kept = submission.read_newest_revision(tx, code, form, period)
    if kept is not None:
        sha256 = hashlib.sha256(uploaded).hexdigest()
        submission.record_signature_refusal(tx, kept, rejected, sha256, by=getpass.getuser(), now=now)


def _refuse_signed_report(screen: Screen, rejected: Rejected) -> NoReturn:
    """Print each reason with its advice, and end the command."""
    for problem in rejected.problems:
        sentence = find_error_sentence(problem.code)
        if screen.json:
            vi, en = say_both(sentence)
            screen.row({"code": problem.code, "detail": str(problem.detail), "vi": vi, "en": en}, "")
        detail = f" [{say(problem.detail)}]" if problem.detail else ""
        click.echo(f"{t('Refused')}: {problem.code}: {say(sentence)}{detail}", err=True)
    exit_command(FAILED)
