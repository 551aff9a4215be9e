"""How long a call may take: a slow line that works is waited for, a server that stands still is not."""

from typing import Any, cast

import pytest
from twisted.internet.task import Clock

from hub.runtime.call_progress import SLOWEST, CallProgress

PATIENCE = 30.0
PIECE = 256 * 1024


class Watched:
    """A call under a clock."""

    def __init__(self):
        self.clock = Clock()
        self.progress = CallProgress(cast("Any", self.clock), PATIENCE)
        self.progress.limit(lambda: None)

    def lasts(self, seconds):
        """Let time pass; tell whether the call may go on."""
        self.clock.advance(seconds)
        return not self.progress.is_late


@pytest.fixture
def call():
    return Watched()


def test_an_answer_has_its_time(call):
    assert call.lasts(29.9)
    assert not call.lasts(0.2)


def test_forty_megabytes_over_a_line_of_one_megabit_arrive(call):
    for _ in range(160):
        call.progress.write(PIECE)
        assert call.lasts(2.1)
    assert call.lasts(29), "and then the answer has its time"
    call.progress.stop()
    assert call.clock.getDelayedCalls() == []


def test_a_line_that_stands_still_is_given_up_whatever_has_moved(call):
    for _ in range(40):
        call.progress.write(PIECE)
    assert call.lasts(PATIENCE), "the system may hold a megabyte, which needs its time"
    assert not call.lasts(16.1)


def test_a_line_that_trickles_is_given_up(call):
    seconds = 0
    while call.lasts(1):
        seconds += 1
        call.progress.read(SLOWEST // 2)
    assert seconds == pytest.approx(2 * PATIENCE, abs=2)


def test_a_mail_that_is_given_away_at_once_has_the_time_of_all_of_it(call):
    call.progress.write_all(100 * SLOWEST)
    assert call.lasts(PATIENCE + 99)
    assert not call.lasts(1.1)


def test_what_moves_before_the_limit_is_set_counts_and_what_moves_after_the_end_does_not():
    clock = Clock()
    progress = CallProgress(cast("Any", clock), PATIENCE)
    progress.write_all(10 * SLOWEST)
    progress.limit(lambda: None)
    clock.advance(PATIENCE + 9)
    assert not progress.is_late
    progress.stop()
    progress.read(1)
    assert clock.getDelayedCalls() == []
