"""A journal whose file is torn or spoilt is named and never served; a backup, put in its place, is; a torn log loses only what was in it."""

import contextlib
import shutil
import sqlite3
from datetime import date

import pytest

from hub.journal.searching import message_filter, search
from hub.keeping import integrity
from hub.store import transactions
from lienthong_demo.plan.packets import write_document_packet
from tests.running import PATIENCE, until

pytestmark = pytest.mark.slow


def packet(number, size=0):
    return write_document_packet(
        "H55.1",
        ["H55.13"],
        number=str(number),
        notation="VP",
        subject="x",
        promulgated=date(2026, 11, 20),
        attachments=[("x.bin", bytes(range(256)) * max(1, size // 256))],
    )


def send(hub, *numbers, size=0):
    """Send these; return their receipts."""
    with hub.client("vpub") as client:
        sent = {f"vpub-{number}": client.send(packet(number, size), f"vpub-{number}") for number in numbers}
    return {name: (each.document_id, each.sha256) for name, each in sent.items()}


def kept(hub):
    return {row["message_id"]: (row["id"], row["sha256"]) for row in hub.cli("messages", "--json")}


def into_one_file(journal):
    """Write the log into the file, as a checkpoint does, and take it away."""
    with contextlib.closing(sqlite3.connect(journal)) as there:
        there.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        there.execute("PRAGMA journal_mode=DELETE")


def truncated(octets):
    return octets[: len(octets) // 2]


def beheaded(octets):
    return b"\0" * 100 + octets[100:]


def scribbled(octets):
    return octets[:8192] + bytes(range(256)) * 64 + octets[8192 + 16384 :]


@pytest.mark.parametrize("spoil", [truncated, beheaded, scribbled])
def test_a_spoilt_file_is_named_by_check_and_twistd_and_never_served(hub, spoil):
    hub.start()
    send(hub, 1, 2, 3, size=20_000)
    hub.stop()
    journal = hub.home / "data/hub.db"
    into_one_file(journal)
    hub.cli("check")
    journal.write_bytes(spoil(journal.read_bytes()))
    said = [line for line in hub.cli("check", "--json", code=78) if line["path"] == "hub.toml: database.url"]
    assert said
    assert all(line["wrong"].startswith("the journal is damaged: ") for line in said)
    hub.start(wait=False)
    assert hub.process.wait(PATIENCE) == 78
    assert "damaged" in hub.log.read_text() or "bị hỏng" in hub.log.read_text()
    assert hub.cli("db", "verify", "--json", code=None)[0].get("kind") != "ok"
    hub.cli("db", "backup", hub.home / "copy.db", code=None)
    assert not (hub.home / "copy.db").exists(), "what is damaged is no backup"


def test_a_bit_inside_a_packet_or_an_event_which_sqlite_cannot_see_is_found_by_the_hashes(hub):
    hub.start()
    (first, _) = send(hub, 1)["vpub-1"]
    until(lambda: not unchained(hub), "the events to be chained")
    hub.stop()
    journal = hub.home / "data/hub.db"
    into_one_file(journal)
    hub.cli("db", "verify")
    whole = journal.read_bytes()
    for spoilt, problem in ((b"<edXML", "the octets of"), (b'"event":"message-accepted"', "the hash of event ")):
        at = whole.index(spoilt)
        journal.write_bytes(whole[: at + 1] + bytes([whole[at + 1] ^ 1]) + whole[at + 2 :])
        (row,) = hub.cli("db", "verify", "--json", code=1)
        assert row["problem"].startswith(problem), first
    journal.write_bytes(whole)
    hub.cli("db", "verify")


def unchained(hub):
    with contextlib.closing(sqlite3.connect(hub.home / "data/hub.db")) as there:
        return there.execute("SELECT count(*) FROM event WHERE number IS NULL").fetchone()[0]


def test_damage_that_is_met_while_the_hub_runs_stops_it_from_serving(hub):
    hub.start()
    send(hub, 1, 2, 3, size=20_000)
    hub.stop()
    journal = hub.home / "data/hub.db"
    into_one_file(journal)
    hub.start()
    whole = journal.read_bytes()
    with journal.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (len(whole) - 4096))  # what the hub has in its own memory is not enough
    said = until(
        lambda: b'"database": "unavailable"' in (found := hub.get("/readyz"))[1] and found, "the hub to say so"
    )
    assert said[0] == 503
    assert "malformed" in hub.log.read_text()
    (found, *_) = until(lambda: hub.told("journal-damaged"), "the hub to know what is wrong")
    assert found["reason"].startswith(("proved by: ", "bằng chứng: "))
    with hub.client("vpub") as client, pytest.raises(Exception, match="journal-damaged"):
        client.send(packet(9), "vpub-9")
    assert "journal-damaged" in hub.log.read_text()


def witnessed(hub):
    return b"".join(file.read_bytes() for file in sorted((hub.home / "data/witness").glob("*.jsonl")))


def test_a_backup_of_a_running_hub_is_restored_and_what_came_later_is_repaired_by_sending_again(hub):
    hub.start()
    before = send(hub, 1, 2, 3)
    copy = hub.home / "copy.db"
    (made,) = hub.cli("db", "backup", copy, "--json")
    assert (made["file"], made["messages"]) == (str(copy), 3)
    assert sorted(path.name for path in hub.home.iterdir() if "copy" in path.name) == ["copy.db"]
    hub.cli("db", "backup", copy, code=1)  # never over another
    after = send(hub, 4, 5)
    with hub.client("sotttt") as client:
        for document_id in client.pending("H55.13"):
            client.get(document_id)
            client.confirm(document_id)
    until(lambda: b"vpub-5" in witnessed(hub), "the witness to see what came later")
    hub.kill()

    journal = hub.home / "data/hub.db"
    for name in ("hub.db", "hub.db-wal", "hub.db-shm"):
        (hub.home / "data" / name).unlink(missing_ok=True)
    shutil.copy(copy, journal)
    hub.cli("check", code=78)  # nobody has said yet that this journal shall go on
    (adopted,) = hub.cli("backup", "adopt", "--reason", "test", "--yes", "--json")
    assert (adopted["era"], adopted["lost"]) == (2, 2)
    hub.cli("check")
    (found,) = hub.cli("db", "verify", "--json")
    assert (found["kind"], found["messages"]) == ("ok", 3)
    assert kept(hub) == before, "what came later is lost from this disk"
    hub.start()
    accepted = {line["message"] for line in hub.told("message-accepted")}
    assert accepted - {each for each, _ in before.values()} == {each for each, _ in after.values()}, "the log lists it"

    assert send(hub, 1, 2, 3) == before, "what is there is known"
    again = send(hub, 4, 5)
    assert {sha256 for _, sha256 in again.values()} == {sha256 for _, sha256 in after.values()}
    assert kept(hub) == before | again
    assert {row["message_id"]: row["again"] for row in hub.cli("backup", "lost", "--json")} == {
        name: each for name, (each, _) in again.items()
    }
    facts = [(fact["id"], fact["milestone"]) for fact in hub.cli("report", "--facts", "--json")]
    assert sorted(facts) == sorted((each, "sent") for each, _ in (before | again).values())
    with hub.client("sotttt") as client:
        assert set(client.pending("H55.13")) == {each for each, _ in (before | again).values()}
    send(hub, 6)
    hub.stop()
    assert b"vpub-6" in witnessed(hub), "who stops in order leaves no receipt of the last second out"


def test_of_a_log_whose_tail_is_cut_after_a_kill_only_what_lay_in_the_cut_part_is_lost(hub, tmp_path):
    hub.start()
    wal, journal = hub.home / "data/hub.db-wal", hub.home / "data/hub.db"
    receipts: dict[str, tuple[str, str]] = {}
    ends: dict[str, int] = {}
    for number in range(12):
        receipts |= send(hub, number, size=8000)
        ends[f"vpub-{number}"] = wal.stat().st_size  # its commit ends here or before
    hub.kill()
    assert max(ends.values()) == wal.stat().st_size or len(set(ends.values())) > 6, (
        "the log was not written back meanwhile"
    )
    octets, main = wal.read_bytes(), journal.read_bytes()
    for cut in [len(octets) - 1, ends["vpub-9"] + 1, ends["vpub-6"], ends["vpub-3"] - 1, ends["vpub-1"] + 2000, 40]:
        (hub.home / "data/hub.db-shm").unlink(missing_ok=True)
        journal.write_bytes(main)
        wal.write_bytes(octets[:cut])
        left = read_whole(journal)
        assert left.items() <= receipts.items()
        safe = {name: receipts[name] for name, end in ends.items() if end <= cut}
        assert safe.items() <= left.items(), f"cut at {cut}"
    hub.cli("backup", "adopt", "--reason", "test", "--yes")
    hub.cli("check")
    hub.start()
    assert send(hub, *range(12), size=8000).keys() == receipts.keys()
    assert len(kept(hub)) == 12


def read_whole(journal):
    """Return the messages of a journal that is whole."""
    engine = transactions.open_journal(f"sqlite:///{journal}", pooled=False)
    with transactions.read_transaction(engine) as tx:
        assert [
            *integrity.find_file_damage(tx),
            *integrity.find_chain_damage(tx),
            *integrity.find_content_damage(tx),
        ] == []
        found = {
            each.message_id: (each.id, each.sha256) for each in search.find_messages(tx, message_filter.MessageFilter())
        }
    engine.dispose()
    return found
