"""Stops the use of a journal on SQLite when a read failed as from a damaged file, and finds out whether it is damaged.

A disk that failed to read for a moment looks to SQLite like a damaged file. So the file is opened anew and examined: the
journal is used again when nothing is wrong with it, and called damaged only with what was found. Contains no table.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import attrs
import sqlalchemy as sa
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from hub.domain.errors import Unready
from hub.domain.model import Detail
from hub.language.phrases import Phrase, phrase, verbatim
from hub.store.database_errors import DAMAGED, is_damage_error
from hub.store.journal_file import PERSON, JournalFile
from hub.store.transactions import Transaction, read_transaction

log = structlog.get_logger()

#: Finds what is wrong with the file that a transaction reads: its structure, or also its indexes (True). Ends with what
#: it has found when the callable says so.
DamageFinder = Callable[[Transaction, bool, Callable[[], bool]], Sequence[Phrase]]

#: Longest examination, in seconds: the first one, and that of a journal that is doubted again within `AGAIN` seconds
#: after nothing was found.
BRIEFLY, LONGEST, AGAIN = 30.0, 600.0, 3600.0
#: Seconds until the next examination of a journal that cannot be used; at least `_SHARE` times as long as one took.
PAUSE, _SHARE = 5.0, 10


@attrs.define(eq=False)
class DamageWatch:
    """Whether the journal may be used, as far as damage goes."""

    _engine: sa.Engine
    _file: JournalFile
    _find: DamageFinder
    _run: Callable[..., Deferred[Any]]  #: runs a function in a thread
    _clock: Any
    #: why the journal is not used now; None: it is
    refusal: Unready | None = attrs.field(default=None, init=False)
    _sound: float = attrs.field(default=float("-inf"), init=False)  #: when nothing was found last, by the clock
    _ended: bool = attrs.field(default=False, init=False)
    _next: IDelayedCall | None = attrs.field(default=None, init=False)

    def doubt(self, why: Detail) -> None:
        """Stop the use of the journal, and examine it."""
        if self.refusal is not None or self._ended:
            return
        log.critical("journal-doubted", reason=str(why))
        detail = phrase("a read failed as from a damaged file, which is being examined: {why}", why=why)
        self.refusal = Unready("journal-unavailable", detail)
        self._begin(whole=self._clock.seconds() - self._sound < AGAIN)

    def stop(self) -> None:
        """Begin no further examination, and end the one in progress soon."""
        self._ended = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _begin(self, *, whole: bool) -> None:
        began = self._clock.seconds()
        _ = self._run(self._examine, whole).addErrback(_describe_failure).addCallback(self._judge, whole, began)

    def _examine(self, whole: bool) -> Unready | None:
        """Open the file anew and return what is wrong with it."""
        self._engine.dispose()
        limit = LONGEST if whole else BRIEFLY
        try:
            self._file.read_whole(self._set_end(limit))
        except OSError as error:
            detail = phrase("{path} cannot be read: {error}", path=self._file.path, error=error.strerror)
            return Unready("journal-unavailable", detail)
        try:
            with read_transaction(self._engine) as tx:
                found = self._find(tx, whole, self._set_end(limit))
        except sa.exc.DBAPIError as error:
            if not is_damage_error(error):
                raise
            found = [verbatim(error.orig)]  # the disk has just read every octet
        if not found:
            return None
        return Unready(DAMAGED, phrase("proved by: {found}", found=found[0]), retry_after=PERSON)

    def _set_end(self, limit: float) -> Callable[[], bool]:
        until = monotonic() + limit
        return lambda: self._ended or monotonic() >= until

    def _judge(self, found: Unready | None, whole: bool, began: float) -> None:
        if self._ended:
            return
        now = self._clock.seconds()
        if found is None:
            log.warning("journal-sound")
            self.refusal, self._sound = None, now
            return
        if self.refusal is None or str(found) != str(self.refusal):
            if found.problem.code == DAMAGED:
                log.critical("journal-damaged", reason=str(found.problem.detail))
            else:
                log.critical("journal-unreadable", reason=str(found.problem.detail))
        self.refusal = found
        self._next = self._clock.callLater(max(PAUSE, _SHARE * (now - began)), lambda: self._begin(whole=whole))


def _describe_failure(failure: Failure) -> Unready:
    """Return the refusal for an examination that could not be made."""
    if isinstance(failure.value, Unready):
        return failure.value
    return Unready("journal-unavailable", str(getattr(failure.value, "orig", None) or failure.value))
