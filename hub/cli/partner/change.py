"""`lienthong partners set` and `partners certificate`: change a partner's file, and nothing else of what stands in it."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.partner.writing import WritingOptions, add_writing_options, change_partner
from hub.cli.screen import EXISTING_FILE, NOT_FOUND, CommandStop, Screen, command, command_group, pass_screen, say, t

if TYPE_CHECKING:
    from hub.config.partners.partner_edit import PartnerEdit
    from hub.node.partner_editor import PartnerEditor
    from hub.units.unit_index import UnitIndex


@command(
    "set",
    t(
        "Set keys of the partner CODE: KEY=VALUE; of a list also KEY+=VALUE and KEY-=VALUE, with commas between several. "
        "Keys are those of its file, such as name, url, units, policy.timeout, settings.user.\n\nThe new file is checked as "
        "by `check` before it is written. Comments, order and all other keys stay. The difference is printed, the old "
        "file is kept beside it (.old)."
    ),
    "lienthong partners set soyte policy.timeout=10s --reload",
    "lienthong partners set soyte units+=H55.14.02 calls=documents,mail --dry-run",
    'lienthong partners set soyte receive=push url=https://10.0.0.5/soap/documents --reason "máy chủ mới"',
    "lienthong partners set soyte receive=fetch --unset url --unset policy.timeout",
)
@click.argument("code")
@click.argument("assignments", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--unset", multiple=True, metavar="KEY", help=t("Remove a key, so that its default holds; repeatable."))
@add_writing_options
@pass_screen
def set_partner(
    screen: Screen,
    code: str,
    assignments: tuple[str, ...],
    unset: tuple[str, ...],
    reason: str,
    dry_run: bool,
    reload: bool,
) -> None:
    from hub.config.partners.partner_settings import AssignmentUnfit

    if not assignments and not unset:
        raise click.UsageError(t("say what to change: KEY=VALUE or --unset KEY"))

    def plan(editor: "PartnerEditor", units: "UnitIndex", now: datetime) -> "PartnerEdit":
        try:
            return editor.plan_settings(code, assignments, unset, units, now)
        except AssignmentUnfit as unfit:
            raise click.UsageError(say(unfit.why)) from None

    options = WritingOptions(reason, dry_run, reload)
    change_partner(screen, code, plan, options, unchanged=t("{code}: nothing changes", code=code))


@command_group("certificate", t("The certificates of a partner: accept one more, or one no longer."))
def certificate() -> None:
    pass


@command(
    "add",
    t(
        "Accept the certificate in FILE (PEM or DER, its chain after it) too, for TLS and for signatures.\n\nThe partner's "
        "other certificates stay in force, so that it may change from one to the other at any time. Afterwards remove the "
        "old one."
    ),
    "lienthong partners certificate add soyte soyte-2027.crt --reload",
)
@click.argument("code")
@click.argument("file", type=EXISTING_FILE)
@add_writing_options
@pass_screen
def add_certificate(screen: Screen, code: str, file: Path, reason: str, dry_run: bool, reload: bool) -> None:
    change_partner(
        screen,
        code,
        lambda editor, units, now: editor.plan_certificate(code, file.read_bytes(), units, now),
        WritingOptions(reason, dry_run, reload),
        unchanged=t("{code} has this certificate already", code=code),
    )


@command(
    "remove",
    t(
        "Accept a certificate of the partner no longer. FINGERPRINT: the beginning of its SHA-256, at least 8 digits, as "
        "`partners show` prints it, or its file.\n\nThe last certificate that is valid is kept unless --last is given. "
        "The file of the certificate stays where it is."
    ),
    "lienthong partners certificate remove soyte 3f0c9a11 --reload",
)
@click.argument("code")
@click.argument("fingerprint", metavar="FINGERPRINT")
@click.option("--last", is_flag=True, help=t("Remove it even if it is the last one that is valid."))
@add_writing_options
@pass_screen
def remove_certificate(
    screen: Screen, code: str, fingerprint: str, last: bool, reason: str, dry_run: bool, reload: bool
) -> None:
    from hub.config.partners.partner_edit import CertificateNotFound, LastCertificate

    def plan(editor: "PartnerEditor", units: "UnitIndex", now: datetime) -> "PartnerEdit":
        try:
            return editor.plan_certificate_removal(code, fingerprint, units, now, last=last)
        except CertificateNotFound as missing:
            raise CommandStop(say(missing.why), NOT_FOUND) from None
        except LastCertificate as only:
            raise CommandStop(t("{why}. --last removes it all the same", why=say(only.why))) from None

    options = WritingOptions(reason, dry_run, reload)
    change_partner(screen, code, plan, options, unchanged=t("{code}: nothing changes", code=code))


certificate.add_command(add_certificate)
certificate.add_command(remove_certificate)
