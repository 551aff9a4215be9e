"""A partner by its WSDL as an operator sees its deliveries: repetitions, and the thread."""

import pytest
from lxml import etree

import adapters
from hub.domain.model import DeliveryState, Reply
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import THRESHOLD, run_at_once
from tests.adapters.test_soap_partner import SEND, XML, answer, terms


@pytest.fixture
def partner(desk):
    """The desk, with `vpub` as a partner by its WSDL."""
    desk.adapters["vpub"] = adapters.make_adapter("soap", terms(SEND))
    return desk


class TestADelivery:
    def test_that_is_answered_is_delivered(self, partner):
        partner.up["vpub"] = lambda: Reply(200, answer(), XML)
        partner.start()
        message = partner.take(1, "H55.01")
        assert partner.states(message) == {"H55.01": (DeliveryState.DELIVERED, 1)}

    def test_whose_answer_was_lost_is_sent_again_under_the_same_id(self, partner):
        partner.up["vpub"] = "hangs"
        partner.start()
        message = partner.take(1, "H55.01")
        first = partner.waiting.pop()
        first.reply.errback(Unreachable("connection broke"))
        partner.pass_time(5)
        (second,) = partner.waiting
        assert read_id(first.body) == read_id(second.body) == message

    def test_runs_outside_the_reactors_thread_however_short_the_message_is(self, partner, monkeypatch):
        costs = list[int]()

        def work(owner, cost, *step, **more):
            costs.append(cost)
            return run_at_once(owner, cost, *step, **more)

        monkeypatch.setattr("tests.outgoing.run_at_once", work)
        partner.up["vpub"] = lambda: Reply(200, answer(), XML)
        partner.start()
        partner.take(1, "H55.01")
        assert len(costs) == 2, "the call was made, and the answer read"
        assert min(costs) >= THRESHOLD


def read_id(body):
    return next(etree.fromstring(body).iter("{*}maTin")).text
