"""No two reports of a month disagree about one number, however and whenever their forms were closed."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import count

import pytest

from hub.domain.model import Fact
from hub.report.counting.counting import Report
from hub.report.form.book import read_shipped_book
from hub.report.form.period import Period, parse_period
from hub.store.transactions import Transaction
from hub.workload import closing, row_revisions, unit_report
from tests.journal.test_closing import AFTER, in_steps, put

BOOK = read_shipped_book()
NOVEMBER, DECEMBER = parse_period("2026-11"), parse_period("2026-12")
#: Two forms of one service, one of documents, one whose late facts make revisions.
FORMS = ("dossiers", "ii06a", "btp07a", "edoc", "mail")
UNITS = ("A", "B")
_NUMBERS = count()


def tell(tx: Transaction, day: date, at: datetime) -> None:
    """Record, in each unit, a dossier received and finished on *day*, a mail figure of it, and a document, as told *at*."""
    for unit in UNITS:
        key = f"{unit}{next(_NUMBERS)}"
        received = (("channel", "online"),)
        put(
            tx,
            *(
                Fact(
                    unit=unit,
                    service=service,
                    key=key,
                    milestone=milestone,
                    at=at,
                    message=f"{key} {milestone}",
                    day=None if service == "documents" else day,
                    attributes=received if milestone == "received" else (),
                )
                for service, milestone in (
                    ("dossiers", "received"),
                    ("dossiers", "finished"),
                    ("mail", "sent-internal"),
                    ("documents", "sent"),
                )
            ),
        )


def count_report(tx: Transaction, form: str, period: str) -> Report:
    return unit_report.resolve_report_sources(tx, "A", period, form, BOOK).count(AFTER)


def list_disagreements(tx: Transaction, period: str) -> Iterator[tuple[str, str, object, object]]:
    """Yield each number that a form takes from another and that this one says otherwise; and where the forms of dossiers
    differ in what both count.
    """
    # `dichvucong` counts the services of a list, and no numbers of its base: tests/journal/test_services_used.py
    derived = [form for form in BOOK.forms if form.bases and form.id != "dichvucong"]
    named = {"dossiers", "ii06a", *(each for form in derived for each in (form.id, *form.bases))}
    numbers = {form: count_report(tx, form, period).total.numbers for form in named}
    for form in derived:
        for column in form.columns:
            if column.taken is not None:
                base, key = column.taken
                if (mine := numbers[form.id][column.key]) != (theirs := numbers[base][key]):
                    yield form.id, column.key, mine, theirs
    one, other = numbers["dossiers"], numbers["ii06a"]
    for key, same in (("received", "received_online"), ("finished", "settled"), ("pending", "pending")):
        mine = one[key]
        if mine != other[same]:
            yield "dossiers", key, mine, other[same]
    for key in ("received", "carried_over", "settled", "settled_late", "pending", "pending_overdue", "taken_over"):
        if numbers["btp07a"][key] != other[key]:
            yield "btp07a", key, numbers["btp07a"][key], other[key]


def close(tx: Transaction, period: Period, order: tuple[str, ...], late: timedelta, *, by_hand: bool) -> None:
    """Close *period* in each form, in *order*. Between two closings, facts of the month arrive."""
    at = period.end + late
    for form in order:
        if by_hand:
            in_steps(tx, BOOK, form, period, at)
        else:
            closing.close_month(tx, BOOK, form, period, at, "hub")
        tell(tx, period.last, at + timedelta(seconds=1))
        at += timedelta(seconds=2)


@pytest.mark.parametrize(
    "order", [FORMS, ("mail", "ii06a", "edoc", "btp07a", "dossiers")], ids=["dossiers first", "mail first"]
)
@pytest.mark.slow
def test_reports_of_one_month_agree_in_whatever_order_its_forms_are_closed_and_facts_arrive(tx, order):
    tell(tx, NOVEMBER.first, NOVEMBER.start + timedelta(hours=9))
    close(tx, NOVEMBER, order, timedelta(hours=12), by_hand=False)
    tell(tx, DECEMBER.first, DECEMBER.start + timedelta(days=3))
    close(tx, DECEMBER, order[::-1], timedelta(minutes=3), by_hand=True)
    tell(tx, NOVEMBER.last, DECEMBER.end + timedelta(days=2))
    periods = ("2026-11", "2026-12", "2027-01", "2026-Q4")
    assert [each for period in periods for each in list_disagreements(tx, period)] == []
    for period in ("2026-11", "2026-12"):
        for unit in UNITS:
            row_revisions.revise_unit(
                tx, "mail", period, unit, reason="", by="hub", now=DECEMBER.end + timedelta(days=3)
            )
    assert [each for period in periods[:2] for each in list_disagreements(tx, period)] == []
    received = [count_report(tx, "ii06a", period).total.numbers["received_online"] for period in periods[:3]]
    mailed = [count_report(tx, "mail", period).total.numbers["sent"] for period in periods[:3]]
    told = 2 * len(FORMS) + 3  # in each unit: after each closing of two months, and three times else
    assert sum(int(each or 0) for each in received) == sum(int(each or 0) for each in mailed) == told, "once each"
