"""The demo's stage says why it broke."""

import pytest

from hub.demo.run.stage import Child, PartnerChild, Site, Stage, StageFailed


def child(place, name, script):
    return Child.start(name, ["/bin/sh", "-c", script], place / f"{name}.log", cwd=place)


@pytest.fixture
def stage(tmp_path):
    """A partner that ended because of the hub it called."""
    made = Stage(Site(tmp_path / "hub"), tmp_path, tmp_path)
    made.partners["vpub"] = PartnerChild(child(tmp_path, "vpub", "exit 1"))
    yield made
    made.clear()


def test_when_the_hub_ends_it_is_named_though_a_partner_was_seen_to_end_first(stage, tmp_path):
    stage.hub = child(tmp_path, "hub", "sleep 0.2; exit 3")
    with pytest.raises(StageFailed) as broken:
        stage.partners["vpub"].answer()
    assert str(broken.value).startswith("vpub ended with 1")
    assert str(stage.cause(broken.value)).startswith("hub ended with 3")


def test_while_the_hub_lives_what_broke_is_named(stage, tmp_path):
    stage.hub = child(tmp_path, "hub", "exec sleep 60")
    with pytest.raises(StageFailed) as broken:
        stage.partners["vpub"].answer()
    assert str(stage.cause(broken.value)).startswith("vpub ended with 1")
