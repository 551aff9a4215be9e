"""What goes and what went, as a page: the parts with their archive files, and how large the database is. No HTTP, no SQL.

    /retention     the parts that are announced, are going and have gone; the size of the database and its budget

Changes nothing: the hub lets go by itself, or on the order of `lienthong retention`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.config import Config
from hub.config.upkeep.retention import RetentionSettings
from hub.console.turns import ReadingTurns
from hub.journal.upkeep.retention import disk_budget, parts
from hub.journal.upkeep.retention.disk_budget import BudgetStanding
from hub.journal.upkeep.retention.parts import RetentionPart
from hub.runtime.disk_reader import DiskReader
from hub.store.transactions import Transaction

#: Parts that are shown.
MOST = 200


@attrs.frozen(kw_only=True)
class ShownRetention:
    """What the page shows."""

    open: Sequence[RetentionPart]  #: announced or going, the oldest first
    ended: Sequence[RetentionPart]  #: gone or withdrawn, the latest first
    size: BudgetStanding
    settings: RetentionSettings


def read_retention(tx: Transaction, settings: RetentionSettings, now: datetime) -> ShownRetention:
    """Return what goes and what went."""
    found = parts.list_parts(tx, limit=MOST)
    return ShownRetention(
        open=parts.list_parts(tx, only_open=True, limit=MOST),
        ended=[each for each in found if each.state not in parts.OPEN],
        size=disk_budget.read_budget(tx, settings.budget, now),
        settings=settings,
    )


async def show_retention(
    turns: ReadingTurns, disk: DiskReader, config: Config, query: Mapping[str, str], now: datetime
) -> dict[str, object]:
    """Return the values of the page."""
    del disk, query
    return {"found": await turns.look(read_retention, config.retention, now)}
