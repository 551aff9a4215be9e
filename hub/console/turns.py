"""Whose try to sign in comes next.  Knows places, names and what failed lately; no password, no page.

A password takes 32 MiB and a quarter of a second of a core to compare, so one is compared at a time.  First comes who has signed in from the
same place before, then who comes from a place where nobody has failed lately, then the others; in each of these the places (an address,
an IPv6 /64) take turns.  So those who guess, at however many addresses, wait for one another, and others hardly wait for them.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred, succeed

from hub.console import asked as given

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

#: So many tries wait together, and of one place: fewer than `edge.ANSWERING`, so that other pages are still answered.
WAITING, OF_ONE_PLACE = 100, 10
#: So many failures may be mistypings.
TYPOS = 2
#: A failure is remembered for so long.
REMEMBERED = timedelta(hours=1)
#: Of so many places, and names at places, failures and turns are remembered.
PLACES = 10_000


class Rank(IntEnum):
    """Who comes first."""

    KNOWN = 0
    QUIET = 1
    GUESSING = 2


@attrs.frozen(eq=False)
class _Try:
    """One who waits."""

    place: str
    name: str
    known: bool
    turn: Deferred[None] = attrs.field(factory=Deferred)


@attrs.define(eq=False)
class Turns:
    """The tries at one node."""

    _now: Callable[[], datetime]
    _waiting: list[_Try] = attrs.field(factory=list, init=False)  #: the oldest first
    #: Of a place, and of a name at one: how many failures, and until when they count.
    _failures: dict[tuple[str, ...], tuple[int, datetime]] = attrs.field(factory=dict, init=False)
    _served: dict[str, int] = attrs.field(factory=dict, init=False)  #: the number of the last turn of each place
    _number: int = attrs.field(default=0, init=False)  #: of the last turn
    _busy: bool = attrs.field(default=False, init=False)
    _calling: bool = attrs.field(default=False, init=False)

    async def take(self, place: str, name: str, known: bool, step: Callable[[], Awaitable[T]]) -> T:
        """Return what *step* returns, taken when it is its turn; *known*: whether *name* has signed in from *place* before.

        Raises `Refused` (503) when there is no place to wait for one.
        """
        await self._wait(_Try(place, name, known))
        try:
            return await step()
        finally:
            self._busy = False
            self._call()

    def note_failure(self, place: str, name: str) -> None:
        """Remember that a wrong password of *name* was given at *place*."""
        for key in ((place,), (place, name)):
            count = self._count(key)
            self._failures.pop(key, None)  # it comes to stand last: the one that is forgotten first stands first
            self._failures[key] = count + 1, self._now() + REMEMBERED
        _forget(self._failures)

    def _count(self, key: tuple[str, ...]) -> int:
        count, until = self._failures.get(key, (0, self._now()))
        return count if until > self._now() else 0

    def _rank(self, one: _Try) -> Rank:
        if one.known and self._count((one.place, one.name)) <= TYPOS:
            return Rank.KNOWN
        return Rank.GUESSING if self._count((one.place,)) > TYPOS else Rank.QUIET

    def _wait(self, one: _Try) -> Deferred[None]:
        if not self._busy:
            self._begin(one)
            return succeed(None)
        here = [each for each in self._waiting if each.place == one.place]
        if len(here) >= OF_ONE_PLACE or any(each.name == one.name for each in here):
            raise given.refuse_as_busy()
        if len(self._waiting) >= WAITING:
            self._displace((self._rank(one), len(here) + 1))
        self._waiting.append(one)
        return one.turn

    def _begin(self, one: _Try) -> None:
        self._busy = True
        self._number += 1
        self._served.pop(one.place, None)
        self._served[one.place] = self._number
        _forget(self._served)

    def _displace(self, demand: tuple[Rank, int]) -> None:
        """Let the last one give way who comes last, where most wait.  Raises `Refused` when who comes, with such a *demand*, is that."""
        places = [each.place for each in self._waiting]
        demands = [(self._rank(each), places.count(each.place)) for each in self._waiting]
        most = max(demands)
        if most <= demand:
            raise given.refuse_as_busy()
        displaced = self._waiting.pop(len(demands) - 1 - demands[::-1].index(most))
        displaced.turn.errback(given.refuse_as_busy())

    def _call(self) -> None:
        """Let the next one try; not from within another's end, for each would be deeper in the stack."""
        if self._calling:
            return
        self._calling = True
        while self._waiting and not self._busy:
            one = min(self._waiting, key=lambda each: (self._rank(each), self._served.get(each.place, 0)))
            self._waiting.remove(one)
            self._begin(one)
            one.turn.callback(None)
        self._calling = False


def _forget(remembered: dict[K, V]) -> None:
    """Forget what was remembered first."""
    while len(remembered) > PLACES:
        del remembered[next(iter(remembered))]
