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
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.demo.run import postgres
from hub.journal import search, search_index
from hub.journal.search import MessageFilter
from hub.store import transactions
from hub.store.tables import attempt, message, search_progress
from tests.bench.backlog import settle_down

START = datetime(2026, 1, 1, tzinfo=UTC)
#: One message comes every two seconds: 1.3 million a month.
PACE = 2
FEW = 10_000

#: Of n(i), the number of each message from 1 on: its time in milliseconds and as text, and its id.
_NUMBERS = {
    "sqlite": """
WITH RECURSIVE counted(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM counted WHERE i < {last}),
timed(i, ms) AS (SELECT i, {start} + i * {pace} FROM counted),
n(i, at, id) AS (
  SELECT i, strftime('%Y-%m-%dT%H:%M:%S', ms / 1000, 'unixepoch') || '.000000Z',
    substr(printf('%012x', ms), 1, 8) || '-' || substr(printf('%012x', ms), 9) || '-7000-8000-' || printf('%012d', i) FROM timed),
said(syllables) AS (SELECT '{syllables}')
""",
    "postgresql": """
WITH counted(i) AS (SELECT generate_series({first}::bigint, {last}::bigint)),
timed(i, ms) AS (SELECT i, {start} + i * {pace} FROM counted),
n(i, at, id) AS (
  SELECT i, to_char(to_timestamp(ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || '.000000Z',
    substr(lpad(to_hex(ms), 12, '0'), 1, 8) || '-' || substr(lpad(to_hex(ms), 12, '0'), 9) || '-7000-8000-' || lpad(i::text, 12, '0')
  FROM timed),
said(syllables) AS (SELECT '{syllables}')
""",
}
#: 989 units, one of which sends a tenth and gets a fifth; 40 partners; one message in a hundred refused; seven tenths documents.
_MESSAGES = """
insert into message (id, partner, message_id, service, kind, state, received_at, sha256, size, sender, document_id, code, document_type,
    answers_unit, lane, refusal, subject)
  select id, case when i % 10 = 0 then 'vpub' else 'p' || (i * 7919 % 40) end, 'named ' || (i * 7919 % 1000003) || ' ' || i,
    case when i % 10 = 9 then 'dossiers' else 'documents' end,
    case when i % 100 = 51 then 'unknown' when i % 10 = 9 then 'dossier' when i % 1000 = 7 then 'recall' when i % 10 > 6 then 'status'
      else 'document' end,
    case when i % 100 = 51 then 'refused' else 'accepted' end, at, {hash}, 4096,
    case when i % 100 = 51 then null when i % 10 = 0 then 'H55.01' else 'H55.' || (i * 7919 % 989) end,
    case when i % 10 = 9 then null else 'D' || (i * 7919 % 1000003) || '-' || i end,
    case when i % 10 = 9 then null else (i % 4999) || '/' || {notation} || '-VP' end, '',
    case when i % 10 in (7, 8) then 'H55.' || (i * 31 % 989) end, 'lane ' || (i * 7919 % 1000003) || ' ' || i,
    case when i % 100 = 51 then case when i % 500 = 51 then 'not-yours: H55.01' else 'unit-unknown: H55.' || (i % 7) end end,
    case when i % 10 <> 9 then 'V/v ' || {subject} end
  from n, said where true
"""
#: Each accepted message goes to a unit, and every fourth out of the province, too. One in 5,000 did not arrive, and the last 200 wait.
_DELIVERIES = """
insert into delivery (id, message, recipient, via, partner, state, attempts, due, since, changed_at, lane, free)
  select id, id, case when i % 5 = 0 then 'H55.01' else 'H55.' || (i * 31 % 989) end, 'H55',
    case when i % 5 = 0 then 'vpub' else 'p' || (i * 31 % 40) end,
    case when i > {most} - 200 then 'waiting' when i % 5000 = 1 then 'dead' else 'delivered' end, 1, at, at, at,
    'lane ' || (i * 7919 % 1000003) || ' ' || i, case when i > {most} - 200 then {yes} else {no} end
  from n where i % 100 <> 51
"""
_OUTSIDE = """
insert into delivery (id, message, recipient, via, partner, state, attempts, due, since, changed_at, lane, free)
  select substr(id, 1, 22) || '1' || substr(id, 24), id, 'G22.' || (i % 63), 'G22', 'vpcp', 'delivered', 1, at, at, at,
    'lane ' || (i * 7919 % 1000003) || ' ' || i, {no}
  from n where i % 4 = 0
"""
#: Each message that did not arrive was refused by its partner.
_ATTEMPTS = """
insert into attempt (id, message, partner, number, recipients, started_at, detail)
  select id, id, 'p1', 1, '[]', at, case when i % 10000 = 1 then 'refused: E05: no such unit' else 'refused: E07' end
  from n where i % 5000 = 1 and i % 100 <> 51
"""
#: What a receipt writes first; the chain's numbers are those of the messages.
_EVENTS = """
insert into event (message, text, number, hash)
  select id, '{{"at":"' || at || '","event":"message-' || case when i % 100 = 51 then 'refused' else 'accepted' end
    || '","message":"' || id || '"}}', i, ''
  from n where true
"""
#: Messages inserted by one statement, and indexed together.
_TOGETHER, _BATCH = 250_000, 1_000
#: Syllables of subjects, most of them rare, and how many a subject has.
_SYLLABLES, _EACH = 900, 12
_HASHES = {
    "sqlite": "substr(printf('%010x', i * 2654435761 % 1099511627776) || printf('%054d', 0), 1, 64)",
    "postgresql": "rpad(lpad(to_hex(i * 2654435761 % 1099511627776), 10, '0'), 64, '0')",
}
_NOTATIONS = "substr('SNVSTCSXDSYTUBDSGDSCTBCH', CAST(1 + 3 * (i * 7919 % 8) AS integer), 3)"


def _write_subject() -> str:
    """Return the SQL of a subject: syllables by a distribution in which the first ones are common."""
    picks = (
        f"(i * {7919 + 2 * place} % {_SYLLABLES}) * (i * {104729 + 2 * place} % {_SYLLABLES}) / {_SYLLABLES}"
        for place in range(_EACH)
    )
    return " || ' ' || ".join(f"substr(syllables, CAST(1 + 4 * ({pick}) AS integer), 4)" for pick in picks)


def name_syllables() -> list[str]:
    """Return all syllables, four letters each; the first ones are common."""
    consonants, vowels = "bcdghklmnpqrstvx", "aeiouy"
    found = [f"{a}{b}{c}{d}" for a in consonants for b in vowels for c in "nm" for d in "ghcp"]
    return (found + [each[::-1] for each in found])[:_SYLLABLES]


def name_message(number: int) -> str:
    """Return the hub's id of a message; numbers begin with 1."""
    written = f"{int(START.timestamp()) * 1000 + number * PACE * 1000:012x}"
    return f"{written[:8]}-{written[8:]}-7000-8000-{number:012d}"


def fill(engine: sa.Engine, count: int, *, told: bool = False) -> None:
    """Make *count* messages with their deliveries; if *told*, each with an event."""
    dialect, edges = engine.dialect.name, [*range(0, count, _TOGETHER), count]
    for first, last in pairwise(edges):
        values = {"first": first + 1, "last": last, "start": int(START.timestamp()) * 1000, "pace": PACE * 1000}
        values |= {"most": count, "yes": "true", "no": "false", "hash": _HASHES[dialect], "notation": _NOTATIONS}
        values |= {"subject": _write_subject(), "syllables": "".join(name_syllables())}
        with _connect(engine) as tx, tx.begin():
            for statement in (_MESSAGES, _DELIVERIES, _OUTSIDE, _ATTEMPTS, *([_EVENTS] if told else [])):
                filled = (_NUMBERS[dialect] + statement).format(**values)
                tx.exec_driver_sql(filled if dialect == "sqlite" else filled.replace("%", "%%"))
    _index(engine)
    if told:
        with _connect(engine) as tx, tx.begin():
            transactions.insert_missing_rows(tx, search_progress, [{"name": "messages", "number": count}])
    settle_down(engine)


def _index(engine: sa.Engine) -> None:
    """Index all messages, as the hub's indexer does: no event tells of them."""
    columns = (message.c.id, message.c.code, message.c.subject, message.c.refusal, message.c.sha256)
    after, batch = "", 0
    with _connect(engine) as tx:
        while True:
            with tx.begin():
                some = sa.select(*columns).where(message.c.id > after).order_by(message.c.id).limit(_BATCH)
                rows = tx.execute(some).all()
                if not rows:
                    break
                after, batch = rows[-1].id, batch + len(rows)
                search_index.write_postings(tx, search_index.collect_rows(rows), batch)
        with tx.begin():
            told = tx.execute(sa.select(attempt.c.message, attempt.c.detail)).all()
            search_index.write_postings(tx, search_index.collect_answers(told), batch + 1)


def _connect(engine: sa.Engine) -> sa.Connection:
    """Return a connection on which SQLite keeps more in memory and waits for no disk: what is filled in may be lost."""
    made = engine.connect()
    if engine.dialect.name == "sqlite":
        raw: Any = made.connection.driver_connection
        for pragma in ("synchronous = OFF", "cache_size = -400000"):
            raw.execute(f"PRAGMA {pragma}")
    return made


def searches(count: int) -> Mapping[str, MessageFilter]:
    """Return the searches of a journal of *count* messages."""
    late = START + timedelta(seconds=PACE * count - 3600)
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
        "number": MessageFilter(words=("7", "syt", "vp")),
        "number, of a unit": MessageFilter(words=("7", "syt", "vp"), unit="H55.7"),
        "common word": MessageFilter(words=("bang",)),
        "rare word": MessageFilter(words=("cpem",)),
        "four words": MessageFilter(words=("bang", "banh", "banc", "bamg")),
        "words, an hour": MessageFilter(words=("bang", "banh"), since=late),
        "refusal code": MessageFilter(refusal="not-yours"),
        "answer code": MessageFilter(answer="E05"),
        "SHA-256": MessageFilter(sha256=f"{2654435761:010x}" + "0" * 54),
        "recipient": MessageFilter(recipient="H55.7"),
        "came from a partner": MessageFilter(sent_by="p7"),
        "went to a partner": MessageFilter(sent_to="p7"),
        "dead at a partner": MessageFilter(sent_to="p31", delivery_state="dead"),
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
                fill(engine, count)
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
