"""Measures what the capacity of a hub is reckoned from, in about a minute, and keeps it in costs.toml: CPU by thread, octets, the disk.

CPU of the reactor's thread and of the journal's writer is read from the kernel's scheduler, which also says how long a thread waited for a
core: so a machine that does other work beside is seen as one. Reckons nothing.
"""

import contextlib
import sqlite3
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import sqlalchemy as sa

from hub.store import transactions
from hub.store.tables import message
from tests import letting_go
from tests.bench import calibration, calls, delivering, intake, parts, processes, record, rounds
from tests.bench.rounds import Misbehaved
from tests.bench.run import HUB, WORKERS, Plan, Run, running
from tests.bench.servers import HubServer

KEPT = Path(__file__).parent / "costs.toml"
MIB = 2**20
#: Connections of the rounds whose latency is compared with the simulation's.
CONNECTIONS = (1, 4, 16, 64)


@attrs.frozen(kw_only=True)
class Round:
    """What one round of 4 KB packets gave, one process, connections kept."""

    connections: int
    rate: float  #: messages a second
    cpu: float  #: microseconds of CPU a message
    p50: float  #: milliseconds
    p99: float  #: milliseconds
    stretch: (
        float  #: seconds that the reactor's thread could run, for each second that it ran; 1: a core was always free
    )
    writer_stretch: float  #: the same of the other threads


@attrs.frozen(kw_only=True)
class Costs:
    """What one message costs on the machine that was measured; microseconds of CPU but where it says otherwise."""

    day: str
    commit: str
    machine: str
    calibration: str
    reactor: float  #: of the reactor's thread, one process, large batches: HTTP, TLS, parse, verify, judge, sign
    writer: float  #: of all other threads, one process, large batches: nearly all of it the journal's writer
    wake: float  #: what the reactor's thread adds whenever it was idle
    fixed: float  #: what a commit adds by itself, on the writer's thread
    sync: float  #: microseconds that the disk takes to sync a commit; no CPU
    worker: float  #: of the worker processes, with workers = 2
    holder: float  #: of the main thread of the process that has the journal, with workers = 2
    holder_writer: float  #: of its other threads, with workers = 2
    later: float  #: of all threads after the last answer of a round: events chained, caches cleared
    delivery: float  #: what a document adds that is pushed, delivered and counted too
    mib: float  #: what each MiB of a packet adds
    message_octets: (
        float  #: octets of the journal of a document of 4 KB that waits to be fetched, its packet's content left out
    )
    content_octets: float  #: octets of the journal for its content
    packet_octets: float  #: octets of that content
    delivered_octets: float  #: octets that a delivery by push adds, its attempt and its fact included
    kept_octets: float  #: octets that stay for good of such a delivered document when it has gone into an archive file
    line_octets: float  #: octets that a call and its answer take on the line, TLS left out
    rounds: Sequence[Round]


def read_costs(path: Path = KEPT) -> Costs:
    """Return what the last measurement kept."""
    text = tomllib.loads(path.read_text("utf-8"))
    return Costs(**(text | {"rounds": tuple(Round(**each) for each in text["rounds"])}))


def write_costs(costs: Costs, path: Path = KEPT) -> None:
    """Keep *costs*. The comments in the file say what each number is."""
    lines = [
        "# What the capacity of a hub is reckoned from. `./dev bench capacity --measure` writes this file anew, and the"
    ]
    lines += [
        "# tables of docs/explanation/capacity.md; after a change by hand, `./dev bench capacity --record` writes the tables."
    ]
    lines += [
        "# tests/bench/capacity/costs.py says what each number is; microseconds of CPU of a message but where it says otherwise."
    ]
    values = attrs.asdict(costs, recurse=False)
    rows = values.pop("rounds")
    lines += [f"{key} = {_write_value(value)}" for key, value in values.items()]
    for each in rows:
        lines += ["", "[[rounds]]", *(f"{key} = {_write_value(value)}" for key, value in attrs.asdict(each).items())]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _write_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if value < 10 else f"{value:.0f}"
    return str(value) if isinstance(value, int) else f'"{value}"'


@attrs.frozen
class Times:
    """Seconds of a process and its descendants so far."""

    main: float  #: that the first process's first thread ran
    others: float  #: that its other threads ran
    children: float  #: that all threads of its descendants ran
    main_waited: float  #: that the first thread could have run, and no core was free
    others_waited: float  #: the same of its other threads

    def since(self, before: "Times") -> "Times":
        """Return the difference."""
        return Times(*(now - then for now, then in zip(attrs.astuple(self), attrs.astuple(before), strict=True)))

    def divide(self, count: int) -> "Times":
        """Return it for one of *count*."""
        return Times(*(each / count for each in attrs.astuple(self)))


def read_times(pid: int) -> Times:
    """Return what the scheduler says about the threads of *pid* and of its descendants."""
    main = others = children = main_waited = others_waited = 0.0
    for process in processes.find_tree(pid):
        for place in Path(f"/proc/{process}/task").glob("*"):
            with contextlib.suppress(OSError):
                ran, wait, _ = map(int, (place / "schedstat").read_text().split())
                if process != pid:
                    children += ran / 1e9
                elif int(place.name) == pid:
                    main, main_waited = main + ran / 1e9, main_waited + wait / 1e9
                else:
                    others, others_waited = others + ran / 1e9, others_waited + wait / 1e9
    return Times(main, others, children, main_waited, others_waited)


@attrs.frozen
class _Found:
    """What a round gave; seconds of a message."""

    said: rounds.Sent
    count: int
    during: Times  #: until the last answer
    later: Times  #: after it, until the hub was idle

    @property
    def cpu(self) -> float:
        """Return microseconds of CPU of a message, all threads and processes, later ones included."""
        return sum(each.main + each.others + each.children for each in (self.during, self.later)) * 1e6

    def describe(self, connections: int) -> Round:
        """Return it as a row."""
        during = self.during
        return Round(
            connections=connections,
            rate=self.count / self.said.seconds,
            cpu=self.cpu,
            p50=self.said.p50,
            p99=self.said.p99,
            stretch=1 + during.main_waited / during.main,
            writer_stretch=1 + during.others_waited / during.others,
        )


def _measure_round(run: Run, hub: HubServer, count: int, connections: int, size: int = 4096) -> _Found:
    """Send *count* calls over open connections. Raises Misbehaved unless each is accepted and in the journal."""
    file, rows, pid, read = (
        run.write_calls(count + connections, size, [hub.sender]),
        hub.count_rows(),
        hub.hub.process.pid,
        list[Times](),
    )
    said = rounds.send(
        run.load, hub, file, count=count, connections=connections, opening=lambda: read.append(read_times(pid))
    )
    read.append(read_times(pid))
    processes.wait_until_idle(hub.roots)
    read.append(read_times(pid))
    file.unlink()
    if said.accepted != count or hub.count_rows() != rows + count + connections:
        raise Misbehaved(f"{said.accepted} of {count} accepted, {hub.count_rows() - rows} rows; {said.complaint}")
    before, ended, idle = read
    return _Found(said, count, ended.since(before).divide(count), idle.since(ended).divide(count))


def read_octets(path: Path) -> Mapping[str, int]:
    """Return the octets of each table of the SQLite file *path* with its indexes."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dict(
            connection.execute(
                "SELECT coalesce(s.tbl_name, d.name), sum(d.pgsize) FROM dbstat d LEFT JOIN sqlite_master s ON s.name = d.name GROUP BY 1"
            ).fetchall()
        )


def _measure_octets(path: Path, before: Mapping[str, int], count: int) -> tuple[float, float]:
    """Return how many octets of contents, and of all else, a message of *count* added."""
    now = read_octets(path)
    grown = {name: (now[name] - before.get(name, 0)) / count for name in now}
    contents = sum(each for name, each in grown.items() if name in CONTENTS)
    return contents, sum(grown.values()) - contents


def _measure_gone(path: Path) -> float:
    """Let everything go from the journal *path* that may; return how many octets more go with a message than its search
    index, which is made before, had added.
    """
    engine = transactions.open_journal(f"sqlite:///{path}", pooled=False)
    later = datetime.now(UTC) + timedelta(days=1000)
    with transactions.write_transaction(engine) as tx:
        for year in {datetime.now(UTC).year, later.year - 1}:
            letting_go.close_year(tx, year, later - timedelta(days=1))
        count = tx.scalar(sa.select(sa.func.count()).select_from(message)) or 1
    plain = _measure_file(path)
    letting_go.read_all_events(engine, later)
    indexed = _measure_file(path)
    gone = letting_go.let_go(engine, later)
    engine.dispose()
    if not gone:
        raise Misbehaved("nothing could go from the journal")
    return (indexed - _measure_file(path)) / len(gone) - (indexed - plain) / count


def _measure_file(path: Path) -> int:
    """Return the octets of the SQLite file *path* without free pages."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size


CONTENTS = ("content", "content_part")


def measure_costs(run: Run, scale: float = 1.0) -> Costs:
    """Measure. *scale*: how many messages, as a part of the usual number. Raises Missing and Misbehaved."""

    def many(count: int, least: int = 64) -> int:
        return max(least, int(count * scale))

    hub = HubServer(HUB, run.place / "hub")
    found: dict[int, _Found] = {}
    with running(run, [(HUB, lambda: hub)]):
        intake.warm_up(run, hub, [hub.sender], 4096, 64, many(400))
        path = hub.hub.home / "data/hub.db"
        for connections, count in zip(CONNECTIONS, (200, 400, 800, 3000), strict=True):
            found[connections] = _measure_round(run, hub, many(count), connections)
        before, octets = read_octets(path), many(2000)
        _measure_round(run, hub, octets, 64)
        content, rest = _measure_octets(path, before, octets + 64)
        large = _measure_round(run, hub, many(24, 8), 4, MIB)
        before = read_octets(path)
        with delivering.fast_partner(run, hub):
            whole = delivering.measure_whole(run, hub, many(2000), 64)
        _, pushed = _measure_octets(path, before, many(2000) + 64)
        (call,) = calls.sign_calls("line", 1, 4096, [hub.sender])
    gone = _measure_gone(path)
    shared = HubServer(WORKERS, run.place / "hub-workers", pki=hub, workers=2)
    with running(run, [(WORKERS, lambda: shared)]):
        intake.warm_up(run, shared, [hub.sender], 4096, 64, many(400))
        workers = _measure_round(run, shared, many(3000), 64).during
    alone, one, most = found[64], found[1].during, found[64].during
    made = calibration.calibrate(run.place)
    return Costs(
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=record.name_commit(),
        machine=calibration.describe_machine(),
        calibration=made.describe(),
        reactor=most.main * 1e6,
        writer=most.others * 1e6,
        wake=max(0.0, one.main - most.main) / 2 * 1e6,
        fixed=max(0.0, one.others - most.others) * 1e6,
        sync=made.sync * 1e3,
        worker=workers.children * 1e6,
        holder=workers.main * 1e6,
        holder_writer=workers.others * 1e6,
        later=sum((alone.later.main, alone.later.others, alone.later.children)) * 1e6,
        delivery=max(0.0, whole.cpu - alone.cpu),
        mib=max(0.0, large.cpu - alone.cpu),
        message_octets=rest,
        content_octets=content,
        packet_octets=4096.0,
        delivered_octets=max(0.0, pushed - rest),
        kept_octets=max(0.0, content + pushed - gone),
        line_octets=float(len(call)) + 5000.0,
        rounds=tuple(each.describe(connections) for connections, each in found.items()),
    )


def renew_costs(scale: float = 1.0) -> Costs:
    """Measure, and keep what was found. Raises Missing and Misbehaved."""
    with tempfile.TemporaryDirectory(prefix="bench-") as text:
        place = Path(text)
        costs = measure_costs(
            Run(place, Plan(), parts.compile_program("load", place, "libssl", "libcrypto"), print), scale
        )
    write_costs(costs)
    return read_costs()  # rounded, as the tests read them
