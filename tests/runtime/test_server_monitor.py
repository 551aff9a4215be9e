"""A server is asked only in doubt; while it is away nobody waits, and it is asked until it is there."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hub.runtime.server_monitor import GRACE, ServerMonitor


@pytest.fixture
def watched(monkeypatch):
    """A watch under a clock, the questions it asked, and what it told."""
    asked: list[Deferred[object]] = []
    told: list[str] = []

    def defer_to(_reactor, _pool, _ask):
        asked.append(Deferred())
        return asked[-1]

    monkeypatch.setattr("hub.runtime.server_monitor.threads.deferToThreadPool", defer_to)
    clock = Clock()
    watch = ServerMonitor(lambda: None, clock, told.append)  # type: ignore[arg-type]
    watch.start()
    yield watch, clock, asked, told
    watch.stop()
    assert clock.getDelayedCalls() == []


def test_a_server_that_answers_is_not_away_however_often_it_is_doubted(watched):
    watch, _clock, asked, told = watched
    watch.probe()
    watch.probe()
    assert len(asked) == 1, "one question at a time"
    asked[0].callback(None)
    assert (watch.away, told) == ("", [])


def test_a_server_that_refuses_is_away_at_once_and_asked_until_it_answers(watched):
    watch, clock, asked, told = watched
    watch.probe()
    for _ in range(3):
        asked[-1].errback(Failure(OSError("connection refused")))
        assert watch.away == "connection refused"
        clock.advance(1)
    assert told == ["connection refused"], "told once"
    asked[-1].callback(None)
    assert watch.away == ""
    clock.advance(10)
    assert len(asked) == 4, "there is no doubt any more"


def test_a_server_that_says_nothing_is_away_until_it_does(watched):
    watch, clock, asked, told = watched
    watch.probe()
    clock.advance(GRACE / 2)
    assert not watch.away
    clock.advance(GRACE)
    assert told == ["it does not answer"]
    watch.probe()
    assert len(asked) == 1, "the question stands"
    asked[0].callback(None)
    assert not watch.away
