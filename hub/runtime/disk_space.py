"""Watches the room on the disks that the hub writes to.  Knows directories and how much must be free; not what is written there.

Bodies that are coming take room before they have come: each owner has a share, so that nobody's unfinished uploads are the others'
`disk-low`.

A disk that is nearly full takes in nothing new, so that what is under way can still be settled.  The disks of a PostgreSQL server
are its own: it says so when they are full.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from hub.config import Config
from hub.domain.errors import Unready
from hub.domain.fair_queue import PortShare

#: How long a look is believed, in seconds: a flood of calls must not become a flood of system calls.
_BELIEVED = 1.0
#: When a caller may come again, in seconds.
_LATER = 60
#: Of a body without a length room is taken so many octets at a time.
_STEP = 1 << 20
#: When an owner whose share is taken may come again, in seconds: an upload of 40 MB takes 3 s at 100 Mbit/s.
_NEXT = 10
_SQLITE = "sqlite:///"


def describe_lacking_space(config: Config) -> str:
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
class DiskRoom:
    """The room as it was at most a moment ago."""

    _lacks: Callable[[], str]  #: where less is free than must be, and how much; "" when nowhere
    _seconds: Callable[[], float]
    _looked: float = attrs.field(default=float("-inf"), init=False)
    _lacking: str = attrs.field(default="", init=False)

    def demand(self) -> None:
        """Raise `Unready` (`disk-low`) when a disk is nearly full."""
        if not 0 <= self._seconds() - self._looked < _BELIEVED:
            self._looked, self._lacking = self._seconds(), self._lacks()
        if self._lacking:
            raise Unready("disk-low", self._lacking, _LATER)


def count_octets_left(config: Config) -> int:
    """Return how many octets may still be written before less is free than `[limits] free-disk` demands."""
    return min(shutil.disk_usage(place).free for place in _places(config)) - config.free_disk


@attrs.define
class SpoolRoom:
    """The room for large bodies that are coming or being answered, an owner's share at a time."""

    _left: Callable[[], int]  #: octets that may still be written to the disk
    _taken: Counter[str] = attrs.field(factory=Counter, init=False)  #: octets, by the owner's key
    _bodies: Counter[str] = attrs.field(factory=Counter, init=False)
    _unwritten: int = attrs.field(default=0, init=False)  #: octets that were taken and are not on the disk yet

    def take(self, share: PortShare, size: int | None) -> "BodyRoom":
        """Take room for a body of *size* octets, or for the beginning of one that does not say how long it is.  Raises Unready:
        `hub-busy` when that is more than the owner's share, `disk-low` when nobody could have it.
        """
        taken = BodyRoom(self, share)
        self._bodies[share.key] += 1
        try:
            taken.extend(_STEP if size is None else size)
        except Unready:
            taken.release()
            raise
        return taken

    def _extend(self, share: PortShare, size: int) -> None:
        """Let the owner of *share* have *size* octets more.

        One body may always come where the disk has room for it.  More of them have the owner's share together, and no more than half of what
        the disk would have without them: however many owners take all they can get, there is room for the next.
        """
        own, room = self._taken[share.key], self._left() - self._unwritten
        if self._bodies[share.key] > 1:
            most = min(share.spool, (room + own) // 2)
            if own + size > most:
                raise Unready("hub-busy", f"spool: {share.key} has {own} octets, {size} more than {most}", _NEXT)
        elif size > room:
            raise Unready("disk-low", f"spool: {room} octets left, {size} needed", _LATER)
        self._taken[share.key] += size
        self._unwritten += size

    def _wrote(self, size: int) -> None:
        self._unwritten -= size

    def _release(self, share: PortShare, taken: int, unwritten: int) -> None:
        self._unwritten -= unwritten
        for counted, size in ((self._taken, taken), (self._bodies, 1)):
            counted[share.key] -= size
            if not counted[share.key]:
                del counted[share.key]


@attrs.define(eq=False)
class BodyRoom:
    """The room of one body."""

    _room: SpoolRoom
    _share: PortShare
    _size: int = attrs.field(default=0, init=False)
    _written: int = attrs.field(default=0, init=False)
    _released: bool = attrs.field(default=False, init=False)

    def extend(self, size: int) -> None:
        """Take room for *size* octets more.  Raises Unready."""
        self._room._extend(self._share, size)  # noqa: SLF001 - the two are one
        self._size += size

    def write(self, size: int) -> None:
        """Use room for the next *size* octets; what was not taken yet is taken now.  Raises Unready."""
        if self._written + size > self._size:
            self.extend(max(_STEP, self._written + size - self._size))
        self._written += size
        self._room._wrote(size)  # noqa: SLF001

    def release(self) -> None:
        """Give the room back, once."""
        if not self._released:
            self._released = True
            self._room._release(self._share, self._size, self._size - self._written)  # noqa: SLF001
