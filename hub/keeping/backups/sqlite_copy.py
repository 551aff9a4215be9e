"""Copies a SQLite journal with SQLite's online backup, while hubs and commands use it. Does not read the content.

The copy is one file with the state of one moment. It gets its final name only when it is complete and on the disk.
"""

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from hub.config.durable_files import hold_workplace, sync_folder

#: Pages copied between two progress reports.
_PAGES = 4096


@contextmanager
def copy_journal(
    journal: Path, to: Path, tell: Callable[[int, int], None] = lambda _done, _all: None
) -> Generator[Path]:
    """Copy *journal* to a temporary file beside *to*, which must not exist. Yield that file for `name_backup`.

    Raises FileExistsError, OSError, sqlite3.Error. No writer waits for the copy, and later writes are not in it.
    """
    if to.exists():
        raise FileExistsError(to)
    with hold_workplace(to) as place:
        new = place / to.name
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy_pages(journal, new, tell)
        yield new


def _copy_pages(journal: Path, new: Path, tell: Callable[[int, int], None]) -> None:
    with (
        closing(sqlite3.connect(f"file:{_quote_path(journal)}?mode=ro", uri=True, isolation_level=None)) as there,
        closing(sqlite3.connect(new)) as here,
    ):
        there.execute("BEGIN")
        there.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the snapshot begins here
        there.backup(here, pages=_PAGES, progress=lambda _status, left, pages: tell(pages - left, pages))
        here.execute("PRAGMA journal_mode=DELETE")  # one file, without WAL


def name_backup(new: Path, to: Path) -> None:
    """Give a copy its final name after it is synced to the disk."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    os.link(new, to)  # fails if *to* exists: never overwrites
    sync_folder(to.parent)


def _quote_path(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
