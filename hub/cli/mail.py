"""`lienthong mail`: counts the usage of the shared mail in its logs, and records the figures in the journal."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from hub.cli.journal import open_journal
from hub.cli.screen import CommandStop, Screen, read_language, say_count, t
from hub.cli.words import say_word
from hub.config import read_config
from hub.domain.errors import describe_problem
from hub.domain.local_time import find_local_day as today
from hub.intake import mail_usage
from hub.journal import duties, unit_registry
from hub.services.mail import FIGURES, NAME
from hub.services.mail import log as mail_log
from hub.store import transactions
from hub.units.province import Province


def usage(
    screen: Screen,
    logs: Sequence[IO[str]],
    day: datetime,
    since: datetime | None,
    directory: Path,
    quotas: IO[str] | None,
    zone: str,
    correction: str,
    yes: bool,
) -> None:
    first = None if since is None else since.date()
    if first is not None and (quotas is not None or first > day.date()):
        raise CommandStop(t("--since goes with no --quotas, and is not after --day"))
    try:
        known = mail_log.MailDirectory.read(directory.read_text("utf-8"))
        place = ZoneInfo(zone)
        tally = mail_log.count_mail_log(
            _list_log_lines(logs), known, day.date(), since=first, quotas=quotas or (), zone=place
        )
    except ZoneInfoNotFoundError:
        raise CommandStop(t("there is no time zone {zone}", zone=zone)) from None
    except ValueError as error:
        raise CommandStop(str(error)) from None
    nowhere = tally.get(mail_log.NOBODY, {})
    refused = ""
    if yes:
        tally, refused = _hand_in(screen, tally, day.date(), first, correction)
    _print_mail_tally(screen, {unit: figures for unit, figures in tally.items() if unit != mail_log.NOBODY})
    if nowhere:
        said = ", ".join(f"{say_word('mail', name)}: {say_count(number)}" for name, number in sorted(nowhere.items()))
        click.echo(t("Of no unit: {said}", said=said), err=True)
    if refused:
        raise CommandStop(refused)
    if not yes:
        click.echo(t("Nothing was recorded; add --yes to record it."), err=True)


def _hand_in(
    screen: Screen, tally: dict[str, dict[str, int]], day: date, since: date | None, correction: str
) -> tuple[dict[str, dict[str, int]], str]:
    """Record the count, or its difference from earlier figures. Return what was recorded, and why it was refused."""
    config, now = read_config(screen.config), datetime.now(UTC)
    with open_journal(config, counts=[NAME] if correction else ()) as engine:
        with transactions.write_transaction(engine) as tx:
            province = Province.of(config, unit_registry.read_unit_index(tx, today(now)))
            if correction:
                canonical = {province.routes.canonical(unit): figures for unit, figures in tally.items()}
                tally = mail_usage.subtract_tally(canonical, mail_usage.read_told_usage(tx, day, since))
            if not set(tally) - {mail_log.NOBODY}:
                return tally, ""
            taken = mail_usage.record_mail_usage(tx, province, tally, day, now, correction, since)
        duties.write_outstanding_facts(engine)  # no hub may be running, so write the outstanding facts here
    return tally, "; ".join(describe_problem(problem, read_language()) for problem in taken.problems)


def _print_mail_tally(screen: Screen, tally: dict[str, dict[str, int]]) -> None:
    titles = {"unit": t("unit")} | {milestone: say_word("mail", milestone) for milestone in FIGURES.values()}
    screen.table(titles, ({"unit": unit, **figures} for unit, figures in sorted(tally.items())))


def _list_log_lines(logs: Sequence[IO[str]]) -> Iterator[str]:
    for log in logs:
        yield from log
