"""Two nodes on one PostgreSQL: one dies or stands still while it sends, and the other goes on; each wakes the other."""

import signal
import socket
import threading
import time
from datetime import date

import pytest

from hub.journal.nodes import LIFE
from hub.node.heartbeat import BEAT
from lienthong_demo.plan.packets import write_document_packet
from tests.running import PATIENCE, RunningHub, until

pytestmark = pytest.mark.slow

#: A dead node's deliveries are sent by another after at most this, in seconds: its life, a beat of the other, and some work.
TAKEN_OVER = LIFE.total_seconds() + BEAT + 2


def packet(number, *recipients):
    return write_document_packet(
        "H55.13", recipients, number=str(number), notation="STTTT", subject="x", promulgated=date(2026, 11, 20)
    )


@pytest.fixture
def pair(postgresql, tmp_path):
    """Two nodes of one province; none runs yet."""
    with postgresql.database() as database:
        first = RunningHub(tmp_path / "first", database)
        with (first.home / "partners/vpub.toml").open("a") as policy:
            policy.write('\n[policy]\ntimeout = "120s"\n')
        second = RunningHub(tmp_path / "second", beside=first)
        yield first, second
        for each in (first, second):
            if each.process is not None and each.process.poll() is None:
                each.process.send_signal(signal.SIGCONT)
            each.close()


@pytest.fixture
def silent(pair):
    """The office's system takes connections and says nothing."""
    port = int((pair[0].home / "partners/vpub.toml").read_text().split("127.0.0.1:")[1].split("/")[0])
    with socket.create_server(("127.0.0.1", port)) as listening:
        yield listening


def nodes(hub):
    return {row["name"]: row for row in hub.cli("db", "nodes", "--json")}


def who_holds(pair):
    """Return of each of the pair how it stands, and how many deliveries it is sending."""
    found = nodes(pair[1])
    return [(found[name(each)]["state"], found[name(each)]["holds"]) for each in pair]


def name(hub):
    """The node's name, as the journal has it."""
    return f"{(hub.home / 'data/node').read_text().strip()}@{socket.gethostname()}"


def events(hub, message):
    return [line["event"] for line in hub.cli("trace", message, "--json")]


def said(hub, event):
    """Return the lines of a node's log with that event."""
    return hub.told(event)


def test_what_a_killed_node_was_sending_another_sends_soon_and_what_a_living_one_sends_it_keeps(pair, silent):
    first, second = pair
    first.start()
    with first.client("sotttt") as client:
        sent = client.send(packet(1, "H55.1")).document_id
    until(lambda: first.states(sent)["H55.1"] == ("sending", 1), "the first node to send")
    second.start()
    until(lambda: len(nodes(second)) == 2, "both nodes to be seen")
    assert who_holds(pair) == [("alive", 1), ("alive", 0)]
    time.sleep(TAKEN_OVER)  # as long as it lives, nobody takes over what it is sending
    assert who_holds(pair) == [("alive", 1), ("alive", 0)]
    assert second.states(sent)["H55.1"] == ("sending", 1)

    first.kill()
    killed = time.monotonic()
    silent.close()
    second.letterbox("vpub")
    until(lambda: second.received("vpub"), "the other node to deliver")
    print(f"taken over {time.monotonic() - killed:.1f} s after the kill")  # noqa: T201 - shown by pytest -s
    until(lambda: second.states(sent)["H55.1"] == ("delivered", 1), "it to be settled")
    assert nodes(second)[name(first)]["state"] == "lapsed"

    first.start()  # the same node, by its directory
    until(lambda: nodes(second)[name(first)]["state"] == "alive", "it to be seen again")
    assert first.stop() in (0, -signal.SIGTERM)
    assert nodes(second)[name(first)]["state"] == "stopped"


def test_what_a_node_that_stood_still_settles_is_stale_and_moves_nothing(pair):
    first, second = pair
    stood: list[float] = []
    both_sent = threading.Event()

    def stand_still(_delivered):
        """The office has accepted it; the node stands still before it hears so."""
        if not stood:
            assert both_sent.wait(PATIENCE), (
                "the client did not get both receipts from the node that is about to stand still"
            )
            first.process.send_signal(signal.SIGSTOP)
            stood.append(time.monotonic())

    first.start()
    first.letterbox("vpub", stand_still)
    with first.client("sotttt") as client:
        sent = client.send(packet(1, "H55.1")).document_id
        held_back = client.send(packet(2, "000.00.00.G22")).document_id  # the axis is down
    both_sent.set()
    until(lambda: stood, "the office to accept")
    second.start()
    until(lambda: second.states(sent)["H55.1"] == ("delivered", 1), "the other node to deliver again")
    assert nodes(second)[name(first)]["state"] == "lapsed"
    first.process.send_signal(signal.SIGCONT)
    until(lambda: nodes(second)[name(first)]["state"] == "alive", "the first node to beat again")
    until(lambda: "attempt-stale" in events(second, sent), "its answer to be found stale")
    assert second.states(sent)["H55.1"] == ("delivered", 1)
    assert events(second, sent).count("delivery-delivered") == 1
    assert [note["document_id"] for note in first.received("vpub")] == [sent, sent], "one extra copy, by the same id"
    facts = [fact for fact in second.cli("report", "--facts", "--json") if fact["id"] == sent]
    assert sorted(fact["milestone"] for fact in facts) == ["received", "sent"]
    until(lambda: said(first, "node-revived"), "its log to say so")
    first.letterbox("vpcp")
    until(lambda: second.states(held_back)["000.00.00.G22"][0] == "delivered", "both to go on")
