"""Makes a backup: copies the journal, collects the files, encrypts them, tries the result, and only then names it.

The trial decrypts the very file that is kept. The hub has no private key, so each backup is also encrypted to a key that
is made for it, stays in memory and is forgotten. So what an operator decrypts is what was tried; that the operator
still has a private key, only `lienthong backup verify --identity` shows.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import attrs

from hub.config import Config
from hub.config.durable_files import hold_workplace
from hub.config.upkeep.backup import BackupSettings
from hub.keeping import backup_runs
from hub.keeping.backups import contents, journal_copy, package, shelf, trial
from hub.keeping.backups.manifest import BackupManifest
from hub.keeping.backups.package import BackupUnfit
from hub.keeping.backups.shelf import BackupRecord
from hub.language.phrases import phrase
from hub.runtime import disk_space, pidfile
from hub.security.age_files import make_private_key
from hub.store import transactions

#: The folder in the data directory in which backups are prepared and tried, and the lock of the one that runs.
WORK, _LOCK = "backup.work", "backup.lock"
#: Seconds in which a file must have been sent.
_SENT_WITHIN = 6 * 3600.0


class BackupRuns(Exception):
    """Another backup of this hub is being made or restored."""


@attrs.frozen
class MadeBackup:
    """A backup that was made and tried."""

    record: BackupRecord
    removed: tuple[Path, ...]  #: older backups that were removed


def _write_manifest(
    config: Config,
    state: journal_copy.JournalState,
    made_at: datetime,
    files: Sequence[tuple[str, Path]],
    left_out: tuple[str, ...],
    tell: journal_copy.Tell,
) -> BackupManifest:
    """Return the manifest of a backup of *files*, by name, with the hash of each."""
    return BackupManifest(
        hub=config.name,
        config=config.path.name,
        province=config.province,
        made_at=made_at,
        program=version("lienthong"),
        schema=state.schema,
        number=state.number,
        hash=state.hash,
        last=state.last,
        messages=state.messages,
        members=tuple(
            package.describe_member(name, file, lambda count: tell("hashing", count)) for name, file in files
        ),
        left_out=left_out,
    )


def make_backup(
    config: Config,
    settings: BackupSettings,
    clock: Callable[[], datetime],
    tell: journal_copy.Tell = lambda _step, _count: None,
) -> MadeBackup:
    """Make a backup of the hub and try it. The hub may run. Return its record.

    *tell* is called with the step (`copying`, `hashing`, `encrypting`, `restoring`, `verifying`) and the number of
    octets of it that were done. Raises BackupRuns, BackupUnfit if the journal or the backup is damaged or the disk has
    no room, OSError, sqlite3.Error, SQLAlchemy's errors if a server does not answer, and Unready if the hub's key
    cannot be used now. Then there is no new good backup, and the older ones are all there.
    """
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with hold_work_folder(config.data) as work:
        chosen = contents.choose_files(config, settings)
        _require_room(config, journal_copy.measure_journal_copy(config, settings))
        made_at = clock().astimezone(UTC).replace(microsecond=0)  # before the copy begins: what came earlier is in it
        copied = journal_copy.copy_for_backup(config, settings, work, tell)
        files = [(copied.name, copied.file), *chosen.files]
        manifest = _write_manifest(config, copied.state, made_at, files, chosen.left_out, tell)
        file, key = shelf.name_backup_file(settings.folder, manifest), make_private_key()
        with hold_workplace(file) as place:
            new = place / file.name
            written = package.write_package(
                new,
                manifest,
                [each for _, each in files],
                config.identity,
                [*settings.recipients, key.recipient],
                made_at,
                lambda count: tell("encrypting", count),
            )
            copied.file.unlink()  # makes room for the trial
            tried = trial.try_backup(
                new, [key], [config.identity.certificate], work, journal_copy.place_trial(config, settings), tell
            )
            os.link(new, file)  # fails if *file* exists: never overwrites
        record = shelf.write_record(file, written, manifest, clock(), restored=tried.restored)
        send_backup(settings, record)
        return MadeBackup(record, tuple(shelf.remove_old_backups(settings.folder, settings.keep)))


def send_backup(settings: BackupSettings, record: BackupRecord) -> None:
    """Bring a backup and its record elsewhere, by the program that the operator has named, the record last.

    Raises BackupUnfit: a backup that should be elsewhere and is not is not good. Its files stay.
    """
    for file in (record.file, shelf.name_record(record.file)) if settings.send else ():
        words = [word.replace("{file}", str(file)).replace("{name}", file.name) for word in settings.send]
        try:
            ended = subprocess.run(  # noqa: S603 - what hub.toml names, without a shell
                words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SENT_WITHIN, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackupUnfit(phrase("it was made, but not sent: {said}", said=str(error))) from None
        if ended.returncode:
            said = ended.stderr.decode("utf-8", "replace").strip()[-500:] or str(ended.returncode)
            raise BackupUnfit(phrase("it was made, but not sent: {said}", said=said))


@contextmanager
def hold_work_folder(data: Path) -> Generator[Path]:
    """Yield an empty folder in the data directory, which is removed at the end. Raises BackupRuns, OSError."""
    lock = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    work = data / WORK
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRuns from None
        shutil.rmtree(work, ignore_errors=True)  # of one that was killed
        work.mkdir(mode=0o700)
        try:
            yield work
        finally:
            shutil.rmtree(work)
    finally:
        os.close(lock)


def clear_work_folder(data: Path) -> None:
    """Remove the work folder that a backup or a restore left which was killed; not that of one that runs."""
    if (data / WORK).exists():
        with suppress(BackupRuns, OSError), hold_work_folder(data):
            pass


def _require_room(config: Config, journal: int) -> None:
    """Refuse a backup that would leave the hub less room than it needs. Raises BackupUnfit."""
    left = disk_space.count_octets_left(config)
    if left < journal:
        raise BackupUnfit(
            phrase(
                "the copy needs {journal} octets in {data}, and only {left} may be used",
                journal=journal,
                data=config.data,
                left=max(0, left),
            )
        )


def run_backup(
    config: Config,
    settings: BackupSettings,
    clock: Callable[[], datetime],
    tell: journal_copy.Tell = lambda _step, _count: None,
    begun: str | None = None,
) -> MadeBackup:
    """Make a backup as `make_backup` does, and let the journal know of it. Raises what `make_backup` raises.

    *begun* is the id of the row in the journal, if the caller has written it already.
    """
    engine = transactions.open_journal(config.database_url, password_file=config.password_file, pooled=False)
    try:
        if begun is None:
            with transactions.write_transaction(engine) as tx:
                begun = backup_runs.begin_backup_run(tx, pidfile.name_node(config.data, clock()), clock())
                assert begun is not None
        try:
            made = make_backup(config, settings, clock, tell)
        except Exception as error:
            with transactions.write_transaction(engine) as tx:
                backup_runs.fail_backup_run(tx, begun, clock(), describe_failure(error))
            raise
        record, manifest = made.record, made.record.manifest
        with transactions.write_transaction(engine) as tx:
            backup_runs.end_backup_run(
                tx,
                begun,
                clock(),
                made_at=manifest.made_at,
                file=record.file.name,
                octets=record.octets,
                number=manifest.number,
                restored=record.restored,
            )
        return made
    finally:
        engine.dispose()


def describe_failure(error: Exception) -> str:
    """Return why there is no new backup, in English."""
    match error:
        case BackupUnfit():
            return str(error.why)
        case BackupRuns():
            return "another backup of this hub is being made or restored"
        case OSError():
            return f"{error.filename or ''}: {error.strerror}"
        case _:
            return str(error) or type(error).__name__
