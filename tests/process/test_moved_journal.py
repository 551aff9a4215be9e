"""A journal that is moved, replaced or deleted under the running hub: no receipt from then on, until a person acts and starts it again."""

import json
import shutil
from datetime import date

import pytest

from hub.cli.documents_client import HubUnavailable
from lienthong_demo.plan.packets import write_document_packet
from tests.running import until

pytestmark = pytest.mark.slow


def attempt(hub, number):
    """Send once; return the receipt, or what it was put off with."""
    packet = write_document_packet(
        "H55.1",
        ["H55.13"],
        number=str(number),
        notation="VP",
        subject="x",
        promulgated=date(2026, 11, 20),
        attachments=[("x.txt", b"x")],
    )
    try:
        with hub.client("vpub") as client:
            return client.send(packet, f"vpub-{number}")
    except HubUnavailable as unavailable:
        return str(unavailable)


def moved(hub, backup):
    """Restore as nobody should: put the backup in the place of what the hub has open."""
    (hub.home / "old").mkdir()
    for file in list((hub.home / "data").glob("hub.db*")):
        if file.name != "hub.db.pid":
            file.rename(hub.home / "old" / file.name)
    shutil.copy(backup, hub.home / "data/hub.db")


def replaced(hub, backup):
    """Give the path another file in one step."""
    shutil.copy(backup, hub.home / "data/new.db")
    (hub.home / "data/new.db").rename(hub.home / "data/hub.db")


def deleted(hub, _backup):
    """Delete the whole folder."""
    (hub.home / "data").rename(hub.home / "gone")
    shutil.rmtree(hub.home / "gone")


def without_its_log(hub, _backup):
    (hub.home / "data/hub.db-wal").unlink()


def reasons(hub):
    status, said = hub.get("/readyz")
    return status, {name: why for name, why in json.loads(said)["reasons"].items() if why != "ok"}


@pytest.fixture(params=["one process", "workers"])
def backed(request, hub):
    """A hub that runs, with a receipt, and a backup of its journal from before."""
    if request.param == "workers":
        hub.config.write_text("workers = 2\n" + hub.config.read_text())
    hub.start()
    hub.cli("db", "backup", hub.home / "copy.db")
    assert not isinstance(attempt(hub, 1), str)
    return hub


#: What is done to the file, and to whom: the node's own process alone has it open, so that one change is enough beside workers.
_CHANGES = [
    *(("one process", change) for change in (moved, replaced, deleted, without_its_log)),
    ("workers", replaced),
]


@pytest.mark.parametrize(("backed", "change"), _CHANGES, indirect=["backed"])
def test_no_receipt_is_given_for_a_journal_that_is_not_the_one_at_its_path(backed, change):
    hub = backed
    change(hub, hub.home / "copy.db")
    for number in range(2, 8):
        said = str(attempt(hub, number))
        assert "journal-moved" in said or (change is deleted and "disk-low" in said), number
    found = until(lambda: (said := reasons(hub))[0] == 503 and said, "readyz to say so, which looks once a second")
    assert found[1]["file"] == "unusable"
    (told, *_) = hub.told("journal-moved")
    assert str(hub.home / "data/hub.db") in told["reason"]


def test_once_seen_it_does_not_pass_and_a_restart_with_the_right_file_has_every_receipt(backed):
    hub = backed
    data, receipts = hub.home / "data", {"vpub-1"}
    (data / "hub.db").rename(data / "aside.db")
    assert "journal-moved" in str(attempt(hub, 2))
    (data / "aside.db").rename(data / "hub.db")
    assert "journal-moved" in str(attempt(hub, 3)), "a person must act"
    until(lambda: reasons(hub)[0] == 503, "readyz to say so")
    hub.stop()
    hub.start()
    assert not isinstance(attempt(hub, 4), str)
    kept = {row["message_id"] for row in hub.cli("messages", "--json")}
    assert kept >= receipts | {"vpub-4"}
    hub.cli("db", "verify")


def test_a_hub_that_stops_does_not_touch_the_log_of_the_file_that_was_put_in_place(backed):
    hub = backed
    moved(hub, hub.home / "copy.db")
    log = hub.home / "data/hub.db-wal"
    log.write_bytes(b"of the other")
    assert "journal-moved" in str(attempt(hub, 2))
    hub.stop()
    assert log.read_bytes() == b"of the other"
