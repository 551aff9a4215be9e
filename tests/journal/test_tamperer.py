"""Somebody with all rights on the database edits it: nothing false of a closed month is given out, and each edit is named."""

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from hub.domain.errors import Rejected
from hub.domain.model import Event
from hub.journal import blobs, events
from hub.keeping import fact_audit, integrity
from hub.report.counting.counting import Report
from hub.report.counting.marks import require_untampered
from hub.store.tables import attestation, closed_month, closed_row, content, event, fact, message
from hub.store.tables import closing as closing_table
from hub.store.transactions import Transaction
from hub.workload import attestations, unit_report
from tests.journal.test_attestations import AFTER, HUB, STRANGER, book, closed, trust

__all__ = ["book", "trust"]  # fixtures
EDITS = 200
UNITS = ("A", "B")


def chained(tx: Transaction) -> None:
    while events.chain_events(tx):
        pass


@pytest.fixture
def town(tx: Transaction, book: Any) -> Transaction:
    """A journal with a closed month, whose events are numbered and whose messages have octets."""
    tx.execute(sa.delete(content))
    closed(tx, book)
    for each in tx.scalars(sa.select(message.c.id)).all():
        sha256 = hashlib.sha256(each.encode()).hexdigest()
        blobs.keep_blob(tx, sha256, each.encode())
        tx.execute(sa.update(message).where(message.c.id == each).values(sha256=sha256))
        events.append_events(tx, Event("message-accepted", AFTER, each, body={"message_id": each, "sha256": sha256}))
    chained(tx)
    attestations.attest_rows(tx, HUB, "dossiers", "2026-11", [("A", 1)], AFTER)
    chained(tx)
    attestations.keep_head(book.trust.head, attestations.read_head(tx))
    return tx


def count(tx: Transaction, book: Any, unit: str) -> Report:
    return unit_report.resolve_report_sources(tx, unit, "2026-11", "dossiers", book).count(AFTER)


def is_given_out(report: Report) -> bool:
    try:
        require_untampered(report.marks)
    except Rejected:
        return False
    return True


def find_all(tx: Transaction, book: Any, seen: tuple[int, str]) -> list[str]:
    """Return what `lienthong db verify --facts` says. *seen*: the end of the chain in the witness."""
    found = [f"attestation {number}" for number in attestations.find_broken_attestations(tx, book.trust)]
    found += [f"link {number}" for number in attestations.find_changed_links(tx)]
    found += map(str, attestations.find_lost_attestations(tx, attestations.read_kept_head(book.trust.head)))
    for form, period in attestations.list_attested_months(tx):
        found += map(str, attestations.find_tampering(tx, book.trust, form, [period]))
    found += map(str, [*integrity.find_chain_damage(tx), *integrity.find_content_damage(tx)])
    found += map(
        str, [*fact_audit.compare_facts(tx, None).findings, *fact_audit.compare_fact_events(tx, None).findings]
    )
    if events.read_link_hashes(tx, [seen[0]]).get(seen[0]) != seen[1]:
        found.append("the end of the chain")
    return found


def changed(value: Any, draw: random.Random) -> Any:
    """Return another value of the same sort."""
    if isinstance(value, int):
        return value + draw.randint(1, 9)
    if value is None:
        return "2026-11-01"
    return value + draw.choice(" 0") if isinstance(value, str) else value


def edit_value(tx: Transaction, draw: random.Random, table: sa.Table, *, typed: bool = False) -> None:
    """Change a column of one row, to another value or, *typed*, to one of another type."""
    bare = sa.table(table.name, *(sa.column(each.name) for each in table.c))
    keys = [column.name for column in table.primary_key]
    rows = tx.execute(sa.select(bare)).mappings().all()
    row = draw.choice([each for each in rows if table is not attestation or each["form"]])
    name = draw.choice([column.name for column in table.c if column.name not in {*keys, "trace", "parent"}])
    new: Any = changed(row[name], draw)
    if isinstance(row[name], bytes | memoryview):
        new = bytes(row[name]) + b"x"
    elif table.c[name].type.python_type is bool:
        new = not row[name]
    if name == "attributes":
        new = '{"field":"x"}'
    if typed:
        new = draw.choice([b"\xff\x00", 7.5, "no number"])
    elif getattr(table.c[name].type, "length", None) == len(str(row[name])):
        new = "f" * len(str(row[name])) if set(str(row[name])) != {"f"} else "e" * len(str(row[name]))
    place = [bare.c[key] == row[key] for key in keys]
    tx.execute(sa.update(bare).where(*place).values({name: new}))


def remove_row(tx: Transaction, draw: random.Random, table: sa.Table) -> None:
    bare = sa.table(table.name, *(sa.column(each.name) for each in table.c))
    keys = [column.name for column in table.primary_key]
    row = draw.choice(tx.execute(sa.select(bare)).mappings().all())
    tx.execute(sa.delete(bare).where(*(bare.c[key] == row[key] for key in keys)))


def edit_figure(tx: Transaction, draw: random.Random) -> None:
    row = draw.choice(tx.execute(sa.select(closed_row)).all())
    numbers = json.loads(row.numbers)
    numbers[draw.choice(sorted(numbers))] += draw.choice((-1, 1, 5))
    place = sa.and_(closed_row.c.unit == row.unit, closed_row.c.revision == row.revision)
    tx.execute(sa.update(closed_row).where(place).values(numbers=json.dumps(numbers, separators=(",", ":"))))
    if draw.random() < 0.5:  # with another key, as thoroughly as the database allows
        tx.execute(sa.delete(attestation).where(attestation.c.form != ""))
        attestations.attest_closing(tx, STRANGER, "dossiers", "2026-11", AFTER)


def edit_event_and_chain(tx: Transaction, draw: random.Random) -> None:
    """Change the text of an event, and make the chain whole again from there."""
    rows = tx.execute(sa.select(event).order_by(event.c.number)).all()
    row = draw.choice(rows)
    tx.execute(sa.update(event).where(event.c.serial == row.serial).values(text=row.text[:-1] + ',"x":1}'))
    link = events.ORIGIN
    for each in tx.execute(sa.select(event).order_by(event.c.number)).all():
        link = events._link_event(link, each.text)
        tx.execute(sa.update(event).where(event.c.serial == each.serial).values(hash=link))


def cut_tail(tx: Transaction, draw: random.Random) -> None:
    last, _ = events.read_chain_head(tx)
    tx.execute(sa.delete(event).where(event.c.number > last - draw.randint(1, 5)))


def plant_fact(tx: Transaction, draw: random.Random) -> None:
    columns = [sa.literal(f"x{draw.random()}").label("key") if c.name == "key" else c for c in fact.c]
    planted = sa.select(*columns).where(fact.c.key == "1")
    tx.execute(sa.insert(fact).from_select([column.name for column in fact.c], planted))


Way = Callable[[Transaction, random.Random], None]


def ways(dialect: str) -> Iterator[tuple[str, Way]]:
    yield "figure", edit_figure
    for table in (closed_row, closing_table, closed_month, fact, event, content, attestation):
        yield f"value of {table.name}", partial(edit_value, table=table)
        yield f"row of {table.name}", partial(remove_row, table=table)
    yield "event and chain", edit_event_and_chain
    yield "tail", cut_tail
    yield "planted fact", plant_fact
    if dialect == "sqlite":
        for table in (closed_row, closing_table, closed_month, content, attestation):
            yield f"type in {table.name}", partial(edit_value, table=table, typed=True)


def test_of_200_drawn_edits_nothing_false_is_given_out_and_each_is_named(town, book):
    tx, draw = town, random.Random(36)
    seen = events.read_chain_head(tx)
    true = {unit: count(tx, book, unit) for unit in UNITS}
    assert all(is_given_out(each) for each in true.values())
    assert find_all(tx, book, seen) == []
    unnamed, false = list[str](), list[str]()
    for number, (name, way) in zip(range(EDITS), itertools.cycle(list(ways(tx.dialect.name))), strict=False):
        before = {table.name: _read(tx, table) for table in _TABLES}
        kept = tx.begin_nested()
        try:
            way(tx, draw)
        except sa.exc.DBAPIError:  # a value that the database takes from nobody
            kept.rollback()
            continue
        if before != {table.name: _read(tx, table) for table in _TABLES}:
            for unit in UNITS:
                try:
                    report = count(tx, book, unit)
                except Rejected:
                    continue  # it cannot even be read
                if is_given_out(report) and (report.rows, report.total) != (true[unit].rows, true[unit].total):
                    false.append(f"{number} {name}")
            if not find_all(tx, book, seen):
                unnamed.append(f"{number} {name}")
        kept.rollback()
    assert (false, unnamed) == ([], [])


_TABLES = (closed_row, closing_table, closed_month, fact, event, content, attestation)


def _read(tx: Transaction, table: sa.Table) -> list[Any]:
    bare = sa.table(table.name, *(sa.column(each.name) for each in table.c))
    return sorted(map(repr, tx.execute(sa.select(bare)).all()))
