"""What the province's page at a glance costs beside a year of facts: `./dev bench --glance [--facts 10000000]`, on SQLite.

The facts of 989 units and the closed rows of eleven months are written by SQL; the twelfth month runs. The sheets are
counted as the hub counts them in the night, in steps of a second. Then each page and file is measured as a browser asks for it, from the
request to the written answer, without a port: the median of several. All 989 units are in one class, so no page of a province is larger.
"""

import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.config.reports import ReportSettings
from hub.report.counting.counting import COUNTING
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store import transactions
from hub.store.tables import closed_row, glance_sheet, unit
from hub.store.tables import closing as table
from hub.workload import closing_plan, glance_rows
from hub.workload.glance import glance_counting
from tests.bench import closing
from tests.bench.run import Run
from tests.console_town import Browser, Town

TIMES = 9
LARGE = 10_000_000
#: Every unit is in this class.
CLASS = '[[class]]\nkey = "all"\nvi = "Tất cả"\nen = "All"\nlevels = ["commune"]\n'
FORMS = ("edoc", "ii06a", "tonghop")
#: The forms that are closed: these, and the one that the summary takes from.
CLOSED = ("edoc", "ii06a", "mail")
#: The page that is measured for the bar.
PAGE = "/glance/edoc/2026-11"
PAGES = ("2026-11", "2026-11?by=documents_in_time", "2026-11.csv", "2026-11.json", "2026-11.xlsx", "2026-11.pdf")


def measure(facts: int) -> Iterator[dict[str, Any]]:
    """Yield what filling, counting sheets, pages and files took."""
    with ExitStack() as around:
        place = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="glance-bench-")))
        engine = transactions.open_journal(f"sqlite:///{place / 'hub.db'}", pooled=False)
        around.callback(engine.dispose)
        transactions.upgrade_schema(engine)
        begun = time.perf_counter()
        closing.write_units(engine)
        _write_facts(engine, facts)
        _write_closings(engine)
        yield {"what": "filled", "facts": facts, "s": time.perf_counter() - begun}
        yield from measure_province(engine, place)


def measure_growth(run: Run) -> None:
    """Measure and note the page beside ten million facts."""
    run.say(f"\nThe province at a glance, {closing.UNITS} units and twelve months at {LARGE:,} facts")
    for row in measure(LARGE):
        run.say(f"  {write_row(row)}")
        if row["what"] == PAGE:
            run.note("growth:glance", row["ms"])


#: Of each unit as many documents as of any other, evenly over the year, in the order of the table's key.
_FACTS = """
    WITH RECURSIVE number(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < :facts),
    ranked AS (SELECT code, row_number() OVER (ORDER BY code) - 1 AS place FROM unit)
    INSERT INTO fact (unit, service, "key", milestone, at, message, counterpart, outside, document_type, paper, signature)
    SELECT ranked.code, 'documents', printf('%010d', i / 2), CASE i % 2 WHEN 0 THEN 'received' ELSE 'status-06' END,
        strftime('%Y-%m-%dT%H:%M:%S', '2025-12-16 01:00:00', printf('+%d minutes', (i * 7919) % 521280)) || '.000000Z',
        'bench', 'H55.13', 0, '', 0, 'valid'
    FROM number JOIN ranked ON ranked.place = i * :units / :facts"""


def _write_facts(engine: sa.Engine, facts: int) -> None:
    raw = engine.raw_connection()
    cursor = raw.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.execute("PRAGMA synchronous=OFF")
    made = "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'fact' AND sql LIKE 'CREATE INDEX%'"
    indexes = cursor.execute(made).fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    cursor.execute("BEGIN")
    cursor.execute(_FACTS, {"facts": facts, "units": closing.UNITS})
    cursor.execute("COMMIT")
    for _, written in indexes:
        cursor.execute(written)  # faster than keeping them up with each row
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()


def _write_closings(engine: sa.Engine) -> None:
    """Close the months but the last, with rows that nobody counted."""
    book, drawn = read_shipped_book(), random.Random(7)
    with transactions.write_transaction(engine) as tx:
        for form in (form for form in book.forms if form.id in CLOSED):
            keys = [column.key for column in form.columns if column.kind in COUNTING]
            for month in map(parse_period, parse_period(closing.YEAR).months[:-1]):
                at = closing_plan.find_earliest_closing_time(month)
                named = {"form": form.id, "period": month.text}
                more = {"closed_at": at, "closed_by": "bench", "definition": form.written, "sha256": "0" * 64}
                tx.execute(sa.insert(table), [named | {"first_day": month.first, "last_day": month.last} | more])
                rows = [
                    named
                    | {"unit": code, "revision": 1, "times": "{}", "facts": 1, "evidence": "0" * 64, "made_at": at}
                    | {"numbers": json.dumps({key: drawn.randrange(5_000) for key in keys})}
                    for code, _ in closing.codes()
                ]
                tx.execute(sa.insert(closed_row), rows)


def _make_alike(engine: sa.Engine) -> None:
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.update(unit).values(level="commune"))


def measure_province(engine: sa.Engine, place: Path) -> Iterator[dict[str, Any]]:
    """Yield what the sheets, the pages and the files of the province take whose facts are in the journal."""
    book, now = read_shipped_book(), parse_period("2026-12").start + timedelta(days=20)
    took: dict[str, list[float]] = {}
    for form in FORMS:
        for period in (*parse_period(closing.YEAR).months, "2026-Q3"):
            steps, found, begun = glance_counting.count_in_steps(book, form, period, now), None, time.process_time()
            while True:
                try:
                    step = steps.send(found)
                except StopIteration as end:
                    with transactions.write_transaction(engine) as tx:
                        sheet = glance_rows.seal_sheet(end.value, closing.HUB, now)
                        glance_rows.keep_sheet(tx, sheet, parse_period(period), now)
                    what = "of closed months" if end.value.complete else "of a running period"
                    took.setdefault(f"a sheet {what}, {form}", []).append(time.process_time() - begun)
                    break
                with transactions.read_transaction(engine) as tx:
                    found = step.run(tx, *step.arguments)
    for what, seconds in took.items():
        yield {"what": what, "cpu_s": statistics.median(seconds)}
    with transactions.read_transaction(engine) as tx:
        octets = tx.scalar(sa.select(sa.func.avg(sa.func.length(glance_sheet.c.figures))))
    yield {"what": "a sheet, octets", "octets": int(octets or 0)}
    (place / "glance.toml").write_text(CLASS)
    town = Town(engine)
    town.now, town.reports = now, ReportSettings(glance=place / "glance.toml")
    _make_alike(engine)  # also those that the town adds
    town.add("an", "*")
    browser = Browser(town)
    browser.sign_in("an")
    for form in FORMS:
        for page in PAGES if form == "tonghop" else PAGES[:1]:
            yield _time(browser, f"/glance/{form}/{page}", TIMES if "." not in page else 3)
        yield _time(browser, f"/glance/{form}/2026-11/H55.1", TIMES)


def _time(browser: Browser, address: str, times: int) -> dict[str, Any]:
    """Return the median milliseconds from the request of *address* to the written answer, and its octets."""
    took, cpu, octets = list[float](), list[float](), 0
    for _ in range(times):
        begun, used = time.perf_counter(), time.process_time()
        answer = browser.get(address)
        took.append((time.perf_counter() - begun) * 1e3)
        cpu.append((time.process_time() - used) * 1e3)
        assert answer.status == 200, (address, answer.status)
        octets = len(answer.content)
    return {"what": address, "ms": statistics.median(took), "cpu_ms": statistics.median(cpu), "octets": octets}


def write_row(row: Mapping[str, Any]) -> str:
    """Return a row as text."""
    numbers = (
        f"{name} {value:,.1f}" if isinstance(value, float) else f"{name} {value:,}"
        for name, value in row.items()
        if name != "what"
    )
    return f"{row['what']:45} {'  '.join(numbers)}"


def show(facts: int, *, as_json: bool) -> None:
    """Measure and print."""
    for row in measure(facts):
        print(json.dumps(row) if as_json else write_row(row), flush=True)
