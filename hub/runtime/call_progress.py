"""How far one call to a server has come, and how long it may still take. Knows a clock, no protocol.

A call has a time for its answer. A long message needs more than that to travel, so each octet that moves earns time: a
slow line that works is not taken for a server that does not answer, and one that carries less than `SLOWEST` is.
"""

from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IReactorTime

from hub.runtime.lazy_timer import LazyTimer

#: Octets that a line must carry in a second: half a megabit.
SLOWEST = 64 * 1024
#: Octets of what was written that the system may still hold.
_HELD = 1 << 20


@attrs.define(eq=False)
class CallProgress:
    """The progress of one call, whose answer may take *patience* seconds."""

    _clock: IReactorTime
    patience: float
    #: whether some of the request may have arrived; None: it is not known
    sent: bool | None = attrs.field(default=None, init=False)
    is_late: bool = attrs.field(default=False, init=False)  #: the call took too long
    _timer: LazyTimer = attrs.field(init=False)
    _began: float = attrs.field(init=False)
    _moved_at: float = attrs.field(init=False)
    _octets: int = attrs.field(default=0, init=False)  #: octets that moved
    _held: int = attrs.field(default=0, init=False)  #: octets of these that may be here still
    _end: Callable[[], object] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._timer = LazyTimer(self._clock.seconds, self._clock.callLater)
        self._began = self._moved_at = self._clock.seconds()

    def limit(self, end: Callable[[], object]) -> None:
        """Call *end* when the call takes too long, unless `stop` is called before."""
        self._end = end
        self._set_timer()

    def write(self, octets: int) -> None:
        """Note that so many octets of the request were given to the system, which takes no more than it can hold."""
        self._move(octets, held=min(self._octets + octets, _HELD))

    def write_all(self, octets: int) -> None:
        """Note that the whole request, of so many octets, was given away at once: nobody tells how much has gone."""
        self._move(octets, held=octets)

    def read(self, octets: int) -> None:
        """Note that so many octets of the answer came."""
        self._move(octets, held=0)

    def stop(self) -> None:
        """Note that the call has ended."""
        self._end = None
        self._timer.cancel()

    def _move(self, octets: int, *, held: int) -> None:
        self._octets, self._held, self._moved_at = self._octets + octets, held, self._clock.seconds()
        if self._end is not None:
            self._set_timer()

    def _set_timer(self) -> None:
        earned = self._began + self.patience + self._octets / SLOWEST
        standstill = self._moved_at + self.patience + self._held / SLOWEST
        self._timer.set(max(0.0, min(earned, standstill) - self._clock.seconds()), self._give_up)

    def _give_up(self) -> None:
        self.is_late = True
        if self._end is not None:
            self._end()
