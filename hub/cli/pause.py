"""`lienthong pause` and `lienthong resume`: an operator pauses and resumes the sending to a partner."""

import getpass
from datetime import UTC, datetime

import click

from hub.cli.journal import open_journal, read_journal_config
from hub.cli.screen import NOT_FOUND, USAGE, CommandStop, Screen, say_count, t
from hub.config import Config
from hub.domain.model import Receive
from hub.journal.queue import deliveries, partner_state
from hub.journal.replays.replay import TOGETHER
from hub.store import transactions


def pause_sending(screen: Screen, code: str, reason: str) -> None:
    if _pause_sending(screen, code, reason.strip()):
        screen.note(t("Sending to {code} is paused.", code=code))
    else:
        screen.note(t("{code} was already paused.", code=code))


def resume_sending(screen: Screen, code: str, reason: str) -> None:
    changed, resumed = _resume_sending(screen, code, reason.strip())
    if changed:
        screen.note(t("Sending to {code} is resumed.", code=code))
    if resumed:
        screen.note(t("Suspended deliveries that wait again: {count}.", count=say_count(resumed)))
    if not changed and not resumed:
        screen.note(t("{code} was not paused.", code=code))


def _pause_sending(screen: Screen, code: str, reason: str) -> bool:
    """Pause the sending. Return False if it is already paused."""
    config = _read_config(screen, code)
    if not reason:
        raise click.UsageError(t("--reason must not be empty"))
    with open_journal(config) as engine, transactions.write_transaction(engine) as tx:
        changed = partner_state.pause_partner(tx, code, reason=reason, by=getpass.getuser(), now=datetime.now(UTC))
    screen.row({"code": code, "paused": True, "changed": changed}, code)
    return changed


def _resume_sending(screen: Screen, code: str, reason: str) -> tuple[bool, int]:
    """Resume the sending, and then the suspended deliveries, in batches, so that a running hub never waits long.

    Return whether there was a pause or an open breaker, and the number of deliveries.
    """
    by, resumed = getpass.getuser(), 0
    with open_journal(_read_config(screen, code)) as engine:
        with transactions.write_transaction(engine) as tx:
            changed = partner_state.resume_partner(tx, code, reason=reason, by=by, now=datetime.now(UTC))
        while True:
            with transactions.write_transaction(engine) as tx:
                now = datetime.now(UTC)
                moved = deliveries.resume_deliveries(tx, code, TOGETHER, reason=reason, by=by, now=now)
            resumed += len(moved)
            if len(moved) < TOGETHER:
                break
    screen.row({"code": code, "paused": False, "changed": changed or bool(resumed), "resumed": resumed}, code)
    return changed, resumed


def _read_config(screen: Screen, code: str) -> Config:
    """Return the configuration. Raises `CommandStop` if the hub does not push to the partner *code*."""
    config = read_journal_config(screen)
    partner = config.partners.get(code)
    if partner is None and not (config.path.parent / "partners" / f"{code}.toml").exists():
        raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND)
    if partner is not None and partner.receive is not Receive.PUSH:
        raise CommandStop(t("the hub does not push to {code}", code=code), USAGE)
    return config
