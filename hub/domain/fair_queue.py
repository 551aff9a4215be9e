"""Divides the sending places, the threads and the journal's writer of one node fairly between partners.

Works on names, numbers and queues. Starts no thread and does not know the journal.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


def divide_capacity(
    places: int, wants: Mapping[str, int], busy: Mapping[str, int], *, after: str = ""
) -> dict[str, int]:
    """Return how many more messages each partner may send now.

    *wants* is the number of messages that each partner still has to send, *busy* the number it has under way, and
    *places* the number of shared places. Each partner has one place that it need not share. The rest of the *places* is
    given out one by one, each to the partner with the fewest messages under way. Among equals the order is alphabetical
    and begins behind *after*, the partner that came first the last time. So a long queue gets only the places that no
    other partner wants.
    """
    left = places - sum(max(0, count - 1) for count in busy.values())
    order = sorted(wants, key=lambda partner: (partner <= after, partner))
    shares = dict.fromkeys(order, 0)
    while True:
        hungry = [partner for partner in order if shares[partner] < wants[partner]]
        if not hungry:
            return shares
        first = min(hungry, key=lambda partner: busy.get(partner, 0) + shares[partner])
        if busy.get(first, 0) + shares[first] > 0:
            if left <= 0:
                return shares
            left -= 1
        shares[first] += 1


def _is_always_allowed() -> bool:
    return True


@attrs.frozen(eq=False)
class Owner:
    """The owner of a task or of a journal transaction.

    The work waits in the queue of its owner and delays no other owner's queue.
    """

    name: str  #: a partner's code, or the name of one of the constants below, which no partner can have
    wanted: Callable[[], bool] = (
        _is_always_allowed  #: whether a caller still waits for the result; unwanted work is not started
    )


#: The hub's own work: deliveries, revocation lists, readiness.
HUB = Owner("")
#: All callers whose certificate belongs to no partner, together.
STRANGERS = Owner("?strangers")
#: The pages of the console, and the public pages.
CONSOLE, PUBLIC = Owner("?console"), Owner("?public")
#: What receipts promised, done in slices.
DUTIES = Owner("?duties")


@attrs.frozen
class PortShare:
    """The owner of a connection, and the part of a port that all connections of this owner may use together."""

    key: str
    #: maximum of open connections; a sixteenth of a port, and more than any partner's system keeps open
    connections: int = 256
    spool: int = 256 << 20  #: maximum of octets in request bodies that are being received or answered


@attrs.define(eq=False)
class FairQueue(Generic[T]):
    """A queue with one FIFO for each owner, served round robin, one item at a time (fair queueing, RFC 970).

    The first item of one owner waits for at most one item of each other owner, however many items those have.
    """

    #: the owner whose turn is next stands first
    _queues: OrderedDict[str, deque[T]] = attrs.field(factory=OrderedDict, init=False)
    _count: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return self._count

    @property
    def owners(self) -> int:
        """Return the number of owners that have items in the queue."""
        return len(self._queues)

    def put(self, owner: str, item: T) -> None:
        """Append *item* to the queue of *owner*. An owner that had no items gets the last turn."""
        self._queues.setdefault(owner, deque()).append(item)
        self._count += 1

    def put_back(self, owner: str, item: T) -> None:
        """Return *item*, which was taken and not served, to the head of the queue: it is taken next."""
        self._queues.setdefault(owner, deque()).appendleft(item)
        self._queues.move_to_end(owner, last=False)
        self._count += 1

    def take(self, may: Callable[[str], bool] = lambda _owner: True) -> T | None:
        """Remove and return the first item of the owner whose turn it is, among those that *may*. Return None without one.

        The others keep their turn.
        """
        owner = next(filter(may, self._queues), None)
        if owner is None:
            return None
        queue = self._queues[owner]
        item = queue.popleft()
        self._count -= 1
        if queue:
            self._queues.move_to_end(owner)
        else:
            del self._queues[owner]
        return item

    def has(self, may: Callable[[str], bool]) -> bool:
        """Tell whether an owner that *may* has items."""
        return any(map(may, self._queues))

    def count(self, owner: str) -> int:
        """Return the number of items of *owner*."""
        return len(self._queues.get(owner, ()))

    def first(self, owner: str) -> T | None:
        """Return the oldest item of *owner* without removing it. Return None if there is none."""
        queue = self._queues.get(owner)
        return queue[0] if queue else None

    def clear(self) -> None:
        """Drop all items."""
        self._queues.clear()
        self._count = 0


def is_crowding(own: int, total: int, most: int, owners: int) -> bool:
    """Tell whether an owner that holds *own* of *total* taken places must be refused another one.

    *most* is the limit for all *owners* together, this owner included. Below the limit no owner is refused. At the
    limit an owner that has its equal share or more is refused, and the others may still fill theirs. So at most twice
    *most* places are ever taken.
    """
    return total >= most and own >= max(1, most // max(1, owners))
