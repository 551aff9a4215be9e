"""Measures what stands behind the province's number at a million messages: a page of its facts, and its workbook. Knows no server."""

import gc
import multiprocessing
import shutil
import time
from datetime import UTC, datetime
from typing import Any

from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.store import transactions
from hub.workload import facts_behind, unit_report
from tests.bench import journals
from tests.bench.closing import codes
from tests.bench.reports import WAYS, _peak
from tests.bench.run import Run

MESSAGES = 1_000_000
PROVINCE, PERIOD, NOW = "H55", "2026-10", datetime(2026, 11, 28, tzinfo=UTC)
PAGE = 100


def _read(url: str, what: str, done: "multiprocessing.Queue[dict[str, Any]]") -> None:
    """Read pages or the workbook; tell seconds, seconds of CPU, and MiB."""
    gc.freeze()  # as the hub's own processes do
    gc.set_threshold(100_000)
    engine, before = transactions.open_journal(url, pooled=False), _peak()
    seconds, cpu = [], time.process_time()
    with transactions.read_transaction(engine) as tx:
        asked = unit_report.resolve_report_sources(tx, PROVINCE, PERIOD, "edoc")
        if what == "workbook":
            begun = time.perf_counter()
            WAYS["xlsx"](tx, asked)
            seconds.append(time.perf_counter() - begun)
        else:
            place = None
            for _ in range(5):
                begun = time.perf_counter()
                page = facts_behind.read_facts_page(asked, "received", NOW, place, PAGE, 60.0)
                seconds.append(time.perf_counter() - begun)
                assert len(page.facts) >= PAGE, "there are more facts than this"
                place = page.more
    done.put({"seconds": max(seconds), "cpu": time.process_time() - cpu, "mib": _peak() - before})
    engine.dispose()


def measure_numbers(run: Run, messages: int = MESSAGES) -> None:
    """Fill a journal, read from it in processes of their own, and print."""
    if (free := shutil.disk_usage(run.place).free) < 3 * messages * journals.OCTETS:
        run.absent["a million messages"] = (
            f"needs {3 * messages * journals.OCTETS / 2**30:.0f} GiB of disk, {free / 2**30:.0f} are free"
        )
        return
    path = run.place / "numbers.db"
    engine = transactions.open_journal(f"sqlite:///{path}", pooled=False)
    transactions.upgrade_schema(engine)
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, [Unit(code, code, parent) for code, parent in codes()])
    engine.dispose()
    begun = time.perf_counter()
    journals.fill_journal(path, messages, [code for code, _ in codes()], "2026-09-16", 28, ("message", "fact"))
    run.say(
        f"\nThe province's number, {messages:,} messages of 989 units in one month (filled in {time.perf_counter() - begun:.0f} s)"
    )
    context = multiprocessing.get_context("spawn")
    for key, what in (("facts", "a page of the facts behind it"), ("workbook", "workbook")):
        done: multiprocessing.Queue[dict[str, Any]] = context.Queue()
        work = context.Process(target=_read, args=(f"sqlite:///{path}", what, done))
        work.start()
        found = done.get()
        work.join()
        run.say(f"  {what:40} {found['seconds']:8.2f} s {found['cpu']:8.2f} s of CPU {found['mib']:6.0f} MiB")
        run.note(key, found["seconds"])
    path.unlink()
