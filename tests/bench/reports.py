"""What a large report takes, and what it takes from the exchange: `./dev bench --report [--facts 450000] [DB=postgresql]`.

One unit has so many facts of documents, and as many of dossiers, all of one month, written straight into the tables.  Each report is read in
a process of its own, as the hub does it (hub/store/report_worker.py): its seconds, its CPU and by how much its memory grew are those of that process.
The ratio is to the time that as many RSA-2048 signatures as a hundredth of the facts take in the same process: it says what the figures
would be on another machine.
"""

import gc
import itertools
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.journal.searching import message_reading
from hub.language.languages import Language
from hub.report.counting.dates import find_day_begin
from hub.report.form.period import parse_period
from hub.report.output import formats
from hub.store import transactions
from hub.store.tables import fact, write_instant
from hub.workload import facts_behind, unit_report
from hub.workload.report_sources import ReportSources
from lienthong_demo.run import postgres
from tests.bench import closing

UNIT, PERIOD = "H55.13", "2026-10"
NOW = datetime(2026, 11, 5, tzinfo=UTC)
COLUMNS = [column.name for column in fact.c]
FORMS = {"edoc": "documents", "ii06a": "dossiers"}
Row = tuple[object, ...]


def made(unit: str, service: str, facts: int, period: str = PERIOD, seed: int = 1) -> list[Row]:
    """Return about *facts* rows of the table `fact`: what *unit* received in *period*, and what became of it, in the order of time."""
    chance, month, rows = random.Random(seed).random, parse_period(period), list[Row]()

    def add(key: str, milestone: str, days: float, **rest: object) -> None:
        at = write_instant(find_day_begin(month.first) + timedelta(days=days, seconds=25_200))
        message = f"0192f0c1-{len(rows):04x}-7000-8000-{len(rows):012d}"[-36:]
        named: dict[str, object] = {
            "unit": unit, "service": service, "key": key, "milestone": milestone, "at": at, "message": message, "counterpart": "H55.14",
            "outside": False, "document_type": "", "paper": False, "signature": "valid", "due": None, "day": None, "amount": 1,
            "attributes": "{}",
        }  # fmt: skip
        rows.append(tuple((named | rest)[name] for name in COLUMNS))

    number = 0
    while len(rows) < facts:
        number += 1
        days = chance() * 25
        day = month.first + timedelta(days=int(days))
        if service == "documents":
            key = json.dumps(["H55.14", f"{number:010d}-van-ban-dien-tu"], separators=(",", ":"))
            add(key, "received", days, due=(day + timedelta(days=10)).isoformat() if chance() < 0.3 else None)
            for code in ("01", "03", "04", "06"):
                if chance() < 0.12:
                    break
                days += chance() * 3
                add(key, f"status-{code}", days)
        else:
            key = f"000.00.{unit}-26-{number:09d}"
            due = (day + timedelta(days=5)).isoformat()
            add(key, "received", days, due=due, day=day.isoformat(), attributes='{"channel":"online"}')
            if chance() < 0.97:
                add(key, "finished", days + 2, day=(day + timedelta(days=2)).isoformat())
                if chance() < 0.9:
                    add(key, "returned", days + 3, day=(day + timedelta(days=3)).isoformat())
    return sorted(rows, key=lambda row: cast("str", row[4]))


def make_province(messages: int, period: str = PERIOD, seed: int = 3) -> Iterator[Row]:
    """Yield the rows of the table `fact` of a province that exchanges *messages* documents in *period*, evenly, in the order of time: one that
    was sent and one that was received of each.
    """
    chance, units = random.Random(seed), [code for code, _ in closing.codes()]
    weights = [1 / (20 + rank) ** 0.8 for rank in range(len(units))]
    month = parse_period(period)
    step, until = (month.end - month.start - timedelta(seconds=2)) / messages, list(itertools.accumulate(weights))
    for number in range(messages):
        sender, receiver = chance.choices(units, cum_weights=until, k=2)
        at = month.start + number * step
        key = json.dumps([sender, f"{number:010d}-van-ban-dien-tu"], separators=(",", ":"))
        due = (at.date() + timedelta(days=10)).isoformat() if chance.random() < 0.3 else None
        outside, message = chance.random() < 0.1, f"0192f0c1-0000-7000-8000-{number:012d}"
        rest = ("Công văn", False, "valid", due, None, 1, "{}")
        yield (sender, "documents", key, "sent", write_instant(at), message, receiver, outside, *rest)
        yield (receiver, "documents", key, "received", write_instant(at), message, sender, False, *rest)


def write(engine: sa.Engine, rows: Iterable[Row]) -> None:
    """Write *rows* into the table `fact`; the messages behind them are not made up."""
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    raw = engine.raw_connection()
    try:
        cursor = cast("Any", raw.cursor())
        if engine.dialect.name == "sqlite":
            cursor.execute("PRAGMA foreign_keys=OFF")
            indexes = cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'fact' AND sql LIKE 'CREATE INDEX%'"
            ).fetchall()
            cursor.execute("BEGIN IMMEDIATE")
            for name, _ in indexes:
                cursor.execute(f"DROP INDEX {name}")
            cursor.executemany(f"INSERT INTO fact ({names}) VALUES ({', '.join('?' for _ in COLUMNS)})", rows)
            for _, made_by in indexes:
                cursor.execute(made_by)  # faster than keeping them up with each row
            cursor.execute("COMMIT")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("PRAGMA foreign_keys=ON")
        else:
            cursor.execute("SET session_replication_role = replica")
            with cursor.copy(f"COPY fact ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute("SET session_replication_role = DEFAULT")
            raw.commit()
            cast("Any", raw.driver_connection).autocommit = True
            cursor.execute("ANALYZE fact")
            cast("Any", raw.driver_connection).autocommit = False
    finally:
        raw.close()


def _numbers(_tx: transactions.Transaction, asked: ReportSources) -> object:
    return asked.count(NOW).total


def _sealed(_tx: transactions.Transaction, asked: ReportSources) -> object:
    with asked.open_evidence(NOW) as gathered:
        return gathered.listing.summary


def _explained(_tx: transactions.Transaction, asked: ReportSources) -> object:
    column = "received" if asked.form.id == "edoc" else "settled"
    with asked.open_facts_behind(column, NOW) as behind:
        return len(behind), next(behind.facts())


def _listed(_tx: transactions.Transaction, asked: ReportSources) -> object:
    with asked.open_evidence(NOW) as gathered:
        return sum(1 for _ in gathered.listing)


def _page(column: str) -> Callable[[transactions.Transaction, ReportSources], object]:
    """What a page of the console reads of the facts behind *column*."""

    def read(_tx: transactions.Transaction, asked: ReportSources) -> object:
        assert facts_behind.counts_many_facts(asked, facts_behind.LARGE)
        return facts_behind.read_facts_page(asked, column, NOW, None, 100, 0.5)

    return read


def _file(kind: str) -> Callable[[transactions.Transaction, ReportSources], object]:
    def write_file(tx: transactions.Transaction, asked: ReportSources) -> object:
        with facts_behind.open_evidence_to_list(asked, NOW) as found:
            lines = message_reading.NamedLines(tx, found.lines)
            return len(formats.write_report(kind, found.report, asked.names, lines, Language.VI, None))

    return write_file


#: What is measured: as the page of the console, GetWorkloadReport, `--explain` and the page behind a number, `--facts`, and files.
WAYS: dict[str, Callable[[transactions.Transaction, ReportSources], object]] = {
    "numbers": _numbers,
    "sealed": _sealed,
    "explain": _explained,
    "facts": _listed,
    "xlsx": _file("xlsx"),
    "pdf": _file("pdf"),
}


#: What grows with a province: the first page behind a flow, one that needs the history of each key, a stock, and a column that counts nothing.
GROWING: dict[str, Callable[[transactions.Transaction, ReportSources], object]] = {
    "page received": _page("received"),
    "page acknowledged_in_time": _page("acknowledged_in_time"),
    "page overdue": _page("overdue"),
    "page failed": _page("failed"),
    "xlsx": _file("xlsx"),
}


def _peak() -> float:
    """Return the most memory that this program has had, in MiB; what rusage tells is that of the process it was forked from too."""
    (line,) = (each for each in Path("/proc/self/status").read_text("ascii").splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure_one(
    url: str, form: str, way: str, facts: int, done: "multiprocessing.Queue[dict[str, Any]]", unit: str = UNIT
) -> None:
    """Read one report of *unit*, and tell what it took."""
    gc.freeze()  # as the hub's own processes do
    gc.set_threshold(100_000)
    engine, key = transactions.open_journal(url, pooled=False), generate_private_key(65537, 2048)
    cpu = time.process_time()
    for _ in range(facts // 100):
        key.sign(b"x", PKCS1v15(), SHA256())
    signing, before = time.process_time() - cpu, _peak()
    cpu, begun = time.process_time(), time.perf_counter()
    with transactions.read_transaction(engine) as tx:
        (WAYS | GROWING)[way](tx, unit_report.resolve_report_sources(tx, unit, PERIOD, form))
    took = time.process_time() - cpu
    done.put(
        {
            "seconds": time.perf_counter() - begun,
            "cpu": took,
            "mib": _peak() - before,
            "ratio": took / signing if signing else 0.0,
        }
    )
    engine.dispose()


def measure(database: str, facts: int) -> Iterator[dict[str, Any]]:
    """Yield what each way of reading the large report takes."""
    with ExitStack() as around:
        place = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="reports-bench-")))
        server = around.enter_context(postgres.Server.open()) if database == "postgresql" else None
        url = server.url() if server else f"sqlite:///{place / 'hub.db'}"
        engine = transactions.open_journal(url, pooled=False)
        around.callback(engine.dispose)
        transactions.upgrade_schema(engine)
        with transactions.write_transaction(engine) as tx:
            unit_registry.write_registry_units(tx, [Unit("H55", "H55", None), Unit(UNIT, UNIT, "H55")])
        context = multiprocessing.get_context("spawn")
        for form, service in FORMS.items():
            write(engine, made(UNIT, service, facts))
            for way in WAYS:
                done: multiprocessing.Queue[dict[str, Any]] = context.Queue()
                work = context.Process(target=measure_one, args=(str(url), form, way, facts, done))
                work.start()
                found = done.get()
                work.join()
                yield {"database": database, "form": form, "way": way, "facts": facts, **found}


def measure_growth(database: str, messages: int, *, opened: bool = True) -> Iterator[dict[str, Any]]:
    """Yield what the facts behind the number of a province with *messages* in a month take, and its workbook: as long as the month is open (unless
    *opened* is false), then closed; and what closing it takes. Needs about 700 octets of disk for a message.
    """
    with ExitStack() as around:
        place = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="growth-bench-")))
        server = around.enter_context(postgres.Server.open()) if database == "postgresql" else None
        url = str(server.url() if server else f"sqlite:///{place / 'hub.db'}")
        engine = transactions.open_journal(url, pooled=False)
        around.callback(engine.dispose)
        transactions.upgrade_schema(engine)
        closing.write_units(engine)
        write(engine, make_province(messages))
        for state in ("open", "closed"):
            if state == "closed":
                yield {"database": database, "messages": messages, "way": "closing"} | _apart(
                    closing.close, url, PERIOD
                )
            for way in GROWING if state == "closed" or opened else ():
                found = _apart(measure_one, url, "edoc", way, 0, after=("H55",))
                yield {"database": database, "messages": messages, "month": state, "way": way, **found}


def _apart(work: Callable[..., None], *said: object, after: tuple[object, ...] = ()) -> dict[str, Any]:
    """Return what *work* told, done in a process of its own, so that its CPU and memory are its own."""
    context = multiprocessing.get_context("spawn")
    done: multiprocessing.Queue[dict[str, Any]] = context.Queue()
    process = context.Process(target=work, args=(*said, done, *after))
    process.start()
    found = done.get()
    process.join()
    return found


def show_growth(messages: int, databases: list[str], *, as_json: bool, opened: bool = True) -> None:
    """Measure and print what grows with a province."""
    for database in databases:
        for row in measure_growth(database, messages, opened=opened):
            if as_json:
                print(json.dumps(row), flush=True)
            elif row["way"] == "closing":
                print(
                    f"{database:10} {messages:>9,} messages  closing  {row['cpu']:.1f} s CPU, {row['writes']} writes, the longest "
                    f"{row['longest_write_cpu'] * 1e3:.0f} ms CPU  {row['mib']:.0f} MiB",
                    flush=True,
                )
            else:
                print(
                    f"{database:10} {messages:>9,} messages  {row['month']:6} {row['way']:26} {row['seconds']:6.2f} s ({row['cpu']:6.2f} s CPU)"
                    f"  +{row['mib']:4.0f} MiB",
                    flush=True,
                )


def show(facts: int, databases: list[str], *, as_json: bool) -> None:
    """Measure and print."""
    for database in databases:
        for row in measure(database, facts):
            if as_json:
                print(json.dumps(row), flush=True)
            else:
                print(
                    f"{row['database']:10} {row['form']:6} {row['way']:8} {row['facts']:>9,} facts  {row['seconds']:6.1f} s"
                    f" ({row['cpu']:5.1f} s CPU)  +{row['mib']:4.0f} MiB   {row['ratio']:.1f} × {facts // 100:,} signatures",
                    flush=True,
                )
