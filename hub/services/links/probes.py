"""What probes say of a link: whether it is up, how fast it answers, how much of a day it was there.  Knows no socket, no clock, no table.

A link goes down only after `DOWN_AFTER` failed probes in a row and comes up after `UP_AFTER` good ones, so that one lost packet is
no outage; it then counts from the first of that row.  A day is kept as its 1440 minutes: one was probed if any probe fell in it, and was
up if any of them reached the other side.  So the days of several nodes can be laid over one another, and no minute counts twice.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from math import ceil

import attrs

from hub.domain.local_time import HANOI

#: So many probes in a row must fail, or succeed, before a link that was otherwise is called down, or up.
DOWN_AFTER, UP_AFTER = 3, 2
#: So many latencies are kept, the latest: an hour at a probe every 30 s.
KEPT = 120
#: Minutes of a day.
DAY = 1440


class LinkState(StrEnum):
    """How a link stands."""

    UNKNOWN = "unknown"  #: never probed
    UP = "up"
    DOWN = "down"


@attrs.frozen(kw_only=True)
class Link:
    """One way out to another system: where, by what, and whose it is."""

    name: str  #: the partner's code, or the host's name in `[links.hosts]`
    host: str
    port: int
    tls: bool  #: whether the other side shows a certificate at once
    units: tuple[str, ...] = ()  #: whose report its availability stands in
    partner: bool = True

    @property
    def place(self) -> str:
        """Return `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class Probe:
    """What one probe found."""

    at: datetime
    latency: float | None = None  #: seconds until the other side was there, TLS included; None: it was not
    ends: datetime | None = None  #: of the certificate it showed
    reason: str = ""  #: why it counts as not there

    @property
    def reached(self) -> bool:
        """Tell whether the other side was there."""
        return self.latency is not None


@attrs.frozen(kw_only=True)
class LinkStanding:
    """How a link stands as one node sees it."""

    state: LinkState = LinkState.UNKNOWN
    since: datetime | None = None
    against: int = 0  #: latest probes in a row that speak against the state
    against_since: datetime | None = None
    seen_at: datetime | None = None
    latencies: tuple[float, ...] = ()  #: seconds, the latest last
    ends: datetime | None = None  #: of the certificate that was shown last
    reason: str = ""  #: of the latest probe, if it failed


def advance_link_standing(before: LinkStanding, probe: Probe) -> LinkStanding:
    """Return how the link stands after *probe*.  The first probe ever decides alone."""
    now = attrs.evolve(
        before,
        seen_at=probe.at,
        reason="" if probe.reached else probe.reason,
        ends=probe.ends or before.ends,
        latencies=before.latencies if probe.latency is None else (*before.latencies, probe.latency)[-KEPT:],
    )
    says = LinkState.UP if probe.reached else LinkState.DOWN
    if before.state is LinkState.UNKNOWN:
        return attrs.evolve(now, state=says, since=probe.at)
    if says is before.state:
        return attrs.evolve(now, against=0, against_since=None)
    against, since = before.against + 1, before.against_since or probe.at
    if against < (UP_AFTER if says is LinkState.UP else DOWN_AFTER):
        return attrs.evolve(now, against=against, against_since=since)
    return attrs.evolve(now, state=says, since=since, against=0, against_since=None)


def latency_quantile(latencies: Sequence[float], share: float) -> float | None:
    """Return the latency that the *share* (0 to 1) of *latencies* does not exceed, by nearest rank; None without any."""
    if not latencies:
        return None
    ordered = sorted(latencies)
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def days_left(ends: datetime | None, now: datetime) -> int | None:
    """Return the whole days until *ends*, below zero once it is over; None without a certificate."""
    return None if ends is None else (ends - now).days


@attrs.frozen
class Minutes:
    """The minutes of one day, a bit each, the first the lowest."""

    probed: int = 0
    up: int = 0  #: of those probed

    def with_probe(self, at: datetime, *, reached: bool) -> "Minutes":
        """Return them with a probe of *at*, which is of that day."""
        bit = 1 << minute_of_day(at)
        return Minutes(self.probed | bit, self.up | (bit if reached else 0))

    def __or__(self, other: "Minutes") -> "Minutes":
        """Lay two nodes' days over one another: a minute was up if either reached the other side."""
        return Minutes(self.probed | other.probed, self.up | other.up)

    @property
    def availability(self) -> float | None:
        """Return the share of the probed minutes that were up, 0 to 1; None when nothing was probed."""
        return self.up.bit_count() / self.probed.bit_count() if self.probed else None


def merge_minutes(days: Iterable[Minutes]) -> Minutes:
    """Return what all nodes together saw."""
    together = Minutes()
    for each in days:
        together |= each
    return together


def minute_of_day(at: datetime) -> int:
    """Return which minute of its day in Hà Nội *at* is, from 0."""
    there = at.astimezone(HANOI)
    return there.hour * 60 + there.minute
