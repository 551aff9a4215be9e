"""The backups as a page: each with its outcome, what is next, where they lie; and the eras of the journal. No HTTP, no SQL.

    /backups     the newest backups; `?before=ID` those that began earlier

Changes nothing: the hub makes backups by its schedule, or on the order of `lienthong backup`. The folder is looked at in
a thread of its own and for names and sizes only, because it may be on a machine that does not answer.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import attrs

from hub.config import Config
from hub.config.upkeep.backup import BackupSettings, find_longest_age
from hub.console.page import PageAnswer, PageReach, console_page
from hub.console.visit import Visit
from hub.keeping import backup_runs, eras
from hub.keeping.backup_runs import BackupOutcome, BackupRun, BackupStanding
from hub.keeping.backups import claims, due, witness
from hub.keeping.backups.claims import EraClaim
from hub.keeping.backups.following import MOST_COUNTED
from hub.keeping.backups.witness import WitnessSize
from hub.keeping.eras import Era
from hub.language.phrases import Phrase
from hub.language.system_errors import name_system_error
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.runtime.disk_reader import DiskReader
from hub.store.transactions import Transaction
from hub.units.live import Live

#: Backups on one page, and eras that are shown.
PAGE, MOST_ERAS = 50, 20
#: Newest backups that say what the schedule does next: as many as the schedule itself reads.
_LATEST = 20


@attrs.frozen(kw_only=True)
class ShownBackups:
    """What the journal knows of the backups."""

    runs: Sequence[BackupRun]  #: the one that began last first
    more: str | None  #: where the next page begins; None: there is none
    standing: BackupStanding
    running: BackupRun | None
    next_at: datetime | None  #: when the schedule begins the next one; None: it begins none
    eras: Sequence[Era]  #: the present one first
    lost: int  #: messages with a receipt that the journal lacks and that have not come again, up to `MOST_COUNTED`


@attrs.frozen(kw_only=True)
class SeenFolder:
    """What is seen of the folder of the backups, and of the witness of the node that looks."""

    fault: Phrase | str = ""  #: why the folder cannot be looked at; "": it can
    sizes: Mapping[str, int] = attrs.field(factory=dict)  #: octets of the files that are there, by name
    claim: EraClaim | None = None  #: the hub that says beside the backups that it serves
    witness: WitnessSize | None = None

    def find_state(self, run: BackupRun) -> str:
        """Return whether the file of *run* is there: `there`, `changed`, `absent`; "" if it is not known."""
        if self.fault or run.file is None:
            return ""
        size = self.sizes.get(run.file)
        return "absent" if size is None else "there" if size == run.octets else "changed"


def read_backups(tx: Transaction, settings: BackupSettings | None, before: str | None, now: datetime) -> ShownBackups:
    """Return what the journal knows of the backups, of the list `PAGE` of them. Raises `RequestRefused`."""
    try:
        found = backup_runs.list_backup_runs(tx, PAGE + 1, before)
    except KeyError:
        raise refuse_as_absent() from None
    latest = backup_runs.list_backup_runs(tx, _LATEST)
    known = eras.list_eras(tx)
    return ShownBackups(
        runs=found[:PAGE],
        more=found[PAGE - 1].id if len(found) > PAGE else None,
        standing=backup_runs.read_backup_standing(tx),
        running=due.find_running(now, latest),
        next_at=due.find_next_try(settings, now, latest) if settings is not None else None,
        eras=known[: -MOST_ERAS - 1 : -1],
        lost=eras.count_awaited_receipts(tx, MOST_COUNTED) if len(known) > 1 else 0,
    )


def look_at_folder(settings: BackupSettings | None, province: str, files: Sequence[str], node: Path) -> SeenFolder:
    """Return what is seen of *files*, names in the folder, without opening one; and of the witness in the folder *node*."""
    try:
        measured = witness.measure_witness(node)
    except OSError:
        measured = None
    if settings is None:
        return SeenFolder(witness=measured)
    try:
        settings.folder.stat()
        sizes = {}
        for name in files:
            with suppress(FileNotFoundError):
                sizes[name] = (settings.folder / Path(name).name).stat().st_size
        return SeenFolder(sizes=sizes, claim=claims.read_claim(settings.folder, province), witness=measured)
    except OSError as error:
        return SeenFolder(fault=name_system_error(error), witness=measured)


@console_page("GET", "/backups", right=Permission.SEE_READINESS, reach=PageReach.EVERY_UNIT, template="backups")
async def show_backups(visit: Visit, turns: ReadingTurns, disk: DiskReader, live: Live) -> PageAnswer:
    """Show the page that the address asks for. Raises `RequestRefused`."""
    before, config, now = visit.asked.query.get("before"), live.config, visit.now
    found = await turns.look(read_backups, config.backup, before, now)
    shown = [*found.runs, *([found.standing.last_good] if found.standing.last_good else [])]
    files = sorted({each.file for each in shown if each.file is not None})
    seen = await disk.read(look_at_folder, config.backup, config.province, files, config.witness_folder)
    return arrange_backups(config, found, seen, now) | {"first": before is not None}


def arrange_backups(config: Config, found: ShownBackups, seen: SeenFolder | None, now: datetime) -> dict[str, object]:
    """Return the values of the page. *seen*: None if the disk does not answer."""
    settings, good = config.backup, found.standing.last_good
    longest = find_longest_age(settings.every) if settings is not None else None
    age = None if good is None or good.made_at is None else max(now - good.made_at, timedelta())
    return {
        "found": found,
        "settings": settings,
        "seen": seen,
        "good": good,
        "age": age,
        "longest": longest,
        "is_old": age is not None and longest is not None and age > longest,
        "is_due": found.next_at is not None and found.next_at <= now,
        "recipients": [each.text for each in settings.recipients] if settings is not None else [],
        "sender": Path(settings.send[0]).name if settings is not None and settings.send else "",
        "running": BackupOutcome.RUNNING,
        "more": build_page_path("backups", before=found.more) if found.more is not None else None,
    }
