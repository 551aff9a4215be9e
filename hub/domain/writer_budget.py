"""Keeps what each partner uses of a node's only writer of the journal, and who must wait for having used too much.

Every step is charged with the time that it was measured to take, whatever made it dear. Knows names and seconds, and is
told the time. Does not know the journal.
"""

import math
from collections.abc import Mapping

import attrs

from hub.domain.fair_queue import STRANGERS

#: A step may hold the writer so long, in seconds, whenever its owner's turn comes. What it takes longer, its owner owes.
TURN = 0.015
#: Seconds that an owner may owe. One that owes more waits until it has paid the rest of it by waiting.
CREDIT = 0.25
#: Part of the time that all who owe more than `CREDIT` together may hold the writer with what exceeds their turns.
SHARE = 0.25
#: Nobody owes more, in seconds: an owner waits at most ten seconds for what a step took while the machine stood still.
_MOST = CREDIT + 10 * SHARE
#: What was used counts ever less: after so many seconds e times less. Shares are of about this time.
SPAN = 60.0
#: A writer that works for this part of the time is always busy; an owner that waits for it has more than its share.
BUSY, HELD = 0.8, 0.5


@attrs.define
class _Fading:
    """A sum of seconds of which the older count ever less."""

    sum: float = 0.0
    at: float = 0.0

    def part(self, now: float) -> float:
        """Return which part of the last `SPAN` seconds the sum is."""
        return self.sum * math.exp(min(0.0, self.at - now) / SPAN) / SPAN

    def add(self, seconds: float, now: float) -> None:
        """Add *seconds*."""
        self.sum, self.at = self.part(now) * SPAN + seconds, now


@attrs.frozen(kw_only=True)
class WriterUse:
    """What one owner uses of the writer."""

    part: float = 0.0  #: of the time, lately
    held: float = 0.0  #: part of the time in which it owed too much, so that its work waited


@attrs.frozen(kw_only=True)
class WriterReading:
    """How busy a writer is, and by whom."""

    uses: Mapping[str, WriterUse] = attrs.field(factory=dict)  #: by owner, the greatest use first; "" is the hub itself

    @property
    def busy(self) -> float:
        """Return the part of the time in which the writer works."""
        return min(1.0, sum(each.part for each in self.uses.values()))

    @property
    def is_busy(self) -> bool:
        """Tell whether the writer is always busy."""
        return self.busy >= BUSY

    @property
    def first(self) -> str:
        """Return who uses most of it; `hub` for the hub itself."""
        return next(iter(self.uses), "") or "hub"

    @property
    def first_part(self) -> float:
        """Return which part of the writer's work is for `first`."""
        most = max((each.part for each in self.uses.values()), default=0.0)
        return most / max(most, sum(each.part for each in self.uses.values()), 1e-9)

    @property
    def held(self) -> list[str]:
        """Return the owners that have more than their share."""
        return [owner for owner, each in self.uses.items() if each.held >= HELD]


@attrs.define(eq=False)
class WriterBudget:
    """The accounts of one writer. Used in the reactor thread only; times are those of one steady clock, in seconds."""

    _owed: dict[str, float] = attrs.field(factory=dict, init=False)  #: seconds by owner; who owes nothing is not here
    #: how long the next step of each of these owners is expected to take: as long as its last one
    _expected: dict[str, float] = attrs.field(factory=dict, init=False)
    _used: dict[str, _Fading] = attrs.field(factory=dict, init=False)
    _held: dict[str, _Fading] = attrs.field(factory=dict, init=False)
    _at: float = attrs.field(default=0.0, init=False)  #: until when debts were paid

    def charge(self, owner: str, step: float, whole: float, now: float) -> None:
        """Charge *owner* with a step of so many seconds, which with its part of the commit kept the writer for *whole*."""
        self._pay(now)
        self._used.setdefault(owner, _Fading()).add(whole, now)
        if is_outside(owner) and (step > TURN or owner in self._owed):
            self._expected[owner] = step
            self._owed[owner] = min(_MOST, self._owed.get(owner, 0.0) + max(0.0, step - TURN))

    def find_resting(self, now: float) -> frozenset[str]:
        """Return the owners that owe too much: their steps wait."""
        self._pay(now)
        return frozenset(owner for owner, owed in self._owed.items() if owed > CREDIT)

    def find_long(self, now: float) -> frozenset[str]:
        """Return the owners that owe much and whose next step is expected to exceed a turn, as the last one did."""
        self._pay(now)
        return frozenset(
            owner for owner, owed in self._owed.items() if owed > CREDIT / 2 and self._expected[owner] > TURN
        )

    def find_rest(self, now: float) -> float:
        """Return the seconds until one of those that wait may go on; 0 if none waits."""
        over = [self._owed[owner] - CREDIT for owner in self.find_resting(now)]
        return min(over, default=0.0) * len(over) / SHARE

    def read(self, now: float) -> WriterReading:
        """Return how busy the writer is, and by whom."""
        self._pay(now)
        found = {
            owner: WriterUse(part=used.part(now), held=self._held[owner].part(now) if owner in self._held else 0.0)
            for owner, used in self._used.items()
        }
        return WriterReading(uses=dict(sorted(found.items(), key=lambda each: -each[1].part)))

    def _pay(self, now: float) -> None:
        """Let time pay what is owed: those that owe too much share what is paid."""
        begun, self._at = min(self._at, now), now
        if not self._owed:
            return
        over = [owner for owner, owed in self._owed.items() if owed > CREDIT]
        paid = (now - begun) * SHARE / max(1, len(over))
        for owner in over:
            held = min(now - begun, (self._owed[owner] - CREDIT) * len(over) / SHARE)
            self._held.setdefault(owner, _Fading()).add(held, begun + held)
        self._owed = {owner: owed - paid for owner, owed in self._owed.items() if owed > paid}
        self._expected = {owner: self._expected[owner] for owner in self._owed}


def is_outside(owner: str) -> bool:
    """Tell whether *owner* is a partner, or the strangers: the hub's own work, such as its console, owes nothing."""
    return bool(owner) and (not owner.startswith("?") or owner == STRANGERS.name)


def write_percent(part: float) -> int:
    """Return a part as a whole percentage."""
    return round(part * 100)
