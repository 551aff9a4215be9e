"""A real RabbitMQ takes the events: a subscriber rebuilds the report from them alone; the broker and the hub are killed, and nothing is missing."""

import contextlib
import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.node.init_province import choose_ports
from hub.report.form.period import find_month_containing
from lienthong_demo.plan.packets import Answered, write_document_packet, write_status_packet
from tests import pki
from tests.pages import DOCS, SUBSCRIBER, fenced, subscriber_of_the_page
from tests.ports import find_free_ports
from tests.process.test_kill import Load, waiting
from tests.rabbitmq import PASSWORD, USER, Broker
from tests.running import RunningHub, until

pytestmark = pytest.mark.slow
program = subscriber_of_the_page()
NOW = find_month_containing(datetime.now(UTC))
MONTHS = (find_month_containing(NOW.start - timedelta(days=1)).text, NOW.text)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker.open() as made:
        yield made


def publish_to(hub: RunningHub, url: str, **keys: str) -> None:
    """Give the hub its [feed], and its metrics."""
    (hub.home / "feed-password").write_text(PASSWORD + "\n")
    (hub.home / "feed-password").chmod(0o600)
    said = {"url": url, "password-file": "feed-password"} | keys
    text = hub.config.read_text("utf-8").replace("[admin]\n", "[admin]\nmetrics = true\n")
    lines = "\n".join(f'{key} = "{value}"' for key, value in said.items())
    hub.config.write_text(f"{text}\n[feed]\n{lines}\n", "utf-8")


def metrics(hub: RunningHub) -> dict[str, float]:
    """Return the numbers of `/metrics` that have no labels."""
    code, body = hub.get("/metrics")
    assert code == 200, body
    families = text_string_to_metric_families(body.decode())
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


class Subscriber:
    """The program of the page, its file, and the queue it declared."""

    def __init__(self, broker: Broker, place: Path, *words: str) -> None:
        self.broker, self.store, self.words = broker, place / "facts.db", words
        (place / "password").write_text(PASSWORD)
        self.password = place / "password"
        self.came, self.complaints = Counter[str](), ""  #: since it declared its queue

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SUBSCRIBER), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def take(self, count: float = 0) -> tuple[Counter[str], str]:
        """Take what is there, until *count* events have come in all; return what has come, and what the program complained of.

        Whoever declares the queue may be given the first events at once.
        """
        words = [self.broker.url, self.store, "--password-file", self.password, "--idle", 1 if count else 0.25]

        def take() -> bool:
            ran = self.run("take", *words, *self.words)
            assert ran.returncode == 0, ran.stderr
            self.came.update(json.loads(ran.stdout.splitlines()[-1]))
            self.complaints += ran.stderr
            return self.came["taken"] >= count

        until(take, f"{count} events: {self.came}")
        return self.came, self.complaints

    def rebuilt(self, unit: str, month: str) -> dict[str, object]:
        """Count here what `report` counts in a process of its own."""
        with contextlib.closing(sqlite3.connect(self.store)) as store:
            found: dict[str, object] = program.report(store, unit, month, datetime.now(UTC))
            return found

    def report(self, unit: str, month: str) -> dict[str, object]:
        ran = self.run("report", self.store, unit, month)
        assert ran.returncode == 0, ran.stderr
        found: dict[str, object] = json.loads(ran.stdout)
        return found

    def facts(self) -> list[dict[str, object]]:
        with contextlib.closing(sqlite3.connect(self.store)) as store:
            return [json.loads(said) for (said,) in store.execute("SELECT said FROM fact")]


def interruptions(hub: RunningHub) -> list[str]:
    """Return why the feed was interrupted, as the log says."""
    return [line["reason"] for line in hub.told("feed-interrupted")]


def drained(hub: RunningHub) -> bool:
    """Tell whether everything was published."""
    return metrics(hub).get("lienthong_feed_unpublished_events") == 0


def assert_rebuilt(hub: RunningHub, subscriber: Subscriber) -> None:
    """Every cell of every unit's report, and every fact, is the same on both sides."""
    told = {(fact["unit"], fact["milestone"], fact["key"]): fact for fact in subscriber.facts()}
    known = hub.cli("report", "--facts", "--json")
    assert len(told) == len(known) > 0
    for fact in known:
        same = told[fact["unit"], fact["milestone"], fact["key"]]
        assert (same["message"], same["counterpart"], same["outside"]) == (
            fact["id"],
            fact["counterpart"],
            fact["outside"],
        )
        for name in ("service", "document_type", "paper", "signature"):
            assert same[name] == fact[name], name
    cells = 0
    for month in MONTHS:
        (whole,) = hub.cli("report", "H55", month, "--format", "json")
        for row in whole["rows"]:
            rebuilt = subscriber.rebuilt(row["unit"], month)
            expected = {name: value for name, value in row.items() if name != "name"}
            assert rebuilt == expected, month
            cells += sum(bool(value) for value in expected.values()) - 1
    assert cells > 10, "a report with something in it"
    for unit in ("H55.13", "H55.1"):
        assert subscriber.report(unit, MONTHS[-1]) == subscriber.rebuilt(unit, MONTHS[-1])


def as_on_the_page(broker: Broker, place: Path) -> str:
    """Type what docs/howto/subscribe.md tells its reader to, at a broker without TLS; return the last line."""
    (typed,) = fenced((DOCS / "howto/subscribe.md").read_text("utf-8"), "sh")
    for written, here in (
        ("amqps://bao-cao@mq.example/lienthong", broker.url),
        (" --ca mq-ca.crt", ""),
        ("mq-password", "password"),
        ("python subscriber.py", shlex.join([sys.executable, str(SUBSCRIBER)])),
    ):
        assert written in typed
        typed = typed.replace(written, here)
    ran = subprocess.run(["bash", "-eu"], input=typed, cwd=place, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1]


def letter(number: int, sender: str, *recipients: str, **said: Any) -> bytes:
    return write_document_packet(
        sender, recipients, number=str(number), notation="FEED", subject="x", promulgated=date(2026, 11, 20), **said
    )


def work(hub: RunningHub) -> None:
    """Something for most columns: due dates, paper, signatures, changes, statuses in time and late, one from outside."""
    with hub.client("sotttt") as client, hub.client("vpub") as office:
        for number in range(6):
            client.send(letter(number, "H55.13", "H55.1", "000.00.00.G22"))
            packet = letter(number, "H55.1", "H55.13", due=date(2026, 11, 1) if number % 2 else None, paper=number > 3)
            sent = office.send(office.sign_packet(packet) if number % 3 else packet)
            client.get(sent.document_id)
            client.confirm(sent.document_id)
            answered = Answered("H55.1", f"{number}/FEED", "2026/11/20", f"H55.1,2026/11/20,{number}/FEED")
            for code in (["01"], ["03", "04"], ["02"], ["03", "06"], ["03", "05", "03"], [])[number]:
                client.update(write_status_packet("H55.13", code, answered, at=datetime.now(UTC)))
        for kind, about in ((1, 0), (2, 1), (3, 2)):
            changed = f"H55.13,2026/11/20,{about}/FEED"
            said: dict[str, Any] = {"replaced": [changed]} if kind == 3 else {"about": changed}
            client.send(letter(100 + kind, "H55.13", "H55.1", kind=kind, reason="sai", **said))


@pytest.mark.parametrize("hub", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True)
def test_a_subscriber_rebuilds_the_report_from_the_events_alone(hub, broker, tmp_path):
    publish_to(hub, broker.url)
    hub.letterbox("vpcp")
    hub.letterbox("vpub")
    hub.start()
    subscriber = Subscriber(broker, tmp_path)
    subscriber.take()  # the queue is there from now on
    work(hub)
    until(lambda: not waiting(hub), "everything to be delivered")
    until(lambda: drained(hub), "everything to be published")
    came, complaints = subscriber.take(metrics(hub)["lienthong_events_total"])
    assert complaints == ""
    assert set(came) == {"taken"}
    assert_rebuilt(hub, subscriber)
    assert json.loads(as_on_the_page(broker, tmp_path)) == subscriber.rebuilt("H55.13", "2026-12")
    (row,) = hub.cli("db", "status", "--json")
    assert (row["feed"]["unpublished"], row["feed"]["exchange"]) == (0, "lienthong")


@pytest.mark.parametrize("hub", ["postgresql", pytest.param("sqlite", marks=pytest.mark.soak)], indirect=True)
def test_a_broker_and_a_hub_that_are_killed_under_load_lose_no_event(hub, broker, tmp_path):
    publish_to(hub, broker.url)
    hub.letterbox("vpcp")
    hub.letterbox("vpub")
    subscriber = Subscriber(broker, tmp_path)
    subscriber.take()
    hub.start()
    with Load(hub) as load:
        for _ in range(3):
            published = metrics(hub)["lienthong_feed_published_total"]
            until(lambda: metrics(hub)["lienthong_feed_published_total"] > published + 50, "events to be published")  # noqa: B023
            broker.crash()
            receipted = len(load.receipts)
            until(lambda: len(load.receipts) > receipted + 10, "intake to go on without the broker")  # noqa: B023
            assert hub.is_ready(), "readiness has nothing to do with the feed"
            until(lambda: metrics(hub)["lienthong_feed_unpublished_events"] > 20, "the lag to be told")
            until(lambda: metrics(hub)["lienthong_feed_connected"] == 0, "the lost connection to be told")
            hub.kill()
            broker.start()
            hub.start()
            published = metrics(hub)["lienthong_feed_published_total"]
            until(lambda: metrics(hub)["lienthong_feed_published_total"] > published, "the feed to go on")  # noqa: B023
            hub.kill()  # while it publishes
            hub.start()
    assert not load.broken
    until(lambda: load.fetch_all() == 0, "everything to be fetched")
    until(lambda: not waiting(hub), "everything to be delivered")
    until(lambda: drained(hub), "everything to be published")
    count = metrics(hub)["lienthong_events_total"]
    came, _ = subscriber.take(count)
    assert came["taken"] == count, came  # in order, each once, every hash following from the one before
    assert_rebuilt(hub, subscriber)
    print(f"{count} events: {came}")  # noqa: T201 - shown by pytest -s, and when it fails


def test_with_no_broker_from_the_start_the_hub_works_and_the_events_wait(hub, tmp_path):
    with Broker.open(started=False) as broker:
        publish_to(hub, broker.url)
        hub.cli("check")
        told = hub.cli("check", "--connect", "--json", code=69)
        assert ("unreachable", "hub.toml: feed.url") in [(line["kind"], line["path"]) for line in told]
        hub.letterbox("vpcp")
        hub.letterbox("vpub")
        hub.start()
        with hub.client("sotttt") as client:
            for number in range(5):
                client.send(letter(number, "H55.13", "H55.1", "000.00.00.G22"))
        until(lambda: not waiting(hub), "everything to be delivered")
        until(lambda: metrics(hub)["lienthong_events_unchained"] == 0, "every event to have its number")
        found = metrics(hub)
        assert found["lienthong_feed_unpublished_events"] == found["lienthong_events_total"] > 40
        time.sleep(0.01)
        assert metrics(hub)["lienthong_feed_unpublished_oldest_age_seconds"] > 0
        assert hub.is_ready()
        assert len(interruptions(hub)) == 1, "said once"
        broker.start()
        until(lambda: "no queue takes" in interruptions(hub)[-1], "the feed to find no queue")
        assert metrics(hub)["lienthong_feed_published_total"] == 0
        subscriber = Subscriber(broker, tmp_path)
        subscriber.take()
        until(lambda: drained(hub), "everything to be published")
        came, _ = subscriber.take(metrics(hub)["lienthong_events_total"])
        assert came["taken"] == metrics(hub)["lienthong_events_total"]
        until(lambda: metrics(hub)["lienthong_feed_connected"] == 1, "the feed to say so")


def test_a_second_node_publishes_when_the_first_is_gone(postgresql, broker, tmp_path):
    with postgresql.database() as url:
        first = RunningHub(tmp_path / "first", url)
        publish_to(first, broker.url)
        subscriber = Subscriber(broker, tmp_path)
        subscriber.take()
        first.letterbox("vpcp")
        first.letterbox("vpub")
        first.start()
        until(lambda: metrics(first)["lienthong_feed_connected"] == 1, "the first to have the turn")
        second = RunningHub.__new__(RunningHub)
        shutil.copytree(first.home, tmp_path / "second")
        second.__dict__.update(first.__dict__ | {"home": tmp_path / "second", "letterboxes": {}})
        second.config, second.log = second.home / "hub.toml", second.home / "hub.log"
        for each in ("hub.pid", "hub.pid.lock"):
            (second.home / "data" / each).unlink(missing_ok=True)
        text = second.config.read_text()
        ports = choose_ports(*find_free_ports(2))
        text = text.replace(first.admin.rpartition(":")[2], str(ports.admin))
        text = text.replace(first.soap.split(":")[2].split("/")[0], str(ports.soap))
        second.config.write_text(text)
        second.admin = f"https://127.0.0.1:{ports.admin}"
        second.start()
        try:
            with first.client("sotttt") as client:
                client.send(letter(1, "H55.13", "H55.1"))
            until(
                lambda: not waiting(first), "it to be delivered: what is under way ends at the second, with more events"
            )
            until(lambda: drained(first), "the first to publish")
            assert metrics(second)["lienthong_feed_connected"] == 0
            first.kill()
            until(lambda: metrics(second)["lienthong_feed_connected"] == 1, "the second to have the turn")
            until(lambda: drained(second), "the second to publish")
            came, _ = subscriber.take(metrics(second)["lienthong_events_total"])
            assert came["taken"] == metrics(second)["lienthong_events_total"]
        finally:
            second.close()
            first.close()


def test_over_tls_the_brokers_certificate_must_lead_to_the_ca_of_the_feed(hub, tmp_path):
    files = (hub.home / "pki/hub.key", hub.home / "pki/hub.crt", hub.home / "pki/ca.crt")
    with Broker.open(tls=files) as broker:
        url = f"amqps://{USER}@127.0.0.1:{broker.tls_port}"
        publish_to(hub, url, ca="pki/ca.crt")
        Subscriber(broker, tmp_path).take()
        hub.start()
        until(lambda: drained(hub) and metrics(hub)["lienthong_feed_connected"], "the feed to be connected")
        hub.stop()
        other = pki.authority("Another CA", datetime.now(UTC)).certificate
        (hub.home / "pki/other.crt").write_bytes(pki.pem(other))
        hub.config.write_text(hub.config.read_text().replace('ca = "pki/ca.crt"', 'ca = "pki/other.crt"'))
        hub.start()
        until(lambda: "feed-interrupted" in hub.log.read_text(), "the feed to say so")
        assert metrics(hub)["lienthong_feed_connected"] == 0


def test_a_wrong_password_is_said_and_read_again_and_what_no_queue_takes_may_be_let_go(hub, broker):
    publish_to(hub, broker.url, unrouted="drop")
    (hub.home / "feed-password").write_text("geheim")
    (refused,) = [line for line in hub.cli("check", "--connect", "--json", code=78) if line["path"] == "hub.toml: feed"]
    assert "ACCESS_REFUSED" in refused["wrong"]
    (hub.home / "feed-password").write_text(PASSWORD)
    told = hub.cli("check", "--connect", "--json", code=69)  # the sample partners do not run
    assert [line["path"] for line in told if "feed" in line["path"]] == []
    (hub.home / "feed-password").write_text("geheim")
    hub.start()
    until(lambda: "feed-interrupted" in hub.log.read_text(), "the feed to say so")
    (said,) = interruptions(hub)
    assert "ACCESS_REFUSED" in said
    assert "geheim" not in said
    (hub.home / "feed-password").write_text(PASSWORD)
    with hub.client("sotttt") as client:
        client.send(letter(1, "H55.13", "H55.1"))
    until(lambda: metrics(hub)["lienthong_feed_connected"], "the feed to be connected")
    until(lambda: drained(hub), "everything to be let go")
    assert metrics(hub)["lienthong_feed_published_total"] > 0
