"""How long a claim takes beside 1,000 deliveries that wait and beside 1,000,000, on both databases: `./dev bench --waiting 1000000`.

What is measured is a look at the queue, a claim of four messages, their settling, and the counts of what waits that /metrics
tells, each in a transaction of its own, as the daemon does them; the ratio of the two sizes is what counts (done when: at most 2).
"""

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal.queue import claims, queue_view
from hub.journal.queue.claims import AttemptExchange
from hub.journal.queue.waiting_counts import read_waiting
from hub.store import transactions
from lienthong_demo.run import postgres
from tests.bench.backlog import SHAPES, fill, settle_down

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
LEASE = timedelta(minutes=2)


def once(engine: sa.Engine, now: datetime) -> tuple[float, float, float, float]:
    """Look, claim four messages, settle them and count what waits; return the milliseconds each took."""
    took = []
    begun = time.perf_counter()
    with transactions.read_transaction(engine) as tx:
        assert [queue.partner for queue in queue_view.read_queue_view(tx, now).queues if queue.oldest] == ["vpub"]
    took.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    with transactions.write_transaction(engine) as tx:
        taken_on = claims.claim_deliveries(tx, "vpub", now, limit=4, holder="node", lease=LEASE, concurrency=4)
    took.append(time.perf_counter() - begun)
    assert len(taken_on) == 4
    begun = time.perf_counter()
    with transactions.write_transaction(engine) as tx:
        for each in taken_on:
            assert claims.settle_claim(
                tx,
                claims.EndedAttempt(
                    each, DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED), AttemptExchange(), now
                ),
            )
    took.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    with transactions.read_transaction(engine) as tx:
        assert [found.partner for found in read_waiting(tx, now)] == ["vpub"]
    took.append(time.perf_counter() - begun)
    look, claim, settle, count = (1e3 * seconds for seconds in took)
    return look, claim, settle, count


def measure(engines: Sequence[sa.Engine], rounds: int = 60) -> list[dict[str, float]]:
    """Return the median milliseconds of each step on each of *engines*, which take turns: what else the machine does hits all."""
    found: list[list[tuple[float, float, float, float]]] = [[] for _ in engines]
    for number in range(rounds + 5):
        for engine, took in zip(engines, found, strict=True):
            took.append(once(engine, START + timedelta(seconds=number + 1)))
    steps = ("look", "claim", "settle", "count")
    return [dict(zip(steps, map(statistics.median, zip(*took[5:], strict=True)), strict=True)) for took in found]


def rows(most: int) -> Iterator[dict[str, object]]:
    """Yield one row for each database and shape: the times beside few and beside *most*, and their ratios."""
    for database in ("sqlite", "postgresql"):
        for shape, lanes in SHAPES.items():
            with contextlib.ExitStack() as around:
                engines = []
                for count in (1_000, most):
                    place = around.enter_context(tempfile.TemporaryDirectory())
                    server = around.enter_context(postgres.Server.open()) if database == "postgresql" else None
                    engine = transactions.open_journal(
                        server.url() if server else f"sqlite:///{Path(place) / 'hub.db'}"
                    )
                    around.callback(engine.dispose)
                    transactions.upgrade_schema(engine)
                    with engine.connect() as connection, connection.begin():
                        fill(connection, count, START, lanes=lanes)
                    settle_down(engine)
                    engines.append(engine)
                few, many = measure(engines)
            ratios = {step: round(many[step] / few[step], 2) for step in few}
            yield {
                "database": database,
                "shape": shape,
                "waiting": most,
                "few_ms": few,
                "many_ms": many,
                "ratio": ratios,
            }


def show(most: int, *, as_json: bool) -> None:
    """Measure and print."""
    for row in rows(most):
        if as_json:
            print(json.dumps(row), flush=True)
            continue
        steps = "   ".join(
            f"{step} {row['few_ms'][step]:.2f} → {row['many_ms'][step]:.2f} ms (× {row['ratio'][step]})"  # type: ignore[index]
            for step in ("look", "claim", "settle", "count")
        )
        print(f"{row['database']:10} {row['shape']:9} {most:>9,} waiting   {steps}", flush=True)
