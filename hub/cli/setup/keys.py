"""`lienthong keys`: the hub's own certificates. `rehearse` says what a new one would break, `rotate` changes it in steps."""

import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
from cryptography import x509

from hub.cli.journal import open_journal, read_journal_config
from hub.cli.monitoring.status import ROTATION_STEPS
from hub.cli.partner.writing import WritingOptions, tell_or_reload, write_and_record
from hub.cli.screen import CONFIGURATION, FAILED, PARTLY, CommandStop, Screen, exit_command, say, t
from hub.config import Config, read_config
from hub.config.editing import undo_edits
from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
from hub.domain.errors import ConfigurationFault
from hub.domain.local_time import find_local_day
from hub.domain.model import Event
from hub.domain.sightings import Sighting
from hub.journal import events
from hub.language.phrases import phrase
from hub.monitoring.keys import rotation, sighting_rows
from hub.monitoring.keys.rehearsal import (
    PartnerRehearsal,
    RehearsalFinding,
    judge_next_certificate,
    list_certificate_uses,
    rehearse_partner,
)
from hub.monitoring.keys.rotation import PlannedStep, RotationStep
from hub.security.certificates import CredentialUnfit, Identity, hash_certificate, load_pem_certificates
from hub.store import transactions

#: Days of which a rotation looks at what partners showed.
_LOOKED_BACK = 30
_VERDICTS = {"fine": phrase("fine"), "unsure": phrase("not sure"), "breaks": phrase("breaks")}


def rehearse_key(screen: Screen, file: Path, uses: Sequence[str], days: int) -> None:
    config, now = read_journal_config(screen), datetime.now(UTC)
    own, found = _rehearse_now(config, *_read_certificates(file), uses, days, now)
    _show_rehearsal(screen, own, found)
    code = _choose_exit_code(own, found)
    if code:
        exit_command(code)


def _rehearse_now(
    config: Config,
    new: x509.Certificate,
    chain: tuple[x509.Certificate, ...],
    uses: Sequence[str],
    days: int,
    now: datetime,
) -> tuple[list[RehearsalFinding], list[PartnerRehearsal]]:
    """Judge *new* by what was seen in the last *days*."""
    set_revocation_answers(config, load_revocation_answers(config, now))
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        seen = sighting_rows.read_sightings(tx, now - timedelta(days=days))
    return _rehearse_new_certificate(config, new, chain, uses, seen, now)


def _read_certificates(file: Path) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    try:
        first, *above = load_pem_certificates(file.read_bytes())
    except CredentialUnfit as error:
        raise CommandStop(
            t("{file}: not a certificate in PEM: {error}", file=file, error=error), CONFIGURATION
        ) from None
    return first, tuple(above)


def _rehearse_new_certificate(
    config: Config,
    new: x509.Certificate,
    chain: tuple[x509.Certificate, ...],
    uses: Sequence[str],
    seen: Sequence[Sighting],
    now: datetime,
) -> tuple[list[RehearsalFinding], list[PartnerRehearsal]]:
    current = {use: each for use, each in list_certificate_uses(config).items() if not uses or use in uses}
    own = judge_next_certificate(new, chain, list(current), config, now)
    found = [
        rehearse_partner(partner, current, new, chain, [each for each in seen if each.partner == code])
        for code, partner in sorted(config.partners.items())
    ]
    return own, found


def _show_rehearsal(screen: Screen, own: list[RehearsalFinding], found: list[PartnerRehearsal]) -> None:
    """Print the findings."""
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


def _choose_exit_code(own: list[RehearsalFinding], found: list[PartnerRehearsal]) -> int:
    verdicts = {each.verdict for each in found}
    if "breaks" in verdicts or any(finding.sure for finding in own):
        return FAILED
    return PARTLY if "unsure" in verdicts or own else 0


def _list_fields(finding: RehearsalFinding) -> dict[str, object]:
    return {"code": finding.code, "text": say(finding.text), "sure": finding.sure}


def rotate_key(
    screen: Screen,
    certificate: Path | None,
    key: Path | None,
    use: str | None,
    overlap: int,
    at_once: bool,
    despite: bool,
    reason: str,
    dry_run: bool,
    reload: bool,
) -> None:
    if (certificate is None) != (key is None):
        raise click.UsageError(t("CERTIFICATE and KEY belong together"))
    config, now = read_journal_config(screen), datetime.now(UTC)
    today, days = find_local_day(now), timedelta(days=overlap)
    step, due = rotation.find_next_step(config.rotation)
    if certificate is not None and key is not None:
        if step is not RotationStep.ANNOUNCE:
            raise CommandStop(t("a rotation is in progress: the next step is {step}", step=say(ROTATION_STEPS[step])))
        planned = _plan_announcement(screen, config, certificate, key, use, despite, today, days, now)
    elif step is RotationStep.ANNOUNCE:
        raise CommandStop(t("no rotation is in progress; name the new certificate and its key"))
    elif due is not None and today < due and not at_once:
        screen.note(t("The next step, {step}, is due on {due}", step=say(ROTATION_STEPS[step]), due=f"{due:%d/%m/%Y}"))
        exit_command(PARTLY)
    elif step is RotationStep.SWITCH:
        planned = rotation.plan_switch(config, today, days)
    else:
        planned = rotation.plan_retirement(config)
    _make_step(screen, config, planned, WritingOptions(reason, dry_run, reload), now)


def _plan_announcement(
    screen: Screen,
    config: Config,
    certificate: Path,
    key: Path,
    use: str | None,
    despite: bool,
    today: date,
    days: timedelta,
    now: datetime,
) -> PlannedStep:
    """Rehearse the certificate, and plan to announce it. Exits if it would break something, unless *despite*."""
    if use is None and len(config.own) > 1:
        raise click.UsageError(t("TLS has a certificate of its own: say with --use which one is to change"))
    try:
        identity = Identity.read(key, certificate)
    except (OSError, ValueError, TypeError) as error:
        raise CommandStop(t("it cannot be used: {error}", error=error), CONFIGURATION) from None
    new = identity.certificate
    if new in {each.certificate for _, each in config.own}:
        raise CommandStop(t("the hub uses this certificate already"))
    own, found = _rehearse_now(config, new, identity.chain, [use] if use else [], _LOOKED_BACK, now)
    if _choose_exit_code(own, found) == FAILED and not despite:
        _show_rehearsal(screen, own, found)
        screen.note(t("Nothing was written"))
        exit_command(FAILED)
    # else the hub would refuse the switch, when partners have the certificate already
    untrusted = next((each for each in own if each.code == "trust"), None)
    if untrusted is not None and not despite:
        raise CommandStop(
            t(
                "the hub itself refuses it: {reason}; trust its CA first: `lienthong trust add`",
                reason=say(untrusted.text),
            ),
            CONFIGURATION,
        )
    if not screen.json:
        _show_rehearsal(screen, own, found)
    kind = use if use and len(config.own) > 1 else ""
    sha256 = hash_certificate(new)
    return rotation.plan_announcement(config, certificate.read_bytes(), key.read_bytes(), sha256, kind, today, days)


def _make_step(screen: Screen, config: Config, planned: PlannedStep, options: WritingOptions, now: datetime) -> None:
    """Write and record the step, and tell what is next."""
    said = {"step": str(planned.step), "certificate": planned.certificate, "by": getpass.getuser()}
    files = [str(each.path) for each in planned.edits]
    row = {**said, "files": files, "written": not options.dry_run}
    if options.dry_run:
        screen.row(row, "\n".join(files))
        screen.note(t("Nothing was written"))
        return
    home = config.path.parent
    event = Event("key-rotation", now, body={**said, "reason": options.reason.strip()})
    with open_journal(config) as engine, _only_for_owner():
        _ = write_and_record(home, planned.edits, engine, lambda tx: events.append_events(tx, event))
    try:
        after = read_config(config.path, set_aside=lambda _mistakes: None)  # named before
    except ConfigurationFault:
        undo_edits(home, planned.edits)
        raise
    screen.row(row, t("Done: {step}", step=say(ROTATION_STEPS[planned.step])))
    tell_or_reload(screen, config.data, home, planned.edits, reload=options.reload)
    step, due = rotation.find_next_step(after.rotation)
    if due is not None:
        screen.note(t("The next step, {step}, is due on {due}", step=say(ROTATION_STEPS[step]), due=f"{due:%d/%m/%Y}"))


@contextmanager
def _only_for_owner() -> Iterator[None]:
    """Let only the owner read the files that are made meanwhile: one of them is a key."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
