"""Probes the links of one node periodically and stores the results. Decides which links are probed and when;
`tcp_probe` does the probing.

`hub.services.links.probes` says what a probe means; `hub.monitoring.link_rows` stores it. A probe is not a call and
never changes a breaker.
"""

from collections.abc import Callable
from datetime import date, datetime
from functools import reduce
from urllib.parse import urlsplit

import attrs
import structlog
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from hub.config import ANY, Config
from hub.domain import local_time
from hub.domain.errors import Unready
from hub.domain.measures import PROBES, UNREACHED, Measures
from hub.language.phrases import Phrase, phrase
from hub.monitoring import link_days, link_rows
from hub.monitoring.link_rows import LinkChange
from hub.monitoring.tcp_probe import ProbeLink
from hub.services.links import probes
from hub.services.links.probes import Link, LinkStanding, LinkState, Minutes
from hub.store.batch_commit import Journal
from hub.units.live import Live

log = structlog.get_logger()

#: The maximum number of concurrent probes.
AT_ONCE = 16
#: A link is shown as silent for a node that has written nothing about it for this many rounds.
ROUNDS = 3
_PORTS = {"https": 443, "http": 80, "smtp": 25, "smtps": 465, "imap": 143, "imaps": 993}
_TLS = ("https", "smtps", "imaps")


def list_probed_links(config: Config) -> tuple[Link, ...]:
    """Return the links to probe: each partner that is called over a network, then the hosts of `[links]`. Empty if
    `every` is not set.
    """
    if config.links is None:
        return ()
    found = []
    for partner in config.partners.values():
        parts = urlsplit(partner.url or "")
        if partner.called and parts.hostname and parts.scheme in _PORTS:
            units = tuple(unit for unit in partner.units if unit != ANY)
            port = parts.port or _PORTS[parts.scheme]
            tls_first = parts.scheme in _TLS
            found.append(Link(name=partner.code, host=parts.hostname, port=port, tls=tls_first, units=units))
    return (*found, *config.links.hosts)


@attrs.define(eq=False)
class LinkProber(Service):
    """Probes the links of one node in rounds."""

    live: Live  #: the current configuration and province
    _journal: Journal  #: stores standings, days and events
    _probe_link: ProbeLink  #: probes one link
    _clock: IReactorTime  #: the reactor, which times the rounds
    _now: Callable[[], datetime]  #: returns the current time in UTC
    _node: str  #: the name of this node
    _measures: Measures = attrs.field(factory=Measures)  #: what this node counts
    #: the state of each link, by this node's own probes
    _standings: dict[Link, LinkStanding] = attrs.field(factory=dict, init=False)
    #: the standings read from the database at the start, by name and place
    _known: dict[tuple[str, str], LinkStanding] | None = attrs.field(default=None, init=False)
    _days: dict[tuple[Link, date], Minutes] = attrs.field(factory=dict, init=False)  #: not written yet
    _turns: list[LinkChange] = attrs.field(factory=list, init=False)  #: not written yet
    _loop: LoopingCall = attrs.field(init=False)
    _running: Deferred[LoopingCall] | None = attrs.field(default=None, init=False)
    _round: Deferred[None] | None = attrs.field(default=None, init=False)  #: the round that is running

    @property
    def standings(self) -> dict[Link, LinkStanding]:
        """Return the state of each link as this node sees it."""
        return dict(self._standings)

    def startService(self) -> None:
        """Start the rounds, if any link is to be probed."""
        Service.startService(self)
        self._start()

    def reconfigure(self) -> None:
        """Restart the rounds with the interval of the new configuration."""
        if self.running:
            self._stop_loop()
            self._start()

    def stopService(self) -> Deferred[None] | None:
        """Stop the rounds and cancel the one that is running."""
        Service.stopService(self)
        self._stop_loop()
        if self._round is None:
            return None
        ended: Deferred[None] = Deferred()
        _ = self._round.addBoth(lambda _: ended.callback(None))
        self._round.cancel()
        return ended

    def describe_down_links(self) -> Phrase | str:
        """Return which links are down; "" when all are up or none is probed."""
        down = {link.name: standing for link, standing in self._standings.items() if standing.state is LinkState.DOWN}
        if not down:
            return ""
        each_since = (
            phrase("{name} since {since}", name=name, since=f"{each.since:%Y-%m-%d %H:%M:%SZ}")
            for name, each in sorted(down.items())
        )
        named = reduce(lambda one, other: phrase("{first}; {second}", first=one, second=other), each_since)
        return phrase(
            "{down} of {links} links are down: {named}", down=len(down), links=len(self._standings), named=named
        )

    def _start(self) -> None:
        said = self.live.config.links
        self._loop = LoopingCall(self._begin_round)
        self._loop.clock = self._clock
        if said is not None:
            self._running = self._loop.start(said.every.total_seconds())

    def _stop_loop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def _begin_round(self) -> None:
        if self._round is None:  # at most one round at a time
            self._round = Deferred.fromCoroutine(self._look())
            _ = self._round.addErrback(_report_broken_probe).addBoth(self._done)

    def _done(self, _result: object) -> None:
        self._round = None

    async def _look(self) -> None:
        config, places = self.live.config, DeferredSemaphore(AT_ONCE)
        if self._known is None:
            self._known = await self._journal.read(link_rows.read_node_links, self._node)
        self._known |= {(link.name, link.place): each for link, each in self._standings.items()}
        probed = list_probed_links(config)
        self._standings = {link: each for link, each in self._standings.items() if link in probed}
        asked = [places.run(self._probe, link, config) for link in probed]
        for _, failure in await DeferredList(asked, consumeErrors=True):
            if isinstance(failure, Failure):
                _report_broken_probe(failure)
        if self.running:
            await self._write(config)

    def _probe(self, link: Link, config: Config) -> Deferred[None]:
        return Deferred.fromCoroutine(self._hear(link, config))

    async def _hear(self, link: Link, config: Config) -> None:
        probe = await self._probe_link(link, config)
        if probe.latency is None:
            self._measures.count(UNREACHED, link.name)
        else:
            self._measures.observe(PROBES, probe.latency, link.name)
        before = self._standings.get(link) or (self._known or {}).get((link.name, link.place), LinkStanding())
        after = probes.advance_link_standing(before, probe)
        self._standings[link] = after
        at = (link, local_time.find_local_day(probe.at))
        self._days[at] = self._days.get(at, Minutes()).with_probe(probe.at, reached=probe.reached)
        if after.state is before.state or (before.state is LinkState.UNKNOWN and after.state is LinkState.UP):
            return
        self._turns.append(LinkChange(link=link, standing=after, reason=after.reason))
        if after.state is LinkState.DOWN:
            log.warning("link-down", link=link.name, place=link.place, reason=after.reason)
        else:
            log.info("link-up", link=link.name, place=link.place)

    async def _write(self, config: Config) -> None:
        """Store the results of a round. What cannot be stored now is kept for the next round."""
        if config.links is None:
            return
        now, days, turns = self._now(), dict(self._days), tuple(self._turns)
        silent = config.links.every * ROUNDS + config.links.timeout
        try:
            await self._journal.write(
                link_rows.record_link_standings, self._node, self.standings, days, turns, silent, now
            )
            self._days = {at: each for at, each in self._days.items() if each != days.get(at)}
            del self._turns[: len(turns)]
            await self.write_past_days()
        except Unready as unready:
            log.warning("links-not-written", error=str(unready))

    async def write_past_days(self) -> bool:
        """Write the message of each day that is over, with what all nodes have stored of it. Return whether there was
        one. A month is closed only after this; it does not matter whether this node probes links. Raises Unready.
        """
        written, late = await self._journal.write(link_days.write_link_days, self.live.province, self._now())
        if written:
            log.info("link-days-written", days=written)
        if late:
            log.warning("link-days-late", days=late)
        return bool(written)


def _report_broken_probe(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.error("links-round-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
