"""Checks the free space of the disks that the hub writes to, and reserves space for large bodies.

When a disk is nearly full, the hub accepts nothing new, so that work in progress can still be settled. A large body
reserves its space before it arrives, and each owner has a share, so that one owner's unfinished uploads cannot cause
`disk-low` for the others. The disks of a PostgreSQL server are not checked: the server reports when they are full.
Knows directories and the space that must stay free, not what is written there.
"""

import shutil
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path

import attrs

from hub.config import Config
from hub.config.database import find_sqlite_file
from hub.domain.errors import Unready
from hub.domain.fair_queue import PortShare
from hub.domain.node_counts import Counted, LocalCounts, NodeCounts
from hub.language.phrases import Phrase, phrase, verbatim

#: Lifetime of a measurement, in seconds: a flood of calls must not become a flood of system calls.
_BELIEVED = 1.0
#: Retry delay of a call that `disk-low` refused, in seconds.
_LATER = 60
#: Reservation step for a body of unknown length, in octets.
_STEP = 1 << 20
#: Retry delay of an owner whose share is used up, in seconds: an upload of 40 MB takes 3 s at 100 Mbit/s.
_NEXT = 10


def describe_lacking_space(config: Config) -> Phrase | None:
    """Return the directories with less free space than `[limits] free-disk` demands, and how much; None if none."""
    found = (describe_lacking_room(place, config.free_disk) for place in list_places(config))
    lacking = [each for each in found if each is not None]
    return reduce(lambda one, other: phrase("{first}; {second}", first=one, second=other), lacking) if lacking else None


def describe_lacking_room(place: Path, octets: int) -> Phrase | None:
    """Say that the disk of the directory *place* has less than *octets* free, or is not there; None if it has."""
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return verbatim(f"{place}: {error.strerror}")
    if free >= octets:
        return None
    return phrase("{place}: {free} octets free, {needed} needed", place=str(place), free=free, needed=octets)


def list_places(config: Config) -> Iterable[Path]:
    """Yield each directory that the hub writes to: `data`, and that of SQLite's file."""
    yield config.data
    file = find_sqlite_file(config.database_url)
    if file is not None and file.parent != config.data:
        yield file.parent


def read_free_octets(place: Path) -> int:
    """Return how many octets the file system of *place* has left for the hub's user."""
    return shutil.disk_usage(place).free


@attrs.define(eq=False)
class DiskSpace:
    """The state of the disks, measured at most `_BELIEVED` seconds ago."""

    _lacks: Callable[[], Phrase | None]  #: returns which directories lack space, and how much; None if none
    _seconds: Callable[[], float]  #: a monotonic clock
    _looked: float = attrs.field(default=float("-inf"), init=False)  #: time of the last measurement
    _lacking: Phrase | None = attrs.field(default=None, init=False)  #: result of the last measurement

    def require_space(self) -> None:
        """Raise `Unready` (`disk-low`) when a disk is nearly full."""
        if not 0 <= self._seconds() - self._looked < _BELIEVED:
            self._looked, self._lacking = self._seconds(), self._lacks()
        if self._lacking:
            raise Unready("disk-low", self._lacking, _LATER)


def count_octets_left(config: Config) -> int:
    """Return how many octets may still be written before less is free than `[limits] free-disk` demands."""
    return min(shutil.disk_usage(place).free for place in list_places(config)) - config.free_disk


@attrs.define
class SpoolReservations:
    """Reservations of disk space for large bodies that are being received or answered, limited per owner.

    They are those of the node, however many processes it has.
    """

    _left: Callable[[], int]  #: octets that may still be written to the disk
    _counts: NodeCounts = attrs.field(factory=LocalCounts)  #: reserved octets and bodies by owner key

    def reserve(self, share: PortShare, size: int | None) -> "BodyReservation":
        """Reserve space for a body of *size* octets, or the first step for a body of unknown length (None).

        Raises `Unready`: `hub-busy` when that exceeds the owner's share, `disk-low` when the disk has no room.
        """
        taken = BodyReservation(self, share)
        self._counts.add(Counted.BODIES, share.key, 1)
        try:
            taken.extend(_STEP if size is None else size)
        except Unready:
            taken.release()
            raise
        return taken

    def _extend(self, share: PortShare, size: int) -> None:
        """Reserve *size* more octets for the owner of *share*.

        One body per owner is always accepted if the disk has room for it. Several bodies of an owner together may use
        the owner's share, and at most half of the space that the disk would have without them. So there is room for the
        next owner, however many owners reserve all they can get.
        """
        counts = self._counts
        with counts.locked():
            own, room = counts.count(Counted.SPOOLED, share.key), self._left() - counts.total(Counted.UNWRITTEN)
            if counts.count(Counted.BODIES, share.key) > 1:
                most = min(share.spool, (room + own) // 2)
                if own + size > most:
                    raise Unready(
                        "hub-busy",
                        phrase(
                            "spool: {key} has {own} octets, {size} more than {most}",
                            key=share.key,
                            own=own,
                            size=size,
                            most=most,
                        ),
                        _NEXT,
                    )
            elif size > room:
                raise Unready(
                    "disk-low", phrase("spool: {room} octets left, {size} needed", room=room, size=size), _LATER
                )
            counts.add(Counted.SPOOLED, share.key, size)
            counts.add(Counted.UNWRITTEN, "", size)

    def _wrote(self, size: int) -> None:
        self._counts.add(Counted.UNWRITTEN, "", -size)

    def _release(self, share: PortShare, taken: int, unwritten: int) -> None:
        self._counts.add(Counted.UNWRITTEN, "", -unwritten)
        self._counts.add(Counted.SPOOLED, share.key, -taken)
        self._counts.add(Counted.BODIES, share.key, -1)


@attrs.define(eq=False)
class BodyReservation:
    """The reservation of one body."""

    _room: SpoolReservations
    _share: PortShare
    _size: int = attrs.field(default=0, init=False)  #: reserved octets
    _written: int = attrs.field(default=0, init=False)  #: octets on the disk
    _released: bool = attrs.field(default=False, init=False)

    def extend(self, size: int) -> None:
        """Reserve *size* more octets. Raises Unready."""
        self._room._extend(self._share, size)  # noqa: SLF001 - the two are one
        self._size += size

    def write(self, size: int) -> None:
        """Use the reservation for the next *size* octets, and extend it first if it is too small. Raises Unready."""
        if self._written + size > self._size:
            self.extend(max(_STEP, self._written + size - self._size))
        self._written += size
        self._room._wrote(size)  # noqa: SLF001

    def release(self) -> None:
        """Release the reservation. A second call does nothing."""
        if not self._released:
            self._released = True
            self._room._release(self._share, self._size, self._size - self._written)  # noqa: SLF001
