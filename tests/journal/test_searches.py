"""A search finds exactly what a look at every message finds, in pages that neither skip nor repeat, and reads no more in a larger journal."""

import random
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.ids import make_id
from hub.domain.model import DeliveryState, MessageState, PacketKind
from hub.journal import messages, statuses
from hub.journal.searching import message_reading, search
from hub.journal.searching.message_filter import MessageFilter
from hub.journal.searching.search_index import TermIndex
from hub.store import transactions
from hub.store.tables import UNDELIVERED, delivery, message
from hub.workload import publications, revisions
from tests.bench.province_journal import PACE, fill
from tests.bench.searches import searches
from tests.databases import plans, sqlite
from tests.province import ROUTES, document, entry, status

BEGUN = datetime(2026, 11, 24, 8, tzinfo=UTC)
UNITS = ("H55.01", "H55.13", "H55.13.1", "H55.30")
PARTNERS = ("sotttt", "vpub", "vpcp", "hub")
KINDS = (("documents", "document"), ("documents", "status"), ("dossiers", "document"), ("links", "day"))


def put(tx, chance, number):
    """Put a message with deliveries in the journal, and return what a search may ask of it."""
    at = BEGUN + timedelta(microseconds=chance.randrange(40), seconds=chance.randrange(4))
    refused = chance.random() < 0.3
    service, kind = chance.choice(KINDS)
    row = {
        "id": make_id(at),
        "partner": chance.choice(PARTNERS),
        "message_id": chance.choice([None, f"m{number}", f"m{number % 7}" if refused else f"m{number}"]),
        "service": service,
        "kind": "unknown" if refused else kind,
        "state": MessageState.REFUSED if refused else MessageState.ACCEPTED,
        "received_at": at,
        "sha256": "aa",
        "size": 1,
        "sender": chance.choice([None, *UNITS]),
    }
    tx.execute(sa.insert(message).values(row))
    made = []
    for recipient in [] if refused else chance.sample(UNITS, chance.randrange(4)):
        made.append(
            {"recipient": recipient, "partner": chance.choice(PARTNERS), "state": chance.choice(list(DeliveryState))}
        )
        times = dict.fromkeys(("due", "since", "changed_at"), at)
        rest = {"id": make_id(at), "message": row["id"], "via": recipient, "attempts": 0, **times}
        tx.execute(sa.insert(delivery).values(made[-1] | rest))
    return row | {"made": made}


def draw(chance, kept):
    """Return some conditions, which often fit one of the messages."""
    one = chance.choice(kept)
    whole = {
        "state": one["state"],
        "delivery_state": chance.choice([each["state"] for each in one["made"]] or list(DeliveryState)),
        "partner": chance.choice(PARTNERS),
        "unit": chance.choice(UNITS),
        "service": one["service"],
        "kind": one["kind"],
        "since": one["received_at"] - timedelta(microseconds=chance.randrange(20)),
        "until": one["received_at"] + timedelta(microseconds=chance.randrange(2_000_000)),
        "message_id": one["message_id"] or "m1",
        "ids": tuple(chance.choice([each["id"], each["message_id"] or "m1"]) for each in chance.sample(kept, 3)),
        "after": chance.choice(kept)["id"],
    }
    return MessageFilter(
        **{name: whole[name] for name in chance.sample(list(whole), chance.choice((0, 1, 1, 2, 2, 3, 4)))}
    )


def fits(one, wanted):
    """Tell whether *wanted* selects a message: the slow way."""
    made = one["made"]
    return all(
        (
            wanted.state in (None, one["state"]),
            wanted.delivery_state is None or any(each["state"] == wanted.delivery_state for each in made),
            wanted.partner in (None, one["partner"], *(each["partner"] for each in made)),
            wanted.unit in (None, one["sender"], *(each["recipient"] for each in made)),
            wanted.service in (None, one["service"]),
            wanted.kind in (None, one["kind"]),
            wanted.since is None or one["received_at"] >= wanted.since,
            wanted.until is None or one["received_at"] < wanted.until,
            wanted.message_id in (None, one["message_id"]),
            wanted.ids is None or one["id"] in wanted.ids or one["message_id"] in wanted.ids,
            wanted.after is None or one["id"] > wanted.after,
        )
    )


@pytest.mark.parametrize(
    ("seed", "drawn"),
    [
        (0, 10),
        (1, 10),
        (2, 10),
        pytest.param(3, 40, marks=pytest.mark.slow),
        pytest.param(4, 40, marks=pytest.mark.soak),
    ],
)
def test_a_search_finds_what_a_look_at_every_message_finds(tx, seed, drawn, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 4)  # so that there are many pages
    monkeypatch.setattr(search, "_MANY", 5)
    chance = random.Random(seed)
    kept = [put(tx, chance, number) for number in range(40)]
    found = 0
    for _ in range(drawn):
        wanted = draw(chance, kept)
        expected = [
            one["id"] for one in sorted(kept, key=lambda one: (one["received_at"], one["id"])) if fits(one, wanted)
        ]
        assert [one.id for one in search.find_messages(tx, wanted)] == expected, wanted
        assert search.count_messages(tx, wanted) == len(expected), wanted
        assert list(walked(tx, wanted, chance.randrange(1, 6))) == expected, wanted
        found += bool(expected)
    assert found > drawn / 3


def walked(tx, wanted, limit):
    """Yield the ids of a search, page by page as a person reads them: each begins behind the last message of the one before."""
    while page := list(search.find_messages(tx, wanted, limit)):
        assert len(page) <= limit
        yield from (one.id for one in page)
        wanted = attrs.evolve(wanted, after=page[-1].id)


@contextmanager
def steps(engine):
    """Count what SQLite's virtual machine does."""
    count = 0

    def step():
        nonlocal count
        count += 1

    with transactions.read_transaction(engine) as tx:
        raw = tx.connection.driver_connection
        assert raw is not None
        raw.set_progress_handler(step, 1)
        yield tx, lambda: count
        raw.set_progress_handler(None, 0)


@pytest.fixture(scope="module")
def journals(tmp_path_factory):
    """Two journals alike, one five times as large."""
    engines = []
    for count in (2_000, 10_000):
        engine = transactions.open_journal(sqlite(tmp_path_factory.mktemp("kept") / "hub.db"))
        fill(engine, count)
        engines.append((engine, count))
    yield engines
    for engine, _ in engines:
        engine.dispose()


@pytest.mark.parametrize("name", searches(2_000))
@pytest.mark.slow
def test_a_page_costs_the_same_in_a_larger_journal(journals, name, monkeypatch):
    """The two conditions of a search are compared by at most so many messages each."""
    monkeypatch.setattr(search, "_MANY", 20)
    few, many = (read_page(engine, searches(count)[name]) for engine, count in journals)
    assert many[1] >= few[1]
    wanted = searches(2_000)[name]
    terms = wanted.words or wanted.refusal or wanted.answer
    each = 200 if terms or wanted.visible else 60  # a candidate is looked at
    # of a term, some more rows are read together
    allowed = max(1.5 * few[0], few[0] + each * (many[1] - few[1]) + (1_000 if terms else 200))
    # of several words, the postings of each 72 minutes are compared, by some steps of an index
    allowed += 40 * max(0, len(wanted.words) - 1) * (10_000 - 2_000) * PACE * 1e6 / 2**32 + 100 * len(wanted.words)
    assert many[0] <= allowed, (few, many)


def read_page(engine, wanted):
    """Return the steps of a page of ten, and how many messages it has."""
    with steps(engine) as (tx, taken):
        page = list(search.find_messages(tx, wanted, 10))
        return taken(), len(page)


@pytest.mark.parametrize("name", searches(2_000))
def test_no_search_looks_at_every_message(journals, name):
    engine, count = journals[0]
    wanted = searches(count)[name]
    for look in (lambda tx: list(search.find_messages(tx, wanted, 10)), lambda tx: search.count_messages(tx, wanted)):
        for statement, ways in plans(str(engine.url), look):
            scans = [way for way in ways if way.startswith("SCAN") and "anon" not in way]
            every = name in ("all", "delivered")
            beside = name == "within the province"  # most are, so a page is soon full
            assert not scans or beside or (every and all("INDEX" in way for way in scans)), (statement, ways)
            by_id = "message_id" in statement or "document_id = " in statement or "postings" in statement
            assert "USE TEMP B-TREE FOR ORDER BY" not in ways or by_id, (statement, ways)


def test_of_conditions_with_very_many_messages_the_rarer_one_is_read(journals, monkeypatch):
    """A unit has 2,900 of the 10,000 messages, and ten are recalls; `vp` is a word of nearly all, so a unit is not read for it."""
    for name in ("_MANY", "_WORDED"):
        monkeypatch.setattr(search, name, 5)
    engine, _ = journals[1]
    with transactions.read_transaction(engine) as tx:
        for very_many, wanted, left in (
            (50, MessageFilter(unit="H55.01", kind="recall"), MessageFilter(unit="H55.01")),
            (5, MessageFilter(unit="H55.01", delivery_state="dead"), MessageFilter(unit="H55.01")),
            (5, MessageFilter(unit="H55.01", words=("vp",)), MessageFilter(unit="H55.01", words=("vp",))),
            (50, MessageFilter(unit="H55.7", words=("vp",)), MessageFilter(words=("vp",))),
        ):
            monkeypatch.setattr(search, "_VERY_MANY", very_many)
            assert search._choose_ranges(tx, wanted, TermIndex(tx)).left == left


@pytest.fixture(scope="module")
def large(postgresql):
    """A journal on PostgreSQL with so many messages that a look at all of them is not the fastest way."""
    with postgresql.database() as url:
        engine = transactions.open_journal(url)
        fill(engine, 20_000)
        yield engine
        engine.dispose()


@pytest.mark.parametrize("name", searches(20_000))
def test_no_search_looks_at_every_message_on_postgresql(large, name):
    wanted = searches(20_000)[name]
    found = []

    def explain(connection, _cursor, statement, parameters, _context, _many):
        if "FROM message" in statement or "FROM delivery" in statement:
            with connection.connection.cursor() as beside:
                found.append(
                    (statement, "\n".join(row[0] for row in beside.execute(f"EXPLAIN {statement}", parameters)))
                )

    sa.event.listen(large, "before_cursor_execute", explain)
    try:
        with transactions.read_transaction(large) as tx:
            page = list(search.find_messages(tx, wanted, 10))
            pages = len(found)
            assert search.count_messages(tx, wanted) >= len(page)
    finally:
        sa.event.remove(large, "before_cursor_execute", explain)
    assert found or wanted.words  # whose terms no message has together
    for number, (statement, plan) in enumerate(found):
        counts_every = number >= pages and name in ("all", "delivered", "large unit", "within the province")
        assert not re.search("Seq Scan on (message|delivery|event|search)", plan) or counts_every, (
            f"{statement}\n{plan}"
        )


def test_intake_uses_no_index_that_is_there_for_searches(tmp_path):
    """SQLite, which knows no statistics, would read all messages of a unit, or all deliveries to it, for one document."""
    engine, ways = transactions.open_journal(sqlite(tmp_path / "hub.db"), pooled=False), dict[str, list[str]]()

    def explain(connection, _cursor, statement, parameters, _context, many):
        if statement.startswith(("SELECT", "UPDATE")):
            beside = connection.connection.cursor()
            rows = beside.execute(f"EXPLAIN QUERY PLAN {statement}", parameters[0] if many else parameters)
            ways[statement] = [row[3] for row in rows]

    sa.event.listen(engine, "before_cursor_execute", explain)
    recall = attrs.evolve(document("H55.13", document_id="R1"), kind=PacketKind.RECALL, responses=status("").responses)
    by_number = status("03", document_id="", number="7816/VPUB", date="2026/11/20")
    packets = [
        recall,
        document(),
        recall,
        status("15"),
        status("16", document_id=""),
        by_number,
        status("13", "H55.13"),
    ]
    with transactions.write_transaction(engine) as tx:
        for number, packet in enumerate(packets):
            whose = "sotttt" if packet.sender == "H55.13" else "vpub"
            assert not messages.record_message(tx, entry(packet, number, partner=whose), ROUTES).problems
        assert statuses.read_status_traces(tx, "H55.13")
    engine.dispose()
    traces = [statement for statement in ways if "message.answers_unit" in statement]
    assert len(ways) - len(traces) > 15
    for statement, found in ways.items():
        for way in found:
            assert not re.match(r"SCAN (message|delivery)\b", way), (statement, found)
            if statement not in traces:
                assert not re.search(r"ix_message_(sender|partner|kind)|ix_delivery_to_", way), (statement, found)


@pytest.mark.parametrize(
    "look",
    [
        publications.list_publications,
        lambda tx: revisions.list_sealed_messages(tx, "H55", "06a", "2026-11"),
        lambda tx: message_reading.find_messages_about(tx, "dossiers", "k", None, 5, brought_by="p7"),
    ],
    ids=["publications", "revisions", "of a partner"],
)
def test_what_a_partner_sent_is_found_without_a_look_at_what_others_sent(journals, look):
    ((_, ways),) = [each for each in plans(str(journals[0][0].url), look) if each[1]]
    assert "SEARCH message USING INDEX ix_message_partner (partner=? AND state=?)" in ways


def test_the_undelivered_are_counted_by_an_index_alone(journals):
    counted = sa.select(delivery.c.state, delivery.c.partner, sa.func.min(delivery.c.since)).where(UNDELIVERED)
    counted = counted.group_by(delivery.c.state, delivery.c.partner)
    found = plans(str(journals[0][0].url), lambda tx: tx.execute(counted).all())
    assert ["SCAN delivery USING COVERING INDEX ix_delivery_undelivered"] in [ways for _, ways in found]
