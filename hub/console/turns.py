"""Whose try to sign in comes next.  Knows places, names and what failed lately; no password, no page.

A password takes 32 MiB and a tenth of a second of a core to compare, so one is compared at a time.  The places that tries come from (an
address, an IPv6 /64) take turns; those from which nobody has failed lately come first, and who waits at a place that wants much gives
way to who comes from another.  So those who guess, at however many addresses, wait for one another, and others hardly wait for them.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred, succeed

from hub.console import asked as given

T = TypeVar("T")

#: So many tries wait together, and of one place: fewer than `edge.ANSWERING`, so that other pages are still answered.
WAITING, OF_ONE_PLACE = 100, 10
#: So many failures may be mistypings.
TYPOS = 2
#: A failure is remembered for so long, and of so many places.
REMEMBERED = timedelta(hours=1)
PLACES = 10_000


@attrs.define(eq=False)
class Turns:
    """The tries at one node."""

    _now: Callable[[], datetime]
    #: place -> name -> who waits; the place whose turn is next stands first, and in it who came first.
    _waiting: dict[str, dict[str, Deferred[None]]] = attrs.field(factory=dict, init=False)
    _failures: dict[str, tuple[int, datetime]] = attrs.field(
        factory=dict, init=False
    )  #: by place, until when they count
    _busy: bool = attrs.field(default=False, init=False)
    _calling: bool = attrs.field(default=False, init=False)

    async def take(self, place: str, name: str, step: Callable[[], Awaitable[T]]) -> T:
        """Return what *step* returns, taken when it is its turn.  Raises `Refused` (503) when there is no place to wait for one."""
        await self._wait(place, name)
        try:
            return await step()
        finally:
            self._busy = False
            self._call()

    def note_failure(self, place: str) -> None:
        """Remember that somebody at *place* gave a wrong password."""
        count = self._failures[place][0] if self._has_failed(place) else 0
        self._failures.pop(place, None)  # it comes to stand last: the one that is forgotten first stands first
        self._failures[place] = count + 1, self._now() + REMEMBERED
        if len(self._failures) > PLACES:
            del self._failures[next(iter(self._failures))]

    def _has_failed(self, place: str) -> bool:
        count, until = self._failures.get(place, (0, self._now()))
        return count > 0 and until > self._now()

    def _is_guessing(self, place: str) -> bool:
        return self._has_failed(place) and self._failures[place][0] > TYPOS

    def _wait(self, place: str, name: str) -> Deferred[None]:
        if not self._busy:
            self._busy = True
            return succeed(None)
        here = self._waiting.get(place, {})
        if name in here or len(here) >= OF_ONE_PLACE:
            raise given.busy()
        if sum(map(len, self._waiting.values())) >= WAITING:
            self._displace(place, len(here) + 1)
        waiting: Deferred[None] = Deferred()
        self._waiting.setdefault(place, {})[name] = waiting
        return waiting

    def _displace(self, place: str, wanted: int) -> None:
        """Let the last one give way who waits where most is wanted.  Raises `Refused` when *place*, where *wanted* would wait, is that."""

        def demand(of: str) -> tuple[bool, int]:
            return self._is_guessing(of), len(self._waiting[of])

        most = max(self._waiting, key=demand)
        if demand(most) <= (self._is_guessing(place), wanted):
            raise given.busy()
        _, displaced = self._waiting[most].popitem()
        if not self._waiting[most]:
            del self._waiting[most]
        displaced.errback(given.busy())

    def _call(self) -> None:
        """Let the next one try; not from within another's end, for each would be deeper in the stack."""
        if self._calling:
            return
        self._calling = True
        while self._waiting and not self._busy:
            place = next((each for each in self._waiting if not self._is_guessing(each)), next(iter(self._waiting)))
            here = self._waiting.pop(place)
            waiting = here.pop(next(iter(here)))
            if here:
                self._waiting[place] = here
            self._busy = True
            waiting.callback(None)
        self._calling = False
