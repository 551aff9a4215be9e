"""`lienthong partners test`: tries the connection with a partner in both directions, and says what to do about each fault."""

from collections.abc import Iterable
from datetime import UTC, datetime

import click

from hub.cli.journal import open_journal, read_journal_config
from hub.cli.screen import FAILED, NOT_FOUND, UNAVAILABLE, CommandStop, Screen, exit_command, say, t
from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
from hub.monitoring.connection_steps import (
    DIRECTION_NAMES,
    STEP_NAMES,
    VERDICT_NAMES,
    CallDirection,
    ConnectionStep,
    StepVerdict,
)
from hub.monitoring.inbound_check import check_inbound
from hub.monitoring.outbound_check import check_outbound
from hub.store import transactions


def try_connection(screen: Screen, code: str) -> None:
    config, now = read_journal_config(screen), datetime.now(UTC)
    partner = config.partners.get(code)
    if partner is None:
        raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND)
    set_revocation_answers(config, load_revocation_answers(config, now))
    failed = _print_connection_steps(screen, CallDirection.OUT, check_outbound(partner, config, now))
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        failed |= _print_connection_steps(screen, CallDirection.IN, check_inbound(tx, partner, config, now))
    if CallDirection.OUT in failed:
        exit_command(UNAVAILABLE)
    if failed:
        exit_command(FAILED)


def _print_connection_steps(screen: Screen, direction: str, steps: Iterable[ConnectionStep]) -> set[str]:
    """Print each step as it comes. Return the direction if one failed."""
    colours = {StepVerdict.GOOD: "green", StepVerdict.WARNING: "yellow", StepVerdict.FAILED: "red"}
    if not screen.json:
        click.secho(say(DIRECTION_NAMES[CallDirection(direction)]), bold=True)
    failed: set[str] = set()
    for step in steps:
        fields = {
            "direction": step.direction,
            "step": step.name,
            "verdict": step.verdict,
            "found": str(step.found),
            "do": None if step.do is None else str(step.do),
        }
        verdict = click.style(say(VERDICT_NAMES[step.verdict]), fg=colours.get(step.verdict))
        text = f"  {say(STEP_NAMES[step.name])}: {verdict}: {say(step.found)}"
        screen.row(fields, text if step.do is None else f"{text} → {say(step.do)}")
        failed |= {direction} if step.failed else set()
    return failed
