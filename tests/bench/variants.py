"""Measures what changes around a message: its size to 20 MB and MTOM, senders, TLS, and the database under the hub. Knows no bars."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import tomlkit

from hub.security.sample_pki import KeyType
from lienthong_demo.run import postgres
from tests import mtom
from tests.bench import calls, intake, processes, rounds, servers
from tests.bench.limit import Limit
from tests.bench.rounds import Misbehaved, Series
from tests.bench.run import FLASK, HUB, JDK, WSS4J, Run, running
from tests.bench.servers import HubServer, Nodes, Server

HUGE = 20 * 2**20
MTOM, NEW, ONE_NODE, TWO_NODES = "hub, MTOM", "hub, a connection each message", "hub, one node", "hub, two nodes"
SENDERS = 500


def measure_huge(run: Run, limit: Limit | None) -> None:
    """Measure packets of 20 MB, one at a time, on servers that have just been started."""
    hub = HubServer(HUB, run.place / "hub-huge")
    place = run.place / "peers-huge"
    place.mkdir()
    ca = hub.tls["ca"]
    makers: Sequence[tuple[str, Callable[[], Server]]] = (
        (HUB, lambda: hub),
        (MTOM, lambda: HubServer(MTOM, run.place / "hub-mtom", pki=hub)),
        (FLASK, lambda: servers.make_flask(FLASK, place, ca)),
        (WSS4J, lambda: servers.make_java(WSS4J, "Wss4j", place, ca)),
        (JDK, lambda: servers.make_java(JDK, "Dsig", place, ca)),
    )
    series: dict[str, Series] = {}
    costs = []
    with running(run, makers) as found:
        idle = {}
        for server in found:
            file = run.write_calls(60, 4096, [hub.sender])
            if rounds.send(run.load, server, file, count=60, connections=4).accepted != 60:
                raise Misbehaved(f"{server.name}: refused small calls")
            processes.wait_until_idle(server.roots)
            idle[server.name] = processes.read_tree_memory(server.roots)
            series[server.name] = Series(server.name)
        for _ in range(run.plan.fewer):
            (call,) = calls.sign_calls(f"huge{run.count_file()}", 1, HUGE, [hub.sender])
            inline, packed, body = run.place / "inline.calls", run.place / "mtom.calls", mtom.Body()
            calls.write_calls(inline, [call])
            calls.write_calls(packed, [body.written(*mtom.optimised(call))])
            if limit is not None:
                costs.append(Limit(limit.program, ca).measure(inline))
            for server in found:
                more = {"type": body.content_type} if server.name == MTOM else {}
                file = packed if server.name == MTOM else inline
                series[server.name].rounds.append(
                    rounds.measure_round(run.load, server, file, 1, 1, kept=False, idle=idle[server.name], **more)
                )
    run.series["20m"] = series
    intake.show_section(run, "20m", "20 MB packets, one at a time, inline but where it says MTOM", costs)
    for name, each in series.items():
        least, most = each.spread("grown")
        run.say(f"  {name:40} {each.median('grown'):8.0f} MiB above idle ({least:.0f} to {most:.0f})")
    run.note("20m:flask", run.find_ratio("20m", "cpu", HUB, FLASK))
    run.note("20m:inline", series[HUB].median("grown"))
    run.note("20m:mtom", series[MTOM].median("grown"))


def measure_senders(run: Run) -> None:
    """Measure calls that 500 certificates have signed, over connections that show 64 of them."""
    hub = HubServer(HUB, run.place / "hub-senders")
    place = run.place / "peers-senders"
    place.mkdir()
    folder = hub.hub.home / "pki/partners"
    senders = [(folder / f"s{number}.key", folder / f"s{number}.crt") for number in range(SENDERS)]
    for number, files in enumerate(senders):
        calls.issue(hub.hub, files, f"s{number}", KeyType.EC_P256)
    path = hub.hub.home / "partners/sotttt.toml"
    text = tomlkit.parse(path.read_text())
    text["certificates"] = [f"pki/partners/{files[1].name}" for files in senders]
    path.write_text(tomlkit.dumps(text))
    hub.tls = {"ca": hub.tls["ca"], "key": folder / "s%.key", "certificate": folder / "s%.crt"}
    makers = ((HUB, lambda: hub), (FLASK, lambda: servers.make_flask(FLASK, place, hub.tls["ca"])))
    with running(run, makers) as found:
        intake.measure_intake(run, "senders", found, senders, times=run.plan.fewer, busy=run.plan.busy / 2)
    intake.show_section(run, "senders", f"4 KB packets, 64 connections, {SENDERS} senders' certificates, ECDSA")


def measure_tls(run: Run) -> None:
    """Measure peers over mutual TLS too, and the hub with a new connection for each message."""
    hub = HubServer(NEW, run.place / "hub-tls")
    place = run.place / "peers-tls"
    place.mkdir()
    ca = hub.tls["ca"]
    kept = ((JDK, lambda: servers.make_java(JDK, "Dsig", place, ca, hub)),)
    new = ((NEW, lambda: hub), (FLASK, lambda: servers.make_flask(FLASK, place, ca, hub)))
    times, busy = run.plan.fewer, run.plan.busy / 2
    with running(run, kept) as found:
        intake.measure_intake(run, "tls", found, [hub.sender], times=times, busy=busy)
    with running(run, new) as found:
        intake.measure_intake(run, "new", found, [hub.sender], times=times, busy=busy, kept=False, new=1)
    run.series["tls"] |= run.series["new"]
    intake.show_section(
        run,
        "tls",
        "4 KB packets, 64 connections, peers over mutual TLS; of Flask's sync workers each message has a connection",
    )
    for name, section in ((JDK, "4k"), (FLASK, "4k")):
        if name in run.series["tls"] and name in run.series.get(section, {}):
            more = run.series["tls"][name].median("cpu") - run.series[section][name].median("cpu")
            run.say(f"  {name:40} {more:8.0f} us of CPU more a message than over plain HTTP")
    if HUB in run.series.get("4k", {}):
        more = run.series["tls"][NEW].median("cpu") - run.series["4k"][HUB].median("cpu")
        run.say(f"  {NEW:40} {more:8.0f} us of CPU more a message than over kept connections")


def measure_postgresql(run: Run) -> None:
    """Measure one node and two on PostgreSQL, each with a database of its own on one server, whose CPU counts."""
    with ExitStack() as around:
        try:
            server = around.enter_context(postgres.Server.open())
        except postgres.Absent as absent:
            run.absent["PostgreSQL"] = str(absent)
            return
        one = HubServer(ONE_NODE, run.place / "hub-pg", database=server.make("one"))
        first = HubServer("first", run.place / "hub-pg1", database=server.make("two"), pki=one)
        second = HubServer("second", run.place / "hub-pg2", beside=first)
        assert server._process is not None
        for each in (one, first, second):
            each.count_also(server._process.pid)
        makers: Sequence[tuple[str, Callable[[], Server]]] = (
            (ONE_NODE, lambda: one),
            (TWO_NODES, lambda: Nodes(TWO_NODES, [first, second])),
        )
        with running(run, makers) as found:
            intake.measure_intake(run, "postgresql", found, [one.sender], times=run.plan.fewer)
    intake.show_section(
        run, "postgresql", "4 KB packets, 64 connections, PostgreSQL; CPU and memory with the database's"
    )
    run.note("nodes", run.find_ratio("postgresql", "cpu", TWO_NODES, ONE_NODE))
