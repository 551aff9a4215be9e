"""Removes what processes of this hub that were killed have left beside the files that they made. Deletes nothing else."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.config import Config
from hub.config.database import find_sqlite_file
from hub.config.durable_files import remove_leftovers
from hub.keeping.backups import making
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal
from hub.units.live import Live

#: What another machine left in a shared folder is removed after this time. Nothing is made for so long.
_OTHERS = timedelta(days=2)


@attrs.define(eq=False)
class LeftoverSweep(PeriodicService):
    """Removes leftovers at the start and every hour."""

    every = 3600.0
    failure = "leftovers-not-removed"

    _journal: Journal  #: in whose threads folders are read
    _live: Live
    _clock: IReactorTime
    _now: Callable[[], datetime]

    async def work(self) -> None:
        """Remove them."""
        before = self._now() - _OTHERS
        await self._journal.read(lambda _tx: sweep_leftovers(self._live.config, before))


def sweep_leftovers(config: Config, before: datetime) -> None:
    """Remove what is left in the folders of *config*; what other machines left, if it is from *before* that moment."""
    remove_leftovers(_list_folders(config), before)
    making.clear_work_folder(config.data)


def _list_folders(config: Config) -> Iterator[Path]:
    home, journal = config.path.parent, find_sqlite_file(config.database_url)
    yield from (config.data, config.archive, *([journal.parent] if journal else []))
    if config.backup is not None:
        yield config.backup.folder
    yield home
    with suppress(OSError):
        yield from [each for each in home.iterdir() if each.is_dir() and each != config.data]
