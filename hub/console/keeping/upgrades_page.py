"""The versions as a page: of the journal and of each node, the upgrades that were made, the migrations. No HTTP, no SQL.

    /upgrades     the versions in force, and how they came to be

Changes nothing: an upgrade is an order of `lienthong db upgrade`. A rehearsal leaves nothing in the journal; the event of
an upgrade says whether it was rehearsed. Upgrades before that event was introduced are known by their migrations only.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from hub.console.page import PageAnswer, PageReach, console_page
from hub.console.visit import Visit
from hub.journal import event_index, nodes
from hub.journal.event_index import EventFilter
from hub.journal.nodes import SeenNode
from hub.operations.accounts.permissions import Permission
from hub.operations.turns import ReadingTurns
from hub.runtime.disk_reader import DiskReader
from hub.store import schema_version, transactions
from hub.store.schema_version import MigrationStep
from hub.store.transactions import Transaction

#: Nodes, upgrades and migrations that are shown, the newest of each.
NODES, UPGRADES, MIGRATIONS = 50, 20, 20


@attrs.frozen(kw_only=True)
class ShownVersions:
    """What the journal knows of versions."""

    nodes: Sequence[SeenNode]  #: the last started first
    version: str  #: of the journal
    needed: str  #: of the program that shows the page
    pending: Sequence[MigrationStep]  #: that the journal lacks, for this program
    upgrades: Sequence[Mapping[str, Any]]  #: the events of upgrades, the latest first
    applied: Sequence[MigrationStep]  #: the newest first

    def find_time(self, step: MigrationStep) -> str | None:
        """Return when the migration *step* was applied, as an event says it; None if none says so."""
        for each in self.upgrades:
            if str(each["old_version"]) < step.version <= str(each["new_version"]):
                return str(each["at"])
        return None


def read_versions(tx: Transaction, now: datetime) -> ShownVersions:
    """Return what the journal knows of versions."""
    found = transactions.select_schema_version(tx) or ""
    upgrades = event_index.find_events(tx, EventFilter(name="journal-upgraded"), UPGRADES).found
    return ShownVersions(
        nodes=nodes.list_nodes(tx, now)[:NODES],
        version=found,
        needed=transactions.read_latest_version(),
        pending=schema_version.list_pending_migrations(schema_version.list_migration_steps(), found),
        upgrades=[each.fields for each in upgrades],
        applied=schema_version.list_applied_migrations(tx),
    )


def look_for_copies(names: Sequence[str]) -> list[str]:
    """Return which of the copies of before an upgrade are still there; of those that are files."""
    return [each for each in names if each.startswith("/") and Path(each).exists()]


@console_page("GET", "/upgrades", right=Permission.SEE_READINESS, reach=PageReach.EVERY_UNIT, template="upgrades")
async def show_upgrades(visit: Visit, turns: ReadingTurns, disk: DiskReader) -> PageAnswer:
    """Show the versions in force, and how they came to be."""
    found = await turns.look(read_versions, visit.now)
    names = [str(each["copy"]) for each in found.upgrades if each.get("copy")]
    there = await disk.read(look_for_copies, names) if names else []
    return {"found": found, "applied": found.applied[:MIGRATIONS], "copies": there or []}
