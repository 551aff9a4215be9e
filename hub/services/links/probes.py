"""The state of a link, computed from probes: whether it is up, its latency, its availability over a day.

Knows no socket, no clock and no table.

A link goes down after `DOWN_AFTER` failed probes in a row and comes up after `UP_AFTER` successful ones, so that one
lost packet is not an outage. The new state begins with the first probe of that row.

A day has 1440 minutes. A minute was probed if any probe fell in it, and was up if any of these probes reached the other
side. So the days of several nodes can be merged and no minute counts twice.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from math import ceil

import attrs

from hub.domain.local_time import HANOI

#: Probes in a row that must fail (succeed) before a link that was up (down) changes its state.
DOWN_AFTER, UP_AFTER = 3, 2
#: The latest latencies that are kept: one hour at one probe every 30 s.
KEPT = 120
#: Minutes of a day.
DAY = 1440


class LinkState(StrEnum):
    """The state of a link."""

    UNKNOWN = "unknown"  #: never probed
    UP = "up"
    DOWN = "down"


@attrs.frozen(kw_only=True)
class Link:
    """A connection to another system: address, protocol, and the units that own it."""

    name: str  #: the partner's code, or the host's name in `[links.hosts]`
    host: str
    port: int
    tls: bool  #: whether the other side starts TLS at once
    units: tuple[str, ...] = ()  #: the units whose reports show its availability
    partner: bool = True

    @property
    def place(self) -> str:
        """Return `host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class Probe:
    """The result of one probe."""

    at: datetime
    latency: float | None = None  #: seconds until the connection was ready, TLS included; None: not reached
    ends: datetime | None = None  #: when the certificate that the other side presented expires
    reason: str = ""  #: why the probe counts as failed

    @property
    def reached(self) -> bool:
        """Tell whether the probe reached the other side."""
        return self.latency is not None


@attrs.frozen(kw_only=True)
class LinkStanding:
    """The state of a link as one node has observed it."""

    state: LinkState = LinkState.UNKNOWN
    since: datetime | None = None
    against: int = 0  #: latest probes in a row that contradict the state
    against_since: datetime | None = None
    seen_at: datetime | None = None
    latencies: tuple[float, ...] = ()  #: seconds, the latest last
    ends: datetime | None = None  #: when the certificate presented last expires
    reason: str = ""  #: why the latest probe failed; empty if it did not


def advance_link_standing(before: LinkStanding, probe: Probe) -> LinkStanding:
    """Return the standing of the link after *probe*. The first probe alone decides the first state."""
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


def find_latency_quantile(latencies: Sequence[float], share: float) -> float | None:
    """Return the latency that the *share* (0 to 1) of *latencies* does not exceed, by nearest rank; None for none."""
    if not latencies:
        return None
    ordered = sorted(latencies)
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def count_days_left(ends: datetime | None, now: datetime) -> int | None:
    """Return the whole days until *ends*, negative after it; None without a certificate."""
    return None if ends is None else (ends - now).days


@attrs.frozen
class Minutes:
    """The minutes of one day, one bit each. The lowest bit is the first minute."""

    probed: int = 0
    up: int = 0  #: a subset of `probed`

    def with_probe(self, at: datetime, *, reached: bool) -> "Minutes":
        """Return these minutes with a probe at *at* added. *at* must be in the same day."""
        bit = 1 << find_minute_of_day(at)
        return Minutes(self.probed | bit, self.up | (bit if reached else 0))

    def __or__(self, other: "Minutes") -> "Minutes":
        """Merge the same day of two nodes. A minute is up if either node reached the other side."""
        return Minutes(self.probed | other.probed, self.up | other.up)

    @property
    def availability(self) -> float | None:
        """Return the share of the probed minutes that were up, 0 to 1; None if no minute was probed."""
        return self.up.bit_count() / self.probed.bit_count() if self.probed else None


def merge_minutes(days: Iterable[Minutes]) -> Minutes:
    """Merge the same day of any number of nodes."""
    together = Minutes()
    for each in days:
        together |= each
    return together


def find_minute_of_day(at: datetime) -> int:
    """Return the number of the minute of *at* in its day in Hà Nội, from 0."""
    there = at.astimezone(HANOI)
    return there.hour * 60 + there.minute
