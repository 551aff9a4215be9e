"""Pull the plug, ten times on each database (in the soak twenty), at chosen places and at random: no receipted message is lost, each is delivered, each counts once."""

import hashlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hub.cli.documents_client import HubUnavailable, SubmissionRefused
from hub.config import read_config
from hub.journal import duties
from hub.journal.queue.waiting_counts import find_wrong_counts
from hub.store import transactions
from lienthong_demo.plan.packets import write_document_packet
from tests.conftest import DATABASES, ROOT
from tests.running import until

pytestmark = pytest.mark.slow

#: (place, pass): 5 between commit and receipt, 5 between send and settle, 6 at other places, 4 at no chosen place.
#: Every run has each of them on one of the databases.
ENDS = [
    *[("committed-not-receipted", passes) for passes in (1, 2, 5, 9, 14)],
    *[("sent-not-settled", passes) for passes in (1, 2, 4, 7, 11)],
    ("inserted-not-committed", 3),
    ("inserted-not-committed", 8),
    ("settled-not-committed", 2),
    ("claimed-not-sent", 3),
    ("fetched-not-answered", 2),
    ("confirmed-not-answered", 2),
    *[(None, moment) for moment in (0.2, 0.5, 0.9, 1.4)],
]
PATIENCE = 240


class Load:
    """Two senders and a fetcher that never give up, and their own record of what the hub promised.

    *attached*: octets of an attachment of each document.  With 20,000 each call is a dear one.
    """

    def __init__(self, hub, attached=0):
        self.hub = hub
        self.more: dict[str, Any] = (
            {"attachments": [("a.bin", random.Random(1).randbytes(attached))]} if attached else {}
        )
        self.receipts = {}  # message id -> (document id, sha256)
        self.fetched: Counter[tuple[str, str]] = Counter()  # (document id, sha256)
        self.confirmed = set()
        self.broken = []
        self.over = threading.Event()
        # the pushed-to office sends to the department that fetches, and the other way round; and up to the axis
        self.threads = [
            threading.Thread(target=self._guard, args=(self._send, "sotttt", "H55.13", ["H55.1", "000.00.00.G22"])),
            threading.Thread(target=self._guard, args=(self._send, "vpub", "H55.1", ["H55.13", "H55.14"])),
            threading.Thread(target=self._guard, args=(self._fetch,)),
        ]

    def _guard(self, work, *args):
        try:
            work(*args)
        except BaseException as error:  # whatever it is, the test must say it
            self.broken.append(error)
            raise

    def _send(self, partner, sender, recipients):
        number = 0
        while not self.over.is_set():
            number += 1
            name = f"{partner}-{number}"
            packet = write_document_packet(
                sender,
                recipients,
                number=str(number),
                notation=partner,
                subject=name,
                promulgated=date(2026, 11, 20),
                **self.more,
            )
            self._until_receipted(partner, name, packet)
            time.sleep(0.01)

    def _until_receipted(self, partner, name, packet):
        while True:
            try:
                with self.hub.client(partner) as client:
                    sent = client.send(packet, name)
            except HubUnavailable:
                time.sleep(0.05)
                continue
            assert sent.sha256 == hashlib.sha256(packet).hexdigest()
            self.receipts[name] = (sent.document_id, sent.sha256)
            return

    def _fetch(self):
        while not self.over.is_set():
            self.fetch_all()
            time.sleep(0.02)

    def fetch_all(self):
        """Fetch and confirm what waits; return how much there was."""
        try:
            with self.hub.client("sotttt") as client:
                waiting = client.pending("H55.13")
                for document_id in waiting:
                    packet = client.get(document_id).packet
                    self.fetched[document_id, hashlib.sha256(packet).hexdigest()] += 1
                    client.confirm(document_id)
                    self.confirmed.add(document_id)
        except HubUnavailable:
            return -1
        except SubmissionRefused as refused:
            raise AssertionError(f"an honest fetcher was refused: {refused}") from refused
        return len(waiting)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("hub", "ends"),
    [
        pytest.param("sqlite", ENDS[::2], id="sqlite"),
        pytest.param("postgresql", ENDS[1::2], id="postgresql"),
        *(pytest.param(each, ENDS, id=f"all on {each}", marks=pytest.mark.soak) for each in DATABASES),
    ],
    indirect=["hub"],
)
def test_many_ends_lose_nothing_and_count_nothing_twice(hub, ends, tmp_path):
    for partner in ("vpub", "vpcp"):
        hub.letterbox(partner)
    mark = tmp_path / "mark"
    ended: Counter[str] = Counter()
    with Load(hub) as load:
        for point, when in random.sample(ends, len(ends)):
            mark.unlink(missing_ok=True)
            if point is None:
                hub.start()
                time.sleep(when)
                hub.kill()
                ended["random"] += 1
                continue
            start_to_end(hub, point, when, mark, wait=False)
            until(lambda: hub.process.poll() is not None or load.broken, f"the end at {point}")
            assert not load.broken
            assert_ended(hub, point, mark)
            ended[point] += 1
        hub.start()
        until(lambda: len(load.receipts) > 40 or load.broken, "some receipts more")
    assert not load.broken
    assert ended.total() == len(ends)
    assert ended["committed-not-receipted"] >= len(ends) // 5
    assert ended["sent-not-settled"] >= len(ends) // 5
    until(lambda: load.fetch_all() == 0, "everything to be fetched")
    until(lambda: not waiting(hub), "everything to be delivered", PATIENCE)
    assert_nothing_lost(hub, load)
    assert_counted_once(hub, load)
    print(f"{len(load.receipts)} receipted, ends: {dict(ended)}")  # noqa: T201 - shown by pytest -s, and when it fails


def find_workers(hub):
    """Return the pids of the worker processes of the running hub."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(place.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            if parent == hub.process.pid and b"run_worker_process" in place.joinpath("cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return sorted(found)


def arm_workers(hub, mark):
    """Let each worker process end between the commit and the receipt of its third message, which leaves *mark*."""
    hub.env |= {"KILLABLE_POINT": "committed-not-receipted", "KILLABLE_PASS": "3", "KILLABLE_MARK": str(mark)}
    hub.env["PYTHONPATH"] = f"{ROOT / 'tests/process/killable_worker'}{os.pathsep}{ROOT}"


def test_a_background_worker_that_ends_amid_dear_calls_loses_nothing_and_counts_nothing_twice(hub, tmp_path):
    for partner in ("vpub", "vpcp"):
        hub.letterbox(partner)
    mark = tmp_path / "mark"
    arm_workers(hub, mark)
    hub.start()
    with Load(hub, attached=20_000) as load:
        until(lambda: mark.exists() or load.broken, "a background worker that ended before its receipt")
        again = until(lambda: find_workers(hub) or load.broken, "another one in its place")
        assert hub.process.poll() is None
        if not load.broken:
            os.kill(again[0], signal.SIGKILL)
        before = len(load.receipts)
        until(lambda: len(load.receipts) >= before + 10 or load.broken, "some receipts more")
    assert not load.broken
    until(lambda: load.fetch_all() == 0, "everything to be fetched")
    until(lambda: not waiting(hub), "everything to be delivered", PATIENCE)
    assert_nothing_lost(hub, load)
    assert_counted_once(hub, load)


def start_to_end(hub, point, passes, mark, *, wait):
    """Start a hub that ends at *point*, the pass number *passes* through it."""
    hub.env |= {"KILLABLE_POINT": point, "KILLABLE_PASS": str(passes), "KILLABLE_MARK": str(mark)}
    hub.env["PYTHONPATH"] = str(ROOT)
    hub.start(sys.executable, "-m", "tests.process.killable", wait=wait)


def assert_ended(hub, point, mark):
    assert (hub.process.returncode, mark.exists() and mark.read_text()) == (-9, point), hub.log.read_text()[-2000:]


@pytest.mark.parametrize("hub", DATABASES, indirect=True)
def test_what_a_receipt_promised_is_counted_once_wherever_the_hub_ends_before_it_is_done(hub, tmp_path):
    mark = tmp_path / "mark"
    series = [
        *("BEGIN:VCALENDAR", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:giao-ban", "DTSTAMP:20261101T000000Z"),
        *("DTSTART:20261102T010000Z", "RRULE:FREQ=DAILY;COUNT=300", "ORGANIZER:mailto:a@b", "SUMMARY:Giao ban"),
        *("END:VEVENT", "END:VCALENDAR", ""),
    ]
    packet = write_document_packet(
        "H55.13",
        ["H55.14"],
        number="1",
        notation="GM",
        subject="Lịch năm",
        promulgated=date(2026, 11, 20),
        attachments=[("lich.ics", "\r\n".join(series).encode())],
    )
    start_to_end(hub, "enclosed-not-committed", 1, mark, wait=True)
    with hub.client("sotttt") as client:
        receipted = client.send(packet, "lich-nam").document_id
    for point in ("enclosed-not-committed", "written-not-committed", "promised-not-written"):
        if point != "enclosed-not-committed":
            mark.unlink()
            start_to_end(hub, point, 2, mark, wait=False)
        until(lambda: hub.process.poll() is not None, f"the end at {point}")
        assert_ended(hub, point, mark)
    hub.start()
    until(lambda: not read_journal(hub, duties.read_outstanding_duties), "what was promised to be written")
    facts = [fact for fact in hub.cli("report", "--facts", "--json") if fact["service"] == "meetings"]
    assert {fact["id"] for fact in facts} == {receipted}
    assert Counter(fact["milestone"] for fact in facts) == {"called": 300, "scheduled": 300, "series": 1}
    told = Counter(each["event"] for each in hub.cli("trace", receipted, "--json") if each.get("service") == "meetings")
    assert told == {"fact-recorded": 601}, "each of them once"


def read_journal(hub, step):
    """Return what *step* reads in a transaction of the hub's journal."""
    config = read_config(hub.config)
    engine = transactions.open_journal(config.database_url, password_file=config.password_file, pooled=False)
    try:
        with transactions.read_transaction(engine) as tx:
            return step(tx)
    finally:
        engine.dispose()


def waiting(hub):
    """Return whether messages have a delivery that is on its way. Each state is asked for by itself, so both ways round: one that
    goes back from one to another meanwhile is not missed.
    """
    states = ("waiting", "sending", "held", "fetched", "sending", "waiting")
    return any(int(hub.cli("messages", "--delivery-state", state, "--count", text=True)) for state in states)


def assert_nothing_lost(hub, load):
    """Every receipted message is in the journal with its bytes, and reached every recipient with them. What waits is counted."""
    assert len(load.receipts) > 40
    assert read_journal(hub, find_wrong_counts) == {}
    kept = {row["message_id"]: row for row in hub.cli("messages", "--json")}
    assert {row["state"] for row in kept.values()} == {"accepted"}
    pushed = {
        partner: Counter((n["document_id"], n["sha256"]) for n in hub.received(partner)) for partner in ("vpub", "vpcp")
    }
    for name, (document_id, sha256) in load.receipts.items():
        assert (kept[name]["id"], kept[name]["sha256"]) == (document_id, sha256)
        if name.startswith("sotttt"):
            assert pushed["vpub"][document_id, sha256] >= 1
            assert pushed["vpcp"][document_id, sha256] >= 1
        else:
            assert load.fetched[document_id, sha256] >= 1
    for (
        got
    ) in pushed.values():  # whatever came is in the journal, byte for byte: nothing was delivered that is not kept
        assert {sha256 for _, sha256 in got} <= {row["sha256"] for row in kept.values()}


def assert_counted_once(hub, load):
    """One `sent` a message, one `received` a recipient, and no other."""
    facts = Counter((fact["id"], fact["unit"], fact["milestone"]) for fact in hub.cli("report", "--facts", "--json"))
    assert set(facts.values()) == {1}
    expected: Counter[tuple[str, str, str]] = Counter()
    for row in hub.cli("messages", "--json"):
        sender, recipients = ("H55.13", ["H55.1", "000.00.00.G22"])
        if row["partner"] == "vpub":
            sender, recipients = ("H55.1", ["H55.13", "H55.14"])
        expected[row["id"], sender, "sent"] = 1
        for unit in recipients:
            expected[row["id"], unit, "received"] = 1
    assert facts == expected
