"""The hub beside its alternatives, in one run: `./dev bench [--rounds 5] [--seconds 3] [--short]`; with GROWTH=1 the growth rows too.

The same signed calls go to a complete hub over mutual TLS, to the servers that a user would write instead, and through the bare checks in C,
in interleaved rounds: medians, their spread, and the ratios of this run.  Absolute figures are this machine's alone; the calibration row says
how fast it is.  Every run sees that a changed body is refused by all, that each has as many rows as it gave receipts, and that a sample of
the hub's answers is signed by the hub.  `./dev bench --setup` installs the optional parts; a part that is not here is a row that says so.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hub.security.sample_pki import KeyType
from tests.bench import (
    bars,
    calibration,
    delivering,
    glance,
    growth,
    intake,
    numbers,
    parts,
    profiling,
    record,
    servers,
    variants,
)
from tests.bench.limit import Limit, judge_in_python
from tests.bench.rounds import Misbehaved
from tests.bench.run import FLASK, HUB, JDK, LIMIT, NODE, WORKERS, WSS4J, Plan, Run, pick, running
from tests.bench.servers import HubServer, Server

Makers = list[tuple[str, Callable[[], Server]]]


def show_calibration(run: Run) -> calibration.Calibration:
    """Measure and print the calibration row, and return it."""
    found = calibration.calibrate(run.place)
    run.say(
        f"calibration: RSA-2048 signature {found.rsa_sign:.0f} us, ECDSA P-256 signature {found.ec_sign:.0f} us, SHA-256 of 1 MiB"
        f" {found.sha256:.0f} us of one core; fdatasync of 4 KiB {found.sync:.2f} ms; load {found.load:.1f}"
    )
    return found


def measure(run: Run) -> None:
    """Measure and print."""
    run.say(f"{calibration.describe_machine()}; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    run.calibrated = show_calibration(run).describe()
    hub = HubServer(HUB, run.place / "hub")
    limit = find_limit(run, hub)
    measure_small(run, hub, limit)
    measure_rsa(run)
    if not run.plan.short:
        measure_more(run, limit)
    run.say("\nWhat it must reach")
    for line in bars.describe_bars(run.values):
        run.say(line)
    for name, why in run.absent.items():
        run.say(f"not here: {name}: {why}")
    show_calibration(run)


def measure_more(run: Run, limit: Limit | None) -> None:
    """Measure what the short form leaves out."""
    variants.measure_huge(run, limit)
    variants.measure_tls(run)
    variants.measure_senders(run)
    hub = HubServer(HUB, run.place / "hub-delivers")
    with running(run, [(HUB, lambda: hub)]):
        delivering.measure_delivery(run, hub)
    intake.show_section(run, "delivery", "4 KB packets, 64 connections, to a partner that answers at once")
    variants.measure_postgresql(run)
    numbers.measure_numbers(run)
    if run.plan.growth:
        growth.measure_growth(run)
        glance.measure_growth(run)
    else:
        run.say(
            f"\nGROWTH=1 measures journals of {growth.LARGE:,} messages too; it takes some {growth.DISK:.0f} GiB of disk"
        )


def find_limit(run: Run, hub: HubServer) -> Limit | None:
    """Return the C limit; None where it cannot be compiled."""
    try:
        return Limit.compiled(run.place, hub.tls["ca"])
    except parts.Missing as missing:
        run.absent[LIMIT] = str(missing)
        return None


def list_peers(run: Run, ca: Path, name: str) -> Makers:
    """Return how to make each peer, in a folder *name* of its own."""
    place = run.place / name
    place.mkdir()
    flask: Makers = [(FLASK, lambda: servers.make_flask(FLASK, place, ca))]
    if run.plan.short:
        return flask
    return [
        *flask,
        (WSS4J, lambda: servers.make_java(WSS4J, "Wss4j", place, ca)),
        (JDK, lambda: servers.make_java(JDK, "Dsig", place, ca)),
        (NODE, lambda: servers.make_node(NODE, place, ca)),
    ]


def measure_small(run: Run, hub: HubServer, limit: Limit | None) -> None:
    """Measure 4 KB at 64, 16 and 1 connections, and 64 KB and 1 MB."""
    plan, sender = run.plan, [hub.sender]
    makers: Makers = [(HUB, lambda: hub)]
    if not plan.short:
        makers.append((WORKERS, lambda: HubServer(WORKERS, run.place / "hub-workers", pki=hub, workers=2)))
    makers += list_peers(run, hub.tls["ca"], "peers")
    with running(run, makers) as found:
        intake.see_refusals(run, found, hub.sender, limit)
        costs = run.limit_costs = intake.measure_intake(run, "4k", found, sender, limit=limit)
        intake.show_section(
            run,
            "4k",
            "4 KB packets, 64 connections, SQLite, ECDSA; the hub over kept mutual TLS, peers over plain HTTP",
            costs,
        )
        file = run.write_calls(500, 4096, sender)
        bare = judge_in_python(file, hub.tls["ca"], count=500)
        if bare["refused"]:
            raise Misbehaved(f"the checks in Python refused {bare['refused']:.0f} of 500 calls")
        intake.show_limit(run, "the same in Python, lxml and cryptography", [bare["cpu"] / bare["judged"] * 1e6])
        if limit is not None:
            with_signatures = limit.measure(file, key=hub.hub_files[0])
            intake.show_limit(run, "the same with the hub's two signatures", [with_signatures])
            run.note("cpu:limit", run.series["4k"][HUB].median("cpu") / sorted(costs)[len(costs) // 2])
        note_small(run)
        if plan.short:
            return
        main = pick(found, HUB, WORKERS, FLASK, WSS4J, JDK)
        for connections in (16, 1):
            key = f"4k/{connections}"
            intake.measure_intake(
                run, key, main, sender, connections=connections, times=plan.fewer, busy=plan.busy / 2, again=True
            )
            intake.show_section(run, key, f"4 KB packets, {connections} connection{'s' if connections > 1 else ''}")
        for key, size, connections, name in (("64k", 65_536, 16, "64 KB"), ("1m", 2**20, 4, "1 MB")):
            intake.measure_intake(
                run,
                key,
                found,
                sender,
                size=size,
                connections=connections,
                times=plan.fewer,
                busy=plan.busy / 2,
                again=True,
            )
            intake.show_section(run, key, f"{name} packets, {connections} connections")
            best = max(run.find_ratio(key, "rate", each, FLASK) or 0 for each in (HUB, WORKERS))
            run.note(f"{key}:flask", best or None)


def note_small(run: Run) -> None:
    """Keep the ratios of the main row."""
    run.note("rate:flask", run.find_ratio("4k", "rate", HUB, FLASK))
    best = max(
        (HUB, WORKERS), key=lambda name: run.series["4k"][name].median("rate") if name in run.series["4k"] else 0
    )
    for key, theirs in (("best:flask", FLASK), ("best:wss4j", WSS4J), ("best:jdk", JDK)):
        run.note(key, run.find_ratio("4k", "rate", best, theirs))
    run.note("p99:jdk", run.find_ratio("4k", "p99", best, JDK))
    for name in (FLASK, WSS4J, JDK, NODE):
        if (ratio := run.find_ratio("4k", "cpu", HUB, name)) is not None:
            run.say(f"  CPU of a message, {HUB} : {name:40} {ratio:6.2f}")


def measure_rsa(run: Run) -> None:
    """Measure 4 KB with RSA keys of hub and sender."""
    hub = HubServer(HUB, run.place / "hub-rsa", KeyType.RSA)
    makers: Makers = [(HUB, lambda: hub)]
    if not run.plan.short:
        makers += [each for each in list_peers(run, hub.tls["ca"], "peers-rsa") if each[0] in {FLASK, JDK}]
    with running(run, makers) as found:
        intake.measure_intake(run, "rsa", found, [hub.sender], times=run.plan.fewer)
        intake.show_section(run, "rsa", "4 KB packets, 64 connections, RSA-2048 keys of hub and sender")


def show(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    parser.add_argument("--seconds", type=float, default=Plan().busy, help="that a server is busy in a round")
    parser.add_argument("--short", action="store_true", help="the hub, Flask and the C limit alone")
    parser.add_argument("--setup", action="store_true", help="install the optional parts, and measure nothing")
    parser.add_argument("--profile", action="store_true", help="where the CPU of one message goes, by package, instead")
    parser.add_argument("--at", metavar="COMMIT", help="with --profile: of that commit")
    parser.add_argument(
        "--record", action="store_true", help="keep the run in docs/explanation/performance.md and README.md"
    )
    options = parser.parse_args(arguments)
    if options.setup:
        parts.set_up(print)
        return
    plan = Plan(
        rounds=options.rounds, busy=options.seconds, short=options.short, growth=os.environ.get("GROWTH") == "1"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        place = Path(text)
        try:
            load = parts.compile_program("load", place, "libssl", "libcrypto")
        except parts.Missing as missing:
            sys.exit(f"the benchmark needs {missing}")
        printed: list[str] = []

        def say(line: str) -> None:
            printed.append(line)
            print(line, flush=True)

        run = Run(place, plan, load, say)
        if options.profile:
            profiling.show(run, max(options.seconds, 5.0), options.at)
            return
        measure(run)
        if options.record:
            record.keep_run(run, printed, run.calibrated, calibration.describe_machine())
