"""The clock on the wall is set back while the hub runs: it notices, brings back what was written ahead, and goes on."""

from datetime import UTC, datetime, timedelta

import pytest
from twisted.internet.task import Clock

from hub.journal import messages
from hub.journal.queue import claims
from hub.node.clock_steps import ClockStepDetector
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from tests import databases
from tests.province import ROUTES, document, entry

START = datetime(2026, 11, 24, 8, tzinfo=UTC)


class Wall:
    """A clock that somebody sets."""

    def __init__(self, steady):
        self.steady, self.off = steady, timedelta()

    def now(self):
        return START + timedelta(seconds=self.steady.seconds()) + self.off


@pytest.fixture
def engine(tmp_path):
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield made
    made.dispose()


def due(engine, wall):
    with transactions.read_transaction(engine) as tx:
        return [each.partner for each in claims.read_partner_queues(tx, wall.now()) if each.oldest]


def test_a_clock_that_is_set_back_keeps_nothing_waiting(engine):
    steady, told = Clock(), []
    wall = Wall(steady)
    keeper = ClockStepDetector(InlineDatabase(engine), steady, wall.now, lambda: told.append(wall.now()))
    keeper.startService()
    wall.off = timedelta(hours=1)
    steady.advance(1)
    with transactions.write_transaction(engine) as tx:
        messages.record_message(tx, entry(document(), at=wall.now()), ROUTES)
    wall.off = timedelta()
    assert due(engine, wall) == []
    steady.advance(1)
    assert due(engine, wall) == ["vpub"]
    assert len(told) == 1
    steady.advance(1)
    assert len(told) == 1, "once is enough"
    _ = keeper.stopService()


def test_what_was_under_way_when_the_clock_was_set_back_and_is_written_after_it_is_brought_back_too(engine):
    steady, told = Clock(), []
    wall = Wall(steady)
    wall.off = timedelta(hours=1)
    keeper = ClockStepDetector(InlineDatabase(engine), steady, wall.now, lambda: told.append(wall.now()))
    keeper.startService()
    late = wall.now()
    wall.off = timedelta()
    steady.advance(1)
    with transactions.write_transaction(engine) as tx:
        messages.record_message(tx, entry(document(), at=late), ROUTES)
    assert due(engine, wall) == []
    steady.pump([1.0] * 5)
    assert due(engine, wall) == ["vpub"]
    assert len(told) == 1
    _ = keeper.stopService()


def test_what_a_clock_wrote_that_was_set_back_while_nobody_ran_is_brought_back_at_the_start(engine):
    steady, told = Clock(), []
    wall = Wall(steady)
    with transactions.write_transaction(engine) as tx:
        messages.record_message(tx, entry(document(), at=wall.now() + timedelta(hours=1)), ROUTES)
    keeper = ClockStepDetector(InlineDatabase(engine), steady, wall.now, lambda: told.append(wall.now()))
    keeper.startService()
    assert due(engine, wall) == ["vpub"]
    assert len(told) == 1
    _ = keeper.stopService()
