"""Restores a backup: verifies it whole in a work folder first, then moves the journal to its place. Starts no hub."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import attrs
from cryptography import x509

from hub.config.durable_files import hold_workplace, sync_folder
from hub.keeping.backups import journal_copy, lineage, package, trial
from hub.keeping.backups.journal_copy import Tell
from hub.keeping.backups.making import hold_work_folder
from hub.keeping.backups.manifest import HOME, BackupManifest, MemberEntry
from hub.keeping.backups.package import BackupUnfit
from hub.keeping.backups.postgresql import PostgresqlPlace
from hub.keeping.backups.witness import Witness
from hub.keeping.eras import Era, EraBeginning
from hub.language.phrases import phrase
from hub.security.age_files import PrivateKey
from hub.store import transactions

_BESIDE = ("", "-wal", "-shm")


@attrs.frozen(kw_only=True)
class RestoreStatement:
    """Who restores, why and when, and what this node has seen of the journal until then."""

    reason: str
    by: str
    now: datetime
    witness: Witness


@attrs.frozen
class RestoredJournal:
    """A journal that was put in its place."""

    manifest: BackupManifest
    moved: tuple[Path, ...]  #: where the files that were there lie now
    era: Era  #: the era that began with it
    lost: int  #: receipts that it lacks, as far as the node's witness knows


def restore_sqlite_journal(
    file: Path,
    keys: Sequence[PrivateKey],
    signers: Sequence[x509.Certificate],
    journal: Path,
    data: Path,
    said: RestoreStatement,
    tell: Tell = lambda _step, _count: None,
) -> RestoredJournal:
    """Restore the journal of the backup *file* to *journal*. The caller holds the lock of the data directory *data*.

    The backup is decrypted, restored beside *journal* and verified as a trial is; only then the files that are there are
    renamed, and the new one takes their place and begins an era. Raises BackupUnfit, BackupRuns, OSError; then nothing
    has changed, or, if only the era could not begin, the hub refuses to start until `lienthong backup adopt`.
    """
    journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with hold_work_folder(data):
        with hold_workplace(journal) as work:  # in the same file system, so that a rename is enough
            tried = trial.try_backup(file, keys, signers, work, journal_copy.NOWHERE, tell)
            if not tried.manifest.is_sqlite:
                raise BackupUnfit(phrase("its journal is PostgreSQL's, but database.url names SQLite"))
            moved = _move_away(journal, said.now)
            tried.journal.rename(journal)
            sync_folder(journal.parent)
        era, lost = _begin_era(f"sqlite:///{journal}", None, said, file)
    return RestoredJournal(tried.manifest, moved, era, lost)


def restore_postgresql_journal(
    file: Path,
    keys: Sequence[PrivateKey],
    signers: Sequence[x509.Certificate],
    place: PostgresqlPlace,
    data: Path,
    said: RestoreStatement,
    tell: Tell = lambda _step, _count: None,
) -> RestoredJournal:
    """Restore the journal of the backup *file* into the empty database *place*, in one transaction, and verify it there.

    Raises BackupUnfit, BackupRuns, OSError, and SQLAlchemy's errors if the server does not answer. Then the database is
    empty, or, if only the last check fails, holds what was restored.
    """
    with hold_work_folder(data) as work:
        place.require_empty()
        read_only = attrs.evolve(place, url="")
        tried = trial.try_backup(file, keys, signers, work, read_only, tell)
        if tried.manifest.is_sqlite:
            raise BackupUnfit(phrase("its journal is SQLite's, but database.url names PostgreSQL"))
        place.restore(tried.journal)
        for problem in journal_copy.find_postgresql_problems(tried.manifest, place, tell):
            raise BackupUnfit(problem)
        era, lost = _begin_era(place.url, place.password_file, said, file)
    return RestoredJournal(tried.manifest, (), era, lost)


def _begin_era(url: str, password_file: Path | None, said: RestoreStatement, file: Path) -> tuple[Era, int]:
    """Begin an era of the restored journal, which is of this program's version by now."""
    engine = transactions.open_journal(url, password_file=password_file, pooled=False)
    try:
        with transactions.write_transaction(engine) as tx:
            return lineage.begin_restored_era(
                tx,
                said.witness,
                said.now,
                because=EraBeginning.RESTORED,
                reason=said.reason,
                by=said.by,
                backup=file.name,
            )
    finally:
        engine.dispose()


def _move_away(journal: Path, now: datetime) -> tuple[Path, ...]:
    """Rename the files of the journal that is there, all together: its log belongs to it and to no other."""
    mark = f".before-restore-{now:%Y%m%dT%H%M%S.%fZ}"
    moved = []
    for end in reversed(_BESIDE):  # the database last: without its log it would look whole and be older
        old, new = Path(f"{journal}{end}"), Path(f"{journal}{mark}{end}")
        with suppress(FileNotFoundError):
            os.link(old, new)  # fails if *new* exists: never overwrites
            moved.append(new)
    for end in _BESIDE:
        Path(f"{journal}{end}").unlink(missing_ok=True)
    sync_folder(journal.parent)  # before another journal comes there: the log of the old one must not be beside it
    return tuple(moved)


def restore_files(
    file: Path,
    keys: Sequence[PrivateKey],
    signers: Sequence[x509.Certificate],
    to: Path,
    tell: Callable[[int], None] = lambda _count: None,
) -> BackupManifest:
    """Write the configuration, and the keys if they are in it, of the backup *file* into the new folder *to*.

    Raises BackupUnfit, OSError; FileExistsError if *to* exists and is not empty.
    """
    if to.exists() and any(to.iterdir()):
        raise FileExistsError(to)
    to.mkdir(mode=0o700, parents=True, exist_ok=True)

    def choose(manifest: BackupManifest) -> Callable[[MemberEntry], Path | None]:
        if not any(each.name == f"{HOME}{manifest.config}" for each in manifest.members):
            raise BackupUnfit(phrase("it has no configuration"))
        return lambda said: to / said.name.removeprefix(HOME) if said.name.startswith(HOME) else None

    return package.read_package(file, keys, signers, choose, tell)
