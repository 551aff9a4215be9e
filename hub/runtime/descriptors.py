"""Keeps file descriptors free for the hub's own files, and remembers when there were none left, or no memory.

Knows numbers of descriptors and errors of the system, not what is opened.
"""

import errno
import os
import resource
import time
from collections.abc import Callable

import attrs
import structlog

from hub.domain.model import Detail
from hub.language.phrases import Phrase, phrase, verbatim

log = structlog.get_logger()

#: Descriptors kept free for the journal, the witness, logs, backups and connections to partners; of a small limit, a
#: quarter of it.
RESERVE = 256
#: Seconds for which a shortage is told.
RECENT = 10.0
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def count_reserve(limit: int) -> int:
    """Return how many descriptors are kept free where *limit* may be open."""
    return min(RESERVE, limit // 4)


def is_reserved(file: int, *, lately: bool = False) -> bool:
    """Tell whether the descriptor *file*, just opened for somebody outside, is one of the reserve: it must be closed.

    The system gives the lowest number that is free, so all lower ones are in use. What belongs to a call that is
    being answered may use half of the reserve (*lately*).
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit != resource.RLIM_INFINITY and file >= limit - count_reserve(limit) // (2 if lately else 1)


@attrs.define(eq=False)
class Shortage:
    """The last time that this process got no descriptor or no memory."""

    _seconds: Callable[[], float] = time.monotonic
    _at: float = attrs.field(default=float("-inf"), init=False)
    _what: Phrase | None = attrs.field(default=None, init=False)

    def note(self, what: Phrase) -> None:
        """Note a shortage, and log it unless that was done a moment ago."""
        if not self.describe():
            log.error("resources-short", reason=str(what))
        self._at, self._what = self._seconds(), what

    def note_error(self, error: BaseException | None) -> None:
        """Note *error*, or what it follows from, if it is a shortage."""
        while error is not None:
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORT):
                self.note(verbatim(getattr(error, "strerror", None) or os.strerror(errno.ENOMEM)))
                return
            error = error.__cause__ or error.__context__

    def describe(self) -> Detail:
        """Return what is short, or was a moment ago; empty if nothing is."""
        return self._what if self._what is not None and self._seconds() - self._at < RECENT else ""

    def measure(self) -> Detail:
        """Open a file as anybody does, and return what `describe` does then."""
        try:
            file = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self.note_error(error)
        else:
            os.close(file)
            if is_reserved(file):
                self.note_reserve()
        return self.describe()

    def note_reserve(self) -> None:
        """Note that only the reserve of descriptors is left."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.note(
            phrase("fewer than {count} of {limit} files may still be opened", count=count_reserve(limit), limit=limit)
        )


#: That of this process.
SHORTAGE = Shortage()
