"""The Government reporting system as a directory: no reply file keeps the others waiting."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

import adapters
from hub.delivery import file_transport
from hub.domain.conversations import Arrival, Collected, Collector, Judged, Unavailable
from hub.partner.adapter_settings import Terms
from tests.pki import NOW, partner

GOOD: dict[str, Any] = {
    "id": "1",
    "form": "edoc",
    "unit": "H55",
    "period": "2026-11",
    "revision": 1,
    "status": "accepted",
}


def collected(root: Path) -> tuple[Any, list[str]]:
    """Collect from the directory; return how that ended, and the names of the files that arrived."""
    settings = {each.name: each.default or "" for each in adapters.list_adapter_settings("govreport")}
    terms = Terms(partner="baocao", url=root.as_uri(), identity=partner("hub"), settings=settings)
    conversation: Any = cast("Collector", adapters.make_adapter("govreport", terms)).collect("", NOW)
    arrived: list[str] = []
    said: Any = None
    while True:
        try:
            step = conversation.send(said)
        except StopIteration as end:
            return end.value, arrived
        if isinstance(step, Arrival):
            arrived.append(step.message_id.partition(" ")[0])
            said = Judged(True)
        else:
            said = file_transport._do_file_request(step, root, root.parent)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        json.dumps([chr(0xD800)]).encode(),
        json.dumps(GOOD | {"form": chr(0xD800)}).encode(),
        json.dumps(GOOD | {"status": "returned", "reasons": ["a\vb"]}).encode(),
        json.dumps(GOOD | {"revision": "9" * 5000}).encode(),
    ],
    ids=["deep", "half a pair", "half a pair in a verdict", "a control character", "a number without end"],
)
def test_a_reply_that_cannot_be_read_arrives_as_it_is_and_holds_up_nothing(tmp_path, content):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.json").write_bytes(content)
    (tmp_path / "in/b.json").write_text(json.dumps(GOOD))
    assert collected(tmp_path) == (Collected(more=False), ["a.json", "b.json"])
    assert collected(tmp_path) == (Collected(more=False), [])


def test_files_that_stay_hold_up_no_other(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.json").write_bytes(b" " * (file_transport.LARGEST + 1))
    (tmp_path / f"in/{'b' * 245}.json").write_text(json.dumps(GOOD))
    for number in range(60):
        (tmp_path / f"in/c{number:02}.json").write_text(json.dumps(GOOD | {"status": "what?"}))
    (tmp_path / "in/z.json").write_text(json.dumps(GOOD))
    ended, arrived = collected(tmp_path)
    assert isinstance(ended, Unavailable)
    assert arrived == ["z.json"]
