"""`lienthong keys`: the hub's own certificates. `rehearse` says what a new one would break, before anything is changed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.screen import (
    CONFIGURATION,
    FAILED,
    PARTLY,
    CommandStop,
    Screen,
    command,
    command_group,
    exit_command,
    pass_screen,
    say,
    t,
)
from hub.language.phrases import phrase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from hub.config import Config
    from hub.domain.sightings import Sighting
    from hub.monitoring.keys.rehearsal import PartnerRehearsal, RehearsalFinding

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_VERDICTS = {"fine": phrase("fine"), "unsure": phrase("not sure"), "breaks": phrase("breaks")}


@command_group("keys", t("The hub's own keys and certificates."))
def keys() -> None:
    pass


@command(
    "rehearse",
    t(
        "Say what the hub's new certificate FILE (PEM, with the CAs above it behind it) would break: by itself, and for "
        "each partner by what its handshakes and signatures showed lately. Changes nothing; the key is not needed.\n\n"
        "Exits 0 if nothing speaks against it, 3 if it is not sure for some partner, 1 if calls would fail."
    ),
    "lienthong keys rehearse hub-2027.crt",
    "lienthong keys rehearse hub-2027.crt --use tls --json | jq 'select(.verdict == \"breaks\")'",
)
@click.argument("file", type=_FILE, metavar=t("FILE"))
@click.option(
    "--use",
    "uses",
    type=click.Choice(["tls", "sign"]),
    multiple=True,
    help=t("What it will be used for; without it, for both."),
)
@click.option(
    "--days",
    type=click.IntRange(1, 400),
    default=30,
    show_default=True,
    help=t("How far back to look at what partners showed."),
)
@pass_screen
def rehearse_key(screen: Screen, file: Path, uses: "Sequence[str]", days: int) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
    from hub.monitoring.keys import sighting_rows
    from hub.store import transactions

    config, now = read_journal_config(screen), datetime.now(UTC)
    set_revocation_answers(config, load_revocation_answers(config, now))
    new, chain = _read_certificates(file)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        seen = sighting_rows.read_sightings(tx, now - timedelta(days=days))
    _show(screen, *_rehearse(config, new, chain, uses, seen, now))


def _read_certificates(file: Path) -> "tuple[x509.Certificate, tuple[x509.Certificate, ...]]":
    from cryptography import x509

    try:
        first, *above = x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError as error:
        raise CommandStop(
            t("{file}: not a certificate in PEM: {error}", file=file, error=error), CONFIGURATION
        ) from None
    return first, tuple(above)


def _rehearse(
    config: "Config",
    new: "x509.Certificate",
    chain: "tuple[x509.Certificate, ...]",
    uses: "Sequence[str]",
    seen: "Sequence[Sighting]",
    now: datetime,
) -> "tuple[list[RehearsalFinding], list[PartnerRehearsal]]":
    from hub.monitoring.keys.rehearsal import (
        judge_certificate,
        list_certificate_uses,
        rehearse_partner,
    )

    current = {use: each for use, each in list_certificate_uses(config).items() if not uses or use in uses}
    own = judge_certificate(new, chain, list(current), config, now)
    found = [
        rehearse_partner(partner, current, new, chain, [each for each in seen if each.partner == code])
        for code, partner in sorted(config.partners.items())
    ]
    return own, found


def _show(screen: Screen, own: "list[RehearsalFinding]", found: "list[PartnerRehearsal]") -> None:
    """Print the findings, and exit with the worst verdict."""
    rows: list[dict[str, object]] = [
        {
            "partner": each.partner,
            "verdict": each.verdict if screen.json else say(_VERDICTS[each.verdict]),
            "seen_at": each.seen_at,
            "findings": [_list_fields(finding) for finding in each.findings]
            if screen.json
            else "; ".join(say(finding.text) for finding in each.findings),
        }
        for each in found
    ]
    if screen.json:
        for finding in own:
            screen.row({"kind": "certificate", **_list_fields(finding)}, "")
        for row in rows:
            screen.row({"kind": "partner", **row}, "")
    else:
        for finding in own:
            screen.note(t("The certificate: {finding}", finding=say(finding.text)))
        titles = {"partner": t("partner"), "verdict": t("verdict"), "seen_at": t("last seen"), "findings": t("why")}
        screen.table(titles, rows)
        screen.note(
            t("Who knows the hub by its certificate alone, not by its CA, needs the new one before the change.")
        )
    verdicts = {each.verdict for each in found}
    if "breaks" in verdicts or any(finding.sure for finding in own):
        exit_command(FAILED)
    if "unsure" in verdicts or own:
        exit_command(PARTLY)


def _list_fields(finding: "RehearsalFinding") -> dict[str, object]:
    return {"code": finding.code, "text": say(finding.text), "sure": finding.sure}


keys.add_command(rehearse_key)
