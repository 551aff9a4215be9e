"""Measures whether a large journal is slower than a small one, while the months in it are closed: intake, a claim, a search.

Two hubs with the same keys: one has ten thousand messages in its journal, the other millions, written there by SQL.  Calls go to both in
interleaved rounds.  The large one closes its months by itself, from a minute after its start on, in a process of its own.
"""

import shutil
import statistics
import time
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from hub.config import read_config
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import unit_registry
from hub.journal.queue import claims
from hub.journal.queue.claims import AttemptExchange
from hub.journal.searching import search, search_index
from hub.journal.searching.message_filter import MessageFilter
from hub.operations.messages import message_list
from hub.store import transactions
from tests.bench import calls, intake, journals, processes
from tests.bench.backlog import fill
from tests.bench.run import Run, running
from tests.bench.servers import HubServer

SMALL, LARGE = 10_000, 5_000_000
DISK = LARGE * journals.OCTETS * 1.6 / 2**30  #: GiB
NOBODY = "bench"  #: a partner that the hub does not know, so it leaves its deliveries alone
LEASE = timedelta(minutes=2)
#: Seconds to wait for the hub to begin to close.
UNTIL_CLOSING = 150.0


def _make_hub(run: Run, name: str, count: int, pki: HubServer | None = None) -> HubServer:
    """Return a hub that does not run, with *count* messages of the months January to October in its journal."""
    hub = HubServer(name, run.place / name.replace(" ", "-"), pki=pki)
    hub.start()  # it makes its journal and knows its units
    hub.stop()
    path = hub.hub.home / "data/hub.db"
    engine = transactions.open_journal(read_config(hub.hub.config).database_url, pooled=False)
    with transactions.read_transaction(engine) as tx:
        units = unit_registry.list_unit_histories(tx)
    begun = time.perf_counter()
    journals.fill_journal(path, count, [unit.code for unit in units], "2026-01-01", 300)
    _index_messages(engine)
    engine.dispose()
    run.say(f"  {name}: filled in {time.perf_counter() - begun:.0f} s, {path.stat().st_size / 2**30:.2f} GiB")
    return hub


def _index_messages(engine: sa.Engine) -> None:
    """Index the messages as a hub does in the hours after they came, so that it does not while it is measured."""
    while True:
        with transactions.read_transaction(engine) as tx:
            step = search_index.read_step(tx)
        if step is None:
            return
        with transactions.write_transaction(engine) as tx:
            search_index.write_step(tx, step)


def _is_closing(hub: HubServer) -> bool:
    """Tell whether another process of the hub than the first one computes at this moment."""
    others = processes.find_tree(hub.roots[0])[1:]
    before = processes.read_tree_cpu(others)
    time.sleep(0.5)
    return processes.read_tree_cpu(others) - before > 0.05


def _time_search(engine: sa.Engine, unit: str) -> tuple[float, float]:
    """Return the median milliseconds of CPU of what the list shows of *unit*, and of the exact number of its messages.

    The list shows a page of messages, and their number up to `message_list.COUNTED`.
    """
    wanted, shown, exact = MessageFilter(unit=unit), [], []
    for _ in range(5):
        with transactions.read_transaction(engine) as tx:
            begun = time.process_time()
            assert len(list(search.find_messages(tx, wanted, message_list.PAGE))) == message_list.PAGE
            search.count_messages(tx, wanted, message_list.COUNTED)
            shown.append((time.process_time() - begun) * 1e3)
            begun = time.process_time()
            search.count_messages(tx, wanted)
            exact.append((time.process_time() - begun) * 1e3)
    return statistics.median(shown), statistics.median(exact)


def _time_claim(engine: sa.Engine, number: int) -> float:
    """Return the median milliseconds of CPU of a claim of four messages and its settling; a hundred deliveries wait."""
    now, took = datetime.now(UTC), []
    with transactions.write_transaction(engine) as tx:
        fill(tx, 100, now - timedelta(hours=1), first=900_000_000_000 + number * 100, partner=NOBODY)
    for _ in range(20):
        begun = time.process_time()
        with transactions.write_transaction(engine) as tx:
            claimed = claims.claim_deliveries(tx, NOBODY, now, limit=4, holder="bench", lease=LEASE, concurrency=4)
        with transactions.write_transaction(engine) as tx:
            for each in claimed:
                done = AttemptVerdict(DeliveryState.DELIVERED)
                assert claims.settle_claim(
                    tx, claims.EndedAttempt(each, DeliveryEvent.ACCEPTED, done, AttemptExchange(), now)
                )
        took.append((time.process_time() - begun) * 1e3)
        assert len(claimed) == 4
    return statistics.median(took)


def measure_growth(run: Run, large: int = LARGE) -> None:
    """Measure and print; note why not where the disk is too small."""
    need = int(large * journals.OCTETS * 1.6)
    run.say(f"\nA journal of {large:,} messages beside one of {SMALL:,}: needs {need / 2**30:.0f} GiB of disk")
    if shutil.disk_usage(run.place).free < need:
        run.absent["growth"] = f"needs {need / 2**30:.0f} GiB of disk"
        return
    small = _make_hub(run, f"hub, {SMALL:,} messages", SMALL)
    big = _make_hub(run, f"hub, {large:,} messages", large, small)
    engines = [
        transactions.open_journal(read_config(hub.hub.config).database_url, pooled=False) for hub in (small, big)
    ]
    try:
        with running(run, [(small.name, lambda: small), (big.name, lambda: big)]) as found:
            limit = time.monotonic() + UNTIL_CLOSING
            while not (closing := _is_closing(big)) and time.monotonic() < limit:
                time.sleep(1)
            run.say(f"  {big.name}: {'closes its months' if closing else 'DOES NOT close its months within that time'}")
            intake.measure_intake(run, "growth", found, [small.sender], times=run.plan.fewer)
            claimed = [_time_claim(engine, number) for number, engine in enumerate(engines)]
            searched = [_time_search(engine, calls.FETCHES) for engine in engines]
            run.say(f"  {big.name}: {'still closes' if _is_closing(big) else 'has closed them all, or waits'}")
    finally:
        for engine in engines:
            engine.dispose()
    intake.show_section(run, "growth", "4 KB packets, 64 connections, while the large journal's months are closed")
    run.say(f"  a claim of four, and its settling: {claimed[0]:.2f} and {claimed[1]:.2f} ms of CPU")
    for number, what in enumerate(("the list of a unit's messages", "their exact number")):
        run.say(f"  {what}: {searched[0][number]:.2f} and {searched[1][number]:.2f} ms of CPU")
    run.note("growth:intake", run.find_ratio("growth", "rate", big.name, small.name))
    run.note("growth:claim", claimed[0] / claimed[1])
    run.note("growth:search", searched[0][0] / searched[1][0])
