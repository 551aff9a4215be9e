"""A directory as a carrier: files whole or not at all, nothing overwritten, nothing beside the partner's own directory."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.task import Clock

from hub.config import Partner
from hub.delivery import file_transport
from hub.delivery.file_transport import LARGEST, DirectoryCarrier
from hub.domain.conversations import Request
from hub.runtime.call_progress import CallProgress
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import run_at_once


def names(folder):
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture
def ask(tmp_path):
    root = tmp_path / "the drop"
    root.mkdir()
    url = root.as_uri()

    def carry(method, path, body=b"", destination=None):
        headers = (("Destination", f"{url}/{destination}"),) if destination else ()
        asked = DirectoryCarrier(run_at_once).carry(
            Request(f"{url}/{path}", body, headers, method),
            cast("Partner", SimpleNamespace(code="phutho", url=url, exchange=tmp_path)),
            CallProgress(cast("Any", Clock()), 30.0),
        )
        steps: Any = asked
        try:
            waiting = steps.send(None)
            if waiting.called and hasattr(waiting.result, "raiseException"):
                failure = waiting.result
                waiting.addErrback(lambda _: None)
                failure.raiseException()
            steps.send(waiting.result)
        except StopIteration as end:
            return end.value
        finally:
            steps.close()
        raise AssertionError("it waits")

    return root, carry


def test_a_file_is_written_whole_and_then_has_its_name(ask):
    root, carry = ask
    assert carry("PUT", "out/a.xml", b"one").status == 201
    assert (root / "out/a.xml").read_bytes() == b"one"
    assert names(root / "out") == ["a.xml"]


def test_the_same_file_again_is_no_other_and_another_takes_nobodys_place(ask):
    root, carry = ask
    carry("PUT", "out/a.xml", b"one")
    assert carry("PUT", "out/a.xml", b"one").status == 200
    assert carry("PUT", "out/a.xml", b"two").status == 409
    (root / "out/b.xml").mkdir()
    assert carry("PUT", "out/b.xml", b"two").status == 409
    assert (root / "out/a.xml").read_bytes() == b"one"
    assert names(root / "out") == ["a.xml", "b.xml"]


def test_a_directory_that_a_link_leads_out_of_the_folder_of_directories_is_not_used(ask, tmp_path, tmp_path_factory):
    root, carry = ask
    outside = tmp_path_factory.mktemp("outside")
    root.rmdir()
    root.symlink_to(outside)
    with pytest.raises(Unreachable):
        carry("PUT", "a.xml", b"one")
    assert names(outside) == []


def test_what_a_killed_writer_left_is_written_over(ask):
    root, carry = ask
    (root / "out").mkdir()
    (root / "out/a.xml.tmp").write_bytes(b"half of it, and longer")
    assert carry("PUT", "out/a.xml", b"one").status == 201
    assert names(root / "out") == ["a.xml"]


def test_a_directory_is_the_list_of_its_whole_files(ask):
    root, carry = ask
    (root / "in/taken").mkdir(parents=True)
    for name in ("b.json", "a.json", "c.json.tmp", ".hidden"):
        (root / "in" / name).write_bytes(b"{}")
    assert json.loads(carry("GET", "in/").body) == ["a.json", "b.json"]
    assert carry("GET", "in/a.json").body == b"{}"
    assert carry("GET", "in/z.json").status == carry("GET", "nowhere/").status == 404


def test_a_file_is_put_away_and_none_is_lost(ask):
    root, carry = ask
    (root / "in").mkdir()
    (root / "in/a.json").write_bytes(b"one")
    assert carry("MOVE", "in/a.json", destination="in/taken/a.json").status == 201
    assert carry("MOVE", "in/a.json", destination="in/taken/a.json").status == 404
    (root / "in/a.json").write_bytes(b"two")
    assert carry("MOVE", "in/a.json", destination="in/taken/a.json").status == 409
    assert (root / "in/a.json").read_bytes() == b"two"
    assert (root / "in/taken/a.json").read_bytes() == b"one"


@pytest.mark.parametrize("path", ["../beside.xml", "out/../../beside.xml", "%2e%2e/beside.xml"])
def test_nothing_beside_the_directory_is_touched(ask, path):
    root, carry = ask
    (root / "out").mkdir()
    with pytest.raises(Unreachable):
        carry("PUT", path, b"one")
    with pytest.raises(Unreachable):
        carry("GET", path)
    assert not (root.parent / "beside.xml").exists()


def test_a_link_that_leads_out_is_not_followed(ask):
    root, carry = ask
    (root / "in").mkdir()
    (root.parent / "secret").write_text("x")
    (root / "in/a.json").symlink_to(root.parent / "secret")
    with pytest.raises(Unreachable):
        carry("GET", "in/a.json")
    assert json.loads(carry("GET", "in").body) == []


def test_nothing_is_written_through_a_link(ask):
    root, carry = ask
    (root / "out").mkdir()
    journal = root.parent / "hub.db"
    journal.write_bytes(b"the journal")
    (root / "out/a.xml.tmp").symlink_to(journal)
    assert carry("PUT", "out/a.xml", b"x").status == 201
    assert (journal.read_bytes(), names(root / "out")) == (b"the journal", ["a.xml"])
    assert (root / "out/a.xml").read_bytes() == b"x"


def test_what_is_too_long_or_a_directory_that_is_gone_is_told(ask):
    root, carry = ask
    (root / "a.json").write_bytes(b"x" * (LARGEST + 1))
    assert carry("GET", "a.json").status == 413
    (root / "a.json").unlink()
    root.rmdir()
    with pytest.raises(Unreachable):
        carry("PUT", "a.xml", b"x")


def test_what_it_says_it_has_is_on_the_disk_and_what_moves_is_somewhere_at_each_moment(ask, monkeypatch):
    _, carry = ask
    synced = []

    def sync(folder):
        synced.append((folder.name, names(folder)))

    monkeypatch.setattr(file_transport, "sync_folder", sync)
    carry("PUT", "out/a.xml", b"one")
    carry("PUT", "out/a.xml", b"one")  # the first one may have crashed before it was on the disk
    assert synced == 2 * [("out", ["a.xml"])]
    synced.clear()
    carry("MOVE", "out/a.xml", destination="done/a.xml")
    assert synced == [("done", ["a.xml"]), ("out", [])]
