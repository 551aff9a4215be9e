"""A partner that is down, paused, slow or asked to be left alone, and messages that break the hub: what the others notice is nothing."""

from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.conversations import Accepted, Reply, Request, Unavailable
from hub.domain.lifecycle import SET_ASIDE
from hub.domain.model import DeliveryState
from hub.journal.queue import claims, partner_state
from hub.journal.replays import replay
from hub.journal.replays.replay import ReplayChoice
from hub.journal.searching.message_filter import MessageFilter
from hub.partner.circuit_breaker import FAILURES, BreakerPosition
from hub.partner.rate_limit import Rate
from hub.store import transactions
from tests.outgoing import Broken
from tests.province import ROUTES


class Told:
    """An adapter of one question, whose partner may ask to be left alone."""

    def deliver(self, consignment, now):
        reply = yield Request("https://partner/", consignment.content)
        return Accepted() if reply.status == 200 else Unavailable("busy", float(reply.headers["retry-after"]))


def standing(desk, partner="vpub"):
    with transactions.read_transaction(desk.engine) as tx:
        return partner_state.read_partner_standing(tx, partner)


def events(desk):
    with transactions.read_transaction(desk.engine) as tx:
        texts = tx.scalars(sa.text("SELECT text FROM event ORDER BY serial"))
        return [text for text in texts if "partner-" in text or "breaker-" in text]


def test_a_partner_that_is_down_is_not_attacked_message_by_message(desk):
    desk.up["vpub"] = False
    messages = [desk.take(number, "H55.01") for number in range(1, 41)]
    desk.start()
    assert desk.asked["vpub"] == 8, "four at a time, twice: the fifth failure opens it"
    assert standing(desk).breaker.position is BreakerPosition.OPEN
    desk.pass_time(100)
    assert desk.asked["vpub"] - 8 <= 26, "a probe in four seconds at most"
    assert max(desk.states(message)["H55.01"][1] for message in messages) <= 40
    assert sum(desk.states(message)["H55.01"][1] == 0 for message in messages) >= 14, "most were never tried"


def test_when_it_answers_a_probe_all_goes_slowly_at_first_and_in_order(desk):
    desk.up["vpub"] = False
    desk.start()
    for number in range(1, 21):
        desk.take(number, "H55.01")
    desk.pass_time(30)
    desk.up["vpub"] = "hangs"
    desk.pass_time(9)
    assert len(desk.waiting) == 1, "one probe"
    desk.pass_time(5)
    assert len(desk.waiting) == 1, "...and nothing beside it"
    assert standing(desk).breaker.position is BreakerPosition.HALF_OPEN
    together = []
    while desk.waiting:
        together.append(len(desk.waiting))
        desk.answer()
        desk.pass_time(1)
    assert together[:5] == [1, 2, 3, 4, 4]
    assert desk.count(DeliveryState.DELIVERED) == 20
    assert [text.split('"event":"')[1].split('"')[0] for text in events(desk)][-1] == "breaker-closed"


def test_an_open_breaker_outlives_a_restart(desk):
    desk.up["vpub"] = False
    desk.start()
    for number in range(1, 11):
        desk.take(number, "H55.01")
    before, asked = standing(desk), desk.asked["vpub"]
    assert before.breaker.position is BreakerPosition.OPEN
    desk.service.running = 0  # ...SIGKILL...
    desk.start("another process")
    assert (standing(desk), desk.asked["vpub"]) == (before, asked)


def test_a_probe_that_dies_with_its_node_is_followed_by_another(desk):
    desk.up["vpub"] = False
    desk.start()
    for number in range(1, 11):
        desk.take(number, "H55.01")
    desk.up["vpub"] = "hangs"
    desk.pass_time(9)
    assert standing(desk).breaker.position is BreakerPosition.HALF_OPEN
    desk.service.running = 0  # ...SIGKILL...
    desk.waiting.clear()
    desk.start("another process")
    assert len(desk.waiting) == 1
    assert standing(desk).breaker.position is BreakerPosition.HALF_OPEN


def test_a_partner_that_asks_to_be_left_alone_is(desk):
    desk.adapters["vpub"] = Told()
    desk.up["vpub"] = lambda: Reply(503, b"", {"retry-after": "60"})
    desk.start()
    for number in range(1, 11):
        desk.take(number, "H55.01")
    asked = desk.asked["vpub"]
    desk.pass_time(59)
    assert desk.asked["vpub"] == asked
    desk.up["vpub"] = True
    desk.pass_time(5)
    assert desk.count(DeliveryState.DELIVERED) == 10


def test_an_adapters_bug_opens_no_breaker_and_its_message_is_set_aside_alone(desk):
    desk.adapters["vpub"] = Broken(b"packet 1")
    desk.start()
    bad, good = desk.take(1, "H55.01"), [desk.take(number, "H55.01") for number in range(2, 8)]
    assert all(desk.states(message)["H55.01"] == (DeliveryState.DELIVERED, 1) for message in good)
    desk.pass_time(60)
    assert desk.states(bad)["H55.01"] == (DeliveryState.DEAD, SET_ASIDE)
    assert desk.reason(bad).startswith("set aside: hub-error: ZeroDivisionError")
    assert standing(desk).breaker.position is BreakerPosition.CLOSED


def test_a_message_that_takes_the_process_with_it_is_set_aside_and_what_went_beside_it_arrives(desk):
    desk.up["vpub"], desk.policy = "hangs", attrs.evolve(desk.policy, timeout=timedelta(minutes=1))
    bad, *good = [desk.take(number, "H55.01") for number in range(1, 4)]
    for life in range(SET_ASIDE):
        desk.start(f"life {life}")
        desk.pass_time(45)  # what broke the hub before waits for up to forty seconds
        while life and desk.waiting[-1].body != b"packet 1":
            desk.answer(-1)
        assert desk.states(bad)["H55.01"][0] is DeliveryState.SENDING
        desk.service.running = 0  # ...and now the process goes down with it...
        desk.waiting.clear()
    desk.start("the last life")
    assert desk.states(bad)["H55.01"][0] is DeliveryState.DEAD
    assert desk.reason(bad) == "set aside: the hub stopped 5 times in a row while it was sent"
    assert all(desk.states(message)["H55.01"][0] is DeliveryState.DELIVERED for message in good)


def test_a_pause_holds_until_a_person_ends_it_and_what_is_under_way_ends(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    first = desk.take(1, "H55.01")
    with transactions.write_transaction(desk.engine) as tx:
        assert partner_state.pause_partner(tx, "vpub", reason="bảo trì", by="an", now=desk.now())
        assert not partner_state.pause_partner(tx, "vpub", reason="lần nữa", by="bình", now=desk.now())
    desk.answer()
    desk.up["vpub"] = True
    second, other = desk.take(2, "H55.01"), desk.take(3, "G22")
    desk.pass_time(60)
    assert desk.states(first)["H55.01"][0] is DeliveryState.DELIVERED
    assert desk.states(second)["H55.01"] == (DeliveryState.WAITING, 0)
    assert desk.states(other)["G22"][0] is DeliveryState.DELIVERED
    desk.service.running = 0
    desk.start("another process")
    assert desk.states(second)["H55.01"] == (DeliveryState.WAITING, 0)
    with transactions.write_transaction(desk.engine) as tx:
        assert partner_state.resume_partner(tx, "vpub", reason="", by="an", now=desk.now())
        assert not partner_state.resume_partner(tx, "vpub", reason="", by="an", now=desk.now())
    desk.pass_time(2)
    assert desk.states(second)["H55.01"][0] is DeliveryState.DELIVERED
    assert ["bảo trì" in text for text in events(desk)] == [True, False]


def test_a_person_may_have_an_unavailable_partner_tried_at_once(desk):
    desk.policy = attrs.evolve(desk.policy, first_retry=timedelta(minutes=5), max_retry=timedelta(minutes=5))
    desk.up["vpub"] = False
    desk.start()
    for number in range(1, 11):
        desk.take(number, "H55.01")
    desk.up["vpub"] = True
    desk.pass_time(10)
    assert desk.count(DeliveryState.DELIVERED) == 0
    with transactions.write_transaction(desk.engine) as tx:
        partner_state.resume_partner(tx, "vpub", reason="", by="an", now=desk.now())
    desk.pass_time(2)
    assert desk.count(DeliveryState.DELIVERED) == 10 - FAILURES, "all but those that failed, which wait for their time"


def test_no_more_travel_to_a_partner_at_a_time_than_it_bears(desk):
    desk.policy = attrs.evolve(desk.policy, concurrency=2)
    desk.up["vpub"] = "hangs"
    desk.start()
    for number in range(1, 6):
        desk.take(number, "H55.01")
    assert len(desk.waiting) == 2
    desk.answer()
    assert len(desk.waiting) == 2


def test_no_more_go_to_a_partner_in_a_time_than_it_wants(desk):
    desk.policy = attrs.evolve(desk.policy, rate=Rate(4, "s"))
    desk.start()
    for number in range(1, 41):
        desk.take(number, "H55.01")
    for second in range(1, 6):
        desk.pass_time(1, step=0.05)
        assert 4 * second <= desk.asked["vpub"] <= 4 * second + 1
    desk.pass_time(5, step=0.05)
    assert desk.count(DeliveryState.DELIVERED) == 40


def test_what_a_person_gives_up_is_sent_no_more_and_a_replay_brings_it_back(desk):
    desk.up["vpub"] = False
    desk.start()
    first, second = desk.take(1, "H55.01"), desk.take(2, "H55.01")
    with transactions.write_transaction(desk.engine) as tx:
        plan = replay.plan_give_up(tx, MessageFilter(ids=(first,)))
        waiting = [made for _, made in plan.moves]
        assert replay.give_up_deliveries(tx, waiting, reason="gửi nhầm", by="an", now=desk.now()) == waiting
        assert replay.give_up_deliveries(tx, waiting, reason="lần nữa", by="an", now=desk.now()) == []
    desk.up["vpub"] = True
    desk.pass_time(30)
    assert desk.states(first)["H55.01"] == (DeliveryState.DEAD, 1)
    assert desk.reason(first) == "given up by an: gửi nhầm"
    assert desk.states(second)["H55.01"][0] is DeliveryState.DELIVERED
    with transactions.write_transaction(desk.engine) as tx:
        plan = replay.choose_deliveries(tx, ReplayChoice((MessageFilter(ids=(first,)),)), ROUTES)
        replay.replay_deliveries(tx, [made for _, made in plan.moves], ROUTES, reason="sửa", by="an", now=desk.now())
    desk.pass_time(2)
    assert desk.states(first)["H55.01"][0] is DeliveryState.DELIVERED


def test_what_is_being_sent_cannot_be_given_up(desk):
    desk.up["vpub"] = "hangs"
    desk.start()
    message = desk.take(1, "H55.01")
    with transactions.read_transaction(desk.engine) as tx:
        plan = replay.plan_give_up(tx, MessageFilter(ids=(message,)))
    assert (plan.moves, [each.why for each in plan.excluded]) == ((), ["sending"])


@pytest.mark.slow
def test_what_waits_too_long_for_an_unavailable_partner_dies_though_nobody_tries_it(desk):
    desk.up["vpub"] = False
    desk.start()
    messages = [desk.take(number, "H55.01") for number in range(1, 61)]
    desk.pass_time(100, step=1)
    assert desk.count(DeliveryState.DEAD) == 0
    desk.pass_time(60, step=1)
    assert desk.states(messages[-1])["H55.01"] == (DeliveryState.DEAD, 0)
    assert desk.reason(messages[-1]) == "given up: connection refused"
    assert desk.count(DeliveryState.DEAD) >= 30, "all that were never tried"
    desk.pass_time(200, step=2)
    assert desk.count(DeliveryState.DEAD) == 60, "and the others by a last try of their own"


@pytest.mark.parametrize("key", ["give_up", "max_retry", "concurrency", "rate"])
def test_a_changed_policy_never_sends_old_dead_letters(desk, key):
    desk.up["vpub"] = False
    desk.start()
    message = desk.take(1, "H55.01")
    desk.pass_time(140)
    dead = desk.states(message)["H55.01"]
    assert dead[0] is DeliveryState.DEAD
    desk.up["vpub"], asked = True, desk.asked["vpub"]
    longer = {
        "give_up": timedelta(days=365),
        "max_retry": timedelta(hours=1),
        "concurrency": 64,
        "rate": Rate(100, "s"),
    }
    desk.policy = attrs.evolve(desk.policy, **{key: longer[key]})
    desk.service.wake()
    desk.pass_time(60)
    assert (desk.states(message)["H55.01"], desk.asked["vpub"]) == (dead, asked)


@pytest.mark.slow
def test_a_partner_that_hangs_takes_no_other_partners_places(desk):
    desk.policy = attrs.evolve(desk.policy, concurrency=64)
    desk.up["vpub"] = "hangs"
    desk.start()
    for number in range(1, 101):
        desk.take(number, "H55.01")
    assert len(desk.waiting) == 64
    quick = [desk.take(number, "G22") for number in range(201, 231)]
    assert all(desk.states(message)["G22"][0] is DeliveryState.DELIVERED for message in quick)


def test_a_claim_of_another_node_counts_for_the_partner_too(desk):
    for number in range(1, 8):
        desk.take(number, "H55.01")
    with transactions.write_transaction(desk.engine) as tx:
        taken = claims.claim_deliveries(
            tx, "vpub", desk.now(), limit=3, holder="other", lease=timedelta(hours=1), concurrency=4
        )
    assert len(taken) == 3
    desk.up["vpub"] = "hangs"
    desk.start(alone=False)
    assert len(desk.waiting) == 1
