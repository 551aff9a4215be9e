"""Decides which sign-in attempt comes next. Contains places, names and recent failures, but no passwords and no pages.

Comparing a password takes 32 MiB and a quarter of a second of one core, so one is compared at a time. The order is:
users who have signed in from the same place before; users at places without recent failures; all others. Within each
rank, the places (an address, or an IPv6 /64) take turns. So attackers who guess passwords, at however many addresses,
wait for one another, and other users hardly wait for them.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred, succeed

from hub.operations import refusals

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

#: Maximum waiting attempts, in total and from one place. Fewer than `edge.ANSWERING`, so that other pages are still
#: answered.
WAITING, OF_ONE_PLACE = 100, 10
#: Failures that may be mistypings.
TYPOS = 2
#: A failure is remembered for this time.
REMEMBERED = timedelta(hours=1)
#: Maximum places, and names at places, whose failures and turns are remembered.
PLACES = 10_000


class SignInRank(IntEnum):
    """The order of waiting attempts."""

    KNOWN = 0
    QUIET = 1
    GUESSING = 2


@attrs.frozen(eq=False)
class _Try:
    """One waiting attempt."""

    place: str  #: address, or IPv6 /64
    name: str
    known: bool  #: whether *name* has signed in from *place* before
    turn: Deferred[None] = attrs.field(factory=Deferred)  #: fires when the attempt may begin


@attrs.define(eq=False)
class SignInQueue:
    """The sign-in attempts at one node."""

    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _waiting: list[_Try] = attrs.field(factory=list, init=False)  #: oldest first
    #: For a place, and for a name at a place: the number of failures, and until when they count.
    _failures: dict[tuple[str, ...], tuple[int, datetime]] = attrs.field(factory=dict, init=False)
    _served: dict[str, int] = attrs.field(factory=dict, init=False)  #: number of each place's last turn
    _number: int = attrs.field(default=0, init=False)  #: number of the last turn
    _busy: bool = attrs.field(default=False, init=False)  #: whether an attempt is under way
    _calling: bool = attrs.field(default=False, init=False)  #: whether `_call` is running

    async def run_in_turn(self, place: str, name: str, known: bool, step: Callable[[], Awaitable[T]]) -> T:
        """Call *step* when its turn comes, and return its result.

        *known* says whether *name* has signed in from *place* before. Raises `RequestRefused` (503) if too many
        attempts wait.
        """
        await self._wait(_Try(place, name, known))
        try:
            return await step()
        finally:
            self._busy = False
            self._call()

    def note_failure(self, place: str, name: str) -> None:
        """Remember a wrong password for *name* from *place*."""
        for key in ((place,), (place, name)):
            count = self._count(key)
            self._failures.pop(key, None)  # re-insert it at the end: the first entry is forgotten first
            self._failures[key] = count + 1, self._now() + REMEMBERED
        _forget_oldest(self._failures)

    def _count(self, key: tuple[str, ...]) -> int:
        count, until = self._failures.get(key, (0, self._now()))
        return count if until > self._now() else 0

    def _rank(self, one: _Try) -> SignInRank:
        if one.known and self._count((one.place, one.name)) <= TYPOS:
            return SignInRank.KNOWN
        return SignInRank.GUESSING if self._count((one.place,)) > TYPOS else SignInRank.QUIET

    def _wait(self, one: _Try) -> Deferred[None]:
        if not self._busy:
            self._begin(one)
            return succeed(None)
        here = [each for each in self._waiting if each.place == one.place]
        if len(here) >= OF_ONE_PLACE or any(each.name == one.name for each in here):
            raise refusals.refuse_as_busy()
        if len(self._waiting) >= WAITING:
            self._displace((self._rank(one), len(here) + 1))
        self._waiting.append(one)
        return one.turn

    def _begin(self, one: _Try) -> None:
        self._busy = True
        self._number += 1
        self._served.pop(one.place, None)
        self._served[one.place] = self._number
        _forget_oldest(self._served)

    def _displace(self, demand: tuple[SignInRank, int]) -> None:
        """Refuse the newest waiting attempt of the lowest rank from the place with the most attempts.

        Raises `RequestRefused` if the new attempt, with rank and place count *demand*, is itself that one.
        """
        places = [each.place for each in self._waiting]
        demands = [(self._rank(each), places.count(each.place)) for each in self._waiting]
        most = max(demands)
        if most <= demand:
            raise refusals.refuse_as_busy()
        displaced = self._waiting.pop(len(demands) - 1 - demands[::-1].index(most))
        displaced.turn.errback(refusals.refuse_as_busy())

    def _call(self) -> None:
        """Let the next attempt begin. It is not called recursively, so that the stack does not grow."""
        if self._calling:
            return
        self._calling = True
        while self._waiting and not self._busy:
            one = min(self._waiting, key=lambda each: (self._rank(each), self._served.get(each.place, 0)))
            self._waiting.remove(one)
            self._begin(one)
            one.turn.callback(None)
        self._calling = False


def _forget_oldest(remembered: dict[K, V]) -> None:
    """Delete the oldest entries above `PLACES`."""
    while len(remembered) > PLACES:
        del remembered[next(iter(remembered))]
