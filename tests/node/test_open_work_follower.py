"""A node keeps the list of open work by itself, writes nothing while nothing changes, and goes on after an error."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import fail
from twisted.internet.task import Clock

from hub.domain.model import Event
from hub.journal import events
from hub.journal.sequels.open_work import following, listing
from hub.journal.sequels.open_work.listing import make_filter
from hub.node.followers.open_work_follower import OpenWorkFollower
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from tests.journal.test_open_work import AT, TODAY, tell


class Counted(InlineDatabase):
    """A journal that counts the steps that are written, and fails when it is told to."""

    written, fails = 0, False

    def write(self, step, *args, **kwargs):
        self.written += 1
        return super().write(step, *args, **kwargs)

    def read(self, step, *args, **kwargs):
        return fail(RuntimeError("planted")) if self.fails else super().read(step, *args, **kwargs)


@pytest.fixture
def node(engine):
    """A node that runs: its clock, its journal, and a function that says what is listed."""
    clock, journal = Clock(), Counted(engine)
    service = OpenWorkFollower(journal, clock)
    service.startService()

    def listed():
        with transactions.write_transaction(engine) as tx:
            while events.chain_events(tx):
                pass
        clock.advance(2)
        with transactions.read_transaction(engine) as tx:
            return [each.number for each in listing.list_open_work(tx, make_filter(TODAY, 5), 10)]

    yield journal, listed, engine, clock
    _ = service.stopService()


def test_what_is_recorded_is_listed_in_the_next_round(node):
    _, listed, engine, _ = node
    with transactions.write_transaction(engine) as tx:
        tell(tx, "H55.13", "dossiers", "D1", "received", day=TODAY, due=TODAY)
    assert listed() == ["D1"]
    with transactions.write_transaction(engine) as tx:
        tell(tx, "H55.13", "dossiers", "D1", "finished", AT + timedelta(hours=1), day=TODAY)
    assert listed() == []


def test_what_changes_nothing_is_read_once_and_nothing_is_written(node):
    journal, listed, engine, _ = node
    listed()
    begun = journal.written
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, *(Event("user-signed-in", AT, body={"user": f"an{number}"}) for number in range(20)))
        tell(tx, "H55.13", "documents", '["H55","1"]', "sent")
    listed()
    listed()
    assert journal.written == begun
    with transactions.read_transaction(engine) as tx:
        assert following.count_unread(tx) == 21, "what was read is not written"


def test_once_a_day_it_is_written_how_far_the_list_is_so_that_what_was_read_can_go_into_an_archive(node):
    _, listed, engine, clock = node
    listed()
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("user-signed-in", AT, body={"user": "an"}))
    listed()
    with transactions.read_transaction(engine) as tx:
        assert following.count_unread(tx) == 1
    clock.advance(86_400)
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("user-signed-in", AT, body={"user": "an"}))
    listed()
    with transactions.read_transaction(engine) as tx:
        assert following.count_unread(tx) == 0


def test_many_events_that_change_nothing_do_not_look_as_if_the_list_were_behind(node):
    _, listed, engine, _ = node
    listed()
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, *(Event("user-signed-in", AT, body={"user": f"an{number}"}) for number in range(250)))
    listed()
    with transactions.read_transaction(engine) as tx:
        assert following.count_unread(tx) == 0


def test_an_error_is_logged_and_the_next_round_goes_on(node):
    journal, listed, engine, _ = node
    with transactions.write_transaction(engine) as tx:
        tell(tx, "H55.13", "dossiers", "D1", "received", day=TODAY, due=TODAY)
    journal.fails = True
    with capture_logs() as logged:
        assert listed() == []
    assert [each["event"] for each in logged] == ["open-work-not-listed"]
    journal.fails = False
    assert listed() == ["D1"]
