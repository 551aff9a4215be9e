"""Which attempts leave it open whether the partner has the message: those whose call may have arrived."""

import pytest

from hub.domain.model import Accepted, Reply, Request, Unavailable
from hub.journal.queue import deliveries
from hub.partner.reply_parsing import may_have_taken
from hub.runtime.http_client import Unreachable
from hub.store import transactions


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
    with transactions.read_transaction(desk.engine) as tx:
        (made,) = deliveries.read_message_deliveries(tx, message)
    assert (made.twice, made.unsure) == (twice, None)
