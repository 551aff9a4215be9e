"""The last day of the links is written before its month is closed, whichever node saw it: it counts in its own month."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.task import Clock

from hub.domain.model import Fact
from hub.journal import duties
from hub.monitoring import link_rows
from hub.monitoring.link_prober import LinkProber
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.services.links.probes import Link, LinkStanding, LinkState, Minutes
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.units.live import Live, Setup
from hub.workload import closing, closing_plan, row_revisions, unit_report
from hub.workload.closing_plan import FactsOutstanding, LinkDaysOutstanding
from hub.workload.month_end import MonthEnd
from tests.journal.test_closing import put
from tests.monitoring.test_prober import province

BOOK = read_shipped_book()
NOVEMBER = parse_period("2026-11")
GATE = Link(name="gate", host="10.0.0.1", port=22, tls=False, units=("H55.13",), partner=False)
AFTER = datetime(2027, 6, 1, tzinfo=UTC)


def store_minutes(tx: transactions.Transaction, node: str, day: date, minutes: int) -> None:
    """Store that *node* saw the link in the first *minutes* of *day*, as its prober does with each round."""
    bits = (1 << minutes) - 1
    standing = LinkStanding(state=LinkState.UP, since=NOVEMBER.end, seen_at=NOVEMBER.end)
    days = {(GATE, day): Minutes(bits, bits)}
    link_rows.record_link_standings(tx, node, {GATE: standing}, days, [], timedelta(minutes=5), NOVEMBER.end)


def begin_month(tx: transactions.Transaction) -> None:
    """Record a fact of November, so that there is a month to close."""
    day = NOVEMBER.first
    at = NOVEMBER.start + timedelta(hours=9)
    put(tx, Fact(unit="A", service="mail", key="1", milestone="sent-internal", at=at, message="1", day=day))


def count_minutes(tx: transactions.Transaction, period: str) -> int:
    counted = unit_report.resolve_report_sources(tx, "H55.13", period, "links", BOOK).count(AFTER)
    found = counted.total.numbers["probed"]
    assert isinstance(found, int)
    return found


def make_prober(engine: sa.Engine, clock: Clock, now: Any) -> LinkProber:
    """Return the prober of a node that probes nothing."""
    nothing: Any = None
    return LinkProber(Live(Setup(province())), InlineDatabase(engine), nothing, clock, now, "a")


@pytest.mark.parametrize("hour", [0, 12])
def test_the_month_is_closed_by_the_clock_with_what_another_node_saw_of_its_last_day(engine, hour):
    """Node b stored its minutes and went down; node a, which closes, has never probed a link."""
    with transactions.write_transaction(engine) as tx:
        begin_month(tx)
        store_minutes(tx, "b", NOVEMBER.last, 700)
    clock, start = Clock(), NOVEMBER.end + timedelta(hours=hour)

    def now() -> datetime:
        return start + timedelta(seconds=clock.seconds())

    prober = make_prober(engine, clock, now)
    end = MonthEnd(
        InlineDatabase(engine),
        clock,
        now,
        lambda: attrs.evolve(BOOK, close_working_day=0, close_hour=hour),
        lambda: hour,
        prober.write_past_days,
    )
    end.startService()
    clock.pump([60.0] * 20)
    _ = end.stopService()
    with transactions.read_transaction(engine) as tx:
        made = {form: closing_plan.read_closings(tx, form) for form in ("links", "edoc", "mail", "dossiers")}
        assert all([each.period for each in found] == [NOVEMBER] for found in made.values())
        assert (count_minutes(tx, "2026-11"), count_minutes(tx, "2026-12")) == (700, 0)
        assert list(row_revisions.find_differing_units(tx, "links", "2026-11")) == []


def test_no_form_is_closed_while_nodes_still_store_what_they_saw(engine):
    """All forms of a month are closed as of the same time, so the first one waits for the link days, too."""
    with transactions.write_transaction(engine) as tx:
        begin_month(tx)
        store_minutes(tx, "b", NOVEMBER.last, 700)
        store_minutes(tx, "b", NOVEMBER.last + timedelta(days=1), 3)
    for form in ("edoc", "links", "mail"):
        with pytest.raises(LinkDaysOutstanding), transactions.write_transaction(engine) as tx:
            closing.begin_closing(tx, BOOK, form, NOVEMBER, NOVEMBER.end + timedelta(minutes=3), "t")
    with transactions.write_transaction(engine) as tx:
        link_rows.remove_link_days(tx, NOVEMBER.last + timedelta(days=1))
        assert closing.begin_closing(tx, BOOK, "edoc", NOVEMBER, NOVEMBER.end + timedelta(minutes=3), "t")


def test_the_facts_of_a_day_with_many_links_are_waited_for(engine):
    at = NOVEMBER.end + timedelta(hours=1)
    fact = Fact(
        unit="A", service="links", key="k", milestone="link-up", at=at, message="m", day=NOVEMBER.last, amount=5
    )
    with transactions.write_transaction(engine) as tx:
        begin_month(tx)
        put(tx, Fact(unit="A", service="mail", key="2", milestone="sent-internal", at=at, message="m"))
        duties.record_duty(tx, "m", at, "links", duties.pack_facts([fact]))
        with pytest.raises(FactsOutstanding):
            closing.begin_closing(tx, BOOK, "links", NOVEMBER, at + timedelta(hours=1), "t")
