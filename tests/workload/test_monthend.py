"""A month is closed by itself once it is over, once; what came late makes its revision; a stop breaks the counting off."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from hub.config.reports import Teller
from hub.domain.errors import ConfigurationFault, Mistake, Unready
from hub.domain.ids import make_id
from hub.domain.model import Fact, Unit
from hub.journal import duties, unit_registry
from hub.language.phrases import phrase
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.period import parse_period
from hub.store import tables, transactions
from hub.store.inline_database import InlineDatabase
from hub.store.transactions import Transaction
from hub.workload import closing, closing_plan, row_revisions
from hub.workload.month_end import MonthEnd
from tests import databases

BOOK = read_shipped_book()
NOVEMBER, DECEMBER = parse_period("2026-11"), parse_period("2026-12")


@attrs.define(eq=False)
class Held:
    """A hub's month ends on a clock that the test moves."""

    engine: sa.Engine
    clock: Clock = attrs.field(factory=Clock)
    start: datetime = BOOK.find_automatic_closing_time(DECEMBER) - timedelta(minutes=3)

    def now(self) -> datetime:
        """Return the time on the wall."""
        return self.start + timedelta(seconds=self.clock.seconds())

    def put(self, *facts: Fact) -> None:
        """Record *facts*."""
        with transactions.write_transaction(self.engine) as tx:
            for fact in facts:
                row = {"id": fact.message, "partner": "p", "message_id": fact.message, "service": fact.service}
                row |= {"kind": "k", "state": "accepted", "sha256": "0" * 64}
                tx.execute(sa.insert(tables.message), [{**row, "received_at": fact.at, "size": 1}])
                tx.execute(sa.insert(tables.fact), [attrs.asdict(fact)])

    def closed(self, form: str = "mail") -> list[str]:
        """Return which months of *form* are closed."""
        with transactions.read_transaction(self.engine) as tx:
            return [each.period.text for each in closing_plan.read_closings(tx, form)]

    def revisions(self, period: str) -> list[int]:
        """Return the revisions of the mail row of unit A in *period*."""
        with transactions.read_transaction(self.engine) as tx:
            row = tables.closed_row.c
            mine = sa.and_(row.form == "mail", row.period == period, row.unit == "A")
            return list(tx.scalars(sa.select(row.revision).where(mine).order_by(row.revision)))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield Held(engine)
    engine.dispose()


def sent(day: str, at: datetime, amount: int = 1) -> Fact:
    said = date.fromisoformat(day)
    return Fact(
        unit="A", service="mail", key=day, milestone="sent-internal", at=at, message=day, day=said, amount=amount
    )


def minutes(held: Held, count: int) -> None:
    held.clock.pump([60.0] * count)


def test_the_months_that_are_over_are_closed_in_turn_at_noon_of_the_first_working_day(held: Held):
    held.put(
        sent("2026-10-20", NOVEMBER.start + timedelta(days=5)), sent("2026-11-20", DECEMBER.start + timedelta(days=5))
    )
    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now)
    service.startService()
    minutes(held, 2)
    assert held.closed() == ["2026-11"], "what was over when the hub started is caught up with"
    minutes(held, 2)
    assert held.closed() == ["2026-11"], "a fact may still be under way"
    minutes(held, 3)
    assert held.closed() == held.closed("edoc") == ["2026-11", "2026-12"]
    minutes(held, 5)
    assert held.closed() == ["2026-11", "2026-12"]
    _ = service.stopService()


def test_the_accounts_of_a_unit_that_has_ended_pass_before_its_month_is_closed(held: Held):
    with transactions.write_transaction(held.engine) as tx:
        ended = Unit("A", "A", until=date(2026, 11, 25), successors=("B",))
        unit_registry.write_registry_units(tx, [ended, Unit("B", "B")])
    told = sent("2026-11-20", DECEMBER.start + timedelta(days=5), 50)
    held.put(attrs.evolve(told, milestone="accounts-issued"))
    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now)
    with capture_logs() as logs:
        service.startService()
        minutes(held, 10)
    assert [each["units"] for each in logs if each["event"] == "accounts-moved"] == ["A"]
    with transactions.read_transaction(held.engine) as tx:
        rows = sa.select(tables.closed_row.c.numbers).where(tables.closed_row.c.form == "mail")
        (numbers,) = map(json.loads, tx.scalars(rows.where(tables.closed_row.c.unit == "A")))
    assert (numbers["accounts"], numbers["handed_over"]) == (0, 50)
    _ = service.stopService()


def test_for_a_partner_that_was_not_heard_the_hub_waits_a_working_day_and_says_so_once(held: Held):
    begun = DECEMBER.start + timedelta(days=2)
    for day in range(12):
        at = begun + timedelta(days=day)
        held.put(attrs.evolve(sent(f"2026-11-{17 + day}", at), message=make_id(at)))
    book = attrs.evolve(BOOK, tellers=(Teller("p", ("A",)),))
    held.start = BOOK.find_automatic_closing_time(DECEMBER)
    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now, lambda: book)
    with capture_logs() as logs:
        service.startService()
        minutes(held, 60)
    waits = [each for each in logs if each["event"] == "month-waits"]
    assert [(each["period"], each["partners"]) for each in waits] == [("2026-12", "p:unheard")]
    assert held.closed() == []
    held.clock.advance(3600 * 24)
    minutes(held, 12)
    assert held.closed() == ["2026-12"]
    _ = service.stopService()


def test_what_came_late_makes_a_revision_on_the_next_day(held: Held):
    held.put(sent("2026-10-20", NOVEMBER.start + timedelta(days=5)))
    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now)
    service.startService()
    minutes(held, 10)
    held.put(sent("2026-10-21", held.now()))
    held.clock.advance(3600 * 24)
    minutes(held, 1)
    assert held.revisions("2026-11") == [1, 2]
    held.clock.advance(3600 * 24)
    minutes(held, 1)
    assert held.revisions("2026-11") == [1, 2]
    _ = service.stopService()


def test_what_has_the_time_of_before_and_came_after_is_found_the_day_after(held: Held):
    held.put(sent("2026-10-20", NOVEMBER.start + timedelta(days=5)))
    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now)
    service.startService()
    minutes(held, 10)
    held.put(sent("2026-12-10", DECEMBER.end - timedelta(seconds=1)))
    held.clock.advance(3600 * 24)
    minutes(held, 1)
    assert held.revisions("2026-12") == [2], "there was nothing of the unit, and now there is"
    _ = service.stopService()


def test_a_revision_that_the_journal_did_not_take_is_made_at_the_next_look(held: Held):
    held.put(sent("2026-10-20", NOVEMBER.start + timedelta(days=5)))
    refused: list[Any] = []

    class Away(InlineDatabase):
        def write(self, step: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
            if step is row_revisions.revise_unit and not refused:
                refused.append(step)
                return fail(Unready("journal-unavailable", "x"))
            return super().write(step, *args, **kwargs)

    service = MonthEnd(Away(held.engine), held.clock, held.now)
    service.startService()
    minutes(held, 10)
    held.put(sent("2026-12-10", DECEMBER.end - timedelta(seconds=1)))
    held.clock.advance(3600 * 24)
    minutes(held, 2)
    assert refused
    assert held.revisions("2026-12") == [2]
    _ = service.stopService()


def test_months_are_closed_by_the_provinces_own_forms_as_soon_as_these_are_right(held: Held):
    held.put(sent("2026-10-20", NOVEMBER.start + timedelta(days=5)))
    wrong = [True]

    def own() -> Book:
        if wrong:
            raise ConfigurationFault([Mistake("bieu/mail.toml: id", phrase("is missing"), phrase("a text"))])
        book = read_shipped_book()
        return attrs.evolve(book, forms=tuple(form for form in book.forms if form.id == "mail"))

    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now, own)
    service.startService()
    minutes(held, 2)
    assert held.closed() == []
    wrong.clear()
    minutes(held, 2)
    assert (held.closed(), held.closed("edoc")) == (["2026-11"], [])
    _ = service.stopService()


def test_a_journal_that_does_not_answer_is_asked_again(held: Held):
    held.put(sent("2026-10-20", NOVEMBER.start + timedelta(days=5)))
    away = [True]

    class Away(InlineDatabase):
        def read(self, step: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
            return fail(Unready("journal-unavailable", "x")) if away.pop() else super().read(step, *args, **kwargs)

    database = Away(held.engine)
    away[:] = [False] * 1000 + [True]
    service = MonthEnd(database, held.clock, held.now)
    service.startService()
    minutes(held, 1)
    assert held.closed() == []
    minutes(held, 1)
    assert held.closed() == ["2026-11"]
    _ = service.stopService()


def test_a_stop_breaks_the_counting_off_and_the_next_start_closes_the_month(held: Held):
    held.put(sent("2026-10-20", NOVEMBER.start + timedelta(days=5)))
    stopped: list[Deferred[None]] = []

    class Stopping(InlineDatabase):
        def read(self, step: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
            def run(tx: Transaction) -> Any:
                if not stopped:
                    stopped.append(service.stopService())
                return step(tx, *args, **kwargs)

            return super().read(run)

    service = MonthEnd(Stopping(held.engine), held.clock, held.now)
    service.startService()
    minutes(held, 1)
    assert stopped
    assert held.closed() == []
    again = MonthEnd(InlineDatabase(held.engine), held.clock, held.now)
    again.startService()
    minutes(held, 1)
    assert held.closed() == ["2026-11"]
    _ = again.stopService()


def test_a_month_that_another_process_closes_is_left_to_it_and_looked_at_again(held: Held):
    held.put(sent("2026-10-20", NOVEMBER.start + timedelta(days=5)))
    with transactions.write_transaction(held.engine) as tx:
        plan = closing.begin_closing(tx, read_shipped_book(), "mail", None, held.now(), "another")
        assert plan is not None
    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now)
    service.startService()
    minutes(held, 2)
    assert (held.closed("mail"), held.closed("edoc")) == ([], ["2026-11"])
    with transactions.write_transaction(held.engine) as tx:
        closing.abandon_closing(tx, plan)
    minutes(held, 1)
    assert held.closed("mail") == ["2026-11"]
    _ = service.stopService()


def test_the_time_is_utc():
    assert DECEMBER.end.tzinfo is UTC


def test_a_month_waits_for_facts_that_were_received_in_it_and_no_other_form_does(held: Held):
    late = sent("2026-11-20", DECEMBER.start + timedelta(days=5))
    held.put(late, attrs.evolve(late, service="dossiers", milestone="received", message="d"))
    with transactions.write_transaction(held.engine) as tx:
        owed = duties.pack_facts([attrs.evolve(late, unit="B")])
        duties.record_duty(tx, late.message, late.at, "mail", owed)
    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now)
    service.startService()
    minutes(held, 10)
    assert (held.closed("mail"), held.closed("dossiers")) == ([], ["2026-12"])
    duties.write_outstanding_facts(held.engine)
    minutes(held, 2)
    assert held.closed("mail") == ["2026-12"]
    with transactions.read_transaction(held.engine) as tx:
        made = closing_plan.read_closings(tx, "mail")[0]
        assert sorted(row_revisions.read_newest_rows(tx, made.form, ["2026-12"])["2026-12"]) == ["A", "B"]
    _ = service.stopService()


def test_unusual_figures_hold_up_no_closing_and_are_logged(held: Held):
    months = [parse_period(text) for text in ("2026-09", "2026-10", "2026-11", "2026-12")]
    for month, amount in zip(months, (40, 40, 40, 150), strict=True):
        held.put(sent(str(month.first), month.start + timedelta(days=5), amount))
    service = MonthEnd(InlineDatabase(held.engine), held.clock, held.now)
    with capture_logs() as logged:
        service.startService()
        minutes(held, 10)
    assert held.closed() == [month.text for month in months]
    told = [said for said in logged if said["event"] == "unusual-figures"]
    assert told == [
        {"event": "unusual-figures", "log_level": "warning", "form": "mail", "period": "2026-12", "unusual": 1}
    ]
    _ = service.stopService()
