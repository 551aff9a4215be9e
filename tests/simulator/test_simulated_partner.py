"""A simulated partner answers the hub's own adapter: each told answer has the outcome that the hub gives a real partner."""

from datetime import date
from typing import Any, cast

import attrs
import pytest
from twisted.internet.task import Clock

from adapters.documents import adapter
from hub.domain.conversations import Accepted, Refused, Reply, Unavailable
from hub.edxml.sample import make_sample_packet
from hub.partner.adapter_settings import Terms
from hub.runtime.ports import Port
from hub.simulator import partner_site
from hub.simulator.answers import AnswerPlan, parse_answer, parse_script
from hub.simulator.partner_site import PartnerSite, PartnerTlsFactory, SimulatedPartner
from hub.simulator.received_call import CallCheck
from hub.simulator.tally import SentOutcome, SimulationTally
from hub.soap import wsdl
from tests.consigned import consigned
from tests.pki import NOW, partner
from tests.web.test_connections import Line

HUB, THEIRS, STRANGER = partner("hub"), partner("vpub"), partner("stranger")
CONTRACT = wsdl.load_contract("documents")
PACKET = make_sample_packet("H55.13", "H55.1", "thử", date(2026, 11, 24))


class Hub(Line):
    """A connection of the hub, of which the certificate was checked already."""

    def registerProducer(self, producer, streaming):
        pass

    def unregisterProducer(self):
        pass


class Simulation:
    """A simulated partner, and the hub that calls it."""

    def __init__(self, answer="accept", script=""):
        self.clock = Clock()
        self.told: list[Any] = []
        self.plan = AnswerPlan(parse_answer(answer), parse_script(script))
        self.partner = SimulatedPartner(THEIRS, (HUB.certificate,), CONTRACT, self.plan, lambda: NOW, self.told.append)
        self.site = PartnerSite(self.partner, self.clock)

    def post(self, body, *fields, method="POST"):
        """Send one request; return the connection."""
        line = Hub()
        line.protocol = self.site.buildProtocol(None)
        line.protocol.makeConnection(line)
        head = "\r\n".join(
            [f"{method} /soap/documents HTTP/1.1", "Host: vpub", f"Content-Length: {len(body)}", *fields]
        )
        line.protocol.dataReceived(f"{head}\r\n\r\n".encode() + body)
        return line

    def deliver(self, content=PACKET, by=HUB, wait=0.0):
        """Let the hub push a message; return the outcome. None: no answer came."""
        push = adapter(Terms(partner="vpub", url="https://vpub/", identity=by, certificates=[THEIRS.certificate]))
        conversation = push.deliver(consigned(content, to=("H55.1",)), NOW)
        request = next(conversation)
        line = self.post(request.body, *(f"{name}: {value}" for name, value in request.headers))
        if wait:
            assert line.heard == b""
            self.clock.advance(wait)
        if not line.heard:
            return None
        head, _, body = line.heard.partition(b"\r\n\r\n")
        with pytest.raises(StopIteration) as end:
            conversation.send(Reply(int(head.split()[1]), body, {}, NOW))
        return end.value.value


def test_an_accepted_message_gets_a_signed_answer_with_a_receipt():
    simulation = Simulation()
    assert simulation.deliver() == Accepted("DocumentId SIM-1")
    (call,) = simulation.told
    assert (call.number, str(call.answer), call.again) == (1, "accept", False)
    assert call.received.failed is None
    assert call.received.size == len(PACKET)
    assert (call.received.packet.sender, call.received.packet.recipients) == ("H55.13", ("H55.1",))


def test_a_repetition_is_recognised_and_has_the_same_id():
    simulation = Simulation()
    assert [simulation.deliver() for _ in range(2)] == [Accepted("DocumentId SIM-1")] * 2
    assert [call.again for call in simulation.told] == [False, True]


def test_only_the_last_ids_are_kept(monkeypatch):
    monkeypatch.setattr(partner_site, "REMEMBERED", 2)
    simulation = Simulation()
    for number in range(5):
        simulation.deliver(PACKET.replace(b"th\xe1\xbb\xad", b"so %d" % number))
    assert len(simulation.partner._known) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("refuse:E-17:không có người nhận", "E-17: không có người nhận"),
        ("refuse:E-18", "E-18: E-18"),
    ],
)
def test_a_refusal_reaches_the_hub_with_its_code_and_words(answer, reason):
    assert Simulation(answer).deliver() == Refused(reason)


def test_a_refusal_with_a_code_of_the_hub_says_its_sentences():
    refused = Simulation("refuse:unit-unknown:H55.99").deliver()
    assert isinstance(refused, Refused)
    assert refused.detail.startswith("unit-unknown: ")
    assert "No unit has this code; check it" in refused.detail
    assert "[H55.99]" in refused.detail


def test_a_slow_answer_comes_after_its_time():
    assert Simulation("slow:5").deliver(wait=5.0) == Accepted("DocumentId SIM-1")


def test_a_caller_that_hangs_up_before_a_slow_answer_leaves_no_timer():
    simulation = Simulation("slow:5")
    simulation.deliver()
    (line,) = simulation.site._connections.answering
    cast("Hub", line.transport).abortConnection()
    calls = cast("list[Any]", simulation.clock.getDelayedCalls())
    assert not [each for each in calls if each.func.__name__ == "answer"]


@pytest.mark.parametrize("answer", ["garbage"])
def test_garbage_is_no_answer_of_the_partner(answer):
    outcome = Simulation(answer).deliver()
    assert isinstance(outcome, Unavailable)
    assert "HTTP 200" in outcome.detail


@pytest.mark.parametrize(("answer", "gone"), [("down", True), ("timeout", False)])
def test_without_an_answer_the_hub_hears_nothing(answer, gone):
    simulation = Simulation(answer)
    line = simulation.post(b"")
    assert b"500" in line.heard, "it is no call"
    assert simulation.deliver() is None
    assert len(simulation.site._connections.answering) == (0 if gone else 1)


def test_a_new_connection_is_closed_at_once_while_the_partner_is_down():
    simulation = Simulation(script="down x2")
    port = Port(cast("Any", None), simulation.site, simulation.partner.make_context, None)
    factory = PartnerTlsFactory(port, False, simulation.site)
    assert [factory.buildProtocol(None) for _ in range(2)] == [None, None]
    assert not simulation.partner.close_if_down()
    assert [(call.received, str(call.answer)) for call in simulation.told] == [(None, "down")] * 2


def test_a_call_that_the_hub_did_not_sign_gets_a_fault_and_no_answer_of_the_plan():
    simulation = Simulation(script="refuse:E1")
    outcome = simulation.deliver(by=STRANGER)
    assert isinstance(outcome, Refused)
    assert outcome.detail.startswith("certificate-unknown")
    (call,) = simulation.told
    assert (call.answer, call.received.failed) == (None, CallCheck.SIGNATURE)
    assert call.received.packet is None
    assert simulation.deliver() == Refused("E1: E1"), "the first answer was not spent"


def test_a_packet_that_cannot_be_read_is_refused_and_told():
    simulation = Simulation()
    outcome = simulation.deliver(b"<no/>")
    assert isinstance(outcome, Refused)
    assert outcome.detail.startswith("packet-unreadable")
    assert simulation.told[0].received.failed is CallCheck.PACKET


def test_an_id_that_came_with_other_octets_is_refused():
    simulation = Simulation()
    content = consigned(PACKET)
    call = attrs.evolve(content, content=PACKET + b"\n")
    assert simulation.deliver() == Accepted("DocumentId SIM-1")
    push = adapter(Terms(partner="vpub", url="https://vpub/", identity=HUB, certificates=[THEIRS.certificate]))
    request = next(push.deliver(call, NOW))
    line = simulation.post(request.body, *(f"{name}: {value}" for name, value in request.headers))
    assert b"id-reused" in line.heard
    assert simulation.told[1].received.failed is CallCheck.CONTRACT


@pytest.mark.parametrize(
    ("body", "field", "check"),
    [
        (b"x", "Content-Type: text/plain", CallCheck.ENVELOPE),
        (b"x", "Content-Type: text/xml", CallCheck.ENVELOPE),
        (b"<a/>", "Content-Type: text/xml", CallCheck.ENVELOPE),
    ],
)
def test_what_is_no_call_gets_a_fault(body, field, check):
    simulation = Simulation()
    assert b"HTTP/1.1 500" in simulation.post(body, field).heard
    assert [call.received.failed for call in simulation.told] == [check]


def test_only_post_is_served():
    simulation = Simulation()
    assert b"HTTP/1.1 405" in simulation.post(b"", method="GET").heard
    assert simulation.told == []


def test_others_than_the_hub_are_turned_away_and_counted():
    simulation = Simulation()
    with pytest.raises(Exception, match="certificate-unknown"):
        simulation.partner._require_hub(STRANGER.certificate, [])
    simulation.partner._require_hub(HUB.certificate, [])
    assert simulation.partner.turned_away == 1


def test_the_tally_counts_answers_faults_and_what_was_sent():
    simulation, tally = Simulation(script="accept x2\nrefuse:E1\ndown"), SimulationTally()
    for by in (HUB, HUB, HUB, STRANGER):
        simulation.deliver(by=by)
    simulation.partner.close_if_down()
    for call in simulation.told:
        tally.count_call(call)
    tally.count_sent(SentOutcome.REFUSED)
    assert (tally.calls, tally.again, tally.passed) == (5, 2, False)
    assert dict(tally.answers) == {"accept": 2, "refuse": 1, "fault": 1, "down": 1}
    assert dict(tally.failed) == {"signature": 1}
    assert dict(tally.sent) == {"refused": 1}
