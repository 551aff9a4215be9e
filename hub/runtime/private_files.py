"""Keeps the data directory and SQLite's journal from other accounts. Knows modes of files, not what is in them."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: What group and others may do.
_OTHERS = 0o077


def list_open_files(data: Path, journal: Path | None) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the data directory, and each file of the *journal*, that another account may look into. None: no SQLite."""
    files = [] if journal is None else [Path(f"{journal}{end}") for end in ("", "-wal", "-shm")]
    for path in (data, *files):
        with suppress(OSError):  # it is not there
            found = path.stat()
            if found.st_mode & _OTHERS:
                yield path, found


def close_open_files(data: Path, journal: Path | None) -> list[Path]:
    """Take from other accounts what they may do with these files, where this account owns them. Return the changed ones."""
    changed = []
    for path, found in list_open_files(data, journal):
        with suppress(OSError):  # a file system without modes
            if found.st_uid == os.geteuid():
                path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
                changed.append(path)
    return changed
