"""What an operator types to see how the exchange stands and what happened: `status` and `events`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from hub.cli.monitoring import repeating, status
from hub.cli.monitoring.events import EventFollower
from hub.domain.ids import make_id
from hub.domain.model import Event
from hub.journal import events, messages, nodes
from hub.journal.event_index import EventCursor, ListedEvent
from hub.journal.queue import partner_state
from hub.store import transactions
from tests import homes
from tests.homes import Type, engine_of
from tests.province import NOW, ROUTES, document, entry

TRACKING = make_id(NOW)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A hub with a document that waits, some events, and a node that runs."""
    home = homes.begin(tmp_path / "tinh")
    now = datetime.now(UTC)
    with transactions.write_transaction(engine_of(home)) as tx:
        messages.record_message(tx, entry(document(), 1, at=now - timedelta(minutes=5)), ROUTES)
        events.append_events(
            tx,
            Event("call-refused", NOW, body={"partner": "vpub", "code": "not-yours", "tracking": TRACKING}),
            Event("partner-paused", NOW, body={"partner": "vpub", "reason": "bảo trì", "by": "binh"}),
            Event("user-signed-in", NOW + timedelta(days=1), body={"user": "an", "address": "10.0.0.1"}),
        )
    beat(home)
    return home


def beat(home: Path) -> None:
    node = nodes.Node(name="n", host="h", version="1", schema="1", started_at=NOW)
    with transactions.write_transaction(engine_of(home)) as tx:
        nodes.record_heartbeat(tx, node, datetime.now(UTC) + timedelta(minutes=5))


@pytest.fixture
def type_(home: Path) -> Type:
    return homes.typing(home)


def rows(done: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_status_shows_the_hub_and_each_partner(type_):
    done = type_("status", language="vi")
    assert done.exit_code == 0, done.output
    assert "số nút đang chạy: 1" in done.stdout
    assert "vpub" in done.stdout
    assert "5 phút" in done.stdout
    hub, *partners = rows(type_("status", "--json"))
    assert (hub["kind"], hub["nodes"], hub["concerns"]) == ("hub", 1, [])
    by_code = {row["code"]: row for row in partners}
    assert by_code.keys() == {"sotttt", "vpcp", "vpub"}
    vpub = by_code["vpub"]
    assert (vpub["waiting"], vpub["dead"], vpub["breaker"], vpub["more"]) == (1, 0, "closed", [])
    assert datetime.fromisoformat(str(vpub["oldest_since"])) < datetime.now(UTC)


def test_status_tells_monitoring_by_its_exit_code(home, type_):
    with transactions.write_transaction(engine_of(home)) as tx:
        messages.record_message(
            tx, entry(document(document_id="D2"), 2, at=datetime.now(UTC) - timedelta(hours=2)), ROUTES
        )
    done = type_("status")
    assert (done.exit_code, "a delivery is late" in done.stdout) == (3, True)
    with transactions.write_transaction(engine_of(home)) as tx:
        nodes.record_node_end(tx, "n", datetime.now(UTC))
    done = type_("status", "--json")
    assert (done.exit_code, rows(done)[0]["concerns"]) == (69, ["no-node", "late"])
    assert "no hub runs" in type_("status").stderr
    assert "see `lienthong doctor`" in type_("status").stderr, "a full disk looks the same"


def test_a_pause_is_shown(home, type_):
    with transactions.write_transaction(engine_of(home)) as tx:
        partner_state.pause_partner(tx, "vpub", reason="bảo trì", by="binh", now=NOW)
    assert "paused" in type_("status").stdout
    paused = next(row["paused"] for row in rows(type_("status", "--json")) if row.get("code") == "vpub")
    assert paused == {"at": NOW.isoformat(), "by": "binh", "reason": "bảo trì"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status", "--watch"], "not a terminal"),
        (["status", "--every", "5"], "--every needs --watch"),
        (["status", "--watch", "--every", "0"], "--every"),
        (["events", "--since", "yesterday"], "27/11/2026"),
        (["events", "--follow", "--until", "27/11/2026"], "--follow"),
        (["events", "-n", "0"], "-n"),
    ],
)
def test_wrong_usage_is_said(type_, words, told):
    done = type_(*words)
    assert (done.exit_code, told in done.stderr) == (2, True), done.output


def test_watching_prints_again_and_ends_quietly(type_, monkeypatch):
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(repeating, "sleep", sleep)
    done = type_("status", "--watch", "--every", "7")
    assert (done.exit_code, slept) == (0, [7.0, 7.0, 7.0])
    assert done.stdout.count("nodes that run") == 3
    assert "\x1b" not in done.stdout, "nothing is cleared where no terminal is"
    slept.clear()
    monkeypatch.setattr(status, "is_terminal", lambda: True)
    done = type_("status", "--watch")
    assert (done.exit_code, slept) == (0, [5.0, 5.0, 5.0])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ["user-signed-in", "partner-paused", "call-refused"]),
        (["-n", "1"], ["user-signed-in"]),
        (["--kind", "partner-paused"], ["partner-paused"]),
        (["--partner", "vpub"], ["partner-paused", "call-refused"]),
        (["--user", "an"], ["user-signed-in"]),
        (["--tracking", TRACKING], ["call-refused"]),
        (["--text", "BAO TRI"], ["partner-paused"]),
        (["--since", "25/11/2026"], ["user-signed-in"]),
        (["--until", "2026-11-25"], ["partner-paused", "call-refused"]),
    ],
)
def test_events_are_found(type_, words, found):
    done = type_("events", "--json", *words)
    assert done.exit_code == 0, done.output
    assert [row["event"] for row in rows(done)] == found


def test_people_read_events_in_their_words_and_time(type_):
    shown = type_("events", language="vi").stdout
    assert "24/11/2026 15:00:00" in shown
    assert "bảo trì" in shown
    assert "call-refused" not in shown
    assert "These are the newest 1" in type_("events", "-n", "1").stderr
    assert "No events." in type_("events", "--text", "nothing-of-that").stderr


@pytest.mark.parametrize(
    "words", [["--kind", "nonsense"], ["--partner", "vpbu"], ["--user", "nobody"]], ids=lambda words: words[0]
)
def test_what_is_not_known_is_not_found(type_, words):
    done = type_("events", *words)
    assert (done.exit_code, done.stdout) == (4, "")
    assert words[1] in done.stderr


def test_following_prints_the_newest_and_then_each_new_one_once(home, type_, monkeypatch):
    turns: list[float] = []

    def sleep(seconds: float) -> None:
        turns.append(seconds)
        if len(turns) == 3:
            raise KeyboardInterrupt
        with transactions.write_transaction(engine_of(home)) as tx:
            events.append_events(tx, Event("user-signed-out", NOW, body={"user": f"u{len(turns)}", "by": "an"}))

    monkeypatch.setattr(repeating, "sleep", sleep)
    done = type_("events", "--follow", "--json", "-n", "2")
    assert done.exit_code == 0, done.output
    assert [(row["event"], row.get("user")) for row in rows(done)] == [
        ("partner-paused", None),
        ("user-signed-in", "an"),
        ("user-signed-out", "u1"),
        ("user-signed-out", "u2"),
    ]


def test_a_follower_misses_nothing_that_is_committed_late_and_forgets_what_is_old():
    there: list[int] = [5]

    def read(after: int) -> list[ListedEvent]:
        asked.append(after)
        return [
            ListedEvent(cursor=EventCursor("", serial), number=None, text="{}")
            for serial in sorted(there)
            if serial > after
        ]

    asked: list[int] = []
    follower = EventFollower(read, 4, set())
    found = []
    for second, new in ((0, 8), (1, 7), (2, 6), (40, 9), (80, 10)):
        found.append([one.cursor.serial for one in follower.find_new(NOW + timedelta(seconds=second))])
        there.append(new)
    found.append([one.cursor.serial for one in follower.find_new(NOW + timedelta(seconds=81))])
    assert found == [[5], [8], [7], [6], [9], [10]]
    assert asked == [4, 4, 4, 4, 8, 8]
