"""What the province's page at a glance costs beside a year of facts: `./dev bench --glance [--facts 10000000] [DB=sqlite]`.

The facts and closings of 989 units are those of tests/bench/closing.py. Then the sheets are counted as the hub counts them
in the night, in steps of a second, and each page and file is measured as a browser asks for it, from the request to the written answer,
without a port: the median of several. All 989 units are in one class, so no page of a province is larger.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.config.reports import ReportSettings
from hub.demo.run import postgres
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store import transactions
from hub.store.tables import glance_sheet, unit
from hub.workload import closing as hub_closing
from hub.workload import glance_counting, glance_rows
from tests.bench import closing
from tests.console_town import Browser, Town

TIMES = 9
#: The most that the page may take, in milliseconds.
BOUND = 300.0
#: Every unit is in this class.
CLASS = '[[class]]\nkey = "all"\nvi = "Tất cả"\nen = "All"\nlevels = ["commune"]\n'
FORMS = ("edoc", "ii06a", "tonghop")
#: The forms that are closed: these, and the one that the summary takes from.
CLOSED = ("edoc", "ii06a", "mail")
PAGES = ("2026-11", "2026-11?by=documents_in_time", "2026-11.csv", "2026-11.json", "2026-11.xlsx", "2026-11.pdf")


def measure(database: str, facts: int) -> Iterator[dict[str, Any]]:
    """Yield what filling, counting sheets, pages and files took. Raises as `closing.fill`."""
    with ExitStack() as around:
        place = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="glance-bench-")))
        server = around.enter_context(postgres.Server.open()) if database == "postgresql" else None
        url = server.url() if server else f"sqlite:///{place / 'hub.db'}"
        engine = transactions.open_journal(url, pooled=False)
        around.callback(engine.dispose)
        transactions.upgrade_schema(engine)
        begun = time.perf_counter()
        count = closing.fill(engine, facts)
        _make_alike(engine)
        for month in parse_period(closing.YEAR).months[:-1]:  # the last month runs
            for form in CLOSED:
                _close(engine, form, month)
        yield {"database": database, "what": "filled and closed", "facts": count, "s": time.perf_counter() - begun}
        yield from (row | {"database": database} for row in measure_province(engine, place))


def _make_alike(engine: sa.Engine) -> None:
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.update(unit).values(level="commune"))


def _close(engine: sa.Engine, form: str, text: str) -> None:
    """Close the month *text* of *form* in the steps in which the hub closes it."""
    book, period = read_shipped_book(), parse_period(text)
    now = hub_closing.find_earliest_closing_time(period)
    with transactions.write_transaction(engine) as tx:
        plan = hub_closing.begin_closing(tx, book, form, period, now, "bench")
    assert plan is not None
    steps, found = hub_closing.close_in_steps(plan, lambda: now, "bench"), None
    while True:
        try:
            step = steps.send(found)
        except StopIteration:
            return
        with (transactions.write_transaction if step.writes else transactions.read_transaction)(engine) as tx:
            found = step.run(tx, *step.arguments)


def measure_province(engine: sa.Engine, place: Path) -> Iterator[dict[str, Any]]:
    """Yield what the sheets, the pages and the files of the province take whose facts are in the journal."""
    book, now = read_shipped_book(), parse_period("2026-12").start + timedelta(days=20)
    took: dict[str, list[float]] = {}
    for form in FORMS:
        for period in (*parse_period(closing.YEAR).months, "2026-Q4", "2026"):
            steps, found, begun = glance_counting.count_in_steps(book, form, period, now), None, time.process_time()
            while True:
                try:
                    step = steps.send(found)
                except StopIteration as end:
                    with transactions.write_transaction(engine) as tx:
                        glance_rows.keep_sheet(tx, end.value, parse_period(period), now)
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
    took, octets = [], 0
    for _ in range(times):
        begun = time.perf_counter()
        answer = browser.get(address)
        took.append((time.perf_counter() - begun) * 1e3)
        assert answer.status == 200, (address, answer.status)
        octets = len(answer.content)
    return {"what": address, "ms": statistics.median(took), "octets": octets}


def show(facts: int, databases: Sequence[str], *, as_json: bool) -> None:
    """Measure and print."""
    for database in databases:
        for row in measure(database, facts):
            if as_json:
                print(json.dumps(row), flush=True)
                continue
            numbers = "  ".join(
                f"{name} {value:,.1f}" if isinstance(value, float) else f"{name} {value:,}"
                for name, value in row.items()
                if name not in ("database", "what")
            )
            print(f"{row['database']:10} {row['what']:45} {numbers}", flush=True)
