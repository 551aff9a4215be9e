"""After a change of trust all open connections are judged again, some at a time, and those not trusted end."""

from functools import partial
from typing import cast

from structlog.testing import capture_logs
from twisted.internet.task import Clock

from hub.runtime.trust_sweep import STEP, TrustSweep, WatchedPeer


class Slow(Clock):
    """A clock on which each judgement takes half a step."""

    judged = 0

    def judge(self, flaw):
        self.judged += 1
        self.rightNow += STEP / 2
        return flaw


def peers(clock, parted, *flaws):
    return [
        WatchedPeer("soyte", str(at), partial(clock.judge, flaw), partial(parted.append, at))
        for at, flaw in enumerate(flaws)
    ]


def test_who_is_not_trusted_any_more_is_parted_from_and_told_once():
    clock, parted = Slow(), cast("list[int]", [])
    found = peers(clock, parted, "", "certificate-revoked", "")
    with capture_logs() as told:
        TrustSweep(clock, (lambda _: found,)).begin()
        clock.pump([0] * 5)
    assert parted == [1]
    assert [(each["event"], each["certificate"], each["code"], each["count"]) for each in told] == [
        ("connections-distrusted", "1", "certificate-revoked", 1)
    ]


def test_other_work_has_its_turn_between_the_judgements():
    clock, parted = Slow(), cast("list[int]", [])
    found = peers(clock, parted, *["x"] * 7)
    TrustSweep(clock, (lambda _: found,)).begin()
    assert clock.judged == 2, "no more than fit into a step"
    between: list[int] = []
    _ = clock.callLater(0, lambda: between.append(clock.judged))
    clock.pump([0] * 5)
    assert between == [4]
    assert parted == list(range(7))


def test_a_change_during_a_sweep_is_judged_by_another_and_news_only_by_one():
    clock, seen = Slow(), cast("list[object]", [])

    def group(before):
        seen.append(before)
        return peers(clock, [], "", "", "")

    sweep = TrustSweep(clock, (group,))
    sweep.begin("first")
    sweep.begin("second")
    sweep.begin()
    sweep.begin()
    clock.pump([0] * 9)
    assert seen == ["first", "second"], "a sweep that has not begun knows the news, too"
    sweep.begin()
    assert seen == ["first", "second", None]


def test_an_error_at_one_connection_or_port_leaves_no_other_unjudged():
    clock, parted = Slow(), cast("list[int]", [])
    broken = WatchedPeer("", "", lambda: str(1 // 0), lambda: None)

    def closed_port(_before):
        raise OSError

    groups = (closed_port, lambda _: [broken, *peers(clock, parted, "x")], lambda _: peers(clock, parted, "", "x"))
    with capture_logs() as told:
        TrustSweep(clock, groups).begin()
        clock.pump([0] * 5)
    assert parted == [0, 1]
    assert [each["event"] for each in told].count("trust-sweep-failed") == 2
