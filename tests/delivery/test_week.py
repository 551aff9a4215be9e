"""A partner is down for a week, and what waits for it then goes: at its own rate, each lane in order, and the others notice nothing.

Time is a Clock's; a commit and an answer take as long as told, one commit after another, so that whoever floods the journal or the
places makes the others wait, and it shows.  `./dev soak` does the same with 50,000 messages.
"""

import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from hub.domain.conversations import Reply
from hub.domain.model import DeliveryState
from hub.journal import blobs, messages
from hub.partner.circuit_breaker import FAILURES
from hub.partner.policy import Policy
from hub.partner.rate_limit import Rate
from hub.runtime.http_client import Unreachable
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import delivery
from tests import databases
from tests.bench.backlog import fill
from tests.outgoing import Desk
from tests.province import ROUTES, document, entry

COMMIT, READ, ANSWER = 0.002, 0.001, 0.1  #: seconds each takes
EVERY = 0.5  #: a message for the other partner, so often
TICK = 0.01
WEEK = timedelta(days=7).total_seconds()
POLICY = Policy(rate=Rate(20, "s"))


@attrs.define
class TimedDatabase:
    """A journal whose commits take their time, one after another."""

    inline: InlineDatabase
    clock: Clock
    free_at: float = 0.0

    def write(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        self.free_at = max(self.free_at, self.clock.seconds()) + COMMIT
        return deferLater(self.clock, self.free_at - self.clock.seconds(), self.inline.write, step, *args, **kwargs)

    def read(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        return deferLater(self.clock, READ, self.inline.read, step, *args, **kwargs)


@attrs.define
class Week(Desk):
    """A desk on which answers take their time, and which keeps when each message came and when it was delivered."""

    came: dict[bytes, float] = attrs.field(factory=dict)
    took: list[float] = attrs.field(factory=list)  #: of the other partner's
    drained: list[tuple[float, bytes]] = attrs.field(factory=list)
    _number: int = 1_000_000

    async def send(self, request, partner):
        self.asked[partner.code] += 1
        if not self.up[partner.code]:
            raise Unreachable("connection refused")
        await deferLater(self.clock, ANSWER)
        if partner.code == "vpcp":
            self.took.append(self.clock.seconds() - self.came[request.body])
        else:
            self.drained.append((self.clock.seconds(), request.body))
        return Reply(200, b"")

    def run(self, seconds: float) -> list[float]:
        """Let time pass, with a message for the other partner every so often; return how long each of them took."""
        before, ends = len(self.took), self.clock.seconds() + seconds
        while self.clock.seconds() < ends:
            self._number += 1
            sent = entry(document("H55.13", "G22", document_id=f"D{self._number}"), self._number, at=self.now())
            with transactions.write_transaction(self.engine) as tx:
                messages.record_message(tx, sent, ROUTES)
            assert isinstance(sent.content, bytes)
            self.came[sent.content] = self.clock.seconds()
            self.service.wake()
            self.clock.pump([TICK] * round(EVERY / TICK))
        return self.took[before:]


@pytest.fixture
def week(tmp_path) -> Iterator[Week]:
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    made = Week(engine, policy=POLICY, random=Random(7).random)
    made.start(journal=TimedDatabase(InlineDatabase(engine), made.clock))
    yield made
    made.service.stopService()
    made.clock.advance(60)
    engine.dispose()


def p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


def live(week: Week, count: int, lanes: int) -> dict[str, float]:
    """Live through the week and the drain with *count* messages that wait, in so many *lanes*; return what was measured."""
    quiet = week.run(60)
    week.up["vpub"] = False
    with week.engine.connect() as tx, tx.begin():
        fill(tx, count, week.now(), lanes=lanes)
        blobs.keep_blob(tx, "aa", b"backlog")
    down = week.run(60)
    for _ in range(round(WEEK / 300)):
        week.clock.advance(300)
    tried = week.asked["vpub"]
    assert tried <= 2 * FAILURES + WEEK / 150, "not attacked: a probe in every two and a half minutes at most"
    week.up["vpub"], back = True, week.clock.seconds()
    draining: list[float] = []
    while len(week.drained) < count:
        draining += week.run(10)
        assert week.clock.seconds() - back < 600 + 2 * count / 20, "it does not drain"
    first, last = week.drained[0][0], week.drained[-1][0]
    in_a_second = [
        sum(begun <= at < begun + 1 for at, _ in week.drained[number : number + 64])
        for number, (begun, _) in enumerate(week.drained)
    ]
    return {
        "quiet": p99(quiet),
        "down": p99(down),
        "draining": p99(draining),
        "per_second": (count - 1) / (last - first),
        "most_in_a_second": max(in_a_second),
        "tried": tried,
    }


def in_order(week: Week, count: int) -> None:
    """Check that each lane's deliveries ended in the order in which they were made, each once."""
    with transactions.read_transaction(week.engine) as tx:
        query = sa.text(
            "SELECT d.lane, d.id, e.serial FROM delivery d JOIN event e ON e.delivery = d.id"
            " WHERE d.partner = 'vpub' AND e.text LIKE '%\"delivery-delivered\"%' ORDER BY e.serial"
        )
        rows = tx.execute(query).all()
        states = set(tx.scalars(sa.select(delivery.c.state)))
    assert (len(rows), states) == (count, {DeliveryState.DELIVERED})
    lanes = defaultdict(list)
    for row in rows:
        lanes[row.lane].append(row.id)
    assert all(ids == sorted(ids) for ids in lanes.values())


def hold(found: dict[str, float]) -> None:
    """What is promised."""
    assert found["down"] <= 2 * found["quiet"]
    assert found["draining"] <= 2 * found["quiet"]
    assert found["per_second"] <= 20
    assert found["per_second"] >= 16, "at its own rate, not far below it"
    assert found["most_in_a_second"] <= 23, "its rate, and what a tenth of a second keeps of it"


@pytest.mark.slow
def test_a_partner_that_was_down_for_a_week_drains_in_order_at_its_rate_and_the_others_notice_nothing(week):
    found = live(week, 300, lanes=50)
    hold(found)
    in_order(week, 300)


@pytest.mark.soak
def test_fifty_thousand_that_waited_for_a_week_drain_in_order(week, capsys):
    found = live(week, 50_000, lanes=5_000)
    with capsys.disabled():
        sys.stdout.write(f"\n{found}\n")
    hold(found)
    in_order(week, 50_000)
