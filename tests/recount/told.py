"""One result as a message tells of it, and which of several holds.  Knows no service."""

from collections.abc import Iterable
from datetime import date, datetime

import attrs

from tests.recount import places


@attrs.frozen(kw_only=True)
class Told:
    """One result of one unit."""

    service: str
    unit: str
    key: tuple[str, ...]
    what: str
    at: datetime  #: when the hub heard of it
    message: str
    day: date | None = None  #: as the unit says
    due: date | None = None
    amount: int = 1
    said: dict[str, str] = attrs.field(factory=dict)
    counts: datetime | None = None  #: where days count: to which moment it is posted
    by: str = ""  #: the unit that told it of another's dossier
    corrections: tuple["Told", ...] = ()  #: what its unit told later of its days
    corrected: int = 0  #: which of these it is

    @property
    def when(self) -> datetime:
        """When it counts: by its own day in forms that go by days, else as the hub heard of it."""
        return self.counts or self.at

    @property
    def on(self) -> date:
        """The day on which it counts where days count."""
        return self.day or places.day(self.at)

    @property
    def known_as(self) -> str:
        """How it is called where a number is explained."""
        return f"{self.what}-corrected-{self.corrected}" if self.corrected else self.what

    @property
    def name(self) -> tuple[str, str, str, int]:
        """What tells it from others where a number is explained."""
        return self.unit, self.what, self.message, self.amount


def once(told: Iterable[Told]) -> list[Told]:
    """Return each result once: the first of its unit, service, key and name."""
    found: list[Told] = []
    names = []
    for one in told:
        name = one.service, one.unit, one.key, one.what
        if name not in names:
            names.append(name)
            found.append(one)
    return found
