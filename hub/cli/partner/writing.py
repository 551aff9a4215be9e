"""What the commands that change a partner have in common: they show the plan, write it, record it, and reload the hub."""

import getpass
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import sqlalchemy as sa

from hub.cli.journal import open_journal, read_journal_config
from hub.cli.screen import CONFIGURATION, NOT_FOUND, CommandStop, Screen, colour_difference, exit_command, say, t
from hub.config.editing import FileChangedMeanwhile, FileEdit, undo_edits, write_edits
from hub.config.partners.partner_edit import PartnerEdit
from hub.domain.errors import Mistake
from hub.domain.local_time import find_local_day
from hub.journal import partner_changes, unit_registry
from hub.language.system_errors import describe_error
from hub.node.partner_editor import PartnerEditor
from hub.runtime import pidfile
from hub.store import transactions
from hub.store.transactions import Transaction
from hub.units.unit_index import UnitIndex


@attrs.frozen
class WritingOptions:
    """The values of `WRITING_OPTIONS`."""

    reason: str
    dry_run: bool
    reload: bool


def change_partner(
    screen: Screen,
    code: str,
    plan: Callable[[PartnerEditor, UnitIndex, datetime], PartnerEdit],
    options: WritingOptions,
    *,
    unchanged: str,
) -> None:
    """Make the change that *plan* returns, and tell what became of it. *unchanged* is said if there is nothing to do."""
    now, editor = datetime.now(UTC), PartnerEditor(screen.config)
    config = read_journal_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            units = unit_registry.read_unit_index(tx, find_local_day(now))
        try:
            edit = plan(editor, units, now)
        except KeyError:
            raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND) from None
        fields = {
            "code": code,
            "file": str(editor.home / "partners" / f"{code}.toml"),
            "diff": list(edit.diff),
            "changes": list(edit.changes),
            "units_added": list(edit.units),
            "files": [str(each.path) for each in edit.files],
            "written": bool(edit.files) and not options.dry_run,
            "kept": [],
        }
        tell_warnings(screen, edit.warnings)
        if options.dry_run or not edit.files:
            screen.row(fields, colour_difference(edit.diff) or unchanged)
            if options.dry_run:
                screen.note(t("Nothing was written"))
            return
        kept = write_and_record(editor.home, edit.files, engine, record_edit(edit, options.reason, now))
    screen.row({**fields, "kept": [str(each) for each in kept]}, colour_difference(edit.diff))
    for old in kept:
        screen.note(t("Old file: {old}", old=old))
    if edit.units:
        screen.note(t("Added the units {added}", added=", ".join(edit.units)))
    tell_or_reload(screen, config.data, editor.home, edit.files, reload=options.reload)


def tell_warnings(screen: Screen, warnings: Iterable[Mistake]) -> None:
    """Print each warning as a note."""
    for warning in warnings:
        screen.note(
            t(
                "Warning: {place}: {wrong} ({expected})",
                place=warning.path,
                wrong=warning.wrong,
                expected=warning.expected,
            )
        )


def record_edit(edit: PartnerEdit, reason: str, now: datetime) -> Callable[[Transaction], object]:
    """Return the step of a transaction that records *edit*."""

    def step(tx: Transaction) -> object:
        return partner_changes.record_partner_change(
            tx, edit.code, edit.changes, edit.units, by=getpass.getuser(), reason=reason.strip(), now=now
        )

    return step


def write_and_record(
    home: Path, files: Sequence[FileEdit], engine: sa.Engine, step: Callable[[Transaction], object]
) -> list[Path]:
    """Write *files* and record the change; if one of both fails, neither stays. Return the backups.

    Raises CommandStop if a file was changed meanwhile, or cannot be written.
    """
    try:
        kept = write_edits(home, files)
    except FileChangedMeanwhile as changed:
        raise CommandStop(
            t("{path} was changed meanwhile; nothing was written. Run it again", path=changed.path)
        ) from None
    except OSError as error:
        raise CommandStop(
            t("it cannot be written: {error}; nothing was changed", error=describe_error(error))
        ) from error
    try:
        with transactions.write_transaction(engine) as tx:
            _ = step(tx)
    except transactions.Unconfirmed:
        raise  # it is recorded, though perhaps not on the standby: so the files stay
    except BaseException:
        undo_edits(home, files)
        raise
    return kept


def tell_or_reload(screen: Screen, data: Path, home: Path, files: Sequence[FileEdit], *, reload: bool) -> None:
    """Tell when a hub uses the change; with *reload*, make the running hub use it now.

    A change that the hub refuses is taken back, and the command exits 78.
    """
    if not reload:
        if pidfile.find_live_pid(data):
            screen.note(t("The running hub uses it after `lienthong reload`"))
        else:
            screen.note(t("No hub runs here; one that starts uses it"))
        return
    try:
        verdict = pidfile.request_reload(data)
    except pidfile.NotRunning:
        screen.note(t("No hub runs here; one that starts uses it"))
        return
    except pidfile.NoAnswer:
        raise CommandStop(t("The change is written; the running hub did not answer. See its log")) from None
    if not verdict.ok:
        undo_edits(home, files)
        screen.mistakes(verdict.mistakes)
        screen.note(t("The hub refused it, so the files are as before"))
        exit_command(CONFIGURATION)
    screen.note(t("The running hub uses it now: {changes}", changes="; ".join(verdict.changes) or "–"))


def say_mistake(place: str, wrong: object, expected: object) -> str:
    """Return a mistake on one line."""
    return f"{place}: {say(wrong)} ({say(expected)})"
