"""`lienthong partners set` and `partners certificate`: change a partner's file, and nothing else of what stands in it."""

from datetime import datetime
from pathlib import Path

import click

from hub.cli.partner.writing import WritingOptions, change_partner
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, say, t
from hub.config.partners.partner_edit import CertificateNotFound, LastCertificate, PartnerEdit
from hub.config.partners.partner_settings import AssignmentUnfit
from hub.node.partner_editor import PartnerEditor
from hub.units.unit_index import UnitIndex


def set_partner(
    screen: Screen,
    code: str,
    assignments: tuple[str, ...],
    unset: tuple[str, ...],
    reason: str,
    dry_run: bool,
    reload: bool,
) -> None:
    if not assignments and not unset:
        raise click.UsageError(t("say what to change: KEY=VALUE or --unset KEY"))

    def plan(editor: PartnerEditor, units: UnitIndex, now: datetime) -> PartnerEdit:
        try:
            return editor.plan_settings(code, assignments, unset, units, now)
        except AssignmentUnfit as unfit:
            raise click.UsageError(say(unfit.why)) from None

    options = WritingOptions(reason, dry_run, reload)
    change_partner(screen, code, plan, options, unchanged=t("{code}: nothing changes", code=code))


def add_certificate(screen: Screen, code: str, file: Path, reason: str, dry_run: bool, reload: bool) -> None:
    change_partner(
        screen,
        code,
        lambda editor, units, now: editor.plan_certificate(code, file.read_bytes(), units, now),
        WritingOptions(reason, dry_run, reload),
        unchanged=t("{code} has this certificate already", code=code),
    )


def remove_certificate(
    screen: Screen, code: str, fingerprint: str, last: bool, reason: str, dry_run: bool, reload: bool
) -> None:
    def plan(editor: PartnerEditor, units: UnitIndex, now: datetime) -> PartnerEdit:
        try:
            return editor.plan_certificate_removal(code, fingerprint, units, now, last=last)
        except CertificateNotFound as missing:
            raise CommandStop(say(missing.why), NOT_FOUND) from None
        except LastCertificate as only:
            raise CommandStop(t("{why}. --last removes it all the same", why=say(only.why))) from None

    options = WritingOptions(reason, dry_run, reload)
    change_partner(screen, code, plan, options, unchanged=t("{code}: nothing changes", code=code))
