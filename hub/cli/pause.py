"""`lienthong pause` and `lienthong resume`: an operator pauses and resumes the sending to a partner."""

import getpass
from datetime import UTC, datetime

import click

from hub.cli.screen import NOT_FOUND, USAGE, CommandStop, Screen, command, pass_screen, t


@command(
    "pause",
    t(
        "Pause sending to the partner CODE.\n\nEvery node sees it at once; attempts under way are "
        "finished. Messages for the partner are still accepted and wait. The time of give-up continues "
        "to run, but no waiting delivery becomes a dead letter before resume."
    ),
    'lienthong pause vpub --reason "bảo trì máy chủ đến 17 giờ"',
)
@click.argument("code")
@click.option("--reason", required=True, help=t("Why; it is recorded."))
@pass_screen
def pause_sending(screen: Screen, code: str, reason: str) -> None:
    if _tell(screen, code, reason, paused=True):
        screen.note(t("Sending to {code} is paused.", code=code))
    else:
        screen.note(t("{code} was already paused.", code=code))


@command(
    "resume",
    t("Resume sending to the partner CODE.\n\nIf the breaker is open, the partner is tried at once, without waiting."),
    "lienthong resume vpub",
)
@click.argument("code")
@click.option("--reason", default="", help=t("Why; it is recorded."))
@pass_screen
def resume_sending(screen: Screen, code: str, reason: str) -> None:
    if _tell(screen, code, reason, paused=False):
        screen.note(t("Sending to {code} is resumed.", code=code))
    else:
        screen.note(t("{code} was not paused.", code=code))


def _tell(screen: Screen, code: str, reason: str, *, paused: bool) -> bool:
    """Record the change in the journal. Return whether anything changed."""
    from hub.cli.journal import open_journal, read_journal_config
    from hub.domain.model import Receive
    from hub.journal.queue import partner_state
    from hub.store import transactions

    config = read_journal_config(screen)
    partner = config.partners.get(code)
    if partner is None and not (config.path.parent / "partners" / f"{code}.toml").exists():
        raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND)
    if partner is not None and partner.receive is not Receive.PUSH:
        raise CommandStop(t("the hub does not push to {code}", code=code), USAGE)
    if paused and not reason.strip():
        raise click.UsageError(t("--reason must not be empty"))
    deed = partner_state.pause_partner if paused else partner_state.resume_partner
    with open_journal(config) as engine, transactions.write_transaction(engine) as tx:
        changed = deed(tx, code, reason=reason.strip(), by=getpass.getuser(), now=datetime.now(UTC))
    screen.row({"code": code, "paused": paused, "changed": changed}, code)
    return changed
