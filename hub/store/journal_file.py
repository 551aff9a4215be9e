"""Keeps SQLite's file open while a process uses the journal, and sees that its path leads to another file.

A file that was moved, replaced or deleted stays open in the connections there are, while a new connection opens what
lies at the path: two journals, each with a part of the receipts. The same holds for the write-ahead log beside it. So
one connection stays open as long as the process: while it is, SQLite itself replaces neither file, and no other file can
get their inodes. Contains no table.
"""

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock

import attrs
import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection

from hub.domain.errors import Unready
from hub.language.phrases import Phrase, phrase

log = structlog.get_logger()

#: Error code of a journal whose file is not the one at its path any more.
MOVED = "journal-moved"
#: Seconds of Retry-After while a person must act.
PERSON = 600
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
#: Octets of one read.
_AT_ONCE = 1 << 20

#: Device and inode of a file.
_Inode = tuple[int, int]


@attrs.frozen
class JournalInodes:
    """Which files a process has open: SQLite's file, and its write-ahead log."""

    file: _Inode
    log: _Inode


@attrs.define(eq=False)
class JournalFile:
    """The file of a journal on SQLite, as one process has it open."""

    _engine: sa.Engine
    path: Path
    #: the files that are open; None: those at the path when the first step is begun
    inodes: JournalInodes | None = None
    #: what shows that the path leads to another file, once it was seen: it never passes
    moved: Unready | None = attrs.field(default=None, init=False)
    _log: Path = attrs.field(default=Path(), init=False)  #: the write-ahead log of what is open
    _kept: sa.Connection | None = attrs.field(default=None, init=False)
    #: descriptor for `read_whole`. To close one ends every lock that this process has on the file (fcntl(2)), so it
    #: stays open as long as the connections. A file that SQLite took for damaged at the start has none yet.
    _raw: int = attrs.field(default=-1, init=False)
    _opening: Lock = attrs.field(factory=Lock, init=False)

    def __attrs_post_init__(self) -> None:
        event.listen(self._engine, "do_connect", self._judge)  # to connect could make an empty file
        event.listen(self._engine, "connect", self._judge_connection)

    def _judge(self, *_args: object) -> None:
        if self.inodes is not None:
            self._compare(self.inodes)

    def _judge_connection(self, opened: DBAPIConnection, _entry: object) -> None:
        """Close the connection *opened* if it may be one to another file. Raises `Unready` then."""
        try:
            self._judge()
        except Unready:
            opened.close()
            raise

    def open(self) -> None:
        """Keep the file open from now on. Does nothing when it is. Raises SQLAlchemy's errors, OSError, `Unready`."""
        with self._opening:
            if self._kept is not None:
                return
            with ExitStack() as opened:
                kept = opened.enter_context(self._engine.connect())
                kept.detach()
                kept.exec_driver_sql("SELECT 1 FROM sqlite_schema LIMIT 1").all()  # opens the write-ahead log
                kept.rollback()
                self._log = self._name_log()
                if self.inodes is None:
                    self.inodes = JournalInodes(_read_inode(self.path), _read_inode(self._log))
                self._open_raw()
                self._kept = kept
                opened.pop_all()

    def _open_raw(self) -> None:
        if self._raw < 0:
            self._raw = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def _name_log(self) -> Path:
        """Return the write-ahead log: SQLite names it by the path without symbolic links."""
        return Path(f"{os.path.realpath(self.path)}-wal")

    def close(self) -> None:
        """Close the file, after every other connection of this process."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        if self._raw >= 0:
            os.close(self._raw)
            self._raw = -1

    def require_unmoved(self) -> None:
        """Raise `Unready` if the path leads, or has ever led, to another file than the open one.

        Called after a commit and before its receipt: what was committed into a file that has gone has no receipt.
        """
        self.open()
        assert self.inodes is not None
        self._compare(self.inodes)

    def _compare(self, ours: JournalInodes) -> None:
        if self.moved is None and (wrong := self._find_change(ours)) is not None:
            log.critical("journal-moved", reason=str(wrong))
            self.moved = Unready(MOVED, wrong, retry_after=PERSON)
        if self.moved is not None:
            raise self.moved

    def _find_change(self, ours: JournalInodes) -> Phrase | None:
        places = [(self.path, ours.file)]
        if self._kept is not None:
            places.append((self._log, ours.log))
        for path, open_one in places:
            try:
                found = _read_inode(path)
            except OSError as error:
                if error.errno not in _GONE:
                    raise Unready("journal-unavailable", str(error)) from error
                return phrase(
                    "{path} was moved or deleted while the hub runs; restart it with the right file", path=path
                )
            if found != open_one:
                return phrase("{path} was replaced while the hub runs; restart it with the right file", path=path)
        return None

    def read_whole(self, enough: Callable[[], bool]) -> None:
        """Read every octet of the file and its log until *enough* says so. Raises OSError where the disk does not."""
        with self._opening:
            self._open_raw()
        _read_enough(self._raw, enough)
        with suppress(FileNotFoundError), self._name_log().open("rb", buffering=0) as opened:
            _read_enough(opened.fileno(), enough)


def _read_inode(path: Path) -> _Inode:
    found = os.stat(path)  # noqa: PTH116 - twice a commit
    return found.st_dev, found.st_ino


def _read_enough(file: int, enough: Callable[[], bool]) -> None:
    place = 0
    while not enough() and (got := len(os.pread(file, _AT_ONCE, place))):
        place += got
