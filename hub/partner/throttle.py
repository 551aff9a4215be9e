"""Who may bring another call now: how many of each partner are answered at a time, and how many begin in a time.  Knows names, counts and
seconds; neither certificates nor what a call says.

Whoever reaches a limit of its own policy is refused, nobody else.  When all places of the hub are taken, whoever has its share of them
(hub.domain.fair_queue).
"""

import math
from collections import Counter
from collections.abc import Callable

import attrs

from hub.domain.errors import Unready
from hub.domain.fair_queue import is_crowding
from hub.partner.policy import Policy
from hub.partner.rate_limit import Rate

#: So many calls are answered at a time.  Each keeps up to `spool.SMALL` octets in memory, and its work.
ANSWERING = 1000
#: When a call comes again that a full place refused, in seconds.
_LATER = 5
#: A partner that is refused is told of at once, and then so often, in seconds: a flood must flood neither log nor journal.
TOLD = 60.0


@attrs.define
class _Refused:
    """What was refused of one partner and not told of yet."""

    told: float = float("-inf")  #: when it was told of
    count: int = 0


@attrs.define(eq=False)
class Throttle:
    """The places of one node for calls that are being answered."""

    _seconds: Callable[[], float]  #: of a clock that nobody sets
    _answering: Counter[str] = attrs.field(factory=Counter, init=False)
    _next_at: dict[str, float] = attrs.field(factory=dict, init=False)  #: when the next call may begin, evenly spaced
    _refused: dict[str, _Refused] = attrs.field(factory=dict, init=False)

    def enter(self, name: str, policy: Policy) -> None:
        """Take a place for a call of *name*.  Raises `Unready` (`hub-busy`) where it may not have another one now."""
        own, total = self._answering[name], self._answering.total()
        if own >= policy.intake_concurrency:
            raise Unready("hub-busy", f"intake-concurrency {policy.intake_concurrency}", _LATER)
        owners = len(self._answering) + (not own)
        if is_crowding(own, total, ANSWERING, owners):
            raise Unready("hub-busy", f"{total} calls are being answered, {own} of them its own", _LATER)
        if policy.intake_rate is not None:
            self._space(name, policy.intake_rate)
        self._answering[name] += 1

    def leave(self, name: str) -> None:
        """Give a place back."""
        self._answering[name] -= 1
        if not self._answering[name]:
            del self._answering[name]

    def refused(self, name: str) -> int:
        """Count that a call of *name* was refused; return how many were since it was told of, 0 where that is not to be told now."""
        found, now = self._refused.setdefault(name, _Refused()), self._seconds()
        found.count += 1
        if now - found.told < TOLD:
            return 0
        count, found.told, found.count = found.count, now, 0
        return count

    def _space(self, name: str, rate: Rate) -> None:
        """Let one call begin.  What was not used of a rate is kept for one of its units: all calls of a unit may come together."""
        step, now = rate.step.total_seconds(), self._seconds()
        start = max(self._next_at.get(name, 0.0), now - step * (rate.count - 1))
        if start > now:
            raise Unready("hub-busy", f"intake-rate {rate}", max(1, math.ceil(start - now)))
        self._next_at[name] = start + step
