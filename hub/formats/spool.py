"""Keeps octets in memory or in temporary files: a body, a packet, a part.

Knows slices and files. Does not interpret the content.

Large content is never in memory as a whole. Any thread reads it slice by slice.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO

import attrs

from hub.domain.errors import Unready
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error

#: Octets read at once: a multiple of three, so that the base64 of the slices is the base64 of the whole. Larger slices
#: are not faster, and they leave more memory allocated in each thread.
SLICE = 3 << 14
#: Content of at most this many octets stays in memory.
SMALL = 1 << 16
#: Content of at most this many octets goes to another process together with what refers to it. Of longer content only
#: the length goes.
CARRIED = 1 << 20


@attrs.frozen(eq=False)
class Octets:
    """A range of octets in memory or in a file. The file stays open as long as its `Drawer`. Any thread may read it."""

    _source: bytes | IO[bytes] | None  #: None: the octets are in another process
    _start: int
    _size: int

    @classmethod
    def of(cls, source: bytes | IO[bytes]) -> "Octets":
        """Return all of *source*: bytes, or a file opened for reading whose writer has flushed it."""
        size = len(source) if isinstance(source, bytes) else os.fstat(source.fileno()).st_size
        return cls(source, 0, size)

    def __len__(self) -> int:
        return self._size

    def __reduce__(self) -> tuple[type["Octets"], tuple[object, ...]]:
        return Octets, (self.read() if self._size <= CARRIED else None, 0, self._size)

    @property
    def file(self) -> IO[bytes] | None:
        """Return the file whose octets these are, all of them; None if they are in memory or a part of a file."""
        if self._source is None or isinstance(self._source, bytes) or self._start:
            return None
        return self._source if os.fstat(self._source.fileno()).st_size == self._size else None

    def cut(self, start: int, end: int) -> "Octets":
        """Return the octets from *start* up to *end*, both relative to this range."""
        assert 0 <= start <= end <= self._size
        return Octets(self._source, self._start + start, end - start)

    def pieces(self, step: int = SLICE) -> Iterator[bytes]:
        """Yield the octets in pieces of *step*. Only the last piece may be shorter.

        Raises OSError if the file has been truncated, and Unready if the octets are in another process.
        """
        for at in range(0, self._size, step):
            yield self._read(at, min(step, self._size - at))

    def read(self) -> bytes:
        """Return all octets."""
        return self._read(0, self._size)

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def _read(self, at: int, count: int) -> bytes:
        start = self._start + at
        if self._source is None:
            raise Unready("journal-unavailable", "spool: the content is in another process")
        if isinstance(self._source, bytes):
            return self._source[start : start + count]
        found = os.pread(self._source.fileno(), count, start)
        while len(found) < count:  # a signal, or a failing disk
            more = os.pread(self._source.fileno(), count - len(found), start + len(found))
            if not more:
                raise OSError(f"a spooled file ends at {start + len(found)}; {count - len(found)} octets are missing")
            found += more
        return found


@attrs.define(eq=False)
class Drawer:
    """The temporary files of one call.

    They are nameless, lie in *folder* (None: the system's folder) and are closed together.
    """

    _folder: Path | None = None
    memory: int = attrs.field(default=SMALL, kw_only=True)  #: octets of one content that may stay in memory
    _files: list[IO[bytes]] = attrs.field(factory=list, init=False)
    _then: list[Callable[[], None]] = attrs.field(factory=list, init=False)

    def file(self) -> IO[bytes]:
        """Open a new unbuffered file. Raises Unready if the disk has no room for it."""
        try:
            made = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - `close` closes it
        except OSError as error:
            raise Unready(
                "journal-unavailable", phrase("spool: {reason}", reason=name_system_error(error)), retry_after=60
            ) from error
        self._files.append(made)
        return made

    def adopt(self, file: IO[bytes]) -> Octets:
        """Return all octets of *file*, which is closed with the others."""
        self._files.append(file)
        return Octets.of(file)

    def keep(self, pieces: Iterable[bytes]) -> Octets:
        """Return the octets of *pieces*. Up to `memory` octets stay in memory. Raises Unready if the disk is full."""
        held: list[bytes] = []
        size, file = 0, None
        for piece in pieces:
            size += len(piece)
            if file is None and size > self.memory:
                file = self.file()
                write_spooled(file, b"".join(held))
            if file is None:
                held.append(piece)
            else:
                write_spooled(file, piece)
        return Octets.of(b"".join(held) if file is None else file)

    def keep_each(self, many: Iterable[Iterable[bytes]]) -> list[Octets]:
        """Return the octets of each of *many*. They share one file, or memory if they are few together."""
        ends = [0]

        def every() -> Iterator[bytes]:
            for pieces in many:
                ends.append(ends[-1])
                for piece in pieces:
                    ends[-1] += len(piece)
                    yield piece

        whole = self.keep(every())
        return [whole.cut(start, end) for start, end in pairwise(ends)]

    def afterwards(self, step: Callable[[], None]) -> None:
        """Register *step* to be called when the drawer is closed."""
        self._then.append(step)

    def close(self) -> None:
        """Close every file, which deletes its content, and call the registered steps."""
        while self._files:
            self._files.pop().close()
        while self._then:
            self._then.pop()()


def write_spooled(file: IO[bytes], piece: bytes) -> None:
    """Write all of *piece*. Raises Unready if the disk is full."""
    view = memoryview(piece)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise Unready(
            "journal-unavailable", phrase("spool: {reason}", reason=name_system_error(error)), retry_after=60
        ) from error


def name_spool_folder(data: Path) -> Path:
    """Return the folder for temporary files in the *data* directory.

    It is on the journal's disk, because the system's folder may be in memory.
    """
    return data / "spool"


def clear_spool(folder: Path) -> None:
    """Create *folder*, or empty it.

    Files are left there when a hub was killed on a system on which temporary files cannot be nameless.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in folder.iterdir():
        left.unlink()
