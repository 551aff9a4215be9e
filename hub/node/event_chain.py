"""Numbers and chains committed events, at most a second behind.  Knows when; hub.journal.events knows how."""

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.journal import events
from hub.runtime.periodic import Regular
from hub.store.group_commit import Journal

log = structlog.get_logger()

_BATCH = 2000
_EVERY = 0.5  #: seconds


@attrs.define(eq=False)
class Chainer(Regular):
    """One node's chainer; a database lock lets one at a time work."""

    every = _EVERY

    _journal: Journal
    _clock: IReactorTime

    async def end(self) -> None:
        """Chain what is there."""
        await self.look()

    async def look(self) -> None:
        """Chain what is there, batch by batch."""
        try:
            while await self._journal.write(events.chain_events, _BATCH) == _BATCH:
                pass
        except CancelledError:
            raise
        except Exception:
            log.exception("chaining-failed")  # the next round tries again; a loop that raises would stop for ever
