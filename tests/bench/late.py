"""What the page of who is late today costs beside a year of facts: `./dev bench --late [--facts 10000000] [DB=sqlite]`.

The facts of 989 units are written by one statement; beside them 300,000 things are open with a due day, 60,000 of these late. The
list is written by SQL, too, as the hub's own steps would have in the weeks before. Then each page and file is measured as a browser
asks for it, from the request to the written answer, without a port, and one step that takes in the events of new facts.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import Fact
from hub.journal import events, facts
from hub.journal.sequels.open_work import following
from hub.report.form.period import parse_period
from hub.store import transactions
from hub.store.tables import message, open_work, unit
from hub.store.transactions import Transaction
from lienthong_demo.run import postgres
from tests.bench import closing
from tests.console_town import Browser, Town

TIMES = 9
OPEN, LATE = 300_000, 60_000
NOW = parse_period("2026-12").start + timedelta(days=20)
PAGES = (
    "late",
    "late?state=late",
    "late?service=dossiers",
    "late?unit={unit}",
    "late?officer=CB-17",
    "late.csv",
    "late.xlsx",
)


def measure(database: str, count: int) -> Iterator[dict[str, Any]]:
    """Yield what filling, pages, files and a step took."""
    with ExitStack() as around:
        place = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="late-bench-")))
        server = around.enter_context(postgres.Server.open()) if database == "postgresql" else None
        url = server.url() if server else f"sqlite:///{place / 'hub.db'}"
        engine = transactions.open_journal(url, pooled=False)
        around.callback(engine.dispose)
        transactions.upgrade_schema(engine)
        begun = time.perf_counter()
        closing.write_units(engine)
        _write_facts(engine, count)
        with transactions.write_transaction(engine) as tx:
            _write_open_work(tx)
        yield {"database": database, "what": "filled", "facts": count, "s": time.perf_counter() - begun}
        yield from (row | {"database": database} for row in _measure_pages(engine))
        yield {"database": database} | _measure_step(engine)


#: So many facts of a unit: dossiers that were received and finished.
_FACTS = """
WITH RECURSIVE series (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM series WHERE n < {most} - 1)
INSERT INTO fact (unit, service, key, milestone, at, message, counterpart, outside, document_type, paper, signature, due, day)
SELECT '{code}', 'dossiers', '{code}-' || (n / 2), CASE n % 2 WHEN 0 THEN 'finished' ELSE 'received' END,
  '2026-10-01T08:00:00.000000Z', '{message}', '', {no}, '', {no}, '', '2026-10-20', '2026-10-01' FROM series
"""


def _write_facts(engine: sa.Engine, count: int) -> None:
    """Write about *count* facts of dossiers that have ended."""
    with transactions.read_transaction(engine) as tx:
        codes = list(tx.scalars(sa.select(unit.c.code).order_by(unit.c.code)))
    sqlite = engine.dialect.name == "sqlite"
    raw = engine.raw_connection()
    try:
        cursor: Any = raw.cursor()
        # the messages behind the facts are not made up
        cursor.execute("PRAGMA foreign_keys=OFF" if sqlite else "SET session_replication_role = replica")
        if sqlite:
            cursor.execute("PRAGMA synchronous=OFF")
        for code in codes:
            said = {"code": code, "most": count // len(codes), "message": "0" * 36, "no": "0" if sqlite else "false"}
            cursor.execute(_FACTS.format(**said))
            raw.commit()
    finally:
        raw.close()


def _write_open_work(tx: Transaction) -> None:
    """Write the list: things of three services, due from 60 days ago to 240 days ahead, over all units."""
    codes, today = list(tx.scalars(sa.select(unit.c.code).order_by(unit.c.code))), find_local_day(NOW)
    rows = []
    for number in range(OPEN):
        days = -1 - number % 60 if number < LATE else number % 240
        service = ("documents", "dossiers", "work")[number % 3]
        rows.append(
            {
                "unit": codes[number * 7919 % len(codes)],
                "service": service,
                "key": f"bench-{number}",
                "due": today + timedelta(days=days),
                "since": today - timedelta(days=61),
                "waiting": number % 10 == 0,
                "field": f"F{number % 23}",
                "field_name": f"Lĩnh vực {number % 23}",
                "officer": f"CB-{number % 400}" if service == "work" else "",
                "counterpart": "H55",
                "message": "0" * 36,
                "told": "0" * 36,
                "due_told_at": NOW - timedelta(days=61),
            }
        )
        if len(rows) == 5_000:
            tx.execute(sa.insert(open_work), rows)
            rows.clear()


def _measure_pages(engine: sa.Engine) -> Iterator[dict[str, Any]]:
    town = Town(engine)
    town.now = NOW
    with transactions.read_transaction(engine) as tx:
        code = tx.scalar(sa.select(open_work.c.unit).order_by(open_work.c.unit.desc()).limit(1))
    town.add("an", "*")
    browser = Browser(town)
    browser.sign_in("an")
    for page in PAGES:
        address = "/" + page.format(unit=code)
        yield {"what": address} | _time(partial(browser.get, address), 3 if "." in page else TIMES)


def _measure_step(engine: sa.Engine) -> dict[str, Any]:
    """Return what it takes to take in the events of 1,000 new facts."""
    name = make_id(NOW)
    row = {"id": name, "partner": "p", "message_id": name, "service": "work", "kind": "k", "state": "accepted"}
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.insert(message), [row | {"received_at": NOW, "sha256": "0" * 64, "size": 1}])
        said: dict[str, Any] = {
            "service": "work",
            "milestone": "assigned",
            "at": NOW,
            "message": name,
            "due": find_local_day(NOW),
        }
        facts.record_facts(tx, [Fact(unit="H55.1", key=f"new-{number}", **said) for number in range(1_000)])
        while events.chain_events(tx):
            pass
        following.begin_list(tx)
    begun, cpu = time.perf_counter(), time.process_time()
    with transactions.read_transaction(engine) as tx:
        step = following.read_step(tx)
    assert step is not None
    read = time.perf_counter() - begun
    with transactions.write_transaction(engine) as tx:
        assert following.write_step(tx, step)
    took = time.perf_counter() - begun
    cpu = time.process_time() - cpu
    return {"what": f"a step of {len(step.keys):,} keys", "read_ms": read * 1e3, "ms": took * 1e3, "cpu_ms": cpu * 1e3}


def _time(ask: Callable[[], Any], times: int) -> dict[str, Any]:
    """Return the median milliseconds of *ask*, elapsed and of CPU, and the octets of its answer."""
    took, computed, octets = [], [], 0
    for _ in range(times):
        begun, cpu = time.perf_counter(), time.process_time()
        answer = ask()
        took.append((time.perf_counter() - begun) * 1e3)
        computed.append((time.process_time() - cpu) * 1e3)
        assert answer.status == 200, answer.status
        octets = len(answer.content)
    return {"ms": statistics.median(took), "cpu_ms": statistics.median(computed), "octets": octets}


def show(count: int, databases: Sequence[str], *, as_json: bool) -> None:
    """Measure and print."""
    for database in databases:
        for row in measure(database, count):
            if as_json:
                print(json.dumps(row), flush=True)
                continue
            numbers = "  ".join(
                f"{name} {value:,.1f}" if isinstance(value, float) else f"{name} {value:,}"
                for name, value in row.items()
                if name not in ("database", "what")
            )
            print(f"{row['database']:10} {row['what']:35} {numbers}", flush=True)
