"""The rate limit of a partner: its notation and its arithmetic. Knows neither what is sent nor the journal."""

import re
from datetime import datetime, timedelta

import attrs

from hub.language.phrases import phrase

_SPELLED = re.compile(r"([1-9][0-9]{0,5})/(s|m|h)", re.ASCII)
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}

#: Unused capacity is kept for at most this time: polling the queue still uses the full rate, and a pause causes no
#: burst.
_KEPT = timedelta(milliseconds=100)
#: Tolerance for a time written by another node that ran a moment later or whose clock is slightly ahead.
_SLACK = timedelta(seconds=1)

#: The expected form, for the error message.
EXPECTED = phrase("a whole number of messages a second, minute or hour, such as 20/s, 600/m or 100/h; or none")


@attrs.frozen
class Rate:
    """*count* messages per *unit* (s, m, h), evenly spaced."""

    count: int  #: messages per unit
    unit: str  #: s, m or h

    @classmethod
    def read(cls, text: str) -> "Rate":
        """Return the rate of a text such as `20/s`. Raises ValueError for anything else."""
        found = _SPELLED.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a rate")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.count}/{self.unit}"

    @property
    def step(self) -> timedelta:
        """Return the time between two messages."""
        return _UNITS[self.unit] / self.count

    def allows(self, next_at: datetime | None, now: datetime) -> int:
        """Return how many messages may go *now*. *next_at* is when the next one may go (None: none has gone yet)."""
        start = self._start(next_at, now)
        return 0 if start > now else 1 + (now - start) // self.step

    def after(self, next_at: datetime | None, now: datetime, gone: int) -> datetime:
        """Return when the next message may go, after *gone* more have gone *now*."""
        return self._start(next_at, now) + self.step * gone

    def _start(self, next_at: datetime | None, now: datetime) -> datetime:
        # A *next_at* beyond one step and the tolerance means that the clock was set back: the rest is not waited for.
        if next_at is None or next_at > now + self.step + _SLACK:
            return now
        return max(next_at, now - _KEPT)
