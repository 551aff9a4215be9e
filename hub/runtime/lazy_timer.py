"""A time limit that is set anew far more often than it expires. Knows a clock, not what is limited."""

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall

#: Seconds by which a call may come early: the sum of two durations is rounded.
_ROUNDING = 1e-6


@attrs.define(eq=False)
class LazyTimer:
    """Calls one function when its time has come.

    A delayed call of the reactor costs some microseconds, and so does its end. So the timer keeps the one it has as
    long as that comes soon enough, and looks then how much time is left.
    """

    _seconds: Callable[[], float]  #: a monotonic clock
    _call_later: Callable[..., Any]  #: the reactor's method
    _at: float | None = attrs.field(default=None, init=False)  #: when the function is due; None: never
    _then: Callable[[], object] = attrs.field(default=lambda: None, init=False)
    _call: IDelayedCall | None = attrs.field(default=None, init=False)
    _call_at: float = attrs.field(default=0.0, init=False)  #: when the delayed call comes

    def set(self, seconds: float, then: Callable[[], object]) -> None:
        """Call *then* after *seconds*, and not what was set before."""
        self._at, self._then = self._seconds() + seconds, then
        if self._call is not None and self._call_at > self._at:
            self._call.cancel()
            self._call = None
        if self._call is None:
            self._wait(seconds, self._at)

    def clear(self) -> None:
        """Call nothing."""
        self._at = None

    def cancel(self) -> None:
        """Call nothing, and leave no delayed call behind."""
        self._at = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _wait(self, seconds: float, until: float) -> None:
        self._call, self._call_at = self._call_later(seconds, self._look), until

    def _look(self) -> None:
        self._call = None
        if self._at is None:
            return
        left = self._at - self._seconds()
        if left > _ROUNDING:
            self._wait(left, self._at)
        else:
            self._at = None
            self._then()
