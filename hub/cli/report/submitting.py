"""`lienthong report submit` and `publish`, and the XML file for signing: the ways by which a report leaves the hub.

Contains the dialogue only, no SQL.
"""

import getpass
from datetime import UTC, datetime

import click

from hub.cli.journal import open_journal
from hub.cli.report.declared import read_report_sources
from hub.cli.screen import NOT_FOUND, UNAVAILABLE, CommandStop, Screen, t
from hub.config import Config, read_config
from hub.domain import local_time
from hub.domain.errors import Unready
from hub.domain.model import Receive
from hub.journal import blobs, unit_registry
from hub.report.form import book
from hub.services.reports import NAME
from hub.store import transactions
from hub.store.transactions import Transaction
from hub.units.province import Province
from hub.workload import submission
from hub.workload.submission import CountedReport, KeptRevision


def submit_report(screen: Screen, unit: str, period: str, form: str, partner: str, reason: str) -> None:
    _submit_or_publish(screen, unit, period, form, partner, reason.strip())


def publish_report(screen: Screen, unit: str, period: str, form: str, reason: str) -> None:
    if not reason.strip():
        raise click.UsageError(t("--reason is needed"))
    _submit_or_publish(screen, unit, period, form, None, reason.strip())


def _submit_or_publish(screen: Screen, unit: str, period: str, form: str, partner: str | None, reason: str) -> None:
    """Submit a report to *partner*, or publish it if *partner* is None."""
    config, now = read_config(screen.config), datetime.now(UTC)
    if partner is not None:
        check_taker(config, partner)
    with open_journal(config, counts=book.read_book(config.reports).services(form)) as engine:
        try:
            with transactions.write_transaction(engine) as tx:
                kept = _write_down(tx, config, unit, period, form, partner, reason, now)
        except submission.Unended:
            raise CommandStop(t("the period {period} has not ended", period=period)) from None
        except submission.Unclosed as unclosed:
            raise CommandStop(
                t("{unclosed} is not closed; lienthong report close {unclosed} closes it", unclosed=unclosed),
            ) from None
        except submission.Unreasoned as unreasoned:
            raise CommandStop(
                t("the numbers differ from revision {unreasoned}; a new one needs --reason", unreasoned=unreasoned),
            ) from None
        except submission.OfDrill:
            raise CommandStop(t("{unit} is a test unit of a drill: its reports stay in the hub", unit=unit)) from None
        except submission.Unsigned:
            raise CommandStop(
                t(
                    "the report is not signed: get it with report show --format xml, sign it, then import it with "
                    "report import-signed"
                ),
            ) from None
        except Unready as unready:
            why = unready.problem.detail
            raise CommandStop(t("cannot be sealed now: {why}", why=why), UNAVAILABLE) from None
    if kept.behind:
        _say_behind(screen, kept.said.revision)
    said = {"message": kept.message.id, "message_id": kept.message.message_id, "revision": kept.said.revision}
    made = kept.fresh and t("recorded")
    text = f"{kept.message.message_id}: {made or t('already recorded')}"
    screen.row({**said, "fresh": kept.fresh}, text)


def issue_report(screen: Screen, unit: str, period: str, form: str, reason: str) -> bytes | None:
    """Return the sealed report of an ended period: the same octets each time. None while the period has not ended.

    The first call records the report in the journal and closes it. After that, only a *reason* makes a new revision.
    Where two persons sign, it is the document with the first signature as soon as there is one.
    """
    config, now = read_config(screen.config), datetime.now(UTC)
    with open_journal(config, counts=book.read_book(config.reports).services(form)) as engine:
        try:
            with transactions.write_transaction(engine) as tx:
                province, counted, by = count_for_release(tx, config, unit, period, form, now)
                kept = submission.issue_report(tx, province, counted, reason=reason, by=by, now=now)
                content = blobs.read_blob(tx, submission.read_signing_base(tx, kept).sha256)
        except submission.Unended:
            return None
        except submission.Unclosed as unclosed:
            screen.note(
                t(
                    "{unclosed} is not closed: this file is only for viewing, not for signing. Close it: lienthong "
                    "report close {unclosed}.",
                    unclosed=unclosed,
                ),
            )
            return None
        except Unready as unready:
            why = unready.problem.detail
            raise CommandStop(t("cannot be sealed now: {why}", why=why), UNAVAILABLE) from None
    if kept.behind:
        _say_behind(screen, kept.said.revision)
    return content


def _say_behind(screen: Screen, revision: int) -> None:
    screen.note(
        t(
            "This is revision {revision}; the numbers have changed since. report show --format xml --reason "
            "makes a new one.",
            revision=revision,
        ),
    )


def check_taker(config: Config, code: str) -> None:
    """Check that the partner *code* takes reports. Raises `CommandStop` and `UsageError`."""
    partner = config.partners.get(code)
    if partner is None:
        raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND)
    if NAME not in partner.services or partner.receive is not Receive.PUSH:
        raise click.UsageError(t('{code} takes no reports: services = ["{name}"]', code=code, name=NAME))


def _write_down(
    tx: Transaction,
    config: Config,
    unit: str,
    period: str,
    form: str,
    partner: str | None,
    reason: str,
    now: datetime,
) -> KeptRevision:
    """Record the report in the journal: for *partner*, or as published if *partner* is None."""
    province, counted, by = count_for_release(tx, config, unit, period, form, now)
    if partner is None:
        return submission.publish_report(tx, province, counted, reason=reason, by=by, now=now)
    return submission.submit_report(tx, province, counted, partner, reason=reason, by=by, now=now)


def count_for_release(
    tx: Transaction, config: Config, unit: str, period: str, form: str, now: datetime
) -> tuple[Province, CountedReport, str]:
    """Return the province, the report as counted now, and the user's name. Raises `UsageError` and `CommandStop`."""
    asked = read_report_sources(tx, unit, period, form, book.read_book(config.reports))
    with asked.open_evidence(now) as gathered:
        counted, lines, wrong = gathered.report, gathered.listing.summary, gathered.differences
    if wrong:
        units = ", ".join(each.unit for each in wrong)
        raise CommandStop(
            t(
                "the evidence of {units} has changed since the closing; run lienthong report close {period} "
                "--form {form}",
                units=units,
                period=period,
                form=form,
            ),
        )
    made = submission.CountedReport(
        report=counted,
        names=dict(asked.names),
        lines=lines,
        open_month=submission.find_open_month(tx, asked.form, asked.period),
    )
    return (
        Province.of(config, unit_registry.read_unit_index(tx, local_time.find_local_day(now))),
        made,
        getpass.getuser(),
    )
