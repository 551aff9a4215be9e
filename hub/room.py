"""Watches the room on the disks that the hub writes to.  Knows directories and how much must be free; not what is written there.

A disk that is nearly full takes in nothing new, so that what is under way can still be settled.  The disks of a PostgreSQL server
are its own: it says so when they are full.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from hub.config import Config
from hub.errors import Unready

#: How long a look is believed, in seconds: a flood of calls must not become a flood of system calls.
_BELIEVED = 1.0
#: When a caller may come again, in seconds.
_LATER = 60
_SQLITE = "sqlite:///"


def lacking(config: Config) -> str:
    """Return where less is free than `[limits] free-disk` demands, and how much; "" when nowhere."""
    found = ((place, shutil.disk_usage(place).free) for place in _places(config))
    return "; ".join(
        f"{place}: {free} octets free, {config.free_disk} needed" for place, free in found if free < config.free_disk
    )


def _places(config: Config) -> Iterable[Path]:
    yield config.data
    if config.database_url.startswith(_SQLITE):
        yield Path(config.database_url.removeprefix(_SQLITE)).parent


@attrs.define(eq=False)
class Room:
    """The room as it was at most a moment ago."""

    config: Config
    _seconds: Callable[[], float]
    _looked: float = attrs.field(default=float("-inf"), init=False)
    _lacking: str = attrs.field(default="", init=False)

    def demand(self) -> None:
        """Raise `Unready` (`disk-low`) when a disk is nearly full."""
        if not 0 <= self._seconds() - self._looked < _BELIEVED:
            self._looked, self._lacking = self._seconds(), lacking(self.config)
        if self._lacking:
            raise Unready("disk-low", self._lacking, _LATER)
