"""`lienthong backup`: makes backups of the hub, lists and verifies them, and restores one."""

import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509
from sqlalchemy.exc import DBAPIError

from hub.cli.db.restored import claim_era, require_no_other_hub, tell_era
from hub.cli.journal import hold_data_folder, open_journal, read_journal_config, read_view_config
from hub.cli.person import name_person
from hub.cli.screen import (
    CONFIGURATION,
    NOT_FOUND,
    PARTLY,
    UNAVAILABLE,
    CommandStop,
    Screen,
    exit_command,
    make_file_stop,
    progress_bar,
    say,
    say_count,
    say_instant,
    t,
)
from hub.config import Config
from hub.config.database import find_sqlite_file
from hub.config.durable_files import hold_workplace
from hub.config.upkeep.backup import BackupSettings
from hub.domain.errors import ConfigurationFault, Unready
from hub.keeping import eras
from hub.keeping.archive import catalogue
from hub.keeping.backup_runs import read_backup_standing
from hub.keeping.backups import journal_copy, restoring, shelf, trial
from hub.keeping.backups.following import MOST_COUNTED
from hub.keeping.backups.journal_copy import Tell
from hub.keeping.backups.making import BackupRuns, run_backup
from hub.keeping.backups.manifest import BackupManifest
from hub.keeping.backups.package import BackupUnfit
from hub.keeping.backups.restoring import RestoreStatement
from hub.keeping.backups.shelf import BackupRecord
from hub.keeping.backups.witness import Witness
from hub.language.terms import describe_reason
from hub.security.age_files import PrivateKey, make_private_key, read_private_keys
from hub.security.certificates import load_pem_certificates
from hub.store import transactions


def make_key(screen: Screen, file: Path) -> None:
    key = make_private_key()
    try:
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as target:
            target.write(f"# public key: {key.recipient.text}\n{key.text}\n")
    except FileExistsError:
        raise CommandStop(t("{file} already exists", file=file)) from None
    except OSError as error:
        raise make_file_stop(file, error) from error
    screen.row({"file": str(file), "recipient": key.recipient.text}, key.recipient.text)
    screen.note(t("The private key is in {file}. Keep it on another machine than the hub.", file=file))


def run_backup_now(screen: Screen) -> None:
    config = read_journal_config(screen)
    settings = _read_backup_settings(config)
    try:
        with _explain_backup_failure(), _show_backup_steps() as tell:
            made = run_backup(config, settings, lambda: datetime.now(UTC), tell)
    except FileExistsError as error:  # two within one second
        raise CommandStop(t("{file} already exists", file=error.filename2 or error.filename)) from None
    record = made.record
    screen.row(
        {**_describe_backup(record), "removed": [each.name for each in made.removed]},
        t(
            "{file}: {octets} octets, {messages} messages, up to {last}; {verified}.",
            file=record.file,
            verified=_say_tried(record.restored),
            octets=say_count(record.octets),
            messages=say_count(record.manifest.messages),
            last=say_instant(record.manifest.last),
        ),
    )
    for each in made.removed:
        screen.note(t("Removed, because {keep} are kept: {file}", keep=settings.keep, file=each.name))
    if record.manifest.left_out:
        screen.note(t("Not in it: {names}", names=", ".join(record.manifest.left_out)))


def list_made_backups(screen: Screen) -> None:
    config = read_view_config(screen, "backup")
    settings = _read_backup_settings(config)
    with _explain_backup_failure():
        found = shelf.list_backups(settings.folder) if settings.folder.exists() else []
    columns = {
        "file": t("FILE"),
        "made_at": t("MADE"),
        "octets": t("OCTETS"),
        "messages": t("MESSAGES"),
        "last": t("LAST EVENT"),
        "tried_at": t("TRIED"),
        "restored": t("RESTORED ON TRIAL"),
    }
    rows = [_describe_backup(each) for each in found]
    if not screen.json:
        rows = [{**row, "last": say_instant(each.manifest.last)} for row, each in zip(rows, found, strict=True)]
    shown = screen.table(columns, rows)
    _tell_failure(screen, config)
    if not shown:
        raise CommandStop(t("{folder} holds no backup", folder=settings.folder), NOT_FOUND)


def _tell_failure(screen: Screen, config: Config) -> None:
    """Say why the last backup failed, if it did. The journal may be what was lost: then say that it cannot be asked."""
    try:
        with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
            failed = read_backup_standing(tx).failure
            missing = eras.count_awaited_receipts(tx, MOST_COUNTED) if eras.list_restored_eras(tx) else None
    except (CommandStop, ConfigurationFault):
        screen.note(t("The journal cannot be read, so it is not known here whether a later backup failed."))
        return
    if missing is not None:
        screen.note(
            t(
                "The journal was put back; known receipts whose messages have not come again: {missing}. `lienthong "
                "backup lost` says which, and from when to when these are all.",
                missing=say_count(missing),
            )
        )
    if failed is not None:
        at, reason = say_instant(failed.ended_at), say(describe_reason(failed.reason or ""))
        screen.note(t("The last backup failed, {at}: {reason}", at=at, reason=reason))


def verify_backup(screen: Screen, file: Path, identity: Path | None, signer: Path | None) -> None:
    if identity is None:
        record = shelf.find_record(file)
        if record is None:
            raise CommandStop(t("{file} has no record beside it; give --identity", file=file.name))
        with _explain_backup_failure():
            unchanged = shelf.is_unchanged(record)
        if not unchanged:
            raise CommandStop(t("{file} is not the file that was tried: it was changed", file=file.name))
        screen.row(
            {**_describe_backup(record), "verified": "unchanged"},
            t("{file}: unchanged since it was tried.", file=file.name),
        )
        return
    _try_whole(screen, file, _read_backup_keys(identity), signer)


def _try_whole(screen: Screen, file: Path, keys: Sequence[PrivateKey], signer: Path | None) -> None:
    """Decrypt, restore and check a backup in a folder beside it, and say what it is."""
    signers, place = _read_backup_signers(screen, signer), journal_copy.NOWHERE
    try:
        config = read_journal_config(screen)
        place = journal_copy.place_trial(config, config.backup)
    except ConfigurationFault:
        pass  # away from the hub: then a dump of PostgreSQL is only read
    with (
        _explain_backup_failure(),
        hold_workplace(file) as work,
        _show_backup_steps() as tell,
    ):
        tried = trial.try_backup(file, keys, signers, work, place, tell)
    manifest = tried.manifest
    screen.row(
        {"file": str(file), **_describe_manifest(manifest), "verified": "restored" if tried.restored else "read"},
        t(
            "{file}: of {made_at}, {messages} messages, up to {last}; {verified}.",
            file=file.name,
            made_at=say_instant(manifest.made_at),
            messages=say_count(manifest.messages),
            last=say_instant(manifest.last),
            verified=_say_tried(tried.restored),
        ),
    )


def _say_tried(restored: bool) -> str:
    return (
        t("restored on trial, undamaged") if restored else t("read whole, but not restored: there is no trial-database")
    )


def restore_backup(
    screen: Screen, file: Path, identity: Path | None, signer: Path | None, home: Path | None, reason: str
) -> None:
    if identity is None:
        raise click.UsageError(t("--identity is missing: a backup is read with the private key only"))
    keys = _read_backup_keys(identity)
    signers = _read_backup_signers(screen, signer)
    if home is not None:
        _restore_home(screen, file, keys, signers, home)
    again = f"{file} --identity {identity}" + (f" --signer {signer}" if signer else "")
    _restore_journal(screen, file, keys, signers, reason=reason.strip(), again=again)


def _restore_home(
    screen: Screen, file: Path, keys: Sequence[PrivateKey], signers: Sequence[x509.Certificate], home: Path
) -> None:
    try:
        with _explain_backup_failure(), _show_backup_steps() as tell:
            manifest = restoring.restore_files(file, keys, signers, home, lambda count: tell("restoring", count))
    except FileExistsError:
        raise CommandStop(t("{home} is not empty", home=home)) from None
    screen.config = home / manifest.config
    screen.row(
        {"action": "configuration", "to": str(home), "left_out": list(manifest.left_out)},
        t("Configuration written to {home}.", home=home),
    )
    if manifest.left_out:
        screen.note(t("Not in the backup: {names}", names=", ".join(manifest.left_out)))


def _restore_journal(
    screen: Screen,
    file: Path,
    keys: Sequence[PrivateKey],
    signers: Sequence[x509.Certificate],
    *,
    reason: str,
    again: str,
) -> None:
    try:
        config = read_journal_config(screen)
    except ConfigurationFault as fault:
        screen.mistakes(fault.mistakes)
        command_line = f"lienthong -c {screen.config} backup restore {again}"
        screen.note(t("Correct this, then restore the journal: {command_line}", command_line=command_line))
        exit_command(PARTLY)
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    witness = Witness(config.witness_folder)
    said = RestoreStatement(reason=reason, by=name_person(), now=datetime.now(UTC), witness=witness)
    with hold_data_folder(config), _explain_backup_failure(), _show_backup_steps() as tell:
        require_no_other_hub(config, said.now)
        if path := find_sqlite_file(config.database_url):
            journal: object = path
            done = restoring.restore_sqlite_journal(file, keys, signers, path, config.data, said, tell)
        else:
            place = journal_copy.place_postgresql(config, config.backup)
            journal = config.database_url
            done = restoring.restore_postgresql_journal(file, keys, signers, place, config.data, said, tell)
        claim_era(config, done.era, said.now)
    screen.note(
        t(
            "Restored {journal}: the journal of {made_at}, {messages} messages, up to {last}.",
            journal=journal,
            made_at=say_instant(done.manifest.made_at),
            messages=say_count(done.manifest.messages),
            last=say_instant(done.manifest.last),
        )
    )
    for each in done.moved:
        screen.note(t("What was there is now {file}", file=each))
    moved = [str(each) for each in done.moved]
    absent = _tell_absent_archives(screen, config)
    fields = {
        "action": "restored",
        "to": str(journal),
        **_describe_manifest(done.manifest),
        "moved": moved,
        "archives_absent": absent,
    }
    tell_era(screen, done.era, done.lost, fields)


def _tell_absent_archives(screen: Screen, config: Config) -> list[str]:
    """Say which archive files the restored journal names that are not here, and return their names."""
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        absent = catalogue.list_absent_files(catalogue.list_archives(tx), config.archive)
    if absent:
        screen.note(
            t(
                "{count} archive files that the journal names are not in {folder}, and no backup has them: put copies of "
                "them there. `lienthong archive verify` names each.",
                count=say_count(len(absent)),
                folder=config.archive,
            )
        )
    return absent


def _read_backup_settings(config: Config) -> BackupSettings:
    if config.backup is None:
        raise CommandStop(t("hub.toml has no [backup]: docs/howto/back-up.md shows one"), CONFIGURATION)
    return config.backup


def _read_backup_keys(identity: Path) -> tuple[PrivateKey, ...]:
    try:
        return read_private_keys(identity)
    except (OSError, ValueError) as error:
        raise CommandStop(t("{file}: {error}", file=identity, error=error)) from error


def _read_backup_signers(screen: Screen, signer: Path | None) -> Sequence[x509.Certificate]:
    """Return the certificates one of which must have signed the backup."""
    if signer is not None:
        try:
            return load_pem_certificates(signer.read_bytes())[:1]
        except (OSError, ValueError) as error:
            raise CommandStop(t("{file}: {error}", file=signer, error=error)) from error
    try:
        return [read_journal_config(screen).identity.certificate]
    except ConfigurationFault as fault:
        screen.mistakes(fault.mistakes)
        raise CommandStop(
            t("the hub's certificate cannot be read from {config}; give it by --signer", config=screen.config),
            CONFIGURATION,
        ) from None


@contextmanager
def _explain_backup_failure() -> Generator[None]:
    """Turn what can fail with a backup into a `CommandStop` that says what."""
    try:
        yield
    except BackupUnfit as unfit:
        raise CommandStop(say(unfit.why)) from unfit
    except BackupRuns:
        raise CommandStop(t("another backup of this hub is being made or restored"), UNAVAILABLE) from None
    except Unready as unready:
        raise CommandStop(str(unready), UNAVAILABLE) from unready
    except FileExistsError:
        raise
    except OSError as error:
        raise make_file_stop(error.filename or "", error) from error
    except sqlite3.Error as error:
        raise CommandStop(str(error)) from error
    except DBAPIError as error:
        raise CommandStop(str(error.orig).strip(), UNAVAILABLE) from error


@contextmanager
def _show_backup_steps() -> Generator[Tell]:
    """Show the octets that each step has done, on a terminal."""
    with progress_bar(t("Backup")) as bar:
        total, step = 0, ""

        def tell(now: str, count: int) -> None:
            nonlocal total, step
            total = count if now != step or now in {"copying", "verifying"} else total + count
            step = now
            bar(total, max(total, 1))

        yield tell


def _describe_manifest(manifest: BackupManifest) -> dict[str, object]:
    return {
        "made_at": manifest.made_at,
        "hub": manifest.hub,
        "province": manifest.province,
        "program": manifest.program,
        "schema": manifest.schema,
        "number": manifest.number,
        "hash": manifest.hash,
        "last": manifest.last,
        "messages": manifest.messages,
        "left_out": list(manifest.left_out),
    }


def _describe_backup(record: BackupRecord) -> dict[str, object]:
    return {
        "file": str(record.file),
        "octets": record.octets,
        "sha256": record.sha256,
        "tried_at": record.tried_at,
        "restored": record.restored,
        **_describe_manifest(record.manifest),
    }
