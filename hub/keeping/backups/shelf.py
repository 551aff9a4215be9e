"""The folder in which backups lie: lists them, names the last good one, removes the oldest. Opens none.

Beside each file `NAME.age` lies `NAME.age.json`, its record: the manifest of the backup, the SHA-256 of the encrypted
file, and what the trial restore found. The record is written last, so a file without one is not a backup yet.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from hub.config.durable_files import replace_file
from hub.keeping.backups.manifest import BackupManifest, ManifestUnreadable
from hub.keeping.backups.package import Written, describe_member

SUFFIX, _RECORD = ".tar.gz.age", ".json"


@attrs.frozen(kw_only=True)
class BackupRecord:
    """One backup in the folder."""

    file: Path
    octets: int
    sha256: str  #: of the encrypted file
    tried_at: datetime  #: when the trial of this very file ended well
    restored: bool  #: whether the trial restored its journal; False: it only read it whole (`trial.TriedBackup`)
    manifest: BackupManifest

    @property
    def made_at(self) -> datetime:
        """Return the moment of its journal."""
        return self.manifest.made_at


def name_backup_file(folder: Path, manifest: BackupManifest) -> Path:
    """Return the path of the backup with *manifest*."""
    return folder / f"lienthong-{manifest.province}-{manifest.made_at:%Y%m%dT%H%M%SZ}{SUFFIX}"


def write_record(
    file: Path, written: Written, manifest: BackupManifest, tried_at: datetime, *, restored: bool
) -> BackupRecord:
    """Write the record of the backup *file*, which is in its place and was tried, and return it. Raises OSError."""
    said = {
        "octets": written.octets,
        "sha256": written.sha256,
        "tried_at": tried_at.isoformat(),
        "restored": restored,
        "manifest": json.loads(manifest.write()),
    }
    replace_file(name_record(file), json.dumps(said, ensure_ascii=False, indent=1).encode())
    return BackupRecord(
        file=file, octets=written.octets, sha256=written.sha256, tried_at=tried_at, restored=restored, manifest=manifest
    )


def list_backups(folder: Path) -> list[BackupRecord]:
    """Return the backups in *folder*, the oldest first. A record that cannot be read counts as none. Raises OSError."""
    found = (_read_record(each) for each in folder.iterdir() if each.name.endswith(f"{SUFFIX}{_RECORD}"))
    return sorted((each for each in found if each is not None), key=lambda each: (each.made_at, each.file.name))


def find_last_backup(folder: Path) -> BackupRecord | None:
    """Return the newest backup in *folder*, which was tried when it was made; None if there is none. Raises OSError."""
    return max(list_backups(folder), key=lambda each: each.made_at, default=None)


def find_record(file: Path) -> BackupRecord | None:
    """Return the record beside the backup *file*, or None."""
    return _read_record(name_record(file))


def is_unchanged(record: BackupRecord) -> bool:
    """Tell whether the file has still the octets that were tried. Reads all of it. Raises OSError."""
    found = describe_member(record.file.name, record.file)
    return (found.octets, found.sha256) == (record.octets, record.sha256)


def remove_old_backups(folder: Path, keep: int) -> list[Path]:
    """Remove all but the newest *keep* backups of *folder*. Return the files removed. Raises OSError."""
    old = [each.file for each in list_backups(folder)[:-keep]]
    for each in old:
        each.unlink(missing_ok=True)  # first: a record without its file is only a mark that something is missing
        name_record(each).unlink(missing_ok=True)
    return old


def name_record(file: Path) -> Path:
    """Return the path of the record of the backup *file*."""
    return file.with_name(f"{file.name}{_RECORD}")


def _read_record(record: Path) -> BackupRecord | None:
    file = record.with_name(record.name.removesuffix(_RECORD))
    try:
        said: dict[str, Any] = json.loads(record.read_bytes())
        manifest = BackupManifest.read(json.dumps(said["manifest"]).encode())
        if not file.exists():
            return None
        return BackupRecord(
            file=file,
            octets=int(said["octets"]),
            sha256=str(said["sha256"]),
            tried_at=datetime.fromisoformat(said["tried_at"]),
            restored=bool(said["restored"]),
            manifest=manifest,
        )
    except (OSError, ValueError, TypeError, KeyError, ManifestUnreadable):
        return None
