"""One result as a message tells of it, and which of several holds.  Knows no service."""

from collections.abc import Iterable
from datetime import date, datetime

import attrs

from tests.recount import places

#: What may state a due day of a dossier that is open.
STATING = ("received", "taken-over", "supplemented", "supplemented-again")


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
    stated: datetime | None = None  #: when its unit told another due day of it than before

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


def latest_due(told: Iterable[Told]) -> date | None:
    """Return the due day that counts: a corrected one instead of all that was told before it; of the others that of the
    receipt, or of the latest paper brought after it.
    """
    told = list(told)
    changed = [one for one in told if one.what in STATING and one.stated]
    last = max(changed, key=lambda one: (one.stated, one.what), default=None)
    dated = [
        attrs.evolve(one, due=last.due) if last and last.stated and one.at < last.stated else one
        for one in told
        if one.what in STATING
    ]
    dated = [one for one in dated if one.due]
    return max(dated, key=lambda one: (one.on, one.at, one.message, one.what)).due if dated else None


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
