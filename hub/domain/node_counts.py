"""Counts that hold for a node as a whole: calls, connections and octets per owner, over all processes of the node.

Defines what is counted, and the counts of a node with one process. `hub.runtime.shared_counts` has those of a node with
several. Knows names and numbers, not the limits.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from typing import Protocol

import attrs


class Counted(IntEnum):
    """What is counted. The values are the order of the tables in shared memory."""

    ANSWERING = 0  #: calls being answered, by partner
    CONNECTIONS = 1  #: connections of the SOAP port, by owner
    SPOOLED = 2  #: octets of disk space reserved for large bodies, by owner
    BODIES = 3  #: large bodies that have such a reservation, by owner
    UNWRITTEN = 4  #: octets reserved and not yet on the disk, of all owners together (the name is "")
    HANDED = 5  #: open connections, by the number of the worker process that serves them


class NodeCounts(Protocol):
    """The counts of one node. Used in the reactor thread only."""

    @contextmanager
    def locked(self) -> Generator[None]:
        """Let no other process change a count meanwhile. The block must be short, and must not wait."""
        ...

    def add(self, what: Counted, name: str, by: int) -> None:
        """Add *by*, which may be negative, to the count of *name*."""
        ...

    def count(self, what: Counted, name: str) -> int:
        """Return the count of *name* over all processes."""
        ...

    def total(self, what: Counted) -> int:
        """Return the sum of the counts of all names."""
        ...

    def owners(self, what: Counted) -> int:
        """Return the number of names whose count is not zero."""
        ...

    def next_at(self, name: str) -> float:
        """Return the earliest start of the next call of *name*, in monotonic seconds; 0.0 if none was set."""
        ...

    def set_next_at(self, name: str, at: float) -> None:
        """Set the earliest start of the next call of *name*."""
        ...


def _make_counters() -> dict[Counted, Counter[str]]:
    return {what: Counter() for what in Counted}


@attrs.define
class LocalCounts:
    """The counts of a node with one process. See `NodeCounts`."""

    _counts: dict[Counted, Counter[str]] = attrs.field(factory=_make_counters, init=False)
    _next_at: dict[str, float] = attrs.field(factory=dict, init=False)

    @contextmanager
    def locked(self) -> Generator[None]:
        """See `NodeCounts.locked`."""
        yield

    def add(self, what: Counted, name: str, by: int) -> None:
        """See `NodeCounts.add`."""
        counted = self._counts[what]
        counted[name] += by
        if not counted[name]:
            del counted[name]

    def count(self, what: Counted, name: str) -> int:
        """See `NodeCounts.count`."""
        return self._counts[what][name]

    def total(self, what: Counted) -> int:
        """See `NodeCounts.total`."""
        return self._counts[what].total()

    def owners(self, what: Counted) -> int:
        """See `NodeCounts.owners`."""
        return len(self._counts[what])

    def next_at(self, name: str) -> float:
        """See `NodeCounts.next_at`."""
        return self._next_at.get(name, 0.0)

    def set_next_at(self, name: str, at: float) -> None:
        """See `NodeCounts.set_next_at`."""
        self._next_at[name] = at
