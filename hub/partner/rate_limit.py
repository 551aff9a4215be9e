"""How many messages in a time a partner wants at most.  Knows the spelling and the arithmetic; not what is sent, nor the journal."""

import re
from datetime import datetime, timedelta

import attrs

_SPELLED = re.compile(r"([1-9][0-9]{0,5})/(s|m|h)", re.ASCII)
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}

#: What was not used of the rate is not kept for longer: a look at the queue every so often uses all of it, and a pause gathers no flood.
_KEPT = timedelta(milliseconds=100)
#: So far ahead may lie what another node wrote that looked a moment later, or whose clock is a little ahead.
_SLACK = timedelta(seconds=1)

#: What a rate must look like, for whoever wrote it wrong.
EXPECTED = "a whole number of messages a second, minute or hour, such as 20/s, 600/m or 100/h; or none"


@attrs.frozen
class Rate:
    """So many messages in each `unit` (s, m, h), evenly spaced."""

    count: int
    unit: str

    @classmethod
    def read(cls, text: str) -> "Rate":
        """Return the rate of `20/s`.  Raises ValueError for anything else."""
        found = _SPELLED.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a rate")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.count}/{self.unit}"

    @property
    def step(self) -> timedelta:
        """Return the time from one message to the next."""
        return _UNITS[self.unit] / self.count

    def allows(self, next_at: datetime | None, now: datetime) -> int:
        """Return how many may go *now*, when the next was to go at *next_at* (None: none has gone yet)."""
        start = self._start(next_at, now)
        return 0 if start > now else 1 + (now - start) // self.step

    def after(self, next_at: datetime | None, now: datetime, gone: int) -> datetime:
        """Return when the next may go after *gone* more have gone *now*."""
        return self._start(next_at, now) + self.step * gone

    def _start(self, next_at: datetime | None, now: datetime) -> datetime:
        # Where the clock was set back, the rest of that time is not waited for; a node that looked a moment before another is no such clock.
        if next_at is None or next_at > now + self.step + _SLACK:
            return now
        return max(next_at, now - _KEPT)
