"""The demo's stage starts partners side by side, and says why it broke."""

import socket

import pytest

from lienthong_demo.run.stage import Child, PartnerChild, Site, Stage, StageFailed
from tests.waiting import PATIENCE


def child(place, name, script):
    return Child.start(name, ["/bin/sh", "-c", script], place / f"{name}.log", cwd=place)


@pytest.fixture
def stage(tmp_path):
    """A partner that ended because of the hub it called."""
    made = Stage(Site(tmp_path / "hub"), tmp_path, tmp_path)
    made.partners["vpub"] = PartnerChild(child(tmp_path, "vpub", "exit 1"))
    yield made
    made.clear()


def test_when_the_hub_ends_it_is_named_though_a_partner_was_seen_to_end_first(stage, tmp_path, monkeypatch):
    stage.hub = child(tmp_path, "hub", "sleep 0.2; exit 3")
    ends = stage.hub.process.wait  # on a busy machine not always within a second
    monkeypatch.setattr(stage.hub.process, "wait", lambda _within: ends(PATIENCE))
    with pytest.raises(StageFailed) as broken:
        stage.partners["vpub"].answer()
    assert str(broken.value).startswith("vpub ended with 1")
    assert str(stage.cause(broken.value)).startswith("hub ended with 3")


@pytest.mark.slow
def test_while_the_hub_lives_what_broke_is_named(stage, tmp_path):
    stage.hub = child(tmp_path, "hub", "exec sleep 60")
    with pytest.raises(StageFailed) as broken:
        stage.partners["vpub"].answer()
    assert str(stage.cause(broken.value)).startswith("vpub ended with 1")


@pytest.mark.slow
def test_partners_started_together_are_all_ready_in_the_end(tmp_path):
    with Stage.open(Site(tmp_path / "hub"), tmp_path) as stage:
        with stage.start_together():
            ports = [stage.open_office(code, "dancu") for code in ("one", "other")]
        for port in ports:
            socket.create_connection(("127.0.0.1", port), 5).close()


def test_one_of_them_that_does_not_start_is_named(tmp_path):
    def start(stage):
        with stage.start_together():
            stage.open_office("one", "dancu")
            stage.open_office("other", "nobody")

    with Stage.open(Site(tmp_path / "hub"), tmp_path) as stage, pytest.raises(StageFailed, match="other ended with 1"):
        start(stage)
