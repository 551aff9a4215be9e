"""A hub whose plug was pulled on SQLite goes on on PostgreSQL: the queue, the receipts and the counts come along."""

import json
import re
import subprocess
from collections import Counter
from datetime import date

import pytest

from hub.store import move_marks, transactions
from lienthong_demo.plan.packets import write_document_packet
from tests import warm
from tests.process.test_kill import assert_counted_once, waiting
from tests.running import PATIENCE, until
from tests.warm import BIN

pytestmark = pytest.mark.slow


def packet(number):
    large = [("phu-luc.bin", bytes(range(256)) * 8192)] if number % 10 == 0 else [("van-ban.txt", b"Noi dung")]
    return write_document_packet(
        "H55.13",
        ["H55.1", "000.00.00.G22"],
        number=str(number),
        notation="STTTT",
        subject="V/v chuyển nhật ký",
        promulgated=date(2026, 11, 20),
        attachments=large,
    )


@pytest.fixture
def empty(postgresql):
    """The URL of an empty database, as hub.toml takes it."""
    with postgresql.database(empty=True) as url:
        yield url.replace("+psycopg", "")


def test_a_live_queue_moves_is_interrupted_goes_on_and_is_delivered_counted_once(hub, empty):
    hub.letterbox("vpcp")
    hub.start()
    packets, receipts = [packet(number) for number in range(40)], {}
    with hub.client("sotttt") as client:
        for number in range(40):
            sent = client.send(packets[number], f"sotttt-{number}")
            receipts[f"sotttt-{number}"] = (sent.document_id, sent.sha256)
    hub.cli("db", "move", "--to", empty, "--yes", code=1)  # it runs
    hub.kill()
    assert waiting(hub)

    planned = {row["table"]: row for row in hub.cli("db", "move", "--to", empty, "--json")}
    assert (planned["message"]["rows"], planned["message"]["action"]) == (40, "planned")
    lines, kills = interrupted(hub, empty)
    hub.start(wait=False)
    assert hub.process.wait(PATIENCE) == 78, "the old journal is not served again"
    assert empty in hub.log.read_text()
    hub.cli("messages", code=78)
    hub.cli("db", "status", code=78)
    hub.cli("db", "move", "--to", empty, code=78)
    hub.config.write_text(re.sub(r"\[database\]\nurl = .*\n", f"{lines}\n", hub.config.read_text()))
    hub.cli("check")

    hub.start()
    hub.letterbox("vpub")
    until(lambda: not waiting(hub), "everything to be delivered", 120)
    for partner in ("vpub", "vpcp"):
        got = Counter((note["document_id"], note["sha256"]) for note in hub.received(partner))
        assert set(got) == set(receipts.values())
    assert_counted_once(hub, None)
    with hub.client("sotttt") as client:
        again = client.send(packets[7], "sotttt-7")
        assert (again.document_id, again.sha256) == receipts["sotttt-7"], (
            "the hub knows what it took in before it moved"
        )
        client.send(packet(100), "after")
    until(lambda: not waiting(hub), "the new one to be delivered")
    assert_counted_once(hub, None)
    print(f"the move was killed {kills} times")  # noqa: T201 - shown by pytest -s, and when it fails


def test_a_journal_that_is_half_moved_is_refused_by_twistd_and_by_every_command(postgresql, hub):
    with postgresql.database() as url:
        engine = transactions.open_journal(url, pooled=False)
        with transactions.write_transaction(engine) as tx:
            move_marks.mark_journal_moving(tx, "sqlite:////xa/hub.db", ["message"])
        engine.dispose()
        half = url.replace("+psycopg", "")
        hub.cli("db", "move", "--to", half, code=78)
        hub.config.write_text(re.sub(r"url = \"sqlite.*\n", f'url = "{half}"\n', hub.config.read_text()))
        (mistake,) = hub.cli("check", "--json", code=78)
        assert mistake["wrong"] == "the move of sqlite:////xa/hub.db into it is not finished"
        hub.cli("messages", code=78)
        hub.cli("db", "upgrade", code=78)
        hub.start(wait=False)
        assert hub.process.wait(PATIENCE) == 78


def test_a_move_is_refused_with_a_sentence(hub):
    hub.cli("db", "move", "--to", "postgresql://u:secret@/x", code=2)
    hub.cli("db", "move", "--to", "sqlite:///x.db", code=2)
    hub.cli("db", "move", "--to", "postgresql:///x?host=/nowhere", code=69)


def interrupted(hub, empty):
    """Move, pulling the plug later each time, until it comes to its end; return the lines for hub.toml, and how often it was killed."""
    command = [BIN / "lienthong", "-c", hub.config, "db", "move", "--to", empty, "--yes", "--json"]
    for kills in range(100):
        try:
            move = warm.run(command, timeout=0.3 + 0.3 * kills)
        except subprocess.TimeoutExpired:
            continue
        if move.returncode == 78:  # it was killed when all was done, and nothing said
            return f'[database]\nurl = "{empty}"', kills
        assert move.returncode == 0, move.stderr
        rows = [json.loads(line) for line in move.stdout.splitlines()]
        assert {row["action"] for row in rows[:-1]} == {"verified"}
        return rows[-1]["hub_toml"], kills
    raise AssertionError("it never came to its end")
