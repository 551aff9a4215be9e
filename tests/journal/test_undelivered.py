"""What did not arrive is found by an index: a look at it costs the same however much did."""

import pytest

from hub.journal.replays import replay
from hub.journal.replays.replay import ReplayChoice
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.monitoring import metrics
from tests.databases import plans, sqlite
from tests.province import NOW, ROUTES


@pytest.mark.parametrize(
    "look",
    [
        lambda tx: metrics.measure_journal(tx, NOW, None),
        lambda tx: replay.choose_deliveries(tx, ReplayChoice((MessageFilter(),)), ROUTES),
        lambda tx: replay.plan_give_up(tx, MessageFilter(partner="vpub"), "H55.13"),
        lambda tx: list(search.find_messages(tx, MessageFilter(delivery_state="dead"), 50)),
    ],
    ids=["how many there are", "what may be replayed", "what may be given up", "which messages they are of"],
)
def test_what_did_not_arrive_is_found_without_a_look_at_what_did(tmp_path, look):
    found = [way for _, ways in plans(sqlite(tmp_path / "hub.db"), look) for way in ways if " delivery " in f"{way} "]
    assert found
    assert all("ix_delivery_undelivered" in way for way in found), found
