"""`lienthong check`: reports everything because of which `twistd` would refuse to start."""

from datetime import UTC, datetime

import click

from hub.cli.partner.handshake import try_broker, try_partners, try_providers
from hub.cli.partner.tried_secrets import TrialReport, try_secrets
from hub.cli.screen import CONFIGURATION, UNAVAILABLE, Screen, exit_command, read_language, say, t
from hub.domain.errors import Mistake
from hub.language.phrases import phrases
from hub.node.check import check_config


def check_hub(screen: Screen, connect: bool) -> None:
    now = datetime.now(UTC)
    findings = check_config(screen.config, now)
    mistakes = [*findings.mistakes, *findings.lapsed]
    unreachable: list[Mistake] = []
    if connect and findings.province:
        refused, unreachable, broken = try_partners(findings.province.config, now)
        if not mistakes:
            trials = try_secrets(findings.province.config, now, broken)
            _show_trials(screen, trials)
            mistakes += trials.refused
            unreachable += trials.unreachable
        mistakes += refused
        if findings.province.config.feed is not None and not mistakes:
            refused, unreached = try_broker(findings.province.config)
            mistakes += refused
            unreachable += unreached
        if not mistakes:
            refused, unreached = try_providers(findings.province.config)
            mistakes += refused
            unreachable += unreached
    if findings.warnings:
        click.echo(t("Warnings:"), err=True)
        screen.mistakes(findings.warnings, kind="warning")
    if mistakes:
        click.echo(say(phrases("{count} mistake:", "{count} mistakes:", count=len(mistakes))), err=True)
        screen.mistakes(mistakes)
        exit_command(CONFIGURATION)
    if unreachable:
        click.echo(t("Could not be reached:"), err=True)
        screen.mistakes(unreachable, kind="unreachable")
        exit_command(UNAVAILABLE)
    if findings.province is not None:
        for name, service in findings.province.config.services.items():
            if service.shipped:
                continue
            said = t(
                "Service {name}: {title}, SHA-256 {sha256}",
                name=name,
                title=service.title.say(read_language()),
                sha256=service.sha256,
            )
            screen.row({"kind": "service", "name": name, "sha256": service.sha256}, said)
    warned = phrases(
        "No mistake: the hub can start. {count} warning is above.",
        "No mistake: the hub can start. {count} warnings are above.",
        count=len(findings.warnings),
    )
    screen.row({"kind": "ok"}, say(warned) if findings.warnings else t("Everything is right."))


def _show_trials(screen: Screen, trials: TrialReport) -> None:
    """Say whose secrets are taken, and whose were not tried."""
    for code in trials.taken:
        fields = {"kind": "secret", "path": f"partners/{code}.toml: settings", "partner": code, "tried": True}
        screen.row(fields, t("{code}: the partner takes the secret", code=code))
    for code, why in trials.untried:
        fields = {"kind": "secret", "path": f"partners/{code}.toml: settings", "partner": code, "tried": False}
        screen.row(fields | {"why": say(why)}, t("{code}: the secret was not tried: {why}", code=code, why=say(why)))
