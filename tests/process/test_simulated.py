"""A real hub pushes to `lienthong partners simulate`: each answer that a partner may give, and what becomes of the message."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from datetime import date
from typing import Any
from zipfile import ZipFile

import pytest

from hub.edxml.sample import make_sample_packet
from tests import warm
from tests.process.test_outage import policy
from tests.process.test_replayed import post
from tests.running import PATIENCE, RunningHub, until
from tests.warm import BIN

pytestmark = pytest.mark.slow


class Simulated:
    """The command while it runs: what it prints, and what is typed."""

    def __init__(self, hub, *words):
        command = [BIN / "lienthong", "-c", hub.config, "partners", "simulate", "vpub", "--json", *words]
        env = os.environ | {"LANG": "C.UTF-8"}
        self.process: Any = warm.start(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=hub.home
        )
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        assert self.next("ready")["code"] == "vpub"

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def next(self, kind, **fields):
        """Return the next line of that kind with these fields: a call that the hub gave up on comes again."""
        told = {"kind": kind, **fields}
        while not told.items() <= (line := self.lines.get(timeout=PATIENCE)).items():
            pass
        return line

    def type(self, answer):
        self.process.stdin.write(answer + "\n")
        self.process.stdin.flush()
        self.next("answer", answer=answer)

    def end(self):
        """Stop it as Ctrl-C does; return the summary and the exit code."""
        self.process.send_signal(signal.SIGINT)
        summary = self.next("summary")
        return summary, self.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    made = RunningHub(tmp_path_factory.mktemp("simulated") / "hub")
    policy(made, "vpub", first_retry="100ms", max_retry="200ms", timeout="5s")
    yield made.start()
    made.close()


@contextlib.contextmanager
def simulated(hub, *words):
    running = Simulated(hub, *words)
    try:
        yield running
    finally:
        running.process.kill()
        running.reader.join(10)
        running.process.stdin.close()
        running.process.stdout.close()


def send(hub, number):
    packet = make_sample_packet("H55.13", "H55.1", f"thử {number}", date(2026, 11, 20), number=number)
    with hub.client("sotttt") as client:
        return client.send(packet).document_id


def settled(hub, message, state):
    until(lambda: hub.states(message)["H55.1"][0] == state, f"the delivery to be {state}")


def test_each_answer_has_its_consequence_and_after_every_failure_the_message_arrives(hub):
    with simulated(hub, "--answer", "accept") as partner:
        accepted = send(hub, 1)
        settled(hub, accepted, "delivered")
        call = partner.next("call", message_id=accepted)
        assert (call["answer"], call["passed"]) == ("accept", True)
        assert (call["packet"]["sender"], call["packet"]["recipients"]) == ("H55.13", ["H55.1"])

        partner.type("refuse:E-17:không có người nhận")
        refused = send(hub, 2)
        settled(hub, refused, "dead")
        assert partner.next("call", message_id=refused)["answer"] == "refuse:E-17:không có người nhận"
        (line,) = [each for each in hub.cli("trace", refused, "--json") if each["event"] == "delivery"]
        assert line["reason"] == "refused: E-17: không có người nhận"

        partner.type("slow:0.5")
        slow = send(hub, 3)
        settled(hub, slow, "delivered")
        assert partner.next("call", message_id=slow)["answer"] == "slow:0.5"

        for answer in ("garbage", "timeout", "down"):
            partner.type(answer)
            message = send(hub, answer)
            partner.next("call", answer=answer)
            partner.type("accept")
            settled(hub, message, "delivered")
        summary, code = partner.end()
    assert code == 0
    assert summary["failed"] == {}
    assert summary["answers"]["refuse"] == 1
    assert {"accept", "slow", "garbage", "timeout", "down"} < set(summary["answers"])


def test_it_sends_documents_too_and_ends_by_itself(hub):
    with simulated(hub, "--send", "3", "--rate", "50", "--to", "H55.13") as partner:
        sent = [partner.next("sent") for _ in range(3)]
        assert [each["outcome"] for each in sent] == ["accepted"] * 3
        summary, code = partner.end()
    assert (summary["sent"], code) == ({"accepted": 3}, 0)
    with simulated(hub, "--seconds", "0.5") as partner:
        assert partner.next("summary")["sent"] == {}
        assert partner.process.wait(PATIENCE) == 0
    listed = {each["id"] for each in hub.cli("messages", "--partner", "vpub", "--json") if each["partner"] == "vpub"}
    assert {each["detail"] for each in sent} <= listed


def test_a_partner_that_the_hub_does_not_know_is_made_added_and_served(hub):
    command = ["partners", "simulate", "thu", "--unit", "H55.90", "--seconds", "0.1", "--json"]
    hub.cli(*command)
    assert not (hub.home / "partners/thu.toml").exists(), "without --add it is only shown"
    hub.cli(*command, "--add")
    assert 'receive = "push"' in (hub.home / "partners/thu.toml").read_text()
    assert "BEGIN CERTIFICATE" in (hub.home / "pki/partners/thu.crt").read_text()
    (shown,) = hub.cli("partners", "show", "thu", "--json")
    assert shown["units"] == ["H55.90"]


def test_the_samples_of_a_kit_are_taken_as_the_kit_says_and_prove_nothing_by_themselves(hub, tmp_path):
    hub.cli("partners", "kit", "vpub", "-o", tmp_path / "vpub.zip")
    with ZipFile(tmp_path / "vpub.zip") as archive:
        archive.extractall(tmp_path / "kit")
    samples = tmp_path / "kit/samples"
    (sent,) = hub.cli("send", samples / "packet-document.edxml", "--as", "vpub", "--json")
    assert sent["accepted"], "a partner signs the packet of the kit with its own key"
    status, answer = post(hub, (samples / "documents-SendDocument-call.xml").read_bytes(), "vpub")
    assert status == 500
    assert "certificate-unknown" in answer, "the sandbox's signature is nobody's"
    steps = {each["step"]: each["at"] for each in hub.cli("partners", "kit", "vpub", "--json")}
    assert {name for name, at in steps.items() if at} >= {"called", "certificate", "signed", "document", "refused"}
