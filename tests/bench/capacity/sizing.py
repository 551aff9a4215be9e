"""Reckons from measured costs what a province, all provinces and the nation need: rates, hubs, cores, disk, lines. Measures nothing.

Every assumption about traffic stands here, in `Traffic`; every cost in costs.toml.
"""

import math
from collections.abc import Sequence

import attrs

from tests.bench.capacity.costs import Costs, Round
from tests.bench.capacity.simulation import Load, Node, Outcome, simulate

#: The part of the reactor's work on a message that comes after its commit.
AFTER = 0.2
#: The share of a core, a thread or a disk that is used in the busiest hour; the rest is for bursts, repetitions and a lost machine.
USED = 0.5
PROVINCES = 34
#: Octets of a document's packet with its files, and of a status or any other small message.
DOCUMENT, STATUS = 500_000, 4096
#: Statuses that come back for a document.
STATUSES = 3
MIB = 2**20
#: Octets a second that a backup is copied with.
COPIED = 200e6


@attrs.frozen(kw_only=True)
class Traffic:
    """What comes to one place, and how it is spread over the year."""

    name: str
    documents: float  #: a year
    others: float  #: small messages a year, statuses included
    days: int = 250  #: with traffic a year
    hour: float = 0.2  #: part of a day's messages that the busiest hour has
    month_end: float = 2.0  #: times as many on the busiest days of a month
    recipients: float = 1.25  #: deliveries of a message
    outside: float = 0.3  #: part of messages that leave the hub's province, where several hubs divide the traffic
    largest: float = 0.1  #: part of all messages that the largest province has

    @property
    def messages(self) -> float:
        """Messages a year."""
        return self.documents + self.others

    @property
    def large(self) -> float:
        """The part of messages that are documents with files."""
        return self.documents / self.messages

    @property
    def day(self) -> float:
        """Messages of an ordinary day."""
        return self.messages / self.days

    @property
    def peak(self) -> float:
        """Messages a second in the busiest hour of the busiest days."""
        return self.day * self.month_end * self.hour / 3600


#: Documents a year of a province of 989 units.
YEAR = 800_000
PROVINCE = Traffic(name="a province", documents=YEAR, others=YEAR * STATUSES)
COUNTRY = Traffic(name=f"all {PROVINCES} provinces", documents=PROVINCES * YEAR, others=PROVINCES * YEAR * STATUSES)
#: The day that is named is the busiest one already.
NATION = Traffic(name="100 million small messages a day", documents=0, others=100e6 * 365, days=365, month_end=1)
NATION_DOCUMENTS = Traffic(
    name="100 million a day, one in four a document", documents=25e6 * 365, others=75e6 * 365, days=365, month_end=1
)
PLACES = (PROVINCE, COUNTRY, NATION, NATION_DOCUMENTS)


def make_node(costs: Costs, *, workers: int = 1, cores: int = 2, traffic: Traffic | None = None) -> Node:
    """Return a node that costs what was measured. With *traffic*, some messages are large, and all are delivered."""
    serving, writer = (costs.worker, costs.holder_writer) if workers > 1 else (costs.reactor, costs.writer)
    node = Node(
        cores=cores,
        workers=workers,
        judge=serving * (1 - AFTER),
        answer=serving * AFTER,
        holder=costs.holder if workers > 1 else 0.0,
        fixed=costs.fixed,
        write=writer,
        wake=costs.wake,
        sync=costs.sync,
    )
    if traffic is None:
        return node
    delivery = costs.delivery * traffic.recipients
    share = costs.writer / (
        costs.writer + costs.reactor
    )  # a delivery's CPU is divided between the threads as an intake's
    return attrs.evolve(
        node,
        large=traffic.large,
        extra=costs.mib * DOCUMENT / MIB,
        delivery=delivery * (1 - share),
        settle=delivery * share,
    )


def find_load(costs: Costs, node: Node) -> float:
    """Return the seconds of CPU that a message costs, its delivery and its part of large messages included; no commit."""
    taken = node.judge + node.answer + node.holder + node.write + node.large * node.extra
    return (taken + node.delivery + node.settle + costs.later) / 1e6


def find_own_load(node: Node) -> float:
    """Return the seconds that a message takes of the interpreter of the hub's own process, which no further core makes faster."""
    own = node.holder + node.delivery + node.locked * (node.write + node.settle)
    return (own + (node.judge + node.answer + node.large * node.extra if node.workers == 1 else 0.0)) / 1e6


def find_most(node: Node, used: float = USED) -> float:
    """Return how many messages a second a hub takes while its own process and its writer are *used* no more than that.

    Cores are not looked at: there are as many as it needs.
    """
    writer = (node.write + node.settle) / 1e6
    return used / max(find_own_load(node), writer)


@attrs.frozen(kw_only=True)
class Need:
    """What a place needs."""

    traffic: Traffic
    hubs: int
    workers: int  #: of each hub
    cores: int  #: of each hub
    rate: float  #: messages a second of each hub in the busiest hour
    outcome: Outcome  #: of one hub at that rate
    octets: float  #: a year, of all journals
    line: float  #: Mbit/s in and out together in the busiest hour, of all hubs


def find_need(costs: Costs, traffic: Traffic, messages: int = 1000) -> Need:
    """Return what *traffic* needs, as if any hub could take any part of it; simulate one hub with *messages*."""
    alone = make_node(costs, traffic=traffic)
    if traffic.peak <= find_most(alone):
        hubs, node = 1, alone
    else:
        many = make_node(costs, workers=2, traffic=traffic)
        hubs = math.ceil(traffic.peak / find_most(many))
        node = many
    rate = traffic.peak / hubs
    cores = max(2, math.ceil(rate * find_load(costs, node) / USED))
    if node.workers > 1:
        serving = (node.judge + node.answer + node.large * node.extra) / 1e6
        node = attrs.evolve(node, workers=max(2, math.ceil(rate * serving / USED)))
    node, load = attrs.evolve(node, cores=cores), Load(rate=rate, messages=messages)
    while (outcome := simulate(node, load)).cores > USED:  # small commits, and threads that wake, cost more
        node = attrs.evolve(node, cores=node.cores + 1)
    return Need(
        traffic=traffic,
        hubs=hubs,
        workers=node.workers,
        cores=node.cores,
        rate=rate,
        outcome=outcome,
        octets=count_octets(costs, traffic),
        line=traffic.peak * count_line(costs, traffic) * 8 / 1e6,
    )


def count_octets(costs: Costs, traffic: Traffic) -> float:
    """Return the octets that the journals grow by in a year."""
    small = costs.message_octets + costs.content_octets + traffic.recipients * costs.delivered_octets
    return traffic.messages * small + traffic.documents * (DOCUMENT - STATUS)


def count_kept(costs: Costs, traffic: Traffic) -> float:
    """Return the octets of a year that stay in the journals for good after everything of it went into archive files.

    What was measured is a message with one delivery; a further delivery counts as if all of its rows stayed.
    """
    return traffic.messages * (costs.kept_octets + (traffic.recipients - 1) * costs.delivered_octets)


def count_journal(costs: Costs, traffic: Traffic, years: int, whole: float) -> float:
    """Return the octets of the journals after *years*, of which the last *whole* years have not gone yet."""
    return count_octets(costs, traffic) * whole + count_kept(costs, traffic) * (years - whole)


def count_line(costs: Costs, traffic: Traffic) -> float:
    """Return the octets of a message on the line: taken in once, and pushed to each recipient. A packet travels as base64."""
    once = costs.line_octets + traffic.large * (DOCUMENT - STATUS) * 4 / 3
    return once * (1 + traffic.recipients)


@attrs.frozen(kw_only=True)
class Division:
    """A country's traffic, divided by province."""

    traffic: Traffic
    crossing: float  #: messages a second that a second hub takes in too, in the busiest hour
    mean: float  #: messages a second of a province, its own and those that come from others
    largest: float  #: the same of the largest one
    most: float  #: messages a second that a hub takes, however many cores it has
    hubs: int  #: hubs of the largest province


def divide(costs: Costs, traffic: Traffic) -> Division:
    """Return what each province's hub takes where each has its own, and messages to another province pass through both."""
    taken = traffic.peak * (1 + traffic.outside)
    most = find_most(make_node(costs, workers=2, traffic=traffic))
    return Division(
        traffic=traffic,
        crossing=traffic.peak * traffic.outside,
        mean=taken / PROVINCES,
        largest=taken * traffic.largest,
        most=most,
        hubs=math.ceil(taken * traffic.largest / most),
    )


@attrs.frozen(kw_only=True)
class Comparison:
    """One measured round beside its simulation."""

    measured: Round
    simulated: Outcome

    @property
    def rate(self) -> float:
        """Return the simulated rate : the measured one."""
        return self.simulated.rate / self.measured.rate

    @property
    def p50(self) -> float:
        """Return the simulated median : the measured one."""
        return self.simulated.p50 / self.measured.p50


def compare_round(costs: Costs, measured: Round, messages: int = 1000) -> Comparison:
    """Simulate a measured round: so many callers that wait, and threads that wait for cores as long as they did."""
    node = make_node(costs, cores=4)  # the measured stretches have the waits for cores in them already
    node = attrs.evolve(node, stretch=measured.stretch, writer_stretch=measured.writer_stretch)
    return Comparison(
        measured=measured, simulated=simulate(node, Load(callers=measured.connections, messages=messages))
    )


def find_limits(costs: Costs, cores: Sequence[int] = (2, 4, 8, 16)) -> list[tuple[Node, Outcome]]:
    """Return nodes of so many *cores* with as many workers, and what they do with 128 callers that send 4 KB to be fetched."""
    nodes = [make_node(costs, cores=2), *(make_node(costs, workers=each, cores=each) for each in cores)]
    return [(node, simulate(node, Load(callers=128, messages=2000))) for node in nodes]
