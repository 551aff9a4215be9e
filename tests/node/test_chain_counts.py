"""What /metrics tells of the chain: events by name, and facts by service and milestone, each once."""

from datetime import timedelta

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub.domain.measures import EVENTS, FACTS
from hub.domain.model import Event
from hub.journal import events
from hub.journal.messages import record_message
from hub.node.followers.event_chain import EventChainer
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from tests import databases
from tests.pki import NOW
from tests.province import ROUTES, document, entry


@pytest.fixture
def engine(tmp_path):
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    yield made
    made.dispose()


def test_what_is_chained_is_counted_by_name_and_facts_by_what_they_count(engine):
    chainer = EventChainer(InlineDatabase(engine), Clock())
    with transactions.write_transaction(engine) as tx:
        for number in (1, 2):
            record_message(tx, entry(document("H55.13", "H55.01", document_id=f"D{number}"), number), ROUTES)
    for _ in range(2):
        _ = Deferred.fromCoroutine(chainer.run_once())
    counted = chainer._measures.read(EVENTS)
    assert counted["message-accepted",] == counted["fact-recorded",] == [2]
    assert chainer._measures.read(FACTS) == {("documents", "sent"): [2]}


@pytest.mark.parametrize(
    "unit", ['"service":"x","milestone":"y"', "\\", "Sở"], ids=["like JSON", "backslash", "Vietnamese"]
)
def test_what_somebody_calls_a_unit_does_not_change_what_is_counted(engine, unit):
    said = {"unit": unit, "service": "mail", "key": unit, "milestone": "mailbox"}
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("fact-recorded", NOW + timedelta(seconds=1), "m1", None, said))
        found = events.chain_and_count_events(tx)
    assert found == events.ChainedKinds(1, {"fact-recorded": 1}, {("mail", "mailbox"): 1})
