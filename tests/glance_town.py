"""Draws the facts of a small province over some months, for the pages about all units. Knows tables; counts nothing."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Fact, Unit, UnitKind, UnitLevel
from hub.journal import unit_registry
from hub.report.form.book import Book
from hub.report.form.period import Period
from hub.store.tables import fact as facts_table
from hub.store.tables import message
from hub.store.transactions import Transaction
from hub.workload import closing, closing_plan

#: A province, two departments with two centres, three communes with a school; one centre ends, one begins.
UNITS = (
    Unit("H55", "UBND tỉnh Sông Ngân", level=UnitLevel.PROVINCE, kind=UnitKind.COMMITTEE),
    Unit("H55.1", "Sở Nội vụ", "H55", level=UnitLevel.PROVINCE, kind=UnitKind.DEPARTMENT),
    Unit("H55.1.1", "Trung tâm Lưu trữ", "H55.1", until=date(2026, 9, 1)),
    Unit("H55.2", "Sở Tài chính", "H55", level=UnitLevel.PROVINCE, kind=UnitKind.DEPARTMENT),
    Unit("H55.2.1", "Trung tâm Tin học", "H55.2", since=date(2026, 10, 1)),
    *(
        Unit(f"H55.4{number}", f"UBND xã {number}", "H55", level=UnitLevel.COMMUNE, kind=UnitKind.COMMITTEE)
        for number in range(1, 4)
    ),
    Unit("H55.41.1", "Trường Tiểu học", "H55.41"),
)


def draw_facts(seed: int, months: list[Period], each: int = 60) -> list[Fact]:
    """Return drawn facts of documents, dossiers and mail: *each* keys in a month, their results over the next weeks."""
    chance, found = random.Random(seed), list[Fact]()

    def add(unit: str, service: str, key: str, milestone: str, on: date, **rest: Any) -> None:
        at = months[0].start + timedelta(days=(on - months[0].first).days, hours=8, seconds=len(found))
        found.append(
            Fact(
                unit=unit, service=service, key=key, milestone=milestone, at=at, message=f"{seed}-{len(found)}", **rest
            )
        )

    for month in months:
        for number in range(each):
            day = month.first + timedelta(days=chance.randrange(28))
            codes = [one.code for one in UNITS if one.since is None or one.since <= day]
            unit = chance.choice(codes)
            due = day + timedelta(days=chance.randrange(3, 15))
            key = f"{month.text} {number}"
            if number % 3 == 0:
                add(unit, "documents", key, "sent", day, signature=chance.choice(["valid", "unsigned"]))
                add(chance.choice(codes), "documents", key, "received", day, due=due)
                unit = found[-1].unit
                for step in ("status-03", "status-06"):
                    day += timedelta(days=chance.randrange(1, 12))
                    if chance.random() < 0.7:
                        add(unit, "documents", key, step, day)
            elif number % 3 == 1:
                said = ("channel", chance.choice(["online", "direct"])), ("field", chance.choice(["HT", "DD", "CT"]))
                add(unit, "dossiers", key, "received", day, day=day, due=due, attributes=said)
                if chance.random() < 0.8:
                    done = day + timedelta(days=chance.randrange(1, 25))
                    add(unit, "dossiers", key, "finished", done, day=done)
            else:
                add(
                    unit,
                    "mail",
                    f"{unit}/{day}/{number}",
                    "sent-internal",
                    day,
                    day=day,
                    amount=chance.randrange(1, 50),
                )
                add(unit, "mail", f"{unit}/{day}/{number}", "accounts-issued", day, day=day, amount=number)
    return found


def put_facts(tx: Transaction, facts: list[Fact]) -> None:
    """Record *facts*, each with a message."""
    rows = [
        {"id": one.message, "partner": "p", "message_id": one.message, "service": one.service, "kind": "k"}
        | {"state": "accepted", "received_at": one.at, "sha256": "0" * 64, "size": 1}
        for one in facts
    ]
    tx.execute(sa.insert(message), rows)
    tx.execute(sa.insert(facts_table), [attrs.asdict(one) for one in facts])


def live_months(tx: Transaction, book: Book, seed: int, months: list[Period], closed: int, each: int = 60) -> None:
    """Write the units and drawn facts of *months*, and close the first *closed* of these in every form."""
    unit_registry.write_registry_units(tx, UNITS)
    put_facts(tx, draw_facts(seed, months, each))
    for month in months[:closed]:
        close_forms(tx, book, month)


def close_forms(tx: Transaction, book: Book, month: Period) -> None:
    """Close *month* in every form."""
    for form in closing_plan.list_counting_forms(book.forms):
        closing.close_month(tx, book, form, month, month.end + timedelta(days=1), "an")


def list_months(year: int, numbers: range) -> Iterator[str]:
    """Yield the texts of months."""
    return (f"{year}-{number:02d}" for number in numbers)
