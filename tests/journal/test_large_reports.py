"""A unit of many facts: what its report takes in memory, and that it says what counting all facts at once says, on each database."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from hub.domain.errors import Unready
from hub.domain.model import Fact, Unit
from hub.journal import unit_registry
from hub.journal.fact_reading import fact_pages, fact_search
from hub.journal.searching import message_reading
from hub.report.counting import counting, evidence, listing
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store import report_worker, transactions
from hub.store.tables import fact as table
from hub.workload import closing, closing_plan, unit_report
from hub.workload import facts_behind as facts_behind_of
from tests.bench import reports
from tests.bench.reports import FORMS, NOW, PERIOD, UNIT
from tests.conftest import not_applicable
from tests.opened import facts_behind

#: So many facts of each service, of which so many keys and so many lines are held at a time: all of them would take several times `LARGEST`.
FACTS, KEYS, HELD = 4_000, 100, 100
#: Octets.
LARGEST = 2 << 20


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'hub.db'}"
        yield from _filled(url)
        return
    with request.getfixturevalue("postgresql").database() as url:
        yield from _filled(url)


def _filled(url: str) -> Iterator[sa.Engine]:
    engine = transactions.open_journal(url)
    transactions.upgrade_schema(engine)
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, [Unit("H55", "Tỉnh", None), Unit(UNIT, "Sở", "H55")])
    for service in FORMS.values():
        reports.write(engine, reports.made(UNIT, service, FACTS))
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale what is held at a time down with the number of facts."""
    monkeypatch.setattr(fact_search, "_KEYS", KEYS)
    monkeypatch.setattr(listing, "_HELD", HELD)
    monkeypatch.setattr(fact_pages, "_TOGETHER", HELD)


def peak(step: Callable[[], Any]) -> tuple[Any, int]:
    """Return what *step* returns, and the octets that it took at most."""
    tracemalloc.start()
    try:
        found = step()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def every_fact(tx: transactions.Transaction, form: str) -> list[Fact]:
    rows = tx.execute(sa.select(table).where(table.c.service == FORMS[form]))
    return [Fact(**row) for row in rows.mappings()]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_report_is_counted_a_few_keys_at_a_time_and_says_the_same(engine, form):
    with transactions.read_transaction(engine) as tx:
        asked = unit_report.resolve_report_sources(tx, UNIT, PERIOD, form)
        report, numbers = peak(lambda: asked.count(NOW))

        def gathered() -> Any:
            with asked.open_evidence(NOW) as found:
                return (
                    found.report,
                    found.listing.summary,
                    sum(1 for _ in message_reading.NamedLines(tx, found.listing)),
                )

        (again, summary, listed), sealed = peak(gathered)
        facts = every_fact(tx, form)
        assert len(facts) >= FACTS
        expected = counting.count_report(asked.form, facts, asked.period, NOW, (UNIT,))
        lines = evidence.gather_evidence(asked.form, facts, asked.period, NOW, (UNIT,))
        assert report.rows == again.rows == expected.rows
        assert (summary.facts, summary.sha256, listed) == (len(lines), evidence.hash_evidence(lines), len(lines))
        column = next(each.key for each in asked.form.columns if each.key in {"received", "settled"})
        assert facts_behind(asked, column, NOW) == counting.find_counted_facts(
            asked.form, column, facts, asked.period, NOW, (UNIT,)
        )
    assert numbers < LARGEST, "numbers"
    assert sealed < LARGEST, "evidence"


@pytest.mark.slow
def test_the_evidence_that_a_workbook_lists_is_that_of_the_count_and_no_line_is_held(engine, monkeypatch):
    monkeypatch.setattr(facts_behind_of, "LARGE", FACTS // 2)
    with transactions.read_transaction(engine) as tx:
        asked = unit_report.resolve_report_sources(tx, "H55", PERIOD, "edoc")
        with asked.open_evidence(NOW) as listed, facts_behind_of.open_evidence_to_list(asked, NOW) as read:
            assert isinstance(read.lines, facts_behind_of.ReadEvidence)
            assert (read.report, len(read.lines), read.lines.sha256) == (
                listed.report,
                len(listed.listing),
                listed.listing.sha256,
            )
            assert list(read.lines) == list(listed.listing)
            _, took = peak(lambda: sum(1 for _ in read.lines))
            assert took < LARGEST


@pytest.mark.slow
def test_a_month_is_closed_a_few_keys_at_a_time(engine):
    with transactions.read_transaction(engine) as tx:
        period = parse_period(PERIOD)
        draft, took = peak(
            lambda: closing.count_month_draft(
                tx, read_shipped_book(), "edoc", period, closing_plan.find_earliest_closing_time(period)
            )
        )
        facts = every_fact(tx, "edoc")
        lines = evidence.gather_evidence(
            draft.plan.form, facts, period, closing_plan.find_earliest_closing_time(period), (UNIT,)
        )
        (row,) = draft.rows
        assert (row.facts, row.evidence) == (len(lines), evidence.hash_row(line.fact for line in lines))
        assert took < LARGEST + 300 * sum(len(json.loads(keys.begun)) for keys in draft.keys), (
            "what is carried on is held by its key"
        )


def test_a_statement_of_a_report_that_takes_too_long_is_ended(engine):
    if engine.dialect.name != "postgresql":
        not_applicable("SQLite runs in the report's own process, which is ended with it")
    limited = engine.execution_options(statement_limit=1)
    with pytest.raises(Unready) as raised:
        report_worker.run_reading_step(limited, _sleeps, (), {})
    assert raised.value.problem.code == "hub-busy"
    assert report_worker.run_reading_step(engine, _sleeps, (0.01,), {}) == 1


def _sleeps(tx: transactions.Transaction, seconds: float = 5) -> int:
    return len(tx.execute(sa.text("SELECT pg_sleep(:seconds)"), {"seconds": seconds}).all())
