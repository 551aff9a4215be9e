"""How long it takes to close a month beside a year of facts, and to open a closed report: `./dev bench --closing [--facts 10000000]`.

A year of made-up facts of 989 units is written straight into the tables (documents about 70 %, dossiers 25 %, mail 5 %; a few large units and
many small ones; statuses follow over weeks, some never; a few days are told late).  Then the twelve months are closed in turn, each in a
process of its own, so that its peak of memory is its own: on PostgreSQL the server's is not in it.
"""

import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock

import attrs
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from hub.report.counting.dates import find_day_begin
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.report.signed import sealed
from hub.security.attesting import AttestationTrust
from hub.security.certificates import Identity
from hub.store import transactions
from hub.store.tables import closed_row, fact, unit, write_instant
from hub.workload import attestations, closing, closing_plan, unit_report
from lienthong_demo.run import postgres
from tests import pki

UNITS = 989
HUB = pki.partner("hub")
YEAR = "2026"
COLUMNS = [column.name for column in fact.c]
Row = tuple[object, ...]


def codes() -> list[tuple[str, str | None]]:
    """Return the units, each with its parent: the province, 40 below it, the others below these."""
    found: list[tuple[str, str | None]] = [("H55", None)]
    found += [(f"H55.{number}", "H55") for number in range(1, 41)]
    found += [(f"H55.{1 + number % 40}.{1 + number // 40}", f"H55.{1 + number % 40}") for number in range(UNITS - 41)]
    return found


class _Story:
    """Makes up facts, day by day, in the order in which a hub would record them."""

    def __init__(self, facts: int, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self._units = [code for code, _ in codes()]
        weights = [1 / (20 + rank) ** 0.8 for rank in range(UNITS)]
        self._weights = [sum(weights[: rank + 1]) for rank in range(UNITS)]
        self._later: dict[date, list[Row]] = defaultdict(list)
        self._a_day = facts / 365
        self._number = 0

    def days(self) -> Iterator[list[Row]]:
        """Yield the rows of each day of the year, in order."""
        year = parse_period(YEAR)
        day = year.first
        while day <= year.last:
            self._work(day)
            yield sorted(self._later.pop(day, []), key=lambda row: cast("str", row[4]))
            day += timedelta(days=1)

    def _add(self, on: date, unit: str, service: str, key: str, milestone: str, **rest: Any) -> None:
        self._number += 1
        second = self._random.random() * 36_000 + 25_200
        at = write_instant(find_day_begin(on) + timedelta(seconds=second))
        own = rest.get("day")
        self._later[on].append(
            (
                unit, service, key, milestone, at, f"0192f0c1-{self._number:012d}-7000-800000000000"[:36], "H55.13", rest.get("outside", False),
                "Công văn" if service == "documents" else "", False, "valid", rest.get("due"), own, rest.get("amount", 1),
                rest.get("attributes", "{}"),
            )
        )  # fmt: skip

    def _work(self, day: date) -> None:
        chance, rough = self._random.random, int(self._a_day / 4.35)
        pairs = self._random.choices(self._units, cum_weights=self._weights, k=int(rough * 0.70) * 2)
        for sender, receiver in zip(pairs[::2], pairs[1::2], strict=True):
            key = json.dumps([sender, f"{self._number:010d}-van-ban-dien-tu"], separators=(",", ":"))
            due = (day + timedelta(days=10)).isoformat() if chance() < 0.3 else None
            self._add(day, sender, "documents", key, "sent", outside=chance() < 0.1, due=due)
            self._add(day, receiver, "documents", key, "received", due=due)
            after = day
            for code in ("01", "03", "04", "06"):
                if chance() < 0.12:
                    break
                after += timedelta(days=int(chance() * chance() * 20))
                self._add(after, receiver, "documents", key, f"status-{code}")
        for office in self._random.choices(self._units, cum_weights=self._weights, k=int(rough * 0.36)):
            key = f"000.00.{office}-26-{self._number:09d}"
            channel = self._random.choice(['{"channel":"online"}', '{"channel":"direct"}', '{"channel":"post"}'])
            due = (day + timedelta(days=15)).isoformat()
            self._dossier(day, office, key, "received", due=due, attributes=channel)
            if chance() < 0.97:
                done = day + timedelta(days=int(3 + chance() * 20))
                self._dossier(done, office, key, "finished")
                if chance() < 0.9:
                    self._dossier(done + timedelta(days=1), office, key, "returned")
        for box in self._random.sample(self._units, min(UNITS, int(self._a_day * 0.05 / 7) + 1)):
            for milestone in (
                "accounts-issued",
                "accounts-active",
                "sent-internal",
                "sent-external",
                "received-internal",
            ):
                self._add(day, box, "mail", f"{box}/{day}", milestone, day=day.isoformat(), amount=int(chance() * 90))

    def _dossier(self, day: date, office: str, key: str, milestone: str, **rest: Any) -> None:
        late = int(self._random.random() * 6) if self._random.random() < 0.05 else 0
        self._add(day + timedelta(days=late), office, "dossiers", key, milestone, day=day.isoformat(), **rest)


def write_units(engine: sa.Engine) -> None:
    """Write the units of the province."""
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.insert(unit), [{"code": code, "name": code, "parent": parent} for code, parent in codes()])


def fill(engine: sa.Engine, facts: int) -> int:
    """Write about *facts* facts, and the units; return how many."""
    write_units(engine)
    count, raw = 0, engine.raw_connection()
    try:
        cursor = cast("Any", raw.cursor())
        if engine.dialect.name == "sqlite":
            cursor.execute("PRAGMA foreign_keys=OFF")
            cursor.execute("PRAGMA synchronous=OFF")
            indexes = cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'fact' AND sql LIKE 'CREATE INDEX%'"
            ).fetchall()
            for name, _ in indexes:
                cursor.execute(f"DROP INDEX {name}")
            marks = ", ".join("?" for _ in COLUMNS)
            for rows in _Story(facts).days():
                cursor.execute("BEGIN")
                cursor.executemany(f"INSERT INTO fact ({', '.join(map(_quoted, COLUMNS))}) VALUES ({marks})", rows)
                cursor.execute("COMMIT")
                count += len(rows)
            for _, made in indexes:
                cursor.execute(made)  # faster than keeping them up with each row
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            cursor.execute("SET session_replication_role = replica")  # the messages behind the facts are not made up
            for rows in _Story(facts).days():
                with cursor.copy(f"COPY fact ({', '.join(map(_quoted, COLUMNS))}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
                count += len(rows)
            raw.commit()
            cast("Any", raw.driver_connection).autocommit = True
            cursor.execute("VACUUM ANALYZE")
    finally:
        raw.close()
    return count


def _quoted(name: str) -> str:
    return f'"{name}"'


def close(url: str, text: str, keys: tuple[Path, Path], done: "multiprocessing.Queue[dict[str, Any]]") -> None:
    """Close the month *text* of every form, in the steps in which the hub closes it.

    Reports the seconds of each form, the most memory, and of the writing steps their number, CPU seconds and the longest:
    that is how long intake waits for the closing.
    """
    engine, chosen = transactions.open_journal(url, pooled=False), read_shipped_book()
    took: dict[str, float] = {}
    signer = Identity.read(*keys)
    writing: list[float] = []
    rows = 0
    period = parse_period(text)
    now = closing_plan.find_earliest_closing_time(period)
    for name in sorted({form.id for form in chosen.forms if form.service}):
        begun = time.perf_counter()
        with transactions.write_transaction(engine) as tx:
            plan = closing.begin_closing(tx, chosen, name, period, now, "bench")
        assert plan is not None
        steps, found = closing.close_in_steps(plan, lambda: now, "bench", signer), None
        while True:
            try:
                step = steps.send(found)
            except StopIteration as end:
                rows += end.value.units
                break
            cpu = time.process_time()
            with (transactions.write_transaction if step.writes else transactions.read_transaction)(engine) as tx:
                found = step.run(tx, *step.arguments)
            if step.writes:
                writing.append(time.process_time() - cpu)
        took[name] = time.perf_counter() - begun
    with transactions.read_transaction(engine) as tx:
        these = sa.select(sa.func.sum(closed_row.c.facts)).where(closed_row.c.period == text)
        facts = int(tx.scalar(these) or 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    engine.dispose()
    writes = {"writes": len(writing), "writing_cpu": sum(writing), "longest_write_cpu": max(writing)}
    done.put({"cpu": time.process_time(), "rows": rows, "facts": facts, "took": took, "mib": peak, **writes})


def opened(engine: sa.Engine, code: str, period: str, form: str) -> float:
    """Return the milliseconds that the report takes, from the question to the numbers: the median of five."""
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        with transactions.read_transaction(engine) as tx:
            unit_report.resolve_report_sources(tx, code, period, form).count(datetime.now(UTC))
        took.append((time.perf_counter() - begun) * 1e3)
    return sorted(took)[2]


def compare_attested(engine: sa.Engine, rounds: int = 7) -> Iterator[dict[str, Any]]:
    """Yield what it costs that what is closed is compared with what is attested: the sealing of December for every unit, as a
    ratio of paired rounds (the median, the least and the most), and the page of the province, in milliseconds more of a pair
    (the median, and the bounds between which it lies with 95 in 100).

    Each unit, and each page, is done with and without the comparison one after the other, so that a machine whose speed
    changes within seconds changes both.
    """
    certificate = HUB.certificate.public_bytes(Encoding.DER)
    book = attrs.evolve(read_shipped_book(), trust=AttestationTrust(certificate))
    now = datetime.now(UTC)

    def seal(code: str) -> None:
        with transactions.read_transaction(engine) as tx:
            asked = unit_report.resolve_report_sources(tx, code, "2026-12", "dossiers", book)
            sealed.seal_report(asked.count(now), asked.names, (), HUB, 1)

    def show_page(code: str) -> None:
        with transactions.read_transaction(engine) as tx:
            unit_report.resolve_report_sources(tx, code, "2026-12", "dossiers", book).count(now)

    for name, work, asked in (("sealing", seal, [code for code, _ in codes()]), ("page", show_page, ["H55"] * 20)):
        pairs = [_time_both(work, asked, number) for number in range(rounds)]
        ratios = sorted(sum(compared for _, compared in each) / sum(plain for plain, _ in each) for each in pairs)
        more = sorted((compared - plain) * 1e3 for each in pairs for plain, compared in each)
        away = round(0.98 * len(more) ** 0.5)  # of the median, in order statistics: half of 1.96 standard deviations
        middle = len(more) // 2
        yield {
            "attested": name,
            "ratios": [ratios[rounds // 2], ratios[0], ratios[-1]],
            "ms": [more[middle], more[middle - away], more[middle + away]],
        }


def _time_both(work: Callable[[str], None], asked: Sequence[str], number: int) -> list[tuple[float, float]]:
    """Return the seconds of CPU that *work* takes for each of *asked* without and with the comparison."""
    found = []
    for place, code in enumerate(asked, number):
        took = [0.0, 0.0]
        for compared in (True, False) if place % 2 else (False, True):
            with ExitStack() as around:
                if not compared:
                    around.enter_context(mock.patch.object(attestations, "find_report_tampering", return_value=[]))
                begun = time.process_time()
                work(code)
                took[compared] = time.process_time() - begun
        found.append((took[False], took[True]))
    return found


def measure(database: str, facts: int) -> Iterator[dict[str, Any]]:
    """Yield what filling, closing each month, and opening reports took."""
    with ExitStack() as around:
        place = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="closing-bench-")))
        server = around.enter_context(postgres.Server.open()) if database == "postgresql" else None
        url = server.url() if server else f"sqlite:///{place / 'hub.db'}"
        engine = transactions.open_journal(url, pooled=False)
        around.callback(engine.dispose)
        transactions.upgrade_schema(engine)
        begun = time.perf_counter()
        count = fill(engine, facts)
        yield {"database": database, "facts": count, "filled_s": time.perf_counter() - begun}
        context, keys = multiprocessing.get_context("spawn"), pki.write(place, "hub", HUB)
        for month in map(parse_period, parse_period(YEAR).months):
            done: multiprocessing.Queue[dict[str, Any]] = context.Queue()
            begun = time.perf_counter()
            work = context.Process(target=close, args=(str(url), month.text, keys, done))
            work.start()
            found = done.get()
            work.join()
            yield {"database": database, "month": month.text, "seconds": time.perf_counter() - begun, **found}
        for row in compare_attested(engine):
            yield {"database": database, **row}
        asked = [("H55.1.1", "2026-12"), ("H55.1", "2026-12"), ("H55", "2026-12"), ("H55.1.1", "2026"), ("H55", "2026")]
        for code, period in asked:
            for form in ("edoc", "dossiers"):
                yield {
                    "database": database,
                    "unit": code,
                    "period": period,
                    "form": form,
                    "ms": opened(engine, code, period, form),
                }


def show(facts: int, databases: Sequence[str], *, as_json: bool) -> None:
    """Measure and print."""
    for database in databases:
        for row in measure(database, facts):
            if as_json:
                print(json.dumps(row), flush=True)
            elif "attested" in row:
                middle, least, most = row["ratios"]
                more, at_least, at_most = row["ms"]
                print(
                    f"{row['database']:10} attested: {row['attested']} × {middle:.3f} ({least:.3f} to {most:.3f}), "
                    f"{more:.2f} ms more ({at_least:.2f} to {at_most:.2f})",
                    flush=True,
                )
            elif "month" in row:
                parts = "  ".join(f"{name} {seconds:.1f}" for name, seconds in row["took"].items() if seconds >= 0.05)
                print(
                    f"{row['database']:10} {row['month']}  {row['seconds']:6.1f} s ({row['cpu']:.1f} s CPU)  {row['mib']:6.0f} MiB  {row['rows']:>6} rows  "
                    f"{row['facts']:>8,} facts behind   {row['writes']} writes of at most {row['longest_write_cpu'] * 1e3:.0f} ms   ({parts})",
                    flush=True,
                )
            elif "unit" in row:
                print(
                    f"{row['database']:10} {row['unit']:8} {row['period']:8} {row['form']:9} {row['ms']:6.1f} ms",
                    flush=True,
                )
            else:
                print(f"{row['database']:10} {row['facts']:,} facts written in {row['filled_s']:.0f} s", flush=True)
