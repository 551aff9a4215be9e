"""Tries a backup: restores it into a folder of its own and checks the journal. Changes no journal that is in use."""

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
from cryptography import x509

from hub.keeping.backups import journal_copy, package
from hub.keeping.backups.journal_copy import Tell
from hub.keeping.backups.manifest import HOME, BackupManifest, MemberEntry
from hub.keeping.backups.package import BackupUnfit
from hub.keeping.backups.postgresql import PostgresqlPlace
from hub.security.age_files import PrivateKey


@attrs.frozen
class TriedBackup:
    """A backup that was tried and is good."""

    manifest: BackupManifest
    journal: Path  #: the file with its journal, in the work folder
    restored: bool  #: False: a dump of PostgreSQL that was only read whole, because there is no database to try it in


def try_backup(
    file: Path,
    keys: Sequence[PrivateKey],
    signers: Sequence[x509.Certificate],
    work: Path,
    trial: PostgresqlPlace,
    tell: Tell,
) -> TriedBackup:
    """Decrypt the backup *file*, restore it into the empty folder *work*, and check it.

    Checked are the signature, each member's SHA-256, the database's structure, the hash chain, the octets of each
    message, and that the journal is in the state that the manifest says. A dump of PostgreSQL is restored into *trial*;
    if that has no URL, it is only read. Raises BackupUnfit, OSError, and SQLAlchemy's errors if *trial* does not answer.
    """

    def choose(manifest: BackupManifest) -> Callable[[MemberEntry], Path | None]:
        return lambda said: None if said.name.startswith(HOME) else work / said.name

    manifest = package.read_package(file, keys, signers, choose, lambda count: tell("restoring", count))
    journal = work / manifest.journal.name
    for problem in journal_copy.find_problems(manifest, journal, trial, tell):
        raise BackupUnfit(problem)
    return TriedBackup(manifest, journal, manifest.is_sqlite or bool(trial.url))
