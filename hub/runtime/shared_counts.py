"""Counts shared by the processes of one node (`hub.domain.node_counts`), in a file that all of them map into memory.

Each process writes only its own column, so the counts of a process that was killed can be taken out again. A lock of
the operating system (fcntl) keeps two processes from deciding by the same count. It ends with its process. Contains no
limit.

A table is a hash table of `SLOTS` rows. A name has its row within `WINDOW` rows of its hash. A row whose counts are all
zero may be given to another name.
"""

import fcntl
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import structlog

from hub.domain.errors import Unready
from hub.domain.node_counts import Counted
from hub.language.phrases import phrase

log = structlog.get_logger()

#: Rows of a table: four times the connections of a port, of which each may have an owner of its own.
SLOTS = 16384
#: Rows in which a name may be.
WINDOW = 32
#: Seconds after which a lock that another process holds is not waited for any longer: that process was suspended in the
#: middle of a change. A count may then be wrong by one change.
PATIENCE = 1.0
_KEY = 16
_TIME = struct.Struct("d")


@lru_cache(4096)
def _hash_name(name: str) -> tuple[bytes, int]:
    digest = blake2b(name.encode(), digest_size=_KEY).digest()
    return digest, int.from_bytes(digest[:4]) % SLOTS


class SharedCounts:
    """See `NodeCounts`. *column* is the number of this process, from 0; *columns* is the number of processes."""

    def __init__(self, file: int, column: int, columns: int) -> None:
        self._file, self._column, self._columns = file, column, columns
        self._depth = 0
        row = 8 * columns
        #: a table: keys, values, and the totals of each process
        self._stride = SLOTS * (_KEY + row) + row
        self._times = len(Counted) * self._stride
        self._map = mmap.mmap(file, self._times + SLOTS * (_KEY + _TIME.size))
        whole = memoryview(self._map)
        starts = [what * self._stride + SLOTS * _KEY for what in Counted]
        self._values = [whole[start : start + (SLOTS + 1) * row].cast("q") for start in starts]

    @classmethod
    def create(cls, columns: int, folder: Path | None = None) -> "SharedCounts":
        """Return new counts for *columns* processes, as process 0.

        The file lies in *folder* (None: the system's folder for temporary files), has no name, and ends with the
        processes.
        """
        with tempfile.TemporaryFile(dir=folder) as made:
            file = os.dup(made.fileno())
        size = len(Counted) * (SLOTS * (_KEY + 8 * columns) + 8 * columns) + SLOTS * (_KEY + _TIME.size)
        os.ftruncate(file, size)
        return cls(file, 0, columns)

    @property
    def file(self) -> int:
        """Return the file descriptor, for another process."""
        return self._file

    @contextmanager
    def locked(self) -> Generator[None]:
        """See `NodeCounts.locked`. May be nested."""
        held = self._depth > 0 or self._acquire()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if held and not self._depth:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _acquire(self) -> bool:
        until: float | None = None
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                now = time.monotonic()
                until = now + PATIENCE if until is None else until
                if now >= until:
                    log.warning("counts-not-locked", seconds=PATIENCE)
                    return False
                time.sleep(0.00002)
            else:
                return True

    def add(self, what: Counted, name: str, by: int) -> None:
        """See `NodeCounts.add`. Raises `Unready` (`hub-busy`) when the table has no row for another name."""
        with self.locked():
            values, row = self._values[what], self._row(what, name, make=True)
            if row is None:
                raise Unready("hub-busy", phrase("too many names are counted"))
            values[row * self._columns + self._column] += by
            values[SLOTS * self._columns + self._column] += by

    def count(self, what: Counted, name: str) -> int:
        """See `NodeCounts.count`."""
        with self.locked():
            row = self._row(what, name)
            return 0 if row is None else sum(self._cells(what, row))

    def total(self, what: Counted) -> int:
        """See `NodeCounts.total`."""
        return sum(self._cells(what, SLOTS))

    def owners(self, what: Counted) -> int:
        """See `NodeCounts.owners`. Takes a millisecond: it is for a port that is full."""
        values, columns = self._values[what].tolist(), self._columns
        return sum(sum(values[at : at + columns]) != 0 for at in range(0, SLOTS * columns, columns))

    def next_at(self, name: str) -> float:
        """See `NodeCounts.next_at`."""
        with self.locked():
            found: float = _TIME.unpack_from(self._map, self._time(name))[0]
            return found

    def set_next_at(self, name: str, at: float) -> None:
        """See `NodeCounts.set_next_at`."""
        with self.locked():
            _TIME.pack_into(self._map, self._time(name), at)

    def clear_process(self, column: int) -> None:
        """Take out all counts of a process that has ended."""
        with self.locked():
            for values in self._values:
                values[column :: self._columns] = memoryview(bytes(8 * (SLOTS + 1))).cast("q")

    def _cells(self, what: Counted, row: int) -> Sequence[int]:
        return self._values[what][row * self._columns : (row + 1) * self._columns].tolist()

    def _row(self, what: Counted, name: str, *, make: bool = False) -> int | None:
        """Return the row of *name*; None if there is none. With *make*, a free row becomes its row."""
        (digest, first), keys, free = _hash_name(name), what * self._stride, None
        for row in range(first, first + WINDOW):
            at = row % SLOTS
            key = self._map[keys + at * _KEY : keys + (at + 1) * _KEY]
            if key == digest:
                return at
            if make and free is None and not any(self._cells(what, at)):
                free = at
        if free is not None:
            self._map[keys + free * _KEY : keys + (free + 1) * _KEY] = digest
        return free

    def _time(self, name: str) -> int:
        """Return where the time of *name* stands. In a full window, the name with the earliest time loses its row."""
        digest, first = _hash_name(name)
        earliest, chosen = float("inf"), self._times
        for row in range(first, first + WINDOW):
            at = self._times + row % SLOTS * (_KEY + _TIME.size)
            if self._map[at : at + _KEY] == digest:
                return at + _KEY
            found: float = _TIME.unpack_from(self._map, at + _KEY)[0]
            if found < earliest:
                earliest, chosen = found, at
        self._map[chosen : chosen + _KEY + _TIME.size] = digest + _TIME.pack(0.0)
        return chosen + _KEY
