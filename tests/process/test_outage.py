"""A partner goes down and comes back; dead letters are replayed by a person, with a plan and a reason."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from hub.partner.policy import Policy
from lienthong_demo.plan.packets import write_document_packet
from lienthong_demo.protocol.letterbox import Letterbox
from tests.running import until

pytestmark = pytest.mark.slow


def packet(number, *recipients):
    return write_document_packet(
        "H55.13", recipients, number=str(number), notation="STTTT", subject="x", promulgated=date(2026, 11, 20)
    )


def policy(hub, partner, **keys):
    """Give a sample partner another policy."""
    path = hub.home / f"partners/{partner}.toml"
    lines = [f'{key.replace("_", "-")} = "{value}"' for key, value in keys.items()]
    path.write_text(path.read_text() + "\n[policy]\n" + "\n".join(lines) + "\n")


def test_with_a_partner_down_its_deliveries_wait_the_others_go_on_and_they_drain_when_it_returns(hub):
    policy(hub, "vpub", first_retry="200ms", max_retry="500ms")
    hub.letterbox("vpcp")
    hub.start()
    with hub.client("sotttt") as client:
        sent = [client.send(packet(number, "H55.1", "000.00.00.G22")).document_id for number in range(6)]
    until(lambda: len(hub.received("vpcp")) == 6, "the axis to get all six")
    assert {hub.states(message)["H55.1"][0] for message in sent} <= {"waiting", "sending"}
    until(lambda: {hub.states(message)["000.00.00.G22"][0] for message in sent} == {"delivered"}, "six to be settled")
    hub.letterbox("vpub")
    until(lambda: len({note["document_id"] for note in hub.received("vpub")}) == 6, "the office to get all six")
    until(lambda: {hub.states(message)["H55.1"][0] for message in sent} == {"delivered"}, "all six to be settled")


def test_past_its_policy_a_delivery_is_a_dead_letter_and_a_replay_delivers_it(hub):
    policy(hub, "vpub", first_retry="100ms", max_retry="300ms", give_up="1s")
    hub.start()
    with hub.client("sotttt") as client:
        sent = client.send(packet(1, "H55.1")).document_id
    until(lambda: hub.states(sent)["H55.1"][0] == "dead", "the dead letter")
    assert hub.cli("messages", "--delivery-state", "dead", "--count", text=True) == "1\n"
    hub.letterbox("vpub")

    hub.cli("replay", sent, code=2)  # without a reason
    (planned,) = hub.cli("replay", sent, "--reason", "máy chủ đã chạy lại", "--json")
    assert (planned["action"], planned["recipient"]) == ("planned", "H55.1")
    assert hub.states(sent)["H55.1"][0] == "dead", "a plan changes nothing"
    hub.cli("replay", "--partner", "vpub", "--recipient", "H55.13", "--reason", "x", "--yes", code=4)
    (done,) = hub.cli("replay", "--partner", "vpub", "--reason", "máy chủ đã chạy lại", "--yes", "--json")
    assert done["action"] == "replayed"
    until(lambda: hub.states(sent)["H55.1"][0] == "delivered", "the replay to arrive")
    assert len(hub.received("vpub")) == 1
    trace = hub.cli("trace", sent, "--json")
    (replayed,) = [line for line in trace if line["event"] == "delivery-replayed"]
    assert replayed["reason"] == "máy chủ đã chạy lại"
    assert [line["at"] for line in trace] == sorted(line["at"] for line in trace)
    milestones = [(fact["unit"], fact["milestone"]) for fact in hub.cli("report", "--facts", "--json")]
    told = [("H55.1", "received"), ("H55.13", "failed"), ("H55.13", "failed-over"), ("H55.13", "sent")]
    assert sorted(milestones) == told
    hub.cli("replay", sent, "--reason", "again", "--yes", code=4)  # nothing is dead any more


def test_a_letterbox_with_a_certificate_that_is_not_the_partners_gets_nothing(hub):
    policy(hub, "vpub", first_retry="100ms", max_retry="300ms")
    hub.issue("vpub-impostor")
    honest = hub.files("vpub")
    impostor = hub.files("vpub-impostor")
    kept = {name: honest[name].read_bytes() for name in ("key", "certificate")}
    hub.start()
    for name in kept:
        honest[name].write_bytes(impostor[name].read_bytes())
    hub.letterbox("vpub")  # the same CA signed it, but it is not the configured one
    for name, content in kept.items():
        honest[name].write_bytes(content)
    with hub.client("sotttt") as client:
        sent = client.send(packet(1, "H55.1")).document_id
    until(lambda: hub.states(sent)["H55.1"][1] >= 2, "two attempts")
    assert hub.received("vpub") == []
    hub.close_letterbox("vpub")
    hub.letterbox("vpub")
    until(lambda: hub.states(sent)["H55.1"][0] == "delivered", "the honest one to get it")


def test_a_partner_that_gets_much_keeps_its_connections(hub, monkeypatch):
    """As many as messages may be sent to it at the same time: 80 were opened for 300 messages, with two kept."""
    opened, accept = [], Letterbox.get_request

    def counted(box):
        opened.append(box)
        return accept(box)

    monkeypatch.setattr(Letterbox, "get_request", counted)
    hub.letterbox("vpub")
    hub.start()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(hub.client("sotttt")) for _ in range(4)]

        def send(first):
            for number in range(first, 60, 4):
                clients[first].send(packet(number, "H55.1"))

        with ThreadPoolExecutor(4) as senders:
            list(senders.map(send, range(4)))
    until(lambda: len(hub.received("vpub")) == 60, "the office to get all sixty")
    assert len(opened) <= Policy().concurrency
