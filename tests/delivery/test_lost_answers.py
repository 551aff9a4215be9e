"""Which attempts leave it open whether the partner has the message: those whose call may have arrived."""

import pytest
from twisted.internet.defer import Deferred, fail

from hub.delivery import push_service
from hub.domain.conversations import Accepted, Reply, Request, Unavailable
from hub.domain.errors import Unready
from hub.domain.model import DeliveryState
from hub.journal.queue import deliveries
from hub.partner.reply_parsing import may_have_taken
from hub.runtime.http_client import Unreachable
from hub.store import transactions
from hub.store.inline_database import InlineDatabase


class Blind:
    """An adapter that first gets a token and then hands the message over."""

    def __init__(self):
        self.unsure = []

    def deliver(self, consignment, now):
        self.unsure.append(consignment.unsure is not None)
        yield Request("https://partner/token", b"")
        reply = yield Request("https://partner/", consignment.content, hands_over=True)
        if reply.status != 200:
            return Unavailable(f"HTTP {reply.status}", unknown=may_have_taken(reply.status))
        return Accepted(twice=consignment.unsure is not None)


class Finishing:
    """An adapter that hands the message over and then says that it is complete."""

    def __init__(self):
        self.unsure = []

    def deliver(self, consignment, now):
        self.unsure.append(consignment.unsure is not None)
        reply = yield Request("https://partner/", consignment.content, hands_over=True)
        if reply.status == 200:
            reply = yield Request("https://partner/complete", b"")
        if reply.status == 423:
            raise Unready("key-unavailable", "the token is away")
        if reply.status != 200:
            return Unavailable(f"HTTP {reply.status}", unknown=False)
        return Accepted(twice=consignment.unsure is not None)


def answer_with(*answers):
    """Return who answers one call after the other: a status, or an error."""
    left = list(answers)

    def answer():
        found = left.pop(0) if left else 200
        if isinstance(found, Exception):
            raise found
        return Reply(found, b"")

    return answer


@pytest.mark.parametrize(
    ("answers", "twice"),
    [
        ((200, Unreachable("the connection ended")), True),
        ((200, 504), True),
        ((200, 303), True),  # the answer is elsewhere
        ((200, 307), False),
        ((200, 524), True),  # an unknown status of the class counts as 500
        ((200, 501), False),
        ((200, Unreachable("nobody listens", unsent=True)), False),
        ((Unreachable("the connection ended"),), False),  # before the message went out
        ((200, 503), False),
        ((200, 401), False),
    ],
)
def test_only_a_call_that_may_have_arrived_leaves_it_open(desk, answers, twice):
    desk.adapters["vpub"] = adapter = Blind()
    desk.up["vpub"] = answer_with(*answers)
    desk.start()
    message = desk.take(1, "H55.01")
    desk.pass_time(10)
    assert adapter.unsure == [False, twice]
    assert doubt(desk, message) == (twice, None)


@pytest.mark.parametrize(
    ("answers", "twice"),
    [
        ((200, Unreachable("the connection ended")), True),
        ((200, Unreachable("nobody listens", unsent=True)), True),
        ((200, 503), True),
        ((200, 423), True),
        ((503,), False),
        ((423,), False),
    ],
)
def test_what_was_handed_over_is_in_doubt_until_the_last_step_is_answered(desk, answers, twice):
    desk.adapters["vpub"] = adapter = Finishing()
    desk.up["vpub"] = answer_with(*answers)
    desk.start()
    message = desk.take(1, "H55.01")
    desk.pass_time(10)
    assert adapter.unsure == [False, twice]
    assert doubt(desk, message) == (twice, None)


def test_a_node_that_must_send_nothing_more_has_not_handed_over(desk):
    desk.adapters["vpub"] = Blind()
    desk.up["vpub"] = answer_with(200, Unready("journal-unavailable", "the heartbeat of this node has lapsed"))
    desk.start()
    message = desk.take(1, "H55.01")
    assert desk.reason(message).startswith("journal-unavailable")
    assert doubt(desk, message) == (False, None)


def test_a_conversation_that_is_cut_off_at_its_login_handed_nothing_over(desk):
    desk.adapters["vpub"] = Blind()
    desk.up["vpub"] = "hangs"
    desk.start()
    message = desk.take(1, "H55.01")
    desk.pass_time(31)  # three timeouts
    assert desk.reason(message) == "the conversation took too long"
    assert doubt(desk, message) == (False, None)


def test_a_long_message_has_the_time_to_travel(desk):
    class Long(Blind):
        def deliver(self, consignment, now):
            yield Request("https://partner/", b"x" * (2 << 20), hands_over=True)
            return Accepted()

    desk.adapters["vpub"] = Long()
    desk.up["vpub"] = "hangs"
    desk.start()
    message = desk.take(1, "H55.01")
    desk.pass_time(60)  # 32 s for two megabytes, and three timeouts
    assert desk.states(message)["H55.01"] == (DeliveryState.SENDING, 1)
    desk.pass_time(3)
    assert desk.reason(message) == "the conversation took too long"


def test_what_a_partner_answered_is_not_cut_off_by_a_journal_that_is_slow(desk):
    held: list[Deferred[None]] = []

    class Slow(InlineDatabase):
        def write(self, step, *args, **kwargs):
            done = super().write(step, *args, **kwargs)
            if step is push_service._SETTLE:
                held.append(Deferred())
                return held[-1].addCallback(lambda _: done)
            return done

    desk.start(journal=Slow(desk.engine))
    message = desk.take(1, "H55.01")
    (settling,) = held
    desk.pass_time(60)
    assert not settling.called, "or it would be cancelled, and the message be sent again"
    settling.callback(None)
    assert desk.states(message)["H55.01"] == (DeliveryState.DELIVERED, 1)


@pytest.mark.parametrize(("failures", "asked"), [(20, 1), (70, 2)])
def test_what_a_partner_answered_outlives_a_journal_that_is_away_for_a_while(desk, failures, asked):
    left = [failures]

    class Away(InlineDatabase):
        def write(self, step, *args, **kwargs):
            if step is push_service._SETTLE and left[0]:
                left[0] -= 1
                return fail(Unready("journal-unavailable", "the server does not answer"))
            return super().write(step, *args, **kwargs)

    desk.adapters["vpub"] = Finishing()
    desk.start(journal=Away(desk.engine))
    message = desk.take(1, "H55.01")
    desk.pass_time(150)
    assert desk.states(message)["H55.01"] == (DeliveryState.DELIVERED, 1)
    assert desk.asked["vpub"] == 2 * asked
    assert doubt(desk, message) == (asked > 1, None), "after a minute it is told"


@pytest.mark.parametrize(("answered", "unsure"), [(0, False), (1, True)])
def test_a_stop_leaves_open_only_what_was_handed_over(desk, answered, unsure):
    desk.adapters["vpub"] = Blind()
    desk.up["vpub"] = "hangs"
    desk.start()
    message = desk.take(1, "H55.01")
    for _ in range(answered):
        desk.answer()
    _ = desk.service.stopService()
    desk.clock.advance(11)  # longer than a stop waits
    assert desk.states(message)["H55.01"][0] is DeliveryState.WAITING
    assert (doubt(desk, message)[1] is not None) == unsure


def doubt(desk, message):
    with transactions.read_transaction(desk.engine) as tx:
        (made,) = deliveries.read_message_deliveries(tx, message)
    return made.twice, made.unsure
