"""What a hub can carry: `./dev bench capacity [--measure | --record]`. Prints the tables of docs/explanation/capacity.md, and writes them there.

Without an option it reckons with the costs that were measured last (costs.toml), in a second. `--measure` measures them anew, in about two
minutes, and writes both files. `--record` writes the page alone, after a change by hand.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence

from tests.bench.capacity import costs, sizing
from tests.bench.capacity.costs import Costs
from tests.bench.parts import Missing
from tests.bench.record import replace_between
from tests.bench.rounds import Misbehaved
from tests.conftest import ROOT

PAGE = ROOT / "docs/explanation/capacity.md"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a table of Markdown between empty lines."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return ["", *lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]


def _round(value: float) -> str:
    """Return *value* with two digits that count, or whole where it has more."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _share(value: float) -> str:
    return f"{value:.0%}".replace("%", " %") if value >= 0.01 or not value else "< 1 %"


def _size(octets: float) -> str:
    for unit in ("KB", "MB", "GB", "TB"):
        octets /= 1000
        if octets < 1000:
            return f"{_round(octets)} {unit}"
    return f"{_round(octets / 1000)} PB"


def write_costs(found: Costs) -> list[str]:
    """Return what one message costs."""
    rows = (
        (
            "a message of 4 KB, one process: the reactor's thread",
            found.reactor,
            "parse, verify, judge, sign, HTTP, TLS",
        ),
        ("the same: the journal's writer", found.writer, "its rows, in a commit of many"),
        ("a wake of the reactor's thread, when it was idle", found.wake, "two with one connection; few under load"),
        ("a commit by itself, beside its messages", found.fixed, "on the writer's thread"),
        ("a commit on the disk", found.sync, "no CPU: `fdatasync` of the calibration"),
        ("a message with `workers = 2`: the worker", found.worker, "as the first row, without the hub's own process"),
        ("the same: the hub's own process", found.holder, "takes the message over, gives the result back"),
        ("the same: the journal's writer", found.holder_writer, "its rows"),
        ("after the last answer", found.later, "events chained, caches cleared: on no message's way"),
        ("to deliver one and count it", found.delivery, "a push over kept mutual TLS, the answer read, the settlement"),
        ("each MiB of a packet", found.mib, "1 MB packets, 4 connections"),
    )
    lines = _table(("what", "µs", "of it"), ((what, f"{cost:,.0f}", why) for what, cost, why in rows))
    return ["", f"Measured on {found.day}, commit `{found.commit}`: {found.machine}. {found.calibration}.", *lines]


def write_comparison(found: Costs) -> list[str]:
    """Return each measured round beside its simulation."""
    rows = []
    for each in (sizing.compare_round(found, measured) for measured in found.rounds):
        was, now = each.measured, each.simulated
        rates = (_round(was.rate), _round(now.rate), f"{each.rate - 1:+.0%}".replace("%", " %"))
        medians = (_round(was.p50), _round(now.p50), f"{each.p50 - 1:+.0%}".replace("%", " %"))
        rows.append((was.connections, f"{was.stretch:.1f}", *rates, *medians, _round(was.p99), _round(now.p99)))
    head = ("connections", "stretch", "msg/s measured", "simulated", "off by", "p50 ms measured", "simulated", "off by")
    return _table((*head, "p99 ms measured", "simulated"), rows)


def write_limits(found: Costs) -> list[str]:
    """Return how far one hub goes with more cores, and what is busiest then."""
    rows = []
    for node, outcome in sizing.find_limits(found):
        shares = (outcome.cores, outcome.serving, max(outcome.own, outcome.interpreter), outcome.writer, outcome.disk)
        ends = (_round(outcome.rate), _round(outcome.p50), _round(outcome.p99), f"{outcome.batch:.0f}")
        rows.append((node.workers, node.cores, *ends, *map(_share, shares), outcome.name_limit()))
    head = ("workers", "cores", "msg/s", "p50 ms", "p99 ms", "steps in a commit")
    return _table((*head, "cores", "busiest server", "hub's own process", "writer", "disk", "first limit"), rows)


def write_places(found: Costs) -> list[str]:
    """Return what each place needs."""
    rows = []
    for place in sizing.PLACES:
        need = sizing.find_need(found, place)
        traffic = (place.name, f"{place.messages:,.0f}", f"{place.day:,.0f}", _round(place.peak))
        hub = (f"{need.hubs:,}", need.workers, need.cores, f"{need.hubs * need.cores:,}")
        rows.append((*traffic, *hub, _share(need.outcome.cores), _round(need.outcome.p50), _round(need.outcome.p99)))
    head = ("place", "messages a year", "a day", "a second at the peak", "hubs", "workers of each", "cores of each")
    return _table((*head, "cores in all", "cores used at the peak", "p50 ms", "p99 ms"), rows)


def write_room(found: Costs) -> list[str]:
    """Return what the journal takes of the disk, and messages of the line."""
    small = found.message_octets + found.content_octets
    rows = (
        ("rows and indexes of a message, its delivery and its events", f"{found.message_octets:,.0f}"),
        (f"its content, a packet of {found.packet_octets:,.0f}", f"{found.content_octets:,.0f}"),
        ("more for a delivery by push: attempt, answer, fact, events", f"{found.delivered_octets:,.0f}"),
        ("a small message in all, delivered once", f"{small + found.delivered_octets:,.0f}"),
        ("stays of it for good when it has gone into an archive file", f"{found.kept_octets:,.0f}"),
        ("its call and its answer on the line", f"{found.line_octets:,.0f}"),
    )
    lines = _table(("what", "octets"), rows)
    places = []
    for place in sizing.PLACES:
        octets, line = sizing.count_octets(found, place), place.peak * sizing.count_line(found, place) * 8 / 1e6
        small_part = 1 - place.documents * sizing.DOCUMENT / octets
        hours = octets / sizing.COPIED / 3600
        places.append((place.name, _size(octets), _share(small_part), _round(hours), f"{_round(line)} Mbit/s"))
    head = ("place", "journal grows a year", "of it rows and small packets", "hours to copy a year", "line at the peak")
    return [*lines[:-1], *_table(head, places)]


#: Years of a journal, and how many of the last ones are whole in it: 24 months and what is not archived yet.
YEARS, WHOLE = 10, 3


def write_kept(found: Costs) -> list[str]:
    """Return how large the journal is after years, with and without letting go."""
    rows = []
    for place in sizing.PLACES:
        grows, stays = sizing.count_octets(found, place), sizing.count_kept(found, place)
        after = (YEARS * grows, sizing.count_journal(found, place, YEARS, WHOLE), (YEARS - WHOLE) * (grows - stays))
        rows.append((place.name, _size(grows), _size(stays), *map(_size, after)))
    head = ("place", "journal grows a year", "of it stays for good", f"after {YEARS} years, nothing let go")
    return _table((*head, f"after {YEARS} years, {WHOLE} of them whole", "went into archive files, uncompressed"), rows)


def write_division(found: Costs) -> list[str]:
    """Return what a hub for each province takes."""
    rows = []
    for place in sizing.PLACES[1:]:
        each = sizing.divide(found, place)
        taken = (_round(each.mean), _round(each.largest), _round(each.crossing), _round(each.most))
        rows.append(
            (
                place.name,
                *taken,
                each.hubs,
                _size(sizing.count_octets(found, place) * (1 + place.outside) / sizing.PROVINCES),
            )
        )
    head = ("traffic", "a second, mean province", "largest province", "taken in twice", "a hub takes")
    return _table((*head, "hubs of the largest", "journal a year, mean province"), rows)


BLOCKS = {
    "costs": write_costs,
    "compared": write_comparison,
    "limits": write_limits,
    "places": write_places,
    "room": write_room,
    "kept": write_kept,
    "division": write_division,
}


def write_page(text: str, found: Costs) -> str:
    """Return the page *text* with the tables of *found* between their marks. Raises ValueError without a mark."""
    for name, write in BLOCKS.items():
        text = replace_between(text, name, write(found))
    return text


def show(arguments: Sequence[str]) -> None:
    """Print the tables, and keep what the options ask for."""
    parser = argparse.ArgumentParser(prog="./dev bench capacity", description=__doc__)
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--measure", action="store_true", help="measure the costs anew, and write them and the page")
    kept.add_argument("--record", action="store_true", help="write the page with the kept costs")
    options = parser.parse_args(arguments)
    try:
        found = costs.renew_costs() if options.measure else costs.read_costs()
    except (Missing, Misbehaved) as error:
        sys.exit(f"the costs were not measured: {error}")
    for write in BLOCKS.values():
        print("\n".join(write(found)))
    if options.measure or options.record:
        PAGE.write_text(write_page(PAGE.read_text("utf-8"), found), "utf-8")
