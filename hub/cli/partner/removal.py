"""`lienthong partners remove` and `trust remove`: say what would be lost before anything is, and lose nothing of the journal."""

import getpass
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import click

from hub.cli.journal import open_journal, read_journal_config
from hub.cli.partner.writing import say_mistake, tell_or_reload, write_and_record
from hub.cli.screen import FAILED, NOT_FOUND, CommandStop, Screen, colour_difference, exit_command, say, say_count, t
from hub.cli.words import say_word
from hub.config import ANY
from hub.config.partners.partner_edit import CertificateNotFound
from hub.domain.errors import write_mistake_json
from hub.domain.local_time import find_local_day
from hub.domain.model import DeliveryState
from hub.journal import partner_changes, unit_registry
from hub.monitoring import partner_traffic
from hub.monitoring.partner_traffic import MOST
from hub.node.partner_editor import PartnerEditor
from hub.node.trust_editor import plan_trust_removal
from hub.security.certificates import describe_owner, hash_certificate
from hub.store import transactions


def remove_partner(screen: Screen, code: str, reason: str, leave_deliveries: bool, yes: bool, reload: bool) -> None:
    if not reason.strip():
        raise click.UsageError(t("--reason must not be empty"))
    now, editor = datetime.now(UTC), PartnerEditor(screen.config)
    config = read_journal_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            units = unit_registry.read_unit_index(tx, find_local_day(now))
            left = partner_traffic.count_undelivered(tx, code)
        try:
            edit = editor.plan_removal(code, units, now)
        except KeyError:
            raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND) from None
        refused = bool(left) and not leave_deliveries
        partner = config.partners.get(code)
        lose = [each for each in partner.units if each != ANY] if partner and partner.takes_documents else []
        fields = {
            "code": code,
            "file": str(editor.home / "partners" / f"{code}.toml"),
            "undelivered": {str(state): number for state, number in left.items()},
            "units": lose,
            "written": yes and not refused,
            "kept": [],
        }
        if refused or not yes:
            screen.row(fields, "\n".join([_say_left(code, left), *_say_units(lose)]))
            if refused:
                screen.note(
                    t(
                        "Not removed. Replay them (`lienthong replay --to {code}`), give them up (`lienthong give-up "
                        "--partner {code}`), or add --leave-deliveries",
                        code=code,
                    )
                )
                exit_command(FAILED)
            screen.note(t("Nothing was written; add --yes to remove the partner"))
            return
        number, by = sum(left.values()), getpass.getuser()
        kept = write_and_record(
            editor.home,
            edit.files,
            engine,
            lambda tx: partner_changes.record_partner_removal(
                tx, code, left=number, by=by, reason=reason.strip(), now=now
            ),
        )
    screen.row({**fields, "kept": [str(each) for each in kept]}, t("Removed the partner {code}", code=code))
    for old in kept:
        screen.note(t("Old file: {old}", old=old))
    if partner and partner.folder:
        screen.note(t("Its folder partners/{folder} stays as it is", folder=partner.folder))
    if left:
        screen.note(_say_left(code, left))
    tell_or_reload(screen, config.data, editor.home, edit.files, reload=reload)


def _say_units(units: Sequence[str]) -> Iterator[str]:
    if units:
        yield t("These units have no system afterwards; messages to them are refused: {units}", units=", ".join(units))


def _say_left(code: str, left: Mapping[DeliveryState, int]) -> str:
    if not left:
        return t("{code}: no delivery waits for it, is held or dead", code=code)
    said = ", ".join(
        f"{say_word('delivery', state)} {say_count(min(number, MOST))}{'+' if number > MOST else ''}"
        for state, number in left.items()
    )
    return t("{code}: deliveries in the journal: {said}", code=code, said=said)


def remove_anchor(screen: Screen, fingerprint: str, reason: str, yes: bool, reload: bool) -> None:
    now, config = datetime.now(UTC), read_journal_config(screen)
    try:
        plan = plan_trust_removal(screen.config, fingerprint, now)
    except CertificateNotFound as missing:
        raise CommandStop(say(missing.why), NOT_FOUND) from None
    (authority,) = plan.authorities
    subject, sha256 = describe_owner(authority), hash_certificate(authority)
    home = screen.config.absolute().parent
    fields = {
        "subject": subject,
        "sha256": sha256,
        "files": [str(each.path) for each in plan.files],
        "diff": list(plan.diff),
        "partners": list(plan.partners),
        "lost": [write_mistake_json(each) for each in plan.lost],
        "written": yes,
        "kept": [],
    }
    lines = [t("{subject}, SHA-256 {sha256}", subject=subject, sha256=sha256)]
    lines += [say_mistake(each.path, each.wrong, each.expected) for each in plan.lost]
    lines += [colour_difference(plan.diff)] if plan.diff else []
    if not yes:
        screen.row(fields, "\n".join(lines))
        if plan.partners:
            screen.note(
                t(
                    "Not removed: {partners} would no longer be verified. Add --yes to remove it all the same",
                    partners=", ".join(plan.partners),
                )
            )
            exit_command(FAILED)
        screen.note(t("No partner needs it. Nothing was written; add --yes to remove it"))
        return
    by = getpass.getuser()
    with open_journal(config) as engine:
        kept = write_and_record(
            home,
            plan.files,
            engine,
            lambda tx: partner_changes.record_trust_removal(
                tx, subject, sha256, plan.partners, by=by, reason=reason.strip(), now=now
            ),
        )
    screen.row({**fields, "kept": [str(each) for each in kept]}, "\n".join(lines))
    for old in kept:
        screen.note(t("Old file: {old}", old=old))
    tell_or_reload(screen, config.data, home, plan.files, reload=reload)
