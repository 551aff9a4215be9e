"""Limits the calls of each partner: how many are answered at a time, and how many begin per second, minute or hour.

A partner that reaches a limit of its own policy is refused, and no other. When all places of the hub are taken, every
partner that has its share of them is refused (hub.domain.fair_queue). The limits hold for the node, however many
processes it has. Knows names, counts and seconds, neither certificates nor the content of a call.
"""

import math
from collections.abc import Callable

import attrs

from hub.domain.errors import Unready
from hub.domain.fair_queue import is_crowding
from hub.domain.node_counts import Counted, LocalCounts, NodeCounts
from hub.language.phrases import phrase
from hub.partner.policy import Policy
from hub.partner.rate_limit import Rate

#: Calls answered at a time. Each keeps up to `spool.SMALL` octets, and its work, in memory.
ANSWERING = 1000
#: Retry delay of a refused call, in seconds.
_LATER = 5
#: The refusal of a partner is reported at once and then at this interval, in seconds, so that a flood fills neither log
#: nor journal.
TOLD = 60.0


@attrs.define
class _Refused:
    """Refused calls of one partner that are not reported yet."""

    told: float = float("-inf")  #: time of the last report
    count: int = 0  #: refused calls since the last report


@attrs.define(eq=False)
class Throttle:
    """The places of one node for calls that are being answered."""

    _seconds: Callable[[], float]  #: a monotonic clock
    _counts: NodeCounts = attrs.field(factory=LocalCounts)  #: calls being answered, and the start of the next ones
    _own: int = attrs.field(default=0, init=False)  #: calls being answered by this process
    _closed: bool = attrs.field(default=False, init=False)  #: whether this process stops
    _refused: dict[str, _Refused] = attrs.field(factory=dict, init=False)

    def enter(self, name: str, policy: Policy) -> None:
        """Take a place for a call of *name*. Raises `Unready` (`hub-busy`) when *name* may have no more now."""
        if self._closed:
            raise Unready("hub-busy", phrase("the hub stops"), _LATER)
        with self._counts.locked():
            own, total = self._counts.count(Counted.ANSWERING, name), self._counts.total(Counted.ANSWERING)
            if own >= policy.intake_concurrency:
                raise Unready("hub-busy", f"intake-concurrency {policy.intake_concurrency}", _LATER)
            if total >= ANSWERING and self._is_crowding(own, total):
                raise Unready(
                    "hub-busy",
                    phrase("{total} calls are being answered, {own} of them the caller's", total=total, own=own),
                    _LATER,
                )
            if policy.intake_rate is not None:
                self._space(name, policy.intake_rate)
            self._counts.add(Counted.ANSWERING, name, 1)
        self._own += 1

    def _is_crowding(self, own: int, total: int) -> bool:
        return is_crowding(own, total, ANSWERING, self._counts.owners(Counted.ANSWERING) + (not own))

    def leave(self, name: str) -> None:
        """Release a place."""
        self._counts.add(Counted.ANSWERING, name, -1)
        self._own -= 1

    def close(self) -> None:
        """Refuse all further calls, because this process stops."""
        self._closed = True

    @property
    def is_empty(self) -> bool:
        """Tell whether this process is answering no call."""
        return not self._own

    def count_refusal(self, name: str) -> int:
        """Count a refused call of *name*. Return the number to report now, or 0 if it is too early for a report."""
        found, now = self._refused.setdefault(name, _Refused()), self._seconds()
        found.count += 1
        if now - found.told < TOLD:
            return 0
        count, found.told, found.count = found.count, now, 0
        return count

    def _space(self, name: str, rate: Rate) -> None:
        """Let one call begin, or raise `Unready`.

        Unused calls are kept for one unit of the rate: all calls of a unit may come together.
        """
        step, now = rate.step.total_seconds(), self._seconds()
        start = max(self._counts.next_at(name), now - step * (rate.count - 1))
        if start > now:
            raise Unready("hub-busy", f"intake-rate {rate}", max(1, math.ceil(start - now)))
        self._counts.set_next_at(name, start + step)
