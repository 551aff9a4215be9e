"""What goes and what went, as a page: the parts with their archive files, and how large the database is. No HTTP, no SQL.

    /retention     the parts that are announced, are going and have gone; `?before=NUMBER` those that ended earlier

Changes nothing: the hub lets go by itself, or on the order of `lienthong retention`. Archive files are looked for by name
and size, in a thread of its own; none is opened.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from hub.config.upkeep.retention import FOR_GOOD, RetentionSettings
from hub.console.page import PageAnswer, PageReach, console_page
from hub.console.visit import Visit
from hub.journal import event_index
from hub.journal.event_index import EventFilter
from hub.keeping.archive import catalogue
from hub.keeping.archive.catalogue import ArchiveEntry, ArchiveTotal
from hub.keeping.retention import disk_budget, parts
from hub.keeping.retention.disk_budget import BudgetStanding
from hub.keeping.retention.parts import RetentionPart
from hub.monitoring.hub_alerts.conditions import RETENTION_LATE
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.runtime.disk_reader import DiskReader
from hub.store.transactions import Transaction
from hub.units.live import Live

#: Open parts, and ended ones on one page.
OPEN, PAGE = 200, 50
#: Newest archive files that are looked for, names of absent ones, and files that were given up.
LOOKED_FOR, NAMED, GIVEN_UP = 1000, 20, 20


@attrs.frozen(kw_only=True)
class ShownRetention:
    """What the journal knows of what goes and went."""

    open: Sequence[RetentionPart]  #: announced or going, the oldest first
    ended: Sequence[RetentionPart]  #: gone or withdrawn, the latest first
    more: int | None  #: the number of the last one of this page; None: there are no more
    newest: Sequence[ArchiveEntry]  #: the newest archive files
    entries: Mapping[str, ArchiveEntry]  #: the archive files of the shown parts, by their ids
    total: ArchiveTotal
    given_up: Sequence[Mapping[str, Any]]  #: the events of files that were given up, the latest first
    size: BudgetStanding

    @property
    def lost(self) -> frozenset[str]:
        """The ids of files that were given up after some messages had gone with them."""
        return frozenset(str(each["archive"]) for each in self.given_up if "archive" in each)


@attrs.frozen
class SeenArchives:
    """Which archive files are there."""

    states: Mapping[str, str]  #: by id: `there`, `changed` (of another size) or `absent`


def read_retention(tx: Transaction, settings: RetentionSettings, before: int | None, now: datetime) -> ShownRetention:
    """Return what goes and what went, of what ended the `PAGE` parts with numbers below *before*."""
    ended = parts.list_ended_parts(tx, PAGE + 1, before)
    shown = ended[:PAGE]
    going = parts.list_parts(tx, only_open=True, limit=OPEN)
    named = EventFilter(name="archive-given-up")
    return ShownRetention(
        open=going,
        ended=shown,
        more=shown[-1].number if len(ended) > PAGE else None,
        newest=catalogue.list_archives(tx, LOOKED_FOR),
        entries=catalogue.read_entries(tx, [each.archive for each in (*going, *shown) if each.archive is not None]),
        total=catalogue.measure_archives(tx),
        given_up=[each.fields for each in event_index.find_events(tx, named, GIVEN_UP).found],
        size=disk_budget.read_budget(tx, settings.budget, now),
    )


def look_for_archives(entries: Sequence[ArchiveEntry], folder: Path) -> SeenArchives:
    """Return which files of *entries* are there, in *folder* or where they were written, without opening one."""
    return SeenArchives({each.id: _find_state(each, folder) for each in entries})


def _find_state(entry: ArchiveEntry, folder: Path) -> str:
    try:
        place = entry.find_file(folder)
        if place is None:
            return "absent"
        return "there" if place.stat().st_size == entry.size else "changed"
    except OSError:
        return "absent"


@console_page("GET", "/retention", right=Permission.SEE_READINESS, reach=PageReach.EVERY_UNIT, template="retention")
async def show_retention(visit: Visit, turns: ReadingTurns, disk: DiskReader, live: Live) -> PageAnswer:
    """Show the page that the address asks for. Raises `RequestRefused`."""
    config, now = live.config, visit.now
    before, settings = _read_number(visit.asked.query.get("before")), config.retention
    found = await turns.look(read_retention, settings, before, now)
    looked = {each.id: each for each in (*found.newest, *found.entries.values())}
    seen = await disk.read(look_for_archives, list(looked.values()), config.archive)
    states = {} if seen is None else seen.states
    absent = [each.name for each in found.newest if states.get(each.id) == "absent" and each.id not in found.lost]
    return {
        "found": found,
        "settings": settings,
        "states": states,
        "answers": seen is not None,
        "absent": absent[:NAMED],
        "absent_count": len(absent),
        "changed": [each.name for each in found.newest if states.get(each.id) == "changed"][:NAMED],
        "looked_for": LOOKED_FOR,
        "folder": config.archive,
        "late": [each for each in found.open if now - each.due_at >= RETENTION_LATE],
        "kept": sorted(settings.months.items()),
        "for_good": sorted(FOR_GOOD),
        "first": before is not None,
        "more": None if found.more is None else build_page_path("retention", before=str(found.more)),
    }


def _read_number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise refuse_as_absent()
    return int(text)
