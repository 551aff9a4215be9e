"""How the places, the threads and the writer of one node are divided between partners.  Knows names, numbers and queues; neither threads
nor the journal.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


def divide_capacity(
    places: int, wants: Mapping[str, int], busy: Mapping[str, int], *, after: str = ""
) -> dict[str, int]:
    """Return how many more messages each partner gets of what it *wants*; *busy*: how many it has under way.

    One place a partner is its own, whatever the others have; the rest of the *places* goes round, one each, beginning with those
    that have fewest and, among equals, with who comes *after* the one that began last.  So a long queue takes what nobody else
    wants, and no more.
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


def _always() -> bool:
    return True


@attrs.frozen(eq=False)
class Owner:
    """For whom a piece of work or a step in the journal is done: it waits in this owner's queue, and in nobody else's."""

    name: str  #: a partner's code, or one of the names below, which no partner can have
    wanted: Callable[[], bool] = _always  #: whether somebody still waits for the result; what nobody wants is not begun


#: The hub's own work: deliveries, revocation lists, readiness.
HUB = Owner("")
#: All callers together whose certificate is no partner's.
STRANGERS = Owner("?strangers")
#: The pages of the console, and those of the public.
CONSOLE, PUBLIC = Owner("?console"), Owner("?public")


@attrs.frozen
class PortShare:
    """Whose a connection is, and how much of a port all of that owner's may have."""

    key: str
    connections: int = 256  #: open ones at a time; a sixteenth of a port, and more than any partner's system keeps
    spool: int = 256 << 20  #: octets of bodies that are coming, or are being answered


@attrs.define(eq=False)
class FairQueue(Generic[T]):
    """What waits, one queue an owner; taken round robin, one item an owner (fair queueing, RFC 970).

    However much one owner has put in, the first item of another waits for at most one item of each other owner.
    """

    _queues: OrderedDict[str, deque[T]] = attrs.field(factory=OrderedDict, init=False)  #: the next owner first
    _count: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return self._count

    @property
    def owners(self) -> int:
        """Return how many owners have something here."""
        return len(self._queues)

    def put(self, owner: str, item: T) -> None:
        """Let *item* wait behind all that *owner* has put in; an owner that had nothing here is the last one in turn."""
        self._queues.setdefault(owner, deque()).append(item)
        self._count += 1

    def put_back(self, owner: str, item: T) -> None:
        """Let *item*, which was taken and not served, be taken next."""
        self._queues.setdefault(owner, deque()).appendleft(item)
        self._queues.move_to_end(owner, last=False)
        self._count += 1

    def take(self) -> T | None:
        """Remove and return the first item of the owner whose turn it is; None when nothing waits."""
        if not self._queues:
            return None
        owner, queue = next(iter(self._queues.items()))
        item = queue.popleft()
        self._count -= 1
        if queue:
            self._queues.move_to_end(owner)
        else:
            del self._queues[owner]
        return item

    def count(self, owner: str) -> int:
        """Return how many items of *owner* wait."""
        return len(self._queues.get(owner, ()))

    def first(self, owner: str) -> T | None:
        """Return what *owner* has waited for the longest; None when nothing of it waits."""
        queue = self._queues.get(owner)
        return queue[0] if queue else None

    def clear(self) -> None:
        """Throw everything away."""
        self._queues.clear()
        self._count = 0


def is_crowding(own: int, total: int, most: int, owners: int) -> bool:
    """Tell whether an owner with *own* of *total* places is refused another one, when there are *most* for all *owners* (it included).

    While places are left nobody is.  Then whoever has its share or more is; others still get theirs, so that at most twice *most* are
    ever taken.
    """
    return total >= most and own >= max(1, most // max(1, owners))
