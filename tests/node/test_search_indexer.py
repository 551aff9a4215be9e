"""The indexer leaves the newest events to the searches, but not for longer than a day: only what is indexed can be archived."""

from twisted.internet.task import Clock

from hub.domain.model import Event
from hub.journal import events
from hub.journal.searching import search_index
from hub.node.followers.search_indexer import SearchIndexer
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from tests.province import NOW


def test_all_events_are_indexed_at_the_start_and_once_a_day(engine):
    clock = Clock()
    service = SearchIndexer(InlineDatabase(engine), clock)

    def come(many):
        """Let events come; return how many are not indexed two seconds later."""
        with transactions.write_transaction(engine) as tx:
            events.append_events(tx, *(Event("user-signed-in", NOW, body={"user": "an"}) for _ in range(many)))
            while events.chain_events(tx):
                pass
            last, _ = events.read_chain_head(tx)
        clock.advance(2)
        with transactions.read_transaction(engine) as tx:
            return last - search_index.read_progress(tx)

    service.startService()
    assert [come(3), come(2), come(1)] == [0, 2, 3], "a step for each event would make many short rows"
    clock.advance(86_400)
    assert [come(1), come(1)] == [1, 2], "those of the day before are indexed"
    _ = service.stopService()
