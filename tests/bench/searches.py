"""What a search of messages costs in a journal of 10,000 messages and in one of a million: `./dev bench --searches 1000000`.

Each search is measured as the command line does it: the first page of 50 messages, and the exact number (`--count`).  On SQLite the
figure is CPU of this process, on PostgreSQL the time of the clock; the ratio of the two sizes is what counts.  A million messages take
2.5 GB.  Knows the shape of a province's journal; not how a search finds its rows.
"""

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.store import transactions
from lienthong_demo.run import postgres
from tests.bench import province_journal

FEW = 10_000


def searches(count: int) -> Mapping[str, MessageFilter]:
    """Return the searches of a journal of *count* messages."""
    late = province_journal.find_end(count) - timedelta(hours=1)
    words = province_journal.rank_words()
    return {
        "all": MessageFilter(),
        "unit": MessageFilter(unit="H55.7"),
        "large unit": MessageFilter(unit="H55.01"),
        "partner": MessageFilter(partner="p7"),
        "refused": MessageFilter(state="refused"),
        "refused, of a partner": MessageFilter(state="refused", partner="p7"),
        "service": MessageFilter(service="dossiers"),
        "kind": MessageFilter(kind="recall"),
        "unit, kind": MessageFilter(unit="H55.7", kind="status"),
        "an hour": MessageFilter(since=late),
        "unit, an hour": MessageFilter(unit="H55.01", since=late),
        "dead": MessageFilter(delivery_state="dead"),
        "delivered": MessageFilter(delivery_state="delivered"),
        "message id": MessageFilter(message_id="named 7919 1"),
        "document id": MessageFilter(document_id="D7919-1"),
        "number": MessageFilter(words=("3061", "syt", "vp")),
        "number, of a unit": MessageFilter(words=("3061", "syt", "vp"), unit="H55.7"),
        "common word": MessageFilter(words=words[:1]),
        "rare word": MessageFilter(words=words[-1:]),
        "four words": MessageFilter(words=words[:4]),
        "words, an hour": MessageFilter(words=words[:2], since=late),
        "refusal code": MessageFilter(refusal="not-yours"),
        "answer code": MessageFilter(answer="E05"),
        "SHA-256": MessageFilter(sha256=f"{2654435761:010x}" + "0" * 54),
        "recipient": MessageFilter(recipient="H55.7"),
        "came from a partner": MessageFilter(sent_by="p7"),
        "went to a partner": MessageFilter(sent_to="p7"),
        "dead at a partner": MessageFilter(sent_to="p5", delivery_state="dead"),
        "delivered to a partner": MessageFilter(sent_to="p7", delivery_state="delivered"),
        "within the province": MessageFilter(beside="vpcp"),
        "of a reader": MessageFilter(visible=("H55.7", "H55.8")),
    }


def once(engine: sa.Engine, wanted: MessageFilter) -> tuple[float, float, int]:
    """Search once, and return the milliseconds of a page and of a count, and the count."""
    clock = time.process_time if engine.dialect.name == "sqlite" else time.perf_counter
    with transactions.read_transaction(engine) as tx:
        begun = clock()
        page = list(search.find_messages(tx, wanted, 50, newest_first=True))
        between = clock()
        count = search.count_messages(tx, wanted)
        ended = clock()
    assert len(page) == min(count, 50)
    return 1e3 * (between - begun), 1e3 * (ended - between), count


def rows(
    most: int, databases: Sequence[str] = ("sqlite", "postgresql"), rounds: int = 5
) -> Iterator[dict[str, object]]:
    """Yield one row for each database and search: the milliseconds among few and among *most*, and their ratios."""
    for database in databases:
        with contextlib.ExitStack() as around:
            engines = []
            for count in (FEW, most):
                place = around.enter_context(tempfile.TemporaryDirectory())
                server = around.enter_context(postgres.Server.open()) if database == "postgresql" else None
                engine = transactions.open_journal(server.url() if server else f"sqlite:///{Path(place) / 'hub.db'}")
                around.callback(engine.dispose)
                transactions.upgrade_schema(engine)
                province_journal.fill(engine, count)
                engines.append(engine)
            few, many = searches(FEW), searches(most)
            for name in few:
                took = [
                    [once(engine, wanted) for engine, wanted in zip(engines, (few[name], many[name]), strict=True)]
                    for _ in range(rounds)
                ]
                of_few, of_many = ([each[side] for each in took] for side in (0, 1))
                row: dict[str, object] = {
                    "database": database,
                    "search": name,
                    "messages": most,
                    "found": of_many[0][2],
                }
                for number, what in enumerate(("page", "count")):
                    low, high = (statistics.median(each[number] for each in side) for side in (of_few, of_many))
                    row |= {f"{what}_few_ms": low, f"{what}_many_ms": high, f"{what}_ratio": round(high / low, 2)}
                yield row


def show(most: int, databases: Sequence[str], *, as_json: bool) -> None:
    """Measure and print."""
    for row in rows(most, databases):
        if as_json:
            print(json.dumps(row), flush=True)
            continue
        steps = "   ".join(
            f"{what} {row[f'{what}_few_ms']:6.2f} → {row[f'{what}_many_ms']:8.2f} ms (× {row[f'{what}_ratio']})"
            for what in ("page", "count")
        )
        print(f"{row['database']:10} {row['search']:22} {row['found']:>9,} of {most:,}   {steps}", flush=True)
