"""Copies a SQLite journal while hubs and commands use it.  Knows SQLite's backup; not what is in it.

The copy is of one moment, in one file.  It gets its name only when it is whole and on the disk.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

#: Pages copied in one go: so often progress is told.
_PAGES = 4096


def copy_journal(journal: Path, to: Path, tell: Callable[[int, int], None] = lambda _done, _all: None) -> Path:
    """Copy *journal* beside *to*, which must not be there; return the copy, which `name_backup` gives its name.

    Raises FileExistsError, OSError, sqlite3.Error.  Nobody waits for it; what is written meanwhile is not in it.
    """
    if to.exists():
        raise FileExistsError(to)
    new = to.with_name(f".{to.name}.new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        closing(sqlite3.connect(f"file:{_quoted(journal)}?mode=ro", uri=True, isolation_level=None)) as there,
        closing(sqlite3.connect(new)) as here,
    ):
        there.execute("BEGIN")
        there.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees this moment alone
        there.backup(here, pages=_PAGES, progress=lambda _status, left, pages: tell(pages - left, pages))
        here.execute("PRAGMA journal_mode=DELETE")  # no file beside it
    return new


def name_backup(new: Path, to: Path) -> None:
    """Give a copy its name, when it is on the disk."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    os.link(new, to)  # never over another
    new.unlink()
    folder = os.open(to.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
