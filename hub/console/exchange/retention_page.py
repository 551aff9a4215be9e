"""What goes and what went, as a page: the parts with their archive files, and how large the database is. No HTTP, no SQL.

    /retention     the parts that are announced, are going and have gone; the size of the database and its budget

Changes nothing: the hub lets go by itself, or on the order of `lienthong retention`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.config.upkeep.retention import RetentionSettings
from hub.console.request import ConsoleRequest, refuse_as_absent
from hub.console.turns import ReadingTurns
from hub.console.users import User
from hub.journal.upkeep.retention import disk_budget, parts
from hub.journal.upkeep.retention.disk_budget import BudgetStanding
from hub.journal.upkeep.retention.parts import RetentionPart
from hub.store.transactions import Transaction
from hub.units.live import Live

#: Parts that are shown.
MOST = 200


@attrs.frozen(kw_only=True)
class ShownRetention:
    """What the page shows."""

    open: Sequence[RetentionPart]  #: announced or going, the oldest first
    ended: Sequence[RetentionPart]  #: gone or withdrawn, the latest first
    size: BudgetStanding
    settings: RetentionSettings


@attrs.frozen(kw_only=True)
class RetentionPage:
    """The page: its template and what it says."""

    said: Mapping[str, object]
    status: int = 200
    template: str = "retention"


def read_retention(tx: Transaction, settings: RetentionSettings, now: datetime) -> ShownRetention:
    """Return what goes and what went."""
    found = parts.list_parts(tx, limit=MOST)
    return ShownRetention(
        open=parts.list_parts(tx, only_open=True, limit=MOST),
        ended=[each for each in found if each.state not in parts.OPEN],
        size=disk_budget.read_budget(tx, settings.budget, now),
        settings=settings,
    )


@attrs.frozen
class RetentionPages:
    """Makes the page."""

    _turns: ReadingTurns
    _live: Live

    async def show(self, asked: ConsoleRequest, user: User, now: datetime) -> RetentionPage:
        """Return the page."""
        del user
        if asked.path[1:]:
            raise refuse_as_absent()
        found = await self._turns.look(read_retention, self._live.config.retention, now)
        return RetentionPage(said={"found": found})

    async def act(self, asked: ConsoleRequest, user: User, now: datetime) -> str:
        """Refuse: nothing is ordered here."""
        del asked, user, now
        raise refuse_as_absent()
